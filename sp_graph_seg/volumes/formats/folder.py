"""Reads folders that hold one image file for each slice or frame."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sp_graph_seg.errors import InputError, MissingSlicesWarning
from sp_graph_seg.io.decoding import TIFF_MAGICS, read_header
from sp_graph_seg.io.pillow import decode_pillow
from sp_graph_seg.io.tiff import decode_tiff
from sp_graph_seg.volumes.axes import check_axes_of_files, checked_letters, one_slice
from sp_graph_seg.volumes.formats.tiff import tiff_axes
from sp_graph_seg.volumes.geometry import UNKNOWN, Axes, Axis
from sp_graph_seg.volumes.sidecar import geometry_beside
from sp_graph_seg.volumes.source import PlaneReader, Reader, Source, reading, real_dtype

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
    *(".jp2", ".pgm", ".ppm", ".pnm", ".tga"),
)
_MOST_CHANNELS = 4
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, kw_only=True)
class FolderSource(Source):
    """A folder of image files, one for each slice.

    Attributes:
        names: The names of the files in natural order, in which 2 comes before 10.
    """

    names: tuple[str, ...]

    def open(self) -> Reader:
        """Returns a reader that keeps no file open."""
        return _FolderReader(self)

    def files(self) -> list[Path]:
        """Lists the image files."""
        return [self.file / name for name in self.names]


class _FolderReader(PlaneReader):
    """A reader that decodes one file for each slice."""

    def __init__(self, source: FolderSource) -> None:
        self.source: FolderSource = source

    def plane(self, z: int, channels: range) -> np.ndarray:
        """Decodes the given channels of slice z from its file. Returns ``(c, H, W)``.

        Raises:
            InputError: The file cannot be read, or its size or type differs from the first file.
        """
        source = self.source
        array = _decode(source.file / source.names[z])
        _check_like(source, z, array.shape, array.dtype)
        return array[channels.start : channels.stop]

    def problem(self, z: int, quick: bool) -> str | None:
        """Returns why slice z cannot be used, or None if it can be used.

        The file is decoded. With ``quick``, only its header is read.
        """
        file = self.source.file / self.source.names[z]
        if not quick:
            return super().problem(z, quick)
        try:
            size = _size_in_header(file)
            if size not in (self.source.sizes[2:], self.source.sizes[:1:-1]):  # it may be rotated
                _check_like(self.source, z, (self.source.sizes[1], *size), self.source.dtype)
        except InputError as error:
            return str(error)
        return None


def open_folder(path: str, folder: Path, axes: str | None) -> Source:
    """Returns a description of a folder of slices.

    Args:
        path: The path that the user gave, for messages.
        folder: The folder. Hidden files and files without an image suffix are ignored.
        axes: The axis letters that the user gave, or None. They must begin with z or t, because
            the files are the slices.

    Returns:
        The description. Its size and type are the size and type of the first file.

    Raises:
        InputError: The folder holds no image, or only one while ``axes`` is None. The first image
            cannot be read or is a stack. Or two files have the same number, or the same name with
            different suffixes.

    Warns:
        MissingSlicesWarning: The numbers in the names of the files have gaps.
    """
    files = sorted(file.name for file in folder.iterdir())
    names = [
        name
        for name in files
        if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
    ]
    if not names:
        found = f"holds no image, only {_some(files)}" if files else "is an empty folder"
        raise InputError(f"{path}: {found}; give a folder of image files (PNG, TIFF, JPEG, ...).")
    names.sort(key=natural_key)
    first = _decode(folder / names[0])
    letters = None if axes is None else checked_letters(axes)
    check_axes_of_files(path, letters)
    if letters is None and len(names) == 1:
        raise one_slice(path, (1, *first.shape))
    if len(first) > _MOST_CHANNELS and not (letters and "c" in letters):
        raise InputError(
            f"{folder / names[0]}: has {len(first)} channels or pages; give the path of this file "
            f'if it holds a stack of {len(first)} slices, or give axes="zcyx" if it holds one '
            f"slice of {len(first)} channels."
        )
    _check_numbers(path, names)
    channels, height, width = first.shape
    return FolderSource(
        path=path,
        file=folder,
        sizes=(len(names), channels, height, width),
        dtype=first.dtype,
        chunks=(1, height, width),
        axes=_measured(folder / names[0], "t" if letters and letters[0] == "t" else "z"),
        skips_slices=_skips_numbers(names),
        names=tuple(names),
    )


def _measured(file: Path, slices: str) -> Axes:
    """Returns the axes that this library noted in the folder, or that a TIFF file declares."""
    noted = geometry_beside(file.parent)
    if noted is not None:
        return noted.sorted().stored()
    with reading(file):
        if read_header(file).startswith(TIFF_MAGICS):
            from tifffile import TiffFile

            with TiffFile(file) as tif:
                return tiff_axes(tif, 0, slices)
    return Axis(slices), *UNKNOWN[1:]


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Returns a key that sorts names by their numbers, so that 2 comes before 10."""
    parts = _NUMBER.split(name)  # text and numbers in turn
    return [int(part) if i % 2 else part.lower() for i, part in enumerate(parts)], name


