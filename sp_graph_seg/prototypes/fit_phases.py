"""Fits the model :class:`~sp_graph_seg.prototypes.Phases` to training images."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.errors import TrainingWarning
from sp_graph_seg.prototypes.correction import fit_correction
from sp_graph_seg.prototypes.measure import noise_statistics
from sp_graph_seg.prototypes.phases import Array, Kind, Mask, Phases, make_blind_spot_net
from sp_graph_seg.prototypes.prototypes import (
    Prototypes,
    fit_distinct_prototypes,
    fit_prototypes,
    warn_of_few_labels,
)
from sp_graph_seg.prototypes.slow import mean_direction, slow_directions
from sp_graph_seg.prototypes.stability import Labels, Part, halves, label_stability, middle
from sp_graph_seg.prototypes.thresholds import count_modes, flat_pixels
from sp_graph_seg.training import (
    Follow,
    History,
    as_it_is,
    each_step,
    find_device,
    fit_blind_spot,
    measure_skill,
    seeded,
)
from sp_graph_seg.training.blind_spot import OnStep

#: The network's reconstruction is used alone if the noise is white, and not at all if tomographic
#: reconstruction has smoothed it: then neighbours share their noise, and hiding a pixel is useless.
_WHITE, _SMOOTHED = 0.8, 0.4

#: Strength of total variation: a small constant, and more for noise that the network cannot remove.
_TV_LEAST, _TV_BY_NOISE, _TV_MOST = 0.01, 1.7, 0.2

#: A slow feature is a texture if it is this much slower than noise, and than the next feature.
_SLOW, _SLOWER_THAN_NEXT = 5.0, 2.5

#: A trained network must explain this share of the variance that the mean of its neighbours
#: explains of a hidden pixel, less what is lost to chance in images of noise. Measured on phantoms:
#: at least 0.9 after 10 epochs, below 0.5 after one.
_SKILL, _SKILL_OF_NOISE = 0.5, 0.05

#: Number of networks for textures, because the slow features of one depend on its seed.
_NETS_OF_TEXTURE = 3

#: Prototypes are fitted to at most this number of pixels of each image, on a regular grid.
_SAMPLE = 1 << 19

#: The stability of labels is measured on at most this number of rows and columns in the middle.
#: Noise is moved by the second pair of rows and columns.
_MIDDLE = 1024
_MOVED = (37, 61)


@dataclass(frozen=True)
class _View:
    """The measured values and slow features of a training image."""

    value: Array
    slow: Array
    mask: Mask | None

    def crop(self, part: Part) -> "_View":
        mask = None if self.mask is None else self.mask[part]
        return _View(self.value[:, *part], self.slow[:, *part], mask)


def fit_phases(
    images: Sequence[Array],
    masks: Sequence[Mask | None],
    config: Config,
    follow: Follow | None = None,
) -> tuple[Phases, History]:
    """Trains networks on images, and finds prototypes of the features of their pixels.

    Args:
        images: The training images, ``(C, H, W)`` each, with values in [0, 1].
        masks: The mask of each image, ``(H, W)``; ``None`` if all pixels have data.
        config: The hyperparameters. If ``num_labels`` is 0, the number of labels is the number of
            modes of the values, but at least two.
        follow: Function that is called after every step of the training.

    Returns:
        The model, and the history of its training.
    """
    grey = len(images[0]) == 1
    correction = fit_correction(images[0][0], masks[0]) if grey else None
    flat = [image if correction is None else correction(image[0])[None] for image in images]
    data = np.concatenate([_pixels(*pair) for pair in zip(flat, masks, strict=True)], axis=1)
    mean, std = float(data.mean()), max(float(data.std()), 1e-6)
    blend, strength = _trust_in_noise(flat)
    model = Phases([], mean, std, blend, 0.0, correction)

    def look(model: Phases) -> tuple[list[_View], NDArray[np.float64]]:
        views = [_View(*model.look(image), mask) for image, mask in zip(images, masks, strict=True)]
        _, slowness = slow_directions(views[0].slow)
        model.directions = mean_direction(np.split(views[0].slow, len(model.nets)))
        return views, slowness

    def trust_in_network(model: Phases) -> None:
        if blend < 1 and not _has_learned(model, flat, masks, config):
            model.blend = 1.0
        model.smoothing = _TV_LEAST + model.blend * strength

    def so_far() -> Phases:
        current = replace(model, nets=[as_it_is(net) for net in model.nets])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are for the end of the training
            trust_in_network(current)
            views, slowness = look(current)
            current.kind = _choose_kind(views, slowness)
            _fit_prototypes(current, views, config.num_labels)
        return current

    on_step = each_step(follow, so_far)
    history = _train(model, flat, masks, config, on_step)
    trust_in_network(model)
    views, slowness = look(model)
    model.kind = _choose_kind(views, slowness)
    if model.kind == "texture":
        for number in range(1, _NETS_OF_TEXTURE):
            other = config.replace(seed=config.seed + 1000 * number)
            for row in _train(model, flat, masks, other, on_step):
                history.append({**row, "step": len(history) + 1})
        views, _ = look(model)
    _fit_prototypes(model, views, config.num_labels)
    model.stability = _measure_stability(model, flat, views, config.num_labels)
    return model, history


def _train(
    model: Phases,
    flat: Sequence[Array],
    masks: Sequence[Mask | None],
    config: Config,
    on_step: OnStep | None,
) -> History:
    """Trains one more network and adds it to the model."""
    with seeded(config.seed):
        net = make_blind_spot_net(len(flat[0]), config)
    model.nets.append(net)
    return fit_blind_spot(
        net, *_standardise(model, flat, masks), config, find_device(config), on_step
    )


def _standardise(
    model: Phases, flat: Sequence[Array], masks: Sequence[Mask | None]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Standardises images for the networks, and converts images and masks to tensors."""
    mean, std = np.float32(model.mean), np.float32(model.std)
    return (
        [torch.from_numpy((image - mean) / std) for image in flat],
        [None if mask is None else torch.from_numpy(mask) for mask in masks],
    )


