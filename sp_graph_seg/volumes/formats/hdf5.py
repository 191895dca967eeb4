"""Reads HDF5 and NeXus files. Chooses the dataset and determines its axes."""

import contextlib
import importlib
import math
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.errors import AmbiguousInputError, InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.fingerprint import stamp
from sp_graph_seg.limits import check_limit
from sp_graph_seg.volumes.axes import Layout, resolve_axes
from sp_graph_seg.volumes.formats.arrays import ArrayReader
from sp_graph_seg.volumes.formats.hdf5_gaps import source_file, unwritten_slices
from sp_graph_seg.volumes.formats.nexus import (
    axis_letters,
    axis_names,
    get,
    measured_axes,
    nexus_plot,
)
from sp_graph_seg.volumes.source import Reader, Source, StoredCrop, reading, real_dtype

if TYPE_CHECKING:
    import h5py

_MOST_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class Hdf5Source(Source):
    """A dataset in an HDF5 file.

    Attributes:
        dataset: The path of the dataset in the file.
        layout: The axes of the dataset.
        others: Other files that are needed to read the dataset, because it is reached through
            an external link or is a virtual dataset.
    """

    dataset: str
    layout: Layout
    others: tuple[Path, ...] = ()

    def open(self) -> Reader:
        """Returns a reader that opens the file for each read and then closes it.

        An HDF5 file is locked while it is open.
        """
        return _Hdf5Reader(self, self._opened, self.layout)

    @contextlib.contextmanager
    def _opened(self) -> "Iterator[h5py.Dataset]":
        with _open(self.file) as file:
            yield file[self.dataset]

    def identity(self) -> tuple[object, ...]:
        """Returns the path of the dataset and its axes."""
        return self.dataset, self.layout.order

    def files(self) -> list[Path]:
        """Lists the file of the dataset and the other files that are needed to read it."""
        return [self.file, *self.others]


class _Hdf5Reader(ArrayReader):
    """A reader that refuses slices that were never written.

    HDF5 would read such slices as a constant, without an error.
    """

    _source: Hdf5Source

    def read_into(self, crop: StoredCrop, out: np.ndarray) -> None:
        """Reads a crop into ``out``. Raises an InputError if a slice of it was never written."""
        bad = next((z for z in crop.z if z in self._unwritten), None)
        if bad is not None:
            raise self._error(bad)
        super().read_into(crop, out)

    def problems(self, slices: range, quick: bool) -> Iterator[tuple[int, str]]:
        """Yields the number of each slice that cannot be used, and the reason.

        With ``quick``, only slices that were never written are found, and nothing is decoded.
        """
        found = {z: str(self._error(z)) for z in slices if z in self._unwritten}
        yield from ((z, why) for z, why in super().problems(slices, quick) if z not in found)
        yield from found.items()

    @cached_property
    def _unwritten(self) -> dict[int, str]:
        order = self._layout.order
        with reading(self._source.path), self._opened() as dataset:
            return unwritten_slices(dataset, order.index("z") if "z" in order else None)

    def _error(self, z: int) -> InputError:
        return InputError(
            f"{self._source.path}: slice {z} {self._unwritten[z]}, so its values are not known; "
            "copy or export the data again with all files that they need, or leave out the slice."
        )


