"""Slices with known truth: phases, shading, textures, a crack, rare phases; and trivial pictures.

Each is drawn from a seed. The settings of the presets were chosen on seeds 0 to 11; tables score
others.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

SIDE = 320
SLICES = 3

Image = NDArray[np.float32]
Labels = NDArray[np.int64]


class Phantom(NamedTuple):
    """Slices of one sample, all drawn alike."""

    images: list[Image]
    """Each ``(C, H, W)``."""
    truths: list[Labels]
    """Each ``(H, W)``, from 0."""


def blobs(seed: int, noise: float = 0.1) -> Phantom:
    """(a) Two phases in round grains, with partial volume and noise of a third of the contrast."""
    random = np.random.default_rng(seed)
    return _slices(lambda: _two_phases(random, noise))


def shaded(seed: int, noise: float = 0.06) -> Phantom:
    """(b) The same under cupping of 30 % and rings, both of the scanner: alike in all slices."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    radius = np.hypot(rows, columns)
    rings = gaussian_filter1d(random.standard_normal(SIDE), 0.7)
    rings *= 0.06 / rings.std()
    gain = 1 - 0.3 * (1 - np.minimum(1, (radius / (SIDE * 0.7)) ** 2))

    def draw() -> tuple[Image, Labels]:
        image, truth = _two_phases(random, 0.0)
        image = image * gain + np.interp(radius, np.arange(SIDE), rings)
        return image + random.normal(0, noise, image.shape), truth

    return _slices(draw)


def textures(seed: int, noise: float = 0.3) -> Phantom:
    """(c) Fibres along x and along y, of equal mean and variance."""
    random = np.random.default_rng(seed)

    def fibres(spread: tuple[float, float]) -> Image:
        field = gaussian_filter(random.standard_normal((SIDE, SIDE)), spread, mode="wrap")
        return field / field.std()

    def draw() -> tuple[Image, Labels]:
        truth = _grains(random, 22.0, 0.5)
        image = np.where(truth, fibres((1, 8)), fibres((8, 1)))
        return image + noise * random.standard_normal(truth.shape), truth.astype(np.int64)

    return _slices(draw)


def crack(seed: int, noise: float = 0.1) -> Phantom:
    """(d) A dark crack two to five pixels wide, and a branch, as in the paper's Fig. 5a."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]

    def wander(start: float) -> NDArray[np.float64]:
        line = gaussian_filter1d(np.cumsum(random.normal(0, 1, SIDE)), 3)
        return line - line.mean() + start

    def draw() -> tuple[Image, Labels]:
        width = 1.2 + 1.5 * gaussian_filter1d(random.standard_normal(SIDE), 5)
        main = wander(SIDE / 2 + random.normal(0, 10))
        truth = np.abs(rows - main) < np.clip(width, 0.8, 2.5)
        column = int(random.integers(60, SIDE - 60))
        branch = np.abs(columns - wander(column)[:, None]) < 1.2
        truth |= branch & (rows > main[column])
        image = gaussian_filter(np.where(truth, 0.3, 0.7), 0.6)
        image += 0.02 * _field(random, 6) + random.normal(0, noise, truth.shape)
        return image, truth.astype(np.int64)

    return _slices(draw)


def rare(seed: int, noise: float = 0.1) -> Phantom:
    """(e) Three phases of about 80, 18 and 2 %."""
    random = np.random.default_rng(seed)

    def draw() -> tuple[Image, Labels]:
        truth = _grains(random, 7.0, 0.19).astype(np.int64)
        truth[_grains(random, 3.5, 0.02)] = 2
        image = gaussian_filter(np.array([0.35, 0.6, 0.85])[truth], 0.7)
        return image + random.normal(0, noise, truth.shape), truth

    return _slices(draw)


PHANTOMS: dict[str, Callable[[int], Phantom]] = {
    "(a) blobs": blobs,
    "(b) cupping and rings": shaded,
    "(c) textures of equal mean": textures,
    "(d) crack": crack,
    "(e) 80, 18 and 2 %": rare,
}


def trivial(kind: str, channels: int, dtype: str, seed: int, noise: float = 0.2) -> Phantom:
    """A disc, stripes or four steps; the noise is a share of the smallest contrast."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:200, :240]
    truth = {
        "disc": np.hypot(rows - 100, columns - 120) < 60,
        "stripes": columns // 24 % 2,
        "steps": columns // 60,
    }[kind].astype(np.int64)
    count = int(truth.max()) + 1
    colors = np.tile(np.linspace(0.2, 0.8, count)[:, None], channels)
    if channels > 1:
        colors = random.uniform(0.1, 0.9, colors.shape)
    apart = np.sqrt(((colors[:, None] - colors) ** 2).mean(-1))[~np.eye(count, dtype=bool)].min()

    def draw() -> tuple[Image, Labels]:
        image = colors[truth].transpose(2, 0, 1)
        image = image + random.normal(0, noise * apart, image.shape)
        if dtype == "float32":
            return image.astype(np.float32), truth
        largest = np.iinfo(dtype).max
        return (image.clip(0, 1) * largest).astype(dtype).astype(np.float32), truth

    return _slices(draw)