def _has_learned(
    model: Phases, flat: Sequence[Array], masks: Sequence[Mask | None], config: Config
) -> bool:
    """Tells whether the first network predicts hidden pixels well, and warns if it does not."""
    learned, simple = measure_skill(model.nets[0], *_standardise(model, flat, masks), config)
    if 1 - learned >= _SKILL * max(0.0, 1 - simple) - _SKILL_OF_NOISE:
        return True
    warnings.warn(
        f"epochs={config.epochs}, learning_rate={config.learning_rate:g}: the network predicts "
        f"hidden pixels badly (its error is {learned:.2g}; the mean of the neighbouring pixels "
        f"has an error of {simple:.2g}), so the network is not used to remove noise; train with "
        "more epochs, or with another learning_rate.",
        TrainingWarning,
        stacklevel=2,
    )
    return False


def _trust_in_noise(images: Sequence[Array]) -> tuple[float, float]:
    """Chooses two settings of the denoising, depending on the noise of the images.

    The first is ``Phases.blend``, the share of the image itself in the measured value. It is 0 for
    white noise, and 1 for smoothed noise. The second is a strength s. Later, the weight of total
    variation becomes a small constant plus blend times s. The strength is smaller if most of
    the variation of the values is noise, because the noise may hide fine structures, such as fibres
    that are a few pixels wide.
    """
    channels = [channel for image in images for channel in image]
    statistics = [(*noise_statistics(channel), channel.std()) for channel in channels]
    whiteness, noise, spread = np.median(np.array(statistics), axis=0)
    blend = float(np.clip((_WHITE - whiteness) / (_WHITE - _SMOOTHED), 0, 1))
    structure = 1 - min(1.0, float(noise) / max(float(spread), 1e-12))
    return blend, structure * min(_TV_BY_NOISE * float(noise), _TV_MOST)


def _choose_kind(views: Sequence[_View], slowness: NDArray[np.float64]) -> Kind:
    if len(views[0].value) > 1 or count_modes(_flat_pixels(views)[0]) > 1:
        return "intensity"
    if slowness[0] > _SLOW and slowness[0] > _SLOWER_THAN_NEXT * slowness[1]:
        return "texture"
    return "mixed"


