"""Regions of photographs against people's, on BSDS300: one command, all tables.

    python benchmarks/regions.py FOLDER [--split test] [--images 0:100:4] [--json FILE]

FOLDER is the dataset, in a layout that :class:`sp_graph_seg.datasets.BSDS300` reads.

1. One setting of each method for all images, :data:`FIXED`. The number of regions of the tree and
   those of SAS and of labels were chosen on training images, the scale of Felzenszwalb is a usual
   one, the grid is as fine as SAS. The truth chooses nothing here.
2. The ladder: the same setting; the best one for all these images (ODS); for each image the best
   of n settings (oracle of n, OIS).
3. The tree with the best of 20 numbers of regions for each image, from 2 to 40, as the literature
   on superpixels reports it.
4. Every setting, from which one may be chosen with ``--split train``.

Another program joins with ``--other NAME=FOLDER``, a folder of label images IMAGE.png. A-MI, VI,
GCE and BDE are means over the annotators of an image. About 6 seconds of CPU time an image; with
``--json`` the same command does the rest after an interruption. Several commands may share the work
by ``--images``; a last one is given all their files.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import HeteroData

from sp_graph_seg import Config
from sp_graph_seg.baselines import felzenszwalb_regions, grid_regions, one_label
from sp_graph_seg.evaluation import (
    contingency_tables,
    mean_scores,
    score_regions,
    score_segmentation,
)
from sp_graph_seg.experiments import Photo, find_photos
from sp_graph_seg.io import read_labels
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.prototypes.region_colors import cluster_regions, measure_regions
from sp_graph_seg.regions import RegionTree, merge_cells, transfer_cut_regions
from sp_graph_seg.transforms import ToMultiscale, as_image, color_space

Labels = NDArray[np.int64]
Scores = dict[str, float]
#: Of one image: method -> setting -> scores.
Measured = dict[str, dict[str, Scores]]

#: The number of regions that the tree chooses itself.
OWN = "own"

#: The settings of each method; of the tree, the numbers are the candidates of its oracle.
SETTINGS: dict[str, Sequence[str]] = {
    "one label": ("1",),
    "grid": ("12",),
    "Felzenszwalb": ("300",),
    "SAS": ("12",),
    "labels of regions": ("10",),
    "region tree": ("4", "8", "12", "18", "26", "36", OWN),
}

#: The one setting of each method.
FIXED = {
    "one label": "1",
    "grid": "12",
    "Felzenszwalb": "300",
    "SAS": "12",
    "labels of regions": "10",
    "region tree": OWN,
}

#: The row that all others are compared with.
REFERENCE = "SAS"

#: Numbers of regions of the third table, and where its scores are kept.
SWEEP = tuple(map(str, range(2, 41, 2)))
SWEPT = "tree, each number"

#: Columns of the tables, and the digits of each.
COLUMNS = {
    "A-MI": "ami",
    "PRI": "pri",
    "VI": "vi",
    "Covering": "covering",
    "GCE": "gce",
    "BDE": "bde",
    "mIoU all": "miou_all",
    "fine": "miou_fine",
    "coarse": "miou_coarse",
    "number": "num_labels",
}
_LOWER_IS_BETTER = frozenset({"vi", "gce", "bde"})


class Inputs(NamedTuple):
    """What the methods share: an image and its tree."""

    image: NDArray[np.float32]
    graph: HeteroData
    tree: RegionTree

    @classmethod
    def make(cls, image: NDArray[np.float32]) -> "Inputs":
        """Of ``(C, H, W)`` in [0, 1]."""
        graph = ToMultiscale()(image)
        return cls(image, graph, merge_cells(graph, image))


def segment(method: str, given: Inputs) -> Iterator[Labels]:
    """The label map of each setting of a method."""
    image, graph, tree = given
    settings = SETTINGS[method]
    if method == "region tree":
        yield from (cut(tree, setting) for setting in settings)
    elif method == "SAS":
        colors = color_space(image, "lab")
        yield from (transfer_cut_regions(graph, colors, int(setting)) for setting in settings)
    elif method == "labels of regions":
        regions = tree.cut()
        colors, areas = measure_regions(regions, image)
        for setting in settings:
            model = cluster_regions(
                colors, areas, Config(label_by="regions", num_labels=int(setting))
            )
            yield model.distances(colors).argmin(axis=1)[regions]
    else:
        make: Callable[[NDArray, int], Labels] = {
            "grid": grid_regions,
            "Felzenszwalb": felzenszwalb_regions,
            "one label": lambda image, _: one_label(image),
        }[method]
        yield from (make(image, int(setting)) for setting in settings)


def cut(tree: RegionTree, setting: str) -> Labels:
    """Regions of the tree, all leaves if there are fewer."""
    return tree.cut(None if setting == OWN else min(int(setting), tree.num_leaves))


def measure(photo: Photo, methods: Sequence[str], known: Measured) -> None:
    """Scores all settings of the methods that are not known yet, and the tree at each number."""
    missing = [method for method in methods if method not in known]
    if not missing and SWEPT in known:
        return
    given, truths = Inputs.make(as_image(photo.read())), photo.read_truth()
    for method in missing:
        maps = zip(SETTINGS[method], segment(method, given), strict=True)
        known[method] = {setting: score_segmentation(labels, truths) for setting, labels in maps}
    known[SWEPT] = {k: score_regions(contingency_tables(cut(given.tree, k), truths)) for k in SWEEP}


def read_others(given: Sequence[str]) -> dict[str, Path]:
    """``NAME=FOLDER`` of other programs."""
    return {name: Path(folder) for name, _, folder in (entry.partition("=") for entry in given)}


def print_fixed(images: Sequence[Measured], fixed: Mapping[str, str]) -> None:
    """The first table."""
    gains = ("ami", "vi", "covering")
    head = [*COLUMNS, *(f"{name} - {REFERENCE}" for name in ("A-MI", "VI", "Covering"))]
    _print_row(["one setting for all images", *head])
    _print_row(["---"] * (len(head) + 1))
    for method, setting in fixed.items():
        own = [image[method][setting] for image in images]
        pooled = mean_scores(own)
        cells = [_format(pooled, own, column) for column in COLUMNS.values()]
        for column in gains:
            pairs = zip(own, images, strict=True)
            gain = [one[column] - i[REFERENCE][fixed[REFERENCE]][column] for one, i in pairs]
            is_other = method != REFERENCE
            cells.append(f"{np.mean(gain):+.3f} ± {_error(gain):.3f}" if is_other else "")
        _print_row([f"{method}, {setting}", *cells])


def print_ladder(images: Sequence[Measured], fixed: Mapping[str, str]) -> None:
    """The second table."""
    head = ["settings n", "A-MI fixed", "A-MI ODS (setting)", "A-MI oracle of n", "Covering fixed"]
    _print_row(["the ladder", *head, "ODS (setting)", "OIS", "PRI OIS", "VI OIS"])
    _print_row(["---"] * 10)
    for method, setting in fixed.items():
        settings = [s for s in SETTINGS.get(method, (setting,)) if s != OWN]
        cells = []
        for column in ("ami", "covering"):
            cells.append(f"{mean_of(images, method, setting, column):.3f}")
            best = max(settings, key=lambda s: mean_of(images, method, s, column))
            cells.append(f"{mean_of(images, method, best, column):.3f} ({best})")
            cells.append(f"{_best_of_each(images, method, settings, column):.3f}")
        cells += [f"{_best_of_each(images, method, settings, c):.3f}" for c in ("pri", "vi")]
        _print_row([method, str(len(settings)), *cells])


def print_sweep(images: Sequence[Measured]) -> None:
    """The third table."""
    swept = [[image[SWEPT][number] for number in SWEEP] for image in images]
    by_pri = [max(found, key=lambda scores: scores["pri"]) for found in swept]
    _print_row([f"tree, oracle over {len(SWEEP)} numbers", "PRI", "VI", "Covering", "GCE"])
    _print_row(["---"] * 5)
    names = ("pri", "vi", "covering", "gce")
    means = [f"{np.mean([scores[name] for scores in by_pri]):.4f}" for name in names]
    _print_row(["the number with the best PRI", *means])
    own = [f"{_best_of_each(images, SWEPT, SWEEP, name):.4f}" for name in names[:3]]
    _print_row(["the best number for each score", *own, ""])


def print_settings(images: Sequence[Measured], methods: Sequence[str]) -> None:
    """Every setting, from which the fixed ones are chosen on training images."""
    _print_row(["setting", *COLUMNS])
    _print_row(["---"] * (len(COLUMNS) + 1))
    for method in methods:
        for setting in SETTINGS.get(method, images[0][method]):
            own = [image[method][setting] for image in images]
            pooled = mean_scores(own)
            cells = [_format(pooled, own, column) for column in COLUMNS.values()]
            _print_row([f"{method}, {setting}", *cells])


def mean_of(images: Sequence[Measured], method: str, setting: str, column: str) -> float:
    """Mean over images; Covering and mIoU are pooled as their authors do."""
    return mean_scores([image[method][setting] for image in images])[column]


def _best_of_each(
    images: Sequence[Measured], method: str, settings: Sequence[str], column: str
) -> float:
    pick = min if column in _LOWER_IS_BETTER else max
    values = [pick(image[method][s][column] for s in settings) for image in images]
    return float(np.mean(values))


def _format(pooled: Scores, own: Sequence[Scores], column: str) -> str:
    if column == "num_labels":
        return f"{pooled[column]:.1f}"
    return f"{pooled[column]:.3f} ± {_error([scores[column] for scores in own]):.3f}"


def _error(values: Sequence[float]) -> float:
    """Standard error of the mean over images."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _print_row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Scores all images and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of BSDS300")
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--images", nargs="*", default=(), help="names, or slices as 0:100:4")
    parser.add_argument("--methods", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--other", nargs="*", default=(), metavar="NAME=FOLDER")
    parser.add_argument(
        "--json",
        nargs="*",
        type=Path,
        default=(),
        help="scores of each image: the first is kept up",
    )
    given = parser.parse_args()
    photos = find_photos(given.folder, given.split, given.images)
    known: dict[str, Measured] = {}
    for file in given.json:
        if file.exists():
            known |= json.loads(file.read_text(encoding="utf-8"))
    with WorkProgress(len(photos), "images") as bar:
        for photo in photos:
            before = len(known.setdefault(photo.name, {}))
            measure(photo, given.methods, known[photo.name])
            if given.json and len(known[photo.name]) > before:
                given.json[0].write_text(json.dumps(known) + "\n", encoding="utf-8")
            bar.advance()
    fixed = {method: FIXED[method] for method in given.methods}
    for name, folder in read_others(given.other).items():
        fixed[name] = "its labels"
        for photo in photos:
            labels = read_labels(folder / f"{photo.name}.png")
            known[photo.name][name] = {fixed[name]: score_segmentation(labels, photo.read_truth())}
    images = [known[photo.name] for photo in photos]
    print(f"{len(photos)} {given.split} images\n")
    if REFERENCE in fixed:
        print_fixed(images, fixed)
        print()
        print_ladder(images, fixed)
        print()
    print_sweep(images)
    print()
    print_settings(images, list(fixed))


if __name__ == "__main__":
    main()
