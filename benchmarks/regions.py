"""Regions of photographs against people's, on BSDS300: one command, all tables.

    python benchmarks/regions.py FOLDER --also : --json FILE --trees FOLDER

FOLDER is the dataset, in a layout that :class:`sp_graph_seg.datasets.BSDS300` reads.

1. One setting of each method for all images, :data:`FIXED`. The number of regions of the tree and
   those of SAS and of labels were chosen on training images, the scale of Felzenszwalb is a usual
   one, the grid is as fine as SAS. The truth chooses nothing here.
2. The ladder: the same setting; the best one for all these images (ODS); for each image the best
   of n settings (oracle of n, OIS).
3. The tree with the best of 20 numbers of regions for each image, from 2 to 40, as the literature
   on superpixels reports it: on these images, and with those of ``--also`` (``:`` are all).
4. Every setting, from which one may be chosen with ``--split train``.

Another program joins with ``--other NAME=FOLDER``, a folder of label images IMAGE.png. A-MI, VI,
GCE and BDE are means over the annotators of an image. About 5 seconds of CPU time for each image,
2 for each of ``--also``. ``--json`` keeps the scores and ``--trees`` the trees, so that
the same command does the rest after an interruption.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch_geometric.data import HeteroData

from sp_graph_seg import Config
from sp_graph_seg.baselines import felzenszwalb_regions, grid_regions, one_label
from sp_graph_seg.evaluation import (
    Contingency,
    contingency_tables,
    mean_scores,
    score_regions,
    score_segmentation,
)
from sp_graph_seg.experiments import Photo, find_photos
from sp_graph_seg.io import read_labels
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.prototypes.region_colors import cluster_regions, regions_to_label
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
    "labels of regions": ("18",),
    "region tree": ("4", "8", "12", "18", "26", "36", OWN),
}

#: The one setting of each method.
FIXED = {
    "one label": "1",
    "grid": "12",
    "Felzenszwalb": "300",
    "SAS": "12",
    "labels of regions": "18",
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


class Inputs:
    """What the methods share: an image ``(C, H, W)`` in [0, 1], its graph and its tree."""

    def __init__(self, photo: Photo, kept: Path | None) -> None:
        """The tree is read from the file ``kept``, or built and written there."""
        self.image = as_image(photo.read())
        if kept is not None and kept.exists():
            self.tree = RegionTree.load(kept)
            return
        self.tree = merge_cells(self.graph, self.image)
        if kept is not None:
            self.tree.save(kept)

    @cached_property
    def graph(self) -> HeteroData:
        """With the default levels."""
        return ToMultiscale()(self.image)


def segment(method: str, given: Inputs) -> Iterator[Labels]:
    """The label map of each setting of a method."""
    image, tree = given.image, given.tree
    settings = SETTINGS[method]
    if method == "region tree":
        yield from (cut(tree, setting) for setting in settings)
    elif method == "SAS":
        colors = color_space(image, "lab")
        yield from (transfer_cut_regions(given.graph, colors, int(setting)) for setting in settings)
    elif method == "labels of regions":
        regions, colors, areas = regions_to_label(tree, image)
        for setting in settings:
            number = min(int(setting), len(colors))
            model = cluster_regions(colors, areas, Config(label_by="regions", num_labels=number))
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


def measure(photo: Photo, methods: Sequence[str], known: Measured, kept: Path | None) -> bool:
    """Scores the settings of the methods, and the tree at each number; false if all is known."""
    missing = [method for method in methods if method not in known]
    if not missing and SWEPT in known:
        return False
    given, truths = Inputs(photo, kept), photo.read_truth()
    for method in missing:
        maps = zip(SETTINGS[method], segment(method, given), strict=True)
        known[method] = {setting: score_segmentation(labels, truths) for setting, labels in maps}
    known[SWEPT] = sweep(given.tree, truths)
    return True


def sweep(tree: RegionTree, truths: Sequence[Labels]) -> dict[str, Scores]:
    """Scores the tree at each number; the pixels are counted once, by leaf."""
    by_leaf = contingency_tables(tree.leaves, truths)
    leaves = RegionTree(tree.children, tree.altitude, np.arange(tree.num_leaves))
    found = {}
    for number in SWEEP:
        joined = csr_array(np.eye(int(number), dtype=np.int64)[cut(leaves, number)])
        found[number] = score_regions([Contingency(one.table @ joined) for one in by_leaf])
    return found


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


def read_options() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of BSDS300")
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--images", nargs="*", default=(), help="names, or slices as 0:100:4")
    parser.add_argument(
        "--also",
        nargs="*",
        default=(),
        help="images of the other split that the third table counts too; : are all",
    )
    parser.add_argument("--methods", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--other", nargs="*", default=(), metavar="NAME=FOLDER")
    parser.add_argument("--json", type=Path, help="scores of each image, kept and gone on with")
    parser.add_argument("--trees", type=Path, help="a folder of trees, kept and gone on with")
    return parser.parse_args()


def measure_all(
    photos: Sequence[Photo], also: Sequence[Photo], given: argparse.Namespace
) -> dict[str, Measured]:
    """The scores of each image by name; those of ``also`` are of the tree at each number alone."""
    known: dict[str, Measured] = {}
    if given.json and given.json.exists():
        known = json.loads(given.json.read_text(encoding="utf-8"))
    if given.trees:
        given.trees.mkdir(parents=True, exist_ok=True)
    work = [*((photo, given.methods) for photo in photos), *((photo, ()) for photo in also)]
    with WorkProgress(len(work), "images") as bar:
        for photo, methods in work:
            kept = given.trees and given.trees / f"{photo.name}.npz"
            is_new = measure(photo, methods, known.setdefault(photo.name, {}), kept)
            if given.json and is_new:
                given.json.write_text(json.dumps(known) + "\n", encoding="utf-8")
            bar.advance()
    return known


def main() -> None:
    """Scores all images and prints the tables."""
    given = read_options()
    photos = find_photos(given.folder, given.split, given.images)
    other_split = "test" if given.split == "train" else "train"
    also = find_photos(given.folder, other_split, given.also) if given.also else []
    known = measure_all(photos, also, given)
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
    if also:
        print(f"The same with {len(also)} {other_split} images\n")
        print_sweep([*images, *(known[photo.name] for photo in also)])
        print()
    print_settings(images, list(fixed))


if __name__ == "__main__":
    main()
