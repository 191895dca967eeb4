"""The plugin for napari: readers, sample data, and a widget that trains and labels.

What needs Qt is in the folder ``qt``; everything else works, and is tested, without napari. The
file ``napari.yaml`` names what napari calls.
"""

__all__: list[str] = []
