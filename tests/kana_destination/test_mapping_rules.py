from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from destinations.definition.document import Document, read_document
from destinations.errors import DefinitionError
from destinations.segment.fql import check_fql
from kana_destination.mapping_rules import Rule, RuleMapper, overlap, property_values, read_rules

PROPERTIES = {
    "plan": {"name": "pro", "years": 2},
    "price": 2.5,
    "big": 1e21,
    "trial": False,
    "nothing": None,
    "empty": "",
    "list": [1],
    "a": {"b": {"c": "deep"}},
    "dotted.key": "x",
    "outer": {"v1.0": {"name": 1}},
    "ends in\\": "no path names it",
}

# Conditions in `where`, and whether they hold for the event above.
CONDITIONS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"plan.name": "pro"}, True),
    ({"plan.name": "Pro"}, False),
    ({"plan.name": "pr"}, False),
    ({"plan": "pro"}, False),
    ({"name": "pro"}, False),
    ({"plan.years": 2}, True),
    ({"plan.years": "2"}, True),
    ({"plan.years": 2.0}, True),
    ({"plan.years": "2.0"}, False),
    ({"price": 2.5}, True),
    ({"big": "1e+21"}, True),
    ({"trial": False}, True),
    ({"trial": "false"}, True),
    ({"trial": "False"}, False),
    ({"trial": 0}, False),
    ({"nothing": None}, True),
    ({"nothing": "null"}, True),
    ({"nothing": ""}, False),
    ({"absent": None}, False),
    ({"empty": ""}, True),
    ({"list": "1"}, False),
    ({"list.0": 1}, True),
    ({"a.b.c": "deep"}, True),
    ({"a.b": "deep"}, False),
    ({"a.b.c.d": "deep"}, False),
    ({r"dotted\.key": "x"}, True),
    ({r"dotted\.key": "y"}, False),
    ({"dotted.key": "x"}, False),
    ({r"plan\.name": "pro"}, False),
    ({r"outer.v1\.0.name": 1}, True),
    ({"plan.name": "pro", "price": 2.5}, True),
    ({"plan.name": "pro", "price": 3}, False),
]


@pytest.mark.parametrize(("where", "holds"), CONDITIONS, ids=str)
@pytest.mark.parametrize(("name", "named"), [(None, True), ("E", True), ("e", False), ("", False)])
def test_when_a_rule_matches(where: Any, holds: bool, name: str | None, named: bool) -> None:
    """All conditions hold: the exact event name, and property values compared as text."""
    event = {"type": "track", "event": "E", "properties": PROPERTIES}
    assert Rule("R", "f", name, where).matches(event) is (holds and named)


@pytest.mark.parametrize("properties", [None, {}, ...], ids=["null", "empty", "absent"])
def test_an_event_without_properties(properties: Any) -> None:
    """It has no values, so that only its name can match."""
    event = {"event": "E", "properties": properties}
    if properties is ...:
        del event["properties"]
    assert Rule("R", "f", "E").matches(event)
    assert not Rule("R", "f", "E", {"a": 1}).matches(event)


RULES = [
    Rule("first", "calls", "E", amount=7),
    Rule("second", "seats", "E"),
    Rule("third", "seats", None, {"kind": "seat"}),
]


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (
            {"event": "E", "properties": {"kind": "seat"}},
            {"userId": "u", "featureId": "calls", "delta": 7},
        ),
        (
            {"event": "F", "properties": {"kind": "seat"}},
            {"userId": "u", "featureId": "seats", "delta": 3},
        ),
        ({"event": "F"}, None),
    ],
    ids=["the oldest", "its own delta", "none"],
)
def test_the_mapper(event: Any, found: Mapping[str, Any] | None) -> None:
    """The first rule that matches adds its feature, and its amount where it has one."""
    payload = {"userId": "u", "delta": 3}
    assert RuleMapper(RULES)(event, payload) == found
    assert payload == {"userId": "u", "delta": 3}


def _rule(name: str | None, **where: Any) -> Rule:
    return Rule("R", "f", name, where)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (_rule("E"), _rule("E"), True),
        (_rule("E"), _rule("F"), False),
        (_rule("E"), _rule(None, a=1), True),
        (_rule("E", a=1), _rule("E", b=1), True),
        (_rule("E", a=1), _rule("E", a=1), True),
        (_rule("E", a=1), _rule("E", a="1"), True),
        (_rule("E", a=1), _rule("E", a=2), False),
        (_rule(None, a=1, b=2), _rule(None, b=3), False),
        (_rule("E", a=1), _rule("F", a=1), False),
    ],
    ids=str,
)
def test_what_overlaps(one: Rule, other: Rule, both: bool) -> None:
    """Two rules overlap unless their names, or their values of one property, exclude each other."""
    assert overlap(one, other) is both
    assert overlap(other, one) is both


def test_the_values_that_a_rule_could_name() -> None:
    """Every path with its value as text; no lists, no objects; each of them would match."""
    found = dict(property_values(PROPERTIES))
    assert found == {
        "plan.name": "pro",
        "plan.years": "2",
        "price": "2.5",
        "big": "1e+21",
        "trial": "false",
        "nothing": "null",
        "empty": "",
        "a.b.c": "deep",
        r"dotted\.key": "x",
        r"outer.v1\.0.name": "1",
    }
    for path, value in found.items():
        assert Rule("R", "f", None, {path: value}).matches({"properties": PROPERTIES})


