"""Opens volumes and videos. Detects the format and selects the part to read."""

import math
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sp_graph_seg.errors import AssumedSpacingWarning, InputError, OneImageError
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

    The format is detected from the content of the file. These formats can be read: TIFF stacks
    (BigTIFF, ImageJ, OME), folders of image files in natural order, HDF5 and NeXus, Zarr and
    OME-Zarr, ``.npy``, NRRD, VTK image data (``.vti``), and videos (MP4, MOV, AVI, MKV, WebM, GIF,
    ...). To choose a dataset, an array or the number of a TIFF series in a file, add it to the path
    after a colon: ``scan.nxs:/entry/data/data``, ``scan.zarr:/0`` or ``scan.tif:1``.

    The options are applied in this order: ``axis``, ``start`` to ``step``, ``crop``, ``channels``,
    ``binning``. Slices, rows and columns at the end that do not fill a bin are left out.

    Args:
        path: The file or folder. It can be followed by a colon and the dataset, array or series.
        axes: The meaning of the stored axes, one letter for each: z or t (slices, frames), c
            (channels), y and x. Examples are "zyx", "tyxc", "zcyx" and "yxz". Required if the
            file does not declare its axes. If the file declares axes, the letters replace them.
            A file that would be refused because it holds one image is read as a volume of one
            slice if ``axes`` is given. (default: the axes that the file declares. If it declares
            none, each page, file or frame is a slice. An array of three axes is "zyx", unless its
            first or last axis has length 3 or 4)
        axis: The axis perpendicular to the slices: "z", "y" or "x" (or 0, 1, 2). The rows and
            columns of a slice are y and x for "z", z and x for "y", and z and y for "x".
        crop: The rows and columns to read, as ``((top, bottom), (left, right))`` or as a text
            such as "10:200,30:400". (default: all)
        start: The first slice. (default: 0)
        stop: The slice after the last one that is read. (default: the number of slices)
        step: Only every step-th slice is read. (default: 1, every slice)
        binning: How many rows and columns are averaged into one, or three numbers for slices,
            rows and columns. (default: 1, no averaging)
        channels: The numbers of the channels to read. (default: all except alpha)
        fill: A number that replaces NaN and infinite values, such as the values outside the
            circle of a reconstruction. Without it, a volume with such values cannot be segmented.
            (default: the values are kept)
        spacing: The distances between neighbouring stored voxels along z, y and x. If the slices
            are frames, the first number is a time in seconds. (default: the distances that the
            file declares)
        unit: The unit of ``spacing``, such as "um".

    Returns:
        The volume.

    Raises:
        InputError: The path does not exist or does not hold a volume. The axes are unknown. The
            file is damaged in a way that shows without decoding it. Or an option does not fit
            the volume.

    Warns:
        MissingSlicesWarning: The numbers in the names of the files in a folder have gaps.
        AssumedSpacingWarning: The file declares the size of its pixels but no distance between
            slices. The voxels are then taken for cubes.

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
    """Opens stored labels: one channel of integers, or of floats that are whole numbers.

    One image is opened as a volume of one slice.

    Args:
        path: The file or folder, as in :func:`open_volume`.
        axes: The meaning of the stored axes, as in :func:`open_volume`.
        spacing: The distances between neighbouring stored voxels along z, y and x.
        unit: The unit of the distances.

    Returns:
        The labels as a volume. Reading a slice raises an InputError if a float in the slice is not
        a whole number.

    Raises:
        InputError: The path does not hold a volume of one channel, or its first slice has floats
            that are not whole numbers.
    """
    try:
        volume = open_volume(path, axes=axes, spacing=spacing, unit=unit)
    except OneImageError as one:
        volume = open_volume(path, axes=one.axes, spacing=spacing, unit=unit)
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
    """Opens a volume again, with only the part that was read before.

    For example, this opens the part of a scan from which stored labels were made. The slices are
    counted along z (or t), even if they were counted along another axis before. Stored labels are
    opened along z too, so the slices of both match.

    Args:
        path: The path of the volume.
        part: The part that was read, see :attr:`Volume.part_read`. If it is empty, the whole
            volume is opened.

    Raises:
        InputError: The volume cannot be opened, as in :func:`open_volume`. Or the part has a step
            along y or x.
    """
    if not part:
        return open_volume(path)
    ranges = (part["slices"], part["rows"], part["columns"])
    sides = zip(part["axes"], ranges, part["binning"], strict=True)
    of = {"z" if name == "t" else name: (tuple(ends), count) for name, ends, count in sides}
    ((start, stop, step), deep), (rows, high), (columns, wide) = (of[name] for name in "zyx")
    if rows[2] != 1 or columns[2] != 1:
        raise InputError(
            f"{path}: was read with a step along y or x, so only every n-th pixel was taken, and "
            "these pixels cannot be opened as slices along z; save them as a file, and give this "
            "file."
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
    """Returns the axes with the spacing that the user gave, or else with the declared spacing."""
    slices, y, x = source.axes
    if spacing is not None:
        values = list(spacing)
        named = zip((slices.name, "y", "x"), values, strict=False)
        axes = [measured_axis(n, length, "s" if n == "t" else unit) for n, length in named]
        if len(values) != 3 or any(axis.spacing is None for axis in axes):
            raise InputError(
                f"spacing: {tuple(values)} {unit or ''} is not a voxel size; give three positive "
                "distances along z, y and x, and a unit of length, such as um or mm."
            )
        return axes[0], axes[1], axes[2]
    is_known = slices.name == "t" or slices.spacing is not None
    if not (is_known or source.skips_slices) and y.spacing == x.spacing is not None:
        warnings.warn(
            f"{source.path}: declares pixels of {x.spacing:g} {x.unit or ''} but no distance "
            "between slices, so the voxels are taken for cubes; give --spacing and --unit if the "
            "voxels are not cubes.",
            AssumedSpacingWarning,
            stacklevel=3,  # the caller of open_volume
        )
        return replace(x, name="z", origin=0.0), y, x
    return source.axes


def _open_source(path: str, axes: str | None) -> Source:
    """Detects the format of a file or folder, and returns a description of its volume."""
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
        raise InputError(
            f"{path}: is one image and not a volume; read it as an image, or give the folder of "
            "all slices."
        )
    raise InputError(
        f"{path}: is not a volume or video of a known format; give a TIFF stack, an HDF5, Zarr or "
        ".npy file, a video, or a folder of images."
    )


def _split(path: str) -> tuple[Path, str | None]:
    """Splits ``file:inner`` into an existing file and the text after the colon.

    Without a text after a colon, the second result is None.
    """
    colons = [i for i, letter in enumerate(path) if letter == ":"]
    for end in (len(path), *reversed(colons)):
        if end and os.path.exists(path[:end]):
            return Path(path[:end]).absolute(), path[end:].lstrip(":") or None
    raise InputError(f"{path}: does not exist; check the path.")


def _refuse_inner(path: str, inner: str | None) -> None:
    """Raises an InputError if a dataset or series is given for a format that has none."""
    if inner is not None:
        raise InputError(
            f"{path}: has a format without datasets or series, so {inner!r} cannot be chosen in "
            "it; leave out the colon and the text after it."
        )


def _name(file: Path) -> str:
    """Returns the name of a file or folder without its suffix."""
    for ending in _DOUBLE_ENDINGS:
        if file.name.lower().endswith(ending):
            return file.name[: -len(ending)]
    return file.name if file.is_dir() and file.suffix.lower() != ".zarr" else file.stem
