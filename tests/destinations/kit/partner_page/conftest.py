"""The small destination with what a page needs, and a plugin for it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.kit.partner_page import Flavour, render_page, rendering
from destinations.runtime.action import Call, Done
from destinations.runtime.destination import Code
from destinations.runtime.plugins import Plugin


def _sync(payload: dict[str, Any]) -> Any:
    """Creates somebody."""
    yield Call("create", payload)
    return Done("created")


class SamplePlugin(Plugin):
    """Code of the small destination, and a table for its page."""

    def __init__(self, data: Mapping[str, object] | None = None) -> None:
        self.data = data or {}

    def code(self, _store: object) -> Code:
        return Code(generators={"sync": _sync})

    def page_data(self) -> Mapping[str, object]:
        return self.data


@pytest.fixture
def page_folder(write_definition: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the small destination with facts for its page; ``page`` holds templates by name."""

    def write(page: Mapping[str, str] | None = None, **documentation: Any) -> Path:
        def change(documents: Any) -> None:
            documents["destination"] |= {
                "id": "0123456789abcdef01234567",
                "website": "https://www.example.com",
                "maintainer": {"name": "Sample", "email": "team@example.com"},
                "connectionModes": {"browser": "cloud", "mobile": "none", "server": "cloud"},
                "documentation": documentation,
            }
            documents["save"]["method"] = "page"
            documents["sync"]["description"] = "Creates somebody who is new."

        folder = write_definition(change)
        for name, text in (page or {}).items():
            path = folder / "page" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def plugin() -> type[SamplePlugin]:
    """The plugin of the small destination."""
    return SamplePlugin


@pytest.fixture
def render(page_folder: Callable[..., Path]) -> Callable[..., str]:
    """The page of the small destination."""

    def make(
        flavour: Flavour,
        page: Mapping[str, str] | None = None,
        data: Mapping[str, object] | None = None,
        **documentation: Any,
    ) -> str:
        folder = page_folder(page, **documentation)
        sample: Any = SamplePlugin(data)
        return render_page(folder, load_definition(folder), sample, flavour)

    return make


@pytest.fixture
def rendering_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render in the process that bounds a template, as everybody but tests does."""
    monkeypatch.setattr(rendering, "subprocess", subprocess)
