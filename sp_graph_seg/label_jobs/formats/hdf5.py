"""The format HDF5 for labels, with a NeXus plot."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sp_graph_seg.io.durable import LateFailure
from sp_graph_seg.label_jobs.base import PROVENANCE, Blocks, Finished, Found, StreamedFormat
from sp_graph_seg.label_jobs.damage import check_hdf5
from sp_graph_seg.label_jobs.formats.chunks import chunk_shape
from sp_graph_seg.label_jobs.manifest import Manifest

if TYPE_CHECKING:
    import h5py

CHUNK_BYTES = 2**20  # the default size of the chunk cache of HDF5
_PLOT = "/entry/data"


class Hdf5(StreamedFormat):
    """The format HDF5, with the labels in one chunked dataset.

    A NeXus group (NXdata) describes a plot of the dataset and holds the positions along its axes.
    The provenance is stored as JSON in an attribute of the dataset.
    """

    suffixes = (".h5", ".hdf5", ".nxs")
    package = "h5py"
    may_hold_more = True
    dataset = "/labels"
    keeps_order = True

    def write(self, path: Path, manifest: Manifest, found: Found, blocks: Blocks) -> None:
        """Writes the labels into a new file."""
        import h5py

        # With many skipped slices, the attribute may exceed 64 KiB, which requires the format of
        # HDF5 1.8.
        with (
            LateFailure(path, "w+") as raw,
            h5py.File(raw, "w", libver=("v108", "latest")) as file,
        ):
            dataset = file.create_dataset(
                manifest.dataset,
                shape=manifest.stored_shape,
                dtype=manifest.dtype,
                chunks=chunk_shape(manifest, CHUNK_BYTES),
                compression="gzip",
                fillvalue=manifest.unlabelled,
            )
            dataset.attrs[PROVENANCE] = json.dumps(manifest.provenance(found))
            _add_plot(file, dataset, manifest)
            for start, labels in blocks:
                dataset[start : start + len(labels)] = labels
                raw.tell_failure()

    def read(self, path: Path) -> Finished:
        """Reads the provenance. Refuses a file that holds more than the labels and their axes."""
        import h5py

        datasets: list[h5py.Dataset] = []
        with h5py.File(path, "r") as file:
            file.visititems(
                lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None
            )
            (dataset,) = (item for item in datasets if PROVENANCE in item.attrs)
            if not all(item == dataset or item.is_scale for item in datasets):
                raise ValueError(f"{path}: holds more than labels; choose another file")
            provenance = json.loads(dataset.attrs[PROVENANCE])
            return Finished(dataset.shape, dataset.dtype, provenance, dataset.name)

    def check(self, path: Path) -> None:
        """Decompresses all chunks to verify their checksums."""
        check_hdf5(path, self.read(path).dataset)


def _add_plot(file: "h5py.File", dataset: "h5py.Dataset", manifest: Manifest) -> None:
    """Adds the NeXus groups that describe a plot of the dataset.

    The groups follow https://manual.nexusformat.org/classes/base_classes/NXdata.html. The axes are
    also attached to the dataset as dimension scales, as in netCDF.
    """
    import h5py

    name = f"{_PLOT}_plot" if f"{dataset.name}/".startswith(f"{_PLOT}/") else _PLOT
    entry_name, _, plot_name = name.rpartition("/")
    entry, plot = file.require_group(entry_name), file.require_group(name)
    file.attrs["default"], entry.attrs["default"] = entry_name.strip("/"), plot_name
    entry.attrs["NX_class"], plot.attrs["NX_class"] = "NXentry", "NXdata"
    plot.attrs["signal"] = "labels"
    plot.attrs["axes"] = list(manifest.geometry.order)
    plot["labels"] = h5py.SoftLink(dataset.name)
    axes = zip(dataset.dims, manifest.geometry.stored(), dataset.shape, strict=True)
    for number, (dimension, axis, length) in enumerate(axes):
        dimension.label = axis.name
        if axis.spacing is None:
            continue
        places = axis.origin + axis.spacing * np.arange(length)
        positions = plot.create_dataset(axis.name, data=places)
        if axis.unit is not None:
            positions.attrs["units"] = axis.unit
        positions.make_scale(axis.name)
        dimension.attach_scale(positions)
        plot.attrs[f"{axis.name}_indices"] = number
