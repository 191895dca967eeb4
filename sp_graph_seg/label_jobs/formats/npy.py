"""The NumPy format .npy for labels."""

import json
from pathlib import Path

import numpy as np

from sp_graph_seg.label_jobs.base import PROVENANCE, Blocks, Finished, Found, StreamedFormat
from sp_graph_seg.label_jobs.manifest import Manifest


class Npy(StreamedFormat):
    """The format .npy, with the provenance after the labels.

    The file holds two NumPy arrays, first the labels and then the provenance as text. `numpy.load`
    and memory maps read only the first array of a file.
    """

    suffixes = (".npy",)
    is_packed = False
    keeps_order = True

    def write(self, path: Path, manifest: Manifest, found: Found, blocks: Blocks) -> None:
        """Writes the labels, then the provenance."""
        header = {
            "descr": np.lib.format.dtype_to_descr(manifest.dtype),
            "fortran_order": False,
            "shape": manifest.stored_shape,
        }
        note = json.dumps({PROVENANCE: manifest.provenance(found)})
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _, labels in blocks:
                file.write(labels.data)
            np.lib.format.write_array(file, np.array(note), allow_pickle=False)

    def read(self, path: Path) -> Finished:
        """Reads the provenance, which is stored after the labels."""
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        with open(path, "rb") as file:
            file.seek(array.offset + array.nbytes)
            note = json.loads(str(np.lib.format.read_array(file, allow_pickle=False)))
        return Finished(array.shape, array.dtype, note[PROVENANCE])
