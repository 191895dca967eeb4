"""The size of a page, its sections, and its pictures."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from sp_graph_seg.plot.legend import LegendRow
from sp_graph_seg.report import Page, Panel, Sample, Table, render_page
from sp_graph_seg.report.charts import line_chart
from sp_graph_seg.report.page import CITATION
from sp_graph_seg.report.pictures import encode_panels


def pictures_in(text):
    found = re.findall(r"data:image/(jpeg|png);base64,([A-Za-z0-9+/=]+)", text)
    return [Image.open(io.BytesIO(base64.b64decode(content))) for _, content in found]


def noise(count, side, colors=1):
    """The worst that can be compressed."""
    rng = np.random.default_rng(0)
    panels = [
        Panel(
            f"slice {number}",
            rng.random((colors, side, side), np.float32),
            rng.integers(-1, 20, (side, side)),
            (side, side),
            position=number / count,
        )
        for number in range(count)
    ]
    legend = [LegendRow(n, f"#0000{n:02x}", "", 0.05, 0.5) for n in range(20)]
    return Sample(tuple(panels), (), tuple(legend), (0.0, 1.0), "voxels", (count, 99), "slice")


def test_a_page_is_small_whatever_it_holds():
    image = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (2000, 2000, 3), np.uint8)).save(
        image, "PNG"
    )
    table = Table("t", ["a", "b"], [[str(n), "x" * 100] for n in range(5000)])
    page = Page("p", sample=noise(28, 640, 3), tables=[table], pictures={"sheet": image.getvalue()})
    text = render_page(page)
    assert len(text) < 5e6
    assert "4900 more rows are not shown here." in text


def test_pictures_are_as_large_as_they_may_be():
    sample = noise(3, 320)
    sides = {}
    for most in (10_000_000, 60_000):
        encoded = encode_panels(sample.panels, sample.legend, (0, 1), most)
        sides[most] = {p.size for one in encoded for p in pictures_in(one.image + " " + one.labels)}
    assert sides[10_000_000] == {(320, 320)}
    ((width, height),) = sides[60_000]
    assert width == height < 320


def test_labels_are_stored_without_loss_in_their_colours(sample):
    (encoded,) = encode_panels(sample.panels[:1], sample.legend, sample.intensity_range, 10**7)
    (picture,) = pictures_in(encoded.labels)
    rgba = np.asarray(picture.convert("RGBA"))
    labels = sample.panels[0].labels
    for row in sample.legend:
        rgb = list(bytes.fromhex(row.color[1:]))
        assert (rgba[labels == row.label] == [*rgb, 255]).all()
    assert (rgba[labels < 0][:, 3] == 0).all()
    (image,) = pictures_in(encoded.image)
    assert image.mode == "L"


def test_more_labels_than_a_palette_has():
    labels = np.arange(400).reshape(20, 20)
    legend = tuple(LegendRow(n, "#ff0000", "", 1 / 400, np.nan) for n in range(400))
    panel = Panel("slice 0", None, labels, (20, 20), position=0.5)
    sample = Sample((panel,), (), legend, (0.0, 1.0), "voxels", (1, 1), "slice")
    text = render_page(Page("p", sample=sample))
    assert "360 smaller labels are not listed." in text
    rgba = np.asarray(pictures_in(text)[0].convert("RGBA"))
    assert rgba[0, 0].tolist() == [255, 0, 0, 255]
    assert rgba[-1, -1].tolist() == [128, 128, 128, 255]


def test_what_is_missing_has_no_section(page):
    bare = render_page(Page("only a title"))
    for section in (">Training</h2>", ">Repeat it</h2>", ">All settings</summary>"):
        assert section not in bare
        assert section in render_page(page)
    assert CITATION[1] in bare
    assert "sp_graph_seg" in bare


def test_names_greys_and_controls_appear_where_they_are_known(page):
    full = render_page(page)
    assert ">Name</th>" in full
    assert ">Mean grey</th>" in full
    panel = replace(page.sample.panels[0], image=None)
    row = LegendRow(0, "#0077dd", "", 1.0, float("nan"))
    sample = replace(page.sample, panels=(panel,), cuts=(), legend=(row,))
    bare = render_page(Page("p", sample=sample))
    for text in (">Name</th>", ">Mean grey</th>", 'id="slice"', 'id="opacity"'):
        assert text not in bare


def test_a_curve_goes_from_its_first_to_its_last_value():
    chart = line_chart("loss", range(1, 2001), np.linspace(4, 2, 2000))
    assert 'aria-label="loss: from 4 to 2 in 2000 steps"' in chart
    points = re.search(r'points="([^"]*)"', chart)[1].split()
    assert len(points) <= 402
    xy = np.array([point.split(",") for point in points], float)
    assert (np.diff(xy[:, 0]) > 0).all()
    assert (np.diff(xy[:, 1]) >= 0).all()  # down the screen
    constant = line_chart("loss", [1, 2, 3], [5.0, np.nan, 5.0])
    assert "nan" not in constant
