"""Finds the air around the scanned object (the sample).

The corners of the slices show what air looks like. The air reaches from the corners to the border
of the sample.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Longest side, in pixels, of the small copy on which air is found. On this copy, gaps in the
#: sample of up to twice this radius are closed, and parts of this share of the slice or less are
#: left out as dust.
_SIZE = 256
_RADIUS = 8
_DUST = 0.02

#: Side of the corners that are looked at, as a share of the shorter side of the slice.
_CORNER = 0.04

#: What differs from the corners by more than this share of the range of values is not air.
_CONTRAST = 0.15

#: There is air only if it takes more than this share of the border of most slices, in at most this
#: number of runs, and if more than this share of the pixels that it surrounds differ from it.
_BORDER = 0.4
_RUNS = 4
_FILLED = 0.6


@dataclass(frozen=True)
class Air:
    """The threshold that separates the values of the sample from the values of air.

    Attributes:
        threshold: The value halfway between the median of the corners and the median of the
            pixels that differ from the corners.
        sign: 1 if the sample is brighter than air, -1 if it is darker.
    """

    threshold: float
    sign: int

    def sample(self, image: Array) -> Mask:
        """Finds the sample in a slice ``(C, H, W)`` and returns it as a mask ``(H, W)``.

        The sample is everything except the air around it, so its pores are included. It is found
        on a small copy of the slice first. Its border is then refined at full resolution. The
        outermost pixels of the sample are left out, because they are partly air.
        """
        from scipy import ndimage

        grey = image.mean(axis=0)
        small = _shrink(grey)
        coarse = self._coarse(small)
        if coarse.all() or not coarse.any():
            return np.full(grey.shape, bool(coarse.any()))
        surely = _enlarge(ndimage.binary_erosion(coarse, iterations=2, border_value=1), grey.shape)
        perhaps = _enlarge(ndimage.binary_dilation(coarse, iterations=2), grey.shape)
        smooth = ndimage.gaussian_filter(np.nan_to_num(grey, nan=self.threshold), 1.0)
        fine = surely | (perhaps & self._beyond(smooth))
        return ndimage.binary_erosion(ndimage.binary_fill_holes(fine), border_value=1)

    def surrounds(self, small: Array) -> bool:
        """Returns whether a scaled-down slice ``(h, w)`` shows a sample with air around it."""
        coarse = self._coarse(small)
        is_filled = coarse.any() and self._beyond(small)[coarse].mean() > _FILLED
        border = ~np.concatenate(
            [coarse[0], coarse[1:, -1], coarse[-1, -2::-1], coarse[-2:0:-1, 0]]
        )
        runs = np.count_nonzero(border & ~np.roll(border, 1))
        return bool(is_filled and border.mean() > _BORDER and runs <= _RUNS)

    def _beyond(self, values: Array) -> Mask:
        return self.sign * (values - self.threshold) > 0

    def _coarse(self, small: Array) -> Mask:
        """Finds the sample roughly in a scaled-down slice. Closes gaps and drops small parts."""
        from scipy import ndimage

        beyond = self._beyond(small)
        beyond = np.pad(beyond, _RADIUS, mode="edge")
        closed = ndimage.binary_fill_holes(ndimage.binary_closing(beyond, _disc(_RADIUS)))
        closed = closed[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
        parts, count = ndimage.label(closed)
        large = np.bincount(parts.ravel(), minlength=count + 1) > _DUST * small.size
        large[0] = False
        return large[parts]


def find_air(slices: Iterable[Array]) -> Air | None:
    """Finds out what air looks like in slices ``(C, H, W)``. Returns None if they show no air.

    The corners are taken for air if most slices meet three conditions. More than 40 % of the border
    of the slice is air. The air on the border forms at most four runs of pixels. Most of the pixels
    that the air surrounds differ from air.
    """
    smalls = [_shrink(image.mean(axis=0)) for image in slices]
    if not smalls:
        return None
    corners = np.concatenate([_corners(small) for small in smalls])
    every = np.concatenate([small.ravel() for small in smalls])
    air = float(np.median(corners))
    low, high = np.quantile(every, (0.02, 0.98))
    other = every[np.abs(every - air) > _CONTRAST * (high - low)]
    if not len(other) or high <= low:
        return None
    sample = float(np.median(other))
    found = Air((air + sample) / 2, 1 if sample > air else -1)
    surrounded = [found.surrounds(small) for small in smalls]
    return found if np.mean(surrounded) > 0.5 else None


def _shrink(grey: Array) -> Array:
    """Scales a slice ``(H, W)`` down to at most 256 pixels per side, and smooths it slightly."""
    from scipy import ndimage

    step = -(-max(grey.shape) // _SIZE)
    grey = np.nan_to_num(grey, nan=float(np.nanmedian(grey)) if np.isnan(grey).any() else 0.0)
    rows, columns = (np.arange(0, n, step) for n in grey.shape)
    sums = np.add.reduceat(np.add.reduceat(grey.astype(np.float64), rows, 0), columns, 1)
    heights, widths = (np.diff([*at, n]) for at, n in zip((rows, columns), grey.shape, strict=True))
    return ndimage.gaussian_filter(sums / np.outer(heights, widths), 1.0).astype(np.float32)


def _enlarge(small: Mask, size: tuple[int, ...]) -> Mask:
    step = -(-max(size) // _SIZE)
    return np.kron(small, np.ones((step, step), bool))[: size[0], : size[1]]


def _corners(small: Array) -> Array:
    side = max(1, round(_CORNER * min(small.shape)))
    ends = (slice(None, side), slice(-side, None))
    return np.concatenate([small[rows, columns].ravel() for rows in ends for columns in ends])


def _disc(radius: int) -> Mask:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return y * y + x * x <= radius * radius
