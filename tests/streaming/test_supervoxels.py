import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import SAGEConv

from sp_graph_seg import Segmenter, ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.streaming import label_volume
from sp_graph_seg.streaming import supervoxels as module
from sp_graph_seg.streaming.supervoxels import label_supervoxels
from sp_graph_seg.transforms import compute_superpixels


def label(segmenter, images):
    numbers, labels = zip(*label_supervoxels(segmenter, enumerate(images, start=5)), strict=True)
    assert numbers == tuple(range(5, 5 + len(images)))
    return np.stack(labels)


@pytest.fixture
def images(slices):
    return slices[:4].astype(np.float32)


@pytest.fixture
def given(monkeypatch):
    """Sets the supervoxels, whatever the block."""

    def give(nodes):
        monkeypatch.setattr(module, "compute_superpixels", lambda *_, **__: nodes)

    return give


def normalized(segmenter, images):
    low, high = segmenter.intensity_range_
    return ((images - low) / (high - low)).clip(0, 1)


def features(segmenter, images, size):
    """z of each slice at some size, ``(D, F, h, w)``."""
    with torch.no_grad():
        z = segmenter.net_.wnet.encoder(torch.from_numpy(normalized(segmenter, images)))
    return F.interpolate(z, size, mode="bilinear").double().numpy()


def test_supervoxels_of_one_slice_each_are_superpixels(model, images, given):
    segmenter = Segmenter.load(model)
    nodes = [
        compute_superpixels(image, 30) for image in normalized(segmenter, images)
    ]  # as predict makes them
    starts = np.cumsum([0, *(part.max() + 1 for part in nodes[:-1])])
    given(np.stack(nodes) + starts[:, None, None])
    expected = np.stack([segmenter.predict(image) for image in images])
    np.testing.assert_array_equal(label(segmenter, images), expected)
    assert len(np.unique(expected)) > 1


def test_labels_are_the_largest_mean_feature_of_each_supervoxel(model, images):
    segmenter = Segmenter.load(model)
    block = normalized(segmenter, images).transpose(1, 0, 2, 3)  # (C, D, H, W)
    count = round(30 * max(1, 4 / (24 * 32 / 30) ** 0.5))
    nodes = compute_superpixels(block, count)
    assert any(len(np.unique(np.nonzero(nodes == n)[0])) > 1 for n in range(nodes.max() + 1))
    z = features(segmenter, images, (24, 32)).transpose(1, 0, 2, 3)
    expected = np.empty_like(nodes)
    for node in range(nodes.max() + 1):
        expected[nodes == node] = z[:, nodes == node].mean(axis=1).argmax()
    found = label(segmenter, images)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 1


@pytest.mark.parametrize("size", [0, 16, 20])
def test_supervoxels_may_be_coarser_than_the_slices(
    fit_model, config, tmp_path, images, given, size
):
    path = fit_model(tmp_path / "m.safetensors", config.replace(superpixel_size=size))
    segmenter = Segmenter.load(path)
    height, width = (24, 32) if size == 0 else (round(24 * size / 32), size)
    nodes = np.indices((4, height, width)) // np.array([2, 4, 4]).reshape(3, 1, 1, 1)
    nodes = (nodes[0] * 100 + nodes[1] * 10 + nodes[2]).astype(np.int64)
    nodes = np.unique(nodes, return_inverse=True)[1].reshape(nodes.shape)
    given(nodes)
    with torch.no_grad():
        z = segmenter.net_.wnet.encoder(torch.from_numpy(normalized(segmenter, images)))
    z = F.interpolate(z, (height, width), mode="bilinear", antialias=True).double().numpy()
    small = np.empty_like(nodes)
    for node in range(nodes.max() + 1):
        small[nodes == node] = z.transpose(1, 0, 2, 3)[:, nodes == node].mean(axis=1).argmax()
    rows = ((np.arange(24) + 0.5) * height / 24).astype(int)
    columns = ((np.arange(32) + 0.5) * width / 32).astype(int)
    np.testing.assert_array_equal(label(segmenter, images), small[:, rows][:, :, columns])


def test_a_head_sees_the_graph_of_the_supervoxels(fit_model, config, tmp_path, images):
    path = fit_model(tmp_path / "m.safetensors", config.replace(head="gcn", tau_cut=-2.0))
    segmenter = Segmenter.load(path)
    block = normalized(segmenter, images).transpose(1, 0, 2, 3)
    nodes = compute_superpixels(block, 30)
    graph = ToRAG(tau=-2.0, superpixels=nodes)(block)
    np.testing.assert_array_equal(graph.pixel_index, nodes.ravel())
    z = features(segmenter, images, (24, 32)).transpose(1, 0, 2, 3).reshape(4, -1)
    means = [z[:, nodes.ravel() == node].mean(axis=1) for node in range(graph.num_nodes)]
    with torch.no_grad():
        x = segmenter.net_.head(
            torch.tensor(np.array(means)).float(), graph.edge_index, graph.edge_weight
        )
    np.testing.assert_array_equal(label(segmenter, images), x.argmax(1).numpy()[nodes])


@pytest.mark.parametrize("number", [1, 2])
def test_blocks_of_few_slices(fit_model, config, tmp_path, images, number):
    """Derived channels and post-processing count too."""
    path = fit_model(tmp_path / "m.safetensors", config.replace(hessian_scales=(1.0,)))
    segmenter = Segmenter.load(path)
    before = label(segmenter, images[:number])
    assert before.shape == (number, 24, 32)
    segmenter.relabel_ = Relabel(merge={3: [0, 1]})
    np.testing.assert_array_equal(
        label(segmenter, images[:number]), np.where(before < 2, 3, before)
    )


def test_no_slices(model):
    assert list(label_supervoxels(Segmenter.load(model), [])) == []


def test_supervoxels_are_as_deep_as_wide(config):
    wanted = config.replace(n_segments=100)
    assert module._count((1, 100, 100), wanted) == 100
    assert module._count((10, 100, 100), wanted) == 100  # their sides are 10 pixels
    assert module._count((30, 100, 100), wanted) == 300


class OfPositions(nn.Module):
    """A head of the 2D graphs of its training."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 4)

    def forward(self, x, pos):
        return x + self.linear(pos)


def test_a_head_of_the_user_labels_volumes(config, make_slices, save_volume, tmp_path, images):
    head = SAGEConv(-1, 5)
    segmenter = Segmenter(config, head).fit(list(images))
    segmenter.save(tmp_path / "m.safetensors")
    volume = save_volume(tmp_path / "v.npy", images)
    for mode in ("slices", "supervoxels"):
        output = tmp_path / f"{mode}.npy"
        label_volume(tmp_path / "m.safetensors", volume, output, mode=mode, head=head)
        expected = (
            np.stack([segmenter.predict(image) for image in images])
            if mode == "slices"
            else label(segmenter, images)
        )
        np.testing.assert_array_equal(np.load(output), expected)
    with pytest.raises(InputError, match=r"another head \(saved SAGEConv, given no head\)"):
        label_volume(tmp_path / "m.safetensors", volume, tmp_path / "none.npy")


def test_a_head_of_2d_graphs_is_refused_before_the_work(config, save_volume, tmp_path, images):
    head = OfPositions()
    Segmenter(config, head).fit(list(images)).save(tmp_path / "m.safetensors")
    volume = save_volume(tmp_path / "v.npy", images)
    output = tmp_path / "labels.npy"
    with pytest.raises(InputError, match=r"^head: OfPositions cannot be called"):
        label_volume(tmp_path / "m.safetensors", volume, output, mode="supervoxels", head=head)
    assert not output.exists()
