"""From the user's images to what the network sees: checks, intensity range, scale."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import as_array, as_image

Image = ArrayLike | Tensor
Array = NDArray[np.float32]

#: Shares of the pixels that may lie below and above the range: dead pixels and hot ones.
_OUTLIERS = (0.001, 0.999)

#: Largest sample that the range is measured on; sorting more would tell nothing new.
_SAMPLE = 1 << 22


def as_image_list(images: Image | Sequence[Image]) -> list[Array]:
    """One image ``(C, H, W)`` or several of any sizes, as checked arrays."""
    if isinstance(images, Tensor | np.ndarray) and images.ndim in (0, 2, 3):
        images = [images]
    if len(images) == 0:  # type: ignore[arg-type]
        raise InputError("images: there is none; give one or more.")
    return [as_image(image, f"images[{n}]") for n, image in enumerate(images)]  # type: ignore[arg-type]


def match_images(
    values: Image | Sequence[Image | None] | None, images: Sequence[Array], name: str
) -> list[Image | None]:
    """One label map or mask (or ``None``) for each image, checked to have its size."""
    if values is None:
        return [None] * len(images)
    given: list[Image | None] = (
        [values] if isinstance(values, Tensor | np.ndarray) and values.ndim == 2 else list(values)  # type: ignore[arg-type]
    )
    if len(given) != len(images):
        raise InputError(f"{name}: {len(given)} are given for {len(images)} images; give one each.")
    for number, (value, image) in enumerate(zip(given, images, strict=True)):
        size = None if value is None else as_array(value).shape
        if size not in (None, image.shape[1:]):
            raise InputError(
                f"{name}[{number}]: size {size} is not that of the image, {image.shape[1:]}; "
                "resize it with nearest-neighbour interpolation."
            )
    return given


def check_image(image: Array, name: str, channels: int, config: Config) -> None:
    """Refuses what the network cannot take, before anything slow begins."""
    shape = image.shape
    if image.ndim != 3:
        raise InputError(
            f"{name}: shape {shape} is a volume; give its slices one by one, (C, H, W)."
        )
    if shape[0] != channels:
        raise InputError(
            f"{name}: {shape[0]} channels, where {channels} are expected; convert the image."
        )
    least = 2**config.depth
    if min(shape[1:]) < least:
        raise InputError(
            f"{name}: {shape[1]}x{shape[2]} pixels are too few for depth={config.depth}, which "
            f"needs {least}x{least}; enlarge the image or lower depth."
        )
    height, width = _seen_size(shape[1:], config.max_size)
    if min(height, width) < least:
        raise InputError(
            f"{name}: {shape[1]}x{shape[2]} pixels become {height}x{width} with "
            f"max_size={config.max_size}, too few for depth={config.depth}, which needs "
            f"{least}x{least}; raise max_size or lower depth."
        )


def measure_intensity_range(images: Sequence[Array]) -> tuple[float, float]:
    """The 0.1 and 99.9 percentiles over all channels of all images; ``(v, v + 1)`` if all are v."""
    pixels = [image.ravel() for image in images]
    step = -(-sum(part.size for part in pixels) // _SAMPLE)
    sample = np.concatenate([part[::step] for part in pixels])
    low, high = np.quantile(sample, _OUTLIERS)
    if high <= low:
        low, high = sample.min(), sample.max()
    low, high = float(low), float(high)
    return low, high if high > low else max(low + 1.0, math.nextafter(low, math.inf))


def normalize(image: Array, low: float, high: float) -> Array:
    """Maps ``low`` to 0 and ``high`` to 1, and clips what lies beyond."""
    return np.clip((image - np.float32(low)) / np.float32(high - low), 0.0, 1.0)


def scale_down(image: Array, max_size: int) -> Tensor:
    """The image as a tensor, its longest side no longer than ``max_size`` (0: as it is)."""
    return scale_to(torch.from_numpy(image), _seen_size(image.shape[1:], max_size))


def _seen_size(size: Sequence[int], max_size: int) -> list[int]:
    longest = max(size)
    if not 0 < max_size < longest:
        return list(size)
    return [max(1, round(n * max_size / longest)) for n in size]


def scale_to(image: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation of ``(C, H, W)`` to another size, without aliasing."""
    if tuple(image.shape[1:]) == tuple(size):
        return image
    scaled = F.interpolate(
        image.unsqueeze(0), list(size), mode="bilinear", align_corners=False, antialias=True
    )
    return scaled[0]


def scale_mask(mask: Image, size: Sequence[int]) -> Tensor:
    """A mask ``(H, W)`` at another size: a pixel is set where any of those that it covers is."""
    pixels = torch.from_numpy(as_array(mask).astype(bool)).float()
    return F.adaptive_max_pool2d(pixels[None], list(size))[0] > 0


def scale_labels(values: Image, size: Sequence[int]) -> NDArray:
    """A label map ``(H, W)`` at another size, by the nearest pixel."""
    array = as_array(values)
    if array.shape == tuple(size):
        return array
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, array.shape, strict=True)
    )
    return array[rows][:, columns]
