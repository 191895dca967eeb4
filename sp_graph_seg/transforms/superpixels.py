"""Functions that make superpixels and supervoxels.

Every superpixel is a connected component. The ids are 0 to N - 1.
"""

import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt

from sp_graph_seg.errors import FewSuperpixelsWarning, InputError
from sp_graph_seg.transforms.arrays import as_mask, fill_outside
from sp_graph_seg.transforms.grid_slic import grid_slic

Labels = NDArray[np.int64]
Spacing = tuple[float, ...] | None

#: Id of the pixels outside the mask.
MASKED = -1

#: With fewer wanted superpixels than this, a small number may well be right.
_WORTH_A_WARNING = 20

#: Half of scikit-image's default, in half the time. On 20 training photographs of BSDS300 with 2000
#: superpixels, achievable accuracy and boundary recall are 0.967 and 0.83 with both.
_SLIC_ITERATIONS = 5

# Felzenszwalb & Huttenlocher's method takes the smallest size of a superpixel instead of their
# number. With a quarter of the mean wanted size, pictures of 64 x 64 to 600 x 400 pixels get 0.6 to
# 1.2 times the wanted number, if that leaves 25 pixels or more to each.
_FELZENSZWALB_SMALLEST = 0.25
_FELZENSZWALB_CONTRAST = 0.02  # smaller differences of colour are merged, up to the smallest size
_FELZENSZWALB_SIGMA = 0.8  # in pixels, as in the paper

# SLIC weighs space against colour in CIELAB, whose lightness runs from 0 to 100.
_LIGHTNESS_RANGE = 100.0


def compute_superpixels(
    image: NDArray[Any],
    n_segments: int,
    compactness: float = 10.0,
    superpixel_method: str = "slic",
    spacing: Spacing = None,
    mask: NDArray[np.bool_] | None = None,
) -> Labels:
    """Makes superpixels of an image, or supervoxels of a volume, with scikit-image.

    Args:
        image: Values in [0, 1], ``(C, H, W)`` or ``(C, D, H, W)``. Three channels are taken as RGB.
        n_segments: Wanted number of superpixels. The result may have more or fewer.
        compactness: Weight of distances in space against differences of colour. A larger value
            makes more compact superpixels. ``"felzenszwalb"`` ignores it.
        superpixel_method: One of :data:`SUPERPIXEL_METHODS`. ``"slic"`` is the method of Achanta et
            al. 2012. ``"grid_slic"`` is one iteration of it, for images only, which is faster; see
            :func:`~sp_graph_seg.transforms.grid_slic.grid_slic`. ``"watershed"`` is the compact
            watershed of the gradient magnitude, which starts from a regular grid of seeds (Neubert
            & Protzel 2014). ``"felzenszwalb"`` is the graph-based method of Felzenszwalb &
            Huttenlocher 2004, for images only. Its superpixels differ in size, because a flat area
            becomes one superpixel.
        spacing: Size of a pixel along each axis, in any unit, because only the ratios matter.
            ``None`` means that the size is the same along all axes. ``"grid_slic"`` and
            ``"felzenszwalb"`` ignore it.
        mask: Boolean array of the image's size, true for the pixels that belong to superpixels.

    Returns:
        The superpixel of each pixel, an id from 0 to N - 1. Pixels outside the mask have -1. Each
        superpixel is connected.

    Raises:
        InputError: If the method is unknown or does not support volumes, ``n_segments`` is not a
            positive integer, or the mask is empty or has another size than the image.
    """
    check_n_segments(n_segments)
    check_superpixel_method(superpixel_method, image.ndim - 1)
    if spacing is not None:  # compactness weighs pixels of the finest axis against colour
        spacing = tuple(size / min(spacing) for size in spacing)
    inside = None if mask is None else as_mask(mask, image.shape[1:])
    if inside is not None:
        # scikit-image's SLIC inside a mask takes up to 36 times as long (4000 of 1024 x 1024).
        image = fill_outside(np.asarray(image, dtype=np.float32), inside)
    make = SUPERPIXEL_METHODS[superpixel_method]
    superpixels = connected_components(
        make(image, n_segments, compactness, spacing, inside), inside
    )
    made, wanted = int(superpixels.max()) + 1, min(n_segments, int((superpixels != MASKED).sum()))
    if made * 10 < wanted and wanted >= _WORTH_A_WARNING:
        warnings.warn(
            f"n_segments={n_segments}: fewer than a tenth of the superpixels were made, which is "
            f"common in noisy images; use a compactness above {compactness:g}, smooth the image or "
            "use another superpixel_method.",
            FewSuperpixelsWarning,
            stacklevel=2,
        )
    return superpixels


