"""The steps of a relabelling: functions that return a new label map, ``(H, W)`` or ``(D, H, W)``.

``unlabelled`` is the value of pixels without a label, or None if every pixel has a label. Pixels
without a label are never counted or changed, and no other pixel takes this value. Neighbours share
a face: a pixel has 4 neighbours in an image, and a voxel has 6 in a volume.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.labels.components import find_components

Labels = NDArray[Any]


def merge_labels(labels: Labels, merge: Mapping[int, Iterable[int]]) -> Labels:
    """Replaces labels by their targets, all at the same time.

    The keys of ``merge`` are the targets. Its values are the labels to replace.
    """
    if labels.dtype in (np.uint8, np.uint16):
        table = np.arange(np.iinfo(labels.dtype).max + 1, dtype=labels.dtype)
        for target, sources in merge.items():
            table[[source for source in sources if source < len(table)]] = target
        return table[labels]
    merged = labels.copy()
    for target, sources in merge.items():
        merged[np.isin(labels, np.fromiter(sources, dtype=np.int64))] = target
    return merged


def smooth(labels: Labels, radius: int, unlabelled: int | None = None) -> Labels:
    """Gives each pixel the most frequent label in the window around it.

    The window is ``2 * radius + 1`` pixels long on each axis. Only the part of the window inside
    the image counts. If several labels are equally frequent, the pixel keeps its own label if
    possible. Otherwise, it takes the smallest of these labels. The function makes one pass over the
    image for each label.
    """
    if radius == 0:
        return labels.copy()
    known = labels != unlabelled
    smoothed = labels.copy()
    most = np.zeros(labels.shape, dtype=np.int32)
    own = np.zeros(labels.shape, dtype=np.int32)
    for label in np.unique(labels[known]):
        here = labels == label
        count = _count_in_window(here, min(radius, max(labels.shape)))
        smoothed[(count > most) & known] = label
        np.maximum(most, count, out=most)
        own[here] = count[here]
    return np.where(own == most, labels, smoothed)


def remove_small(labels: Labels, sizes: Mapping[int, int], unlabelled: int | None = None) -> Labels:
    """Removes the components of each label that are smaller than the size given for this label.

    The pixels of these components take the labels around them.
    """
    if not sizes:
        return labels.copy()
    components, label_of, size_of = find_components(labels)
    removed = np.zeros(len(label_of), dtype=bool)
    for label, size in sizes.items():
        removed |= (label_of == label) & (size_of < size)
    return _take_surroundings(labels, removed[components], unlabelled)


def keep_largest(labels: Labels, which: Iterable[int], unlabelled: int | None = None) -> Labels:
    """Keeps only the largest component of each given label.

    If several components are equally large, the first of them is kept. The pixels of all other
    components of the label take the labels around them.
    """
    which = list(which)
    if not which:
        return labels.copy()
    components, label_of, size_of = find_components(labels)
    removed = np.isin(label_of, which)
    for label in which:
        own = np.flatnonzero(label_of == label)
        if own.size:
            removed[own[size_of[own].argmax()]] = False
    return _take_surroundings(labels, removed[components], unlabelled)


def fill_holes(labels: Labels, label: int, unlabelled: int | None = None) -> Labels:
    """Fills the holes of a label.

    A hole is a part of the image that the label separates from the border of the image. All pixels
    of a hole take the label.
    """
    from scipy.ndimage import binary_fill_holes

    filled = labels.copy()
    here = labels == label
    if here.any():  # else the label may not even fit the type
        filled[binary_fill_holes(here) & (labels != unlabelled)] = label
    return filled


def _count_in_window(here: NDArray[np.bool_], radius: int) -> NDArray[np.int32]:
    """Counts the true pixels in the window around each pixel."""
    from scipy.ndimage import correlate1d

    count = here.astype(np.int32)
    for axis in range(here.ndim):
        count = correlate1d(count, np.ones(2 * radius + 1), axis=axis, mode="constant")
    return count


def _take_surroundings(
    labels: Labels, removed: NDArray[np.bool_], unlabelled: int | None
) -> Labels:
    """Gives removed pixels the labels around them.

    Removed pixels that have a neighbour with a label are filled first. Then their removed
    neighbours are filled, and so on, layer by layer. Each pixel takes the most frequent label of
    its neighbours, or the smallest of these labels if several are equally frequent. The pixel
    always joins a component that already exists, and no new small component appears. Removed pixels
    that the filling cannot reach keep their labels.
    """
    filled = np.pad(labels, 1)
    known = np.pad(~removed & (labels != unlabelled), 1)
    strides = np.array(filled.strides) // filled.itemsize
    neighbours = np.concatenate([-strides, strides])
    flat, is_known = filled.reshape(-1), known.reshape(-1)
    waiting = np.flatnonzero(np.pad(removed, 1))
    while waiting.size:
        around = waiting[:, np.newaxis] + neighbours  # (pixels, neighbours)
        reached = is_known[around].any(axis=1)
        if not reached.any():
            break
        layer, around = waiting[reached], around[reached]
        flat[layer] = _most_frequent(flat[around], is_known[around])
        is_known[layer] = True
        waiting = waiting[~reached]
    return filled[(slice(1, -1),) * labels.ndim].copy()


def _most_frequent(values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Finds the most frequent value of each row, where only values in the mask ``valid`` count.

    If several values are equally frequent, the smallest of them is taken.
    """
    is_equal = values[:, :, np.newaxis] == values[:, np.newaxis, :]
    votes = np.where(valid, (is_equal & valid[:, np.newaxis, :]).sum(axis=2), 0)
    wins = votes == votes.max(axis=1, keepdims=True)
    return np.where(wins, values, np.iinfo(values.dtype).max).min(axis=1)
