"""PairsRAG: any sequence of images and labels, such as a dataset of torchvision."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sp_graph_seg.datasets.base import Example, Filter, GraphDataset, Source, ToGraph, Transform
from sp_graph_seg.errors import InputError
from sp_graph_seg.transforms import as_array


class PairsRAG(GraphDataset):
    r"""The region adjacency graphs of any ``(image, label)`` pairs, as MNIST and CIFAR superpixels
    are made of a dataset of torchvision.

    An image is a tensor or an array ``(C, H, W)``, or a picture of Pillow. An integer, the label of
    the image, becomes ``y (1,)``; labels of its pixels ``(H, W)``, as for semantic segmentation,
    become ``y (N,)`` and ``train_mask (N,)``.

    Args:
        root: Folder for the graphs; they lie in ``root/processed``.
        pairs: Anything with a length, and a pair for each index from 0.
        name: What tells these pairs from others in ``root``, such as ``"mnist-train"``. Graphs on
            disk are found again by it, so give another name where the pairs are others.
        to_graph: Makes a graph of an image ``(C, H, W)``. (default: :obj:`ToRAG()`)
        transform: Called with a graph before every access. (default: :obj:`None`)
        pre_transform: Called with a graph before it is saved. (default: :obj:`None`)
        pre_filter: Called with a graph before ``pre_transform``; where it returns false, the
            dataset does without. (default: :obj:`None`)
        log: Show in a terminal how far the graphs are. (default: :obj:`True`)
        force_reload: Make all graphs anew. (default: :obj:`False`)
        num_workers: Processes that make graphs; each is sent all ``pairs``. (default: :obj:`0`)

    Raises:
        InputError: If an image or a label cannot be used; the graphs already made are kept.

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
        to_graph: ToGraph | None = None,
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        pre_filter: Filter | None = None,
        log: bool = True,
        force_reload: bool = False,
        num_workers: int = 0,
    ) -> None:
        digits = len(str(max(len(pairs) - 1, 0)))
        sources = [
            Source(f"{number:0{digits}d}", partial(_read, pairs, number))
            for number in range(len(pairs))
        ]
        parameters = {"name": name, "length": len(pairs)}
        super().__init__(
            root,
            sources,
            to_graph,
            transform,
            pre_transform,
            pre_filter,
            log,
            force_reload,
            num_workers,
            parameters,
        )


def _read(pairs: Sequence[tuple[Any, Any]], number: int) -> Example:
    image, label = pairs[number]
    values = as_array(label)
    is_of_image = values.size == 1 and values.ndim < 2
    if values.dtype.kind not in "iub" or not (is_of_image or values.ndim == 2):
        raise InputError(
            f"pairs[{number}]: a label of {values.dtype} of shape {values.shape} cannot be used; "
            "give an integer, or one for each pixel, (H, W)."
        )
    if is_of_image:
        return Example(_channels_first(image), label=int(values.item()))
    return Example(_channels_first(image), values)


def _channels_first(image: Any) -> NDArray:
    """A picture of Pillow as ``(C, H, W)``, all else as it is."""
    if not hasattr(image, "getbands"):
        return as_array(image)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
