import dataclasses

import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.evaluation import score_annotators, score_segmentation
from sp_graph_seg.experiments import (
    Method,
    best_labels,
    run_experiment,
    score_curves,
    typical_annotator,
)
from sp_graph_seg.experiments.photos import Photo


@pytest.fixture
def methods(quick, monkeypatch):
    """A baseline and a model; both label by a threshold on red and leave a loss."""

    def label(self, image, superpixels, setting, seed):
        labels = np.int64(image[0] > setting / 6 + seed / 100)
        return labels + (image[2] > 0.3) * (self.name == "model"), {"rec": setting}

    monkeypatch.setattr(Method, "label", label)
    return [
        Method(name="base", kind="KMeans-Pixels", settings=(1.0, 4.0), config=quick),
        Method(name="model", kind="Dense-SimCon-Patch", settings=(5.0, 1.0), config=quick),
    ]


def test_the_tables_are_of_all_results(photos, methods, tmp_path):
    experiment = run_experiment(photos, methods, range(2), tmp_path, workers=0)
    assert experiment.failures == {}
    assert len(experiment.job_scores) == 2 * 2 * 2 * 2
    for one in experiment.job_scores:
        labels = one.job.method.label(one.job.photo.read(), None, one.job.setting, one.job.seed)[0]
        assert one.scores == score_segmentation(labels, one.job.photo.read_truth())
        assert one.losses == {"rec": one.job.setting}
    assert [(row.method, row.num_candidates) for row in experiment.oracle] == [
        ("base", 4),
        ("model", 4),
    ]
    assert [(row.method, row.setting) for row in experiment.settings] == [
        ("base", 1.0),
        ("base", 4.0),
        ("model", 5.0),
        ("model", 1.0),
    ]
    assert all(row in experiment.settings for row in experiment.fixed)
    for oracle, fixed in zip(experiment.oracle, experiment.fixed, strict=True):
        assert oracle.scores["v"] >= fixed.scores["v"]
        assert set(fixed.spread) == set(fixed.scores)


def test_more_seeds_are_added_to_what_is_there(photos, methods, tmp_path, monkeypatch):
    run_experiment(photos, methods, [0], tmp_path, workers=0)
    label, seeds = Method.label, []

    def count(self, image, superpixels, setting, seed):
        seeds.append(seed)
        return label(self, image, superpixels, setting, seed)

    monkeypatch.setattr(Method, "label", count)
    experiment = run_experiment(photos, methods, range(2), tmp_path, workers=0)
    assert seeds == [1] * 8
    assert len(experiment.job_scores) == 16


def test_the_folder_holds_in_any_working_directory(photos, methods, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = run_experiment(photos, methods, [0], tmp_path.relative_to(tmp_path), workers=0)
    assert {one.job.folder for one in experiment.job_scores} == {tmp_path}


@pytest.mark.parametrize("combine", ["first", "best"])
def test_annotators_are_combined_as_asked_without_new_work(photos, methods, tmp_path, combine):
    before = run_experiment(photos, methods, [0], tmp_path, workers=0)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    experiment = run_experiment(photos, methods, [0], tmp_path, combine, workers=0)
    assert files == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    assert experiment.job_scores != before.job_scores
    for one in experiment.job_scores:
        photo = one.job.photo
        labels = one.job.method.label(photo.read(), None, one.job.setting, one.job.seed)[0]
        assert one.scores == score_segmentation(labels, photo.read_truth(), combine)


def test_jobs_that_failed_are_left_out(photos, methods, tmp_path, monkeypatch):
    label = Method.label

    def fail(self, image, superpixels, setting, seed):
        if setting == 4.0:
            raise ValueError("no clusters")
        return label(self, image, superpixels, setting, seed)

    monkeypatch.setattr(Method, "label", fail)
    experiment = run_experiment(photos, methods, [0], tmp_path, workers=0)
    assert [(job.photo.name, job.setting) for job in experiment.failures] == [
        ("10", 4.0),
        ("7", 4.0),
    ]
    assert len(experiment.job_scores) == 6
    with pytest.raises(InputError, match=r"no job succeeded; first error: no clusters"):
        run_experiment(
            photos,
            [dataclasses.replace(methods[0], settings=(4.0,))],
            [0],
            tmp_path,
            workers=0,
        )


def test_what_makes_no_table_is_refused(photos, methods, tmp_path):
    twice = [methods[0], dataclasses.replace(methods[1], name="base")]
    with pytest.raises(InputError, match="types: the list base, base repeats a name"):
        run_experiment(photos, twice, [0], tmp_path, workers=0)
    with pytest.raises(InputError, match="no jobs; give a photo"):
        run_experiment(photos, methods, [], tmp_path, workers=0)


def test_the_labels_shown_are_those_that_the_oracle_takes(photos, methods, tmp_path):
    experiment = run_experiment(photos, methods, range(2), tmp_path, workers=0)
    for photo in photos:
        best = best_labels(experiment, photo)
        assert list(best) == ["base", "model"]
        for name, labels in best.items():
            own = score_segmentation(labels, photo.read_truth())["v"]
            assert own == max(
                one.scores["v"]
                for one in experiment.job_scores
                if (one.job.method.name, one.job.photo) == (name, photo)
            )


def test_curves_are_means_over_images_for_each_seed(photos, methods, tmp_path):
    experiment = run_experiment(photos, methods, range(2), tmp_path, workers=0)
    curves = score_curves(experiment)
    assert list(curves) == ["model"]
    assert list(curves["model"]) == [1.0, 5.0]
    rows = {row.setting: row for row in experiment.settings if row.method == "model"}
    for setting, values in curves["model"].items():
        assert len(values) == 2
        assert np.mean(values) == pytest.approx(rows[setting].scores["ami"])
        assert np.std(values, ddof=1) == pytest.approx(rows[setting].spread["ami"])
    pri = score_curves(experiment, "pri")["model"][1.0]
    assert np.mean(pri) == pytest.approx(rows[1.0].scores["pri"])


def test_the_typical_annotator_agrees_best_with_the_others(photos, monkeypatch):
    halves = np.repeat([[0, 1]], 8, axis=0).repeat(4, axis=1)
    nearly = halves.copy()
    nearly[0, :4] = 1
    other = halves.T.copy()
    monkeypatch.setattr(Photo, "read_truth", lambda self: [other, nearly, halves])
    agreement = [
        sum(scores["v"] for scores in score_annotators(one, [other, nearly, halves]))
        for one in (other, nearly, halves)
    ]
    assert agreement[0] < min(agreement[1:])
    chosen = typical_annotator(photos[0])
    assert np.array_equal(chosen, [other, nearly, halves][int(np.argmax(agreement))])
