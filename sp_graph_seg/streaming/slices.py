"""Slices of a volume as images: float32, with their intensities as they are in the file."""

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.io import Volume


def read_slices(volume: Volume, start: int, stop: int) -> NDArray[np.float32]:
    """The slices from ``start`` to before ``stop``, ``(n, C, H, W)``.

    As floats they are taken as measurements; integers would be divided by the largest of their
    type, and no longer fit the range of the volume.
    """
    return volume.read(start, stop).astype(np.float32)


def read_slice(volume: Volume, number: int) -> NDArray[np.float32]:
    """One slice, ``(C, H, W)``."""
    return volume[number].astype(np.float32)
