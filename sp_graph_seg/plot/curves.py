"""Draws curves of the losses during a training, and of scores against a loss weight."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sp_graph_seg.training import History


def plot_history(history: "History") -> "Figure":
    """Plots the loss and its terms over the steps. The number of labels is plotted below.

    A loss that is the same as its only term is drawn once, with the name of the term.

    Args:
        history: Result of :func:`sp_graph_seg.training.fit`. A term without finite values is left
            out.

    Raises:
        InputError: If the history has no steps, as after a fit with ``label_by="regions"``.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from sp_graph_seg.training import TERMS

    if len(history) == 0:
        raise InputError(
            "history: has no steps, because no network was trained; give the history of a model "
            "with a network."
        )
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    steps = history["step"]
    counts_labels = bool(np.isfinite(history["num_labels"]).any())
    panels = figure.subplots(
        1 + counts_labels, 1, sharex=True, squeeze=False, height_ratios=(2, 1)[: 1 + counts_labels]
    ).ravel()
    shown = [name for name in TERMS if np.isfinite(history[name]).any()]
    if len(shown) != 1 or not np.array_equal(history["loss"], history[shown[0]]):
        panels[0].plot(steps, history["loss"], label="loss", color="black", marker=".")
    for number, (name, title) in enumerate(TERMS.items()):
        if name in shown:
            panels[0].plot(steps, history[name], label=title, color=f"C{number}", marker=".")
    panels[0].set_ylabel("loss")
    figure.legend(loc="outside right upper")
    if counts_labels:
        panels[1].step(steps, history["num_labels"], where="mid", marker=".", color="black")
        panels[1].set_ylabel("number of labels")
        panels[1].set_ylim(bottom=0)
        panels[1].yaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels:
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("step")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_scores_against_beta(
    curves: Mapping[str, Mapping[float, Sequence[float]]],
    score: str = "A-MI",
    beta: str = "beta",
) -> "Figure":
    """Plots a score against a loss weight, with a line and a band for each model.

    The line is the mean over the seeds. With two seeds or more, the band extends one sample
    standard deviation (``ddof=1``) to both sides.

    Args:
        curves: For the name of each model, the scores of all seeds at each value of beta, such as
            ``{"Sparse": {0.1: [0.52, 0.55], 1.0: [0.61, 0.6]}}``. Models may have different values
            of beta and different numbers of seeds.
        score: Name of the score, to be written at the axis. (default: :obj:`"A-MI"`)
        beta: Name of the loss weight, to be written at the axis. (default: :obj:`"beta"`)

    Raises:
        InputError: If ``curves`` is empty, a curve has no scores, or a beta is not positive. A
            logarithmic axis cannot show such a beta.
    """
    from matplotlib.figure import Figure

    _check_curves(curves)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel=beta, ylabel=score)
    for number, (name, scores) in enumerate(curves.items()):
        betas = sorted(scores)
        mean = np.array([np.mean(scores[b]) for b in betas])
        spread = np.array([np.std(s, ddof=1) if len(s := scores[b]) > 1 else 0.0 for b in betas])
        color, marker = f"C{number % 10}", "osD^v"[number // 10 % 5]  # ten colours, then markers
        axes.plot(betas, mean, label=name, color=color, marker=marker, markersize=5)
        axes.fill_between(betas, mean - spread, mean + spread, color=color, alpha=0.18, lw=0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure


def _check_curves(curves: Mapping[str, Mapping[float, Sequence[float]]]) -> None:
    if not curves:
        raise InputError("curves: the mapping is empty; give at least one curve.")
    for name, scores in curves.items():
        if not scores or not all(len(values) for values in scores.values()):
            raise InputError(
                f"curves: {name!r} lacks scores; give at least one score for every beta."
            )
        if not min(scores) > 0:
            raise InputError(
                f"curves: {name!r} has beta={min(scores)}, which a logarithmic axis cannot show; "
                "leave this beta out."
            )
