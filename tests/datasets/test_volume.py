import numpy as np
import pytest
import tifffile
import torch

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import VolumeRAG, majority_labels
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import to_label_image

SIZE = (4, 6, 9)


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 255, (2, *SIZE)).astype(np.uint8)


@pytest.fixture
def truth():
    return np.arange(np.prod(SIZE)).reshape(SIZE) // 40


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices(tmp_path, volume, truth, axis):
    to_graph = ToRAG(8)
    dataset = VolumeRAG(tmp_path, volume, axis=axis, labels=truth, to_graph=to_graph)
    assert len(dataset) == len(dataset.regions) == SIZE[axis]
    for k, data in enumerate(dataset):
        expected = to_graph(volume.take(k, axis=1 + axis))
        assert torch.equal(data.x, expected.x)
        assert torch.equal(data.edge_index, expected.edge_index)
        assert torch.equal(data.y, majority_labels(truth.take(k, axis=axis), expected))
        assert data.name == f"{'dhw'[axis]}{k:05d}"


def test_blocks_cover_the_volume(tmp_path, volume):
    dataset = VolumeRAG(tmp_path, volume, block=(3, 6, 4), to_graph=ToRAG(5))
    assert len(dataset) == 2 * 1 * 3
    assert dataset[0].image_size.tolist() == [[3, 6, 4]]
    assert dataset[5].image_size.tolist() == [[1, 6, 1]]
    assert dataset[5].name == "d00003_h00000_w00008"
    covered = np.zeros(SIZE, dtype=int)
    for region in dataset.regions:
        covered[region] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("parameters", [{"axis": 1}, {"block": (2, 4, 5)}])
def test_regions_put_the_results_together(tmp_path, volume, parameters):
    one_node_a_voxel = volume[:1].astype(np.float32)
    labels = np.arange(np.prod(SIZE)).reshape(SIZE)
    dataset = VolumeRAG(tmp_path, one_node_a_voxel, **parameters, labels=labels, to_graph=own_graph)
    painted = np.full(SIZE, -1)
    for region, data in zip(dataset.regions, dataset, strict=True):
        painted[region] = to_label_image(data.y, data).numpy()
    assert np.array_equal(painted, labels)


def own_graph(image):
    pixels = np.arange(image[0].size).reshape(image[0].shape)
    return ToRAG(superpixels=pixels)(image)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_files_give_what_arrays_give(tmp_path, volume, truth, compression):
    np.save(tmp_path / "volume.npy", volume)
    how = {"photometric": "minisblack", "compression": compression}
    tifffile.imwrite(tmp_path / "truth.tif", truth.astype(np.uint16), **how)
    tifffile.imwrite(
        tmp_path / "volume.tif",
        volume.transpose(1, 2, 3, 0),
        planarconfig="contig",
        **how,
    )
    tifffile.imwrite(tmp_path / "grey.tif", volume[0], **how)
    (expected, *_) = VolumeRAG(tmp_path / "0", volume, labels=truth, to_graph=ToRAG(8))
    for name in ("volume.npy", "volume.tif"):
        dataset = VolumeRAG(
            tmp_path / name.replace(".", "_"),
            tmp_path / name,
            labels=str(tmp_path / "truth.tif"),
            to_graph=ToRAG(8),
        )
        assert len(dataset) == SIZE[0]
        assert torch.equal(dataset[0].x, expected.x)
        assert torch.equal(dataset[0].y, expected.y)
    grey = VolumeRAG(tmp_path / "1", tmp_path / "grey.tif", to_graph=ToRAG(8))
    assert torch.equal(grey[1].x, ToRAG(8)(volume[:1, 1]).x)


def test_another_volume_or_another_cut_is_made_anew(tmp_path, volume, truth):
    other = volume.copy()
    other[0, 0, 0, 0] ^= 1
    datasets = [
        VolumeRAG(tmp_path, volume, to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, other, to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, volume, labels=truth, to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, volume, block=(4, 6, 8), to_graph=ToRAG(8)),
        VolumeRAG(tmp_path, volume, block=(4, 6, 7), to_graph=ToRAG(8)),
    ]
    assert len({dataset.processed_dir for dataset in datasets}) == len(datasets)
    again = VolumeRAG(tmp_path, torch.from_numpy(volume), axis=0, to_graph=ToRAG(8))
    assert again.processed_dir == datasets[0].processed_dir


def test_the_volume_is_not_kept(tmp_path, volume):
    dataset = VolumeRAG(tmp_path, volume, to_graph=ToRAG(8))
    assert not any(isinstance(value, np.ndarray) for value in vars(dataset).values())
    assert dataset._sources == ()


def test_a_bad_slice_is_named_and_the_others_stay(tmp_path, volume):
    bad = volume.astype(np.float32)
    bad[0, 2, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"^volume d00002: 1 values are NaN or Inf"):
        VolumeRAG(tmp_path, bad, to_graph=ToRAG(8))
    assert len(list(tmp_path.rglob("*.pt"))) == 2
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(InputError, match=r"bad\.npy d00002: 1 values are NaN or Inf"):
        VolumeRAG(tmp_path, tmp_path / "bad.npy", to_graph=ToRAG(8))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"volume": np.zeros((2, 3, 4))}, r"volume: shape \(2, 3, 4\) must be \(C, D, H, W\)"),
        ({"volume": np.zeros((1, 0, 3, 4))}, r"volume: shape \(1, 0, 3, 4\)"),
        ({"axis": 3}, "axis=3 must be 0"),
        ({"axis": -1}, "axis=-1 must be 0"),
        ({"block": (2, 2)}, r"block=\(2, 2\) must be three"),
        ({"block": (2, 2, 0)}, r"block=\(2, 2, 0\) must be three"),
        ({"labels": np.zeros((4, 6, 8), int)}, r"labels: int64 of shape \(4, 6, 8\) do not fit"),
        ({"labels": np.zeros(SIZE)}, r"labels: float64 of shape \(4, 6, 9\) do not fit"),
        ({"volume": "nowhere.npy"}, r"nowhere\.npy: cannot be opened"),
    ],
)
def test_unusable_parameters_are_named(tmp_path, volume, parameters, message):
    with pytest.raises(InputError, match=message):
        VolumeRAG(tmp_path, **{"volume": volume, **parameters})


def test_unusable_files_are_named(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 damaged")
    np.save(tmp_path / "a.npy", np.array([None]), allow_pickle=True)
    np.save(tmp_path / "b.npy", np.zeros((3, 4, 5)))
    tifffile.imwrite(tmp_path / "page.tif", np.zeros((4, 5), np.uint8))
    for name, message in (
        ("a.tif", r"a\.tif: cannot be decoded"),
        ("a.npy", r"a\.npy: cannot be decoded"),
        ("b.npy", r"b\.npy: shape \(3, 4, 5\)"),
        ("page.tif", r"page\.tif: has the axes YX"),
    ):
        with pytest.raises(InputError, match=message):
            VolumeRAG(tmp_path, tmp_path / name)
