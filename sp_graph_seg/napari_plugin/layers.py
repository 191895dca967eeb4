"""Makes napari layers from volumes and labels, with their scale, units, colours and names."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.relabel.steps import merge_labels
from sp_graph_seg.napari_plugin.lazy import lazy_array
from sp_graph_seg.napari_plugin.relabel_editor import RelabelEditor
from sp_graph_seg.streaming import read_slices
from sp_graph_seg.volumes import Geometry, Volume
from sp_graph_seg.volumes.intensity import IntensitySample, find_numbers

LayerData = tuple[Any, dict[str, Any], str]
"""The data of a layer, its arguments, and its type, as a reader of napari returns them."""

KEY = "sp_graph_seg"
"""The key of a layer's metadata with what the plugin knows of it."""

#: Slices that are read to find the range of grey values to show.
_LOOKED_AT = 3


@dataclass
class LabelsShown:
    """The data that the plugin keeps with a labels layer, in ``metadata["sp_graph_seg"]``.

    Attributes:
        before: The labels before any of them are merged, a NumPy or dask array.
        editor: The editor of the names, colours and mergers of these labels.
        unlabelled: The value of pixels without a label.
        volume: The volume on disk that holds the labels. None if they are only in memory.
        used: The labels that occur in ``before``. None if this is unknown.
    """

    before: Any
    editor: RelabelEditor
    unlabelled: int
    volume: Volume | None = None
    used: Collection[int] | None = None

    def after(self) -> Any:
        """Returns the labels after all mergers. A dask array is computed only when it is shown."""
        merge = self.editor.to_relabel().merge
        if isinstance(self.before, np.ndarray):
            return merge_labels(self.before, merge)
        return self.before.map_blocks(merge_labels, merge, dtype=self.before.dtype)

    def features(self) -> dict[str, list[Any]]:
        """Returns a table of label names. napari shows the name of the label under the cursor."""
        rows = self.editor.rows(self.used)
        return {"index": [row.label for row in rows], "name": [row.name for row in rows]}

    def color_dict(self) -> dict[int | None, Any]:
        """Returns a napari colour map for the labels. Unlabelled pixels are transparent."""
        return {None: "transparent", self.unlabelled: "transparent"} | self.editor.colors()


def place(geometry: Geometry) -> dict[str, Any]:
    """Returns the arguments that place a layer in the viewer: scale, origin, units and axis names.

    Each argument has one value for each axis. An axis without a known spacing is measured in
    pixels.
    """
    axes = geometry.axes
    return {
        "scale": tuple(axis.spacing or 1.0 for axis in axes),
        "translate": tuple(axis.origin if axis.spacing else 0.0 for axis in axes),
        "units": tuple((axis.spacing and axis.unit) or "pixel" for axis in axes),
        "axis_labels": tuple(axis.name for axis in axes),
    }


def image_layers(volume: Volume) -> list[LayerData]:
    """Makes the image layers of a volume.

    A volume with three 8-bit channels becomes one colour layer. Any other volume becomes one grey
    layer for each channel.
    """
    array = lazy_array(volume)
    about = {"name": volume.name, "metadata": {KEY: volume}, **place(volume.geometry)}
    if volume.channels == 3 and volume.dtype == np.uint8:
        return [(array.transpose(0, 2, 3, 1), {**about, "rgb": True}, "image")]
    about["contrast_limits"] = _limits(volume)
    if volume.channels == 1:
        return [(array[:, 0], about, "image")]
    return [
        (array[:, n], {**about, "name": f"{volume.name} {n}", "blending": "additive"}, "image")
        for n in range(volume.channels)
    ]


def labels_layer(name: str, shown: LabelsShown, where: dict[str, Any]) -> LayerData:
    """Makes a layer of labels.

    Args:
        name: The name of the layer.
        shown: The labels.
        where: The scale and position of the layer, see :func:`place`.

    Returns:
        The layer.
    """
    about = {
        "name": name,
        "opacity": 0.5,
        "metadata": {KEY: shown},
        "features": shown.features(),
        "colormap": shown.color_dict(),
    }
    return shown.after(), {**about, **where}, "labels"


def _limits(volume: Volume) -> tuple[float, float]:
    """Measures the range of a few slices, without dead and hot pixels."""
    count = len(volume)
    sample = IntensitySample(_LOOKED_AT * volume.channels * volume.height * volume.width)
    for number in sorted({(2 * k + 1) * count // (2 * _LOOKED_AT) for k in range(_LOOKED_AT)}):
        try:
            image = read_slices(volume, number, number + 1)[0]
        except InputError:  # a bad slice is no reason not to show the others
            continue
        sample.add(image, find_numbers(image))
    try:
        low, high = sample.range()
    except InputError:
        return 0.0, 1.0
    return (low, high) if low < high else (low, low + 1)
