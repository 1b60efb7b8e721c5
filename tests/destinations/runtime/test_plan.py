"""What raw bytes come to: payloads to send, or ends, whatever they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.outcome import Outcome, Result
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plan import Plan, plan
from destinations.runtime.plugins import find_plugin
from destinations.runtime.subscription_key import SubscriptionKey

Bind = Callable[..., Destination]
Documents = dict[str, Any]

TRACK: dict[str, Any] = {
    "type": "track",
    "event": "Used",
    "userId": "u",
    "messageId": "m",
    "properties": {"by": 1, "thing": "t"},
}
COUNTS = SubscriptionKey("Counts", "count")
TWICE = SubscriptionKey("Counts too", "count")


def _json(event: object) -> bytes:
    return json.dumps(event).encode()


def _found(made: Plan) -> list[tuple[SubscriptionKey | None, object]]:
    """Each delivery's key, and its payload or outcome."""
    for one in made.deliveries:
        assert (one.payload is None) is (one.result is not None)
    return [
        (one.key, one.payload if one.result is None else one.result.outcome)
        for one in made.deliveries
    ]


def _twice(documents: Documents) -> None:
    second = {
        "name": "Counts too",
        "partnerAction": "count",
        "subscribe": 'type = "track" and properties.more = true',
        "mapping": {"by": 5, "thing": {"@path": "$.properties.other"}},
    }
    documents["destination"]["presets"].append(second)


@pytest.mark.parametrize(
    ("properties", "only", "found"),
    [
        ({"by": 1, "thing": "t"}, None, [(COUNTS, {"by": 1, "thing": "t"})]),
        ({"by": 1}, None, [(COUNTS, Outcome.UNMAPPED)]),
        ({"by": "x", "thing": "t"}, None, [(COUNTS, Outcome.INVALID)]),
        (
            {"by": 1, "thing": "t", "more": True, "other": "o"},
            None,
            [(COUNTS, {"by": 1, "thing": "t"}), (TWICE, {"by": 5, "thing": "o"})],
        ),
        (
            {"by": 1, "thing": "t", "more": True},
            None,
            [(COUNTS, {"by": 1, "thing": "t"}), (TWICE, Outcome.UNMAPPED)],
        ),
        (
            {"by": 1.5, "thing": "t", "more": True, "other": "o"},
            TWICE,
            [(TWICE, {"by": 5, "thing": "o"})],
        ),
        ({"by": 1, "thing": "t"}, TWICE, [(None, Outcome.FILTERED)]),
        ({"by": 1, "thing": "t"}, SubscriptionKey("Gone", "count"), [(None, Outcome.FILTERED)]),
    ],
)
def test_an_event_has_a_delivery_for_each_subscription(
    bind: Bind,
    properties: dict[str, Any],
    only: SubscriptionKey | None,
    found: list[tuple[SubscriptionKey | None, object]],
) -> None:
    """A payload or an end of its own, in their order, or that of the one that was asked for."""
    raw = _json({**TRACK, "properties": properties})
    made = plan(bind(_twice), raw, only=only)
    assert _found(made) == found
    assert (made.raw, made.refusal) == (raw, None)
    assert (made.message_id, made.type, made.user) == ("m", "track", "u")


@pytest.mark.parametrize(
    ("raw", "code", "reason"),
    [
        (b"", "NOT_JSON", "is not JSON: "),
        (b"{", "NOT_JSON", "is not JSON: it ends within an object at column 1"),
        (b"[nope]", "NOT_JSON", "is not JSON: expected true, false or null, or a text in quo"),
        (b"\xff", "NOT_JSON", "is not JSON: "),
        (b"[]", "NOT_OBJECT", "must be a JSON object, not an array"),
        (b'{"a":1,"a":1}', "NOT_JSON", "is not JSON: Detected duplicate key"),
        (_json({**TRACK, "type": "push"}), "TYPE_INVALID", "type must be one of "),
        (_json({**TRACK, "event": ""}), "EVENT_NOT_DEFINED", "a track call needs an event name"),
        (_json({**TRACK, "userId": 5}), "ID_NOT_STRING", "userId must be text, not a number"),
        (_json({**TRACK, "userId": ""}), "NO_USER_ANON_ID", "has neither a userId nor"),
        (b" " * (32 * 1024 + 1), "TOO_LARGE", "is 32,769 bytes, more than 32,768"),
    ],
)
def test_what_is_no_event(bind: Bind, raw: bytes, code: str, reason: str) -> None:
    """It is refused as a whole, has nothing that it could be recognised by, and one invalid end."""
    made = plan(bind(), raw)
    assert _found(made) == [(None, Outcome.INVALID)]
    assert made.refusal is made.deliveries[0].result
    assert made.refusal is not None
    assert (made.refusal.code, made.refusal.status) == (code, 400)
    assert made.refusal.reason.startswith(reason)
    assert (made.raw, made.event) == (raw, None)
    assert (made.message_id, made.type, made.user) == ("", "", "")


