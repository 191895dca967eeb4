"""Grey values of labels, and mergers proposed from them."""

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.labels.greys import Grey, GreyCounter
from sp_graph_seg.labels.relabel import propose_merges


def test_the_statistics_are_those_of_all_slices_at_once():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 5, (6, 20, 30))
    labels[labels == 3] = 4
    image = rng.normal(1e6, 3, labels.shape) + 100 * labels  # large values, small deviations
    image[0, :5] = np.nan
    counter = GreyCounter()
    for number in np.argsort([3, 0, 5, 1, 4, 2]):
        counter.add(labels[number], image[number])
    greys = counter.greys()
    assert sorted(greys) == [0, 1, 2, 4]
    for label, grey in greys.items():
        values = image[(labels == label) & np.isfinite(image)]
        assert grey.size == values.size
        found = (grey.mean, grey.std, grey.low, grey.high)
        expected = (values.mean(), values.std(), values.min(), values.max())
        assert found == pytest.approx(expected, rel=1e-9)


def test_channels_are_averaged():
    counter = GreyCounter()
    counter.add(np.zeros((1, 1), int), np.array([[[1.0]], [[3.0]]]))
    assert counter.greys() == {0: Grey(1, 2.0, 0.0, 2.0, 2.0)}


def grey(size, mean, std=1.0):
    return Grey(size, mean, std, mean - std, mean + std)


def test_labels_that_are_alike_are_merged_into_the_largest():
    greys = {0: grey(5, 10.0), 1: grey(9, 10.4), 2: grey(5, 50.0), 7: grey(100, 51.5)}
    assert propose_merges(greys) == {1: [0]}
    assert propose_merges(greys, 2) == {1: [0], 7: [2]}
    assert propose_merges(greys, 4) == {}
    assert propose_merges(greys, 1) == {7: [0, 1, 2]}


def test_a_small_label_is_merged_before_two_large_ones():
    greys = {0: grey(1000, 0.0), 1: grey(1000, 20.0), 2: grey(2, 60.0)}
    assert propose_merges(greys, 2) == {1: [2]}


def test_the_order_is_that_of_ward():
    from scipy.cluster.hierarchy import fcluster, linkage

    means = np.random.default_rng(1).uniform(0, 100, 9)
    greys = {label: grey(10, mean) for label, mean in enumerate(means)}
    for count in range(1, 9):
        groups = fcluster(linkage(means[:, None], "ward"), count, "maxclust")
        kept = {label: label for label in greys}
        for target, others in propose_merges(greys, count).items():
            kept |= dict.fromkeys(others, target)
        same = np.equal.outer([*kept.values()], [*kept.values()])
        np.testing.assert_array_equal(same, np.equal.outer(groups, groups))


def test_more_labels_than_there_are():
    with pytest.raises(InputError, match="3 is not between 1 and 1, the number of labels"):
        propose_merges({0: grey(1, 0)}, 3)
