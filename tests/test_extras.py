"""What is installed by name only, and what whoever lacks it reads."""

import configparser
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sp_graph_seg.config import Config, config_to_yaml
from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import EXTRAS, require
from sp_graph_seg.io import write_overlay_video
from sp_graph_seg.label_jobs.outputs import parse_output
from sp_graph_seg.parallel import map_unordered
from sp_graph_seg.volumes import open_volume

SETUP = Path(__file__).parents[1] / "setup.cfg"
#: Packages whose names differ from the modules in them.
PACKAGE_OF = {"yaml": "pyyaml"}


def names(requirements):
    """``av>=17.0`` on each line -> ``av``."""
    return {line.split(">=")[0] for line in requirements.split("\n") if line}


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(SETUP)
    return parser


def test_the_core_is_small(setup):
    core = names(setup["options"]["install_requires"])
    assert {"torch", "torch-geometric", "numpy"} <= core
    assert len(core) <= 12
    assert not core & {PACKAGE_OF.get(module, module) for module in EXTRAS}


def test_each_optional_package_is_in_its_extra(setup):
    for module, extra in EXTRAS.items():
        assert PACKAGE_OF.get(module, module) in names(setup["options.extras_require"][extra])


def test_the_lowest_versions_are_those_of_setup_cfg(setup):
    lowest = dict(
        line.split("#")[0].strip().split("==")
        for line in (SETUP.parent / "constraints-lowest.txt").read_text().splitlines()
        if "==" in line
    )
    used = ("cli", "cluster", "plot", "video", "volumes")
    lists = [setup["options"]["install_requires"]]
    lists += [setup["options.extras_require"][extra] for extra in used]
    for line in "\n".join(lists).split("\n"):
        name, _, bound = line.partition(">=")
        if bound and name != "torch":
            assert (lowest[name] + ".0").startswith(f"{bound}."), name


@pytest.mark.parametrize("part", ["datasets", "segmenter", "nn", "transforms", "streaming"])
def test_the_core_imports_no_optional_package(part):
    code = f"import sys, sp_graph_seg.{part}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & (EXTRAS.keys() - {"yaml"})  # PyG may import yaml


def import_plot(_):
    sys.modules.pop("sp_graph_seg.plot", None)
    __import__("sp_graph_seg.plot")


def open_file(name):
    def opened(folder):
        (folder / name).write_bytes(b"not read, for who could read it is missing")
        open_volume(folder / name)

    return opened


def open_zarr(folder):
    (folder / "a.zarr").mkdir()
    (folder / "a.zarr" / "zarr.json").touch()
    open_volume(folder / "a.zarr")


USES = {
    "config": ("yaml", lambda _: config_to_yaml(Config())),
    "hdf5": ("h5py", open_file("a.h5")),
    "hdf5-output": ("h5py", lambda folder: parse_output(folder / "a.h5")),
    "plot": ("matplotlib", import_plot),
    "scheduler": ("distributed", lambda _: next(map_unordered(abs, [1], workers=1))),
    "video": ("av", open_file("a.mp4")),
    "video-output": (
        "av",
        lambda folder: write_overlay_video(
            folder / "a.mp4", [np.zeros((4, 4, 3), np.uint8)], fps=1
        ),
    ),
    "zarr": ("zarr", open_zarr),
    "zarr-output": ("zarr", lambda folder: parse_output(folder / "a.zarr")),
}


@pytest.mark.parametrize("use", USES)
def test_what_is_missing_is_named_with_the_command(use, tmp_path, monkeypatch):
    module, call = USES[use]
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(InputError) as caught:
        call(tmp_path)
    message = f"{module}: is not installed; run pip install 'sp_graph_seg[{EXTRAS[module]}]'."
    assert str(caught.value) == message


def test_what_is_installed_is_not_complained_about():
    require("yaml")


def test_the_program_without_its_extra_says_so_in_one_line():
    code = "import sys; sys.modules['cyclopts'] = None; import sp_graph_seg.__main__ as m; "
    run = subprocess.run(
        [sys.executable, "-c", code + "sys.exit(m.main())"], capture_output=True, text=True
    )
    expected = "cyclopts: is not installed; run pip install 'sp_graph_seg[cli]'."
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"sp-graph-seg: error: {expected}\n"


@pytest.mark.parametrize(("chosen", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_wants_otherwise(monkeypatch, chosen, expected):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    code = "import os, sys, sp_graph_seg.__main__ as m; sys.argv[1:] = ['--version']; m.main(); "
    code += "print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == f"False {expected}"
