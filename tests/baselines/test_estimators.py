import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError

from sp_graph_seg.baselines import (
    MultiOtsu,
    PixelKMeans,
    SuperpixelKMeans,
    SuperpixelSpectral,
    kmeans_pixels,
    kmeans_superpixels,
    spectral_superpixels,
)
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import compute_superpixels

HEIGHT, WIDTH = 24, 30
MODELS = [PixelKMeans, SuperpixelKMeans, SuperpixelSpectral]


def bands(values, noise=0.02, channels=3, seed=0):
    """Vertical bands of the given greys, with noise: the image and the number of each band."""
    labels = np.broadcast_to(np.arange(WIDTH) * len(values) // WIDTH, (HEIGHT, WIDTH))
    rng = np.random.default_rng(seed)
    image = np.array(values)[labels] + noise * rng.standard_normal((channels, HEIGHT, WIDTH))
    return image.clip(0, 1).astype(np.float32), labels.astype(np.int64)


def blocks(size=5):
    """Square superpixels, none of which lies in two of two or three bands."""
    rows, columns = np.indices((HEIGHT, WIDTH)) // size
    return rows * (WIDTH // size) + columns


def fitted(kind, num_labels, images, superpixels):
    model = kind(num_labels)
    return model.fit(images) if kind is PixelKMeans else model.fit(images, superpixels)


def predicted(model, image, superpixels):
    extra = () if type(model) is PixelKMeans else (superpixels,)
    return model.predict(image, *extra)


# One image


def test_bands_are_found_and_numbered_by_brightness():
    image, truth = bands([0.5, 0.9, 0.1])
    expected = np.array([1, 2, 0])[truth]
    for labels in (
        kmeans_pixels(image, 3),
        kmeans_superpixels(image, 3, blocks()),
        spectral_superpixels(image, 3, blocks()),
        MultiOtsu(3).fit(image[:1]).predict(image[:1]),
    ):
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, expected)


def test_kmeans_of_pixels_is_that_of_scikit_learn():
    image = np.random.default_rng(0).integers(0, 9, (3, HEIGHT, WIDTH)) / 8  # many equal colours
    pixels = image.reshape(3, -1).T
    model = PixelKMeans(4).fit(image)
    ours = ((pixels - model.centers_[model.predict(image).ravel()]) ** 2).sum()
    assert ours == pytest.approx(
        KMeans(4, n_init=20, random_state=1).fit(pixels).inertia_, rel=0.01
    )


def test_spectral_clustering_cuts_where_the_colours_change_and_not_along_a_ramp():
    """Colours alone would put the right end of the ramp to the other band."""
    ramp = np.linspace(0.0, 0.6, WIDTH // 2)
    image = np.tile(np.concatenate([ramp, np.full(WIDTH // 2, 0.1)]), (3, HEIGHT, 1))
    halves = np.broadcast_to(np.arange(WIDTH) >= WIDTH // 2, (HEIGHT, WIDTH))
    spectral = spectral_superpixels(image, 2, blocks())
    assert len(np.unique(spectral[halves])) == len(np.unique(spectral[~halves])) == 1
    assert spectral[0, 0] != spectral[0, -1]
    assert len(np.unique(kmeans_superpixels(image, 2, blocks())[~halves])) == 2


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_seed_gives_the_same_labels(kind):
    image = np.random.default_rng(0).random((3, HEIGHT, WIDTH))
    nodes = compute_superpixels(image, 60)
    one, other = (predicted(fitted(kind, 5, image, nodes), image, nodes) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert set(np.unique(one)) == set(range(5))


def test_superpixels_have_one_label_each():
    image = np.random.default_rng(0).random((3, HEIGHT, WIDTH))
    nodes = compute_superpixels(image, 60)
    for labels in (kmeans_superpixels(image, 4, nodes), spectral_superpixels(image, 4, nodes)):
        for node in range(nodes.max() + 1):
            assert len(np.unique(labels[nodes == node])) == 1


# Several images, volumes, masks


@pytest.mark.parametrize("kind", MODELS)
def test_labels_mean_the_same_in_images_not_fitted_on(kind):
    first, _ = bands([0.1, 0.4, 0.8])
    second, _ = bands([0.1, 0.6, 0.8], seed=1)
    model = fitted(kind, 4, [first, second], [blocks(), blocks()])
    np.testing.assert_allclose(model.centers_.mean(axis=1), [0.1, 0.4, 0.6, 0.8], atol=0.02)
    other, truth = bands([0.58, 0.12, 0.42], seed=2)
    np.testing.assert_array_equal(predicted(model, other, blocks()), np.array([2, 0, 1])[truth])


def test_spectral_clusters_reach_over_several_images():
    image, truth = bands([0.2, 0.5, 0.9])
    turned, turned_truth = bands([0.9, 0.2, 0.5], seed=1)
    model = SuperpixelSpectral(3).fit([image, turned, image], [blocks()] * 3)
    np.testing.assert_array_equal(model.labels_[0], truth)
    np.testing.assert_array_equal(model.labels_[1], np.array([2, 0, 1])[turned_truth])
    np.testing.assert_array_equal(model.labels_[2], truth)


@pytest.mark.parametrize("kind", [SuperpixelKMeans, SuperpixelSpectral])
def test_islands_in_a_mask_are_clustered_together(kind):
    image, truth = bands([0.2, 0.9, 0.21])
    nodes = blocks()
    nodes[(truth == 1) & (np.arange(WIDTH) % 10 > 6)] = -1  # a gap, so that the graph falls apart
    model = kind(2).fit(image, nodes)
    expected = np.where(nodes < 0, -1, truth == 1)
    np.testing.assert_array_equal(model.predict(image, nodes), expected)
    if kind is SuperpixelSpectral:
        np.testing.assert_array_equal(model.labels_[0], expected)


def test_volumes_are_labelled_like_images():
    image, truth = bands([0.1, 0.5, 0.9], channels=1)
    volume, nodes = np.stack([image] * 4, axis=1), np.stack([blocks() + 1000 * n for n in range(4)])
    expected = np.stack([truth] * 4)
    np.testing.assert_array_equal(PixelKMeans(3).fit([volume]).predict(volume), expected)
    np.testing.assert_array_equal(MultiOtsu(3).fit(image).predict(volume), expected)
    np.testing.assert_array_equal(spectral_superpixels(volume, 3, nodes), expected)


def test_many_pixels_are_sampled(monkeypatch):
    image, truth = bands([0.1, 0.5, 0.9], channels=1)
    monkeypatch.setattr("sp_graph_seg.baselines.common.SAMPLE", 50)
    np.testing.assert_array_equal(PixelKMeans(3).fit(image).predict(image), truth)
    assert MultiOtsu(3).fit(image).predict(image).tolist() == truth.tolist()


# Few colours, few superpixels


@pytest.mark.parametrize("colors", [1, 2, 3])
def test_fewer_colours_than_labels(colors):
    image = np.linspace(0, 1, colors)[np.arange(WIDTH) * colors // WIDTH] * np.ones((3, HEIGHT, 1))
    for labels in (
        kmeans_pixels(image, 5),
        kmeans_superpixels(image, 5, blocks()),
        spectral_superpixels(image, 5, blocks()),
        MultiOtsu(5).fit(image[:1]).predict(image[:1]),
    ):
        assert set(np.unique(labels)) == set(range(colors))


@given(num_nodes=st.integers(1, 7), num_labels=st.integers(1, 9), seed=st.integers(0, 5))
def test_few_superpixels(num_nodes, num_labels, seed):
    rng = np.random.default_rng(seed)
    nodes = np.broadcast_to(np.arange(WIDTH) * num_nodes // WIDTH, (HEIGHT, WIDTH))
    image = rng.random((2, num_nodes))[:, nodes]
    for model in (SuperpixelKMeans(num_labels), SuperpixelSpectral(num_labels)):
        labels = model.fit(image, nodes).predict(image, nodes)
        assert labels.min() == 0
        assert labels.max() < min(num_nodes, num_labels)
    assert len(np.unique(model.labels_[0])) == len(model.centers_)
    if num_labels >= num_nodes:
        assert len(model.centers_) == num_nodes


def test_colours_far_apart_stay_connected():
    image, truth = bands([0.0, 4000.0, 9000.0], noise=0, channels=1)
    image = image * 0 + np.array([0.0, 4000.0, 9000.0])[truth]
    np.testing.assert_array_equal(spectral_superpixels(image, 3, blocks()), truth)


# Otsu


@pytest.mark.parametrize("num_labels", [2, 3, 4])
def test_otsu_is_that_of_scikit_image(num_labels):
    from skimage.filters import threshold_multiotsu

    rng = np.random.default_rng(num_labels)
    centers = np.linspace(30, 220, num_labels + 1)
    grey = rng.normal(rng.choice(centers, (60, 60)), 15).clip(0, 255).astype(np.uint8)
    theirs = np.digitize(grey, threshold_multiotsu(grey, num_labels), right=True)
    np.testing.assert_array_equal(MultiOtsu(num_labels).fit(grey[None]).predict(grey[None]), theirs)


def test_otsu_with_many_classes_leaves_less_variance_than_kmeans():
    values = np.random.default_rng(0).random((1, 40, 40))
    labels = MultiOtsu(12).fit(values).predict(values)
    within = sum(((v := values[0][labels == k]) - v.mean()).var() * v.size for k in range(12))
    kmeans = KMeans(12, n_init=3, random_state=0).fit(values.reshape(-1, 1))
    assert len(np.unique(labels)) == 12
    assert within < 1.01 * kmeans.inertia_  # 256 bins for 1600 values


# What cannot be used


@pytest.mark.parametrize("num_labels", [0, -1, 2.5, None])
@pytest.mark.parametrize("kind", [*MODELS, MultiOtsu])
def test_a_number_of_labels_that_cannot_be(kind, num_labels):
    image, _ = bands([0.1, 0.9], channels=1)
    extra = (blocks(),) if issubclass(kind, SuperpixelKMeans) else ()
    with pytest.raises(
        InputError, match=rf"num_labels={num_labels} is invalid; use an integer of 1"
    ):
        kind(num_labels).fit(image, *extra)


def test_other_channels_than_those_fitted_on():
    color, grey = bands([0.1, 0.9])[0], bands([0.1, 0.9], channels=1)[0]
    with pytest.raises(InputError, match=r"images\[1\]: the number of channels is 1, but 3"):
        PixelKMeans(2).fit([color, grey])
    with pytest.raises(InputError, match="image: the number of channels is 1, but 3"):
        PixelKMeans(2).fit(color).predict(grey)
    with pytest.raises(InputError, match="image: the number of channels is 1, but 3"):
        SuperpixelKMeans(2).fit(color, blocks()).predict(grey, blocks())
    with pytest.raises(InputError, match="image: the number of channels is 3, but 1"):
        MultiOtsu(2).fit(color)
    with pytest.raises(InputError, match="image: the number of channels is 3, but 1"):
        MultiOtsu(2).fit(grey).predict(color)


def test_superpixels_that_do_not_suit_the_images():
    image, _ = bands([0.1, 0.9])
    with pytest.raises(InputError, match=r"superpixels\[0\]: size"):
        kmeans_superpixels(image, 2, blocks()[1:])
    with pytest.raises(InputError, match=r"superpixels: 1 are given for 2 images"):
        SuperpixelSpectral(2).fit([image, image], [blocks()])
    with pytest.raises(InputError, match=r"superpixels\[1\]: the value is None"):
        SuperpixelSpectral(2).fit([image, image], [blocks(), None])


def test_models_are_estimators():
    for model in (*(kind(3, seed=7) for kind in MODELS), MultiOtsu(3)):
        assert clone(model).get_params() == model.get_params()
    image, _ = bands([0.1, 0.9], channels=1)
    with pytest.raises(NotFittedError, match="PixelKMeans is not fitted"):
        PixelKMeans(2).predict(image)
    with pytest.raises(NotFittedError, match="SuperpixelSpectral is not fitted"):
        SuperpixelSpectral(2).predict(image, blocks())
    with pytest.raises(NotFittedError, match="MultiOtsu is not fitted"):
        MultiOtsu(2).predict(image)
