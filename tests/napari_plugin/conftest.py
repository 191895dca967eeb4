"""A tiny scan on the disk, and a session that has trained on it."""

import numpy as np
import pytest
import tifffile

from sp_graph_seg.napari_plugin.sample import make_scan
from sp_graph_seg.napari_plugin.scan import Scan
from sp_graph_seg.napari_plugin.session import Session, Settings
from sp_graph_seg.volumes import open_volume

SETTINGS = Settings(num_labels=4, epochs=1)


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory):
    """A TIFF of 6 slices of 48 x 40 pixels with a voxel size."""
    file = tmp_path_factory.mktemp("scan") / "scan.tif"
    about = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(
        file, make_scan((6, 48, 40)), imagej=True, resolution=(1 / 1.5, 1 / 1.5), metadata=about
    )
    return file


@pytest.fixture(scope="session")
def scan(scan_file):
    return Scan.of_volume(open_volume(scan_file))


@pytest.fixture(scope="session")
def settings():
    return SETTINGS


@pytest.fixture(scope="session")
def _trained(scan):
    session, steps = Session(), []
    found = session.train(scan, [3], SETTINGS, steps.append)
    return session, steps, found


@pytest.fixture
def trained(_trained):
    """A session, the steps of its training, and the labels at its end."""
    from sp_graph_seg.napari_plugin.relabel_editor import RelabelEditor

    session, steps, found = _trained
    session.editor = RelabelEditor(session.segmenter.colors_)
    for shown in found.values():
        shown.editor = session.editor
    return session, steps, found


@pytest.fixture
def ignore():
    """A report that nobody reads."""
    return lambda *_: None


@pytest.fixture(scope="session")
def read():
    """Reads the labels of a volume that were written."""
    return lambda output: np.concatenate(list(open_volume(str(output))))
