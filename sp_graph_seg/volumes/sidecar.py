"""Reads the geometry that this library saves beside labels if their format cannot store it."""

import json
from pathlib import Path

from sp_graph_seg.volumes.geometry import Geometry

PROVENANCE = "sp_graph_seg"
"""The key under which outputs of this library store their provenance."""

SIDECAR = "labels.json"
"""Name of the file with the provenance in a folder of slices."""


def geometry_in_note(text: str) -> Geometry | None:
    """Returns the geometry in a provenance (JSON text), or None if it holds no geometry."""
    try:
        return Geometry.from_json(json.loads(text)[PROVENANCE]["geometry"])
    except (ValueError, KeyError, TypeError):
        return None


def geometry_beside(folder: Path) -> Geometry | None:
    """Returns the geometry that this library saved in a folder of slices, or None."""
    file = folder / SIDECAR
    return geometry_in_note(file.read_text(encoding="utf-8")) if file.is_file() else None
