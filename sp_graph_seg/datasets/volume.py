"""A dataset of the slices or the blocks of a volume."""

import copy
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.datasets.base import Example, GraphDataset, Options, Source, ToGraph
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import ToRAG, as_image
from sp_graph_seg.transforms.image_transform import ImageTransform
from sp_graph_seg.volumes import Volume, open_volume

VolumeLike = Volume | str | os.PathLike[str]
Region = int | tuple[slice, slice, slice]


class VolumeRAG(GraphDataset):
    r"""The region adjacency graphs of the slices or the blocks of a volume.

    ``dataset.regions[i]`` is the part of the volume from which graph i is made. Use it as an index
    into an array ``(D, H, W)``, for example to write the results of all graphs into one array:

    .. code-block:: python

        for region, data in zip(dataset.regions, dataset):
            segmentation[region] = to_label_image(predict(data), data)

    Args:
        root: Folder for the graphs, which are stored in ``root/processed``.
        volume: The path of a volume, or a volume from :func:`~sp_graph_seg.volumes.open_volume`. A
            volume from this function may be limited to a crop or to some channels. Each graph reads
            only the part of the volume that it needs. Unsigned integers are divided by the largest
            value of their type.
        block: Depth, height and width of the blocks into which the volume is cut. The last block
            along an axis may be smaller. Each block becomes a 3D graph. (default: :obj:`None`, a
            graph for each slice)
        labels: The ground truth, as a path or an opened volume with one channel of integers. If it
            is a path, the slices, rows and columns that ``volume`` selects are read from it.
            (default: :obj:`None`)
        **options: ``to_graph``, ``transform``, ``in_memory`` and the other parameters of
            :class:`GraphDataset`. ``to_graph`` makes the graph of a slice ``(C, H, W)`` or of a
            block ``(C, D, H, W)``. By default, it is :obj:`ToRAG()` with the spacing of the volume,
            divided by the smallest value of the spacing. If the spacing is unknown, it is 1 on
            every axis.

    Raises:
        InputError: If the volume or the labels cannot be opened, the labels have another size or
            are not integers, ``block`` is not three positive numbers, or a part of the volume
            cannot be used.

    Example:
        >>> dataset = VolumeRAG("data", "scan.tif", block=(64, 64, 64))  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        volume: VolumeLike,
        block: Sequence[int] | None = None,
        labels: VolumeLike | None = None,
        **options: Unpack[Options],
    ) -> None:
        volume = _opened(volume, "volume")
        truth = None if labels is None else _open_labels(labels, volume)
        size = _size(volume)
        regions = _slices(size) if block is None else _blocks(size, block)
        to_graph = options.get("to_graph")
        if to_graph is None:
            to_graph = ToRAG(spacing=_relative_spacing(volume, is_block=block is not None))
        options["to_graph"] = to_graph if block is None else _for_volumes(to_graph)
        files = tuple(part.source.file for part in (volume, truth) if part is not None)
        sources = [
            Source(name, partial(_cut, volume, truth, region, name), files)
            for name, region in regions.items()
        ]
        parameters = {
            "volume": volume.fingerprint(),
            "labels": None if truth is None else truth.fingerprint(),
            "block": block,
        }
        super().__init__(root, sources, parameters, **options)
        self.regions: list[Region] = [regions[name] for name in self.names]


def _opened(volume: VolumeLike, name: str) -> Volume:
    """Opens a volume if its path is given. Returns an opened volume unchanged."""
    if isinstance(volume, Volume):
        return volume
    if isinstance(volume, str | os.PathLike):
        return open_volume(volume)
    raise InputError(
        f"{name}: {type(volume).__name__} is neither a path nor an opened volume; give a path. "
        "If it is an array, save it with numpy.save first."
    )


def _open_labels(labels: VolumeLike, volume: Volume) -> Volume:
    """Opens the labels of a volume, in the slices, rows and columns that the volume selects."""
    opened = _opened(labels, "labels")
    (depth, _, *sides), (own_depth, _, *own_sides) = volume.source.sizes, opened.source.sizes
    if not isinstance(labels, Volume) and (own_depth, own_sides) == (depth, sides):
        opened = replace(
            opened,
            axis=volume.axis,
            slices=volume.slices,
            rows=volume.rows,
            columns=volume.columns,
        )
    if opened.channels != 1:
        raise InputError(
            f"{opened.path}: has {opened.channels} channels, but labels have one; give a volume "
            "with the label of each voxel in one channel."
        )
    if opened.dtype.kind not in "bui":
        raise InputError(
            f"{opened.path}: holds {opened.dtype} values, but labels are integers; convert them to "
            "integers."
        )
    if _size(opened) != _size(volume):
        raise InputError(
            f"{opened.path}: the labels have the shape {_size(opened)}, but the volume has the "
            f"shape {_size(volume)}; give labels for the same part of the volume."
        )
    return opened


def _relative_spacing(volume: Volume, is_block: bool) -> list[float] | None:
    """Divides the spacing by its smallest value, so that the unit does not affect compactness."""
    if volume.spacing is None:  # a spacing keeps ToRAG from taking a block for a batch of images
        return [1.0] * 3 if is_block else None
    sides = volume.spacing if is_block else volume.spacing[1:]
    return [side / min(sides) for side in sides]


def _for_volumes(to_graph: ToGraph) -> ToGraph:
    """Returns a copy with a spacing, which says that a block of one or three slices is no batch."""
    if isinstance(to_graph, ImageTransform) and to_graph.spacing is None:
        to_graph = copy.copy(to_graph)
        to_graph.spacing = (1.0, 1.0, 1.0)
    return to_graph


def _size(volume: Volume) -> tuple[int, int, int]:
    return len(volume), volume.height, volume.width


def _slices(size: tuple[int, ...]) -> dict[str, Region]:
    return {f"d{number:05d}": number for number in range(size[0])}


def _blocks(size: tuple[int, ...], block: Sequence[int]) -> dict[str, Region]:
    if len(block) != 3 or min(block) < 1:
        raise InputError(
            f"block={tuple(block)} is not three positive numbers; give depth, height and width."
        )
    parts = (_pieces(n, step) for n, step in zip(size, block, strict=True))
    return {
        f"d{d.start:05d}_h{h.start:05d}_w{w.start:05d}": (d, h, w)
        for d, h, w in itertools.product(*parts)
    }


def _pieces(size: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _cut(volume: Volume, labels: Volume | None, region: Region, name: str) -> Example:
    image = as_image(_read(volume, region), f"{volume.path} {name}")
    return Example(image, None if labels is None else _read(labels, region)[0])


def _read(volume: Volume, region: Region) -> NDArray:
    """Reads only one slice ``(C, H, W)`` or only one block ``(C, D, H, W)`` of the volume."""
    if isinstance(region, int):
        return volume[region]
    slices, rows, columns = region
    part = volume.part(rows, columns).read(slices.start, slices.stop)
    return np.ascontiguousarray(part.swapaxes(0, 1))
