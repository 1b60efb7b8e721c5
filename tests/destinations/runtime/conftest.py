"""Packages of third parties, installed as pip leaves them: modules, and what describes them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from destinations.runtime.entry_points import DEFINITIONS, PLUGINS

Install = Callable[..., Path]


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_definition: Callable[..., Path]
) -> Iterator[Install]:
    """Installs a package, beside what is installed; returns the folder of its module.

    It has the definitions of these slugs, and plugins: by slug, the source of ``plugin.py``, which
    has the class ``Acme``.
    """
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(
        name: str,
        *slugs: str,
        plugins: Mapping[str, str] | None = None,
        init: str = "",
    ) -> Path:
        folder = tmp_path / name.replace("-", "_")
        folder.mkdir()
        (folder / "__init__.py").write_text(init, encoding="utf-8")
        points = f"[{DEFINITIONS}]\nown = {folder.name}\n[{PLUGINS}]\n"
        for slug in slugs:
            write_definition(lambda each, slug=slug: each["destination"].update(slug=slug)).rename(
                folder / slug
            )
        for number, (slug, source) in enumerate((plugins or {}).items()):
            module = f"plugin{number}"
            (folder / f"{module}.py").write_text(source, encoding="utf-8")
            points += f"{slug} = {folder.name}.{module}:Acme\n"
        info = tmp_path / f"{folder.name}-1.5.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        return folder

    yield make
    for module in set(sys.modules) - before:
        if module.startswith(("acme", "other")):
            del sys.modules[module]
