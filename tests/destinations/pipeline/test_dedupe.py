"""An event that comes again is recognised by its content, and told from another one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.dedupe import Verdict, conflict, fingerprint, fingerprints, recognise
from destinations.pipeline.places import Place
from destinations.pipeline.queue import History, Past

EVENT = {"type": "track", "userId": "u", "properties": {"a": 1, "b": [1, 2]}}


@pytest.mark.parametrize(
    "same",
    [
        {"properties": {"b": [1, 2], "a": 1}, "userId": "u", "type": "track"},
        {**EVENT, "sentAt": "2026-01-01T00:00:00Z"},
        {**EVENT, "receivedAt": "2026-01-01T00:00:00Z", "writeKey": "x"},
        {**EVENT, "properties": {"a": 1.0, "b": [1.0, 2.0]}},
        json.loads('{"type":"track","userId":"u","properties":{"a":1e0,"b":[10e-1,0.2e1]}}'),
    ],
)
def test_the_same_content(same: dict[str, Any]) -> None:
    """The order of keys makes no difference, nor what a sender adds anew each time."""
    assert fingerprint(same) == fingerprint(EVENT)


@pytest.mark.parametrize(
    "other",
    [
        {**EVENT, "userId": "v"},
        {**EVENT, "properties": {"a": 1, "b": [2, 1]}},
        {**EVENT, "properties": {"a": "1", "b": [1, 2]}},
        {**EVENT, "properties": {"a": 1.5, "b": [1, 2]}},
        {**EVENT, "properties": {"a": 10.0, "b": [1, 2]}},
        {**EVENT, "properties": {"a": True, "b": [1, 2]}},
        {**EVENT, "properties": {"a": 1, "b": [1, 2], "sentAt": 1}},
        {**EVENT, "timestamp": "2026-01-01T00:00:00Z"},
        {},
    ],
)
def test_another_content(other: dict[str, Any]) -> None:
    """Anything else makes another content; none of them is 0, which stands for not known."""
    assert fingerprint(other) != fingerprint(EVENT)
    assert 0 < fingerprint(other) < 2**48


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ('{"a":0}', '{"a":-0.0}'),
        ('{"a":[-5,{"b":20}]}', '{"a":[-5.0,{"b":20.0}]}'),
        ('{"a":-10,"b":"1.0,"}', '{"a":-10.0,"b":"1.0,"}'),
    ],
)
def test_whole_numbers(text: str, other: str) -> None:
    """They are one value however they are written; what an earlier version noted is known, too."""
    assert fingerprints(json.loads(text)) == (fingerprint(json.loads(other)), 0)
    former = fingerprints(json.loads(other))[1]
    encoded = msgspec.json.encode(json.loads(other), order="sorted")
    assert former == int.from_bytes(hashlib.blake2b(encoded, digest_size=6).digest())


@pytest.mark.parametrize(
    "text", ['{"a":"5.0,"}', r'{"a":"\"5.0,"}', r'{"a":"\\","b":"5.0]"}', '{"5.0,":"-0.0}"}']
)
def test_texts_with_numbers_in_them(text: str) -> None:
    """They are what they are, and have no other fingerprint than before."""
    event = json.loads(text)
    encoded = msgspec.json.encode(event, order="sorted")
    digest = int.from_bytes(hashlib.blake2b(encoded, digest_size=6).digest())
    assert fingerprints(event) == (digest, 0)


@pytest.mark.parametrize(
    ("noted", "verdict"), [(7, Verdict.SAME), (6, Verdict.SAME), (5, Verdict.CONFLICT)]
)
def test_the_fingerprint_of_an_earlier_version(noted: int, verdict: Verdict) -> None:
    """An event that was noted with it comes again, and is no other one."""
    history = _history((State.DONE, Effect.APPLIED), fingerprint=noted)
    assert recognise(history, 7, 6) is verdict
    other = _history((State.DONE, Effect.APPLIED))
    assert recognise(other, 5, 8) is Verdict.REFUSED
    assert recognise(other, 5, 9) is Verdict.REPLACED


def _history(*pasts: tuple[State, Effect], fingerprint: int = 7) -> History:
    deliveries: Any = {
        index: Past(index, index, state, Outcome.DEAD if state is State.DONE else None, effect)
        for index, (state, effect) in enumerate(pasts)
    }
    return History(1, fingerprint, deliveries, {8: True, 9: False}, len(pasts))


@pytest.mark.parametrize(
    ("history", "found", "verdict"),
    [
        (None, 7, Verdict.NEW),
        (_history((State.DONE, Effect.APPLIED)), 7, Verdict.SAME),
        (_history((State.READY, Effect.NONE)), 7, Verdict.SAME),
        # Of an earlier version, or what could not be read: not known, so the same.
        (_history((State.DONE, Effect.APPLIED), fingerprint=0), 5, Verdict.SAME),
        (_history((State.DONE, Effect.APPLIED)), 0, Verdict.SAME),
        (_history((State.DONE, Effect.APPLIED)), 8, Verdict.REFUSED),
        (_history((State.READY, Effect.NONE)), 8, Verdict.REFUSED),
        (_history(), 8, Verdict.REFUSED),
        (_history((State.DONE, Effect.NONE)), 8, Verdict.CORRECTION),
        (_history((State.DONE, Effect.APPLIED)), 9, Verdict.REPLACED),
        (_history((State.DONE, Effect.NONE)), 5, Verdict.CORRECTION),
        (_history((State.DONE, Effect.NONE), (State.DONE, Effect.NONE)), 5, Verdict.CORRECTION),
        (_history((State.DONE, Effect.NONE), (State.DONE, Effect.MAYBE)), 5, Verdict.CONFLICT),
        (_history((State.DONE, Effect.NONE), (State.READY, Effect.NONE)), 5, Verdict.CONFLICT),
        (_history((State.HELD, Effect.MAYBE)), 5, Verdict.CONFLICT),
        (_history(), 5, Verdict.CONFLICT),
    ],
)
def test_what_an_event_is(history: History | None, found: int, verdict: Verdict) -> None:
    """It follows from what became of the events that had its messageId before."""
    assert recognise(history, found) is verdict


_WAITS = "waits to be sent; drop it first if that content is wrong"


@pytest.mark.parametrize(
    ("pasts", "line", "named", "has"),
    [
        ([(State.HELD, Effect.MAYBE)], 0, "another event", "may have an effect"),
        ([(State.HELD, Effect.MAYBE)], 3, "the event of line 3", "may have an effect"),
        (
            [(State.DONE, Effect.NONE), (State.HELD, Effect.MAYBE)],
            0,
            "delivery 1",
            "may have an effect",
        ),
        ([(State.DONE, Effect.NONE), (State.READY, Effect.NONE)], 0, "delivery 1", _WAITS),
        (
            [(State.READY, Effect.NONE), (State.HELD, Effect.MAYBE), (State.DONE, Effect.APPLIED)],
            7,
            "delivery 2 (line 7)",
            "has an effect",
        ),
        ([], 0, "another event", "may have an effect"),
    ],
)
def test_a_conflict_says_with_what(
    pasts: list[tuple[State, Effect]], line: int, named: str, has: str
) -> None:
    """The result names the delivery that is in the way, if it has an id, and is Segment's 409."""
    result = conflict(_history(*pasts), Place("", line) if line else None)
    assert (result.outcome, result.code, result.status) == (Outcome.REJECTED, "CONFLICT", 409)
    assert result.reason == (f"{named} has the same messageId and different content, and {has}")
