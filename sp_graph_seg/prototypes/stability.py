"""Measures how far labels depend on what the prototypes were fitted to."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import TrainingWarning

Labels = NDArray[np.int64]

#: Rows and columns of an image.
Part = tuple[slice, slice]

#: A label is named if its stability is below the first number, and a model below the second warns.
_DOUBTFUL = 0.75
_LOW = 0.6

#: Of more labels than this, only the least stable are named.
_NAMED = 4


def label_stability(
    labels: Labels,
    others: Sequence[Labels],
    num_labels: int,
    sizes: NDArray[np.float64] | None = None,
) -> tuple[float, ...]:
    """Measures how well the pixels of each label stay together in other labellings.

    The stability of a label is its Jaccard index with the most similar label of another labelling,
    averaged over the other labellings (Hennig 2007, "Cluster-wise assessment of cluster
    stability"). It is 1 if every other labelling has a label with exactly the same pixels. Labels
    need not have the same numbers in all labellings.

    Args:
        labels: The labels of pixels or nodes, from 0, ``(N,)``.
        others: Other labels of the same pixels or nodes, each ``(N,)``.
        num_labels: Number of labels K.
        sizes: Number of pixels of each node, ``(N,)``. By default, 1.

    Returns:
        The stability of each label, ``(K,)``. A label without pixels has stability 0.
    """
    weights = np.ones(len(labels)) if sizes is None else sizes
    total = np.zeros(num_labels)
    for other in others:
        count = int(other.max(initial=0)) + 1
        both = np.bincount(labels * count + other, weights, num_labels * count)
        both = both.reshape(num_labels, count)
        either = both.sum(axis=1, keepdims=True) + both.sum(axis=0) - both
        total += (both / np.maximum(either, 1e-12)).max(axis=1)
    return tuple((total / max(len(others), 1)).tolist())


def middle(size: Sequence[int], most: int) -> Part:
    """Returns at most ``most`` rows and columns in the middle of an image of a size."""
    top, left = (max(0, (length - most) // 2) for length in size)
    return slice(top, top + most), slice(left, left + most)


def halves(size: Sequence[int]) -> Iterator[Part]:
    """Yields the upper, lower, left and right half of an image of ``size`` (height and width)."""
    rows, columns = (length // 2 for length in size)
    every = slice(None)
    yield slice(rows), every
    yield slice(rows, None), every
    yield every, slice(columns)
    yield every, slice(columns, None)


def describe_stability(stability: Sequence[float]) -> str:
    """Says in words how stable the labels of a model are, and names at most four that are not.

    ``stability`` holds the stability of each label; it is empty if it is not known.
    """
    if not stability:
        return "not known; compare the labels with those of another seed"
    doubtful = [label for label, value in enumerate(stability) if value < _DOUBTFUL]
    mean = f"{np.mean(stability):.2f}"
    if not doubtful:
        return f"{mean}; no label depends on the part of the images that is trained on"
    least = sorted(sorted(doubtful, key=stability.__getitem__)[:_NAMED])
    named = [f"{label} ({stability[label]:.2f})" for label in least]
    if len(doubtful) > len(named):
        named.append(f"{len(doubtful) - len(named)} more")
    verb = f"label {named[0]} depends" if len(named) == 1 else f"labels {_listed(named)} depend"
    return f"{mean}; {verb} on the part of the images that is trained on"


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def warn_of_instability(stability: Sequence[float]) -> None:
    """Warns if the labels of a model depend much on what it was trained on."""
    if stability and np.mean(stability) < _LOW:
        warnings.warn(
            f"labels: their stability is {describe_stability(stability)}; train on more images or "
            "slices, or ask for fewer labels.",
            TrainingWarning,
            stacklevel=3,
        )
