"""Check what every page of the template has: an introduction, a maintainer, sections, the Spec."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from destinations.kit.lint.configuration import Configuration
from destinations.kit.lint.rule import Found, Rule
from destinations.kit.lint.source import Source
from destinations.kit.partner_page.calls import METHODS

__all__ = [
    "has_actions",
    "introduction",
    "maintainer",
    "required_sections",
    "section_order",
    "spec_links",
]

_SPEC: Final = "/connections/spec"
# The template of action-based destinations has this in place of the methods.
_ACTIONS: Final = re.compile(r"\{%-?\s*include\s+components/actions-fields")
_START: Final = "Getting Started"
_METHODS: Final = "Supported methods"
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "published": (_START, _METHODS),
    "submission": (_START, "Supported Methods", "Setup"),
}
_LAST: Final = ("faq", "troubleshooting")


def has_actions(source: Source) -> bool:
    """Return whether the site fills in the actions of the destination, with their headings."""
    return _ACTIONS.search(source.markup) is not None


def required_sections(
    source: Source, _rule: Rule, _configuration: Configuration
) -> Iterator[Found]:
    """Find pages without a section that the template has."""
    if not _is_whole(source):
        return
    present = {heading.text.strip().lower() for heading in source.page.headings}
    for name in _REQUIRED[source.page.flavour]:
        is_replaced = name != _START and has_actions(source)
        if name.lower() not in present and not is_replaced:
            yield Found(_top(source), f"the section '{name}'")
    if source.page.flavour == "submission" and source.page.headings[0].level != 1:
        yield Found(_top(source), "a title at its top, as a heading of the first level")


def section_order(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find sections in another order than the template's: start, methods, questions."""
    required = _REQUIRED[source.page.flavour]
    first = [name.lower() for name in required]
    order = [*first, *METHODS, *_LAST]
    shown = ", ".join((*required, *(name.capitalize() for name in METHODS), "FAQ"))
    latest = -1
    for heading in source.page.headings:
        text = heading.text.strip().lower()
        is_method = text in METHODS and heading.level in {2, 3}
        is_last = text in _LAST and heading.level == 2
        if not (text in first or is_method or is_last):
            continue
        # The last ones have no order among each other.
        place = len(order) if is_last else order.index(text)
        if place < latest:
            yield Found(source.start_of(heading.line), heading.text, shown)
        latest = max(latest, place)


def maintainer(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find pages that do not say who maintains the destination and how to write to them."""
    says = re.search(r"\bmaintain(?:s|ed)\b", source.prose)
    addresses = [link for link in source.links if link.target.startswith("mailto:")]
    contacts = re.search(r"\]\([^)\s]*(?:support|contact|help)[^)\s]*\)", source.text)
    if _is_whole(source) and not (says and (addresses or contacts)):
        yield Found(_top(source))


def introduction(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find introductions whose link to the partner does not say where its visitors come from."""
    end = source.start_of(source.page.headings[0].line) if source.page.headings else 0
    if source.page.headings and source.page.headings[0].level == 1:
        later = [heading.line for heading in source.page.headings[1:]]
        end = source.start_of(later[0]) if later else 0
    outside = [
        link
        for link in source.links
        if link.start < end and not link.is_image and _is_outside(link.target)
    ]
    if outside and not any(_has_utm(link.target) for link in outside):
        yield Found(outside[0].start, outside[0].target)


def spec_links(source: Source, _rule: Rule, _configuration: Configuration) -> Iterator[Found]:
    """Find methods whose page in the Spec is linked nowhere."""
    targets = [link.target for link in source.links if _SPEC in link.target]
    if not _is_whole(source):
        return
    for heading in source.page.headings:
        name = heading.text.strip().lower()
        if name == _METHODS.lower() and not targets:
            yield Found(source.start_of(heading.line), f"{_SPEC}/")
        is_method = heading.level in {2, 3} and name in METHODS
        if is_method and not any(f"{_SPEC}/{name}" in target for target in targets):
            yield Found(source.start_of(heading.line), f"{_SPEC}/{name}/")


def _is_whole(source: Source) -> bool:
    """Return whether text is a page with sections, not a part of one."""
    return sum(1 for heading in source.page.headings if heading.level > 1) > 1


def _top(source: Source) -> int:
    """Return where the text of a page begins, below its front matter and blank lines."""
    found = re.compile(r"\s*").match(source.text, source.page.front_matter_end)
    return min(found.end() if found else 0, max(len(source.text) - 1, 0))


def _is_outside(target: str) -> bool:
    url = urlsplit(target)
    return url.scheme in {"http", "https"} and "segment.com" not in (url.hostname or "")


def _has_utm(target: str) -> bool:
    return {"utm_source", "utm_medium"} <= set(parse_qs(urlsplit(target).query))
