import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg.errors import InputError, MissingSlicesWarning
from sp_graph_seg.volumes import open_volume
from sp_graph_seg.volumes.formats.folder import natural_key

SHARED = Path(__file__).parents[3].parent / "shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data")
ARRAY = np.random.default_rng(0).integers(0, 256, (5, 8, 9), np.uint8)


def write(folder, names, array=ARRAY):
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, array, strict=False):
        Image.fromarray(image).save(folder / name)
    return folder


def refused(folder, *words, start=None, **options):
    with pytest.raises(InputError) as caught:
        open_volume(folder, **options)
    message = str(caught.value)
    assert message.startswith(f"{start or folder}: "), message
    assert "; " in message
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_natural_order():
    names = ["a1.png", "a2.png", "A3.png", "a10 b2.png", "a10 b10.png", "b1.png", "b01.png"]
    shuffled = random.Random(0).sample(names, len(names))
    ordered = sorted(shuffled, key=natural_key)
    assert ordered[:5] == names[:5]
    assert set(ordered[5:]) == {"b1.png", "b01.png"}
    assert sorted(["1.png", "a.png", "²3.png", ""], key=natural_key)[0] == ""  # no two types meet


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "pgm", "webp", "TIFF"])
def test_formats(tmp_path, suffix):
    folder = tmp_path / "a"
    folder.mkdir()
    for i, image in enumerate(ARRAY):
        Image.fromarray(image).save(folder / f"{i}.{suffix}", lossless=True)
    found = open_volume(folder).read(0, 5)
    expected = np.repeat(ARRAY[:, np.newaxis], found.shape[1], axis=1)  # WebP has no grey
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int16])
def test_the_stored_type_is_kept(tmp_path, dtype):
    array = (ARRAY.astype(np.float64) * 120 - 99).clip(0 if dtype == np.uint16 else -np.inf)
    for i, image in enumerate(array.astype(dtype)):
        tifffile.imwrite(tmp_path / f"{i}.tif", image)
    volume = open_volume(tmp_path)
    assert volume.dtype == dtype
    np.testing.assert_array_equal(volume.read(0, 5)[:, 0], array.astype(dtype))


@pytest.mark.parametrize("suffix", ["png", "pgm"])
def test_16_bits(tmp_path, suffix):
    array = ARRAY.astype(np.uint16) * 257
    write(tmp_path, [f"{i}.{suffix}" for i in range(5)], array)
    volume = open_volume(tmp_path)
    assert volume.dtype == np.uint16
    np.testing.assert_array_equal(volume.read(0, 5)[:, 0], array)


def test_other_files_are_ignored(tmp_path):
    write(tmp_path, ["1.png", "2.png"])
    for name in (".3.png", "scan.log", "Thumbs.db"):
        (tmp_path / name).write_text("no image")
    (tmp_path / "older").mkdir()
    assert len(open_volume(tmp_path)) == 2


def test_nothing_to_read(tmp_path):
    refused(tmp_path, "is an empty folder")
    (tmp_path / ".1.png").touch()
    (tmp_path / "scan.log").touch()
    refused(tmp_path, "only .1.png, scan.log")
    for i in range(8):
        (tmp_path / f"{i}.txt").touch()
    refused(tmp_path, "and 5 more")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["s001.png", "s002.png", "s004.png"], ["1 of the numbers 1 to 4", "after 2"]),
        (["0000.png", "0100.png", "0400.png"], ["2 of the numbers 0 to 400", "after 100"]),
        (["t1_0.png", "t1_1.png", "t1_1000000000.png"], ["999999998 of", "after 1)"]),
    ],
)
def test_gaps_are_told(tmp_path, names, words):
    write(tmp_path, names)
    with pytest.warns(MissingSlicesWarning) as caught:
        volume = open_volume(tmp_path)
    assert len(volume) == 3
    (warning,) = caught
    assert warning.filename == __file__
    for word in [f"{tmp_path}: ", *words]:
        assert word in str(warning.message)


@pytest.mark.parametrize(
    "names",
    [
        ["0000.png", "0100.png", "0200.png"],
        ["a.png", "b.png", "z.png"],
        ["z1_t1.png", "z2_t5.png", "z9_t9.png"],  # which of them counts?
        ["1.png", "3.tif", "5.bmp"],
    ],
)
def test_no_gaps(tmp_path, names):
    write(tmp_path, names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_volume(tmp_path)) == 3


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["1.png", "1.tif", "2.png"], "2 files with the name 1 and different suffixes;"),
        (["1.png", "01.png", "2.png"], "2 files with the number 1 in their names;"),
    ],
)
def test_two_files_of_one_number(tmp_path, names, reason):
    write(tmp_path, names)
    refused(tmp_path, reason)


def test_one_file(tmp_path):
    write(tmp_path, ["1.png"])
    refused(tmp_path, "is one image")
    assert open_volume(tmp_path, axes="zyx").num_slices == 1


def test_stacks_in_a_folder(tmp_path):
    for i in range(2):
        tifffile.imwrite(tmp_path / f"{i}.tif", ARRAY, photometric="minisblack")
    refused(tmp_path, "has 5 channels or pages", 'axes="zcyx"', start=tmp_path / "0.tif")
    assert open_volume(tmp_path, axes="zcyx").channels == 5


@pytest.mark.parametrize(
    "odd",
    [ARRAY[0, :7], ARRAY[0].astype(np.uint16), np.dstack([ARRAY[0]] * 3)],
)
def test_a_slice_unlike_the_others(tmp_path, odd):
    write(tmp_path, [f"{i}.png" for i in range(5)])
    Image.fromarray(odd).save(tmp_path / "3.png")
    volume = open_volume(tmp_path)
    ((number, reason),) = volume.check()
    assert number == 3
    assert reason.startswith(f"{tmp_path / '3.png'}: slice 3 has the type {odd.dtype} ")
    assert "but 0.png has the type uint8 and the size 1 x 8 x 9;" in reason
    assert len(volume.check(quick=True)) == (odd.shape[:2] != (8, 9))
    with pytest.raises(InputError, match=r"3\.png: slice 3"):
        volume.read(0, 5)


def test_a_damaged_file(tmp_path):
    write(tmp_path, [f"{i}.png" for i in range(5)])
    content = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(content[:60])
    (tmp_path / "4.png").write_bytes(b"")
    volume = open_volume(tmp_path)
    found = dict(volume.check())
    assert list(found) == [2, 4]
    assert found[2].startswith(f"{tmp_path / '2.png'}: cannot be read")
    assert "empty" in found[4]
    assert [number for number, _ in volume.check(quick=True)] == [4]
    (tmp_path / "3.png").unlink()
    assert 3 in dict(volume.check())
    with pytest.raises(InputError, match=r"3\.png"):
        volume.fingerprint()


@needs_shared
def test_samples():
    for name, count in (("sandstone/images", 5), ("sandstone/masks", 5)):
        volume = open_volume(SHARED / "tomography" / name)
        assert len(volume) == count
    volume = open_volume(SHARED / "video/skater", stop=3)
    with Image.open(SHARED / "video/skater/0723.jpg") as image:
        np.testing.assert_array_equal(volume[-1], np.asarray(image).transpose(2, 0, 1))
