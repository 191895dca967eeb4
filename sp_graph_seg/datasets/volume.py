"""VolumeRAG: the slices or the blocks of one volume."""

import itertools
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sp_graph_seg.datasets.base import GraphDataset, Source, ToGraph, Transform
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.decoding import decoding, read_header
from sp_graph_seg.io.labels import NPY_MAGIC
from sp_graph_seg.transforms import as_array, as_image

Volume = NDArray | Tensor | str | os.PathLike[str]
Region = tuple[slice | int, ...]

_AXES = "dhw"


class VolumeRAG(GraphDataset):
    r"""The region adjacency graphs of the slices or the blocks of a volume.

    ``dataset.regions[i]`` is the part of the volume that graph i was made from, an index for an
    array ``(D, H, W)``, so that results are put together by

    .. code-block:: python

        for region, data in zip(dataset.regions, dataset):
            segmentation[region] = to_label_image(predict(data), data)

    Args:
        root: Folder for the graphs; they lie in ``root/processed``.
        volume: An array ``(C, D, H, W)``, the path of one in a ``.npy`` file, or that of a
            multi-page TIFF; of files only the parts needed are read where that can be done.
            Integers are divided by the largest value of their type, floating-point values kept.
        axis: Axis along which the volume is sliced: 0 is depth, 1 height, 2 width. Each graph is
            that of an image. (default: :obj:`0`)
        block: Depth, height and width of blocks to cut the volume into instead; the last ones along
            an axis may be smaller. Each graph is that of a volume. (default: :obj:`None`)
        labels: Ground truth, an array ``(D, H, W)`` or a file as for the volume.
            (default: :obj:`None`)
        to_graph: Makes a graph of a slice ``(C, H, W)`` or a block ``(C, D, H, W)``.
            (default: :obj:`ToRAG()`)
        transform: Called with a graph before every access. (default: :obj:`None`)
        pre_transform: Called with a graph before it is saved. (default: :obj:`None`)
        force_reload: Make all graphs anew. (default: :obj:`False`)
        num_workers: Processes that make graphs; by default one for every 32 images, but no more
            than there are cores.

    Raises:
        InputError: If the volume cannot be read or is not ``(C, D, H, W)``, the labels have another
            size, or axis or block are none; or if a part cannot be used.

    Example:
        >>> dataset = VolumeRAG("data", "scan.tif", block=(64, 64, 64))  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        volume: Volume,
        axis: int = 0,
        block: Sequence[int] | None = None,
        labels: Volume | None = None,
        to_graph: ToGraph | None = None,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        force_reload: bool = False,
        num_workers: int | None = None,
    ) -> None:
        array = open_volume(volume, "volume")
        truth = None if labels is None else _open_labels(labels, array.shape[1:])
        size = array.shape[1:]
        regions = _slices(size, axis) if block is None else _blocks(size, block)
        files = tuple(path for path in map(_as_path, (volume, labels)) if path is not None)
        title = files[0] if files else "volume"
        sources = [
            Source(name, partial(_cut, array, truth, region, f"{title} {name}"), files)
            for name, region in regions.items()
        ]
        self.regions: list[Region] = list(regions.values())
        parameters = {
            "volume": _as_path(volume) or array,
            "labels": None if labels is None else _as_path(labels) or truth,
            "axis": axis if block is None else None,
            "block": block,
        }
        super().__init__(
            root, sources, to_graph, transform, pre_transform, force_reload, num_workers, parameters
        )


def open_volume(volume: Volume, name: str) -> NDArray:
    """A volume as an array ``(C, D, H, W)``, mapped to memory where its file allows.

    Args:
        volume: Array or path of a ``.npy`` file or a TIFF.
        name: What an error calls an array.

    Raises:
        InputError: If it cannot be read or has other axes.
    """
    path = _as_path(volume)
    if path is None:
        array = as_array(volume)  # type: ignore[arg-type]
    else:
        name, header = str(volume), read_header(path)
        with decoding(path):
            array = np.load(path, "r") if header.startswith(NPY_MAGIC) else _read_tiff(path)
    if array.ndim != 4 or array.size == 0:
        raise InputError(
            f"{name}: shape {array.shape} must be (C, D, H, W), none of them 0; add the channel "
            "axis of a grey volume with volume[None]."
        )
    return array


def _read_tiff(path: Path) -> NDArray:
    """The pages or planes of a TIFF's first series, ``(C, D, H, W)``."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        axes = tif.series[0].axes
    try:
        array = tifffile.memmap(path, mode="r")
    except ValueError:  # compressed
        array = tifffile.imread(path)
    channels = [k for k, axis in enumerate(axes) if axis in "SC"]
    depth = [k for k, axis in enumerate(axes) if axis not in "SCYX"]
    if len(channels) > 1 or len(depth) != 1 or "Y" not in axes or "X" not in axes:
        raise InputError(f"{path}: has the axes {axes}; save a volume as one page for each slice.")
    array = array if channels else array[np.newaxis]
    order = [*channels, *depth, axes.index("Y"), axes.index("X")]
    return array.transpose(order) if channels else array.transpose(0, *(k + 1 for k in order))


def _open_labels(labels: Volume, size: tuple[int, ...]) -> NDArray:
    is_path = _as_path(labels) is not None
    array = open_volume(labels, "labels") if is_path else as_array(labels)[np.newaxis]  # type: ignore[arg-type]
    if array.shape != (1, *size) or array.dtype.kind not in "bui":
        raise InputError(
            f"labels: {array.dtype} of shape {array.shape[1:]} do not fit the volume; give "
            f"integers of shape {size}."
        )
    return array[0]


def _slices(size: tuple[int, ...], axis: int) -> dict[str, Region]:
    if axis not in (0, 1, 2):
        raise InputError(f"axis={axis} must be 0 (depth), 1 (height) or 2 (width).")
    before = (slice(None),) * axis
    return {f"{_AXES[axis]}{k:05d}": (*before, k) for k in range(size[axis])}


def _blocks(size: tuple[int, ...], block: Sequence[int]) -> dict[str, Region]:
    if len(block) != 3 or min(block) < 1:
        raise InputError(f"block={tuple(block)} must be three positive numbers: (D, H, W).")
    starts = [range(0, n, step) for n, step in zip(size, block, strict=True)]
    return {
        "_".join(f"{axis}{start:05d}" for axis, start in zip(_AXES, corner, strict=True)): tuple(
            slice(start, min(start + step, n))
            for start, step, n in zip(corner, block, size, strict=True)
        )
        for corner in itertools.product(*starts)
    }


def _cut(
    volume: NDArray, labels: NDArray | None, region: Region, name: str
) -> tuple[NDArray, NDArray | None]:
    image = as_image(volume[(slice(None), *region)], name)
    return image, None if labels is None else labels[region]


def _as_path(volume: Volume | None) -> Path | None:
    is_path = isinstance(volume, str | os.PathLike)
    return Path(volume).expanduser().resolve() if is_path else None  # type: ignore[arg-type]
