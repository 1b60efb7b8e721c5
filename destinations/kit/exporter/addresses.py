"""Write the URL of a request as an expression; an event's values never choose where it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from destinations.definition.url_pieces import (
    AddressChoice,
    AddressMapping,
    AddressTemplate,
    AddressText,
    AddressWhole,
    chosen_urls,
    read_address,
)
from destinations.kit.exporter.dotted_keys import (
    UNSAID,
    dotted_keys,
    is_dotted,
    setting_path,
    value_code,
)
from destinations.kit.exporter.literals import Code, literal, text

__all__ = ["UnsayableAddressError", "UrlCode", "url_code"]

_COMPUTED: Final = (
    "a URL that a directive computes has no counterpart: write it as text, a setting, a template"
    " or a choice by a setting"
)


class UnsayableAddressError(Exception):
    """A URL that cannot be written; says why."""


@dataclass(frozen=True, slots=True)
class UrlCode:
    """An expression of ``context``; ``setup`` is a statement before it, and its line's end."""

    source: str
    uses: frozenset[str]
    setup: str = ""


def url_code(source: object, written: Callable[[str], str] = text) -> UrlCode:
    """Return the expression of a URL, with its text as it is ``written``.

    The settings of the context have their defaults. Raises `UnsayableAddressError`.
    """
    chosen = chosen_urls(source)
    if chosen is None:
        return _code(read_address(source), written)
    setting, urls = chosen
    choices: dict[str, Code] = {}
    uses = {"text"}
    for value, url in urls.items():
        part = _code(read_address(url), written)
        choices[value] = Code(part.source)
        uses |= part.uses
    value, used = _value(setting_path(setting))
    uses |= used
    setup = f"const urls: Record<string, string> = {literal(choices, 2, 40)}\n  "
    return UrlCode(f"urls[text({value})]", frozenset(uses), setup)


def _value(path: str) -> tuple[str, frozenset[str]]:
    """Return the expression of the value at a path, and what it uses."""
    if is_dotted(path):
        return value_code(path), frozenset({"valueAt"})
    return f"resolve({literal({'@path': path})}, context)", frozenset({"resolve"})


def _code(address: AddressMapping, written: Callable[[str], str]) -> UrlCode:
    match address:
        case AddressTemplate(pieces=pieces):
            return _template(pieces, written)
        case AddressWhole(source=source, of_settings=True):
            if any(dotted_keys(source)):
                raise UnsayableAddressError(f"{UNSAID}: write a template, or rename the setting")
            return UrlCode(
                f"text(resolve({literal(source)}, context))", frozenset({"text", "resolve"})
            )
        case AddressWhole() | AddressChoice():
            raise UnsayableAddressError(_COMPUTED)
    raise UnsayableAddressError(_COMPUTED)


def _template(pieces: tuple[object, ...], written: Callable[[str], str]) -> UrlCode:
    parts: list[str] = []
    uses: set[str] = set()
    before = ""
    for piece in pieces:
        if isinstance(piece, AddressText):
            parts.append(written(piece.text))
            before += piece.text
            continue
        path = getattr(piece, "path", "")
        value, used = _value(path)
        uses |= used
        if getattr(piece, "of_settings", False):
            parts.append(f"text({value})")
            uses |= {"text"}
            before += "x"
        elif "?" in before or "#" in before:
            parts.append(f"encode(text({value}))")
            uses |= {"encode", "text"}
        else:
            parts.append(f"segment({value})")
            uses |= {"segment"}
    return UrlCode(" + ".join(parts) or "''", frozenset(uses))
