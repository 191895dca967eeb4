"""A volume as a graph of supervoxels, clustered.

    python examples/rag_3d.py [VOLUME.tif | VOLUME.npy]

Without a path, a synthetic volume of blobs under strong noise, whose truth is known. K-means of the
voxels' values finds the noise; K-means of the supervoxels' mean values finds the blobs.
"""

import sys

import numpy as np
import tifffile
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.data import binary_blobs
from skimage.filters import gaussian
from sklearn.cluster import KMeans

from sp_graph_seg import ToRAG
from sp_graph_seg.transforms import to_label_image

PICTURE = "rag_3d.png"


def synthetic_volume(size: int = 64) -> tuple[NDArray, NDArray]:
    """Blobs as an out-of-focus, noisy scan shows them, and the truth; both ``(D, H, W)``."""
    blobs = binary_blobs(size, blob_size_fraction=0.3, n_dim=3, volume_fraction=0.35, rng=0)
    noise = np.random.default_rng(0).normal(scale=0.15, size=blobs.shape)
    return np.clip(0.35 + 0.3 * gaussian(blobs.astype(float), 1) + noise, 0, 1), blobs


def cluster(values: NDArray, num_clusters: int = 2) -> NDArray:
    """K-means; clusters are numbered from the darkest to the brightest."""
    kmeans = KMeans(num_clusters, n_init=4, random_state=0).fit(values[:, None])
    return kmeans.cluster_centers_[:, 0].argsort().argsort()[kmeans.labels_]


def read_volume(path: str) -> NDArray:
    """A grey volume ``(D, H, W)``, its values scaled to [0, 1]."""
    volume = np.load(path) if path.endswith(".npy") else tifffile.imread(path)
    low, high = np.quantile(volume, (0.001, 0.999))
    return np.clip((volume - low) / (high - low), 0, 1)


def main() -> None:
    if len(sys.argv) > 1:
        volume, truth = read_volume(sys.argv[1]), None
    else:
        volume, truth = synthetic_volume()
    # In noise as strong as this SLIC needs a compactness of 50; the watershed does as it is.
    # Supervoxels of about 4 x 4 x 4 voxels.
    to_rag = ToRAG(volume.size // 64, superpixel_method="watershed", attributes=["area"])
    data = to_rag(volume[None])  # (C, D, H, W) -> graph
    print(data)
    print(f"{data.num_nodes} supervoxels of {data.area.mean():.0f} voxels on average")

    nodes = torch.from_numpy(cluster(data.x[:, 0].numpy()))
    results = {
        "voxels, clustered": cluster(volume.ravel()).reshape(volume.shape),
        "supervoxels, clustered": to_label_image(nodes, data).numpy(),
    }
    if truth is not None:
        for name, labels in results.items():
            print(f"{name}: {np.mean(labels == truth):.1%} of the voxels are right")
        results["truth"] = truth

    panels = {"volume": volume, **results}
    figure = Figure(figsize=(2.6 * len(panels), 8), layout="constrained")
    axes = figure.subplots(3, len(panels))
    for column, (name, array) in enumerate(panels.items()):
        axes[0, column].set_title(name)
        for axis, plane in enumerate(("D", "H", "W")):
            middle = array.shape[axis] // 2
            panel = axes[axis, column]
            panel.imshow(array.take(middle, axis=axis), cmap="gray")
            panel.set(xticks=[], yticks=[])
            if column == 0:
                panel.set_ylabel(f"{plane} = {middle}")
    figure.savefig(PICTURE, dpi=120)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
