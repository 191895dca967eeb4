"""Boundary displacement against distances of all pairs of boundary pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from sp_graph_seg.evaluation import boundary_displacement

MAPS = arrays(np.int64, (5, 6), elements=st.integers(0, 2))


def pixels(labels):
    """Where a neighbour differs; the rim where none does."""
    height, width = labels.shape
    found = []
    for y, x in np.ndindex(labels.shape):
        near = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        near = [(a, b) for a, b in near if 0 <= a < height and 0 <= b < width]
        if any(labels[place] != labels[y, x] for place in near):
            found.append((y, x))
    rim = [
        (y, x) for y, x in np.ndindex(labels.shape) if y in (0, height - 1) or x in (0, width - 1)
    ]
    return np.array(found or rim)


@given(MAPS, MAPS, MAPS)
def test_the_definition_holds(labels, one, other):
    expected = []
    for truth in (one, other):
        distance = cdist(pixels(labels), pixels(truth))
        expected.append((distance.min(axis=0).mean() + distance.min(axis=1).mean()) / 2)
    assert boundary_displacement(labels, [one, other]) == pytest.approx(np.mean(expected))


def test_a_shifted_edge_is_as_far_as_it_was_shifted():
    labels, truth = np.zeros((2, 8, 30), int)
    labels[:, 10:], truth[:, 14:] = 1, 1
    assert boundary_displacement(labels, [truth]) == pytest.approx(3.5)  # edges are two pixels wide
    assert boundary_displacement(np.stack([labels] * 2), [np.stack([truth] * 2)]) == 3.5
    assert boundary_displacement(truth, [truth]) == 0


def test_unlabelled_pixels_have_no_boundary():
    labels = np.array([[0, 0, 0, 1, 1, 1]] * 4)
    truth = labels.copy()
    truth[:, 5] = -1
    assert boundary_displacement(labels, [truth]) == 0
