"""Read an SVG image, as far as the rules for logos need it, with the line of each fault."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from xml.parsers import expat  # expat itself; document types are refused below

__all__ = ["Fault", "Svg", "read_svg"]

FaultKind = Literal["invalid", "script", "external", "bitmap", "text"]

_NAMESPACE: Final = "http://www.w3.org/2000/svg"
_SCRIPTS: Final = frozenset({"script", "foreignObject", "iframe", "handler", "listener"})
_DRAWN: Final = frozenset(
    {
        *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "image"),
        "use",
    }
)
_NOT_DRAWN: Final = frozenset(
    {
        *("defs", "symbol", "clipPath", "mask", "marker", "pattern", "metadata", "title", "desc"),
        *("linearGradient", "radialGradient", "filter"),
    }
)
"""Elements within which nothing is drawn, unless something else refers to it."""

_ANIMATED: Final = frozenset({"set", "animate", "animateTransform", "animateMotion"})
_URL: Final = re.compile(r"url\(\s*['\"]?\s*(?!['\"]?#)([^'\")\s]+)", re.IGNORECASE)
_IMPORT: Final = re.compile(r"@import\b", re.IGNORECASE)
_LENGTH: Final = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(?:px)?\s*")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of an image; ``line`` counts from 1."""

    kind: FaultKind
    line: int
    message: str


@dataclass(slots=True)
class Svg:
    """An image: its size by ``viewBox``, and by its ``width`` and ``height``, and its faults."""

    view_box: tuple[float, float] | None = None
    size: tuple[float, float] | None = None
    faults: list[Fault] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """Return width by height; None if it is not known."""
        size = self.view_box or self.size
        return None if size is None else size[0] / size[1]

    def of(self, *kinds: FaultKind) -> list[Fault]:
        """Return the faults of some kinds."""
        return [one for one in self.faults if one.kind in kinds]


def read_svg(data: bytes) -> Svg:
    """Return what is known of an image; what is not an SVG has a fault ``invalid``."""
    reader = _Reader()
    reader.read(data)
    return reader.svg


class _DocumentTypeError(Exception):
    """Stops the reading of a document that declares a type, in which entities can be declared."""


class _Reader:
    def __init__(self) -> None:
        self.svg = Svg()
        self._depth = 0
        self._hidden_depth = 0
        self._is_drawn = False
        self._style: list[str] | None = None
        self._style_line = 1
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.ProcessingInstructionHandler = self._instruction

    def read(self, data: bytes) -> None:
        if not data.strip():
            self._fault("invalid", "the file is empty")
            return
        try:
            self._parser.Parse(data, True)  # noqa: FBT003 - expat's signature
        except expat.ExpatError as error:
            message = f"is not XML: {expat.ErrorString(error.code)}"
            self.svg.faults.append(Fault("invalid", error.lineno, message))
        except _DocumentTypeError:
            self._fault("invalid", "has a document type (<!DOCTYPE>): remove it")
        else:
            if not self._is_drawn and not self.svg.faults:
                self.svg.faults.append(Fault("invalid", 1, "draws nothing: expected paths"))

    def _fault(self, kind: FaultKind, message: str) -> None:
        line = max(self._parser.CurrentLineNumber, 1)
        self.svg.faults.append(Fault(kind, line, message))

    def _doctype(self, *_: object) -> None:
        raise _DocumentTypeError

    def _instruction(self, target: str, _data: str) -> None:
        if target == "xml-stylesheet":
            self._fault("external", "loads a style sheet: put the styles into the file")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self._depth += 1
        if self._depth == 1:
            self._root(namespace, local, attributes)
        if local in _NOT_DRAWN:
            self._hidden_depth += 1
        elif local in _DRAWN and not self._hidden_depth:
            self._is_drawn |= local != "path" or bool(attributes.get("d", "").strip())
        if local in _SCRIPTS:
            self._fault("script", f"has <{local}>: a logo is a picture, without code")
        elif local == "image":
            self._fault("bitmap", "has an embedded <image>: draw it as paths")
        elif local == "text":
            self._fault(
                "text", "has <text>, which looks different without its font: convert it to paths"
            )
        elif local in _ANIMATED:
            self._fault("script", f"has <{local}>: a logo does not move")
        elif local == "style":
            self._style, self._style_line = [], self._parser.CurrentLineNumber
        for key, value in attributes.items():
            self._attribute(key.rpartition(" ")[2], value, local)

    def _attribute(self, key: str, value: str, element: str) -> None:
        if key.lower().startswith("on"):
            self._fault("script", f"has the attribute {key}: a logo is a picture, without code")
        elif key in {"href", "src"}:
            target = value.strip()
            if target.lower().startswith("javascript:"):
                self._fault("script", "has a link that runs code")
            elif element != "image" and not target.startswith("#"):
                self._outside(target)
        elif found := _URL.search(value):
            self._outside(found[1])

    def _outside(self, target: str) -> None:
        if target.lower().startswith("data:"):
            kind: FaultKind = "bitmap" if "image/" in target.lower() else "external"
            self._fault(kind, "has embedded data (data:): draw it as paths")
        else:
            shown = target if len(target) < 60 else target[:59] + "…"
            self._fault("external", f"leads out of the file, to {shown}")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name.rpartition(" ")[2] in _NOT_DRAWN:
            self._hidden_depth -= 1
        if name.rpartition(" ")[2] == "style" and self._style is not None:
            text = "".join(self._style)
            self._style = None
            if _IMPORT.search(text):
                self._fault("external", "loads a style sheet (@import)")
            for found in _URL.finditer(text):
                self._outside(found[1])

    def _text(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)

    def _root(self, namespace: str, local: str, attributes: Mapping[str, str]) -> None:
        if local != "svg" or namespace != _NAMESPACE:
            what = f"<{local}>" if local != "svg" else "<svg> without its namespace"
            message = f'begins with {what}: expected <svg xmlns="{_NAMESPACE}">'
            self._fault("invalid", message)
            return
        box = attributes.get("viewBox")
        if box is not None:
            numbers = [one for one in re.split(r"[\s,]+", box.strip()) if one]
            is_box = len(numbers) == 4 and all(map(_NUMBER.fullmatch, numbers))
            width, height = map(float, numbers[2:]) if is_box else (0.0, 0.0)
            if width > 0 and height > 0:
                self.svg.view_box = (width, height)
            else:
                message = f"has viewBox {box!r}: expected four numbers, such as 0 0 64 64"
                self._fault("invalid", message)
        sides = [_LENGTH.fullmatch(attributes.get(key, "")) for key in ("width", "height")]
        lengths = [float(side[1]) for side in sides if side is not None]
        if len(lengths) == 2 and all(lengths):
            self.svg.size = (lengths[0], lengths[1])
