"""The class :class:`Scan`, a volume in a file or in a napari layer, to train on and to label."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.errors import InputError
from sp_graph_seg.io.files import atomic_write, check_writable
from sp_graph_seg.streaming import read_slice
from sp_graph_seg.volumes import Volume, open_volume
from sp_graph_seg.volumes.intensity import IntensitySample, find_numbers

#: Slices at equal distances that are read to measure the intensity range of a volume.
_SAMPLED = 16


@dataclass(frozen=True)
class Scan:
    """The slices of a volume, which are either on disk or in the array of a layer.

    Attributes:
        name: The name of the volume. The names of result files begin with it.
        shape: ``(S, C, H, W)``: the number of slices, channels, rows and columns.
        read: Function that returns the slice with a given number, ``(C, H, W)`` float32, in the
            units of the input.
        volume: The volume on disk. None if the slices are in ``array``.
        array: The slices, ``(S, C, H, W)``. None if they are in ``volume``.
        spacing: The distances between neighbouring slices, rows and columns. None if they are
            unknown.
        unit: The unit of ``spacing``.
    """

    name: str
    shape: tuple[int, int, int, int]
    read: Callable[[int], NDArray[np.float32]]
    volume: Volume | None = None
    array: Any = None
    spacing: tuple[float, float, float] | None = None
    unit: str | None = None

    @classmethod
    def of_volume(cls, volume: Volume) -> "Scan":
        """Makes a scan from a volume on disk."""
        return cls(
            volume.name,
            (len(volume), volume.channels, volume.height, volume.width),
            lambda number: read_slice(volume, number),
            volume,
            spacing=volume.spacing,
            unit=volume.spacing_unit,
        )

    @classmethod
    def of_array(
        cls,
        array: Any,
        name: str,
        *,
        rgb: bool = False,
        spacing: tuple[float, float, float] | None = None,
        unit: str | None = None,
    ) -> "Scan":
        """Makes a scan from an array, such as a NumPy or dask array.

        Args:
            array: An image ``(H, W)`` or a volume ``(S, H, W)``. If ``rgb`` is true, the colours
                are on one more axis, the last one.
            name: The name of the scan.
            rgb: Whether the last axis of the array holds colours.
            spacing: The distances between neighbouring slices, rows and columns.
            unit: The unit of ``spacing``.

        Raises:
            InputError: The array does not have 2 or 3 axes, not counting the axis of colours.
        """
        axes = array.ndim - rgb
        if axes not in (2, 3):
            raise InputError(
                f"{name}: has {axes} axes, but an image has 2 and a volume has 3; split it into "
                "layers with 2 or 3 axes, such as one layer for each channel."
            )
        slices = array if axes == 3 else array[np.newaxis]
        slices = slices[..., :3].transpose(0, 3, 1, 2) if rgb else slices[:, np.newaxis]

        def read(number: int) -> NDArray[np.float32]:
            return np.asarray(slices[number], dtype=np.float32)

        return cls(name, slices.shape, read, None, slices, spacing, unit)

    @property
    def kind(self) -> str:
        """The preset that suits the scan.

        It is ``photo`` for a single colour image, ``video`` for a video or several colour images,
        and ``tomogram`` for all others.
        """
        count, channels, _, _ = self.shape
        if self.volume is not None and self.volume.frame_rate is not None:
            return "video"
        return "tomogram" if channels != 3 else "photo" if count == 1 else "video"

    @property
    def folder(self) -> Path:
        """The default folder for results. It is named after the scan.

        The folder lies beside the file of the volume or, for an array, in the current directory.
        """
        beside = Path.cwd() if self.volume is None else self.volume.source.file.parent
        return beside / self.name.replace("/", "_").replace("\\", "_").replace(":", "_")

    def describe(self) -> str:
        """Returns a text with the size of the scan and, if known, its voxel size."""
        count, channels, height, width = self.shape
        text = f"{count} × {height} × {width}"
        if channels > 1:
            text += f", {channels} channels"
        if self.spacing is not None:
            unit = "µm" if self.unit == "micrometer" else self.unit or "(no unit)"
            edges = [f"{length:.4g}" for length in self.spacing]
            text += f", voxel {edges[0] if len(set(edges)) == 1 else ' × '.join(edges)} {unit}"
        return text

    def intensity_range(self) -> tuple[float, float]:
        """Measures the intensity range in at most 16 slices. Dead and hot pixels do not count.

        Raises:
            InputError: All values are equal, or a slice cannot be read.
        """
        count, channels, height, width = self.shape
        numbers = sorted({(2 * k + 1) * count // (2 * _SAMPLED) for k in range(_SAMPLED)})
        sample = IntensitySample(len(numbers) * channels * height * width)
        for number in numbers:
            image = self.read(number)
            sample.add(image, find_numbers(image))
        low, high = sample.range()
        if not (math.isfinite(low) and low < high):
            raise InputError(f"{self.name}: is {low:g} everywhere; give a volume with contrast.")
        return low, high

    def on_disk(self, folder: Path) -> Volume:
        """Returns the scan as a volume on disk. Only labelling from disk can be resumed.

        If the slices are in an array, they are first saved in the folder as ``NAME.npy``, where
        ``NAME`` is the name of the scan. If this file exists already with the same values, it is
        not written again.

        Raises:
            InputError: The file exists with other values, or cannot be written.
        """
        if self.volume is not None:
            return self.volume
        file = folder / f"{self.folder.name}.npy"
        if not file.exists():
            check_writable(folder)
            self._save(file)
            return self._open(file)
        volume = self._open(file)
        same = (len(volume), volume.channels, volume.height, volume.width) == self.shape
        if not same or any(
            not np.array_equal(np.asarray(self.array[number]), image, equal_nan=True)
            for number, image in enumerate(volume)
        ):
            raise InputError(
                f"{file}: the layer {self.name} would be saved here, but this file exists with "
                "other values; rename the layer, or choose another folder."
            )
        return volume

    def _open(self, file: Path) -> Volume:
        return open_volume(file, axes="zcyx", spacing=self.spacing, unit=self.unit)

    def _save(self, file: Path) -> None:
        slices = np.asarray(self.array)
        with atomic_write(file) as temporary:
            np.save(temporary, slices.astype(np.uint8) if slices.dtype == bool else slices)
