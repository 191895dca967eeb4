"""Labels by prototypes, as the Segmenter hands them out, merges them and keeps them."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.base import clone

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.prototypes import Appearance, Phases
from sp_graph_seg.segmenter import labellers

SMALL = {"width": 4, "depth": 2, "epochs": 2, "minibatches": 2, "accelerator": "cpu"}
PHASES = Config.preset("tomogram").replace(num_features=4, patches=((16, 24, 24),), **SMALL)
APPEARANCE = Config.preset("video").replace(
    n_segments=120, compactness=40.0, patches=((4, 16, 16),), **SMALL
)
LEVELS = np.array([100, 130, 200, 240])


def picture(channels=1, seed=0, size=(64, 80)):
    """Blobs of four grey values with noise."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=size), 6)
    truth = np.digitize(field, np.quantile(field, [0.25, 0.5, 0.75]))
    image = LEVELS[truth] * np.linspace(1, 0.9, channels)[:, None, None]
    return (image + rng.normal(0, 4, image.shape)).astype(np.float32), truth


KINDS = {"phases": (PHASES, 1), "appearance": (APPEARANCE, 3)}


@pytest.fixture(scope="module", params=KINDS)
def trained(request):
    """A model of four labels and its picture; no test may change them."""
    config, channels = KINDS[request.param]
    image, _ = picture(channels)
    return Segmenter(config.replace(num_labels=4)).fit(image), image


def copy_of(segmenter, folder):
    segmenter.save(folder / "model.safetensors")
    return Segmenter.load(folder / "model.safetensors")


@pytest.mark.filterwarnings("ignore::sp_graph_seg.errors.ManyChannelsWarning")
@pytest.mark.parametrize(
    ("channels", "preset"), [(1, "tomogram"), (3, "photo"), (2, "tomogram"), (5, "tomogram")]
)
def test_the_preset_suits_the_channels(channels, preset, monkeypatch):
    from sp_graph_seg.segmenter import segmenter as module

    def remember(images, config, on_step):
        configs.append(config)
        return None, None

    configs = []
    monkeypatch.setattr(module, "fit_labeller", remember)
    segmenter = Segmenter().fit(picture(channels)[0])
    assert configs == [Config.preset(preset)]
    assert segmenter.config_ == Config.preset(preset)
    assert segmenter.config is None
    assert clone(segmenter).config is None


def test_each_way_to_label_has_its_labeller(trained):
    segmenter, image = trained
    kind = {"phases": Phases, "appearance": Appearance}[segmenter.config_.label_by]
    assert isinstance(segmenter.labeller_, kind)
    assert segmenter.net_ is None
    assert segmenter.num_labels_ == 4
    assert len(segmenter.history_) == 4
    assert len(segmenter.networks_) == 1
    labels = segmenter.predict(image)
    assert labels.dtype == np.int64
    assert sorted(set(labels.ravel().tolist())) == [0, 1, 2, 3]


def test_labels_ascend_with_intensity(trained):
    segmenter, image = trained
    labels = segmenter.predict(image)
    means = [image.mean(axis=0)[labels == label].mean() for label in range(4)]
    assert means == sorted(means)


def test_margins_come_with_the_labels(trained):
    segmenter, image = trained
    labels, margins = segmenter.predict_with_margin(image)
    np.testing.assert_array_equal(labels, segmenter.predict(image))
    assert margins.shape == labels.shape
    assert margins.dtype == np.float32
    assert 0 <= margins.min() < margins.max() <= 1


def test_pixels_that_are_no_data_have_no_label_and_no_margin(trained):
    segmenter, image = trained
    inside = np.ones(image.shape[1:], bool)
    inside[:, :9] = False
    given = np.where(inside, image, np.nan)
    for labels, margins in (
        segmenter.predict_with_margin(given),
        segmenter.predict_with_margin(image, mask=inside),
    ):
        assert (labels == -1).tolist() == (~inside).tolist()
        assert (margins[~inside] == 0).all()


def test_merged_labels_are_nested(trained, tmp_path):
    segmenter, image = trained
    model = copy_of(segmenter, tmp_path)
    finer = model.predict(image)
    for wanted in (4, 3, 2, 1):
        assert model.merge_labels(wanted) is model
        coarser = model.predict(image)
        assert len(np.unique(coarser)) == wanted
        pairs = set(zip(finer.ravel().tolist(), coarser.ravel().tolist(), strict=True))
        assert len(pairs) == len(np.unique(finer))
        finer = coarser
    assert model.merge_labels(4).predict(image).tolist() == segmenter.predict(image).tolist()


