"""Labels the phases of a material by the denoised values of pixels and their surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.nn import BlindSpotNet
from sp_graph_seg.prototypes.correction import Correction
from sp_graph_seg.prototypes.measure import keep_structure, total_variation
from sp_graph_seg.prototypes.prototypes import Prototypes
from sp_graph_seg.prototypes.rims import remove_rims
from sp_graph_seg.prototypes.slow import project
from sp_graph_seg.prototypes.tiles import in_tiles

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: The features of the labels: intensities, one slow feature of the networks, or intensities
#: with their surroundings and dark lines.
Kind = Literal["intensity", "texture", "mixed"]

_TV_OF_TEXTURE = 0.5
_SURROUNDINGS = 8.0
_LINES = 4.0


@dataclass
class Phases:
    """A model that labels the pixels of tomograms and micrographs by networks and prototypes.

    The nodes are the pixels themselves. An image with values in [0, 1] is labelled in four steps:

    1. Gain and rings are corrected if the training found any, see
       :mod:`~sp_graph_seg.prototypes.correction`.
    2. The pixels are denoised by a network and by total variation, which gives their measured
       values. The network is used fully for white noise, and not at all for smoothed noise.
    3. The features of the pixels are computed. The training chose one of three kinds:

       * intensity: the measured values. It is chosen if they have several channels or modes.
       * texture: the feature that varies most slowly over the image, averaged over the networks.
         It is chosen if the kind is not intensity, and if this feature of the first network varies
         much more slowly than noise and than the second slowest feature.
       * mixed: the measured value, the mean of its surroundings, and a filter for dark lines, all
         scaled to equal spread. It is chosen in all other cases.

    4. A pixel gets the label of the nearest prototype of these features. Rims of a third label at
       blurred edges are removed, see :mod:`~sp_graph_seg.prototypes.rims`.

    Attributes:
        nets: The trained networks. There are three for the kind texture, otherwise one.
        mean, std: Mean and standard deviation with which images are standardised for a network.
        blend: Share of the image in the measured value. The rest is the network's reconstruction.
        smoothing: Weight of the total variation that smooths the measured value.
        correction: Correction of gain and rings in grey images; ``None`` for other images.
        kind: The kind of features in step 3: intensity, texture or mixed.
        directions: Directions in the space of slowly varying features, as columns, ``(S, Q)``.
        offset, scale: Mean and standard deviation with which features are standardised, ``(Q,)``.
        prototypes: Prototypes in the space of the features. Label 0 has the lowest intensity.
    """

    nets: list[BlindSpotNet] = field(repr=False)
    mean: float
    std: float
    blend: float
    smoothing: float
    correction: Correction | None = None
    kind: Kind = "intensity"
    directions: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 1)), repr=False)
    offset: Array = field(default_factory=lambda: np.zeros(1, np.float32), repr=False)
    scale: Array = field(default_factory=lambda: np.ones(1, np.float32), repr=False)
    prototypes: Prototypes | None = field(default=None, repr=False)

    @property
    def num_labels(self) -> int:
        """Number of labels K."""
        assert self.prototypes is not None, "the prototypes are fitted"
        return len(self.prototypes)

    @property
    def networks(self) -> list[BlindSpotNet]:
        """The networks, which may be moved to a GPU."""
        return self.nets

    def look(self, image: Array) -> tuple[Array, Array]:
        """Computes measured values and slowly varying features of the pixels of an image.

        The measured values are ``(C, H, W)``, and the features are ``(S, H, W)``.
        """
        return self._look(self.correct(image))

    def _look(self, image: Array) -> tuple[Array, Array]:
        answer = in_tiles(self._ask, image)
        return self.denoise(image, answer[: len(image)]), answer[len(image) :]

    def correct(self, image: Array) -> Array:
        """Removes the rings of an image and evens out its gain, if the training found any."""
        return image if self.correction is None else self.correction(image[0])[None]

    def denoise(self, image: Array, clean: Array) -> Array:
        """Mixes an image with its reconstruction ``clean``, and smooths it by total variation."""
        value = (1 - self.blend) * keep_structure(image, clean) + self.blend * image
        return in_tiles(self._smooth, value.astype(np.float32))

    def _smooth(self, value: Array) -> Array:
        return total_variation(torch.from_numpy(value), self.smoothing).numpy()

    @torch.no_grad()
    def _ask(self, image: Array) -> Array:
        """Computes the first network's reconstruction, and all slow features: ``(C + S, h, w)``."""
        device = next(self.nets[0].parameters()).device
        seen = ((torch.from_numpy(image).to(device) - self.mean) / self.std)[None]
        answers = [net(seen) for net in self.nets]
        parts = [answers[0][0][0] * self.std + self.mean, *(slow[0] for _, slow in answers)]
        return torch.cat(parts).cpu().numpy()

    def features(self, value: Array, slow: Array) -> Array:
        """Computes the features ``(Q, H, W)`` of the pixels from the result of :meth:`look`."""
        raw = self.raw_features(value, slow)
        standard = (raw - self.offset[:, None, None]) / self.scale[:, None, None]
        if self.kind == "texture":
            standard = total_variation(torch.from_numpy(standard), _TV_OF_TEXTURE).numpy()
        return standard

    def raw_features(self, value: Array, slow: Array) -> Array:
        """Computes the features before they are standardised."""
        if self.kind == "intensity":
            return value
        if self.kind == "texture":
            return project(slow, self.directions)
        return np.stack([value[0], gaussian_filter(value[0], _SURROUNDINGS), dark_lines(value[0])])

    def predict(self, image: Array, mask: Mask | None = None) -> tuple[NDArray[np.int64], Array]:
        """Computes labels and margins, both ``(H, W)``, of an image ``(C, H, W)`` in [0, 1].

        Pixels outside the mask have label -1 and margin 0.
        """
        return self.label(self.describe(image), mask)

    def describe(self, image: Array) -> Array:
        """Computes the features ``(Q, H, W)`` of an image ``(C, H, W)`` in [0, 1], in tiles."""
        return in_tiles(self._describe, self.correct(image))

    def _describe(self, tile: Array) -> Array:
        """Computes the features of a corrected tile; runs networks only if they are needed."""
        if self.kind == "intensity" and self.blend == 1:
            return self.features(self.denoise(tile, tile), tile)
        return self.features(*self._look(tile))

    def label(
        self, features: Array, mask: Mask | None = None, beside: Sequence[Array] = ()
    ) -> tuple[NDArray[np.int64], Array]:
        """Computes labels and margins of pixels from their features ``(Q, H, W)``.

        ``beside`` holds the features of the slices beside a slice, see :meth:`without_rims`.
        """
        assert self.prototypes is not None, "the prototypes are fitted"
        size = features.shape[1:]
        features = self.without_rims(features, mask, beside)
        labels, margins = self.prototypes.nearest(features.reshape(len(features), -1).T)
        labels, margins = labels.reshape(size), margins.reshape(size)
        if mask is not None:
            labels, margins = np.where(mask, labels, -1), np.where(mask, margins, 0)
        return labels, margins

    @property
    def removes_rims(self) -> bool:
        """Whether rims are removed: the features are grey values, of three or more phases."""
        assert self.prototypes is not None, "the prototypes are fitted"
        phases, numbers = self.prototypes.centers.shape
        return self.kind == "intensity" and numbers == 1 and phases > 2

    def without_rims(
        self, features: Array, mask: Mask | None, beside: Sequence[Array] = ()
    ) -> Array:
        """Removes rims from features ``(Q, H, W)`` that are grey values.

        Other features are returned unchanged. ``beside`` holds the features of the slices beside
        a slice, NaN where they have no data.
        """
        assert self.prototypes is not None, "the prototypes are fitted"
        if not self.removes_rims:
            return features
        centers = self.prototypes.centers[:, 0]
        return remove_rims(features[0], centers, mask, [other[0] for other in beside])[None]

    def encode(self, image: Array) -> Tensor:
        """Computes learned features of the pixels, ``(F, H, W)``, with the first network."""
        device = next(self.nets[0].parameters()).device
        seen = ((torch.from_numpy(self.correct(image)).to(device) - self.mean) / self.std)[None]
        with torch.no_grad():
            return self.nets[0].encoder(seen)[0]

    def merge(self, num_labels: int) -> NDArray[np.int64]:
        """Merges the labels to ``num_labels``. Returns the new label of each label, ``(K,)``."""
        assert self.prototypes is not None, "the prototypes are fitted"
        return self.prototypes.merge(num_labels)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors and JSON values, from which :meth:`from_state` makes the same model."""
        assert self.prototypes is not None, "the prototypes are fitted"
        arrays: dict[str, NDArray[Any]] = {
            "directions": self.directions,
            "offset": self.offset,
            "scale": self.scale,
            "centers": self.prototypes.centers,
            "shares": self.prototypes.shares,
        }
        names = ("mean", "std", "blend", "smoothing", "kind")
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        values["nets"] = len(self.nets)
        if self.correction is not None:
            values["size"] = list(self.correction.size)
            values["air"] = self.correction.air
            for name in ("gain", "rings"):
                array = getattr(self.correction, name)
                arrays |= {} if array is None else {name: array}
        tensors = {name: torch.from_numpy(a.copy()) for name, a in arrays.items()}
        for number, net in enumerate(self.nets):
            weights = net.state_dict().items()
            tensors |= {f"net{number}.{name}": weight for name, weight in weights}
        return tensors, values

    @classmethod
    def from_state(
        cls, tensors: dict[str, Tensor], values: dict[str, Any], config: Config, channels: int
    ) -> "Phases":
        """Makes a model from the result of :meth:`state`."""
        nets = [make_blind_spot_net(channels, config) for _ in range(int(values["nets"]))]
        for number, net in enumerate(nets):
            start = f"net{number}."
            own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
            net.load_state_dict(own)
            net.eval()
        arrays = {name: t.numpy() for name, t in tensors.items() if not name.startswith("net")}
        correction = None
        if "size" in values:
            height, width = map(int, values["size"])
            gain, rings = arrays.get("gain"), arrays.get("rings")
            correction = Correction(gain, rings, (height, width), values.get("air"))
        return cls(
            nets,
            mean=float(values["mean"]),
            std=float(values["std"]),
            blend=float(values["blend"]),
            smoothing=float(values["smoothing"]),
            correction=correction,
            kind=values["kind"],
            directions=arrays["directions"],
            offset=arrays["offset"],
            scale=arrays["scale"],
            prototypes=Prototypes(arrays["centers"], arrays["shares"]),
        )


def make_blind_spot_net(channels: int, config: Config) -> BlindSpotNet:
    """Makes a blind-spot network with the sizes that the configuration sets."""
    return BlindSpotNet(channels, config.num_features, width=config.width, depth=config.depth)


def dark_lines(image: Array) -> Array:
    """Computes the larger eigenvalue of the Hessian at a scale of 4 pixels: large on dark lines."""
    rows, both, columns = (
        gaussian_filter(image, _LINES, order=order) * _LINES**2
        for order in ((2, 0), (1, 1), (0, 2))
    )
    larger = (rows + columns) / 2 + np.sqrt(((rows - columns) / 2) ** 2 + both**2)
    return larger.astype(np.float32)
