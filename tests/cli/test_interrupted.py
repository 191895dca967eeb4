"""Commands for images that are interrupted and repeated, and what ends a command early."""

import os
import signal
import sys
import time
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from sp_graph_seg import Segmenter
from sp_graph_seg.cli import outputs as outputs_module
from sp_graph_seg.cli import predict as predict_module
from sp_graph_seg.cli import segment as segment_module
from sp_graph_seg.cli import volumes as volumes_module
from sp_graph_seg.errors import OutputError
from sp_graph_seg.io.record import find_record
from sp_graph_seg.segmenter.model_file import read_model


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def interrupt_at(monkeypatch, owner, name, count):
    """Ctrl-C at a call of a method."""
    original = getattr(owner, name)
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(args)
        if len(calls) == count:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)
    return calls


@pytest.fixture
def photos(tmp_path, save_photo):
    return [save_photo(tmp_path / f"{name}.png", seed=number) for number, name in enumerate("abc")]


@pytest.fixture
def command(photos, tmp_path, photo_flags):
    return ["segment", *photos, "-o", tmp_path / "out", *photo_flags]


def same_results(one, other):
    """All files, but those with dates and times; the order of keys in a model is random."""
    assert one.keys() == other.keys()
    free = ("model.safetensors", "history.csv", "history.png", "report.html", "records.json")
    assert all(one[name] == other[name] for name in one if name not in free)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_images_that_are_labelled_are_not_labelled_again(
    count, command, tmp_path, run, monkeypatch, files_in
):
    whole = [tmp_path / "whole" if part == tmp_path / "out" else part for part in command]
    assert run(*whole) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, Segmenter, "predict", count)
        assert run(*command) == 130
    assert files_in(tmp_path / "out") == {".partial"}
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "fit", lambda *_, **__: pytest.fail("was trained again"))
        calls = interrupt_at(patch, Segmenter, "predict", 100)
        assert run(*command) == 0
    assert len(calls) == 3 - (count - 1)
    same_results(contents(tmp_path / "out"), contents(tmp_path / "whole"))
    models = [read_model(tmp_path / name / "model.safetensors") for name in ("out", "whole")]
    assert models[0].digest() == models[1].digest()


def test_predict_goes_on(photos, results, tmp_path, run, monkeypatch):
    model = results / "out/model.safetensors"
    assert run("predict", model, *photos, "-o", tmp_path / "whole") == 0
    command = ["predict", model, *photos, "-o", tmp_path / "out"]
    with monkeypatch.context() as patch:
        interrupt_at(patch, Segmenter, "predict", 3)
        assert run(*command) == 130
    with monkeypatch.context() as patch:
        calls = interrupt_at(patch, Segmenter, "predict", 100)
        assert run(*command) == 0
    assert len(calls) == 1
    same_results(contents(tmp_path / "out"), contents(tmp_path / "whole"))


@pytest.mark.parametrize("flags", [["--seed", "1"], ["--tau-con", "-3"]], ids=str)
def test_runs_with_other_settings_do_not_mix(
    flags, command, tmp_path, run, refusal, monkeypatch, capsys, files_in
):
    with monkeypatch.context() as patch:
        interrupt_at(patch, Segmenter, "predict", 2)
        assert run(*command) == 130
    capsys.readouterr()
    line = refusal(*command, *flags)
    assert line.startswith(f"{tmp_path}/out/.partial: holds unfinished work of a command with")
    assert run(*command, *flags, "--overwrite") == 0
    alone = [tmp_path / "alone" if part == tmp_path / "out" else part for part in command]
    assert run(*alone, *flags) == 0
    same_results(contents(tmp_path / "out"), contents(tmp_path / "alone"))


def test_old_results_are_whole_until_the_new_ones_are(command, tmp_path, run, monkeypatch):
    assert run(*command) == 0
    before = contents(tmp_path / "out")
    with monkeypatch.context() as patch:
        interrupt_at(patch, Segmenter, "predict", 3)
        assert run(*command, "--seed", "1", "--overwrite") == 130
    (tmp_path / "out/.partial").rename(tmp_path / "aside")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("module", [segment_module, predict_module], ids=["segment", "predict"])
def test_an_image_replaced_while_it_is_labelled_is_noticed(
    module, command, photos, results, tmp_path, refusal, monkeypatch, save_photo, capsys
):
    if module is predict_module:
        command = ["predict", results / "out/model.safetensors", *command[1:6]]
    original = module.write_predictions

    def replaced(*arguments):
        original(*arguments)
        os.replace(save_photo(tmp_path / "new.png", seed=9), photos[1])

    monkeypatch.setattr(module, "write_predictions", replaced)
    message = f"{photos[1]}: was replaced while the command ran; repeat the command."
    assert_last_line(command, capsys, message)
    assert not (tmp_path / "out").exists()


def assert_last_line(command, capsys, expected, code=2):
    """The last line on standard error, after those of the progress."""
    from sp_graph_seg.cli import main

    assert main([str(part) for part in command]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("sp-graph-seg: ")
    assert last.removeprefix("sp-graph-seg: ").removeprefix("error: ").startswith(expected)


@pytest.mark.parametrize("failing", ["write_text", "save_figure"])
def test_a_record_that_fails_is_a_warning_and_the_model_is_there(
    failing, photo, tmp_path, run, monkeypatch, capsys, photo_flags
):
    def fail(path, *_):
        raise OutputError(f"{path}: cannot be written (no space left); free space.")

    owner = outputs_module
    if failing == "save_figure":
        import sp_graph_seg.plot as owner
    monkeypatch.setattr(owner, failing, fail)
    assert run("train", photo, "-o", tmp_path / "m.safetensors", *photo_flags) == 0
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "cannot be written" in line]
    assert len(lines) == (2 if failing == "write_text" else 1)
    assert all(
        line.endswith("(no space left); free space. The model is written.") for line in lines
    )
    assert captured.out.startswith(f"model:   {tmp_path}/m.safetensors")
    assert Segmenter.load(tmp_path / "m.safetensors").in_channels_ == 3
    assert (tmp_path / "m.png").exists() == (failing == "write_text")


