"""Margins as a map of 8 bits."""

import numpy as np

from sp_graph_seg.segmenter.uncertainty import uncertainty_map


def test_a_map_by_hand():
    labels = np.array([[0, 3, -1], [1, 0, 2]])
    margins = np.array([[1, 0, 0], [0.5, 0.75, 0.999]], np.float32)
    found = uncertainty_map(labels, margins)
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 254, 255], [127, 64, 0]]


def test_only_pixels_without_a_label_have_the_last_value():
    margins = np.linspace(0, 1, 5000, dtype=np.float32)
    found = uncertainty_map(np.zeros(5000, int), margins)
    assert set(found.tolist()) == set(range(255))
    assert (np.diff(found.astype(int)) <= 0).all()
