"""Which slices to train on: those that represent the rest best."""

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.slices import read_slice
from sp_graph_seg.transforms import compute_superpixels
from sp_graph_seg.transforms.prepare import normalize, scale_down
from sp_graph_seg.volumes import Volume

#: A slice is described at this size, by so many superpixels and bins for each channel.
_SIZE = 160
_SUPERPIXELS = 200
_BINS = 32

#: Of more slices, so many at equal distances are looked at.
_MOST = 200


def choose_slices(
    volume: Volume,
    count: int,
    intensity_range: tuple[float, float],
    unusable: Container[int] = (),
) -> list[int]:
    """Chooses the slices or frames that represent the rest best: the medoids of all.

    Each slice is described by the histogram of the mean colours of its superpixels, each weighted
    by its area; the distance of two slices is the L1 distance of their cumulative histograms (the
    earth mover's distance of one channel). Medoids minimise the sum of the distances of all slices
    to the nearest of them; they are found greedily, the BUILD step of PAM (Kaufman & Rousseeuw,
    Finding Groups in Data, 1990). Of more than 200 slices, 200 at equal distances are looked at.

    Args:
        volume: The volume or video.
        count: Number of slices to choose.
        intensity_range: What is mapped to 0 and 1.
        unusable: Slices that are neither looked at nor chosen.

    Returns:
        Their numbers, the most representative one first.

    Raises:
        InputError: If there are fewer slices than wanted, or one cannot be read.
    """
    usable = [number for number in range(len(volume)) if number not in unusable]
    total = len(usable)
    if not 1 <= count <= total:
        raise InputError(
            f"{volume.path}: has {total} usable slices, of which {count} cannot be chosen; "
            f"give 1 to {total}."
        )
    places = np.linspace(0, total - 1, min(total, max(_MOST, count))).astype(int)
    looked_at = [usable[place] for place in places]
    described = np.stack([_describe(read_slice(volume, n), intensity_range) for n in looked_at])
    return [looked_at[medoid] for medoid in _find_medoids(described, count)]


def _describe(image: NDArray, intensity_range: tuple[float, float]) -> NDArray[np.float64]:
    """Cumulative histograms of the superpixels' mean colours, ``(C * bins,)``."""
    array = normalize(image, *intensity_range)
    small = scale_down(array, _SIZE).numpy()
    nodes = compute_superpixels(small, _SUPERPIXELS, superpixel_method="watershed").ravel()
    areas = np.bincount(nodes)
    histograms = []
    for channel in small.reshape(len(small), -1):
        means = np.bincount(nodes, weights=channel) / areas
        histogram, _ = np.histogram(means, _BINS, (0, 1), weights=areas)
        histograms.append(np.cumsum(histogram) / areas.sum())
    return np.concatenate(histograms)


def _find_medoids(points: NDArray[np.float64], count: int) -> list[int]:
    distance = np.abs(points[:, None] - points).sum(axis=-1)  # (S, S)
    nearest = np.full(len(points), np.inf)
    medoids: list[int] = []
    for _ in range(count):
        cost = np.minimum(distance, nearest[None]).sum(axis=1)
        cost[medoids] = np.inf
        best = int(np.argmin(cost))
        medoids.append(best)
        nearest = np.minimum(nearest, distance[best])
    return medoids
