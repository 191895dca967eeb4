"""Writes the HTML pages of the commands tune and benchmark."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.pages import only_a_warning, summary, write_page
from sp_graph_seg.config import config_to_yaml
from sp_graph_seg.io import label_colors
from sp_graph_seg.io.record import make_record

if TYPE_CHECKING:
    from sp_graph_seg.experiments.protocol import Row
    from sp_graph_seg.experiments.tuning import Candidate
    from sp_graph_seg.report import Sample, Table


def write_tuning_page(
    file: Path,
    inputs: Sequence[Path],
    images: Sequence[np.ndarray],
    candidates: "Sequence[Candidate]",
    best: int,
) -> None:
    """Writes the page of the command tune. A slider on the page steps through the candidates.

    Args:
        file: The page.
        inputs: The files that were trained on.
        images: The images. The page shows the first image.
        candidates: The settings that were tried, and their results.
        best: Index of the candidate that is recommended.
    """
    with only_a_warning(file):
        from sp_graph_seg.report import Page

        sample, record = _show_candidates(images[0], candidates, best), make_record(inputs)
        page = Page(
            title=f"Candidates for {inputs[0].stem}",
            summary=summary(f"{len(candidates)} candidates", "", record),
            sample=sample,
            tables=[_candidate_table(candidates, best)],
            facts={"Input": ", ".join(map(str, inputs))},
            settings=config_to_yaml(candidates[best].config),
            record=record,
        )
        write_page(file, page)
        report("report", str(file))


def write_benchmark_page(
    file: Path, rows: "Mapping[str, Sequence[Row]]", pictures: Sequence[Path], data: Path
) -> None:
    """Writes the page of the command benchmark, with its tables and pictures.

    Args:
        file: The page.
        rows: The rows of each table, keyed by how results are selected, such as ``oracle``.
        pictures: Files of pictures to show on the page.
        data: The folder of the data set.
    """
    with only_a_warning(file):
        from sp_graph_seg.report import Page

        record = make_record()
        page = Page(
            title=f"Benchmark on {data.name}",
            summary=summary(f"{max(row.num_images for row in rows['oracle'])} images", "", record),
            pictures={picture.stem.capitalize(): picture.read_bytes() for picture in pictures},
            tables=[_score_table(kind, own) for kind, own in rows.items() if own],
            facts={"Data": str(data)},
            record=record,
        )
        write_page(file, page)
        report("report", str(file))


def _show_candidates(image: np.ndarray, candidates: "Sequence[Candidate]", best: int) -> "Sample":
    """Makes one panel for each candidate, which shows its labels over the first image."""
    from dataclasses import replace

    from sp_graph_seg.plot.legend import LegendRow
    from sp_graph_seg.report import sample_images

    labels = [candidate.labels[0] for candidate in candidates]
    titles = [f"candidate {number}" for number in range(1, len(candidates) + 1)]
    pairs = ((title, image, own) for title, own in zip(titles, labels, strict=True))
    sample = sample_images(pairs, len(candidates))
    panels = tuple(
        replace(panel, note="recommended" if panel.title == titles[best] else "")
        for panel in sample.panels
    )
    colors = label_colors(range(max(int(own.max()) for own in labels) + 1))
    legend = tuple(
        LegendRow(row.label, colors[row.label], "", math.nan, math.nan) for row in sample.legend
    )
    return replace(sample, panels=panels, legend=legend, noun="candidate", first=best)


def _candidate_table(candidates: "Sequence[Candidate]", best: int) -> "Table":
    from sp_graph_seg.report import Table

    headers = ["Candidate", "beta_cut", "beta_sim, beta_con", "Labels", "Score", "Stage"]
    rows = [
        [
            str(number),
            f"{candidate.betas[0]:.4g}",
            f"{candidate.betas[1]:.4g}",
            str(candidate.num_labels),
            f"{candidate.score:.4g}",
            candidate.stage,
        ]
        for number, candidate in enumerate(candidates, start=1)
    ]
    note = (
        f"Candidate {best + 1} is recommended: it has the best score, which needs no ground truth. "
        "The same label means different things in different candidates."
    )
    return Table("Candidates", headers, rows, note)


def _score_table(kind: str, rows: "Sequence[Row]") -> "Table":
    from sp_graph_seg.experiments.report import AVERAGES
    from sp_graph_seg.report import Table

    names = list(rows[0].scores)
    cells = [
        [
            row.method,
            "–" if row.setting is None else f"{row.setting:g}",
            *(f"{row.scores.get(name, math.nan):.3f}" for name in names),
        ]
        for row in rows
    ]
    average = AVERAGES.get(kind, "")
    note = f"{average[0].upper()}{average[1:]}." if average else ""
    return Table(f"Scores: {kind}", ["Method", "Setting", *names], cells, note)
