import json

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn
from torch_geometric.nn import GraphConv

import sp_graph_seg
from sp_graph_seg import Config, Segmenter
from sp_graph_seg.errors import InputError
from sp_graph_seg.segmenter import model_file
from sp_graph_seg.segmenter.model_file import read_model, write_model

CONFIG = Config(
    num_features=4,
    width=4,
    depth=2,
    n_segments=60,
    patches=((2, 16, 16),),
    epochs=1,
    minibatches=2,
    learning_rate=1e-2,
    accelerator="cpu",
)


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    return np.kron(rng.random((3, 4, 6)), np.ones((8, 8))) + 0.1 * rng.random((3, 32, 48))


@pytest.fixture(scope="module")
def fitted(image):
    return Segmenter(CONFIG).fit(image)


@pytest.fixture
def path(tmp_path, fitted):
    fitted.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def read_metadata(path):
    with safe_open(str(path), framework="pt") as file:
        return file.metadata()


def rewrite(path, **changes):
    """The same weights with another header; ``None`` removes a key."""
    header = {**read_metadata(path), **changes}
    weights = safetensors.torch.load_file(path)
    header = {key: value for key, value in header.items() if value is not None}
    safetensors.torch.save_file(weights, path, metadata=header)


def rewrite_model(path, **changes):
    """The same weights with other metadata, under a new digest."""
    model = {**json.loads(read_metadata(path)["model"]), **changes}
    model = {key: value for key, value in model.items() if value is not ...}
    write_model(path, safetensors.torch.load_file(path), model)


def load_error(path, **arguments):
    """The message of the error that loading raises, which must name the file."""
    with pytest.raises(InputError) as caught:
        Segmenter.load(path, **arguments)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_loaded_model_predicts_the_same(path, fitted, image):
    loaded = Segmenter.load(path)
    labels = fitted.predict(image)
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(loaded.predict(image), labels)
    np.testing.assert_array_equal(loaded.predict(image[:, :20]), fitted.predict(image[:, :20]))
    assert torch.equal(loaded.transform(image).z, fitted.transform(image).z)
    assert loaded.config == fitted.config
    assert loaded.in_channels_ == 3
    assert loaded.intensity_range_ == fitted.intensity_range_
    assert loaded.history_ is None


def test_a_loaded_model_can_be_saved_again_and_trained_anew(path, tmp_path, fitted, image):
    loaded = Segmenter.load(str(path))
    loaded.save(str(tmp_path / "again.safetensors"))
    again = Segmenter.load(tmp_path / "again.safetensors")
    np.testing.assert_array_equal(again.predict(image), fitted.predict(image))
    refitted = loaded.fit(image)
    assert refitted.history_["loss"] == fitted.history_["loss"]


def test_the_file_is_safetensors_with_a_readable_header(path, fitted):
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
        assert set(file.keys()) == set(fitted.net_.state_dict())
        for name, value in fitted.net_.state_dict().items():
            assert torch.equal(file.get_tensor(name), value)
    assert header["format"] == "sp_graph_seg"
    assert header["version"] == sp_graph_seg.__version__
    model = json.loads(header["model"])
    assert Config.from_dict(model["config"]) == CONFIG
    assert model["in_channels"] == 3
    assert tuple(model["intensity_range"]) == fitted.intensity_range_
    # Eight bytes of length, JSON, and the bytes of the tensors: no room for code.
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8 : 8 + length])
    end = max(entry["data_offsets"][1] for name, entry in tensors.items() if name[:2] != "__")
    assert len(content) == 8 + length + end


def test_weights_and_metadata_read_back(tmp_path):
    weights = {
        "a": torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last),
        "b": torch.arange(6).view(2, 3).t(),
        "c": torch.rand(3, requires_grad=True),
        "d": torch.tensor(5),
    }
    metadata = {"text": "ä\n", "number": 1 / 3, "list": [1, None]}
    write_model(tmp_path / "m.safetensors", weights, metadata)
    model = read_model(tmp_path / "m.safetensors")
    assert model.metadata == metadata
    assert set(model.weights) == set(weights)
    for name, value in weights.items():
        assert torch.equal(model.weights[name], value.detach())


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 0.5, -1])
def test_a_truncated_file(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else kept])
    assert "cannot be read as a model" in load_error(path)


