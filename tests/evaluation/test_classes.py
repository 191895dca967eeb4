"""Scores of classes, and tables that are counted slice by slice."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import ContingencyCounter, contingency_table, score_classes


@pytest.fixture
def pair():
    """Labels and truth of five slices, with gaps in their numbers and pixels without a label."""
    rng = np.random.default_rng(0)
    truth = rng.choice([-1, 2, 5, 9], (5, 12, 17), p=[0.1, 0.2, 0.3, 0.4])
    labels = np.where(rng.random(truth.shape) < 0.6, truth, rng.choice([-1, 0, 7], truth.shape))
    return labels, np.where(truth == 9, 300, truth)


def test_a_table_counted_slice_by_slice_is_that_of_all(pair):
    labels, truth = pair
    counter = ContingencyCounter()
    for place in (3, 0, 4, 1, 2):
        counter.add(labels[place].astype(np.int16), truth[place])
    whole = contingency_table(labels, truth).table.toarray()
    np.testing.assert_array_equal(counter.contingency().table.toarray(), whole)
    both = (labels >= 0) & (truth >= 0)
    np.testing.assert_array_equal(counter.regions(), np.unique(truth[both]))
    np.testing.assert_array_equal(counter.labels(), np.unique(labels[both]))


def test_a_table_of_nothing():
    counter = ContingencyCounter()
    counter.add([[-1]], [[0]])
    with pytest.raises(InputError, match="no pixel has a label"):
        counter.contingency()
    with pytest.raises(InputError, match="the size is"):
        counter.add([[0, 1]], [[0]])


def test_the_scores_are_those_of_scikit_learn(pair):
    labels, truth = pair
    both = (labels >= 0) & (truth >= 0)
    found, wanted = labels[both], truth[both]
    names = [np.unique(wanted), np.unique(found)]
    for score in score_classes(contingency_table(labels, truth)):
        ours, theirs = found == names[1][score.column], wanted == names[0][score.row]
        assert score.iou == pytest.approx(jaccard_score(theirs, ours))
        assert score.dice == pytest.approx(f1_score(theirs, ours))
        assert score.precision == pytest.approx(precision_score(theirs, ours))
        assert score.recall == pytest.approx(recall_score(theirs, ours))


def test_the_assignment_is_the_best_of_all():
    rng = np.random.default_rng(1)
    labels, truth = rng.integers(0, 5, 400), rng.integers(0, 4, 400)
    table = contingency_table(labels, truth)
    shared = table.table.toarray()
    iou = shared / (table.region_sizes[:, None] + table.label_sizes - shared)
    best = max(iou[range(4), list(order)].sum() for order in itertools.permutations(range(5), 4))
    scores = score_classes(table)
    assert sum(score.iou for score in scores) == pytest.approx(best)
    assert len({score.column for score in scores}) == 4


def test_a_class_without_a_label_of_its_own():
    first, second = score_classes(contingency_table([3, 3, 3], [0, 0, 1]))
    assert (first.column, first.recall) == (0, 1.0)
    assert second == (1, None, 0.0, 0.0, 0.0, 0.0)
