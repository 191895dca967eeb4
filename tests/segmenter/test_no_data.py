"""Pixels that are no data: outside of a mask, NaN, negative in a label map. They count nowhere."""

import copy

import numpy as np
import pytest
import torch
from sklearn.metrics import v_measure_score

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.segmenter import segmenter as module

SIZE = (48, 64)
BOARD = (np.indices(SIZE)[0] // 16 + np.indices(SIZE)[1] // 16) % 2
INSIDE = np.ones(SIZE, bool)
INSIDE[-8:], INSIDE[:, :5] = False, False
CONFIG = Config(
    num_features=4,
    width=4,
    depth=2,
    n_segments=60,
    patches=((4, 16, 16),),
    epochs=2,
    minibatches=2,
    accelerator="cpu",
)


@pytest.fixture(scope="module")
def clean():
    noise = np.random.default_rng(0).normal(0, 0.03, (2, *SIZE))
    return (0.3 + 0.4 * BOARD + noise).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(clean):
    return Segmenter(CONFIG).fit(clean, masks=INSIDE)


def outside(image, value):
    return np.where(INSIDE, image, np.float32(value))


CONFIGS = {
    "superpixels": CONFIG,
    "watershed": CONFIG.replace(superpixel_method="watershed"),
    "scaled": CONFIG.replace(max_size=32, superpixel_size=40),
    "pixels": CONFIG.replace(nodes="pixels", beta_cut=0.5, radius=2.0),
    "head": CONFIG.replace(head="gcn"),
    "head on pixels": CONFIG.replace(head="gcn", nodes="pixels"),
    "similarity of pixels": CONFIG.replace(similarity_on="pixels", similarity_labels="pixels"),
    "whole image": CONFIG.replace(reconstruction="image"),
    "derived channels": CONFIG.replace(hessian_scales=(1.0,)),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_stands_where_there_is_no_data_does_not_matter(clean, config):
    first = Segmenter(config).fit(clean, masks=INSIDE)
    labels = first.predict(clean, mask=INSIDE)
    np.testing.assert_array_equal(labels < 0, ~INSIDE)
    assert set(np.unique(labels)) <= {-1, 0, 1, 2, 3}
    for value in (40, -1e6, np.nan):
        image = outside(clean, value)
        mask = None if np.isnan(value) else INSIDE
        again = Segmenter(config).fit(image, masks=mask)
        assert again.intensity_range_ == first.intensity_range_
        for name in ("loss", "rec", "sim", "con"):
            np.testing.assert_array_equal(again.history_[name], first.history_[name])
        np.testing.assert_array_equal(again.predict(image, mask=mask), labels)
        np.testing.assert_array_equal(first.predict(image, mask=mask), labels)
        graph = first.transform(image, mask=mask)
        np.testing.assert_array_equal(graph.z, again.transform(image, mask=mask).z)


def test_negative_ids_of_superpixels_are_no_data(clean, fitted):
    tiles = np.arange(SIZE[0])[:, None] // 6 * 20 + np.arange(SIZE[1]) // 6
    holed = np.where(INSIDE, tiles, -1)
    one = Segmenter(CONFIG).fit(clean, superpixels=tiles, masks=INSIDE)
    other = Segmenter(CONFIG).fit(outside(clean, 1e5), superpixels=holed)
    assert other.intensity_range_ == one.intensity_range_
    assert other.history_["loss"] == one.history_["loss"]
    labels = one.predict(clean, tiles, INSIDE)
    np.testing.assert_array_equal(other.predict(outside(clean, 1e5), holed), labels)
    assert labels.min() == -1
    for tile in np.unique(tiles[INSIDE]):
        assert len(np.unique(labels[(tiles == tile) & INSIDE])) == 1


def two_shades(segmenter, image, mask=None):
    """The pixels in two classes, by the colours of their superpixels as the network sees them."""
    graph = segmenter.transform(image, mask=mask)
    bright = graph.x[:, 0] > (graph.x[:, 0].min() + graph.x[:, 0].max()) / 2
    inside = np.ones(SIZE, bool) if mask is None else mask
    classes = np.full(SIZE, -1)
    classes[inside] = bright[graph.pixel_index].numpy()
    return classes[INSIDE]


def test_a_bright_border_outside_of_the_mask_leaves_the_contrast_inside(clean):
    """Where the border counted, all inside would be one shade."""
    bright, config = outside(clean, 40), CONFIG.replace(n_segments=250)
    masked = Segmenter(config).fit(bright, masks=INSIDE)
    plain = Segmenter(config).fit(clean)
    wanted = v_measure_score(BOARD[INSIDE], two_shades(plain, clean))
    assert wanted > 0.9
    assert v_measure_score(BOARD[INSIDE], two_shades(masked, bright, INSIDE)) > wanted - 0.02
    blind = Segmenter(config).fit(bright)
    assert v_measure_score(BOARD[INSIDE], two_shades(blind, bright)) < 0.1


def test_pixels_without_data_give_no_warning_of_units(clean, fitted):
    mask = np.zeros(SIZE, bool)
    mask[:20, :20] = True  # most values lie outside of the range, and none of the data
    labels = fitted.predict(np.where(mask, clean, np.float32(1e6)), mask=mask)
    assert (labels[mask] >= 0).all()
    assert (labels[~mask] == -1).all()


def test_one_channel_without_a_number_makes_no_data(clean, fitted):
    image = clean.copy()
    image[1, 3, 7:9] = np.nan
    labels = fitted.predict(image)
    assert np.argwhere(labels < 0).tolist() == [[3, 7], [3, 8]]


def test_an_image_without_data(clean, fitted):
    nothing = np.full_like(clean, np.nan)
    for config in (CONFIG, CONFIG.replace(head="gcn"), CONFIG.replace(nodes="pixels")):
        segmenter = Segmenter(config).fit(clean)
        assert (segmenter.predict(nothing) == -1).all()
        with pytest.raises(InputError, match=r"^image: has no data"):
            segmenter.transform(nothing)
    with pytest.raises(InputError, match=r"^images\[1\]: has no data"):
        Segmenter(CONFIG).fit([clean, nothing])
    with pytest.raises(InputError, match=r"^mask: no pixel is true"):
        fitted.predict(clean, mask=np.zeros(SIZE))
    with pytest.raises(InputError, match=r"^mask: size"):
        fitted.predict(clean, mask=np.ones((5, 5)))


def test_post_processing_leaves_what_is_no_data(clean, fitted):
    segmenter = copy.copy(fitted)
    plain = fitted.predict(clean, mask=INSIDE)
    segmenter.relabel_ = relabel = Relabel(merge={2: [0, 1]}, smooth=2)
    labels = segmenter.predict(clean, mask=INSIDE)
    np.testing.assert_array_equal(labels < 0, ~INSIDE)
    expected = Relabel(merge={2: [0, 1]}, smooth=2, unlabelled=-1).apply(plain)
    np.testing.assert_array_equal(labels, expected)
    assert segmenter.relabel_ is relabel


def test_a_mask_of_everything_changes_nothing(clean, monkeypatch):
    seen = []
    original = module.fit
    monkeypatch.setattr(
        module,
        "fit",
        lambda net, images, *rest: seen.extend(images) or original(net, images, *rest),
    )
    segmenter = Segmenter(CONFIG).fit(clean, masks=np.ones(SIZE))
    assert seen[0].inside is None
    prepared = segmenter.prepare(clean, mask=np.ones(SIZE))
    assert prepared.inside is None
    np.testing.assert_array_equal(prepared.nodes, segmenter.prepare(clean).nodes)


def test_the_graph_knows_which_pixels_it_speaks_of(clean, fitted):
    graph = fitted.transform(clean, mask=INSIDE)
    np.testing.assert_array_equal(graph.pixel_mask.numpy(), INSIDE.ravel())
    labels = fitted.predict(clean, mask=INSIDE)
    assert torch.equal(graph.z.argmax(1)[graph.pixel_index], torch.from_numpy(labels[INSIDE]))
