"""Graph pooling without an N x N matrix, beside PyG's dense layers.

    python examples/sparse_pooling.py [PLANETOID]

``NCutPooling``, ``MinCutPooling`` and ``DMoNPooling`` cluster Zachary's karate club by their losses
alone; the known communities are only compared with. Then the last two are run on Cora beside PyG's
``dense_mincut_pool`` and ``DMoNPooling``: the losses are the same, time and memory are not.
PLANETOID is the folder of PyG's ``Planetoid`` with Cora in it. Without it, a graph like Cora is
made: 2708 nodes in 7 classes of its sizes, with few or many neighbours, most of the same class.
"""

import sys
import time
from collections.abc import Callable

import networkx as nx
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data
from torch_geometric.datasets import KarateClub, Planetoid
from torch_geometric.utils import remove_self_loops, to_dense_adj, to_networkx, to_undirected

from sp_graph_seg.nn import DMoNPooling, MinCutPooling, NCutPooling, Pooled, sort_edges

PICTURE, NUM_FEATURES = "sparse_pooling.png", 32
#: Papers of each class of Cora, citations, words, and the share of citations within a class.
CLASSES, NUM_EDGES, NUM_WORDS, WITHIN = (351, 217, 418, 818, 426, 298, 180), 5278, 1433, 0.81


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


def like_cora() -> Data:
    """A degree-corrected block model of the size of Cora, with words that depend on the class."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(CLASSES)), CLASSES)
    often = rng.pareto(2.5, len(y)) + 1  # how often a paper cites and is cited
    source = rng.choice(len(y), NUM_EDGES, p=often / often.sum())
    target = rng.choice(len(y), NUM_EDGES, p=often / often.sum())
    for number in range(len(CLASSES)):
        ends = np.flatnonzero((y[source] == number) & (rng.random(NUM_EDGES) < WITHIN))
        members = np.flatnonzero(y == number)
        share = often[members] / often[members].sum()
        target[ends] = rng.choice(members, len(ends), p=share)
    edges = remove_self_loops(torch.from_numpy(np.stack([source, target])))[0]
    frequent = rng.random((len(CLASSES), NUM_WORDS)) < 0.1
    x = rng.random((len(y), NUM_WORDS)) < np.where(frequent, 0.05, 0.01)[y]
    return Data(
        x=torch.from_numpy(x).float(), edge_index=to_undirected(edges), y=torch.from_numpy(y)
    )


def compare(data: Data) -> None:
    """Sparse and dense layers with the same weights on a graph of papers."""
    num_nodes, num_clusters = data.num_nodes, len(CLASSES)
    with torch.no_grad():  # what comes before a pooling layer, the same for all
        x = pyg.GCNConv(data.num_features, NUM_FEATURES)(data.x, data.edge_index).relu()
    edges, _ = sort_edges(data.edge_index, num_nodes)
    adjacency = to_dense_adj(data.edge_index, max_num_nodes=num_nodes)
    mincut = MinCutPooling(NUM_FEATURES, num_clusters)
    dmon = DMoNPooling(NUM_FEATURES, num_clusters)
    dense_dmon = pyg.DMoNPooling(NUM_FEATURES, num_clusters)
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
    print(f"\n{num_nodes} nodes, {data.num_edges} edges, one training step:")
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
    compare(Planetoid(sys.argv[1], "Cora")[0] if sys.argv[1:] else like_cora())


if __name__ == "__main__":
    main()
