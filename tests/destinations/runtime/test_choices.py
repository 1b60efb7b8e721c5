"""Choices that the partner is asked for: pages, their end, and answers that are no list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.http import HttpRequest, HttpResponse
from destinations.runtime.choices import Choice, Choices, ask_choices
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender

CHOICES: dict[str, Any] = {
    "request": "lists",
    "items": {"@path": "$.answer.lists"},
    "value": {"@path": "$.id"},
    "label": {"@path": "$.name"},
    "next": {"@path": "$.answer.next"},
}
PATH = "properties", "thing"


def _asks(documents: Any, choices: Any = CHOICES) -> None:
    """Add a request for lists, of which a field says that it holds its choices."""
    rest = {"method": "GET", "url": "https://api.example.com/lists"}
    rest["query"] = {"after": {"@path": "$.page"}}  # type: ignore[assignment]
    documents["destination"]["requests"]["lists"] = {
        "description": "Returns a page of lists.",
        "idempotent": True,
        "rest": rest,
    }
    documents["count"]["fields"]["properties"]["thing"]["x-choices"] = choices


@pytest.fixture
def ask(bind: Callable[..., Destination], scripted: Any, clock: Any) -> Callable[..., Any]:
    """Asks a partner with these replies; gives the choices, and the pages that were asked for."""

    def run(*replies: Any, limit: int = 100, **changed: Any) -> tuple[Choices, list[str | None]]:
        choices = {key: value for key, value in {**CHOICES, **changed}.items() if value is not None}
        destination = bind(lambda documents: _asks(documents, choices))
        transport = scripted(replies)
        sender = Sender(destination, transport, clock=clock)
        found = ask_choices(destination, sender, choices, limit=limit)
        queries = [parse_qs(urlsplit(one.url).query) for one in transport.requests]
        return found, [query.get("after", [None])[0] for query in queries]

    return run


def _page(http: Any, *names: object, following: object = None) -> HttpResponse:
    lists = [{"id": name, "name": f"List {name}"} for name in names]
    page: HttpResponse = http(200, {"lists": lists, "next": following})
    return page


def test_pages_are_read_until_there_is_none(ask: Callable[..., Any], replies: Any) -> None:
    """What a page calls the next one is asked for; the first question has no page."""
    pages = [_page(replies.http, "a", "b", following="p2"), _page(replies.http, "b", 7)]
    found, asked = ask(*pages)
    assert found == Choices(
        (Choice("a", "List a"), Choice("b", "List b"), Choice(7, "List 7")), 2, "complete"
    )
    assert asked == [None, "p2"]


@pytest.mark.parametrize("following", [None, "", False])
def test_one_page(following: object, ask: Callable[..., Any], replies: Any) -> None:
    """There is no next page where nothing is named, or where ``next`` is not said at all."""
    page = _page(replies.http, "a", following=following)
    assert ask(page)[0].ending == "complete"
    assert ask(_page(replies.http, "a", following="p2"), next=None)[1] == [None]


def test_a_page_that_comes_again(ask: Callable[..., Any], replies: Any) -> None:
    """The list ends where a page names one that was asked for, or gives nothing new."""
    pages = [
        _page(replies.http, "a", following="p2"),
        _page(replies.http, "b", following="p3"),
        _page(replies.http, "c", following="p2"),
    ]
    found, asked = ask(*pages)
    assert (found.ending, asked) == ("repeated", [None, "p2", "p3"])
    assert [one.value for one in found.choices] == ["a", "b", "c"]


def test_choices_that_never_end(ask: Callable[..., Any], replies: Any) -> None:
    """New names of the same page end with it; new choices without end, at the limit."""
    count = iter(range(10_000))

    def same(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - as all replies
        return _page(replies.http, "a", following=f"p{next(count)}")

    assert ask(same)[0] == Choices((Choice("a", "List a"),), 4, "repeated")

    def more(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - as all replies
        number = next(count)
        return _page(replies.http, number, following=f"p{number}")

    found, asked = ask(more, limit=5)
    assert (len(found.choices), found.ending, len(asked)) == (5, "limit", 6)


def test_pages_that_are_empty(ask: Callable[..., Any], replies: Any) -> None:
    """A few of them between others do not end the list."""
    pages = [
        _page(replies.http, following="p2"),
        _page(replies.http, following="p3"),
        _page(replies.http, "a"),
    ]
    assert ask(*pages)[0] == Choices((Choice("a", "List a"),), 3, "complete")


def test_a_limit_that_is_just_enough(ask: Callable[..., Any], replies: Any) -> None:
    """A list of as many choices as wanted is complete."""
    assert ask(_page(replies.http, "a", "b"), limit=2)[0].ending == "complete"


def test_items_that_are_no_choice(ask: Callable[..., Any], replies: Any) -> None:
    """An item without a plain value is counted; a value without a label is its own."""
    items = [{"id": {"a": 1}}, {"id": ""}, {}, "text", {"id": True}, {"id": "a", "name": ""}]
    found, _ = ask(replies.http(200, {"lists": items}))
    assert found.unusable == 4
    assert found.choices == (Choice(value=True, label="true"), Choice("a", "a"))


def test_plain_values(ask: Callable[..., Any], replies: Any) -> None:
    """The answer itself may be the list, and its items the values."""
    found, _ = ask(
        replies.http(200, ["a", "b"]),
        items={"@path": "$.answer"},
        value={"@path": "$."},
        label=None,
        next=None,
    )
    assert found.choices == (Choice("a", "a"), Choice("b", "b"))


def test_a_secret_is_masked(ask: Callable[..., Any], replies: Any, api_key: str) -> None:
    """A partner that repeats the key does not get it shown."""
    (choice,) = ask(replies.http(200, {"lists": [{"id": api_key, "name": f"of {api_key}"}]}))[
        0
    ].choices
    assert api_key not in f"{choice.value} {choice.label}"


def test_an_answer_that_fails_for_now(ask: Callable[..., Any], replies: Any, clock: Any) -> None:
    """It is asked for again, after the time that the partner names."""
    found, asked = ask(replies.http(429, {}, retry_after="3"), _page(replies.http, "a"))
    assert (len(found.choices), asked, clock.waits) == (1, [None, None], [3.0])


WRONG: dict[str, tuple[Callable[[Any], Any], type[UsageError], str]] = {
    "no list": (lambda r: r.http(200, {"lists": {"a": 1}}), UsageError, "finds no list in the"),
    "nothing there": (lambda r: r.http(200, {}), UsageError, "to lists: nothing"),
    "HTML": (
        lambda r: r.http(200, b"<html>\n<p>Sign in</p>", content_type="text/html"),
        UsageError,
        "with text, not with JSON: <html> <p>Sign in</p>",
    ),
    "a wrong key": (lambda r: r.http(401, {"message": "no"}), UsageError, "refuses these cred"),
    "not found": (
        lambda r: r.http(404, {"message": "gone"}),
        UsageError,
        "lists: HTTP 404: gone",
    ),
    "away": (lambda r: r.refused, TemporaryError, "did not answer lists: no connection"),
    "an answer that is lost": (lambda r: r.lost, TemporaryError, "did not answer lists"),
    "a failure": (lambda r: r.http(503, {}), TemporaryError, "did not answer lists"),
}


@pytest.mark.parametrize(("reply", "kind", "message"), WRONG.values(), ids=WRONG)
def test_an_answer_without_choices(
    reply: Callable[[Any], Any],
    kind: type[UsageError],
    message: str,
    ask: Callable[..., Any],
    replies: Any,
) -> None:
    """The error says what came, and whether it may pass by itself."""
    with pytest.raises(kind) as caught:
        ask(reply(replies))
    assert type(caught.value) is kind
    assert message in str(caught.value)


def test_what_is_pending(bind: Any, scripted: Any) -> None:
    """Without a request, the error says what is missing; nothing is sent."""
    transport = scripted([])
    destination = bind(None)
    with pytest.raises(UsageError, match="cannot be asked for yet: the request of lists"):
        ask_choices(
            destination,
            Sender(destination, transport),
            {"pending": "the request of lists"},
            limit=1,
        )
    assert transport.requests == []


@pytest.mark.parametrize("part", ["headers", "path"])
def test_a_page_outside_of_the_query(
    part: str, bind: Callable[..., Destination], scripted: Any, clock: Any, replies: Any
) -> None:
    """What is asked with a header or in the path is not that of the first page again."""

    def change(documents: Any) -> None:
        _asks(documents)
        rest = documents["destination"]["requests"]["lists"]["rest"]
        page = {"@if": {"exists": {"@path": "$.page"}, "then": {"@path": "$.page"}, "else": "p1"}}
        del rest["query"]
        rest[part] = {"X-Page": page} if part == "headers" else ["page", page]

    destination = bind(change)
    pages = [_page(replies.http, "a", following="p2"), _page(replies.http, "b")]
    transport = scripted(pages)
    ask_choices(destination, Sender(destination, transport, clock=clock), CHOICES, limit=9)
    asked = [(one.url.rpartition("/")[2], one.headers.get("X-Page")) for one in transport.requests]
    assert [one[part == "headers"] for one in asked] == ["p1", "p2"]
