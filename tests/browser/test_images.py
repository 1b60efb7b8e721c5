"""The pictures in docs/img: each is made by the command, shown by a document, and small."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import pytest


def _command() -> Any:
    """The module of the command, which is no part of a package."""
    path = Path(__file__).parents[2] / "docs" / "console_images.py"
    spec = importlib.util.spec_from_file_location("console_images", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


console_images = _command()

MOST_BYTES = 200_000


def test_the_list_is_up_to_date() -> None:
    """What is made, what is there and what documents show are the same pictures."""
    assert console_images.issues() == []


@pytest.mark.parametrize("name", console_images.SHOTS)
def test_a_picture(name: str) -> None:
    """It is a PNG in the width of its window, and small: it is in the repository for ever."""
    data = (console_images.IMAGES / f"{name}.png").read_bytes()
    window = console_images.SHOTS[name][1].get("viewport", {"width": 1280})
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", data[16:20]) == (window["width"],)
    assert len(data) < MOST_BYTES


def test_a_list_that_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is missing, left over or shown by nobody is found."""
    (tmp_path / "left-over.png").write_bytes(b"")
    monkeypatch.setattr(console_images, "IMAGES", tmp_path)
    monkeypatch.setattr(console_images, "DOCUMENTS", ("docs/glossary.md",))
    found = console_images.issues()
    assert "docs/img/left-over.png is of no page: delete it" in found
    assert "docs/img/console-held.png is missing: make it" in found
    assert "no document shows docs/img/console-held.png" in found
