import numpy as np
import pytest

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.baselines import kmeans_superpixels, spectral_superpixels
from sp_graph_seg.errors import InputError
from sp_graph_seg.experiments import BASELINES, METHODS, REGION_METHODS, method_from_dict

BETAS, CLUSTERS = (1.0, 3.0), (4.0,)


def make(values, name="row", config=None):
    return method_from_dict(name, values, config or Config(), BETAS, CLUSTERS)


def test_a_variant_takes_what_it_does_not_name_from_the_others():
    config = Config(width=5, epochs=7)
    method = make({"type": "Dense-NCut-Image", "epochs": 2}, "mine", config)
    assert (method.name, method.kind, method.settings) == ("mine", "Dense-NCut-Image", BETAS)
    assert method.config == config.replace(epochs=2)
    assert make({"type": "KMeans-Pixels"}).settings == CLUSTERS
    assert make({}).kind == "Sparse-SimCon-Patch"


def test_a_variant_names_one_or_several_settings():
    assert make({"settings": 2}).settings == (2.0,)
    assert make({"settings": [0.5, "1e-3"]}).settings == (0.5, 0.001)  # YAML 1.1 reads it as text


def test_all_rows_of_the_table_are_there():
    assert len(set(METHODS)) == 12
    on_superpixels = {name for name in METHODS if make({"type": name}).uses_superpixels()}
    dense = {name for name in METHODS if name.startswith("Dense-")}
    assert on_superpixels == set(METHODS) - dense - {"KMeans-Pixels"}
    baselines = [name for name in METHODS if make({"type": name}).is_baseline]
    assert baselines == list(METHODS[:3]) == list(BASELINES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"type": "KMeans"}, "row: type='KMeans' is unknown; use one of KMeans-Pixels, "),
        ({"type": ["KMeans-Pixels"]}, "row: type=.*is unknown"),
        ({"settings": []}, "row: settings: the list is empty"),
        ({"settings": [1, 0]}, "row: settings=.*not all positive"),
        ({"settings": float("nan")}, "row: settings=.*not all positive"),
        ({"settings": float("inf")}, "row: settings=.*not all positive"),
        ({"settings": "many"}, "row: .*'many'"),
        ({"settings": [1, 2, 1.0]}, "row: settings=.*repeat a number"),
        ({"type": "KMeans-Pixels", "settings": [2, 2.5]}, "row: settings=.*whole"),
        ({"epoch": 3}, "row: 'epoch' is an unknown configuration key; use 'epochs'"),
        ({"epochs": 0}, "row: epochs=0 is too small"),
    ],
)
def test_what_cannot_be_a_method_is_refused_with_its_name(values, message):
    with pytest.raises(InputError, match=f"^{message}"):
        make(values)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden"])
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(InputError, match="cannot be the name of a folder"):
        make({}, name)


def test_a_description_says_all_that_labels_depend_on():
    config = Config(seed=9, beta_sim=9.0, nodes="pixels", n_segments=77)
    described = make({"type": "Sparse-SimCon-Image"}, config=config).describe(0.5, seed=3)
    assert described["kind"] == "Sparse-SimCon-Image"
    trained = Config.from_dict(described["config"])
    assert trained == config.replace(seed=3).as_type("Sparse-SimCon-Image", 0.5)
    assert make({"type": "KMeans-Pixels"}, config=config).describe(4.0, 1) == {
        "kind": "KMeans-Pixels",
        "num_labels": 4,
        "seed": 1,
        "superpixel_method": "slic",
        "n_segments": 77,
        "compactness": 10.0,
    }
    expected = {"superpixel_method": "slic", "n_segments": 77, "compactness": 10.0}
    assert config.superpixel_options() == expected


@pytest.fixture
def scene(label_map):
    superpixels = label_map((24, 24), 30)
    colors = np.random.default_rng(0).random((3, 30)).astype(np.float32)
    superpixels = np.unique(superpixels, return_inverse=True)[1].reshape(24, 24)
    return colors[:, superpixels], superpixels


@pytest.mark.parametrize(
    ("kind", "cluster"),
    [
        ("KMeans-Superpixels", kmeans_superpixels),
        ("Spectral-Superpixels", spectral_superpixels),
    ],
)
def test_a_baseline_clusters_the_superpixels_it_is_given(scene, kind, cluster):
    labels, losses = make({"type": kind}).label(*scene, setting=4.0, seed=1)
    assert np.array_equal(labels, cluster(scene[0], 4, scene[1], 1))
    assert losses == {}


def test_a_model_is_trained_on_the_image_that_it_labels(photos, quick):
    image = photos[0].read()
    method = make({"type": "Dense-SimCon-Patch"}, config=quick)
    labels, losses = method.label(image, None, 3.0, seed=2)
    config = quick.replace(seed=2).as_type("Dense-SimCon-Patch", 3.0)
    segmenter = Segmenter(config).fit(image)
    assert np.array_equal(labels, segmenter.predict(image))
    assert losses == {name: segmenter.history_[name][-1] for name in ("rec", "sim", "con")}


@pytest.mark.filterwarnings("ignore::sp_graph_seg.errors.FewLabelsWarning")  # of two colours
@pytest.mark.parametrize("kind", REGION_METHODS)
def test_regions_need_neither_training_nor_superpixels(kind):
    method = make({"type": kind})
    (setting,) = method.settings
    assert setting == REGION_METHODS[kind]
    assert method.is_baseline
    assert not method.uses_superpixels()
    assert method.describe(setting, 1)["num_labels"] == setting
    image = np.zeros((3, 32, 48), np.uint8)
    image[0, :, 20:] = 200
    labels, losses = method.label(image, None, setting, 0)
    assert labels.shape == (32, 48)
    assert losses == {}
    if kind in ("Felzenszwalb", "Region-Tree", "Region-Labels"):
        assert np.unique(labels[:, :10]).size == np.unique(labels[:, 30:]).size == 1
        assert labels[0, 0] != labels[0, -1]
