import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import label_colors
from sp_graph_seg.plot import contact_sheet, contact_sheet_of_frames, overlay_labels, save_figure
from sp_graph_seg.plot.legend import LegendRow

HEIGHT, WIDTH = 30, 40


@pytest.fixture
def image():
    return np.random.default_rng(0).random((3, HEIGHT, WIDTH))


def pictures(figure):
    """What each axes shows, in the order in which they were drawn."""
    return [axes.images[0].get_array() for axes in figure.axes]


def texts(figure):
    """All texts but those of the legend, which come last."""
    return [text.get_text() for text in figure.texts][: -len(swatches_of(figure))]


def frames_of(figure):
    return [a for a in figure.artists if isinstance(a, Rectangle) and not a.get_fill()]


def swatches_of(figure):
    return [a for a in figure.artists if isinstance(a, Rectangle) and a.get_fill()]


def legend_of(figure):
    """The text of each label, with its colour."""
    swatches = swatches_of(figure)
    entries = [text.get_text() for text in figure.texts][-len(swatches) :]
    return dict(zip(entries, [to_hex(s.get_facecolor()) for s in swatches], strict=True))


def test_the_legend_has_the_colours_of_the_pictures(image, halves):
    figure = contact_sheet(image, [halves, halves + 1], ["a", "b"])
    colors = label_colors(range(9))
    assert legend_of(figure) == {str(label): colors[label] for label in (0, 1, 7, 8)}
    assert_tidy(figure)
    rows = [LegendRow(0, "#ff8800", "pore", 0.25, 61.0), LegendRow(7, "#0088ff", "", 0.75, np.nan)]
    figure = contact_sheet(image, [halves] * 30, ["a"] * 30, legend=rows * 9)
    named = legend_of(figure)
    assert named == {"0 pore, 25.0 %, grey 61": "#ff8800", "7, 75.0 %": "#0088ff"}
    assert_tidy(figure)
    overlay = overlay_labels(image, halves, colors={0: "#ff8800", 7: "#0088ff"})
    np.testing.assert_array_equal(pictures(figure)[1], overlay)


def assert_tidy(figure):
    """Nothing leaves the sheet, and neither pictures nor lines of text overlap, badges excepted."""
    sheet = figure.bbox
    extents = [axes.get_window_extent() for axes in figure.axes]
    extents += [t.get_window_extent() for t in figure.texts if t.get_text() != "recommended"]
    for extent in extents:
        assert extent.x0 >= sheet.x0
        assert extent.y0 >= sheet.y0
        assert extent.x1 <= sheet.x1
        assert extent.y1 <= sheet.y1
    for one, other in itertools.combinations(extents, 2):
        shared = (
            min(one.x1, other.x1) - max(one.x0, other.x0),
            min(one.y1, other.y1) - max(one.y0, other.y0),
        )
        assert min(shared) <= 2  # pixels


def caption(number):
    return f"beta_sim {number}, beta_con 0.3, tau_con -1\n{number} labels, score 0.5\nsim 1, con 2"


@pytest.mark.parametrize("num_candidates", [1, 7, 15])
def test_a_sheet_shows_the_image_and_every_candidate(image, halves, num_candidates):
    candidates = [halves + n for n in range(num_candidates)]
    captions = [caption(n) for n in range(num_candidates)]
    figure = contact_sheet(image, candidates, captions)
    original, *overlays = pictures(figure)
    assert original.shape == (HEIGHT, WIDTH, 3)
    for labels, overlay in zip(candidates, overlays, strict=True):
        np.testing.assert_array_equal(overlay, overlay_labels(image, labels))
    assert texts(figure)[0] == "image"
    for text in captions:
        assert " ".join(text.split()) in " ".join(texts(figure))
    assert not frames_of(figure)
    assert_tidy(figure)


def test_several_images_stand_side_by_side_in_every_cell(halves):
    wide, tall = np.zeros((3, HEIGHT, WIDTH)), np.zeros((3, WIDTH, HEIGHT))
    candidates = [[halves + n, halves.T + n, halves] for n in range(9)]
    figure = contact_sheet([wide, tall, wide], candidates, [caption(n) for n in range(9)])
    assert len(figure.axes) == 3 * 10
    for first in range(0, 30, 3):
        boxes = [axes.get_window_extent() for axes in figure.axes[first : first + 3]]
        assert boxes[0].x1 < boxes[1].x0
        assert boxes[1].x1 < boxes[2].x0
        for box, ratio in zip(boxes, (4 / 3, 3 / 4, 4 / 3), strict=True):
            assert box.y0 == pytest.approx(boxes[0].y0)
            assert box.height == pytest.approx(boxes[0].height)
            assert box.width == pytest.approx(ratio * box.height)
    assert texts(figure)[0] == "images"
    assert_tidy(figure)


