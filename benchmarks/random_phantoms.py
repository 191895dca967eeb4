"""Slices with truth whose shapes, contrasts, noise, shading and file types are drawn at random.

No setting was chosen on the seeds that the table scores. They show what to expect of other data.
The shapes of "the same, shaded" are those of "two to four phases".
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from phantoms import Phantom
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree

SIDE = 192
SLICES = 3

Field = NDArray[np.float64]
Labels = NDArray[np.int64]
Random = np.random.Generator


def grains(random: Random) -> tuple[Labels, Field]:
    """Two to four phases in polygons or round grains; the greatest step is at most 2.5 times the
    smallest.
    """
    phases = int(random.integers(2, 5))
    truth = _polygons(random, phases) if random.random() < 0.5 else _mixture(random, phases)
    return truth, _levels(random, phases)


def rare(random: Random) -> tuple[Labels, Field]:
    """Three phases, of which one covers 0.5 to 5 %, the brightest or the darkest."""
    truth = _mixture(random, 2)
    share = np.exp(random.uniform(np.log(0.005), np.log(0.05)))
    truth[_balls(random, share, random.uniform(3, 7))] = 2
    levels = _levels(random, 3)
    return truth, levels if random.random() < 0.5 else levels.max() - levels


def crack(random: Random) -> tuple[Labels, Field]:
    """One to three cracks 1.5 to 4 pixels wide, straight or crooked, dark or bright."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    width = random.uniform(1.5, 4)
    truth = np.zeros((SLICES, SIDE, SIDE), np.int64)
    for _ in range(random.integers(1, 4)):
        angle, start = random.uniform(0, np.pi), random.uniform(-0.25, 0.25) * SIDE
        bends = 40 * gaussian_filter1d(random.standard_normal(2 * SIDE), 8) * random.integers(2)
        drift = random.uniform(-1.5, 1.5)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        across = rows * np.cos(angle) - columns * np.sin(angle)
        middle = start + np.interp(along, np.arange(2 * SIDE) - SIDE, bends)
        for number in range(SLICES):
            truth[number] |= np.abs(across - middle - drift * number) < width / 2
    return truth, np.array([0.0, 1.0]) if random.random() < 0.5 else np.array([1.0, 0.0])


KINDS: dict[str, Callable[[Random], tuple[Labels, Field]]] = {
    "two to four phases": grains,
    "the same, shaded": grains,
    "a rare phase": rare,
    "cracks": crack,
}

#: The greatest noise of each kind, as a share of the smallest step between two phases.
_NOISE = {"two to four phases": 0.6, "the same, shaded": 0.35, "a rare phase": 0.4, "cracks": 0.45}


def draw(kind: str, seed: int) -> Phantom:
    """Slices of one sample: noise from 5 %, white or smoothed, and values of any type and range.

    With shading, there are cupping of 10 to 40 % and, in two of three drawings, rings.
    """
    random = np.random.default_rng(seed)
    truths, levels = KINDS[kind](random)
    noise, blur = random.uniform(0.05, _NOISE[kind]), random.uniform(0.4, 1.0)
    smoothed = random.choice([0.0, random.uniform(0.6, 1.3)])
    if kind == "the same, shaded":
        levels = levels + random.uniform(0.6, 2)
    images = gaussian_filter(levels[truths], (0, blur, blur))
    if kind == "the same, shaded":
        images = _shade(random, images)
    grain = gaussian_filter(random.standard_normal(images.shape), (0, smoothed, smoothed))
    images += noise * grain / grain.std()
    low, high = np.quantile(images, (0.001, 0.999))
    offset, scale, dtype = [
        (30, 195, "uint8"), (1000, 40000, "uint16"), (30000, 1000, "uint16"),
        (0.1, 0.8, "float32"), (-1000, 1800, "float32"), (0, 2e-4, "float32"),
    ][random.integers(6)]  # fmt: skip
    values = offset + scale * (images - low) / (high - low)
    if dtype != "float32":
        values = np.clip(np.rint(values), 0, np.iinfo(dtype).max)
    return Phantom(list(values.astype(np.float32)[:, None]), list(truths))


def _levels(random: Random, phases: int) -> Field:
    steps = random.uniform(1, 2.5, phases - 1)
    return np.append(0, np.cumsum(steps / steps.min()))


def _polygons(random: Random, phases: int) -> Labels:
    """Cells of 30 to 200 random points; the phase of each point is drawn."""
    count = int(random.integers(30, 200))
    points = random.uniform(0, 1, (count, 3)) * (2 * SLICES, SIDE, SIDE)
    owners = random.choice(phases, count, p=random.dirichlet(np.full(phases, 4.0)))
    owners[:phases] = np.arange(phases)
    pixels = np.moveaxis(np.mgrid[:SLICES, :SIDE, :SIDE], 0, -1).reshape(-1, 3) * (2, 1, 1)
    return owners[cKDTree(points).query(pixels)[1]].reshape(SLICES, SIDE, SIDE)


def _mixture(random: Random, phases: int) -> Labels:
    """Round grains of all phases but one in the matrix of the last; any of them is the darkest."""
    truth = np.zeros((SLICES, SIDE, SIDE), np.int64)
    for phase in range(1, phases):
        truth[_balls(random, random.uniform(0.06, 0.25), random.uniform(4, 16))] = phase
    return random.permutation(phases)[truth]


def _balls(random: Random, share: float, radius: float) -> NDArray[np.bool_]:
    """Ellipsoids of about one radius, until they cover a share of the volume."""
    covered = np.zeros((SLICES, SIDE, SIDE), bool)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    while covered.mean() < share:
        row, column = random.uniform(0, SIDE, 2)
        slice_, angle = random.uniform(-2, SLICES + 2), random.uniform(0, np.pi)
        long = radius * random.uniform(0.6, 1.5)
        short = long * random.uniform(0.6, 1)
        along = (columns - column) * np.cos(angle) + (rows - row) * np.sin(angle)
        across = (rows - row) * np.cos(angle) - (columns - column) * np.sin(angle)
        for number in range(SLICES):
            left = 1 - (2 * (number - slice_) / long) ** 2
            covered[number] |= (along / long) ** 2 + (across / short) ** 2 < left
    return covered


def _shade(random: Random, images: Field) -> Field:
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(rows, columns)
    images = images * (1 - random.uniform(0.1, 0.4) * (1 - (radius / radius.max()) ** 2))
    if random.random() < 1 / 3:
        return images
    profile = random.standard_normal(SIDE) * (random.random(SIDE) < random.uniform(0.1, 1))
    profile = gaussian_filter1d(profile, 0.6)
    profile *= random.uniform(0.1, 0.4) / profile.std()
    return images + np.interp(radius, np.arange(SIDE), profile)
