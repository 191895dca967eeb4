"""Files in and out: images, volumes, videos, labels, and writes that never leave half a file."""

from sp_graph_seg.io.files import atomic_write, check_writable, refuse_existing
from sp_graph_seg.io.images import FloatRange, read_image
from sp_graph_seg.io.label_stores import (
    LabelJob,
    open_label_job,
    parse_output,
    write_overlay_video,
)
from sp_graph_seg.io.labels import read_labels, write_image, write_labels
from sp_graph_seg.io.volumes import Volume, measure_range, open_volume, parse_crop

__all__ = [
    "FloatRange",
    "LabelJob",
    "Volume",
    "atomic_write",
    "check_writable",
    "measure_range",
    "open_label_job",
    "open_volume",
    "parse_crop",
    "parse_output",
    "read_image",
    "read_labels",
    "refuse_existing",
    "write_image",
    "write_labels",
    "write_overlay_video",
]
