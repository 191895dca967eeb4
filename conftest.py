"""Leaves out of the doctests what cannot be imported without napari."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("napari") else ["sp_graph_seg/napari_plugin/qt/*"]
