"""Opens the label volumes that commands read, and the images that the labels were made from."""

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.cli.volume_flags import looks_like_volume
from sp_graph_seg.errors import AssumedSpacingWarning, InputError

if TYPE_CHECKING:
    from sp_graph_seg.labels.relabel import Relabel
    from sp_graph_seg.volumes import Geometry, Volume


class LabelVolume(NamedTuple):
    """The labels of a volume, with the value for unlabelled voxels and the provenance."""

    volume: "Volume"
    unlabelled: int | None
    """The value of voxels without a label."""
    provenance: dict[str, Any]
    """The provenance of labels of this program. It is empty for labels of other programs."""

    def slices(self) -> Iterator[NDArray[np.int64]]:
        """Yields the labels of each slice. Voxels without a label are -1."""
        for image in self.volume:
            labels = image[0].astype(np.int64)
            yield labels if self.unlabelled is None else _hidden(labels, self.unlabelled)

    @property
    def part(self) -> dict[str, Any]:
        """The part of the image that was labelled, as in `Volume.part_read`; empty if unknown."""
        return self.provenance.get("geometry", {}).get("part", {})

    def legend(self) -> "Relabel":
        """The names and colours of labels that are stored with the labels."""
        from sp_graph_seg.labels.relabel import Relabel

        rows = self.provenance.get("legend", [])
        return Relabel(labels={row["label"]: _about(row) for row in rows})

    @property
    def geometry(self) -> "Geometry":
        """The geometry of the labels. Its ``part`` is the part of the image that was labelled."""
        found = self.volume.geometry
        return dataclasses.replace(found, part=self.part or found.part)


def is_label_volume(path: Path) -> bool:
    """Returns whether a file or folder holds labels of a volume, and not of one image."""
    if path.suffix.lower() == ".npy" and path.is_file():
        return np.load(path, mmap_mode="r").ndim > 2
    return looks_like_volume(path)


def open_label_volume(
    path: Path, axes: str | None = None, about: "Relabel | None" = None
) -> LabelVolume:
    """Opens the labels of a volume.

    Args:
        path: File or folder of labels that this or another program wrote.
        axes: Names of the stored axes in order, such as ``zyx``, if the file does not declare them.
        about: Description of the relabelling. If its ``unlabelled`` is set, voxels with this value
            have no label.
    """
    from sp_graph_seg.label_jobs.finished import find_finished
    from sp_graph_seg.labels.relabel import find_unlabelled
    from sp_graph_seg.volumes import open_labels

    volume = open_labels(path, axes=axes)
    unlabelled = find_unlabelled(volume, about)
    finished = find_finished(path)
    return LabelVolume(volume, unlabelled, finished.provenance if finished else {})


def open_image_of(labels: LabelVolume, image: Path | None) -> "Volume | None":
    """Opens the image that labels were made from.

    Args:
        labels: The labels.
        image: The file of the image. None means the file that is recorded with the labels.

    Returns:
        The part of the image that was labelled, with the same slices as the labels. The result is
        None if ``image`` is None and the recorded file is missing or has another size.

    Raises:
        InputError: The given image cannot be opened, or differs in size from the labels.
    """
    from sp_graph_seg.volumes import open_like, open_volume

    if image is None:
        return _recorded_image(labels)
    size = _size(labels.volume)
    opened = open_volume(image)
    if _size(opened) != size and labels.part:
        with suppress(InputError):  # a part that this image does not have
            opened = open_like(image, labels.part)
    if _size(opened) != size:
        own, wanted = ("x".join(map(str, s)) for s in (_size(opened), size))
        raise InputError(
            f"--image {image}: has {own} {opened.elements}, but {labels.volume.path} has {wanted}; "
            "give the image that these labels were made from."
        )
    return opened


def _recorded_image(labels: LabelVolume) -> "Volume | None":
    from sp_graph_seg.volumes import open_like

    record = labels.provenance.get("record", {})
    while "before" in record:  # labels that were relabelled
        record = record["before"]
    try:
        with warnings.catch_warnings():  # the labels have the voxel size
            warnings.simplefilter("ignore", AssumedSpacingWarning)
            opened = open_like(record["inputs"][0]["path"], labels.part)
    except (InputError, IndexError, KeyError):
        return None
    return opened if _size(opened) == _size(labels.volume) else None


def _about(row: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in row.items() if key != "label"}


def _hidden(labels: NDArray[np.int64], unlabelled: int) -> NDArray[np.int64]:
    labels[labels == unlabelled] = -1
    return labels


def _size(volume: "Volume") -> tuple[int, int, int]:
    return len(volume), volume.height, volume.width
