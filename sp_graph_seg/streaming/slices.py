"""Slices of a volume as images: float32, in the units of the file, NaN where there is no data."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import Volume
from sp_graph_seg.volumes.intensity import check_finite


def read_slices(volume: Volume, start: int, stop: int) -> NDArray[np.float32]:
    """The slices from ``start`` to before ``stop``, ``(n, C, H, W)``.

    Where the volume has a ``fill``, NaN and infinite values are NaN: they are no data.

    Raises:
        InputError: A slice cannot be read, or holds NaN or infinite values that no ``fill`` allows.
    """
    with np.errstate(over="ignore"):  # what does not fit is Inf and refused
        images = volume.with_nan().read(start, stop).astype(np.float32)
    if volume.dtype.kind == "f":
        for number, image in enumerate(images, start):
            check_finite(image, volume, number)
    return images


def read_slice(volume: Volume, number: int) -> NDArray[np.float32]:
    """One slice, ``(C, H, W)``; takes and raises what :func:`read_slices` does."""
    return read_slices(volume, number, number + 1)[0]


def read_usable(
    volume: Volume, start: int, stop: int, unusable: dict[int, str]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The slices with their numbers; those that cannot be used are noted with the reason."""
    try:
        images = read_slices(volume, start, stop)
    except InputError:
        images = None
    if images is not None:
        yield from enumerate(images, start)
        return
    for number in range(start, stop):
        try:
            image = read_slice(volume, number)
        except InputError as error:
            unusable[number] = str(error)
            continue
        yield number, image
