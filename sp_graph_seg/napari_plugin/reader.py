"""Opens volumes, videos, images and labels as layers of napari."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sp_graph_seg.errors import AmbiguousInputError, InputError
from sp_graph_seg.io import read_image
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.label_jobs.base import Finished
from sp_graph_seg.label_jobs.finished import find_finished
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.napari_plugin.layers import (
    LabelsShown,
    LayerData,
    image_layers,
    labels_layer,
    place,
)
from sp_graph_seg.napari_plugin.lazy import lazy_array
from sp_graph_seg.napari_plugin.relabel_editor import RelabelEditor
from sp_graph_seg.volumes import open_labels, open_volume

#: Layers that are made at most of one file with several volumes.
_MOST_LAYERS = 12

Read = Callable[[str], list[LayerData]]


def get_reader(path: str | Sequence[str]) -> Read | None:
    """Returns the function that opens a file or folder, or None if several paths are given.

    The path is not examined here. If it cannot be opened, the returned function raises an error
    that says why.
    """
    return read_layers if isinstance(path, str | os.PathLike) else None


def read_layers(path: str) -> list[LayerData]:
    """Opens a file or folder as layers. Each slice of a volume is read when it is shown.

    If a file holds several volumes, such as datasets of one HDF5 file, each volume becomes a layer.

    Args:
        path: An image, a volume that :func:`~sp_graph_seg.volumes.open_volume` can open, or the
            labels of a volume that this program wrote.

    Raises:
        InputError: If the path is not an image, a volume or labels.
    """
    finished = find_finished(path)
    if finished is not None and finished.provenance["legend"]:
        return [open_labels_layer(path, finished)]
    try:
        return image_layers(open_volume(path))
    except AmbiguousInputError as error:
        volumes = {inner: open_volume(f"{path}:{inner}") for inner in error.choices[:_MOST_LAYERS]}
        if not volumes:
            raise
        return [
            (data, {**about, "name": f"{about['name']} {inner}"}, kind)
            for inner, volume in volumes.items()
            for data, about, kind in image_layers(volume)
        ]
    except InputError:
        if not Path(path).is_file():
            raise
        try:
            image = read_image(path)
        except InputError:
            image = None
        if image is None:
            raise
    return _image_layer(Path(path).stem, image)


def open_labels_layer(
    path: str | os.PathLike[str],
    finished: Finished | None = None,
    editor: RelabelEditor | None = None,
) -> LayerData:
    """Opens the labels of a volume with their names, colours and scale.

    Args:
        path: The file or folder of labels that this program wrote.
        finished: The properties of these labels. (default: they are read from ``path``)
        editor: The editor of the names, colours and mergers of the labels. (default: an editor that
            starts with the names and colours in the file)

    Raises:
        InputError: If the path does not hold finished labels of this program.
    """
    finished = finished or find_finished(path)
    if finished is None:
        raise InputError(
            f"{path}: holds no finished labels of this program; give an output of segment, predict "
            "or relabel."
        )
    about = {
        entry["label"]: {key: entry[key] for key in ("name", "color") if key in entry}
        for entry in finished.provenance["legend"]
    }
    relabel = Relabel(labels=about)
    volume = open_labels(path)
    shown = LabelsShown(
        before=lazy_array(volume)[:, 0],
        editor=editor or RelabelEditor(label_colors(sorted(about), relabel.colors), relabel),
        unlabelled=finished.provenance["unlabelled"],
        volume=volume,
        used=sorted(about),
    )
    return labels_layer(volume.name, shown, place(volume.geometry))


def _image_layer(name: str, image: np.ndarray) -> list[LayerData]:
    """Makes the layer of an image ``(C, H, W)``."""
    about: dict[str, Any] = {"name": name}
    if len(image) == 3 and image.min() >= 0 and image.max() <= 255:
        colors = image.transpose(1, 2, 0)
        if image.max() > 1:  # otherwise, colours are from 0 to 1, which napari shows as they are
            colors = colors.astype(np.uint8)
        return [(colors, {**about, "rgb": True}, "image")]
    if len(image) == 1:
        return [(image[0], about, "image")]
    return [(image, {**about, "channel_axis": 0}, "image")]
