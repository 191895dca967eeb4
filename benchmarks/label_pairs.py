"""Labels of one photograph on another one: what they lose against the other one's own.

    python benchmarks/label_pairs.py FOLDER [--split test] [--trees FOLDER] [--picture FILE]

Two photographs of BSDS300 are a pair if each is the other's nearest by its colours (the histogram
of CIELAB, intersection); the truth chooses none. Labels are those of the preset ``photo``. Each
photograph is labelled by a model of itself, by one of its partner, and by one of both; A-MI is the
mean over annotators. About two seconds of CPU time a photograph, a quarter of that with the trees
that ``benchmarks/regions.py --trees`` kept.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from regions import Inputs

from sp_graph_seg import Config
from sp_graph_seg.evaluation import combine_annotators, score_annotators
from sp_graph_seg.experiments import Photo, find_photos
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.prototypes.region_colors import RegionColors, cluster_regions, regions_to_label
from sp_graph_seg.transforms import as_image, color_space

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Whose labels a photograph gets.
MODELS = ("own", "of the partner", "of a model of both")

#: Bins of lightness, a and b, and their limits.
_BINS = (6, 12, 12)
_RANGES = ((0.0, 1.0), (-0.6, 0.6), (-0.6, 0.6))


def color_histogram(photo: Photo) -> NDArray[np.float64]:
    """Shares of the pixels in the bins of CIELAB."""
    colors = color_space(as_image(photo.read())[:, ::4, ::4], "lab").reshape(-1, 3)
    counts = np.histogramdd(colors, bins=_BINS, range=_RANGES)[0]
    return counts.ravel() / counts.sum()


def find_pairs(photos: list[Photo]) -> list[tuple[Photo, Photo]]:
    """Photographs that are each other's nearest, the most alike first."""
    shares = np.stack([color_histogram(photo) for photo in photos])
    common = np.stack([np.minimum(row, shares).sum(axis=1) for row in shares])
    np.fill_diagonal(common, -1)
    nearest = common.argmax(axis=1)
    mutual = [i for i, j in enumerate(nearest) if nearest[j] == i and i < j]
    mutual.sort(key=lambda i: -common[i, nearest[i]])
    return [(photos[i], photos[nearest[i]]) for i in mutual]


def label_pair(pair: tuple[Photo, Photo], trees: Path | None) -> list[tuple[Labels, ...]]:
    """Labels of each photograph by models of itself, of its partner, and of both."""
    config = Config.preset("photo")
    inputs = [Inputs(photo, trees and trees / f"{photo.name}.npz") for photo in pair]
    found = [regions_to_label(given.tree, given.image) for given in inputs]
    models = [cluster_regions(colors, areas, config) for _, colors, areas in found]
    colors, areas = (np.concatenate([part[k] for part in found]) for k in (1, 2))
    both = cluster_regions(colors, areas, config)

    def label(number: int, model: RegionColors) -> Labels:
        regions, colors, _ = found[number]
        return model.distances(colors).argmin(axis=1)[regions]

    return [tuple(label(k, model) for model in (models[k], models[1 - k], both)) for k in (0, 1)]


def measure(pair: tuple[Photo, Photo], trees: Path | None) -> Floats:
    """A-MI and number of labels ``(2, 3, 2)``: of each photograph, by each of the models."""

    def score(photo: Photo, labels: Labels) -> tuple[float, int]:
        ami = combine_annotators(score_annotators(labels, photo.read_truth()))["ami"]
        return ami, len(np.unique(labels))

    labelled = zip(pair, label_pair(pair, trees), strict=True)
    return np.array([[score(photo, labels) for labels in maps] for photo, maps in labelled])


def draw(pairs: list[tuple[Photo, Photo]], trees: Path | None, file: Path) -> None:
    """Each pair: both photographs, own labels, labels of the partner, and of both."""
    from sp_graph_seg.plot import comparison_grid, save_figure

    maps = zip(*(maps for pair in pairs for maps in label_pair(pair, trees)), strict=True)
    images = [photo.read() for pair in pairs for photo in pair]
    columns = zip(MODELS, map(list, maps), strict=True)
    save_figure(file, comparison_grid(images, dict(columns)))


def main() -> None:
    """Finds pairs, scores both directions and prints the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of BSDS300")
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--trees", type=Path, help="a folder of trees, kept and gone on with")
    parser.add_argument("--picture", type=Path, help="the three most alike pairs and their labels")
    given = parser.parse_args()
    photos = find_photos(given.folder, given.split)
    pairs = find_pairs(photos)
    if given.picture:
        draw(pairs[:3], given.trees, given.picture)
        return
    found: list[Floats] = []
    with WorkProgress(len(pairs), "pairs") as bar:
        for pair in pairs:
            found.append(measure(pair, given.trees))
            bar.advance()
    scores = np.mean(found, axis=1)  # (P, 3, 2), as the two of a pair are not independent
    print(f"{len(pairs)} pairs of {len(photos)} {given.split} photographs\n")
    print("| labels | A-MI | against own | number |\n| --- | --- | --- | --- |")
    for name, own in zip(MODELS, scores.swapaxes(0, 1), strict=True):
        loss = own[:, 0] - scores[:, 0, 0]
        error = loss.std(ddof=1) / np.sqrt(len(loss))
        ami, number = own.mean(axis=0)
        print(f"| {name} | {ami:.3f} | {loss.mean():+.3f} ± {error:.3f} | {number:.1f} |")


if __name__ == "__main__":
    main()
