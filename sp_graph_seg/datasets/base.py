"""The base class of all datasets, which makes graphs in parallel and stores them on disk."""

import os
import os.path as osp
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch_geometric.data import Data, Dataset

from sp_graph_seg._version import __version__
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import atomic_write, check_writable
from sp_graph_seg.io.fingerprint import fingerprint, stamp
from sp_graph_seg.parallel import map_images
from sp_graph_seg.transforms import ImageGraph, ToRAG, majority_labels

Transform = Callable[[Data], Data]
Filter = Callable[[Data], bool]
ToGraph = Callable[[Any], Data]

#: Version of the format of the files on disk.
_FORMAT = 3

#: Key, in the file of a graph, of the sizes and times of the files that it was made from.
_STAMP = "source_files"

#: Key in the file of a graph that ``pre_filter`` rejected; the file holds only this and the stamp.
_LEFT_OUT = "left_out"


class Options(TypedDict, total=False):
    """The parameters that all datasets share. :class:`GraphDataset` describes them."""

    to_graph: ToGraph | None
    transform: Transform | None
    pre_transform: Transform | None
    pre_filter: Filter | None
    log: bool
    force_reload: bool
    num_workers: int | None
    in_memory: bool


class Example(NamedTuple):
    """An image, with its labels and its mask if there are any."""

    image: NDArray
    """``(C, H, W)`` or ``(C, D, H, W)``"""
    truth: NDArray | None = None
    """Labels of the pixels, in the size of the image."""
    mask: NDArray | None = None
    """True for the pixels that count, in the size of the image."""
    label: int | None = None
    """Label of the whole image."""


class Source(NamedTuple):
    """The source of one graph: its name, a function that reads its image, and the files to read."""

    name: str
    """Name of the graph's file without suffix, unique in its dataset. It may begin with folders."""
    read: Callable[[], Example]
    """Reads the image, and its labels and mask, if any."""
    files: tuple[Path, ...] = ()
    """The files that are read, the image first. If one of them changes, the graph is made again."""


