"""From one photograph to labels, step by step: ``python examples/segment_photo.py [PHOTO]``."""

import sys
from importlib.util import find_spec
from pathlib import Path

from skimage.segmentation import mark_boundaries

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.io import read_image
from sp_graph_seg.plot import overlay_labels, panel_grid, save_figure
from sp_graph_seg.transforms import to_label_image


def main() -> None:
    (sklearn,) = find_spec("sklearn").submodule_search_locations
    shipped = Path(sklearn) / "datasets/images/flower.jpg"
    photo = Path(sys.argv[1]) if len(sys.argv) > 1 else shipped
    image = read_image(photo)  # (C, H, W), 0 to 255 as in the file

    segmenter = Segmenter(Config(seed=0)).fit(image, progress=True)  # no labels needed
    labels = segmenter.predict(image)  # (H, W)
    graph = segmenter.transform(image)  # the superpixel graph, with learned features z (N, F)
    print(graph)

    means = to_label_image(graph.x[:, 0].argsort().argsort(), graph)  # one number a superpixel
    panels = {
        "image": image.transpose(1, 2, 0).squeeze() / 255,
        f"{graph.num_nodes} superpixels": mark_boundaries(
            image[:3].transpose(1, 2, 0) / 255, means.numpy(), color=(1, 1, 1)
        ),
        f"{len(set(labels.ravel().tolist()))} labels": overlay_labels(image, labels),
    }
    save_figure("segment_photo.png", panel_grid(panels))
    print("wrote segment_photo.png")


if __name__ == "__main__":
    main()
