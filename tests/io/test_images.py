import logging
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import decode_image, read_image

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data")
RNG = np.random.default_rng(0)


def random(shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def channels_first(array):
    return np.atleast_3d(array).transpose(2, 0, 1).astype(np.float32)


def check(path, expected, **options):
    image = read_image(path, **options)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    assert image.shape == expected.shape
    np.testing.assert_allclose(image, expected, atol=1e-7)


def check_refused(path, reason, **options):
    with pytest.raises(InputError, match=reason) as caught:
        read_image(path, **options)
    assert str(caught.value).startswith(f"{path}: ")
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)


# Pillow's formats


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tif"])
def test_8_bit_rgb(tmp_path, suffix):
    array = random((5, 7, 3))
    Image.fromarray(array).save(tmp_path / f"a.{suffix}", lossless=True)
    check(tmp_path / f"a.{suffix}", channels_first(array))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_8_bit_grey(tmp_path, suffix):
    array = random((5, 7))
    Image.fromarray(array).save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", channels_first(array))


@pytest.mark.parametrize(("mode", "kept"), [("LA", "L"), ("RGBA", "RGB")])
def test_alpha_is_dropped(tmp_path, mode, kept):
    array = random((5, 7, len(mode)))
    bands = [Image.fromarray(array[:, :, i]) for i in range(len(mode))]
    Image.merge(mode, bands).save(tmp_path / "a.png")
    check(tmp_path / "a.png", channels_first(array[:, :, : len(kept)]))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_palette_becomes_rgb(tmp_path, suffix):
    indices, palette = random((5, 7)), random((256, 3))
    image = Image.fromarray(indices)
    image.putpalette(palette.ravel().tolist())
    image.save(tmp_path / f"a.{suffix}")
    # A TIFF's palette has 16 bits; Pillow writes them as 256 times the 8.
    factor = 256.0 if suffix == "tif" else 1.0
    check(tmp_path / f"a.{suffix}", channels_first(palette[indices] * factor))


