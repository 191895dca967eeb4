"""What the benchmarks of volumes and videos share: methods to compare, scores, merging, records."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report import machine
from torch_geometric.data import Data

from sp_graph_seg import Config, Segmenter, ToRAG
from sp_graph_seg.baselines import MultiOtsu, PixelKMeans, SuperpixelSpectral
from sp_graph_seg.transforms import compute_superpixels
from sp_graph_seg.transforms.prepare import normalize, scale_down, scale_labels

Labels = NDArray[np.int64]
Images = Sequence[NDArray[np.float32]]
Labeler = Callable[[NDArray[np.float32]], Labels]

#: The methods of :class:`Subject` that are baselines.
BASELINES = {
    "kmeans": "K-means on pixels",
    "otsu": "multi-Otsu",
    "spectral": "spectral on superpixels",
}


class Subject:
    """The images that are trained on, and how all images are seen by the baselines.

    The baselines get the same range of intensities as the network, and spectral clustering the same
    superpixels.
    """

    def __init__(self, images: Images, intensity_range: tuple[float, float], config: Config):
        self.images = images
        self.intensity_range = intensity_range
        self.config = config
        self._superpixels: dict[int, tuple[NDArray, Labels]] = {}

    def segmenter(self) -> Segmenter:
        """Our method, trained."""
        return Segmenter(self.config).fit(self.images, intensity_range=self.intensity_range)

    def kmeans(self, num_labels: int) -> Labeler:
        """K-means on the colours of pixels."""
        model = PixelKMeans(num_labels).fit(self._seen())
        return lambda image: model.predict(self._normalize(image))

    def otsu(self, num_labels: int) -> Labeler:
        """Multi-Otsu on grey, the mean of the channels."""

        def as_grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
            return image.mean(axis=0, keepdims=True)

        model = MultiOtsu(num_labels).fit([as_grey(image) for image in self._seen()])
        return lambda image: model.predict(as_grey(self._normalize(image)))

    def spectral(self, num_labels: int) -> Labeler:
        """Spectral clustering on superpixels."""
        maps = [self.superpixels(image) for image in self.images]
        model = SuperpixelSpectral(num_labels).fit(self._seen(), maps)
        return lambda image: model.predict(self._normalize(image), self.superpixels(image))

    def superpixels(self, image: NDArray[np.float32]) -> Labels:
        """Those that the network's labels are painted by, at full resolution; made once."""
        if id(image) not in self._superpixels:
            config, array = self.config, self._normalize(image)
            small = scale_down(array, config.superpixel_size).numpy()
            nodes = compute_superpixels(small, **config.superpixel_options())
            self._superpixels[id(image)] = image, scale_labels(nodes, array.shape[1:])
        return self._superpixels[id(image)][1]

    def graph(self, image: NDArray[np.float32]) -> Data:
        """The region adjacency graph of these superpixels."""
        return ToRAG(superpixels=self.superpixels(image))(self._normalize(image))

    def _seen(self) -> list[NDArray[np.float32]]:
        return [self._normalize(image) for image in self.images]

    def _normalize(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalize(image, *self.intensity_range)


def best_union(labels: Sequence[Labels], masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Which labels together have the greatest IoU with the masks, ``(num_labels,)``.

    The best union is a prefix of the labels in the order of their share inside of the mask: a label
    is worth adding exactly where its pixels inside and outside have a greater ratio than the IoU.
    """
    flat = np.concatenate([array.ravel() for array in labels])
    inside = np.concatenate([mask.ravel() for mask in masks])
    areas = np.bincount(flat)
    hits = np.bincount(flat[inside], minlength=len(areas))
    order = np.argsort(-hits / np.maximum(areas, 1), kind="stable")
    union = inside.sum() + np.cumsum(areas[order] - hits[order])
    count = int((np.cumsum(hits[order]) / union).argmax()) + 1
    return np.isin(np.arange(len(areas)), order[:count])


def binary_iou(segments: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]) -> float:
    """IoU over the pixels of all frames together."""
    one, other = np.stack(segments), np.stack(masks)
    return float((one & other).sum() / (one | other).sum())


def flicker(labels: Sequence[Labels]) -> float:
    """Share of the pixels whose label differs from that of the frame before."""
    return float(np.mean([(a != b).mean() for a, b in pairwise(labels)]))


def update_json(path: Path | None, part: str, rows: Sequence[dict[str, Any]]) -> None:
    """Replaces one part of a report, with the machine that it was measured on."""
    if path is None:
        return
    report = json.loads(path.read_text()) if path.exists() else {}
    report[part] = {"machine": machine(), "rows": list(rows)}
    path.write_text(json.dumps(report, indent=1, default=asdict) + "\n")
