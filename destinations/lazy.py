"""Packages whose names are loaded when they are first used."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["names_of_stub"]


def names_of_stub(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` for a package, as its stub lists names.

    The stub is the ``.pyi`` of ``file``, which type checkers read as well. It has imports from
    modules of the package (``from .model import Name``) or others. A name must not be that of a
    module right in the package: Python would set it to the module.
    """
    modules = {}
    for node in ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            module = importlib.util.resolve_name(name, package)
            modules.update({alias.name: module for alias in node.names})
    # Constants, then classes, then functions.
    names = sorted(modules, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)  # from now on found without a call of this
        return value

    return load, lambda: list(names), list(names)
