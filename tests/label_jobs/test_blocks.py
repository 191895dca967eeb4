import numpy as np
import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.label_jobs.blocks import read_block_file, read_skipped, write_block_file

LABELS = np.random.default_rng(0).integers(0, 9, (3, 17, 19)).astype(np.uint16)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "block_000002.npz"
    write_block_file(path, "ours", 6, LABELS, {7: "bad é"})
    return path


def read(path, fingerprint="ours", start=6, shape=LABELS.shape, dtype=np.uint16):
    return read_block_file(path, fingerprint, start, shape, np.dtype(dtype))


def test_a_block_comes_back(path):
    labels, skipped = read(path)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, LABELS)
    assert skipped == read_skipped(path, "ours", 6) == {7: "bad é"}
    assert list(path.parent.iterdir()) == [path]
    with np.load(path) as archive:  # for people who look inside
        np.testing.assert_array_equal(archive["labels"], LABELS)


def test_a_block_of_something_else_does_not_count(path):
    assert read(path, fingerprint="theirs") is None
    assert read(path, start=3) is None
    assert read(path, shape=(3, 19, 17)) is None
    assert read(path, dtype=np.uint8) is None
    assert read(path.with_name("none.npz")) is None
    assert read_skipped(path, "theirs", 6) is None
    assert read_skipped(path.with_name("none.npz"), "ours", 6) is None


def test_a_changed_byte_is_found_or_changes_nothing(path):
    """The names and dates in a ZIP archive have no checksum, the labels have."""
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    found = 0
    for position in rng.choice(len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        block = read(path)
        found += block is None
        if block is not None:
            np.testing.assert_array_equal(block.labels, LABELS)
            assert block.skipped == {7: "bad é"}
    assert found > 200


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_block_is_found(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert read(path) is None
    assert read_skipped(path, "ours", 6) is None


def test_a_block_that_may_not_be_read_is_not_called_damaged(path):
    target = path.with_name("loop.npz")
    target.symlink_to(target)  # fails to open also for the superuser
    with pytest.raises(InputError, match="cannot be opened"):
        read(target)
