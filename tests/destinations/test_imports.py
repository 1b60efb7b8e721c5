"""Imports go one way: from those below to those above in the table of docs/architecture.md."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("destinations", "kana_destination")


def _modules() -> dict[str, Path]:
    """Every module of both packages, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


@functools.cache
def _imports(name: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The modules of both packages that a module imports, with the last line that does.

    All of them, and those without which it cannot be loaded.
    """
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    found = ast.walk(tree), _at_module_level(tree)
    everywhere, at_load = (dict(_targets(name, nodes)) for nodes in found)
    return everywhere, at_load


def _targets(name: str, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        targets = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                around = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*around, *([node.module] if node.module else [])])
            targets = [
                whole if (whole := f"{base}.{alias.name}") in MODULES else base
                for alias in node.names
            ]
        for target in targets:
            if target in MODULES:
                yield target, node.lineno


def _at_module_level(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is loaded."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _at_module_level(node)


def _order() -> list[str]:
    """The framework's modules and packages in the order of the table."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Modules")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, flags=re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)]
    # The version is a number, and what starts the command line comes after everything.
    return ["_version", *names, "__main__"]


ORDER = _order()


def _top(module: str) -> str:
    """The package or module right below ``destinations``."""
    return module.split(".")[1] if "." in module else ""


def test_the_table_names_every_module() -> None:
    """Each module and package of the framework stands in the table, once."""
    found = {_top(name) for name in MODULES if name.startswith("destinations.")}
    assert sorted(ORDER) == sorted(found)


def test_imports_go_one_way() -> None:
    """A module imports from those above it, within functions as well."""
    wrong = []
    for module in (name for name in MODULES if name.startswith("destinations.")):
        own = _top(module)
        for target, line in _imports(module)[0].items():
            other = _top(target)
            if not other:
                wrong.append(f"{module}:{line} imports the package as a whole: name the module")
            elif other != own and ORDER.index(other) >= ORDER.index(own):
                wrong.append(f"{module}:{line} imports {target}")
    assert wrong == []


def test_the_framework_knows_no_partner() -> None:
    """`destinations` imports nothing of the plugin, and the plugin only what it needs of it."""
    for module in MODULES:
        if module.startswith("destinations"):
            targets = _imports(module)[0]
            assert not [target for target in targets if target.startswith("kana_destination")]
            assert "kana_destination" not in MODULES[module].read_text(encoding="utf-8")


def test_there_are_no_cycles() -> None:
    """No module needs itself to be loaded, by whatever way round."""
    graph = {name: _imports(name)[1].keys() - {name} for name in MODULES}
    while free := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in free}
    assert graph == {}


def test_local_imports_say_why() -> None:
    """An import within a function defers a slow library, and its line says so."""
    for module, path in MODULES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Import | ast.ImportFrom):
                        assert "PLC0415" in lines[inner.lineno - 1], f"{module}:{inner.lineno}"
