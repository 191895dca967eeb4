from collections import Counter

import numpy as np
import pytest
import torch

from sp_graph_seg import ToRAG
from sp_graph_seg.transforms import majority_labels, to_label_image


def rag(labels, **parameters):
    return ToRAG(superpixels=labels, **parameters)(np.zeros((1, *np.shape(labels))))


@pytest.mark.parametrize("shape", [(12, 15), (5, 6, 7)])
@pytest.mark.parametrize("is_masked", [False, True])
def test_majority_labels_count_votes(label_map, shape, is_masked):
    rng = np.random.default_rng(0)
    mask = rng.random(shape) < 0.8 if is_masked else None
    data = rag(label_map(shape), mask=mask)
    truth = rng.integers(-2, 4, shape) * 1000
    nodes = to_label_image(torch.arange(data.num_nodes), data).numpy()
    for node, label in enumerate(majority_labels(truth, data).tolist()):
        votes = Counter(truth[(nodes == node) & (truth >= 0)].tolist())
        winners = [name for name, count in votes.items() if count == max(votes.values())]
        assert label == min(winners, default=-1)


def test_majority_labels_give_ties_to_the_smaller_label():
    data = rag([[0, 0, 0, 0, 1, 1]])
    assert majority_labels([[7, 3, 3, 7, 9, 2]], data).tolist() == [3, 2]


def test_majority_labels_without_any_truth_are_missing():
    data = rag([[0, 1]])
    y = majority_labels(torch.full((1, 2), -1), data)
    assert y.dtype == torch.long
    assert y.tolist() == [-1, -1]


def test_majority_labels_of_unsigned_and_large_labels():
    data = rag([[0, 1]])
    assert majority_labels(np.array([[255, 0]], np.uint8), data).tolist() == [255, 0]
    assert majority_labels(np.array([[2**40, 0]]), data).tolist() == [2**40, 0]
