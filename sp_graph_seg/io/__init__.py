"""Reads and writes single files: images, labels, meshes and videos.

If writing fails, no incomplete file is left behind, and an existing file stays unchanged.
"""

from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.io.files import atomic_write, check_writable, refuse_existing, to_csv, write_text
from sp_graph_seg.io.images import decode_image, read_image
from sp_graph_seg.io.labels import read_labels, write_image, write_labels
from sp_graph_seg.io.video import write_overlay_video

__all__ = [
    "atomic_write",
    "check_writable",
    "decode_image",
    "label_colors",
    "read_image",
    "read_labels",
    "refuse_existing",
    "to_csv",
    "write_image",
    "write_labels",
    "write_overlay_video",
    "write_text",
]
