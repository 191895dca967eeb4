"""A graph attention network of your own between the W-Net and the losses.

    python examples/gat_head.py [IMAGE]

The paper's model has no graph network: its losses see the mean features of the superpixels. Any
module may change them first that takes ``x`` and, by name, parts of the graph: a layer of PyG as it
is, or one like this. (``Config(head="gat")`` is a head made already.)
"""

import sys

import torch
from skimage.data import chelsea
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.io import read_image
from sp_graph_seg.plot import overlay_labels, panel_grid, save_figure

PICTURE = "gat_head.png"


class GAT(nn.Module):
    """One layer of attention to the neighbours, its heads averaged, beside a residual path."""

    def __init__(self, num_features: int, heads: int = 4) -> None:
        super().__init__()
        self.conv = GATv2Conv(
            num_features, num_features, heads, concat=False, edge_dim=1, residual=True
        )

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """``x (N, F)``, ``edge_index (2, E)``, ``edge_weight (E,)`` -> ``(N, F)``."""
        return self.conv(x, edge_index, edge_weight.unsqueeze(-1))


def main() -> None:
    image = read_image(sys.argv[1]) if len(sys.argv) > 1 else chelsea().transpose(2, 0, 1)
    config = Config(  # smaller than the defaults, to be done in half a minute
        n_segments=1000, max_size=224, patches=((24, 48, 48), (40, 32, 32)), seed=0
    )
    torch.manual_seed(0)  # the weights of a head of your own are drawn here
    gat = GAT(config.num_features)
    segmenters = {
        "no head": Segmenter(config),
        # A head can please these two losses all by itself, so they get a smaller weight.
        "GAT head": Segmenter(config.replace(beta_sim=1.0, beta_con=1.0), head=gat),
    }
    panels = {"image": image.transpose(1, 2, 0).squeeze() / 255}
    for name, segmenter in segmenters.items():
        labels = segmenter.fit(image, progress=True).predict(image)
        print(f"{name}: loss {segmenter.history_['loss'][-1]:.3f}")
        panels[f"{name}: {len(set(labels.flat))} labels"] = overlay_labels(image, labels)

    save_figure(PICTURE, panel_grid(panels))
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
