"""Volumes and videos, read slice by slice."""

from sp_graph_seg.io.volumes.opening import open_volume
from sp_graph_seg.io.volumes.ranges import measure_range
from sp_graph_seg.io.volumes.selection import Crop, parse_crop
from sp_graph_seg.io.volumes.volume import Volume

__all__ = ["Crop", "Volume", "measure_range", "open_volume", "parse_crop"]
