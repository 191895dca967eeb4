"""Reads HDF5 and NeXus files: chooses the dataset and determines its axes."""

import contextlib
import importlib
import math
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.limits import check_limit
from sp_graph_seg.volumes.axes import Layout, resolve_axes
from sp_graph_seg.volumes.formats.arrays import ArrayReader
from sp_graph_seg.volumes.source import Reader, Source, reading, real_dtype

if TYPE_CHECKING:
    import h5py

_MOST_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class Hdf5Source(Source):
    """A dataset in an HDF5 file.

    Attributes:
        dataset: Its path in the file.
        layout: Axes of the dataset.
        others: Other files that hold its values, through external links or virtual datasets.
    """

    dataset: str
    layout: Layout
    others: tuple[Path, ...] = ()

    def open(self) -> Reader:
        """Makes a reader that opens the file at each read: an open HDF5 file is locked."""
        return ArrayReader(self, self._opened, self.layout)

    @contextlib.contextmanager
    def _opened(self) -> "Iterator[h5py.Dataset]":
        with _open(self.file) as file:
            yield file[self.dataset]

    def identity(self) -> tuple[object, ...]:
        """Returns the dataset and its axes."""
        return self.dataset, self.layout.order

    def files(self) -> list[Path]:
        """Lists the file and the files that it refers to."""
        return [self.file, *self.others]


def open_hdf5(path: str, file: Path, inner: str | None, axes: str | None) -> Source:
    """Describes a dataset in an HDF5 or NeXus file.

    Args:
        path: The path that the user gave, for messages.
        file: The file.
        inner: Path of a dataset or group in the file, or None for the root. In a group, the dataset
            is the plot that NeXus declares by ``default`` and ``signal`` if it has three or more
            axes, else the only numeric dataset with three or more.
        axes: The user's letters, or None.

    Returns:
        The description.

    Raises:
        InputError: The dataset does not exist, is not the only one, needs a filter that is not
            installed, or has unknown axes.
    """
    require("h5py")
    import h5py

    with reading(path, "copy or export it again"), _open(file) as root:
        found = root if inner is None else _get(root, inner)
        if found is None:
            raise InputError(f"{path}: {inner} does not exist; {_listing(root)}.")
        if isinstance(found, h5py.Dataset):
            group, dataset = root[posixpath.dirname(inner or "") or "/"], found
        else:
            group, dataset = _choose_dataset(path, found)
        dtype = real_dtype(path, dataset.dtype)
        _check_filters(path, dataset)
        _check_storage(path, dataset)
        layout = resolve_axes(path, dataset.shape, axes, _declared_axes(group, dataset))
        holder = Path(dataset.file.filename).absolute()  # an external link leads to another file
        z_chunk, _, y_chunk, x_chunk = layout.along(dataset.chunks or [1] * dataset.ndim)
        is_chunked = dataset.chunks is not None
        return Hdf5Source(
            path=path,
            file=holder,
            sizes=layout.sizes,
            dtype=dtype,
            chunks=(z_chunk, y_chunk, x_chunk) if is_chunked else layout.runs(),
            stamp=stamp(holder),
            axes=layout.unmeasured(),
            axis_order=layout.spatial,
            dataset=dataset.name,
            layout=layout,
            others=(*([file] if holder != file else []), *_virtual_files(holder, dataset)),
        )


def _open(file: Path) -> "h5py.File":
    """Opens a file for reading, with the filters of hdf5plugin if it is installed."""
    import h5py

    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
    return h5py.File(file, "r")


def _get(group: "h5py.Group", name: str) -> Any:
    """Returns a group or dataset, or None if it is missing or its link is broken."""
    try:
        return group[name]
    except (KeyError, OSError):
        return None


def _choose_dataset(path: str, group: "h5py.Group") -> "tuple[h5py.Group, h5py.Dataset]":
    """Finds the volume in a group: the plot of NeXus, or else the only dataset."""
    plotted = _nexus_plot(group)
    if plotted is not None and _is_volume(plotted[1]):
        return plotted
    volumes = [pair for pair in _datasets(group) if _is_volume(pair[1])]
    if len(volumes) != 1:
        raise InputError(f"{path}: has no dataset in its path; {_listing(group)}.")
    return volumes[0]