def test_transparent_palette_becomes_rgb(tmp_path):
    image = Image.fromarray(random((5, 7)) // 64)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.save(tmp_path / "a.png", transparency=b"\x00\x80\xff\xff")
    check(tmp_path / "a.png", channels_first(np.asarray(image.convert("RGB"))))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_1_bit_becomes_grey(tmp_path, suffix):
    array = random((5, 7)) > 100
    Image.fromarray(array).save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", channels_first(array))


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", "jpg"), ("CMYK", "tif"), ("YCbCr", "tif")])
def test_other_colours_become_rgb(tmp_path, mode, suffix):
    Image.fromarray(random((8, 8, 3))).convert(mode).save(tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.mode == mode
        expected = channels_first(np.asarray(image.convert("RGB")))
    check(tmp_path / f"a.{suffix}", expected)


def test_jpeg(tmp_path):
    for shape in ((16, 24, 3), (16, 24)):
        Image.fromarray(random(shape)).save(tmp_path / "a.jpg")
        with Image.open(tmp_path / "a.jpg") as image:
            check(tmp_path / "a.jpg", channels_first(np.asarray(image)))


@pytest.mark.parametrize("suffix", ["png", "pgm", "tif"])
def test_16_bit_grey_keeps_its_bits(tmp_path, suffix):
    array = random((5, 7), np.uint16)
    Image.fromarray(array).save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", channels_first(array))


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_16_bit_png_keeps_its_bits(tmp_path, channels, kept):
    array = random((5, 7, channels), np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    check(tmp_path / "a.png", channels_first(array[:, :, :kept]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_exif_orientation(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(random((5, 7, 3))).save(tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        expected = channels_first(np.asarray(ImageOps.exif_transpose(image)))
    assert expected.shape == ((3, 5, 7) if orientation < 5 else (3, 7, 5))
    check(tmp_path / f"a.{suffix}", expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_tiff_orientation(tmp_path, orientation, compression, mode):
    stored = Image.fromarray(random((5, 7, 3))).convert(mode)
    options = {"compression": compression, "tiffinfo": {0x0112: orientation}}
    stored.save(tmp_path / "a.tif", **options)
    expected = stored.convert("RGB") if mode == "CMYK" else stored
    expected.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(expected)
    assert upright.size == ((7, 5) if orientation < 5 else (5, 7))
    check(tmp_path / "a.tif", channels_first(np.asarray(upright)))


def test_an_animation_is_refused_and_its_single_frame_is_read(tmp_path):
    frames = [Image.fromarray(random((5, 7))) for _ in range(3)]
    frames[0].save(tmp_path / "one.gif")
    frames[0].save(tmp_path / "three.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "one.gif").shape == (3, 5, 7)
    check_refused(tmp_path / "three.gif", "animation of 3 frames")


def test_a_huge_image_is_read_and_a_bomb_refused(tmp_path, monkeypatch):
    Image.new("L", (20, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)  # Pillow warns
    assert read_image(tmp_path / "a.png").shape == (1, 10, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # Pillow raises
    check_refused(tmp_path / "a.png", "exceeds limit")


# TIFF


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_tiff_of_unsigned_integers(tmp_path, dtype, compression):
    array = random((5, 7), dtype)
    array[0, :2] = 0, np.iinfo(dtype).max
    tifffile.imwrite(tmp_path / "a.tif", array, compression=compression)
    check(tmp_path / "a.tif", channels_first(array))


@pytest.mark.parametrize("count", [2, 3, 5, 16])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"planarconfig": "separate"},
        {"metadata": {"axes": "CYX"}},
        {"ome": True, "metadata": {"axes": "CYX"}},
        {"imagej": True},
    ],
)
def test_tiff_of_channels_first(tmp_path, count, layout):
    array = random((count, 20, 30))
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", **layout)
    check(tmp_path / "a.tif", array.astype(np.float32))


def test_tiff_of_channels_last_and_of_many_samples(tmp_path):
    array = random((20, 30, 31))
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    check(tmp_path / "a.tif", channels_first(array))


def test_tiff_of_pages_written_by_pillow(tmp_path):
    array = random((3, 5, 7))
    first, *others = map(Image.fromarray, array)
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    check(tmp_path / "a.tif", array.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 7), (5, 1), (1, 1), (1, 5, 7), (5, 7, 1), (1, 3, 1, 5, 7)])
def test_tiff_axes_of_length_1(tmp_path, shape):
    array = random(shape)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    expected = array.reshape((1, 5, 7) if shape == (5, 7, 1) else (-1, *shape[-2:]))
    check(tmp_path / "a.tif", expected.astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "options", "count"),
    [
        ((17, 5, 7), {}, 17),
        ((3, 5, 7), {"metadata": {"axes": "ZYX"}}, 3),
        ((3, 5, 7), {"metadata": {"axes": "TYX"}, "imagej": True}, 3),
        ((6, 2, 5, 7), {"metadata": {"axes": "ZCYX"}, "ome": True}, 12),
        ((40, 5, 7), {"imagej": True}, 40),
    ],
)
def test_tiff_volume_is_refused(tmp_path, shape, options, count):
    tifffile.imwrite(tmp_path / "a.tif", random(shape), photometric="minisblack", **options)
    check_refused(tmp_path / "a.tif", f"volume of {count} slices of 5 x 7 .*or give one slice")


def test_tiff_stack_of_rgb_pages_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", random((4, 5, 7, 3)), photometric="rgb")
    check_refused(tmp_path / "a.tif", "volume of 4 slices")


@pytest.mark.parametrize(
    ("photometric", "extras", "kept"),
    [
        ("rgb", ["unassalpha"], [0, 1, 2]),
        ("rgb", ["assocalpha"], [0, 1, 2]),
        ("rgb", ["unspecified"], [0, 1, 2, 3]),
        ("rgb", ["unassalpha", "unspecified"], [0, 1, 2, 4]),
        ("minisblack", ["unassalpha"], [0]),
    ],
)
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_tiff_alpha_is_dropped(tmp_path, photometric, extras, kept, planarconfig):
    count = len(extras) + (3 if photometric == "rgb" else 1)
    array = random((count, 5, 7))
    stored = array if planarconfig == "separate" else np.moveaxis(array, 0, -1)
    options = {"photometric": photometric, "extrasamples": extras, "planarconfig": planarconfig}
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    check(tmp_path / "a.tif", array[kept].astype(np.float32))


def test_tiff_where_0_is_white(tmp_path):
    array = random((5, 7))
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    check(tmp_path / "a.tif", channels_first(255 - array))


def test_tiff_compressed_as_jpeg(tmp_path):
    ramp = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", ramp, compression="jpeg", photometric="rgb")
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), channels_first(ramp), atol=13)


def test_tiff_of_12_bits(tmp_path):
    array = random((6, 8), np.uint16) >> 4
    bits = "".join(f"{value:012b}" for value in array.ravel())
    packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    Image.frombytes("L", (12, 6), packed).save(tmp_path / "packed.tif")
    with tifffile.TiffFile(tmp_path / "packed.tif", mode="r+b") as tif:
        tif.pages[0].tags["ImageWidth"].overwrite(8)
        tif.pages[0].tags["BitsPerSample"].overwrite(12)
    check(tmp_path / "packed.tif", channels_first(array))


def test_tiff_pyramid_and_series_give_the_first_at_full_resolution(tmp_path):
    array = random((64, 64))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(array, subifds=1, tile=(16, 16))
        tif.write(array[::2, ::2], subfiletype=1, tile=(16, 16))
        tif.write(random((8, 8, 3)), photometric="rgb")
    check(tmp_path / "a.tif", channels_first(array))


def test_bigtiff_under_another_name(tmp_path):
    array = random((5, 7))
    tifffile.imwrite(tmp_path / "a.png", array, bigtiff=True, byteorder=">")
    check(tmp_path / "a.png", channels_first(array))


@needs_shared
def test_shared_rgba_tiff():
    image = read_image(SHARED / "odd/battery_rgba.tif")
    assert image.shape == (3, 853, 846)
    assert 1 < image.min() < image.max() <= 255


@needs_shared
@pytest.mark.parametrize("name", ["odd/corrupt.tif", "tomography/cement.tif"])
def test_shared_volumes_and_corrupt_files_are_refused(name):
    check_refused(SHARED / name, "volume")


# Floats and signed integers


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32])
def test_values_are_those_of_the_file(tmp_path, dtype):
    array = np.array([[-100, 0, 25], [50, 75, 100]]).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array)
    check(tmp_path / "a.tif", array[np.newaxis].astype(np.float32))
    decoded = decode_image(tmp_path / "a.tif")
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, array[np.newaxis])


