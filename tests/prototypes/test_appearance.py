"""Labels of superpixels by how they look, on small scenes with truth."""

import itertools
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, label

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import FewLabelsWarning
from sp_graph_seg.prototypes import Appearance, appearance, fit_appearance
from sp_graph_seg.prototypes.appearance import (
    find_nodes,
    graph_of_nodes,
    make_graph,
    squared_distances,
)
from sp_graph_seg.prototypes.descriptors import as_colors, describe_nodes, node_colors

CONFIG = Config.preset("photo").replace(
    width=4,
    depth=2,
    n_segments=150,
    compactness=40.0,  # some of the scenes are noisy
    patches=((8, 16, 16),),
    epochs=3,
    minibatches=2,
    accelerator="cpu",
)
COLORS = np.array([[0.2, 0.15, 0.4], [0.3, 0.6, 0.25], [0.95, 0.85, 0.5]])  # by lightness


def scene(seed=0, size=(64, 80), shift=0, noise=0.03, colors=COLORS):
    """Ground, sky and a disc of three colours, and the truth; float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    truth = (y < size[0] / 2).astype(int)
    truth[np.hypot(y - size[0] / 2, x - size[1] / 3 - shift) < size[0] / 4] = 2
    image = np.moveaxis(np.asarray(colors)[truth], -1, 0)
    image = (image + rng.normal(0, noise, image.shape)).clip(0, 1)
    return image.astype(np.float32), truth


def round_trip(model, channels=3):
    tensors, values = model.state()
    return Appearance.from_state(tensors, values, model.config, channels)


@pytest.fixture(scope="module")
def fitted():
    """A model of the scene with three labels; no test may change it."""
    return fit_appearance([scene()[0]], [None], CONFIG.replace(num_labels=3))[0]


def test_three_things_are_three_labels_by_lightness():
    image, truth = scene()
    model, history = fit_appearance([image], [None], CONFIG.replace(num_labels=3))
    labels, margins = model.predict(image)
    assert model.num_labels == 3
    assert (labels == truth).mean() > 0.97
    assert 0 <= margins.min() <= margins.max() <= 1
    assert len(history) == 6


def test_two_things_are_two_labels_where_nobody_says_so():
    image, truth = scene(noise=0.0, colors=COLORS[[0, 0, 2]])
    model, _ = fit_appearance([image], [None], CONFIG)
    labels, _ = model.predict(image)
    assert model.num_labels == 2
    assert (labels == (truth == 2)).mean() > 0.98


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_numbers_of_channels(channels):
    colors = np.array([0.1, 0.5, 0.9])[:, None] * np.linspace(1, 0.8, channels)
    image, truth = scene(colors=colors)
    model, _ = fit_appearance([image], [None], CONFIG.replace(num_labels=3))
    assert (model.predict(image)[0] == truth).mean() > 0.97
    again = round_trip(model, channels)
    np.testing.assert_array_equal(again.predict(image)[0], model.predict(image)[0])


def test_another_picture_of_the_same_things_has_the_same_labels(fitted):
    image, truth = scene(seed=3, shift=20)
    assert (fitted.predict(image)[0] == truth).mean() > 0.97


@pytest.mark.parametrize("num_labels", [1, 2, 4, 7])
def test_there_are_as_many_labels_as_asked_for(num_labels):
    config = CONFIG.replace(num_labels=num_labels)
    model, _ = fit_appearance([scene(noise=0.1)[0]], [None], config)
    assert model.num_labels == num_labels
    assert sorted(set(model.label_of.tolist())) == list(range(num_labels))
    assert model.predict(scene(noise=0.1)[0])[0].max() < num_labels


def test_more_labels_than_features_widen_the_network():
    model, _ = fit_appearance([scene()[0]], [None], CONFIG.replace(num_labels=5, num_features=2))
    labels, _ = model.predict(scene()[0])
    assert model.num_labels == 5
    np.testing.assert_array_equal(round_trip(model).predict(scene()[0])[0], labels)


def test_no_more_labels_than_prototypes_or_colours():
    """As many prototypes as superpixels; one where the picture has one colour."""
    image = np.random.default_rng(0).random((3, 64, 64)).astype(np.float32)
    with pytest.warns(FewLabelsWarning, match="of 40 labels were found"):
        model, _ = fit_appearance([image], [None], CONFIG.replace(num_labels=40))
    assert model.num_labels < 40
    flat = np.full((3, 40, 48), 0.5, np.float32)
    with pytest.warns(FewLabelsWarning, match="only 1 of 3 labels"):
        model, _ = fit_appearance([flat], [None], CONFIG.replace(num_labels=3))
    labels, margins = model.predict(flat)
    assert (labels == 0).all()
    assert np.isfinite(margins).all()


@pytest.mark.parametrize("prototypes", [8, 32])
def test_ground_in_the_light_is_one_label(prototypes, monkeypatch):
    """Position tiles the ground; labels that the first prototypes do not make are found later."""
    module = import_module("sp_graph_seg.prototypes.fit_appearance")
    monkeypatch.setattr(module, "_PROTOTYPES", prototypes)
    y, x = np.mgrid[:96, :128]
    light = 0.7 + 0.03 * y / 96
    image = np.stack([light, light, light])
    ground = np.ones(light.shape, bool)
    colors = [(0.9, 0.1, 0.1), (0.1, 0.7, 0.1), (0.1, 0.1, 0.9), (0.0, 0.0, 0.0), (1.0, 0.9, 0.1)]
    for number, color in enumerate(colors):
        part = (np.abs(x - 20 - 22 * number) < 7) & (np.abs(y - 48) < 7)
        image[:, part] = np.array(color)[:, None]
        ground &= ~part
    image += np.random.default_rng(0).normal(0, 0.005, image.shape)
    image = image.clip(0, 1).astype(np.float32)
    config = CONFIG.replace(num_labels=6, n_segments=150, position_weight=0.6)
    model, _ = fit_appearance([image], [None], config)
    model.net = None
    labels, _ = model.predict(image)
    inner = binary_erosion(ground, iterations=4)
    assert model.num_labels == 6
    assert len(np.unique(labels[inner])) == 1


def test_the_same_seed_gives_the_same_model(fitted):
    again, _ = fit_appearance([scene()[0]], [None], CONFIG.replace(num_labels=3))
    for name, value in fitted.state()[0].items():
        assert torch.equal(value, again.state()[0][name]), name


def test_prototypes_do_not_depend_on_the_seed(fitted):
    other, _ = fit_appearance([scene()[0]], [None], CONFIG.replace(num_labels=3, seed=7))
    np.testing.assert_array_equal(other.centers, fitted.centers)
    np.testing.assert_array_equal(other.label_of, fitted.label_of)
    same = other.predict(scene()[0])[0] == fitted.predict(scene()[0])[0]
    assert same.mean() > 0.99


def test_a_model_is_what_its_state_says(fitted):
    again = round_trip(fitted)
    image, _ = scene(seed=2)
    for one, other in zip(fitted.predict(image), again.predict(image), strict=True):
        np.testing.assert_array_equal(one, other)
    assert torch.equal(fitted.encode(image), again.encode(image))
    assert [again.merge(k).tolist() for k in (1, 2, 3)] == [
        fitted.merge(k).tolist() for k in (1, 2, 3)
    ]


def test_fewer_labels_are_unions_of_those_there_were(fitted):
    assert fitted.merge(3).tolist() == [0, 1, 2]
    assert len(set(fitted.merge(2).tolist())) == 2
    assert fitted.merge(1).tolist() == [0, 0, 0]


def test_probabilities_of_a_node_are_those_of_measured_and_learned(fitted):
    """The geometric mean of both; without a network the measured ones alone."""
    image, _ = scene()
    graph, nodes = make_graph(image, None, fitted.config)
    descriptors = describe_nodes(graph, node_colors(image, nodes), fitted.whitening, 0.0)
    both = fitted.node_probabilities(image, graph, nodes, descriptors)
    measured_only = Appearance(fitted.config, fitted.whitening, fitted.centers, fitted.label_of)
    measured = measured_only.node_probabilities(image, graph, nodes, descriptors)
    for values in (both, measured):
        assert values.shape == (graph.num_nodes, 3)
        assert (values >= 0).all()
        np.testing.assert_allclose(values.sum(axis=1), 1)
    learned = both**2 / np.maximum(measured, 1e-300)
    ratio = learned / learned.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        np.sqrt(measured * ratio) / np.sqrt(measured * ratio).sum(axis=1, keepdims=True),
        both,
        atol=1e-6,
    )
    assert measured_only.networks == []
    assert (measured_only.predict(image)[0] == scene()[1]).mean() > 0.95


def test_place_draws_no_line_through_a_flat_ground(monkeypatch):
    """Two prototypes of one colour, left and right: the whole ground gets the label of one."""
    image, truth = scene(noise=0.0)
    config = CONFIG.replace(position_weight=0.6)
    model, _ = fit_appearance([image], [None], config.replace(num_labels=3))
    sky = model.label_of[np.argmax(model.centers[:, -2] < 15)]
    color = model.centers[np.flatnonzero(model.label_of == sky)[0], :-2]
    left, right = ([*color, 0.6 * 20, 0.6 * column] for column in (10, 90))
    split = Appearance(config, np.eye(3), np.array([left, right]), np.array([0, 1]))
    split.whitening = model.whitening
    labels, margins = split.predict(image)
    ground = binary_erosion(truth == 1, iterations=2)
    assert len(np.unique(labels[ground])) == 1
    monkeypatch.setattr(appearance, "find_zones", lambda graph, colors: np.arange(len(colors)))
    assert len(np.unique(split.predict(image)[0][ground])) == 2
    assert (margins[ground] == np.median(margins[ground])).mean() > 0.9


def test_the_rim_of_nodes_by_a_loop():
    image, _ = scene(size=(40, 52))
    mask = np.ones((40, 52), bool)
    mask[:, :5] = False
    graph, nodes = make_graph(image, mask, CONFIG)
    expected = np.zeros(graph.num_nodes)
    for row in range(40):
        for column in range(52):
            if nodes[row, column] >= 0 and (row in (0, 39) or column in (0, 51)):
                expected[nodes[row, column]] += 1
    np.testing.assert_array_equal(graph.rim_length, expected)
    assert expected.sum() == 2 * 47 + 38


@pytest.mark.parametrize("masked", [False, True])
def test_a_graph_of_nodes_is_that_of_the_transform(masked):
    image, _ = scene(size=(40, 52))
    mask = np.ones((40, 52), bool)
    mask[10:15, :30] = not masked
    graph, nodes = make_graph(image, mask, CONFIG)
    own = graph_of_nodes(nodes)
    for field in ("edge_index", "edge_boundary_length", "area", "image_size"):
        assert torch.equal(own[field], graph[field])
    assert torch.allclose(own.pos, graph.pos, atol=1e-4)
    assert own.num_nodes == graph.num_nodes


@pytest.mark.parametrize("method", ["slic", "watershed"])
def test_nodes_of_a_frame_are_connected_and_inside_the_mask(method):
    image, _ = scene(size=(40, 52))
    mask = np.ones((40, 52), bool)
    mask[10:15, :30] = False
    config = CONFIG.replace(superpixel_method=method, n_segments=60)
    nodes = find_nodes(image, as_colors(image), mask, config)
    np.testing.assert_array_equal(nodes >= 0, mask)
    assert 40 < nodes.max() + 1 < 90
    for node in range(nodes.max() + 1):
        assert label(nodes == node)[1] == 1


def test_what_is_masked_is_minus_one_and_changes_nothing_inside():
    image, truth = scene()
    inside = np.zeros(truth.shape, bool)
    inside[:, 8:70] = True
    runs = []
    for value in (0.0, 1.0):
        given = np.where(inside, image, np.float32(value))
        config = CONFIG.replace(num_labels=3, max_size=0)
        segmenter = Segmenter(config).fit(given, masks=inside)
        runs.append(segmenter.predict_with_margin(given, mask=inside))
    (labels, margins), (others, other_margins) = runs
    np.testing.assert_array_equal(labels, others)
    np.testing.assert_array_equal(margins, other_margins)
    assert (labels[~inside] == -1).all()
    assert (margins[~inside] == 0).all()
    assert (labels == truth)[inside].mean() > 0.95


def test_labels_have_the_size_of_the_picture_whatever_it_is_scaled_to():
    config = CONFIG.replace(num_labels=3, max_size=40, superpixel_size=48)
    image, truth = scene(size=(96, 130))
    model, _ = fit_appearance([image], [None], config)
    labels, margins = model.predict(image)
    assert labels.shape == margins.shape == truth.shape
    assert (labels == truth).mean() > 0.93
    assert max(model.encode(image).shape[1:]) == 40


def frame(share, seed=0):
    """The scene with a patch whose colour is mixed of those of ground and sky."""
    image = scene(seed=seed, noise=0.02)[0]
    image[:, 40:60, 56:76] = (share * COLORS[1] + (1 - share) * COLORS[0])[:, None, None]
    return image


def test_a_thing_between_two_labels_stays_with_one():
    """Its colour changes a little from frame to frame, to and fro over the border of both."""
    config = CONFIG.replace(num_labels=3, memory=0.9, n_segments=500)
    model, _ = fit_appearance([scene()[0]], [None], config)
    shares = np.linspace(0, 1, 41)
    labels = [model.predict(frame(share))[0][50, 66] for share in shares]
    border = shares[np.argmax(np.array(labels) != labels[0])]
    frames = [frame(border + 0.03 * (-1) ** number, number) for number in range(10)]
    alone = [model.predict(each)[0] for each in frames]
    remembered, before = [], None
    for each in frames:
        labels, _, before = model.predict_after(before, each)
        remembered.append(labels)
    np.testing.assert_array_equal(alone[0], remembered[0])
    flicker, calm = (
        np.mean([(a != b)[40:60, 56:76].mean() for a, b in itertools.pairwise(run)])
        for run in (alone, remembered)
    )
    assert flicker > 0.5
    assert calm < 0.3 * flicker


def test_without_memory_frames_are_labelled_each_for_itself(fitted):
    first, second = scene()[0], scene(seed=1, shift=15)[0]
    _, _, before = fitted.predict_after(None, first)
    assert before is None
    labels, _, _ = fitted.predict_after(before, second)
    np.testing.assert_array_equal(labels, fitted.predict(second)[0])


def test_distances_by_a_loop():
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(7, 3)), rng.normal(size=(4, 3))
    expected = [[sum((p - c) ** 2) for c in centers] for p in points]
    np.testing.assert_allclose(squared_distances(points, centers), expected)
