import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_labels, open_volume

VIEWS = {"z": (0, 1, 2, 3), "y": (2, 1, 0, 3), "x": (3, 1, 0, 2)}


def expect(array, axis="z", crop=None, part=slice(None), channels=None, binning=(1, 1, 1)):
    """The oracle: the same options on the array ``(Z, C, Y, X)``, by numpy and a mean of bins."""
    view = array.transpose(VIEWS[axis])[part]
    if crop is not None:
        (top, bottom), (left, right) = crop
        view = view[:, :, top:bottom, left:right]
    if channels is not None:
        view = view[:, list(channels)]
    if max(binning) == 1:
        return view
    a, b, c = binning
    n, k, h, w = view.shape
    view = view[: n // a * a, :, : h // b * b, : w // c * c]
    bins = view.reshape(n // a, a, k, h // b, b, w // c, c).astype(np.float64)
    return bins.mean((1, 4, 6)).astype(np.float32)


def check(volume, expected):
    assert len(volume) == volume.num_slices == len(expected)
    assert (volume.channels, volume.height, volume.width) == expected.shape[1:]
    assert volume.dtype == expected.dtype
    whole = volume.read(0, len(volume))
    assert whole.dtype == expected.dtype
    assert whole.flags.c_contiguous
    compare = np.testing.assert_array_equal if whole.dtype == np.uint8 else close
    compare(whole, expected)
    compare(np.stack(list(volume)), expected)
    for i in (0, -1, len(expected) // 2):
        compare(volume[i], expected[i])


def close(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_each_format_gives_the_array_it_was_made_from(stored, stored_kind, axis):
    path, axes, array = stored[stored_kind]
    check(open_volume(path, axes=axes, axis=axis), expect(array, axis))


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_each_format_takes_the_options(stored, stored_kind, axis):
    path, axes, array = stored[stored_kind]
    crop = ((1, 5), (2, 6))
    part = {"start": 1, "stop": 6, "step": 2}
    volume = open_volume(path, axes=axes, axis=axis, crop=crop, **part)
    check(volume, expect(array, axis, crop, slice(1, 6, 2)))
    volume = open_volume(path, axes=axes, axis=axis, binning=(2, 3, 2))
    check(volume, expect(array, axis, binning=(2, 3, 2)))
    last = array.shape[1] - 1
    volume = open_volume(path, axes=axes, axis=axis, channels=-1, crop="1:,:-1", binning=2)
    expected = expect(array, axis, ((1, None), (None, -1)), channels=[last], binning=(1, 2, 2))
    check(volume, expected)


def test_channels_come_in_the_order_asked_for(stored):
    for name in ("rgb.tif", "hyper.tif", "rgb.mkv", "zcyx.h5", "tyxc.zarr", "yxzc.npy"):
        path, axes, array = stored[name]
        check(open_volume(path, axes=axes, channels=[2, 0]), array[:, [2, 0]])


def bounds(size):
    return st.tuples(st.integers(0, size - 1), st.integers(1, size)).filter(lambda b: b[0] < b[1])


@given(data=st.data())
def test_any_options_equal_those_of_numpy(stored, data):
    names = ["zlib.tif", "plain.tif", "chunked.nxs", "3.zarr", "yxzc.npy", "rgb.mkv", "rgb png"]
    path, axes, array = stored[data.draw(st.sampled_from(names))]
    axis = data.draw(st.sampled_from("zyx"))
    lengths = array.transpose(VIEWS[axis]).shape
    start, stop = data.draw(bounds(lengths[0]))
    step = data.draw(st.integers(1, 3))
    crop = data.draw(bounds(lengths[2])), data.draw(bounds(lengths[3]))
    view = expect(array, axis, crop, slice(start, stop, step))
    binning = tuple(data.draw(st.integers(1, n)) for n in (len(view), *view.shape[2:]))
    volume = open_volume(
        path, axes=axes, axis=axis, start=start, stop=stop, step=step, crop=crop, binning=binning
    )
    check(volume, expect(array, axis, crop, slice(start, stop, step), binning=binning))


def test_a_pickled_volume_reads_elsewhere(stored, stored_kind):
    path, axes, array = stored[stored_kind]
    volume = open_volume(path, axes=axes, axis="y", crop="1:5,2:6")
    np.testing.assert_array_equal(volume[3], expect(array, "y", ((1, 5), (2, 6)))[3])
    pickled = pickle.dumps(volume)
    assert len(pickled) < 6000  # a description, not the values
    again = pickle.loads(pickled)
    assert again == volume
    assert again.fingerprint() == volume.fingerprint()
    np.testing.assert_array_equal(again[3], volume[3])


def test_processes_read_a_pickled_volume(stored, tmp_path):
    """Spawned, as by Dask: the other process knows nothing but the pickle."""
    names = ["zlib.tif", "plain.tif", "chunked.nxs", "3.zarr", "yxzc.npy", "rgb.mkv", "png"]
    volumes = [open_volume(stored[name][0], axes=stored[name][1]) for name in names]
    (tmp_path / "volumes").write_bytes(pickle.dumps(volumes))
    code = (
        "import pickle, sys, numpy as np\n"
        "volumes = pickle.load(open(sys.argv[1] + '/volumes', 'rb'))\n"
        "np.savez(sys.argv[1] + '/read.npz', *[v.read(2, 5) for v in volumes])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd="/")
    with np.load(tmp_path / "read.npz") as read:
        for name, key in zip(names, read, strict=True):
            np.testing.assert_array_equal(read[key], stored[name][2][2:5])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_opens_the_file_anew(stored):
    """It would share the position in the file with its parent, and disturb it."""
    for name in ("zlib.tif", "chunked.nxs", "rgb.mkv"):
        path, axes, array = stored[name]
        volume = open_volume(path, axes=axes)
        np.testing.assert_array_equal(volume[1], array[1])
        pipe, end = get_context("fork").Pipe(duplex=False)
        child = get_context("fork").Process(target=lambda v=volume, e=end: e.send(v[4]))
        child.start()
        assert pipe.poll(60)
        np.testing.assert_array_equal(pipe.recv(), array[4])
        child.join()
        np.testing.assert_array_equal(volume[2], array[2])


def test_threads_read_at_a_time(stored, stored_kind):
    path, axes, array = stored[stored_kind]
    volume = open_volume(path, axes=axes)
    numbers = np.random.default_rng(0).integers(0, len(array), 24).tolist()
    with ThreadPoolExecutor(4) as pool:
        for number, image in zip(numbers, pool.map(volume.__getitem__, numbers), strict=True):
            np.testing.assert_array_equal(image, array[number])


# What is refused


def refused(path, *words, **options):
    with pytest.raises(InputError) as caught:
        open_volume(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path)), message
    assert "; " in message
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_paths_that_hold_no_volume(tmp_path, stored):
    refused(tmp_path / "none.tif", "does not exist")
    refused(f"{tmp_path}/none.h5:/entry/data", "does not exist")
    (tmp_path / "empty.tif").touch()
    refused(tmp_path / "empty.tif", "empty")
    (tmp_path / "text.md").write_text("This is a text file.\n" * 9)
    refused(tmp_path / "text.md", "not a volume or video of a known format")
    (tmp_path / "text.mp4").write_text("This is a text file.\n" * 9)
    refused(tmp_path / "text.mp4", "cannot be read")
    refused(stored["png"][0] / "slice 8.png", "one image")
    refused(f"{stored['a.npy'][0]}:/data", "leave out the colon")
    refused(f"{stored['png'][0]}:/data", "leave out the colon")


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"axis": "q"}, "axis: 'q'"),
        ({"axes": "zy"}, "axes: 'zy'"),
        ({"axes": "zzyx"}, "axes: 'zzyx'"),
        ({"crop": "1:2"}, "crop: '1:2'"),
        ({"crop": "0:19,0:5"}, "crop, rows: 0:19"),
        ({"crop": ((3, 3), (0, 5))}, "crop, rows: 3:3"),
        ({"crop": 7}, "crop: 7"),
        ({"start": 6}, "slices: 6:6"),
        ({"stop": 7}, "slices: 0:7"),
        ({"step": 0}, "slices: the step 0"),
        ({"start": 1.5}, "slices: 1.5"),
        ({"binning": 19}, "binning: 19"),
        ({"binning": (1, 2)}, "binning: (1, 2)"),
        ({"binning": 0}, "binning: 0"),
        ({"channels": 3}, "channels: 3"),
        ({"channels": []}, "channels: []"),
        ({"channels": [0, 0]}, "channels: [0, 0]"),
    ],
)
def test_options_that_do_not_suit(stored, options, start):
    with pytest.raises(InputError) as caught:
        open_volume(stored["rgb.tif"][0], **options)
    assert str(caught.value).startswith(start)
    assert "; " in str(caught.value)


