"""The interface of models that label by prototypes."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sp_graph_seg.config import Config
from sp_graph_seg.prototypes import (
    Appearance,
    Phases,
    RegionColors,
    fit_appearance,
    fit_phases,
    fit_region_colors,
)
from sp_graph_seg.prototypes.stability import warn_of_instability
from sp_graph_seg.training import Follow, History
from sp_graph_seg.transforms.prepare import ScaledImage, crop

#: Most rows and columns of an image that is trained on at full resolution, which takes about 300
#: bytes a pixel. The rest of the image is assumed to look like this part.
_TRAINED = 4096


class Labeller(Protocol):
    """A model that labels images by prototypes. It is saved with the Segmenter."""

    @property
    def num_labels(self) -> int:
        """Number of labels K."""

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The networks, which may be moved to a GPU."""

    @property
    def stability(self) -> tuple[float, ...]:
        """Stability of each label, ``(K,)``; empty if it is not known."""

    def predict(
        self, image: NDArray[np.float32], mask: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Computes labels and margins, both ``(H, W)``.

        Pixels outside the mask have label -1 and margin 0.
        """

    def encode(self, image: NDArray[np.float32]) -> Tensor:
        """Computes learned features ``(F, h, w)``, or colours if the model has no network."""

    def merge(self, num_labels: int) -> NDArray[np.int64]:
        """Merges the labels to ``num_labels``. Returns the new label of each label, ``(K,)``."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns the tensors and the JSON values that are saved in a model file."""


_KINDS: dict[str, type[Phases] | type[Appearance] | type[RegionColors]] = {
    "phases": Phases,
    "appearance": Appearance,
    "regions": RegionColors,
}


def fit_labeller(
    images: Sequence[ScaledImage], config: Config, follow: Follow | None
) -> tuple[Labeller, History]:
    """Trains the labeller that ``config.label_by`` names on images with values in [0, 1]."""
    if config.label_by == "phases":  # at full resolution
        images = [crop(image, _TRAINED) for image in images]
    values, masks = [image.values for image in images], [image.inside for image in images]
    labeller: Labeller
    if config.label_by == "regions":
        labeller, history = fit_region_colors(values, masks, config), History()
    elif config.label_by == "phases":
        labeller, history = fit_phases(values, masks, config, follow)
    else:
        labeller, history = fit_appearance(values, masks, config, follow)
    warn_of_instability(labeller.stability)
    return labeller, history


def labeller_from_state(
    config: Config, tensors: dict[str, Tensor], values: dict[str, Any], channels: int
) -> Labeller:
    """Makes a labeller from the tensors and the JSON values of a model file."""
    return _KINDS[config.label_by].from_state(tensors, values, config, channels)
