"""The baselines of Table 1 of the paper: K-means on pixels and superpixels, spectral clustering.

All of them know colours alone. Each is a class in scikit-learn's manner, fitted on one or several
images, such as slices of a volume or frames of a video, and then used to label others; and a
function that labels one image. Labels run from the darkest cluster to the brightest (mean over the
channels), are the same for the same seed, and there are fewer than wanted where there are fewer
colours.
"""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances_argmin
from torch_geometric.data import Data

from sp_graph_seg.baselines.clustering import (
    affinity_matrix,
    distinct_colors,
    gray_histogram,
    kmeans_centers,
    order_by_brightness,
    otsu_thresholds,
    spectral_labels,
)
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import ToRAG, as_array, as_image, to_label_image
from sp_graph_seg.transforms.prepare import Array, Image, as_image_list, match_images

Labels = NDArray[np.int64]

#: Of more pixels than this a random sample is fitted on; 481x321 have 154401.
_SAMPLE = 1 << 18


class _NearestColor(BaseEstimator):
    """Labels colours by the nearest of the fitted ones."""

    centers_: NDArray[np.float64]

    def __init__(self, num_labels: int, seed: int = 0) -> None:
        self.num_labels = num_labels
        self.seed = seed

    def _nearest(self, colors: NDArray) -> Labels:
        """``(P, C)`` -> ``(P,)``."""
        _check_channels(colors.shape[1], self.centers_.shape[1])
        return pairwise_distances_argmin(colors, self.centers_).astype(np.int64)


class PixelKMeans(_NearestColor):
    """K-means of the colours of pixels, the best of ten starts (k-means++).

    Equal colours are one point with a weight, which changes nothing but the time. Of more than
    262144 pixels in all images together, it is fitted on a random sample of so many.

    Args:
        num_labels: Number of clusters.
        seed: Seed of the starts and of the sample. (default: :obj:`0`)

    Attributes:
        centers_: Colours of the clusters, ``(K, C)``, by brightness; K is ``num_labels`` or, where
            that is less, the number of different colours.

    Example:
        >>> image = np.zeros((3, 4, 6))
        >>> image[:, :, 3:] = 1.0
        >>> PixelKMeans(2).fit(image).predict(1.0 - image)[0]
        array([1, 1, 1, 0, 0, 0])
    """

    def fit(self, images: Image | Sequence[Image], y: None = None) -> "PixelKMeans":
        """Finds the clusters.

        Args:
            images: One image ``(C, H, W)`` or a sequence of them, whose sizes may differ; a volume
                ``(C, D, H, W)`` must stand in a sequence.
            y: Ignored.

        Raises:
            InputError: If ``num_labels`` is no positive integer, or an image cannot be used or
                differs from the others in its channels.
        """
        _check_num_labels(self.num_labels)
        colors = _sample_pixels(_as_images(images), self.seed)
        self.centers_ = kmeans_centers(colors, self.num_labels, self.seed)
        return self

    def predict(self, image: Image) -> Labels:
        """The nearest cluster of each pixel: ``(C, H, W)`` -> ``(H, W)``.

        Raises:
            sklearn.exceptions.NotFittedError: Before :meth:`fit`.
            InputError: If the image cannot be used, or has other channels than those fitted on.
        """
        _check_fitted(self, "centers_")
        array = as_image(image)
        return self._nearest(_to_pixels(array)).reshape(array.shape[1:])


