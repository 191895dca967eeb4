"""What is tried, in which order, and what is made of it; the networks are tiny."""

import dataclasses

import numpy as np
import pytest
import torch

from sp_graph_seg import Config, Segmenter, ToRAG
from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import unsupervised_score
from sp_graph_seg.experiments.tuning import (
    NUM_CANDIDATES,
    Candidate,
    coarse_settings,
    fine_settings,
    recommend,
    tune,
)

CONFIG = Config(
    width=4,
    depth=2,
    num_features=4,
    n_segments=30,
    epochs=1,
    minibatches=2,
    patches=((2, 16, 16),),
    beta_cut=7.0,
    beta_sim=0.5,
    beta_con=0.25,
    seed=3,
)
BETAS = ("beta_cut", "beta_sim", "beta_con")
COARSE = [(0.1, 0), (1, 0), (10, 0), (0, 0.1), (0, 1), (0, 10)]


def make_image(height, width, seed):
    """A bright square on a dark ground, in 12 bits."""
    rng = np.random.default_rng(seed)
    image = rng.normal(500, 60, (1, height, width))
    image[:, height // 4 : -height // 4, width // 3 :] += 2000
    return image.astype(np.float32)


IMAGES = [make_image(24, 32, 0), make_image(28, 20, 1)]


def scored(stage, cut, sim, score):
    config = CONFIG.replace(beta_cut=cut, beta_sim=sim, beta_con=sim)
    return Candidate(stage, config, [], 2, {}, score)


def with_scores(scores):
    return [scored(*s, score) for s, score in zip(coarse_settings(), scores, strict=True)]


@pytest.fixture(scope="module")
def result():
    """The candidates, and those that were reported one by one."""
    reported = []
    return tune(IMAGES, CONFIG, reported.append), reported


def test_the_coarse_settings_in_the_order_of_the_paper():
    settings = list(coarse_settings())
    assert [setting[1:] for setting in settings] == COARSE
    assert [setting[0] for setting in settings] == ["cut"] * 3 + ["sim = con"] * 3


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        # N-Cut is better: on both sides of its best value, then with the best of the other.
        ([0.1, 0.9, 0.2, 0.3, 0.4, 0.8], [(10**-0.5, 0), (10**0.5, 0), (1, 10)]),
        ([0.9, 0.1, 0.2, 0.8, 0.4, 0.3], [(0.1 * 10**-0.5, 0), (0.1 * 10**0.5, 0), (0.1, 0.1)]),
        # Similarity and continuity are.
        ([0.3, 0.1, 0.5, 0.2, 0.7, 0.6], [(0, 10**-0.5), (0, 10**0.5), (10, 1)]),
        ([0.3, 0.4, 0.2, 0.1, 0.6, 0.7], [(0, 10**0.5), (0, 10**1.5), (1, 10)]),
        # All alike, such as one label everywhere: the first of the second.
        ([0.0] * 6, [(0, 0.1 * 10**-0.5), (0, 0.1 * 10**0.5), (0.1, 0.1)]),
    ],
)
def test_the_fine_settings_lie_around_the_best(scores, expected):
    settings = list(fine_settings(with_scores(scores)))
    assert {setting[0] for setting in settings} == {"fine"}
    np.testing.assert_allclose([setting[1:] for setting in settings], expected)


@pytest.mark.parametrize("best", range(6))
def test_the_highest_score_is_recommended_the_first_of_equals(best):
    scores = [0.1] * 6
    scores[best] = 0.5
    assert recommend(with_scores(scores)) == best
    assert recommend([*with_scores(scores), scored("fine", 1, 1, 0.5)]) == best


def test_nine_candidates_in_order(result):
    candidates, reported = result
    assert len(candidates) == NUM_CANDIDATES == 9
    assert [id(c) for c in reported] == [id(c) for c in candidates]
    assert [c.betas for c in candidates[:6]] == COARSE
    assert [c.stage for c in candidates] == ["cut"] * 3 + ["sim = con"] * 3 + ["fine"] * 3
    fine = [(c.stage, *c.betas) for c in candidates[6:]]
    assert fine == list(fine_settings(candidates[:6]))


