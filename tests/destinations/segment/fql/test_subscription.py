from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.segment.event import EVENT_TYPES
from destinations.segment.fql import Clause, compile_fql, never_holds
from destinations.segment.fql.syntax import FqlIssue
from destinations.segment.javascript.values import UNDEFINED

EVENT: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "userId": 5,
    "properties": {
        "price": 9.5,
        "count": 0,
        "text": "5",
        "yes": True,
        "no": False,
        "nothing": None,
        "deep": {"er": "x"},
        "a.b": 1,
        "list": [1],
    },
    "traits": {"email": "ann@example.com"},
}


ALL = frozenset(EVENT_TYPES)
TYPES: dict[str, tuple[set[str] | frozenset[str], bool]] = {
    'type = "track"': ({"track"}, True),
    'type="track"': ({"track"}, True),
    'type = "track" or type = "page"': ({"track", "page"}, True),
    'type = "track" and event = "Order Completed"': ({"track"}, False),
    'event = "Order Completed" and type = "track"': ({"track"}, False),
    'type = "track" and (event = "A" or event = "B")': ({"track"}, False),
    '(type = "track" or type = "page") and userId != null': ({"track", "page"}, False),
    'type = "track" and type = "page"': (set(), True),
    'type = "track" or event = "A"': (ALL, False),
    'type != "track"': (ALL - {"track"}, True),
    'type != "track" and type != "page" and userId = "a"': (ALL - {"track", "page"}, False),
    'type != "track" or type = "track"': (ALL, True),
    'event = "A"': (ALL, False),
    'contains(type, "rac")': (set(), False),
    'type = "track" and properties = "x"': ({"track"}, False),
    'type = "delete"': (set(), True),
    "((": (set(), False),
    "": (set(), False),
}


@pytest.mark.parametrize(("text", "expected"), TYPES.items(), ids=TYPES)
def test_event_types_that_can_match(
    text: str, expected: tuple[set[str] | frozenset[str], bool]
) -> None:
    """A subscription tells which types it can match, and whether the type decides alone."""
    fql = compile_fql(text)
    types, asks_type_only = expected
    assert fql.types == types
    assert fql.asks_type_only is asks_type_only
    for kind in EVENT_TYPES:
        matches = fql.matches({**EVENT, "type": kind})
        assert matches <= (kind in types)
        assert matches == (kind in types) or not fql.asks_type_only


@pytest.mark.parametrize(
    ("event", "match"),
    [
        ({"type": "track", "event": "A"}, True),
        ({"type": "track", "event": "B"}, True),
        ({"type": "track", "event": "C"}, False),
        ({"type": "track", "event": None}, False),
        ({"type": "track", "event": ["A"]}, False),
        ({"type": "track"}, False),
        ({"type": "page", "event": "A"}, False),
    ],
)
def test_one_of_several_names(event: dict[str, Any], match: bool) -> None:
    """Names joined by ``or`` hold for each of them, and for text only."""
    assert compile_fql('type = "track" and (event = "A" or event = "B")').matches(event) is match


