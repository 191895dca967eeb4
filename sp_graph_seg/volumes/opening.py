"""Opens volumes and videos: detects the format and selects the part to read."""

import math
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sp_graph_seg.errors import AssumedSpacingWarning, InputError
from sp_graph_seg.io.decoding import TIFF_MAGICS, read_header
from sp_graph_seg.io.labels import NPY_MAGIC
from sp_graph_seg.volumes.formats.arrays import open_npy
from sp_graph_seg.volumes.formats.folder import IMAGE_SUFFIXES, open_folder
from sp_graph_seg.volumes.formats.hdf5 import open_hdf5
from sp_graph_seg.volumes.formats.nrrd import MAGIC as NRRD_MAGIC
from sp_graph_seg.volumes.formats.nrrd import open_nrrd
from sp_graph_seg.volumes.formats.tiff import open_tiff
from sp_graph_seg.volumes.formats.video import SUFFIXES as VIDEO_SUFFIXES
from sp_graph_seg.volumes.formats.video import open_video
from sp_graph_seg.volumes.formats.vti import open_vti
from sp_graph_seg.volumes.formats.zarr import MARKERS, holds_zarr, open_zarr
from sp_graph_seg.volumes.geometry import Axes, Spacing, measured_axis
from sp_graph_seg.volumes.selection import (
    VIEWS,
    Crop,
    choose_axis,
    choose_binning,
    choose_channels,
    choose_crop,
    choose_range,
)
from sp_graph_seg.volumes.source import Source
from sp_graph_seg.volumes.volume import Volume

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".nxs", ".nx5", ".mat", ".nc")
#: Suffixes that only volumes and videos have.
VOLUME_SUFFIXES = (
    *_HDF5_SUFFIXES,
    *VIDEO_SUFFIXES,
    ".zarr",
    ".npy",
    ".nrrd",
    ".nhdr",
    ".vti",
    ".zip",
)
_VIDEO_MAGICS = ((4, b"ftyp"), (4, b"moov"), (0, b"\x1a\x45\xdf\xa3"), (8, b"AVI "), (0, b"GIF8"))
_DOUBLE_ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr", ".zarr.zip")


