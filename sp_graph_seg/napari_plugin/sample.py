"""Sample data: a small scan that is computed, so that nothing is downloaded."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

LayerData = tuple[Any, dict[str, Any], str]

#: Edge of a voxel of the scan, in micrometres.
VOXEL = 1.3


def make_sample() -> list[LayerData]:
    """Makes the layer of a scan ``(40, 160, 160)``: pores, a matrix, and grains with rims."""
    about = {"name": "three phases", "scale": (VOXEL,) * 3, "units": ("micrometer",) * 3}
    return [(make_scan(), {**about, "axis_labels": ("z", "y", "x")}, "image")]


def make_scan(shape: tuple[int, int, int] = (40, 160, 160), seed: int = 0) -> NDArray[np.uint8]:
    """Computes grey values of a porous material with grains, blurred and with noise.

    Args:
        shape: ``(D, H, W)``.
        seed: Seed of the random places and of the noise.

    Returns:
        The scan: pores at about 60, the matrix at 100, rims of grains at 140, and grains at 180.
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
