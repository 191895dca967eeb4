"""Masks a volume, so that only the scanned object (the sample) counts as data."""

import math
from collections.abc import Iterator, Mapping
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

#: How many slices are read to find out what air looks like, or where slices have no data.
_LOOKED_AT = 9

#: Slices have no data where they are constant, if this share of the other pixels or less has the
#: same value, and the others have more different values than this.
_SAME = 0.01
_FEW_VALUES = 16


class SampleMask(Protocol):
    """The interface of masks. A mask is true where a slice shows the scanned object."""

    def inside(self, images: NDArray, start: int) -> Mask:
        """Returns the mask of n consecutive slices of a volume.

        Args:
            images: The slices, ``(n, C, H, W)``.
            start: The number of the first slice in the volume.

        Returns:
            A mask ``(n, H, W)``, true inside of the sample.
        """

    def identity(self) -> Mapping[str, Any]:
        """Returns JSON values that identify the mask. Different masks have different values."""


@dataclass(frozen=True)
class AirMask:
    """A mask that is false in the air around the sample, and true everywhere else."""

    air: Air

    def inside(self, images: NDArray, start: int) -> Mask:
        """Finds the sample in each slice and returns it as a mask ``(n, H, W)``."""
        return np.stack([self.air.sample(image.astype(np.float32)) for image in images])

    def identity(self) -> Mapping[str, Any]:
        """Returns the attributes of :class:`Air`."""
        return vars(self.air)


@dataclass(frozen=True)
class PictureMask:
    """A mask that is the same for all slices. It is read from an image file.

    The image is 0 outside of the sample.
    """

    path: Path

    def inside(self, images: NDArray, start: int) -> Mask:
        """Returns the mask in the image file for every slice."""
        return np.broadcast_to(_read_picture(self.path), (len(images), *images.shape[2:]))

    def identity(self) -> Mapping[str, Any]:
        """Returns a hash of the image file."""
        return {"picture": fingerprint(mask=self.path.read_bytes())}


@dataclass(frozen=True, eq=False)
class FixedMask:
    """A mask ``(H, W)`` that is the same for all slices."""

    picture: Mask

    def inside(self, images: NDArray, start: int) -> Mask:
        """Returns the mask for every slice."""
        return np.broadcast_to(self.picture, (len(images), *images.shape[2:]))

    def identity(self) -> Mapping[str, Any]:
        """Returns a hash of the mask."""
        return {"fixed": fingerprint(mask=np.packbits(self.picture).tobytes())}


@dataclass(frozen=True)
class VolumeMask:
    """A mask that differs from slice to slice. It is read from a mask volume of the same size.

    The mask volume is 0 outside of the sample.
    """

    volume: Volume

    def inside(self, images: NDArray, start: int) -> Mask:
        """Reads the masks of the given slices from the mask volume."""
        return (self.volume.read(start, start + len(images)) != 0).any(axis=1)

    def identity(self) -> Mapping[str, Any]:
        """Returns the fingerprint of the volume that holds the mask."""
        return {"volume": self.volume.fingerprint()}


