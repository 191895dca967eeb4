"""Labels of phases: what a pixel measures, without noise, and what its surroundings look like."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.nn import BlindSpotNet
from sp_graph_seg.prototypes.correction import Correction, fit_correction
from sp_graph_seg.prototypes.measure import noise_statistics, total_variation
from sp_graph_seg.prototypes.prototypes import Prototypes, fit_prototypes
from sp_graph_seg.prototypes.slow import project, slow_directions
from sp_graph_seg.prototypes.thresholds import balanced_thresholds, count_modes, histogram
from sp_graph_seg.training import find_device, fit_blind_spot, seeded

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: What tells the labels apart: intensities, one slow feature of the network, or intensities
#: together with their surroundings and dark lines.
Kind = Literal["intensity", "texture", "mixed"]

#: The reconstruction is used alone where the noise is white, and not at all where a reconstruction
#: has smoothed it: neighbours then tell of each other's noise, and hiding a pixel hides nothing.
_WHITE, _SMOOTHED = 0.8, 0.4

#: Strength of total variation: a little always, more by the noise that the network cannot remove.
_TV_LEAST, _TV_BY_NOISE, _TV_MOST = 0.01, 1.7, 0.2
_TV_OF_TEXTURE = 0.5

#: Two classes that leave less than half as much variance as two halves of a normal distribution do
#: are phases even without two modes, such as a thin crack.
_HALVES_OF_NORMAL = 1 - 2 / math.pi
_TWO_CLASSES = 0.5

#: A slow feature is a texture where it is so much slower than noise, and than the next one.
_SLOW, _SLOWER_THAN_NEXT = 5.0, 2.5

_SURROUNDINGS = 8.0
_LINES = 4.0

#: Prototypes are fitted to so many pixels of each image at most, on a regular grid.
_SAMPLE = 1 << 19


@dataclass
class Phases:
    """A network and prototypes that label the pixels of grey or many-channelled images.

    The nodes are the pixels themselves. Of an image with values in [0, 1]:

    1. Gain and rings are corrected where they show (:mod:`~sp_graph_seg.prototypes.correction`).
    2. What is measured at a pixel is denoised: by the network, as far as the noise is white, and by
       total variation.
    3. Where the measured values have several modes, they are the features. Else, where one slow
       feature of the network stands out, it is: a texture. Else the measured value, the mean of its
       surroundings and dark lines (the larger eigenvalue of the Hessian) at equal spread.
    4. A pixel has the label of the nearest prototype of these features.

    Attributes:
        net: The trained network.
        mean, std: What is subtracted from an image for the network, and what it is divided by.
        blend: Share of the image itself in the measured value; the rest is the reconstruction.
        smoothing: Weight of total variation on the measured value.
        correction: Gain and rings, for grey images.
        kind: Which features tell the labels apart.
        directions: Of slow features, as columns, ``(S, Q)``.
        offset, scale: What standardises each feature, ``(Q,)``.
        prototypes: In the space of the features, label 0 that of the lowest intensity.
    """

    net: BlindSpotNet
    mean: float
    std: float
    blend: float
    smoothing: float
    correction: Correction | None
    kind: Kind
    directions: NDArray[np.float64]
    offset: Array
    scale: Array
    prototypes: Prototypes = field(repr=False)

    @torch.no_grad()
    def look(self, image: Array) -> tuple[Array, Array]:
        """The measured values ``(C, H, W)`` and the slow features ``(S, H, W)`` of an image."""
        image = image if self.correction is None else self.correction(image[0])[None]
        device = next(self.net.parameters()).device
        seen = torch.from_numpy(image).to(device)
        reconstruction, slow = self.net(((seen - self.mean) / self.std)[None])
        clean = reconstruction[0] * self.std + self.mean
        value = (1 - self.blend) * clean + self.blend * seen
        return total_variation(value, self.smoothing).cpu().numpy(), slow[0].cpu().numpy()

    def features(self, value: Array, slow: Array) -> Array:
        """Features ``(Q, H, W)`` whose nearest prototype is the label, from :meth:`look`."""
        raw = _raw_features(self.kind, value, slow, self.directions)
        standard = (raw - self.offset[:, None, None]) / self.scale[:, None, None]
        if self.kind == "texture":
            standard = total_variation(torch.from_numpy(standard), _TV_OF_TEXTURE).numpy()
        return standard

    def predict(self, image: Array) -> tuple[NDArray[np.int64], Array]:
        """Labels and margins, both ``(H, W)``, of an image ``(C, H, W)`` with values in [0, 1]."""
        features = self.features(*self.look(image))
        labels, margins = self.prototypes.nearest(features.reshape(len(features), -1).T)
        return labels.reshape(image.shape[1:]), margins.reshape(image.shape[1:])


def fit_phases(
    images: Sequence[Array],
    masks: Sequence[Mask | None],
    config: Config,
    on_step: Callable[[dict[str, float]], None] | None = None,
) -> tuple[Phases, list[dict[str, float]]]:
    """Trains a network on images and finds the prototypes of their pixels.

    Args:
        images: ``(C, H, W)``, values in [0, 1].
        masks: For each the pixels that are data, ``(H, W)``, or ``None`` for all.
        config: ``num_labels`` (0: as many as the values have modes, at least two), the size of the
            network and its training.
        on_step: Called after every step of the training.

    Returns:
        The model, and the history of its training.
    """
    grey = images[0].shape[0] == 1
    num_labels = config.num_labels or 3
    correction = fit_correction(images[0][0], num_labels, masks[0]) if grey else None
    flat = [image if correction is None else correction(image[0])[None] for image in images]
    data = np.concatenate([_pixels(*pair) for pair in zip(flat, masks, strict=True)], axis=1)
    mean, std = float(data.mean()), max(float(data.std()), 1e-6)
    with seeded(config.seed):
        net = BlindSpotNet(
            images[0].shape[0], config.num_features, width=config.width, depth=config.depth
        )
    history = fit_blind_spot(
        net,
        [torch.from_numpy((image - np.float32(mean)) / np.float32(std)) for image in flat],
        [None if mask is None else torch.from_numpy(mask) for mask in masks],
        config,
        find_device(config),
        on_step,
    )
    blend, smoothing = _trust_in_noise(flat)
    model = Phases(
        net, mean, std, blend, smoothing, correction, "intensity",
        np.zeros((0, 1)), np.zeros(1, np.float32), np.ones(1, np.float32), Prototypes(
            np.zeros((1, 1), np.float32), np.ones(1, np.float32)),
    )  # fmt: skip
    _fit_features(model, images, masks, config.num_labels)
    return model, history


def _trust_in_noise(images: Sequence[Array]) -> tuple[float, float]:
    """The share of the image in the measured value, and the weight of total variation."""
    statistics = [noise_statistics(channel) for image in images for channel in image]
    whiteness, noise = np.median(np.array(statistics), axis=0)
    blend = float(np.clip((_WHITE - whiteness) / (_WHITE - _SMOOTHED), 0, 1))
    return blend, _TV_LEAST + blend * min(_TV_BY_NOISE * float(noise), _TV_MOST)


def _fit_features(
    model: Phases, images: Sequence[Array], masks: Sequence[Mask | None], num_labels: int
) -> None:
    """Chooses the features and fits the prototypes."""
    looks = [model.look(image) for image in images]
    values = np.concatenate(
        [_pixels(value, mask) for (value, _), mask in zip(looks, masks, strict=True)], axis=1
    )
    directions, slowness = slow_directions(looks[0][1])
    model.kind = _choose_kind(values, slowness)
    model.directions = directions[:, :1]
    raw = [_raw_features(model.kind, *look, model.directions) for look in looks]
    sample = np.concatenate([_pixels(*pair) for pair in zip(raw, masks, strict=True)], axis=1)
    if model.kind == "intensity":
        model.offset, model.scale = np.zeros(len(sample), np.float32), np.ones(len(sample), np.float32)
    else:
        model.offset, model.scale = sample.mean(axis=1), np.maximum(sample.std(axis=1), 1e-6)
    features = [model.features(*look) for look in looks]
    points = np.concatenate([_pixels(*pair) for pair in zip(features, masks, strict=True)], axis=1)
    count = num_labels or _count_labels(model.kind, points)
    prototypes = fit_prototypes(points.T, count)
    labels, _ = prototypes.nearest(points.T)
    brightness = np.bincount(labels, values.mean(axis=0), len(prototypes))
    order = np.argsort(brightness / np.maximum(np.bincount(labels, minlength=len(prototypes)), 1))
    model.prototypes = prototypes.reordered(order)


def _choose_kind(values: Array, slowness: NDArray[np.float64]) -> Kind:
    if len(values) > 1 or count_modes(values[0]) > 1 or _are_two_classes(values[0]):
        return "intensity"
    if slowness[0] > _SLOW and slowness[0] > _SLOWER_THAN_NEXT * slowness[1]:
        return "texture"
    return "mixed"


def _are_two_classes(values: Array) -> bool:
    levels, counts = histogram(values, 64)
    weights = np.sqrt(counts)
    upper = levels > balanced_thresholds(values, 2)[0] if len(levels) > 1 else levels > levels
    total = np.average((levels - np.average(levels, weights=weights)) ** 2, weights=weights)
    left = 0.0
    for part in (upper, ~upper):
        if part.any():
            mean = np.average(levels[part], weights=weights[part])
            left += float((weights[part] * (levels[part] - mean) ** 2).sum())
    return left / weights.sum() < _TWO_CLASSES * _HALVES_OF_NORMAL * max(total, 1e-12)


def _count_labels(kind: Kind, points: Array) -> int:
    """As many labels as the features have modes, at least two."""
    return 2 if kind == "mixed" else max(2, count_modes(points[0]))


def _raw_features(
    kind: Kind, value: Array, slow: Array, directions: NDArray[np.float64]
) -> Array:
    if kind == "intensity":
        return value
    if kind == "texture":
        return project(slow, directions)
    surroundings = gaussian_filter(value[0], _SURROUNDINGS)
    return np.stack([value[0], surroundings, _dark_lines(value[0])])


def _dark_lines(image: Array) -> Array:
    """The larger eigenvalue of the Hessian: high on dark lines."""
    rows, both, columns = (
        gaussian_filter(image, _LINES, order=order) * _LINES**2
        for order in ((2, 0), (1, 1), (0, 2))
    )
    return (rows + columns) / 2 + np.sqrt(((rows - columns) / 2) ** 2 + both**2)


def _pixels(values: Array, mask: Mask | None) -> Array:
    """The data pixels of ``(Q, H, W)``, or a regular sample of them, ``(Q, P)``."""
    flat = values.reshape(len(values), -1) if mask is None else values[:, mask]
    return flat[:, :: max(1, flat.shape[1] // _SAMPLE)]


def phases_to_state(model: Phases) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON values of a model."""
    tensors = {f"net.{name}": value for name, value in model.net.state_dict().items()}
    arrays = {
        "directions": model.directions,
        "offset": model.offset,
        "scale": model.scale,
        "centers": model.prototypes.centers,
        "shares": model.prototypes.shares,
    }
    values: dict[str, Any] = {
        name: getattr(model, name) for name in ("mean", "std", "blend", "smoothing", "kind")
    }
    if model.correction is not None:
        values["size"] = model.correction.size
        arrays |= {
            name: array
            for name in ("gain", "rings")
            if (array := getattr(model.correction, name)) is not None
        }
    tensors |= {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    return tensors, values
