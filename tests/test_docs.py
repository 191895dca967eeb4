"""Every Python block of the README and of the docs runs, in its order, in an empty folder.

The tests that ``docs/pyg_checks.md`` names exist.
"""

import ast
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


def test_there_are_examples():
    assert sum(len(blocks(page)) for page in PAGES) >= 5


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    (sklearn,) = find_spec("sklearn").submodule_search_locations
    photo = Path(sklearn) / "datasets/images/flower.jpg"
    (tmp_path / "photos").mkdir()
    for copy in ("photo.jpg", "photos/one.jpg", "photos/two.jpg"):
        shutil.copy(photo, tmp_path / copy)
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "__main__"}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), namespace)


def test_the_tests_that_answer_those_of_pyg_exist():
    page = (ROOT / "docs" / "pyg_checks.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    answers = {name for row in rows for name in re.findall(r"`(\w+::\w+)`", row[2])}
    answers |= set(re.findall(r"`(test_image_graph::\w+)`", page))
    assert len(answers) > 50
    files = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
    for name in answers:
        file, test = name.split("::")
        tree = ast.parse(files[file].read_text())
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
    for row in rows:
        said = row[2].strip()
        is_answered = "::" in said or said in ("here", "---") or "does not apply: " in said
        assert is_answered, said
