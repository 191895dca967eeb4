"""Fits the model :class:`~sp_graph_seg.prototypes.Phases` to training images."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import median_abs_deviation
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.errors import TrainingWarning
from sp_graph_seg.prototypes.beside import smallest_gap
from sp_graph_seg.prototypes.correction import fit_correction
from sp_graph_seg.prototypes.fit_grey import fit_grey_prototypes, select_pixels
from sp_graph_seg.prototypes.measure import choose_smoothing, noise_statistics
from sp_graph_seg.prototypes.phases import Array, Mask, Phases, make_blind_spot_net
from sp_graph_seg.prototypes.prototypes import (
    Prototypes,
    fit_distinct_prototypes,
    fit_prototypes,
    warn_of_few_labels,
)
from sp_graph_seg.prototypes.stability import Labels, Part, halves, label_stability, middle
from sp_graph_seg.prototypes.textures import find_texture
from sp_graph_seg.prototypes.thresholds import count_modes, flat_pixels, rare_values_stand_out
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

#: The network's reconstruction is used alone if the noise is white, and not at all if tomographic
#: reconstruction has smoothed it: then neighbours share their noise, and hiding a pixel is useless.
_WHITE, _SMOOTHED = 0.8, 0.4

#: Strength of total variation: a small constant, and more for noise that the network cannot remove.
_TV_LEAST, _TV_BY_NOISE, _TV_MOST = 0.01, 1.7, 0.2

#: A trained network must explain this share of the variance that the mean of its neighbours
#: explains of a hidden pixel, less what is lost to chance in images of noise. Measured on phantoms:
#: at least 0.9 after 10 epochs, below 0.5 after one.
_SKILL, _SKILL_OF_NOISE = 0.5, 0.05

#: Distance of the prototypes of textures in one phase, as a share of that of the phases.
_GAP_OF_TEXTURES = 0.5
#: A texture is visible where values deviate by this share of the smallest distance of two phases.
_VISIBLE = 0.12

#: The stability of labels is measured on at most this number of rows and columns in the middle.
#: Noise is moved by the second pair of rows and columns.
_MIDDLE = 1024
_MOVED = (37, 61)


@dataclass(frozen=True)
class _View:
    """A training image whose gain is corrected, its measured values and its data pixels."""

    image: Array
    value: Array
    mask: Mask | None

    def crop(self, part: Part) -> "_View":
        mask = None if self.mask is None else self.mask[part]
        return _View(self.image[:, *part], self.value[:, *part], mask)

    def with_other_noise(self, model: Phases) -> "_View":
        noise = np.roll(self.image - self.value, _MOVED, axis=(1, 2))
        return replace(self, value=model.look(self.value + noise))


def fit_phases(
    images: Sequence[Array],
    masks: Sequence[Mask | None],
    config: Config,
    follow: Follow | None = None,
) -> tuple[Phases, History]:
    """Trains a network on images, and finds prototypes of the features of their pixels.

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
    data = np.concatenate([select_pixels(*pair) for pair in zip(flat, masks, strict=True)], axis=1)
    mean, std = float(data.mean()), max(float(data.std()), 1e-6)
    blend, strength = _trust_in_noise(flat)
    with seeded(config.seed):
        net = make_blind_spot_net(len(flat[0]), config)
    model = Phases(net, mean, std, blend, 0.0, correction)

    def fit_labels(model: Phases) -> list[_View]:
        views = [_View(one, model.look(one), own) for one, own in zip(flat, masks, strict=True)]
        _choose_kind(model, views, config.num_labels)
        _fit_prototypes(model, views, config.num_labels)
        return views

    def trust_in_network(model: Phases) -> None:
        if blend < 1 and not _has_learned(model, flat, masks, config):
            model.blend = 1.0
        model.smoothing = _TV_LEAST + model.blend * strength
        if model.blend == 1 and len(flat[0]) == 1:
            model.smoothing = choose_smoothing(flat, masks, model.smoothing)

    def so_far() -> Phases:
        current = replace(model, net=as_it_is(net))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are for the end of the training
            trust_in_network(current)
            fit_labels(current)
        return current

    images_and_masks = _standardise(model, flat, masks)
    on_step = each_step(follow, so_far)
    history = fit_blind_spot(net, *images_and_masks, config, find_device(config), on_step)
    trust_in_network(model)
    views = fit_labels(model)
    model.stability = _measure_stability(model, views, config.num_labels)
    return model, history


