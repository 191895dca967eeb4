import numpy as np
import pytest

from sp_graph_seg import Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs import parse_output
from sp_graph_seg.label_jobs.finished import read_finished
from sp_graph_seg.labels.relabel import read_relabel
from sp_graph_seg.napari_plugin import session as module
from sp_graph_seg.napari_plugin.layers import KEY
from sp_graph_seg.napari_plugin.reader import open_labels_layer
from sp_graph_seg.napari_plugin.scan import Scan
from sp_graph_seg.napari_plugin.session import Session, Settings, write_merged
from sp_graph_seg.segmenter.model_file import read_model
from sp_graph_seg.streaming import label_volume


class StopError(Exception):
    pass


def stop_after(count):
    """A report that ends the work, and what was reported before."""
    seen = []

    def report(*values):
        seen.append(values)
        if len(seen) == count:
            raise StopError

    return report, seen


def test_a_training_tells_of_its_steps_and_labels(trained, scan):
    session, steps, found = trained
    assert [step.row["step"] for step in steps] == list(range(1, steps[0].total + 1))
    assert all(np.isfinite(step.row["loss"]) for step in steps)
    labels = session.segmenter.predict(scan.read(3))
    np.testing.assert_array_equal(found[3].before[0], labels)
    assert found[3].before.dtype == np.uint8
    assert found[3].used == [0, 1, 2, 3]
    assert session.editor.colors() == session.segmenter.colors_
    assert (session.record["trained_on"], session.record["command"]) == (
        [3],
        "napari --with sp_graph_seg Segment",
    )


def test_it_is_the_training_of_the_segmenter(trained, scan):
    session = trained[0]
    config = session.segmenter.config_
    assert (config.label_by, config.num_labels, config.epochs) == ("phases", 4, 1)
    alone = Segmenter(config).fit([scan.read(3)], intensity_range=scan.intensity_range())
    assert alone.history_["loss"] == session.segmenter.history_["loss"]


