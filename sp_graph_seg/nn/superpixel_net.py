"""The network: a W-Net, the means of its features over superpixels, and an optional head."""

from torch import Tensor, nn
from torch_geometric.data import Data

from sp_graph_seg.nn.head_call import call_head, check_head
from sp_graph_seg.nn.wnet import WNet
from sp_graph_seg.transforms import affinity, scatter_mean


def pixels_inside(z: Tensor, inside: Tensor | None) -> Tensor:
    """Returns the features of the P pixels inside a mask: ``(F, H, W)`` -> ``(F, P)``.

    If the mask is ``None``, all pixels are returned.
    """
    return z.flatten(1) if inside is None else z[:, inside]


def graph_of_head(graph: Data, tau: float) -> Data:
    r"""Makes the graph that is passed to a head, from the graph of an image.

    Args:
        graph: The graph of an image, from :class:`~sp_graph_seg.ToRAG` or ``ToPixelGraph``.
        tau: The factor :math:`\tau` in the exponent of the affinities, which is negative.

    Returns:
        A graph with the ``edge_index`` and the ``pixel_index`` of the given graph. Its field
        ``edge_weight (E,)`` holds the affinities :math:`\exp(\tau d)`, where d is the distance of
        the colours of two nodes. ``pos (N, ndim)`` holds the centroids, divided by the longest side
        of the image. ``color (N, C)`` holds the mean colours, and ``batch (N,)`` holds zeros.
    """
    longest = graph.image_size.max().to(graph.pos.dtype)
    return Data(
        edge_index=graph.edge_index,
        edge_weight=affinity(graph.edge_attr[:, 0], tau),
        pos=graph.pos / longest,
        color=graph.x,
        batch=graph.pixel_index.new_zeros(graph.num_nodes),
        pixel_index=graph.pixel_index,
        num_nodes=graph.num_nodes,
    )


class SuperpixelNet(nn.Module):
    r"""A W-Net, the means of its features over superpixels, and an optional head.

    Args:
        wnet: The encoder and decoder.
        head: A module that computes the features of the nodes for the losses, ``(N, F')``, from the
            graph and from the means of z over each node, ``(N, F)``. It is called by
            :func:`~sp_graph_seg.nn.call_head`. Without a head, the losses use the means, as in the
            paper.
        color_dim: Number of channels of the mean colours in the graph. By default, it is the number
            of channels that ``wnet`` takes.

    Raises:
        InputError: If the head cannot be called on F features. This check gives lazy layers their
            sizes.
    """

    def __init__(
        self, wnet: WNet, head: nn.Module | None = None, color_dim: int | None = None
    ) -> None:
        super().__init__()
        self.wnet = wnet
        self.head = head
        #: Number of features F' in the losses.
        self.num_outputs = (
            wnet.num_features
            if head is None
            else check_image_head(head, wnet.num_features, color_dim or wnet.in_channels)
        )

    def forward(
        self, image: Tensor, graph: Data, inside: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes features of the pixels, z ``(F, H, W)``, and of the nodes, ``(N, F')``.

        Args:
            image: The image, ``(C, H, W)``.
            graph: The result of :func:`graph_of_head`, on the device of the image.
            inside: True for the pixels that belong to a node, ``(H, W)``; ``None`` if all pixels
                belong to a node.
        """
        z = self.encode(image)
        return z, self.cluster(self.node_means(z, graph, inside), graph)

    def encode(self, image: Tensor) -> Tensor:
        """Computes the features z of an image, in 32 bits: ``(C, H, W)`` -> ``(F, H, W)``."""
        return self.wnet.encode(image.unsqueeze(0))[0].float()

    def node_means(self, z: Tensor, graph: Data, inside: Tensor | None = None) -> Tensor:
        """Averages z over the pixels of each node: ``(F, H, W)`` -> ``(N, F)``."""
        return scatter_mean(pixels_inside(z, inside), graph.pixel_index, graph.num_nodes)

    def cluster(self, x: Tensor, graph: Data) -> Tensor:
        """Computes the features of the nodes from the means of z: ``(N, F)`` -> ``(N, F')``."""
        if self.head is None:
            return x
        given = {name: graph.get(name) for name in ("pos", "color", "batch")}
        return call_head(self.head, x, graph.edge_index, graph.edge_weight, **given)

    def decode(self, z: Tensor) -> Tensor:
        """Reconstructs an image from its features z: ``(F, H, W)`` -> ``(C, H, W)``."""
        return self.wnet.decode(z.softmax(dim=0).unsqueeze(0))[0]

    def reconstruct(self, images: Tensor) -> Tensor:
        """Reconstructs a batch of images, ``(B, C, H, W)``, with the W-Net."""
        return self.wnet(images)[1]


def check_image_head(head: nn.Module, num_features: int, color_dim: int, ndim: int = 2) -> int:
    """Checks a head by calling it on a small graph with the fields of :func:`graph_of_head`.

    :func:`check_head` does this, and also gives lazy layers their sizes.

    Args:
        head: A module.
        num_features: Number of features F of a node.
        color_dim: Number of channels of the mean colours.
        ndim: Number of axes of the image: 2, or 3 for a volume.

    Returns:
        The number of features F' that the head returns for each node.
    """
    return check_head(
        head, num_features, edge_dim=1, pos_dim=ndim, color_dim=color_dim, has_batch=True
    )
