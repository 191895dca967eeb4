"""Labels of regions by their colour: drawings, other images, masks, files, merging."""

import numpy as np
import pytest
from skimage.color import rgb2lab
from sklearn.metrics import v_measure_score

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import FewLabelsWarning, InputError
from sp_graph_seg.plot import plot_history
from sp_graph_seg.prototypes import RegionColors, fit_region_colors

PHOTO = Config.preset("photo")
SIZE = (200, 240)


def discs():
    row, column = np.mgrid[: SIZE[0], : SIZE[1]]
    places = ((50, 60, 30), (120, 160, 45), (150, 50, 25))
    return np.any([np.hypot(row - y, column - x) < r for y, x, r in places], axis=0).astype(int)


def bands(width, count):
    return np.tile(np.arange(SIZE[1]) // width % count, (SIZE[0], 1))


DRAWINGS = {"discs": (discs(), 2), "stripes": (bands(24, 2), 2), "steps": (bands(60, 4), 4)}

#: The colours of each drawing, and how far neighbours are apart.
COLORS = {
    "grey": (np.repeat(np.linspace(0.2, 0.8, 4)[:, None], 3, axis=1), 0.2),
    "colour": (np.array([[0.8, 0.2, 0.2], [0.2, 0.7, 0.3], [0.2, 0.3, 0.8], [0.8, 0.8, 0.2]]), 0.5),
}


def draw(name, colors, noise, depth, seed=0):
    """A drawing in whole numbers, with noise in units of its contrast."""
    truth, count = DRAWINGS[name]
    table, contrast = COLORS[colors]
    table = table[:: 3 // (count - 1)] if colors == "grey" else table
    contrast *= 3 if colors == "grey" and count == 2 else 1
    image = np.moveaxis(table[truth], -1, 0)
    image = image + np.random.default_rng(seed).normal(0, noise * contrast, image.shape)
    limit = np.iinfo(depth).max
    return np.rint(image.clip(0, 1) * limit).astype(depth), truth, count


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize(
    ("colors", "noise", "depth"),
    [("grey", 0, np.uint8), ("grey", 0.2, np.uint16), ("colour", 0.2, np.uint8)],
)
def test_drawings_are_labelled_as_they_were_drawn(name, colors, noise, depth):
    image, truth, count = draw(name, colors, noise, depth)
    wished = Segmenter(PHOTO.replace(num_labels=count)).fit(image)
    assert wished.num_labels_ == count
    assert v_measure_score(truth.ravel(), wished.predict(image).ravel()) >= 0.97
    free = Segmenter(PHOTO).fit(image)
    assert v_measure_score(truth.ravel(), free.predict(image).ravel()) >= 0.9
    if not noise:
        assert free.num_labels_ == count


@pytest.fixture(scope="module")
def steps():
    return draw("steps", "colour", 0.05, np.uint8)


@pytest.fixture(scope="module")
def model(steps):
    return Segmenter(PHOTO.replace(num_labels=4)).fit(steps[0])


def test_labels_mean_the_same_in_another_image_and_go_from_dark_to_bright(model, steps):
    image = steps[0]
    labels = model.predict(image)
    turned = model.predict(image[:, ::-1, ::-1])
    assert (turned[::-1, ::-1] == labels).mean() > 0.99
    assert (np.diff(model.labeller_.means[:, 0]) > 0).all()
    lightness = image.mean(axis=0)
    assert np.argmax([lightness[labels == k].mean() for k in range(4)]) == 3


def test_margins_are_near_one_on_flat_colours_and_nothing_is_learned(model, steps):
    labels, margins = model.predict_with_margin(steps[0])
    assert margins.dtype == np.float32
    assert 0.8 < np.median(margins) <= 1
    assert model.networks_ == []
    assert len(model.history_) == 0
    assert model.history_.last_losses() == {}
    with pytest.raises(InputError, match=r"^history: has no steps"):
        plot_history(model.history_)
    graph = model.transform(steps[0])
    assert graph.z.shape == (graph.num_nodes, 3)  # CIELAB
    assert labels.max() == 3


def test_a_model_file_gives_the_same_labels(model, steps, tmp_path):
    model.save(tmp_path / "model.safetensors", {"trained on": "steps"})
    again = Segmenter.load(tmp_path / "model.safetensors")
    for ours, theirs in zip(
        model.predict_with_margin(steps[0]), again.predict_with_margin(steps[0]), strict=True
    ):
        assert (ours == theirs).all()


def test_merging_joins_the_most_alike_colours():
    image = np.zeros((3, 60, 90), np.float32)
    image[:, :, 30:] = np.array([0.85, 0.1, 0.1])[:, None, None]
    image[:, :, 60:] = np.array([0.75, 0.2, 0.1])[:, None, None]
    model = Segmenter(PHOTO.replace(num_labels=3)).fit(image, intensity_range=(0, 1))
    before = model.predict(image)
    after = model.merge_labels(2).predict(image)
    assert np.unique(before).tolist() == [0, 1, 2]
    assert np.unique(after).tolist() == [0, 1]
    assert len(np.unique(after[:, 35:])) == 1


def test_pixels_that_are_no_data_have_no_label():
    image, truth, _ = draw("stripes", "colour", 0, np.uint8)
    mask = truth == 1
    mask[:50] = False
    with pytest.warns(FewLabelsWarning, match="only 1 label was found"):
        model = Segmenter(PHOTO).fit(image, masks=mask)
    assert model.num_labels_ == 1
    labels, margins = model.predict_with_margin(image, mask=mask)
    assert ((labels == -1) == ~mask).all()
    assert not margins[~mask].any()
    assert (model.predict(image, mask=mask[::-1]) == np.where(mask[::-1], 0, -1)).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_constant_and_tiny_images_have_one_label(channels):
    image = np.full((channels, 16, 16), 7.0)
    with pytest.warns(FewLabelsWarning, match="only 1 label was found"):
        model = Segmenter(PHOTO).fit([image, image])
    assert model.num_labels_ == 1
    assert not model.predict(image).any()


def test_several_images_share_their_labels():
    images = [draw("steps", "colour", 0.05, np.uint8, seed)[0] / np.float32(255) for seed in (0, 1)]
    together = fit_region_colors(
        [im[:, :, part] for im, part in zip(images, (np.s_[:120], np.s_[120:]), strict=True)],
        [None, None],
        PHOTO,
    )
    assert together.num_labels == 4
    assert together.areas.sum() == images[0][0].size


def test_a_speck_has_the_label_of_what_surrounds_it():
    image = np.full((3, *SIZE), 100, dtype=np.uint8)
    speck, spot = np.s_[50:56, 50:56], np.s_[120:140, 120:140]  # 0.1 % and 0.8 % of the image
    image[0][speck], image[2][spot] = 230, 230
    labels = Segmenter(PHOTO).fit(image).predict(image)
    assert np.unique(labels[speck]) == labels[0, 0]
    assert np.unique(labels[spot]) != labels[0, 0]


def test_margins_compare_the_colour_around_a_pixel():
    """A patch with the colour of another label has a margin of 0, although its region has one."""
    image = np.empty((3, 64, 96), np.float32)
    image[:, :, :48], image[:, :, 48:] = 0.2, 0.8
    labels = bands(48, 2)[:64, :96]
    means = np.array([[image_lightness(0.2), 0, 0], [image_lightness(0.8), 0, 0]])
    model = RegionColors(PHOTO, means, np.array([3072.0, 3072.0]))
    image[:, 20:40, 10:30] = 0.8  # looks like the other label
    margins = model.margins(image, labels)
    assert (margins[24:36, 14:26] == 0).all()
    assert margins[:, 60:].min() > 0.99
    assert margins[50:, :30].min() > 0.99
    assert (model.margins(image, np.full(labels.shape, -1)) == 0).all()


def image_lightness(grey):
    """The lightness of a grey value in CIELAB."""
    return float(rgb2lab(np.full((1, 1, 3), grey))[0, 0, 0])
