"""The shape of the package: data flows one way, imports are cheap, names are documented."""

import ast
import inspect
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import sp_graph_seg

PACKAGE = Path(sp_graph_seg.__file__).parent
NAME = "sp_graph_seg"

#: A module imports from its own part and from those before it. The two in the first line are one.
ORDER = (
    ("errors", "_version"),
    ("extras",),
    ("limits",),
    ("yaml_reader",),
    ("presets",),
    ("config",),
    ("parallel",),
    ("progress",),
    ("io",),
    ("volumes",),
    ("label_jobs",),
    ("transforms",),
    ("labels",),
    ("regions",),
    ("datasets",),
    ("nn",),
    ("training",),
    ("prototypes",),
    ("segmenter",),
    ("streaming",),
    ("evaluation",),
    ("baselines",),
    ("experiments",),
    ("plot",),
    ("report",),
    ("cli",),
    ("napari_plugin",),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}

MODULES = {
    ".".join([NAME, *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
INNER = [module for module in MODULES if module != NAME]
LENGTHS = {
    module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()
}


def part_of(module):
    """The folder or file right below the package: ``sp_graph_seg.io.files`` -> ``io``."""
    return module.split(".")[1]


def imported_modules(source, module, path):
    """The modules of the package that a file imports, wherever in the file that is written."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                # ``from sp_graph_seg import io`` names a module, ``import Config`` a public name.
                home = sp_graph_seg._HOME.get(alias.name, "_version")
                full = f"{base}.{alias.name}"
                yield full if full in MODULES else f"{NAME}.{home}" if base == NAME else base


def forbidden_imports(source, module, path):
    ranks = {
        imported: RANK[part_of(imported)]
        for imported in imported_modules(source, module, path)
        if imported.startswith(f"{NAME}.")
    }
    return [imported for imported, rank in ranks.items() if rank > RANK[part_of(module)]]


def test_every_part_has_its_place():
    assert {part_of(module) for module in INNER} <= set(RANK)
    assert len(RANK) == 29


@pytest.mark.parametrize("module", INNER)
def test_data_flows_one_way(module):
    path = MODULES[module]
    assert forbidden_imports(path.read_text(encoding="utf-8"), module, path) == []


@pytest.mark.parametrize(
    "line",
    [
        "import sp_graph_seg.segmenter.segmenter",
        "from sp_graph_seg.segmenter import Segmenter",
        "from sp_graph_seg import Segmenter",
        "from sp_graph_seg import segmenter",
        "from ..segmenter import Segmenter",
        "from .. import segmenter",
        "def f():\n    from sp_graph_seg.segmenter import Segmenter",
    ],
)
def test_the_check_finds_an_import_against_the_flow(line):
    module = f"{NAME}.training.fit"
    (found,) = forbidden_imports(line, module, MODULES[module])
    assert part_of(found) == "segmenter"
    for allowed in ("from sp_graph_seg import Config, __version__, WNet", "from . import history"):
        assert forbidden_imports(allowed, module, MODULES[module]) == []


def test_the_package_itself_imports_nothing_heavy():
    """Only the version is imported at once; what is under TYPE_CHECKING is not."""
    tree = ast.parse(MODULES[NAME].read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {node.module for node in imports} == {"importlib", "typing", f"{NAME}._version"}


LIGHT = [NAME, *(module for module in INNER if part_of(module) in ("errors", "config", "cli"))]


@pytest.mark.parametrize("module", LIGHT)
def test_import_does_not_load_torch(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("False", 0), done.stderr


PUBLIC = [name for name in sp_graph_seg.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_resolve_and_are_documented(name):
    value = getattr(sp_graph_seg, name)
    assert value.__name__ == name
    assert value.__module__.startswith(f"{NAME}.{sp_graph_seg._HOME[name]}")
    doc = inspect.getdoc(value)
    assert doc
    assert not doc.startswith(f"{name}(")  # what a dataclass gets when it has none
    methods = vars(value).items() if inspect.isclass(value) else ()
    for method_name, method in methods:
        if inspect.isroutine(method) and not method_name.startswith("_"):
            assert inspect.getdoc(getattr(value, method_name)), method_name


def test_the_list_of_public_names_is_whole():
    tree = ast.parse(MODULES[NAME].read_text(encoding="utf-8"))
    for_types = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.If)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]
    assert sorted(for_types) == sorted(PUBLIC) == sorted(sp_graph_seg._HOME)
    assert dir(sp_graph_seg) == sorted(sp_graph_seg.__all__)
    assert sp_graph_seg.__version__ == import_module(f"{NAME}._version").__version__
    with pytest.raises(AttributeError, match=r"sp_graph_seg.*no attribute 'Segmentor'"):
        _ = sp_graph_seg.Segmentor


@pytest.mark.parametrize(
    "module", [module for module, path in MODULES.items() if path.name == "__init__.py"]
)
def test_exported_names_exist(module):
    if module == f"{NAME}.napari_plugin.qt":
        pytest.importorskip("napari")
    loaded = import_module(module)
    assert len(set(loaded.__all__)) == len(loaded.__all__)
    for name in loaded.__all__:
        assert hasattr(loaded, name), name


def test_no_file_is_too_long():
    assert {module: length for module, length in LENGTHS.items() if length > 350} == {}
    assert len(LENGTHS) > 20


def room_of(module):
    """The folder that a module counts for; ``volumes/formats`` is a room of its own."""
    own = f"{NAME}.volumes.formats"
    return "volumes.formats" if f"{module}.".startswith(f"{own}.") else part_of(module)


def test_no_room_is_too_large():
    sizes = Counter()
    for module in INNER:
        sizes[room_of(module)] += LENGTHS[module]
    assert "volumes.formats" in sizes
    share = {room: size / sizes.total() for room, size in sizes.items()}
    assert {room: round(part, 3) for room, part in share.items() if part > 0.15} == {}


def cycle_of(imports):
    """The modules of a cycle in ``{module: the modules that it imports}``, or none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_modules_import_each_other_without_a_cycle():
    """Inside of the rooms too, and under TYPE_CHECKING."""
    imports = {
        module: set(imported_modules(path.read_text(encoding="utf-8"), module, path)) & set(INNER)
        for module, path in MODULES.items()
    }
    assert sum(map(len, imports.values())) > 200
    assert cycle_of(imports) == []
    start = f"{NAME}.labels.components"
    assert len(cycle_of(imports | {start: {f"{NAME}.labels"}})) > 2
