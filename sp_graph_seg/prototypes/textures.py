"""Textures: how alike pixels at small offsets are, where this changes slowly over an image.

Nothing here is random: a texture depends on the images alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter

from sp_graph_seg.prototypes.stability import middle

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Distances in pixels, and number of directions, of the offsets between the two pixels of a pair.
_DISTANCES = (1, 2, 3, 4, 6)
_DIRECTIONS = 6

#: Standard deviation, in pixels, of the Gaussian whose mean is subtracted from an image.
_SURROUNDINGS = 16.0

#: Standard deviation, in pixels, of the Gaussian that averages products while directions are
#: sought, the step of the grid on which they are compared, and the distance of nearby pixels.
_COARSE = 4.0
_STEP = 4
_LAG = 12

#: The same standard deviation when pixels are labelled; total variation removes the rest. Its
#: strength is fixed, so projections are scaled up, at most 4 times, if their variance is less than
#: 0.4 above 1, that is, if there is little noise to remove.
_FINE = 2.0
_LITTLE_NOISE, _MOST_SCALED = 0.4, 4.0

#: Share of the mean variance of the differences that is added to each feature's, and the least
#: share of data pixels around a pixel that is compared.
_RIDGE = 0.03
_LEAST_DATA = 0.5

#: A direction is a texture if it is this much slower than noise where it was not found, and the
#: last of at most three is this much slower than the next.
_SLOW, _SLOWER_THAN_NEXT = 2.5, 1.5
_MOST = 3

#: Height and width of the middle of an image that is used, to limit memory and time; and the
#: number of bands of rows, which are left out in turn.
_LARGEST = 2048
_BANDS = 6


def _make_offsets() -> list[tuple[int, int]]:
    """Lists the offsets (rows, columns) of pairs of pixels, starting with (0, 0)."""
    offsets = [(0, 0)]
    for distance in _DISTANCES:
        for angle in np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS:
            down, right = round(distance * np.sin(angle)), round(distance * np.cos(angle))
            offset = (down, right) if (down, right) > (0, 0) else (-down, -right)
            if offset not in offsets:
                offsets.append(offset)
    return offsets


_OFFSETS = _make_offsets()


@dataclass(frozen=True)
class Texture:
    """Slow directions in the space of products of pairs of pixels.

    Attributes:
        deviation: Standard deviation of the values of the training images.
        weights: Weights of the products of each offset, ``(27, Q)``. A projection has a standard
            deviation of 1 on the training images, if products are averaged over 4 pixels; it has
            a larger one, the same for all projections, if there is little noise in them.
        center: Mean projections on the training images, which are subtracted, ``(Q,)``.
    """

    deviation: float
    weights: NDArray[np.float64]
    center: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.center)

    def first(self, count: int) -> "Texture":
        """Returns the slowest directions, at most ``count``."""
        return Texture(self.deviation, self.weights[:, :count], self.center[:count])

    def scaled(self, factor: float) -> "Texture":
        """Returns the texture whose projections are ``factor`` times as large."""
        return Texture(self.deviation, factor * self.weights, factor * self.center)

    def project(self, image: Array, inside: Mask | None = None) -> Array:
        """Computes the Q slow features of the pixels of an image ``(H, W)``: ``(Q, H, W)``.

        Pixels outside of ``inside`` do not count, and have features of 0.
        """
        weights = self.weights.T.astype(np.float32)[..., None, None]
        result = np.zeros((len(self), *image.shape), np.float32)
        for number, product in enumerate(_products(_flatten(image, inside, self.deviation))):
            result += weights[:, number] * product
        result -= self.center.astype(np.float32)[:, None, None]
        smoothing = (0, _FINE, _FINE)
        if inside is None:
            return gaussian_filter(result, smoothing)
        share = gaussian_filter(inside.astype(np.float32), _FINE)
        mean = gaussian_filter(result * inside, smoothing) / np.maximum(share, 1e-3)
        return np.where(inside, mean, np.float32(0))


def find_texture(
    images: Sequence[Array], masks: Sequence[Mask | None]
) -> tuple[Texture, NDArray[np.float64]]:
    r"""Finds the directions in which products of pairs of pixels change most slowly.

    The products of pixels at small offsets, averaged over a neighbourhood, are the local
    autocovariance, which describes orientation, coarseness and contrast. The directions are the
    maximum autocorrelation factors of Switzer & Green 1984. Each direction v has an eigenvalue
    :math:`\lambda`, and :math:`C v = \lambda D v / 2`. Here C is the covariance of the products,
    and D is the covariance of their differences between pixels that are 12 pixels apart. White
    noise has an eigenvalue of 1, and slow directions have larger ones. A few directions among many
    are slow by chance, so each of six bands of rows is left out in turn, and the directions of the
    other bands are tried on it.

    Args:
        images: Images ``(H, W)``.
        masks: The data pixels of each image, ``(H, W)``; ``None`` if all pixels are data.

    Returns:
        The texture, and how slow it is. It has Q slow directions, at most three. If none is slow
        enough, Q is 0. The slowness of the first four directions, ``(4,)``, is measured on the
        bands that are left out.
    """
    cut = [middle(image.shape, _LARGEST) for image in images]
    images = [image[part] for image, part in zip(images, cut, strict=True)]
    masks = [mask if mask is None else mask[part] for mask, part in zip(masks, cut, strict=True)]
    pairs = list(zip(images, masks, strict=True))
    data = np.concatenate([one.ravel() if mask is None else one[mask] for one, mask in pairs])
    deviation = max(float(data.std()), 1e-6) if data.size else 1.0
    bands = [_add_up(_flatten(image, mask, deviation), mask) for image, mask in pairs]
    sums, counts = (np.sum([one[k] for one in bands], axis=0) for k in (0, 1))
    slowness = _tried_on_bands(sums, counts)
    ratios = slowness[:-1] / np.maximum(slowness[1:], 1.0)
    count = int(ratios.argmax()) + 1
    is_slow = slowness[count - 1] > _SLOW and ratios[count - 1] > _SLOWER_THAN_NEXT
    covariance, difference = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    directions, _ = _solve(covariance, difference)
    weights = directions[:, : count if is_slow else 0]
    spread = np.sqrt(np.einsum("fq,fg,gq->q", weights, covariance, weights))
    weights = weights / np.maximum(spread, 1e-12)
    texture = Texture(deviation, weights, np.mean([one[2] for one in bands], axis=0) @ weights)
    return (texture.scaled(_clarity(texture, pairs)) if len(texture) else texture), slowness


def _clarity(texture: Texture, pairs: Sequence[tuple[Array, Mask | None]]) -> float:
    """Computes how much larger projections with little noise must be, from 1 to 4.

    Averaged over 4 pixels, their variance is 1. What it is more over 2 pixels is mostly noise.
    """
    spread = [
        np.var(texture.project(image, mask), axis=(1, 2), where=True if mask is None else mask)
        for image, mask in pairs
    ]
    noise = float(np.mean(spread, axis=0).max()) - 1
    return float(np.clip(_LITTLE_NOISE / max(noise, 1e-6), 1, _MOST_SCALED))


def _flatten(image: Array, inside: Mask | None, deviation: float) -> Array:
    """Subtracts the mean of the surroundings, and takes the signed square root of the rest.

    The root keeps bright or dark pixels from deciding alone. Pixels outside become 0.
    """
    if inside is None:
        rest = image - gaussian_filter(image, _SURROUNDINGS)
    else:
        share = gaussian_filter(inside.astype(np.float32), _SURROUNDINGS)
        mean = gaussian_filter(image * inside, _SURROUNDINGS) / np.maximum(share, 1e-3)
        rest = np.where(inside, image - mean, np.float32(0))
    flat: Array = np.sign(rest) * np.sqrt(np.abs(rest) / np.float32(deviation))
    return flat


def _products(values: Array) -> Iterator[Array]:
    """Yields, for each offset, the product of the two pixels around each pixel, ``(H, W)``.

    Where one of them is outside of the image, it is the product of the nearest pair inside.
    """
    height, width = values.shape
    for down, right in _OFFSETS:
        rows, columns = min(down, height - 1), min(abs(right), width - 1)
        upper, lower = values[: height - rows], values[rows:]
        if right < 0:
            upper, lower = upper[:, columns:], lower[:, : width - columns]
        else:
            upper, lower = upper[:, : width - columns], lower[:, columns:]
        margins = [(size // 2, size - size // 2) for size in (rows, columns)]
        yield np.pad(upper * lower, margins, mode="edge")


def _add_up(
    values: Array, inside: Mask | None
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Adds up squares of products and of their differences in each band of an image.

    Returns:
        The sums of the squares of the products without their mean, and of their differences,
        ``(6, 2, F, F)``; how many were added, ``(6, 2, 1, 1)``; and the mean, ``(F,)``.
    """
    features = _averaged(values)
    is_used = np.ones(features.shape[1:], bool)
    if inside is not None:
        shares = _averaged(inside.astype(np.float32))
        features /= np.maximum(shares, 1e-3)
        is_used = shares.min(axis=0) > _LEAST_DATA
    mean = features[:, is_used].mean(axis=1) if is_used.any() else np.zeros(len(features))
    features -= mean[:, None, None]
    band = np.arange(len(is_used)) * _BANDS // len(is_used)
    lag = _LAG // _STEP
    sums = np.zeros((_BANDS, 2, len(features), len(features)))
    counts = np.zeros((_BANDS, 2, 1, 1), np.int64)
    for number in range(_BANDS):
        own = is_used & (band == number)[:, None]
        down, right = (
            (features[:, lag:] - features[:, :-lag])[:, own[lag:] & own[:-lag]],
            (features[:, :, lag:] - features[:, :, :-lag])[:, own[:, lag:] & own[:, :-lag]],
        )
        differences = np.concatenate([down, right], axis=1) / np.sqrt(2, dtype=np.float32)
        for kind, each in enumerate([features[:, own], differences]):
            sums[number, kind] = each @ each.T
            counts[number, kind] = each.shape[1]
    return sums, counts, mean


