"""Who imports whom: one direction, in the order that docs/architecture.md gives."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("destinations", "kana_destination")
MAX_LINES = 320


@cache
def _modules() -> Mapping[str, Path]:
    """Every module of the packages by its name; a package is the module of its __init__."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(name: str, *, nested: bool) -> Iterator[tuple[int, str]]:
    """Line and name of each module of ours that a module imports.

    ``nested`` includes imports within functions. ``from package import module`` counts as the
    module, and ``from package import thing`` as the package.
    """
    path = _modules()[name]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if nested else _at_import(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            base = ".".join(filter(None, [package if node.level else "", node.module or ""]))
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in _modules() else base


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: everything but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _at_import(child)


def _ours(name: str, *, nested: bool) -> Iterator[tuple[int, str]]:
    for line, imported in _imports(name, nested=nested):
        if imported.partition(".")[0] in PACKAGES:
            yield line, imported


def _order() -> list[str]:
    """The modules of ``destinations`` from docs/architecture.md, the first imports nothing."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Modules")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def _place(name: str) -> str:
    """The module or package of the table that a module belongs to."""
    return name.split(".")[1] if "." in name else "destinations"


def test_the_table_is_complete():
    """docs/architecture.md names each module and package of ``destinations`` once."""
    order = _order()
    assert len(set(order)) == len(order)
    private = {"__main__", "_version", "destinations"}
    places = {_place(name) for name in _modules() if name.startswith("destinations")}
    assert places - private == set(order)


@pytest.mark.parametrize("name", [name for name in _modules() if name.startswith("destinations.")])
def test_imports_go_in_one_direction(name: str):
    """A module imports only from those above its own in the table, also within functions."""
    if _place(name) == "__main__":
        return  # nothing imports it: it only starts the command line
    order = ["_version", *_order()]
    own = order.index(_place(name))
    wrong = [
        f"line {line}: {imported}"
        for line, imported in _ours(name, nested=True)
        if order.index(_place(imported)) > own
    ]
    assert wrong == []


def test_the_framework_knows_no_plugin():
    """Nothing in ``destinations`` imports ``kana_destination`` or names it at all."""
    for name, path in _modules().items():
        if not name.startswith("kana_destination"):
            assert "kana_destination" not in path.read_text(encoding="utf-8"), name


def test_there_are_no_cycles():
    """No module is needed, over any number of others, by what it imports itself."""
    graph = {
        name: {imported for _, imported in _ours(name, nested=False) if imported != name}
        for name in _modules()
    }
    # A package's __init__ imports its own modules: whoever imports one of them has run it before.
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a cycle: {' -> '.join(reversed(error.args[1]))}")


def test_every_import_of_ours_exists():
    """No import of ours names a module that is not there, so that the checks here see them all."""
    missing = {
        imported
        for name in _modules()
        for _, imported in _ours(name, nested=True)
        if imported not in _modules()
    }
    # The definitions' folder is mapped into the plugin's package by the build.
    assert missing <= {"kana_destination.definitions"}


@pytest.mark.parametrize("name", _modules())
def test_modules_are_small(name: str):
    """Nobody has to read more than a few pages to know a module."""
    lines = len(_modules()[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES
