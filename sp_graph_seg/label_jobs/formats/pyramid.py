"""Makes smaller copies of labels.

A voxel of a copy gets the most frequent label of the voxels that it covers.
"""

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.io.durable import remove
from sp_graph_seg.label_jobs.formats.chunks import MAX_CHUNK_SIDE
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.volumes.geometry import Axes, Axis

SMALLEST = 256
"""Longest side of the smallest copy."""

SLAB_BYTES = 2**25
"""The approximate size in bytes of the labels that are read at once."""


class Level(NamedTuple):
    """One array of a pyramid.

    Attributes:
        shape: The shape of the array.
        axes: The axes of the array, which give the positions of its voxels.
    """

    shape: tuple[int, int, int]
    axes: Axes


def levels_of(manifest: Manifest) -> list[Level]:
    """Returns the shapes and axes of all arrays of a pyramid.

    Along each axis in space, an array has half as many voxels as the array before. The number of
    frames stays the same. A voxel lies at the centre of the voxels that it covers. If the number of
    voxels along an axis is odd, the last voxel of the smaller array covers only one voxel along
    this axis.

    If the job stores grey values instead of labels, such as a map of the uncertainty, there are no
    smaller arrays. The most frequent of several grey values would not represent them.
    """
    levels = [Level(manifest.stored_shape, manifest.geometry.stored())]
    while manifest.labels is not None and max(_in_space(levels[-1])) > SMALLEST:
        shape, axes = levels[-1]
        steps = [_step(axis, length) for axis, length in zip(axes, shape, strict=True)]
        a, b, c = (math.ceil(n / step) for n, step in zip(shape, steps, strict=True))
        first, second, third = map(_coarser, axes, steps)
        levels.append(Level((a, b, c), (first, second, third)))
    return levels


def build_pyramid(path: Path, manifest: Manifest) -> list[Level]:
    """Writes the smaller arrays of a Zarr group, beside the array ``0`` of all voxels.

    Args:
        path: The Zarr group.
        manifest: The manifest of the labels in the group.

    Returns:
        All arrays of the pyramid, in the order of their names ``0``, ``1`` and so on.
    """
    import zarr
    from zarr.codecs import ZstdCodec

    levels = levels_of(manifest)
    for number, level in enumerate(levels[1:], start=1):
        remove(path / str(number))  # of an interrupted call
        finer = zarr.open_array(store=str(path / str(number - 1)), mode="r")
        steps = [math.ceil(n / m) for n, m in zip(finer.shape, level.shape, strict=True)]
        page = math.prod(finer.shape[1:]) * manifest.dtype.itemsize
        depth = max(1, SLAB_BYTES // (page * steps[0]))
        coarser = zarr.create_array(
            store=str(path / str(number)),
            shape=level.shape,
            chunks=tuple(map(min, level.shape, (depth, MAX_CHUNK_SIDE, MAX_CHUNK_SIDE))),
            dtype=manifest.dtype,
            fill_value=manifest.unlabelled,
            compressors=ZstdCodec(level=3, checksum=True),
            dimension_names=tuple(manifest.geometry.order),
        )
        for first in range(0, level.shape[0], depth):
            stop = min(first + depth, level.shape[0])
            slab = np.asarray(finer[first * steps[0] : stop * steps[0]])
            coarser[first:stop] = pool_mode(slab, (steps[0], steps[1], steps[2]))
    return levels


def pool_mode(labels: NDArray, steps: tuple[int, int, int]) -> NDArray:
    """Returns the most frequent label of each window. In a tie, the smallest label is returned.

    Args:
        labels: An integer array ``(A, B, C)``. If a window extends beyond the array, the labels at
            the end of the array are repeated.
        steps: The side lengths ``(a, b, c)`` of a window.

    Returns:
        An array ``(ceil(A / a), ceil(B / b), ceil(C / c))``.
    """
    missing = [(0, -length % step) for length, step in zip(labels.shape, steps, strict=True)]
    padded = np.pad(labels, missing, mode="edge")
    a, b, c = steps
    windows = [padded[i::a, j::b, k::c] for i in range(a) for j in range(b) for k in range(c)]
    ordered = np.sort(np.stack(windows), axis=0)
    best, most = ordered[0].copy(), np.ones(ordered[0].shape, np.uint8)
    run = most.copy()
    for before, label in itertools.pairwise(ordered):
        run = np.where(label == before, run + np.uint8(1), np.uint8(1))
        better = run > most
        best[better], most[better] = label[better], run[better]
    return best


def _in_space(level: Level) -> list[int]:
    return [n for axis, n in zip(level.axes, level.shape, strict=True) if axis.name != "t"]


def _step(axis: Axis, length: int) -> int:
    return 1 if axis.name == "t" or length == 1 else 2


def _coarser(axis: Axis, step: int) -> Axis:
    """Returns the axis of a smaller array, in which each voxel covers ``step`` voxels.

    If the spacing is unknown, a spacing of 1 is assumed.
    """
    spacing = axis.spacing or 1.0
    shift = (step - 1) / 2 * spacing
    return replace(axis, spacing=spacing * step, origin=axis.origin + shift)
