"""Merges labels whose common boundary is hardly visible."""

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

Array = NDArray[np.float64]

#: The kept label, the label merged into it, and their difference in units of colour.
Merger = tuple[int, int, float]

#: Labels are merged if the colour (CIELAB) at their common boundary jumps by less than this and the
#: user does not give their number. If fewer labels are wanted, their size, their contrast and
#: whether they lie inside of the image count as well from this difference on.
_JUMP = 5.0

#: A smaller jump of colour than this cannot be seen (Mahy et al. 1994 give 2.3 for CIELAB).
_VISIBLE = 2.3


class TouchingLabels:
    """Statistics of labels and of their common boundaries, to find out which labels to merge.

    The difference of two labels that touch is the mean jump of colour along their common boundary.
    So a road whose brightness changes slowly keeps one label. The difference of two labels that do
    not touch is the difference of their mean colours. Whitening can magnify differences that cannot
    be seen, such as differences between parts of bright ice. So labels are merged first if their
    colours before whitening cannot be told apart.

    Then the other labels with small differences are merged. When only large differences are left,
    three kinds of labels are merged later than others: large labels, as in the method of Ward 1963,
    labels that stand out against all their neighbours, and labels away from the border of the
    image. Without this rule, the labels that are left at the end would be a few spots of strong
    colour, or several parts of the background.

    Args:
        num_labels: Number of labels K.
        whitening: Matrix ``(C, C)`` with which the colours were whitened.
    """

    def __init__(self, num_labels: int, whitening: Array) -> None:
        self.plain = np.linalg.pinv(whitening)
        channels = len(whitening)
        self.jump = np.zeros((num_labels, num_labels, channels))
        self.length = np.zeros((num_labels, num_labels))
        self.total = np.zeros((num_labels, channels))
        self.area = np.zeros(num_labels)
        self.rim = np.zeros(num_labels)
        self.num_images = 0

    def add(self, graph: Data, labels: NDArray[np.int64], colors: Array, area: Array) -> None:
        """Adds nodes of an image: labels ``(N,)``, whitened colours ``(N, C)``, areas ``(N,)``."""
        source, target = graph.edge_index.numpy()  # both directions of each edge
        length = graph.edge_boundary_length.numpy().ravel()
        pair = (labels[source], labels[target])
        np.add.at(self.jump, pair, (colors[source] - colors[target]) * length[:, None])
        np.add.at(self.length, pair, length)
        np.add.at(self.total, labels, colors * area[:, None])
        np.add.at(self.area, labels, area)
        np.add.at(self.rim, labels, graph.rim_length.numpy())
        self.num_images += 1

    def merge_order(self) -> list[Merger]:
        """Computes the order in which all labels are merged.

        A merger is a tuple: the kept label, the merged label and their difference. If the colours
        before whitening differ by less than 2.3 units, they cannot be told apart. The difference is
        then measured before whitening. Otherwise it is measured after whitening, but is at least
        2.3. The statistics of the merged label are added to the statistics of the kept label.
        Labels without area are left out.

        Labels that differ by less than 5 units are merged first, the two most similar labels
        before all others. Then the two labels with the least product of three factors are merged.
        The first is the square root of Ward's weight. The second is the geometric mean of their
        difference and the lesser of their contrasts. The contrast of a label is the mean of the
        differences along its whole boundary. The third is 1 if both labels lie along the border of
        the image, and up to 7.4 if one of them does not touch it.
        """
        jump, length = self.jump.copy(), self.length.copy()
        total, area, rim = self.total.copy(), self.area.copy(), self.rim.copy()
        alive = area > 0
        order = []
        while alive.sum() > 1:
            mean = total / np.maximum(area, 1e-12)[:, None]
            along = jump / np.maximum(length, 1e-12)[..., None]
            difference = self._differences(
                np.where(length[..., None] > 0, along, mean[:, None] - mean)
            )
            weighted = _stand_out(difference, length) * _ward_weights(area)
            weighted *= _inside_weights(area, rim, self.num_images)
            cost = np.where(difference < _JUMP, difference, _JUMP + weighted)
            cost[~alive] = cost[:, ~alive] = np.inf
            np.fill_diagonal(cost, np.inf)
            one, other = np.unravel_index(cost.argmin(), cost.shape)
            order.append((int(one), int(other), float(difference[one, other])))
            for sums in (jump, length):
                sums[one] += sums[other]
                sums[:, one] += sums[:, other]
                sums[one, one] = sums[other] = sums[:, other] = 0
            total[one] += total[other]
            area[one] += area[other]
            rim[one] += rim[other]
            alive[other] = False
        return order

    def _differences(self, whitened: Array) -> Array:
        """Computes the sizes ``(...)`` of differences of whitened colours ``(..., C)``."""
        plain = np.linalg.norm(whitened @ self.plain, axis=-1)
        size = np.linalg.norm(whitened, axis=-1)
        return np.where(plain < _VISIBLE, plain, np.maximum(size, _VISIBLE))


def _stand_out(difference: Array, length: Array) -> Array:
    """Computes the geometric mean of two numbers for each pair of labels, ``(K, K)``.

    The first number is the difference of the two labels. The second is the smaller of their
    contrasts. The contrast of a label is the mean of the differences along its whole boundary. If
    neither of the two labels touches another label, the result is the difference itself.
    """
    boundary = length * ~np.eye(len(length), dtype=bool)
    total = boundary.sum(axis=1)
    contrast = (boundary * difference).sum(axis=1) / np.maximum(total, 1e-12)
    contrast[total == 0] = np.inf
    lesser = np.minimum.outer(contrast, contrast)
    return np.sqrt(difference * np.where(np.isinf(lesser), difference, lesser))


def _ward_weights(area: Array) -> Array:
    """Computes the square root of Ward's weight for each pair of labels, ``(K, K)``."""
    share = area / area.sum()
    return np.sqrt(np.outer(share, share) / np.maximum(np.add.outer(share, share), 1e-12))


def _inside_weights(area: Array, rim: Array, num_images: int) -> Array:
    """Computes a weight from 1 to e^2 for each pair of labels, ``(K, K)``.

    It is 1 if both labels lie along the border of the images, like most backgrounds, and e^2 if one
    of them does not touch it. The measure is the boundary connectivity of Zhu et al. (CVPR 2014):
    the length on the border over the square root of the area.
    """
    connectivity = rim**2 / np.maximum(num_images * area, 1e-12)
    inside = np.exp(-connectivity)
    return np.exp(2 * np.maximum.outer(inside, inside))


def count_visible(order: list[Merger]) -> int:
    """Counts the labels that are left after merging all labels that cannot be told apart."""
    return 1 + sum(cost >= _VISIBLE for _, _, cost in order)


def apply_order(order: list[Merger], num_labels: int, wanted: int) -> NDArray[np.int64]:
    """Merges labels in a given order, and returns the new label of each label, ``(K,)``.

    New labels are numbered from 0 without gaps.

    Args:
        order: The mergers, from :meth:`TouchingLabels.merge_order`.
        num_labels: Number of labels K before merging.
        wanted: Number of labels after merging. If it is 0, labels are merged until they differ by 5
            units of colour or more.
    """
    group = np.arange(num_labels)
    left = len(order) + 1
    for one, other, cost in order:
        if left <= wanted if wanted else cost >= _JUMP:
            break
        group[group == other] = one
        left -= 1
    if order:
        known = {label for merger in order for label in merger[:2]}
        group[[label not in known for label in range(num_labels)]] = order[0][
            0
        ]  # labels without area
    return np.unique(group, return_inverse=True)[1]
