"""Graph pooling without an N x N matrix, beside PyG's dense layers.

    python examples/sparse_pooling.py

``NCutPooling``, ``MinCutPooling`` and ``DMoNPooling`` cluster Zachary's karate club by their losses
alone; the known communities are only compared with. Then the last two are run on 4000 nodes beside
PyG's ``dense_mincut_pool`` and ``DMoNPooling``: the losses are the same, time and memory are not.
"""

import time
from collections.abc import Callable

import networkx as nx
import torch
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.datasets import KarateClub
from torch_geometric.utils import stochastic_blockmodel_graph, to_dense_adj, to_networkx

from sp_graph_seg.nn import DMoNPooling, MinCutPooling, NCutPooling, Pooled, sort_edges

PICTURE = "sparse_pooling.png"
NUM_NODES, NUM_FEATURES, NUM_CLUSTERS = 4000, 32, 10


class Net(nn.Module):
    """A graph convolution, then pooling to clusters."""

    def __init__(self, num_features: int, pooling: Callable[..., nn.Module], k: int) -> None:
        super().__init__()
        self.conv = pyg.GCNConv(num_features, 16)
        self.pool = pooling(16, k)

    def forward(self, x: Tensor, edge_index: Tensor) -> Pooled:
        """The graph of the clusters, with the losses that say how good they are."""
        return self.pool(self.conv(x, edge_index).relu(), edge_index)


def cluster(data: Data, pooling: Callable[..., nn.Module], k: int) -> Tensor:
    """The clusters with the least loss of a few trainings, ``(N,)``."""
    results = []
    for seed in range(5):
        torch.manual_seed(seed)
        net = Net(data.num_features, pooling, k)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
        for _ in range(200):
            optimizer.zero_grad()
            pooled = net(data.x, data.edge_index)
            loss = torch.stack(list(pooled.losses.values())).sum()
            loss.backward()
            optimizer.step()
        results.append((loss.item(), pooled.s.argmax(dim=1)))
    return min(results, key=lambda result: result[0])[1]


def cost(step: Callable[[], Tensor], *inputs: Tensor) -> tuple[float, float, float]:
    """Loss, seconds (the least of five) and MiB of one training step.

    The memory is that of the inputs and of all that is kept for the gradients.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for tensor in inputs:
        keep(tensor)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = step()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        step().backward()
        seconds.append(time.perf_counter() - start)
    return loss.item(), min(seconds), sum(kept.values()) / 2**20


def compare() -> None:
    """Sparse and dense layers with the same weights on a graph of communities."""
    probabilities = torch.full((NUM_CLUSTERS, NUM_CLUSTERS), 0.0005)
    probabilities.fill_diagonal_(0.02)
    sizes = [NUM_NODES // NUM_CLUSTERS] * NUM_CLUSTERS
    edge_index = stochastic_blockmodel_graph(sizes, probabilities)
    x = torch.randn(NUM_NODES, NUM_FEATURES)
    edges, _ = sort_edges(edge_index, NUM_NODES)
    adjacency = to_dense_adj(edge_index, max_num_nodes=NUM_NODES)
    mincut = MinCutPooling(NUM_FEATURES, NUM_CLUSTERS)
    dmon = DMoNPooling(NUM_FEATURES, NUM_CLUSTERS)
    dense_dmon = pyg.DMoNPooling(NUM_FEATURES, NUM_CLUSTERS)
    dense_dmon.load_state_dict(dmon.state_dict())

    def total(*losses: Tensor) -> Tensor:
        return torch.stack(losses).sum()

    steps = {
        "MinCutPooling": (
            lambda: total(*mincut(x, edges).losses.values()),
            lambda: total(*pyg.dense_mincut_pool(x, adjacency, mincut.mlp(x))[2:]),
        ),
        "DMoNPooling": (
            lambda: total(*dmon(x, edges).losses.values()),
            lambda: total(*dense_dmon(x, adjacency)[3:]),
        ),
    }
    print(f"\n{NUM_NODES} nodes, {edge_index.size(1)} edges, one training step:")
    for name, (sparse, dense) in steps.items():
        ours, theirs = cost(sparse, x, edges.as_tensor()), cost(dense, x, adjacency)
        for kind, (loss, seconds, mebibytes) in (("sparse", ours), ("dense", theirs)):
            print(f"{name}, {kind}: {loss:.5f}, {1000 * seconds:.1f} ms, {mebibytes:.1f} MiB")
        print(
            f"{name}: dense takes {theirs[1] / ours[1]:.0f}x the time "
            f"and {theirs[2] / ours[2]:.0f}x the memory of sparse"
        )


def main() -> None:
    data = KarateClub()[0]
    k = int(data.y.max()) + 1
    graph = to_networkx(data, to_undirected=True)
    layout = nx.spring_layout(graph, seed=1)
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    layers = (NCutPooling, MinCutPooling, DMoNPooling)
    for axes, pooling in zip(figure.subplots(1, 3), layers, strict=True):
        found = cluster(data, pooling, k)
        score = adjusted_rand_score(data.y, found)
        print(f"karate club, {pooling.__name__}: adjusted Rand index {score:.2f}")
        nx.draw_networkx(
            graph, layout, ax=axes, node_size=160, font_size=7, width=0.4, node_color=found.tolist()
        )
        axes.set_title(f"{pooling.__name__}: adjusted Rand index {score:.2f}")
        axes.axis("off")
    figure.savefig(PICTURE, dpi=120)
    print(f"wrote {PICTURE}")
    compare()


if __name__ == "__main__":
    main()