def test_nothing_else_of_the_configuration_changes(result):
    for candidate in result[0]:
        config = candidate.config
        assert config.beta_con == config.beta_sim
        own = {beta: getattr(CONFIG, beta) for beta in BETAS}
        assert config.replace(**own) == CONFIG


def test_a_candidate_is_what_its_configuration_gives(result):
    values = np.concatenate([image.ravel() for image in IMAGES])
    low, high = np.quantile(values, (0.001, 0.999))
    scaled = [np.clip((image - low) / (high - low), 0, 1) for image in IMAGES]
    graphs = [ToRAG(30)(image.astype(np.float32)) for image in scaled]
    for candidate in (result[0][1], result[0][8]):
        segmenter = Segmenter(candidate.config).fit(IMAGES)
        labels = [segmenter.predict(image) for image in IMAGES]
        for own, expected in zip(candidate.labels, labels, strict=True):
            np.testing.assert_array_equal(own, expected)
        assert candidate.num_labels == len({int(v) for own in labels for v in own.ravel()})
        scores = [unsupervised_score(*pair) for pair in zip(labels, graphs, strict=True)]
        assert candidate.score == pytest.approx(sum(scores) / 2, abs=1e-4)


def test_losses_are_the_last_of_those_that_were_computed(result):
    cut, sim, both = result[0][0], result[0][3], result[0][8]
    assert set(cut.losses) == {"rec", "cut"}
    assert set(sim.losses) == {"rec", "sim", "con"}
    assert set(both.losses) == {"rec", "cut", "sim", "con"}
    history = Segmenter(both.config).fit(IMAGES).history_
    assert both.losses == pytest.approx({name: history[name][-1] for name in both.losses})


def test_it_is_described_in_three_lines():
    candidate = dataclasses.replace(
        scored("fine", 10**-0.5, 10, 0.45678), num_labels=3, losses={"rec": 0.01234, "cut": 0.5}
    )
    assert candidate.describe().splitlines() == [
        "beta cut 0.316, sim = con 10",
        "3 labels, score 0.457",
        "rec 0.012 cut 0.5",
    ]


def test_twice_the_same(result):
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002, the global state must not matter
    again = tune(IMAGES, CONFIG)
    for one, other in zip(result[0], again, strict=True):
        assert (one.config, one.score, one.losses) == (other.config, other.score, other.losses)
        for labels, expected in zip(one.labels, other.labels, strict=True):
            np.testing.assert_array_equal(labels, expected)


def test_one_image_needs_no_list(monkeypatch):
    given = []

    def fit(self, images):
        given.append([image.shape for image in images])
        raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "fit", fit)
    for images in (IMAGES[0], torch.from_numpy(IMAGES[0]), IMAGES[:1]):
        with pytest.raises(KeyboardInterrupt):
            tune(images, CONFIG)
    assert given == [[(1, 24, 32)]] * 3


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], r"images: the sequence is empty"),
        ([IMAGES[0], np.zeros((3, 24, 32))], r"images\[1\]: has 3 channels instead of 1"),
        ([IMAGES[0], np.full((1, 24, 32), np.nan)], r"images\[1\]: has NaN"),
        ([np.zeros((1, 3, 32))], r"images\[0\]: 3x32 pixels are too few for depth=2"),
        ([IMAGES[0][0]], r"images\[0\]: shape \(24, 32\) must be"),
    ],
)
def test_images_that_cannot_be_used_are_refused_before_the_work(images, reason, monkeypatch):
    monkeypatch.setattr(ToRAG, "forward", lambda *_: pytest.fail("made a graph"))
    monkeypatch.setattr(Segmenter, "fit", lambda *_: pytest.fail("was trained"))
    with pytest.raises(InputError, match=f"^{reason}"):
        tune(images, CONFIG)
