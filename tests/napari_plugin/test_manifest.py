"""What napari is told, and what is left alone without napari."""

import configparser
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import sp_graph_seg
from sp_graph_seg.errors import InputError
from sp_graph_seg.volumes import VOLUME_SUFFIXES

PACKAGE = Path(sp_graph_seg.__file__).parent
MANIFEST = yaml.safe_load((PACKAGE / "napari_plugin" / "napari.yaml").read_text())
COMMANDS = {entry["id"]: entry["python_name"] for entry in MANIFEST["contributions"]["commands"]}


def test_the_reader_takes_all_that_open_volume_does():
    (reader,) = MANIFEST["contributions"]["readers"]
    assert reader["accepts_directories"]
    expected = {f"*{suffix}" for suffix in (*VOLUME_SUFFIXES, ".tif", ".tiff")}
    assert set(reader["filename_patterns"]) == {*expected, "*/"}


@pytest.mark.parametrize("name", COMMANDS.values())
def test_every_command_exists(name):
    module, _, attribute = name.partition(":")
    if ".qt." in module:
        pytest.importorskip("napari")
    assert callable(getattr(import_module(module), attribute))


def test_every_contribution_has_a_command():
    kinds = ("readers", "sample_data", "widgets")
    used = {entry["command"] for kind in kinds for entry in MANIFEST["contributions"][kind]}
    assert used == COMMANDS.keys()


def test_the_package_tells_napari_where_the_manifest_is():
    parser = configparser.ConfigParser()
    parser.read(PACKAGE.parent / "setup.cfg")
    entry = parser["options.entry_points"]["napari.manifest"].strip()
    name, _, place = entry.partition(" = ")
    module, _, file = place.partition(":")
    assert name == MANIFEST["name"] == parser["metadata"]["name"]
    assert (PACKAGE.parent / module.replace(".", "/") / file).is_file()
    assert parser["options.package_data"][module] == file


def test_without_napari_one_line_says_how_to_get_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sp_graph_seg.napari_plugin.qt")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(InputError) as caught:
        import_module("sp_graph_seg.napari_plugin.qt.widget")
    assert str(caught.value) == "napari: is not installed; run pip install 'sp_graph_seg[napari]'."


@pytest.mark.parametrize("module", ["session", "reader", "sample"])
def test_the_rest_of_the_plugin_needs_neither_napari_nor_qt(module):
    code = f"import sys, sp_graph_seg.napari_plugin.{module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"napari", "qtpy", "PyQt6"} & set(run.stdout.split())


def test_npe2_accepts_the_manifest():
    if find_spec("npe2") is None:
        pytest.skip("npe2 comes with napari")
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(PACKAGE / "napari_plugin" / "napari.yaml")
    assert [reader.command for reader in manifest.contributions.readers] == ["sp_graph_seg.read"]
