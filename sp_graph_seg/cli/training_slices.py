"""Reads the slices of volumes to train on. The user or the program chooses these slices."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sp_graph_seg.cli.inputs import match_masks
from sp_graph_seg.cli.messages import report
from sp_graph_seg.cli.volume_flags import ReadFlags
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError

if TYPE_CHECKING:
    from sp_graph_seg.streaming import Survey
    from sp_graph_seg.volumes import Volume

#: Slices to train on if the user names none.
_TRAIN_ON = 2


class TrainingSlices(NamedTuple):
    """Slices of one or several volumes to train on."""

    images: list[np.ndarray]
    """``(C, H, W)`` each."""
    intensity_range: tuple[float, float]
    """The given range, or the smallest range that covers the measured ranges of all volumes."""


def open_training_volumes(
    paths: Sequence[Path], masks: Sequence[Path] | None, flags: ReadFlags
) -> "list[Volume]":
    """Opens volumes, and applies their masks."""
    volumes = [flags.open(path) for path in paths]
    if masks is None:
        return [leave_out_void(volume, flags) for volume in volumes]
    pairs = zip(volumes, match_masks(masks, paths), strict=True)
    return [flags.mask(volume, mask) for volume, mask in pairs]


def leave_out_void(volume: "Volume", flags: ReadFlags) -> "Volume":
    """Masks what is constant around the data of a tomogram. Videos are returned unchanged."""
    return flags.leave_out_void(volume) if kind_of_volume(volume) == "tomogram" else volume


def read_training_slices(
    volumes: "Sequence[Volume]",
    train_on: str | None,
    intensity_range: tuple[float, float] | None,
    config: Config,
) -> TrainingSlices:
    """Reads the slices to train on from each volume, and prints their numbers."""
    from sp_graph_seg.streaming import survey_volume

    images: list[np.ndarray] = []
    ranges = []
    for volume in volumes:
        asked = train_on or default_train_on(volume)
        numbers, count = parse_train_on(asked, volume)
        survey = survey_volume(volume, numbers, count)
        survey.check(config, volumes[0].channels, skip_bad=True)
        chosen, measured = choose_or_check(survey, numbers, count, None, intensity_range)
        assert measured is not None, "only the range inside of masks is not measured here"
        why = f", as --train-on {asked} does" if train_on is None else ""
        report("chosen", f"{volume.named(*chosen)} of the {len(volume)} of {volume.path}{why}")
        images += read_chosen(survey, chosen)
        ranges.append(measured)
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return TrainingSlices(images, (low, high))


def default_train_on(volume: "Volume") -> str:
    """Returns the default value of --train-on for a volume."""
    return f"auto:{min(_TRAIN_ON, len(volume))}"


def choose_or_check(
    survey: "Survey",
    numbers: list[int],
    count: int,
    masks: Sequence[np.ndarray] | None,
    intensity_range: tuple[float, float] | None,
) -> tuple[list[int], tuple[float, float] | None]:
    """Returns the slices to train on, and the intensity range.

    If there are masks and no range is given, the range is None. It is then measured later, inside
    the masks.
    """
    for number in numbers:
        if number in survey.unusable:
            what, reason = survey.volume.named(number), survey.unusable[number].removesuffix(".")
            raise InputError(f"--train-on: {what} cannot be used ({reason}); give another.")
    measured = intensity_range or survey.intensity_range()
    chosen = survey.choose(count, measured) if count else numbers
    return chosen, intensity_range if masks is not None else measured


def read_chosen(survey: "Survey", numbers: Sequence[int]) -> list[np.ndarray]:
    """Returns the images of the given slices.

    Slices that ``survey`` did not keep in memory are read again.
    """
    from sp_graph_seg.streaming import read_slice

    kept = survey.kept
    return [kept[n] if n in kept else read_slice(survey.volume, n) for n in numbers]


def kind_of_volume(volume: "Volume") -> str:
    """Returns the preset for a volume: ``video`` if it has frames or colours, else ``tomogram``."""
    from sp_graph_seg.streaming.choose import is_video

    return "video" if is_video(volume) else "tomogram"


def parse_train_on(text: str, volume: "Volume") -> tuple[list[int], int]:
    """Parses the value of --train-on.

    Returns:
        The numbers of the slices and 0. For ``auto:N``, an empty list and N.
    """
    total = len(volume)
    kind, _, number = text.partition(":")
    try:
        if kind == "auto":
            count = int(number or 1)
            if not 1 <= count <= total:
                raise ValueError
            return [], count
        numbers = [int(part) for part in text.split(",")]
        if any(not -total <= n < total for n in numbers):
            raise ValueError
    except ValueError as error:
        raise InputError(
            f"--train-on {text}: is not valid for {total} {volume.noun}; give numbers "
            f"from 0 to {total - 1}, such as 0,{total // 2}, or auto:N with N from 1 to {total}."
        ) from error
    return list(dict.fromkeys(n % total for n in numbers)), 0
