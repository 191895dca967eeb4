import pytest
import torch

from sp_graph_seg.nn import argmax_labels, kmeans_labels, pixel_labels


def features(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_argmax_labels():
    x = features(20, 5).requires_grad_()
    labels = argmax_labels(x)
    assert labels.tolist() == [row.index(max(row)) for row in x.tolist()]
    assert labels.dtype == torch.long
    assert not labels.requires_grad


@pytest.mark.parametrize("num_features", [1, 2, 6])
def test_pixel_labels_equal_a_vote(num_features):
    z = features(num_features, 60).requires_grad_()
    pixel_index = torch.randint(0, 7, (60,), generator=torch.Generator().manual_seed(1))
    pixel_index[pixel_index == 3] = 4  # node 3 has no pixel
    expected = []
    for node in range(8):
        votes = z[:, pixel_index == node].argmax(dim=0).tolist()
        expected.append(max(range(num_features), key=votes.count))  # the first in a tie
    assert pixel_labels(z, pixel_index, 8).tolist() == expected


def test_the_smaller_label_wins_a_tie():
    z = torch.eye(3)[:, [2, 1, 1, 2, 0]]
    assert pixel_labels(z, torch.tensor([0, 0, 0, 0, 1]), 2).tolist() == [1, 0]


def test_the_three_rules_agree_where_nodes_are_pure():
    labels = torch.arange(40) % 4
    x = 9 * torch.eye(4)[labels] + 0.1 * features(40, 4)
    pixel_index = torch.arange(40).repeat(3)
    assert argmax_labels(x).tolist() == labels.tolist()
    assert pixel_labels(x.t()[:, pixel_index], pixel_index, 40).tolist() == labels.tolist()
    assert kmeans_labels(x).tolist() == labels.tolist()


def test_kmeans_label_is_the_one_ahead_at_the_centre():
    """A few nodes of a cluster lean the other way; its mean decides for them."""
    many, few = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.4, 1.6]])
    other = torch.tensor([[-9.0, 9.0]])
    x = torch.cat([many.repeat(10, 1), few.repeat(2, 1), other.repeat(5, 1)])
    assert argmax_labels(x).tolist() == [0] * 10 + [1] * 2 + [1] * 5
    assert kmeans_labels(x).tolist() == [0] * 12 + [1] * 5


@pytest.mark.parametrize("shape", [(1, 4), (3, 5), (30, 1), (50, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_kmeans_labels_of_any_shape(shape, dtype):
    x = features(*shape).to(dtype).requires_grad_()
    labels = kmeans_labels(x)
    assert labels.shape == shape[:1]
    assert labels.dtype == torch.long
    assert 0 <= labels.min() <= labels.max() < shape[1]
    assert torch.equal(labels, kmeans_labels(x))
    if shape[0] <= shape[1]:  # a cluster for every node
        assert torch.equal(labels, argmax_labels(x))


def test_kmeans_of_constant_features():
    assert kmeans_labels(torch.tensor([[0.0, 1.0, 0.0]]).repeat(20, 1)).tolist() == [1] * 20
