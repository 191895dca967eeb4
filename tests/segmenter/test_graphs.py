import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sp_graph_seg import Config, Segmenter, ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.presets import MODEL_TYPES
from sp_graph_seg.segmenter import graphs as module
from sp_graph_seg.segmenter.graphs import node_means, prepare_image, to_graph, training_image
from sp_graph_seg.transforms import (
    ToPixelGraph,
    add_hessian_features,
    compute_superpixels,
)
from sp_graph_seg.transforms.prepare import ScaledImage

CONFIG = Config(
    num_features=4,
    width=4,
    depth=2,
    n_segments=30,
    patches=((2, 16, 16),),
    epochs=1,
    minibatches=1,
    learning_rate=1e-2,
    accelerator="cpu",
)
DENSE = CONFIG.replace(nodes="pixels")


def blocks(height=32, width=48, channels=3, seed=0):
    """Blocks of random colours with noise, in [0, 1]."""
    rng = np.random.default_rng(seed)
    colors = rng.random((channels, -(-height // 8), -(-width // 8)))
    image = np.kron(colors, np.ones((8, 8)))[:, :height, :width]
    return (0.9 * image + 0.1 * rng.random(image.shape)).astype(np.float32)


IMAGE = blocks()


def normalized(segmenter, image):
    low, high = segmenter.intensity_range_
    return ((image - np.float32(low)) / np.float32(high - low)).clip(0, 1)


def encode(segmenter, seen):
    with torch.no_grad():
        return copy.deepcopy(segmenter.net_).eval().wnet.encoder(seen[None])


def test_the_graph_is_that_of_the_configuration():
    rag = to_graph(
        None, CONFIG.replace(superpixel_method="watershed", tau_con=-2.0, compactness=3.0)
    )
    softmax = {"edge_weight": "softmax"}
    assert repr(rag) == repr(ToRAG(30, 3.0, -2.0, superpixel_method="watershed", **softmax))
    # Only the N-Cut loss looks further than to the next pixel.
    assert repr(to_graph(None, DENSE)) == repr(ToPixelGraph(1.0, 1.0, **softmax))
    cut = DENSE.replace(beta_cut=1.0, radius=3.0, tau_con=-2.0)
    assert repr(to_graph(None, cut)) == repr(ToPixelGraph(3.0, -2.0, **softmax))


@pytest.mark.parametrize("size", [(32, 48), (19, 5)])
def test_means_of_nodes(size):
    z = torch.randn(6, 16, 24, generator=torch.Generator().manual_seed(0))
    scaled = F.interpolate(z[None], size, mode="bilinear", antialias=True)[0].flatten(1)
    nodes = np.random.default_rng(0).integers(0, 7, size).ravel()
    expected = torch.stack([scaled[:, nodes == node].mean(1) for node in range(7)])
    torch.testing.assert_close(node_means(z, nodes, size), expected)
    torch.testing.assert_close(node_means(z, None, size), scaled.T)


# Pixels as nodes


def test_labels_of_pixels_are_their_largest_features():
    segmenter = Segmenter(DENSE.replace(max_size=24)).fit(IMAGE)
    for image in (IMAGE, blocks(20, 24, seed=1)):
        seen = torch.from_numpy(normalized(segmenter, image))[None]
        if image is IMAGE:
            seen = F.interpolate(seen, (16, 24), mode="bilinear", antialias=True)
        z = F.interpolate(encode(segmenter, seen[0]), image.shape[1:], mode="bilinear")[0]
        labels = segmenter.predict(image)
        np.testing.assert_array_equal(labels, z.argmax(0).numpy())
        assert len(np.unique(labels)) > 1
    graph = segmenter.transform(IMAGE)
    assert graph.num_nodes == 32 * 48
    np.testing.assert_array_equal(graph.z.argmax(1).view(32, 48).numpy(), segmenter.predict(IMAGE))


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_each_of_the_nine_model_types_trains_and_predicts(name):
    config = CONFIG.replace(radius=2.0).as_type(name, 0.5)
    segmenter = Segmenter(config).fit(IMAGE)
    assert np.isfinite(segmenter.history_["loss"]).all()
    labels = segmenter.predict(blocks(40, 30, seed=2))
    assert labels.shape == (40, 30)
    assert 0 <= labels.min() <= labels.max() < 4


def test_superpixels_are_refused_where_nodes_are_pixels():
    tiles = np.arange(32 * 48).reshape(32, 48) // 64
    reason = "^superpixels: cannot be used with nodes='pixels'"
    with pytest.raises(InputError, match=reason):
        Segmenter(DENSE).fit(IMAGE, superpixels=tiles)
    segmenter = Segmenter(DENSE).fit(IMAGE)
    for use in (segmenter.predict, segmenter.transform):
        with pytest.raises(InputError, match=reason):
            use(IMAGE, superpixels=tiles)


def test_a_head_sees_the_pixels():
    segmenter = Segmenter(DENSE.replace(head="gcn")).fit(IMAGE)
    seen = torch.from_numpy(normalized(segmenter, IMAGE))
    graph = ToPixelGraph(1.0, tau=DENSE.tau_cut)(seen)
    x = encode(segmenter, seen)[0].flatten(1).T
    with torch.no_grad():
        x = segmenter.net_.eval().head(x, graph.edge_index, graph.edge_weight)
    np.testing.assert_array_equal(segmenter.predict(IMAGE).ravel(), x.argmax(1).numpy())


# Resolution of the superpixels


def test_superpixels_are_made_as_large_as_asked_for():
    segmenter = Segmenter(CONFIG.replace(superpixel_size=24)).fit(IMAGE)
    image = normalized(segmenter, IMAGE)
    small = F.interpolate(torch.from_numpy(image)[None], (16, 24), mode="bilinear", antialias=True)[
        0
    ]
    nodes = compute_superpixels(small.numpy(), 30)
    z = encode(segmenter, torch.from_numpy(image))  # the network sees all pixels
    z = F.interpolate(z, (16, 24), mode="bilinear", antialias=True)[0].numpy()
    means = [z[:, nodes == node].mean(axis=1) for node in range(nodes.max() + 1)]
    labels = np.argmax(means, axis=1)[nodes]
    expected = labels.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(segmenter.predict(IMAGE), expected)
    assert len(np.unique(expected)) > 1


def test_both_are_scaled_once_where_they_are_alike(monkeypatch):
    config = CONFIG.replace(max_size=24, superpixel_size=24)
    segmenter = Segmenter(config).fit(IMAGE)
    sizes = []
    original = module.scale_down
    monkeypatch.setattr(
        module, "scale_down", lambda image, size: sizes.append(size) or original(image, size)
    )
    prepared = segmenter.prepare(IMAGE)
    assert sizes == [24]
    assert (prepared.size, prepared.node_size) == ((32, 48), (16, 24))
    assert prepared.seen.shape == (3, 16, 24)
    assert segmenter.predict(IMAGE).shape == (32, 48)


@pytest.mark.parametrize("size", [0, 48, 100])
def test_what_is_smaller_keeps_its_own_size(size):
    segmenter = Segmenter(CONFIG).fit(IMAGE)
    expected = segmenter.predict(IMAGE)
    segmenter.config_ = segmenter.config_.replace(superpixel_size=size)
    assert segmenter.prepare(IMAGE).node_size == (32, 48)
    np.testing.assert_array_equal(segmenter.predict(IMAGE), expected)


def test_given_superpixels_keep_their_size():
    segmenter = Segmenter(CONFIG.replace(superpixel_size=8)).fit(IMAGE)
    tiles = np.arange(32)[:, None] // 3 * 100 + np.arange(48) // 5
    labels = segmenter.predict(IMAGE, superpixels=tiles)
    for tile in np.unique(tiles):
        assert len(np.unique(labels[tiles == tile])) == 1
    z = encode(segmenter, torch.from_numpy(normalized(segmenter, IMAGE)))[0].numpy()
    first = z[:, tiles == 0].mean(axis=1).argmax()
    assert labels[0, 0] == first


def test_training_sees_superpixels_at_its_own_resolution():
    config = CONFIG.replace(max_size=24, superpixel_size=8)
    training = training_image((ScaledImage(IMAGE, None), None), config)
    assert training.graph.image_size.tolist() == [[16, 24]]
    assert training.image.shape == (3, 16, 24)


# Derived channels


def test_derived_channels_are_seen_and_not_segmented():
    config = CONFIG.replace(hessian_scales=(1.0, 2.0), max_size=24)
    training = training_image((ScaledImage(IMAGE, None), None), config)
    small = F.interpolate(torch.from_numpy(IMAGE)[None], (16, 24), mode="bilinear", antialias=True)[
        0
    ]
    torch.testing.assert_close(training.image, add_hessian_features(small, (1.0, 2.0)))
    assert training.graph.x.shape[1] == 3
    prepared = prepare_image(ScaledImage(IMAGE, None), None, config, with_graph=True)
    torch.testing.assert_close(prepared.seen, training.image)
    assert prepared.graph.x.shape[1] == 3
    np.testing.assert_array_equal(prepared.nodes, compute_superpixels(IMAGE, 30).ravel())


@pytest.mark.parametrize("reconstruction", ["patch", "image"])
def test_a_model_of_derived_channels_survives_its_file(tmp_path, reconstruction):
    config = CONFIG.replace(hessian_scales=(1.0, 2.5), reconstruction=reconstruction)
    segmenter = Segmenter(config).fit(IMAGE)
    assert segmenter.in_channels_ == 3
    segmenter.save(tmp_path / "m.safetensors")
    loaded = Segmenter.load(tmp_path / "m.safetensors")
    assert loaded.config_.hessian_scales == (1.0, 2.5)
    labels = segmenter.predict(IMAGE)
    np.testing.assert_array_equal(loaded.predict(IMAGE), labels)
    seen = add_hessian_features(torch.from_numpy(normalized(segmenter, IMAGE)), (1.0, 2.5))
    z = encode(segmenter, seen)[0].numpy()
    nodes = compute_superpixels(normalized(segmenter, IMAGE), 30)
    means = [z[:, nodes == node].mean(axis=1) for node in range(nodes.max() + 1)]
    np.testing.assert_array_equal(labels, np.argmax(means, axis=1)[nodes])