def _nexus_plot(group: "h5py.Group") -> "tuple[h5py.Group, h5py.Dataset] | None":
    """Follows ``default`` and ``signal``: https://manual.nexusformat.org/datarules.html."""
    import h5py

    for _ in range(8):  # enough for NXroot, NXentry, NXdata; links may form a circle
        signal = _get(group, _text(group.attrs.get("signal")))
        if isinstance(signal, h5py.Dataset):
            return group, signal
        deeper = _get(group, _text(group.attrs.get("default")))
        if not isinstance(deeper, h5py.Group):
            return None
        group = deeper
    return None


def _text(value: object) -> str:
    """Returns an attribute as text, or an impossible name if it is not text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) and value else "\0"


def _is_volume(dataset: "h5py.Dataset") -> bool:
    return dataset.ndim >= 3 and dataset.dtype.kind in "buif"


def _datasets(group: "h5py.Group") -> "Iterator[tuple[h5py.Group, h5py.Dataset]]":
    """Yields all datasets and their groups, links included, each object once."""
    import h5py

    seen, waiting = set(), [group]
    while waiting:
        parent = waiting.pop(0)
        for name in parent:
            child = _get(parent, name)
            if child is None:
                continue
            info = h5py.h5o.get_info(child.id)
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            if isinstance(child, h5py.Group):
                waiting.append(child)
            elif isinstance(child, h5py.Dataset):
                yield parent, child


def _listing(group: "h5py.Group") -> str:
    """Lists the numeric datasets with two or more axes, as the remedy of a message."""
    found = [
        f"{dataset.name} {dataset.shape} {dataset.dtype}"
        for _, dataset in _datasets(group)
        if dataset.dtype.kind in "buif" and dataset.ndim > 1
    ]
    if not found:
        return "the file holds no numeric dataset of two or more axes, give another file"
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return f"add a dataset after a colon: {', '.join(found[:_MOST_LISTED])}{more}"


def _declared_axes(group: "h5py.Group", dataset: "h5py.Dataset") -> str | None:
    """Returns the axes if NeXus or the dimension labels name them z, y, x, c or t."""
    named = group.attrs.get("axes", ())
    labels = [dimension.label for dimension in dataset.dims]
    for names in ([_text(name) for name in named] if len(named) == dataset.ndim else [], labels):
        letters = "".join(names).lower()
        if len(letters) == len(names) == dataset.ndim == len(set(letters)) and {"y", "x"} <= set(
            letters
        ) <= set("ztcyx"):
            return letters
    return None


def _check_filters(path: str, dataset: "h5py.Dataset") -> None:
    """Refuses a dataset that needs a filter which is not installed."""
    import h5py

    properties = dataset.id.get_create_plist()
    for i in range(properties.get_nfilters()):
        number, _, _, name = properties.get_filter(i)
        if not h5py.h5z.filter_avail(number):
            raise InputError(
                f"{path}: is compressed with the HDF5 filter {number} "
                f"({name.decode(errors='replace')}), which is not installed; "
                "run pip install 'sp_graph_seg[volumes]'."
            )


def _check_storage(path: str, dataset: "h5py.Dataset") -> None:
    """Refuses values that lie outside of HDF5 files, and chunks that memory cannot hold.

    A raw external file could be any file that the user may read, such as a list of passwords.
    """
    if dataset.external:
        raise InputError(
            f"{path}: the values of {dataset.name} lie in {dataset.external[0][0]}, which is not "
            "HDF5; copy them into one file with h5repack."
        )
    itemsize = dataset.dtype.itemsize
    check_limit("bytes in a chunk", math.prod(dataset.chunks or (0,)) * itemsize, path)


def _virtual_files(file: Path, dataset: "h5py.Dataset") -> Iterator[Path]:
    """Lists the existing files that a virtual dataset refers to."""
    if dataset.is_virtual:
        names = sorted({source.file_name for source in dataset.virtual_sources()})
        yield from (file.parent / name for name in names if (file.parent / name).exists())
