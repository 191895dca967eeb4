"""What the user gives: images, masks and label maps, each error with the name of its file."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError, ManyChannelsWarning
from sp_graph_seg.io import read_image, read_labels

_USUAL_CHANNELS = 4


def kind_of_image(path: Path) -> str:
    """The preset that suits an image: that of photographs where it has three channels."""
    return "photo" if len(read_image(path)) == 3 else "tomogram"


def read_images(paths: Sequence[Path], config: Config) -> list[np.ndarray]:
    """Images to train on, checked against one another and the configuration."""
    images: list[np.ndarray] = []
    for path in paths:
        images.append(read_checked(path, len(images[0]) if images else None, config))
    if len(images[0]) > _USUAL_CHANNELS:
        warnings.warn(
            f"{paths[0]}: read as one image of {len(images[0])} channels; if these are slices of a "
            "volume, split it and give them one by one.",
            ManyChannelsWarning,
            stacklevel=2,
        )
    return images


def read_checked(path: Path, channels: int | None, config: Config) -> np.ndarray:
    """An image, checked against the configuration and, where it is given, a number of channels."""
    from sp_graph_seg.transforms.prepare import check_image, find_numbers

    image = read_image(path)
    check_image(image, str(path), channels or len(image), config)
    inside = find_numbers(image)
    if inside is not None and not inside.any():
        raise InputError(f"{path}: is NaN in every pixel; leave it out.")
    return image


def read_masks(
    paths: Sequence[Path] | None, images: Sequence[Path], arrays: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """A mask for each image, checked to have its size and a pixel that is set."""
    if paths is None:
        return None
    if len(paths) != len(images):
        raise InputError(f"--mask: {len(paths)} for {len(images)} images; give one for each.")
    return [read_mask(*triple) for triple in zip(paths, images, arrays, strict=True)]


def read_mask(path: Path, image: Path, array: np.ndarray) -> np.ndarray:
    """The pixels of an image that are data: those where its mask is not 0."""
    mask = read_map(path, image, array) != 0
    if not mask.any():
        raise InputError(f"{path}: is 0 everywhere; mark the pixels that are data.")
    return mask


def check_range(intensity_range: tuple[float, float] | None) -> None:
    """Refuses a range that does not ascend."""
    if (
        intensity_range is not None
        and not -np.inf < intensity_range[0] < intensity_range[1] < np.inf
    ):
        low, high = intensity_range
        raise InputError(f"--range {low:g} {high:g}: must ascend; give the lower value first.")


def read_map(path: Path, image: Path, array: np.ndarray) -> np.ndarray:
    """A mask or a label map, checked to have the size of its image."""
    values = read_labels(path)
    if values.shape != array.shape[1:]:
        own, wanted = ("x".join(map(str, shape)) for shape in (values.shape, array.shape[1:]))
        raise InputError(
            f"{path}: {own} pixels are not the {wanted} of {image}; "
            "resize it with nearest-neighbour interpolation."
        )
    return values
