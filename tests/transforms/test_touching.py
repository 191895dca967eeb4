"""Regions of label maps: means, neighbours, crumbs."""

import numpy as np

from sp_graph_seg.transforms.touching import (
    absorb_small,
    fill_nearest,
    find_touching,
    number_regions,
    region_means,
    region_sizes,
)

LABELS = np.array([[0, 0, 1], [0, 2, 1], [-1, 2, 2]])


def test_pairs_and_their_faces_are_found_and_no_data_has_none():
    touching = find_touching(LABELS)
    assert touching.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    sides = np.sort(
        np.stack([LABELS.ravel()[touching.first], LABELS.ravel()[touching.second]]), axis=0
    )
    assert (touching.pairs[touching.which] == sides.T).all()
    assert np.bincount(touching.which).tolist() == [1, 2, 2]


def test_means_and_sizes_are_those_of_a_loop():
    values = np.random.default_rng(0).random((3, 3, 2))
    expected = [values[region == LABELS].mean(axis=0) for region in range(3)]
    np.testing.assert_allclose(region_means(values, LABELS), expected)
    assert region_sizes(LABELS).tolist() == [3, 2, 3]


def test_a_crumb_joins_the_neighbour_whose_value_is_nearest():
    labels = np.zeros((8, 9), int)
    labels[:, 5:] = 1
    labels[3:5, 4] = 2
    values = np.array([0.0, 1.0, 0.9])[labels][..., None]
    absorbed = absorb_small(labels, values, 10)
    assert (number_regions(absorbed) == np.where(labels == 2, 1, labels)).all()
    assert (absorb_small(labels, values, 2) == labels).all()


def test_a_crumb_without_neighbours_is_kept():
    labels = np.array([[0, -1, 1, 1]])
    assert (absorb_small(labels, np.zeros((1, 4, 1)), 2) == labels).all()


def test_what_lies_outside_takes_the_value_of_the_nearest_pixel_inside():
    rng = np.random.default_rng(0)
    image, inside = rng.random((2, 6, 7)), rng.random((6, 7)) < 0.3
    filled = fill_nearest(image, inside)
    assert (filled[:, inside] == image[:, inside]).all()
    places = np.argwhere(inside)
    for row, column in np.argwhere(~inside):
        distance = np.linalg.norm(places - [row, column], axis=1)
        nearest = places[distance == distance.min()]
        assert any((filled[:, row, column] == image[:, i, j]).all() for i, j in nearest)
