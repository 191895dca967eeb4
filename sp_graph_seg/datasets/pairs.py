"""A dataset of any sequence of images and labels, such as a dataset of torchvision."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.datasets.base import Example, GraphDataset, Options, Source
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import as_array


class PairsRAG(GraphDataset):
    r"""The region adjacency graphs of a sequence of ``(image, label)`` pairs.

    The sequence may be a dataset of torchvision, such as MNIST or CIFAR. An image is a tensor or an
    array ``(C, H, W)``, or a Pillow image. If a label is an integer, it belongs to the whole image
    and becomes ``y (1,)``. If a label is an array ``(H, W)``, as in semantic segmentation, it
    belongs to the pixels and becomes ``y (N,)`` and ``train_mask (N,)``.

    Args:
        root: Folder for the graphs, which are stored in ``root/processed``.
        pairs: An object that has a length and returns a pair for each index from 0.
        name: Name of these pairs, such as ``"mnist-train"``. The graphs on disk are found by this
            name, so other pairs with the same ``root`` need another name.
        **options: ``to_graph``, ``transform``, ``in_memory`` and the other parameters of
            :class:`GraphDataset`. Here, the default of ``num_workers`` is 0, because each process
            gets a copy of all ``pairs``.

    Raises:
        InputError: If an image or a label cannot be used. The graphs that are finished by then are
            kept.

    Example:
        >>> from sp_graph_seg import ToRAG
        >>> from sp_graph_seg.datasets import PairsRAG
        >>> mnist = torchvision.datasets.MNIST("data", download=True)  # doctest: +SKIP
        >>> dataset = PairsRAG("data", mnist, "mnist", ToRAG(75))  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        pairs: Sequence[tuple[Any, Any]],
        name: str,
        **options: Unpack[Options],
    ) -> None:
        digits = len(str(max(len(pairs) - 1, 0)))
        sources = [
            Source(f"{number:0{digits}d}", partial(_read, pairs, number))
            for number in range(len(pairs))
        ]
        options.setdefault("num_workers", 0)
        parameters = {"name": name, "length": len(pairs)}
        super().__init__(root, sources, parameters, **options)


def _read(pairs: Sequence[tuple[Any, Any]], number: int) -> Example:
    image, label = pairs[number]
    values = as_array(label)
    is_of_image = values.size == 1 and values.ndim < 2
    if values.dtype.kind not in "iub" or not (is_of_image or values.ndim == 2):
        raise InputError(
            f"pairs[{number}]: a label of type {values.dtype} and shape {values.shape} cannot be "
            "used; give an integer, or an array of integers with shape (H, W)."
        )
    if is_of_image:
        return Example(_channels_first(image), label=int(values.item()))
    return Example(_channels_first(image), values)


def _channels_first(image: Any) -> NDArray:
    """Converts a Pillow image to an array ``(C, H, W)``. Keeps the shape of other images."""
    if not hasattr(image, "getbands"):
        return as_array(image)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
