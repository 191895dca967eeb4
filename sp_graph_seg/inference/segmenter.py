"""The Segmenter: train on a few images without labels, then label any image like them."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.inference.graphs import find_regions, to_graph, training_image
from sp_graph_seg.inference.head_file import describe_head, find_difference
from sp_graph_seg.inference.model_file import read_model, write_model
from sp_graph_seg.inference.prepare import (
    Image,
    as_image_list,
    check_image,
    match_images,
    measure_intensity_range,
    normalize,
    scale_down,
    scale_to,
)
from sp_graph_seg.nn import SuperpixelNet, WNet, make_head
from sp_graph_seg.training import History, fit, seeded
from sp_graph_seg.training.progress import TrainingProgress
from sp_graph_seg.transforms import as_image, scatter_mean, to_label_image

#: Channels of z that are scaled up to the full resolution at once, to bound the memory.
_CHANNELS_AT_ONCE = 4


class Segmenter(BaseEstimator):
    """Unsupervised few-shot segmentation of images, after Leng et al. (VISAPP 2024).

    Args:
        config: The hyperparameters; the preset ``fast`` by default.
        head: A graph network to use instead of ``config.head``, any module called as
            ``head(x, edge_index, edge_weight)`` with node features ``(N, num_features)``. Each
            training starts from a copy of it. A file that :meth:`save` writes holds its weights,
            but not its code: give an equal module to :meth:`load`.

    Attributes:
        net_: The trained network.
        config_: The hyperparameters that it was trained with.
        in_channels_: Channels of the training images.
        intensity_range_: The lowest and highest intensity, taken from the training images and
            mapped to 0 and 1 in every image: the 0.1 and 99.9 percentiles over all channels.
        history_: The losses of every step; ``None`` in a model that was loaded.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 64, 64)
        >>> image[0, 16:48, 16:48] = 1.0
        >>> config = Config(width=4, depth=2, num_features=4, n_segments=50, epochs=1)
        >>> labels = Segmenter(config).fit(image).predict(image)
        >>> labels.shape
        (64, 64)
    """

    net_: SuperpixelNet
    config_: Config
    in_channels_: int
    intensity_range_: tuple[float, float]
    history_: History | None

    def __init__(self, config: Config | None = None, head: nn.Module | None = None) -> None:
        self.config = config
        self.head = head

    def fit(
        self,
        images: Image | Sequence[Image],
        y: None = None,
        *,
        masks: Image | Sequence[Image | None] | None = None,
        superpixels: Image | Sequence[Image | None] | None = None,
        progress: bool = False,
    ) -> "Segmenter":
        """Trains on images; nothing of an earlier training is kept.

        Args:
            images: One image ``(C, H, W)`` or a sequence of them, whose sizes may differ. Any
                range of values, see ``intensity_range_``.
            y: Ignored; scikit-learn's pipelines pass it.
            masks: The pixels that the patches should show, ``(H, W)``; for a sequence of images a
                sequence, with ``None`` for those without a mask.
            superpixels: Likewise, a label map to use instead of making superpixels, ``(H, W)``.
            progress: Show a progress bar on standard error.

        Raises:
            InputError: If an image is not ``(C, H, W)``, is smaller than the network needs, holds
                NaN or Inf, or differs from the others in its channels; if a mask or a label map
                has another size than its image; or as :func:`sp_graph_seg.training.fit` does.
        """
        config = self._resolve_config()
        arrays = as_image_list(images)
        channels = arrays[0].shape[0]
        for number, array in enumerate(arrays):
            check_image(array, f"images[{number}]", channels, config)
        low, high = measure_intensity_range(arrays)
        subjects = [
            training_image(normalize(array, low, high), mask, labels, config)
            for array, mask, labels in zip(
                arrays,
                match_images(masks, arrays, "masks"),
                match_images(superpixels, arrays, "superpixels"),
                strict=True,
            )
        ]
        net = _make_net(channels, config, self.head)
        steps = config.epochs * config.minibatches
        if progress:
            with TrainingProgress(steps) as on_step:
                history = fit(net, subjects, config, on_step)
        else:
            history = fit(net, subjects, config)
        self.net_, self.config_, self.history_ = net, config, history
        self.in_channels_, self.intensity_range_ = channels, (low, high)
        return self

    def predict(
        self, image: Image, superpixels: ArrayLike | Tensor | None = None
    ) -> NDArray[np.int64]:
        """Labels an image, whether it was trained on or not.

        Args:
            image: ``(C, H, W)``, any size from the network's minimum on.
            superpixels: A label map ``(H, W)`` to use instead of making superpixels.

        Returns:
            Labels ``(H, W)`` from 0 to ``num_features - 1``: the largest feature of each
            superpixel, or of each pixel where the nodes are pixels. A label means the same in every
            image.

        Raises:
            sklearn.exceptions.NotFittedError: Before :meth:`fit`.
            InputError: If the image cannot be used, or has other channels than the model.
        """
        array = self._prepare(image)
        if self.net_.head is not None:
            graph = self.transform(image, superpixels)
            return to_label_image(graph.z.argmax(dim=-1), graph).numpy()
        # Without a head the edges change nothing: they are not made.
        regions = find_regions(array, superpixels, self.config_)
        pixel_index = None if regions is None else torch.from_numpy(regions).flatten()
        labels = self._node_means(array, pixel_index).argmax(dim=-1).cpu()
        labels = labels if pixel_index is None else labels[pixel_index]
        return labels.reshape(array.shape[1:]).numpy()

    def transform(self, image: Image, superpixels: ArrayLike | Tensor | None = None) -> Data:
        """The graph of an image, as :class:`~sp_graph_seg.ToRAG` makes it, with learned features.

        Where the nodes are pixels it is made by :class:`~sp_graph_seg.transforms.ToPixelGraph`.

        Takes and raises what :meth:`predict` does.

        Returns:
            A graph with ``z (N, F)``, the features whose largest is the label; the other fields
            are of the image with its intensity range mapped to [0, 1].
        """
        array = self._prepare(image)
        graph = to_graph(superpixels, self.config_)(array)
        pixel_index = None if self.config_.nodes == "pixels" else graph.pixel_index
        x = self._node_means(array, pixel_index)  # (N, F)
        edges, weight = graph.edge_index.to(x.device), graph.edge_weight.to(x.device)
        with _evaluating(self.net_), torch.no_grad():
            graph.z = self.net_.cluster(x, edges, weight).cpu()
        return graph

    def _prepare(self, image: Image) -> NDArray[np.float32]:
        """The image checked, its intensity range mapped to [0, 1]."""
        if not hasattr(self, "net_"):
            raise NotFittedError(
                "This Segmenter has not been trained: call fit, or Segmenter.load."
            )
        array = as_image(image)
        check_image(array, "image", self.in_channels_, self.config_)
        return normalize(array, *self.intensity_range_)

    def _node_means(self, array: NDArray[np.float32], pixel_index: Tensor | None) -> Tensor:
        """The means of z in each node ``(N, F)``, or z of each pixel ``(H * W, F)``.

        z is scaled up to the resolution of the image.
        """
        device = next(self.net_.parameters()).device
        with _evaluating(self.net_), torch.no_grad():
            z = self.net_.encode(scale_down(array, self.config_.max_size).to(device))  # (F, h, w)
        parts = (scale_to(part, array.shape[1:]).flatten(1) for part in z.split(_CHANNELS_AT_ONCE))
        if pixel_index is None:
            return torch.cat(list(parts)).T
        index, num_nodes = pixel_index.to(device), int(pixel_index.max()) + 1
        return torch.cat([scatter_mean(part, index, num_nodes) for part in parts], dim=1)

    def save(self, path: str | Path) -> None:
        """Writes weights, configuration, intensity range and version to one safetensors file."""
        if not hasattr(self, "net_"):
            raise NotFittedError("This Segmenter has not been trained: call fit before save.")
        head = self.net_.head if self.config_.head == "identity" else None
        metadata = {
            "config": self.config_.to_dict(),
            "in_channels": self.in_channels_,
            "intensity_range": self.intensity_range_,
            "head": describe_head(head),
        }
        write_model(path, self.net_.state_dict(), metadata)

    @classmethod
    def load(cls, path: str | Path, head: nn.Module | None = None) -> "Segmenter":
        """Reads a model that :meth:`save` wrote; it predicts the same labels.

        Args:
            path: The file.
            head: A module like the one that the model was trained with, where that was not named
                by the configuration; its weights are read from the file.

        Raises:
            InputError: If the file is missing, truncated or no such model, or the head is missing
                or another one.
        """
        weights, metadata = read_model(path)
        try:
            difference = find_difference(metadata["head"], describe_head(head))
            segmenter = cls(Config.from_dict(metadata["config"]), head)
            segmenter.in_channels_ = int(metadata["in_channels"])
            low, high = map(float, metadata["intensity_range"])
            if not low < high:
                raise ValueError(f"intensity_range from {low} to {high}")
            segmenter.intensity_range_ = low, high
            segmenter.config_ = segmenter._resolve_config()
            net = _make_net(segmenter.in_channels_, segmenter.config_, head)
            if not difference:
                net.load_state_dict(weights)
        except (InputError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path}: not a model that this version can read ({reason}); train it anew."
            ) from error
        if difference:
            raise InputError(
                f"{path}: was trained with another head ({difference}); give a module like that "
                "to Segmenter.load(path, head=...)."
            )
        segmenter.net_, segmenter.history_ = net.eval(), None
        return segmenter

    def _resolve_config(self) -> Config:
        """The hyperparameters; a head that is given takes the place of a named one."""
        config = Config() if self.config is None else self.config
        return config if self.head is None else config.replace(head="identity")


def _make_net(in_channels: int, config: Config, head: nn.Module | None) -> SuperpixelNet:
    """A network whose weights depend on the seed alone; the global random state stays."""
    with seeded(config.seed):
        wnet = WNet(in_channels, config.num_features, config.width, config.depth)
        named = make_head(config.head, config.num_features, config.head_layers)
    return SuperpixelNet(wnet, named if head is None else copy.deepcopy(head))


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards the mode that every module had before."""
    training = [module for module in net.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
