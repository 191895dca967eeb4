"""Computes edge weights: colour distances, affinities and the softmax-tau adjacency."""

from torch import Tensor
from torch_geometric.utils import softmax

from sp_graph_seg.errors import InputError


def color_distance(x: Tensor, edge_index: Tensor) -> Tensor:
    r"""Computes the Euclidean distance between the colours of the two nodes of each edge (Eq. 2).

    .. math::
        w_{IJ} = \sqrt{\sum_c (x_{cI} - x_{cJ})^2}

    Args:
        x: Colours or other values of the nodes, ``(N, C)``.
        edge_index: Edges, ``(2, E)``.

    Returns:
        The distances, ``(E,)``. The gradient is finite everywhere, and zero if both ends are equal.
    """
    source, target = edge_index[0], edge_index[1]
    return (x[source] - x[target]).norm(dim=-1)  # Eq. 2


def affinity(distance: Tensor, tau: float = -10.0) -> Tensor:
    r"""Converts distances w to affinities :math:`\exp(\tau w)`, which the N-Cut (Eq. 5) needs.

    The N-Cut must get the smallest weights where colours differ most, so that it cuts there. The
    paper does not mention this step. The authors' code does it too, with tau = -1.

    Args:
        distance: Distances w of the two nodes of each edge, ``(E,)``.
        tau: Factor of the distances in the exponent, negative.

    Raises:
        InputError: If ``tau`` is not negative.
    """
    if not tau < 0:
        raise InputError(f"tau={tau} does not give affinities; use a negative number.")
    return (tau * distance).exp()


def softmax_adjacency(
    distance: Tensor, edge_index: Tensor, num_nodes: int, tau: float = 1.0
) -> Tensor:
    r"""Computes the softmax-tau adjacency of each node I and its neighbours J (Eq. 8).

    .. math::
        A_{IJ} = \frac{\exp(\tau w_{IJ})}{\sum_K \exp(\tau w_{IK})}

    The sum runs over all neighbours K of node I.

    Args:
        distance: Distances w of the two nodes of each edge, ``(E,)``.
        edge_index: Edges, ``(2, E)``; the second row holds the nodes I.
        num_nodes: Number of nodes N.
        tau: Below 0 the most similar neighbours weigh most, at 0 all weigh the same, above 0 the
            most different weigh most.

    Returns:
        The weights, ``(E,)``; those of all edges into one node add up to 1.
    """
    return softmax(tau * distance, edge_index[1], num_nodes=num_nodes)  # Eq. 8
