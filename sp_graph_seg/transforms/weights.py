"""Functions that compute edge weights: colour distances, affinities and softmax weights."""

from torch import Tensor
from torch_geometric.utils import softmax

from sp_graph_seg.errors import InputError


def color_distance(x: Tensor, edge_index: Tensor) -> Tensor:
    r"""Computes the Euclidean distance between the colours of the two nodes of each edge (Eq. 2).

    .. math::
        w_{IJ} = \sqrt{\sum_c (x_{cI} - x_{cJ})^2}

    Here :math:`x_{cI}` is channel c of the colour of node I.

    Args:
        x: Colours or other values of the nodes, ``(N, C)``.
        edge_index: Edges, ``(2, E)``.

    Returns:
        The distances, ``(E,)``. Their gradient is always finite. It is zero if both colours are
        equal.
    """
    source, target = (x.index_select(0, ends) for ends in edge_index)  # 3x as fast as x[ends]
    return (source - target).norm(dim=-1)  # Eq. 2


def affinity(distance: Tensor, tau: float = -10.0) -> Tensor:
    r"""Converts colour distances w to affinities :math:`\exp(\tau w)`.

    The N-Cut loss (Eq. 5) needs affinities. It cuts where the weights are small, so the weights
    must be smallest where the colours differ most. The paper does not mention this conversion, but
    the authors' code contains it, with tau = -1.

    Args:
        distance: The distance w of the two nodes of each edge, ``(E,)``.
        tau: Factor of the distances in the exponent. It must be negative.

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

    Here :math:`w_{IJ}` is the distance of the nodes I and J. The sum runs over all neighbours K of
    node I.

    Args:
        distance: The distance w of the two nodes of each edge, ``(E,)``.
        edge_index: Edges, ``(2, E)``. The second row holds the nodes I.
        num_nodes: Number of nodes N.
        tau: If tau is below 0, the most similar neighbours weigh most. If it is 0, all neighbours
            weigh the same. If it is above 0, the most different neighbours weigh most.

    Returns:
        The weights, ``(E,)``. The weights of all edges with the same target add up to 1.
    """
    return softmax(tau * distance, edge_index[1], num_nodes=num_nodes)  # Eq. 8
