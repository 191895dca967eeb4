"""Superpixels classified by a plain PyG network, from a folder of images with label maps.

    python examples/superpixel_classification.py          # six photographs that ship with packages
    python examples/superpixel_classification.py BSDS300  # the folder of that dataset

The features are those of PascalVOC-SP in the Long Range Graph Benchmark: 14 of a node, two of an
edge. The photographs have no ground truth, so theirs is made by a rule: a pixel's class is the
nearest of five colours, found by k-means, in the *blurred* photograph; the score says nothing about
real segmentation. BSDS300 numbers the segments of each image anew, so there the classes are two,
the largest segment and the others, which colours hardly tell apart.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from skimage import data, transform
from skimage.color import rgb2lab
from skimage.filters import gaussian
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_images
from torch_geometric.data import Data, Dataset
from torch_geometric.loader import DataLoader
from torch_geometric.nn.models import GAT

from sp_graph_seg import ToRAG
from sp_graph_seg.datasets import BSDS300, ImageFolderRAG
from sp_graph_seg.io import read_image, write_image, write_labels
from sp_graph_seg.plot import overlay_labels, panel_grid, save_figure
from sp_graph_seg.transforms import to_label_image

PICTURE = "superpixel_classification.png"


def make_photos(root: Path) -> None:
    """Writes photographs of 240 pixels' height and their label maps; the last one is the test."""
    photos = [*load_sample_images().images, data.astronaut(), data.rocket(), data.chelsea()]
    photos.append(data.coffee())
    photos = [transform.resize(p, (240, round(240 * p.shape[1] / p.shape[0]))) for p in photos]
    blurred = [rgb2lab(gaussian(photo, sigma=8, channel_axis=-1)) for photo in photos]
    kmeans = KMeans(n_clusters=5, n_init=4, random_state=0)
    kmeans.fit(np.concatenate([image[::8, ::8].reshape(-1, 3) for image in blurred]))
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for number, (photo, colors) in enumerate(zip(photos, blurred, strict=True)):
        labels = kmeans.predict(colors.reshape(-1, 3)).reshape(photo.shape[:2])
        write_image(root / "images" / f"{number}.png", np.clip(photo, 0, 1).transpose(2, 0, 1))
        write_labels(root / "labels" / f"{number}.png", labels)


def is_largest_segment(graph: Data) -> Data:
    graph.y = (graph.y == graph.y.mode().values).long()
    return graph


def add_features(graph: Data) -> Data:
    """Makes ``x (N, 14)`` and ``edge_attr (E, 2)`` of PascalVOC-SP, each of a size of about 1."""
    place = graph.pos / graph.image_size.max()
    graph.x = torch.cat([graph.x, graph.std, graph.maximum, graph.minimum, place], dim=1)
    length = graph.edge_boundary_length / graph.edge_boundary_length.mean()
    graph.edge_attr = torch.stack([graph.edge_boundary_gradient, length], dim=1)
    return graph


def accuracy(model: GAT, loader: DataLoader) -> float:
    """The share of the superpixels whose class is right."""
    model.eval()
    with torch.no_grad():
        hits = [predict(model, b).argmax(dim=-1) == b.y for b in loader]
    return torch.cat(hits).float().mean().item()


def predict(model: GAT, graph: Data) -> torch.Tensor:
    """The logits of the nodes, ``(N, classes)``."""
    return model(graph.x, graph.edge_index, edge_attr=graph.edge_attr)


def train(dataset: Dataset, test: Dataset, epochs: int) -> GAT:
    torch.manual_seed(0)
    classes = dataset.num_classes
    model = GAT(dataset.num_features, 64, 3, classes, v2=True, heads=4, edge_dim=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    loader = DataLoader(dataset, batch_size=2, shuffle=True)
    for epoch in range(1, epochs + 1):
        model.train()
        for batch in loader:
            optimizer.zero_grad()
            F.cross_entropy(predict(model, batch), batch.y).backward()
            optimizer.step()
        if epoch % (epochs // 5) == 0:
            print(f"epoch {epoch}: test accuracy {accuracy(model, DataLoader(test)):.2f}")
    return model


def main() -> None:
    names = ("std", "maximum", "minimum", "edge_boundary_gradient", "edge_boundary_length")
    to_graph = ToRAG(n_segments=800, attributes=names)
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            root, images, epochs = sys.argv[1], Path(sys.argv[1]) / "images/test", 5
            options = {
                "to_graph": to_graph,
                "pre_transform": add_features,
                "transform": is_largest_segment,
            }
            dataset = BSDS300(root, "train", **options)
            test = BSDS300(root, "test", **options)
        else:
            root, images, epochs = Path(folder), Path(folder) / "images", 100
            make_photos(root)
            # The graphs are made once: with a folder that stays, the next run finds them there.
            photos = ImageFolderRAG(
                root, images, root / "labels", to_graph=to_graph, pre_transform=add_features
            )
            dataset, test = photos[:-1], photos[-1:]
        print(dataset, test[0], sep="\n")
        model = train(dataset, test, epochs)

        graph = test[0]
        model.eval()
        with torch.no_grad():
            guess = predict(model, graph).argmax(dim=-1)
        image = read_image(next(images.glob(f"{graph.name}.*")))
        panels = {
            "test image": image.transpose(1, 2, 0).squeeze() / 255,
            "truth of its superpixels": overlay_labels(image, to_label_image(graph.y, graph)),
            "prediction": overlay_labels(image, to_label_image(guess, graph)),
        }
        save_figure(PICTURE, panel_grid(panels))
        print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
