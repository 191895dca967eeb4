"""How well videos are labelled, and how calmly.

    python benchmarks/videos.py --data FOLDER [--only VIDEO ...] [--json FILE] [--output FOLDER]
    python benchmarks/videos.py --data FOLDER --speed

FOLDER holds ``car-shadow/frames``, ``car-shadow/masks``, the same of ``blackswan``, and ``cheetah``
and ``skater``, folders of numbered images. Ours is the preset of videos, with each seed. Contact
sheets are written to the folder after ``--output``. With ``--speed``, only the speed of labelling
is measured, beside that of the encoder.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from report import print_table
from streams import (
    BASELINES,
    Labeler,
    Labels,
    Subject,
    best_union,
    binary_iou,
    flicker,
    update_json,
)
from volume_costs import compare_speed, train_briefly

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.plot import contact_sheet_of_frames
from sp_graph_seg.streaming import read_slice
from sp_graph_seg.volumes import Volume, measure_range, open_volume

Image = NDArray[np.float32]
Masks = Mapping[int, NDArray[np.bool_]]

#: The superpixels that spectral clustering sees.
BASELINE = Config(n_segments=1500, superpixel_size=640)

OURS = "ours, seed"

#: Frames that are labelled to measure the speed.
TIMED = 24

#: Numbers of clusters of the baselines; the best on the training frames is kept.
NUM_LABELS = (2, 4, 6, 8, 12, 16)


class Video(NamedTuple):
    """What is trained on, and which frames are labelled."""

    train_on: tuple[int, ...]
    """Positions in the folder."""
    shown: tuple[int, ...]
    step: int = 1
    """Every so many-th frame is labelled."""
    binning: int = 1


VIDEOS = {
    "car-shadow": Video(train_on=(0, 20), shown=(0, 5, 12, 20, 28, 36)),
    "blackswan": Video(train_on=(0, 25), shown=(0, 8, 16, 25, 36, 48)),
    "cheetah": Video(
        train_on=(9, 122, 269, 369),  # files 10, 123, 270 and 370
        shown=(9, 70, 122, 269, 310, 369),
        step=10,
        binning=2,
    ),
    "skater": Video(train_on=(4, 40, 75), shown=(4, 20, 40, 60, 75, 79), binning=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the videos")
    parser.add_argument("--only", nargs="+", choices=VIDEOS, default=list(VIDEOS))
    parser.add_argument("--seeds", type=int, default=1, help="seeds from 0 on")
    parser.add_argument("--labels", type=int, default=0, help="number of labels of ours")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    parser.add_argument("--output", type=Path, help="also write contact sheets to this folder")
    parser.add_argument("--speed", action="store_true", help="measure only the speed")
    arguments = parser.parse_args()
    if arguments.speed:
        rows = [measure_speed(name, arguments.data) for name in arguments.only]
        title = (
            "Speed of the preset video on one core, by CPU time, without the check of all frames"
        )
        print_table(title, list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])
        update_json(arguments.json, "speed", rows)
        return
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        rows = []
        for seed in range(arguments.seeds):
            tables = measure(name, arguments.data, seed, arguments.labels, arguments.output)
            ((title, own),) = tables.items()
            rows += own
        rows = summarize(rows)
        print_table(title, list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])
        update_json(arguments.json, name, rows)


def measure(
    name: str, data: Path, seed: int, num_labels: int = 0, output: Path | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The scores of ours with a seed and, beside seed 0, of the baselines, by title."""
    video = VIDEOS[name]
    frames, masks_folder = open_video(name, data)
    steady = list(range(0, len(frames), video.step))
    numbers = sorted({*steady, *video.shown, *video.train_on})
    images = {number: read_slice(frames, number) for number in numbers}
    masks = read_masks(masks_folder, numbers) if masks_folder else None
    subject = Subject([images[n] for n in video.train_on], measure_range(frames), BASELINE)

    rows = []
    config = Config.preset("video").replace(seed=seed, num_labels=num_labels)
    for method, labels in label_all(subject, video, images, masks, config):
        row = {"method": method, "labels": len(np.unique(np.stack(list(labels.values()))))}
        if masks:
            row |= score_union(labels, masks, video.train_on)
        rows.append({**row, "flicker": f"{flicker([labels[n] for n in steady]):.3f}"})
        if output and seed == 0:
            short = method.split(",")[0].replace(" ", "_")
            show(output / f"{name}_{short}.jpg", images, labels, video)
    trained_on = ", ".join(map(str, video.train_on))
    title = f"{name}: trained on frames {trained_on} of {len(frames)} (from 0)"
    return {title + (f", every {video.step}th labelled" if video.step > 1 else ""): rows}


