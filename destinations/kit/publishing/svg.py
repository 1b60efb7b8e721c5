"""Read an SVG image, as far as the rules for logos need it, with the line of each fault."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from xml.parsers import expat  # expat itself; document types are refused below

__all__ = ["Fault", "Svg", "read_svg"]

FaultKind = Literal["invalid", "script", "external", "bitmap", "text"]

_NAMESPACE: Final = "http://www.w3.org/2000/svg"
_HTML: Final = "http://www.w3.org/1999/xhtml"
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

_ANIMATED: Final = frozenset(
    {"set", "animate", "animateTransform", "animateMotion", "animateColor", "discard"}
)
_TEXTS: Final = frozenset({"text", "tspan", "textPath", "tref", "altGlyph", "flowRoot"})
_LINKS: Final = frozenset({"href", "src", "srcset", "ping", "data", "base"})
_URL: Final = re.compile(r"url\(\s*['\"]?\s*(?!['\"]?#)([^'\")\s]+)", re.IGNORECASE)
_LOCAL_URL: Final = re.compile(r"url\(\s*['\"]?\s*#([^'\")\s]+)", re.IGNORECASE)
_IMPORT: Final = re.compile(r"@import\b", re.IGNORECASE)
_LOADING: Final = re.compile(
    r"(?<![\w-])((?:-webkit-)?image-set|image|src|(?:-webkit-)?cross-fade|-moz-element|element)\(",
    re.IGNORECASE,
)
"""Functions of CSS that load something, or show another element, without `url`."""

_COMMENT: Final = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:([0-9A-Fa-f]{1,6})(?:\r\n|[ \t\r\n\f])?|(\r\n|[\r\n\f])|(.))", re.DOTALL
)
_LENGTH: Final = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(?:px)?\s*")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_SMALLEST: Final = 0.01
_LARGEST: Final = 1_000_000
_MOST_SHOWN: Final = 100_000
"""So many elements a drawing may have, once all that it refers to is put in its place."""


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
        self._text_depth = 0
        self._references = _References()
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
            for message in self._references.faults():
                self.svg.faults.append(Fault("invalid", 1, message))
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
        self._note_drawn(local, attributes)
        self._references.begin(attributes)
        if namespace == _HTML and self._depth > 1:
            self._fault("script", f"has <{local}> of HTML: a logo is a picture")
        elif local in _SCRIPTS:
            self._fault("script", f"has <{local}>: a logo is a picture, without code")
        elif local == "image":
            self._fault("bitmap", "has an embedded <image>: draw it as paths")
        elif local in _TEXTS:
            if not self._text_depth:
                self._text_depth = self._depth
                message = f"has <{local}>, which looks different without its font"
                self._fault("text", f"{message}: convert it to paths")
        elif local in _ANIMATED:
            self._fault("script", f"has <{local}>: a logo does not move")
        elif local == "style":
            self._style, self._style_line = [], self._parser.CurrentLineNumber
        for key, value in attributes.items():
            # The name of a namespace, as of xlink:href, comes first.
            self._attribute(key.rpartition(" ")[2], value, local)

    def _note_drawn(self, local: str, attributes: Mapping[str, str]) -> None:
        if local in _NOT_DRAWN:
            self._hidden_depth += 1
        elif local in _DRAWN and not self._hidden_depth:
            self._is_drawn |= local != "path" or bool(attributes.get("d", "").strip())

    def _attribute(self, key: str, value: str, element: str) -> None:
        if key.lower().startswith("on"):
            self._fault("script", f"has the attribute {key}: a logo is a picture, without code")
        elif key in _LINKS:
            target = re.sub(r"[\x00-\x20]+", "", value)
            if target.lower().startswith("javascript:"):
                self._fault("script", "has a link that runs code")
            elif element != "image" and not target.startswith("#"):
                self._outside(target)
        else:
            self._styles(value)

    def _styles(self, source: str) -> None:
        """Find what CSS loads, also where it is written with escapes and comments."""
        text = _plain_css(source)
        if _IMPORT.search(text):
            self._fault("external", "loads a style sheet (@import)")
        for found in _URL.finditer(text):
            self._outside(found[1])
        if found_function := _LOADING.search(text):
            self._fault("external", f"loads something by {found_function[1]}(): draw it as paths")

    def _outside(self, target: str) -> None:
        if target.lower().startswith("data:"):
            kind: FaultKind = "bitmap" if "image/" in target.lower() else "external"
            self._fault(kind, "has embedded data (data:): draw it as paths")
        else:
            shown = target if len(target) < 60 else target[:59] + "…"
            self._fault("external", f"leads out of the file, to {shown}")

    def _end(self, name: str) -> None:
        self._references.end()
        if self._depth == self._text_depth:
            self._text_depth = 0
        self._depth -= 1
        if name.rpartition(" ")[2] in _NOT_DRAWN:
            self._hidden_depth -= 1
        if name.rpartition(" ")[2] == "style" and self._style is not None:
            text = "".join(self._style)
            self._style = None
            self._styles(text)

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
            sizes = [abs(float(one)) for one in numbers] if is_box else []
            if not is_box or any(one.startswith("-") for one in numbers[2:]):
                message = f"has viewBox {box!r}: expected four numbers, such as 0 0 64 64"
                self._fault("invalid", message)
            elif max(sizes) <= _LARGEST and min(sizes[2:]) >= _SMALLEST:
                self.svg.view_box = (sizes[2], sizes[3])
            else:
                message = f"has viewBox {box!r}: expected sides from {_SMALLEST} to {_LARGEST:,}"
                self._fault("invalid", message)
        sides = [_LENGTH.fullmatch(attributes.get(key, "")) for key in ("width", "height")]
        lengths = [float(side[1]) for side in sides if side is not None]
        if len(lengths) == 2 and all(_SMALLEST <= one <= _LARGEST for one in lengths):
            self.svg.size = (lengths[0], lengths[1])


class _References:
    """Counts what elements show, by references to others: a few lines may show billions."""

    def __init__(self) -> None:
        self._open: list[str | None] = []
        self._within: list[str] = []
        self._shown: dict[str, list[str]] = {"": []}
        self._sizes: dict[str, int] = {"": 0}

    def begin(self, attributes: Mapping[str, str]) -> None:
        """Note an element, for all of those around it that have an id."""
        key = attributes.get("id")
        key = key if key and key not in self._shown else None
        self._open.append(key)
        if key is not None:
            # What is within it is shown there, too, each time that it is.
            self._note(1, [key])
            self._within.append(key)
            self._shown[key], self._sizes[key] = [], 0
        self._note(1, list(_targets(attributes)))

    def end(self) -> None:
        """Note that the last element ends."""
        if self._open.pop() is not None:
            self._within.pop()

    def _note(self, size: int, targets: list[str]) -> None:
        place = self._within[-1] if self._within else ""
        self._sizes[place] += size
        self._shown[place] += targets

    def faults(self) -> Iterator[str]:
        """Yield what is shown within itself, and that there is too much."""
        totals: dict[str, int] = {}
        active: set[str] = set()
        stack = [("", False)]
        while stack:
            key, is_done = stack.pop()
            targets = self._shown[key]
            if is_done:
                active.discard(key)
                total = self._sizes[key] + sum(totals.get(one, 0) for one in targets)
                totals[key] = min(total, _MOST_SHOWN + 1)
            elif key in active:
                yield f"has an element that shows itself (#{key})"
                return
            elif key not in totals:
                active.add(key)
                stack.append((key, True))
                stack += [(one, False) for one in targets if one in self._shown]
        if totals[""] > _MOST_SHOWN:
            yield f"shows more than {_MOST_SHOWN:,} elements, most of them by references"


def _targets(attributes: Mapping[str, str]) -> Iterator[str]:
    for key, value in attributes.items():
        if key.rpartition(" ")[2] == "href":
            if value.strip().startswith("#"):
                yield value.strip()[1:]
        elif "url" in value.lower() or "\\" in value:
            yield from (found[1] for found in _LOCAL_URL.finditer(_plain_css(value)))


def _plain_css(text: str) -> str:
    """Return CSS without comments and escapes."""
    return _ESCAPE.sub(_unescaped, _COMMENT.sub("", text))


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        code = int(found[1], 16)
        return chr(code) if 0 < code <= 0x10FFFF else "\ufffd"
    return found[3] or ""
