import copy
import pickle
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch_geometric.nn import GATv2Conv, GCNConv, GraphConv

from sp_graph_seg import Config, Segmenter, ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.inference import segmenter as module
from sp_graph_seg.inference.model_file import read_notes
from sp_graph_seg.transforms.relabel import Relabel

CONFIG = Config(
    num_features=6,
    width=4,
    depth=2,
    n_segments=60,
    patches=((4, 16, 16),),
    epochs=2,
    minibatches=2,
    learning_rate=1e-2,
    accelerator="cpu",
)


def blocks(height=32, width=48, channels=3, seed=0):
    """Blocks of random colours with noise: whole numbers from 0 to 255 divided by 255, float32."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 230, (channels, -(-height // 8), -(-width // 8)))
    image = np.kron(colors, np.ones((8, 8), int))[:, :height, :width]
    image = image + rng.integers(0, 26, image.shape)
    return image.astype(np.float32) / np.float32(255)


def tiles(height, width, size=8):
    """A label map of squares, numbered with gaps."""
    rows, columns = np.indices((height, width)) // size
    return 7 * (rows * -(-width // size) + columns) + 3


IMAGE = blocks()
TILES = tiles(32, 48)


@pytest.fixture(scope="module")
def fitted():
    """A trained model; no test may change it."""
    return Segmenter(CONFIG).fit(IMAGE)


def state_of(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_same_state(net, state):
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), name


def learned_features(segmenter, image, pixel_index):
    """z of the nodes as the documentation has it: scale, encode, scale back, average."""
    config = segmenter.config
    low, high = segmenter.intensity_range_
    tensor = ((torch.from_numpy(image) - low) / (high - low)).clamp(0, 1)[None]
    height, width = image.shape[1:]
    if 0 < config.max_size < max(height, width):
        factor = config.max_size / max(height, width)
        size = [round(height * factor), round(width * factor)]
        tensor = F.interpolate(tensor, size, mode="bilinear", antialias=True)
    with torch.no_grad():
        z = copy.deepcopy(segmenter.net_).eval().wnet.encoder(tensor)
    z = F.interpolate(z, (height, width), mode="bilinear")[0].flatten(1)
    nodes = range(int(pixel_index.max()) + 1)
    return torch.stack([z[:, pixel_index == node].mean(1) for node in nodes])


# Labels


@pytest.mark.parametrize("size", [(32, 48), (48, 32), (33, 47), (19, 80), (4, 4), (5, 64)])
def test_labels_have_the_size_of_any_image(fitted, size):
    labels = fitted.predict(blocks(*size, seed=1))
    assert labels.shape == size
    assert labels.dtype == np.int64
    assert labels.min() >= 0
    assert labels.max() < CONFIG.num_features


def test_labels_are_the_largest_mean_feature_of_each_superpixel(fitted):
    for image in (IMAGE, blocks(40, 30, seed=3)):
        graph = fitted.transform(image)
        expected = learned_features(fitted, image, graph.pixel_index)
        torch.testing.assert_close(graph.z, expected, rtol=1e-4, atol=1e-5)
        labels = fitted.predict(image)
        np.testing.assert_array_equal(labels.ravel(), expected.argmax(1)[graph.pixel_index])
        assert len(np.unique(labels)) > 1


def test_transform_returns_the_graph_of_the_normalized_image(fitted):
    low, high = fitted.intensity_range_
    graph = fitted.transform(IMAGE)
    expected = ToRAG(60, tau=CONFIG.tau_con)(((IMAGE - low) / (high - low)).clip(0, 1))
    assert graph.z.shape == (graph.num_nodes, CONFIG.num_features)
    assert not graph.z.requires_grad
    assert graph.image_size.tolist() == [[32, 48]]
    for key in ("edge_index", "pixel_index"):
        assert torch.equal(graph[key], expected[key])
    for key in ("x", "pos", "edge_attr", "edge_weight"):
        torch.testing.assert_close(graph[key], expected[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels(channels):
    image = blocks(channels=channels)
    segmenter = Segmenter(CONFIG).fit(image)
    assert segmenter.in_channels_ == channels
    labels = segmenter.predict(image)
    assert labels.shape == (32, 48)
    assert 0 <= labels.min() <= labels.max() < CONFIG.num_features


BYTES = np.rint(IMAGE * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "same",
    [
        IMAGE.astype(np.float64),
        BYTES,
        BYTES.astype(np.uint16) * 257,
        torch.from_numpy(IMAGE),
        torch.from_numpy(BYTES),
        torch.from_numpy(IMAGE).requires_grad_(),
        np.moveaxis(np.ascontiguousarray(np.moveaxis(BYTES, 0, -1)), -1, 0),
        np.flip(np.flip(IMAGE, 2).copy(), 2),
        np.frombuffer(IMAGE.tobytes(), np.float32).reshape(IMAGE.shape),  # read-only
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
def test_the_type_of_an_image_does_not_matter(fitted, same):
    np.testing.assert_array_equal(fitted.predict(same), fitted.predict(IMAGE))
    refitted = Segmenter(CONFIG).fit([same])
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


def test_three_sizes_train_together_and_label_a_fourth():
    images = [blocks(32, 48), blocks(40, 24, seed=1), blocks(17, 64, seed=2)]
    segmenter = Segmenter(CONFIG).fit(images)
    assert len(segmenter.history_) == CONFIG.epochs * CONFIG.minibatches
    assert np.isfinite(segmenter.history_["loss"]).all()
    labels = segmenter.predict(blocks(37, 53, seed=3))
    assert labels.shape == (37, 53)
    alone = Segmenter(CONFIG).fit(images[0])
    assert alone.history_["loss"][0] != segmenter.history_["loss"][0]


@pytest.mark.parametrize("method", ["slic", "watershed"])
def test_superpixels_are_made_by_the_method_asked_for(method):
    segmenter = Segmenter(CONFIG.replace(superpixels=method)).fit(IMAGE)
    low, high = segmenter.intensity_range_
    normal = ((IMAGE - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    expected = ToRAG(60, method=method)(normal).pixel_index
    assert torch.equal(segmenter.transform(IMAGE).pixel_index, expected)


# Resolution


@pytest.fixture
def seen(monkeypatch):
    """What the Segmenter hands to the training loop."""
    trainings = []

    def fit(net, images, *arguments):
        trainings.extend(images)
        return original(net, images, *arguments)

    original = module.fit
    monkeypatch.setattr(module, "fit", fit)
    return trainings


def test_the_network_sees_large_images_scaled_down(seen):
    config = CONFIG.replace(max_size=32)
    large, small = blocks(64, 48), blocks(24, 32, seed=1)
    mask = np.random.default_rng(0).random((64, 48)) > 0.5
    maps = [tiles(64, 48, size=16), None]
    segmenter = Segmenter(config).fit([large, small], masks=[mask, None], superpixels=maps)

    first, second = seen
    assert first.image.shape == (3, 32, 24)
    assert second.image.shape == (3, 24, 32)
    assert first.mask.tolist() == mask.reshape(32, 2, 24, 2).any(axis=(1, 3)).tolist()
    assert second.mask is None
    assert first.graph.num_nodes == 12
    assert first.graph.image_size.tolist() == [[32, 24]]
    assert first.graph.pixel_index.view(32, 24)[8:16, 8:16].unique().tolist() == [4]

    sizes = []
    segmenter.net_.wnet.encoder.register_forward_pre_hook(
        lambda _, inputs: sizes.append(tuple(inputs[0].shape[2:]))
    )
    for image in (large, small, blocks(50, 100, seed=4)):
        graph = segmenter.transform(image)
        expected = learned_features(segmenter, image, graph.pixel_index)
        torch.testing.assert_close(graph.z, expected, rtol=1e-3, atol=1e-4)
        assert segmenter.predict(image).shape == image.shape[1:]
    assert sizes[::3] == [(32, 24), (24, 32), (16, 32)]
    assert set(sizes) == {(32, 24), (24, 32), (16, 32)}


def test_an_image_is_never_scaled_with_max_size_0(seen):
    segmenter = Segmenter(CONFIG.replace(max_size=0)).fit(blocks(40, 330))
    assert seen[0].image.shape == (3, 40, 330)
    assert segmenter.predict(blocks(40, 330)).shape == (40, 330)


# Intensity range


@pytest.mark.parametrize(("scale", "shift"), [(4.0, -32.0), (0.25, 1.0), (1024.0, 0.0)])
def test_scale_and_shift_of_the_training_image_do_not_matter(scale, shift):
    exact = np.round(IMAGE * 256) / 256  # scaled by powers of two, no digit is lost
    scaled = np.float32(scale) * exact + np.float32(shift)
    segmenter, other = Segmenter(CONFIG).fit(exact), Segmenter(CONFIG).fit(scaled)
    low, high = segmenter.intensity_range_
    assert other.intensity_range_ == pytest.approx((scale * low + shift, scale * high + shift))
    np.testing.assert_allclose(other.history_["loss"], segmenter.history_["loss"], rtol=1e-4)
    labels = segmenter.predict(exact)
    assert (other.predict(scaled) == labels).mean() > 0.99
    assert len(np.unique(labels)) > 1


def test_prediction_uses_the_range_of_the_training_images(fitted):
    low, high = fitted.intensity_range_
    dark = IMAGE * np.float32(0.5)
    graph = fitted.transform(dark, superpixels=TILES)
    normal = ((dark - low) / (high - low)).clip(0, 1)
    means = np.stack([normal[:, tile == TILES].mean(1) for tile in np.unique(TILES)])
    np.testing.assert_allclose(graph.x, means, rtol=1e-4, atol=1e-5)
    assert graph.x.max() < 0.5
    beyond = fitted.transform(IMAGE + 1, superpixels=TILES)
    assert (beyond.x == 1).all()


def test_the_range_is_taken_over_all_training_images():
    dark, bright = 0.25 * IMAGE, 100 * IMAGE
    low, high = Segmenter(CONFIG).fit([dark, bright]).intensity_range_
    assert 0 <= low < 0.25 * IMAGE.max()
    assert 90 * IMAGE.max() < high <= 100 * IMAGE.max()


def test_hot_pixels_do_not_crush_the_range(fitted):
    hot = IMAGE.copy()
    hot[:, 3, 4] = 1e5
    hot[0, 20, 30] = -1e5
    segmenter = Segmenter(CONFIG).fit(hot)
    assert segmenter.intensity_range_ == pytest.approx(fitted.intensity_range_, abs=0.02)
    contrast, expected = (
        model.transform(IMAGE, superpixels=TILES).x.std(dim=0) for model in (segmenter, fitted)
    )
    torch.testing.assert_close(contrast, expected, rtol=0.05, atol=0)
    assert (expected > 0.1).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -1e20])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_constant_image_trains_and_predicts(value, channels):
    image = np.full((channels, 32, 48), value)
    segmenter = Segmenter(CONFIG).fit(image)
    assert np.isfinite(segmenter.history_["loss"]).all()
    assert segmenter.transform(image).z.isfinite().all()
    assert segmenter.predict(image).shape == (32, 48)
    assert segmenter.predict(blocks(channels=channels)).shape == (32, 48)


# The estimator


def test_fit_returns_self_and_sets_the_attributes():
    segmenter = Segmenter(CONFIG)
    assert segmenter.fit(IMAGE) is segmenter
    assert segmenter.in_channels_ == 3
    assert segmenter.net_.wnet.num_features == CONFIG.num_features
    assert len(segmenter.history_) == 4
    low, high = segmenter.intensity_range_
    assert (low, high) == pytest.approx(np.quantile(IMAGE, [0.001, 0.999]))


def test_before_fit(tmp_path):
    for call in (
        lambda: Segmenter().predict(IMAGE),
        lambda: Segmenter(CONFIG).transform(IMAGE),
        lambda: Segmenter(CONFIG).save(tmp_path / "model.safetensors"),
    ):
        with pytest.raises(NotFittedError, match="call fit"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_parameters_as_scikit_learn_has_them(fitted):
    assert Segmenter().get_params() == {"config": None, "head": None}
    assert fitted.get_params()["config"] == CONFIG
    copied = clone(fitted)
    assert copied.config == CONFIG
    assert not hasattr(copied, "net_")
    other = CONFIG.replace(seed=1)
    assert copied.set_params(config=other) is copied
    assert copied.config == other
    with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
        copied.set_params(epochs=3)
    assert "Segmenter(config=Config(" in repr(fitted)


def test_without_a_configuration_the_preset_fast_is_used(monkeypatch):
    used = []
    monkeypatch.setattr(module, "fit", lambda net, images, config: used.append((net, config)))
    segmenter = Segmenter().fit(IMAGE)
    ((net, config),) = used
    assert segmenter.config is None
    assert config == Config()
    assert net.wnet.num_features == Config().num_features


@pytest.mark.parametrize("copy_model", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_predict_the_same(fitted, copy_model):
    np.testing.assert_array_equal(copy_model(fitted).predict(IMAGE), fitted.predict(IMAGE))


def test_the_same_seed_gives_the_same_model(fitted):
    torch.rand(5)  # the global random state is another one now
    again = Segmenter(CONFIG).fit(IMAGE)
    assert_same_state(again.net_, state_of(fitted.net_))
    np.testing.assert_array_equal(again.predict(IMAGE), fitted.predict(IMAGE))
    other = Segmenter(CONFIG.replace(seed=1)).fit(IMAGE)
    assert other.history_["loss"] != fitted.history_["loss"]


def test_a_refit_replaces_everything(fitted):
    segmenter = Segmenter(CONFIG.replace(seed=2, epochs=1)).fit([50 * blocks(20, 20, channels=1)])
    segmenter.set_params(config=CONFIG).fit(IMAGE)
    assert_same_state(segmenter.net_, state_of(fitted.net_))
    assert segmenter.in_channels_ == 3
    assert segmenter.intensity_range_ == fitted.intensity_range_
    assert segmenter.history_["loss"] == fitted.history_["loss"]


@pytest.mark.parametrize("images", [[], IMAGE[0], [IMAGE, IMAGE * np.nan]])
def test_a_failed_refit_keeps_the_model(images):
    segmenter = Segmenter(CONFIG).fit(IMAGE)
    labels = segmenter.predict(IMAGE)
    with pytest.raises(InputError):
        segmenter.fit(images)
    np.testing.assert_array_equal(segmenter.predict(IMAGE), labels)


def test_a_diverged_refit_keeps_the_model():
    segmenter = Segmenter(CONFIG).fit(IMAGE)
    labels = segmenter.predict(IMAGE)
    segmenter.set_params(config=CONFIG.replace(learning_rate=1e30))
    with pytest.raises(InputError, match="learning_rate"):
        segmenter.fit(IMAGE)
    np.testing.assert_array_equal(segmenter.predict(IMAGE), labels)


@pytest.mark.parametrize("training", [True, False])
def test_predict_leaves_the_network_as_it_is(fitted, training):
    segmenter = copy.deepcopy(fitted)
    segmenter.net_.train(training)
    before = state_of(segmenter.net_)
    np.testing.assert_array_equal(segmenter.predict(IMAGE), fitted.predict(IMAGE))
    assert segmenter.net_.training == training
    assert all(part.training == training for part in segmenter.net_.modules())
    assert_same_state(segmenter.net_, before)
    with pytest.raises(InputError):
        segmenter.predict(IMAGE, superpixels=np.zeros((3, 3), int))
    assert segmenter.net_.training == training


def test_random_states_stay():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    Segmenter(CONFIG.replace(similarity_labels="kmeans", head="gat")).fit(IMAGE).predict(IMAGE)
    assert random.getstate() == states[0]
    for now, before in zip(np.random.get_state(), states[1], strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(now, before)
    assert torch.equal(torch.get_rng_state(), states[2])


@pytest.mark.parametrize("convert", [np.array, torch.tensor])
def test_inputs_stay(convert):
    image, mask, labels = convert(IMAGE), convert(TILES > 99), convert(TILES)
    before = [copy.deepcopy(value) for value in (image, mask, labels)]
    segmenter = Segmenter(CONFIG).fit([image], masks=[mask], superpixels=[labels])
    segmenter.predict(image, superpixels=labels)
    for value, old in zip((image, mask, labels), before, strict=True):
        assert (value == old).all()


def test_progress_goes_to_standard_error(capsys):
    Segmenter(CONFIG).fit(IMAGE, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "4/4" in captured.err
    Segmenter(CONFIG).fit(IMAGE)
    assert capsys.readouterr().err == ""


# Heads


@pytest.mark.parametrize("name", ["gcn", "gat", "graph", "transformer"])
def test_a_head_of_the_configuration(fitted, name):
    segmenter = Segmenter(CONFIG.replace(head=name)).fit(IMAGE)
    graph = segmenter.transform(IMAGE)
    x = learned_features(segmenter, IMAGE, graph.pixel_index)
    with torch.no_grad():
        expected = segmenter.net_.head.eval()(x, graph.edge_index, graph.edge_weight)
    torch.testing.assert_close(graph.z, expected, rtol=1e-3, atol=1e-4)
    assert segmenter.history_["sim"] != fitted.history_["sim"]


def test_a_head_of_the_user_is_copied_for_each_training():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = GraphConv(6, 9)
    before = state_of(head)
    segmenter = Segmenter(CONFIG, head)
    losses = [segmenter.fit(IMAGE).history_["loss"] for _ in range(2)]
    assert losses[0] == losses[1]
    assert_same_state(head, before)
    assert not torch.equal(segmenter.net_.head.lin_rel.weight, head.lin_rel.weight)
    assert segmenter.transform(IMAGE).z.size(1) == 9
    assert clone(segmenter).fit(IMAGE).history_["loss"] == losses[0]


def test_a_head_smooths_over_the_graph_of_the_image():
    """Identity weights turn a GCN into plain averaging, which the graph itself can confirm."""
    head = GCNConv(6, 6, add_self_loops=False, normalize=False, bias=False)
    torch.nn.init.eye_(head.lin.weight)
    segmenter = Segmenter(CONFIG.replace(learning_rate=1e-30), head).fit(IMAGE)
    graph = segmenter.transform(IMAGE)
    x = learned_features(segmenter, IMAGE, graph.pixel_index)
    source, target = graph.edge_index
    messages = graph.edge_weight[:, None] * x[source]
    expected = torch.zeros_like(x).index_add(0, target, messages)
    torch.testing.assert_close(graph.z, expected, rtol=1e-3, atol=1e-4)


# Masks and superpixels


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy, lambda a: a.astype(np.uint16)])
def test_labels_are_constant_on_the_users_superpixels(fitted, convert):
    maps = convert(TILES)
    labels = fitted.predict(IMAGE, superpixels=maps)
    for tile in np.unique(TILES):
        assert len(np.unique(labels[tile == TILES])) == 1
    assert len(np.unique(labels)) > 1
    numbers = np.unique(TILES, return_inverse=True)[1].ravel()
    expected = learned_features(fitted, IMAGE, torch.from_numpy(numbers)).argmax(1)
    np.testing.assert_array_equal(labels.ravel(), expected[numbers])


def test_training_takes_the_users_superpixels_and_masks(seen):
    mask = TILES > 99
    other = blocks(40, 40, seed=1)
    segmenter = Segmenter(CONFIG).fit(
        [IMAGE, other], masks=[mask, None], superpixels=[None, tiles(40, 40)]
    )
    first, second = seen
    low, high = segmenter.intensity_range_
    normal = (IMAGE - np.float32(low)) / np.float32(high - low)
    torch.testing.assert_close(first.image, torch.from_numpy(normal.clip(0, 1)))
    assert first.mask.tolist() == mask.tolist()
    assert second.mask is None
    assert first.graph.num_nodes != second.graph.num_nodes == 25


def test_read_only_masks_and_superpixels():
    labels = TILES.copy()
    labels.flags.writeable = False
    mask = labels > 99
    mask.flags.writeable = False
    segmenter = Segmenter(CONFIG).fit([IMAGE], masks=[mask], superpixels=[labels])
    assert segmenter.predict(IMAGE, superpixels=labels).shape == (32, 48)


SMALL = np.zeros((31, 48), int)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masks": [SMALL]}, r"masks\[0\]: size \(31, 48\) .* \(32, 48\)"),
        ({"superpixels": [SMALL]}, r"superpixels\[0\]: size \(31, 48\)"),
        ({"superpixels": [TILES[..., None]]}, r"superpixels\[0\]: size \(32, 48, 1\)"),
        ({"masks": [None, TILES > 0]}, "masks: 2 are given for 1 images"),
        ({"superpixels": []}, "superpixels: 0 are given for 1 images"),
        ({"masks": [TILES < 0]}, "mask: .*0 pixels"),
        ({"superpixels": [TILES - 50]}, "superpixels: negative"),
        ({"superpixels": [TILES / 2]}, "superpixels: .*float64"),
    ],
)
def test_unusable_masks_and_superpixels(arguments, message):
    with pytest.raises(InputError, match=message):
        Segmenter(CONFIG).fit([IMAGE], **arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (SMALL, r"superpixels: size \(31, 48\)"),
        (TILES - 50, "superpixels: negative"),
        (TILES / 2, "superpixels: .*float64"),
    ],
)
def test_unusable_superpixels_to_predict_with(fitted, labels, message):
    with pytest.raises(InputError, match=message):
        fitted.predict(IMAGE, superpixels=labels)


# Images that cannot be used

NAN = np.where(IMAGE > 0.9, np.nan, IMAGE)

UNUSABLE = [
    (IMAGE[0], r"shape \(32, 48\) must be \(C, H, W\)"),
    (np.moveaxis(IMAGE, 0, -1), r"shape \(32, 48, 3\) looks .*moveaxis"),
    (np.zeros((3, 5, 32, 48)), "is a volume"),
    (NAN, "NaN or Inf"),
    (np.full_like(IMAGE, np.inf), "NaN or Inf"),
    (IMAGE[:, :3], "3x48 pixels are too few for depth=2"),
    (IMAGE[:, :, :2], "32x2 pixels are too few"),
    (np.zeros((3, 4, 500)), "4x500 pixels become 3x320 with max_size=320"),
    (IMAGE[:2], "2 channels, where 3 are expected"),
    (IMAGE[:0], "no pixel"),
    ("image.png", "must be"),
]


@pytest.mark.parametrize(("image", "message"), UNUSABLE)
def test_unusable_images_are_named(fitted, image, message):
    with pytest.raises(InputError, match=message) as caught:
        Segmenter(CONFIG).fit([IMAGE, image])
    assert str(caught.value).startswith("images[1]: ")
    with pytest.raises(InputError, match=message) as caught:
        fitted.predict(image)
    assert str(caught.value).startswith("image: ")


@pytest.mark.parametrize("images", [[], (), np.zeros((0, 3, 8, 8))])
def test_no_images(images):
    with pytest.raises(InputError, match="images: there is none"):
        Segmenter(CONFIG).fit(images)


def test_what_was_trained_stays_when_parameters_change(tmp_path):
    image = blocks()
    segmenter = Segmenter(CONFIG).fit(image)
    labels = segmenter.predict(image)
    segmenter.set_params(config=CONFIG.replace(width=8, n_segments=7))
    segmenter.save(tmp_path / "model.safetensors")
    for same in (segmenter, Segmenter.load(tmp_path / "model.safetensors")):
        assert same.config_ == CONFIG
        assert np.array_equal(same.predict(image), labels)


def test_batch_norm_of_a_head_gets_the_statistics_of_the_image():
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(CONFIG.num_features)

        def forward(self, x, edge_index, edge_weight):
            return self.norm(x)

    image = blocks()
    segmenter = Segmenter(CONFIG, head=Head()).fit(image)
    z = segmenter.transform(image).z
    assert torch.allclose(z.mean(dim=0), segmenter.net_.head.norm.bias, atol=0.05)


def test_modes_of_single_modules_stay(fitted):
    net = fitted.net_
    net.wnet.decoder.train()
    modes = [module.training for module in net.modules()]
    fitted.predict(IMAGE)
    assert [module.training for module in net.modules()] == modes
    net.eval()


def test_a_head_with_dropout_draws_from_the_seed():
    head = GATv2Conv(CONFIG.num_features, CONFIG.num_features, edge_dim=1, dropout=0.5)
    state = torch.get_rng_state()
    first, second = (Segmenter(CONFIG, head=head).fit(IMAGE).transform(IMAGE).z for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_image_takes_one_mask_and_one_label_map():
    mask = np.zeros(IMAGE.shape[1:], dtype=bool)
    mask[3, 4] = True
    segmenter = Segmenter(CONFIG).fit(IMAGE, masks=mask, superpixels=TILES)
    assert segmenter.predict(IMAGE).shape == mask.shape


# The range of a volume


def test_a_given_range_is_used_and_saved(tmp_path, seen):
    image = IMAGE * 1000
    segmenter = Segmenter(CONFIG).fit(image, intensity_range=(-500, 1500.0))
    assert segmenter.intensity_range_ == (-500, 1500.0)
    torch.testing.assert_close(
        seen[0].image, torch.from_numpy((image + 500) / 2000), rtol=1e-5, atol=1e-6
    )
    segmenter.save(tmp_path / "m.safetensors")
    loaded = Segmenter.load(tmp_path / "m.safetensors")
    assert loaded.intensity_range_ == (-500.0, 1500.0)
    np.testing.assert_array_equal(loaded.predict(image), segmenter.predict(image))
    assert not np.array_equal(
        segmenter.net_.encode(torch.from_numpy(segmenter.normalize(image))).detach(),
        segmenter.net_.encode(torch.from_numpy(IMAGE)).detach(),
    )


@pytest.mark.parametrize(
    ("image", "given"),
    [
        (BYTES, (20.0, 200.0)),  # integers become 0 to 1
        (IMAGE, (2.0, 3.0)),
        (IMAGE, (-3.0, -2.0)),
        (IMAGE, (0.5, 0.5)),
        (IMAGE, (0.9, 0.1)),
        (IMAGE, (float("nan"), 1.0)),
    ],
)
def test_a_range_that_does_not_suit_the_image_is_refused(image, given):
    with pytest.raises(InputError, match=r"^intensity_range=\(.*same units, integers as floats"):
        Segmenter(CONFIG).fit(image, intensity_range=given)


def test_a_range_suits_where_it_overlaps_one_of_the_images(seen):
    Segmenter(CONFIG).fit([IMAGE, np.zeros_like(IMAGE)], intensity_range=(0.0, 2.0))
    assert seen[1].image.max() == 0


# Prediction in steps, and post-processing


def test_prediction_in_steps(fitted):
    prepared = fitted.prepare(IMAGE)
    assert prepared.size == prepared.node_size == (32, 48)
    assert prepared.graph is None
    np.testing.assert_array_equal(fitted.label(prepared), fitted.predict(IMAGE))
    labels = np.arange(6).reshape(2, 3)
    expected = labels.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(fitted.finish(labels, (4, 6)), expected)


def test_labels_are_post_processed_and_the_model_keeps_it(fitted, tmp_path):
    plain = fitted.predict(IMAGE)
    most = int(np.bincount(plain.ravel()).argmax())
    segmenter = copy.deepcopy(fitted)
    assert segmenter.relabel_ is None
    assert segmenter.num_labels_ == CONFIG.num_features
    segmenter.relabel_ = relabel = Relabel(merge={9: [most]}, smooth=1)
    assert segmenter.num_labels_ == 10
    labels = segmenter.predict(IMAGE)
    np.testing.assert_array_equal(labels, relabel.apply(plain))
    assert 9 in labels
    segmenter.save(tmp_path / "m.safetensors", notes={"by": ["me", 1]})
    loaded = Segmenter.load(tmp_path / "m.safetensors")
    assert loaded.relabel_ == relabel
    assert read_notes(tmp_path / "m.safetensors") == {"by": ["me", 1]}
    np.testing.assert_array_equal(loaded.predict(IMAGE), labels)
    assert loaded.fit(IMAGE).relabel_ is None
