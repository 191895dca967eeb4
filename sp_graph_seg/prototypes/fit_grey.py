"""Fits prototypes of grey values, without the rims that blurred edges make."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.prototypes.prototypes import Prototypes, fit_prototypes
from sp_graph_seg.prototypes.rarity import choose_rarity
from sp_graph_seg.prototypes.rims import THINNEST, find_rim_width, remove_rims

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Prototypes are fitted to at most this number of pixels of each image, on a regular grid.
_SAMPLE = 1 << 19

#: In each of these rounds, rims that are this many pixels wider are left out.
_ROUNDS = 4
_WIDER = 2


def fit_grey_prototypes(
    images: Sequence[Array], masks: Sequence[Mask | None], num_labels: int
) -> tuple[Prototypes, int]:
    """Fits prototypes of grey values, and finds how wide the rims are that they make.

    The prototypes are fitted again four times, each time without the rims of the prototypes before.
    There, rims are looked for that are two pixels wider, so that no prototype is spent on an edge.
    If a label then has no pixel, as may be where many are asked for, rims are taken to be thinner.

    Args:
        images: Grey values of the images, ``(H, W)`` each.
        masks: The mask of each image, ``(H, W)``; ``None`` if all pixels have data.
        num_labels: Number of prototypes K. Rims are looked for if there are three or more.

    Returns:
        The prototypes, and the width of their rims in pixels, see
        :func:`~sp_graph_seg.prototypes.rims.find_rim_width`. It is 0 if no rims are to be removed.
    """
    points = _points(images, masks)
    rarity = choose_rarity(points, num_labels, images, masks)
    first = fit_prototypes(points, num_labels, rarity)
    widest = find_rim_width(images, masks)
    if len(first) < 3:
        return first, widest
    for width in range(widest, THINNEST - 1, -1):
        found = _fit_without_rims(first, images, masks, rarity, width)
        if _have_pixels(found, _sharpened(images, masks, found, width), masks):
            return found, width
    return first, 0


def _fit_without_rims(
    first: Prototypes,
    images: Sequence[Array],
    masks: Sequence[Mask | None],
    rarity: float,
    width: int,
) -> Prototypes:
    found = first
    for _ in range(_ROUNDS):
        sharp = _sharpened(images, masks, found, width + _WIDER)
        found = fit_prototypes(_points(sharp, masks), len(found), rarity)
    return found


def _sharpened(
    images: Sequence[Array], masks: Sequence[Mask | None], prototypes: Prototypes, width: int
) -> list[Array]:
    centers = prototypes.centers[:, 0]
    return [
        remove_rims(image, centers, mask, width=width)
        for image, mask in zip(images, masks, strict=True)
    ]


def _have_pixels(
    prototypes: Prototypes, images: Sequence[Array], masks: Sequence[Mask | None]
) -> bool:
    """Whether each prototype is the nearest of some pixel."""
    centers = prototypes.centers[:, 0]
    nearest = np.searchsorted((centers[1:] + centers[:-1]) / 2, _points(images, masks)[:, 0])
    return len(np.unique(nearest)) == len(centers)


def select_pixels(values: Array, mask: Mask | None) -> Array:
    """Selects from values ``(Q, H, W)`` the data pixels, or a regular sample: ``(Q, P)``."""
    flat = values.reshape(len(values), -1) if mask is None else values[:, mask]
    return flat[:, :: max(1, flat.shape[1] // _SAMPLE)]


def _points(images: Sequence[Array], masks: Sequence[Mask | None]) -> Array:
    pairs = zip(images, masks, strict=True)
    return np.concatenate([select_pixels(image[None], mask) for image, mask in pairs], axis=1).T