def check_n_segments(n_segments: int) -> None:
    """Raises an error if the wanted number of superpixels is not a positive integer."""
    try:
        is_positive = operator.index(n_segments) > 0
    except TypeError:
        is_positive = False
    if not is_positive:
        raise InputError(f"n_segments={n_segments} is not a positive integer; use 1 or more.")


def check_superpixel_method(name: str, ndim: int = 2) -> None:
    """Raises an error if a method is unknown or does not support images of ``ndim`` axes."""
    if name not in SUPERPIXEL_METHODS:
        known = ", ".join(map(repr, SUPERPIXEL_METHODS))
        raise InputError(f"superpixel_method={name!r} is unknown; use one of {known}.")
    if ndim > 2 and name in _IMAGES_ONLY:
        others = " or ".join(repr(n) for n in SUPERPIXEL_METHODS if n not in _IMAGES_ONLY)
        raise InputError(f"superpixel_method={name!r} does not support volumes; use {others}.")


def connected_components(
    labels: ArrayLike, mask: ArrayLike | None = None, connectivity: int = 1
) -> Labels:
    """Splits a label map into connected components, numbered from 0 to N - 1 in scan order.

    Args:
        labels: Integers, ``(H, W)`` or ``(D, H, W)``. They must not be negative inside the mask.
        mask: True for the pixels to keep. All other pixels become -1.
        connectivity: Which pixels are neighbours. With 1, neighbours share a face. With 2, they may
            share only a corner in an image, or only an edge in a volume. With 3, they may share
            only a corner.

    Raises:
        InputError: If the labels are not integers or are negative inside the mask, or if the mask
            is empty or has another size than the label map.
    """
    from skimage.measure import label

    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise InputError(
            f"superpixels: a label map of type {labels.dtype} does not hold integers; give an "
            "integer id for each pixel."
        )
    if labels.size == 0:
        raise InputError(
            f"superpixels: the label map of shape {labels.shape} is empty; give a label map with "
            "at least one pixel."
        )
    inside = None if mask is None else as_mask(mask, labels.shape)
    if (labels.min() if inside is None else labels[inside].min()) < 0:
        raise InputError(
            "superpixels: some ids are negative; give a mask that is false at their pixels."
        )
    if labels.max() > np.iinfo(np.int64).max:  # scikit-image would wrap such ids
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    ids = labels.astype(np.int64, copy=False)  # before MASKED goes in: -1 is 255 among 8-bit ids
    if inside is not None:
        ids = np.where(inside, ids, MASKED)
    # scikit-image numbers in another order if the last axis has length 1, so drop such axes.
    thick = np.atleast_1d(ids.squeeze())
    components = label(thick, background=MASKED, connectivity=min(connectivity, thick.ndim))
    components = components.reshape(ids.shape).astype(np.int64, copy=False)
    components -= 1  # 0 is the background
    return components


def _slic(
    image: NDArray[Any],
    n_segments: int,
    compactness: float,
    spacing: Spacing,
    mask: NDArray[np.bool_] | None,
) -> Labels:
    from skimage.segmentation import slic

    is_rgb = image.shape[0] == 3
    if not is_rgb:
        # scikit-image stretches the values to [0, 1], which is undone here. With 1 for a lightness
        # of 100, a compactness means the same for any number of channels and any brightness.
        contrast = float(np.ptp(image))
        compactness /= _LIGHTNESS_RANGE * max(contrast, 1e-6)
    return slic(
        image,
        n_segments=round(_count_in_all(n_segments, mask)),
        compactness=compactness,
        spacing=spacing,
        max_num_iter=_SLIC_ITERATIONS,
        convert2lab=is_rgb,
        channel_axis=0,
        start_label=0,
    )


def _grid_slic(
    image: NDArray[Any],
    n_segments: int,
    compactness: float,
    spacing: Spacing,
    mask: NDArray[np.bool_] | None,
) -> Labels:
    from skimage.color import rgb2lab

    is_rgb = len(image) == 3
    colors = rgb2lab(image, channel_axis=0) if is_rgb else image * np.float32(_LIGHTNESS_RANGE)
    return grid_slic(colors, _count_in_all(n_segments, mask), compactness)