def test_the_recommended_candidate_is_framed(image, halves):
    figure = contact_sheet(image, [halves] * 5, list("abcde"), recommended=2)
    (frame,) = frames_of(figure)
    inside = [
        number
        for number, axes in enumerate(figure.axes)
        if frame.get_window_extent().fully_containsx(axes.bbox.x0)
        and frame.get_window_extent().fully_containsy(axes.bbox.y0)
    ]
    assert inside == [3]  # after the image
    badge = next(text for text in figure.texts if text.get_text() == "recommended")
    assert figure.axes[3].bbox.contains(*badge.get_window_extent().p0)
    colors = {text.get_text(): text.get_color() for text in figure.texts}
    assert colors["c"] != colors["a"] == colors["e"]
    assert_tidy(figure)


def test_long_captions_are_broken_not_cut(image, halves):
    figure = contact_sheet(image, [halves] * 15, ["a setting of many parameters " * 4] * 15)
    assert_tidy(figure)
    assert sum(text.get_weight() == "bold" for text in figure.texts) > 2 * 15


def test_a_sheet_fits_a_screen_and_is_saved(image, halves, tmp_path):
    for count in (3, 8, 15):
        width, height = contact_sheet(image, [halves] * count, ["a"] * count).get_size_inches()
        assert 0.8 < width / height < 3
    save_figure(tmp_path / "sheet.png", contact_sheet(image, [halves] * 7, ["a\nb"] * 7))
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size[0] == 2000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"candidates": []}, "captions: 2 are given for 0 candidates"),
        ({"captions": ["a"]}, "captions: 1 are given for 2 candidates"),
        ({"recommended": 2}, "recommended=2 is not the index of a candidate; use 0 to 1"),
        ({"recommended": -1}, "recommended=-1 is not the index"),
        ({"candidates": [np.zeros((3, 3), int)] * 2}, r"candidates\[0\]\[0\]: size \(3, 3\)"),
        ({"candidates": [np.zeros((HEIGHT, WIDTH))] * 2}, "labels: an array of float64"),
        ({"images": [np.zeros((1, 2, HEIGHT, WIDTH))]}, "image: is a volume of shape"),
    ],
)
def test_what_no_sheet_can_be_made_of(halves, changes, reason):
    given = {"images": np.zeros((3, HEIGHT, WIDTH)), "candidates": [halves] * 2}
    with pytest.raises(InputError, match=reason):
        contact_sheet(**{**given, "captions": ["a", "b"], **changes})


# Frames


def test_frames_are_shown_with_their_numbers(image, halves):
    labels = [halves + n for n in range(6)]
    figure = contact_sheet_of_frames([image] * 6, labels, [0, 10, 20, 123, 270, 401], alpha=0.3)
    assert texts(figure) == ["0", "10", "20", "123", "270", "401"]
    for values, picture in zip(labels, pictures(figure), strict=True):
        np.testing.assert_array_equal(picture, overlay_labels(image, values, 0.3))
    assert_tidy(figure)
    assert texts(contact_sheet_of_frames([image] * 3, labels[:3])) == ["0", "1", "2"]


def test_slices_of_a_volume_are_frames(halves):
    volume, labels = np.zeros((1, 4, HEIGHT, WIDTH)), np.stack([halves] * 4)
    figure = contact_sheet_of_frames(np.moveaxis(volume, 1, 0), labels)
    assert len(figure.axes) == 4


def test_frames_of_several_sizes_and_one_frame(halves):
    wide, tall = np.zeros((3, HEIGHT, WIDTH)), np.zeros((3, WIDTH, HEIGHT))
    for frames in ([wide], [tall], [tall, wide, tall, tall, wide]):
        labels = [halves if frame is wide else halves.T for frame in frames]
        figure = contact_sheet_of_frames(frames, labels)
        assert_tidy(figure)
        assert figure.get_size_inches().max() <= 10


def test_numbers_and_labels_must_suit_the_frames(image, halves):
    with pytest.raises(InputError, match="numbers: 1 are given for 2 frames"):
        contact_sheet_of_frames([image] * 2, [halves] * 2, [3])
    with pytest.raises(InputError, match="labels: 1 are given for 2 images"):
        contact_sheet_of_frames([image] * 2, [halves])
    with pytest.raises(InputError, match="images: the sequence is empty"):
        contact_sheet_of_frames([], [])
