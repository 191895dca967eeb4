"""Makes dask arrays of volumes. Only the slices that are shown are read from disk."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.extras import require
from sp_graph_seg.volumes import Volume

if TYPE_CHECKING:
    import dask.array as da

#: Slices that are decoded together are read together, up to about this many bytes.
_READ_BYTES = 2**24


def lazy_array(volume: Volume) -> "da.Array":
    """Makes a dask array ``(S, C, H, W)`` of a volume. A slice is read only when it is computed.

    Args:
        volume: The volume.

    Returns:
        The array, of the same type as the volume. Slices that are stored together, such as in one
        chunk of the file, are in the same chunk of the array.
    """
    require("dask")
    import dask.array as da

    lengths = tuple(stop - start for start, stop in volume.read_runs(_READ_BYTES))
    sides = ((volume.channels,), (volume.height,), (volume.width,))

    def read(block_info: Any) -> NDArray:
        start, stop = block_info[None]["array-location"][0]
        return volume.read(start, stop)

    return da.map_blocks(
        read,
        chunks=(lengths, *sides),
        dtype=volume.dtype,
        meta=np.empty((0, 0, 0, 0), volume.dtype),
        name=f"volume-{volume.fingerprint()}",
    )
