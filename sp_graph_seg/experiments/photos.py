"""Functions that select the images of BSDS300, and check them before training."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sp_graph_seg.datasets import find_bsds300
from sp_graph_seg.errors import InputError
from sp_graph_seg.experiments.jobs import Photo


def find_photos(
    root: str | os.PathLike[str], split: Literal["train", "test"], images: Sequence[str] = ()
) -> list[Photo]:
    """Finds images of BSDS300 and their ground truth.

    Args:
        root: Folder of BSDS300.
        split: ``"train"`` or ``"test"``.
        images: Names of images such as ``"3096"``. A Python slice such as ``"0:100:8"`` selects
            from the sorted list of all names. If ``images`` is empty, all images are found.

    Raises:
        InputError: If the dataset or an image is missing.
    """
    # A worker on another machine may have another working directory.
    found = find_bsds300(Path(root).expanduser().absolute(), split)
    names = sorted(found)
    chosen = [n for entry in images for n in _choose(entry, names, root)] if images else names
    return [Photo(name, *found[name]) for name in dict.fromkeys(chosen)]


def check_photos(photos: Sequence[Photo]) -> None:
    """Reads all images and their truths once, so that faults are found before the long training.

    Raises:
        InputError: If a file cannot be read, or a truth differs in size from its image.
    """
    for photo in photos:
        size = photo.read().shape[1:]
        for number, truth in enumerate(photo.read_truth()):
            if truth.shape != size:
                raise InputError(
                    f"{photo.truth[min(number, len(photo.truth) - 1)]}: annotator {number} has "
                    f"{truth.shape[0]}x{truth.shape[1]} pixels, but {photo.path} has "
                    f"{size[0]}x{size[1]} pixels; unpack the dataset again."
                )


def _choose(entry: str, names: list[str], root: str | os.PathLike[str]) -> list[str]:
    if entry in names:
        return [entry]
    parts = entry.split(":")
    try:
        chosen = names[slice(*(int(part) if part else None for part in parts))]
    except (TypeError, ValueError):
        chosen = []
    if len(parts) < 2 or not chosen:
        raise InputError(
            f"{root}: {entry!r} matches none of the {len(names)} images; give names such as "
            f"{names[0]}, or positions as a slice such as 0:{len(names)}:8."
        )
    return chosen