class SuperpixelKMeans(_NearestColor):
    """K-means of the mean colours of superpixels, each counted once, the best of ten starts.

    Args:
        num_labels: Number of clusters.
        seed: Seed of the starts. (default: :obj:`0`)

    Attributes:
        centers_: As in :class:`PixelKMeans`.
    """

    def fit(
        self, images: Image | Sequence[Image], superpixels: Image | Sequence[Image], y: None = None
    ) -> "SuperpixelKMeans":
        """Finds the clusters.

        Args:
            images: One image ``(C, H, W)`` or a sequence of them, whose sizes may differ; a volume
                ``(C, D, H, W)`` must stand in a sequence.
            superpixels: Likewise, a label map for each, ``(H, W)``, such as
                :func:`~sp_graph_seg.transforms.compute_superpixels` makes, -1 outside of a mask.
            y: Ignored.

        Raises:
            InputError: If ``num_labels`` is no positive integer, an image cannot be used or differs
                from the others in its channels, or a label map has another size than its image.
        """
        _check_num_labels(self.num_labels)
        self._fit_graphs(_make_graphs(images, superpixels))
        return self

    def predict(self, image: Image, superpixels: Image) -> Labels:
        """The cluster whose colour is nearest to the mean of each superpixel, painted.

        Args:
            image: ``(C, H, W)``.
            superpixels: Its label map, ``(H, W)``.

        Returns:
            ``(H, W)``, -1 where ``superpixels`` is negative.

        Raises:
            sklearn.exceptions.NotFittedError: Before :meth:`fit`.
            InputError: If image or label map cannot be used.
        """
        _check_fitted(self, "centers_")
        (graph,) = _make_graphs([image], [superpixels])
        return _paint(self._nearest(graph.x.numpy()), graph)

    def _fit_graphs(self, graphs: Sequence[Data]) -> None:
        colors = np.concatenate([graph.x.numpy() for graph in graphs])
        self.centers_ = kmeans_centers(colors, self.num_labels, self.seed)


class SuperpixelSpectral(SuperpixelKMeans):
    """Spectral clustering of superpixels, on the sparse graph of those that touch.

    The affinity of two superpixels is exp(-10 w), w the distance of their mean colours (Eq. 2), and
    1e-6 at least. Where the graph falls apart, as that of several images or of islands in a mask,
    each superpixel outside of its largest part is linked with the one in that part whose colour is
    nearest.

    A spectral clustering knows the superpixels that it was fitted on and no others. :meth:`predict`
    therefore labels a superpixel by the cluster whose mean colour is nearest, even in an image that
    was fitted on; the clusters themselves are ``labels_``.

    Args:
        num_labels: Number of clusters.
        seed: Seed of the eigensolver and of K-means in its space. (default: :obj:`0`)

    Attributes:
        labels_: Clusters of the images fitted on, a list of ``(H, W)``, -1 where ``superpixels``
            is negative.
        centers_: Mean colours of the clusters, each superpixel counted once, ``(K, C)``, by
            brightness.
    """

    labels_: list[Labels]

    def _fit_graphs(self, graphs: Sequence[Data]) -> None:
        colors = np.concatenate([graph.x.numpy() for graph in graphs]).astype(np.float64)
        num_labels = min(self.num_labels, len(distinct_colors(colors)[0]))
        if num_labels in (1, len(colors)):  # nothing to cluster
            clusters = np.arange(len(colors)) % num_labels
        else:
            clusters = spectral_labels(affinity_matrix(graphs), num_labels, self.seed)
        centers = np.stack([colors[clusters == k].mean(axis=0) for k in range(clusters.max() + 1)])
        order = order_by_brightness(centers)
        self.centers_ = centers[order]
        ends = np.cumsum([graph.num_nodes for graph in graphs])[:-1]
        parts = np.split(np.argsort(order)[clusters], ends)
        self.labels_ = [_paint(part, graph) for part, graph in zip(parts, graphs, strict=True)]


class MultiOtsu(BaseEstimator):
    """Otsu's method with several thresholds, for grey images.

    The thresholds maximise the variance between the classes. Dynamic programming finds them exactly
    in 7 ms for any number of classes; ``skimage.filters.threshold_multiotsu`` gives the same, but
    tries all combinations: 2.5 s for five classes. The histogram has the values of the images
    themselves, or 256 bins where there are more values.

    Args:
        num_labels: Number of classes.

    Attributes:
        thresholds_: ``(K - 1,)``, increasing; K is ``num_labels`` or, where that is less, the
            number of different values.

    Example:
        >>> MultiOtsu(2).fit(np.array([[[0.0, 0.2, 0.9, 1.0]]])).thresholds_.round(2)
        array([0.55])
    """

    thresholds_: NDArray[np.float64]

    def __init__(self, num_labels: int) -> None:
        self.num_labels = num_labels

    def fit(self, images: Image | Sequence[Image], y: None = None) -> "MultiOtsu":
        """Finds the thresholds.

        Args:
            images: One image ``(1, H, W)`` or a sequence of them, whose sizes may differ; a volume
                ``(1, D, H, W)`` must stand in a sequence. Of more than 262144 pixels a random
                sample of so many is used.
            y: Ignored.

        Raises:
            InputError: If ``num_labels`` is no positive integer, or an image cannot be used or is
                not grey.
        """
        _check_num_labels(self.num_labels)
        arrays = _as_images(images)
        _check_channels(arrays[0].shape[0], 1)
        levels, counts = gray_histogram(_sample_pixels(arrays, seed=0)[:, 0])
        self.thresholds_ = otsu_thresholds(levels, counts, self.num_labels)
        return self

    def predict(self, image: Image) -> Labels:
        """The class of each pixel, 0 for the darkest: ``(1, H, W)`` -> ``(H, W)``.

        Raises:
            sklearn.exceptions.NotFittedError: Before :meth:`fit`.
            InputError: If the image cannot be used, or is not grey.
        """
        _check_fitted(self, "thresholds_")
        array = as_image(image)
        _check_channels(array.shape[0], 1)
        return np.searchsorted(self.thresholds_, array[0], side="right").astype(np.int64)


