"""The widget of the plugin; importing this needs napari and Qt."""

from sp_graph_seg.extras import require

require("napari")

__all__: list[str] = []
