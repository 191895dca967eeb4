"""What PyG's tests ask of its datasets, asked of a folder of images.

``docs/pyg_checks.md`` lists which test of PyG each one answers.
"""

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.loader import DataListLoader, DataLoader, DenseDataLoader

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import ImageFolderRAG
from sp_graph_seg.io import write_image, write_labels

NAMES = ("a", "b", "c", "d")


@pytest.fixture(params=[False, True], ids=["on disk", "in memory"])
def dataset(request, tmp_path):
    """Four images of different contents, and label maps of two halves."""
    rng = np.random.default_rng(0)
    for folder in ("photos", "truth"):
        (tmp_path / folder).mkdir()
    for name in NAMES:
        write_image(tmp_path / "photos" / f"{name}.png", rng.random((3, 10, 12)))
        labels = np.repeat([[0, 1]], 10, axis=0).repeat(6, axis=1)
        write_labels(tmp_path / "truth" / f"{name}.png", labels)
    return ImageFolderRAG(
        tmp_path / "root",
        tmp_path / "photos",
        tmp_path / "truth",
        to_graph=ToRAG(12, 1e3),
        in_memory=request.param,
    )


def names_of(graphs):
    return "".join(graph.name for graph in graphs)


def test_what_a_dataset_says_of_itself(dataset):
    assert len(dataset) == 4
    assert str(dataset) == "ImageFolderRAG(4)"
    assert dataset.num_features == dataset.num_node_features == 3
    assert dataset.num_edge_features == 1
    assert dataset.num_classes == 2
    graph = dataset[0]
    assert graph.is_undirected()
    assert not graph.has_self_loops()
    assert not graph.has_isolated_nodes()


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        (slice(2), "ab"),
        (slice(0.5, None), "cd"),
        ([3, 1], "db"),
        (range(1, 3), "bc"),
        (torch.tensor([2, 0]), "ca"),
        (torch.tensor([True, False, False, True]), "ad"),
        (np.array([1, 2]), "bc"),
        (np.array([False, True, False, False]), "b"),
    ],
    ids=str,
)
def test_subsets(dataset, index, kept):
    assert names_of(dataset[index]) == kept
    assert names_of(dataset[index][::-1]) == kept[::-1]


def test_shuffled(dataset):
    shuffled, order = dataset.shuffle(return_perm=True)
    assert names_of(shuffled) == "".join(NAMES[k] for k in order)
    assert sorted(names_of(shuffled)) == list(NAMES)


def test_a_summary(dataset):
    summary = dataset.get_summary()
    assert (summary.name, summary.num_graphs) == ("ImageFolderRAG", 4)
    for found, sizes in (
        (summary.num_nodes, [graph.num_nodes for graph in dataset]),
        (summary.num_edges, [graph.num_edges for graph in dataset]),
    ):
        sizes = torch.tensor(sizes).float()
        assert (found.mean, found.std) == (sizes.mean(), sizes.std())
        assert (found.min, found.median, found.max) == (sizes.min(), sizes.median(), sizes.max())
        assert found.quantile25 == sizes.quantile(0.25)


def test_a_data_pipe(dataset):
    pipe = dataset.to_datapipe()
    assert len(pipe) == 4
    assert names_of(pipe) == "abcd"
    batch = next(iter(pipe.batch_graphs(batch_size=3)))
    assert batch.name == ["a", "b", "c"]


def test_a_filter_of_several(dataset):
    is_kept = T.ComposeFilters([lambda data: data.num_nodes > 2, lambda data: data.name != "b"])
    assert [is_kept(data) for data in dataset] == [True, False, True, True]
    pre_filter = T.ComposeFilters([has_nodes, is_not_b])
    folder = dataset.root
    kept = ImageFolderRAG(
        folder, f"{folder}/../photos", to_graph=dataset.to_graph, pre_filter=pre_filter
    )
    assert names_of(kept) == "acd"


def has_nodes(data):
    return data.num_nodes > 2


def is_not_b(data):
    return data.name != "b"


def test_loaders(dataset):
    (batch,) = DataLoader(dataset, batch_size=4)
    assert batch.num_graphs == 4
    assert batch.ptr.numel() == 5
    assert batch.y.shape == batch.batch.shape == (batch.num_nodes,)
    assert batch.is_undirected()
    assert not batch.has_self_loops()
    (graphs,) = DataListLoader(dataset, batch_size=4)
    assert names_of(graphs) == "abcd"


def test_dense_batches(dataset):
    sizes = [graph.num_nodes for graph in dataset]
    dataset.transform = T.ToDense(num_nodes=20)
    (batch,) = DenseDataLoader(dataset, batch_size=4)
    assert batch.x.shape == (4, 20, 3)
    assert batch.adj.shape[:3] == (4, 20, 20)
    assert batch.mask.sum(dim=1).tolist() == sizes
    assert batch.pixel_index.shape == (4, 120)
