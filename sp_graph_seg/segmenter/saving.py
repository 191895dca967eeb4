"""Converts between a trained model and the contents of its file."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.nn import SuperpixelNet
from sp_graph_seg.segmenter.head_file import describe_head, find_difference
from sp_graph_seg.segmenter.labellers import Labeller, labeller_from_state
from sp_graph_seg.segmenter.model_file import ModelFile
from sp_graph_seg.segmenter.network import check_any_image_head, make_net
from sp_graph_seg.training import plain_torch

#: What wrong contents of a model file raise where they are used.
_WRONG_CONTENTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Trained(NamedTuple):
    """The state of a Segmenter after training, without the history."""

    config: Config
    in_channels: int
    intensity_range: tuple[float, float]
    net: SuperpixelNet | None = None
    """The network, if the largest feature of a node is its label; otherwise ``None``."""
    labeller: Labeller | None = None
    """The labeller, if labels come from prototypes; otherwise ``None``."""
    relabel: Relabel | None = None
    seen_labels: tuple[int, ...] = ()
    """The labels that occur in the training images; empty if all labels occur."""


def identify_training(
    config: Config, head: nn.Module | None, images: Sequence[Any], superpixels: Sequence[Any]
) -> str:
    """Returns the fingerprint of everything that a training depends on."""
    state = {} if head is None else head.state_dict()
    known = {name: value for name, value in state.items() if not is_lazy(value)}
    return fingerprint(images=images, superpixels=superpixels, config=config.to_dict(), head=known)


def to_file(
    trained: Trained, notes: Mapping[str, Any] | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Converts a trained model to the tensors and the JSON values of a model file."""
    head: nn.Module | None = None
    values: dict[str, Any] = {}
    if trained.labeller is not None:
        tensors, values = trained.labeller.state()
    else:
        assert trained.net is not None, "a model has a network or a labeller"
        tensors = trained.net.state_dict()
        head = trained.net.head if trained.config.head == "identity" else None
    return tensors, {
        "config": trained.config.to_dict(),
        "in_channels": trained.in_channels,
        "intensity_range": trained.intensity_range,
        "head": describe_head(head),
        "labeller": values,
        "relabel": None if trained.relabel is None else trained.relabel.to_dict(),
        "seen_labels": list(trained.seen_labels),
        "notes": dict(notes or {}),
    }


def _describe_sized(head: nn.Module | None, config: Config) -> list[list[Any]]:
    """Describes a head. If possible, its lazy layers get their sizes first."""
    head = copy.deepcopy(head)
    if head is not None:
        with suppress(InputError):
            check_any_image_head(head, config.num_features)
    return describe_head(head)


@plain_torch()
def from_file(file: ModelFile, path: str | Path, head: nn.Module | None) -> Trained:
    """Makes a trained model from the contents of its file and the head that the user gives.

    Raises:
        InputError: If the contents are not a model that this version can read, or if the head is
            missing or differs from the head of the training.
    """
    weights, metadata, _ = file
    try:
        config = Config.from_dict(metadata["config"])
        difference = find_difference(metadata["head"], _describe_sized(head, config))
        channels = int(metadata["in_channels"])
        low, high = map(float, metadata["intensity_range"])
        if not low < high:
            raise ValueError(f"intensity_range: {low} to {high} does not increase")
        relabel = metadata.get("relabel")
        relabel = None if relabel is None else Relabel.from_dict(relabel)
        seen = tuple(map(int, metadata.get("seen_labels", ())))
        net, labeller = None, None
        if config.label_by != "argmax":
            labeller = labeller_from_state(config, weights, metadata["labeller"], channels)
        elif not difference:
            net = make_net(channels, config, head)
            net.load_state_dict(weights)
            net.eval()
    except _WRONG_CONTENTS as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: is not a model that this version can read ({reason}); train the model again."
        ) from error
    if difference:
        raise InputError(
            f"{path}: the model was trained with another head ({difference}); call "
            "Segmenter.load(path, head=...) with a module equal to the saved head, or with "
            "head=None if no head was saved."
        )
    return Trained(config, channels, (low, high), net, labeller, relabel, seen)
