"""The plugin for napari: readers, sample data, and a widget that trains and labels.

The code that needs napari and Qt is in the folder ``qt``. All other code runs without them. The
file ``napari.yaml`` lists the functions and the widget that napari calls.
"""

__all__: list[str] = []
