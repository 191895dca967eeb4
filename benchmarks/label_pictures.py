"""Draws the pictures of the docs' page on labels: rims, stripes, air and rare phases.

    python benchmarks/label_pictures.py --output FOLDER

Each picture shows a slice of a phantom, its labels without the remedy, and those with it.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phantoms import SIDE, Image, Labels, rare, shaded
from PIL import Image as Picture
from scipy.ndimage import gaussian_filter

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.baselines import MultiOtsu
from sp_graph_seg.io.colors import label_colors
from sp_graph_seg.transforms.prepare import measure_intensity_range, normalize
from sp_graph_seg.volumes.air import find_air

SEED = 100
SHOWN = np.s_[80:240, 80:240]
ENLARGED = 2

#: Pixels without a label.
_GROUND = "#404040"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for the PNGs")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    three = rare(SEED).images[:2]
    found = trained(three[0], 3)
    whole = found.predict(three[1])
    draw(folder / "fault_rims.png", three[1], labels_with_rims(found, three[1]), whole)
    few = trained(three[0], 2).predict(three[1])
    draw(folder / "fault_rare.png", three[1], few, whole)

    rings = shaded(SEED).images[:2]
    draw(
        folder / "fault_stripes.png",
        rings[1],
        otsu(rings[0], rings[1]),
        trained(rings[0], 2).predict(rings[1]),
        np.s_[:, :],
    )

    core = [cylinder(seed) for seed in (SEED, SEED + 1)]
    air = find_air(core)
    assert air is not None, "the drawing shows air"
    masks = [air.sample(image) for image in core]
    alone = Segmenter(preset(2)).fit(core[0], masks=masks[0]).predict(core[1], mask=masks[1])
    draw(
        folder / "fault_air.png", core[1], trained(core[0], 2).predict(core[1]), alone, np.s_[:, :]
    )


def preset(num_labels: int) -> Config:
    return Config.preset("tomogram").replace(num_labels=num_labels)


def trained(image: Image, num_labels: int) -> Segmenter:
    return Segmenter(preset(num_labels)).fit(image)


def labels_with_rims(model: Segmenter, image: Image) -> Labels:
    """The nearest prototype of each pixel, as it is before rims are removed."""
    features = model.labeller_.describe(model.normalize(image).values)
    points = features.reshape(len(features), -1).T
    return model.labeller_.prototypes.nearest(points)[0].reshape(features.shape[1:])


def otsu(train: Image, image: Image) -> Labels:
    limits = measure_intensity_range([train])
    return MultiOtsu(2).fit(normalize(train, *limits)).predict(normalize(image, *limits))


def cylinder(seed: int) -> Image:
    """A sample of two phases in air."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    field = gaussian_filter(random.standard_normal((SIDE, SIDE)), 6)
    image = np.where(field > np.quantile(field, 0.6), 0.75, 0.6)
    image[np.hypot(rows, columns) > 0.45 * SIDE] = 0.1
    image = gaussian_filter(image, 0.8) + random.normal(0, 0.04, image.shape)
    return image.astype(np.float32)[None]


def draw(path: Path, image: Image, before: Labels, after: Labels, part: tuple = SHOWN) -> None:
    """Writes the slice and its labels, before and after, side by side."""
    low, high = np.quantile(image, (0.01, 0.99))
    grey = (np.clip((image[0][part] - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    shown = [np.dstack([grey] * 3), colored(before[part]), colored(after[part])]
    large = grey.shape[0] > SIDE // 2
    panels = [
        np.kron(panel, np.ones((1 if large else ENLARGED,) * 2 + (1,), np.uint8)) for panel in shown
    ]
    gap = np.full((panels[0].shape[0], 8, 3), 255, np.uint8)
    Picture.fromarray(np.hstack([panels[0], gap, panels[1], gap, panels[2]])).quantize(
        128, dither=Picture.Dither.NONE
    ).save(path, optimize=True)


def colored(labels: Labels) -> NDArray[np.uint8]:
    """Colours labels as in previews; -1 is dark grey."""
    colors = {**label_colors(range(int(labels.max()) + 1)), -1: _GROUND}
    table = np.array([[int(colors[n][i : i + 2], 16) for i in (1, 3, 5)] for n in sorted(colors)])
    return table[labels + 1].astype(np.uint8)


if __name__ == "__main__":
    main()
