"""Selects small pictures of a labelled volume or of labelled images, to be shown on a page."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.plot.colors import to_rgb
from sp_graph_seg.plot.layout import shrink_image, shrink_labels
from sp_graph_seg.plot.legend import LegendCounter, LegendRow
from sp_graph_seg.volumes import Volume
from sp_graph_seg.volumes.intensity import IntensitySample, find_numbers

#: Most slices that are shown, and that are read: of more, so many at equal distances.
SHOWN = 24
READ = 512

#: Most bytes of slices that are read at once.
_RUN_BYTES = 2**26


@dataclass(frozen=True)
class Panel:
    """One small picture of height h and width w, and its labels.

    Attributes:
        title: What the picture shows, such as ``"slice 12"``.
        image: ``(C, h, w)`` float32 in the units of the input; None if only labels are known.
        labels: ``(h, w)``, negative for pixels without a label.
        extent: Height and width of the input, in physical units or in pixels.
        note: A remark on the picture, such as ``"trained on"``, or an empty text.
        position: For a slice of a volume, its position along the depth, from 0 to 1.
    """

    title: str
    image: NDArray[np.float32] | None
    labels: NDArray[np.int64]
    extent: tuple[float, float]
    note: str = ""
    position: float | None = None

    @property
    def heading(self) -> str:
        """The title of the panel, followed by the note if there is one."""
        return f"{self.title}, {self.note}" if self.note else self.title

    def picture(self, intensity_range: tuple[float, float]) -> NDArray[np.uint8] | None:
        """Returns the image as ``(h, w, 3)``. The given range is shown from black to white."""
        if self.image is None:
            return None
        return np.rint(255 * to_rgb(np.nan_to_num(self.image), *intensity_range)).astype(np.uint8)


@dataclass(frozen=True)
class Sample:
    """The pictures that a page shows of its input, and the legend of the pictures.

    Attributes:
        panels: The shown slices, frames or images.
        cuts: For a grey volume, two panels perpendicular to the slices. Otherwise empty.
        legend: The legend, with a row for each label.
        intensity_range: The values that are shown as black and as white.
        unit: Unit of the extents of the panels.
        seen: A pair: how many slices, frames or images were counted for the legend, and how many
            there are in total.
        noun: What a panel is: ``"slice"``, ``"frame"`` or ``"image"``.
        first: Index of the panel that is shown first. (default: the middle one)
    """

    panels: tuple[Panel, ...]
    cuts: tuple[Panel, ...]
    legend: tuple[LegendRow, ...]
    intensity_range: tuple[float, float]
    unit: str
    seen: tuple[int, int]
    noun: str
    first: int | None = None


def sample_volume(
    volume: Volume | None,
    labels: Volume,
    *,
    trained_on: Collection[int] = (),
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, str] | None = None,
) -> Sample:
    """Selects slices of a volume and of its labels. Slices are read one by one.

    At most 512 slices are read, at equal distances. At most 24 of the slices that are read become
    panels, with sides of at most 640 pixels. In addition, all slices in ``trained_on`` are read and
    become panels. One cut consists of the middle row of every slice that is read, the other cut of
    the middle column.

    Args:
        volume: The input, or None if only its labels are known.
        labels: The labels of the volume, opened along the same axis. The largest value of their
            integer type stands for pixels without a label.
        trained_on: Slices that the model was trained on. They are always shown, and marked.
        names: Names of labels.
        colors: Colours of some labels, such as those of the model. The other labels get
            colours far from these.

    Raises:
        InputError: If the labels do not fit the volume, or a slice cannot be read.
    """
    _check_fit(volume, labels)
    total = len(labels)
    looked_at = sorted({*_at_equal_distances(total, READ), *trained_on})
    shown = {*(looked_at[n] for n in _at_equal_distances(len(looked_at), SHOWN)), *trained_on}
    counter, sample = LegendCounter(), _Intensities(volume, len(looked_at))
    middle = labels.height // 2, labels.width // 2
    along_row, along_column = _Cut(), _Cut()
    slices, rows, columns = (volume or labels).spacing or (1.0, 1.0, 1.0)
    noun = (volume or labels).noun.removesuffix("s")
    is_space = noun == "slice" and (volume or labels).channels == 1
    panels = []
    for number, image, found in _read(volume, labels, looked_at):
        counter.add(found, image)
        sample.add(image)
        along_row.add(None if image is None else image[:, middle[0]], found[middle[0]])
        along_column.add(None if image is None else image[:, :, middle[1]], found[:, middle[1]])
        if number in shown:
            panels.append(
                Panel(
                    f"{noun} {number}",
                    None if image is None else shrink_image(image),
                    shrink_labels(found),
                    (labels.height * rows, labels.width * columns),
                    "trained on" if number in trained_on else "",
                    (number + 0.5) / total,
                )
            )
    depth = total * slices
    cuts = (
        along_row.panel(f"row {middle[0]}", (depth, labels.width * columns)),
        along_column.panel(f"column {middle[1]}", (depth, labels.height * rows)),
    )
    known = (volume or labels).spacing is not None
    return Sample(
        tuple(panels),
        cuts if is_space and total > 1 else (),
        tuple(counter.rows(names, colors)),
        sample.range(),
        short_unit((volume or labels).spacing_unit) if known else (volume or labels).elements,
        (len(looked_at), total),
        noun,
    )


def sample_images(
    images: Iterable[tuple[str, NDArray[np.float32], NDArray]],
    total: int,
    *,
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, str] | None = None,
) -> Sample:
    """Selects some of the labelled images. Images are read one at a time.

    Args:
        images: Title, image ``(C, H, W)`` and labels ``(H, W)`` of each image. Labels are negative
            for pixels without a label.
        total: The number of images. At most 24 are shown; all are counted for the legend.
        names: Names of labels.
        colors: Colours of some labels, such as those of the model. The other labels get
            colours far from these.
    """
    counter, panels = LegendCounter(), []
    shown = set(_at_equal_distances(total, SHOWN))
    for number, (title, image, labels) in enumerate(images):
        counter.add(labels, image)
        if number in shown:
            small = shrink_image(image)
            low, high = _range_of([small])
            panels.append(
                Panel(
                    title,
                    (small - low) / (high - low),  # each image has its own brightness
                    shrink_labels(labels),
                    (float(labels.shape[0]), float(labels.shape[1])),
                )
            )
    rows = tuple(counter.rows(names, colors))
    return Sample(tuple(panels), (), rows, (0.0, 1.0), "pixels", (total, total), "image")


class _Cut:
    """A picture across the slices, which consists of one line of each slice."""

    def __init__(self) -> None:
        self._images: list[NDArray[np.float32]] = []
        self._labels: list[NDArray[np.int64]] = []

    def add(self, image: NDArray[np.float32] | None, labels: NDArray[np.int64]) -> None:
        if image is not None:
            self._images.append(image.copy())  # a view would keep the whole slice in memory
        self._labels.append(labels.copy())

    def panel(self, title: str, extent: tuple[float, float]) -> Panel:
        image = shrink_image(np.stack(self._images, axis=1)) if self._images else None
        return Panel(title, image, shrink_labels(np.stack(self._labels)), extent)


class _Intensities:
    """Measures the intensity range of the slices that are read."""

    def __init__(self, volume: Volume | None, count: int) -> None:
        size = 0 if volume is None else volume.channels * volume.height * volume.width
        self._sample = IntensitySample(count * size)

    def add(self, image: NDArray[np.float32] | None) -> None:
        if image is not None:
            self._sample.add(image, find_numbers(image))

    def range(self) -> tuple[float, float]:
        try:
            low, high = self._sample.range()
        except InputError:  # no input, or no data in it
            return 0.0, 1.0
        return (low, high) if low < high else (low, low + 1)


def _read(
    volume: Volume | None, labels: Volume, numbers: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.float32] | None, NDArray[np.int64]]]:
    """Yields the number, values and labels of each slice. NaN means no data, -1 means no label."""
    images = repeat(None) if volume is None else _slices(volume.with_nan(), numbers)
    for number, image, stored in zip(numbers, images, _slices(labels, numbers), strict=False):
        found = stored[0].astype(np.int64)
        if labels.dtype.kind in "ui":
            found[found == np.iinfo(labels.dtype).max] = -1
        if image is None:
            yield number, None, found
            continue
        with np.errstate(over="ignore"):
            values = image.astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        yield number, values, found


def _slices(volume: Volume, numbers: Sequence[int]) -> Iterator[NDArray]:
    """Reads slices of one chunk together. A slice that cannot be read consists of NaN."""
    for start, stop in volume.read_runs(_RUN_BYTES):
        own = [number for number in numbers if start <= number < stop]
        if not own:
            continue
        try:
            values = volume.read(own[0], own[-1] + 1)
        except InputError:
            yield from (_slice_or_nothing(volume, number) for number in own)
            continue
        yield from (values[number - own[0]] for number in own)


def _slice_or_nothing(volume: Volume, number: int) -> NDArray:
    try:
        return volume[number]
    except InputError:
        return np.full((volume.channels, volume.height, volume.width), np.nan, np.float32)


def _check_fit(volume: Volume | None, labels: Volume) -> None:
    sizes = [(len(v), v.height, v.width) for v in (volume, labels) if v is not None]
    if len(set(sizes)) > 1:
        own, wanted = (" x ".join(map(str, size)) for size in sizes)
        raise InputError(
            f"{labels.path}: has {wanted} {labels.elements}, but {volume and volume.path} has "
            f"{own}; give the part of the volume that was labelled."
        )


def _at_equal_distances(total: int, most: int) -> list[int]:
    """Returns at most ``most`` numbers from 0 to ``total - 1``, including 0 and ``total - 1``."""
    return np.unique(np.linspace(0, total - 1, min(total, most)).round().astype(int)).tolist()


def _range_of(images: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    sample = _Intensities(None, 0)
    for image in images:
        sample.add(image)
    return sample.range()


def short_unit(unit: str | None) -> str:
    """Returns the symbol of a unit, such as "µm".

    A unit without a known symbol is returned unchanged. None becomes "units".
    """
    known = {"micrometer": "µm", "um": "µm", "nanometer": "nm", "millimeter": "mm"}
    return known.get(unit, unit) if unit else "units"
