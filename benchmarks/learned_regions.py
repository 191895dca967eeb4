"""What learned features add to regions, and losses on every level to learned features.

    python benchmarks/learned_regions.py FOLDER [--images 1:200:17] [--json FILE]

On training photographs of BSDS300. A network is trained on each one alone, without labels, in
three ways: as the preset ``fast`` does; with the similarity and continuity losses also on the
superpixels of all levels of ``ToMultiscale``, as a long-range term; and with a warm start, for half
of the steps taught eight Ward clusters of colour. Its features z then take the place of CIELAB, or
stand beside it, in the links of SAS (12 regions) and in the labels of regions of the region tree.
A-MI is the mean over annotators. Differences to CIELAB are paired by image, with their standard
errors. About half a minute of CPU time an image.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sp_graph_seg import Config, Segmenter, continuity_loss, scatter_mean, similarity_loss
from sp_graph_seg.evaluation import combine_annotators, score_annotators
from sp_graph_seg.experiments import find_photos
from sp_graph_seg.prototypes.ward import ward_clusters
from sp_graph_seg.regions import build_region_tree, transfer_cut_regions
from sp_graph_seg.training.losses import LOSSES, ForwardPass
from sp_graph_seg.transforms import (
    ToMultiscale,
    as_image,
    color_space,
    level_images,
    softmax_adjacency,
)
from sp_graph_seg.transforms.prepare import scale_down, scale_to
from sp_graph_seg.transforms.touching import region_means, region_sizes

Floats = NDArray[np.float64]

CONFIG = Config(max_size=240, n_segments=1000)
NUM_REGIONS = 12
NUM_LABELS = 10
WARM_LABELS = 8

LAB = "CIELAB"
TRAININGS = ("fast", "losses on every level", "warm start")


class LevelLosses:
    """The similarity and continuity losses of the superpixels of all levels of one image."""

    def __init__(self, image: Tensor) -> None:
        graph = ToMultiscale()(image)
        edges = graph["superpixel", "touches", "superpixel"]
        self.levels = torch.from_numpy(level_images(graph).reshape(-1))  # (M * H * W,)
        self.num_nodes = graph["superpixel"].num_nodes
        self.edge_index = edges.edge_index
        self.weight = softmax_adjacency(edges.edge_attr[:, 0], self.edge_index, self.num_nodes)

    def features(self, step: ForwardPass) -> Tensor:
        """Mean features of the superpixels, ``(S, F)``."""
        pixels = step.z.flatten(1)
        copies = len(self.levels) // pixels.size(1)
        return scatter_mean(pixels.repeat(1, copies), self.levels, self.num_nodes)

    def similarity(self, step: ForwardPass) -> Tensor:
        """Added to that of the nodes."""
        return LOSSES["sim"].compute(step) + similarity_loss(self.features(step))

    def continuity(self, step: ForwardPass) -> Tensor:
        """Added to that of the nodes."""
        own = continuity_loss(self.features(step), self.edge_index, self.weight)
        return LOSSES["con"].compute(step) + own


class WarmStart:
    """A similarity loss that first teaches Ward clusters of colour."""

    def __init__(self) -> None:
        self.left = CONFIG.epochs * CONFIG.minibatches // 2
        self.labels: Tensor | None = None

    def similarity(self, step: ForwardPass) -> Tensor:
        """Of the clusters for half of the steps, then as usual."""
        if self.left <= 0:
            return LOSSES["sim"].compute(step)
        self.left -= 1
        if self.labels is None:
            subject = step.subject
            colors = scatter_mean(subject.image.flatten(1), subject.pixel_index, subject.num_nodes)
            sizes = torch.bincount(subject.pixel_index).double().numpy()
            clusters = ward_clusters(colors.double().numpy(), sizes, WARM_LABELS)
            self.labels = torch.from_numpy(clusters)
        return similarity_loss(step.features, self.labels)


@contextmanager
def changed_losses(kind: str, image: NDArray[np.float32]) -> Iterator[None]:
    """Trains with other losses inside of the block."""
    usual = dict(LOSSES)
    changes = {}
    if kind == "losses on every level":
        levels = LevelLosses(scale_down(image, CONFIG.max_size))
        changes = {"sim": levels.similarity, "con": levels.continuity}
    elif kind == "warm start":
        changes = {"sim": WarmStart().similarity}
    # The changed ones call the usual ones, which are looked up in a copy.
    copies = {
        name: dataclasses.replace(usual[name], compute=make) for name, make in changes.items()
    }
    try:
        _swap(copies, usual)
        yield
    finally:
        LOSSES.update(usual)


def _swap(copies: dict, usual: dict) -> None:
    """The loop reads :data:`LOSSES`; a changed loss must not call itself."""
    for name, loss in copies.items():
        changed, original = loss.compute, usual[name]

        def compute(step: ForwardPass, name=name, changed=changed, original=original) -> Tensor:
            LOSSES[name], own = original, LOSSES[name]
            try:
                return changed(step)
            finally:
                LOSSES[name] = own

        LOSSES[name] = dataclasses.replace(loss, compute=compute)


def train(image: NDArray[np.float32], kind: str) -> Segmenter:
    """A network of this image alone."""
    with changed_losses(kind, image):
        return Segmenter(CONFIG).fit(image, intensity_range=(0.0, 1.0))


def encode(segmenter: Segmenter, image: NDArray[np.float32], spread: float) -> Floats:
    """Features z ``(H, W, F)`` without their mean, with this standard deviation in all."""
    with torch.no_grad():
        z = segmenter.paper_net.encode(scale_down(image, CONFIG.max_size))
    values = scale_to(z, image.shape[1:]).numpy().transpose(1, 2, 0).astype(np.float64)
    values = values - values.mean(axis=(0, 1))
    return values * spread / np.sqrt((values**2).sum(axis=-1).mean())


def measure(
    image: NDArray[np.float32], truths: list[NDArray[np.int64]], trainings: list[str]
) -> dict[str, float]:
    """A-MI of everything, and seconds of CPU time of each training."""
    graph, lab = ToMultiscale()(image), color_space(image, "lab")
    regions = build_region_tree(image).cut()
    spread = float(np.sqrt(lab.reshape(-1, 3).var(axis=0).sum()))
    found = {}

    def score(name: str, labels: NDArray[np.int64]) -> None:
        found[name] = combine_annotators(score_annotators(labels, truths))["ami"]

    def score_both(name: str, values: Floats) -> None:
        score(f"links of SAS: {name}", transfer_cut_regions(graph, values, NUM_REGIONS))
        means, sizes = region_means(values, regions), region_sizes(regions).astype(float)
        score(f"labels of regions: {name}", ward_clusters(means, sizes, NUM_LABELS)[regions])

    score_both(LAB, lab)
    for kind in trainings:
        start = time.process_time()
        segmenter = train(image, kind)
        found[f"seconds: {kind}"] = time.process_time() - start
        score(f"labels of the network: {kind}", segmenter.predict(image))
        z = encode(segmenter, image, spread)
        score_both(f"z, {kind}", z)
        score_both(f"{LAB} and z, {kind}", np.concatenate([lab, z], axis=-1) / np.sqrt(2))
    return found


def print_table(images: list[dict[str, float]]) -> None:
    """In Markdown; the reference of each row is CIELAB, or the usual training."""
    print("| | A-MI | difference |\n|---|---|---|")
    for name in images[0]:
        what, _, kind = name.partition(": ")
        reference = f"{what}: {TRAININGS[0] if f'{what}: {LAB}' not in images[0] else LAB}"
        values = [image[name] for image in images]
        gain = [image[name] - image[reference] for image in images]
        error = np.std(gain, ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
        shown = "" if name == reference else f"{np.mean(gain):+.3f} ± {error:.3f}"
        print(f"| {what}: {kind} | {np.mean(values):.3f} | {shown} |")


def main() -> None:
    """Trains, scores and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of BSDS300")
    parser.add_argument("--images", nargs="*", default=["1:200:17"], help="of the training split")
    parser.add_argument("--trainings", nargs="*", default=TRAININGS, choices=TRAININGS)
    parser.add_argument("--json", type=Path, help="scores of each image, kept and gone on with")
    given = parser.parse_args()
    known: dict[str, dict[str, float]] = {}
    if given.json and given.json.exists():
        known = json.loads(given.json.read_text(encoding="utf-8"))
    photos = find_photos(given.folder, "train", given.images)
    for photo in photos:
        if photo.name not in known:
            image, truths = as_image(photo.read()), photo.read_truth()
            known[photo.name] = measure(image, truths, given.trainings)
            if given.json:
                given.json.write_text(json.dumps(known) + "\n", encoding="utf-8")
    print(f"{len(photos)} training images\n")
    print_table([known[photo.name] for photo in photos])


if __name__ == "__main__":
    main()