@pytest.mark.parametrize(
    ("changes", "outcome", "user"),
    [
        ({"userId": None, "anonymousId": "a"}, Outcome.INVALID, "a"),
        ({"integrations": {"All": False}}, Outcome.FILTERED, "u"),
    ],
)
@pytest.mark.parametrize("only", [None, COUNTS])
def test_an_event_that_may_not_come_in(
    bind: Bind, *, changes: dict[str, Any], outcome: Outcome, user: str, only: Any
) -> None:
    """Its one end is of no subscription; what the destination asks of every event refuses it."""
    made = plan(bind(), _json({**TRACK, **changes}), only=only)
    assert _found(made) == [(None, outcome)]
    assert made.event == {**TRACK, **changes}
    assert (made.message_id, made.type, made.user) == ("m", "track", user)
    refused = outcome is Outcome.INVALID
    assert made.refusal == (made.deliveries[0].result if refused else None)


def test_an_event_that_nothing_takes(bind: Bind) -> None:
    """It is filtered, not refused."""
    made = plan(bind(), _json({"type": "screen", "userId": "u", "name": "s"}))
    assert _found(made) == [(None, Outcome.FILTERED)]
    assert (made.refusal, made.message_id) == (None, "")


def test_ids_that_are_not_there(bind: Bind) -> None:
    """An event is known by its anonymousId where it has no userId; no messageId is an empty one."""

    def change(documents: Documents) -> None:
        del documents["destination"]["events"]

    event = {"type": "page", "anonymousId": "a", "userId": None, "messageId": None}
    made = plan(bind(change), _json(event))
    assert (made.message_id, made.type, made.user) == ("", "page", "a")


def _with_mapper(documents: Documents) -> None:
    documents["count"]["unmapped"]["mapper"] = "rules"


def test_a_fault_of_a_mapper_is_an_end(bind: Bind) -> None:
    """Code of a plugin that fails ends its delivery as dead, and no other."""

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    raw = _json({**TRACK, "properties": {"by": 1}})
    made = plan(bind(_with_mapper, mappers={"rules": broken}), raw)
    assert _found(made) == [(COUNTS, Outcome.DEAD)]


def test_a_mapping_that_cannot_be_resolved_is_an_end(bind: Bind) -> None:
    """What a directive refuses makes the delivery invalid."""

    def change(documents: Documents) -> None:
        fields = documents["count"]["fields"]["properties"]
        fields["thing"]["default"] = {"@path": {"@path": "$.properties.by"}}

    assert _found(plan(bind(change), _json(TRACK))) == [(COUNTS, Outcome.INVALID)]


@pytest.fixture(scope="module")
def kana() -> Destination:
    """A destination with mappings of all kinds."""
    definition = load_definition(find_folder("kana"))
    plugin = find_plugin("kana")
    assert plugin is not None
    document = Document("settings", {"apiKey": "kana_test_0123456789abcdef"}, {})
    return Destination(definition, check_settings(definition, document), plugin.code(None))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        *("type", "event", "userId", "anonymousId", "messageId", "groupId", "previousId"),
        *("properties", "traits", "context", "integrations", "timestamp", "name"),
    ]
)
OBJECTS = st.dictionaries(
    st.sampled_from(["featureId", "delta", "email", "name", "planId", "All", "Kana"]) | st.text(),
    VALUES,
    max_size=5,
)
EVENTS = st.builds(
    lambda kind, more: {"type": kind, "event": "Used", "userId": "u", **more},
    st.sampled_from(["identify", "track", "page", "screen", "group", "alias"]),
    st.dictionaries(NAMES, VALUES | OBJECTS, max_size=6),
)


def _is_whole(made: Plan) -> bool:
    return bool(made.deliveries) and all(
        isinstance(one.payload, dict) if one.result is None else isinstance(one.result, Result)
        for one in made.deliveries
    )


@given(raw=st.binary() | st.text().map(str.encode) | VALUES.map(_json))
def test_no_bytes_make_it_raise(kana: Destination, raw: bytes) -> None:
    """Whatever a line holds, there is at least one delivery, with a payload or a result."""
    assert _is_whole(plan(kana, raw))


