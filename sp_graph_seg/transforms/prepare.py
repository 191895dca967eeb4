"""Functions that check, scale and resize images before the network gets them."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sp_graph_seg.config import Config
from sp_graph_seg.errors import (
    InputError,
    IntensityRangeWarning,
    ManyChannelsWarning,
    TrainingWarning,
)
from sp_graph_seg.transforms.arrays import as_array, as_mask, as_native, fill_outside
from sp_graph_seg.volumes.intensity import IntensitySample, find_numbers

Image = ArrayLike | Tensor
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Share of the values that may lie outside a model's range, such as dead pixels and highlights.
_OUTSIDE = 0.5

#: More channels than these are unusual for an image.
_USUAL_CHANNELS = 4


class ScaledImage(NamedTuple):
    """An image with intensities scaled to [0, 1], and its data pixels."""

    values: Array
    """``(C, H, W)`` in [0, 1]; pixels without data have the mean of the data."""
    inside: Mask | None
    """The data pixels, ``(H, W)``; ``None`` if all pixels are data."""


def as_image_list(
    images: Image | Sequence[Image], convert: Callable[[Image, str], Array] = as_native
) -> list[Array]:
    """Converts one image ``(C, H, W)``, or a sequence of such images, to a list of arrays."""
    several: Any = [images] if is_one_image(images) else images
    if len(several) == 0:
        raise InputError("images: the sequence is empty; give one image or more.")
    return [convert(image, f"images[{n}]") for n, image in enumerate(several)]


def is_one_image(images: Image | Sequence[Image]) -> bool:
    """Tells whether the argument is a single image rather than a sequence of images.

    An array ``(H, W)`` and an array without axes also count as a single image. A later check then
    refuses their shape with a clear message.
    """
    return isinstance(images, Tensor | np.ndarray) and images.ndim in (0, 2, 3)


def match_images(
    values: Image | Sequence[Image | None] | None, images: Sequence[Array], name: str
) -> list[Image | None]:
    """Returns one label map or mask for each image, or ``None`` for an image without one.

    Raises:
        InputError: If the number of label maps or masks differs from the number of images, or the
            size of a label map or mask differs from the size of its image.
    """
    if values is None:
        return [None] * len(images)
    given: list[Image | None] = (
        [values] if isinstance(values, Tensor | np.ndarray) and values.ndim == 2 else list(values)  # type: ignore[arg-type]
    )
    if len(given) != len(images):
        raise InputError(
            f"{name}: {len(given)} are given for {len(images)} images; give one for each image."
        )
    for number, (value, image) in enumerate(zip(given, images, strict=True)):
        size = None if value is None else as_array(value).shape
        if size not in (None, image.shape[1:]):
            raise InputError(
                f"{name}[{number}]: size {size} differs from the image size {image.shape[1:]}; "
                "resize it with nearest-neighbour interpolation."
            )
    return given


def warn_of_slices(name: str, channels: int) -> None:
    """Warns if an image has so many channels that they may be the slices of a volume.

    Warns:
        ManyChannelsWarning: The image has more than four channels.
    """
    if channels > _USUAL_CHANNELS:
        warnings.warn(
            f"{name}: is read as one image of {channels} channels; if the channels are slices of a "
            "volume, give the slices one by one.",
            ManyChannelsWarning,
            stacklevel=3,
        )


def check_image(image: Array, name: str, channels: int, config: Config) -> None:
    """Raises an error if the network cannot process an image.

    Call it before long work starts, so that the user sees the error at once.

    Raises:
        InputError: If the image is a volume, has a wrong number of channels, or is too small for
            the depth of the network.
    """
    shape = image.shape
    if image.ndim != 3:
        raise InputError(
            f"{name}: shape {shape} belongs to a volume, not to an image; give the slices of the "
            "volume, (C, H, W), one by one."
        )
    if shape[0] != channels:
        raise InputError(
            f"{name}: has {shape[0]} channels instead of {channels}; convert the image."
        )
    least = 2**config.depth
    if min(shape[1:]) < least:
        raise InputError(
            f"{name}: {shape[1]}x{shape[2]} pixels are too few for depth={config.depth}, which "
            f"needs at least {least}x{least}; enlarge the image or lower depth."
        )
    height, width = _seen_size(shape[1:], config.max_size)
    if min(height, width) < least:
        raise InputError(
            f"{name}: {shape[1]}x{shape[2]} pixels become {height}x{width} with "
            f"max_size={config.max_size}, but depth={config.depth} needs at least {least}x{least}; "
            "raise max_size or lower depth."
        )


def find_data(image: Array, mask: Image | None, superpixels: Image | None) -> Mask | None:
    """Finds the data pixels of an image ``(C, H, W)``.

    A pixel is not data if one of its channels is NaN, if it lies outside the mask, or if the id of
    its superpixel is negative.

    Returns:
        True for the data pixels, ``(H, W)``. If all pixels are data, ``None``.
    """
    size = image.shape[1:]
    parts = [find_numbers(image), None if mask is None else as_mask(mask, size)]
    if superpixels is not None:
        labels = as_array(superpixels)
        if labels.shape != size:
            raise InputError(
                f"superpixels: size {labels.shape} differs from the image size {size}; resize the "
                "label map with nearest-neighbour interpolation."
            )
        parts.append(labels >= 0)
    told = [part for part in parts if part is not None and not part.all()]
    return np.logical_and.reduce(told) if told else None


def find_data_of_each(
    images: Sequence[Array],
    masks: Sequence[Image | None],
    superpixels: Sequence[Image | None],
) -> list[Mask | None]:
    """Calls :func:`find_data` on each image.

    Raises:
        InputError: If an image has no data pixel.
    """
    insides = [find_data(*triple) for triple in zip(images, masks, superpixels, strict=True)]
    for number, inside in enumerate(insides):
        if inside is not None and not inside.any():
            raise InputError(
                f"images[{number}]: has no data pixels; check its mask, superpixels and NaN values."
            )
    return insides


def measure_intensity_range(
    images: Sequence[Array], insides: Sequence[Mask | None] | None = None
) -> tuple[float, float]:
    """Measures the intensity range of the data pixels of all images.

    One range is measured for all channels together. The class
    :class:`~sp_graph_seg.volumes.intensity.IntensitySample` describes how the range is found. If
    all values equal v, the range is ``(v, v + 1)``.
    """
    sample = IntensitySample(sum(image.size for image in images))
    for image, inside in zip(images, insides or map(find_numbers, images), strict=True):
        sample.add(image, inside)
    low, high = sample.range()
    return low, high if high > low else max(low + 1.0, math.nextafter(low, math.inf))


def check_range(
    low: float, high: float, images: Sequence[Array], insides: Sequence[Mask | None]
) -> None:
    """Raises an error if an intensity range does not fit the images.

    Raises:
        InputError: If ``low`` is not less than ``high``, or the values of every image lie
            completely below or completely above the range.
    """
    data = [
        image if inside is None else image[:, inside]
        for image, inside in zip(images, insides, strict=True)
    ]
    if not low < high:
        raise InputError(
            f"intensity_range={(low, high)} does not ascend; give the smaller number first."
        )
    if all(values.max() <= low or values.min() >= high for values in data):
        raise InputError(
            f"intensity_range={(low, high)} does not overlap the values of any image; give a range "
            "in the units of the images."
        )


def warn_of_uniform_images(images: Sequence[Array], insides: Sequence[Mask | None]) -> None:
    """Warns if every channel of every training image is constant over its data pixels."""
    for image, inside in zip(images, insides, strict=True):
        values = image.reshape(len(image), -1) if inside is None else image[:, inside]
        if (values.min(axis=1) < values.max(axis=1)).any():
            return
    warnings.warn(
        "images: all data pixels have the same value, so no labels can be learned; check the files "
        "and the masks.",
        TrainingWarning,
        stacklevel=3,
    )


def warn_of_other_units(image: Array, inside: Mask | None, low: float, high: float) -> None:
    """Warns if most data of an image lie outside the intensity range of the training images.

    The image is then probably in other units than the training images.
    """
    values = image if inside is None else image[:, inside]
    outside = (values < np.float32(low)) | (values > np.float32(high))  # in float32, as the values
    if np.count_nonzero(outside) > _OUTSIDE * values.size:
        warnings.warn(
            f"image: most values are not in the range from {low:g} to {high:g}, the intensity "
            "range of the training images; give images in the units of the training images.",
            IntensityRangeWarning,
            stacklevel=4,
        )


def normalize(image: Array, low: float, high: float) -> Array:
    """Scales an image so that ``low`` becomes 0 and ``high`` becomes 1.

    Values outside this range are clipped to [0, 1]. NaN becomes 0.
    """
    scaled = image - np.float32(low)
    scaled /= np.float32(high - low)
    np.fmax(scaled, np.float32(0), out=scaled)
    return np.fmin(scaled, np.float32(1), out=scaled)


def scale_intensities(image: Array, inside: Mask | None, low: float, high: float) -> ScaledImage:
    """Scales an image so that ``low`` becomes 0 and ``high`` becomes 1, and clips it to [0, 1].

    Pixels without data get the mean of the data pixels in each channel.
    """
    values = normalize(image, low, high)
    return ScaledImage(values if inside is None else fill_outside(values, inside), inside)


def crop(image: ScaledImage, size: int) -> ScaledImage:
    """Crops an image to at most ``size`` rows and columns, where most data pixels are.

    First the rows are chosen, and then the columns. If several choices are equally good, the one in
    the middle is taken.
    """
    values, inside = image
    height, width = values.shape[1:]
    counts = np.full(height, width) if inside is None else inside.sum(axis=1)
    rows = _fullest(counts, size)
    counts = np.full(width, height) if inside is None else inside[rows].sum(axis=0)
    columns = _fullest(counts, size)
    return ScaledImage(values[:, rows, columns], None if inside is None else inside[rows, columns])


def _fullest(counts: NDArray[np.int64], length: int) -> slice:
    """Finds the run of at most ``length`` entries with the largest sum."""
    ends = np.concatenate([[0], np.cumsum(counts)])
    sums = ends[length:] - ends[:-length]
    best = np.flatnonzero(sums == sums.max(initial=0))
    start = int(best[(len(best) - 1) // 2]) if len(best) else 0
    return slice(start, start + length)


def scale_down(image: Array, max_size: int) -> Tensor:
    """Converts an image to a tensor whose longest side has at most ``max_size`` pixels.

    A larger image is scaled down. With ``max_size=0``, no image is scaled.
    """
    return scale_to(torch.from_numpy(image), _seen_size(image.shape[1:], max_size))


def _seen_size(size: Sequence[int], max_size: int) -> list[int]:
    longest = max(size)
    if not 0 < max_size < longest:
        return list(size)
    return [max(1, round(n * max_size / longest)) for n in size]


def scale_to(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resizes an image ``(C, H, W)`` by bilinear interpolation with anti-aliasing."""
    if tuple(image.shape[1:]) == tuple(size):
        return image
    scaled = F.interpolate(
        image.unsqueeze(0), list(size), mode="bilinear", align_corners=False, antialias=True
    )
    return scaled[0]


def scale_mask(mask: Image, size: Sequence[int]) -> Tensor:
    """Resizes a mask ``(H, W)``. A new pixel is true if it covers an old pixel that is true."""
    pixels = torch.from_numpy(as_array(mask).astype(bool)).float()
    return F.adaptive_max_pool2d(pixels[None], list(size))[0] > 0


def scale_labels(values: Image, size: Sequence[int]) -> NDArray:
    """Resizes a label map ``(H, W)`` by nearest-neighbour interpolation."""
    array = as_array(values)
    if array.shape == tuple(size):
        return array
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, array.shape, strict=True)
    )
    return array[rows].take(columns, axis=1)
