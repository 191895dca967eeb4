"""Masks a volume: only the scanned object (the sample) counts, and all around it is no data."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.io import read_labels
from sp_graph_seg.io.fingerprint import fingerprint
from sp_graph_seg.volumes.air import Air, find_air
from sp_graph_seg.volumes.volume import Volume

Mask = NDArray[np.bool_]

#: How many slices are read to find out what air looks like.
_LOOKED_AT = 9


class SampleMask(Protocol):
    """Tells which pixels of each slice show the scanned object (the sample)."""

    def inside(self, images: NDArray, start: int) -> Mask:
        """Finds the sample in n slices.

        Args:
            images: The slices, ``(n, C, H, W)``.
            start: The number of the first of them in the volume.

        Returns:
            A mask ``(n, H, W)``, true inside of the sample.
        """

    def identity(self) -> Mapping[str, Any]:
        """Returns JSON values that differ between different masks."""


@dataclass(frozen=True)
class AirMask:
    """A mask of everything but the air around the sample."""

    air: Air

    def inside(self, images: NDArray, start: int) -> Mask:
        """Finds the sample in each slice."""
        return np.stack([self.air.sample(image.astype(np.float32)) for image in images])

    def identity(self) -> Mapping[str, Any]:
        """Returns the attributes of :class:`Air`."""
        return vars(self.air)


@dataclass(frozen=True)
class PictureMask:
    """A mask from an image file that is 0 outside of the sample, the same for all slices."""

    path: Path

    def inside(self, images: NDArray, start: int) -> Mask:
        """Returns the mask in the image file for every slice."""
        return np.broadcast_to(_read_picture(self.path), (len(images), *images.shape[2:]))

    def identity(self) -> Mapping[str, Any]:
        """Returns a hash of the image file."""
        return {"picture": fingerprint(mask=self.path.read_bytes())}


@dataclass(frozen=True)
class VolumeMask:
    """A mask from a volume that is 0 outside of the sample, another one for each slice."""

    volume: Volume

    def inside(self, images: NDArray, start: int) -> Mask:
        """Reads the slices of the mask with the same numbers."""
        return (self.volume.read(start, start + len(images)) != 0).any(axis=1)

    def identity(self) -> Mapping[str, Any]:
        """Returns the fingerprint of the volume that holds the mask."""
        return {"volume": self.volume.fingerprint()}


@dataclass(frozen=True, repr=False, kw_only=True)
class MaskedVolume(Volume):
    """A volume whose pixels outside of the sample read as its ``fill``, or NaN.

    Attributes:
        whole: The volume without a mask.
        mask: The mask, which is true inside of the sample.
    """

    whole: Volume
    mask: SampleMask

    @property
    def dtype(self) -> np.dtype:
        """The type of the values: that of the volume if it is a float type, else float32."""
        stored = self.whole.dtype
        return stored if stored.kind == "f" else np.dtype(np.float32)

    def read(self, start: int, stop: int) -> NDArray:
        """Reads slices as :meth:`Volume.read`, without data outside of the sample.

        If the volume has no ``fill``, NaN and infinite values inside of the sample become Inf.
        They are then refused, and not mistaken for pixels outside of the sample.
        """
        images = self.whole.with_nan().read(start, stop)
        inside = self.mask.inside(images, start)[:, None]
        values = images.astype(self.dtype)
        if self.whole.fill is None and values.dtype.kind == "f":
            values[inside & ~np.isfinite(values)] = np.inf
        values[np.broadcast_to(~inside, values.shape)] = np.nan
        if self.fill is not None and not math.isnan(self.fill):
            values[np.isnan(values)] = self.fill
        return values

    def part(self, rows: slice, columns: slice) -> Volume:
        """Raises an InputError, because a mask belongs to whole slices."""
        raise InputError(
            f"{self.path}: cannot be cropped, as it has a mask; open a crop of the volume and of "
            "the mask."
        )

    def fingerprint(self) -> str:
        """Identifies the volume and its mask, see :meth:`Volume.fingerprint`."""
        return fingerprint(volume=self.whole.fingerprint(), mask=dict(self.mask.identity()))


def mask_volume(volume: Volume, mask: Volume | Path | Air) -> MaskedVolume:
    """Masks a volume, so that all but the scanned object (the sample) is no data.

    What lies outside of the sample then enters neither the intensity range nor training, and gets
    no labels.

    Args:
        volume: The volume.
        mask: A volume with a mask for each slice; the path of an image file with one mask for all
            slices; or what air looks like, from :func:`find_air_around`. The volume and the image
            are 0 outside of the sample.

    Raises:
        InputError: The mask has another size than the volume, or the image is 0 everywhere.
    """
    source: SampleMask
    if isinstance(mask, Volume):
        name, source, size = mask.path, VolumeMask(mask), (len(mask), mask.height, mask.width)
    elif isinstance(mask, Air):
        name, source, size = "", AirMask(mask), (0, volume.height, volume.width)
    else:
        name, source, size = (
            str(mask),
            PictureMask(mask.absolute()),
            (0, *_read_picture(mask).shape),
        )
    wanted = (size[0] and len(volume), volume.height, volume.width)
    if size != wanted:
        own, other = ("x".join(str(n) for n in sizes if n) for sizes in (size, wanted))
        raise InputError(
            f"{name}: has {own} pixels, but {volume.path} has {other}; give a mask of the "
            "same size."
        )
    values = {field.name: getattr(volume, field.name) for field in fields(Volume)}
    values["fill"] = math.nan if volume.fill is None else volume.fill
    return MaskedVolume(**values, whole=volume, mask=source)


def find_air_around(volume: Volume) -> Air | None:
    """Finds what the air around the scanned object looks like; ``None`` if there is no air.

    Nine slices are read. Those that cannot be read are left out.
    """
    last = len(volume) - 1
    numbers = {round(last * part / (_LOOKED_AT + 1)) for part in range(1, _LOOKED_AT + 1)}
    slices = []
    for number in sorted(numbers):
        with suppress(InputError):
            slices.append(volume.with_nan()[number].astype(np.float32))
    return find_air(slices)


@lru_cache(maxsize=2)
def _read_picture(path: Path) -> Mask:
    inside = read_labels(path) != 0
    if not inside.any():
        raise InputError(f"{path}: is 0 everywhere; mark the pixels with data.")
    return inside
