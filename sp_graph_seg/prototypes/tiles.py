"""Processes large images in overlapping tiles, to limit memory."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

#: Side of a tile and its overlap in pixels. Both are multiples of the coarsest pixel of a network
#: with up to six poolings.
_TILE = 1024
_HALO = 64

#: Pixels of the bands into which pointwise work on a large image is divided.
_BAND = 1 << 22

Array = NDArray[np.float32]


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Divides the rows of an image into bands of at most four million pixels."""
    step = max(1, _BAND // width)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def in_tiles(function: Callable[[Array], Array], image: Array) -> Array:
    """Applies a function to overlapping tiles of an image and joins their inner parts.

    Args:
        function: Function that maps ``(C, h, w)`` to ``(Q, h, w)``. Its result at a pixel must
            hardly depend on pixels that are more than 64 pixels away.
        image: The image, ``(C, H, W)``. If it fits into one tile, it is not divided.
    """
    height, width = image.shape[1:]
    if max(height, width) <= _TILE + 2 * _HALO:
        return function(image)
    result: Array | None = None
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            rows = slice(max(0, top - _HALO), min(height, top + _TILE + _HALO))
            columns = slice(max(0, left - _HALO), min(width, left + _TILE + _HALO))
            part = function(np.ascontiguousarray(image[:, rows, columns]))
            if result is None:
                result = np.empty((len(part), height, width), part.dtype)
            inner = np.s_[
                :,
                top - rows.start : top - rows.start + _TILE,
                left - columns.start : left - columns.start + _TILE,
            ]
            result[:, top : top + _TILE, left : left + _TILE] = part[inner]
    assert result is not None, "an image has pixels"
    return result
