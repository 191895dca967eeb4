"""The whole model: W-Net, mean over superpixels, clustering head."""

from torch import Tensor, nn

from sp_graph_seg.nn.head_call import call_head, check_head
from sp_graph_seg.nn.wnet import WNet
from sp_graph_seg.transforms import scatter_mean


def pixels_inside(z: Tensor, inside: Tensor | None) -> Tensor:
    """Selects the features ``(F, P)`` of the pixels inside from z ``(F, H, W)``."""
    return z.flatten(1) if inside is None else z[:, inside]


class SuperpixelNet(nn.Module):
    r"""Dense features by a W-Net, averaged over superpixels, then an optional graph network.

    Args:
        wnet: Encoder and decoder.
        head: Computes the node features of the losses, ``(N, F')``, from the node means of z,
            ``(N, F)``, and the graph; :func:`~sp_graph_seg.nn.call_head` passes the arguments that
            its signature names. Without a head the losses use the means, as in the paper.

    Raises:
        InputError: If the head cannot be called on F features. Lazy layers get their sizes here.
    """

    def __init__(self, wnet: WNet, head: nn.Module | None = None) -> None:
        super().__init__()
        self.wnet = wnet
        self.head = head
        #: Number of features F' in the losses.
        self.num_outputs = (
            wnet.num_features if head is None else check_head(head, wnet.num_features)
        )

    def forward(
        self,
        image: Tensor,
        pixel_index: Tensor,
        num_nodes: int,
        edge_index: Tensor,
        edge_weight: Tensor,
        inside: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Computes the features z of the pixels, ``(F, H, W)``, and of the nodes, ``(N, F')``.

        Args:
            image: ``(C, H, W)``.
            pixel_index: Node of each pixel inside, ``(P,)``.
            num_nodes: Number of nodes N.
            edge_index: Edges, ``(2, E)``.
            edge_weight: Softmax-tau weights (Eq. 8), ``(E,)``.
            inside: The pixels that belong to a node, ``(H, W)`` bool; ``None`` if all do.
        """
        z = self.encode(image)  # (F, H, W)
        x = scatter_mean(pixels_inside(z, inside), pixel_index, num_nodes)  # (N, F)
        return z, self.cluster(x, edge_index, edge_weight)

    def encode(self, image: Tensor) -> Tensor:
        """Computes the features z of an image: ``(C, H, W)`` -> ``(F, H, W)``, 32 bits or more."""
        return self.wnet.encode(image.unsqueeze(0))[0].float()

    def cluster(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Computes the features of the nodes from the means of z: ``(N, F)`` -> ``(N, F')``."""
        if self.head is None:
            return x
        return call_head(self.head, x, edge_index, edge_weight)

    def decode(self, z: Tensor) -> Tensor:
        """Reconstructs an image from its features: ``(F, H, W)`` -> ``(C, H, W)``."""
        return self.wnet.decode(z.softmax(dim=0).unsqueeze(0))[0]

    def reconstruct(self, images: Tensor) -> Tensor:
        """Reconstructs a batch, ``(B, C, H, W)``, by the W-Net."""
        return self.wnet(images)[1]
