"""The stability of labels: against a loop over sets of pixels, and what it must not depend on."""

import numpy as np
import pytest

from sp_graph_seg.errors import TrainingWarning
from sp_graph_seg.prototypes.stability import (
    describe_stability,
    halves,
    label_stability,
    middle,
    warn_of_instability,
)


@pytest.fixture
def labellings():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    others = [np.where(rng.random(300) < share, labels, 5) for share in (0.9, 0.5)]
    return labels, [*others, rng.integers(0, 2, 300)]


def by_sets(labels, others, num_labels):
    """The mean over other labellings of the largest Jaccard index."""
    found = []
    for label in range(num_labels):
        own = set(np.flatnonzero(labels == label))
        best = []
        for other in others:
            sets = [set(np.flatnonzero(other == value)) for value in np.unique(other)]
            best.append(max(len(own & each) / len(own | each) for each in sets))
        found.append(np.mean(best))
    return found


def test_it_is_hennigs(labellings):
    labels, others = labellings
    np.testing.assert_allclose(label_stability(labels, others, 4), by_sets(labels, others, 4))


def test_numbers_of_labels_do_not_matter(labellings):
    labels, others = labellings
    swapped = [np.array([3, 5, 0, 1, 2, 4])[other] for other in others]
    np.testing.assert_allclose(
        label_stability(labels, swapped, 4), label_stability(labels, others, 4)
    )
    assert label_stability(labels, [3 - labels], 4) == (1, 1, 1, 1)


def test_nodes_count_as_their_pixels(labellings):
    labels, others = labellings
    sizes = np.random.default_rng(1).integers(1, 9, 300)
    pixels = [np.repeat(each, sizes) for each in (labels, *others)]
    np.testing.assert_allclose(
        label_stability(labels, others, 4, sizes.astype(float)),
        label_stability(pixels[0], pixels[1:], 4),
    )


def test_a_label_that_does_not_occur_is_not_stable():
    labels = np.array([0, 0, 2])
    assert label_stability(labels, [labels], 3) == (1, 0, 1)


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_halves_cover_an_image_twice(size):
    count = np.zeros(size, int)
    for part in halves(size):
        count[part] += 1
    assert (count == 2).all()


def test_the_middle_of_an_image():
    image = np.arange(10 * 4).reshape(10, 4)
    np.testing.assert_array_equal(image[middle(image.shape, 4)], image[3:7])
    np.testing.assert_array_equal(image[middle(image.shape, 20)], image)


def test_doubtful_labels_are_named():
    assert describe_stability((0.9, 1.0)).startswith("0.95; no label depends")
    assert "; label 1 (0.41) depends on" in describe_stability((0.9, 0.41))
    assert "; labels 0 (0.20), 1 (0.41) and 3 (0.10) depend on" in describe_stability(
        (0.2, 0.41, 0.9, 0.1)
    )
    many = (0.5, 0.1, 0.9, 0.3, 0.2, 0.4, 0.6)
    assert (
        "; labels 1 (0.10), 3 (0.30), 4 (0.20), 5 (0.40) and 2 more depend"
        in describe_stability(many)
    )
    assert describe_stability(()).startswith("not known")


def test_only_low_stability_warns():
    warn_of_instability((0.9, 0.4))
    warn_of_instability(())
    with pytest.warns(
        TrainingWarning, match=r"^labels: their stability is 0\.45; labels 0 \(0\.50\) and .*\.$"
    ):
        warn_of_instability((0.5, 0.4))