class GraphDataset(Dataset):
    r"""Base class of all datasets. It makes a graph of each image once, and stores it on disk.

    Each graph is a file in ``root/processed/<fingerprint>/``. The fingerprint is a hash of the
    parameters of the transforms and the version of this package, so graphs with different
    parameters are never mixed. When the dataset is opened, it makes all graphs that are missing or
    damaged, and all graphs whose source files have changed. Graphs that an interrupted run has
    finished are kept. Reading a file never unpickles code.

    A graph has the fields that ``to_graph`` makes, and the field ``name``. If the pixels have
    labels, the graph also has ``y (N,)`` and ``train_mask (N,)``. ``y`` holds the labels of the
    nodes, see :func:`~sp_graph_seg.datasets.majority_labels`. ``train_mask`` is false where ``y``
    is -1. If the whole image has a label, ``y (1,)`` holds this label.

    Args:
        root: Folder for the graphs.
        sources: The sources of the graphs.
        parameters: Further values that change the fingerprint. They distinguish these sources from
            other sources with the same ``root``. (default: :obj:`None`)
        to_graph: Function that makes the graph of an image. It is called with an array
            ``(C, H, W)`` or ``(C, D, H, W)``. If the image has a mask, it is called with
            ``Data(image=..., mask=...)`` instead. (default: :obj:`ToRAG()`)
        transform: Function that changes a graph each time the graph is accessed. (default:
            :obj:`None`)
        pre_transform: Function that changes a graph before it is saved. (default: :obj:`None`)
        pre_filter: Function that is called with a graph before ``pre_transform``. If it returns
            false, the graph is left out. (default: :obj:`None`)
        log: Show a progress bar in a terminal. (default: :obj:`True`)
        force_reload: Make all graphs again. (default: :obj:`False`)
        num_workers: Number of processes that make graphs. If it is 0 or 1, no other process is
            started. By default, there is one process for every 32 images, but no more than there
            are cores.
        in_memory: Read all graphs once and keep them in memory. This is useful for small graphs and
            many epochs. (default: :obj:`False`)

    Raises:
        InputError: If an image cannot be used. The graphs that are finished by then are kept.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        sources: Sequence[Source],
        parameters: dict[str, Any] | None = None,
        to_graph: ToGraph | None = None,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        pre_filter: Filter | None = None,
        log: bool = True,
        force_reload: bool = False,
        num_workers: int | None = None,
        in_memory: bool = False,
    ) -> None:
        self.to_graph = ToRAG() if to_graph is None else to_graph
        self.num_workers = num_workers
        self.names = [source.name for source in sources]
        self._sources: Sequence[Source] = sources
        self._folder = fingerprint(
            format=_FORMAT,
            version=__version__,
            dataset=type(self).__name__,
            to_graph=self.to_graph,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            **(parameters or {}),
        )
        super().__init__(os.fspath(root), transform, pre_transform, pre_filter, log, force_reload)
        self._sources = ()  # not needed by the workers of a DataLoader
        self._graphs = [self._read(name) for name in self.names] if in_memory else None

    @property
    def processed_dir(self) -> str:
        """Returns the folder in which this dataset stores its graphs."""
        return osp.join(self.root, "processed", self._folder)

    @property
    def raw_file_names(self) -> list[str]:
        """Returns an empty list, because the images are not copied to ``root/raw``."""
        return []

    @property
    def processed_file_names(self) -> list[str]:
        """Returns the names of the files in which the graphs are stored."""
        return [f"{name}.pt" for name in self.names]

    def process(self) -> None:
        """Makes all graphs that are missing, damaged or out of date.

        Graphs that ``pre_filter`` rejects are left out.
        """
        paths = list(map(Path, self.processed_paths))
        tasks = [
            (source, path)
            for source, path in zip(self._sources, paths, strict=True)
            if self.force_reload or not _is_current(path, source.files)
        ]
        if tasks:
            self._make_graphs(tasks)
        if self.pre_filter is not None:
            self.names = [
                name for name, path in zip(self.names, paths, strict=True) if not _is_left_out(path)
            ]

    def _make_graphs(self, tasks: Sequence[tuple[Source, Path]]) -> None:
        for folder in {path.parent for _, path in tasks}:
            check_writable(folder)
        console = Console(stderr=True)
        make = partial(
            _make_graph,
            to_graph=self.to_graph,
            pre_transform=self.pre_transform,
            pre_filter=self.pre_filter,
        )
        made = map_images(make, tasks, self.num_workers)
        is_hidden = not (self.log and console.is_terminal)
        for _ in track(made, "graphs", len(tasks), console=console, disable=is_hidden):
            pass

    def _process(self) -> None:
        """Replaces a method of PyG that would unpickle any ``pre_transform.pt`` in the folder."""
        self.process()

    def len(self) -> int:
        """Returns the number of graphs."""
        return len(self.names)

    def get(self, idx: int) -> Data:
        """Returns the graph at a position, before ``transform`` changes it.

        If ``in_memory`` is true, this is a shallow copy of the graph in memory.
        """
        return self._read(self.names[idx]) if self._graphs is None else copy(self._graphs[idx])

    def _read(self, name: str) -> Data:
        path = osp.join(self.processed_dir, f"{name}.pt")
        try:
            values = torch.load(path, weights_only=True)
            del values[_STAMP]
            return ImageGraph.from_dict(values)
        except Exception as error:  # torch.load raises many kinds
            raise InputError(
                f"{path}: cannot be read ({type(error).__name__}); open the dataset with "
                "force_reload=True to make its graphs again."
            ) from error


def _is_current(path: Path, files: Sequence[Path]) -> bool:
    """Tells whether the file of a graph is complete, and its source files have not changed."""
    try:
        return _read_index(path)[_STAMP] == _stamps(files)
    except Exception:  # torch.load raises many kinds; remake the graph
        return False


def _is_left_out(path: Path) -> bool:
    return _LEFT_OUT in _read_index(path)


def _read_index(path: Path) -> dict[str, Any]:
    """Opens the file of a graph as a memory map. Only the index at the end of the file is read."""
    return torch.load(path, weights_only=True, mmap=True)


def _stamps(files: Sequence[Path]) -> list[list[int]]:
    """Returns the size and the modification time of each file."""
    return [list(stamp(file)) for file in files]


def _make_graph(
    task: tuple[Source, Path],
    to_graph: ToGraph,
    pre_transform: Transform | None,
    pre_filter: Filter | None,
) -> None:
    source, path = task
    stamps = _stamps(source.files)
    image, truth, mask, label = Example(*source.read())
    where = source.files[0] if source.files else source.name
    if truth is not None and truth.shape != image.shape[1:]:
        raise InputError(
            f"{source.files[1] if source.files[1:] else where}: the labels have the size "
            f"{truth.shape}, but the image has the size {image.shape[1:]}; give labels of the same "
            "size."
        )
    try:
        data = to_graph(image if mask is None else Data(image=image, mask=mask))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if truth is not None:
        data.y = majority_labels(truth, data)
        data.train_mask = data.y >= 0
    elif label is not None:
        data.y = torch.tensor([label])
    data.name = source.name
    values: dict[str, Any] = {_LEFT_OUT: True}
    if pre_filter is None or pre_filter(data):
        values = (data if pre_transform is None else pre_transform(data)).to_dict()
    with atomic_write(path) as temporary:
        torch.save({**values, _STAMP: stamps}, temporary)
