import json

import numpy as np
import pytest

from sp_graph_seg import Config, ToRAG
from sp_graph_seg.baselines import kmeans_pixels
from sp_graph_seg.errors import InputError, OutputError
from sp_graph_seg.evaluation import combine_annotators, score_annotators, score_segmentation
from sp_graph_seg.evaluation.unsupervised import unsupervised_score
from sp_graph_seg.experiments import Method, jobs, make_jobs
from sp_graph_seg.io import read_labels
from sp_graph_seg.labels import split_regions
from sp_graph_seg.transforms import compute_superpixels
from sp_graph_seg.transforms.prepare import measure_intensity_range, normalize

#: A configuration with all fields that there were at first.


@pytest.fixture(autouse=True)
def _forget_what_was_read():
    jobs._read.cache_clear()
    jobs._find_superpixels.cache_clear()


def json_file(job):
    return job.labels_file.with_suffix(".json")


def refuse(*_, **__):
    raise AssertionError("this must not be done")


@pytest.mark.parametrize(
    ("kind", "losses"),
    [
        ("KMeans-Pixels", set()),
        ("KMeans-Superpixels", set()),
        ("Spectral-Superpixels", set()),
        ("Sparse-SimCon-Patch", {"rec", "sim", "con"}),
        ("Sparse-NCut-Image", {"rec", "cut"}),
        ("Dense-SimCon-NoRec", {"sim", "con"}),
    ],
)
def test_the_result_scores_the_labels_beside_it(make_job, kind, losses):
    job = make_job(kind)
    result = job.run()
    assert job.result() == result == json.loads(json_file(job).read_text())
    labels, truths = read_labels(job.labels_file), job.photo.read_truth()
    for name, segments in (("labels", labels), ("regions", split_regions(labels))):
        own = result[name]
        assert own["annotators"] == score_annotators(segments, truths)
        assert combine_annotators(own["annotators"]) | own["scores"] == score_segmentation(
            segments, truths
        )
    assert set(result["losses"]) == losses
    assert result["seconds"] > 0


def test_the_labels_are_those_of_the_method(make_job):
    job = make_job(setting=4.0, seed=5)
    job.run()
    expected = kmeans_pixels(job.photo.read(), 4, seed=5)
    assert np.array_equal(read_labels(job.labels_file), expected)


def test_a_job_that_is_done_is_not_done_again(make_job, monkeypatch):
    result = make_job().run()
    monkeypatch.setattr(Method, "label", refuse)
    monkeypatch.setattr(jobs, "_read", refuse)
    assert make_job().run() == result


def edit(change):
    def damage(job):
        values = json.loads(json_file(job).read_text())
        change(values)
        json_file(job).write_text(json.dumps(values))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda job: json_file(job).unlink(),
        lambda job: json_file(job).write_text(json_file(job).read_text()[:-20]),
        lambda job: json_file(job).write_text(""),
        lambda job: json_file(job).write_text("[1, 2]"),
        lambda job: json_file(job).write_bytes(b"\xff\xfe{}"),
        lambda job: job.labels_file.unlink(),
        edit(lambda values: values.pop("job")),
        edit(lambda values: values.pop("regions")),
        edit(lambda values: values.pop("unsupervised")),
        edit(lambda values: values["job"].update(image="other")),
        edit(lambda values: values["job"]["method"].update(num_labels=9)),
        edit(lambda values: values["job"].update(format=0)),
    ],
)
def test_a_result_that_is_damaged_or_of_another_job_is_redone(make_job, damage):
    job = make_job()
    result, png = job.run(), job.labels_file.read_bytes()
    damage(job)
    assert job.result() is None
    again = job.run()
    assert again | {"seconds": 0} == result | {"seconds": 0}
    assert job.result() == again
    assert job.labels_file.read_bytes() == png


