"""List the checks of an endpoint: the requests of each, and the answers that are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from destinations.http.answer import HttpRequest
from destinations.kit.portal.expected import Expected, Judgement, Verdict
from destinations.kit.portal.samples import CALLS, Samples, encoded_settings

__all__ = ["CHECKS", "Check"]

Requests = Mapping[str, HttpRequest]
"""Requests in their order, by what distinguishes them; a single one has an empty name."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: the requests that are sent, in this order, and what is expected of the answers.

    ``sent`` says in a few words what is sent. ``needs`` is what has to be known before: nothing,
    the customer's key, or also a call that the endpoint accepts. ``judged`` are the answers that
    are judged: each of them, or only the last one, for which the others prepare; with ``last of
    accepted`` these must have been accepted. With ``one_connection``, all requests use the same
    one. ``with_settings`` is expected instead if the endpoint takes settings.
    """

    name: str
    sent: str
    expected: Expected
    requests: Callable[[Samples], Requests]
    needs: Literal["nothing", "key", "call"] = "call"
    judged: Literal["each", "last", "last of accepted"] = "each"
    one_connection: bool = False
    with_settings: Expected | None = None


def _one(make: Callable[[Samples], HttpRequest]) -> Callable[[Samples], Requests]:
    """Return a check's only request."""
    return lambda samples: {"": make(samples)}


def _again(samples: Samples) -> Requests:
    event = samples.event()
    return {"first": samples.post(event), "again": samples.post(event)}


def _corrected(samples: Samples) -> Requests:
    event = samples.event()
    changed = {**event, "context": {**event["context"], "locale": "en-GB"}}
    if "event" in event:
        changed["event"] = "Portal Check Corrected"
    return {"first": samples.post(event), "corrected": samples.post(changed)}


def _other_case(samples: Samples) -> Requests:
    names = {"userid": "userId", "UserId": "userId", "messageID": "messageId"}
    found = {}
    for name, right in names.items():
        event = samples.event(anonymousId=None)
        event[name] = event.pop(right)
        found[name] = samples.post(event)
    return found


def _note(text: str) -> Judgement:
    return Judgement(Verdict.NOTE, text)


def _fault(text: str) -> Judgement:
    return Judgement(Verdict.FAULT, text)


_FOR_ANYBODY: Final = _fault("It was accepted, so events of anybody are.")
_LOST: Final = _fault("It was accepted, so the event is lost without a word.")
_UNSEEN: Final = _note("Look into the account: it must have one event of this messageId, not two.")
_CLOSED: Final = _note(
    "The connection ended without an answer, which Segment cannot distinguish from an outage."
)

_CALL: Final = Expected(
    (501,), why="Customers send all six calls; the answer to one that is not supported is 501."
)
_WRONG_KEY: Final = "A customer whose key is wrong would not learn of it."
_UNUSABLE: Final = Expected(
    (400,), _LOST, why="What can never be used must not come again and again."
)
_SETTINGS_IGNORED: Final = Expected(
    (400,),
    _note("The header was ignored, which is right if the destination has no settings."),
    why="What can never be used must not come again and again.",
)
_SETTINGS_NEEDED: Final = Expected(
    (400,),
    _fault("The header was ignored, so events may be delivered with wrong settings."),
    why="What can never be used must not come again and again.",
)

