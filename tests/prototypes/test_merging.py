import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from sp_graph_seg.prototypes.merging import (
    TouchingLabels,
    _inside_weights,
    apply_order,
    count_visible,
)


def chain(*lengths):
    """Nodes in a row, with the lengths of the boundaries between them."""
    count = len(lengths) + 1
    one, other = np.arange(count - 1), np.arange(1, count)
    edges = torch.tensor(np.array([[*one, *other], [*other, *one]]))
    length = torch.tensor([*lengths, *lengths], dtype=torch.float32)
    return Data(edge_index=edges, edge_boundary_length=length, num_nodes=count)


def add(touching, graph, labels, colors, area=None, rim=None):
    labels, colors = np.array(labels), np.array(colors, float)
    graph.rim_length = torch.ones(len(labels)) if rim is None else torch.tensor(rim)
    touching.add(graph, labels, colors, np.ones(len(labels)) if area is None else np.array(area))
    return touching


def test_labels_that_touch_differ_by_the_jump_and_others_by_their_means():
    """A ramp of one label, 0 to 40, whose end touches a second of 42; a third of 60 beyond it."""
    colors = [[0.0], [20.0], [40.0], [42.0], [60.0]]
    touching = add(TouchingLabels(3, np.eye(1)), chain(1, 1, 1, 1), [0, 0, 0, 1, 2], colors)
    one, other, cost = touching.merge_order()[0]
    assert {one, other} == {0, 1}
    assert cost == pytest.approx(2)  # and not 22, as the means would say
    assert touching.merge_order()[1][2] == pytest.approx(18)
    apart = add(TouchingLabels(2, np.eye(1)), chain(1, 1), [0, 0, 0], [[1.0], [2.0], [3.0]])
    apart = add(apart, chain(1), [1, 1], [[10.0], [20.0]])
    assert [cost for *_, cost in apart.merge_order()] == pytest.approx([13])


def test_long_boundaries_count_more():
    """Twice between labels 0 and 1: a jump of 10 over 3 pixels, one of 2 over 9."""
    touching = add(TouchingLabels(2, np.eye(1)), chain(3), [0, 1], [[0.0], [10.0]])
    touching = add(touching, chain(9), [0, 1], [[0.0], [2.0]])
    ((_, _, cost),) = touching.merge_order()
    assert cost == pytest.approx((10 * 3 + 2 * 9) / 12)


def test_jumps_to_and_fro_cancel():
    """A texture of two labels has no visible boundary on the mean."""
    touching = add(TouchingLabels(2, np.eye(1)), chain(5), [0, 1], [[0.0], [10.0]])
    touching = add(touching, chain(5), [0, 1], [[10.0], [0.0]])
    ((_, _, cost),) = touching.merge_order()
    assert cost == pytest.approx(0)


def test_a_merged_label_has_the_boundaries_of_both():
    """0 and 1 merge first; then 2 differs by what it jumps to 0 and 1, weighed by length."""
    touching = add(TouchingLabels(3, np.eye(1)), chain(4, 6), [0, 1, 2], [[0.0], [1.0], [21.0]])
    touching = add(touching, chain(2), [0, 2], [[0.0], [10.0]])
    first, second = touching.merge_order()
    assert {first[0], first[1]} == {0, 1}
    assert second[2] == pytest.approx((20 * 6 + 10 * 2) / 8)


@given(num_labels=st.integers(1, 7), seed=st.integers(0, 20))
def test_mergers_are_nested_and_leave_as_many_as_wanted(num_labels, seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_labels), rng.integers(0, num_labels, 13)])
    graph = chain(*rng.integers(1, 9, len(labels) - 1))
    colors = rng.random((len(labels), 2)) * 50
    order = add(TouchingLabels(num_labels, np.eye(2)), graph, labels, colors).merge_order()
    assert len(order) == num_labels - 1
    finer = apply_order(order, num_labels, num_labels)
    assert finer.tolist() == list(range(num_labels))
    for wanted in range(num_labels - 1, 0, -1):
        coarser = apply_order(order, num_labels, wanted)
        assert sorted(set(coarser.tolist())) == list(range(wanted))
        assert len(set(zip(finer.tolist(), coarser.tolist(), strict=True))) == wanted + 1
        finer = coarser
    assert apply_order(order, num_labels, num_labels + 3).tolist() == list(range(num_labels))


def test_without_a_number_all_merge_whose_boundary_is_under_5_units():
    colors = [[0.0], [4.0], [10.0], [13.0]]
    order = add(TouchingLabels(4, np.eye(1)), chain(1, 1, 1), [0, 1, 2, 3], colors).merge_order()
    assert apply_order(order, 4, 0).tolist() == [0, 0, 1, 1]


