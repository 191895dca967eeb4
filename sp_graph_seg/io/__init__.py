"""Files in and out: images, label images, and writes that never leave half a file."""

from sp_graph_seg.io.files import atomic_write, check_writable, refuse_existing
from sp_graph_seg.io.images import FloatRange, read_image
from sp_graph_seg.io.labels import read_labels, write_image, write_labels

__all__ = [
    "FloatRange",
    "atomic_write",
    "check_writable",
    "read_image",
    "read_labels",
    "refuse_existing",
    "write_image",
    "write_labels",
]