def test_whatever_labels_depend_on_changes_the_names_of_files(make_job, photos):
    kind = "Sparse-SimCon-Patch"
    different = [
        make_job(kind),
        make_job(kind, setting=1.0),
        make_job(kind, seed=1),
        make_job(kind, photo=photos[1]),
        make_job(kind, epochs=2),
        make_job(kind, hessian_scales=(1.0,)),
        make_job("Sparse-SimCon-Image"),
        make_job("KMeans-Superpixels"),
        make_job("KMeans-Superpixels", n_segments=50),
    ]
    assert len({job.labels_file for job in different}) == len(different)


def test_what_they_do_not_depend_on_does_not(make_job):
    assert make_job("KMeans-Superpixels", epochs=9).stem == make_job("KMeans-Superpixels").stem
    kind = "Sparse-SimCon-Patch"  # its beta, and the job's seed, replace these
    assert make_job(kind, beta_sim=9.0, seed=2).stem == make_job(kind, seed=2).stem


def test_superpixels_are_made_once_and_shared_on_disk(make_job, monkeypatch, tmp_path):
    job = make_job("KMeans-Superpixels")
    job.run()
    (file,) = (tmp_path / "out/superpixels").iterdir()
    image = job.photo.read()
    scaled = normalize(image, *measure_intensity_range([image]))
    expected = compute_superpixels(scaled, 40)
    assert np.array_equal(read_labels(file), expected)

    jobs._find_superpixels.cache_clear()  # as in another process
    monkeypatch.setattr(jobs, "compute_superpixels", refuse)
    seen = []

    def label(self, image, superpixels, setting, seed):
        seen.append(superpixels)
        return superpixels, {}

    monkeypatch.setattr(Method, "label", label)
    make_job("Sparse-SimCon-Patch").run()
    make_job("Spectral-Superpixels").run()
    assert np.array_equal(seen, [expected, expected])
    monkeypatch.setattr(jobs, "compute_superpixels", compute_superpixels)
    make_job("KMeans-Superpixels", n_segments=90).run()
    assert not np.array_equal(seen[-1], expected)
    assert len(list((tmp_path / "out/superpixels").iterdir())) == 2


def test_methods_on_pixels_are_given_no_superpixels(make_job, monkeypatch):
    given = []

    def label(self, image, superpixels, setting, seed):
        given.append(superpixels)
        return np.int64(image[0] > 0.4), {}

    monkeypatch.setattr(Method, "label", label)
    for kind in ("KMeans-Pixels", "Dense-NCut-Patch"):
        make_job(kind).run()
    assert given == [None, None]


def test_the_score_without_truth_sees_the_image_as_the_network_does(make_job):
    job = make_job("KMeans-Superpixels", setting=2.0)
    image = job.photo.read()
    scaled = normalize(image, *measure_intensity_range([image]))
    graph = ToRAG(superpixels=compute_superpixels(scaled, 40))(scaled)
    result = job.run()
    labels = read_labels(job.labels_file)
    assert result["unsupervised"] == pytest.approx(unsupervised_score(labels, graph))
    assert 0 < result["unsupervised"] < 1


def test_a_folder_that_cannot_be_written_is_told_before_the_work(make_job, monkeypatch, tmp_path):
    (tmp_path / "out").write_text("a file")
    monkeypatch.setattr(Method, "label", refuse)
    with pytest.raises(OutputError, match=r"out.*cannot be written to"):
        make_job().run()


def test_a_damaged_truth_leaves_no_result(make_job, photos):
    photos[0].truth[1].write_text("no segments")
    with pytest.raises(InputError, match=r"12/10\.seg"):
        make_job().run()
    assert make_job().result() is None


def test_the_jobs_of_an_image_are_next_to_each_other(photos, quick, tmp_path):
    methods = [
        Method(name="two", kind="KMeans-Pixels", settings=(2.0, 3.0), config=quick),
        Method(name="one", kind="Sparse-SimCon-Patch", settings=(1.0,), config=Config()),
    ]
    made = list(make_jobs(photos, methods, [4, 5], tmp_path))
    of_image = [("two", 2.0), ("two", 3.0), ("one", 1.0)]
    assert [(j.seed, j.photo.name, j.method.name, j.setting) for j in made] == [
        (seed, photo, *job) for seed in (4, 5) for photo in ("10", "7") for job in of_image
    ]
