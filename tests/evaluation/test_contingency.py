import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import contingency_table, contingency_tables

PAIRS = st.tuples(*[arrays(np.int64, (4, 5), elements=st.integers(-1, 6))] * 2)


@given(PAIRS)
def test_counts_equal_a_loop_over_pixels(pair):
    labels, truth = pair
    counts = {}
    for label, region in zip(labels.flat, truth.flat, strict=True):
        if label >= 0 and region >= 0:
            counts[region, label] = counts.get((region, label), 0) + 1
    if not counts:
        with pytest.raises(InputError, match="no pixel has a label of 0 or more in both"):
            contingency_table(labels, truth)
        return
    table = contingency_table(labels, truth)
    rows, columns = (sorted({key[side] for key in counts}) for side in (0, 1))
    expected = [[counts.get((row, column), 0) for column in columns] for row in rows]
    np.testing.assert_array_equal(table.table.toarray(), expected)
    np.testing.assert_array_equal(table.region_sizes, np.sum(expected, axis=1))
    np.testing.assert_array_equal(table.label_sizes, np.sum(expected, axis=0))
    assert table.num_pixels == np.sum(expected)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.uint64])
def test_any_integers_will_do(dtype):
    labels = np.array([0, 1, 1, 0], dtype=dtype)
    table = contingency_table(labels, labels).table
    np.testing.assert_array_equal(table.toarray(), [[2, 0], [0, 2]])


def test_large_label_numbers_take_no_large_table():
    labels = np.array([3, 2**40, 2**40])
    np.testing.assert_array_equal(
        contingency_table(labels, [0, 0, 1]).table.toarray(), [[1, 1], [0, 1]]
    )


@pytest.mark.parametrize(
    ("labels", "truths", "reason"),
    [
        (np.zeros((2, 3), int), [np.zeros((2, 3), int), np.zeros((3, 2), int)], None),
        (np.zeros((2, 3)), [np.zeros((2, 3), int)], "labels: the type of the values is float64"),
        (
            np.zeros((2, 3), int),
            [np.zeros((2, 3))],
            r"truths\[0\]: the type of the values is float64",
        ),
        (np.zeros((2, 3), int), [], "truths: the list is empty"),
        (np.zeros((2, 3), int), np.zeros((2, 3), int), "truths: a single array"),
        (np.full((2, 3), -1), [np.zeros((2, 3), int)], "labels: every pixel is unlabelled"),
        (np.zeros((2, 3), int), [np.full((2, 3), -1)], r"truths\[0\]: no pixel is labelled"),
    ],
    ids=["size", "float labels", "float truth", "no truth", "one array", "unlabelled", "no truth"],
)
def test_what_cannot_be_counted_is_named(labels, truths, reason):
    reason = reason or r"truths\[1\]: the size is 3x2, but"
    with pytest.raises(InputError, match=reason):
        contingency_tables(labels, truths)