def test_names_for_results(stored):
    names = {kind: open_volume(path, axes=axes).name for kind, (path, axes, _) in stored.items()}
    assert names["a.ome.tif"] == "a"
    assert names["chunked.nxs"] == "chunked"
    assert names["3.zarr"] == "3"
    assert names["png"] == "png"
    assert open_volume(f"{stored['chunked.nxs'][0]}:/entry/data").name == "chunked"


def test_labels_may_be_whole_numbers_stored_as_floats(tmp_path):
    labels = np.random.default_rng(0).integers(0, 9, (5, 6, 7))
    np.save(tmp_path / "a.npy", labels.astype(np.float32))
    volume = open_labels(tmp_path / "a.npy")
    assert volume.dtype == volume[0].dtype == np.int64
    np.testing.assert_array_equal(volume.read(0, 5)[:, 0], labels)
    np.save(tmp_path / "b.npy", labels + 0.5)
    with pytest.raises(InputError, match=r"b.npy: holds .*5, which is not the number of a label"):
        open_labels(tmp_path / "b.npy")
    labels = labels.astype(float)
    labels[3, 2, 1] = 7.25
    np.save(tmp_path / "d.npy", labels)
    with pytest.raises(InputError, match=r"d.npy: holds 7.25, which is not the number"):
        open_labels(tmp_path / "d.npy").read(1, 5)
    np.save(tmp_path / "c.npy", np.zeros((5, 6, 7, 3), np.uint8))
    with pytest.raises(InputError, match="holds 3 channels, not labels"):
        open_labels(tmp_path / "c.npy", axes="zyxc")