def moving(seed: int, depth: int = 12, noise: float = 0.1) -> Phantom:
    """Two phases whose grains change little from slice to slice, as in a sandstone."""
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.standard_normal((depth, SIDE, SIDE)), (5, 8, 8), mode="wrap")
    images, truths = [], []
    for truth in field > np.median(field):
        image = gaussian_filter(np.where(truth, 0.7, 0.4), 0.8)
        images.append((image + random.normal(0, noise, image.shape)).astype(np.float32)[None])
        truths.append(truth.astype(np.int64))
    return Phantom(images, truths)


def woven(seed: int, side: int = 150, noise: float = 0.1) -> Phantom:
    """A woven composite, slice by slice: matrix, yarns along x, yarns along z.

    A yarn is a bundle of fibres a few voxels thick. Both kinds of yarn are equally bright; only the
    direction of their fibres tells them apart.
    """
    random = np.random.default_rng(seed)
    z, y, x = np.mgrid[:side, :side, :side].astype(np.float32)
    wave = 6 * np.sin(2 * np.pi * x / 90) * np.cos(2 * np.pi * z / 90)
    height = (y + wave) % 50  # two layers
    along_x = (np.abs(height - 13) < 10) & (np.abs(z % 60 - 30) < 26)
    along_z = (np.abs(height - 38) < 10) & (np.abs(x % 60 - 30) < 26)
    image = np.full(x.shape, 0.3, np.float32)
    for yarn, spread in ((along_x, (1.2, 1.2, 12)), (along_z, (12, 1.2, 1.2))):
        fibres = gaussian_filter(random.standard_normal(x.shape).astype(np.float32), spread)
        image[yarn] = (0.6 + 0.15 * fibres / fibres.std())[yarn]
    image = gaussian_filter(image, 0.7) + random.normal(0, noise, x.shape)
    truths = along_x + 2 * along_z.astype(np.int64)
    return Phantom(list(image.astype(np.float32)[:, None]), list(truths))


def _slices(draw: Callable[[], tuple[NDArray, Labels]]) -> Phantom:
    pairs = [draw() for _ in range(SLICES)]
    images = [image if image.ndim == 3 else image[None] for image, _ in pairs]
    return Phantom([image.astype(np.float32) for image in images], [truth for _, truth in pairs])


def _two_phases(random: np.random.Generator, noise: float) -> tuple[Image, Labels]:
    truth = _grains(random, 5.0, 0.5)
    image = gaussian_filter(np.where(truth, 0.7, 0.4), 0.8)
    return image + random.normal(0, noise, image.shape), truth.astype(np.int64)


def _field(random: np.random.Generator, sigma: float) -> NDArray[np.float64]:
    field = gaussian_filter(random.standard_normal((SIDE, SIDE)), sigma, mode="wrap")
    return field / field.std()


def _grains(random: np.random.Generator, sigma: float, share: float) -> NDArray[np.bool_]:
    field = _field(random, sigma)
    return field > np.quantile(field, 1 - share)
