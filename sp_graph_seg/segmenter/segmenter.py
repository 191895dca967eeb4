"""The Segmenter: train on a few images without labels, then label any image like them."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError, IntensityRangeWarning
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.nn import SuperpixelNet
from sp_graph_seg.segmenter.graphs import (
    PreparedImage,
    node_means,
    prepare_image,
    refuse_superpixels,
    training_image,
)
from sp_graph_seg.segmenter.labellers import Labeller, fit_labeller
from sp_graph_seg.segmenter.model_file import ModelFile, read_model, write_model
from sp_graph_seg.segmenter.network import cluster, encode, make_net, paint
from sp_graph_seg.segmenter.saving import take_file, to_file
from sp_graph_seg.training import History, fit, show_steps
from sp_graph_seg.transforms.arrays import as_native
from sp_graph_seg.transforms.prepare import (
    Image,
    Mask,
    ScaledImage,
    as_image_list,
    check_image,
    check_range,
    find_data,
    find_data_of_each,
    lies_outside,
    match_images,
    measure_intensity_range,
    scale_intensities,
    scale_labels,
)
from sp_graph_seg.transforms.superpixels import MASKED


class Segmenter(BaseEstimator):
    """Unsupervised few-shot segmentation of images, after Leng et al. (VISAPP 2024).

    Images may be in any units, those to label in the units of those to train on; integers are taken
    as they are. Pixels that are no data count nowhere, neither in the range of intensities nor in
    superpixels and losses: those with NaN, those outside of a mask, and those where a label map
    that is given is negative. The network sees the mean of the others there.

    Args:
        config: The hyperparameters. By default the preset ``photo`` where the training images have
            three channels, else the preset ``tomogram``; with a head the preset ``fast``.
        head: A graph network to use instead of ``config.head``, any module called as
            ``head(x, edge_index, edge_weight)`` with node features ``(N, num_features)``. Each
            training starts from a copy of it. A file that :meth:`save` writes holds its weights,
            but not its code: give an equal module to :meth:`load`.

    Attributes:
        net_: The trained network of labels that are the largest feature of a node
            (``label_by="argmax"``), else ``None``.
        labeller_: What labels by prototypes otherwise, a
            :class:`~sp_graph_seg.prototypes.Phases` or
            :class:`~sp_graph_seg.prototypes.Appearance`, else ``None``.
        config_: The hyperparameters that it was trained with.
        in_channels_: Channels of the training images.
        intensity_range_: The lowest and highest intensity, mapped to 0 and 1 in every image:
            what was given to :meth:`fit`, or the range of the data of all training images and
            channels without dead and hot pixels, by the rule of
            :class:`~sp_graph_seg.volumes.intensity.IntensitySample`.
        history_: The losses of every step; ``None`` in a model that was loaded.
        relabel_: Post-processing of all labels, saved with the model; ``None`` after training. Set
            it to a :class:`~sp_graph_seg.labels.relabel.Relabel`.

    Example:
        >>> import torch
        >>> image = torch.zeros(3, 64, 64)
        >>> image[0, 16:48, 16:48] = 1.0
        >>> config = Config(width=4, depth=2, num_features=4, n_segments=50, epochs=1)
        >>> labels = Segmenter(config).fit(image).predict(image)
        >>> labels.shape
        (64, 64)
    """

    net_: SuperpixelNet | None
    labeller_: Labeller | None
    config_: Config
    in_channels_: int
    intensity_range_: tuple[float, float]
    history_: History | None
    relabel_: Relabel | None

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
        intensity_range: tuple[float, float] | None = None,
        progress: bool = False,
    ) -> "Segmenter":
        """Trains on images; nothing of an earlier training is kept.

        Args:
            images: One image ``(C, H, W)`` or a sequence of them, whose sizes may differ.
            y: Ignored; scikit-learn's pipelines pass it.
            masks: The pixels that are data, ``(H, W)``; for a sequence of images a sequence, with
                ``None`` for those without a mask.
            superpixels: Likewise, a label map to use instead of making superpixels, ``(H, W)``;
                negative where there is no data.
            intensity_range: What becomes ``intensity_range_``, such as the range of the volume that
                the images are slices of; measured on the images by default.
            progress: Show a progress bar on standard error.

        Raises:
            InputError: If an image is not ``(C, H, W)``, is smaller than the network needs, holds
                Inf or no data, or differs from the others in its channels; if a mask or a label map
                has another size than its image; or as :func:`sp_graph_seg.training.fit` does.
        """
        arrays = as_image_list(images)
        channels = arrays[0].shape[0]
        config = self.resolve_config(channels)
        for number, array in enumerate(arrays):
            check_image(array, f"images[{number}]", channels, config)
        label_maps = match_images(superpixels, arrays, "superpixels")
        insides = find_data_of_each(arrays, match_images(masks, arrays, "masks"), label_maps)
        low, high = intensity_range or measure_intensity_range(arrays, insides)
        if intensity_range is not None:
            check_range(low, high, arrays, insides)
        scaled = [
            scale_intensities(array, inside, low, high)
            for array, inside in zip(arrays, insides, strict=True)
        ]
        with show_steps(config.epochs * config.minibatches, progress) as on_step:
            if config.label_by == "argmax":
                net = make_net(channels, config, self.head)
                pairs = zip(scaled, label_maps, strict=True)
                subjects = [training_image(image, labels, config) for image, labels in pairs]
                self.history_ = fit(net, subjects, config, on_step)
                self.net_, self.labeller_ = net, None
            else:
                refuse_superpixels(superpixels, config)
                self.labeller_, self.history_ = fit_labeller(scaled, config, on_step)
                self.net_ = None
        self.config_, self.in_channels_, self.intensity_range_ = config, channels, (low, high)
        self.relabel_ = None
        return self

    def predict(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> NDArray[np.int64]:
        """Labels an image, whether it was trained on or not.

        Args:
            image: ``(C, H, W)``, any size from the network's minimum on.
            superpixels: A label map ``(H, W)`` to use instead of making superpixels; negative
                where there is no data.
            mask: True for the pixels that are data, ``(H, W)``.

        Returns:
            Labels ``(H, W)`` from 0 to ``num_labels_ - 1``. A label means the same in every image.
            Those of prototypes are in the order of their mean intensity. -1 for pixels that are no
            data.

        Raises:
            sklearn.exceptions.NotFittedError: Before :meth:`fit`.
            InputError: If the image cannot be used, or has other channels than the model.
        """
        if self._labeller is None:
            return self.label(self.prepare(image, superpixels, mask))
        return self.predict_with_margin(image, superpixels, mask)[0]

    def predict_with_margin(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Labels an image and says how sure each label is, by prototypes only.

        It takes and raises what :meth:`predict` does.

        Returns:
            The labels ``(H, W)``, and margins ``(H, W)`` from 0, where another label is as good, to
            1; 0 for pixels that are no data.
        """
        labeller = self._labeller
        if labeller is None:
            raise InputError("label_by='argmax': has no margins; train with 'phases' or another.")
        refuse_superpixels(superpixels, self.config_)
        scaled = self.normalize(image, superpixels, mask)
        labels, margins = labeller.predict(scaled.values, scaled.inside)
        return self.finish(labels, scaled.values.shape[1:], scaled.inside), margins

    @property
    def trained_config(self) -> Config:
        """``config_`` of a Segmenter that has been trained; NotFittedError otherwise."""
        if not hasattr(self, "config_"):
            raise NotFittedError(
                "This Segmenter has not been trained: call fit, or Segmenter.load."
            )
        return self.config_

    @property
    def _labeller(self) -> Labeller | None:
        """What labels by prototypes, of a Segmenter that has been trained."""
        return self.labeller_ if self.trained_config else None

    def merge_labels(self, num_labels: int) -> "Segmenter":
        """Merges the labels of prototypes that are most alike, at once and without the network.

        The merging becomes ``relabel_``, in place of any other post-processing, and is saved.

        Args:
            num_labels: Number of labels that are left.

        Raises:
            InputError: If there are fewer labels, or they are not those of prototypes.
        """
        labeller = self._labeller
        if labeller is None or not 1 <= num_labels <= labeller.num_labels:
            has = "the largest features" if labeller is None else f"{labeller.num_labels} labels"
            raise InputError(
                f"num_labels={num_labels}: the model has {has}; give 1 to their number, for a "
                "model with label_by='phases' or 'appearance'."
            )
        self.relabel_ = Relabel.from_groups(labeller.merge(num_labels))
        return self

    @property
    def networks_(self) -> list[nn.Module]:
        """All networks, such as to move them to a GPU."""
        labeller = self._labeller
        return [self.paper_net] if labeller is None else list(labeller.networks)

    @property
    def paper_net(self) -> SuperpixelNet:
        """The network whose largest feature is the label.

        Raises:
            InputError: If the model labels by prototypes.
        """
        if self._labeller is not None or self.net_ is None:
            raise InputError(
                f"label_by={self.config_.label_by!r}: this is only for models whose label is the "
                "largest feature of a node; train one with the preset fast or paper."
            )
        return self.net_

    def prepare(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> PreparedImage:
        """What :meth:`predict` does before it asks the network: checks, intensities, superpixels.

        It takes and raises what :meth:`predict` does. In another thread than :meth:`label` it keeps
        a second core busy, or the first one while a GPU works.
        """
        scaled = self.normalize(image, superpixels, mask)
        has_head = self.paper_net.head is not None
        return prepare_image(scaled, superpixels, self.config_, with_graph=has_head)

    def label(self, prepared: PreparedImage) -> NDArray[np.int64]:
        """The labels ``(H, W)`` of an image that :meth:`prepare` prepared."""
        labels = paint(self.node_features(prepared), prepared.nodes)
        return self.finish(labels.reshape(prepared.node_size), prepared.size, prepared.inside)

    @property
    def num_labels_(self) -> int:
        """Labels run from 0 to this number less one; not all of them need to occur."""
        merged = [int(target) for target in self.relabel_.merge] if self.relabel_ else []
        labeller = self._labeller
        count = self.config_.num_features if labeller is None else labeller.num_labels
        return max([count, *(target + 1 for target in merged)])

    def transform(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> Data:
        """The graph of an image, as :class:`~sp_graph_seg.ToRAG` makes it, with learned features.

        Where the nodes are pixels it is made by :class:`~sp_graph_seg.transforms.ToPixelGraph`.

        Takes and raises what :meth:`predict` does.

        Returns:
            A graph with ``z (N, F)``, the learned features, whose largest is the label where
            ``label_by="argmax"``; the other fields are of the image with its intensity range mapped
            to [0, 1], scaled down to ``superpixel_size`` where that is set.
        """
        scaled = self.normalize(image, superpixels, mask)
        prepared = prepare_image(scaled, superpixels, self.config_, with_graph=True)
        if prepared.graph is None:
            raise InputError("image: no pixel is data; check mask and NaN.")
        if self._labeller is None:
            prepared.graph.z = self.node_features(prepared).cpu()
        else:
            z = self._labeller.encode(scaled.values)
            prepared.graph.z = node_means(z, prepared.nodes, prepared.node_size).cpu()
        return prepared.graph

    def normalize(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> ScaledImage:
        """The image checked, its intensity range mapped to [0, 1], and which pixels are data.

        Warns if most values of the data lie outside of it: those images are in other units.
        """
        _ = self._labeller  # refuses before training
        array = as_native(image)
        check_image(array, "image", self.in_channels_, self.config_)
        inside = find_data(array, mask, superpixels)
        low, high = self.intensity_range_
        if lies_outside(array, inside, low, high):
            warnings.warn(
                f"most values of an image lie outside of {low:g} to {high:g}, the range of the "
                "images that the model was trained on; give images in the same units.",
                IntensityRangeWarning,
                stacklevel=3,
            )
        return scale_intensities(array, inside, low, high)

    def finish(
        self, labels: NDArray[np.int64], size: tuple[int, int], inside: Mask | None = None
    ) -> NDArray[np.int64]:
        """Labels ``(h, w)`` at the size of the image, -1 outside, post-processed."""
        labels, relabel = scale_labels(labels, size), self.relabel_
        if inside is not None:
            labels = np.where(inside, labels, MASKED)
            relabel = relabel and dataclasses.replace(relabel, unlabelled=MASKED)
        return labels if relabel is None else relabel.apply(labels)

    def node_features(self, prepared: PreparedImage) -> Tensor:
        """The features ``(N, F)`` of the nodes of an image, whose largest is the label."""
        net = self.paper_net
        x = node_means(encode(net, prepared.seen), prepared.nodes, prepared.node_size)
        return cluster(net, x, prepared.graph)

    def save(self, path: str | Path, notes: Mapping[str, Any] | None = None) -> None:
        """Writes weights, configuration, intensity range, post-processing and version to a file.

        Args:
            path: The safetensors file, replaced whole if it exists.
            notes: JSON values to keep with the model, such as what it was trained on;
                :func:`~sp_graph_seg.segmenter.model_file.read_model` gives them back.
        """
        write_model(path, *to_file(self, notes))

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
        return cls.from_file(read_model(path), path, head)

    @classmethod
    def from_file(
        cls, file: ModelFile, path: str | Path, head: nn.Module | None = None
    ) -> "Segmenter":
        """What :meth:`load` makes of a file that was read; ``path`` is for messages."""
        return take_file(cls(head=head), file, path)

    def resolve_config(self, channels: int) -> Config:
        """The hyperparameters; a head that is given takes the place of a named one."""
        if self.head is not None:
            return (self.config or Config()).replace(head="identity")
        return self.config or Config.preset("photo" if channels == 3 else "tomogram")
