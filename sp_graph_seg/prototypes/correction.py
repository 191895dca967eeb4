"""Corrects slices for a gain that varies slowly with the position, and for concentric rings.

Outside of the circle of a reconstruction, air is made even.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, median_filter
from scipy.signal import fftconvolve

from sp_graph_seg.prototypes.thresholds import balanced_thresholds, count_modes, flat_pixels
from sp_graph_seg.volumes.air import find_air

Array = NDArray[np.float32]

#: The gain is corrected if the gain of the other phases lowers the squared error of a phase, on
#: average, by this share.
_MIN_GAIN = 0.2

#: Between pixels this far apart, the values must change as the gain does, by at least half and at
#: most twice as much in the median.
_LAG = 10
_SLOPES = (0.5, 2.0)
_LEAST_CHANGE = 1e-6

#: Rings are corrected if they explain this share of the squared error, and three times as much as
#: rings around three other centres.
_MIN_RINGS = 0.03
_RING_FACTOR = 3.0
_OTHER_CENTRES = ((0.35, 0.35), (0.6, 0.4), (0.4, 0.65))

#: The edge of a round object in the middle looks like a few rings. This share of the radii, that of
#: the strongest rings, is left out of the comparison.
_EDGES = 0.05

#: A radius with fewer pixels than this has no ring.
_FEWEST = 12
_WIDE = 15

_FEWEST_PHASES = 3

#: The value of air is that of the pixels inside the circle that are this far, in pixels, from the
#: sample. They must be this share of the slice, and the sample less of the corners.
_FROM_SAMPLE = 2
_LEAST_AIR = 0.01

#: How far the place of a window must stand out, in standard deviations over all places.
_STANDS_OUT = 5.5

_ROUNDS = 8
_SAMPLE = 60000


@dataclass(frozen=True)
class Correction:
    """A correction that removes rings and evens out the gain: ``(slice - rings) / gain``.

    Then the corners of a slice get the value of air if they show nothing else and are brighter.
    The corners lie outside of the circle with the height or the width of the slice as its diameter,
    whichever is smaller. Tomographic reconstruction does not hold there, so that air may have
    another value.

    Attributes:
        gain: Coefficients ``(5,)`` of a quadratic polynomial of the position. The gain is 1 plus
            this polynomial. ``None`` if the gain is 1 everywhere.
        rings: Intensity of the rings at radius 0, 1, 2, ... pixels from the centre, ``(R,)``.
            ``None`` if there are no rings.
        size: Height and width of the slice to which gain and rings were fitted. A smaller image is
            treated as a crop of such a slice, and :meth:`place` finds its position by its rings. An
            image is not corrected if its position is not found, or if it is larger than the slice.
        air: Value of air that the corners of a slice get. ``None`` if the corners do not change.
    """

    gain: NDArray[np.float64] | None
    rings: NDArray[np.float64] | None
    size: tuple[int, int]
    air: float | None = None

    def __call__(self, image: Array) -> Array:
        """Removes the rings of a slice or of a crop, ``(H, W)``, and divides it by the gain."""
        corner = (0, 0) if image.shape == self.size else self.place(image)
        if corner is None:
            return image
        rows, columns = (slice(c, c + n) for c, n in zip(corner, image.shape, strict=True))
        if self.rings is not None:
            image = image - _spread(self.rings, self.size)[rows, columns]
        if self.gain is not None:
            image = image / _gain_map(self.gain, self.size)[rows, columns]
        if self.air is not None:
            image = np.where(_corners(self.size)[rows, columns], self.air, image)
        return image.astype(np.float32)

    def place(self, window: Array) -> tuple[int, int] | None:
        """Finds the row and column of the upper left corner of a crop of the slice.

        Each pixel is replaced by its difference from the nearest grey prototype. The differences
        are correlated with the sharp rings at every place of the slice. The best place is returned
        if its correlation is 5.5 standard deviations above the mean of all places. Otherwise, or if
        there are no rings, the result is ``None``.
        """
        if self.rings is None or any(n > m for n, m in zip(window.shape, self.size, strict=True)):
            return None
        smooth = gaussian_filter(window, 1.0)
        residual = smooth - _nearest(smooth, _FEWEST_PHASES, None)
        residual -= residual.mean()
        field, ones = _spread(_sharp(self.rings), self.size), np.ones_like(residual)
        squares, sums = (fftconvolve(f, ones, "valid") for f in (field * field, field))
        energy = np.maximum(squares - sums**2 / window.size, 1e-9 * window.size)
        match = fftconvolve(field, residual[::-1, ::-1], "valid") / np.sqrt(energy)
        row, column = np.unravel_index(match.argmax(), match.shape)
        if match[row, column] - match.mean() < _STANDS_OUT * match.std():
            return None
        return int(row), int(column)


def fit_correction(image: Array, inside: NDArray[np.bool_] | None) -> Correction:
    """Fits the gain and the rings of a slice, and keeps only those that are clearly present.

    A slice without gain and rings would consist of a few grey values, the prototypes. Prototypes
    and correction are fitted in turn, as is done for the bias field of magnetic resonance images
    (Wells et al. 1996). Both are fitted to a smoothed copy of the slice. The gain is kept if the
    gain that is fitted to all phases but one also explains the values of this phase, because a gain
    acts on all phases alike. And the values must change as slowly as the gain from place to place.
    Otherwise, a sample whose core differs from its shell would look like a gain. The rings are kept
    if they are much stronger around the centre of the slice than around other points.

    The number of prototypes is the number of modes in the histogram of flat pixels, which differ
    little from their neighbours. It is at least two, and at least three if a gain is fitted. With
    fewer prototypes, steps of intensity would look like a gain.

    Args:
        image: The slice, ``(H, W)``.
        inside: The mask of the slice, ``(H, W)``; ``None`` if all pixels have data.
    """
    size = image.shape[0], image.shape[1]
    air = None
    if inside is None:
        inside, air = _find_sample(image)
    smooth = gaussian_filter(image, 1.0)
    modes = count_modes(smooth[flat_pixels(smooth[None], inside)])
    few, more = max(2, modes), max(_FEWEST_PHASES, modes)
    none = Correction(None, None, size)
    residual = smooth - _nearest(smooth, few, inside)
    strength = _ring_strength(residual, inside, None)
    others = [
        _ring_strength(residual, inside, (size[0] * row, size[1] * column))
        for row, column in _OTHER_CENTRES
    ]
    with_rings = strength > max(_MIN_RINGS, _RING_FACTOR * max(others))
    start = _alternate(smooth, few, inside, none, with_gain=False, with_rings=with_rings)
    gained = _alternate(smooth, more, inside, none, with_gain=True, with_rings=with_rings)
    is_gain = _error_across(smooth, gained, more, inside) < 1 - _MIN_GAIN
    is_gain = is_gain and _SLOPES[0] < _slope(smooth, gained, inside) < _SLOPES[1]
    best = gained if is_gain else start
    if air is None:
        return best
    even = best(image)
    value = float(np.median(even[air]))
    is_brighter = float(np.median(even[_corners(size)])) > value
    return replace(best, air=value) if is_brighter else best


def _find_sample(image: Array) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Finds the sample in a slice ``(H, W)``, and the air around it except in the corners.

    If no sample with air around it is found, sample and air are ``None``. If the sample reaches
    into the corners, or if nearly all air lies in the corners, only the air is ``None``.
    """
    found = find_air([image[None]])
    if found is None:
        return None, None
    sample, corners = found.sample(image[None]), _corners(image.shape)
    air = ~corners & ~binary_dilation(sample, iterations=_FROM_SAMPLE)
    beside = binary_dilation(corners, iterations=_FROM_SAMPLE)
    is_seen = air.mean() >= _LEAST_AIR and sample[beside].mean() < _LEAST_AIR
    return binary_erosion(sample, iterations=_FROM_SAMPLE), air if is_seen else None


