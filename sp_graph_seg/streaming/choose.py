"""Chooses the slices for training that represent the other slices best."""

from collections.abc import Container, Mapping

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.slices import read_slice
from sp_graph_seg.transforms import compute_superpixels
from sp_graph_seg.transforms.arrays import fill_outside
from sp_graph_seg.transforms.prepare import scale_down, scale_intensities, scale_mask
from sp_graph_seg.volumes import Volume
from sp_graph_seg.volumes.intensity import find_numbers

#: Size, number of superpixels and bins for each channel with which slices are compared.
_SIZE = 160
_SUPERPIXELS = 200
_BINS = 32

#: Most slices that are compared. Of more, this many at equal distances are.
_MOST = 200

#: A slice whose values spread less than this share of the spread of the richest slices is empty.
_EMPTY = 0.2
_RICHEST = 0.9

#: Of this many slices or more, this share is ignored: those least like the most typical slice.
_TRIMMED = 0.2
_FEWEST_TRIMMED = 10


def choose_slices(
    volume: Volume,
    count: int,
    intensity_range: tuple[float, float],
    unusable: Container[int] = (),
) -> list[int]:
    """Chooses the slices or frames that represent the other slices best (medoids).

    Each slice is described by a histogram of the mean colours of its superpixels. The histogram is
    weighted by the area of the superpixels, and pixels without data do not count. The distance of
    two slices is the L1 distance of their cumulative histograms. For one channel, this is the earth
    mover's distance.

    The medoids are the slices that minimise the sum of the distances from each slice to its nearest
    medoid. They are found greedily, by the BUILD step of PAM (Kaufman & Rousseeuw, Finding Groups
    in Data, 1990). If there are more than 200 slices, only 200 slices at equal distances are
    compared.

    Of a volume, slices without contrast are left out, such as those that show only air. The fifth
    of the others that is least like the most typical slice is left out too, because the first and
    last slices often show a holder or an end plate. All frames of a video count, since a scene may
    be short.

    Args:
        volume: The volume or video.
        count: The number of slices to choose.
        intensity_range: The two intensities that are mapped to 0 and 1.
        unusable: The numbers of the slices that are ignored.

    Returns:
        The numbers of the chosen slices. The most representative slice comes first.

    Raises:
        InputError: The volume has fewer usable slices than ``count``, or a slice cannot be read.
    """
    usable = [number for number in range(len(volume)) if number not in unusable]
    total = len(usable)
    if not 1 <= count <= total:
        raise InputError(
            f"{volume.path}: has {total} usable {volume.noun}, so {count} cannot be chosen; "
            f"give a number from 1 to {total}."
        )
    looked_at = [usable[place] for place in places_to_look_at(total, count)]
    small = {number: shrink(read_slice(volume, number)) for number in looked_at}
    return find_representatives(small, count, intensity_range, is_video(volume))


def is_video(volume: Volume) -> bool:
    """Returns whether a volume has a frame rate or colours, and so consists of frames."""
    return volume.frame_rate is not None or volume.channels == 3


def places_to_look_at(total: int, count: int) -> NDArray[np.int64]:
    """Chooses which of ``total`` slices are compared, and returns their numbers in order."""
    return np.linspace(0, total - 1, min(total, max(_MOST, count))).astype(int)


def shrink(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales a slice ``(C, H, W)`` down for the comparison. NaN marks pixels without data."""
    inside = find_numbers(image)
    if inside is None:
        return scale_down(image, _SIZE).numpy()
    small = scale_down(fill_outside(image, inside), _SIZE).numpy()
    small[:, ~scale_mask(inside, small.shape[1:]).numpy()] = np.nan
    return small


def find_representatives(
    small: Mapping[int, NDArray[np.float32]],
    count: int,
    intensity_range: tuple[float, float],
    all_count: bool,
) -> list[int]:
    """Returns the numbers of the ``count`` slices that represent the other slices best.

    Args:
        small: A small copy of each slice, by the number of the slice.
        count: The number of slices to choose.
        intensity_range: The two intensities that are mapped to 0 and 1.
        all_count: Whether all slices count, as in a video. Otherwise, slices without contrast and
            those that are not typical are chosen last.
    """
    numbers = list(small)
    described = np.stack([_describe(image, intensity_range) for image in small.values()])
    typical = np.arange(len(numbers)) if all_count else _find_typical(described)
    medoids = typical[_find_medoids(described[typical], min(count, len(typical)))]
    others = np.setdiff1d(np.arange(len(numbers)), typical)
    more = others[_find_medoids(described[others], count - len(medoids))]
    return [numbers[medoid] for medoid in (*medoids, *more)]


def _describe(
    image: NDArray[np.float32], intensity_range: tuple[float, float]
) -> NDArray[np.float64]:
    """Computes a cumulative histogram of the superpixels' mean colours for each channel."""
    values, inside = scale_intensities(image, find_numbers(image), *intensity_range)
    nodes = compute_superpixels(values, _SUPERPIXELS, superpixel_method="watershed", mask=inside)
    used = nodes >= 0
    areas = np.bincount(nodes[used])
    histograms = []
    for channel in values:
        means = np.bincount(nodes[used], weights=channel[used]) / areas
        histogram, _ = np.histogram(means, _BINS, (0, 1), weights=areas)
        histograms.append(np.cumsum(histogram) / areas.sum())
    return np.concatenate(histograms)


def _spread(described: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the standard deviation of each slice's values, averaged over the channels."""
    below = described.reshape(len(described), -1, _BINS)  # share of the area below each edge
    counts = np.diff(below, axis=-1, prepend=0)
    values = np.arange(_BINS) / _BINS
    mean = (counts * values).sum(axis=-1, keepdims=True)
    return np.sqrt((counts * (values - mean) ** 2).sum(axis=-1)).mean(axis=-1)


def _find_typical(described: NDArray[np.float64]) -> NDArray[np.int64]:
    """Finds the slices that are neither empty nor among the fifth least like the medoid of all."""
    spread = _spread(described)
    full = np.flatnonzero(spread >= _EMPTY * np.quantile(spread, _RICHEST))
    (medoid,) = _find_medoids(described[full], 1)
    distance = np.abs(described[full] - described[full[medoid]]).sum(axis=1)
    ignored = int(_TRIMMED * len(full)) if len(full) >= _FEWEST_TRIMMED else 0
    return np.sort(full[np.argsort(distance, kind="stable")[: len(full) - ignored]])


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
