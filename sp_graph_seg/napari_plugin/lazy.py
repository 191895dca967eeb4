"""Volumes as arrays that are read only where they are looked at."""

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
    """Makes an array ``(S, C, H, W)`` of a volume that reads slices when they are computed.

    Args:
        volume: The volume.

    Returns:
        The array, in the type of the volume. A chunk holds the slices that are decoded together.
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
