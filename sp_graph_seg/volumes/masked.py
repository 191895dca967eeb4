"""A volume of which only the sample counts: what lies outside has no data."""

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

#: Slices that are looked at to find out what air looks like.
_LOOKED_AT = 9


class SampleMask(Protocol):
    """Where the sample is in each slice."""

    def inside(self, images: NDArray, start: int) -> Mask:
        """Computes the pixels of the sample, ``(n, H, W)``, of slices ``(n, C, H, W)``."""

    def identity(self) -> Mapping[str, Any]:
        """Returns what identifies the mask, as JSON values."""


@dataclass(frozen=True)
class AirMask:
    """The sample is what air does not surround."""

    air: Air

    def inside(self, images: NDArray, start: int) -> Mask:
        """Finds the sample in each slice."""
        return np.stack([self.air.sample(image.astype(np.float32)) for image in images])

    def identity(self) -> Mapping[str, Any]:
        """Returns what air looks like."""
        return vars(self.air)


@dataclass(frozen=True)
class PictureMask:
    """One picture for all slices, which is 0 outside of the sample."""

    path: Path

    def inside(self, images: NDArray, start: int) -> Mask:
        """Repeats the picture."""
        return np.broadcast_to(_read_picture(self.path), (len(images), *images.shape[2:]))

    def identity(self) -> Mapping[str, Any]:
        """Returns the hash of the picture."""
        return {"picture": fingerprint(mask=self.path.read_bytes())}


@dataclass(frozen=True)
class VolumeMask:
    """A volume with a mask for each slice, which is 0 outside of the sample."""

    volume: Volume

    def inside(self, images: NDArray, start: int) -> Mask:
        """Reads the masks of these slices."""
        return (self.volume.read(start, start + len(images)) != 0).any(axis=1)

    def identity(self) -> Mapping[str, Any]:
        """Returns the fingerprint of the volume."""
        return {"volume": self.volume.fingerprint()}


@dataclass(frozen=True, repr=False, kw_only=True)
class MaskedVolume(Volume):
    """A volume whose pixels outside of the sample read as its ``fill``, or NaN.

    Attributes:
        whole: The volume without a mask.
        mask: Where the sample is.
    """

    whole: Volume
    mask: SampleMask

    @property
    def dtype(self) -> np.dtype:
        """The type of the values: that of the volume if it has NaN, else float32."""
        stored = self.whole.dtype
        return stored if stored.kind == "f" else np.dtype(np.float32)

    def read(self, start: int, stop: int) -> NDArray:
        """Reads slices as :meth:`Volume.read`, without what lies outside of the sample.

        NaN and infinite values inside of it become Inf where the volume has no ``fill``, so that
        they are refused and not taken for air.
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
        """Is not possible, because a mask belongs to whole slices."""
        raise InputError(f"{self.path}: has a mask; crop the volume and its mask when opening.")

    def fingerprint(self) -> str:
        """Identifies the volume and its mask, see :meth:`Volume.fingerprint`."""
        return fingerprint(volume=self.whole.fingerprint(), mask=dict(self.mask.identity()))


def mask_volume(volume: Volume, mask: Volume | Path | Air) -> MaskedVolume:
    """Leaves what is outside of the sample out of range, training and labels.

    Args:
        volume: The volume.
        mask: A volume with a mask for each slice, the file of a picture for all slices, 0 outside
            of the sample in both, or what air looks like, from :func:`find_air_around`.

    Raises:
        InputError: The size of the mask is not that of the slices, or the picture is 0 everywhere.
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
            f"{name}: has {own} pixels, but {volume.path} has {other}; give a mask of the size "
            "of what is read."
        )
    values = {field.name: getattr(volume, field.name) for field in fields(Volume)}
    values["fill"] = math.nan if volume.fill is None else volume.fill
    return MaskedVolume(**values, whole=volume, mask=source)


def find_air_around(volume: Volume) -> Air | None:
    """Finds what the air around the sample looks like, in nine slices; ``None`` without air.

    Slices that cannot be read are left out.
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