def test_a_missing_file(tmp_path):
    assert "the file does not exist" in load_error(tmp_path / "none.safetensors")


@pytest.mark.parametrize("kind", ["text", "folder", "pickle", "noise"])
def test_what_is_no_safetensors_file(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    if kind == "folder":
        path.mkdir()
    elif kind == "pickle":
        torch.save({"a": torch.zeros(3)}, path)
    else:
        noise = np.random.default_rng(0).bytes(500)
        path.write_bytes(b"epochs: 4\n" * 50 if kind == "text" else noise)
    message = load_error(path)
    assert "cannot be read as a model" in message
    assert "does not exist" not in message


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"model": "{}"}])
def test_another_safetensors_file(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(3)}, path, metadata=metadata)
    assert "is not a model of sp_graph_seg" in load_error(path)


DEEP = "[" * 100_000 + "]" * 100_000


NOTES = '{"notes": 3}'
DAMAGED = [None, "", "{", "[1, 2]", "3", "null", NOTES, DEEP]


@pytest.mark.parametrize("model", DAMAGED, ids=lambda text: str(text)[:9])
def test_a_damaged_header(path, model):
    rewrite(path, model=model)
    assert "header is damaged" in load_error(path)


def changed_config(**changes):
    return {"config": {**CONFIG.to_dict(), **changes}}


def describe(changes):
    """What differs from the right metadata, as the id of a test."""
    config = changes.get("config")
    if not isinstance(config, dict):
        return str(changes)
    return str(dict(item for item in config.items() if item not in CONFIG.to_dict().items()))


@pytest.mark.parametrize(
    "changes",
    [
        changed_config(width=8),
        changed_config(depth=3),
        changed_config(num_features=5),
        changed_config(head="gcn"),
        changed_config(epochs=0),
        changed_config(epochs="many"),
        changed_config(patches=[[1, 2]]),
        changed_config(os_system="true"),
        {"config": None},
        {"config": "fast"},
        {"config": ...},
        {"in_channels": 1},
        {"in_channels": "three"},
        {"in_channels": ...},
        {"in_channels": float("inf")},
        {"seen_labels": [float("inf")]},
        {"seen_labels": 3},
        {"head": [[]]},
        {"head": [1]},
        {"relabel": [1]},
        {"intensity_range": [0.0]},
        {"intensity_range": ["dark", "bright"]},
        {"intensity_range": [1.0, 1.0]},
        {"intensity_range": [float("nan"), 1.0]},
        {"intensity_range": None},
        {"intensity_range": ...},
    ],
    ids=describe,
)
def test_a_tampered_model(path, changes):
    rewrite_model(path, **changes)
    assert "not a model that this version can read" in load_error(path)


def test_a_tampered_weight(path):
    weights = safetensors.torch.load_file(path)
    weights.pop("wnet.encoder.head.bias")
    write_model(path, weights, json.loads(read_metadata(path)["model"]))
    assert "wnet.encoder.head.bias" in load_error(path)


def flip_bit(path, position):
    content = bytearray(path.read_bytes())
    content[position // 8] ^= 1 << position % 8
    path.write_bytes(content)


def test_a_flipped_bit_anywhere_is_noticed(path, fitted):
    """Only the version is free: it is read by people."""
    content = path.read_bytes()
    before = read_metadata(path)
    version = range(*(8 * content.index(b'"version"') + 8 * end for end in (0, 20)))
    rng = np.random.default_rng(0)
    tensors = 8 * (8 + int.from_bytes(content[:8], "little"))
    drawn = [rng.integers(0, tensors, 150), rng.integers(tensors, 8 * len(content), 150)]
    for position in np.concatenate(drawn).tolist():
        if position in version:
            continue
        flip_bit(path, position)
        load_error(path)
        path.write_bytes(content)
    assert read_metadata(path) == before


def test_a_flipped_bit_of_a_weight_is_called_a_change(path):
    flip_bit(path, 8 * (len(path.read_bytes()) - 5) + 6)
    assert "has changed since it was written" in load_error(path)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path, value, monkeypatch):
    path = tmp_path / "model.safetensors"
    weights = {"ids": torch.arange(3), "net.bias": torch.tensor([1.0, value])}
    with pytest.raises(InputError, match=r"model.safetensors: some weights of net.bias are NaN"):
        write_model(path, weights, {})
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patch:
        patch.setattr(model_file, "_check_finite", lambda *_: None)
        write_model(path, weights, {})
    assert "some weights of net.bias are NaN or Inf" in load_error(path)


