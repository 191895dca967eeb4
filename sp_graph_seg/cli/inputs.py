"""What the user gives: images, masks and label maps, each error with the name of its file."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError, ManyChannelsWarning
from sp_graph_seg.io import read_image, read_labels

_USUAL_CHANNELS = 4


def read_unscaled(path: Path) -> np.ndarray:
    """An image with its intensities as they are: the model has its own range for them."""
    return read_image(path, float_range=None)


def read_images(paths: Sequence[Path], config: Config) -> list[np.ndarray]:
    """Images to train on, checked against one another and the configuration."""
    from sp_graph_seg.transforms.prepare import check_image

    images: list[np.ndarray] = []
    for path in paths:
        image = read_unscaled(path)
        check_image(image, str(path), len(images[0] if images else image), config)
        images.append(image)
    if len(images[0]) > _USUAL_CHANNELS:
        warnings.warn(
            f"{paths[0]}: read as one image of {len(images[0])} channels; if these are slices of a "
            "volume, split it and give them one by one.",
            ManyChannelsWarning,
            stacklevel=2,
        )
    return images


def read_masks(
    paths: Sequence[Path] | None, images: Sequence[Path], arrays: Sequence[np.ndarray]
) -> list[np.ndarray] | None:
    """A mask for each image, checked to have its size and a pixel that is set."""
    if paths is None:
        return None
    if len(paths) != len(images):
        raise InputError(f"--mask: {len(paths)} for {len(images)} images; give one for each.")
    masks = [read_map(*triple) != 0 for triple in zip(paths, images, arrays, strict=True)]
    for path, mask in zip(paths, masks, strict=True):
        if not mask.any():
            raise InputError(f"{path}: is 0 everywhere; mark what training should look at.")
    return masks


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
