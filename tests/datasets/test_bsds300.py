from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import BSDS300, majority_labels, read_seg
from sp_graph_seg.errors import InputError

REAL = Path(__file__).parents[2].parent / "shared/data/bsds300"
SIZE = (9, 12)


def halves(columns, first=0):
    labels = np.full(SIZE, first)
    labels[:, columns:] += 1
    return labels


def seg_text(labels, header=""):
    """Runs of equal labels, bottom row first: their order does not matter."""
    lines = [f"{header}width {labels.shape[1]}", f"height {labels.shape[0]}"]
    lines += [f"segments {labels.max() + 1}", "data"]
    for row in reversed(range(len(labels))):
        ends = np.flatnonzero(np.diff(labels[row], append=-1))
        starts = [0, *(ends[:-1] + 1)]
        lines += [f"{labels[row, e]} {row} {s} {e}" for s, e in zip(starts, ends, strict=True)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def images(tmp_path):
    for split, name in (("train", "100"), ("train", "20"), ("test", "3")):
        folder = tmp_path / "images" / split
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(halves(6)[..., None] * [200, 100, 50])).save(
            folder / f"{name}.jpg"
        )
    return tmp_path


@pytest.fixture
def own_layout(images):
    for person, columns in (("1105", 6), ("999", 3)):
        folder = images / "human" / "color" / person
        folder.mkdir(parents=True)
        for name in ("100", "20", "3"):
            (folder / f"{name}.seg").write_text(seg_text(halves(columns)))
    (images / "human" / "color" / "1105" / "20.seg").unlink()
    return images


@pytest.fixture
def mat_layout(images):
    truth = np.empty((1, 2), dtype=object)
    for k, columns in enumerate((6, 3)):
        truth[0, k] = {"Segmentation": np.uint16(halves(columns, 1)), "Boundaries": np.zeros(SIZE)}
    for split, name in (("train", "100"), ("train", "20"), ("test", "3")):
        folder = images / "groundTruth" / split
        folder.mkdir(parents=True, exist_ok=True)
        savemat(folder / f"{name}.mat", {"groundTruth": truth})
    return images


def test_own_layout(own_layout):
    dataset = BSDS300(own_layout, "train", to_graph=ToRAG(20))
    assert dataset.names == ["100", "20"]
    assert len(BSDS300(own_layout, "test", to_graph=ToRAG(20))) == 1
    # Annotators come in the order of their numbers, 999 before 1105.
    assert np.array_equal(dataset.truth(0), [halves(3), halves(6)])
    assert np.array_equal(dataset.truth(1), [halves(3)])
    assert torch.equal(dataset[0].y, majority_labels(halves(3), dataset[0]))
    test = BSDS300(own_layout, "test", to_graph=ToRAG(20), annotator=1)
    assert torch.equal(test[0].y, majority_labels(halves(6), test[0]))


def test_mat_layout_counts_from_0_as_well(mat_layout):
    dataset = BSDS300(mat_layout, "train", to_graph=ToRAG(20), annotator=1)
    assert np.array_equal(dataset.truth(1), [halves(6), halves(3)])
    assert torch.equal(dataset[1].y, majority_labels(halves(3), dataset[1]))


def test_truth_follows_a_subset(own_layout):
    dataset = BSDS300(own_layout, to_graph=ToRAG(20))[[1, 0]]
    assert dataset[0].name == "20"
    assert [len(dataset.truth(k)) for k in (0, 1)] == [1, 2]


def is_20(data):
    return data.name == "20"


def test_truth_follows_the_filter(own_layout):
    dataset = BSDS300(own_layout, to_graph=ToRAG(20), pre_filter=is_20)
    assert dataset.names == ["20"]
    assert np.array_equal(dataset.truth(0), [halves(3)])


def test_an_annotator_that_an_image_lacks_is_named(own_layout):
    with pytest.raises(InputError, match=r"annotator=1: .*20\.jpg are numbered from 0 to 0"):
        BSDS300(own_layout, "train", to_graph=ToRAG(20), annotator=1)
    with pytest.raises(InputError, match=r"annotator=-1"):
        BSDS300(own_layout, annotator=-1)


def test_a_missing_dataset_says_where_to_get_it(tmp_path, images):
    with pytest.raises(InputError, match=r"holds no images/train/\*\.jpg; get BSDS300-images\.tgz"):
        BSDS300(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"image 3 has neither .*BSDS300-human\.tgz"):
        BSDS300(images, "test")
    with pytest.raises(InputError, match="split='val'"):
        BSDS300(images, "val")


def test_read_seg(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, SIZE)
    file = tmp_path / "a.seg"
    header = "format ascii cr\ndate Thu Apr 5 18:34:14 2001 # noon\nimage 3\nuser 9\ngray 0\n"
    for text in (seg_text(labels), seg_text(labels, header).replace("\n", "\r\n")):
        file.write_bytes(text.encode())
        assert np.array_equal(read_seg(file), labels)
    file.write_text("# made by hand\n\nheight 1\nsegments 1\nwidth 3\ndata\n0 0 1 1\n\n")
    assert read_seg(file).tolist() == [[-1, 0, -1]]


GOOD = "width 3\nheight 2\nsegments 2\ndata\n0 0 0 2\n1 1 0 2\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("data\n", ""),
        ("width 3", ""),
        ("width 3", "width"),
        ("width 3", "width three"),
        ("width 3", "format binary cr\nwidth 3"),
        ("0 0 0 2", "0 0 0"),
        ("0 0 0 2", "0 0 0 3"),
        ("0 0 0 2", "0 0 2 1"),
        ("0 0 0 2", "-1 0 0 2"),
        ("0 0 0 2", "2 0 0 2"),
        ("1 1 0 2", "1 2 0 2"),
        ("1 1 0 2", "1 1 0 x"),
        ("1 1 0 2", "é"),
    ],
)
def test_read_seg_names_a_damaged_file(tmp_path, old, new):
    file = tmp_path / "a.seg"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(
        InputError, match=r"a\.seg: is not a BSDS ground truth file .* unpack the dataset"
    ):
        read_seg(file)


def test_damaged_ground_truth_is_named(mat_layout, tmp_path):
    with pytest.raises(InputError, match=r"none\.seg: cannot be opened"):
        read_seg(tmp_path / "none.seg")
    (mat_layout / "groundTruth" / "test" / "3.mat").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"3\.mat: is not a BSDS ground truth file"):
        BSDS300(mat_layout, "test", to_graph=ToRAG(20))


@pytest.mark.skipif(not REAL.is_dir(), reason="the sample data is not here")
def test_real_files(tmp_path):
    name = "42012"
    for kind, suffix in (("images", "jpg"), ("groundTruth", "mat")):
        (tmp_path / kind / "test").mkdir(parents=True)
        file = f"{kind}/test/{name}.{suffix}"
        (tmp_path / file).symlink_to(REAL / file)
    dataset = BSDS300(tmp_path, "test", to_graph=ToRAG(300))
    (data,) = dataset
    assert data.image_size.tolist() == [[481, 321]]
    truth = dataset.truth(0)
    assert [labels.min() for labels in truth] == [0] * 6
    assert truth[0].max() == 13
    assert torch.equal(data.y, majority_labels(truth[0], data))
