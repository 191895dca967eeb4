"""The labels and the features of an image, whatever its size, channels and type."""

import copy

import numpy as np
import pytest
import torch

from sp_graph_seg import Config, Segmenter, ToRAG
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.segmenter.model_file import read_model


@pytest.mark.parametrize("size", [(32, 48), (48, 32), (33, 47), (19, 80), (4, 4), (5, 64)])
def test_labels_have_the_size_of_any_image(fitted, size, config, blocks):
    labels = fitted.predict(blocks(*size, seed=1))
    assert labels.shape == size
    assert labels.dtype == np.int64
    assert labels.min() >= 0
    assert labels.max() < config.num_features


def test_labels_are_the_largest_mean_feature_of_each_superpixel(
    fitted, image, blocks, learned_features
):
    for picture in (image, blocks(40, 30, seed=3)):
        graph = fitted.transform(picture)
        expected = learned_features(fitted, picture, graph.pixel_index)
        torch.testing.assert_close(graph.z, expected, rtol=1e-4, atol=1e-5)
        labels = fitted.predict(picture)
        np.testing.assert_array_equal(labels.ravel(), expected.argmax(1)[graph.pixel_index])
        assert len(np.unique(labels)) > 1


def test_transform_returns_the_graph_of_the_normalized_image(fitted, config, image):
    low, high = fitted.intensity_range_
    graph = fitted.transform(image)
    to_rag = ToRAG(60, tau=config.tau_con, edge_weight="softmax")
    expected = to_rag(((image - low) / (high - low)).clip(0, 1))
    assert graph.z.shape == (graph.num_nodes, config.num_features)
    assert not graph.z.requires_grad
    assert graph.image_size.tolist() == [[32, 48]]
    for key in ("edge_index", "pixel_index"):
        assert torch.equal(graph[key], expected[key])
    for key in ("x", "pos", "edge_attr", "edge_weight"):
        torch.testing.assert_close(graph[key], expected[key], rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::sp_graph_seg.errors.ManyChannelsWarning")
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels(channels, config, blocks):
    image = blocks(channels=channels)
    segmenter = Segmenter(config).fit(image)
    assert segmenter.in_channels_ == channels
    labels = segmenter.predict(image)
    assert labels.shape == (32, 48)
    assert 0 <= labels.min() <= labels.max() < config.num_features


def as_bytes(image):
    return image.astype(np.uint8)


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: image.astype(np.float64),
        as_bytes,
        lambda image: image.astype(np.uint16),
        torch.from_numpy,
        lambda image: torch.from_numpy(as_bytes(image)),
        lambda image: torch.from_numpy(image).requires_grad_(),
        lambda image: np.moveaxis(np.ascontiguousarray(np.moveaxis(as_bytes(image), 0, -1)), -1, 0),
        lambda image: np.flip(np.flip(image, 2).copy(), 2),
        lambda image: np.frombuffer(image.tobytes(), np.float32).reshape(image.shape),
    ],
    ids=[
        "float64",
        "uint8",
        "uint16",
        "tensor",
        "uint8 tensor",
        "grad",
        "HWC",
        "flip",
        "read-only",
    ],
)
def test_the_type_of_an_image_does_not_matter(convert, config, image):
    """Only its values do: integers are not divided."""
    image = np.rint(255 * image)
    same, fitted = convert(image), Segmenter(config).fit([image])
    np.testing.assert_array_equal(fitted.predict(same), fitted.predict(image))
    refitted = Segmenter(config).fit([same])
    assert refitted.intensity_range_ == fitted.intensity_range_
    assert refitted.history_["loss"] == pytest.approx(fitted.history_["loss"], rel=1e-5)


def two_colors(seed, height=48, width=64):
    """A rectangle on a ground of another colour, with noise, and which pixels are inside."""
    inside = np.zeros((height, width), bool)
    inside[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = True
    colors = np.array([[0.2, 0.3, 0.7], [0.8, 0.5, 0.2]])
    noise = 0.02 * np.random.default_rng(seed).standard_normal((3, height, width))
    return np.moveaxis(colors[inside.astype(int)], -1, 0) + noise, inside


def test_two_colors_get_two_labels():
    purities = []
    for seed in range(3):
        image, inside = two_colors(seed)
        config = Config(
            depth=2,
            n_segments=200,
            patches=((8, 16, 16),),
            minibatches=4,
            seed=seed,
            accelerator="cpu",
        )
        segmenter = Segmenter(config).fit(image)
        for picture, region in ((image, inside), two_colors(seed + 100, 40, 80)):
            labels = segmenter.predict(picture)
            within = np.bincount(labels[region], minlength=config.num_features)
            around = np.bincount(labels[~region], minlength=config.num_features)
            assert within.argmax() != around.argmax()
            purities.append(np.maximum(within, around).sum() / labels.size)
    assert min(purities) > 0.75  # that of one label for all pixels
    assert np.mean(purities) > 0.88


def test_three_sizes_train_together_and_label_a_fourth(config, blocks):
    images = [blocks(32, 48), blocks(40, 24, seed=1), blocks(17, 64, seed=2)]
    segmenter = Segmenter(config).fit(images)
    assert len(segmenter.history_) == config.epochs * config.minibatches
    assert np.isfinite(segmenter.history_["loss"]).all()
    labels = segmenter.predict(blocks(37, 53, seed=3))
    assert labels.shape == (37, 53)
    alone = Segmenter(config).fit(images[0])
    assert alone.history_["loss"][0] != segmenter.history_["loss"][0]


@pytest.mark.parametrize("method", ["slic", "watershed"])
def test_superpixels_are_made_by_the_method_asked_for(method, config, image):
    segmenter = Segmenter(config.replace(superpixel_method=method)).fit(image)
    low, high = segmenter.intensity_range_
    normal = ((image - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    expected = ToRAG(60, superpixel_method=method)(normal).pixel_index
    assert torch.equal(segmenter.transform(image).pixel_index, expected)


# Prediction in steps, and post-processing


def test_prediction_in_steps(fitted, image):
    prepared = fitted.prepare(image)
    assert prepared.size == prepared.node_size == (32, 48)
    assert prepared.graph is None
    assert fitted.node_features(prepared).shape == (prepared.nodes.max() + 1, 6)
    labels = np.arange(6).reshape(2, 3)
    expected = labels.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(fitted.finish(labels, (4, 6)), expected)


def test_labels_are_post_processed_and_the_model_keeps_it(fitted, tmp_path, config, image):
    plain = fitted.predict(image)
    most = int(np.bincount(plain.ravel()).argmax())
    segmenter = copy.deepcopy(fitted)
    assert segmenter.relabel_ is None
    assert segmenter.num_labels_ == config.num_features
    segmenter.relabel_ = relabel = Relabel(merge={9: [most]}, smooth=1)
    assert segmenter.num_labels_ == 10
    labels = segmenter.predict(image)
    np.testing.assert_array_equal(labels, relabel.apply(plain))
    assert 9 in labels
    segmenter.save(tmp_path / "m.safetensors", notes={"by": ["me", 1]})
    loaded = Segmenter.load(tmp_path / "m.safetensors")
    assert loaded.relabel_ == relabel
    assert read_model(tmp_path / "m.safetensors").notes == {"by": ["me", 1]}
    np.testing.assert_array_equal(loaded.predict(image), labels)
    assert loaded.fit(image).relabel_ is None