def open_hdf5(path: str, file: Path, inner: str | None, axes: str | None) -> Source:
    """Returns a description of a dataset in an HDF5 or NeXus file.

    Args:
        path: The path that the user gave, for messages.
        file: The file.
        inner: The path of a dataset or group in the file, or None for the root group. In a group,
            the dataset that NeXus declares for plotting, by ``default`` and ``signal``, is read
            if it has two or more axes. Otherwise, the only numeric dataset with three or more
            axes is read. If no dataset has three or more axes, the only numeric dataset with two
            axes is read.
        axes: The axis letters that the user gave, or None.

    Returns:
        The description.

    Raises:
        InputError: The dataset does not exist or has unknown axes. Several datasets are
            possible. Or the dataset needs a filter that is not installed.
    """
    require("h5py")
    import h5py

    with reading(path, "copy or export it again"), _open(file) as root:
        found = root if inner is None else get(root, inner)
        if found is None:
            raise InputError(f"{path}: {inner} does not exist; {_listing(root)}.")
        if isinstance(found, h5py.Dataset):
            group, dataset = root[posixpath.dirname(inner or "") or "/"], found
        else:
            group, dataset = _choose_dataset(path, found)
        dtype = real_dtype(path, dataset.dtype)
        _check_filters(path, dataset)
        _check_storage(path, dataset)
        names = axis_names(group, dataset)
        letters = axis_letters(names)
        layout = resolve_axes(path, dataset.shape, axes, letters, may_be_one=True)
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
            axes=measured_axes(group, dataset, names, layout),
            axis_order=layout.spatial,
            dataset=dataset.name,
            layout=layout,
            others=(*([file] if holder != file else []), *_virtual_files(dataset)),
        )


def _open(file: Path) -> "h5py.File":
    """Opens an HDF5 file for reading. Uses the filters of hdf5plugin if it is installed."""
    import h5py

    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
    return h5py.File(file, "r")


def _choose_dataset(path: str, group: "h5py.Group") -> "tuple[h5py.Group, h5py.Dataset]":
    """Returns the group that holds the dataset to read, and this dataset.

    This is the dataset that NeXus declares for plotting. If there is none, it is the only dataset
    that can be a volume.
    """
    plotted = nexus_plot(group)
    if plotted is not None and plotted[1].ndim >= 2 and plotted[1].dtype.kind in "buif":
        return plotted
    found = [pair for pair in _datasets(group) if pair[1].dtype.kind in "buif"]
    volumes = [pair for pair in found if pair[1].ndim >= 3] or [p for p in found if p[1].ndim == 2]
    if len(volumes) != 1:
        raise AmbiguousInputError(
            f"{path}: does not say which dataset to read; {_listing(group)}.",
            [dataset.name for _, dataset in volumes],
        )
    return volumes[0]


def _datasets(group: "h5py.Group") -> "Iterator[tuple[h5py.Group, h5py.Dataset]]":
    """Yields the parent group and the dataset, for each dataset in a group and its subgroups.

    Links are followed. An object that several links point to is yielded once.
    """
    import h5py

    seen, waiting = set(), [group]
    while waiting:
        parent = waiting.pop(0)
        for name in parent:
            child = get(parent, name)
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
    """Lists the numeric datasets with two or more axes, for the end of a message."""
    found = [
        f"{dataset.name} {dataset.shape} {dataset.dtype}"
        for _, dataset in _datasets(group)
        if dataset.dtype.kind in "buif" and dataset.ndim > 1
    ]
    if not found:
        return "give another file, because this one has no numeric dataset with two or more axes"
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    names = ", ".join(found[:_MOST_LISTED])
    return f"add one of these datasets to the path, after a colon: {names}{more}"


def _check_filters(path: str, dataset: "h5py.Dataset") -> None:
    """Raises an InputError if a dataset needs a filter that is not installed."""
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
    """Raises an InputError if values are in a file other than HDF5, or a chunk is too large.

    An HDF5 file can declare that its values are stored in any other file that the user may read.
    Without this check, a private file could be read as a volume.
    """
    if dataset.external:
        raise InputError(
            f"{path}: stores the values of {dataset.name} in {dataset.external[0][0]}, which is "
            "not an HDF5 file; copy all values into one HDF5 file with h5repack."
        )
    itemsize = dataset.dtype.itemsize
    check_limit("bytes in a chunk", math.prod(dataset.chunks or (0,)) * itemsize, path)


def _virtual_files(dataset: "h5py.Dataset") -> Iterator[Path]:
    """Yields the existing files that a virtual dataset refers to."""
    if dataset.is_virtual:
        names = sorted({source.file_name for source in dataset.virtual_sources()} - {"."})
        yield from filter(None, (source_file(dataset, name) for name in names))
