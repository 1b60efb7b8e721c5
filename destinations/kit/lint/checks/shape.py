"""Check front matter, hints, tables and code blocks: the forms that the site can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source

__all__ = [
    "fence_language",
    "front_matter",
    "front_matter_id",
    "front_matter_keys",
    "hints",
    "table_shape",
    "trailing_space",
]

# The keys that Segment's docs explain, or that pages of its catalog have, by what they take.
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "text": (
        "title",
        "id",
        "strat",
        "layout",
        "actions-slug",
        "integration_type",
        "source-type",
        "maintenance-content",
        "menu_icon",
        "seo-changefreq",
    ),
    "true or false": (
        "beta",
        "cmode-override",
        "deprecated",
        "engage",
        "hidden",
        "hide-boilerplate",
        "hide-cmodes",
        "hide-components",
        "hide-device",
        "hide-dossier",
        "hide-feedback",
        "hide-integrations-object",
        "hide-personas-partial",
        "hide-settings",
        "hide-sidebar",
        "hide_toc",
        "landing",
        "maintenance",
        "name-override",
        "private",
        "published",
        "rewrite",
    ),
    "a list": ("hide_action", "hide_actions", "versions"),
    "text or a list of texts": ("redirect_from",),
    "a number": ("seo-priority",),
}
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "true or false": (bool,),
    "a list": (list,),
    "text or a list of texts": (str, list),
    "a number": (int, float),
}
_TAKES: Final = {key: kind for kind, keys in _KEYS.items() for key in keys}
_ID: Final = re.compile(r"[0-9a-f]{24}|[A-Za-z0-9]{21,28}")


def front_matter(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find front matter that cannot be read, without a title, or with values of the wrong type."""
    page = source.page
    values = page.front_matter or {}
    if page.front_matter_issue:
        yield Found(0, page.front_matter_issue)
        return
    title = values.get("title")
    if not title:
        yield Found(0, "lacks a title")
    for key, value in values.items():
        place = _key(source, key)
        kind = _TAKES.get(key)
        if kind is not None and not isinstance(value, _TYPES[kind]):
            yield Found(place, f"{key} must be {kind}")
        elif key == "id" and not _ID.fullmatch(str(value)):
            yield Found(place, f"{value!r} is not an id of the catalog")
        elif key == "beta" and value is False:
            yield Found(place, "beta stands there only while the destination is in beta")


def front_matter_keys(
    source: Source, _rule: Rule, _configuration: Configuration
) -> Iterator[Found]:
    """Find keys that the site does not know, and titles of something else than a destination."""
    for key, value in (source.page.front_matter or {}).items():
        if key not in _TAKES:
            yield Found(_key(source, key), f"the site does not know the key {key}")
        elif key == "title" and not str(value).endswith("Destination"):
            yield Found(_key(source, key), f"the title {value!r} does not end with Destination")


def front_matter_id(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find front matter without an id."""
    values = source.page.front_matter
    if values is not None and not source.page.front_matter_issue and "id" not in values:
        yield Found(0)


def hints(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find hint blocks of the other flavour, with lines outside, or without an end."""
    if source.page.flavour == "submission" and source.text.lstrip().startswith("> "):
        return
    yield from _published(source) if source.page.flavour == "published" else _submission(source)


def _published(source: Source) -> Iterator[Found]:
    lines = source.markup.splitlines()
    inside = False
    for number, line in enumerate(lines, start=1):
        offset = source.start_of(number)
        if line.startswith(":::"):
            yield Found(offset, 'a published page writes hints as > info "" and > warning ""')
        if re.match(r'>\s*(info|warning|success|danger|note)\b(?!\s+")', line):
            yield Found(offset, 'a hint begins with its kind and a title in quotes: > info ""')
        elif inside and line.strip() and not line.startswith(">"):
            yield Found(offset, "every line of a hint begins with '> '")
        inside = line.startswith(">") or (inside and bool(line.strip()))


def _submission(source: Source) -> Iterator[Found]:
    opened: int | None = None
    for number, line in enumerate(source.markup.splitlines(), start=1):
        offset = source.start_of(number)
        if re.match(r'>\s*(info|warning)\s+"', line):
            yield Found(offset, "a submission writes hints as :::info and :::warning")
        if not line.startswith(":::"):
            continue
        kind = line[3:].strip()
        if kind and opened is not None:
            yield Found(offset, "the hint before has no closing :::")
        elif not kind and opened is None:
            yield Found(offset, "this ::: closes no hint")
        elif kind and kind not in {"info", "warning", "success", "danger"}:
            yield Found(offset, f"unknown kind of hint {kind}: use info or warning")
        opened = offset if kind else None
    if opened is not None:
        yield Found(opened, "the hint has no closing :::")


def table_shape(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find rows with more or fewer cells than the head of their table."""
    head: int | None = None
    lines = source.markup.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.lstrip("> ").startswith("|"):
            head = None
            continue
        code_free = re.sub(r"`[^`]*`", "", line)
        cells = len(re.findall(r"(?<!\\)\|", code_free)) - 1
        if head is None:
            head = cells
        elif cells != head:
            yield Found(source.start_of(number), f"the row has {cells} cells, its table {head}")


def fence_language(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find code blocks that do not name their language."""
    for fence in source.page.fences:
        if not fence.language:
            yield Found(source.start_of(fence.line))


def trailing_space(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find spaces and tabs at the ends of lines."""
    for found in re.finditer(r"[ \t]+$", source.text, re.MULTILINE):
        yield Found(found.start(), end=found.end(), fix="")


def _key(source: Source, key: Any) -> int:
    """Return the place of a key of front matter."""
    found = re.search(rf"^{re.escape(str(key))}:", source.text, re.MULTILINE)
    return found.start() if found else 0
