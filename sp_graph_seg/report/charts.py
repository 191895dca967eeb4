"""Draws the curves of a training as small SVG charts in the colours of the page."""

import math
from collections.abc import Sequence

from sp_graph_seg.report.markup import Markup, element
from sp_graph_seg.training import TERMS, History

_WIDTH, _HEIGHT, _MARGIN = 300, 96, 6

#: Most points of a curve. Of more, so many at equal distances are drawn.
_POINTS = 400


def history_charts(history: History) -> list[Markup]:
    """Draws a chart for the loss, for each term of the loss, and for the number of labels."""
    titles = {"loss": "loss", **TERMS, "num_labels": "number of labels"}
    steps = history["step"]
    columns = {title: history[name] for name, title in titles.items()}
    return [
        line_chart(title, steps, values)
        for title, values in columns.items()
        if sum(map(math.isfinite, values)) > 1
    ]


def line_chart(title: str, steps: Sequence[float], values: Sequence[float]) -> Markup:
    """Draws a chart of one curve. The first and last values are beside the title."""
    points = [(x, y) for x, y in zip(steps, values, strict=True) if math.isfinite(y)]
    stride = -(-len(points) // _POINTS)
    points = [*points[:-1:stride], points[-1]]
    xs, ys = zip(*points, strict=True)
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    width, height = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN
    places = " ".join(
        f"{_MARGIN + width * (x - left) / ((right - left) or 1):.1f},"
        f"{_MARGIN + height * (1 - (y - low) / ((high - low) or 1)):.1f}"
        for x, y in points
    )
    says = f"{title}: from {ys[0]:.4g} to {ys[-1]:.4g} in {steps[-1]:.0f} steps"
    chart = element(
        "svg",
        element("line", x1=0, x2=_WIDTH, y1=_HEIGHT - 1, y2=_HEIGHT - 1, class_="axis"),
        element("polyline", points=places),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=says,
    )
    caption = element(
        "figcaption",
        element("b", title),
        element("span", f"{ys[0]:.3g} → {ys[-1]:.3g}"),
    )
    return element("figure", caption, chart, class_="chart")
