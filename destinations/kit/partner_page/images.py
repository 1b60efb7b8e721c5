"""Read the images of a page, which ``docs build`` copies to its folder."""

from __future__ import annotations

import struct
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from destinations.errors import UsageError

__all__ = ["IMAGES", "image_format", "is_inside", "page_images"]

IMAGES: Final = "images"
"""The folder of images: in ``page/`` of a definition, and next to its pages."""

_MAX_BYTES: Final = 15_000_000
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GIF: Final = (b"GIF87a", b"GIF89a")


def page_images(folder: Traversable) -> dict[str, bytes]:
    """Return the content of each image of the definition in ``folder``, by its path on the page.

    Raises `UsageError` for a file in ``page/images/`` that is not a PNG or GIF image, that has the
    ending of another format, that has more than 15 MB, or that leads out of the folder.
    """
    place = folder.joinpath("page").joinpath(IMAGES)
    if not place.is_dir():
        return {}
    files = sorted(place.iterdir(), key=lambda file: file.name)
    return {f"{IMAGES}/{file.name}": _read(file, folder) for file in files}


def image_format(data: bytes) -> str:
    """Return ``png`` or ``gif``; empty if the data is neither, or has no width or height."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        return "png" if all(struct.unpack(">II", data[16:24])) else ""
    if data.startswith(_GIF) and len(data) >= 10:
        return "gif" if all(struct.unpack("<HH", data[6:10])) else ""
    return ""


def is_inside(file: Path, folder: Traversable) -> bool:
    """Return whether a file is in the folder once links are resolved."""
    return isinstance(folder, Path) and file.resolve().is_relative_to(folder.resolve())


def _read(file: Traversable, folder: Traversable) -> bytes:
    name = f"page/{IMAGES}/{file.name}"
    if isinstance(file, Path) and not is_inside(file, folder):
        raise UsageError(f"{name} leads out of the definition's folder")
    if not file.is_file():
        raise UsageError(f"{name} is not a file: expected PNG and GIF images, without folders")
    with file.open("rb") as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{name} has more than {_MAX_BYTES // 1_000_000} MB")
    found = image_format(data)
    if not found:
        raise UsageError(f"{name} is not an image: expected a PNG or GIF file")
    if Path(file.name).suffix != f".{found}":
        raise UsageError(
            f"{name} is a {found.upper()} image: expected a name that ends in .{found}"
        )
    return data
