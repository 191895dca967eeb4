"""Chooses the colours of labels, for pictures, reports, label files and meshes."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Number of different colours. Further labels start again with the first colour.
NUM_COLORS = 64

#: The first colour of a list, and the steps of each channel among which the others are sought.
_FIRST = (0.0, 0.467, 0.867)
_STEPS = 16

#: Least and largest luminance, so that a colour is seen on black and on white, and least chroma, so
#: that it is not taken for a grey value of the image.
_DARKEST, _BRIGHTEST, _LEAST_CHROMA = 0.06, 0.6, 0.08

#: Linear RGB to the cones, and their cube roots to OKLab (Ottosson 2020, "A perceptual color space
#: for image processing").
_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)

#: Linear RGB as seen with protanopia and deuteranopia (Machado et al. 2009, severity 1).
_COLOR_BLIND = (
    (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
)

#: A distance as seen with colour blindness counts this much more: fewer colours differ at all.
_FOR_THE_COLOR_BLIND = 1.5


def label_colors(labels: Iterable[int], given: Mapping[int, str] | None = None) -> dict[int, str]:
    """Chooses a colour for each label, so that the colours are easy to tell apart.

    The labels get their colours in the given order. Each label gets the colour that is farthest
    from all colours chosen before. So a label keeps its colour when more labels are added at the
    end. With this greedy choice (Gonzalez 1985), the smallest distance between two colours is at
    least half of the largest possible value. After 64 colours, the same colours are used again.

    Give the labels in ascending order, so that the same labels always get the same colours. If some
    colours must not change, for example when labels are merged, pass these colours as ``given``.

    The distance of two colours is measured in OKLab for normal vision, protanopia and deuteranopia.
    The smallest of the three distances counts. All colours differ clearly from black, white and
    grey.

    Args:
        labels: The numbers of the labels in use.
        given: The colours that some labels already have, as ``"#rrggbb"``. The other labels get
            colours far from these.

    Returns:
        ``{label: "#rrggbb"}`` for all ``labels``, in the given order.

    Example:
        >>> label_colors([9, 14, 20])
        {9: '#0077dd', 14: '#ffbb00', 20: '#bb0000'}
        >>> label_colors([9, 20], given={9: "#0077dd", 20: "#bb0000"})
        {9: '#0077dd', 20: '#bb0000'}
    """
    wanted = tuple(dict.fromkeys(labels))
    kept = {label: given[label].lower() for label in wanted if given and label in given}
    free = [label for label in wanted if label not in kept]
    chosen = _farthest(min(len(free), NUM_COLORS), tuple(kept.values()))
    fresh = {label: chosen[number % NUM_COLORS] for number, label in enumerate(free)}
    return {label: kept.get(label) or fresh[label] for label in wanted}


@lru_cache(maxsize=64)
def _farthest(count: int, taken: tuple[str, ...]) -> tuple[str, ...]:
    """Chooses ``count`` colours that differ from each other and from the colours ``taken``.

    Each colour is the one that is farthest from ``taken`` and from the colours chosen before.
    """
    rgb, seen = _candidates()
    distance = np.full(len(rgb), np.inf)
    for color in taken:
        distance = np.minimum(distance, _distances(seen, _as_seen(_from_hex(color))))
    chosen: list[str] = []
    for _ in range(count):
        is_first = not taken and not chosen
        best = int(np.abs(rgb - _FIRST).sum(axis=1).argmin() if is_first else distance.argmax())
        distance = np.minimum(distance, _distances(seen, seen[:, best]))
        chosen.append("#" + bytes(np.rint(255 * rgb[best]).astype(np.uint8)).hex())
    return tuple(chosen)


@lru_cache(maxsize=1)
def _candidates() -> tuple[Array, Array]:
    """Returns the RGB colours ``(N, 3)`` that may be chosen, and their conversion by `_as_seen`."""
    steps = np.linspace(0, 1, _STEPS)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = _as_seen(rgb)
    luminance = _linear(rgb) @ (0.2126, 0.7152, 0.0722)
    chroma = np.hypot(seen[0, :, 1], seen[0, :, 2])
    usable = (luminance > _DARKEST) & (luminance < _BRIGHTEST) & (chroma > _LEAST_CHROMA)
    return rgb[usable], seen[:, usable]


def _as_seen(rgb: Array) -> Array:
    """Converts RGB colours ``(..., 3)`` to OKLab for three kinds of vision, ``(3, ..., 3)``."""
    linear = _linear(rgb)
    blind = [np.clip(linear @ np.transpose(view), 0, 1) for view in _COLOR_BLIND]
    weights = (1.0, _FOR_THE_COLOR_BLIND, _FOR_THE_COLOR_BLIND)
    return np.stack(
        [
            weight * (np.cbrt(view @ np.transpose(_TO_CONES)) @ np.transpose(_TO_OKLAB))
            for weight, view in zip(weights, [linear, *blind], strict=True)
        ]
    )


def _distances(seen: Array, color: Array) -> Array:
    """Computes the distances ``(N,)`` of N colours to one colour.

    Each colour is given for three kinds of vision, as the result of `_as_seen`: ``(3, N, 3)`` for
    the N colours and ``(3, 3)`` for the one colour. The smallest of the three distances counts.
    """
    return np.linalg.norm(seen - color[:, np.newaxis], axis=-1).min(axis=0)


def _linear(rgb: Array) -> Array:
    """Converts sRGB values in [0, 1] to linear RGB (IEC 61966-2-1)."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _from_hex(color: str) -> Array:
    return np.frombuffer(bytes.fromhex(color.removeprefix("#")), np.uint8) / 255
