"""The soft normalised cut clusters graphs that are no images.

    python examples/ncut_clustering.py

``ncut_loss`` is a function of memberships and a weighted graph. Here the memberships are free
parameters, and the graphs are Zachary's karate club, whose members split into two clubs, and a
stochastic block model of four communities. Found and known communities are compared by the
adjusted Rand index: 1 for the same, 0 for chance.
"""

import networkx as nx
import torch
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score
from torch import Tensor
from torch_geometric.data import Data

from sp_graph_seg import ncut_loss
from sp_graph_seg.nn import sort_edges
from sp_graph_seg.transforms import from_networkx

PICTURE = "ncut_clustering.png"


def cluster(data: Data, num_clusters: int, restarts: int = 8) -> tuple[float, Tensor]:
    """The lowest N-Cut found and its communities, ``(N,)``."""
    # Checked and sorted once, not in every step; an edge's weight says how close two nodes are.
    edges, weight = sort_edges(data.edge_index, data.num_nodes, data.edge_weight)
    results = []
    for _ in range(restarts):  # the loss has local minima
        logits = torch.randn(data.num_nodes, num_clusters, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            loss = ncut_loss(logits.softmax(dim=-1), edges, weight)
            loss.backward()
            optimizer.step()
        results.append((loss.item(), logits.argmax(dim=-1)))
    return min(results, key=lambda result: result[0])


def main() -> None:
    torch.manual_seed(0)
    club = nx.karate_club_graph()
    blocks = nx.stochastic_block_model(
        [40, 30, 20, 30], [[0.3 if i == j else 0.02 for i in range(4)] for j in range(4)], seed=0
    )
    graphs = {
        "karate club": (club, [club.nodes[n]["club"] == "Officer" for n in club]),
        "stochastic block model": (blocks, [blocks.nodes[n]["block"] for n in blocks]),
    }
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, (name, (graph, known)) in zip(figure.subplots(1, 2), graphs.items(), strict=True):
        num_clusters = len(set(known))
        loss, found = cluster(from_networkx(graph), num_clusters)
        score = adjusted_rand_score(known, found)
        print(f"{name}: N-Cut {loss:.3f}, adjusted Rand index {score:.2f}")

        layout = nx.spring_layout(graph, seed=1)
        nx.draw_networkx_edges(graph, layout, ax=axes, alpha=0.2)
        for community, shape in zip(sorted(set(known)), "osD^", strict=False):
            nodes = [node for node, own in zip(graph, known, strict=True) if own == community]
            nx.draw_networkx_nodes(
                graph,
                layout,
                nodes,
                ax=axes,
                node_size=60,
                node_shape=shape,
                node_color=found[nodes].tolist(),
                cmap="tab10",
                vmin=0,
                vmax=9,
            )
        axes.set_title(f"{name}: adjusted Rand index {score:.2f}")
        axes.axis("off")
    figure.supxlabel("shape: known community, colour: found by minimising the soft N-Cut")
    figure.savefig(PICTURE, dpi=120)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
