"""Edge weights from node features: colour distance, affinity, softmax-tau adjacency."""

from torch import Tensor
from torch_geometric.utils import softmax

from sp_graph_seg.errors import InputError


def color_distance(x: Tensor, edge_index: Tensor) -> Tensor:
    r"""Computes the Euclidean distance of the features at the ends of each edge (Eq. 2).

    .. math::
        w_{IJ} = \sqrt{\sum_c (x_{cI} - x_{cJ})^2}

    Args:
        x: Node features, ``(N, C)``.
        edge_index: Edges, ``(2, E)``.

    Returns:
        The distances, ``(E,)``. The gradient is finite everywhere, and zero if both ends are equal.
    """
    source, target = edge_index[0], edge_index[1]
    return (x[source] - x[target]).norm(dim=-1)  # Eq. 2


def affinity(distance: Tensor, tau: float = -10.0) -> Tensor:
    r"""Converts distances to affinities :math:`\exp(\tau w)`, which the N-Cut (Eq. 5) needs.

    The paper leaves out this step, but a cut should pass where colours differ. The authors' code
    takes the exponential too, with tau = -1.

    Args:
        distance: Distances along the edges, ``(E,)``.
        tau: Exponent, negative.

    Raises:
        InputError: If ``tau`` is not negative.
    """
    if not tau < 0:
        raise InputError(f"tau={tau} does not give affinities; use a negative number.")
    return (tau * distance).exp()


def softmax_adjacency(
    distance: Tensor, edge_index: Tensor, num_nodes: int, tau: float = 1.0
) -> Tensor:
    r"""Computes the softmax-tau adjacency over the neighbours J of each node I (Eq. 8).

    .. math::
        A_{IJ} = \frac{\exp(\tau w_{IJ})}{\sum_K \exp(\tau w_{IK})}

    Args:
        distance: Distances along the edges, ``(E,)``.
        edge_index: Edges, ``(2, E)``; the second row holds the nodes I.
        num_nodes: Number of nodes N.
        tau: Below 0 the most similar neighbours weigh most, at 0 all are equal, above 0 the most
            different.

    Returns:
        The weights, ``(E,)``; those of the edges to a node add up to 1.
    """
    return softmax(tau * distance, edge_index[1], num_nodes=num_nodes)  # Eq. 8