CHECKS: Final = (
    *(
        Check(
            call,
            f"{'an' if call[0] in 'aeiou' else 'a'} {call} call",
            _CALL,
            _one(lambda samples, call=call: samples.post(samples.event(call))),  # type: ignore[misc]
            needs="key",
        )
        for call in CALLS
    ),
    Check(
        "delete",
        "a request to delete a user",
        Expected((501,), why="Segment asks partners to delete the data of a person who wants it."),
        _one(lambda samples: samples.post(samples.event("delete"))),
        needs="key",
    ),
    Check(
        "anonymous",
        "a call without userId",
        Expected((400,), why="Visitors of a website have no userId before they sign in."),
        _one(lambda samples: samples.post(samples.event(userId=None))),
    ),
    Check(
        "vendor-type",
        "Segment's own Content-Type",
        Expected(why="Segment may send its events as application/vnd.segment+json."),
        _one(lambda samples: samples.with_vendor_type(samples.event())),
    ),
    Check(
        "no-key",
        "no Authorization",
        Expected((400, 401), _FOR_ANYBODY, why=_WRONG_KEY),
        _one(lambda samples: samples.post(samples.event(), Authorization=None)),
        needs="nothing",
    ),
    Check(
        "wrong-key",
        "another key of this form",
        Expected((401, 403), _FOR_ANYBODY, why=_WRONG_KEY),
        _one(lambda samples: samples.with_wrong_key(samples.event())),
        needs="nothing",
    ),
    Check(
        "malformed-key",
        "an unreadable Authorization",
        Expected((400, 401), _FOR_ANYBODY, why=_WRONG_KEY),
        lambda samples: {
            "text instead of Base64": samples.post(samples.event(), Authorization="Basic %%%"),
            "an empty key": samples.post(samples.event(), Authorization="Basic Og=="),
            "no value": samples.post(samples.event(), Authorization="Basic"),
        },
        needs="nothing",
    ),
    Check(
        "key-in-url",
        "the key in the URL alone",
        Expected(
            (400, 401),
            _fault("It was accepted; URLs are written to logs, and keys with them."),
            needs_message=False,
        ),
        _one(lambda samples: samples.with_key_in_url(samples.event())),
    ),
    Check(
        "get",
        "GET instead of POST",
        Expected(
            (404, 405, 501),
            _fault("The answer reads as if an event had been accepted."),
            needs_message=False,
        ),
        _one(Samples.get),
        needs="key",
    ),
    Check(
        "cut-json",
        "JSON that ends too early",
        _UNUSABLE,
        _one(lambda samples: samples.post(b'{"type": "track", "userId": ')),
        needs="key",
    ),
    Check(
        "no-object",
        "JSON other than an object",
        _UNUSABLE,
        lambda samples: {
            "a text": samples.post("portal-check"),
            "a number": samples.post(42),
            "null": samples.post(None),
        },
        needs="key",
    ),
    Check(
        "empty-body",
        "an empty body",
        _UNUSABLE,
        _one(lambda samples: samples.post(b"")),
        needs="key",
    ),
    Check(
        "no-type",
        "an event without type",
        _UNUSABLE,
        _one(lambda samples: samples.post(samples.event(type=None))),
        needs="key",
    ),
    Check(
        "unknown-type",
        "an event of an unknown type",
        replace(_UNUSABLE, errors=(400, 501)),
        _one(lambda samples: samples.post(samples.event("portal-check"))),
        needs="key",
    ),
    Check(
        "large-event",
        "an event of 40 KiB",
        Expected((400, 413), why="What is too large must not come again and again."),
        _one(lambda samples: samples.post(samples.larger())),
    ),
    Check(
        "huge-body",
        "an event of 2 MiB",
        Expected(
            (400, 413),
            _note("It was accepted; Segment's events have at most 32 KiB. Check for a limit."),
            needs_message=False,
            endings={"broken": _CLOSED, "unreachable": _CLOSED},
            why="What is too large must not come again and again.",
        ),
        _one(lambda samples: samples.post(samples.huge())),
    ),
    Check(
        "settings",
        "X-Segment-Settings",
        Expected(why="Segment sends the settings of a destination with each of its events."),
        _one(
            lambda samples: (
                samples.post(samples.event())
                if samples.has_settings
                else samples.with_settings(samples.event(), encoded_settings({}))
            )
        ),
    ),
    Check(
        "settings-text",
        "settings not in Base64",
        _SETTINGS_IGNORED,
        _one(lambda samples: samples.with_settings(samples.event(), "%%%")),
        with_settings=_SETTINGS_NEEDED,
    ),
    Check(
        "settings-list",
        "settings other than object",
        _SETTINGS_IGNORED,
        _one(lambda samples: samples.with_settings(samples.event(), encoded_settings([1]))),
        with_settings=_SETTINGS_NEEDED,
    ),
    Check(
        "keep-alive",
        "two calls on one connection",
        Expected(
            endings={
                "announced": _note(
                    "The connection ends after each answer, so each event needs a new one."
                )
            },
            why="Segment keeps connections open, and repeats an event whose connection ends.",
        ),
        lambda samples: {
            "first": samples.post(samples.event()),
            "second": samples.post(samples.event()),
        },
        judged="last of accepted",
        one_connection=True,
    ),
    Check(
        "after-error",
        "a call after a refused body",
        Expected(
            endings={"announced": Judgement(Verdict.OK)},
            why="A refused event must not cost the next one: keep the connection open, or answer "
            "with Connection: close.",
        ),
        lambda samples: {
            "refused": samples.post(b'{"type": '),
            "next": samples.post(samples.event()),
        },
        judged="last",
        one_connection=True,
    ),
    Check(
        "repeat",
        "the same event twice",
        Expected(success=_UNSEEN, why="Segment repeats an event if the answer to it was lost."),
        _again,
        judged="last of accepted",
    ),
    Check(
        "correction",
        "the same id, other content",
        Expected(
            (400, 409), _UNSEEN, why="What is refused for good must not come again and again."
        ),
        _corrected,
        judged="last of accepted",
    ),
    Check(
        "field-case",
        "userid, UserId, messageID",
        Expected(
            (400,),
            _note("Look into the account whether this field was read."),
            why="Customers write names of fields in any case.",
        ),
        _other_case,
    ),
)
"""Every check, in the order in which they are made."""
