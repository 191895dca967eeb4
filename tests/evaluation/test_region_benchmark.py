from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from sp_graph_seg.datasets import read_truth
from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import (
    benchmark_regions,
    contingency_tables,
    score_regions,
    score_settings,
    ucm2_labels,
)

REAL = Path(__file__).parents[2].parent / "shared/data/bsds_bench"
NAMES = ("2018", "3063", "5096", "6046", "8068")
THRESHOLDS = np.arange(1, 6) / 6


def hierarchy(name):
    ucm2 = loadmat(REAL / f"ucm2/{name}.mat")["ucm2"]
    return [ucm2_labels(ucm2, threshold) for threshold in THRESHOLDS]


def stored(name):
    return list(loadmat(REAL / f"segs/{name}.mat")["segs"][0])


@pytest.mark.skipif(not REAL.is_dir(), reason="the sample data is not here")
@pytest.mark.parametrize(("read", "folder"), [(hierarchy, "test_1"), (stored, "test_5")])
def test_official_figures(read, folder):
    """The benchmark kit's own results; it rounds its intermediate files to 6 digits."""

    def official(file):
        return np.loadtxt(REAL / folder / file)

    images = [score_settings(read(n), read_truth(REAL / f"groundTruth/{n}.mat")) for n in NAMES]
    result = benchmark_regions(images)
    close = {"rtol": 0, "atol": 5e-6}
    np.testing.assert_allclose(
        [result.covering_ods, result.covering_ois, result.covering_best],
        official("eval_cover.txt")[1:],
        **close,
    )
    np.testing.assert_allclose(
        [result.pri_ods, result.pri_ois, result.vi_ods, result.vi_ois],
        official("eval_RI_VOI.txt")[[1, 2, 4, 5]],
        **close,
    )
    np.testing.assert_allclose(result.covering, official("eval_cover_th.txt")[:, 1], **close)
    by_setting = np.stack([result.pri, result.vi], axis=1)
    np.testing.assert_allclose(by_setting, official("eval_RI_VOI_thr.txt")[:, 1:], **close)
    by_image = [image.covered.max() / image.annotated for image in images]
    # The column after this one covers the labels by the truth, which no figure is made of.
    np.testing.assert_allclose(by_image, official("eval_cover_img.txt")[:, 2], **close)


def test_one_setting_of_one_image_gives_its_region_scores(label_map):
    labels, truths = label_map((20, 30), 5), [label_map((20, 30), 4, seed=s) for s in (1, 2)]
    result = benchmark_regions([score_settings([labels], truths)])
    expected = score_regions(contingency_tables(labels, truths))
    for name in ("pri_ods", "pri_ois", "vi_ods", "vi_ois"):
        assert getattr(result, name) == pytest.approx(expected[name.partition("_")[0]])
    for name in ("covering_ods", "covering_ois", "covering_best"):
        assert getattr(result, name) == pytest.approx(expected["covering"])


def test_ods_ois_and_best_by_hand():
    """Image 1 is right at setting 0, image 2 at setting 1; image 2 has two annotators."""
    right, wrong = np.array([[0, 0, 1, 1]]), np.zeros((1, 4), int)
    one = score_settings([right, wrong], [right])
    two = score_settings([wrong, right], [right, right])
    result = benchmark_regions([one, two])
    # A constant label covers each half by 1/2 and is right on 2 of 6 pairs; VI is 1 bit.
    np.testing.assert_allclose(result.covering, [(4 + 4) / 12, (2 + 8) / 12])
    np.testing.assert_allclose(result.pri, [2 / 3, 2 / 3])
    np.testing.assert_allclose(result.vi, [0.5, 0.5])
    assert result.covering_ods == pytest.approx(10 / 12)
    assert (result.covering_ois, result.pri_ois, result.vi_ois) == pytest.approx((1, 1, 0))


def test_best_takes_each_region_at_its_own_setting():
    truth = np.array([[0, 0, 1, 1]])
    left, right = np.array([[0, 0, 1, 2]]), np.array([[0, 1, 2, 2]])
    result = benchmark_regions([score_settings([left, right], [truth])])
    assert result.covering_ois == pytest.approx(0.75)
    assert result.covering_best == 1.0


def test_ucm2_labels():
    ucm2 = np.zeros((5, 7))  # 2 x 3 pixels
    ucm2[:, 2] = 0.4
    ucm2[:, 4] = 0.8
    np.testing.assert_array_equal(ucm2_labels(ucm2, 0.2), [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(ucm2_labels(ucm2, 0.4), [[0, 0, 1]] * 2)
    np.testing.assert_array_equal(ucm2_labels(ucm2, 0.9), [[0, 0, 0]] * 2)


def test_what_cannot_be_scored_is_named():
    labels = np.zeros((2, 3), int)
    with pytest.raises(InputError, match=r"ucm2: the shape \(4, 7\) is not"):
        ucm2_labels(np.zeros((4, 7)), 0.5)
    with pytest.raises(InputError, match=r"threshold=-1: a pixel of ucm2"):
        ucm2_labels(np.zeros((5, 7)), -1)
    with pytest.raises(InputError, match="segmentations: the list is empty"):
        score_settings([], [labels])
    with pytest.raises(InputError, match=r"segmentations\[1\]: some pixels are unlabelled"):
        score_settings([labels, np.array([[0, 0, -1]] * 2)], [labels])
    with pytest.raises(InputError, match="images: is empty"):
        benchmark_regions([])
    images = [score_settings([labels] * count, [labels]) for count in (1, 2)]
    with pytest.raises(InputError, match="images: were scored at different numbers of settings"):
        benchmark_regions(images)
