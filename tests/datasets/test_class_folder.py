import numpy as np
import pytest
import torch
from torch_geometric.loader import DataLoader

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import ClassFolderRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import decode_image, write_image

FILES = ["cats/a", "cats/b", "dogs/a", "eels/z"]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in FILES:
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, rng.random((3, 9, 8)))
    (tmp_path / "images" / ".hidden").mkdir()
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def make(folder, **options):
    return ClassFolderRAG(folder.parent / "root", folder, to_graph=ToRAG(6, 1e3), **options)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_graphs_have_the_label_of_their_folder(folder, num_workers):
    dataset = make(folder, num_workers=num_workers)
    assert dataset.classes == ["cats", "dogs", "eels"]
    assert [data.name for data in dataset] == dataset.names == FILES
    assert [data.y.tolist() for data in dataset] == [[0], [0], [1], [2]]
    assert dataset.num_classes == 3
    for data in dataset:
        expected = ToRAG(6, 1e3)(decode_image(folder / f"{data.name}.png"))
        assert torch.equal(data.x, expected.x)
        assert "train_mask" not in data
    (batch,) = DataLoader(dataset, batch_size=4)
    assert batch.y.tolist() == [0, 0, 1, 2]


def test_another_class_makes_other_labels(folder):
    before = make(folder).processed_dir
    (folder / "bats").mkdir()
    write_image(folder / "bats" / "a.png", np.zeros((1, 9, 8)))
    dataset = make(folder)
    assert dataset.processed_dir != before
    assert [data.y.item() for data in dataset] == [0, 1, 1, 2, 3]


def is_cat(data):
    return data.y.item() == 0


def test_some_are_left_out(folder):
    assert make(folder, pre_filter=is_cat).names == FILES[:2]


def test_folders_that_cannot_be_used_are_named(folder):
    with pytest.raises(InputError, match=r"nowhere: holds no folder; .* one folder for each class"):
        make(folder / "nowhere")
    with pytest.raises(InputError, match="cats: holds no folder"):
        make(folder / "cats")
    (folder / "bats").mkdir()
    with pytest.raises(InputError, match="bats: holds no image"):
        make(folder)
