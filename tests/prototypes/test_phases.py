"""Labels of phases, from training to a model that is read again, on small pictures with truth."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import adjusted_mutual_info_score, v_measure_score

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import FewLabelsWarning
from sp_graph_seg.prototypes import Phases, fit_phases, tiles
from sp_graph_seg.prototypes.phases import dark_lines

CONFIG = Config.preset("tomogram").replace(
    num_features=8,
    width=8,
    patches=((32, 24, 24),),
    epochs=10,
    minibatches=2,
    accelerator="cpu",
)
TINY = CONFIG.replace(num_features=3, width=4, depth=1, patches=((8, 16, 16),), epochs=2)


def blobs(levels=(0.0, 1.0), channels=1, noise=0.1, seed=0, size=(80, 96)):
    """A picture of phases with noise, and the truth: the quantiles of a smooth field."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=size), 7)
    truth = np.digitize(field, np.quantile(field, np.linspace(0, 1, len(levels) + 1)[1:-1]))
    image = np.array(levels)[truth] * np.linspace(1, 0.7, channels)[:, None, None]
    return (image + rng.normal(0, noise, image.shape)).astype(np.float32), truth


def textures(seed=1, size=(112, 144)):
    """Fibres along x on the left, along y on the right, of the same mean and spread."""
    rng = np.random.default_rng(seed)
    along, across = (gaussian_filter(rng.normal(size=size), s) for s in ((0.8, 4), (4, 0.8)))
    truth = np.broadcast_to(np.arange(size[1]) >= size[1] // 2, size).astype(int)
    image = np.where(truth, across / across.std(), along / along.std())
    return image[None].astype(np.float32), truth


def scaled(image):
    return (image - image.min()) / np.ptp(image)


def likeness(truth, labels):
    return v_measure_score(truth.ravel(), labels.ravel())


def round_trip(model, channels, config):
    tensors, values = model.state()
    return Phases.from_state(tensors, values, config, channels)


@pytest.fixture(scope="module")
def two():
    """A model of two phases, its picture in [0, 1] and the truth; no test may change them."""
    image, truth = blobs()
    image = scaled(image)
    model, _ = fit_phases([image], [None], CONFIG.replace(num_labels=2))
    return model, image, truth


@pytest.fixture(scope="module")
def texture():
    image, truth = textures()
    config = CONFIG.replace(num_labels=2)
    model, history = fit_phases([scaled(image)], [None], config)
    return model, history, scaled(image), truth, config


UNITS = {
    "uint8": lambda x: np.clip(40 + 120 * x, 0, 255).astype(np.uint8),
    "uint16": lambda x: np.clip(9000 + 20000 * x, 0, 65535).astype(np.uint16),
    "float": lambda x: 1e-3 * x - 5,
}


@pytest.mark.parametrize("num_labels", [2, 0])
@pytest.mark.parametrize("unit", UNITS)
def test_two_phases_are_two_labels(unit, num_labels):
    image, truth = blobs()
    image = UNITS[unit](image)
    segmenter = Segmenter(CONFIG.replace(num_labels=num_labels)).fit(image)
    labels = segmenter.predict(image)
    assert segmenter.labeller_.kind == "intensity"
    assert segmenter.num_labels_ == 2
    assert likeness(truth, labels) > 0.97
    assert (labels == truth).mean() > 0.99  # the darker phase is label 0


@pytest.mark.filterwarnings("ignore:.*is read as one image of 5 channels")
@pytest.mark.parametrize("unit", UNITS)
def test_two_phases_in_five_channels(unit):
    image, truth = blobs(channels=5, noise=0.2)
    image = UNITS[unit](image)
    labels = Segmenter(CONFIG.replace(num_labels=2)).fit(image).predict(image)
    assert likeness(truth, labels) > 0.97


@pytest.mark.parametrize("num_labels", [3, 0])
def test_three_phases_in_the_order_of_their_intensity(num_labels):
    image, truth = blobs((0.2, 0.9, 0.5), noise=0.05)
    segmenter = Segmenter(CONFIG.replace(num_labels=num_labels)).fit(image)
    labels = segmenter.predict(image)
    assert segmenter.num_labels_ == 3
    assert (labels == np.array([0, 2, 1])[truth]).mean() > 0.97
    means = [image[0][labels == label].mean() for label in range(3)]
    assert means == sorted(means)


def test_another_slice_has_the_same_labels(two):
    model, *_ = two
    image, truth = blobs(seed=5)
    labels, margins = model.predict(scaled(image))
    assert (labels == truth).mean() > 0.99
    assert 0 <= margins.min() <= margins.max() <= 1
    noisy, truth = blobs(seed=5, noise=0.45)
    labels, margins = model.predict(scaled(noisy))
    wrong = labels != truth
    assert wrong.mean() > 0.01
    assert margins[wrong].mean() < 0.7 * margins[~wrong].mean()


def test_seeds_agree():
    image, _ = blobs(noise=0.2)
    runs = [
        fit_phases([scaled(image)], [None], CONFIG.replace(num_labels=2, seed=seed))[0]
        for seed in range(3)
    ]
    labels = [model.predict(scaled(image))[0].ravel() for model in runs]
    for one, other in itertools.combinations(labels, 2):
        assert adjusted_mutual_info_score(one, other) > 0.9


def test_the_same_seed_gives_the_same_model(two):
    model, image, _ = two
    again, _ = fit_phases([image], [None], CONFIG.replace(num_labels=2))
    for one, other in zip(model.state()[0].values(), again.state()[0].values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("num_labels", [1, 2, 5, 12])
def test_there_are_as_many_labels_as_asked_for(num_labels):
    image, _ = blobs(noise=0.3)
    with warnings.catch_warnings():
        if num_labels == 1:
            warnings.simplefilter("ignore", FewLabelsWarning)
        model, _ = fit_phases([scaled(image)], [None], TINY.replace(num_labels=num_labels))
    labels, _ = model.predict(scaled(image))
    assert model.num_labels == num_labels
    assert set(np.unique(labels)) == set(range(num_labels))


def test_a_picture_of_one_value_has_one_label_and_a_warning():
    flat = np.full((1, 32, 40), 0.5, np.float32)
    with pytest.warns(
        FewLabelsWarning, match=r"only 1 label was.*check the images and their intensity range\."
    ):
        model, _ = fit_phases([flat], [None], TINY.replace(num_labels=2))
    labels, margins = model.predict(flat)
    assert (labels == 0).all()
    assert (margins == 1).all()


def test_labels_at_the_border_are_those_of_the_inside():
    """A window of the picture has the labels that the whole picture has there."""
    image, _ = blobs(size=(140, 150))
    model, _ = fit_phases([scaled(image)], [None], CONFIG.replace(num_labels=2))
    model.correction = None  # it knows one size only
    whole, _ = model.predict(scaled(image))
    part, _ = model.predict(np.ascontiguousarray(scaled(image)[:, 33:113, 21:121]))
    differ = part != whole[33:113, 21:121]
    assert differ.mean() < 0.02
    assert differ[20:-20, 20:-20].mean() < 0.005


def test_what_is_masked_is_minus_one_and_changes_nothing_inside():
    image, truth = blobs(size=(90, 100))
    inside = np.zeros(truth.shape, bool)
    inside[5:80, 10:95] = True
    runs = []
    for garbage in (0.0, 50.0, np.nan):
        given = np.where(inside, image, np.float32(garbage))
        segmenter = Segmenter(CONFIG.replace(num_labels=2)).fit(given, masks=inside)
        runs.append(segmenter.predict_with_margin(given, mask=inside))
    (labels, margins), *others = runs
    for other in others:
        np.testing.assert_array_equal(other[0], labels)
        np.testing.assert_array_equal(other[1], margins)
    assert (labels[~inside] == -1).all()
    assert (margins[~inside] == 0).all()
    assert (labels == truth)[inside].mean() > 0.985


def test_fewer_labels_are_unions_of_those_there_were():
    image, _ = blobs((0, 0.2, 0.8, 1.0), noise=0.03)
    model, _ = fit_phases([scaled(image)], [None], TINY.replace(num_labels=4))
    assert model.merge(2).tolist() == [0, 0, 1, 1]
    assert model.merge(4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("channels", [1, 4])
def test_a_model_is_what_its_state_says(channels):
    image, _ = blobs(channels=channels, noise=0.2)
    image = scaled(image)
    model, _ = fit_phases([image], [None], TINY.replace(num_labels=3))
    again = round_trip(model, channels, TINY)
    for one, other in zip(model.predict(image), again.predict(image), strict=True):
        np.testing.assert_array_equal(one, other)
    assert torch.equal(model.encode(image), again.encode(image))
    assert (again.kind, again.num_labels) == (model.kind, 3)


def test_features_that_are_no_longer_learned_are_left_out_of_an_older_model():
    image, _ = blobs(noise=0.2)
    image = scaled(image)
    model, _ = fit_phases([image], [None], TINY.replace(num_labels=2))
    tensors, values = model.state()
    for name in ("net.encoder.head.weight", "net.encoder.head.bias"):
        tensors[name] = torch.cat([tensors[name], torch.ones(8, *tensors[name].shape[1:])])
    older = Phases.from_state(tensors, values, TINY, 1)
    assert torch.equal(older.encode(image), model.encode(image))
    np.testing.assert_array_equal(older.predict(image)[0], model.predict(image)[0])


def test_the_width_of_rims_is_kept_and_is_two_in_older_models(two):
    model = replace(two[0], rim_width=5)
    config = CONFIG.replace(num_labels=2)
    assert round_trip(model, 1, config).rim_width == 5
    tensors, values = model.state()
    del values["rim_width"]
    assert Phases.from_state(tensors, values, config, 1).rim_width == 2


def test_a_correction_is_kept():
    """Cupping of the whole picture: one threshold cannot tell the phases apart."""
    image, truth = blobs((0.5, 1.0), noise=0.01, seed=1, size=(100, 110))
    y, x = np.meshgrid(np.linspace(-1, 1, 100), np.linspace(-1, 1, 110), indexing="ij")
    shaded = image * (0.75 + 0.45 * (x * x + y * y)).astype(np.float32)
    shaded /= shaded.max()
    model, _ = fit_phases([shaded], [None], CONFIG.replace(num_labels=2))
    assert model.correction.gain is not None
    again = round_trip(model, 1, CONFIG)
    labels, _ = again.predict(shaded)
    np.testing.assert_array_equal(labels, model.predict(shaded)[0])
    assert (labels == truth).mean() > 0.99
    best = max(((shaded[0] > t) == truth).mean() for t in np.linspace(0, 1, 200))
    assert best < 0.98


def test_textures_of_the_same_mean_are_told_apart(texture):
    model, history, image, truth, config = texture
    labels, _ = model.predict(image)
    assert model.kind == "texture"
    assert history["step"] == list(range(1, config.epochs * config.minibatches + 1))
    assert likeness(truth, labels) > 0.85
    best = max(likeness(truth, image[0] > t) for t in np.linspace(0, 1, 50))
    assert best < 0.05


def test_a_model_of_textures_is_what_its_state_says(texture):
    model, _, image, _, config = texture
    again = round_trip(model, 1, config)
    assert again.kind == "texture"
    np.testing.assert_array_equal(again.predict(image)[0], model.predict(image)[0])


def test_the_texture_of_a_picture_has_no_seed(texture):
    model, _, image, _, config = texture
    other, _ = fit_phases([image], [None], config.replace(seed=1))
    np.testing.assert_array_equal(other.predict(image)[0], model.predict(image)[0])


@pytest.fixture(scope="module")
def pores():
    """A model of a sample with dark pores and two textures, and its truth: the pores are 0."""
    image, truth = textures(size=(160, 176))
    holes = blobs(seed=3, size=(160, 176))[1] * blobs(seed=4, size=(160, 176))[1]
    truth = np.where(holes, 0, truth + 1)
    image = scaled(np.where(holes, -8 + 0.3 * image, image))
    model, _ = fit_phases([image], [None], CONFIG.replace(num_labels=3))
    return model, image, truth


def test_a_phase_is_divided_by_its_texture_where_values_do_not_suffice(pores):
    model, image, truth = pores
    labels, margins = model.predict(image)
    assert (model.kind, model.num_labels) == ("both", 3)
    assert likeness(truth, labels) > 0.8
    assert likeness(truth == 0, labels == 0) > 0.95
    assert model.merge(2).tolist() == [0, 1, 1]
    assert ((margins >= 0) & (margins <= 1)).all()


def test_with_as_many_labels_as_modes_values_decide(pores):
    _, image, truth = pores
    model, _ = fit_phases([image], [None], TINY.replace(num_labels=2))
    assert model.kind == "intensity"
    assert likeness(truth == 0, model.predict(image)[0] == 0) > 0.95


@pytest.mark.parametrize(("noise", "kind"), [(0.02, "intensity"), (0.2, "both")])
def test_a_texture_that_is_faint_beside_the_phases_divides_none(noise, kind):
    """Coarse and fine noise in the brighter phase."""
    image, truth = blobs(noise=0, size=(160, 176))
    rng = np.random.default_rng(5)
    coarse, fine = (gaussian_filter(rng.normal(size=truth.shape), s) for s in (2.5, 0.8))
    right = np.arange(176) >= 88
    texture = np.where(right, coarse / coarse.std(), fine / fine.std())
    image = scaled(image + noise * np.where(truth, texture, 0.1 * texture))
    model, _ = fit_phases([image.astype(np.float32)], [None], TINY.replace(num_labels=3))
    assert model.kind == kind


def test_noise_that_a_correction_of_the_gain_amplifies_is_no_texture():
    phases, _ = blobs(levels=(1.0, 2.0), noise=0, size=(160, 176))
    rows, columns = np.mgrid[-1:1:160j, -1:1:176j]
    noise = np.random.default_rng(6).normal(0, 0.15, phases.shape)
    image = scaled(phases * (0.5 + 0.25 * (rows**2 + columns**2)) + noise).astype(np.float32)
    model, _ = fit_phases([image], [None], TINY.replace(num_labels=3))
    assert model.corrects_gain
    assert model.kind == "intensity"


def test_a_model_of_phases_and_textures_is_what_its_state_says(pores):
    model, image, _ = pores
    again = round_trip(model, 1, CONFIG)
    for one, other in zip(model.predict(image), again.predict(image), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_air_around_a_texture_changes_no_label():
    """What lies outside of the mask is neither learned from nor seen by the texture."""
    image, truth = textures(size=(128, 150))
    mask = np.hypot(*np.mgrid[-64:64, -75:75]) < 62
    air = np.random.default_rng(2).normal(size=image.shape).astype(np.float32)
    config = TINY.replace(num_labels=2)
    found = []
    for outside in (np.zeros_like(image), air):
        filled = np.where(mask, image, outside)
        filled[:, 0, :2] = -9, 9  # the same range
        model, _ = fit_phases([scaled(filled)], [mask], config)
        labels, _ = model.predict(scaled(filled), mask)
        found.append(labels)
        assert model.kind == "texture"
        assert likeness(truth[mask], labels[mask]) > 0.75
    assert (found[0] != found[1]).mean() < 0.001


def test_dark_lines_by_a_loop():
    """The larger eigenvalue of the Hessian of the smoothed image."""
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.normal(size=(40, 44)), 3).astype(np.float32)
    derivatives = [gaussian_filter(image, 4.0, order=o) for o in ((2, 0), (1, 1), (0, 2))]
    found = dark_lines(image)
    for row, column in itertools.product(range(0, 40, 7), range(0, 44, 7)):
        rows, both, columns = (16 * d[row, column] for d in derivatives)
        expected = np.linalg.eigvalsh([[rows, both], [both, columns]])[-1]
        assert found[row, column] == pytest.approx(expected, abs=1e-4)


def test_a_dark_line_stands_out_in_every_direction():
    y, x = np.mgrid[:60, :60]
    for angle in np.linspace(0, np.pi, 5):
        distance = (x - 30) * np.cos(angle) + (y - 30) * np.sin(angle)
        dark = (1 - np.exp(-(distance**2) / 8)).astype(np.float32)
        inner = np.hypot(x - 30, y - 30) < 20
        on, off = (
            dark_lines(dark)[(np.abs(distance) < 1) & inner],
            dark_lines(dark)[(np.abs(distance) > 12) & inner],
        )
        assert on.min() > 3 * np.abs(off).max()
        assert dark_lines(1 - dark)[(np.abs(distance) < 1) & inner].max() < 0.2 * on.min()


@pytest.mark.parametrize("kind", ["two", "texture"])
def test_tiles_leave_hardly_a_trace(kind, request, monkeypatch):
    model = request.getfixturevalue(kind)[0]
    image = scaled((textures if kind == "texture" else blobs)(seed=5, size=(260, 340))[0])
    whole, _ = model.predict(image)
    monkeypatch.setattr(tiles, "_TILE", 64)
    monkeypatch.setattr(tiles, "_HALO", 48)
    tiled, _ = model.predict(image)
    assert (tiled != whole).mean() < 0.005


def test_air_in_the_corners_is_kept():
    image, _ = blobs((0.5, 0.9), noise=0.02, seed=1, size=(100, 100))
    y, x = np.mgrid[:100, :100]
    radius = np.hypot(y - 49.5, x - 49.5)
    image[0] = np.where(radius < 42, image[0], np.where(radius > 50, 0.4, 0.1))
    model, _ = fit_phases([image], [None], CONFIG.replace(num_labels=3))
    labels, _ = model.predict(image)
    assert (labels[(radius > 44)] == 0).all()
    np.testing.assert_array_equal(round_trip(model, 1, CONFIG).predict(image)[0], labels)


def test_values_without_modes_are_phases_where_rare_ones_stand_out():
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.normal(size=(80, 96)), 4, mode="wrap")
    truth = 1 + (field > np.median(field))
    image = np.array([0.0, 0.84, 0.9])[truth]
    for depth in rng.uniform(0.2, 0.8, 50):
        row, column = rng.integers(0, 78), rng.integers(0, 94)
        image[row : row + 2, column : column + 2] -= depth
        truth[row : row + 2, column : column + 2] = 0
    noise = gaussian_filter(rng.normal(size=image.shape), 0.8)
    image = gaussian_filter(image, 0.7) + 0.01 * noise / noise.std()
    image = np.clip(image, 0, 1).astype(np.float32)[None]
    model, _ = fit_phases([image], [None], TINY.replace(num_labels=3))
    assert model.kind == "intensity"
    labels, _ = model.predict(image)
    assert adjusted_mutual_info_score(truth[truth > 0], labels[truth > 0]) > 0.5


def test_a_constant_outside_is_no_texture_of_air():
    image, _ = blobs((0.5, 0.9), noise=0.0, seed=1, size=(160, 160))
    y, x = np.mgrid[:160, :160]
    radius = np.hypot(y - 79.5, x - 79.5)
    noise = gaussian_filter(np.random.default_rng(0).normal(0, 0.06, (160, 160)), 0.7)
    image[0] = np.where(radius < 79, (np.where(radius < 56, image[0], 0.08) + noise).clip(0.005), 0)
    model, _ = fit_phases([image], [None], CONFIG.replace(num_labels=4))
    assert model.kind == "intensity"