@dataclass(frozen=True, repr=False, kw_only=True)
class MaskedVolume(Volume):
    """A volume with a mask. Pixels outside of the sample get the ``fill`` value of the volume.

    If the volume was opened without a ``fill`` value, they become NaN.

    Attributes:
        whole: The volume without a mask.
        mask: The mask, which is true inside of the sample.
    """

    whole: Volume
    mask: SampleMask

    @property
    def dtype(self) -> np.dtype:
        """The type of the values: the type of the volume if it is a float type, else float32."""
        stored = self.whole.dtype
        return stored if stored.kind == "f" else np.dtype(np.float32)

    def read(self, start: int, stop: int) -> NDArray:
        """Reads slices like :meth:`Volume.read`, and replaces pixels outside of the sample.

        If the volume was opened with a ``fill`` value, all pixels without data get this value:
        those outside of the sample, and NaN and infinite values inside of it. Without a ``fill``
        value, pixels outside of the sample become NaN. NaN inside of the sample then becomes Inf,
        so that it is not mistaken for the outside. Functions that use the slices refuse Inf.
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
        """Raises an InputError, because the mask of a volume cannot be cropped."""
        raise InputError(
            f"{self.path}: cannot be cropped, because it has a mask; open a crop of the volume and "
            "the same crop of the mask, and mask the cropped volume."
        )

    def fingerprint(self) -> str:
        """Returns a text that identifies the volume and mask, like :meth:`Volume.fingerprint`."""
        return fingerprint(volume=self.whole.fingerprint(), mask=dict(self.mask.identity()))


def mask_volume(volume: Volume, mask: Volume | Path | Air | Mask) -> MaskedVolume:
    """Masks a volume, so that only the scanned object (the sample) counts as data.

    Pixels outside of the sample are not used for the intensity range or for training, and they get
    no labels.

    Args:
        volume: The volume.
        mask: There are four kinds of masks. A volume holds one mask for each slice. The path of
            an image file, or an array ``(H, W)``, gives one mask for all slices. The result of
            :func:`find_air_around` masks the air. A volume, image or array must be 0 outside of
            the sample.

    Raises:
        InputError: The mask and the volume differ in size, or the image is 0 everywhere.
    """
    source: SampleMask
    if isinstance(mask, Volume):
        name, source, size = mask.path, VolumeMask(mask), (len(mask), mask.height, mask.width)
    elif isinstance(mask, Air):
        name, source, size = "", AirMask(mask), (0, volume.height, volume.width)
    elif isinstance(mask, np.ndarray):
        name, source, size = "mask", FixedMask(mask != 0), (0, *mask.shape)
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
    """Finds out what the air around the scanned object looks like.

    Returns None if there is no air. Nine slices are read. Slices that cannot be read are left out.
    """
    return find_air([image.astype(np.float32) for image in _look_at(volume)])


def find_data(volume: Volume) -> Mask | None:
    """Finds the pixels that have data, as a mask ``(H, W)`` that is the same for all slices.

    Many reconstructions are constant outside of a circle. This constant is not measured. It is
    recognised if it surrounds the same pixels in all slices, is rare among these pixels, and these
    pixels have many different values, other than a drawing. Nine slices are read.

    Returns:
        The mask. It is None if slices have data everywhere.
    """
    found: Mask | None = None
    for image in _look_at(volume):
        inside = _surrounded(image)
        values = image[:, inside]
        if inside.all() or not inside.any() or len(np.unique(values)) <= _FEW_VALUES:
            return None
        is_same = (values == image[:, :1, 0]).all(axis=0)
        if is_same.mean() > _SAME or (found is not None and (found != inside).any()):
            return None
        found = inside
    return found


def _surrounded(image: NDArray) -> Mask:
    """Finds the pixels of a slice that the constant value of its corners does not reach.

    All are surrounded if the corners have different values.
    """
    from scipy import ndimage

    corners = image[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    constant = (image == image[:, :1, :1]).all(axis=0)
    if (corners != corners[:, :1]).any():
        return np.ones_like(constant)
    parts, _ = ndimage.label(constant)
    return ~np.isin(parts, parts[[0, 0, -1, -1], [0, -1, 0, -1]])


def _look_at(volume: Volume) -> Iterator[NDArray]:
    """Reads nine slices at equal distances. Slices that cannot be read are left out."""
    last = len(volume) - 1
    for number in sorted({round(last * n / (_LOOKED_AT + 1)) for n in range(1, _LOOKED_AT + 1)}):
        with suppress(InputError):
            yield volume.with_nan()[number]


@lru_cache(maxsize=2)
def _read_picture(path: Path) -> Mask:
    inside = read_labels(path) != 0
    if not inside.any():
        raise InputError(f"{path}: is 0 everywhere; set the pixels with data to 1 in the mask.")
    return inside