def open_volume(
    path: str | os.PathLike[str],
    *,
    axes: str | None = None,
    axis: str | int = "z",
    crop: str | Crop | None = None,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
    binning: int | tuple[int, int, int] = 1,
    channels: int | Sequence[int] | None = None,
    fill: float | None = None,
    spacing: Spacing | None = None,
    unit: str | None = None,
) -> Volume:
    """Opens a volume or a video without reading its values.

    The format is detected from the content, not from the name: TIFF stacks (BigTIFF, ImageJ, OME),
    folders of image files in natural order, HDF5 and NeXus (``scan.nxs:/entry/data/data``), Zarr
    and OME-Zarr (``scan.zarr:/0``), ``.npy``, and videos (MP4, MOV, AVI, MKV, WebM, GIF, ...). A
    dataset, an array or the number of a TIFF series follows the path after a colon.

    The options apply in this order: axis, start to step, crop, channels, binning. Slices, rows and
    columns that do not fill a bin at the end are left out.

    Args:
        path: The file or folder, and the dataset, array or series in it.
        axes: The meaning of the stored axes, one letter each: z or t (slices, frames), c
            (channels), y and x; such as "zyx", "tyxc", "zcyx", "yxz". Required if the file does not
            declare its axes, and used instead of what it declares. It also allows a volume of one
            slice, which is otherwise refused as an image. (default: what the file declares; plain
            pages, files and frames are slices; an array of three axes is "zyx" unless the first or
            last has length 3 or 4)
        axis: The axis perpendicular to the slices: "z", "y" or "x" (or 0, 1, 2). Rows and columns
            are y and x for z, z and x for y, z and y for x.
        crop: ``((top, bottom), (left, right))`` or "10:200,30:400": the rows and columns to read.
        start: The first slice. (default: 0)
        stop: The slice after the last one. (default: the end)
        step: Read every step-th slice.
        binning: How many rows and columns are averaged into one, or three numbers for slices, rows
            and columns. (default: 1, none)
        channels: The channels to read. (default: all but alpha)
        fill: A number that replaces NaN and infinite values, such as those outside the circle of
            a reconstruction. A volume with such values cannot be segmented without it. (default:
            they are kept)
        spacing: The distances of the stored voxels along z, y and x, instead of what the file
            declares; along t, seconds. (default: what it declares)
        unit: Their unit, such as "um".

    Returns:
        The volume.

    Raises:
        InputError: The path does not exist or holds no volume, its axes are unknown, it is visibly
            damaged without decoding it, or an option does not suit it.

    Warns:
        MissingSlicesWarning: Some numbers are missing in the names of a folder's files.
        AssumedSpacingWarning: The file declares the size of its pixels but no distance of slices,
            so voxels are taken for cubes.

    Example:
        >>> volume = open_volume("scan.tif", axis="y", crop="10:200,30:400")  # doctest: +SKIP
    """
    if fill is not None and not math.isfinite(fill):
        raise InputError(
            f"fill={fill}: is not finite; give a number in the units of the volume, such as 0."
        )
    source = _open_source(os.fspath(path), axes)
    source = replace(source, axes=_choose_spacing(source, spacing, unit))
    letter = choose_axis(axis)
    lengths = dict(zip("zcyx", source.sizes, strict=True))
    slices, rows, columns = (lengths[a] for a in VIEWS[letter])
    vertical, horizontal = choose_crop(crop)
    parts = (
        choose_range("slices", slices, (start, stop), step),
        choose_range("crop, rows", rows, vertical),
        choose_range("crop, columns", columns, horizontal),
    )
    return Volume(
        source,
        _name(_split(os.fspath(path))[0]),
        letter,
        *parts,
        choose_channels(source.sizes[1], channels),
        choose_binning(binning, parts),
        fill,
    )


def open_labels(
    path: str | os.PathLike[str],
    *,
    axes: str | None = None,
    spacing: Spacing | None = None,
    unit: str | None = None,
) -> Volume:
    """Opens labels of a volume: one channel of integers, or of floats that are whole numbers.

    Args:
        path: The file or folder, as in :func:`open_volume`.
        axes: The meaning of the stored axes, as in :func:`open_volume`.
        spacing: The distances of the stored voxels along z, y and x.
        unit: The unit of the distances.

    Returns:
        The volume. Reading a float that is not whole raises an error.

    Raises:
        InputError: The path holds no volume of one channel, or its first slice has floats that are
            not whole numbers.
    """
    volume = open_volume(path, axes=axes, spacing=spacing, unit=unit)
    if volume.channels != 1:
        raise InputError(
            f"{path}: holds {volume.channels} channels, not labels; give the output of segment or "
            "predict."
        )
    if volume.dtype.kind != "f":
        return volume
    labels = replace(volume, are_labels=True)
    labels[0]  # refuses most images that are no labels at once
    return labels


def open_like(path: str | os.PathLike[str], part: Mapping[str, Any]) -> Volume:
    """Opens the same part of a volume that was read before.

    Its slices are along z (or t), whatever the axis was before. So they match the slices of the
    stored labels of that part.

    Args:
        path: The volume.
        part: The part that was read, see :attr:`Volume.part_read`; empty for the whole volume.

    Raises:
        InputError: As in :func:`open_volume`, or the part has a step along y or x.
    """
    if not part:
        return open_volume(path)
    ranges = (part["slices"], part["rows"], part["columns"])
    sides = zip(part["axes"], ranges, part["binning"], strict=True)
    of = {"z" if name == "t" else name: (tuple(ends), count) for name, ends, count in sides}
    ((start, stop, step), deep), (rows, high), (columns, wide) = (of[name] for name in "zyx")
    if rows[2] != 1 or columns[2] != 1:
        raise InputError(
            f"{path}: was read with a step along y or x, which cannot be done with slices along z; "
            "save the part that was read as a file, and give that file."
        )
    return open_volume(
        path,
        start=start,
        stop=stop,
        step=step,
        crop=(rows[:2], columns[:2]),
        channels=part["channels"],
        binning=(deep, high, wide),
    )


