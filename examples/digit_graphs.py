"""Digits as graphs of superpixels: a classifier of graphs, and what decides it, painted back.

    python examples/digit_graphs.py

``PairsRAG`` makes a dataset of any ``(image, label)`` pairs, here of 1000 handwritten digits that
ship with scikit-learn. A GIN learns the digit from mean grey values and places of the superpixels.
PyG's ``GNNExplainer`` then weighs the nodes of one graph, and ``pixel_index`` brings the weights
back to the pixels. (MNIST of torchvision would do as well.)
"""

import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from skimage.transform import resize
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GIN, global_add_pool

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import PairsRAG

PICTURE = "digit_graphs.png"
SIZE, NUM_GRAPHS, NUM_TEST = 24, 1000, 200


class Classifier(nn.Module):
    """Features of the nodes, added up over each graph."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.nodes = GIN(num_features, 64, num_layers=3, norm="batch_norm")
        self.out = nn.Linear(64, num_classes)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None = None) -> Tensor:
        """``x (N, F)`` -> the logits of each graph, ``(B, classes)``."""
        return self.out(global_add_pool(self.nodes(x, edge_index), batch))


def with_places(data: Data) -> Data:
    """Puts the places of the nodes, from 0 to 1, beside their grey values."""
    data.x = torch.cat([data.x, data.pos / SIZE], dim=1)
    return data


def train(model: Classifier, graphs: PairsRAG, epochs: int = 40) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(epochs):
        for batch in DataLoader(graphs, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            logits = model(batch.x, batch.edge_index, batch.batch)
            F.cross_entropy(logits, batch.y).backward()
            optimizer.step()
    model.eval()


def accuracy(model: Classifier, graphs: PairsRAG) -> float:
    (batch,) = DataLoader(graphs, batch_size=len(graphs))
    with torch.no_grad():
        guess = model(batch.x, batch.edge_index, batch.batch).argmax(dim=1)
    return (guess == batch.y).float().mean().item()


def explain(model: Classifier, graph: Data) -> np.ndarray:
    """How much the node of each pixel counts for the prediction, ``(H, W)``."""
    explainer = Explainer(
        model,
        GNNExplainer(epochs=150),
        explanation_type="model",
        node_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "graph",
            "return_type": "raw",
        },
    )
    weights = explainer(graph.x, graph.edge_index).node_mask[:, 0]
    return weights[graph.pixel_index].view(SIZE, SIZE).numpy()


def main() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    pairs = [
        (resize(image / 16, (SIZE, SIZE), order=1)[None], int(label))
        for image, label in zip(digits.images[:NUM_GRAPHS], digits.target, strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        graphs = PairsRAG(
            folder,
            pairs,
            name="digits",
            to_graph=ToRAG(n_segments=144, compactness=1.0),
            pre_transform=with_places,
            in_memory=True,
        )
    print(f"{len(graphs)} graphs of {graphs.num_classes} classes; the first: {graphs[0]}")
    test = graphs[-NUM_TEST:]
    model = Classifier(graphs.num_features, graphs.num_classes)
    train(model, graphs[:-NUM_TEST])
    print(f"test accuracy {accuracy(model, test):.2f} (by chance 0.10)")

    shown = range(4)
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    for column, (number, axes) in enumerate(zip(shown, figure.subplots(2, 4).T, strict=True)):
        graph = test[number]
        with torch.no_grad():
            guess = int(model(graph.x, graph.edge_index).argmax())
        gray = graph.x[graph.pixel_index, 0].view(SIZE, SIZE)
        axes[0].imshow(gray, cmap="gray")
        axes[0].set_title(f"{int(graph.y)} seen as {guess}")
        axes[1].imshow(explain(model, graph), cmap="magma")
        axes[1].set_title("what counts" if column == 0 else "")
        for one in axes:
            one.axis("off")
    figure.savefig(PICTURE, dpi=120)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
