"""Edge weights that are learned through the normalised cut.

    python examples/learned_affinity.py

The colour distance of neighbours does not tell two textures of equal mean apart. A small network
makes a weight of each edge from other measures of both ends, one of them a function of our own; it
learns on one image with truth, by the gradient of ``ncut_loss`` in the weights. On another image
neighbours are then joined where the weight is above a threshold.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import to_scipy_sparse_matrix

from sp_graph_seg import ToRAG, ncut_loss
from sp_graph_seg.plot import overlay_labels, panel_grid, save_figure
from sp_graph_seg.transforms import NodePixels, to_label_image
from sp_graph_seg.transforms.reduce import mean_over_nodes

PICTURE = "learned_affinity.png"
SIZE = 128


def draw(is_inside: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """Fine noise inside, coarse noise outside; mean and deviation are the same, ``(1, H, W)``."""
    random = np.random.default_rng(seed)
    noise = [gaussian_filter(random.standard_normal((SIZE, SIZE)), sigma) for sigma in (0.7, 2.5)]
    fine, coarse = (0.5 + 0.12 * (one / one.std()) for one in noise)
    return np.where(is_inside, fine, coarse).clip(0, 1).astype(np.float32)[None]


def roughness(nodes: NodePixels) -> Tensor:
    """An attribute of our own: the mean step from pixel to pixel in each node, ``(N, 1)``."""
    steps = sum(np.abs(np.gradient(nodes.image[0], axis=axis)) for axis in (0, 1))
    return mean_over_nodes(steps.reshape(1, -1), nodes.pixel_index, nodes.num_pixels)


def make_graph(is_inside: NDArray[np.bool_], seed: int) -> Data:
    """The graph of a drawing; ``y`` is 1 inside."""
    to_rag = ToRAG(n_segments=300, compactness=1e3, attributes=["std", roughness])
    return to_rag(Data(image=draw(is_inside, seed), y=is_inside.astype(int)))


def edge_features(graph: Data) -> Tensor:
    """The differences of both ends, the same in both directions, ``(E, 3)``."""
    one, other = graph.edge_index
    nodes = torch.cat([graph.x, graph.std, graph.roughness], dim=1)
    return 10 * (nodes[one] - nodes[other]).abs()


def learn(graph: Data) -> nn.Module:
    """Trains the network to make the cut along the truth a cheap one, and its weights large."""
    net = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1), nn.Sigmoid())
    memberships = nn.functional.one_hot(graph.y).float()
    features = edge_features(graph)
    at_first = ncut_loss(memberships, graph.edge_index)  # with weights of 1
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(301):
        optimizer.zero_grad()
        weight = net(features)[:, 0]
        cut = ncut_loss(memberships, graph.edge_index, weight)
        (cut / at_first + (1 - weight).mean()).backward()  # weights of 0 alone would be cheap too
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: N-Cut of the truth {cut:.3f}, mean weight {weight.mean():.2f}")
    return net


def join(graph: Data, edge_weight: Tensor) -> tuple[float, Tensor]:
    """Joins neighbours above the threshold that scores best; returns score and parts ``(N,)``."""
    results = []
    for threshold in edge_weight.quantile(torch.linspace(0.02, 0.5, 25)):
        joined = graph.edge_index[:, edge_weight > threshold]
        matrix = to_scipy_sparse_matrix(joined, num_nodes=graph.num_nodes)
        parts = torch.from_numpy(connected_components(matrix)[1])
        results.append((adjusted_rand_score(graph.y, parts), parts.long()))
    return max(results, key=lambda result: result[0])


def main() -> None:
    torch.manual_seed(0)
    row, column = np.indices((SIZE, SIZE))
    stripe = abs(column - 50) < 24
    disc = (row - 60) ** 2 + (column - 70) ** 2 < 38**2
    net = learn(make_graph(stripe, seed=1))
    graph = make_graph(disc, seed=2)
    with torch.no_grad():
        weights = {
            "affinity of colours": graph.edge_weight,
            "learned affinity": net(edge_features(graph))[:, 0],
        }
    image = draw(disc, seed=2)
    panels = {"an image not learned from": np.repeat(image.transpose(1, 2, 0), 3, axis=2)}
    for name, weight in weights.items():
        score, found = join(graph, weight)
        print(f"{name}: adjusted Rand index {score:.2f}")
        overlay = overlay_labels(255 * image, to_label_image(found, graph))
        panels[f"{name}: {score:.2f}"] = overlay
    save_figure(PICTURE, panel_grid(panels))
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
