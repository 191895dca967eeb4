import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import (
    CLUSTERING_SCORES,
    SCORE_NAMES,
    combine_annotators,
    contingency_table,
    contingency_tables,
    kim_ious,
    mean_scores,
    score_annotators,
    score_clustering,
    score_in_detail,
    score_regions,
    score_segmentation,
)

WEIGHTS = ("annotated_pixels", "regions_all", "regions_fine", "regions_coarse")


@pytest.fixture
def scene(label_map):
    """Labels, and three annotators of whom the second is nearly right."""
    labels = label_map((24, 32), 5)
    close = np.where(np.arange(32) < 28, labels, 9)
    return labels, [label_map((24, 32), 3, seed=1), close, label_map((24, 32), 8, seed=2)]


def test_every_score_comes_from_its_definition(scene):
    labels, truths = scene
    scores = score_segmentation(labels, truths)
    assert tuple(scores) == (*SCORE_NAMES, *WEIGHTS)
    tables = contingency_tables(labels, truths)
    for name, value in score_regions(tables).items():
        assert scores[name] == value
    for which, ious in kim_ious(labels, truths).items():
        assert scores[f"miou_{which}"] == ious.mean()
        assert scores[f"regions_{which}"] == ious.size
    assert scores["num_labels"] == np.unique(labels).size
    assert scores["annotated_pixels"] == 3 * labels.size
    assert scores["pri"] == pytest.approx(scores["rand"])


def test_scores_of_each_annotator(scene):
    labels, truths = scene
    expected = [score_clustering(contingency_table(labels, truth)) for truth in truths]
    assert score_annotators(labels, truths) == expected
    total, each = score_in_detail(labels, truths, "first")
    assert each == expected
    assert total == score_segmentation(labels, truths, "first")


def test_how_annotators_combine(scene):
    labels, truths = scene
    each = score_annotators(labels, truths)
    assert combine_annotators(each, "first") == each[0]
    assert combine_annotators(each, "best") == each[1]
    for name, value in combine_annotators(each).items():
        assert value == pytest.approx(np.mean([scores[name] for scores in each]))
    by_rule = {how: score_segmentation(labels, truths, how) for how in ("mean", "first", "best")}
    for how, scores in by_rule.items():
        assert {name: scores[name] for name in CLUSTERING_SCORES} == combine_annotators(each, how)
        rest = set(scores) - set(CLUSTERING_SCORES)
        assert all(scores[name] == by_rule["mean"][name] for name in rest)


def test_best_takes_all_scores_from_one_annotator():
    each = [{"v": 0.5, "h": 1.0}, {"v": 0.6, "h": 0.2}]
    assert combine_annotators(each, "best") == {"v": 0.6, "h": 0.2}


def test_a_constant_segmentation_is_valid(scene):
    labels, truths = scene
    scores = score_segmentation(np.zeros_like(labels), truths)
    assert (scores["v"], scores["num_labels"]) == (0.0, 1)


def test_unlabelled_pixels_change_nothing_but_their_number(scene):
    labels, truths = scene
    cut = [np.where(np.arange(32) < 20, side, -1) for side in (labels, *truths)]
    cropped = score_segmentation(labels[:, :20], [truth[:, :20] for truth in truths])
    assert score_segmentation(cut[0], cut[1:]) == pytest.approx(cropped)
    assert score_segmentation(labels, cut[1:])["rand"] == pytest.approx(cropped["rand"])


def test_the_mean_pools_what_its_sources_pool(scene):
    labels, truths = scene
    images = [score_segmentation(labels, truths), score_segmentation(labels, truths[:1])]
    mean = mean_scores(images)
    assert tuple(mean) == SCORE_NAMES
    for name in (*CLUSTERING_SCORES, "pri", "vi", "num_labels"):
        assert mean[name] == pytest.approx(np.mean([image[name] for image in images]))
    ious = [kim_ious(labels, truths), kim_ious(labels, truths[:1])]
    for which in ("all", "fine", "coarse"):
        pooled = np.concatenate([image[which] for image in ious])
        assert mean[f"miou_{which}"] == pytest.approx(pooled.mean())
    weighted = (3 * images[0]["covering"] + images[1]["covering"]) / 4
    assert mean["covering"] == pytest.approx(weighted)


def test_what_cannot_be_combined_is_named(scene):
    labels, truths = scene
    with pytest.raises(InputError, match="combine='worst' is unknown; use one of 'mean', 'first'"):
        score_segmentation(labels, truths, "worst")
    with pytest.raises(InputError, match="annotators: the list is empty"):
        combine_annotators([])
    with pytest.raises(InputError, match="images: the list is empty"):
        mean_scores([])
    with pytest.raises(InputError, match="labels: every pixel is unlabelled"):
        score_segmentation(np.full((2, 2), -1), [np.zeros((2, 2), int)])
