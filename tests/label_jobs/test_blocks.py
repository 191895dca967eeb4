import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs.blocks import block_store
from sp_graph_seg.label_jobs.manifest import Manifest
from sp_graph_seg.label_jobs.outputs import parse_output

LABELS = np.random.default_rng(0).integers(0, 9, (3, 17, 19)).astype(np.uint16)
MANIFEST = Manifest(shape=(12, 17, 19), num_labels=999, block=3, settings={})


@pytest.fixture(params=["a.npy", "a.zarr"])
def output(request, tmp_path):
    output = parse_output(tmp_path / request.param)
    output.partial.mkdir()
    if request.param == "a.zarr":
        output.format.create(output.assembled, MANIFEST)
    return output


@pytest.fixture
def store(output):
    store = block_store(output, "ours", 3, (0, 1, 2))
    store.write(6, LABELS, {7: "bad é"})
    return store


def read(store, start=6, shape=LABELS.shape, dtype=np.uint16):
    return store.read(start, shape, np.dtype(dtype))


def test_a_block_comes_back(store, output):
    labels, skipped = read(store)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, LABELS)
    assert skipped == store.found(6).skipped == {7: "bad é"}
    assert store.found(6).used == tuple(np.unique(LABELS))
    assert store.file(6).name.startswith("block_000002.")
    assert not any(path.name.startswith(".") for path in output.partial.iterdir())


def test_a_block_file_can_be_looked_into(tmp_path):
    store = block_store(parse_output(tmp_path / "a.npy"), "ours", 3, (0, 1, 2))
    store.output.partial.mkdir()
    store.write(0, LABELS, {})
    with np.load(store.file(0)) as archive:
        np.testing.assert_array_equal(archive["labels"], LABELS)


def test_a_block_of_something_else_does_not_count(store, output):
    theirs = block_store(output, "theirs", 3, (0, 1, 2))
    assert read(theirs) is theirs.found(6) is None
    assert read(store, shape=(3, 19, 17)) is None
    assert read(store, dtype=np.uint8) is None
    assert read(store, start=3) is store.found(3) is None
    store.file(6).rename(store.file(3))
    assert read(store, start=3) is store.found(3) is None


def test_a_changed_byte_is_found_or_changes_nothing(store):
    """The names and dates in a ZIP archive have no checksum, labels and reasons have."""
    file = store.file(6)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    tried = rng.choice(len(whole), min(300, len(whole)), replace=False)
    found = 0
    for position in tried:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        block = read(store)
        found += block is None
        if block is not None:
            np.testing.assert_array_equal(block.labels, LABELS)
            assert block.skipped == {7: "bad é"}
    assert found > len(tried) / 2


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.995])
def test_a_cut_block_is_found(store, share):
    whole = store.file(6).read_bytes()
    store.file(6).write_bytes(whole[: int(len(whole) * share)])
    assert read(store) is store.found(6) is None


def test_a_block_that_may_not_be_read_is_not_called_damaged(store):
    store.file(3).symlink_to(store.file(3))  # fails to open also for the superuser
    with pytest.raises(InputError, match="cannot be opened"):
        read(store, start=3)
