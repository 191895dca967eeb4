import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import read_image, read_labels, write_image, write_labels


@pytest.mark.parametrize(
    ("largest", "mode"), [(0, "L"), (1, "L"), (255, "L"), (256, "I;16"), (65535, "I;16")]
)
@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.int32])
def test_labels_round_trip(tmp_path, largest, mode, dtype):
    labels = np.linspace(0, largest, 35).reshape(5, 7).astype(dtype)
    write_labels(tmp_path / "labels.png", labels)
    with Image.open(tmp_path / "labels.png") as image:
        assert image.mode == mode
        assert image.size == (7, 5)
    back = read_labels(tmp_path / "labels.png")
    assert back.dtype == np.int64
    np.testing.assert_array_equal(back, labels)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.png"]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([[0, 65536]]),
        np.array([[-1, 0]]),
        np.zeros((2, 2)),
        np.zeros((2, 2, 3), np.uint8),
        np.zeros((0, 2), np.uint8),
    ],
)
def test_write_labels_refuses(tmp_path, labels):
    with pytest.raises(InputError, match=r"^labels: .*; ") as caught:
        write_labels(tmp_path / "labels.png", labels)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_writers_refuse_another_suffix_and_a_bad_folder(tmp_path):
    with pytest.raises(InputError, match=r"labels\.tif: .*\.png"):
        write_labels(tmp_path / "labels.tif", np.zeros((2, 2), int))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_labels(tmp_path / "file" / "labels.png", np.zeros((2, 2), int))


def test_read_labels_gives_palette_indices(tmp_path):
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(indices)
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    for bits in (8, 4):
        image.save(tmp_path / "palette.png", bits=bits)
        np.testing.assert_array_equal(read_labels(tmp_path / "palette.png"), indices)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_read_labels_gives_grey_values_of_few_bits_as_stored(tmp_path, bits):
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    width = 8 // bits
    values = np.arange(width) % 2**bits
    row = sum(int(value) << (8 - bits * (i + 1)) for i, value in enumerate(values))
    (tmp_path / "grey.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes([0, row])))
        + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(read_labels(tmp_path / "grey.png"), values[np.newaxis])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, bool])
def test_read_labels_reads_tiff_and_npy(tmp_path, dtype):
    labels = (np.arange(35).reshape(5, 7) % 2 * 70).astype(dtype)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    np.save(tmp_path / "labels.npy", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.tif"), labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.npy"), labels)


def test_read_labels_refuses(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "rgb.png")
    Image.new("LA", (4, 3)).save(tmp_path / "la.png")
    Image.new("L", (4, 3)).save(tmp_path / "lossy.jpg")
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((3, 4, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "float.tif", np.full((3, 4), 0.5, np.float32))
    tifffile.imwrite(tmp_path / "volume.tif", np.zeros((20, 3, 7), np.uint8))
    np.save(tmp_path / "float.npy", np.full((3, 4), 0.5))
    np.save(tmp_path / "volume.npy", np.zeros((2, 3, 4), int))
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    write_labels(tmp_path / "whole.png", np.arange(10000).reshape(100, 100))
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    for name, reason in {
        "rgb.png": "3 channels",
        "la.png": "2 channels",
        "lossy.jpg": "PNG, TIFF or .npy",
        "rgb.tif": "3 channels",
        "float.tif": "holds 0.5, which is not",
        "volume.tif": "volume of 20",
        "float.npy": "holds 0.5, which is not",
        "volume.npy": "shape",
        "object.npy": "Object arrays",
        "cut.png": "cannot be decoded",
        "none.png": "No such file",
    }.items():
        with pytest.raises(InputError, match=reason) as caught:
            read_labels(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_write_image_writes_uint8_and_float(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    for array in (image, image / 255, (image / 255).astype(np.float32)):
        write_image(tmp_path / "image.png", array)
        with Image.open(tmp_path / "image.png") as back:
            stored = np.asarray(back)
        np.testing.assert_array_equal(np.moveaxis(np.atleast_3d(stored), -1, 0), image)
        assert read_image(tmp_path / "image.png").shape == image.shape


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((3, 4, 5), int),
        np.zeros((3, 4, 0)),
        np.full((3, 4, 5), 1.1),
        np.full((3, 4, 5), -0.1),
        np.full((3, 4, 5), np.nan),
    ],
)
def test_write_image_refuses(tmp_path, image):
    with pytest.raises(InputError, match=r"^image: .*; "):
        write_image(tmp_path / "image.png", image)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_floats_that_are_whole_numbers_are_labels(tmp_path, dtype, suffix):
    """Fiji writes them."""
    labels = np.random.default_rng(0).integers(-1, 300, (6, 7))
    path = tmp_path / f"a.{suffix}"

    def write(values):
        np.save(path, values) if suffix == "npy" else tifffile.imwrite(path, values)

    write(labels.astype(dtype))
    back = read_labels(path)
    assert back.dtype == np.int64
    np.testing.assert_array_equal(back, labels)
    for wrong in (0.5, np.nan, np.inf, 2.0**40):
        values = labels.astype(dtype)
        values[2, 3] = wrong
        write(values)
        reason = (
            "too large for a label" if wrong == 2.0**40 else "which is not the number of a label"
        )
        with pytest.raises(InputError, match=reason):
            read_labels(path)
