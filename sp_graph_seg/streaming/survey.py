"""Reads all slices of a volume once to collect the data that training needs."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.choose import (
    find_representatives,
    is_video,
    places_to_look_at,
    shrink,
)
from sp_graph_seg.streaming.slices import read_usable
from sp_graph_seg.transforms.prepare import check_image
from sp_graph_seg.volumes import Volume
from sp_graph_seg.volumes.intensity import IntensitySample, find_numbers

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Survey:
    """The data of a volume that :func:`survey_volume` collects."""

    volume: Volume
    sample: IntensitySample
    """The intensities of the usable slices."""
    unusable: dict[int, str] = field(default_factory=dict)
    """The numbers of the slices that are unreadable or hold NaN or Inf, with the reasons."""
    kept: dict[int, Image] = field(default_factory=dict)
    """The requested slices ``(C, H, W)``, by number."""
    small: dict[int, Image] = field(default_factory=dict)
    """Small copies of the slices that are compared, by number."""

    def check(self, config: Config, channels: int | None = None, skip_bad: bool = False) -> None:
        """Raises an error if the volume cannot be labelled or used for training.

        Args:
            config: The configuration of the network.
            channels: The number of channels of the network's input. (default: the channels of the
                volume)
            skip_bad: Whether to allow slices that cannot be used. At least one slice must be
                usable.

        Raises:
            InputError: A slice or the whole volume cannot be used. The message names the first
                slice that cannot be used, with its file and page.
        """
        volume = self.volume
        if self.unusable and not skip_bad:
            number, reason = min(self.unusable.items())
            more = f" (and {len(self.unusable) - 1} more)" if len(self.unusable) > 1 else ""
            raise InputError(
                f"{volume.path}: {volume.named(number)}{more} cannot be used ({_bare(reason)}); "
                f"repair the file, or leave such {volume.noun} unlabelled by adding --skip-bad."
            )
        if len(self.unusable) == len(volume):
            reason = min(self.unusable.items())[1]
            raise InputError(
                f"{volume.path}: no slice can be used ({_bare(reason)}); check the file."
            )
        shape = volume.channels, volume.height, volume.width
        check_image(
            np.broadcast_to(np.float32(0), shape), volume.path, channels or shape[0], config
        )

    def intensity_range(self) -> tuple[float, float]:
        """Returns the intensity range of the usable slices, by the same rule as ``measure_range``.

        Raises:
            InputError: All values are equal, or there are no values.
        """
        low, high = self.sample.range()
        if not low < high:
            path = self.volume.path
            raise InputError(f"{path}: is {low:g} everywhere; give a volume with contrast.")
        return low, high

    def choose(self, count: int, intensity_range: tuple[float, float]) -> list[int]:
        """Chooses the slices that represent the other slices best, like :func:`choose_slices`."""
        total = len(self.small)
        if not 1 <= count <= total:
            raise InputError(
                f"{self.volume.path}: has {total} usable {self.volume.noun}, so {count} "
                f"cannot be chosen; give a number from 1 to {total}."
            )
        return find_representatives(self.small, count, intensity_range, is_video(self.volume))


def survey_volume(volume: Volume, keep: Collection[int] = (), choose: int = 0) -> Survey:
    """Reads every slice of a volume once and collects the data that training needs.

    Each slice is checked, its intensities are sampled, and the requested slices are kept.

    Args:
        volume: The volume or video.
        keep: The numbers of the slices to keep.
        choose: How many slices will be chosen by :meth:`Survey.choose`; 0 for none. If the volume
            has more than 200 slices, only 200 slices at equal distances will be compared. If one of
            these slices cannot be used, the next usable slice takes its place.

    Returns:
        The collected data.
    """
    size = len(volume) * volume.channels * volume.height * volume.width
    survey = Survey(volume, IntensitySample(size))
    # For other axes, the check returns numbers of stored slices.
    unusable = dict(volume.check(quick=True)) if volume.axis == "z" else {}
    places = places_to_look_at(len(volume), choose) if choose else np.empty(0)
    for start, stop in volume.read_runs():
        for number, image in read_usable(volume, start, stop, unusable):
            if number in unusable:
                continue
            inside = find_numbers(image)
            survey.sample.add(image, inside)
            has_data = inside is None or inside.any()
            if has_data and len(survey.small) < np.searchsorted(places, number, side="right"):
                survey.small[number] = shrink(image)
            if number in keep:
                survey.kept[number] = image.copy()  # a view would keep the whole run in memory
    survey.unusable.update(sorted(unusable.items()))
    return survey


def check_slices(
    volume: Volume, config: Config, channels: int | None = None, skip_bad: bool = False
) -> dict[int, str]:
    """Checks that every slice of a volume can be read and suits the network.

    Every slice is read once. Call this before long work starts. The arguments and errors are the
    same as in :meth:`Survey.check`.

    Returns:
        The numbers of the slices that cannot be used, with the reasons.
    """
    survey = survey_volume(volume)
    survey.check(config, channels, skip_bad)
    return survey.unusable


def _bare(reason: str) -> str:
    """Removes the full stop at the end of a message, so that another message can quote it."""
    return reason.removesuffix(".")