def _choose_spacing(source: Source, spacing: Spacing | None, unit: str | None) -> Axes:
    """Returns the axes with the user's spacing, or else that of the file."""
    slices, y, x = source.axes
    if spacing is not None:
        values = list(spacing)
        named = zip((slices.name, "y", "x"), values, strict=False)
        axes = [measured_axis(n, length, "s" if n == "t" else unit) for n, length in named]
        if len(values) != 3 or any(axis.spacing is None for axis in axes):
            raise InputError(
                f"spacing: {tuple(values)} {unit or ''} is not a voxel size; give three positive "
                "numbers along z, y and x, and a unit of length, such as um or mm."
            )
        return axes[0], axes[1], axes[2]
    is_known = slices.name == "t" or slices.spacing is not None
    if not (is_known or source.skips_slices) and y.spacing == x.spacing is not None:
        warnings.warn(
            f"{source.path}: declares pixels of {x.spacing:g} {x.unit or ''} but no distance of "
            "slices, so voxels are taken for cubes; give --spacing and --unit if they are not.",
            AssumedSpacingWarning,
            stacklevel=3,  # the caller of open_volume
        )
        return replace(x, name="z", origin=0.0), y, x
    return source.axes


def _open_source(path: str, axes: str | None) -> Source:
    """Detects the format of a path and opens it."""
    file, inner = _split(path)
    if file.is_dir():
        if any((file / marker).exists() for marker in MARKERS):
            return open_zarr(path, file, inner, axes)
        _refuse_inner(path, inner)
        return open_folder(path, file, axes)
    header, suffix = read_header(file), file.suffix.lower()
    if header.startswith(TIFF_MAGICS):
        return open_tiff(path, file, inner, axes)
    if header.startswith(_HDF5_MAGIC) or suffix in _HDF5_SUFFIXES:
        return open_hdf5(path, file, inner, axes)
    if zipfile.is_zipfile(file) and holds_zarr(file):
        return open_zarr(path, file, inner, axes)
    _refuse_inner(path, inner)
    if header.startswith(NPY_MAGIC):
        return open_npy(path, file, axes)
    if header.startswith(NRRD_MAGIC):
        return open_nrrd(path, file, axes)
    if suffix == ".vti":
        return open_vti(path, file, axes)
    is_video = any(header[at:].startswith(magic) for at, magic in _VIDEO_MAGICS)
    if is_video or suffix in VIDEO_SUFFIXES:
        return open_video(path, file, axes)
    if suffix in IMAGE_SUFFIXES:
        raise InputError(f"{path}: is one image; read it as an image, or give its folder.")
    raise InputError(
        f"{path}: is not a volume or video of a known format; give a TIFF stack, an HDF5, Zarr or "
        ".npy file, a video, or a folder of images."
    )


def _split(path: str) -> tuple[Path, str | None]:
    """Splits ``file:inner`` into an existing file and the rest."""
    colons = [i for i, letter in enumerate(path) if letter == ":"]
    for end in (len(path), *reversed(colons)):
        if end and os.path.exists(path[:end]):
            return Path(path[:end]).absolute(), path[end:].lstrip(":") or None
    raise InputError(f"{path}: does not exist; check the path.")


def _refuse_inner(path: str, inner: str | None) -> None:
    """Refuses a part after the colon for formats without parts."""
    if inner is not None:
        raise InputError(
            f"{path}: has no part {inner!r}, as its format has no parts; leave out the colon "
            "and what follows it."
        )


def _name(file: Path) -> str:
    """Returns the name of a file or folder without its suffix."""
    for ending in _DOUBLE_ENDINGS:
        if file.name.lower().endswith(ending):
            return file.name[: -len(ending)]
    return file.name if file.is_dir() and file.suffix.lower() != ".zarr" else file.stem
