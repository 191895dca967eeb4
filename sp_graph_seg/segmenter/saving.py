"""A trained Segmenter as what a model file holds, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.segmenter.head_file import describe_head, find_difference
from sp_graph_seg.segmenter.labellers import labeller_from_state
from sp_graph_seg.segmenter.model_file import ModelFile
from sp_graph_seg.segmenter.network import make_net

if TYPE_CHECKING:
    from sp_graph_seg.segmenter.segmenter import Segmenter

S = TypeVar("S", bound="Segmenter")


def to_file(
    segmenter: "Segmenter", notes: Mapping[str, Any] | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON values of a trained Segmenter."""
    config, head = segmenter.trained_config, None
    values: dict[str, Any] = {}
    if segmenter.labeller_ is None:
        net = segmenter.paper_net
        tensors, head = net.state_dict(), net.head if config.head == "identity" else None
    else:
        tensors, values = segmenter.labeller_.state()
    relabel = segmenter.relabel_
    return tensors, {
        "config": config.to_dict(),
        "in_channels": segmenter.in_channels_,
        "intensity_range": segmenter.intensity_range_,
        "head": describe_head(head),
        "labeller": values,
        "relabel": None if relabel is None else relabel.to_dict(),
        "notes": dict(notes or {}),
    }


def take_file(segmenter: S, file: ModelFile, path: str | Path) -> S:
    """Gives a Segmenter, made with the head that the user gave, what a model file holds.

    Raises:
        InputError: If the file holds something else, or the head is missing or another one.
    """
    weights, metadata = file
    try:
        difference = find_difference(metadata["head"], describe_head(segmenter.head))
        segmenter.config = Config.from_dict(metadata["config"])
        segmenter.in_channels_ = int(metadata["in_channels"])
        low, high = map(float, metadata["intensity_range"])
        if not low < high:
            raise ValueError(f"intensity_range from {low} to {high}")
        segmenter.intensity_range_ = low, high
        segmenter.config_ = segmenter.resolve_config(segmenter.in_channels_)
        relabel = metadata.get("relabel")
        segmenter.relabel_ = None if relabel is None else Relabel.from_dict(relabel)
        if not difference:
            _take_weights(segmenter, weights, metadata["labeller"])
    except (InputError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not a model that this version can read ({reason}); train it anew."
        ) from error
    if difference:
        raise InputError(
            f"{path}: was trained with another head ({difference}); give a module like that "
            "to Segmenter.load(path, head=...)."
        )
    return segmenter


def _take_weights(
    segmenter: "Segmenter", weights: dict[str, Tensor], values: dict[str, Any]
) -> None:
    config, channels = segmenter.config_, segmenter.in_channels_
    segmenter.net_ = segmenter.labeller_ = segmenter.history_ = None
    if config.label_by == "argmax":
        net = make_net(channels, config, segmenter.head)
        net.load_state_dict(weights)
        segmenter.net_ = net.eval()
    else:
        segmenter.labeller_ = labeller_from_state(config, weights, values, channels)
