"""Docstrings of functions begin with a verb (ruff's D401 knows few), others with no question."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VERBS = frozenset((Path(__file__).parent / "docstring_verbs.txt").read_text("utf-8").split())


def _first_words(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and the first word of the docstring of each function.

    A property is named like a value, and so is its docstring.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        is_property = any(name.endswith(("property", ".setter")) for name in decorators)
        docstring = ast.get_docstring(node)
        if docstring and not is_property:
            word = re.split(r"[\s,;:.]", docstring, maxsplit=1)[0]
            yield f"{path.relative_to(ROOT).as_posix()}:{node.lineno} {node.name}", word


@pytest.mark.parametrize("package", ["destinations", "kana_destination"])
def test_docstrings_begin_with_a_verb(package: str) -> None:
    """The docstring of each function and method begins with a verb in the imperative.

    A verb that is missing in the list belongs into it. A word that is mostly a noun does not: take
    another verb.
    """
    found = [
        f"{place}: {word}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for place, word in _first_words(path)
        if word not in VERBS
    ]
    assert found == []


@pytest.mark.parametrize("package", ["destinations", "kana_destination"])
def test_docstrings_name_what_they_describe(package: str) -> None:
    """No docstring of a module or a class begins with a question, such as "What a run did"."""
    questions = {"How", "What", "When", "Where", "Whether", "Which", "Who", "Why"}
    found = [
        f"{path.relative_to(ROOT).as_posix()}: {docstring.splitlines()[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef)
        and (docstring := ast.get_docstring(node)) is not None
        and docstring.partition(" ")[0] in questions
    ]
    assert found == []
