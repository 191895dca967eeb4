"""Slices of a volume as images: float32, with their intensities as they are in the file."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import Volume


def read_slices(volume: Volume, start: int, stop: int) -> NDArray[np.float32]:
    """The slices from ``start`` to before ``stop``, ``(n, C, H, W)``.

    As floats they are taken as measurements; integers would be divided by the largest of their
    type, and no longer fit the range of the volume.

    Raises:
        InputError: A slice cannot be read, or holds NaN or infinite values.
    """
    with np.errstate(over="ignore"):  # what does not fit is Inf and refused
        images = volume.read(start, stop).astype(np.float32)
    if volume.dtype.kind == "f":
        for number, image in enumerate(images, start):
            bad = image.size - int(np.count_nonzero(np.isfinite(image)))
            if bad:
                raise InputError(
                    f"{volume.path}: {bad} of {image.size} values of slice {number} are NaN or "
                    "infinite; read them as a number with --fill, or leave the slice out"
                )
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


def find_unusable(volume: Volume) -> dict[int, str]:
    """The slices that cannot be used, and why; every slice is read."""
    if volume.dtype.kind != "f":
        return dict(volume.check())
    unusable: dict[int, str] = {}
    for block in volume.blocks():
        for _ in read_usable(volume, *block, unusable):
            pass
    return unusable


@dataclass(frozen=True, repr=False)
class UsableSlices(Volume):
    """A volume that leaves out some slices when it is iterated over.

    Attributes:
        unusable: Their numbers.
    """

    unusable: frozenset[int]

    def __iter__(self) -> Iterator[np.ndarray]:
        """The other slices, one by one."""
        return (self[number] for number in range(len(self)) if number not in self.unusable)


def leave_out(volume: Volume, unusable: frozenset[int]) -> Volume:
    """The volume without these slices when it is iterated over; their numbers stay."""
    return UsableSlices(**vars(volume), unusable=unusable) if unusable else volume
