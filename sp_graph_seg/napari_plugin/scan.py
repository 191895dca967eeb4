"""What a model is trained on and labels: the volume of a file, or an array of a layer."""

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
    """The slices of a volume, wherever they are.

    Attributes:
        name: Its name, for the names of results.
        shape: ``(S, C, H, W)``.
        read: Reads the slice of a number, ``(C, H, W)`` float32, in the units of the input.
        volume: The volume on the disk; None if the slices are only in memory.
        array: The slices in memory, ``(S, C, H, W)``; None if they are on the disk.
        spacing: The distances of slices, rows and columns; None if they are unknown.
        unit: Their unit.
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
        """Makes the scan of an opened volume."""
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
        """Makes the scan of an array that is in memory, or computed when it is read.

        Args:
            array: ``(H, W)`` or ``(S, H, W)``, and colours as the last axis if ``rgb``.
            name: Its name.
            rgb: Whether the last axis holds colours.
            spacing: The distances of slices, rows and columns.
            unit: Their unit.

        Raises:
            InputError: The array has another number of axes.
        """
        axes = array.ndim - rgb
        if axes not in (2, 3):
            raise InputError(
                f"{name}: has {axes} axes; give an image, or a volume of three axes, one channel "
                "in each layer."
            )
        slices = array if axes == 3 else array[np.newaxis]
        slices = slices[..., :3].transpose(0, 3, 1, 2) if rgb else slices[:, np.newaxis]

        def read(number: int) -> NDArray[np.float32]:
            return np.asarray(slices[number], dtype=np.float32)

        return cls(name, slices.shape, read, None, slices, spacing, unit)

    @property
    def kind(self) -> str:
        """The preset for it: ``photo`` for one colour image, ``video`` or ``tomogram``."""
        count, channels, _, _ = self.shape
        if self.volume is not None and self.volume.frame_rate is not None:
            return "video"
        return "tomogram" if channels != 3 else "photo" if count == 1 else "video"

    @property
    def folder(self) -> Path:
        """The folder where its results lie by default: beside the file, with its name."""
        beside = Path.cwd() if self.volume is None else self.volume.source.file.parent
        return beside / self.name.replace("/", "_").replace("\\", "_").replace(":", "_")

    def describe(self) -> str:
        """Returns its size and voxel size as text."""
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
        """Measures the range of at most 16 slices, without dead and hot pixels.

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
        """Returns the volume on the disk, which a job needs to be resumed.

        Slices in memory are saved as ``NAME.npy`` in the folder first. A file of that name that
        holds the same values is used as it is.

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
                f"{file}: holds other values than the layer {self.name}; rename the layer, or "
                "choose another folder."
            )
        return volume

    def _open(self, file: Path) -> Volume:
        return open_volume(file, axes="zcyx", spacing=self.spacing, unit=self.unit)

    def _save(self, file: Path) -> None:
        slices = np.asarray(self.array)
        with atomic_write(file) as temporary:
            np.save(temporary, slices.astype(np.uint8) if slices.dtype == bool else slices)