def test_mergers_need_no_network_and_are_saved(trained, tmp_path):
    segmenter, image = trained
    model = copy_of(segmenter, tmp_path)
    labels = model.predict(image)
    groups = model.labeller_.merge(2)
    model.merge_labels(2)
    first = [int(np.argmax(groups == group)) for group in groups]  # of the first of each group
    np.testing.assert_array_equal(model.predict(image), np.array(first)[labels])
    again = copy_of(model, tmp_path)
    np.testing.assert_array_equal(again.predict(image), model.predict(image))
    assert again.relabel_ == model.relabel_ == Relabel.from_groups(groups)


def test_a_model_is_what_was_saved(trained, tmp_path):
    segmenter, image = trained
    again = copy_of(segmenter, tmp_path)
    for one, other in zip(
        segmenter.predict_with_margin(image), again.predict_with_margin(image), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert again.config_ == segmenter.config_
    assert again.num_labels_ == 4
    assert again.history_ is None


def test_a_graph_has_the_learned_features_of_its_nodes(trained):
    segmenter, image = trained
    graph = segmenter.transform(image)
    assert graph.z.shape[0] == graph.num_nodes
    low, high = segmenter.intensity_range_
    z = segmenter.labeller_.encode(np.clip((image - low) / (high - low), 0, 1))
    z, nodes = z.flatten(1).numpy(), graph.pixel_index.numpy()
    for node in (0, graph.num_nodes // 2, graph.num_nodes - 1):
        expected = z[:, nodes == node].mean(axis=1)
        np.testing.assert_allclose(graph.z[node], expected, rtol=1e-3, atol=1e-4)


def test_a_training_forgets_the_one_before():
    image, _ = picture(1)
    argmax = Config(num_features=3, n_segments=30, patches=((2, 16, 16),), **SMALL)
    segmenter = Segmenter(PHASES.replace(num_labels=3)).fit(image).merge_labels(2)
    segmenter.config = argmax
    segmenter.fit(image)
    assert segmenter.labeller_ is None
    assert segmenter.relabel_ is None
    assert segmenter.num_labels_ == 3
    segmenter.config = PHASES
    assert segmenter.fit(image).net_ is None


def test_label_maps_are_refused(trained):
    segmenter, image = trained
    superpixels = np.zeros(image.shape[1:], int)
    message = r"^superpixels: cannot be used with label_by='\w+'; leave them out, or use "
    with pytest.raises(InputError, match=message):
        segmenter.predict(image, superpixels)
    with pytest.raises(InputError, match=message):
        Segmenter(segmenter.config).fit(image, superpixels=superpixels)


@pytest.mark.parametrize("wanted", [0, -1, 5])
def test_a_wrong_number_to_merge_to(trained, wanted):
    segmenter, _ = trained
    before = segmenter.relabel_
    with pytest.raises(
        InputError, match=rf"^num_labels={wanted}: the model has 4 labels; use a number from 1 to 4"
    ):
        segmenter.merge_labels(wanted)
    assert segmenter.relabel_ is before


def test_without_prototypes_a_margin_is_that_of_the_softmax(fitted, image):
    mask = np.ones(image.shape[1:], bool)
    mask[:9] = False
    labels, margins = fitted.predict_with_margin(image, mask=mask)
    np.testing.assert_array_equal(labels, fitted.predict(image, mask=mask))
    prepared = fitted.prepare(image, mask=mask)
    shares = np.exp(fitted.node_features(prepared).numpy().astype(np.float64))
    shares = np.sort(shares / shares.sum(axis=1, keepdims=True), axis=1)
    expected = (shares[:, -1] - shares[:, -2])[prepared.nodes].reshape(mask.shape)
    np.testing.assert_allclose(margins[mask], expected[mask], atol=1e-6)
    assert (margins[~mask] == 0).all()


def test_what_only_prototypes_can_do_is_refused(fitted):
    """With a model whose label is the largest feature."""
    with pytest.raises(InputError, match=r"^num_labels=2: the model has no prototypes to merge;"):
        fitted.merge_labels(2)


def test_what_only_the_paper_model_can_do_is_refused(trained):
    segmenter, image = trained
    with pytest.raises(InputError, match=r"^label_by='\w+': this operation needs a model with"):
        segmenter.prepare(image)


def test_the_number_of_labels_is_for_prototypes():
    with pytest.raises(InputError, match=r"^num_labels=3 cannot be used with label_by='argmax'"):
        Config(num_labels=3)


def test_a_damaged_file_is_refused(trained, tmp_path):
    from sp_graph_seg.segmenter.model_file import read_model

    segmenter, _ = trained
    segmenter.save(tmp_path / "model.safetensors")
    file = read_model(tmp_path / "model.safetensors")
    for lost in ("centers", next(name for name in file.weights if name.startswith("net"))):
        weights = {name: value for name, value in file.weights.items() if name != lost}
        with pytest.raises(
            InputError,
            match=r"is not a model that this version can read .*train the model again\.$",
        ):
            Segmenter.from_file(file._replace(weights=weights), "model.safetensors")


def test_networks_can_be_made_anew_from_the_configuration_alone(trained):
    """Two trainings with the same seed are the same; another seed is another network."""
    segmenter, image = trained
    tensors, _ = segmenter.labeller_.state()
    again, _ = Segmenter(segmenter.config).fit(image).labeller_.state()
    other = dataclasses.replace(segmenter.config, seed=3)
    third, _ = Segmenter(other).fit(image).labeller_.state()
    assert all((tensors[name] == again[name]).all() for name in tensors)
    assert any((tensors[name] != third[name]).any() for name in tensors)


@pytest.mark.parametrize("with_mask", [False, True])
def test_phases_are_trained_on_a_part_of_a_large_image(with_mask, monkeypatch):
    image, _ = picture(size=(64, 80))
    rows, columns, masks, own = slice(8, 56), slice(16, 64), None, None
    if with_mask:  # the data are in the middle of the part, not of the image
        rows, columns = slice(5, 53), slice(29, 77)
        masks = np.zeros((64, 80), bool)
        masks[10:40, 42:74] = True
        own = masks[rows, columns]
    small = Segmenter(PHASES).fit(image[:, rows, columns], masks=own, intensity_range=(50, 250))
    monkeypatch.setattr(labellers, "_TRAINED", 48)
    large = Segmenter(PHASES).fit(image, masks=masks, intensity_range=(50, 250))
    np.testing.assert_array_equal(large.predict(image), small.predict(image))


def test_the_stability_of_labels_is_saved_with_the_model(trained, tmp_path):
    from sp_graph_seg.segmenter.model_file import read_model

    segmenter, _ = trained
    stability = segmenter.label_stability_
    assert len(stability) == 4
    assert 0 < min(stability) < max(stability) <= 1
    assert segmenter.stability_ == np.mean(stability)
    again = copy_of(segmenter, tmp_path)
    assert again.label_stability_ == stability
    file = read_model(tmp_path / "model.safetensors")
    assert file.record["stability"] == list(stability)
    del file.metadata["labeller"]["stability"]  # as of an earlier version
    old = Segmenter.from_file(file, "model.safetensors")
    assert old.label_stability_ == ()
    assert old.stability_ is None


def test_without_prototypes_the_stability_is_not_known(fitted):
    assert fitted.stability_ is None


def test_labels_that_are_not_in_the_data_are_less_stable():
    """Four grey values make four labels, in every part of the picture; seven are chance."""
    image, _ = picture(size=(96, 96))
    four, seven = (
        Segmenter(PHASES.replace(num_labels=count)).fit(image).stability_ for count in (4, 7)
    )
    assert four > 0.9
    assert seven < four - 0.1


def test_colours_that_are_not_in_the_data_are_less_stable():
    """A board of two colours, with noise."""
    rng = np.random.default_rng(0)
    board = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((24, 24)))
    image = 80 + 90 * board + rng.normal(0, 4, (3, 96, 96)) + 6 * rng.normal(size=(3, 96, 1))
    two, six = (
        Segmenter(Config.preset("photo").replace(num_labels=count)).fit(image).stability_
        for count in (2, 6)
    )
    assert two == 1
    assert six < two


def test_a_picture_of_which_only_a_part_has_data_has_a_stability():
    image, _ = picture()
    image[:, :, 30:] = np.nan  # nothing in the right half
    segmenter = Segmenter(PHASES.replace(num_labels=4)).fit(image)
    assert min(segmenter.label_stability_) > 0
