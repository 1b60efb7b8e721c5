"""What others may import from the package ``destinations``."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import destinations

ROOT = Path(__file__).resolve().parents[1]
STUB = ast.parse((ROOT / "destinations" / "__init__.pyi").read_text(encoding="utf-8"))

IMPORTED = [
    alias.asname or alias.name
    for node in STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
]
(LISTED,) = (
    ast.literal_eval(node.value)
    for node in STUB.body
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
)


def test_all_lists_what_the_stub_imports():
    """The stub lists each name that it imports, once; the package has just these names."""
    assert sorted(LISTED) == sorted(IMPORTED)
    assert len(set(LISTED)) == len(LISTED)
    assert sorted(destinations.__all__) == sorted(LISTED)
    assert set(LISTED) <= set(dir(destinations))


@pytest.mark.parametrize("name", [name for name in LISTED if name != "__version__"])
def test_each_name_is_there_and_explained(name: str):
    """Each public name can be imported, and what can hold a docstring has one of its own."""
    found = getattr(destinations, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert found.__name__ == name
        words = found.__doc__ or ""
        assert words.endswith(".") or "\n" in words
        # A dataclass without a docstring gets its signature as one.
        assert not words.startswith(f"{name}(")
    else:
        assert name in {"Generated", "Payload"}  # aliases of types


def test_the_version():
    """The version has three numbers, and it is the same that the distribution tells."""
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", destinations.__version__)


def test_an_unknown_name_is_an_attribute_error():
    """What is not public is not there, and the message names it."""
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        destinations.nothing_of_this_name  # noqa: B018 - looking it up is the test


@pytest.mark.parametrize("module", ["destinations", "destinations.cli"])
def test_importing_loads_nothing_heavy(module: str):
    """The command line answers at once: what a command does not need is not imported."""
    heavy = {"requests", "graphql", "jsonschema", "jsonschema_rs", "rich", "yaml", "liquid"}
    script = f"import sys, {module}; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert heavy & set(done.stdout.split()) == set()
