"""Regions of photographs against people's: one setting of each method for all images of BSDS300.

    python benchmarks/regions.py FOLDER [--split test] [--images 0:100:4] [--json FILE]

FOLDER is the dataset, in a layout that :class:`sp_graph_seg.datasets.BSDS300` reads. A-MI and VI
are means over the annotators of an image; all columns are means over images with their standard
errors. The last three columns are differences to SAS, image by image. The truth chooses nothing
here. About six seconds of CPU time an image; interrupted, the same command does the rest.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.evaluation import contingency_tables, score_clustering, score_regions
from sp_graph_seg.experiments import find_photos, find_regions
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.regions import build_region_tree
from sp_graph_seg.transforms.arrays import as_image

Labels = NDArray[np.int64]
Scores = dict[str, float]

#: The row that all others are compared with.
REFERENCE = "SAS, K 12"

#: The rows that one call of :func:`find_regions` makes, with their settings.
ROWS = {
    "one label": ("One-Label", 1),
    "grid, 12": ("Grid", 12),
    "Felzenszwalb, scale 300": ("Felzenszwalb", 300),
    REFERENCE: ("SAS", 12),
    "labels of regions, 10": ("Region-Labels", 10),
}

#: The table's rows, in its order.
ORDER = (*ROWS, "region tree, 12", "region tree, its own number")

COLUMNS = ("ami", "pri", "vi", "covering")


def segment(image: NDArray[np.float32]) -> dict[str, Labels]:
    """The label map of each row."""
    tree = build_region_tree(image)
    found = {name: find_regions(kind, image, setting) for name, (kind, setting) in ROWS.items()}
    found["region tree, 12"] = tree.cut(num_regions=min(12, tree.num_leaves))
    found["region tree, its own number"] = tree.cut()
    return found


def score(labels: Labels, truths: Sequence[Labels]) -> Scores:
    """One image, one method."""
    tables = contingency_tables(labels, truths)
    ami = float(np.mean([score_clustering(table)["ami"] for table in tables]))
    return {"ami": ami, **score_regions(tables), "count": len(np.unique(labels))}


def print_scores(scores: dict[str, list[Scores]]) -> None:
    """One line a method, in Markdown."""
    print("| | A-MI | PRI | VI | Covering | number | A-MI - SAS | VI - SAS | Covering - SAS |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, images in scores.items():
        cells = [_mean([image[column] for image in images]) for column in COLUMNS]
        cells.append(f"{np.mean([image['count'] for image in images]):.1f}")
        for column in ("ami", "vi", "covering"):
            pairs = zip(images, scores[REFERENCE], strict=True)
            gain = _mean([image[column] - other[column] for image, other in pairs], sign="+")
            cells.append("" if name == REFERENCE else gain)
        print("| " + " | ".join([name, *cells]) + " |")


def _mean(values: Sequence[float], sign: str = "") -> str:
    """With its standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):{sign}.3f} +- {error:.3f}"


def main() -> None:
    """Scores all images and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of BSDS300")
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--images", nargs="*", default=(), help="names, or slices as 0:100:4")
    parser.add_argument("--json", type=Path, help="scores of every image, kept and gone on with")
    given = parser.parse_args()
    photos = find_photos(given.folder, given.split, given.images)
    known: dict[str, dict[str, Scores]] = {}
    if given.json and given.json.exists():
        known = json.loads(given.json.read_text(encoding="utf-8"))
    with WorkProgress(len(photos), "images") as bar:
        for photo in photos:
            if photo.name not in known:
                truths = photo.read_truth()
                found = segment(as_image(photo.read()))
                known[photo.name] = {name: score(labels, truths) for name, labels in found.items()}
                if given.json:
                    given.json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
            bar.advance()
    print(f"{len(photos)} {given.split} images\n")
    print_scores({row: [known[photo.name][row] for photo in photos] for row in ORDER})


if __name__ == "__main__":
    main()