def kmeans_pixels(image: Image, num_labels: int, seed: int = 0) -> Labels:
    """Labels ``(H, W)`` of the pixels of one image ``(C, H, W)``, by :class:`PixelKMeans`."""
    return PixelKMeans(num_labels, seed).fit([image]).predict(image)


def kmeans_superpixels(image: Image, num_labels: int, superpixels: Image, seed: int = 0) -> Labels:
    """Labels ``(H, W)`` of the superpixels of one image, by :class:`SuperpixelKMeans`."""
    model = SuperpixelKMeans(num_labels, seed)
    return model.fit([image], [superpixels]).predict(image, superpixels)


def spectral_superpixels(
    image: Image, num_labels: int, superpixels: Image, seed: int = 0
) -> Labels:
    """Labels ``(H, W)`` of the superpixels of one image: the clusters of the graph themselves.

    See :class:`SuperpixelSpectral`.
    """
    model = SuperpixelSpectral(num_labels, seed)
    model.fit([image], [superpixels])
    return model.labels_[0]


def _as_images(images: Image | Sequence[Image]) -> list[Array]:
    arrays = as_image_list(images, as_image)
    for number, array in enumerate(arrays):
        _check_channels(array.shape[0], arrays[0].shape[0], f"images[{number}]")
    return arrays


def _make_graphs(
    images: Image | Sequence[Image], superpixels: Image | Sequence[Image]
) -> list[Data]:
    arrays = _as_images(images)
    graphs = []
    for number, values in enumerate(match_images(superpixels, arrays, "superpixels")):
        if values is None:
            raise InputError(f"superpixels[{number}]: there are none; give a label map an image.")
        nodes = as_array(values)
        inside = nodes >= 0
        mask = None if inside.all() else inside
        graphs.append(ToRAG(superpixels=nodes, mask=mask)(arrays[number]))
    return graphs


def _paint(labels: Labels, graph: Data) -> Labels:
    return to_label_image(torch.from_numpy(labels), graph).numpy()


def _to_pixels(array: Array) -> Array:
    """``(C, H, W)`` -> ``(H * W, C)``."""
    return array.reshape(array.shape[0], -1).T


def _sample_pixels(arrays: Sequence[Array], seed: int) -> Array:
    """The colours ``(P, C)`` of all pixels, or of a random sample of them."""
    pixels = np.concatenate([_to_pixels(array) for array in arrays])
    if len(pixels) <= _SAMPLE:
        return pixels
    return pixels[np.random.default_rng(seed).choice(len(pixels), _SAMPLE, replace=False)]


def _check_num_labels(num_labels: int) -> None:
    if not isinstance(num_labels, Integral) or num_labels < 1:
        raise InputError(f"num_labels={num_labels!r} must be an integer of 1 or more.")


def _check_channels(channels: int, expected: int, name: str = "image") -> None:
    if channels != expected:
        raise InputError(
            f"{name}: {channels} channels, where {expected} are expected; convert the image."
        )


def _check_fitted(model: BaseEstimator, attribute: str) -> None:
    if not hasattr(model, attribute):
        raise NotFittedError(f"This {type(model).__name__} has not been fitted: call fit first.")