@pytest.mark.parametrize(
    ("text", "match"),
    [
        # text
        ('type = "track"', True),
        ('type = "Track"', False),
        ('type != "page"', True),
        ('event != "Order Completed"', False),
        ('name = "x"', False),
        ('name != "x"', True),
        ('userId = "5"', False),
        ('userId != "5"', True),
        ('properties.price != "9.5"', True),
        ('properties.text = "5"', True),
        ('properties.deep.er = "x"', True),
        ('traits.email = "ann@example.com"', True),
        # numbers
        ("properties.price = 9.5", True),
        ("properties.price != 9.5", False),
        ("properties.price != 9", True),
        ("properties.text = 5", False),
        ("properties.text != 5", False),
        ("properties.nope != 5", False),
        ("userId = 5", False),
        ("properties.count = 0", True),
        # orderings
        ("properties.price > 9", True),
        ("properties.price >= 9.5", True),
        ("properties.price < 9.5", False),
        ("properties.price < 9.6", True),
        ('properties.price <= "10"', True),
        ('properties.price <= "ten"', False),
        ("properties.text > 1", False),
        ("properties.yes >= 1", False),
        ("userId > 4", True),
        # booleans
        ("properties.yes = true", True),
        ("properties.no = false", True),
        ("properties.no = true", False),
        ("properties.yes != true", True),
        ("properties.count = false", False),
        ("userId = true", False),
        # null
        ("properties.price != null", True),
        ("properties.nothing = null", True),
        ("properties.nothing != null", False),
        ("properties.nope != null", False),
        ("properties.nope = null", True),
        ("properties.count != null", True),
        ("name = null", True),
        ("userId != null", True),
        ("type = null", False),
        ("event != null", True),
        # functions
        ('contains(event, "Order")', True),
        ('contains(event, "order")', False),
        ('!contains(event, "Refund")', True),
        ('contains(userId, "5")', False),
        ('!contains(userId, "6")', False),
        ('!contains(properties.nope, "6")', False),
        ('match(event, "Order*")', True),
        ('match(event, "*Completed")', True),
        ('!match(event, "*Started")', True),
        ('!match(event, "Refund*")', True),
        ('!match(event, "Order*")', False),
        ('!match(properties.price, "x*")', False),
        ('contains(event, "")', True),
        # and, or, parentheses
        ('type = "track" and event = "x"', False),
        ('type = "track" or event = "x"', True),
        ('event = "x" or type = "track"', True),
        ("name != null or userId != null", True),
        ('type = "track" and event = "Order Completed" and name = "x"', False),
        ('event = "x" or type = "page" or userId != null', True),
        ('type = "page" and (event = "x" or properties.yes = true)', False),
        ('(type = "page" or type = "track") and properties.yes = true', True),
        ('type = "page" and event = "x" or properties.yes = true', True),
        ('type = "track" or event = "x" and properties.no = true', False),
        # names
        ("properties.a\\.b = 1", False),
        ("properties.list[0] = 1", False),
        ('properties.deep.er.more = "x"', False),
        ("properties.list.length = 1", True),
    ],
)
def test_fql_matches(text: str, match: bool) -> None:
    """Each comparison holds for the types that the reference compares, and for no others."""
    assert compile_fql(text).matches(EVENT) is match


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('type = "track" AND event = "x"', False),
        ('type = "track" AND event = "Order Completed"', True),
        ('not type = "page"', False),
        ('stray type = "track" words', True),
        ("type = 'track'", False),
        ('event starts_with "Order"', True),
        ('event type "Order Completed"', False),
        ("properties.price exists x", True),
        ('type = "track" and contains(type, "x")', True),
        ("constructor = 5 type = track", True),
    ],
)
def test_text_that_is_not_fql_has_a_meaning_and_a_warning(text: str, match: bool) -> None:
    """What the reference reads beyond FQL means the same here, and a warning says so."""
    fql = compile_fql(text)
    assert fql.matches(EVENT) is match
    assert fql.warnings


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        '(type = "track"',
        'type = "track',
        'type = "track" and ((event = "x"))',
        "type",
        "type =",
        'contains(type, "track")',
        "properties.\\. = 1",
        'type = "track" $',
        'type == "track"',
        "type!=5",
        "()",
        "() or ()",
        '() type = "track"',
        "!",
    ],
)
def test_what_cannot_be_evaluated_never_matches(text: str) -> None:
    """Text that the reference fails on matches nothing, without an error but with a warning."""
    fql = compile_fql(text)
    assert fql.matches(EVENT) is False
    assert fql.matches({}) is False
    assert fql.warnings


def test_a_warning_says_that_text_never_matches() -> None:
    """The warning tells what is wrong, and what comes of it."""
    message = (
        "expected type, event, name, userId, properties.<name>, traits.<name> or context.<name>, "
        "got nonsense; this never matches"
    )
    assert compile_fql("nonsense").warnings == (FqlIssue(0, message),)


def test_a_subscription_is_shown_without_its_tree() -> None:
    """What is printed of a subscription is its text and what is known of it."""
    shown = repr(compile_fql('type = "track"'))
    assert shown.startswith("Fql(text='type = \"track\"', matches=")
    assert shown.endswith("warnings=(), types=frozenset({'track'}), asks_type_only=True)")


def test_what_fails_decides_only_when_it_is_reached() -> None:
    """A part that cannot be evaluated makes all false, unless the parts before it decided."""
    assert compile_fql('type = "track" or ()').matches(EVENT) is True
    assert compile_fql('type = "page" or () or type = "track"').matches(EVENT) is False


def test_mixed_operators_are_warned_about() -> None:
    """Mixing and with or at one level is FQL, but the last one deciding for all is a surprise."""
    fql = compile_fql('type = "track" and event = "x" or userId = 5')
    assert [warning.position for warning in fql.warnings] == [31]
    assert not compile_fql('type = "track" and (event = "x" or userId = 5)').warnings


