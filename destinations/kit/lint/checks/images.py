"""Check image files: format, width and size, read from the files themselves."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source

__all__ = [
    "image_alt",
    "image_format",
    "image_host",
    "image_name",
    "image_size",
    "image_width",
]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GIF: Final = (b"GIF87a", b"GIF89a")
# In bytes. Segment sets the limit of a GIF; a larger PNG is a photo, or not compressed.
_LIMITS: Final = {"gif": 15_000_000, "png": 2_000_000}
# What says nothing of an image: what it is, its number, the time at which it was made.
_IDLE: Final = re.compile(
    r"(?:an?|the|my|new|old|final|copy|of|images?|img|pictures?|pics?|photos?|graphics?|diagrams?|figures?|"
    r"fig|screen|shots?|screenshots?|captures?|untitled|unnamed|unknown|paste[db]?|clipboard|alt|text|"
    r"file|download|at|am|pm|\d+|[a-z]|[a-f\d]{8,})"
)
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
    """Find GIFs of 15 MB (15,000,000 bytes) and more, and PNGs of 2 MB and more."""
    for offset, _, file in _images(source):
        kind = _format(file) if file.is_file() else ""
        if kind and file.stat().st_size >= _LIMITS[kind]:
            yield Found(offset, f"{kind.upper()} of {file.stat().st_size:,} bytes")


def image_host(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find images on other sites: only what is saved with the page stays there."""
    for offset, target, _ in _images(source):
        if urlsplit(target).netloc:
            yield Found(offset, target)


def image_name(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find names of files that say nothing of the image, such as 1.png."""
    for offset, target, _ in _images(source):
        name = Path(urlsplit(target).path).stem
        if target and not urlsplit(target).netloc and _is_idle(name):
            yield Found(offset, Path(target).name)


def image_alt(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find alt texts that say nothing of the image, such as "image", or its file's name."""
    for link in source.links:
        if link.is_image and link.text.strip():
            is_file = link.text.strip().lower() == Path(link.target).name.lower()
            if is_file or _is_idle(link.text):
                yield Found(link.start, link.text)


def _is_idle(text: str) -> bool:
    words = re.findall(r"[a-z]+(?=\d|[^a-z\d]|$)|[a-f\d]{8,}|\d+|[a-z]+", text.lower())
    return all(_IDLE.fullmatch(word) for word in words)


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
