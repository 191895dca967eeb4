"""Which labels become one: those whose common boundary is hardly to be seen."""

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

Array = NDArray[np.float64]

#: The label that is kept, the one that joins it, and how far they differ in units of colour.
Merger = tuple[int, int, float]

#: Units of colour (CIELAB): labels whose common boundary jumps by less are one, where the user does
#: not say how many there are to be.
_JUMP = 5.0


class TouchingLabels:
    """What is known of labels and of their common boundaries, and their merging one by one.

    Labels that touch differ by the mean jump of colour along their common boundary, so that a road
    whose brightness changes slowly stays one; labels that touch nowhere by their mean colours.

    Args:
        num_labels: Number of labels K.
        channels: Number of values that are compared.
    """

    def __init__(self, num_labels: int, channels: int) -> None:
        self.jump = np.zeros((num_labels, num_labels, channels))
        self.length = np.zeros((num_labels, num_labels))
        self.total = np.zeros((num_labels, channels))
        self.area = np.zeros(num_labels)

    def add(self, graph: Data, labels: NDArray[np.int64], colors: Array, area: Array) -> None:
        """Adds the nodes of an image, with their labels ``(N,)`` and colours ``(N, C)``."""
        source, target = graph.edge_index.numpy()  # both directions are there
        length = graph.edge_boundary_length.numpy().ravel()
        pair = (labels[source], labels[target])
        np.add.at(self.jump, pair, (colors[source] - colors[target]) * length[:, None])
        np.add.at(self.length, pair, length)
        np.add.at(self.total, labels, colors * area[:, None])
        np.add.at(self.area, labels, area)

    def merge_order(self) -> list[Merger]:
        """All mergers, the least difference first: (kept label, label that joins it, difference).

        The sums of a label that joins are added to those of the other, and its boundaries with it.
        Labels without area are left out.
        """
        jump, length = self.jump.copy(), self.length.copy()
        total, area = self.total.copy(), self.area.copy()
        alive = area > 0
        order = []
        while alive.sum() > 1:
            mean = total / np.maximum(area, 1e-12)[:, None]
            apart = np.linalg.norm(mean[:, None] - mean, axis=-1)
            along = np.linalg.norm(jump, axis=-1) / np.maximum(length, 1e-12)
            cost = np.where(length > 0, along, apart)
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


def apply_order(order: list[Merger], num_labels: int, wanted: int) -> NDArray[np.int64]:
    """The group of each label, from 0 and without gaps, after the first mergers of an order.

    Args:
        order: From :meth:`TouchingLabels.merge_order`.
        num_labels: Number of labels before.
        wanted: Number of labels after; 0: until all boundaries jump by 5 units of colour or more.
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
        group[[label not in known for label in range(num_labels)]] = order[0][0]  # without any area
    return np.unique(group, return_inverse=True)[1]
