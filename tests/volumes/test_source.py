import logging
import threading
import warnings

import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import open_volume, source


def test_a_thread_keeps_four_files_open(stored, monkeypatch):
    names = ["zlib.tif", "tiled.tif", "zlib rgb.tif", "rgb.mkv", "grey.mkv", "hyper.tif"]
    volumes = [open_volume(stored[name][0]) for name in names]
    closed = []
    for volume in volumes:
        reader = source.reader_of(volume.source)
        assert source.reader_of(volume.source) is reader
        monkeypatch.setattr(reader, "close", lambda v=volume: closed.append(v.name))
    for volume in volumes:
        source.reader_of(volume.source)
    assert len(source._OPEN.readers) == source.MAX_OPEN
    assert closed[:2] == ["zlib", "tiled"]


def test_each_thread_has_its_own_reader(stored):
    volume = open_volume(stored["zlib.tif"][0])
    readers = [source.reader_of(volume.source)]
    thread = threading.Thread(target=lambda: readers.append(source.reader_of(volume.source)))
    thread.start()
    thread.join()
    assert len(set(map(id, readers))) == 2


def test_warnings_come_back_whatever_the_order_of_threads():
    """Two that overlap, the first to begin ends first: `warnings.catch_warnings` stays off then."""
    first, second = source.quietly(), source.quietly()
    before = warnings.filters[:]
    first.__enter__()
    second.__enter__()
    warnings.warn("not shown", UserWarning, stacklevel=1)
    first.__exit__(None, None, None)
    warnings.warn("not shown", UserWarning, stacklevel=1)
    second.__exit__(None, None, None)
    assert warnings.filters == before
    assert not logging.getLogger("tifffile").filters
    with pytest.raises(UserWarning, match="shown"):
        warnings.warn("shown", UserWarning, stacklevel=1)


def test_failures_become_one_line():
    line = r"^a\.tif: cannot be read \(two lines\); mend it\.$"
    with pytest.raises(InputError, match=line), source.reading("a.tif", "mend it"):
        raise OSError("two\n  lines")
    with pytest.raises(InputError, match=r"\(KeyError\)|\(''\)"), source.reading("a.tif"):
        raise KeyError("")
    with pytest.raises(InputError, match=r"^as it is$"), source.reading("a.tif"):
        raise InputError("as it is")
