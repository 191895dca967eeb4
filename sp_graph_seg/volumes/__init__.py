"""Opens volumes and videos, and reads them slice by slice."""

from sp_graph_seg.volumes.geometry import Axis, Geometry
from sp_graph_seg.volumes.intensity import measure_range
from sp_graph_seg.volumes.masked import find_air_around, find_data, mask_volume
from sp_graph_seg.volumes.opening import VOLUME_SUFFIXES, open_labels, open_like, open_volume
from sp_graph_seg.volumes.selection import Crop, parse_crop
from sp_graph_seg.volumes.volume import Volume

__all__ = [
    "VOLUME_SUFFIXES",
    "Axis",
    "Crop",
    "Geometry",
    "Volume",
    "find_air_around",
    "find_data",
    "mask_volume",
    "measure_range",
    "open_labels",
    "open_like",
    "open_volume",
    "parse_crop",
]