def number_of_each(names: Sequence[str]) -> list[int] | None:
    """Returns the number in each name if the names differ in one number only, else None."""
    split = [_NUMBER.split(Path(name).stem) for name in names]
    if len({tuple(parts[::2]) for parts in split}) > 1:
        return None
    columns = zip(*(map(int, parts[1::2]) for parts in split), strict=True)
    varying = [column for column in columns if len(set(column)) > 1]
    return list(varying[0]) if len(varying) == 1 else None


def _skips_numbers(names: Sequence[str]) -> bool:
    """Returns whether the numbers in the names of the files have gaps."""
    numbers = number_of_each(names)
    return numbers is not None and max(numbers) - min(numbers) >= len(numbers)


def _check_numbers(path: str, names: Sequence[str]) -> None:
    """Raises an InputError if two files have the same name without suffix, or the same number.

    If numbers are missing, it warns.
    """
    stems = Counter(Path(name).stem for name in names)
    (stem, count), *_ = stems.most_common(1)
    if count > 1:
        raise InputError(
            f"{path}: holds {count} files with the name {stem} and different suffixes; keep only "
            "one of them."
        )
    numbers = number_of_each(names)
    if numbers is None:
        return
    number, count = Counter(numbers).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"{path}: holds {count} files with the number {number} in their names; keep only one "
            "of them."
        )
    numbers.sort()
    steps = np.diff(numbers)
    missing = (numbers[-1] - numbers[0]) // int(steps.min()) + 1 - len(numbers)
    if missing > 0:
        before = numbers[int(np.argmax(steps > steps.min()))]
        warnings.warn(
            f"{path}: {missing} of the numbers {numbers[0]} to {numbers[-1]} are missing in the "
            f"file names (the first gap comes after {before}), but the {len(numbers)} files are "
            "read as consecutive slices; add the missing files if they exist.",
            MissingSlicesWarning,
            stacklevel=5,  # the caller of open_volume
        )


def _decode(file: Path) -> np.ndarray:
    """Decodes an image file to ``(C, H, W)`` without changing the type of its values."""
    with reading(file):
        header = read_header(file)
        decode = decode_tiff if header.startswith(TIFF_MAGICS) else decode_pillow
        array = decode(file, header)
        return array.astype(real_dtype(str(file), array.dtype), copy=False)


def _size_in_header(file: Path) -> tuple[int, int]:
    """Reads the height and width of an image without decoding it."""
    with reading(file):
        if read_header(file).startswith(TIFF_MAGICS):
            from tifffile import TiffFile

            with TiffFile(file) as tif:
                page = tif.pages.first
                return page.imagelength, page.imagewidth
        from PIL import Image

        with Image.open(file) as image:
            return image.height, image.width


def _check_like(source: FolderSource, z: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raises an InputError if a slice differs from the first slice in size or type."""
    if (shape, dtype) != (source.sizes[1:], source.dtype):
        channels, height, width = source.sizes[1:]
        raise InputError(
            f"{source.file / source.names[z]}: slice {z} has the type {dtype} and the size "
            f"{_size(shape)} (channels x height x width), but {source.names[0]} has the type "
            f"{source.dtype} and the size {_size((channels, height, width))}; export all slices "
            "with one size and type."
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _some(names: Sequence[str], most: int = 5) -> str:
    """Joins the first few names, and adds how many others there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