@pytest.mark.parametrize("properties", [None, {}, [], "text"], ids=str)
def test_no_properties_have_no_values(properties: object) -> None:
    """Whatever stands where an event's properties should be."""
    assert list(property_values(properties)) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "A", "event": "E", "feature": "f"},
        {"name": "A", "where": {"a.b": "x", "c": 1, "d": None}, "feature": "f", "amount": 0},
        {"name": "A", "event": "E", "where": {"a": True}, "feature": "f", "amount": -(2**31)},
    ],
    ids=str,
)
def test_a_rule_as_json(rule: dict[str, Any]) -> None:
    """What is read from a file can be written as it was."""
    (read,) = read_rules(read_document(str({"rules": [rule]}).replace("None", "null"), "r.yaml"))
    assert read.to_json() == rule
    assert Rule(**read.to_json()) == read


def test_all_issues_of_a_file_are_told() -> None:
    """Each with its line; see the tests of the command for every kind."""
    text = "rules:\n- {name: 1, event: E, feature: f}\n- {name: A, event: E}\n"
    with pytest.raises(DefinitionError) as caught:
        read_rules(read_document(text, "r.yaml"))
    assert [(issue.line, issue.path) for issue in caught.value.issues] == [
        (2, "/rules/0/name"),
        (3, "/rules/1"),
    ]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (_rule("E"), 'event = "E"'),
        (
            _rule("E", a=1.0, c="x y"),
            'event = "E" and (properties.a = "1" or properties.a = 1) and properties.c = "x y"',
        ),
        (_rule(None, b=True), '(properties.b = "true" or properties.b = true)'),
        (_rule(None, a=None), '(properties.a = "null" or properties.a = null)'),
        (
            Rule("R", "f", None, {"plan name.1st": "pro"}),
            r'properties.plan\ name.\1st = "pro"',
        ),
        (Rule("R", "f", when="event = 'E'"), "event = 'E'"),
    ],
    ids=str,
)
def test_the_condition_as_fql(rule: Rule, text: str) -> None:
    """The short form stands for FQL that compares values as text."""
    assert rule.conditions == text


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (where, holds)
        for where, holds in CONDITIONS
        # No FQL names a key with a dot, writes a number so, or tells null from nothing.
        if where
        and "\\" not in str(where)
        and "1e+21" not in str(where)
        and "None" not in str(where)
    ],
    ids=str,
)
def test_the_short_form_is_what_it_is_shown_as(where: Any, holds: bool) -> None:
    """A rule that is written with the FQL that is shown maps the same events."""
    text = Rule("R", "f", "E", where).conditions
    assert check_fql(text) == []
    event = {"type": "track", "event": "E", "properties": PROPERTIES}
    assert Rule("R", "f", when=text).matches(event) is holds


WHEN: list[tuple[str, bool]] = [
    ('event = "E"', True),
    ('event = "E" and properties.price > 2', True),
    ("properties.price > 2.5", False),
    ('event = "F" or properties.plan.name = "pro"', True),
    ('!contains(properties.plan.name, "x")', True),
    ('properties.plan.years = "2"', False),
    ("properties.plan.years = 2", True),
    ("properties.nothing = null", True),
    ("properties.absent = null", True),
    ('type = "track"', True),
]


@pytest.mark.parametrize(("when", "holds"), WHEN)
def test_fql(when: str, holds: bool) -> None:
    """A condition means what it means in a subscription: text and numbers are not compared."""
    rule = Rule("R", "f", when=when)
    assert rule.matches({"type": "track", "event": "E", "properties": PROPERTIES}) is holds
    assert Rule(**rule.to_json()) == rule


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("event = 'E'", "at character 9: text should stand in double quotes"),
        ('event == "E"', "at character 8: "),
        ('event = "E" and event = "F"', "at character 17: never holds: "),
        ('type = "identify"', "never holds: rules are for track events"),
        ('type = "trakc"', "did you mean track?"),
    ],
)
def test_wrong_fql(when: str, message: str) -> None:
    """The place in the file and in the FQL is told, before a rule is stored that maps nothing."""
    document = Document("r.yaml", {"rules": [{"name": "A", "feature": "f", "when": when}]}, {})
    with pytest.raises(DefinitionError) as caught:
        read_rules(document)
    assert str(caught.value).startswith("r.yaml: /rules/0/when: ")
    assert message in str(caught.value)


def test_one_way_to_write_a_condition() -> None:
    """Both at once would leave open whether either or both must hold."""
    rule = {"name": "A", "feature": "f", "when": 'event = "E"', "event": "E", "where": {"a": 1}}
    with pytest.raises(DefinitionError) as caught:
        read_rules(Document("r.yaml", {"rules": [rule]}, {}))
    assert [one.path for one in caught.value.issues] == ["/rules/0/event", "/rules/0/where"]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ('event = "E"', 'event = "E" and properties.a > 1', True),
        ("properties.a > 1", "properties.a < 1", False),
        ('event = "E" or event = "F"', 'event = "F"', True),
        ('contains(event, "E")', 'event = "F"', False),
    ],
)
def test_overlaps_of_fql(one: str, other: str, both: bool) -> None:
    """Whatever the conditions are, of FQL or of the short form."""
    assert overlap(Rule("R", "f", when=one), Rule("S", "f", when=other)) is both
    assert overlap(Rule("R", "f", when=one), Rule("S", "f", "F")) is (
        one in {"properties.a > 1", 'event = "E" or event = "F"'}
    )