def _corners(size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Finds the pixels outside of the largest circle around the centre of a slice."""
    return _radius((size[0], size[1]), None) > min(size) / 2


def _alternate(
    smooth: Array,
    num_labels: int,
    inside: NDArray[np.bool_] | None,
    fitted: Correction,
    with_gain: bool,
    with_rings: bool,
) -> Correction:
    """Fits prototypes, gain and rings in turn, eight times."""
    if not (with_gain or with_rings):
        return fitted
    for _ in range(_ROUNDS):
        phases = _nearest(fitted(smooth), num_labels, inside)
        if with_gain:
            gain = _fit_gain(_without_rings(smooth, fitted), phases, inside)
            fitted = replace(fitted, gain=gain)
        if with_rings:
            model = phases if fitted.gain is None else phases * _gain_map(fitted.gain, fitted.size)
            fitted = replace(fitted, rings=_ring_profile(smooth - model, inside, None)[0])
    return fitted


def _nearest(image: Array, num_labels: int, inside: NDArray[np.bool_] | None) -> Array:
    """Finds the prototype of each pixel: the mean intensity of its class."""
    values = image if inside is None else image[inside]
    thresholds = balanced_thresholds(values, num_labels)
    classes = np.searchsorted(thresholds, values.ravel())
    count = np.bincount(classes, minlength=num_labels)
    means = np.bincount(classes, values.ravel(), num_labels) / np.maximum(count, 1)
    return means[np.searchsorted(thresholds, image)].astype(np.float32)


def _error_across(
    smooth: Array, fitted: Correction, num_labels: int, inside: NDArray[np.bool_] | None
) -> float:
    """Computes the share of the squared error that is left by the gain of the other phases.

    The gain is fitted to all phases but one, and the values of this phase are compared with its
    prototype times this gain. It is 1 if the gain explains nothing.
    """
    phases = _nearest(fitted(smooth), num_labels, inside)
    rest = _without_rings(smooth, fitted)
    before = after = 0.0
    for phase in np.unique(phases):
        own = phases == phase
        gain = _gain_map(_fit_gain(rest, np.where(own, 0, phases), inside), fitted.size)
        pixels = own if inside is None else own & inside
        values, gains = rest[pixels].astype(np.float64), gain[pixels].astype(np.float64)
        prototype = (values * gains).sum() / max(float((gains**2).sum()), 1e-12)
        before += float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
        after += float(((values - prototype * gains) ** 2).sum())
    return after / before if before > 0 else 1.0


def _slope(smooth: Array, fitted: Correction, inside: NDArray[np.bool_] | None) -> float:
    """Computes how much the values change from pixel to pixel, beside what the gain changes them.

    Pixels 10 pixels apart in the same row or column are compared. The result is the slope of the
    line through 0 that fits best by the sum of absolute errors, the weighted median. So edges,
    where values jump, count little. It is 1 for a real gain and 0 if the values do not change.
    """
    assert fitted.gain is not None
    rest, gain = _without_rings(smooth, fitted), _gain_map(fitted.gain, fitted.size)
    even = rest / gain
    ratios, weights = [], []
    for near, far in ((np.s_[_LAG:], np.s_[:-_LAG]), (np.s_[:, _LAG:], np.s_[:, :-_LAG])):
        change = (gain[near] - gain[far]) * (even[near] + even[far]) / 2
        use = np.abs(change) > _LEAST_CHANGE
        if inside is not None:
            use &= inside[near] & inside[far]
        ratios.append((rest[near] - rest[far])[use] / change[use])
        weights.append(np.abs(change[use]))
    return _weighted_median(np.concatenate(ratios), np.concatenate(weights))


def _weighted_median(values: Array, weights: Array) -> float:
    """Computes the weighted median of values. Without values, it is 0."""
    order = np.argsort(values)
    total = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(total, total[-1] / 2)]) if len(order) else 0.0


def _without_rings(image: Array, fitted: Correction) -> Array:
    return image if fitted.rings is None else image - _spread(fitted.rings, fitted.size)


def _monomials(size: tuple[int, int]) -> Array:
    """Computes x, y, x^2, y^2 and x y for x and y from -1 to 1. The squares have mean 0."""
    y, x = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]), indexing="ij")
    return np.stack([x, y, x * x - 1 / 3, y * y - 1 / 3, x * y]).astype(np.float32)


def _gain_map(gain: NDArray[np.float64], size: tuple[int, int]) -> Array:
    return np.clip(1 + np.tensordot(gain, _monomials(size), axes=1), 0.3, 3).astype(np.float32)


def _fit_gain(image: Array, phases: Array, inside: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Fits ``image = phases * (1 + gain . monomials)`` by least squares to a sample of pixels."""
    step = max(1, int(np.sqrt(image.size / _SAMPLE)))
    some = np.s_[::step, ::step]
    weight = phases[some].ravel()
    if inside is not None:
        weight = weight * inside[some].ravel()
    rest = (image[some] - phases[some]).ravel() * (weight != 0)
    design = _monomials(image.shape)[:, ::step, ::step].reshape(5, -1).T * weight[:, None]
    return np.linalg.lstsq(design, rest, rcond=None)[0]


def _radius(size: tuple[int, int], centre: tuple[float, float] | None) -> Array:
    row, column = centre or ((size[0] - 1) / 2, (size[1] - 1) / 2)
    rows, columns = np.arange(size[0]) - row, np.arange(size[1]) - column
    return np.hypot(rows[:, None], columns[None]).astype(np.float32)


def _spread(rings: NDArray[np.float64], size: tuple[int, int]) -> Array:
    return np.interp(_radius(size, None), np.arange(len(rings)), rings).astype(np.float32)


def _ring_profile(
    residual: Array, inside: NDArray[np.bool_] | None, centre: tuple[float, float] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Computes the mean residual and the number of pixels at each radius in whole pixels.

    The mean is set to 0 at a radius with 12 pixels or fewer.
    """
    radius = np.rint(_radius(residual.shape, centre)).astype(np.int64).ravel()
    weight = None if inside is None else inside.ravel().astype(np.float64)
    count = np.bincount(radius, weight)
    values = residual.ravel() if weight is None else residual.ravel() * weight
    profile = np.bincount(radius, values) / np.maximum(count, 1)
    profile[count <= _FEWEST] = 0
    return profile, count


def _sharp(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Removes the part of a profile that changes slowly with the radius."""
    return profile - median_filter(profile, _WIDE, mode="nearest")


def _ring_strength(
    residual: Array, inside: NDArray[np.bool_] | None, centre: tuple[float, float] | None
) -> float:
    """Computes the share of the squared residual that sharp rings around a centre explain."""
    profile, count = _ring_profile(residual, inside, centre)
    sharp = _sharp(profile)
    sharp[count <= _FEWEST] = 0
    squares = residual**2 if inside is None else residual[inside] ** 2
    energy = np.sort(count * sharp**2)[: round((1 - _EDGES) * len(sharp))]
    return float(energy.sum() / max(squares.sum(), 1e-12))