def _standardise(
    model: Phases, flat: Sequence[Array], masks: Sequence[Mask | None]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Standardises images for the network, and converts images and masks to tensors."""
    mean, std = np.float32(model.mean), np.float32(model.std)
    return (
        [torch.from_numpy((image - mean) / std) for image in flat],
        [None if mask is None else torch.from_numpy(mask) for mask in masks],
    )


def _has_learned(
    model: Phases, flat: Sequence[Array], masks: Sequence[Mask | None], config: Config
) -> bool:
    """Tells whether the network predicts hidden pixels well, and warns if it does not."""
    learned, simple = measure_skill(model.net, *_standardise(model, flat, masks), config)
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


def _choose_kind(model: Phases, views: Sequence[_View], num_labels: int) -> None:
    """Chooses the kind of features, and finds the texture if they hold one."""
    if len(views[0].value) > 1:
        return  # intensity
    modes = count_modes(_flat_pixels(views)[0])
    if modes > 1:
        if num_labels > modes and not model.corrects_gain:  # this makes noise uneven
            _divide_phase(model, views, modes, num_labels)
        return
    texture, _ = find_texture([view.image[0] for view in views], [view.mask for view in views])
    if len(texture):
        model.kind = "texture"
        model.texture = texture.first(num_labels - 1) if num_labels > 1 else texture
    elif not rare_values_stand_out(_of_all([view.value for view in views], views)[0]):
        model.kind = "mixed"


def _divide_phase(model: Phases, views: Sequence[_View], modes: int, num_labels: int) -> None:
    """Finds the phase with the clearest visible texture. Without any, the kind stays intensity."""
    points, images = _of_all([v.value for v in views], views).T, [v.image[0] for v in views]
    model.phases = fit_prototypes(points, modes).centers[:, 0]
    least, clearest = _VISIBLE * smallest_gap(model.phases[:, None]), 0.0
    for phase in range(len(model.phases)):
        inside = [replace(model, phase=phase).in_phase(v.image, v.value, v.mask) for v in views]
        pixels = np.concatenate([i[own] for i, own in zip(images, inside, strict=True)])
        is_visible = median_abs_deviation(pixels, scale="normal") > least
        texture, slowness = find_texture(images, inside)
        if is_visible and len(texture) and slowness[0] > clearest:
            clearest, model.kind, model.phase = float(slowness[0]), "both", phase
            model.texture = texture.first(num_labels - modes)


def _fit_prototypes(model: Phases, views: Sequence[_View], num_labels: int) -> None:
    if model.kind == "mixed":
        sample = _of_all(_features(model, views), views)
        model.offset, model.scale = sample.mean(axis=1), np.maximum(sample.std(axis=1), 1e-6)
    points = _of_all(_features(model, views), views).T
    if model.kind == "intensity" and points.shape[1] == 1:
        number = num_labels or max(2, count_modes(_flat_pixels(views)[0]))
        values, masks = [view.value[0] for view in views], [view.mask for view in views]
        model.prototypes, model.rim_width = fit_grey_prototypes(values, masks, number)
    else:
        if model.kind == "both":
            prototypes = _fit_both(model, points, num_labels)
        elif num_labels:
            prototypes = fit_prototypes(points, num_labels)
        elif model.kind == "mixed":
            prototypes = fit_prototypes(points, 2)
        elif points.shape[1] > 1:
            flat = _flat_pixels(views) if model.kind == "intensity" else points.T
            prototypes = fit_distinct_prototypes(flat.T)
        else:
            prototypes = fit_prototypes(points, max(2, count_modes(points)))
        model.prototypes = _by_brightness(prototypes, points, views)
    warn_of_few_labels(model.num_labels, num_labels)


def _measure_stability(model: Phases, views: Sequence[_View], num_labels: int) -> tuple[float, ...]:
    """Compares the labels with those of prototypes that are fitted to a part of the images.

    If labels are intensities, the parts also label other noise. The noise is the difference of the
    image and the measured values. It is moved by some pixels.
    """
    views = [view.crop(middle(view.image.shape[1:], _MIDDLE)) for view in views]
    seen = [view.with_other_noise(model) for view in views] if model.kind == "intensity" else views
    others = [_refit(model, half, num_labels) for half in _halves(views)]
    again = [_labels_of(other, seen) for other in others]
    return label_stability(_labels_of(model, views), again, model.num_labels)


def _halves(views: Sequence[_View]) -> Iterator[list[_View]]:
    """Yields both halves of the training data: every other image, or the halves of one image."""
    if len(views) > 1:
        halves_of = [list(views[::2]), list(views[1::2])]
    else:
        halves_of = [[views[0].crop(part)] for part in halves(views[0].image.shape[1:])]
    for half in halves_of:
        if any(view.mask is None or view.mask.any() for view in half):
            yield half


def _labels_of(model: Phases, views: Sequence[_View]) -> Labels:
    """Computes the labels of the data pixels of all views, ``(P,)``."""
    pairs = zip(_features(model, views), views, strict=True)
    parts = [model.label(features, view.mask)[0] for features, view in pairs]
    return np.concatenate([labels[labels >= 0] for labels in parts])


def _refit(model: Phases, views: Sequence[_View], num_labels: int) -> Phases:
    """Returns a model with the same network, whose labels are found in other views."""
    other = Phases(model.net, model.mean, model.std, model.blend, model.smoothing, model.correction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are about a part only
        _choose_kind(other, views, num_labels)
        _fit_prototypes(other, views, num_labels)
    return other


def _features(model: Phases, views: Sequence[_View]) -> list[Array]:
    return [model.features_of(view.image, view.value, view.mask) for view in views]


def _fit_both(model: Phases, points: Array, num_labels: int) -> Prototypes:
    """Finds prototypes of the values and of the texture of one phase.

    The texture is scaled so that its prototypes are half as far apart as those of the values. So
    textures of one phase are merged before phases.

    Args:
        model: The model. The scale of its features is set.
        points: The features that are not scaled yet, ``(P, Q)``. They are scaled in place.
        num_labels: Number of prototypes in all.
    """
    own = np.abs(points[:, :1] - model.phases).argmin(axis=1) == model.phase
    found = fit_prototypes(points[own, 1:], num_labels - len(model.phases) + 1)
    gaps = smallest_gap(found.centers), _GAP_OF_TEXTURES * smallest_gap(model.phases[:, None])
    scale = gaps[0] / gaps[1] if min(gaps) > 0 else 1.0
    model.scale = np.append(1, np.full(points.shape[1] - 1, scale)).astype(np.float32)
    points /= model.scale
    others = np.delete(model.phases, model.phase)
    centers = np.zeros((len(found) + len(others), points.shape[1]), np.float32)
    centers[:, 0] = np.append(np.full(len(found), model.phases[model.phase]), others)
    centers[: len(found), 1:] = found.centers / scale
    labels, _ = Prototypes(centers, np.ones(len(centers), np.float32)).nearest(points)
    shares = np.bincount(labels, minlength=len(centers)) / len(points)
    return Prototypes(centers, shares.astype(np.float32))


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
    return np.concatenate([select_pixels(value, view.mask) for value, view in pairs], axis=1)


def _flat_pixels(views: Sequence[_View]) -> Array:
    """Selects measured values ``(C, P)`` of data pixels that are similar to their neighbours."""
    parts = [select_pixels(view.value, flat_pixels(view.value, view.mask)) for view in views]
    return np.concatenate(parts, axis=1)
