"""Chooses the chunks in which arrays of labels are stored."""

import math

from sp_graph_seg.label_jobs.manifest import Manifest

MAX_CHUNK_SIDE = 1024


def chunk_shape(manifest: Manifest, max_bytes: int) -> tuple[int, int, int]:
    """Chooses the shape of the chunks of an array of labels.

    A chunk has at most about ``max_bytes`` bytes. It never holds slices of two blocks.
    """
    _, *sides = manifest.shape
    height, width = (math.ceil(n / math.ceil(n / MAX_CHUNK_SIDE)) for n in sides)
    room = max(1, max_bytes // (height * width * manifest.dtype.itemsize))
    slices = max(n for n in range(1, min(manifest.block, room) + 1) if manifest.block % n == 0)
    first, second, third = ((slices, height, width)[place] for place in manifest.geometry.places)
    return first, second, third
