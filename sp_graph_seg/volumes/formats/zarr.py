"""Reads Zarr 2, Zarr 3 and OME-Zarr stores. Chooses the array and finds its axes and spacing."""

import math
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sp_graph_seg.errors import AmbiguousInputError, InputError
from sp_graph_seg.extras import require
from sp_graph_seg.limits import check_limit
from sp_graph_seg.volumes.axes import Layout, resolve_axes
from sp_graph_seg.volumes.formats.arrays import ArrayReader
from sp_graph_seg.volumes.geometry import Axes, Axis, measured_axis
from sp_graph_seg.volumes.source import Reader, Source, reading, real_dtype

if TYPE_CHECKING:
    import zarr

MARKERS = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
"""Each folder that is a Zarr array or group holds one of these files."""

_MOST_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class ZarrSource(Source):
    """An array in a Zarr store.

    Attributes:
        array: The path of the array in the store.
        layout: The axes of the array.
    """

    array: str
    layout: Layout

    def open(self) -> Reader:
        """Opens the store and returns a reader of the array."""
        import zarr

        with reading(self.path):
            array = zarr.open_array(_store(self.file), mode="r", path=self.array)
        return ArrayReader(self, lambda: nullcontext(array), self.layout)

    def identity(self) -> tuple[object, ...]:
        """Returns the path of the array and its axes."""
        return self.array, self.layout.order

    def files(self) -> list[Path]:
        """Lists the files that hold the metadata and chunks of the array.

        For a store in a ZIP file, lists only the ZIP file.
        """
        if self.file.is_file():
            return [self.file]
        return sorted(file for file in (self.file / self.array).rglob("*") if file.is_file())


class _Declared(NamedTuple):
    """The names, spacing, origin and units that are declared for the axes of an array."""

    names: Sequence[str]
    scale: Sequence[float] | None = None
    translation: Sequence[float] = ()
    units: Sequence[str | None] = ()


def open_zarr(path: str, folder: Path, inner: str | None, axes: str | None) -> Source:
    """Returns a description of an array in a Zarr store.

    Args:
        path: The path that the user gave, for messages.
        folder: The store, which is a folder or a ZIP file.
        inner: The path of an array or group in the store, or None for the root. If a group is an
            OME-Zarr image, or holds exactly one, level 0 of this image is read. Level 0 has the
            full resolution. In other groups, the only numeric array with three or more axes is
            read. If no array has three or more axes, the only numeric array with two axes is
            read.
        axes: The axis letters that the user gave, or None.

    Returns:
        The description.

    Raises:
        InputError: The array does not exist or has unknown axes, or several arrays are possible.
    """
    require("zarr")
    import zarr

    name = (inner or "").strip("/")
    with reading(path, "copy or export it again"):
        root = open_root(folder)
        found = root if not name else _get(root, name)
        if found is None:
            raise InputError(f"{path}: /{name} does not exist; {_listing(root)}.")
        array = found if isinstance(found, zarr.Array) else _choose_array(path, found)
        inside = array.path.strip("/")
        dtype = real_dtype(path, np.dtype(array.dtype))
        chunk = array.shards or array.chunks
        check_limit("bytes in a chunk", math.prod(chunk) * dtype.itemsize, path)
        declared = _declared(folder, root, inside.removeprefix(root.path).strip("/"), array)
        letters = declared and _letters(declared.names)
        layout = resolve_axes(path, array.shape, axes, letters, may_be_one=True)
        z_chunk, _, y_chunk, x_chunk = layout.along(chunk)
        return ZarrSource(
            path=path,
            file=folder,
            sizes=layout.sizes,
            dtype=dtype,
            chunks=(z_chunk, y_chunk, x_chunk),
            axes=_measured(layout, declared),
            axis_order=layout.spatial,
            array=inside,
            layout=layout,
        )


def open_root(file: Path) -> "zarr.Array | zarr.Group":
    """Opens the array or group at the root of a Zarr store, which is a folder or in a ZIP file."""
    import zarr

    return zarr.open(_store(file), mode="r", path="" if file.is_dir() else _top(file))


def _store(file: Path) -> "Path | zarr.storage.StoreLike":
    """Returns a store that zarr can open: the folder, or the store in a ZIP file."""
    if file.is_dir():
        return file
    from zarr.storage import ZipStore

    return ZipStore(file, mode="r")


def holds_zarr(file: Path) -> bool:
    """Returns whether a ZIP file holds a Zarr array or group."""
    with zipfile.ZipFile(file) as archive:
        return any(PurePosixPath(name).name in MARKERS for name in archive.namelist())


def _top(file: Path) -> str:
    """Returns the folder in a ZIP file that is the root of its Zarr store.

    The result is an empty text if the root of the store is the root of the ZIP file.
    """
    with zipfile.ZipFile(file) as archive:
        paths = map(PurePosixPath, archive.namelist())
        tops = [path.parent for path in paths if path.name in MARKERS]
    top = min(tops, key=lambda path: len(path.parts))
    return "" if top == PurePosixPath(".") else str(top)


def _get(root: Any, name: str) -> Any:
    """Returns the array or group ``name``, or None if it does not exist."""
    try:
        return root[name]
    except (KeyError, AttributeError, IndexError, TypeError, ValueError):
        return None


def _multiscales(group: "zarr.Group") -> Mapping[str, Any] | None:
    """Returns the metadata of the first image in an OME-Zarr group, or None if there is no image.

    In OME-Zarr 0.5, the metadata are stored under "ome".
    """
    attributes: Mapping[str, Any] = group.attrs.asdict()
    images = attributes.get("ome", attributes).get("multiscales")
    return images[0] if images else None


