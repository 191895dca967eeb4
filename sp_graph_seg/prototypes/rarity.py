"""Chooses, by what is seen in the picture, how much rare grey values count for the prototypes."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.prototypes.prototypes import RARITY, Prototypes, fit_prototypes

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Pixels this far apart along an axis are compared: farther than a blurred edge is wide.
_APART = 2

#: Pixels differ clearly if they differ by more than this multiple of the median difference.
_CLEAR = 3.0

#: Plain weights are preferred only if they part this share more of what differs clearly.
_BETTER = 0.05


def choose_rarity(
    points: Array, num_labels: int, images: Sequence[Array], masks: Sequence[Mask | None]
) -> float:
    """Chooses the exponent of rarity for :func:`fit_prototypes` of grey values.

    With weights (density)^(-1/2), a rare phase is found beside a common one. But if the values of
    rare things spread widely, as those of pores of all sizes do, these weights spend labels on the
    spread, and two common phases of similar grey share a label. Without weights, these phases are
    told apart. The picture decides: the exponent is 0 if the labels without weights part clearly
    more of what differs clearly, see :func:`parted`, and 1/2 otherwise, or if no two data pixels
    can be compared.

    Args:
        points: Grey values that the prototypes are fitted to, ``(P, 1)``.
        num_labels: Number of prototypes K.
        images: The grey values of the pictures, ``(H, W)`` each.
        masks: The data pixels of each picture, ``(H, W)``; ``None`` if all pixels have data.
    """
    pairs = np.concatenate(list(_pairs(images, masks)), axis=1)
    if not pairs.size:
        return RARITY
    weighted, plain = (
        parted(pairs, fit_prototypes(points, num_labels, rarity)) for rarity in (RARITY, 0.0)
    )
    return 0.0 if plain - weighted > _BETTER * abs(plain) else RARITY


def parted(pairs: Array, prototypes: Prototypes) -> float:
    r"""Measures how well labels part pixels that differ clearly, and no others.

    A pair of pixels with the difference d counts :math:`d^2 / (d^2 + t^2) - 1/2`. Here t is three
    times the median of d over all pairs. A pair that differs by more than t counts for the labels
    if they part it, up to 1/2 however much it differs. A pair that differs by less counts against
    them.

    Args:
        pairs: The grey values of pairs of neighbouring pixels, ``(2, P)``.
        prototypes: Prototypes of grey values.

    Returns:
        The sum over the pairs with two different labels, divided by the number of all pairs.
    """
    centers = np.sort(prototypes.centers[:, 0])
    labels = np.searchsorted((centers[1:] + centers[:-1]) / 2, pairs)
    difference = np.abs(pairs[0] - pairs[1]).astype(np.float64)
    clear = _CLEAR * np.median(difference)
    counts = difference**2 / np.maximum(difference**2 + clear**2, 1e-24) - 0.5
    return float((counts * (labels[0] != labels[1])).mean())


def _pairs(images: Sequence[Array], masks: Sequence[Mask | None]) -> Iterator[Array]:
    """Yields the grey values of all pairs of data pixels that are compared, ``(2, p)``."""
    for image, mask in zip(images, masks, strict=True):
        for turned, inside in ((image, mask), (image.T, None if mask is None else mask.T)):
            pairs = np.stack([turned[_APART:], turned[:-_APART]])
            both = ... if inside is None else inside[_APART:] & inside[:-_APART]
            yield pairs[:, both].reshape(2, -1)