def test_what_only_whitening_tells_apart_merges_first():
    """Ice in the light (0, 2) is stretched to more than what parts it from a line (2, 7)."""
    whitening = np.array([[3.0, 0.0], [0.0, 0.5]])
    plain = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 7.0]])
    touching = TouchingLabels(3, whitening)
    order = add(touching, chain(1, 1), [0, 1, 2], plain @ whitening).merge_order()
    assert [set(order[0][:2]), order[0][2]] == [{0, 1}, pytest.approx(2)]
    assert order[1][2] == pytest.approx(3.5)
    assert count_visible(order) == 2
    assert count_visible([]) == 1


def test_a_visible_spot_is_merged_before_large_labels():
    """A spot jumps by 12 from the first of two halves, which jump by 10 to each other."""
    colors, areas = [[0.0], [10.0], [-12.0]], [50.0, 48.0, 2.0]
    graph = Data(
        edge_index=torch.tensor([[0, 1, 0, 2], [1, 0, 2, 0]]),
        edge_boundary_length=torch.ones(4),
        num_nodes=3,
    )
    order = add(TouchingLabels(3, np.eye(1)), graph, [0, 1, 2], colors, areas).merge_order()
    assert [set(order[0][:2]), order[0][2]] == [{0, 2}, pytest.approx(12)]


def test_what_stands_out_against_all_neighbours_merges_later():
    """0 and 1 differ by 10; 2 and 3 only by 9, but both differ by 60 or more from 4."""
    graph = Data(
        edge_index=torch.tensor([[0, 1, 2, 3, 2, 4, 3, 4], [1, 0, 3, 2, 4, 2, 4, 3]]),
        edge_boundary_length=torch.ones(8),
        num_nodes=5,
    )
    colors = [[0.0], [10.0], [200.0], [209.0], [140.0]]
    order = add(TouchingLabels(5, np.eye(1)), graph, range(5), colors).merge_order()
    assert [set(order[0][:2]), order[0][2]] == [{0, 1}, pytest.approx(10)]


def test_what_lies_inside_merges_later_than_what_touches_the_border():
    """Two pairs with a jump of 10; only the first lies along the border of the image."""
    colors, areas, rim = [[0.0], [10.0], [100.0], [109.0]], [100.0] * 4, [40.0, 40.0, 0.0, 0.0]
    near = Data(
        edge_index=torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]),
        edge_boundary_length=torch.ones(4),
        num_nodes=4,
    )
    for border, first in ((rim, {0, 1}), ([0.0] * 4, {2, 3})):
        order = add(TouchingLabels(4, np.eye(1)), near, range(4), colors, areas, border)
        assert set(order.merge_order()[0][:2]) == first


def test_two_images_weigh_the_border_like_one():
    colors, areas, rim = [[0.0], [10.0], [100.0], [109.0]], [100.0] * 4, [6.0, 4.0, 0.0, 0.0]
    near = Data(
        edge_index=torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]]),
        edge_boundary_length=torch.ones(4),
        num_nodes=4,
    )
    one = add(TouchingLabels(4, np.eye(1)), near, range(4), colors, areas, rim)
    two = add(TouchingLabels(4, np.eye(1)), near, range(4), colors, areas, rim)
    two = add(two, near, range(4), colors, areas, rim)
    assert one.merge_order() == two.merge_order()
    weights = [_inside_weights(each.area, each.rim, each.num_images) for each in (one, two)]
    np.testing.assert_allclose(*weights)
    np.testing.assert_allclose(weights[0][2], np.e**2)
    assert weights[0][0, 0] == pytest.approx(np.exp(2 * np.exp(-(6**2) / 100)))


def test_a_large_object_of_little_contrast_outlives_a_spot():
    """Ward's criterion of visible labels that do not touch, against its definition."""
    colors, areas = np.array([[0.0], [8.0], [30.0], [60.0]]), np.array([40.0, 30.0, 29.0, 1.0])
    graph = Data(
        edge_index=torch.zeros((2, 0), dtype=torch.long),
        edge_boundary_length=torch.zeros(0),
        num_nodes=4,
    )
    order = add(TouchingLabels(4, np.eye(1)), graph, range(4), colors, areas).merge_order()

    def rise(i, j):
        pair = colors[[i, j], 0]
        return areas[[i, j]] @ (pair - np.average(pair, weights=areas[[i, j]])) ** 2

    pairs = [(i, j) for i in range(4) for j in range(i)]
    assert set(min(pairs, key=lambda pair: rise(*pair))) == {2, 3}
    assert set(order[0][:2]) == {2, 3}


def test_labels_that_have_no_node_join_others():
    touching = add(TouchingLabels(4, np.eye(1)), chain(1), [1, 3], [[0.0], [50.0]])
    order = touching.merge_order()
    assert len(order) == 1
    labels = apply_order(order, 4, 2)
    assert sorted(set(labels.tolist())) == [0, 1]
    assert labels[1] != labels[3]


def test_the_order_leaves_the_sums_as_they_were():
    touching = add(TouchingLabels(3, np.eye(1)), chain(4, 6), [0, 1, 2], [[0.0], [1.0], [21.0]])
    assert touching.merge_order() == touching.merge_order()
