"""One iteration of SLIC: every pixel is compared with the nine nearest cells of a grid."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

#: Pieces of less than this share of a cell are given to a neighbour.
_SMALLEST = 0.25

#: The cells around a cell, as steps along rows and columns.
_STEPS = np.array([(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)])


def grid_slic(
    colors: NDArray[np.float32], n_segments: float, compactness: float
) -> NDArray[np.int64]:
    """Makes superpixels by one iteration of SLIC (Achanta et al. 2012) on a grid of cells.

    There is one superpixel k for each cell. A pixel belongs to that of the least distance

    .. math:: |c - c_k|^2 + (m / S)^2 |p - p_k|^2

    Here c is the colour of the pixel, p its place, m the compactness and S the side of a cell, and
    c_k and p_k are the mean colour and place of the cell. A pixel is compared only with its own
    cell and the eight cells around it. These are the same for all pixels of a cell, so a product of
    matrices gives the distances. At the end, small pieces that are cut off from the rest of their
    superpixel go to a neighbour.

    Args:
        colors: The colour of each pixel, ``(C, H, W)``, where a lightness from black to white is
            100.
        n_segments: Wanted number of superpixels.
        compactness: Weight m of place against colour.

    Returns:
        The superpixel of each pixel, ``(H, W)``, any positive ids. Each superpixel is connected.
    """
    height, width = colors.shape[1:]
    sides = _cell_sides((height, width), height * width / n_segments)
    grid = [math.ceil(length / side) for length, side in zip((height, width), sides, strict=True)]
    weight = compactness / math.sqrt(sides[0] * sides[1])
    pixels = _by_cell(colors, sides, grid, weight)  # (cells, C + 2, pixels of a cell)
    near, is_outside = _cells_around(grid)  # (cells, 9)
    means = pixels @ np.full(pixels.shape[2], 1 / pixels.shape[2], np.float32)
    around = means[near]  # (cells, 9, C + 2)
    around[..., -2:] += _STEPS * np.array(sides) * weight
    owners = _nearest(pixels, around, is_outside)
    ids = np.take_along_axis(near, owners, axis=1)
    ids = ids.reshape(*grid, *sides).swapaxes(1, 2).reshape(grid[0] * sides[0], -1)
    return _join_small(ids[:height, :width], _SMALLEST * sides[0] * sides[1])


def _cell_sides(size: tuple[int, int], area: float) -> list[int]:
    """Chooses the height and width, in pixels, of cells of about the given area."""
    sides = [1, 1]
    side = math.sqrt(area)
    for axis in np.argsort(size, kind="stable"):  # a thin image has room for less along one axis
        count = max(1, round(size[axis] / side))
        sides[axis] = max(1, round(size[axis] / count))
        side = area / sides[axis]
    return sides


def _by_cell(
    colors: NDArray[np.float32], sides: list[int], grid: list[int], weight: float
) -> NDArray[np.float32]:
    """Sorts pixels by their cells, and adds their weighted place from the middle of the cell.

    The last pixels of a row or column are repeated until they fill a cell.
    """
    missing = [n * side - old for n, side, old in zip(grid, sides, colors.shape[1:], strict=True)]
    padded = np.pad(colors, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
    cells = padded.reshape(-1, grid[0], sides[0], grid[1], sides[1])
    pixels = np.empty((*grid, len(colors) + 2, *sides), np.float32)
    pixels[:, :, :-2] = cells.transpose(1, 3, 0, 2, 4)
    places = np.indices(sides)
    pixels[:, :, -2:] = (places - places.mean(axis=(1, 2), keepdims=True)) * weight
    return pixels.reshape(grid[0] * grid[1], len(colors) + 2, -1)


def _cells_around(grid: list[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Finds the nine cells around each cell, ``(cells, 9)``, and which of them lie outside."""
    cells = np.moveaxis(np.indices(grid), 0, -1).reshape(-1, 1, 2) + _STEPS  # (cells, 9, 2)
    inside = cells.clip(0, np.array(grid) - 1)
    return inside[..., 0] * grid[1] + inside[..., 1], (cells != inside).any(axis=-1)


def _nearest(
    pixels: NDArray[np.float32], around: NDArray[np.float32], is_outside: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Finds the most similar of the nine cells around each pixel, from 0 to 8."""
    squares = (around**2).sum(axis=2)
    squares[is_outside] = np.inf
    # |x - m|^2 without |x|^2, which is the same for all nine
    distances = (-2 * around) @ pixels
    distances += squares[..., None]
    return torch.from_numpy(distances).min(dim=1).indices.numpy()  # faster than of NumPy


def _join_small(ids: NDArray[np.int64], smallest: float) -> NDArray[np.int64]:
    """Splits superpixels into connected pieces, and gives small pieces to their largest neighbour.

    A small piece without a larger neighbour stays.
    """
    from skimage.measure import label

    pieces = label(ids, background=-1, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    by_size = sizes.argsort(kind="stable")
    rank = np.empty_like(by_size)
    rank[by_size] = np.arange(len(sizes))
    highest = rank.copy()  # of the piece and of its neighbours
    for one, other in ((pieces[1:], pieces[:-1]), (pieces[:, 1:], pieces[:, :-1])):
        touch = np.flatnonzero(one != other)
        ends = one.ravel()[touch], other.ravel()[touch]
        np.maximum.at(highest, ends[0], rank[ends[1]])
        np.maximum.at(highest, ends[1], rank[ends[0]])
    target = np.where(sizes < smallest, by_size[highest], np.arange(len(sizes)))
    while (target[target] != target).any():
        target = target[target]
    return target[pieces]
