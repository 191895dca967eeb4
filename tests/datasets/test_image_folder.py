import functools
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import AddSelfLoops, Compose, Constant

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import ImageFolderRAG, base, majority_labels
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import (
    decode_image,
    read_labels,
    write_image,
    write_labels,
)

SIZES = {"a": (16, 20), "b": (18, 12), "c": (10, 10)}


@pytest.fixture
def photos(tmp_path):
    """Three images of different sizes, and label maps of two halves."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "truth").mkdir()
    for name, size in SIZES.items():
        labels = np.zeros(size, dtype=np.int64)
        labels[:, size[1] // 2 :] = 3
        image = 0.2 * rng.random((3, *size)) + 0.2 * labels
        write_image(tmp_path / "photos" / f"{name}.png", image)
        write_labels(tmp_path / "truth" / f"{name}.png", labels)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / ".hidden.png").write_text("no image")
    (tmp_path / "photos" / "subfolder").mkdir()
    return tmp_path


@pytest.fixture
def count(monkeypatch):
    """Counts the graphs that are made in this process."""
    made = []
    make = base._make_graph

    def counting(task, **options):
        make(task, **options)
        made.append(task[0].name)

    monkeypatch.setattr(base, "_make_graph", counting)
    return made


def make(photos, *args, labels=True, **kwargs):
    folder = photos / "truth" if labels else None
    kwargs.setdefault("to_graph", ToRAG(12, 1e3))
    return ImageFolderRAG(photos / "root", photos / "photos", folder, *args, **kwargs)


def assert_equal(one, other):
    one, other = one.to_dict(), other.to_dict()
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert value is other[key] or np.array_equal(value, other[key]), key


def test_graphs_are_those_of_the_transform_in_the_order_of_names(photos):
    dataset = make(photos)
    assert len(dataset) == 3
    assert [data.name for data in dataset] == dataset.names == ["a", "b", "c"]
    for data in dataset:
        expected = ToRAG(12, 1e3)(decode_image(photos / "photos" / f"{data.name}.png"))
        truth = read_labels(photos / "truth" / f"{data.name}.png")
        expected.y = majority_labels(truth, expected)
        expected.train_mask = expected.y >= 0
        expected.name = data.name
        assert data.num_nodes > 4
        assert_equal(data, expected)
        assert data.validate()
    assert dataset.num_classes == 4
    assert dataset.num_node_features == 3


def test_without_labels_there_is_no_y(photos):
    dataset = make(photos, labels=False)
    assert "y" not in dataset[0]
    assert dataset.num_classes == 0


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches(photos, num_workers):
    dataset = make(photos)
    (batch,) = DataLoader(dataset, batch_size=3, num_workers=num_workers)
    assert batch.name == ["a", "b", "c"]
    assert batch.image_size.tolist() == [list(size) for size in SIZES.values()]
    for k, data in enumerate(dataset):
        assert_equal(batch.get_example(k), data)


def test_the_default_is_a_rag(photos):
    dataset = ImageFolderRAG(photos / "root", photos / "photos")
    assert isinstance(dataset.to_graph, ToRAG)


def test_transform_acts_at_access_and_pre_transform_before(photos, count):
    dataset = make(photos, transform=Constant(5.0), pre_transform=AddSelfLoops())
    assert dataset[0].x[:, -1].unique() == 5
    assert dataset[0].has_self_loops()
    assert dataset.get(0).x.size(1) == 3
    assert count == ["a", "b", "c"]
    make(photos, transform=Constant(6.0), pre_transform=AddSelfLoops())
    assert count == ["a", "b", "c"]
    assert not make(photos)[0].has_self_loops()
    assert len(count) == 6


def test_subsets_and_pickles_are_datasets(photos):
    dataset = make(photos)
    assert [data.name for data in dataset[torch.tensor([2, 0])]] == ["c", "a"]
    assert len(dataset.shuffle()) == 3
    assert pickle.loads(pickle.dumps(dataset))[1].name == "b"


def test_a_second_run_makes_nothing(photos, count):
    make(photos)
    make(photos)
    assert count == ["a", "b", "c"]
    make(photos, force_reload=True)
    assert len(count) == 6


def test_other_parameters_make_other_files(photos, count):
    folders = {
        make(photos, to_graph=to_graph, labels=labels).processed_dir
        for to_graph in (ToRAG(12, 1e3), ToRAG(13, 1e3), Compose([ToRAG(12, 1e3), Constant()]))
        for labels in (True, False)
    }
    assert len(folders) == 6
    assert len(count) == 18


def test_another_folder_of_images_does_not_meet_the_graphs_of_the_first(photos):
    make(photos, labels=False)
    (photos / "more").mkdir()
    write_image(photos / "more" / "a.png", np.zeros((3, 9, 9)))
    dataset = ImageFolderRAG(photos / "root", photos / "more", to_graph=ToRAG(12, 1e3))
    assert dataset[0].image_size.tolist() == [[9, 9]]


def test_only_what_is_missing_truncated_or_old_is_made_anew(photos, count):
    dataset = make(photos)
    first, second, _ = map(os.path.abspath, dataset.processed_paths)
    os.remove(first)
    with open(second, "r+b") as file:
        file.truncate(os.path.getsize(second) // 2)
    count.clear()
    assert [data.name for data in make(photos)] == ["a", "b", "c"]
    assert count == ["a", "b"]
    later = os.stat(dataset.processed_paths[2]).st_mtime + 10
    os.utime(photos / "truth" / "c.png", (later, later))
    count.clear()
    make(photos)
    assert count == ["c"]


def test_no_pickle_is_trusted(photos, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    dataset = make(photos)
    for path in (dataset.processed_paths[0], f"{dataset.processed_dir}/pre_transform.pt"):
        torch.save({"x": Trap()}, path)
    with pytest.raises(InputError, match=r"a\.pt: cannot be read .* force_reload=True"):
        dataset[0]
    assert make(photos)[0].num_nodes > 0  # made anew
    assert not (tmp_path / "sprung").exists()


def test_an_image_replaced_by_an_older_one_is_made_anew(photos, count):
    make(photos)
    image = photos / "photos" / "b.png"
    write_image(image, np.zeros((3, *SIZES["b"])))
    os.utime(image, (1e9, 1e9))
    make(photos)
    assert count == ["a", "b", "c", "b"]


def test_a_bad_image_is_named_and_what_is_done_stays(photos, count):
    (photos / "photos" / "b.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"b\.png: is not an image"):
        make(photos)
    assert count == ["a"]
    write_image(photos / "photos" / "b.png", np.zeros((3, *SIZES["b"])))
    assert len(make(photos)) == 3
    assert count == ["a", "b", "c"]


def test_an_image_that_the_transform_refuses_is_named(photos):
    with pytest.raises(InputError, match=r"photos.a\.png: mask: size \(3, 3\)"):
        make(photos, to_graph=ToRAG(12, 1e3, mask=np.ones((3, 3))))


def test_labels_of_another_size_are_named(photos):
    write_labels(photos / "truth" / "c.png", np.zeros((9, 10), dtype=int))
    with pytest.raises(InputError, match=r"truth.c\.png: the labels .* \(9, 10\), .* \(10, 10\)"):
        make(photos)


def test_an_image_without_labels_is_named_before_any_work(photos, count):
    os.remove(photos / "truth" / "c.png")
    with pytest.raises(InputError, match=r"photos.c\.png: has no label file in .*; add c\.png"):
        make(photos)
    assert count == []


def test_folders_that_cannot_be_used_are_named(photos, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: is not a folder"):
        ImageFolderRAG(tmp_path, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"subfolder: holds no image; .* types \.bmp"):
        ImageFolderRAG(tmp_path, photos / "photos" / "subfolder")
    Image.new("RGB", (4, 4)).save(photos / "photos" / "a.jpg")
    with pytest.raises(InputError, match=r"photos: 2 images have the name 'a'"):
        make(photos)


def test_a_root_that_cannot_be_written_is_named(photos):
    (photos / "root").write_text("a file")
    with pytest.raises(InputError, match=r"root.*cannot be written to"):
        make(photos)


def test_graphs_in_memory_are_those_on_disk_and_do_not_change(photos):
    stored, kept = make(photos), make(photos, in_memory=True, transform=double)
    for path in stored.processed_paths:
        Path(path).write_bytes(b"gone")
    for _ in range(2):  # a transform changes a copy
        for graph, other in zip(make(photos), kept, strict=True):
            assert torch.equal(other.x, 2 * graph.x)
    assert torch.equal(pickle.loads(pickle.dumps(kept))[1].x, kept[1].x)
    batch = next(iter(DataLoader(kept, batch_size=2)))
    assert batch.num_graphs == 2


def double(data):
    data.x = 2 * data.x
    return data


def test_one_range_holds_for_all_images(photos):
    dataset = make(photos, intensity_range=(50, 150))
    for data in dataset:
        values = decode_image(photos / "photos" / f"{data.name}.png").astype(np.float32)
        expected = ToRAG(12, 1e3)(((values - 50) / 100).clip(0, 1))
        np.testing.assert_allclose(data.x, expected.x, atol=1e-6)


def test_masks_are_those_of_the_images(photos):
    (photos / "masks").mkdir()
    for k, (name, size) in enumerate(SIZES.items()):
        mask = np.zeros(size, dtype=np.int64)
        mask[k + 1 :, 2:] = k + 1
        write_labels(photos / "masks" / f"{name}.png", mask)
    dataset = make(photos, masks=photos / "masks")
    for data in dataset:
        mask = read_labels(photos / "masks" / f"{data.name}.png") > 0
        expected = ToRAG(12, 1e3, mask=mask)(decode_image(photos / "photos" / f"{data.name}.png"))
        expected.y = majority_labels(read_labels(photos / "truth" / f"{data.name}.png"), expected)
        expected.update({"train_mask": expected.y >= 0, "name": data.name})
        assert_equal(data, expected)
    assert dataset.processed_dir != make(photos).processed_dir
    (batch,) = DataLoader([*dataset, *make(photos)], batch_size=6)  # with masks and without
    assert batch.pixel_mask.sum() == batch.pixel_index.numel()
    os.remove(photos / "masks" / "b.png")
    with pytest.raises(InputError, match=r"photos.b\.png: has no mask in .*; add b\.png"):
        make(photos, masks=photos / "masks")


def test_an_empty_mask_is_named(photos):
    (photos / "masks").mkdir()
    for name, size in SIZES.items():
        write_labels(photos / "masks" / f"{name}.png", np.zeros(size, dtype=int))
    with pytest.raises(InputError, match=r"photos.a\.png: mask: no pixel is true"):
        make(photos, masks=photos / "masks")


def test_nodes_without_labels_are_not_trained_on(photos):
    for name, size in SIZES.items():
        labels = np.full(size, -1)
        labels[:, size[1] // 2 :] = 3
        np.save(photos / "truth" / f"{name}.npy", labels)
        os.remove(photos / "truth" / f"{name}.png")
    for data in make(photos):
        assert torch.equal(data.train_mask, data.y >= 0)
        assert data.train_mask.unique().tolist() == [False, True]


def is_not_square(data):
    height, width = data.image_size[0].tolist()
    return height != width


def is_b(data):
    return data.name == "b"


def test_what_the_filter_leaves_out_is_not_there(photos, count):
    for pre_filter, names in ((is_not_square, ["a", "b"]), (is_b, ["b"])):
        dataset = make(photos, pre_filter=pre_filter)
        assert [data.name for data in dataset] == dataset.names == names
        assert len(dataset) == len(names)
        assert len(make(photos, pre_filter=pre_filter)) == len(names)
    assert len(count) == 6  # nor is what was left out made again
    assert len(make(photos)) == 3
    assert dataset.processed_dir != make(photos).processed_dir


def test_the_filter_comes_before_pre_transform(photos):
    dataset = make(photos, pre_filter=is_b, pre_transform=Constant(5.0))
    assert dataset[0].x[:, -1].unique() == 5


@pytest.mark.parametrize("log", [True, False])
def test_progress_is_shown_in_a_terminal_unless_not_wanted(photos, log, monkeypatch, capsys):
    monkeypatch.setattr(base, "Console", functools.partial(base.Console, force_terminal=True))
    make(photos, log=log)
    assert ("graphs" in capsys.readouterr().err) is log
