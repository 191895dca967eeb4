"""Labels regions by their mean colours, without a network."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from sp_graph_seg.config import Config
from sp_graph_seg.prototypes.prototypes import warn_of_few_labels
from sp_graph_seg.prototypes.stability import halves, label_stability
from sp_graph_seg.prototypes.ward import merge_near, ward_clusters
from sp_graph_seg.regions import RegionTree, build_region_tree
from sp_graph_seg.transforms.color_spaces import color_space
from sp_graph_seg.transforms.touching import absorb_small, region_means, region_sizes

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Picture = NDArray[np.float32]

#: Labels where the user does not say how many, and the units of CIELAB that then part two of them.
_NUM_LABELS = 18
_ALIKE = 3.0

_UNITS = 100.0

#: Standard deviation, in pixels, of the Gaussian over the colour around a pixel.
_AROUND = 2.0

#: Share of the image below which a region gets no label of its own, but that of a neighbour. Chosen
#: on 40 training photographs of BSDS300, see docs/regions.md.
_LEAST_SHARE = 0.003


@dataclass
class RegionColors:
    """A model that labels regions by colour: the label with the nearest mean colour is chosen.

    :func:`~sp_graph_seg.regions.build_region_tree` divides each image into regions.

    Attributes:
        config: The hyperparameters. An image whose longest side exceeds ``superpixel_size`` is
            scaled down before its regions are found.
        means: Mean colours of the labels, ``(K, 3)`` in CIELAB, sorted by lightness.
        areas: Number of pixels of each label in the training images, ``(K,)``.
        stability: Stability of each label, see :mod:`~sp_graph_seg.prototypes.stability`. It is
            empty if it is not known.
    """

    config: Config
    means: Array
    areas: Array
    stability: tuple[float, ...] = ()

    @property
    def num_labels(self) -> int:
        """Number of labels K."""
        return len(self.means)

    @property
    def networks(self) -> list[nn.Module]:
        """An empty list, because this model has no network."""
        return []

    def predict(
        self, image: Picture, mask: Mask | None = None
    ) -> tuple[NDArray[np.int64], Picture]:
        """Computes labels and margins, both ``(H, W)``, of an image ``(C, H, W)`` in [0, 1].

        A margin compares the colour around a pixel with the mean colours, see :meth:`margins`.
        Pixels outside the mask have label -1 and margin 0.
        """
        if mask is not None and not mask.any():
            return np.full(mask.shape, -1), np.zeros(mask.shape, np.float32)
        regions, colors, _ = find_regions(image, mask, self.config)
        labels = np.append(self.distances(colors).argmin(axis=1), -1)[regions]
        return labels, self.margins(image, labels)

    def margins(self, image: Picture, labels: NDArray[np.int64]) -> Picture:
        """Computes how much better the labels of pixels fit their colours than other labels do.

        A margin is (d2 - d1) / (d2 + d1), or 0 if this is negative. Here d1 is the distance of the
        colour around a pixel to the mean colour of its label, and d2 the smallest distance to the
        mean colour of another label. The colour around a pixel is the mean by a Gaussian with a
        standard deviation of two pixels. It is compared instead of the colour of the region, which
        fits perfectly if the region is alone in its label.

        Args:
            image: The image, ``(C, H, W)``, with values in [0, 1].
            labels: The labels, ``(H, W)``; negative for pixels without data.
        """
        lab = gaussian_filter(_lab(image), (_AROUND, _AROUND, 0))
        near, far = (np.full(labels.shape, np.inf, np.float32) for _ in range(2))
        for label, mean in enumerate(self.means):
            distance = np.linalg.norm(lab - mean, axis=-1)
            own = labels == label
            near[own] = distance[own]
            far[~own] = np.minimum(far, distance)[~own]
        margins = np.zeros(labels.shape, np.float32)
        inside = labels >= 0
        margins[inside] = _margin(near[inside], far[inside])
        return margins

    def distances(self, colors: Array) -> Array:
        """Computes the distances ``(R, K)`` of colours ``(R, 3)`` to the mean colours of labels."""
        return np.linalg.norm(colors[:, None] - self.means, axis=-1)

    def encode(self, image: Picture) -> Tensor:
        """Converts an image to CIELAB, ``(3, H, W)``. The colours replace learned features."""
        return torch.from_numpy(np.ascontiguousarray(_lab(image).transpose(2, 0, 1))).float()

    def merge(self, num_labels: int) -> NDArray[np.int64]:
        """Merges labels by Ward's method, and returns the new label of each label, ``(K,)``."""
        return ward_clusters(self.means, self.areas, num_labels)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Returns tensors and JSON values, from which :meth:`from_state` makes the same model."""
        tensors = {name: torch.from_numpy(getattr(self, name)) for name in ("means", "areas")}
        return tensors, {"stability": list(self.stability)}

    @classmethod
    def from_state(
        cls, tensors: dict[str, Tensor], values: dict[str, Any], config: Config, channels: int
    ) -> "RegionColors":
        """Makes a model from the result of :meth:`state`."""
        stability = tuple(map(float, values.get("stability", ())))
        return cls(config, tensors["means"].numpy(), tensors["areas"].numpy(), stability)


def fit_region_colors(
    images: Sequence[Picture], masks: Sequence[Mask | None], config: Config
) -> RegionColors:
    """Clusters the mean colours of all regions by Ward's method, weighted by the regions' areas.

    Args:
        images: The training images, ``(C, H, W)`` each, with values in [0, 1].
        masks: The mask of each image, ``(H, W)``; ``None`` if all pixels have data.
        config: The hyperparameters. If ``num_labels`` is 0, at most 18 labels are made, and labels
            whose colours differ by less than 3 units of CIELAB are merged.
    """
    found = [find_regions(*pair, config) for pair in zip(images, masks, strict=True)]
    colors = np.concatenate([part for _, part, _ in found])
    areas = np.concatenate([part for *_, part in found])
    model = cluster_regions(colors, areas, config)
    labels, others = model.distances(colors).argmin(axis=1), []
    for half in _halves([regions for regions, *_ in found]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about a half only
            other = cluster_regions(colors[half > 0], half[half > 0], config)
        others.append(other.distances(colors).argmin(axis=1))
    model.stability = label_stability(labels, others, model.num_labels, areas)
    return model


def _halves(regions: Sequence[NDArray[np.int64]]) -> Iterator[Array]:
    """Yields the areas ``(R,)`` of the regions of all images in both halves of the training data.

    The halves are every other image. Of one image, they are its halves.
    """
    parts: list[list[Array]]
    if len(regions) > 1:
        sizes = [region_sizes(each).astype(np.float64) for each in regions]
        parts = [
            [size * (number % 2 == half) for number, size in enumerate(sizes)] for half in (0, 1)
        ]
    else:
        count = int(regions[0].max()) + 1
        kept = (regions[0][part] for part in halves(regions[0].shape))
        parts = [[np.bincount(own[own >= 0], minlength=count).astype(np.float64)] for own in kept]
    yield from filter(np.any, map(np.concatenate, parts))


def cluster_regions(colors: Array, areas: Array, config: Config) -> RegionColors:
    """Clusters regions by their mean ``colors (R, 3)`` in CIELAB and ``areas (R,)`` in pixels."""
    clusters = ward_clusters(colors, areas, config.num_labels or _NUM_LABELS)
    means, areas = _cluster_means(colors, areas, clusters)
    if not config.num_labels:
        means, areas = _cluster_means(means, areas, merge_near(means, areas, _ALIKE))
    warn_of_few_labels(len(means), config.num_labels)
    order = np.argsort(means[:, 0], kind="stable")
    return RegionColors(config, means[order], areas[order])


def find_regions(
    image: Picture, mask: Mask | None, config: Config
) -> tuple[NDArray[np.int64], Array, Array]:
    """Finds the regions to label in an image, see :func:`regions_to_label`."""
    tree = build_region_tree(image, mask, max_size=config.superpixel_size)
    return regions_to_label(tree, image)


def regions_to_label(tree: RegionTree, image: Picture) -> tuple[NDArray[np.int64], Array, Array]:
    """Cuts the tree of an image into regions, and measures them.

    A region below 0.3 % of the image is joined to the neighbour with the most similar colour.
    Otherwise, narrow rims, whose colours are mixtures, would get labels of their own.

    Returns:
        The region of each pixel ``(H, W)``, with -1 where there is no data, the mean colours
        ``(R, 3)`` of the regions in CIELAB, and their sizes ``(R,)`` in pixels.
    """
    lab = _lab(image)
    regions = tree.cut()
    least = int(np.ceil(_LEAST_SHARE * np.count_nonzero(regions >= 0)))
    regions = absorb_small(regions, lab, least)
    return regions, region_means(lab, regions), region_sizes(regions).astype(np.float64)


def _cluster_means(colors: Array, areas: Array, clusters: NDArray[np.int64]) -> tuple[Array, Array]:
    total = np.bincount(clusters, areas).astype(np.float64)
    sums = [np.bincount(clusters, areas * channel) for channel in colors.T]
    return np.stack(sums, axis=1) / total[:, None], total


def _lab(image: Picture) -> Array:
    """Converts an image ``(C, H, W)`` to CIELAB, ``(H, W, 3)``."""
    return _UNITS * color_space(image, "lab")


def _margin(near: Picture, far: Picture) -> Picture:
    """Computes margins from distances to two labels. They are 1 if there is only one label."""
    share = np.where(np.isinf(far), np.float32(0), near / np.maximum(far, 1e-12))
    return np.maximum((1 - share) / (1 + share), 0).astype(np.float32)