def open_video(name: str, data: Path, stop: int | None = None) -> tuple[Volume, Path | None]:
    """The frames of a video up to ``stop``, and the folder of their masks, if there is one."""
    folder = data / name
    masks = folder / "masks" if (folder / "masks").is_dir() else None
    frames = folder / "frames" if masks else folder
    return open_volume(frames, binning=VIDEOS[name].binning, stop=stop), masks


def measure_speed(name: str, data: Path) -> dict[str, str]:
    """The speed of labelling the first frames of a video, beside that of the encoder."""
    frames, _ = open_video(name, data, TIMED)
    with tempfile.TemporaryDirectory() as folder:
        model = train_briefly(frames, Config.preset("video"), Path(folder))
        speeds = compare_speed(model, frames, 1, preflight=False, clock=time.process_time)
    return {"clip": name, "frames of": f"{frames.height}x{frames.width}", **speeds}


def summarize(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a video, those of ours first, with the median and the worst of the seeds."""
    ours = [row for row in rows if row["method"].startswith(OURS)]
    others = [row for row in rows if row not in ours]
    spread: dict[str, Any] = {"method": "ours, median (worst)", "labels": ours[0]["labels"]}
    for name in list(ours[0])[2:]:
        worst = max if name == "flicker" else min
        values = [float(row[name]) for row in ours]
        spread[name] = f"{np.median(values):.3f} ({worst(values):.3f})"
    return [*ours, spread, *others]


def label_all(
    subject: Subject,
    video: Video,
    images: Mapping[int, Image],
    masks: Masks | None,
    config: Config,
) -> Iterator[tuple[str, dict[int, Labels]]]:
    """The labels of all frames by ours and, beside seed 0, by each baseline.

    Where there are masks, a baseline has the number of clusters that fits them best on the training
    frames; else as many as we have labels there.
    """
    model = Segmenter(config).fit(subject.images, intensity_range=subject.intensity_range)
    labels = follow(model, images)
    yield f"{OURS} {config.seed}", labels
    if config.seed:
        return
    count = len(np.unique(np.stack([labels[n] for n in video.train_on])))
    for method, title in BASELINES.items():
        counts = NUM_LABELS if masks else (max(2, count),)
        fits = {k: getattr(subject, method)(k) for k in counts}

        def score(k: int, fits: dict[int, Labeler] = fits) -> float:
            labels = {n: fits[k](images[n]) for n in video.train_on}
            return union_ious(labels, masks, video.train_on)[0] if masks else 0.0

        best = max(fits, key=score)
        yield f"{title}, k = {best}", {n: fits[best](image) for n, image in images.items()}


def follow(model: Segmenter, images: Mapping[int, Image]) -> dict[int, Labels]:
    """Labels the frames in their order, each with the memory of the one before."""
    labels, before = {}, None
    for number, image in sorted(images.items()):
        values, inside = model.normalize(image)
        labels[number], _, before = model.labeller_.predict_after(before, values, inside)
    return labels


def read_masks(folder: Path, numbers: Sequence[int]) -> Masks:
    volume = open_volume(folder)
    return {n: read_slice(volume, n).max(axis=0) > 0 for n in numbers}


def score_union(
    labels: Mapping[int, Labels], masks: Masks, train_on: Sequence[int]
) -> dict[str, str]:
    seen, other, all_frames = union_ious(labels, masks, train_on)
    return {
        "IoU on the training frames": f"{seen:.3f}",
        "IoU on the others": f"{other:.3f}",
        "IoU on all": f"{all_frames:.3f}",
    }


def union_ious(
    labels: Mapping[int, Labels], masks: Masks, train_on: Sequence[int]
) -> tuple[float, float, float]:
    """IoU of the labels that together fit the masks of the training frames best.

    On the training frames, on the others, and on all that are given.
    """
    union = best_union([labels[n] for n in train_on], [masks[n] for n in train_on])
    members = np.flatnonzero(union)
    others = [n for n in labels if n not in train_on] or list(train_on)

    def iou(numbers: Sequence[int]) -> float:
        segments = [np.isin(labels[n], members) for n in numbers]
        return binary_iou(segments, [masks[n] for n in numbers])

    return iou(train_on), iou(others), iou(list(labels))


def show(
    path: Path, images: Mapping[int, Image], labels: Mapping[int, Labels], video: Video
) -> None:
    sheet = contact_sheet_of_frames(
        [images[n] for n in video.shown], [labels[n] for n in video.shown], video.shown
    )
    sheet.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
