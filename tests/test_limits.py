"""Limits of what is read."""

import pytest
from PIL import Image

from sp_graph_seg.cli import main
from sp_graph_seg.errors import InputError
from sp_graph_seg.limits import LIMITS, VARIABLE, check_limit, limit_factor


@pytest.mark.parametrize("name", LIMITS)
def test_the_limit_itself_passes_and_more_is_refused(name):
    check_limit(name, LIMITS[name], "a.yaml")
    with pytest.raises(InputError, match=rf"^a\.yaml: .* {name} are above the limit .*--limits 10"):
        check_limit(name, LIMITS[name] + 1, "a.yaml")


def test_limits_can_be_raised(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")
    check_limit("nested levels of YAML", 40, "a.yaml")
    with pytest.raises(InputError):
        check_limit("nested levels of YAML", 41, "a.yaml")


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "inf", "nan"])
def test_a_factor_that_raises_nothing_is_refused(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InputError, match=VARIABLE):
        limit_factor()


def test_the_flag_reaches_the_environment_of_workers(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "1")  # so that it is restored
    path = tmp_path / "a.yaml"
    path.write_text("a: " + "[" * 25 + "]" * 25)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    command = ["segment", tmp_path / "a.png", "-o", tmp_path / "out", "--config", path]
    assert main([str(part) for part in command]) == 2
    assert "--limits 10" in capsys.readouterr().err
    assert main([str(part) for part in ["--limits", "2", *command]]) == 2
    assert "'a' is an unknown" in capsys.readouterr().err
    assert main(["info", "--limits"]) == 2
    assert "--limits: has no value" in capsys.readouterr().err
