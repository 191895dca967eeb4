"""One pass over all slices of a volume, which tells all that training needs to know of them."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.streaming.choose import find_representatives, places_to_look_at, shrink
from sp_graph_seg.streaming.slices import read_usable
from sp_graph_seg.transforms.prepare import check_image
from sp_graph_seg.volumes import Volume
from sp_graph_seg.volumes.intensity import IntensitySample, find_numbers

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Survey:
    """What :func:`survey_volume` found."""

    volume: Volume
    sample: IntensitySample
    """The intensities of the slices that can be used."""
    unusable: dict[int, str] = field(default_factory=dict)
    """The slices that cannot be used, and why: unreadable ones, and those with NaN or Inf."""
    kept: dict[int, Image] = field(default_factory=dict)
    """The slices that were to be kept, ``(C, H, W)``."""
    small: dict[int, Image] = field(default_factory=dict)
    """Small copies of the slices that were looked at."""

    def check(self, config: Config, channels: int | None = None, skip_bad: bool = False) -> None:
        """Refuses what cannot be labelled or trained on.

        Args:
            config: That of the network.
            channels: Channels that the network takes; by default those of the volume.
            skip_bad: Allow slices that cannot be used, but not all of them.

        Raises:
            InputError: Naming the first slice that cannot be used, its file and page.
        """
        volume = self.volume
        if self.unusable and not skip_bad:
            number, reason = min(self.unusable.items())
            more = f" and {len(self.unusable) - 1} more" if len(self.unusable) > 1 else ""
            raise InputError(
                f"{volume.path}: slice {number}{more} cannot be used ({reason}); mend it, or leave "
                "it unlabelled with --skip-bad."
            )
        if len(self.unusable) == len(volume):
            reason = min(self.unusable.items())[1]
            raise InputError(f"{volume.path}: no slice can be used ({reason}); check the file.")
        shape = volume.channels, volume.height, volume.width
        check_image(
            np.broadcast_to(np.float32(0), shape), volume.path, channels or shape[0], config
        )

    def intensity_range(self) -> tuple[float, float]:
        """The range of the slices that can be used, as ``measure_range`` gives it of a volume.

        Raises:
            InputError: If all values are alike, or there are none.
        """
        low, high = self.sample.range()
        if not low < high:
            path = self.volume.path
            raise InputError(f"{path}: is {low:g} everywhere; there is nothing to tell apart.")
        return low, high

    def choose(self, count: int, intensity_range: tuple[float, float]) -> list[int]:
        """The slices that represent the rest best, as :func:`choose_slices` gives them."""
        total = len(self.small)
        if not 1 <= count <= total:
            raise InputError(
                f"{self.volume.path}: has {total} usable slices, of which {count} cannot be "
                f"chosen; give 1 to {total}."
            )
        return find_representatives(self.small, count, intensity_range)


def survey_volume(volume: Volume, keep: Collection[int] = (), choose: int = 0) -> Survey:
    """Reads every slice of a volume once: which can be used, their intensities, those to train on.

    Args:
        volume: The volume or video.
        keep: Numbers of slices to keep.
        choose: How many slices are to be chosen of it; 0 for none. Of more than 200 slices, 200 at
            equal distances are looked at for that, and where one of them cannot be used, the next.
    """
    size = len(volume) * volume.channels * volume.height * volume.width
    survey = Survey(volume, IntensitySample(size))
    # Of other axes the check would tell the numbers of stored slices.
    unusable = dict(volume.check(quick=True)) if volume.axis == "z" else {}
    places = places_to_look_at(len(volume), choose) if choose else np.empty(0)
    for block in volume.read_runs():
        for number, image in read_usable(volume, *block, unusable):
            if number in unusable:
                continue
            inside = find_numbers(image)
            survey.sample.add(image, inside)
            has_data = inside is None or inside.any()
            if has_data and len(survey.small) < np.searchsorted(places, number, side="right"):
                survey.small[number] = shrink(image)
            if number in keep:
                survey.kept[number] = image.copy()  # a view would keep its block
    survey.unusable.update(sorted(unusable.items()))
    return survey


def check_slices(
    volume: Volume, config: Config, channels: int | None = None, skip_bad: bool = False
) -> dict[int, str]:
    """All that can be known before long work: every slice can be read, and the network takes them.

    Takes and raises what :meth:`Survey.check` does; every slice is read once.

    Returns:
        The slices that cannot be used, and why.
    """
    survey = survey_volume(volume)
    survey.check(config, channels, skip_bad)
    return survey.unusable
