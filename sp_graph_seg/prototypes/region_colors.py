"""Labels of regions by their colour: no network, and nothing learned of the images but means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sp_graph_seg.config import Config
from sp_graph_seg.prototypes.prototypes import warn_of_few_labels
from sp_graph_seg.prototypes.ward import merge_near, ward_clusters
from sp_graph_seg.regions import build_region_tree, color_space
from sp_graph_seg.regions.touching import region_means, region_sizes

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Picture = NDArray[np.float32]

#: Labels where the user does not say how many, and the units of CIELAB that then part two of them.
_NUM_LABELS = 10
_ALIKE = 3.0

_UNITS = 100.0


@dataclass
class RegionColors:
    """Mean colours of labels; a region of an image has the label of the nearest.

    The regions are those of the image's own tree, see
    :func:`~sp_graph_seg.regions.build_region_tree`.

    Attributes:
        config: ``superpixel_size`` is the longest side at which regions are made.
        means: Of the labels, ``(K, 3)`` in CIELAB, by lightness.
        areas: Pixels of each label in the images that it was made of, ``(K,)``.
    """

    config: Config
    means: Array
    areas: Array

    @property
    def num_labels(self) -> int:
        """Number of labels K."""
        return len(self.means)

    @property
    def networks(self) -> list[nn.Module]:
        """There is none."""
        return []

    def predict(
        self, image: Picture, mask: Mask | None = None
    ) -> tuple[NDArray[np.int64], Picture]:
        """Labels and margins, both ``(H, W)``, of an image ``(C, H, W)`` with values in [0, 1].

        A margin is the difference of the distances to the next and to the nearest mean, over their
        sum. Pixels outside of the mask have label -1 and margin 0.
        """
        if mask is not None and not mask.any():
            return np.full(mask.shape, -1), np.zeros(mask.shape, np.float32)
        regions, colors, _ = find_regions(image, mask, self.config)
        distance = np.linalg.norm(colors[:, None] - self.means, axis=-1)  # (R, K)
        labels = np.append(distance.argmin(axis=1), -1)
        margins = np.append(_margins(distance), 0).astype(np.float32)
        return labels[regions], margins[regions]

    def encode(self, image: Picture) -> Tensor:
        """CIELAB in the place of learned features, ``(3, H, W)``."""
        lab = _UNITS * color_space(image, "lab")
        return torch.from_numpy(np.ascontiguousarray(lab.transpose(2, 0, 1))).float()

    def merge(self, num_labels: int) -> NDArray[np.int64]:
        """The label of each label when only so many are wanted, ``(K,)``: Ward's method."""
        return ward_clusters(self.means, self.areas, num_labels)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and the JSON values that :meth:`from_state` makes the model of."""
        return {name: torch.from_numpy(getattr(self, name)) for name in ("means", "areas")}, {}

    @classmethod
    def from_state(
        cls, tensors: dict[str, Tensor], values: dict[str, Any], config: Config, channels: int
    ) -> "RegionColors":
        """A model from what :meth:`state` returned."""
        return cls(config, tensors["means"].numpy(), tensors["areas"].numpy())


def fit_region_colors(
    images: Sequence[Picture], masks: Sequence[Mask | None], config: Config
) -> RegionColors:
    """Ward clusters of the mean colours of the regions of all images, each weighed by its area.

    Args:
        images: ``(C, H, W)``, values in [0, 1].
        masks: For each the pixels that are data, ``(H, W)``, or ``None`` for all.
        config: ``num_labels``; 0: at most 10, those closer than 3 units of CIELAB merged.
    """
    found = [find_regions(*pair, config) for pair in zip(images, masks, strict=True)]
    colors = np.concatenate([part for _, part, _ in found])
    areas = np.concatenate([part for *_, part in found])
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
    """The regions of an image ``(H, W)``, their mean colours ``(R, 3)`` and pixels ``(R,)``."""
    tree = build_region_tree(image, mask, max_size=config.superpixel_size)
    regions = tree.cut()
    colors = region_means(_UNITS * color_space(image, "lab"), regions)
    return regions, colors, region_sizes(regions).astype(np.float64)


def _cluster_means(colors: Array, areas: Array, clusters: NDArray[np.int64]) -> tuple[Array, Array]:
    total = np.bincount(clusters, areas).astype(np.float64)
    sums = [np.bincount(clusters, areas * channel) for channel in colors.T]
    return np.stack(sums, axis=1) / total[:, None], total


def _margins(distance: Array) -> Array:
    """Of the labels of regions at these distances from each mean, ``(R, K)`` -> ``(R,)``."""
    if distance.shape[1] == 1:
        return np.ones(len(distance))
    near, far = np.partition(distance, 1, axis=1)[:, :2].T
    return (far - near) / np.maximum(far + near, 1e-12)
