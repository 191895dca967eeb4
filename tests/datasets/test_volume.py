import h5py
import numpy as np
import pytest
import tifffile
import torch
import zarr

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import VolumeRAG, majority_labels
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import to_label_image
from sp_graph_seg.volumes import Volume, open_volume

SIZE = (5, 6, 9)
TRUTH = np.arange(np.prod(SIZE)).reshape(SIZE) // 40
STORED = np.random.default_rng(0).integers(0, 255, (2, *SIZE)).astype(np.uint8)


@pytest.fixture
def save(tmp_path):
    """Saves an array as .npy and opens it."""

    def save(name, array, axes="czyx", **options):
        np.save(tmp_path / f"{name}.npy", array)
        return open_volume(tmp_path / f"{name}.npy", axes=axes, **options)

    return save


@pytest.fixture
def volume(save):
    return save("volume", STORED)


@pytest.fixture
def truth(save):
    return save("truth", TRUTH, "zyx")


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_slices(tmp_path, save, axis):
    """Labels given by their path are sliced along the axis of the volume."""
    save("truth", TRUTH, "zyx")
    volume = save("volume", STORED, axis=axis)
    to_graph = ToRAG(8)
    dataset = VolumeRAG(tmp_path, volume, labels=tmp_path / "truth.npy", to_graph=to_graph)
    order = {"z": (0, 1, 2), "y": (1, 0, 2), "x": (2, 0, 1)}[axis]
    stored = STORED.transpose(0, *(1 + k for k in order))
    assert dataset.regions == list(range(stored.shape[1]))
    for k, data in enumerate(dataset):
        expected = to_graph(stored[:, k])
        assert torch.equal(data.x, expected.x)
        assert torch.equal(data.edge_index, expected.edge_index)
        assert torch.equal(data.y, majority_labels(TRUTH.transpose(order)[k], expected))
        assert data.name == f"d{k:05d}"


def test_blocks_cover_the_volume(tmp_path, volume):
    dataset = VolumeRAG(tmp_path, volume, block=(3, 6, 4), to_graph=ToRAG(5))
    assert len(dataset) == 2 * 1 * 3
    assert dataset[0].image_size.tolist() == [[3, 6, 4]]
    assert dataset[5].image_size.tolist() == [[2, 6, 1]]
    assert dataset[5].name == "d00003_h00000_w00008"
    covered = np.zeros(SIZE, dtype=int)
    for region in dataset.regions:
        covered[region] += 1
    assert (covered == 1).all()


def one_node_a_voxel(image):
    pixels = np.arange(image[0].size).reshape(image[0].shape)
    return ToRAG(superpixels=pixels)(image)


@pytest.mark.parametrize("block", [None, (2, 4, 5)])
@pytest.mark.parametrize("options", [{}, {"axis": "x"}, {"crop": "1:6,2:8", "binning": 2}])
def test_regions_put_the_results_together(tmp_path, save, block, options):
    volume = save("volume", STORED[:1].astype(np.float32), **options)
    dataset = VolumeRAG(tmp_path, volume, block=block, to_graph=one_node_a_voxel)
    painted = np.full((len(volume), volume.height, volume.width), -1.0)
    for region, data in zip(dataset.regions, dataset, strict=True):
        painted[region] = to_label_image(data.x[:, 0], data).numpy()
    np.testing.assert_array_equal(painted, volume.read(0, len(volume))[:, 0])


def write_tiff(path, array, **how):
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "CZYX"}, **how)
    return path


def write_hdf5(path, array):
    with h5py.File(path, "w") as file:
        file["entry/data"] = array[0]
    return f"{path}:/entry/data"


def write_zarr(path, array):
    zarr.save_array(path, array[0])
    return path


@pytest.mark.parametrize(
    ("name", "write"), [("a.tif", write_tiff), ("a.h5", write_hdf5), ("a.zarr", write_zarr)]
)
def test_every_format_gives_the_same_graphs(tmp_path, volume, truth, name, write):
    channels = [0, 1] if name == "a.tif" else [0]
    path = write(tmp_path / name, STORED)
    expected = ToRAG(8)(STORED[channels][:, :2])
    dataset = VolumeRAG(tmp_path, path, block=(2, 9, 9), labels=truth, to_graph=ToRAG(8))
    assert torch.equal(dataset[0].x, expected.x)
    assert torch.equal(dataset[0].y, majority_labels(TRUTH[:2], expected))


