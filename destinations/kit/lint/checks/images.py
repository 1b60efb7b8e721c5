"""Check image files: format, width and size, read from the files themselves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from destinations.kit.lint.checks.found import Found
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rules import Rule
from destinations.kit.lint.source import Source

__all__ = ["image_format", "image_size", "image_width"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GIF: Final = (b"GIF87a", b"GIF89a")
_MAX_GIF: Final = 15_000_000
_WIDTHS: Final = range(400, 1201)


def image_format(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find images that are neither PNG nor GIF, by the file's content, else by its name."""
    for offset, target, file in _images(source):
        if (_format(file) if file.is_file() else Path(target).suffix.lower()[1:]) not in {
            "png",
            "gif",
        }:
            yield Found(offset, target)


def image_width(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find images of less than 400 or more than 1,200 pixels' width."""
    for offset, _, file in _images(source):
        width = _width(file) if file.is_file() else None
        if width is not None and width not in _WIDTHS:
            yield Found(offset, str(width))


def image_size(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find GIFs of 15 MB (15,000,000 bytes) and more."""
    for offset, _, file in _images(source):
        if file.is_file() and _format(file) == "gif" and file.stat().st_size >= _MAX_GIF:
            yield Found(offset, f"{file.stat().st_size / 1_000_000:.1f}")


class _Image(NamedTuple):
    """An image of the page; its file may be missing, which `dead_links` reports."""

    start: int
    target: str
    file: Path


def _images(source: Source) -> Iterator[_Image]:
    for link in source.links:
        if link.is_image:
            file = source.path.parent / link.target.split("#")[0]
            yield _Image(link.start, link.target, file)


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(24)


def _format(file: Path) -> str:
    head = _head(file)
    if head.startswith(_PNG):
        return "png"
    return "gif" if head.startswith(_GIF) else ""


def _width(file: Path) -> int | None:
    """Return the width in pixels (PNG: IHDR, GIF: logical screen); None for other formats."""
    head = _head(file)
    width: int
    if head.startswith(_PNG) and len(head) == 24:
        (width,) = struct.unpack(">I", head[16:20])
        return width
    if head.startswith(_GIF) and len(head) >= 8:
        (width,) = struct.unpack("<H", head[6:8])
        return width
    return None
