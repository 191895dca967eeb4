"""Makes the viewer of a page, with labels over pictures, controls and the legend."""

import json
import math
from collections.abc import Sequence

from sp_graph_seg.plot.legend import LegendRow, format_grey, format_share, has_names
from sp_graph_seg.plot.scale import scale_bar
from sp_graph_seg.report.markup import Markup, element, join
from sp_graph_seg.report.pictures import Encoded, encode_panels
from sp_graph_seg.report.sample import Panel, Sample

#: Most bytes of all pictures of a viewer.
_MOST_BYTES = 3_000_000

#: Opacity of the labels at first, in percent.
_OPACITY = 45

#: Most rows of the legend; of more labels, the largest.
_ROWS = 40


def show_sample(sample: Sample) -> Markup:
    """Makes the viewer. It has the labelled input, a slider and the legend, with the cuts below."""
    panels = [*sample.panels, *sample.cuts]
    encoded = encode_panels(panels, sample.legend, sample.intensity_range, _MOST_BYTES)
    slices, cuts = encoded[: len(sample.panels)], encoded[len(sample.panels) :]
    first = len(slices) // 2 if sample.first is None else sample.first
    stage = _stage(sample.panels[first], slices[first], sample.unit, "stage")
    across = [
        _stage(panel, pictures, sample.unit, "cut", is_cut=True)
        for panel, pictures in zip(sample.cuts, cuts, strict=True)
    ]
    return element(
        "section",
        element("h2", "Labels", class_="hidden"),
        element("div", stage, _controls(sample, first), class_="pictures"),
        element("div", _legend(sample), _note(sample), class_="legend"),
        element("div", *across, class_="cuts") if across else "",
        _data(sample, slices),
        class_="viewer",
        style=f"--tint: {_OPACITY / 100}",
    )


def _stage(panel: Panel, pictures: Encoded, unit: str, name: str, is_cut: bool = False) -> Markup:
    """Makes one picture with its labels over it and a scale bar."""
    height, width = panel.extent
    length, text = scale_bar(width, unit)
    return element(
        "figure",
        element(
            "div",
            element("img", src=pictures.image, alt="", class_="image") if pictures.image else "",
            element("img", src=pictures.labels, alt=f"Labels of {panel.title}", class_="labels"),
            element("div", class_="here") if is_cut else "",
            element(
                "div",
                element("span", text),
                class_="scale",
                style=f"width: {100 * length / width:.3f}%",
            ),
            class_="frame",
        ),
        element("figcaption", element("output", panel.heading, class_="title", aria_live="polite")),
        class_=name,
        style=f"--width: {width:.6g}; --height: {height:.6g}",
    )


def _controls(sample: Sample, first: int) -> Markup:
    last = len(sample.panels) - 1
    noun = sample.noun.capitalize()
    slider = _slider("slice", noun, last, first) if last else ""
    outline = element(
        "label",
        element("input", type="checkbox", id="outline"),
        element("span", "Outlines only"),
        class_="check",
    )
    has_image = sample.panels[first].image is not None
    opacity = _slider("opacity", "Labels", 100, _OPACITY) if has_image else ""
    return element("div", slider, opacity, outline, class_="controls")


def _slider(name: str, title: str, last: int, value: int) -> Markup:
    return element(
        "label",
        element("span", title),
        element("input", type="range", id=name, min=0, max=last, value=value, step=1),
    )


def _legend(sample: Sample) -> Markup:
    rows = shown_rows(sample.legend, _ROWS)
    named = has_names(rows)
    shares = not all(math.isnan(row.share) for row in rows)
    greys = not all(math.isnan(row.grey) for row in rows)
    columns = {"Label": True, "Name": named, "Share": shares, "Mean grey": greys}
    titles = [title for title, is_shown in columns.items() if is_shown]
    head = element("tr", *(element("th", title, scope="col") for title in titles))
    body = [_legend_row(row, named, shares, greys) for row in rows]
    return element(
        "table",
        element("caption", f"{len(sample.legend)} labels" if len(sample.legend) > 1 else "1 label"),
        element("thead", head),
        element("tbody", *body),
    )


def _legend_row(row: LegendRow, named: bool, shares: bool, greys: bool) -> Markup:
    button = element(
        "button",
        element("span", class_="swatch", style=f"--color: {row.color}"),
        str(row.label),
        type="button",
        aria_pressed="true",
        data_label=row.label,
        aria_label=f"Show label {row.title}",
    )
    cells = [
        element("th", button, scope="row"),
        element("td", row.name) if named else "",
        element(
            "td",
            element(
                "span", format_share(row.share), class_="bar", style=f"--share: {row.share:.4f}"
            ),
            class_="number",
        )
        if shares
        else "",
        element("td", format_grey(row.grey), class_="number") if greys else "",
    ]
    return element("tr", *cells)


def shown_rows(legend: Sequence[LegendRow], most: int) -> list[LegendRow]:
    """Returns the ``most`` legend rows with the largest shares of pixels, sorted by label."""
    largest = sorted(legend, key=lambda row: -row.share)[:most]  # with NaN, the first ones
    return sorted(largest)


def _note(sample: Sample) -> Markup:
    seen, total = sample.seen
    parts = []
    if seen < total:
        parts.append(f"Shares and grey values are those of {seen} of the {total} {sample.noun}s.")
    if len(sample.panels) < total:
        parts.append(f"{len(sample.panels)} of {total} {sample.noun}s are shown.")
    if len(sample.legend) > _ROWS:
        parts.append(f"{len(sample.legend) - _ROWS} smaller labels are not listed.")
    return element("p", " ".join(parts), class_="note") if parts else join()


def _data(sample: Sample, slices: Sequence[Encoded]) -> Markup:
    """Makes JSON with the pictures for the script. Escapes ``<``, so that no tag can begin."""
    values = {
        "slices": [
            {
                "title": panel.heading,
                "image": pictures.image,
                "labels": pictures.labels,
                "width": panel.extent[1],
                "height": panel.extent[0],
                "position": panel.position,
            }
            for panel, pictures in zip(sample.panels, slices, strict=True)
        ],
        "colors": {row.label: row.color for row in sample.legend},
    }
    text = json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")
    return element("script", Markup(text), type="application/json", id="data")