def test_a_block_is_read_and_no_more(tmp_path, volume, truth, monkeypatch):
    read = []

    def count(self, start, stop, original=Volume.read):
        read.append((stop - start) * self.height * self.width)
        return original(self, start, stop)

    monkeypatch.setattr(Volume, "read", count)
    VolumeRAG(tmp_path, volume, block=(3, 3, 4), labels=truth, to_graph=ToRAG(5))
    assert max(read) == 3 * 3 * 4
    assert sum(read) == 2 * np.prod(SIZE)


@pytest.mark.parametrize(("block", "wanted"), [(None, (1, 2)), ((2, 2, 2), (4, 1, 2))])
def test_the_spacing_of_the_file_is_that_of_the_graphs(tmp_path, block, wanted):
    """In units of the smallest distance: micrometres or metres, the superpixels are the same."""
    voxels = np.zeros((5, 4, 6), np.uint8)
    resolution = (1 / 0.5, 1 / 0.25)  # along x and y
    metadata = {"spacing": 1.0, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(
        tmp_path / "a.tif", voxels, imagej=True, resolution=resolution, metadata=metadata
    )
    assert VolumeRAG(tmp_path / "cache", tmp_path / "a.tif", block).to_graph.spacing == wanted
    own = ToRAG(8, spacing=(1.0, 3.0))
    assert VolumeRAG(tmp_path / "cache", tmp_path / "a.tif", to_graph=own).to_graph is own


def test_another_volume_or_another_cut_is_made_anew(tmp_path, save, volume, truth):
    other = STORED.astype(np.int16)
    datasets = [
        VolumeRAG(tmp_path, volume, to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, save("other", other), to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, save("volume", STORED, crop="1:,:"), to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, volume, labels=truth, to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, volume, block=(4, 6, 8), to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, volume, block=(4, 6, 7), to_graph=ToRAG(8)),
    ]
    assert len({dataset.processed_dir for dataset in datasets}) == len(datasets)
    again = VolumeRAG(tmp_path, open_volume(volume.path, axes="czyx"), to_graph=ToRAG(8))
    assert again.processed_dir != datasets[0].processed_dir  # the file was written again meanwhile
    assert again.processed_dir == VolumeRAG(tmp_path, volume, to_graph=ToRAG(8)).processed_dir


def test_a_bad_slice_is_named_and_the_others_stay(tmp_path, save):
    bad = STORED.astype(np.float32)
    bad[0, 2, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"bad\.npy d00002: 1 values are NaN or Inf"):
        VolumeRAG(tmp_path, save("bad", bad), to_graph=ToRAG(8))
    assert len(list(tmp_path.rglob("*.pt"))) == 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"volume": STORED}, "volume: ndarray is neither a path .*numpy.save"),
        ({"labels": torch.zeros(SIZE)}, "labels: Tensor is neither a path"),
        ({"volume": "nowhere.npy"}, r"nowhere\.npy: does not exist"),
        ({"block": (2, 2)}, r"block=\(2, 2\) is not three"),
        ({"block": (2, 2, 0)}, r"block=\(2, 2, 0\) is not three"),
    ],
)
def test_unusable_parameters_are_named(tmp_path, volume, parameters, message):
    with pytest.raises(InputError, match=message):
        VolumeRAG(tmp_path, **{"volume": volume, **parameters})


@pytest.mark.parametrize(
    ("labels", "axes", "message"),
    [
        (
            TRUTH[:, :, :8],
            "zyx",
            r"the labels have the shape \(5, 6, 8\), .* \(5, 6, 9\)",
        ),
        (TRUTH / 1, "zyx", "holds float64 values"),
        (STORED, "czyx", "has 2 channels"),
    ],
)
def test_labels_that_do_not_fit_are_named(tmp_path, save, volume, labels, axes, message):
    with pytest.raises(InputError, match=rf"labels\.npy: {message}"):
        VolumeRAG(tmp_path, volume, labels=save("labels", labels, axes))


def is_wide(data):
    return data.image_size[0, -1] == 4


def test_regions_are_those_of_the_graphs_that_the_filter_keeps(tmp_path, volume):
    dataset = VolumeRAG(tmp_path, volume, block=(5, 6, 4), to_graph=ToRAG(5), pre_filter=is_wide)
    assert [data.name[-6:] for data in dataset] == ["w00000", "w00004"]
    assert [region[2] for region in dataset.regions] == [slice(0, 4), slice(4, 8)]


def test_thin_blocks_of_many_channels_are_no_batch(tmp_path, save):
    volume = save("many", np.random.default_rng(0).random((6, 4, 6, 5), dtype=np.float32))
    dataset = VolumeRAG(tmp_path, volume, block=(3, 6, 5))
    assert [data.image_size[0, 0].item() for data in dataset] == [3, 1]
