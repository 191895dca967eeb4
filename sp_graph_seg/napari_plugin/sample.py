"""Makes the sample data, a small scan. It is computed, and not downloaded."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

LayerData = tuple[Any, dict[str, Any], str]

#: Edge of a voxel of the scan, in micrometres.
VOXEL = 1.3


def make_sample() -> list[LayerData]:
    """Makes an image layer of a computed scan ``(40, 160, 160)``, see :func:`make_scan`."""
    about = {"name": "three phases", "scale": (VOXEL,) * 3, "units": ("micrometer",) * 3}
    return [(make_scan(), {**about, "axis_labels": ("z", "y", "x")}, "image")]


def make_scan(shape: tuple[int, int, int] = (40, 160, 160), seed: int = 0) -> NDArray[np.uint8]:
    """Computes a scan of an artificial porous material with grains, with blur and noise.

    Args:
        shape: ``(D, H, W)``.
        seed: Seed of the random positions of pores and grains, and of the noise.

    Returns:
        The grey values: about 60 in pores, 100 in the matrix, 140 in rims of grains, and 180 inside
        grains.
    """
    rng = np.random.default_rng(seed)
    grains = _blobs(rng, shape, size=7.0, share=0.22)
    pores = _blobs(rng, shape, size=4.0, share=0.16) & ~grains
    rims = grains & (distance_transform_edt(grains) <= 2)
    scan = np.full(shape, 100.0)
    for mask, grey in ((pores, 60.0), (grains, 180.0), (rims, 140.0)):
        scan[mask] = grey
    noisy = gaussian_filter(scan, 0.6) + rng.normal(0, 9, shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _blobs(
    rng: np.random.Generator, shape: tuple[int, int, int], size: float, share: float
) -> NDArray[np.bool_]:
    """Draws smooth blobs that take a share of the volume."""
    field = gaussian_filter(rng.normal(size=shape), size, mode="wrap")
    return field > np.quantile(field, 1 - share)
