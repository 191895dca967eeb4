"""The search for good loss weights. It needs no truths, as in section 2.4 of the paper."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from sp_graph_seg.config import Config
from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation.unsupervised import unsupervised_score
from sp_graph_seg.segmenter import Segmenter
from sp_graph_seg.transforms import ToRAG
from sp_graph_seg.transforms.prepare import (
    Image,
    as_image_list,
    check_image,
    measure_intensity_range,
    normalize,
)
from sp_graph_seg.volumes.intensity import find_numbers

#: The first step of the paper: powers of ten.
COARSE = (0.1, 1.0, 10.0)

#: The second step: factors to the neighbours of the best, on a logarithmic scale.
FINE = (10**-0.5, 10**0.5)


@dataclass(frozen=True)
class Candidate:
    """One choice of the weights of the losses, with the labels and scores that it gives."""

    stage: str
    """``cut``, ``sim = con`` or ``fine``."""
    config: Config
    labels: list[NDArray[np.int64]]
    """The labels ``(H, W)`` of each image, of the first seed."""
    num_labels: int
    losses: dict[str, float]
    """The last value of each loss, before weighting."""
    score: float
    """The mean :func:`~sp_graph_seg.evaluation.unsupervised_score` over seeds and images."""
    scores: tuple[float, ...] = ()
    """The mean of the same score over the images, for each seed."""

    @property
    def betas(self) -> tuple[float, float]:
        """The weights beta_cut and beta_sim. The weight beta_con equals beta_sim."""
        return self.config.beta_cut, self.config.beta_sim

    def describe(self) -> str:
        """Describes the weights, the number of labels, the score and the losses in three lines."""
        cut, sim = self.betas
        low, high = min(self.scores, default=0.0), max(self.scores, default=0.0)
        spread = f" ({low:.3f} to {high:.3f})" if len(self.scores) > 1 else ""
        losses = " ".join(f"{name} {value:.2g}" for name, value in self.losses.items())
        return (
            f"beta cut {cut:.3g}, sim = con {sim:.3g}\n"
            f"{self.num_labels} labels, score {self.score:.3f}{spread}\n{losses}"
        )


def tune(
    images: Image | Sequence[Image],
    config: Config,
    on_candidate: Callable[[Candidate], None] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Candidate]:
    """Tries nine choices of the weights of the losses, in the order of the paper (section 2.4).

    1. beta_cut is 0.1, 1 and 10. The weights beta_sim and beta_con are 0.
    2. beta_sim and beta_con are both 0.1, both 1 and both 10. The weight beta_cut is 0.
    3. The better of the series 1 and 2 is continued with 0.32 times and 3.2 times its best value.
    4. The best beta_cut of series 1 is combined with the best beta_sim and beta_con of series 2.

    Each choice is a candidate. :func:`recommend` selects the candidate with the best score, which
    needs no truth. A person may choose another candidate.

    Args:
        images: One image ``(C, H, W)``, or a sequence of images. Each model is trained on all
            images.
        config: All other settings.
        on_candidate: Function that is called with each candidate when it is finished.
        seeds: Each candidate is trained once with each of these seeds. Its labels and losses are
            from the first seed. (default: the seed of the configuration)

    Returns:
        The nine candidates, in the order in which they were tried.

    Raises:
        InputError: If an image cannot be used, has NaN, or has another number of channels than the
            first image.
    """
    arrays = as_image_list(images)
    for number, array in enumerate(arrays):
        check_image(array, f"images[{number}]", arrays[0].shape[0], config)
        if find_numbers(array) is not None:
            raise InputError(
                f"images[{number}]: has NaN, which tune does not support; crop the image, or "
                "replace NaN by numbers."
            )
    graphs = _make_graphs(arrays, config)
    candidates: list[Candidate] = []

    def attempt(stage: str, cut: float, sim: float) -> None:
        tried = config.replace(beta_cut=cut, beta_sim=sim, beta_con=sim)
        candidates.append(_attempt(stage, arrays, graphs, tried, seeds or [config.seed]))
        if on_candidate is not None:
            on_candidate(candidates[-1])

    for stage, cut, sim in coarse_settings():
        attempt(stage, cut, sim)
    for stage, cut, sim in fine_settings(candidates):
        attempt(stage, cut, sim)
    return candidates


#: Number of candidates that :func:`tune` tries.
NUM_CANDIDATES = 2 * len(COARSE) + len(FINE) + 1


def coarse_settings() -> Iterator[tuple[str, float, float]]:
    """Yields a name and two weights, beta_cut and beta_sim, for each of the first six candidates.

    The name is ``cut`` for the three candidates that vary beta_cut, and ``sim = con`` for the three
    candidates that vary beta_sim. The weight beta_con always equals beta_sim.
    """
    yield from (("cut", beta, 0.0) for beta in COARSE)
    yield from (("sim = con", 0.0, beta) for beta in COARSE)


def fine_settings(coarse: Sequence[Candidate]) -> Iterator[tuple[str, float, float]]:
    """Yields a name and two weights, beta_cut and beta_sim, for each of the last three candidates.

    The name is always ``fine``. The weights are computed from the best candidates in ``coarse``,
    which holds the first six candidates. The weight beta_con always equals beta_sim.
    """
    best_of = {
        stage: max((c for c in coarse if c.stage == stage), key=lambda c: c.score)
        for stage in ("cut", "sim = con")
    }
    cut, sim = best_of["cut"].betas[0], best_of["sim = con"].betas[1]
    is_cut = best_of["cut"].score > best_of["sim = con"].score
    for factor in FINE:
        yield "fine", (cut * factor if is_cut else 0.0), (0.0 if is_cut else sim * factor)
    yield "fine", cut, sim


def recommend(candidates: Sequence[Candidate]) -> int:
    """Returns the index of the candidate with the best score."""
    return int(np.argmax([candidate.score for candidate in candidates]))


def _make_graphs(images: Sequence[NDArray[np.float32]], config: Config) -> list[Data]:
    low, high = measure_intensity_range(images)
    to_rag = ToRAG(**config.superpixel_options())
    return [to_rag(normalize(image, low, high)) for image in images]


def _attempt(
    stage: str,
    images: Sequence[NDArray[np.float32]],
    graphs: Sequence[Data],
    config: Config,
    seeds: Sequence[int],
) -> Candidate:
    models = [Segmenter(config.replace(seed=seed)).fit(images) for seed in seeds]
    found = [[model.predict(image) for image in images] for model in models]
    scores = tuple(
        float(np.mean([unsupervised_score(*pair) for pair in zip(labels, graphs, strict=True)]))
        for labels in found
    )
    labels, history = found[0], models[0].history_
    assert history is not None, "a model that was just trained has a history"
    num_labels = len(np.unique(np.concatenate([own.ravel() for own in labels])))
    score = float(np.mean(scores))
    losses = history.last_losses()
    return Candidate(stage, config, labels, num_labels, losses, score, scores)
