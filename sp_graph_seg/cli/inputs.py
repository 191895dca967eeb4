"""Functions that read the images, masks and label maps of a command. Errors name the file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sp_graph_seg.cli.app import AUTO
from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io import read_image, read_labels


def kind_of_image(path: Path) -> str:
    """Returns the preset for an image: ``photo`` if it has three channels, else ``tomogram``."""
    return "photo" if len(read_image(path)) == 3 else "tomogram"


def read_images(paths: Sequence[Path], config: Config) -> list[np.ndarray]:
    """Reads images to train on, and checks that they fit each other and the configuration."""
    from sp_graph_seg.transforms.prepare import warn_of_slices

    images: list[np.ndarray] = []
    for path in paths:
        images.append(read_checked(path, len(images[0]) if images else None, config))
    warn_of_slices(str(paths[0]), len(images[0]))
    return images


def read_checked(path: Path, channels: int | None, config: Config) -> np.ndarray:
    """Reads an image. Checks that it fits the configuration and the given number of channels."""
    from sp_graph_seg.transforms.prepare import check_image, find_numbers

    image = read_image(path)
    check_image(image, str(path), channels or len(image), config)
    inside = find_numbers(image)
    if inside is not None and not inside.any():
        raise InputError(f"{path}: is NaN in every pixel; leave this image out.")
    return image


def read_masks(
    paths: Sequence[Path] | None, images: Sequence[Path], arrays: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """Reads a mask for each image. Checks that each mask fits its image and is not empty."""
    if paths is None:
        return None
    paths = match_masks(paths, images)
    return [read_mask(*triple) for triple in zip(paths, images, arrays, strict=True)]


def match_masks(paths: Sequence[Path], images: Sequence[Path]) -> list[Path]:
    """Returns the path of the mask for each image. A single ``auto`` is used for every image."""
    if list(paths) == [AUTO]:
        return [AUTO] * len(images)
    if len(paths) != len(images):
        raise InputError(
            f"--mask: got {len(paths)} masks for {len(images)} images; give a mask for each image."
        )
    return list(paths)


def read_mask(path: Path, image: Path, array: np.ndarray) -> np.ndarray:
    """Reads a mask, which is true where the file is not 0.

    For ``auto``, the mask is true where the image does not show air.
    """
    if path == AUTO:
        from sp_graph_seg.volumes.air import find_air

        air = find_air([array])
        return np.ones(array.shape[1:], bool) if air is None else air.sample(array)
    mask = read_map(path, image, array) != 0
    if not mask.any():
        raise InputError(f"{path}: is 0 everywhere; set the pixels with data to 1 in the mask.")
    return mask


def check_range(intensity_range: tuple[float, float] | None) -> None:
    """Raises an error unless the first value of a range is below the second."""
    if (
        intensity_range is not None
        and not -np.inf < intensity_range[0] < intensity_range[1] < np.inf
    ):
        low, high = intensity_range
        raise InputError(f"--range {low:g} {high:g}: is not ascending; give the lower value first.")


def read_map(path: Path, image: Path, array: np.ndarray) -> np.ndarray:
    """Reads a mask or a label map, and checks that it has the size of its image."""
    values = read_labels(path)
    if values.shape != array.shape[1:]:
        own, wanted = ("x".join(map(str, shape)) for shape in (values.shape, array.shape[1:]))
        raise InputError(
            f"{path}: has {own} pixels, but {image} has {wanted}; "
            f"resize {path} with nearest-neighbour interpolation."
        )
    return values