def _choose_array(path: str, group: "zarr.Group") -> "zarr.Array":
    """Chooses the array to read in a group.

    In an OME-Zarr image, this is the array with the full resolution. In any other group, it is the
    only array that can be a volume.
    """
    import zarr

    image = _multiscales(group)
    if image is None:
        groups = (g for _, g in group.members(max_depth=None) if isinstance(g, zarr.Group))
        images = [inner for inner in groups if _is_image(inner)]
        if len(images) == 1:  # such as one written by bioformats2raw
            group, image = images[0], _multiscales(images[0])
    if image is not None:
        array = _get(group, image["datasets"][0]["path"])
        if isinstance(array, zarr.Array):
            return array
        raise InputError(
            f"{path}: has an OME-Zarr image whose full resolution (level 0) is missing; "
            f"{_listing(group)}."
        )
    arrays = [a for a in _arrays(group) if np.dtype(a.dtype).kind in "buif"]
    volumes = [a for a in arrays if a.ndim >= 3] or [a for a in arrays if a.ndim == 2]
    if len(volumes) != 1:
        raise AmbiguousInputError(
            f"{path}: does not say which array to read; {_listing(group)}.",
            [f"/{array.path}" for array in volumes],
        )
    return volumes[0]


def _is_image(group: "zarr.Group") -> bool:
    """Returns whether a group is an OME-Zarr image.

    A group that holds the labels of an image does not count as an image.
    """
    return _multiscales(group) is not None and "labels" not in PurePosixPath(group.path).parts


def _arrays(group: Any) -> "list[zarr.Array]":
    """Lists the arrays in a group and in its subgroups."""
    import zarr

    if isinstance(group, zarr.Array):
        return [group]
    members = (member for _, member in group.members(max_depth=None))
    arrays = [member for member in members if isinstance(member, zarr.Array)]
    return sorted(arrays, key=lambda array: array.path)


def _listing(group: Any) -> str:
    """Lists the arrays with two or more axes, for the end of a message."""
    found = [f"/{a.path} {a.shape} {a.dtype}" for a in _arrays(group) if a.ndim > 1]
    if not found:
        return "give another store, because this one has no array with two or more axes"
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    names = ", ".join(found[:_MOST_LISTED])
    return f"add one of these arrays to the path, after a colon: {names}{more}"


def _declared(folder: Path, root: Any, inside: str, array: "zarr.Array") -> _Declared | None:
    """Reads what is declared about the axes of an array, or returns None if nothing is declared.

    The metadata of the OME-Zarr image are used if there are any. Otherwise, the dimension names of
    the array are used.
    """
    import zarr

    if inside:
        above, _, level = inside.rpartition("/")
        group = root[above] if above else root
    else:  # the user gave the folder of a level
        group, level = None, folder.name
        if folder.is_dir() and any((folder.parent / marker).exists() for marker in MARKERS):
            group = zarr.open(folder.parent, mode="r")
    image = _multiscales(group) if isinstance(group, zarr.Group) else None
    if image is not None:
        for dataset in image["datasets"]:
            if dataset["path"].strip("/") == level:
                return _ome_axes(image, dataset, array.ndim)
    names: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get(
        "_ARRAY_DIMENSIONS"
    )
    return _Declared(names) if names and all(names) else None


def _ome_axes(image: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int) -> _Declared:
    """Reads where the voxels of a level of an OME-Zarr image lie.

    The transformations of the level are applied before the transformations of the image.
    """
    # From 0.4 on, dictionaries; in 0.3, names; before, always t, c, z, y, x.
    axes = [a if isinstance(a, Mapping) else {"name": a} for a in image.get("axes", "tczyx")]
    scale, shift, is_known = np.ones(ndim), np.zeros(ndim), False
    for holder in (dataset, image):
        for transformation in holder.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale":
                scale, shift = (values * transformation["scale"] for values in (scale, shift))
                is_known = True
            elif "translation" in transformation:
                shift = shift + transformation["translation"]
    names, units = [str(axis["name"]) for axis in axes], [axis.get("unit") for axis in axes]
    # A scale is required; a scale of 1 without a unit says that nothing is known.
    is_known = is_known and not (set(units) == {None} and set(scale) == {1.0})
    return _Declared(names, scale.tolist() if is_known else None, shift.tolist(), units)


def _letters(names: Sequence[str]) -> str | None:
    """Joins axis names to letters such as "zyx". Returns None if a name is not z, t, c, y or x."""
    letters = "".join(names)
    known = {"y", "x"} <= set(letters.lower()) <= set("ztcyx")
    return letters if len(letters) == len(names) == len(set(letters)) and known else None


def _measured(layout: Layout, declared: _Declared | None) -> Axes:
    """Returns the axes z (or t), y and x of the array with their declared spacing."""
    unknown = layout.unmeasured()
    if declared is None or declared.scale is None:
        return unknown
    named = dict(zip(layout.order, declared.names, strict=True))
    wanted = (layout.slices, "y", "x")
    if any(named.get(place, name) != name for place, name in zip("zyx", wanted, strict=True)):
        return unknown  # the user named the axes differently
    z, y, x = (_axis(name, declared) for name in wanted)
    return z, y, x


def _axis(name: str, declared: _Declared) -> Axis:
    """Returns an axis with its declared spacing, or without a spacing if none is declared."""
    if declared.scale is None or name not in declared.names:
        return Axis(name)
    place = list(declared.names).index(name)
    return measured_axis(
        name, declared.scale[place], declared.units[place], declared.translation[place]
    )
