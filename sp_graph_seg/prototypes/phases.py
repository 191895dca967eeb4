"""Labels the phases of a material by the denoised values of pixels and their surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.nn import BlindSpotNet
from sp_graph_seg.prototypes.correction import Correction
from sp_graph_seg.prototypes.measure import keep_structure, total_variation
from sp_graph_seg.prototypes.prototypes import Prototypes
from sp_graph_seg.prototypes.rims import THINNEST, remove_rims
from sp_graph_seg.prototypes.textures import Texture
from sp_graph_seg.prototypes.tiles import in_tiles

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: The features of the labels: intensities, texture, intensities and the texture of one phase, or
#: intensities with their surroundings and dark lines.
Kind = Literal["intensity", "texture", "both", "mixed"]

#: Strength of total variation in units of the standard deviation of a slow feature.
_TV_OF_TEXTURE = 4.0
_SURROUNDINGS = 8.0
_LINES = 4.0

#: Side, in pixels, of the surroundings of a pixel that are constant where nothing was measured.
_CONSTANT = 5


@dataclass
class Phases:
    """A model that labels the pixels of tomograms and micrographs by networks and prototypes.

    The nodes are the pixels themselves. An image with values in [0, 1] is labelled in four steps:

    1. Gain and rings are corrected if the training found any, see
       :mod:`~sp_graph_seg.prototypes.correction`.
    2. The pixels are denoised by a network and by total variation, which gives their measured
       values. The network is used fully for white noise, and not at all for smoothed noise.
    3. The features of the pixels are computed. The training chose one of three kinds:

       * intensity: the measured values. It is chosen if they have several channels or modes, or
         if there is no texture and the values of a few pixels lie far from those of all others.
       * texture: the slow features of :class:`~sp_graph_seg.prototypes.textures.Texture`. It is
         chosen if the values have one mode, and slow features stand out.
       * both: the measured value and the slow features within one phase; elsewhere they are 0. It
         is chosen if the values have several modes, more labels are wanted, no gain is corrected,
         and slow features stand out in a phase whose texture is visible beside the other phases.
       * mixed: the measured value, the mean of its surroundings, and a filter for dark lines, all
         scaled to equal spread. It is chosen in all other cases.

    4. A pixel gets the label of the nearest prototype of these features. Rims of a third label at
       blurred edges are removed, see :mod:`~sp_graph_seg.prototypes.rims`.

    Attributes:
        net: The trained network.
        mean, std: Mean and standard deviation with which images are standardised for the network.
        blend: Share of the image in the measured value. The rest is the network's reconstruction.
        smoothing: Weight of the total variation that smooths the measured value.
        correction: Correction of gain and rings in grey images; ``None`` for other images.
        kind: The kind of features in step 3: intensity, texture, both or mixed.
        texture: The texture that is looked at, if the kind is texture or both.
        phases: Mean values of the phases, ``(M,)``, and ``phase``, the number of the phase whose
            texture is looked at, if the kind is both.
        offset, scale: What is subtracted from the features, and what they are divided by, ``(Q,)``.
            For the kind mixed it is their mean and standard deviation.
        prototypes: Prototypes in the space of the features. Label 0 has the lowest intensity.
        rim_width: Width of the rims that are removed, in pixels.
        stability: Stability of each label, see :mod:`~sp_graph_seg.prototypes.stability`. It is
            empty if it is not known.
    """

    net: BlindSpotNet = field(repr=False)
    mean: float
    std: float
    blend: float
    smoothing: float
    correction: Correction | None = None
    kind: Kind = "intensity"
    texture: Texture | None = field(default=None, repr=False)
    phases: Array = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    phase: int = 0
    offset: Array = field(default_factory=lambda: np.zeros(1, np.float32), repr=False)
    scale: Array = field(default_factory=lambda: np.ones(1, np.float32), repr=False)
    prototypes: Prototypes | None = field(default=None, repr=False)
    rim_width: int = THINNEST
    stability: tuple[float, ...] = ()

    @property
    def num_labels(self) -> int:
        """Number of labels K."""
        assert self.prototypes is not None, "the prototypes are fitted"
        return len(self.prototypes)

    @property
    def networks(self) -> list[BlindSpotNet]:
        """The network, which may be moved to a GPU."""
        return [self.net]

    @property
    def corrects_gain(self) -> bool:
        """Whether the gain of images is evened out, which amplifies noise where it was low."""
        return self.correction is not None and self.correction.gain is not None

    def look(self, image: Array) -> Array:
        """Computes the measured values ``(C, H, W)`` of a corrected image."""
        if self.blend == 1:  # the network has no say
            return self.denoise(image, image)
        return self.denoise(image, in_tiles(self._ask, image))

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
        """Computes the reconstruction of an image by the network, ``(C, h, w)``."""
        device = next(self.net.parameters()).device
        seen = ((torch.from_numpy(image).to(device) - self.mean) / self.std)[None]
        clean: Tensor = self.net(seen)[0] * self.std + self.mean
        return clean.cpu().numpy()

    def features(self, image: Array, mask: Mask | None = None) -> Array:
        """Computes the features ``(Q, H, W)`` of the pixels of a corrected image ``(C, H, W)``.

        The texture of a pixel is that of data pixels only; the mask ``(H, W)`` tells which these
        are. It is ``None`` if all pixels are data. Elsewhere the features of a texture are 0.
        """
        return self.features_of(image, image if self.kind == "texture" else self.look(image), mask)

    def features_of(self, image: Array, value: Array, mask: Mask | None) -> Array:
        """Computes the features if the measured values ``(C, H, W)`` are known."""
        if self.kind == "intensity":
            raw = value
        elif self.kind == "mixed":
            around = gaussian_filter(value[0], _SURROUNDINGS)
            raw = np.stack([value[0], around, dark_lines(value[0])])
        elif self.kind == "texture":
            raw = self._slow(image, mask)
        else:
            raw = np.concatenate([value, self._slow(image, self.in_phase(image, value, mask))])
        return (raw - self.offset[:, None, None]) / self.scale[:, None, None]

    def _slow(self, image: Array, inside: Mask | None) -> Array:
        """Computes the smoothed slow features of a texture, 0 outside: ``(Q, H, W)``."""
        assert self.texture is not None, "a texture was found"
        slow = torch.from_numpy(self.texture.project(image[0], inside))
        smooth = total_variation(slow, _TV_OF_TEXTURE).numpy()
        return smooth if inside is None else np.where(inside, smooth, np.float32(0))

    def in_phase(self, image: Array, value: Array, mask: Mask | None) -> Mask:
        """Finds the data pixels ``(H, W)`` that belong to the phase whose texture counts.

        Pixels whose surroundings are constant do not belong to it, because they were not measured:
        those outside of the circle of a reconstruction would count as another texture.
        """
        nearest = np.abs(value - self.phases[:, None, None]).argmin(axis=0) == self.phase
        nearest &= maximum_filter(image[0], _CONSTANT) > minimum_filter(image[0], _CONSTANT)
        return nearest if mask is None else nearest & mask

    def predict(self, image: Array, mask: Mask | None = None) -> tuple[NDArray[np.int64], Array]:
        """Computes labels and margins, both ``(H, W)``, of an image ``(C, H, W)`` in [0, 1].

        Pixels outside the mask have label -1 and margin 0.
        """
        return self.label(self.describe(image, mask), mask)

    def describe(self, image: Array, mask: Mask | None = None) -> Array:
        """Computes the features ``(Q, H, W)`` of an image ``(C, H, W)`` in [0, 1], in tiles."""
        image = self.correct(image)
        if mask is None:
            return in_tiles(self.features, image)
        masked = np.concatenate([image, mask[None]], dtype=np.float32)
        return in_tiles(lambda tile: self.features(tile[:-1], tile[-1] > 0), masked)

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
        others = [other[0] for other in beside]
        return remove_rims(features[0], centers, mask, others, self.rim_width)[None]

    def encode(self, image: Array) -> Tensor:
        """Computes learned features of the pixels, ``(F, H, W)``, with the network."""
        device = next(self.net.parameters()).device
        seen = ((torch.from_numpy(self.correct(image)).to(device) - self.mean) / self.std)[None]
        with torch.no_grad():
            return self.net.encoder(seen)[0]

    def merge(self, num_labels: int) -> NDArray[np.int64]:
        """Merges the labels to ``num_labels``. Returns the new label of each label, ``(K,)``."""
        assert self.prototypes is not None, "the prototypes are fitted"
        return self.prototypes.merge(num_labels)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors and JSON values, from which :meth:`from_state` makes the same model."""
        assert self.prototypes is not None, "the prototypes are fitted"
        arrays: dict[str, NDArray[Any]] = {
            "offset": self.offset,
            "scale": self.scale,
            "centers": self.prototypes.centers,
            "shares": self.prototypes.shares,
        }
        names = ("mean", "std", "blend", "smoothing", "kind", "phase", "rim_width")
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        values["stability"] = list(self.stability)
        if self.kind == "both":
            arrays["phases"] = self.phases
        if self.texture is not None:
            arrays |= {"weights": self.texture.weights, "center": self.texture.center}
            values["deviation"] = self.texture.deviation
        if self.correction is not None:
            values["size"] = list(self.correction.size)
            values["air"] = self.correction.air
            for name in ("gain", "rings"):
                array = getattr(self.correction, name)
                arrays |= {} if array is None else {name: array}
        tensors = {name: torch.from_numpy(a.copy()) for name, a in arrays.items()}
        weights = self.net.state_dict().items()
        tensors |= {f"net.{name}": weight for name, weight in weights}
        return tensors, values

    @classmethod
    def from_state(
        cls, tensors: dict[str, Tensor], values: dict[str, Any], config: Config, channels: int
    ) -> "Phases":
        """Makes a model from the result of :meth:`state`."""
        net = make_blind_spot_net(channels, config)
        own = {n.removeprefix("net."): t for n, t in tensors.items() if n.startswith("net.")}
        for name in ("encoder.head.weight", "encoder.head.bias"):
            own[name] = own[name][: config.num_features]  # older models have some more
        net.load_state_dict(own)
        net.eval()
        arrays = {name: t.numpy() for name, t in tensors.items() if not name.startswith("net.")}
        correction = None
        if "size" in values:
            height, width = map(int, values["size"])
            gain, rings = arrays.get("gain"), arrays.get("rings")
            correction = Correction(gain, rings, (height, width), values.get("air"))
        texture = None
        if "deviation" in values:
            deviation = float(values["deviation"])
            texture = Texture(deviation, arrays["weights"], arrays["center"])
        return cls(
            net,
            mean=float(values["mean"]),
            std=float(values["std"]),
            blend=float(values["blend"]),
            smoothing=float(values["smoothing"]),
            correction=correction,
            kind=values["kind"],
            texture=texture,
            phases=arrays.get("phases", np.zeros(0, np.float32)),
            phase=int(values["phase"]),
            offset=arrays["offset"],
            scale=arrays["scale"],
            prototypes=Prototypes(arrays["centers"], arrays["shares"]),
            rim_width=int(values.get("rim_width", THINNEST)),
            stability=tuple(map(float, values.get("stability", ()))),
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
