"""K-means clustering of the colours of pixels or superpixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin
from torch_geometric.data import Data

from sp_graph_seg.baselines.common import (
    Labels,
    as_images,
    check_channels,
    check_fitted,
    check_num_labels,
    make_graphs,
    paint,
    sample_pixels,
    to_pixels,
)
from sp_graph_seg.transforms import as_image
from sp_graph_seg.transforms.prepare import Image

Colors = NDArray[np.float64]

#: Starts of K-means, of which the best is kept.
STARTS = 10


class NearestColor(BaseEstimator):
    """Base class of estimators that label each colour by the nearest cluster centre."""

    centers_: Colors

    def __init__(self, num_labels: int, seed: int = 0) -> None:
        self.num_labels = num_labels
        self.seed = seed

    def _nearest(self, colors: NDArray) -> Labels:
        """Returns the nearest cluster of each of the P colours ``(P, C)``."""
        check_channels(colors.shape[1], self.centers_.shape[1])
        return pairwise_distances_argmin(colors, self.centers_).astype(np.int64)


class PixelKMeans(NearestColor):
    """K-means clustering of the colours of pixels.

    K-means starts ten times from centres chosen by k-means++, and the best result is kept. If all
    images together have more than 262144 pixels, a random sample of 262144 pixels is used.

    Args:
        num_labels: Number of clusters.
        seed: Seed of the starts and of the sample. (default: :obj:`0`)

    Attributes:
        centers_: Colours of the K clusters, ``(K, C)``, from dark to bright. K is ``num_labels``,
            or the number of different colours if there are fewer different colours.

    Example:
        >>> image = np.zeros((3, 4, 6))
        >>> image[:, :, 3:] = 1.0
        >>> PixelKMeans(2).fit(image).predict(1.0 - image)[0]
        array([1, 1, 1, 0, 0, 0])
    """

    def fit(self, images: Image | Sequence[Image], y: None = None) -> "PixelKMeans":
        """Finds the clusters of the colours of one or more images.

        Args:
            images: One image ``(C, H, W)`` or a sequence of images of any sizes. A volume
                ``(C, D, H, W)`` must be in a sequence.
            y: Ignored.

        Raises:
            InputError: If ``num_labels`` is not a positive integer, an image is invalid, or the
                images differ in their number of channels.
        """
        check_num_labels(self.num_labels)
        colors = sample_pixels(as_images(images), self.seed)
        self.centers_ = kmeans_centers(colors, self.num_labels, self.seed)
        return self

    def predict(self, image: Image) -> Labels:
        """Labels each pixel of an image by the cluster with the nearest colour.

        Args:
            image: ``(C, H, W)``.

        Returns:
            The label map, ``(H, W)``.

        Raises:
            sklearn.exceptions.NotFittedError: If :meth:`fit` was not called before.
            InputError: If the image is invalid, or its number of channels differs from the images
                that were given to :meth:`fit`.
        """
        check_fitted(self, "centers_")
        array = as_image(image)
        return self._nearest(to_pixels(array)).reshape(array.shape[1:])


class SuperpixelKMeans(NearestColor):
    """K-means clustering of the mean colours of superpixels.

    K-means starts ten times from centres chosen by k-means++, and the best result is kept. Small
    and large superpixels have the same weight.

    Args:
        num_labels: Number of clusters.
        seed: Seed of the starts. (default: :obj:`0`)

    Attributes:
        centers_: Colours of the K clusters, ``(K, C)``, from dark to bright. K is ``num_labels``,
            or the number of different colours if there are fewer different colours.
    """

    def fit(
        self, images: Image | Sequence[Image], superpixels: Image | Sequence[Image], y: None = None
    ) -> "SuperpixelKMeans":
        """Finds the clusters of the mean colours of the superpixels of one or more images.

        Args:
            images: One image ``(C, H, W)`` or a sequence of images of any sizes. A volume
                ``(C, D, H, W)`` must be in a sequence.
            superpixels: A label map ``(H, W)`` for each image, for example from
                :func:`~sp_graph_seg.transforms.compute_superpixels`. Pixels outside a mask have -1.
            y: Ignored.

        Raises:
            InputError: If ``num_labels`` is not a positive integer, an image is invalid, or the
                images differ in their number of channels. The error is also raised if the size
                of a label map differs from the size of its image.
        """
        check_num_labels(self.num_labels)
        self._fit_graphs(make_graphs(images, superpixels))
        return self

    def predict(self, image: Image, superpixels: Image) -> Labels:
        """Labels each superpixel by the cluster that is nearest to its mean colour.

        Args:
            image: ``(C, H, W)``.
            superpixels: The superpixels of the image as a label map, ``(H, W)``.

        Returns:
            The label map, ``(H, W)``. It is -1 where ``superpixels`` is negative.

        Raises:
            sklearn.exceptions.NotFittedError: If :meth:`fit` was not called before.
            InputError: If the image or the label map is invalid.
        """
        check_fitted(self, "centers_")
        (graph,) = make_graphs([image], [superpixels])
        return paint(self._nearest(graph.x.numpy()), graph)

    def _fit_graphs(self, graphs: Sequence[Data]) -> None:
        colors = np.concatenate([graph.x.numpy() for graph in graphs])
        self.centers_ = kmeans_centers(colors, self.num_labels, self.seed)


def kmeans_pixels(image: Image, num_labels: int, seed: int = 0) -> Labels:
    """Labels the pixels of one image by :class:`PixelKMeans`.

    The image is ``(C, H, W)``, and the returned label map is ``(H, W)``.
    """
    return PixelKMeans(num_labels, seed).fit([image]).predict(image)


def kmeans_superpixels(image: Image, num_labels: int, superpixels: Image, seed: int = 0) -> Labels:
    """Labels the superpixels of one image by :class:`SuperpixelKMeans`.

    The image is ``(C, H, W)``, and the returned label map is ``(H, W)``.
    """
    model = SuperpixelKMeans(num_labels, seed)
    return model.fit([image], [superpixels]).predict(image, superpixels)


def kmeans_centers(colors: NDArray, num_labels: int, seed: int) -> Colors:
    """Finds the cluster centres of P colours ``(P, C)`` by K-means, sorted from dark to bright.

    There are ``num_labels`` centres, or fewer if there are fewer different colours. Equal colours
    are treated as one point with a weight. This gives the same result faster: a photograph of
    154401 pixels has only 20000 to 54000 different colours.
    """
    points, counts = distinct_colors(colors)
    kmeans = KMeans(min(num_labels, len(points)), n_init=STARTS, random_state=seed)
    centers = kmeans.fit(points, sample_weight=counts).cluster_centers_
    return centers[order_by_brightness(centers)]


def distinct_colors(colors: NDArray) -> tuple[Colors, NDArray[np.int64]]:
    """Returns the different rows of an array ``(P, C)``, and how often each row occurs.

    This is four times as fast as ``numpy.unique`` with the parameter ``axis``.
    """
    rows = colors[np.lexsort(colors.T)]
    is_new = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))
    starts = np.flatnonzero(is_new)
    return rows[starts].astype(np.float64), np.diff(starts, append=len(rows))


def order_by_brightness(centers: Colors) -> NDArray[np.int64]:
    """Returns the indices that sort K colours ``(K, C)`` from dark to bright.

    The brightness of a colour is the mean of its channels.
    """
    return np.argsort(centers.mean(axis=1), kind="stable")