def _watershed(
    image: NDArray[Any],
    n_segments: int,
    compactness: float,
    spacing: Spacing,
    mask: NDArray[np.bool_] | None,
) -> Labels:
    from skimage.filters import sobel
    from skimage.segmentation import watershed

    if mask is not None:  # no values from outside, and no edge along the mask
        nearest = distance_transform_edt(~mask, return_distances=False, return_indices=True)
        image = image[:, *nearest]
    gradient = np.sqrt(sum(sobel(channel) ** 2 for channel in image))
    seeds = _seed_grid(image.shape[1:], _count_in_all(n_segments, mask), spacing)
    # Distances in the compact watershed are in pixels and gradients of [0, 1] images stay below 1.
    # With 1e-4 the usual compactness of 10 is about as square as in SLIC: 2000 superpixels of a
    # photograph have a median solidity of 0.85, and 0.91 there.
    return watershed(gradient, markers=seeds, compactness=compactness * 1e-4)


def _count_in_all(n_segments: int, mask: NDArray[np.bool_] | None) -> float:
    """Computes how many superpixels of the whole image put ``n_segments`` inside the mask."""
    return n_segments if mask is None else n_segments / float(mask.mean())


def _seed_grid(shape: tuple[int, ...], n_segments: float, spacing: Spacing) -> Labels:
    """Puts a seed into the middle of each cell of a grid of about ``n_segments`` equal cells."""
    extent = np.asarray(shape) * np.asarray(spacing or (1.0,) * len(shape))  # physical
    counts = np.ones(len(shape), dtype=int)
    # Thinnest axis first: if it has room for one cell only, the other axes get more.
    axes = np.argsort(extent)
    for done, axis in enumerate(axes):
        cell = (extent[axes[done:]].prod() / n_segments * counts.prod()) ** (1 / (len(axes) - done))
        counts[axis] = np.clip(np.round(extent[axis] / cell), 1, shape[axis])
    ticks = [
        ((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(counts, shape, strict=True)
    ]
    seeds = np.zeros(shape, dtype=np.int64)
    seeds[np.ix_(*ticks)] = np.arange(1, counts.prod() + 1).reshape(counts)
    return seeds


def _felzenszwalb(
    image: NDArray[Any],
    n_segments: int,
    compactness: float,
    spacing: Spacing,
    mask: NDArray[np.bool_] | None,
) -> Labels:
    from skimage.segmentation import felzenszwalb, watershed

    pixels = image[0].size / _count_in_all(n_segments, mask)  # in a superpixel
    smallest = max(1, round(pixels * _FELZENSZWALB_SMALLEST))
    if mask is not None:  # the outside becomes one dark area
        image = np.where(mask, image, image[:, mask].min() - 1)
    with warnings.catch_warnings():
        # scikit-image doubts that more than three channels are meant.
        warnings.filterwarnings("ignore", "Got image with third dimension", RuntimeWarning)
        segments = felzenszwalb(
            image,
            scale=smallest * _FELZENSZWALB_CONTRAST,
            sigma=_FELZENSZWALB_SIGMA,
            min_size=smallest,
            channel_axis=0,
        )
    # Its segments are connected across corners. Splitting them there leaves small pieces, which are
    # given to their neighbours.
    pieces = connected_components(segments)
    sizes = np.bincount(pieces.ravel())
    is_kept = sizes >= min(smallest, sizes.max())
    return watershed(np.zeros(pieces.shape), markers=np.where(is_kept[pieces], pieces + 1, 0))


#: The methods under their names in :class:`~sp_graph_seg.ToRAG` and ``Config.superpixel_method``.
#: Each takes the image, ``n_segments``, ``compactness``, the spacing or ``None`` and the mask or
#: ``None``, and returns integer ids. The pixels of an id need not be connected, and ids outside the
#: mask are ignored.
SUPERPIXEL_METHODS: dict[str, Callable[..., NDArray[Any]]] = {
    "slic": _slic,
    "grid_slic": _grid_slic,
    "watershed": _watershed,
    "felzenszwalb": _felzenszwalb,
}

_IMAGES_ONLY = frozenset({"grid_slic", "felzenszwalb"})