def test_labels_come_while_it_trains(scan, settings, monkeypatch):
    monkeypatch.setattr(module, "_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(module, "_PARTS", 1)
    steps = []
    Session().train(scan, [1, 4], settings, steps.append)
    assert all(sorted(step.shown) == [1, 4] for step in steps)
    assert all(shown.before.shape == (1, 48, 40) for shown in steps[0].shown.values())


def test_a_stopped_training_leaves_the_model(trained, scan, settings):
    session = trained[0]
    before = (session.segmenter, session.editor)
    report, seen = stop_after(2)
    with pytest.raises(StopError):
        session.train(scan, [0], settings, report)
    assert len(seen) == 2
    assert (session.segmenter, session.editor) == before


@pytest.mark.parametrize(
    ("settings", "label_by", "num_labels"),
    [(Settings(preset="fast", epochs=1), "argmax", 0), (Settings(num_labels=3), "regions", 3)],
)
def test_settings_choose_the_preset(settings, label_by, num_labels, ignore):
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    session = Session()
    found = session.train(Scan.of_array(photo, "photo", rgb=True), [0], settings, ignore)
    config = session.segmenter.config_
    assert (config.label_by, config.num_labels) == (label_by, num_labels)
    assert found[0].before.shape == (1, 64, 64)
    assert session.record["inputs"] == []


def test_slices_that_do_not_exist_are_refused(scan, settings, ignore):
    with pytest.raises(InputError, match=r"^slice 6: does not exist; give numbers from 0 to 5\.$"):
        Session().train(scan, [0, 6], settings, ignore)


def test_without_a_model_there_is_nothing_to_do(scan, tmp_path, ignore):
    for call in (
        lambda: Session().preview(scan, 0),
        lambda: Session().save(tmp_path),
        lambda: Session().label(scan, tmp_path, "zarr", ignore),
    ):
        with pytest.raises(InputError, match=r"^model: no model is trained or loaded; train a"):
            call()


def test_a_saved_model_has_its_map(trained, scan, tmp_path):
    session = trained[0]
    session.editor.name(0, "pore")
    session.editor.merge([2, 3])
    file = session.save(tmp_path / "new")
    model = Segmenter.load(file)
    assert model.relabel_ == session.editor.to_relabel() == read_relabel(tmp_path / "new/map.yaml")
    assert 3 not in model.predict(scan.read(2))
    assert (file.with_name("history.csv")).exists()
    other = Session()
    other.load(file)
    assert other.editor.rows() == session.editor.rows()
    assert other.record["trained_on"] == [3]
    preview = other.preview(scan, 2)
    assert set(np.unique(preview.before)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(preview.after()[0], model.predict(scan.read(2)))
    again = other.save(tmp_path / "again")
    assert read_model(again).digest() == read_model(file).digest()
    assert read_model(again).record == read_model(file).record


def test_another_model_is_only_replaced_when_told(trained, scan, settings, tmp_path, ignore):
    session = trained[0]
    file = session.save(tmp_path)
    session.editor.name(1, "matrix")
    session.save(tmp_path)  # the same weights with another map
    assert Segmenter.load(file).names_ == {1: "matrix"}
    other = Session()
    other.train(scan, [0], settings, ignore)
    with pytest.raises(InputError, match=r"model\.safetensors: already holds a different model"):
        other.save(tmp_path)
    other.save(tmp_path, overwrite=True)
    assert read_model(file).record["trained_on"] == [0]


@pytest.fixture
def expected(trained, scan, tmp_path):
    """The labels of the scan by the trained model, and its map, without the session."""
    session = trained[0]
    session.editor.name(0, "pore")
    session.editor.merge([2, 3])
    model = session.save(tmp_path / "alone")
    done = label_volume(model, scan.volume, tmp_path / "alone.npy", workers=0)
    return np.load(done.path)


def test_a_job_is_stopped_and_goes_on(trained, scan, expected, tmp_path, read, monkeypatch):
    session = trained[0]
    monkeypatch.setattr(module, "_BLOCK", 2)
    report, seen = stop_after(3)
    with pytest.raises(StopError):
        session.label(scan, tmp_path / "out", "zarr", report)
    assert seen == [(0, 6), (2, 6), (4, 6)]
    assert not (tmp_path / "out/scan_labels.zarr").exists()
    reopened, seen = Session(), []
    reopened.load(tmp_path / "out/model.safetensors")  # as after napari was closed
    output = reopened.label(scan, tmp_path / "out", "zarr", lambda *counts: seen.append(counts))
    assert seen == [(4, 6), (6, 6)]
    np.testing.assert_array_equal(read(output)[:, :, :].squeeze(), expected)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names >= {
        "scan_labels.zarr",
        "scan_preview.png",
        "scan_report.html",
        "model.safetensors",
        "map.yaml",
    }
    provenance = read_finished(parse_output(str(output))).provenance
    colors = session.segmenter.colors_
    assert {entry["label"]: entry["color"] for entry in provenance["legend"]} == {
        label: colors[label] for label in (0, 1, 2)
    }
    assert provenance["record"]["command"] == "napari --with sp_graph_seg Segment"
    assert provenance["record"]["model"]["record"]["trained_on"] == [3]


def test_a_layer_in_memory_is_labelled_too(trained, scan, expected, tmp_path, ignore, read):
    session = trained[0]
    array = np.concatenate(list(scan.volume))
    layer = Scan.of_array(array, "layer", spacing=scan.spacing, unit=scan.unit)
    output = session.label(layer, tmp_path / "out", "tif", ignore)
    np.testing.assert_array_equal(read(output), expected)
    _, about, _ = open_labels_layer(str(output))
    assert about["scale"] == pytest.approx((2.0, 1.5, 1.5))
    assert about["features"]["name"] == ["pore", "", ""]


def test_merged_labels_are_written_without_the_network(
    trained, scan, expected, tmp_path, ignore, read, monkeypatch
):
    session = trained[0]
    output = session.label(scan, tmp_path / "out", "zarr", ignore)
    _, about, _ = open_labels_layer(str(output), editor=session.editor)
    shown = about["metadata"][KEY]
    assert shown.used == [0, 1, 2]
    shown.editor.merge([1, 3])  # label 3 has become 2
    monkeypatch.setattr(Segmenter, "predict", None)
    merged = write_merged(shown, tmp_path / "out", "tif", ignore)
    assert merged.given == tmp_path / "out/merged/scan_labels.tif"
    np.testing.assert_array_equal(read(merged), np.where(expected == 2, 1, expected))
    np.testing.assert_array_equal(np.asarray(shown.after()), read(merged))
    _, about, _ = open_labels_layer(str(merged))
    assert about["features"] == {"index": [0, 1], "name": ["pore", ""]}
    assert {n: about["colormap"][n] for n in (0, 1)} == {
        n: session.segmenter.colors_[n] for n in (0, 1)
    }
    assert read_relabel(tmp_path / "out/merged/map.yaml").merge == {1: (2, 3)}
    stored, before = (read_finished(parse_output(str(o))).provenance for o in (merged, output))
    assert stored["geometry"]["part"] == before["geometry"]["part"] == scan.volume.part_read
    record = stored["record"]
    assert record["before"]["inputs"][0]["path"] == str(scan.volume.source.file)


def test_labels_of_a_slice_are_no_volume(trained, tmp_path, ignore):
    _, _, found = trained
    with pytest.raises(InputError, match="a preview of one slice cannot be written; label the"):
        write_merged(found[3], tmp_path, "zarr", ignore)
