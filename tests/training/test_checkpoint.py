"""A training that is interrupted goes on, with the result of one that is not."""

import importlib
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import OutputError, ReportWarning, TrainingWarning
from sp_graph_seg.training import checkpoint as module

SMALL = {"width": 4, "depth": 2, "n_segments": 40, "patches": ((8, 16, 16),), "minibatches": 3}
FAST = Config.preset("fast").replace(**SMALL, num_features=8, epochs=3, learning_rate=5e-3)
CONFIGS = {
    "superpixels": FAST,
    "fixed patches": FAST.replace(redraw_patches=False),
    "gat": FAST.replace(head="gat", num_features=4),
    "min_labels": FAST.replace(min_labels=6),
    "appearance": Config.preset("video").replace(**SMALL, epochs=2),
    "phases": Config.preset("tomogram").replace(**SMALL, num_features=4, epochs=3),
}


class Stop(BaseException):
    pass


class Dropout(nn.Module):
    """A head that draws random numbers."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x, edge_index, edge_weight=None):
        return self.linear(torch.nn.functional.dropout(x, 0.5, self.training))


def image(channels):
    rng = np.random.default_rng(0)
    values = np.kron(rng.random((channels, 4, 5)), np.ones((10, 10)))
    return values + 0.05 * rng.normal(size=values.shape)


def interrupt_after(count, monkeypatch):
    """Stop the training after so many steps in all runs of it."""
    original = module.Checkpoint.keep
    steps = iter(range(1, 10**6))

    def keep(self, history, is_last=False):
        original(self, history, is_last)
        if next(steps) == count:
            raise Stop

    monkeypatch.setattr(module.Checkpoint, "keep", keep)


def weights(segmenter):
    return [value for net in segmenter.networks_ for value in net.state_dict().values()]


def without_time(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def assert_same(one, other):
    assert all(map(torch.equal, weights(one), weights(other)))
    np.testing.assert_equal(without_time(one.history_), without_time(other.history_))
    seconds = one.history_["seconds"]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_interrupted_training_ends_with_the_same_bits(name, tmp_path, monkeypatch):
    config = CONFIGS[name]
    picture = image(1 if name == "phases" else 3)
    expected = Segmenter(config).fit(picture)
    monkeypatch.setattr(module, "_SHARE", 1e9)  # after every step
    for count in (1, 2, 4, 20):
        with monkeypatch.context() as patch:
            interrupt_after(count, patch)
            try:
                Segmenter(config).fit(picture, checkpoint_folder=tmp_path)
            except Stop:
                assert (tmp_path / "training0.pt").exists()
    before = torch.random.get_rng_state()
    resumed = Segmenter(config).fit(picture, checkpoint_folder=tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_same(resumed, expected)


def test_random_layers_go_on_where_they_were(tmp_path, monkeypatch):
    torch.manual_seed(0)
    segmenter = Segmenter(FAST, head=Dropout())
    expected = [value.clone() for value in weights(segmenter.fit(image(3)))]
    monkeypatch.setattr(module, "_SHARE", 1e9)
    with monkeypatch.context() as patch:
        interrupt_after(4, patch)
        with pytest.raises(Stop):
            segmenter.fit(image(3), checkpoint_folder=tmp_path)
    segmenter.fit(image(3), checkpoint_folder=tmp_path)
    assert all(map(torch.equal, weights(segmenter), expected))


def count_steps(monkeypatch):
    """A list that grows with every step that is computed."""
    loop = importlib.import_module("sp_graph_seg.training.fit")
    steps = []
    original = loop.backward_all
    monkeypatch.setattr(loop, "backward_all", lambda *args: steps.append(1) or original(*args))
    return steps


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARE", 1e9)
    with monkeypatch.context() as patch:
        interrupt_after(5, patch)
        with pytest.raises(Stop):
            Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    steps = count_steps(monkeypatch)
    Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    assert len(steps) == 9 - 5
    Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    assert len(steps) == 9 - 5


@pytest.mark.parametrize("change", ["seed", "image", "mask"])
def test_a_checkpoint_of_another_training_is_not_used(change, tmp_path, monkeypatch):
    Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    other = FAST.replace(seed=1) if change == "seed" else FAST
    picture = image(3)[:, ::-1] if change == "image" else image(3)
    mask = np.arange(40)[:, None] < np.full(50, 30) if change == "mask" else None
    steps = count_steps(monkeypatch)
    found = Segmenter(other).fit(picture, masks=mask, checkpoint_folder=tmp_path)
    assert len(steps) == 9
    assert_same(found, Segmenter(other).fit(picture, masks=mask))


@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_a_damaged_checkpoint_is_not_used(damage, tmp_path, monkeypatch):
    expected = Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "flip":
        content[len(content) // 2] ^= 16
    path.write_bytes(b"text" if damage == "text" else content)
    assert_same(Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path), expected)


def test_without_room_nothing_begins(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=40_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    steps = count_steps(monkeypatch)
    with pytest.raises(OutputError, match=r"40 kB are free, but .* are needed; delete other files"):
        Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    assert steps == []
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_cannot_be_written_does_not_stop_the_training(tmp_path, monkeypatch):
    expected = Segmenter(FAST).fit(image(3))

    def fail(path):
        raise OutputError(f"{path}: cannot be written (full); free space.")

    monkeypatch.setattr(module, "durable_write", fail)
    with pytest.warns(ReportWarning, match=r"training0.pt: cannot be written .* Training goes on"):
        found = Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    assert_same(found, expected)
    assert list(tmp_path.iterdir()) == []


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    """By a clock of the test: a step takes 1, writing 10, of which 5 % is each 200th step."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    written = []

    def save(state, content):
        now[0] += 10
        written.append(len(state["state"]["history"]))

    monkeypatch.setattr(module.torch, "save", save)
    net = nn.Linear(2, 2)
    with module.checkpoints(tmp_path):
        kept = module.Checkpoint(net)
    history = kept.restore()
    for step in range(1000):
        now[0] += 1
        history.append({"step": step})
        kept.keep(history)
    assert written == [1, 201, 401, 601, 801]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(before)


def test_going_on_with_other_threads_is_a_warning(tmp_path, two_threads):
    Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)
    two_threads()
    with pytest.warns(TrainingWarning, match=r"used 1 threads, but this one uses 2.*THREADS=1"):
        Segmenter(FAST).fit(image(3), checkpoint_folder=tmp_path)


def test_labels_do_not_depend_on_threads_when_the_model_is_the_same(two_threads):
    """The weights of a training may."""
    for name in ("superpixels", "appearance", "phases"):
        picture = image(1 if name == "phases" else 3)
        torch.set_num_threads(1)
        segmenter = Segmenter(CONFIGS[name]).fit(picture)
        expected = segmenter.predict(picture)
        two_threads()
        np.testing.assert_array_equal(segmenter.predict(picture), expected)


def test_a_checkpoint_of_another_network_is_not_used(tmp_path):
    """The network of another version of the package may have other layers."""
    for net, steps in ((nn.Linear(3, 4), 0), (nn.Linear(3, 5), 0), (nn.Linear(3, 5), 1)):
        with module.checkpoints(tmp_path, "the same"):
            checkpoint = module.Checkpoint(net)
            history = checkpoint.restore()
            assert len(history) == steps
            history.append({"step": steps + 1})
            checkpoint.keep(history, is_last=True)
