"""What the datasets share: graphs made in parallel, kept on disk, made anew when they must be."""

import math
import os
import os.path as osp
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from joblib import Parallel, cpu_count, delayed, parallel_config
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch_geometric.data import Data, Dataset

from sp_graph_seg._version import __version__
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import atomic_write, check_writable
from sp_graph_seg.io.fingerprint import fingerprint, stamp
from sp_graph_seg.parallel import closing_joblib
from sp_graph_seg.transforms import ImageGraph, ToRAG, majority_labels

Transform = Callable[[Data], Data]
Filter = Callable[[Data], bool]
ToGraph = Callable[[Any], Data]

#: Changes whenever the files on disk do.
_FORMAT = 3

#: Key of what a graph was made from, in its file.
_STAMP = "source_files"

#: Key in the file of a graph that ``pre_filter`` leaves out: it is all there is, but for the stamp.
_LEFT_OUT = "left_out"

#: A process takes seconds to start, so each should have some images to work on.
_IMAGES_A_WORKER = 32


class Example(NamedTuple):
    """An image with what is known of it."""

    image: NDArray
    """``(C, H, W)`` or ``(C, D, H, W)``"""
    truth: NDArray | None = None
    """Labels of the pixels, of the image's size."""
    mask: NDArray | None = None
    """True where there is something to segment, of the image's size."""
    label: int | None = None
    """Of the image as a whole."""


class Source(NamedTuple):
    """Where one graph comes from."""

    name: str
    """Unique in its dataset; the graph's file is called so. It may begin with folders."""
    read: Callable[[], Example]
    files: tuple[Path, ...] = ()
    """The files it reads, the image first; the graph is made anew when one of them changes."""


class GraphDataset(Dataset):
    r"""Base class of the datasets: images become graphs once, which then lie on disk.

    A graph is a file of its own in ``root/processed/<fingerprint>/``, where the fingerprint stands
    for the parameters of the transforms and the version of this package, so that other parameters
    never meet old graphs. What is missing, damaged, or made from other files is made when the
    dataset is opened; what an interrupted run has finished is kept. Files are read without
    unpickling code.

    A graph has the fields that ``to_graph`` gives it and ``name``; with labels of the pixels
    ``y (N,)``, see :func:`~sp_graph_seg.datasets.majority_labels`, and ``train_mask (N,)``, false
    where y is -1; with a label of the image ``y (1,)``.

    Args:
        root: Folder for the graphs.
        sources: Where the graphs come from.
        to_graph: Called with an image, ``(C, H, W)`` or ``(C, D, H, W)``, or where that has a mask
            with ``Data(image=..., mask=...)``; returns its graph. (default: :obj:`ToRAG()`)
        transform: Called with a graph before every access. (default: :obj:`None`)
        pre_transform: Called with a graph before it is saved. (default: :obj:`None`)
        pre_filter: Called with a graph before ``pre_transform``; where it returns false, the
            dataset does without. (default: :obj:`None`)
        log: Show in a terminal how far the graphs are. (default: :obj:`True`)
        force_reload: Make all graphs anew. (default: :obj:`False`)
        num_workers: Processes that make graphs; 0 or 1 for this one alone. By default one for
            every 32 images, but no more than there are cores.
        parameters: More for the fingerprint: what tells these sources from others in ``root``.

    Raises:
        InputError: If an image cannot be used; the graphs already made are kept.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        sources: Sequence[Source],
        to_graph: ToGraph | None = None,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        pre_filter: Filter | None = None,
        log: bool = True,
        force_reload: bool = False,
        num_workers: int | None = None,
        parameters: dict[str, Any] | None = None,
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
        self._sources = ()  # of no use to a DataLoader's workers

    @property
    def processed_dir(self) -> str:
        """The folder of the graphs made with these parameters."""
        return osp.join(self.root, "processed", self._folder)

    @property
    def raw_file_names(self) -> list[str]:
        """None: the images stay where they are."""
        return []

    @property
    def processed_file_names(self) -> list[str]:
        """A file for every graph."""
        return [f"{name}.pt" for name in self.names]

    def process(self) -> None:
        """Makes the graphs that are missing, and leaves out those that ``pre_filter`` does."""
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
        workers = self._count_workers(len(tasks))
        with closing_joblib(workers), parallel_config("loky", inner_max_num_threads=1):
            # loky needs no `if __name__ == "__main__"` in the user's script.
            made = Parallel(workers, return_as="generator_unordered")(
                delayed(_make_graph)(
                    source, path, self.to_graph, self.pre_transform, self.pre_filter
                )
                for source, path in tasks
            )
            is_hidden = not (self.log and console.is_terminal)
            for _ in track(made, "graphs", len(tasks), console=console, disable=is_hidden):
                pass

    def _process(self) -> None:
        """PyG's own would unpickle whatever lies in the folder as ``pre_transform.pt``."""
        self.process()

    def _count_workers(self, tasks: int) -> int:
        if self.num_workers is not None:
            return max(self.num_workers, 1)
        return min(cpu_count(), math.ceil(tasks / _IMAGES_A_WORKER))

    def len(self) -> int:
        """The number of graphs."""
        return len(self.names)

    def get(self, idx: int) -> Data:
        """Reads a graph, without ``transform``."""
        path = osp.join(self.processed_dir, f"{self.names[idx]}.pt")
        try:
            values = torch.load(path, weights_only=True)
            del values[_STAMP]
            return ImageGraph.from_dict(values)
        except Exception as error:  # torch.load raises many kinds
            raise InputError(
                f"{path}: cannot be read ({type(error).__name__}); open the dataset with "
                "force_reload=True."
            ) from error


def _is_current(path: Path, files: Sequence[Path]) -> bool:
    """Whether a graph is there, whole, and made from these files as they are now."""
    try:
        return _read_index(path)[_STAMP] == _stamps(files)
    except Exception:  # whatever torch.load raises, the graph is made anew
        return False


def _is_left_out(path: Path) -> bool:
    return _LEFT_OUT in _read_index(path)


def _read_index(path: Path) -> dict[str, Any]:
    """The fields of a graph's file, mapped to memory: only the index is read, which comes last."""
    return torch.load(path, weights_only=True, mmap=True)


def _stamps(files: Sequence[Path]) -> list[list[int]]:
    """Size and time of each file: a file that is replaced by an older one has changed, too."""
    return [list(stamp(file)) for file in files]


def _make_graph(
    source: Source,
    path: Path,
    to_graph: ToGraph,
    pre_transform: Transform | None,
    pre_filter: Filter | None,
) -> None:
    stamps = _stamps(source.files)
    image, truth, mask, label = Example(*source.read())
    where = source.files[0] if source.files else source.name
    if truth is not None and truth.shape != image.shape[1:]:
        raise InputError(
            f"{source.files[1] if source.files[1:] else where}: size {truth.shape} is not that of "
            f"the image, {image.shape[1:]}; give labels of the image's size."
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
