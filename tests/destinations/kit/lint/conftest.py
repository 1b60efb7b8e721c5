"""Pages in a folder with the images that they name."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from destinations.kit.lint import Configuration, Finding, lint_page

FRONT_MATTER = "---\ntitle: Example Destination\nid: 0123456789abcdef01234567\n---\n\n"


def _image(description: str) -> bytes:
    """The head of an image file: ``png 800x400``, ``gif 800x400 16MB``."""
    kind, size, *weight = description.split()
    width, height = map(int, size.split("x"))
    head = {
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height),
        "gif": b"GIF89a" + struct.pack("<HH", width, height),
        "jpg": b"\xff\xd8\xff\xe0",
    }[kind]
    return head.ljust(int(weight[0].removesuffix("MB")) * 1_000_000 if weight else 64, b"\0")


@pytest.fixture
def lint(tmp_path: Path) -> Callable[..., tuple[Finding, ...]]:
    """Checks a text as a page; images are described as in structure.yaml."""

    def check(
        text: str, files: Mapping[str, str] | None = None, **configuration: object
    ) -> tuple[Finding, ...]:
        for name, description in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(_image(description))
        page = tmp_path / "page.md"
        return lint_page(text, page, Configuration(**configuration))  # type: ignore[arg-type]

    return check


@pytest.fixture
def published() -> str:
    """Front matter, which makes a page of the published flavour."""
    return FRONT_MATTER