def test_functions_in_parentheses_are_warned_about() -> None:
    """The reference ends parentheses at a function's own ), and with them the level."""
    fql = compile_fql('type = "page" and (contains(event, "Order") or properties.nope = 1)')
    assert fql.matches(EVENT) is True
    assert [warning.position for warning in fql.warnings] == [27]
    assert not compile_fql('contains(event, "x") and (type = "a" or type = "b")').warnings


def test_events_of_odd_shape_match_nothing() -> None:
    """An event whose properties are no object is compared without failing."""
    fql = compile_fql("properties.price > 9")
    for properties in (None, 0, "text", [1], True):
        assert fql.matches({"properties": properties}) is False


@pytest.mark.parametrize(
    "text",
    [
        'type = "trak"',
        'type = "Track" or type = "Page"',
        'type = "track" and type = "page"',
        'type = "track" and event = "A" and event = "B"',
        'properties.a = "1" and properties.a = 1',
        "properties.a = 1 and properties.a = 2",
        "properties.a = true and properties.a = false",
        'userId = null and userId = "a"',
        'event = "A" and (event = "A" or event = "B") and event = "C"',
        '(event = "A" and event = "B") or (event = "C" and event = "D")',
        'type = "track" and (type = "page" or type = "trak")',
    ],
)
def test_what_fits_no_event(text: str) -> None:
    """It is told, and no event matches."""
    issue = never_holds(text)
    assert issue is not None
    assert "never holds" in issue.message
    matches = compile_fql(text).matches
    values: list[Any] = [None, "1", 1, 2, True, False]
    for kind in EVENT_TYPES:
        for event in ("A", "B", "C"):
            for value in values:
                for user in ("a", None):
                    properties = {"a": value}
                    assert not matches(
                        {"type": kind, "event": event, "userId": user, "properties": properties}
                    )


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('type = "track" and type = "track"', {"type": "track"}),
        ('type != "trak"', {"type": "track"}),
        ('type = "track" or type = "trak"', {"type": "track"}),
        ('event = "A" or event = "B"', {"type": "track", "event": "B"}),
        ('properties.a != "1" and properties.a != "2"', {"properties": {"a": "3"}}),
        ("properties.a = 1 and properties.a = 1.0", {"properties": {"a": 1}}),
        ("properties.a > 1 and properties.a < 3", {"properties": {"a": 2}}),
        ('properties.a = "1" and properties.b = "2"', {"properties": {"a": "1", "b": "2"}}),
        ('(event = "A" and event = "B") or event = "C"', {"event": "C"}),
        ('contains(event, "A") and contains(event, "B")', {"event": "AB"}),
        ('userId != null and userId = "a"', {"userId": "a"}),
    ],
)
def test_what_fits_an_event(text: str, event: dict[str, Any]) -> None:
    """Nothing is told of it, as an event matches."""
    assert never_holds(text) is None
    assert compile_fql(text).matches(event)


def test_explain_lists_every_clause() -> None:
    """Each condition is listed with its source, the value found, and whether it held."""
    fql = compile_fql('type = "track" and (!contains(event, "Order") or properties.nope > 5)')
    assert fql.explain(EVENT) == [
        Clause('type = "track"', "track", held=True),
        Clause('!contains(event, "Order")', "Order Completed", held=False),
        Clause("properties.nope > 5", UNDEFINED, held=False),
    ]
    assert compile_fql("nonsense").explain(EVENT) == []


@pytest.mark.parametrize("text", [None, 5, ["type"]])
def test_only_text_is_compiled(text: Any) -> None:
    """Anything but text is a mistake of the caller."""
    with pytest.raises(TypeError, match="a subscription is text"):
        compile_fql(text)


WORDS = (
    'type event properties.a traits context.x = != < >= "x" "x*" 5 -1 true null and or ( ) ! '
    "contains( match( , not AND . [ ] ' \" \\ constructor"
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just({"a": 1})


@given(
    st.lists(st.sampled_from(WORDS.split()), max_size=12).map(" ".join) | st.text(max_size=40),
    st.dictionaries(st.sampled_from(["type", "event", "properties", "traits", "context"]), VALUES),
)
def test_any_text_gives_an_answer(text: str, event: dict[str, Any]) -> None:
    """No text and no event makes compiling, matching or explaining fail."""
    fql = compile_fql(text)
    assert isinstance(fql.matches(event), bool)
    assert isinstance(fql.explain(event), list)
