"""Selections on scores made by hand, whose answers were computed by hand."""

from pathlib import Path

import pytest

from sp_graph_seg import Config
from sp_graph_seg.evaluation import SCORE_NAMES
from sp_graph_seg.experiments import Job, JobScores, Method, Photo
from sp_graph_seg.experiments.protocol import (
    average_setting,
    make_scores,
    select_fixed,
    select_oracle,
    select_unsupervised,
)

WEIGHTS = ("annotated_pixels", "regions_all", "regions_fine", "regions_coarse")


def make(image, setting, seed, v, method="m", free=0.0, **scores):
    row = Method(name=method, kind="KMeans-Pixels", settings=(setting,), config=Config())
    job = Job(Photo(image, Path(image), ()), row, setting, seed, Path("out"))
    values = dict.fromkeys(SCORE_NAMES, 0.0) | dict.fromkeys(WEIGHTS, 1) | {"v": v} | scores
    return JobScores(job, values, free, {}, 1.0)


#: image, setting, seed, V-measure. Setting 2 has the best results of single images, a at seed 0 and
#: b at seed 0; the mean V of setting 1 is higher.
JOB_SCORES = [
    make("a", 2.0, 0, 0.9, ami=0.5),
    make("b", 2.0, 0, 0.7, ami=0.1),
    make("a", 2.0, 1, 0.0, ami=0.9),
    make("b", 2.0, 1, 0.0, ami=0.9),
    make("a", 3.0, 0, 0.4, ami=0.2),
    make("b", 3.0, 0, 0.6, ami=0.4),
    make("a", 3.0, 1, 0.6, ami=0.6),
    make("b", 3.0, 1, 0.6, ami=0.8),
]


def test_the_oracle_takes_the_best_v_of_each_image():
    (row,) = select_oracle(JOB_SCORES)
    assert row.scores["v"] == pytest.approx((0.9 + 0.7) / 2)
    assert row.scores["ami"] == pytest.approx((0.5 + 0.1) / 2)  # of the same results
    assert (row.method, row.selection, row.setting, row.spread) == ("m", "oracle", None, {})
    assert (row.num_images, row.num_candidates) == (2, 4)
    assert select_oracle(JOB_SCORES[::-1]) == [row]


def test_without_truth_the_best_score_that_needs_none_decides():
    job_scores = [
        make("a", 2.0, 0, 0.9, free=0.1),
        make("a", 3.0, 1, 0.2, free=0.6),
        make("b", 2.0, 0, 0.4, free=0.3),
        make("b", 3.0, 1, 0.5, free=0.2),
    ]
    (row,) = select_unsupervised(job_scores)
    assert row.scores["v"] == pytest.approx((0.2 + 0.4) / 2)
    assert (row.selection, row.setting, row.spread) == ("unsupervised", None, {})
    assert (row.num_images, row.num_candidates) == (2, 2)


def test_every_setting_is_averaged_over_images_and_then_over_seeds():
    two, three = average_setting(JOB_SCORES)
    assert (two.setting, three.setting) == (2.0, 3.0)
    assert two.scores["v"] == pytest.approx((0.8 + 0.0) / 2)
    assert three.scores["v"] == pytest.approx((0.5 + 0.6) / 2)
    assert three.scores["ami"] == pytest.approx((0.3 + 0.7) / 2)
    # Of two values the deviation with N - 1 is their distance by the root of 2.
    assert two.spread["v"] == pytest.approx(0.8 / 2**0.5)
    assert three.spread["v"] == pytest.approx(0.1 / 2**0.5)
    assert three.spread["ami"] == pytest.approx(0.4 / 2**0.5)
    assert (three.selection, three.num_images, three.num_candidates) == ("fixed", 2, 1)


def test_one_seed_has_no_deviation():
    (row,) = average_setting([one for one in JOB_SCORES if one.job.seed == 0][:2])
    assert row.spread == {}
    assert row.scores["v"] == pytest.approx(0.8)


def test_fixed_takes_one_setting_for_all_images():
    settings = average_setting(JOB_SCORES)
    assert select_fixed(settings) == [settings[1]]
    assert select_fixed(settings)[0].setting == 3.0


def test_methods_do_not_mix():
    others = [make("a", 2.0, 0, 1.0, "other"), make("c", 2.0, 0, 0.5, "other")]
    own, other = select_oracle([*JOB_SCORES, *others])
    assert [own] == select_oracle(JOB_SCORES)
    assert (other.method, other.scores["v"], other.num_candidates) == ("other", 0.75, 1)
    fixed = select_fixed(average_setting([*JOB_SCORES, *others]))
    assert [(row.method, row.setting) for row in fixed] == [("m", 3.0), ("other", 2.0)]


def test_pooled_scores_weigh_images_by_their_size():
    small = make("a", 2.0, 0, 0.0, covering=1.0, annotated_pixels=100, miou_all=1.0, regions_all=1)
    large = make("b", 2.0, 0, 0.0, covering=0.0, annotated_pixels=300, miou_all=0.0, regions_all=4)
    for rows in (select_oracle([small, large]), average_setting([small, large])):
        assert rows[0].scores["covering"] == pytest.approx(0.25)
        assert rows[0].scores["miou_all"] == pytest.approx(0.2)


@pytest.mark.parametrize(("combine", "ami"), [("mean", 0.4), ("first", 0.6), ("best", 0.2)])
def test_a_record_combines_the_annotators(combine, ami):
    annotators = [{"v": 0.1, "ami": 0.6}, {"v": 0.9, "ami": 0.2}]
    regions = {"annotators": [{"v": 0.0, "ami": 0.0}], "scores": {"pri": 0.1}}
    result = {"labels": {"annotators": annotators, "scores": {"pri": 0.7}}, "regions": regions}
    result |= {"unsupervised": 0.5, "losses": {"rec": 2}, "seconds": 3}
    job = JOB_SCORES[0].job
    one = make_scores(job, result, combine)
    assert one.scores["ami"] == pytest.approx(ami)
    assert one.scores["pri"] == 0.7
    assert one.unsupervised == 0.5
    assert (one.job, one.losses, one.seconds) == (job, {"rec": 2}, 3)
    assert make_scores(job, result, combine, "regions").scores == {"v": 0, "ami": 0, "pri": 0.1}
