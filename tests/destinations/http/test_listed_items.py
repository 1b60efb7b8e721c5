from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from destinations.http import HttpResponse, Selection
from destinations.http.envelope import parse_body
from destinations.http.listed_items import ListReader

PATH = ("data", "e0")


def _ids(item: Any) -> Sequence[str]:
    return [item["id"]]


def _names(item: Any) -> Sequence[str]:
    return [item["name"]]


def _only(*ids: str, keys_of: Callable[[Any], Sequence[str]] = _ids) -> Selection:
    return Selection(keys_of, frozenset(ids))


def _read(body: bytes, only: Selection, piece: int = 10_000) -> tuple[Any, int]:
    """Return the answer as it is read, and how many bytes of it were kept."""
    reader = ListReader(PATH, only)
    for start in range(0, len(body), piece):
        reader.feed(body[start : start + piece])
    rest, items = reader.close()
    return parse_body(HttpResponse(200, {}, rest, items)), len(rest)


def _hostile(number: int) -> dict[str, Any]:
    """Return an item that holds what looks like the end of an item, in texts and in lists."""
    text = '"},{"id":"' * (number % 5) + "\\" * (number % 3) + '}, {"\u00e4\U0001f600'
    inner = [{"id": "x"}, {"id": str(number), "of": [{}, {"a": text}]}] * (number % 4)
    return {"id": str(number), "name": text, "metadata": {"list": inner, text: None}}


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("separators", [(",", ":"), (" ,\n ", ": ")])
@pytest.mark.parametrize("piece", [777, 65_536])
def test_wanted_items(piece: int, separators: tuple[str, str], ascii_only: bool) -> None:
    """What an item holds never looks like the place between two items, wherever a piece ends."""
    items = [_hostile(number) for number in range(3_000)]
    document = {"data": {"e0": items}, "extensions": {"cost": 1}}
    body = json.dumps(document, separators=separators, ensure_ascii=ascii_only).encode()
    wanted = ["0", "17", "2001", "2999", "x"]
    answer, kept = _read(body, _only(*wanted), piece)
    assert [one for one in answer["data"]["e0"] if one["id"] in wanted] == [
        items[int(number)] for number in wanted[:-1]
    ]
    assert answer["extensions"] == {"cost": 1}
    assert kept < 400_000 < len(body)


_LONG = json.dumps([{"id": str(number), "name": "x" * 50} for number in range(6_000)])


@pytest.mark.parametrize(
    "body",
    [
        '{"errors":[{"message":"no"}],"data":{"e0":' + _LONG + "}}",
        '{"data":{"e1":' + _LONG + "}}",
        '{"data":{"e0":{"items":' + _LONG + "}}}",
        '{"data":{"e0":' + json.dumps(list(range(100_000))) + "}}",
        '{"data":{"e0":null,"x":' + _LONG + "}}",
        '\ufeff{"data":{"e0":' + _LONG + "}}",
        '{"data":{"e0":[{"id":"1","list":' + _LONG + "}]}}",
        '{"data":{"e0":[{"id":"1"},{"id":"2","text":"' + "}, {" * 200_000 + '"}]}}',
    ],
)
def test_answers_of_another_form(body: str) -> None:
    """Such an answer is read as a whole, like a short one."""
    answer, kept = _read(body.encode(), _only("1", "2"))
    assert answer == json.loads(body.removeprefix("\ufeff"))
    assert kept == len(body.encode())


def test_an_answer_with_an_error() -> None:
    """Errors that follow the list are there, as they are in a short answer."""
    errors = [{"message": "partial", "path": ["e0", 5]}]
    answer, kept = _read(
        f'{{"data":{{"e0":{_LONG}}},"errors":{json.dumps(errors)}}}'.encode(), _only("7")
    )
    assert answer["errors"] == errors
    assert kept < len(_LONG)


@pytest.mark.parametrize(
    "body",
    [
        '{"data":{"e0":' + _LONG[:-1],
        '{"data":{"e0":' + _LONG[:-20],
        '{"data":{"e0":' + _LONG + "}} x",
        '{"data":{"e0":' + _LONG + ',"e0":null}}',
        '{"data":{"e0":' + _LONG + '},"data":7}',
        '{"data":{"e0":' + _LONG.replace('"3000"', "3000,") + "}}",
    ],
)
def test_an_answer_that_is_not_json(body: str) -> None:
    """An answer that ends early, or is broken, is refused: it is not a list that lacks items."""
    with pytest.raises(ValueError, match=r".+"):
        _read(body.encode(), _only("7"))


def test_an_item_that_cannot_be_selected() -> None:
    """It is kept, so that the event that reads it fails, and not the request."""
    odd = json.dumps([{"id": []}, *json.loads(_LONG)])
    answer, _ = _read(f'{{"data":{{"e0":{odd}}}}}'.encode(), _only("7"))
    assert answer["data"]["e0"][:2] == [{"id": []}, {"id": "7", "name": "x" * 50}]


@pytest.mark.parametrize(
    ("selections", "joined"),
    [
        ([_only("1"), _only("2", "3")], _only("1", "2", "3")),
        ([_only("1")], _only("1")),
        ([_only("1"), None], None),
        ([None, _only("1")], None),
        ([_only("1"), _only("1", keys_of=_names), _only("1")], None),
        ([], None),
    ],
)
def test_joining(selections: Sequence[Selection | None], joined: Selection | None) -> None:
    """Events that ask together get the items of each of them, and all if one needs all."""
    assert Selection.joined(selections) == joined


@pytest.mark.parametrize(
    ("other", "covered"),
    [
        (_only("1"), True),
        (_only("1", "2"), True),
        (_only("1", "3"), False),
        (_only("1", keys_of=_names), False),
        (None, False),
    ],
)
def test_covering(other: Selection | None, covered: bool) -> None:
    """A list serves those alone of whom it certainly has all items."""
    assert _only("1", "2").covers(other) is covered
