"""Check the targets of links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from destinations.kit.lint.checks.template import has_actions
from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source
from destinations.kit.partner_page.markdown import read_page

__all__ = ["dead_anchors", "dead_links", "link_target"]

_SEGMENT: Final = frozenset({"segment.com", "www.segment.com"})
_SITE_PATH: Final = re.compile(r"/docs/(?:[\w.~-]+/)*(?:[\w.~-]+)?")


def link_target(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find links to other sites without an attribute that opens a new tab."""
    for link in source.links:
        url = urlsplit(link.target)
        external = url.scheme in {"http", "https"} and not _is_docs(link.target)
        if external and not link.is_image and "target" not in link.attributes:
            fix = source.text[link.start : link.end] + '{:target="_blank"}'
            yield Found(link.start, link.target, end=link.end, fix=fix)


def dead_anchors(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find anchors without a heading in the page, or in the linked page."""
    # The site adds sections: the settings, and the actions where the template has them.
    own = {heading.anchor for heading in source.page.headings} | {"settings"}
    if has_actions(source):
        own |= {link.target.removeprefix("#") for link in source.links}
    for link in source.links:
        path, mark, anchor = link.target.partition("#")
        known: set[str] | None = own if not path else None
        file = source.path.parent / path
        if path.endswith(".md") and not path.startswith("/") and file.is_file():
            headings = read_page(file.read_text(encoding="utf-8")).headings
            known = {heading.anchor for heading in headings}
        if mark and known is not None and anchor not in known:
            yield Found(link.start, "#" + anchor)


def dead_links(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find invalid targets: missing files, and URLs and paths of an unknown form."""
    for link in source.links:
        reason = _why_dead(source, link.target.partition("#")[0], has_anchor="#" in link.target)
        if reason:
            yield Found(link.start, f"{link.target or 'an empty target'} {reason}".strip())


def _why_dead(source: Source, path: str, *, has_anchor: bool) -> str:
    url = urlsplit(path)
    if not path:
        return "" if has_anchor else "is not an address"
    if url.scheme in {"http", "https"}:
        return "" if url.hostname and "." in url.hostname else "has no host"
    if url.scheme == "mailto":
        return (
            "" if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", url.path) else "is not an email address"
        )
    if url.scheme:
        return "is neither http, https nor mailto"
    if path.startswith("/"):
        known = _SITE_PATH.fullmatch(url.path)
        return "" if known else "is not a path of Segment's docs, which starts with /docs/"
    return "" if (source.path.parent / path).exists() else "does not exist"


def _is_docs(target: str) -> bool:
    url = urlsplit(target)
    return url.hostname in _SEGMENT and url.path.startswith("/docs")
