"""Reads slices as float32 images, in the units of the file, with NaN for pixels without data."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import Volume
from sp_graph_seg.volumes.intensity import check_finite


def read_slices(volume: Volume, start: int, stop: int) -> NDArray[np.float32]:
    """Reads the slices ``start`` to ``stop - 1`` as an array ``(n, C, H, W)``.

    If the volume has a ``fill``, NaN and infinite values mark pixels without data and become NaN.

    Raises:
        InputError: A slice cannot be read, or holds NaN or infinite values although the volume has
            no ``fill``.
    """
    with np.errstate(over="ignore"):  # values beyond float32 become Inf and are refused
        images = volume.with_nan().read(start, stop).astype(np.float32)
    if volume.dtype.kind == "f":
        for number, image in enumerate(images, start):
            check_finite(image, volume, number)
    return images


def read_slice(volume: Volume, number: int) -> NDArray[np.float32]:
    """Reads one slice like :func:`read_slices`, as an array ``(C, H, W)``."""
    return read_slices(volume, number, number + 1)[0]


def read_usable(
    volume: Volume, start: int, stop: int, unusable: dict[int, str]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yields the usable slices with their numbers.

    The numbers of all other slices are added to ``unusable``, with the reasons.
    """
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
