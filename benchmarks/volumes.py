"""How well, how evenly and how fast volumes are labelled.

    python benchmarks/volumes.py --data FOLDER [--only PART ...] [--json FILE] [--output FOLDER]

FOLDER holds ``sandstone/images`` and ``sandstone/masks``, ``fibers.tif``, ``cement.tif`` and
``concrete_neutron.tif``, ``concrete_xray.tif``; the parts ``speed`` and ``memory`` make their own
slices and need none. Pictures are written to the folder after ``--output``.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from report import print_table
from streams import (
    BASELINES,
    Labels,
    Subject,
    merge_by_intensity,
    name_like,
    one_to_one_ious,
    update_json,
)
from volume_costs import memory, speed

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.evaluation import (
    contingency_table,
    score_clustering,
    unsupervised_score,
)
from sp_graph_seg.plot import comparison_grid, save_figure
from sp_graph_seg.plot.ortho import orthogonal_slices
from sp_graph_seg.streaming import (
    choose_slices,
    label_volume,
    read_slice,
    vote_axes,
)
from sp_graph_seg.volumes import Volume, measure_range, open_volume

#: Settings for the sandstone, the best of about twenty on its slice 0 alone. The grains need the
#: full resolution of the network and of the superpixels; width 16 took four times as long and did
#: worse.
SANDSTONE = Config(max_size=0, width=8, n_segments=100000, beta_sim=1, beta_con=0.3)


class Small(NamedTuple):
    """A volume of 100 to 150 voxels a side: its settings, and the part that is looked at."""

    config: Config
    inside: bool = False
    """Whether only the cube from voxel 20 to 79 is: the inside of a cylinder."""


#: A shallow network keeps small things apart.
_SHALLOW = Config(width=8, depth=2, patches=((24, 48, 48), (40, 32, 32)))

#: Pores and fibres are dark or bright spots and lines, which the Hessian tells.
_SPOTS = _SHALLOW.replace(num_features=16, n_segments=4000, hessian_scales=(1, 2))
_GRAINS = _SHALLOW.replace(num_features=8, n_segments=400, beta_sim=0.3, beta_con=0.3)

VOLUMES = {
    "fibers": Small(_SPOTS),
    "cement": Small(_SPOTS),
    "concrete_neutron": Small(_GRAINS, inside=True),
    "concrete_xray": Small(_GRAINS, inside=True),
}

#: Grey values that differ by less than this share of the range hardly change.
STILL = 0.02

#: Numbers of labels to try on the sandstone, and that of its classes.
NUMBERS = range(2, 7)
TO_MERGE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the volumes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--slices", type=int, default=2000, help="slices for the peak memory")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    parser.add_argument("--output", type=Path, help="also write pictures to this folder")
    arguments = parser.parse_args()
    if arguments.data is None and {"quality", "consistency"} & set(arguments.only):
        parser.error("--data is needed for the parts quality and consistency")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
    for part in arguments.only:
        title, rows = PARTS[part](arguments)
        print_table(title, list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])
        update_json(arguments.json, part, rows)


# Quality: the sandstone, trained on slice 0 and scored on the others


def quality(arguments: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    """All see slice 0; with as many labels as classes, and as many as are best on slice 0."""
    folder = arguments.data / "sandstone"
    volume, truth = open_volume(folder / "images"), read_classes(open_volume(folder / "masks"))
    slices = [read_slice(volume, n) for n in range(len(volume))]
    subject = Subject(slices[:1], measure_range(volume), SANDSTONE)
    graph, chosen = subject.graph(slices[0]), {}
    for title, labels in label_sandstone(subject):
        best = max(NUMBERS, key=lambda k: compare([labels(k, slices[0])], truth[:1])["A-MI"])
        for k in sorted({TO_MERGE, best}):
            chosen[f"{title}, k = {k}"] = [labels(k, image) for image in slices]
    rows = [
        {
            "method": name,
            "slice 0: score without truth": f"{unsupervised_score(planes[0], graph):.3f}",
            "slice 0: A-MI": f"{compare(planes[:1], truth[:1])['A-MI']:.3f}",
            **compare(planes[1:], truth[1:], shown=True),
        }
        for name, planes in chosen.items()
    ]
    if arguments.output:
        show_sandstone(arguments.output, slices[2], truth[2], chosen)
    return "Sandstone: trained on slice 0, scored on slices 100 to 400", rows


def label_sandstone(subject: Subject) -> Iterator[tuple[str, Callable[[int, NDArray], Labels]]]:
    """Each method with a function of the number of labels and of an image."""
    for seed in range(3):
        yield f"ours, seed {seed}", merging(subject, Segmenter(SANDSTONE.replace(seed=seed)))
    for name, title in BASELINES.items():
        fits = {k: getattr(subject, name)(k) for k in NUMBERS}
        yield title, lambda k, image, fits=fits: fits[k](image)


def merging(subject: Subject, segmenter: Segmenter) -> Callable[[int, NDArray], Labels]:
    """Our method, its labels merged by the intensities of the training images."""
    segmenter.fit(subject.images, intensity_range=subject.intensity_range)
    labels = [segmenter.predict(image) for image in subject.images]
    merged = {k: merge_by_intensity(labels, subject.images, k) for k in NUMBERS}
    return lambda k, image: merged[k].apply(segmenter.predict(image))


def read_classes(masks: Volume) -> list[Labels]:
    """The colours of all masks as classes from 0, in the order of their codes."""
    codes = [(image.astype(np.int64).T @ (1, 256, 65536)).T for image in masks]
    colors = np.unique(np.concatenate([np.unique(code) for code in codes]))
    return [np.searchsorted(colors, code) for code in codes]


def compare(
    labels: Sequence[Labels], truth: Sequence[Labels], shown: bool = False
) -> dict[str, Any]:
    """Scores over the pixels of all slices together."""
    table = contingency_table(np.stack(labels), np.stack(truth))
    scores = score_clustering(table)
    ious = one_to_one_ious(table.table.toarray())
    values = {"A-MI": scores["ami"], "V": scores["v"], "mean IoU": float(ious.mean())}
    if not shown:
        return values
    return {
        "labels": table.table.shape[1],
        **{name: f"{value:.3f}" for name, value in values.items()},
        "IoU of each class": " / ".join(f"{iou:.2f}" for iou in ious),
    }


def show_sandstone(
    output: Path, image: NDArray, truth: Labels, labels: dict[str, list[Labels]]
) -> None:
    part, end = slice(200, 712), f", k = {TO_MERGE}"  # of 1024: single grains are seen
    columns = {"truth": truth, **{name: planes[2] for name, planes in labels.items()}}
    few = {
        name.removesuffix(end): [name_like(plane, truth)[part, part]]
        for name, plane in columns.items()
        if name == "truth" or name.endswith(end)
    }
    grid = comparison_grid(image[:, part, part], few)
    save_figure(output / "sandstone.jpg", grid)


# Consistency from slice to slice, on four volumes


def consistency(arguments: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    rows = []
    for name, small in VOLUMES.items():
        part = {"start": 20, "stop": 80, "crop": "20:80,20:80"} if small.inside else {}
        volume = open_volume(arguments.data / f"{name}.tif", **part)
        low, high = measure_range(volume)
        with tempfile.TemporaryDirectory() as folder:
            model = train(volume, small.config, Path(folder))
            labels = {}
            for mode in ("slices", "supervoxels"):
                done = label_volume(
                    model, volume, Path(folder) / f"{mode}.npy", mode=mode, workers=0
                )
                labels[mode] = np.load(done.path)
            values = np.stack([image[0] for image in volume]).astype(np.float32)
            labels["vote"] = vote_axes(Segmenter.load(model), values[np.newaxis])
        changes = {mode: changed(planes, values, high - low) for mode, planes in labels.items()}
        row = {
            "volume": name,
            "labels": len(np.unique(labels["slices"])),
            **{mode: f"{share:.2%}" for mode, share in changes.items()},
        }
        for mode in ("supervoxels", "vote"):
            agreement = score_clustering(contingency_table(labels[mode], labels["slices"]))
            row[f"{mode}: ratio"] = f"{changes[mode] / changes['slices']:.2f}"
            row[f"{mode}: A-MI with slices"] = f"{agreement['ami']:.2f}"
        rows.append(row)
        if arguments.output:
            show_volume(arguments.output / f"volume_{name}.jpg", values, labels["supervoxels"])
    title = f"Labels that change from slice to slice where the grey value changes by < {STILL:.0%}"
    return title, rows


def train(volume: Volume, config: Config, folder: Path) -> Path:
    """Trains on the two slices that represent the rest best; gives the file of the model."""
    intensity_range = measure_range(volume)
    numbers = choose_slices(volume, 2, intensity_range)
    images = [read_slice(volume, number) for number in numbers]
    path = folder / "model.safetensors"
    Segmenter(config).fit(images, intensity_range=intensity_range).save(path)
    return path


def changed(labels: NDArray, values: NDArray[np.float32], width: float) -> float:
    """Share of the voxels whose label changes, of those whose value hardly does."""
    still = np.abs(np.diff(values, axis=0)) < STILL * width
    return float((labels[1:] != labels[:-1])[still].mean())


def show_volume(path: Path, values: NDArray, labels: NDArray) -> None:
    orthogonal_slices(values, labels).savefig(path, dpi=100)


PARTS: dict[str, Callable[[argparse.Namespace], tuple[str, list[dict[str, Any]]]]] = {
    "quality": quality,
    "consistency": consistency,
    "speed": speed,
    "memory": memory,
}


if __name__ == "__main__":
    main()
