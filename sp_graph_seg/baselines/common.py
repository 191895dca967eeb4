"""Functions that convert and check the inputs of all estimators."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch_geometric.data import Data

from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import ToRAG, as_array, as_image, to_label_image
from sp_graph_seg.transforms.prepare import Array, Image, as_image_list, match_images

Labels = NDArray[np.int64]

#: Estimators are fitted to a random sample of more pixels than this. 481x321 pixels are 154401.
SAMPLE = 1 << 18


def as_images(images: Image | Sequence[Image]) -> list[Array]:
    """Converts one image or a sequence of images to a list of arrays.

    Raises:
        InputError: If an image is invalid, or the images differ in their number of channels.
    """
    arrays = as_image_list(images, as_image)
    for number, array in enumerate(arrays):
        check_channels(array.shape[0], arrays[0].shape[0], f"images[{number}]")
    return arrays


def make_graphs(
    images: Image | Sequence[Image], superpixels: Image | Sequence[Image]
) -> list[Data]:
    """Makes the region adjacency graph of each image from its superpixels."""
    arrays = as_images(images)
    graphs = []
    for number, values in enumerate(match_images(superpixels, arrays, "superpixels")):
        if values is None:
            raise InputError(
                f"superpixels[{number}]: the value is None; give a label map for each image."
            )
        nodes = as_array(values)
        inside = nodes >= 0
        mask = None if inside.all() else inside
        graphs.append(ToRAG(superpixels=nodes, mask=mask)(arrays[number]))
    return graphs


def paint(labels: Labels, graph: Data) -> Labels:
    """Makes a label map ``(H, W)`` in which each pixel has the label of its node.

    ``labels (N,)`` is the label of each node.
    """
    return to_label_image(torch.from_numpy(labels), graph).numpy()


def to_pixels(array: Array) -> Array:
    """Reshapes an image ``(C, H, W)`` to one row for each pixel, ``(H * W, C)``."""
    return array.reshape(array.shape[0], -1).T


def sample_pixels(arrays: Sequence[Array], seed: int) -> Array:
    """Returns the colours of all pixels of all images, one row for each pixel.

    If there are more than 262144 pixels, only a random sample of 262144 pixels is returned.
    """
    pixels = np.concatenate([to_pixels(array) for array in arrays])
    if len(pixels) <= SAMPLE:
        return pixels
    return pixels[np.random.default_rng(seed).choice(len(pixels), SAMPLE, replace=False)]


def check_num_labels(num_labels: int) -> None:
    """Raises an error if the number of labels is not a positive integer."""
    if not isinstance(num_labels, Integral) or num_labels < 1:
        raise InputError(f"num_labels={num_labels!r} is invalid; use an integer of 1 or more.")


def check_channels(channels: int, expected: int, name: str = "image") -> None:
    """Raises an error if an image does not have the expected number of channels."""
    if channels != expected:
        raise InputError(
            f"{name}: the number of channels is {channels}, but {expected} are expected; "
            f"give an image with {expected} channels."
        )


def check_fitted(model: BaseEstimator, attribute: str) -> None:
    """Raises an error if an estimator is not fitted.

    ``attribute`` is an attribute that only the estimator's method ``fit`` sets.
    """
    if not hasattr(model, attribute):
        raise NotFittedError(f"{type(model).__name__} is not fitted; call fit first.")