def fail_halfway(tensors, filename, metadata=None):
    with open(filename, "wb") as file:
        file.write(b"half")
    raise RuntimeError("interrupted")


def test_a_failed_save_leaves_the_old_file(path, fitted, image, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(safetensors.torch, "save_file", fail_halfway)
    with pytest.raises(RuntimeError, match="interrupted"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    np.testing.assert_array_equal(Segmenter.load(path).predict(image), fitted.predict(image))


def test_a_save_to_nowhere_names_the_path(fitted, tmp_path):
    path = tmp_path / "none" / "model.safetensors"
    with pytest.raises(InputError, match="cannot be written") as caught:
        fitted.save(path)
    assert str(path) in str(caught.value)


def test_a_save_replaces(path, image):
    other = Segmenter(CONFIG.replace(seed=1)).fit(image[:1])
    other.save(path)
    loaded = Segmenter.load(path)
    assert loaded.config.seed == 1
    assert loaded.in_channels_ == 1
    np.testing.assert_array_equal(loaded.predict(image[:1]), other.predict(image[:1]))


def test_a_head_of_the_user_is_given_again(tmp_path, image):
    path = tmp_path / "model.safetensors"
    segmenter = Segmenter(CONFIG, head=GraphConv(4, 6)).fit(image)
    segmenter.save(path)
    loaded = Segmenter.load(path, head=GraphConv(4, 6))
    assert torch.equal(loaded.transform(image).z, segmenter.transform(image).z)
    assert loaded.transform(image).z.size(1) == 6
    assert "GraphConv" in load_error(path)
    assert "saved GraphConv, given Linear" in load_error(path, head=nn.Linear(4, 6))
    assert "out_channels of GraphConv: saved 6, given 5" in load_error(path, head=GraphConv(4, 5))
    assert "aggr of GraphConv: saved add, given mean" in load_error(
        path, head=GraphConv(4, 6, aggr="mean")
    )


def test_a_head_of_the_configuration_needs_nothing(path, tmp_path, image):
    config = CONFIG.replace(head="gcn")
    segmenter = Segmenter(config).fit(image)
    segmenter.save(tmp_path / "gcn.safetensors")
    loaded = Segmenter.load(tmp_path / "gcn.safetensors")
    assert torch.equal(loaded.transform(image).z, segmenter.transform(image).z)
    assert "saved no head, given GraphConv" in load_error(path, head=GraphConv(4, 6))


def test_a_model_without_notes_and_post_processing(path, image, fitted):
    assert read_model(path).notes == {}
    rewrite_model(path, notes=..., relabel=...)
    assert read_model(path).notes == {}
    loaded = Segmenter.load(path)
    assert loaded.relabel_ is None
    np.testing.assert_array_equal(loaded.predict(image), fitted.predict(image))


@pytest.mark.parametrize("number", [None, "1", "2", "4"])
def test_a_model_of_another_format(path, number):
    """Those without a number scaled images before they measured their range."""
    rewrite(path, format_number=number)
    message = load_error(path)
    assert message.startswith(f"{path}: has model format {number or 1}, ")
    assert message.endswith("train the model again.")


def test_a_post_processing_that_is_none(path):
    rewrite_model(path, relabel={"smoth": 1})
    assert "did you mean 'smooth'" in load_error(path)


def test_the_digest_is_that_of_the_content(path, fitted, tmp_path):
    fitted.save(tmp_path / "again.safetensors")
    assert read_model(tmp_path / "again.safetensors").digest() == read_model(path).digest()
    fitted.save(tmp_path / "noted.safetensors", notes={"train_on": "3"})
    assert read_model(tmp_path / "noted.safetensors").digest() != read_model(path).digest()
    weights, metadata, _ = read_model(path)
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1
    write_model(tmp_path / "other.safetensors", weights, metadata)
    assert read_model(tmp_path / "other.safetensors").digest() != read_model(path).digest()
