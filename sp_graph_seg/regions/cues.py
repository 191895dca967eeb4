"""Computes cues that tell regions apart: gradients at each pixel, and histograms of regions.

The method gPb compares the histograms of two half-discs at each pixel (Martin, Fowlkes & Malik,
TPAMI 2004; Arbelaez et al., TPAMI 2011). This module uses Gaussian derivatives of soft histograms
instead. In a soft histogram, each value is shared by its two nearest bins. Colours are CIELAB
divided by 100.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

from sp_graph_seg.transforms.levels import edge_strength
from sp_graph_seg.transforms.superpixels import Labels

Floats = NDArray[np.float64]
Range = tuple[float, float]

#: Of lightness, a and b in the histograms of regions, and their bins.
_LAB_RANGES: tuple[Range, ...] = ((0.0, 1.0), (-0.5, 0.6), (-0.6, 0.7))
_LAB_BINS = (20, 24, 24)

#: Of lightness, a and b where gradients of colour are looked for, and bins.
_LOCAL_RANGES: tuple[Range, ...] = ((0.0, 1.0), (-0.4, 0.5), (-0.5, 0.6))
_LOCAL_BINS = 8

#: Of the logarithms of texture in the histograms of regions, and in gradients, and their bins.
_TEXTURE_SCALES = (0.7, 1.5, 3.0)
_TEXTURE_RANGES: tuple[Range, ...] = ((-6, -0.5), (-6, -1), (-6, -1))
_TEXTURE_BINS = 10
_LOCAL_TEXTURE_RANGE: Range = (-6, -1)
_LOCAL_TEXTURE_BINS = 6

#: Where each histogram of a region starts, lightness, a, b and three of texture; the last ends.
HISTOGRAM_STARTS = np.cumsum([0, *_LAB_BINS, *[_TEXTURE_BINS] * len(_TEXTURE_SCALES)])


def boundary_maps(lab: Floats) -> list[Floats]:
    """Computes four maps of boundary strength from the colours of an image.

    The first two maps are gradients of colour at scales of 1 and 2.5 pixels. The third map shows
    changes of the local colours at a scale of 6 pixels. The fourth map shows changes of the local
    texture at a scale of 10 pixels. The last two maps are computed at half the resolution.

    Args:
        lab: ``(H, W, 3)`` or ``(D, H, W, 3)``, CIELAB divided by 100.

    Returns:
        The four maps, each of the size of the image.
    """
    small = [_halve(channel) for channel in np.moveaxis(lab, -1, 0)]
    energy = [_halve(channel) for channel in texture_energy(lab[..., 0])]
    color = _histogram_gradient(small, _LOCAL_RANGES, _LOCAL_BINS, 3.0)
    ranges = [_LOCAL_TEXTURE_RANGE] * len(energy)
    texture = _histogram_gradient(energy, ranges, _LOCAL_TEXTURE_BINS, 5.0)
    twice = [_double(strength, lab.shape[:-1]) for strength in (color, texture)]
    return [edge_strength(lab, 1.0), edge_strength(lab, 2.5), *twice]


def texture_energy(lightness: Floats) -> list[Floats]:
    """Computes the logarithm of the gradient magnitude of lightness at three scales.

    Args:
        lightness: ``(H, W)`` or ``(D, H, W)``, from 0 to 1.

    Returns:
        An array of the size of the image for each scale.
    """
    return [np.log(gaussian_gradient_magnitude(lightness, s) * s + 0.003) for s in _TEXTURE_SCALES]


def region_histograms(lab: Floats, labels: Labels) -> list[Floats]:
    """Computes six histograms of each region: of L, a, b and the texture energy at three scales.

    Args:
        lab: ``(H, W, 3)`` or ``(D, H, W, 3)``, CIELAB divided by 100.
        labels: The region of each pixel, from 0 to R - 1, with -1 where there is no data.

    Returns:
        Six arrays ``(R, bins)``, with one row for each region.
    """
    colors = zip(np.moveaxis(lab, -1, 0), _LAB_RANGES, _LAB_BINS, strict=True)
    textures = zip(texture_energy(lab[..., 0]), _TEXTURE_RANGES, strict=True)
    return [
        *(_region_histogram(values, span, bins, labels) for values, span, bins in colors),
        *(_region_histogram(values, span, _TEXTURE_BINS, labels) for values, span in textures),
    ]


def _halve(values: Floats) -> Floats:
    return gaussian_filter(values, 0.7)[(slice(None, None, 2),) * values.ndim]


def _double(values: Floats, size: tuple[int, ...]) -> Floats:
    for axis, length in enumerate(size):
        values = np.repeat(values, 2, axis).take(range(length), axis)
    return values


def _histogram_gradient(
    maps: Sequence[Floats], ranges: Sequence[Range], bins: int, sigma: float
) -> Floats:
    """Measures at each pixel how much the local histograms change.

    Each value is shared by its two nearest bins. The result is the root of the summed squared
    gradients of all bins.
    """
    squares = np.zeros_like(maps[0])
    for values, span in zip(maps, ranges, strict=True):
        position = _bin_position(values, span, bins)
        for number in range(bins):
            share = np.maximum(0, 1 - np.abs(position - number))  # of the two nearest bins
            squares += gaussian_gradient_magnitude(share, sigma) ** 2
    return np.sqrt(squares) * sigma


def _region_histogram(values: Floats, span: Range, bins: int, labels: Labels) -> Floats:
    """Computes a histogram of each of R regions, ``(R, bins)``. Each row sums to 1.

    Each value is shared by its two nearest bins.
    """
    inside = labels >= 0
    position = _bin_position(values[inside], span, bins)
    lower = np.minimum(position.astype(int), bins - 2)
    share, num = position - lower, int(labels.max()) + 1
    slot = labels[inside] * bins + lower
    counts = np.bincount(slot, 1 - share, num * bins) + np.bincount(slot + 1, share, num * bins)
    table = counts.reshape(num, bins)
    return table / table.sum(axis=1, keepdims=True)


def _bin_position(values: Floats, span: Range, bins: int) -> Floats:
    low, high = span
    return np.clip((values - low) / (high - low), 0, 1) * (bins - 1)