def test_one_image_is_a_label_map_of_one_slice(tmp_path):
    labels = np.arange(42, dtype=np.uint8).reshape(6, 7)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    (tmp_path / "one").mkdir()
    Image.fromarray(labels).save(tmp_path / "one/0.png")
    for name in ("a.tif", "one"):
        with pytest.raises(InputError, match=r"is one image .* and not a volume"):
            open_volume(tmp_path / name)
        volume = open_labels(tmp_path / name)
        assert (len(volume), volume.noun, volume.elements) == (1, "slices", "voxels")
        np.testing.assert_array_equal(volume[0][0], labels)


def test_colours_are_frames_of_pixels(tmp_path):
    for number in range(3):
        Image.fromarray(np.zeros((6, 7, 3), np.uint8)).save(tmp_path / f"{number}.png")
    film, side = (open_volume(tmp_path, axis=axis) for axis in "zy")
    assert (film.noun, film.elements, film.named(0, 2)) == ("frames", "pixels", "frames 0, 2")
    assert (side.noun, side.elements, side.named(2)) == ("slices", "voxels", "slice 2")
    with pytest.raises(IndexError, match="frame 3 does not exist"):
        film[3]


@pytest.mark.parametrize("name", ["a.npy", "a.h5"])
def test_an_array_of_two_axes_is_a_volume_of_one_slice(tmp_path, name):
    image = np.arange(42).reshape(6, 7)
    if name == "a.npy":
        np.save(tmp_path / name, image)
    else:
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = image
    volume = open_volume(tmp_path / name)
    assert len(volume) == 1
    np.testing.assert_array_equal(volume[0][0], image)
