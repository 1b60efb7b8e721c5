"""Play what a partner may answer when it is asked for the choices of a field (``x-choices``)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from destinations.definition import RequestDefinition
from destinations.errors import UsageError
from destinations.http import HttpResponse
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import RecordedRequest
from destinations.kit.testing.plain_paths import plain_keys, value_at, with_value
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.wire import Reply, Wire
from destinations.runtime.choices import Choices, ask_choices
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.sandbox.answers import MESSAGE, success, success_value

__all__ = ["ChoiceFaultResult", "choice_fault_names", "play_choice_fault"]

_LIMIT: Final = 20
"""The most choices that are asked for."""

_HTML: Final = HttpResponse(
    200, {"content-type": "text/html"}, f"<html><body>{MESSAGE}</body></html>".encode()
)
_REFUSED: Final = "an error"

_ENDLESS: Final = "pages that never end"
_AGAIN: Final = "a page that comes again"
_NO_NEWS: Final = "pages with the same choices"
_NOT_JSON: Final = "HTML"
_NO_LIST: Final = "no list"

_PAGED: Final[Mapping[str, str]] = {_ENDLESS: "limit", _AGAIN: "repeated", _NO_NEWS: "repeated"}
"""How a list ends."""


@dataclass(frozen=True, slots=True)
class ChoiceFaultResult:
    """The end of a list: how it came, after how many pages, and what differs."""

    ending: str
    asked: int
    differences: Sequence[tuple[str, object, object]]


def choice_fault_names(given: Mapping[str, Any], request: RequestDefinition) -> Iterator[str]:
    """Yield the names of the faults that a field's choices can meet.

    Pages can be made where ``items``, ``value`` and ``next`` are plain paths.
    """
    yield _NOT_JSON
    if _page(given, request, 0, 0) is not None:
        yield _NO_LIST
        yield from _PAGED if "next" in given else ()


def play_choice_fault(
    name: str, given: Mapping[str, Any], request: RequestDefinition, destination: Destination
) -> ChoiceFaultResult:
    """Ask for the choices of a field, and compare how the list ends."""
    asked = 0

    def reply(_request: RecordedRequest) -> Reply:
        nonlocal asked
        asked += 1
        if asked > 100 * _LIMIT:
            raise AssertionError(f"asked for {asked} pages")
        return _REPLIES[name](given, request, asked)

    transport = HttpTransport(destination.definition.transport.timeouts)
    sender = Sender(destination, transport, clock=StillClock())
    found: Choices | None = None
    said = ""
    try:
        with Wire(reply):
            found = ask_choices(destination, sender, given, limit=_LIMIT)
    except UsageError as error:
        said = str(error)
    finally:
        transport.close()
    ending = _REFUSED if found is None else found.ending
    return ChoiceFaultResult(
        ending, asked, list(_differences(name, given, ending, said, found, asked))
    )


def _differences(
    name: str,
    given: Mapping[str, Any],
    ending: str,
    said: str,
    found: Choices | None,
    asked: int,
) -> Iterator[tuple[str, object, object]]:
    expected = _PAGED.get(name, _REFUSED)
    if ending != expected:
        yield "list ends with", expected, f"{ending}{f' ({said})' if said else ''}"
    elif found is None:
        if given["request"] not in said:
            yield "message names", given["request"], said
    elif name == _ENDLESS and len(found.choices) != _LIMIT:
        yield "choices", _LIMIT, len(found.choices)
    elif name == _AGAIN and (len(found.choices), asked) != (1, 2):
        yield "choices and pages", (1, 2), (len(found.choices), asked)
    elif name == _NO_NEWS and len(found.choices) != 1:
        yield "choices", 1, len(found.choices)


def _page(
    given: Mapping[str, Any], request: RequestDefinition, item: int, following: int
) -> Reply | None:
    """Return a page with one item, and what the next page is asked with, by their numbers.

    None if it cannot be made, as something else than plain paths reads it.
    """
    data = copy.deepcopy(success_value(request))
    items = plain_keys(given["items"], "answer")
    value = plain_keys(given["value"])
    if items is None or value is None:
        return None
    listed = value_at(data, items)
    first = listed[0] if isinstance(listed, list) and listed else {}
    data = with_value(data, items, [with_value(copy.deepcopy(first), value, f"choice-{item}")])
    if "next" in given:
        following_keys = plain_keys(given["next"], "answer")
        if following_keys is None:
            return None
        data = with_value(data, following_keys, f"page-{following}")
    return success(replace(request, example=data), 1)


def _numbered(name: str) -> Callable[[Mapping[str, Any], RequestDefinition, int], Reply]:
    def make(given: Mapping[str, Any], request: RequestDefinition, number: int) -> Reply:
        item = number if name == _ENDLESS else 0
        following = 0 if name == _AGAIN else number
        made = _page(given, request, item, following)
        assert made is not None  # noqa: S101 - its fault has a name
        return made

    return make


def _no_list(given: Mapping[str, Any], request: RequestDefinition, _number: int) -> Reply:
    keys = plain_keys(given["items"], "answer")
    assert keys is not None  # noqa: S101 - its fault has a name
    data = with_value(copy.deepcopy(success_value(request)), keys, MESSAGE)
    return success(replace(request, example=data), 1)


_REPLIES: Final[Mapping[str, Callable[[Mapping[str, Any], RequestDefinition, int], Reply]]] = {
    _NOT_JSON: lambda _given, _request, _number: _HTML,
    _NO_LIST: _no_list,
    **{name: _numbered(name) for name in _PAGED},
}