def _fit_prototypes(model: Phases, views: Sequence[_View], num_labels: int) -> None:
    if model.kind == "intensity":
        count = len(views[0].value)
        model.offset, model.scale = np.zeros(count, np.float32), np.ones(count, np.float32)
    else:
        raw = [model.raw_features(view.value, view.slow) for view in views]
        sample = _of_all(raw, views)
        model.offset, model.scale = sample.mean(axis=1), np.maximum(sample.std(axis=1), 1e-6)
    points = _of_all([model.features(view.value, view.slow) for view in views], views).T
    if num_labels:
        prototypes = fit_prototypes(points, num_labels)
    elif model.kind == "mixed":
        prototypes = fit_prototypes(points, 2)
    elif points.shape[1] > 1:
        prototypes = fit_distinct_prototypes(_flat_pixels(views).T)
    else:
        values = _flat_pixels(views)[0] if model.kind == "intensity" else points
        prototypes = fit_prototypes(points, max(2, count_modes(values)))
    warn_of_few_labels(len(prototypes), num_labels)
    model.prototypes = _by_brightness(prototypes, points, views)
    if model.kind == "intensity" and points.shape[1] == 1 and len(prototypes) > 2:
        sharp = [model.without_rims(view.value, view.mask) for view in views]
        points = _of_all(sharp, views).T
        model.prototypes = fit_prototypes(points, len(prototypes))


def _measure_stability(
    model: Phases, flat: Sequence[Array], views: Sequence[_View], num_labels: int
) -> tuple[float, ...]:
    """Compares the labels with those of prototypes that are fitted to a part of the images.

    If labels are intensities, the parts also label other noise. The noise is the difference of the
    corrected images ``flat`` and the measured values. It is moved by some pixels.
    """
    parts = [middle(image.shape[1:], _MIDDLE) for image in flat]
    images = [image[:, *part] for image, part in zip(flat, parts, strict=True)]
    views = seen = [view.crop(part) for view, part in zip(views, parts, strict=True)]
    if model.kind == "intensity":
        bare = replace(model, correction=None)
        moved = [
            view.value + np.roll(image - view.value, _MOVED, axis=(1, 2))
            for image, view in zip(images, views, strict=True)
        ]
        seen = [replace(v, value=bare.describe(i)) for v, i in zip(views, moved, strict=True)]
    others = [_refit(model, half, num_labels) for half in _halves(views)]
    again = [_labels_of(other, seen) for other in others]
    return label_stability(_labels_of(model, views), again, model.num_labels)


def _halves(views: Sequence[_View]) -> Iterator[list[_View]]:
    """Yields both halves of the training data: every other image, or the halves of one image."""
    if len(views) > 1:
        halves_of = [list(views[::2]), list(views[1::2])]
    else:
        halves_of = [[views[0].crop(part)] for part in halves(views[0].value.shape[1:])]
    for half in halves_of:
        if any(view.mask is None or view.mask.any() for view in half):
            yield half


def _labels_of(model: Phases, views: Sequence[_View]) -> Labels:
    """Computes the labels of the data pixels of all views, ``(P,)``."""
    parts = [model.label(model.features(v.value, v.slow), v.mask)[0] for v in views]
    return np.concatenate([labels[labels >= 0] for labels in parts])


def _refit(model: Phases, views: Sequence[_View], num_labels: int) -> Phases:
    """Returns the model with prototypes that are fitted to other views of its networks."""
    other = replace(model)
    if model.kind == "texture":
        other.directions = mean_direction(np.split(views[0].slow, len(model.nets)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are about a part only
        _fit_prototypes(other, views, num_labels)
    return other


def _by_brightness(prototypes: Prototypes, points: Array, views: Sequence[_View]) -> Prototypes:
    """Sorts prototypes by the mean intensity of their pixels."""
    labels, _ = prototypes.nearest(points)
    brightness = _of_all([view.value for view in views], views).mean(axis=0)
    pixels = np.maximum(np.bincount(labels, minlength=len(prototypes)), 1)
    order = np.argsort(np.bincount(labels, brightness, len(prototypes)) / pixels, kind="stable")
    return prototypes.reordered(order)


def _of_all(values: Sequence[Array], views: Sequence[_View]) -> Array:
    """Concatenates the values of the data pixels of all images, ``(Q, P)``."""
    pairs = zip(values, views, strict=True)
    return np.concatenate([_pixels(value, view.mask) for value, view in pairs], axis=1)


def _flat_pixels(views: Sequence[_View]) -> Array:
    """Selects measured values ``(C, P)`` of data pixels that are similar to their neighbours."""
    parts = [_pixels(view.value, flat_pixels(view.value, view.mask)) for view in views]
    return np.concatenate(parts, axis=1)


def _pixels(values: Array, mask: Mask | None) -> Array:
    """Selects from values ``(Q, H, W)`` the data pixels, or a regular sample: ``(Q, P)``."""
    flat = values.reshape(len(values), -1) if mask is None else values[:, mask]
    return flat[:, :: max(1, flat.shape[1] // _SAMPLE)]