def test_nan_is_kept_and_what_is_infinite_is_counted(tmp_path):
    array = np.zeros((5, 7), np.float32)
    array[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", array)
    check(tmp_path / "a.tif", array[np.newaxis])
    array[0, 1:3] = np.inf, -np.inf
    tifffile.imwrite(tmp_path / "b.tif", array)
    check_refused(tmp_path / "b.tif", "2 of 35 values are infinite")
    tifffile.imwrite(tmp_path / "c.tif", np.full((5, 7), 1e300))
    check_refused(tmp_path / "c.tif", "too large")
    tifffile.imwrite(tmp_path / "d.tif", np.ones((5, 7), np.complex64))
    check_refused(tmp_path / "d.tif", "complex64")


# Files that are no images


def test_no_file(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("This is a text file.\n" * 9)
    check_refused(tmp_path / "none.png", "No such file")
    check_refused(tmp_path, "is a folder")
    check_refused(tmp_path / "empty.png", "empty")
    check_refused(tmp_path / "text.png", "not an image of a known format")


@pytest.mark.filterwarnings("ignore:.*zero-size array")
def test_no_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((0, 5), np.uint8))
    check_refused(tmp_path / "a.tif", "no pixels")


@pytest.mark.parametrize("part", [0.001, 0.02, 0.5, 0.95])
@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.jpg", "a.tif", "lzw.tif", "last.tif"])
def test_truncated(tmp_path, name, part, caplog):
    path, array = tmp_path / name, random((100, 90, 3))
    if name == "deep.png":
        path.write_bytes(imagecodecs.png_encode(random((100, 90, 3), np.uint16)))
    elif name == "last.tif":  # Pillow writes a compressed TIFF's directory at the end
        Image.fromarray(array).save(path, compression="tiff_lzw")
    elif name == "lzw.tif":
        tifffile.imwrite(path, array, compression="lzw")
    else:
        Image.fromarray(array).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: max(4, int(len(data) * part))])
    with caplog.at_level(logging.DEBUG, logger="tifffile"):
        check_refused(path, r"cannot be decoded|known format|holds no readable image")
    assert not caplog.records


def test_damaged_tiff(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((100, 90), np.uint8), compression="zlib")
    data = bytearray(path.read_bytes())
    data[-60:] = bytes(60)
    path.write_bytes(data)
    check_refused(path, "cannot be decoded")


def test_reading_needs_no_torch():
    source = Path(__file__).parents[2] / "sp_graph_seg/io"
    assert not any("import torch" in path.read_text() for path in source.glob("*.py"))
