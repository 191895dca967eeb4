"""The steps as pure functions on label arrays ``(H, W)`` or ``(D, H, W)``.

``unlabelled`` is the value of pixels without a label, or None if there are none; they never change,
never count and never spread. Neighbours share a face: 4 in an image, 6 in a volume.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.transforms.superpixels import connected_regions

Labels = NDArray[Any]


def merge_labels(labels: Labels, merge: Mapping[int, Iterable[int]]) -> Labels:
    """Gives each target to the pixels of its sources; all of them at once."""
    merged = labels.copy()
    for target, sources in merge.items():
        merged[np.isin(labels, np.fromiter(sources, dtype=np.int64))] = target
    return merged


def smooth(labels: Labels, radius: int, unlabelled: int | None = None) -> Labels:
    """Gives each pixel the most frequent label in the window of ``2 * radius + 1`` around it.

    Of several most frequent ones a pixel keeps its own, else it takes the smallest. Outside of the
    image there is nothing to count. One pass over the image for each label.
    """
    if radius == 0:
        return labels.copy()
    known = labels != unlabelled
    smoothed = labels.copy()
    most = np.zeros(labels.shape, dtype=np.int32)
    own = np.zeros(labels.shape, dtype=np.int32)
    for label in np.unique(labels[known]):
        here = labels == label
        count = _count_in_window(here, radius)
        smoothed[(count > most) & known] = label
        np.maximum(most, count, out=most)
        own[here] = count[here]
    return np.where(own == most, labels, smoothed)


def remove_small(labels: Labels, sizes: Mapping[int, int], unlabelled: int | None = None) -> Labels:
    """Removes the components of a label that have fewer pixels than its size."""
    if not sizes:
        return labels.copy()
    components, label_of, size_of = find_components(labels)
    removed = np.zeros(len(label_of), dtype=bool)
    for label, size in sizes.items():
        removed |= (label_of == label) & (size_of < size)
    return _take_surroundings(labels, removed[components], unlabelled)


def keep_largest(labels: Labels, which: Iterable[int], unlabelled: int | None = None) -> Labels:
    """Removes all components of these labels but the largest of each; of equals the first stays."""
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
    """Gives the label to all that it encloses: what no path of other labels joins to the border."""
    from scipy.ndimage import label as label_components

    other = labels != label
    if other.all():
        return labels.copy()
    components, count = label_components(other)
    is_hole = np.ones(count + 1, dtype=bool)
    is_hole[0] = False  # the label itself
    for axis in range(labels.ndim):
        is_hole[components.take([0, -1], axis=axis)] = False
    filled = labels.copy()
    filled[is_hole[components] & (labels != unlabelled)] = label
    return filled


def _count_in_window(here: NDArray[np.bool_], radius: int) -> NDArray[np.int32]:
    """Counts the pixels that are set in the window around each pixel."""
    from scipy.ndimage import correlate1d

    count = here.astype(np.int32)
    for axis in range(here.ndim):
        count = correlate1d(count, np.ones(2 * radius + 1), axis=axis, mode="constant")
    return count


def find_components(
    labels: Labels,
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """The component of each pixel, in the order of their first pixels; their labels and sizes."""
    shift = min(int(labels.min()), 0)  # unlabelled may be negative
    components = connected_regions(labels.astype(np.int64) - shift if shift else labels)
    first = np.unique(components, return_index=True)[1]
    return components, labels.ravel()[first], np.bincount(components.ravel())


def _take_surroundings(
    labels: Labels, removed: NDArray[np.bool_], unlabelled: int | None
) -> Labels:
    """Fills removed pixels from their rim inwards, layer by layer.

    A pixel takes the most frequent label among its neighbours that have one, the smallest of
    several. So it is connected to a component of its new label that was there before, and none
    arises that is small. Pixels that no label can reach keep their own.
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
    """The most frequent valid value in each row, the smallest of several."""
    is_equal = values[:, :, np.newaxis] == values[:, np.newaxis, :]
    votes = np.where(valid, (is_equal & valid[:, np.newaxis, :]).sum(axis=2), 0)
    wins = votes == votes.max(axis=1, keepdims=True)
    return np.where(wins, values, np.iinfo(values.dtype).max).min(axis=1)
