import math

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot import plot_history, plot_scores_against_beta, save_figure
from sp_graph_seg.training import History

# History


def history(steps):
    table = History()
    for step in range(1, steps + 1):
        losses = {"loss": 3 / step, "rec": 1 / step, "cut": math.nan, "sim": 1.0, "con": 0.0}
        table.append({"step": step, "epoch": 1, "num_labels": 9, "seconds": 0.1, **losses})
    return table


@pytest.mark.parametrize("steps", [1, 10])
def test_a_history_shows_the_terms_that_there_are(steps, tmp_path):
    figure = plot_history(history(steps))
    losses, labels = figure.axes
    lines = {line.get_label(): line for line in losses.get_lines()}
    assert list(lines) == ["loss", "reconstruction", "similarity", "continuity"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(lines)
    np.testing.assert_allclose(
        lines["loss"].get_xydata(), [(n, 3 / n) for n in range(1, steps + 1)]
    )
    (line,) = labels.get_lines()
    assert set(line.get_ydata()) == {9}
    assert (losses.get_ylabel(), labels.get_ylabel()) == ("loss", "number of labels")
    assert labels.get_xlabel() == "step"
    save_figure(tmp_path / "history.png", figure)


@pytest.mark.parametrize(("weight", "shown"), [(1, []), (2, ["loss"])])
def test_a_loss_of_one_term_is_drawn_once(weight, shown):
    table = History()
    other = dict.fromkeys(("num_labels", "cut", "sim", "con"), math.nan)
    for step in range(1, 4):
        losses = {"loss": weight / step, "rec": 1 / step}
        table.append({"step": step, "epoch": 1, "seconds": 0.1, **losses, **other})
    (losses,) = plot_history(table).axes
    assert [line.get_label() for line in losses.get_lines()] == [*shown, "reconstruction"]


# Scores


CURVES = {
    "sparse": {1.0: [0.6, 0.8], 0.01: [0.3], 0.1: [0.5, 0.5, 0.5]},
    "dense": {0.1: [0.2, 0.4]},
}


def test_scores_are_means_with_bands_of_one_standard_deviation(tmp_path):
    figure = plot_scores_against_beta(CURVES, score="V-measure", beta="beta_sim")
    (axes,) = figure.axes
    sparse, dense = axes.get_lines()
    np.testing.assert_allclose(sparse.get_xydata(), [(0.01, 0.3), (0.1, 0.5), (1.0, 0.7)])
    np.testing.assert_allclose(dense.get_xydata(), [(0.1, 0.3)])
    band = axes.collections[0].get_paths()[0].vertices
    deviation = math.sqrt(2 * 0.1**2 / (2 - 1))
    ends = {0.01: (0.3, 0.3), 0.1: (0.5, 0.5), 1.0: (0.7 - deviation, 0.7 + deviation)}
    for beta, (low, high) in ends.items():
        heights = band[np.isclose(band[:, 0], beta), 1]
        np.testing.assert_allclose((heights.min(), heights.max()), (low, high))
    assert sparse.get_color() != dense.get_color()
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "beta_sim")
    assert axes.get_ylabel() == "V-measure"
    save_figure(tmp_path / "beta.png", figure)


def test_the_legend_lies_outside_the_plot():
    figure = plot_scores_against_beta({f"model {n}": {0.1: [0.1], 1: [0.2]} for n in range(12)})
    figure.draw_without_rendering()
    (axes,), (legend,) = figure.axes, figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"model {n}" for n in range(12)]
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    styles = {(line.get_color(), line.get_marker()) for line in axes.get_lines()}
    assert len(styles) == 12


@pytest.mark.parametrize(
    ("curves", "reason"),
    [
        ({}, "curves: the mapping is empty"),
        ({"a": {}}, "curves: 'a' lacks scores"),
        ({"a": {0.1: [0.2], 1.0: []}}, "curves: 'a' lacks scores"),
        ({"a": {0.1: [0.2], 0.0: [0.1]}}, "curves: 'a' has beta=0.0, which a logarithmic"),
    ],
)
def test_what_no_scores_can_be_plotted_of(curves, reason):
    with pytest.raises(InputError, match=reason):
        plot_scores_against_beta(curves)