def test_without_room_training_does_not_begin(
    photo, tmp_path, refusal, monkeypatch, photo_flags, files_in
):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=40_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    command = ["train", photo, "-o", tmp_path / "m.safetensors", *photo_flags]
    assert "40 kB are free, but" in refusal(*command)
    assert files_in(tmp_path) == {"photo.png"}


def test_a_record_that_a_kill_left_out_is_written_by_the_next_run(tmp_path, run, monkeypatch):
    rng = np.random.default_rng(0)
    stack = np.kron(rng.integers(0, 255, (3, 4, 4)), np.ones((1, 8, 8))).astype(np.uint8)
    tifffile.imwrite(tmp_path / "scan.tif", stack, photometric="minisblack")
    command = ["segment", tmp_path / "scan.tif", "--train-on", "0", "-o", tmp_path / "out/a.npy"]
    command += ["--preset", "fast", "--width", "4", "--depth", "2", "--num-features", "4"]
    command += ["--n-segments", "30", "--epochs", "1", "--minibatches", "1", "--patches", 2, 16, 16]
    interrupt_at(monkeypatch, volumes_module, "add_record", 1)
    assert run(*command) == 130
    assert not (tmp_path / "out/records.json").exists()
    assert run(*command) == 0
    record = find_record(tmp_path / "out/model.safetensors")
    assert record["inputs"][0]["path"] == str(tmp_path / "scan.tif")
    assert record["outputs"][-1] == "model.safetensors"


# Ends of a command


def test_sigterm_ends_as_ctrl_c_does(photo, tmp_path, monkeypatch, capsys, run, files_in):
    before = signal.getsignal(signal.SIGTERM)

    def terminate(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("went on")

    monkeypatch.setattr(Segmenter, "fit", terminate)
    assert run("segment", photo, "-o", tmp_path / "out") == 143
    assert capsys.readouterr() == ("", "sp-graph-seg: terminated\n")
    assert files_in(tmp_path) == {"photo.png"}
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_a_finalizer_is_not_lost(number, code, photo, tmp_path, monkeypatch, run):
    class Finalized:
        def __del__(self):
            signal.raise_signal(number)

    def finalize(*_, **__):
        Finalized()  # Python discards what is raised there
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            pass
        pytest.fail("went on")

    hook = sys.unraisablehook
    monkeypatch.setattr(Segmenter, "fit", finalize)
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in the background
    try:
        assert run("segment", photo, "-o", tmp_path / "out") == code
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert sys.unraisablehook is hook


def test_too_little_memory_names_settings_and_keeps_what_is_done(
    command, photos, tmp_path, run, monkeypatch, capsys
):
    original, calls = Segmenter.predict, []

    def predict(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise MemoryError("Unable to allocate 3.22 GiB")
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "predict", predict)
        assert_last_line(command, capsys, f"{photos[2]}: labels of 48x64 pixels need more")
    assert (tmp_path / "out/.partial/b_labels.png").exists()
    assert run(*command) == 0


def test_torch_without_memory_is_understood(photo, tmp_path, monkeypatch, capsys):
    import torch

    def allocate(*_, **__):
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(Segmenter, "fit", allocate)
    command = ["segment", photo, "-o", tmp_path / "out"]
    assert_last_line(command, capsys, "the memory is too small")


def test_other_errors_of_torch_are_not_hidden(photo, tmp_path, monkeypatch, run):
    def fail(*_, **__):
        raise RuntimeError("a mistake in this package")

    monkeypatch.setattr(Segmenter, "fit", fail)
    with pytest.raises(RuntimeError, match="a mistake"):
        run("segment", photo, "-o", tmp_path / "out")


def test_every_warning_of_the_package_is_shown(monkeypatch, capsys, run):
    from sp_graph_seg import errors
    from sp_graph_seg.cli import terminal

    own = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Warning)
    ]
    assert len(own) > 8
    assert all(issubclass(value, errors.SegmentationWarning) for value in own)

    def warn(_):
        for number, value in enumerate([*own, UserWarning]):
            warnings.warn(f"number {number}", value, stacklevel=1)

    monkeypatch.setattr(terminal, "app", warn)
    assert run("--version") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"sp-graph-seg: warning: number {number}" for number in range(len(own))]


def test_a_photo_of_one_colour_is_told_on_the_command_line(tmp_path, run, capsys):
    Image.fromarray(np.full((40, 48, 3), 90, np.uint8)).save(tmp_path / "a.png")
    assert run("segment", tmp_path / "a.png", "-o", tmp_path / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("images: all data pixels have the same value" in line for line in lines)


def test_a_result_that_is_repeated_with_other_threads_is_told(
    command, tmp_path, run, capsys, monkeypatch
):
    import torch

    assert run(*command) == 0
    assert read_model(tmp_path / "out/model.safetensors").record["threads"] == 1
    capsys.readouterr()
    assert run(*command, "--overwrite") == 0
    assert "threads" not in capsys.readouterr().err
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert run(*command, "--overwrite") == 0
    told = "model.safetensors: the earlier training used 1 threads, but this one uses 2"
    assert told in capsys.readouterr().err
