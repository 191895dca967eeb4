"""The command ``sp-graph-seg tune``, which tries loss weights and recommends a configuration."""

import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sp_graph_seg.cli.app import PROGRAM, Folder, Images, Switch, app
from sp_graph_seg.cli.dry_run import (
    show_cost,
    show_images,
    show_results,
    show_settings,
    show_training,
    show_volumes,
    training_seconds,
    try_training,
)
from sp_graph_seg.cli.flags import TrainingFlags
from sp_graph_seg.cli.inputs import read_images
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.outputs import check_outputs
from sp_graph_seg.cli.pages import PAGE, check_pages
from sp_graph_seg.cli.study_pages import write_tuning_page
from sp_graph_seg.cli.training_slices import open_training_volumes, read_training_slices
from sp_graph_seg.cli.volume_flags import ReadFlags, are_volumes
from sp_graph_seg.config import config_to_yaml
from sp_graph_seg.io import check_writable, write_text
from sp_graph_seg.io.record import add_record, make_record

if TYPE_CHECKING:
    from sp_graph_seg.experiments.tuning import Candidate

#: The output files: the sheet to look at, the choice, and all candidates.
SHEET, CHOICE, TABLE = "candidates.png", "config.yaml", "candidates.json"


@app.command(sort_key=4, usage=f"Usage: {PROGRAM} tune IMAGE... --output FOLDER [OPTIONS]")
def tune(
    images: Images,
    /,
    *,
    output: Folder,
    train_on: str | None = None,
    seeds: Annotated[list[int] | None, Parameter(consume_multiple=True, negative=())] = None,
    overwrite: Switch = False,
    dry_run: Switch = False,
    volume: ReadFlags = ReadFlags(),  # noqa: B008, it is frozen
    flags: TrainingFlags = TrainingFlags(),  # noqa: B008, it is frozen
) -> None:
    """Try several loss weights on images or on slices of volumes, and show the results.

    As in the paper's section 2.4, the command first tries values of beta_cut. Then it tries values
    of beta_sim and beta_con, which are kept equal. Finally, it takes finer steps around the best
    values. Look at candidates.png. It shows the labels and the losses of each candidate, and a
    score that needs no ground truth. The candidate with the best score is marked. Its configuration
    is in config.yaml. To use it, give this file to the command train after --config. If you prefer
    candidate N, use candidate_N.yaml instead.

    Args:
        images: Images, or volumes and videos. Each candidate is trained on all of them. The picture
            candidates.png is easiest to read with one to three images or slices.
        output: Folder for the results. It is made if it is missing.
        train_on: Slices of each volume to train on, such as 0,120,300. auto:3 chooses the three
            slices that represent all others best. The default is auto:2.
        seeds: Seeds of the training. Each candidate is trained once with each seed. Its score is
            the mean over the seeds, and candidates.png shows the labels of the first seed. By
            default, only the seed of the configuration is used.
        overwrite: Replace files that exist.
        dry_run: Only say what would be read, trained and written, with the time and memory that
            this would take, as estimated from a short trial.
        volume: Which part of each volume is read.
        flags: The configuration. Its beta_cut, beta_sim and beta_con are tuned.
    """
    are_slices = are_volumes(images, output, volume, train_on)
    volumes = open_training_volumes(images, None, volume) if are_slices else []
    config = flags.resolve(for_volume=are_slices)
    from sp_graph_seg.experiments.tuning import NUM_CANDIDATES, recommend
    from sp_graph_seg.experiments.tuning import tune as try_settings

    names = [f"candidate_{number}.yaml" for number in range(1, NUM_CANDIDATES + 1)]
    check_outputs([output / name for name in (SHEET, CHOICE, TABLE, *names)], images, overwrite)
    check_pages([output / PAGE], images, overwrite)
    if are_slices:
        arrays = read_training_slices(volumes, train_on, None, config).images
    else:
        arrays = read_images(images, config)
    if dry_run:
        if are_slices:
            show_volumes(volumes)
        else:
            show_images(images, arrays)
        show_settings("fast" if flags.preset == "auto" else flags.preset, "fast", config)
        trainings = NUM_CANDIDATES * len(seeds or [config.seed])
        show_training(f"{len(arrays)} images, {trainings} times", config, len(arrays))
        show_results([output / name for name in (SHEET, CHOICE, TABLE, PAGE, *names)])
        cost = try_training(arrays[0], config)
        seconds = training_seconds(cost, config, len(arrays)) + len(arrays) * cost.label
        show_cost({"candidates": trainings * seconds}, cost.memory, "a short trial")
        return
    check_writable(output)
    from sp_graph_seg.plot import contact_sheet, save_figure
    from sp_graph_seg.progress import WorkProgress

    with WorkProgress(NUM_CANDIDATES, "candidates") as progress:
        candidates = try_settings(arrays, config, lambda _: progress.advance(), seeds)
    best = recommend(candidates)
    captions = [f"{n}: {candidate.describe()}" for n, candidate in enumerate(candidates, start=1)]
    sheet = contact_sheet(arrays, [candidate.labels for candidate in candidates], captions, best)
    save_figure(output / SHEET, sheet)
    for name, candidate in zip(names, candidates, strict=True):
        write_text(output / name, config_to_yaml(candidate.config))
    write_text(output / CHOICE, config_to_yaml(candidates[best].config))
    write_text(output / TABLE, _to_json(candidates))
    written = [output / name for name in (SHEET, CHOICE, TABLE, *names)]
    inputs = [own.source.file for own in volumes] or images
    add_record(output, written, make_record(inputs, seeds=seeds or [config.seed]))
    report("sheet", f"{output / SHEET}, {len(candidates)} candidates to look at")
    report("choice", f"candidate {best + 1} in {output / CHOICE}; the others in {names[0]} and on")
    write_tuning_page(output / PAGE, images, arrays, candidates, best)


def _to_json(candidates: "list[Candidate]") -> str:
    rows = [
        {
            "candidate": number,
            "stage": candidate.stage,
            "beta_cut": candidate.betas[0],
            "beta_sim": candidate.betas[1],
            "beta_con": candidate.betas[1],
            "num_labels": candidate.num_labels,
            "score": candidate.score,
            "scores_of_seeds": list(candidate.scores),
            "losses": candidate.losses,
        }
        for number, candidate in enumerate(candidates, start=1)
    ]
    return json.dumps(rows, indent=1) + "\n"
