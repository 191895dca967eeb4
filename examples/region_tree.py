"""A photograph, its levels, cuts of its tree, and its labels on a second photograph.

    python examples/region_tree.py [PHOTO SECOND]

By default the two are the views of a stereo camera that scikit-image ships.
"""

import sys

import numpy as np
from skimage.data import stereo_motorcycle
from skimage.segmentation import find_boundaries, mark_boundaries

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.io import read_image
from sp_graph_seg.plot import overlay_labels, panel_grid, save_figure
from sp_graph_seg.regions import build_region_tree
from sp_graph_seg.transforms import ToMultiscale, level_images


def main() -> None:
    if len(sys.argv) > 2:
        first, second = (read_image(path) for path in sys.argv[1:3])
    else:
        first, second = (np.moveaxis(view, -1, 0) for view in stereo_motorcycle()[:2])
        first, second = first.astype(np.float32), second.astype(np.float32)
    values = first / 255  # (C, H, W) in [0, 1]

    graph = ToMultiscale()(values)
    tree = build_region_tree(values)  # no training
    cuts = {threshold: tree.cut(threshold=threshold) for threshold in (0.3, 0.5, 0.7)}
    segmenter = Segmenter(Config.preset("photo")).fit(first)

    def outline(regions: np.ndarray) -> np.ndarray:
        return mark_boundaries(values.transpose(1, 2, 0), regions, color=(1, 1, 1))

    levels = level_images(graph)
    edges = np.mean([find_boundaries(level) for level in levels], axis=0)
    panels = {
        "photograph": values.transpose(1, 2, 0),
        f"edges of {len(levels)} levels, {graph['cell'].num_nodes} cells": 1 - edges,
        "contours of the tree": 1 - tree.contours(),
    }
    for threshold, regions in cuts.items():
        panels[f"threshold {threshold}: {regions.max() + 1} regions"] = outline(regions)
    regions = tree.cut()
    panels[f"its own number: {regions.max() + 1} regions"] = outline(regions)
    panels[f"its {segmenter.num_labels_} labels"] = overlay_labels(first, segmenter.predict(first))
    panels["these labels on a second photograph"] = overlay_labels(
        second, segmenter.predict(second)
    )
    save_figure("region_tree.png", panel_grid(panels))
    print("wrote region_tree.png")


if __name__ == "__main__":
    main()