def _averaged(values: Array) -> Array:
    """Averages the products of each offset, and keeps every fourth row and column."""
    return np.stack(
        [
            gaussian_filter(product, _COARSE)[::_STEP, ::_STEP].copy()
            for product in _products(values)
        ]
    )


def _solve(
    covariance: NDArray[np.float64], difference: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Finds the directions ``(F, F)`` as columns, the slowest first, and their eigenvalues."""
    ridge = _RIDGE * np.trace(difference) / len(difference) + 1e-12
    eigenvalues, directions = eigh(covariance, difference + ridge * np.eye(len(difference)))
    return directions[:, ::-1], eigenvalues[::-1]


def _tried_on_bands(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Computes how slow the first four directions of all other bands are on a band, ``(4,)``.

    It is the ratio of the sums over all bands, so a band may hold one texture only.
    """
    if counts.sum(axis=0).min() <= 2 * len(_OFFSETS):
        return np.zeros(_MOST + 1)
    tried = np.zeros((2, _MOST + 1))
    for number, own in enumerate(sums):
        others = np.delete(sums, number, axis=0).sum(axis=0)
        pixels = np.delete(counts, number, axis=0).sum(axis=0)
        directions = _solve(*(others / np.maximum(pixels, 1)))[0][:, : _MOST + 1]
        tried += np.einsum("fq,kfg,gq->kq", directions, own, directions)
    tried /= counts.sum(axis=0)[:, 0]
    slowness: NDArray[np.float64] = tried[0] / np.maximum(tried[1], 1e-12)
    return slowness