@given(event=EVENTS)
def test_no_event_makes_it_raise(kana: Destination, event: dict[str, Any]) -> None:
    """Whatever the values of an event are, each of its deliveries has a payload or a result."""
    assert _is_whole(plan(kana, _json(event)))


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
@pytest.mark.parametrize("depth", [150, 190, 200, 250, 5000])
def test_no_depth_makes_it_raise(kana: Destination, opening: bytes, depth: int) -> None:
    """An event that is nested as deeply as can be read, or deeper, is planned as any other."""
    closing = {b"[": b"]", b'{"a":': b"}"}[opening]
    deep = opening * depth + b"1" + closing * depth
    raw = _json({**TRACK, "properties": {"x": 0}}).replace(b'"x": 0', b'"featureId": %s' % deep)
    assert _is_whole(plan(kana, raw))


def _timed(documents: Documents) -> None:
    (preset,) = [one for one in documents["destination"]["presets"] if one["name"] == "Counts"]
    preset["mapping"] = {"by": 1, "thing": {"@path": "$.timestamp"}}


@pytest.mark.parametrize(
    ("times", "thing"),
    [
        ({}, "1970-01-01T00:16:40.250Z"),
        ({"timestamp": ""}, "1970-01-01T00:16:40.250Z"),
        ({"timestamp": None, "receivedAt": "R"}, "R"),
        ({"originalTimestamp": "O", "receivedAt": "R"}, "O"),
        ({"timestamp": "T", "originalTimestamp": "O", "receivedAt": "R"}, "T"),
    ],
)
def test_when_an_event_happened(bind: Bind, times: dict[str, Any], thing: str) -> None:
    """However often it is planned: when it was received first, if it does not say itself."""
    destination, raw = bind(_timed), _json({**TRACK, **times})
    for _ in range(2):
        made = plan(destination, raw, received_at=1000.25)
        assert _found(made) == [(COUNTS, {"by": 1, "thing": thing})]
        assert made.event == {**TRACK, **times}
        assert made.raw == raw


HALF = r"\ud83d"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (r"a\ud83d", r"a\ufffd"),
        (r"\ude00a", r"\ufffda"),
        (r"\uD83Da\uDE00", r"\ufffda\ufffd"),
        (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
        (r"\ud83d\ude00", None),
        (r"\\ud83d", None),
        (r"\\\ud83d", r"\\\ufffd"),
    ],
)
@pytest.mark.parametrize("place", ["a value", "a key"])
def test_half_a_character(bind: Bind, text: str, kept: str | None, place: str) -> None:
    """What is kept of an event can be read by everybody, and is as it came but for halves."""
    member = f'"{text}":1' if place == "a key" else f'"k":"{text}"'
    raw = (_json(TRACK)[:-1] + b', "context":{%s}}' % member.encode()).replace(b", ", b",")
    made = plan(bind(), raw)
    assert _found(made) == [(COUNTS, {"by": 1, "thing": "t"})]
    assert made.raw == (raw if kept is None else raw.replace(text.encode(), kept.encode()))
    assert json.loads(made.raw) == made.event


@pytest.mark.parametrize("key", ["userId", "anonymousId", "messageId", "groupId", "previousId"])
def test_half_a_character_in_an_id(bind: Bind, key: str) -> None:
    """Of two ids one would be made."""
    raw = _json({**TRACK, key: "?"}).replace(b"?", HALF.encode())
    refusal = plan(bind(), raw).refusal
    assert refusal is not None
    assert refusal.reason == f"{key} holds half a character (a lone surrogate)"


def test_two_keys_that_become_one(bind: Bind) -> None:
    """Both stay, and none wins; two that are equal as they came are refused."""
    raw = _json(TRACK)[:-1] + rb', "context": {"\ud83d": 1, "\ud83e": 2}}'
    made = plan(bind(), raw)
    assert made.refusal is None
    assert made.event is not None
    assert list(made.event["context"].values()) == [1, 2]
    refusal = plan(bind(), raw.replace(b"ud83e", b"ud83d")).refusal
    assert refusal is not None
    assert refusal.code == "NOT_JSON"


def test_other_events_are_refused_as_ever(bind: Bind) -> None:
    """A half does not hide what else is wrong."""
    for raw, code in [
        (rb'{"type": "track", "a": "\ud83d"', "NOT_JSON"),
        (rb'{"type": "track", "a": "\ud83d"}', "NO_USER_ANON_ID"),
        (rb'{"type": "nope", "a": "\ud83d"}', "TYPE_INVALID"),
        (rb'["\ud83d"]', "NOT_OBJECT"),
        (b'{"a": "\xff"}', "NOT_JSON"),
    ]:
        refusal = plan(bind(), raw).refusal
        assert refusal is not None
        assert refusal.code == code
