"""Finds the slices of an HDF5 dataset that were never written.

HDF5 would read such slices as a constant, usually 0, without an error.
"""

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import h5py

_MOST_LEVELS = 4  # virtual datasets may refer to each other in a circle


def unwritten_slices(
    dataset: "h5py.Dataset", axis: int | None, levels: int = _MOST_LEVELS
) -> dict[int, str]:
    """Finds the slices of a dataset in which values are missing, and the reasons.

    HDF5 reads missing values as the fill value of the dataset, without an error. Values are missing
    if a chunk was never written, for example because a scan was stopped. They are also missing if
    the source of a virtual dataset is missing.

    Args:
        dataset: An open dataset.
        axis: The axis that counts the slices, or None if the whole dataset is one slice.
        levels: The source of a virtual dataset can be a virtual dataset too. Sources are followed
            through at most this number of virtual datasets.

    Returns:
        A dictionary from the index of each such slice to the reason, in the order of the slices.
    """
    if dataset.is_virtual:
        found = _without_sources(dataset, axis, levels)
    elif dataset.chunks is not None:
        found = _without_chunks(dataset, axis)
    elif dataset.size and dataset.id.get_storage_size() == 0 and not dataset.external:
        found = dict.fromkeys(_all(dataset, axis), "was never written")
    else:
        found = {}
    return dict(sorted(found.items()))


def source_file(dataset: "h5py.Dataset", name: str) -> Path | None:
    """Returns the file that a virtual dataset refers to by ``name``, or None if it is missing."""
    master = Path(dataset.file.filename)
    if name == ".":
        return master
    places = [master.parent / name, Path(name)]
    return next((place.absolute() for place in places if place.is_file()), None)


def _all(dataset: "h5py.Dataset", axis: int | None) -> range:
    return range(1 if axis is None else dataset.shape[axis])


def _without_chunks(dataset: "h5py.Dataset", axis: int | None) -> dict[int, str]:
    """Finds the slices with a chunk that was never written, and the reasons."""
    counts = [math.ceil(n / size) for n, size in zip(dataset.shape, dataset.chunks, strict=True)]
    if dataset.id.get_num_chunks() == math.prod(counts):
        return {}
    present = np.zeros(counts, bool)

    def note(chunk: "h5py.h5d.StoreInfo") -> None:
        place = tuple(
            at // size for at, size in zip(chunk.chunk_offset, dataset.chunks, strict=True)
        )
        present[place] = True

    dataset.id.chunk_iter(note)
    if axis is None:
        return {} if present.all() else {0: "has a chunk that was never written"}
    others = tuple(i for i in range(dataset.ndim) if i != axis)
    bad = np.flatnonzero(~present.all(axis=others))
    size, length = dataset.chunks[axis], dataset.shape[axis]
    indices = itertools.chain.from_iterable(
        range(row * size, min((row + 1) * size, length)) for row in bad.tolist()
    )
    return dict.fromkeys(indices, "has a chunk that was never written")


def _without_sources(dataset: "h5py.Dataset", axis: int | None, levels: int) -> dict[int, str]:
    """Finds the slices of a virtual dataset in which values are missing, and the reasons."""
    import h5py

    found = dict.fromkeys(_all(dataset, axis), "has no source in the virtual dataset")
    for source in dataset.virtual_sources():
        places = _selected(source.vspace, dataset, axis)
        for place in places:
            found.pop(place, None)
        if "%" in source.file_name or levels == 0:  # one name for many files
            continue
        file = source_file(dataset, source.file_name)
        what = f"{source.dset_name} in {source.file_name}"
        if file is None:
            found |= dict.fromkeys(places, f"needs {source.file_name}, which is missing")
            continue
        with h5py.File(file, "r") as other:
            values = other.get(source.dset_name)
            if values is None:
                found |= dict.fromkeys(places, f"needs {what}, which is missing")
                continue
            same = axis if values.ndim == dataset.ndim else None
            gaps = unwritten_slices(values, same, levels - 1)
            inside = _selected(source.src_space, values, same)
        are_paired = same is not None and len(inside) == len(places)
        at = [p for p, i in zip(places, inside, strict=True) if i in gaps] if are_paired else places
        if gaps:
            found |= dict.fromkeys(at, f"needs values of {what}, which were never written")
    return found


def _selected(space: "h5py.h5s.SpaceID", dataset: "h5py.Dataset", axis: int | None) -> list[int]:
    """Lists the indices along an axis of a dataset that an HDF5 selection covers."""
    import h5py

    is_part = space.get_select_type() == h5py.h5s.SEL_HYPERSLABS and space.is_regular_hyperslab()
    if axis is None or not is_part:
        return list(_all(dataset, axis))
    start, stride, count, block = (values[axis] for values in space.get_regular_hyperslab())
    length = dataset.shape[axis]
    starts = itertools.islice(itertools.count(start, stride), min(count, length))
    return [at for first in starts for at in range(first, min(first + block, length))]
