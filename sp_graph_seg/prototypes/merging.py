"""Merges labels whose common boundary is hardly visible."""

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

Array = NDArray[np.float64]

#: The kept label, the label merged into it, and their difference in units of colour.
Merger = tuple[int, int, float]

#: Labels are merged if the colour (CIELAB) at their common boundary jumps by less than this and the
#: user does not give their number.
_JUMP = 5.0

#: A smaller jump of colour than this cannot be seen (Mahy et al. 1994 give 2.3 for CIELAB).
_VISIBLE = 2.3


class TouchingLabels:
    """Statistics of labels and their common boundaries, and the order of their merging.

    The difference of two labels that touch is the mean jump of colour along their common boundary,
    so that a road whose brightness changes slowly keeps one label. Labels that do not touch differ
    by their mean colours. Whitening can magnify invisible differences, such as those between parts
    of bright ice. So labels whose colours before whitening cannot be told apart are merged first.

    Args:
        num_labels: Number of labels K.
        whitening: Directions of the whitened colours that are compared, ``(C, C)``.
    """

    def __init__(self, num_labels: int, whitening: Array) -> None:
        self.plain = np.linalg.pinv(whitening)
        channels = len(whitening)
        self.jump = np.zeros((num_labels, num_labels, channels))
        self.length = np.zeros((num_labels, num_labels))
        self.total = np.zeros((num_labels, channels))
        self.area = np.zeros(num_labels)

    def add(self, graph: Data, labels: NDArray[np.int64], colors: Array, area: Array) -> None:
        """Adds the nodes of an image, with their labels ``(N,)`` and colours ``(N, C)``."""
        source, target = graph.edge_index.numpy()  # both directions of each edge
        length = graph.edge_boundary_length.numpy().ravel()
        pair = (labels[source], labels[target])
        np.add.at(self.jump, pair, (colors[source] - colors[target]) * length[:, None])
        np.add.at(self.length, pair, length)
        np.add.at(self.total, labels, colors * area[:, None])
        np.add.at(self.area, labels, area)

    def merge_order(self) -> list[Merger]:
        """Computes all mergers, smallest difference first: (kept label, merged label, difference).

        If the colours before whitening differ by less than 2.3, they cannot be told apart, and this
        is the difference. Otherwise it is that of the whitened colours, but at least 2.3. The sums
        and boundaries of a merged label are added to those of the kept one. Labels without area are
        left out.
        """
        jump, length = self.jump.copy(), self.length.copy()
        total, area = self.total.copy(), self.area.copy()
        alive = area > 0
        order = []
        while alive.sum() > 1:
            mean = total / np.maximum(area, 1e-12)[:, None]
            along = jump / np.maximum(length, 1e-12)[..., None]
            cost = self._differences(np.where(length[..., None] > 0, along, mean[:, None] - mean))
            cost[~alive] = cost[:, ~alive] = np.inf
            np.fill_diagonal(cost, np.inf)
            one, other = np.unravel_index(cost.argmin(), cost.shape)
            order.append((int(one), int(other), float(cost[one, other])))
            for sums in (jump, length):
                sums[one] += sums[other]
                sums[:, one] += sums[:, other]
                sums[one, one] = sums[other] = sums[:, other] = 0
            total[one] += total[other]
            area[one] += area[other]
            alive[other] = False
        return order

    def _differences(self, whitened: Array) -> Array:
        """Computes the size of differences of whitened colours ``(..., C)``."""
        plain = np.linalg.norm(whitened @ self.plain, axis=-1)
        size = np.linalg.norm(whitened, axis=-1)
        return np.where(plain < _VISIBLE, plain, np.maximum(size, _VISIBLE))


def count_visible(order: list[Merger]) -> int:
    """Counts the labels that are left after merging all that cannot be told apart."""
    return 1 + sum(cost >= _VISIBLE for _, _, cost in order)


def apply_order(order: list[Merger], num_labels: int, wanted: int) -> NDArray[np.int64]:
    """Computes the group of each label after the first mergers of an order.

    Groups are numbered from 0 without gaps.

    Args:
        order: From :meth:`TouchingLabels.merge_order`.
        num_labels: Number of labels before.
        wanted: Number of labels after; 0 merges until labels differ by 5 units of colour or more.
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
