"""Sphinx configuration."""

from sp_graph_seg import __version__

project = "sp_graph_seg"
author = "the sp_graph_seg developers"
copyright = "2026, the sp_graph_seg developers"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_custom_sections = [("Shapes", "params_style")]
html_theme = "furo"
html_title = "sp_graph_seg"
exclude_patterns = ["_build"]
