"""Finds images in the layers of the viewer, and shows labels as further layers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.layers import Image, Labels

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import LabelOutput
from sp_graph_seg.napari_plugin.layers import KEY, LabelsShown, labels_layer
from sp_graph_seg.napari_plugin.reader import open_labels_layer
from sp_graph_seg.napari_plugin.relabel_editor import RelabelEditor
from sp_graph_seg.napari_plugin.scan import Scan
from sp_graph_seg.volumes import Volume

if TYPE_CHECKING:
    from napari.viewer import Viewer

_SLICE = "labels of slice "

#: The key, in the metadata of the labels of a slice, of the name of the image layer.
_IMAGE = "image"


class Picked(NamedTuple):
    """The label that the user clicked, and the labels layer to which it belongs."""

    shown: LabelsShown
    label: int


class Scene:
    """An object that reads and changes the layers of a viewer.

    Args:
        viewer: The napari viewer.
    """

    def __init__(self, viewer: "Viewer") -> None:
        self.viewer = viewer

    def images(self) -> list[str]:
        """Returns the names of all image layers, from the lowest layer to the top layer."""
        return [layer.name for layer in self.viewer.layers if isinstance(layer, Image)]

    def scan(self, name: str) -> Scan:
        """Makes a :class:`Scan` of the image layer ``name``.

        If the reader of this plugin opened the layer, the scan reads the volume on disk. Otherwise,
        it reads the array of the layer.

        Raises:
            InputError: The layer does not exist, or is neither an image nor a volume.
        """
        layer = self._image(name)
        volume = layer.metadata.get(KEY)
        if isinstance(volume, Volume):
            return Scan.of_volume(volume)
        data = layer.data[0] if layer.multiscale else layer.data
        unit = str(layer.units[-1])
        is_known = layer.ndim == 3 and unit != "pixel"
        depth, height, width = np.resize(layer.scale[-3:], 3).tolist()
        return Scan.of_array(
            data,
            layer.name,
            rgb=layer.rgb,
            spacing=(depth, height, width) if is_known else None,
            unit=unit if is_known else None,
        )

    def slice_in_view(self, name: str) -> int:
        """Returns the number of the slice of the image layer ``name`` that the viewer shows."""
        layer = self._image(name)
        if layer.ndim < 3:
            return 0
        point = np.asarray(self.viewer.dims.point)[-layer.ndim :]
        number = round(float(layer.world_to_data(point)[-3]))
        return int(np.clip(number, 0, layer.data.shape[0] - 1))

    def show_slices(self, name: str, found: Mapping[int, LabelsShown]) -> None:
        """Shows the labels of single slices as layers over the image layer ``name``.

        ``found`` maps the number of each slice to its labels ``(1, H, W)``. An existing layer of
        the same slice is updated. A layer of the same slice of another image is replaced.
        """
        image = self._image(name)
        for number, shown in found.items():
            title = f"{_SLICE}{number}"
            if title in self.viewer.layers:
                layer = self.viewer.layers[title]
                if layer.metadata.get(_IMAGE) == name:
                    self._update(layer, shown)
                    continue
                self.viewer.layers.remove(layer)
            first = np.zeros(image.ndim)
            if image.ndim == 3:
                first[0] = number
            else:
                shown.before = shown.before[0]
            where = {
                "scale": image.scale,
                "translate": image.data_to_world(first),
                "units": image.units,
                "axis_labels": image.axis_labels,
            }
            data, about, _ = labels_layer(title, shown, where)
            about["metadata"][_IMAGE] = name
            self.viewer.add_labels(data, **about)

    def remove_slices(self) -> None:
        """Removes all layers that :meth:`show_slices` added."""
        for name in [n.name for n in self.viewer.layers if n.name.startswith(_SLICE)]:
            self.viewer.layers.remove(name)

    def open_result(
        self, output: LabelOutput, editor: RelabelEditor | None = None, note: str = ""
    ) -> None:
        """Opens the finished labels of a volume as a layer, and hides all other labels layers.

        Args:
            output: The file or folder of the labels.
            editor: Holds the names and colours of the labels, and which labels are merged.
                (default: an editor that starts with the names and colours in the file)
            note: Text to append to the name of the layer.
        """
        data, about, _ = open_labels_layer(str(output), editor=editor)
        for layer in self.viewer.layers:
            layer.visible = layer.visible and not isinstance(layer, Labels)
        self.viewer.add_labels(data, **{**about, "name": f"{about['name']}{note}"})

    def active_labels(self) -> LabelsShown | None:
        """Returns the labels of the active layer.

        The result is None if the active layer is not a labels layer that this plugin made.
        """
        layer = self.viewer.layers.selection.active
        shown = None if layer is None else layer.metadata.get(KEY)
        return shown if isinstance(shown, LabelsShown) else None

    def refresh(self, editor: RelabelEditor) -> None:
        """Updates every labels layer whose names, colours and mergers come from ``editor``."""
        for layer in self.viewer.layers:
            shown = layer.metadata.get(KEY)
            if isinstance(shown, LabelsShown) and shown.editor is editor:
                self._update(layer, shown)

    def pick(self, position: Any) -> Picked | None:
        """Returns the label at a position, or None if no visible layer has a label there.

        The position is in the world coordinates of napari. If several layers have a label there,
        the label of the uppermost layer is returned.
        """
        for layer in reversed(self.viewer.layers):
            shown = layer.metadata.get(KEY)
            if not (layer.visible and isinstance(shown, LabelsShown)):
                continue
            value = layer.get_value(np.asarray(position)[-layer.ndim :], world=True)
            if value is not None and value != shown.unlabelled:
                return Picked(shown, int(value))
        return None

    def _image(self, name: str) -> Image:
        if not name:
            raise InputError("image: no image is open; open one, or use File > Open Sample.")
        if name not in self.viewer.layers:
            raise InputError(f"image: the layer {name!r} no longer exists; choose another image.")
        return self.viewer.layers[name]

    def _update(self, layer: Labels, shown: LabelsShown) -> None:
        if layer.ndim < shown.before.ndim:
            shown.before = shown.before[0]
        layer.metadata[KEY] = shown
        layer.data = shown.after()
        layer.colormap = shown.color_dict()
        layer.features = shown.features()
