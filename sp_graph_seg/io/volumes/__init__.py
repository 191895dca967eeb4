"""Volumes and videos, read slice by slice."""

from sp_graph_seg.io.volumes.opening import VOLUME_SUFFIXES, open_volume
from sp_graph_seg.io.volumes.ranges import measure_range
from sp_graph_seg.io.volumes.selection import Crop, parse_crop
from sp_graph_seg.io.volumes.volume import Volume

__all__ = ["VOLUME_SUFFIXES", "Crop", "Volume", "measure_range", "open_volume", "parse_crop"]
