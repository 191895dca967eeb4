"""Prediction with a trained Segmenter."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.labels.relabel import Relabel
from sp_graph_seg.nn import SuperpixelNet
from sp_graph_seg.segmenter.graphs import (
    PreparedImage,
    node_means,
    prepare_image,
    refuse_superpixels,
)
from sp_graph_seg.segmenter.labellers import Labeller
from sp_graph_seg.segmenter.network import cluster, encode, paint, paint_margins
from sp_graph_seg.training import plain_torch
from sp_graph_seg.transforms.arrays import as_native
from sp_graph_seg.transforms.prepare import (
    Image,
    Mask,
    ScaledImage,
    check_image,
    find_data,
    scale_intensities,
    scale_labels,
    warn_of_other_units,
)
from sp_graph_seg.transforms.superpixels import MASKED


class Prediction:
    """Computes labels, margins, graphs and features of images with a trained model."""

    net_: SuperpixelNet | None
    labeller_: Labeller | None
    config_: Config
    in_channels_: int
    intensity_range_: tuple[float, float]
    relabel_: Relabel | None
    seen_labels_: tuple[int, ...]

    @plain_torch()
    def predict(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> NDArray[np.int64]:
        """Labels an image, which need not be a training image.

        Args:
            image: The image, ``(C, H, W)``, which must not be too small for the network.
            superpixels: A label map ``(H, W)`` whose components are used as superpixels. It is
                negative for pixels without data. By default, superpixels are made.
            mask: True for the data pixels, ``(H, W)``. By default, all pixels except NaN have data.

        Returns:
            Labels ``(H, W)`` from 0 to ``num_labels_ - 1``. A label means the same in every image.
            Labels from prototypes are numbered by increasing mean intensity. Pixels without data
            have label -1.

        Raises:
            sklearn.exceptions.NotFittedError: If the Segmenter has not been trained.
            InputError: If the image cannot be used, or has another number of channels than the
                training images.
        """
        return self.predict_with_margin(image, superpixels, mask)[0]

    @plain_torch()
    def predict_with_margin(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Labels an image and measures the certainty of each label.

        The arguments and the errors are the same as in :meth:`predict`.

        Returns:
            The labels ``(H, W)`` and their margins ``(H, W)``. A margin is 0 if another label
            fits as well, and at most 1. In a model with prototypes, it compares distances or
            probabilities. In other models, it is the difference of the two largest values in the
            softmax of a node's features. Pixels without data have margin 0. Post-processing changes
            the labels, but not the margins.
        """
        labeller = self._labeller
        if labeller is None:
            prepared = self.prepare(image, superpixels, mask)
            x = self.node_features(prepared)
            size, inside = prepared.size, prepared.inside
            labels = paint(x, prepared.nodes).reshape(prepared.node_size)
            margins = paint_margins(x, prepared.nodes).reshape(prepared.node_size)
            margins = scale_labels(margins, size)
            if inside is not None:
                margins = np.where(inside, margins, np.float32(0))
            return self.finish(labels, size, inside), margins
        refuse_superpixels(superpixels, self.config_)
        scaled = self.normalize(image, superpixels, mask)
        labels, margins = labeller.predict(scaled.values, scaled.inside)
        return self.finish(labels, scaled.values.shape[1:], scaled.inside), margins

    @property
    def trained_config(self) -> Config:
        """Returns ``config_``. Raises NotFittedError if the Segmenter has not been trained."""
        if not hasattr(self, "config_"):
            raise NotFittedError(
                "Segmenter: has not been trained; call fit, or read a model with Segmenter.load."
            )
        return self.config_

    @property
    def _labeller(self) -> Labeller | None:
        """Returns ``labeller_``. Raises NotFittedError if the Segmenter has not been trained."""
        return self.labeller_ if self.trained_config else None

    @property
    def networks_(self) -> list[nn.Module]:
        """Returns all networks, for example to move them to a GPU."""
        labeller = self._labeller
        return [self.paper_net] if labeller is None else list(labeller.networks)

    @property
    def paper_net(self) -> SuperpixelNet:
        """Returns the network of a model in which the largest feature of a node is its label.

        Raises:
            InputError: If the model labels by prototypes.
        """
        if self._labeller is not None or self.net_ is None:
            raise InputError(
                f"label_by={self.config_.label_by!r}: this operation needs a model with "
                "label_by='argmax'; train a model with the preset fast or paper."
            )
        return self.net_

    def prepare(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> PreparedImage:
        """Prepares an image for the network: checks it, scales intensities and finds superpixels.

        The model must have ``label_by="argmax"``. The arguments and the errors are the same as in
        :meth:`predict`.
        """
        scaled = self.normalize(image, superpixels, mask)
        has_head = self.paper_net.head is not None
        return prepare_image(scaled, superpixels, self.config_, with_graph=has_head)

    @property
    def num_labels_(self) -> int:
        """Number of possible labels, numbered from 0. An image need not contain all of them."""
        merged = [int(target) for target in self.relabel_.merge] if self.relabel_ else []
        labeller = self._labeller
        count = self.paper_net.num_outputs if labeller is None else labeller.num_labels
        return max([count, *(target + 1 for target in merged)])

    @property
    def label_stability_(self) -> tuple[float, ...]:
        """Stability of each label, from 0 to 1, see :attr:`stability_`. Empty if it is not known.

        It is that of the labels before post-processing.
        """
        labeller = self._labeller
        return () if labeller is None else labeller.stability

    @property
    def stability_(self) -> float | None:
        """How little the labels depend on what the model was trained on, from 0 to 1.

        The training fits the prototypes again, to parts of the training images, and compares the
        labels, see :func:`~sp_graph_seg.prototypes.stability.label_stability`. The mean over the
        labels is the stability of the model. ``None`` if it is not known: the model has no
        prototypes, or was made by an earlier version.
        """
        labels = self.label_stability_
        return float(np.mean(labels)) if labels else None

    @property
    def names_(self) -> dict[int, str]:
        """The name of each label that has a name in ``relabel_``."""
        return self.relabel_.names if self.relabel_ else {}

    @property
    def colors_(self) -> dict[int, str]:
        """The colour of each possible label, ``"#rrggbb"``, in all pictures and files.

        A colour that ``relabel_`` sets is used. The other labels get colours that are as far apart
        as possible. Labels that occur in the training images get their colours first, so their
        colours differ most.
        """
        labels = [*self.seen_labels_, *range(self.num_labels_)]
        return label_colors(labels, self.relabel_.colors if self.relabel_ else None)

    @plain_torch()
    def transform(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> Data:
        """Makes the graph of an image by :class:`~sp_graph_seg.ToRAG`, with learned features.

        If the nodes are pixels, :class:`~sp_graph_seg.transforms.ToPixelGraph` makes the graph. The
        arguments and the errors are the same as in :meth:`predict`.

        Returns:
            A graph with the learned features ``z (N, F)``. If ``label_by="argmax"``, the index of
            the largest feature of a node is its label. All other fields are computed from the image
            after the intensity range of the model was mapped to [0, 1]. If ``superpixel_size`` is
            set, the image is also scaled down to this size.
        """
        scaled = self.normalize(image, superpixels, mask)
        prepared = prepare_image(scaled, superpixels, self.config_, with_graph=True)
        if prepared.graph is None:
            raise InputError(
                "image: has no data, because all pixels are NaN or outside the mask; use a larger "
                "mask, or leave the image out."
            )
        if self._labeller is None:
            prepared.graph.z = self.node_features(prepared).cpu()
        else:
            z = self._labeller.encode(scaled.values)
            prepared.graph.z = node_means(z, prepared.nodes, prepared.node_size).cpu()
        return prepared.graph

    def normalize(
        self, image: Image, superpixels: Image | None = None, mask: Image | None = None
    ) -> ScaledImage:
        """Checks an image, maps the model's intensity range to [0, 1], and finds the data pixels.

        Warns if most data pixels have values outside the intensity range of the model, for example
        because the image is in other units than the training images.
        """
        _ = self._labeller  # refuses before training
        array = as_native(image)
        check_image(array, "image", self.in_channels_, self.config_)
        inside = find_data(array, mask, superpixels)
        low, high = self.intensity_range_
        warn_of_other_units(array, inside, low, high)
        return scale_intensities(array, inside, low, high)

    def finish(
        self, labels: NDArray[Any], size: tuple[int, int], inside: Mask | None = None
    ) -> NDArray[Any]:
        """Scales labels to the size of an image, sets -1 outside the mask, and post-processes."""
        labels, relabel = scale_labels(labels, size), self.relabel_
        if inside is not None:
            labels = np.where(inside, labels, MASKED)
            relabel = relabel and dataclasses.replace(relabel, unlabelled=MASKED)
        return labels if relabel is None else relabel.apply(labels)

    @plain_torch()
    def node_features(self, prepared: PreparedImage) -> Tensor:
        """Computes the features ``(N, F)`` of nodes. A node's largest feature gives its label."""
        net = self.paper_net
        x = node_means(encode(net, prepared.seen), prepared.nodes, prepared.node_size)
        return cluster(net, x, prepared.graph, self.config_.tau_cut)
