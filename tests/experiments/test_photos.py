import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from sp_graph_seg.errors import InputError
from sp_graph_seg.experiments import check_photos, find_photos

NAMES = ["100", "101", "20", "3"]  # in the order of text


@pytest.fixture
def four(tmp_path):
    """Four images without content, and one annotator."""
    for folder, suffix in (("images/test", "jpg"), ("human/color/5", "seg")):
        (tmp_path / folder).mkdir(parents=True)
        for name in NAMES:
            (tmp_path / folder / f"{name}.{suffix}").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([], NAMES),
        (["20"], ["20"]),
        (["3", "100"], ["3", "100"]),
        (["0:2"], ["100", "101"]),
        (["::2"], ["100", "20"]),
        (["1:4:2"], ["101", "3"]),
        (["-1:"], ["3"]),
        (["20", "1:"], ["20", "101", "3"]),
        (["3", "3"], ["3"]),
    ],
)
def test_images_are_chosen_by_name_or_position(four, images, expected):
    assert [photo.name for photo in find_photos(four, "test", images)] == expected


@pytest.mark.parametrize("entry", ["0", "21", "9:", "::0", "a:b", "0:1:2:3", ""])
def test_what_chooses_no_image_is_refused(four, entry):
    message = f"{entry!r} matches none of the 4 images; give names such as 100, or positions"
    with pytest.raises(InputError) as refusal:
        find_photos(four, "test", ["3", entry])
    assert f"{four}: {message}" in str(refusal.value)


def test_a_missing_dataset_says_where_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"nothing: .*BSDS300-images\.tgz .*eecs\.berkeley\.edu"):
        find_photos(tmp_path / "nothing", "test")
    with pytest.raises(InputError, match="images/train"):
        find_photos(tmp_path, "train")


def test_an_image_without_truth_is_named(four):
    (four / "human/color/5/20.seg").unlink()
    with pytest.raises(InputError, match=r"image 20 has neither human/color/\*/20\.seg nor"):
        find_photos(four, "test")


def test_paths_hold_in_any_working_directory(four, monkeypatch):
    monkeypatch.chdir(four.parent)
    photos = find_photos(four.name, "test")
    assert photos == find_photos(four, "test")
    assert all(path.is_absolute() for photo in photos for path in (photo.path, *photo.truth))


def test_photos_are_read(photos):
    check_photos(photos)
    assert [photo.name for photo in photos] == ["10", "7"]
    for photo in photos:
        assert photo.read().shape == (3, 48, 48)
        # Annotator 3 comes before 12, and sees two segments instead of three.
        assert [truth.max() for truth in photo.read_truth()] == [1, 2]


def test_a_truth_of_another_size_is_named(photos, dataset):
    (dataset / "human/color/12/7.seg").write_text("width 2\nheight 1\nsegments 1\ndata\n0 0 0 1\n")
    with pytest.raises(
        InputError, match=r"12/7\.seg: annotator 1 has 1x2 pixels.*7\.jpg has 48x48"
    ):
        check_photos(photos)


def test_one_file_holds_all_annotators(dataset, tmp_path):
    people = np.empty((1, 2), dtype=object)
    people[0, :] = [{"Segmentation": np.ones((48, width), np.uint16)} for width in (48, 48)]
    (dataset / "human").rename(tmp_path / "elsewhere")
    (dataset / "groundTruth/test").mkdir(parents=True)
    for name in ("10", "7"):
        savemat(dataset / f"groundTruth/test/{name}.mat", {"groundTruth": people})
    photos = find_photos(dataset, "test")
    check_photos(photos)
    assert len(photos[0].read_truth()) == 2
    Image.new("RGB", (20, 30)).save(dataset / "images/test/7.jpg")
    with pytest.raises(InputError, match=r"7\.mat: annotator 0 has 48x48 pixels, .*has 30x20"):
        check_photos(photos)


def test_a_damaged_image_is_named(photos, dataset):
    (dataset / "images/test/7.jpg").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"7\.jpg"):
        check_photos(photos)
