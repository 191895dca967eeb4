"""Fits the weights of the region tree on training photographs of BSDS300 and their annotators.

    python benchmarks/fit_region_tree.py FOLDER

prints what stands in ``sp_graph_seg/regions/altitude.py``. FOLDER is the dataset, in a layout that
:class:`sp_graph_seg.datasets.BSDS300` reads; every fifth training photograph is used, about six
minutes of CPU time in all. Two regions that touch are one observation: the share of the pairs of
their pixels that annotators part is what a logistic regression of the cues is to tell. The
observations are those met while merging, first in the order of a plain rule, then in that of the
weights that these gave.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from sp_graph_seg.datasets.bsds300 import find_bsds300, read_truth
from sp_graph_seg.io import read_image
from sp_graph_seg.regions.altitude import WEIGHTS, describe_regions, pair_cues
from sp_graph_seg.regions.merging import Difference, MergingRegions, merge_greedily
from sp_graph_seg.transforms import ToMultiscale, color_space

Floats = NDArray[np.float64]

#: Of the training photographs, in the order of their names.
EVERY = 5

#: Neighbours that are observed with each merger, drawn at random, besides the one that is merged.
OTHERS = 2


class Observations(NamedTuple):
    """Pairs of regions that touch."""

    cues: Floats
    """``(P, 12)``."""
    parted: Floats
    """``(P,)``, the share of the pairs of their pixels that annotators part, mean over these."""
    weight: Floats
    """``(P,)``, root of Ward's factor: the merging of large regions counts most."""


class Linear(NamedTuple):
    """Log-odds that annotators part two regions."""

    weights: Floats
    bias: float

    def __call__(self, regions: MergingRegions, i: int, others: NDArray[np.int64]) -> Floats:
        """Of a region and some of its neighbours, ``(J,)``."""
        return pair_cues(regions, i, others) @ self.weights + self.bias


def ward_factor(regions: MergingRegions, i: int, others: NDArray[np.int64]) -> Floats:
    """The harmonic share of the image that two regions have, ``(J,)``."""
    one, other = regions.size[i], regions.size[others]
    return one * other / (one + other) / regions.total


def plain_rule(regions: MergingRegions, i: int, others: NDArray[np.int64]) -> Floats:
    """No weights yet: edges and colours, larger regions last."""
    cues = pair_cues(regions, i, others)
    colors = (cues[:, 4:7] ** 2).sum(axis=1)
    return cues[:, 2] * (0.02 + colors) * np.sqrt(ward_factor(regions, i, others))


def truth_shares(leaves: NDArray[np.int64], truth: NDArray[np.int64]) -> Floats:
    """The share of each annotated segment in each leaf; rows for the regions to come are empty."""
    num, segments = int(leaves.max()) + 1, int(truth.max()) + 1
    table = np.bincount((leaves * segments + truth).ravel(), minlength=num * segments)
    shares = table.reshape(num, segments).astype(float)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.concatenate([shares, np.zeros((num - 1, segments))])


def observe(
    image: NDArray, truths: list[NDArray], rule: Difference, rng: np.random.Generator
) -> Observations:
    """The pairs met while the regions of an image merge in the order of a rule."""
    regions, leaves = describe_regions(ToMultiscale()(image), color_space(image, "lab"))
    shares = [truth_shares(leaves, truth) for truth in truths]
    found = []
    for number, (i, j, _) in enumerate(merge_greedily(regions, rule)):
        near = list(regions.edges[i])
        others = rng.choice(near, min(OTHERS, len(near)), replace=False).tolist()
        pairs = np.array(list(dict.fromkeys([j, *others])))
        parted = 1 - np.mean([(p[pairs] * p[i]).sum(axis=1) for p in shares], axis=0)
        weight = np.sqrt(ward_factor(regions, i, pairs))
        found.append(Observations(pair_cues(regions, i, pairs), parted, weight))
        one, other = regions.size[i], regions.size[j]
        for p in shares:
            p[regions.num_leaves + number] = (one * p[i] + other * p[j]) / (one + other)
    return join(found)


def join(parts: list[Observations]) -> Observations:
    """All observations in one."""
    return Observations(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def fit(seen: Observations) -> Linear:
    """Logistic regression with a share as what is to be told: both answers, each as heavy."""
    spread = seen.cues.std(axis=0)
    model = LogisticRegression(C=1.0, max_iter=500).fit(
        np.tile(seen.cues / spread, (2, 1)),
        np.repeat([1, 0], len(seen.parted)),
        sample_weight=np.concatenate([seen.parted, 1 - seen.parted]) * np.tile(seen.weight, 2),
    )
    return Linear(model.coef_[0] / spread, float(model.intercept_[0]))


def read_photographs(folder: str) -> Iterator[tuple[NDArray, list[NDArray]]]:
    """Every fifth training photograph ``(3, H, W)`` in [0, 1] and its annotators' segments."""
    for image, files in list(find_bsds300(folder, "train").values())[::EVERY]:
        truths = [truth for file in files for truth in read_truth(file)]
        yield read_image(image) / np.float32(255), truths


def main() -> None:
    """Fits twice and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of BSDS300")
    folder = parser.parse_args().folder
    rng = np.random.default_rng(0)
    look = partial(observe, rng=rng)
    seen = join([look(*photo, plain_rule) for photo in read_photographs(folder)])
    first = fit(seen)
    again = join([look(*photo, first) for photo in read_photographs(folder)])
    second = fit(join([seen, again]))
    for name, weight in zip(WEIGHTS, second.weights, strict=True):
        print(f'    "{name}": {weight:.8f},')
    print(f"BIAS = {second.bias:.8f}")


if __name__ == "__main__":
    main()
