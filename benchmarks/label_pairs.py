"""Labels of one photograph on another one: what they lose against the other one's own.

    python benchmarks/label_pairs.py FOLDER [--split test] [--picture FILE]

Two photographs of BSDS300 are a pair if each is the other's nearest by its colours (the histogram
of CIELAB, intersection); the truth chooses none. Labels are those of the preset ``photo``. Each
photograph is labelled by a model of itself and by one of its partner; A-MI is the mean over
annotators. About two seconds of CPU time a photograph.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg import Config
from sp_graph_seg.evaluation import combine_annotators, score_annotators
from sp_graph_seg.experiments import Photo, find_photos
from sp_graph_seg.progress import WorkProgress
from sp_graph_seg.prototypes.region_colors import RegionColors, cluster_regions, find_regions
from sp_graph_seg.transforms import as_image, color_space

Labels = NDArray[np.int64]

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


def label_pair(pair: tuple[Photo, Photo]) -> list[tuple[Labels, Labels]]:
    """Own labels of each photograph, and those of its partner's model."""
    config = Config.preset("photo")
    found = [find_regions(as_image(photo.read()), None, config) for photo in pair]
    models = [cluster_regions(colors, areas, config) for _, colors, areas in found]

    def label(number: int, model: RegionColors) -> Labels:
        regions, colors, _ = found[number]
        return model.distances(colors).argmin(axis=1)[regions]

    return [(label(0, models[0]), label(0, models[1])), (label(1, models[1]), label(1, models[0]))]


def measure(pair: tuple[Photo, Photo]) -> list[tuple[float, float]]:
    """A-MI of own and of carried labels, for each of the two."""

    def score(photo: Photo, labels: Labels) -> float:
        return combine_annotators(score_annotators(labels, photo.read_truth()))["ami"]

    labelled = zip(pair, label_pair(pair), strict=True)
    return [(score(photo, own), score(photo, carried)) for photo, (own, carried) in labelled]


def draw(pairs: list[tuple[Photo, Photo]], file: Path) -> None:
    """Each pair: both photographs, own labels, labels of the partner."""
    from sp_graph_seg.plot import comparison_grid, save_figure

    own, carried = zip(*(both for pair in pairs for both in label_pair(pair)), strict=True)
    images = [photo.read() for pair in pairs for photo in pair]
    columns = {"own labels": list(own), "labels of the partner": list(carried)}
    save_figure(file, comparison_grid(images, columns))


def main() -> None:
    """Finds pairs, scores both directions and prints the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of BSDS300")
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--picture", type=Path, help="the three most alike pairs and their labels")
    given = parser.parse_args()
    photos = find_photos(given.folder, given.split)
    pairs = find_pairs(photos)
    if given.picture:
        draw(pairs[:3], given.picture)
        return
    scores: list[tuple[float, float]] = []
    with WorkProgress(len(pairs), "pairs") as bar:
        for pair in pairs:
            scores += measure(pair)
            bar.advance()
    own, carried = np.array(scores).T
    loss = (carried - own).reshape(-1, 2).mean(axis=1)  # the two of a pair are not independent
    error = loss.std(ddof=1) / np.sqrt(len(loss))
    print(f"{len(pairs)} pairs of {len(photos)} {given.split} photographs")
    print(f"A-MI of own labels {own.mean():.3f}, carried {carried.mean():.3f}")
    print(f"carried - own {loss.mean():+.3f} ± {error:.3f}")


if __name__ == "__main__":
    main()
