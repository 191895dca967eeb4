"""YAML files in bounded time: what PyYAML alone would not end, or end with a traceback."""

import pytest

from sp_graph_seg.errors import InputError
from sp_graph_seg.yaml_reader import read_yaml


def _bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for number in range(1, 12):
        items = ", ".join([f"*a{number - 1}"] * 9)
        lines.append(f"a{number}: &a{number} [{items}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seed: 2024-99-99", "is not YAML"),
        ("seed: !!int abc", "is not YAML"),
        ("seed: " + "9" * 5000, "is not YAML"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested levels of YAML are above"),
        (_bomb(), r"uses the alias \*a0"),
        ("a: 1\na: 2", "'a' is listed twice"),
        ("? [1, 2]\n: 3", "is not YAML"),
        ("seed: " + "1 " * 600_000, "bytes in a YAML file are above"),
        ("[a, b]", "is not a mapping"),
    ],
    ids=["date", "tag", "digits", "nested", "bomb", "twice", "key", "large", "list"],
)
def test_refused_by_name_in_one_line(text, reason, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"a\.yaml: .*{reason}") as caught:
        read_yaml(path, "epochs: 4")
    assert "\n" not in str(caught.value)


def test_plain_files_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: [1, {b: c}]\n1: 2024-05-06\n")
    values = read_yaml(path, "epochs: 4")
    assert values["a"] == [1, {"b": "c"}]
    assert list(values) == ["a", 1]
