import numpy as np
import pytest
import torch

from sp_graph_seg.transforms.adjacency import (
    find_boundary,
    find_edges,
    half_neighborhood,
    shifted_views,
    sum_over_edges,
)

CASES = [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]


@pytest.mark.parametrize(
    ("ndim", "connectivity", "neighbors"),
    [(1, 1, 2), (2, 1, 4), (2, 2, 8), (3, 1, 6), (3, 2, 18), (3, 3, 26)],
)
def test_half_neighborhood_has_one_of_each_two_opposite_offsets(ndim, connectivity, neighbors):
    half = set(half_neighborhood(ndim, connectivity))
    opposite = {tuple(-step for step in offset) for offset in half}
    assert not half & opposite
    assert len(half | opposite) == neighbors
    assert all(1 <= np.abs(offset).sum() <= connectivity for offset in half)


@pytest.mark.parametrize("shape", [(4, 5), (1, 3), (3, 1), (2, 3, 4), (1, 1, 2)])
def test_shifted_views_pair_each_pixel_with_its_neighbour(shape):
    pixels = np.arange(np.prod(shape)).reshape(shape)
    for offset in half_neighborhood(len(shape), len(shape)):
        here, there = shifted_views(pixels, offset)
        found = set(zip(here.ravel().tolist(), there.ravel().tolist(), strict=True))
        expected = set()
        for index in np.ndindex(shape):
            neighbor = tuple(np.add(index, offset))
            if all(0 <= i < n for i, n in zip(neighbor, shape, strict=True)):
                expected.add((int(pixels[index]), int(pixels[neighbor])))
        assert found == expected


@pytest.mark.parametrize(("ndim", "connectivity"), CASES)
def test_boundary_and_sums_equal_a_loop(ndim, connectivity, label_map, find_regions):
    labels = label_map((7, 6, 5)[:ndim], seed=ndim)
    labels[0] = -1  # pixels that belong to no region
    regions = find_regions(labels, connectivity)
    boundary = find_boundary(labels, connectivity)
    offsets = np.array(half_neighborhood(ndim, connectivity))[boundary.offset]
    first = np.stack(np.unravel_index(boundary.first, labels.shape), axis=1)
    second = np.stack(np.unravel_index(boundary.second, labels.shape), axis=1)
    np.testing.assert_array_equal(first + offsets, second)
    found = {(tuple(a), tuple(b)) for a, b in zip(first.tolist(), second.tolist(), strict=True)}
    expected = [(a, b) for pairs in regions.pairs.values() for a, b, _ in pairs]
    assert len(found) == boundary.first.size
    assert found | {(b, a) for a, b in found} == set(expected)

    values = np.random.default_rng(0).random(boundary.first.size)
    ends = zip(map(tuple, first.tolist()), map(tuple, second.tolist()), strict=True)
    value_of = dict(zip(ends, values, strict=True))
    sums = sum_over_edges(labels, boundary, values, 6).toarray()
    for (i, j), pairs in regions.pairs.items():
        total = sum(value_of.get((a, b), value_of.get((b, a))) for a, b, _ in pairs)
        assert sums[i, j] == pytest.approx(total)
        sums[i, j] = 0
    assert not sums.any()


@pytest.mark.parametrize(("ndim", "connectivity"), CASES)
@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("num_nodes", [9, 1 << 16, (1 << 16) + 1])
def test_edges_equal_a_loop_and_are_sorted_by_target_then_source(
    ndim, connectivity, is_masked, num_nodes, label_map, find_regions, edge_set
):
    """Also where the largest id takes 16 bits, and where it takes one more."""
    labels = label_map((8, 6, 5)[:ndim], num_labels=9, seed=3)
    labels[labels == 8] = num_nodes - 1
    if is_masked:
        labels[1:3] = -1
    edge_index = find_edges(labels, num_nodes, connectivity)
    assert edge_index.dtype == torch.long
    source, target = edge_index
    assert (torch.diff(target * num_nodes + source) > 0).all()  # strictly: coalesced
    expected = set(find_regions(labels, connectivity).pairs)
    assert edge_set(edge_index) == expected | {(j, i) for i, j in expected}


@pytest.mark.parametrize(("ndim", "connectivity"), CASES)
def test_sums_are_in_the_order_of_the_edges(ndim, connectivity, label_map):
    labels = label_map((8, 6, 5)[:ndim], num_labels=9, seed=3)
    boundary = find_boundary(labels, connectivity)
    matrix = sum_over_edges(labels, boundary, np.ones(boundary.first.size), 9)
    target = np.repeat(np.arange(9), np.diff(matrix.indptr))
    edge_index = find_edges(labels, 9, connectivity)
    np.testing.assert_array_equal(edge_index, np.stack([matrix.indices, target]))


def test_no_boundary():
    labels = np.zeros((3, 4), dtype=np.int64)
    boundary = find_boundary(labels, 2)
    assert boundary.first.size == boundary.second.size == boundary.offset.size == 0
    assert sum_over_edges(labels, boundary, np.ones(0), 1).nnz == 0
    edge_index = find_edges(labels, 1, 2)
    assert edge_index.shape == (2, 0)
    assert edge_index.dtype == torch.long
