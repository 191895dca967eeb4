"""The command ``sp-graph-seg benchmark``, which repeats the paper's experiment on BSDS300."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from sp_graph_seg.cli.app import PROGRAM, Switch, app
from sp_graph_seg.cli.flags import TrainingFlags
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.pages import PAGE
from sp_graph_seg.cli.study_pages import write_benchmark_page
from sp_graph_seg.config import Config, read_config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import check_writable

if TYPE_CHECKING:
    from sp_graph_seg.experiments import Experiment, Method, Photo

benchmark = App(
    name="benchmark",
    help="Measure the paper's models and baselines against human annotators.",
    sort_key=5,
)
app.command(benchmark)

Numbers = Annotated[
    list[float] | None, Parameter(metavar="NUMBER...", consume_multiple=True, negative=())
]
Names = Annotated[
    list[str] | None, Parameter(metavar="NAME...", consume_multiple=True, negative=())
]

#: Number of images whose segmentations are shown by default.
_SHOWN = 4


@benchmark.command(
    name="bsds300",
    usage=f"Usage: {PROGRAM} benchmark bsds300 --data FOLDER --output FOLDER [OPTIONS]",
)
def bsds300(
    *,
    data: Annotated[Path, Parameter(metavar="FOLDER")],
    output: Annotated[Path, Parameter(alias="-o", metavar="FOLDER")],
    types: Names = None,
    variants: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    seeds: int = 10,
    betas: Numbers = None,
    clusters: Numbers = None,
    images: Names = None,
    split: Literal["train", "test"] = "test",
    combine: Literal["mean", "first", "best"] = "mean",
    scored: Annotated[Literal["labels", "regions"], Parameter(name="--score-on")] = "labels",
    show: Names = None,
    workers: int | None = None,
    scheduler: str | None = None,
    list_only: Switch = False,
    flags: TrainingFlags = TrainingFlags(),  # noqa: B008, it is frozen
) -> None:
    """Recompute Table 1 of the paper: run twelve methods, each with several settings and seeds.

    A job runs one method with one setting and one seed on one image, and stores its labels and
    scores when it ends. If you repeat the command after an interruption, or with more seeds, only
    the missing jobs run.

    The command writes table.csv, table.json, settings.csv, per_image.csv, segmentations.png (as in
    the paper's Fig. 6), beta.png (scores against the loss weight) and report.html. If jobs failed,
    it also writes failures.csv. The tables hold three kinds of scores. The first kind takes, for
    each image, the result that fits the ground truth best, as in the paper (oracle). The second
    kind takes, for each image, the result that is best by a score without ground truth. The third
    kind uses one setting for all images.

    Args:
        data: Folder of BSDS300, which holds images/test and human/color, or a folder that is laid
            out like BSDS500.
        output: Folder for the results. It is made if it is missing.
        types: Methods to run, one for each row of the table. The default is all twelve:
            KMeans-Pixels, KMeans-Superpixels, Spectral-Superpixels, Dense-SimCon-NoRec, and eight
            names that consist of three parts. The parts are Dense or Sparse, NCut or SimCon, and
            Image or Patch. An example is Sparse-NCut-Patch.
        variants: YAML file that defines your own rows, instead of --types. Write the name of each
            row and, below the name, its type, settings and any keys of the configuration.
        seeds: Number of seeds for each method. The seeds are 0, 1, 2 and so on.
        betas: Loss weights to try. NCut uses them as beta_cut, and SimCon as both beta_sim and
            beta_con.
        clusters: Numbers of clusters to try with each baseline.
        images: Images to use. Give names, or positions in the sorted list, such as 0:100:8. All by
            default.
        split: Photographs to use: train to tune settings, test to report scores.
        combine: How the scores of several annotators are combined. mean takes the mean over the
            annotators, first takes the first annotator, and best the annotator with the best
            V-measure.
        scored: What to score: labels, as in the paper, or regions. Regions are the connected parts
            of labels that cover at least 0.5 % of the image. If regions are scored, the names of
            the tables, pictures and page begin with regions_.
        show: Images to show in segmentations.png. By default, the first four.
        workers: Number of worker processes. 0 runs all jobs in the main process. By default, there
            is one process for each GPU or, without a GPU, one for each core.
        scheduler: Address of a Dask scheduler, such as tcp://host:8786, to use instead of local
            processes.
        list_only: Only print how many jobs there are and how many of them are done.
        flags: The configuration of all methods. Each job sets its own type, beta and seed in it.
    """
    from sp_graph_seg import experiments

    methods = _make_methods(types, variants, betas, clusters, flags.resolve())
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: must be positive; give 1 or more.")
    photos = experiments.find_photos(data, split, images or [])
    shown = experiments.find_photos(data, split, show) if show else photos[:_SHOWN]
    if not set(shown) <= set(photos):
        raise InputError("--show: an image is not in --images; add this image to --images.")
    jobs = list(experiments.make_jobs(photos, methods, range(seeds), output))
    done = sum(job.result() is not None for job in jobs)
    report(
        "jobs",
        f"{len(jobs)}: {len(photos)} images, {len(methods)} methods, {seeds} seeds; {done} done",
    )
    if list_only:
        return
    experiments.check_photos(photos)
    check_writable(output)
    experiment = experiments.run_experiment(
        photos, methods, range(seeds), output, combine, workers, scheduler, scored
    )
    rows = {
        "oracle": experiment.oracle,
        "unsupervised": experiment.unsupervised,
        "fixed": experiment.fixed,
        "settings": experiment.settings,
    }
    command = shlex.join([PROGRAM, *sys.argv[1:]])
    prefix = "" if scored == "labels" else f"{scored}_"
    files = experiments.write_tables(output, rows, experiment.job_scores, combine, command, prefix)
    pictures = _draw(experiment, shown, output, prefix)
    files += pictures
    experiments.write_failures(output / "failures.csv", experiment.failures)
    _print_table(experiment)
    report("tables", ", ".join(str(file) for file in files))
    write_benchmark_page(output / f"{prefix}{PAGE}", rows, pictures, data)
    if experiment.failures:
        raise InputError(
            f"{output / 'failures.csv'}: {len(experiment.failures)} of {len(jobs)} jobs failed, "
            "so their scores are missing in the tables; repeat the same command to run these jobs "
            "again."
        )


def _make_methods(
    types: list[str] | None,
    variants: Path | None,
    betas: list[float] | None,
    clusters: list[float] | None,
    config: Config,
) -> "list[Method]":
    from sp_graph_seg.experiments import BETAS, METHODS, NUM_CLUSTERS, method_from_dict

    rows: dict[str, Any] = {name: {"type": name} for name in types or METHODS}
    if variants is not None:
        if types:
            raise InputError(
                "--types: cannot be used with --variants, whose file sets the types; leave out one "
                "of these flags."
            )
        rows = read_config(variants)
        if not rows:
            raise InputError(
                f"{variants}: describes no variant; write a line 'NAME:' for each row of the table "
                "and, indented below it, the settings of the variant."
            )
    for name, values in rows.items():
        if not isinstance(values, dict | None):
            raise InputError(
                f"{variants}: the row {name} has no keys; write keys below the name, such as "
                "'epochs: 8'."
            )
    settings = tuple(betas or BETAS), tuple(clusters or NUM_CLUSTERS)
    return [
        method_from_dict(str(name), values or {}, config, *settings)
        for name, values in rows.items()
    ]


def _draw(experiment: "Experiment", photos: "list[Photo]", output: Path, prefix: str) -> list[Path]:
    from sp_graph_seg.experiments import best_labels, score_curves, typical_annotator
    from sp_graph_seg.plot import comparison_grid, plot_scores_against_beta, save_figure

    labels = [{"human": typical_annotator(p), **best_labels(experiment, p)} for p in photos]
    columns = [name for name in labels[0] if all(name in own for own in labels)]
    grid = comparison_grid(
        [photo.read() for photo in photos],
        {name: [own[name] for own in labels] for name in columns},
    )
    files = [output / f"{prefix}segmentations.png"]
    save_figure(files[0], grid)
    curves = score_curves(experiment)
    if curves:
        files.append(output / f"{prefix}beta.png")
        save_figure(files[1], plot_scores_against_beta(curves))
    return files


def _print_table(experiment: "Experiment") -> None:
    """Prints the scores with an oracle, as in the paper, and the A-MI without an oracle."""
    from rich.console import Console
    from rich.table import Table

    from sp_graph_seg.experiments import PAPER

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    names = {"rand": "Rand", "ami": "A-MI", "fm": "F-M", "h": "H", "c": "C", "v": "V"}
    for title in (*names.values(), "free", "fixed"):
        table.add_column(title, justify="right")
    fixed = {row.method: row for row in experiment.fixed}
    free = {row.method: row for row in experiment.unsupervised}
    for row in experiment.oracle:
        own = fixed[row.method]
        table.add_row(
            row.method,
            *(f"{row.scores[name]:.2f}" for name in names),
            f"{free[row.method].scores['ami']:.2f}",
            f"{own.scores['ami']:.2f}" + (f"±{own.spread['ami']:.2f}" if own.spread else ""),
        )
        if row.method in PAPER:
            table.add_row("  in the paper", *(f"{PAPER[row.method][name]:.2f}" for name in names))
    console = Console(highlight=False)
    console.print(table)
    candidates = max(row.num_candidates for row in experiment.oracle)
    images = max(row.num_images for row in experiment.oracle)
    console.print(
        f"The scores are means over {images} images. For each image, they are those of the result "
        f"with the best V among up to {candidates} candidates (oracle). The last two columns show "
        "the A-MI of other choices: free takes the best result by a score without ground truth, "
        "and fixed takes one setting for all images (mean ± deviation over seeds)."
    )
