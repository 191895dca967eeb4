"""HDF5 and NeXus: which dataset, which axes, and reading its parts."""

import contextlib
import importlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require
from sp_graph_seg.io.fingerprint import stamp
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
        others: Further files that hold its values, by external links and virtual datasets.
    """

    dataset: str
    layout: Layout
    others: tuple[Path, ...] = ()

    def open(self) -> Reader:
        """Open the file at each read: HDF5 lets nobody write to a file that is open."""
        return ArrayReader(self, self._opened, self.layout)

    @contextlib.contextmanager
    def _opened(self) -> "Iterator[h5py.Dataset]":
        with _open(self.file) as file:
            yield file[self.dataset]

    def identity(self) -> tuple[object, ...]:
        """Tell the dataset and its axes."""
        return self.dataset, self.layout.order

    def files(self) -> list[Path]:
        """List the file and those that it refers to."""
        return [self.file, *self.others]


def open_hdf5(path: str, file: Path, inner: str | None, axes: str | None) -> Source:
    """Describe a dataset in an HDF5 or NeXus file.

    Args:
        path: What the user gave, for messages.
        file: The file.
        inner: Path of the dataset in it; of a group the dataset is chosen as for a file. None: the
            plot that NeXus declares by ``default`` and ``signal`` if it has three or more axes,
            else the only numeric dataset with three or more.
        axes: The user's letters, or None.

    Returns:
        The description.

    Raises:
        InputError: There is no such dataset, or several to choose from; it is compressed by a
            filter that is not installed; or its axes are unknown.
    """
    require("h5py")
    import h5py

    with reading(path, "copy or export it again"), _open(file) as root:
        found = root if inner is None else _get(root, inner)
        if found is None:
            raise InputError(f"{path}: there is no {inner}; {_listing(root)}")
        if isinstance(found, h5py.Dataset):
            group, dataset = root[posixpath.dirname(inner or "") or "/"], found
        else:
            group, dataset = _choose_dataset(path, found)
        dtype = real_dtype(path, dataset.dtype)
        _check_filters(path, dataset)
        layout = resolve_axes(path, dataset.shape, axes, _declared_axes(group, dataset))
        holder = Path(dataset.file.filename).absolute()  # another file behind an external link
        z_chunk, _, y_chunk, x_chunk = layout.along(dataset.chunks or [1] * dataset.ndim)
        is_chunked = dataset.chunks is not None
        return Hdf5Source(
            path=path,
            file=holder,
            sizes=layout.sizes,
            dtype=dtype,
            chunks=(z_chunk, y_chunk, x_chunk) if is_chunked else layout.runs(),
            stamp=stamp(holder),
            dataset=dataset.name,
            layout=layout,
            others=(*([file] if holder != file else []), *_virtual_files(holder, dataset)),
        )


def _open(file: Path) -> "h5py.File":
    """Open a file for reading; hdf5plugin brings the filters of detectors, where installed."""
    import h5py

    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
    return h5py.File(file, "r")


def _get(group: "h5py.Group", name: str) -> Any:
    """Look up a group or dataset; None if it is missing or its link is broken."""
    try:
        return group[name]
    except (KeyError, OSError):
        return None


def _choose_dataset(path: str, group: "h5py.Group") -> "tuple[h5py.Group, h5py.Dataset]":
    """Find the one volume in a group: what NeXus plots, else the only one there is."""
    plotted = _nexus_plot(group)
    if plotted is not None and _is_volume(plotted[1]):
        return plotted
    volumes = [pair for pair in _datasets(group) if _is_volume(pair[1])]
    if len(volumes) != 1:
        raise InputError(f"{path}: names no dataset; {_listing(group)}")
    return volumes[0]


def _nexus_plot(group: "h5py.Group") -> "tuple[h5py.Group, h5py.Dataset] | None":
    """Follow ``default`` and ``signal``: https://manual.nexusformat.org/datarules.html."""
    import h5py

    for _ in range(8):  # deep enough for NXroot, NXentry, NXdata; links may go in circles
        signal = _get(group, _text(group.attrs.get("signal")))
        if isinstance(signal, h5py.Dataset):
            return group, signal
        deeper = _get(group, _text(group.attrs.get("default")))
        if not isinstance(deeper, h5py.Group):
            return None
        group = deeper
    return None


def _text(value: object) -> str:
    """Give an attribute as text; what is no text names nothing."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) and value else "\0"


def _is_volume(dataset: "h5py.Dataset") -> bool:
    return dataset.ndim >= 3 and dataset.dtype.kind in "buif"


def _datasets(group: "h5py.Group") -> "Iterator[tuple[h5py.Group, h5py.Dataset]]":
    """Walk through all datasets, links too, each object once."""
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
    """List the numeric datasets of two and more axes, to choose from."""
    found = [
        f"{dataset.name} {dataset.shape} {dataset.dtype}"
        for _, dataset in _datasets(group)
        if dataset.dtype.kind in "buif" and dataset.ndim > 1
    ]
    if not found:
        return "the file holds no numeric dataset of two or more axes; give another file"
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return f"add one after a colon: {', '.join(found[:_MOST_LISTED])}{more}"


def _declared_axes(group: "h5py.Group", dataset: "h5py.Dataset") -> str | None:
    """Give the axes where NeXus or the labels of the dimensions call them z, y, x, c or t."""
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
    """Refuse a dataset that needs a filter which is not installed."""
    import h5py

    properties = dataset.id.get_create_plist()
    for i in range(properties.get_nfilters()):
        number, _, _, name = properties.get_filter(i)
        if not h5py.h5z.filter_avail(number):
            raise InputError(
                f"{path}: is compressed with the HDF5 filter {number} "
                f"({name.decode(errors='replace')}), which is not installed; "
                "pip install 'sp_graph_seg[volumes]'"
            )


def _virtual_files(file: Path, dataset: "h5py.Dataset") -> Iterator[Path]:
    """List the files that a virtual dataset is put together from, those that are there."""
    if dataset.is_virtual:
        names = sorted({source.file_name for source in dataset.virtual_sources()})
        yield from (file.parent / name for name in names if (file.parent / name).exists())
