"""The preview: every picture in true proportions, with a scale bar, inside of the sheet."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sp_graph_seg.report import sample_volume
from sp_graph_seg.report.preview import draw_preview
from sp_graph_seg.volumes import open_volume


def texts_of(figure):
    return [text.get_text() for text in figure.texts]


def test_training_slices_three_cuts_and_the_legend(sample):
    figure = draw_preview("scan $x^2$", sample)
    texts = texts_of(figure)
    assert texts[0] == "scan $x^2$"
    for text in ("slice 7, trained on", "row 20", "column 30", "grain <b>", "mean grey", "500"):
        assert text in texts
    assert len(figure.axes) == 4
    bars = [text for text in texts if text.endswith("µm")]
    assert len(bars) == 4
    for axes, text in zip(figure.axes, bars, strict=True):
        (start, end) = axes.lines[0].get_xdata()
        assert end - start == pytest.approx(float(text.split()[0]))


def test_pictures_have_true_proportions_and_lie_on_the_sheet(sample):
    figure = draw_preview("scan", sample)
    sheet = figure.get_size_inches()
    panels = [next(p for p in sample.panels if p.note), sample.panels[12], *sample.cuts]
    for axes, panel in zip(figure.axes, panels, strict=True):
        box = axes.get_position()
        assert 0 <= box.x0 < box.x1 <= 1
        assert 0 <= box.y0 < box.y1 <= 1
        drawn = box.height * sheet[1] / (box.width * sheet[0])
        assert drawn == pytest.approx(panel.extent[0] / panel.extent[1], rel=1e-3)


def test_cuts_of_a_few_slices_are_left_out(sample):
    thin = [replace(cut, extent=(0.05 * cut.extent[1], cut.extent[1])) for cut in sample.cuts]
    figure = draw_preview("scan", replace(sample, cuts=tuple(thin)))
    pictures = [axes for axes in figure.axes if axes.images]
    everything = draw_preview("scan", sample)
    assert len(thin) == 2
    assert len(pictures) == len([axes for axes in everything.axes if axes.images]) - 2


def test_a_middle_slice_that_was_trained_on_is_drawn_once(sample):
    middle = min(sample.panels, key=lambda panel: abs(panel.position - 0.5))
    marked = replace(middle, note="trained on")
    panels = tuple(marked if panel is middle else panel for panel in sample.panels)
    headings = texts_of(draw_preview("scan", replace(sample, panels=panels)))
    assert headings.count(marked.heading) == 1
    assert middle.heading not in headings
    assert middle.heading in texts_of(draw_preview("scan", sample))


def test_no_text_leaves_the_sheet(sample):
    many = [row._replace(name="a long name of a phase") for row in sample.legend * 20]
    figure = draw_preview("scan " * 40, replace(sample, legend=tuple(many)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= width + 1, text.get_text()
        assert box.y0 >= -1
        assert box.y1 <= height + 1, text.get_text()
    assert "and 36 smaller ones" in texts_of(figure)


def test_labels_alone_are_drawn_in_their_colours(scan):
    sample = sample_volume(None, open_volume(scan / "labels.tif"))
    figure = draw_preview("scan", sample)
    picture = figure.axes[0].images[0].get_array()
    labels = sample.panels[0].labels
    for row in sample.legend:
        rgb = list(bytes.fromhex(row.color[1:]))
        assert (picture[labels == row.label] == rgb).all()
    assert "mean grey" not in texts_of(figure)
    assert np.unique(picture[labels < 0]).size == 1
