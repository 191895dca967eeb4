import numpy as np
import pytest
import torch
from PIL import Image
from torch_geometric.loader import DataLoader

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import PairsRAG, majority_labels
from sp_graph_seg.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 9, 8), dtype=np.uint8)
TRUTH = np.arange(72).reshape(9, 8) // 24 - 1
TO_RAG = ToRAG(6, 1e3)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (PIXELS, PIXELS),
        (torch.from_numpy(PIXELS), PIXELS),
        (torch.from_numpy(PIXELS) / 255, PIXELS),
        (Image.fromarray(PIXELS.transpose(1, 2, 0)), PIXELS),
        (Image.fromarray(PIXELS[0]), PIXELS[:1]),
    ],
)
@pytest.mark.parametrize("label", [7, np.int64(7), torch.tensor(7), torch.tensor([7])])
def test_images_and_labels_of_any_kind(tmp_path, image, expected, label):
    (data,) = PairsRAG(tmp_path, [(image, label)], "a", to_graph=TO_RAG)
    graph = TO_RAG(expected)
    assert data.num_nodes > 3
    assert torch.equal(data.edge_index, graph.edge_index)
    torch.testing.assert_close(data.x, graph.x)
    assert data.y.tolist() == [7]


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_labels_of_pixels(tmp_path, convert):
    (data,) = PairsRAG(tmp_path, [(PIXELS, convert(TRUTH))], "a", to_graph=TO_RAG)
    assert torch.equal(data.y, majority_labels(TRUTH, TO_RAG(PIXELS)))
    assert torch.equal(data.train_mask, data.y >= 0)


class Pairs:
    """As a dataset of torchvision, which is no sequence but by its length and its indices."""

    def __init__(self, length):
        self.length = length
        self.taken = []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.taken.append(index)
        return np.roll(PIXELS, index, axis=1), index % 3


def test_graphs_come_in_the_order_of_the_pairs_and_are_made_once(tmp_path):
    pairs = Pairs(12)
    dataset = PairsRAG(tmp_path, pairs, "a", to_graph=TO_RAG)
    assert dataset.names[:2] == ["00", "01"]
    assert [data.y.item() for data in dataset] == [k % 3 for k in range(12)]
    assert dataset.num_classes == 3
    assert pairs.taken == list(range(12))
    PairsRAG(tmp_path, pairs, "a", to_graph=TO_RAG)
    assert len(pairs.taken) == 12
    PairsRAG(tmp_path, pairs, "b", to_graph=TO_RAG)
    assert len(pairs.taken) == 24
    (batch,) = DataLoader(dataset, batch_size=12)
    assert batch.y.shape == (12,)


@pytest.mark.parametrize("label", [0.5, "cat", torch.zeros(2), [1, 2], np.zeros((1, 2, 2), int)])
def test_other_labels_are_refused(tmp_path, label):
    with pytest.raises(InputError, match=r"^pairs\[0\]: a label of .* cannot be used"):
        PairsRAG(tmp_path, [(PIXELS, label)], "a", to_graph=TO_RAG)


def test_labels_of_another_size_are_named(tmp_path):
    with pytest.raises(
        InputError, match=r"^0: the labels have the size \(8, 9\), but the image .* \(9, 8\)"
    ):
        PairsRAG(tmp_path, [(PIXELS, TRUTH.reshape(8, 9))], "a", to_graph=TO_RAG)
