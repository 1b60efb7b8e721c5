"""What `destinations` offers: the names in its stub, each of them documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType

import pytest

import destinations

STUB = Path(destinations.__file__ or "").with_suffix(".pyi")


def _imported() -> dict[str, str]:
    """The names that the stub imports, and the module that each comes from."""
    found: dict[str, str] = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            found |= {
                alias.asname or alias.name: "destinations." + (node.module or "")
                for alias in node.names
            }
    return found


def _listed() -> list[str]:
    """The stub's own ``__all__``."""
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise AssertionError("the stub has no __all__")


def test_all_is_what_the_stub_imports() -> None:
    """Type checkers and the program see the same names, sorted, each once."""
    assert set(destinations.__all__) == set(_imported()) == set(_listed())
    assert _listed() == sorted(_listed())
    assert len(set(_listed())) == len(_listed())


@pytest.mark.parametrize("name", _listed())
def test_a_public_name_is_there_and_documented(name: str) -> None:
    """Each name leads to the object of the module that the stub names, and says what it is."""
    value = getattr(destinations, name)
    assert value is getattr(importlib.import_module(_imported()[name]), name)
    assert name in dir(destinations)
    if name != "__version__":
        assert not isinstance(value, ModuleType)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value)


def test_a_name_that_is_not_there() -> None:
    """A misspelt name is an error like that of any module."""
    with pytest.raises(AttributeError, match="compile_fqll"):
        _ = destinations.compile_fqll  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", ["", ".definition", ".kit.testing", ".kit.partner_page"])
def test_no_lazy_name_is_that_of_a_module(package: str) -> None:
    """A name is what the stub says, whatever was imported before: no module takes its place."""
    module = importlib.import_module(f"destinations{package}")
    folder = Path(module.__file__ or "").parent
    assert not {path.stem for path in folder.iterdir()} & set(module.__all__)


def _packages() -> list[str]:
    root = Path(destinations.__file__ or "").parent
    return sorted(
        ".".join(("destinations", *path.parent.relative_to(root).parts))
        for path in root.rglob("__init__.py")
        if path.parent != root
    )


def _by_kind(name: str) -> tuple[bool, bool, str]:
    """Constants, then classes, then functions, each kind by name."""
    return not name.isupper(), not name[:1].isupper(), name


@pytest.mark.parametrize("package", _packages())
def test_a_package_lists_what_it_offers(package: str) -> None:
    """``__all__`` of each package is sorted and true, and the package says what it is for."""
    module = importlib.import_module(package)
    assert module.__doc__
    names = module.__all__
    assert len(set(names)) == len(names)
    assert list(names) == sorted(names, key=_by_kind)
    assert [name for name in names if not hasattr(module, name)] == []


def test_an_old_python_is_named() -> None:
    """A checkout that is started with a Python too old says which one it needs, in one line."""
    code = "import sys; sys.version_info = (3, 10, 13); import destinations"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    setup = ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    oldest = setup["options"]["python_requires"].removeprefix(">=")
    assert line == (
        f"destinations needs Python {oldest} or newer, but this is Python 3.10; "
        f"start it with a newer one, such as python{oldest}"
    )


def test_importing_the_package_is_cheap() -> None:
    """Slow libraries are loaded when they are used, so that ``--help`` is quick."""
    code = (
        "import sys, destinations, destinations.cli.group\n"
        "slow = {'requests', 'jsonschema', 'graphql', 'jinja2', 'yaml', 'liquid'}\n"
        "print(sorted(slow & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"
