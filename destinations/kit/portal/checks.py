"""List the checks of an endpoint: the requests of each, and the answers that are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
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

    ``sent`` says in a few words what is sent, ``why`` in a sentence what a wrong answer costs.
    ``needs`` is what has to be known before: nothing, the customer's key, or also a call that the
    endpoint accepts. ``judged`` are the answers that are judged: each of them, or only the last
    one, for which the others prepare; with ``last of accepted`` these must have been accepted.
    All requests use one connection if there is ``one_connection``. ``with_settings`` is expected
    instead if the endpoint takes settings.
    """

    name: str
    sent: str
    expected: Expected
    why: str
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


_ACCEPTED: Final = Expected()
_REFUSED: Final = Expected((400,), success=None)
_NO_LIMIT: Final = Judgement(
    Verdict.NOTE,
    "It was accepted; Segment's events have at most 32 KiB. Check that there is a limit.",
)
_UNSEEN: Final = Judgement(
    Verdict.NOTE, "Look into the account: it must have one event of this messageId, not two."
)
_CLOSED: Final = Judgement(
    Verdict.NOTE,
    "The connection ended without an answer, which Segment cannot distinguish from an outage.",
)
_IGNORED: Final = Judgement(
    Verdict.NOTE, "The header was ignored, which is right if the destination has no settings."
)

_UNSUPPORTED: Final = (
    "Customers send all six calls; the answer to one that is not supported is 501."
)

CHECKS: Final = (
    *(
        Check(
            call,
            f"{'an' if call[0] in 'aeiou' else 'a'} {call} call",
            Expected((501,)),
            _UNSUPPORTED,
            _one(lambda samples, call=call: samples.post(samples.event(call))),  # type: ignore[misc]
            needs="key",
        )
        for call in CALLS
    ),
    Check(
        "delete",
        "a request to delete a user",
        Expected((501,)),
        "Segment asks partners to delete the data of a person who wants that.",
        _one(lambda samples: samples.post(samples.event("delete"))),
        needs="key",
    ),
    Check(
        "anonymous",
        "a call without userId",
        Expected((400,)),
        "Most events of websites come before their user is known.",
        _one(lambda samples: samples.post(samples.event(userId=None))),
    ),
    Check(
        "vendor-type",
        "Segment's own Content-Type",
        _ACCEPTED,
        "Segment may send its events as application/vnd.segment+json.",
        _one(lambda samples: samples.with_vendor_type(samples.event())),
    ),
    Check(
        "no-key",
        "no Authorization",
        Expected((400, 401), success=None),
        "Events of anybody would be accepted.",
        _one(lambda samples: samples.post(samples.event(), Authorization=None)),
        needs="nothing",
    ),
    Check(
        "wrong-key",
        "another key of this form",
        Expected((401, 403), success=None),
        "Events of anybody would be accepted, or a customer would not learn that the key is wrong.",
        _one(lambda samples: samples.with_wrong_key(samples.event())),
        needs="nothing",
    ),
    Check(
        "malformed-key",
        "an unreadable Authorization",
        Expected((400, 401), success=None),
        "Events of anybody would be accepted, or a faulty request would stop others.",
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
        Expected((400, 401), success=None, needs_message=False),
        "URLs are written to logs, and keys with them.",
        _one(lambda samples: samples.with_key_in_url(samples.event())),
    ),
    Check(
        "get",
        "GET instead of POST",
        Expected((404, 405, 501), success=None, needs_message=False),
        "Segment posts events; a success of GET looks as if one were accepted.",
        _one(Samples.get),
        needs="key",
    ),
    Check(
        "cut-json",
        "JSON that ends too early",
        _REFUSED,
        "A body that can never be read must not come again and again.",
        _one(lambda samples: samples.post(b'{"type": "track", "userId": ')),
        needs="key",
    ),
    Check(
        "no-object",
        "JSON other than an object",
        _REFUSED,
        "A body that can never be read must not come again and again.",
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
        _REFUSED,
        "A body that can never be read must not come again and again.",
        _one(lambda samples: samples.post(b"")),
        needs="key",
    ),
    Check(
        "no-type",
        "an event without type",
        _REFUSED,
        "An event that is accepted and means nothing is lost without a word.",
        _one(lambda samples: samples.post(samples.event(type=None))),
        needs="key",
    ),
    Check(
        "unknown-type",
        "an event of an unknown type",
        Expected((400, 501), success=None),
        "An event that is accepted and means nothing is lost without a word.",
        _one(lambda samples: samples.post(samples.event("portal-check"))),
        needs="key",
    ),
    Check(
        "large-event",
        "an event of 40 KiB",
        Expected((400, 413)),
        "An event that is too large must not come again and again.",
        _one(lambda samples: samples.post(samples.larger())),
    ),
    Check(
        "huge-body",
        "an event of 2 MiB",
        Expected(
            (400, 413),
            success=_NO_LIMIT,
            needs_message=False,
            endings={"broken": _CLOSED, "unreachable": _CLOSED},
        ),
        "Without a limit, a few requests fill the memory.",
        _one(lambda samples: samples.post(samples.huge())),
    ),
    Check(
        "settings",
        "X-Segment-Settings",
        _ACCEPTED,
        "Segment sends the settings of a destination with each of its events.",
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
        Expected((400,), success=_IGNORED),
        "Without its settings, an event may be delivered in a wrong way.",
        _one(lambda samples: samples.with_settings(samples.event(), "%%%")),
        with_settings=_REFUSED,
    ),
    Check(
        "settings-list",
        "settings other than object",
        Expected((400,), success=_IGNORED),
        "Without its settings, an event may be delivered in a wrong way.",
        _one(lambda samples: samples.with_settings(samples.event(), encoded_settings([1]))),
        with_settings=_REFUSED,
    ),
    Check(
        "keep-alive",
        "two calls on one connection",
        Expected(
            endings=MappingProxyType(
                {
                    "announced": Judgement(
                        Verdict.NOTE,
                        "The connection ends after each answer, so each event needs a new one.",
                    )
                }
            )
        ),
        "Segment keeps connections open; an event on one that ends unannounced gets no answer.",
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
        Expected(endings=MappingProxyType({"announced": Judgement(Verdict.OK)})),
        "A refused event must not cost the next one: the connection stays open, or the answer "
        "says Connection: close.",
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
        Expected(success=_UNSEEN),
        "Segment repeats an event if the answer to it was lost.",
        _again,
        judged="last of accepted",
    ),
    Check(
        "correction",
        "the same id, other content",
        Expected((400, 409), success=_UNSEEN),
        "An event that is refused for good must not come again and again.",
        _corrected,
        judged="last of accepted",
    ),
    Check(
        "field-case",
        "userid, UserId, messageID",
        Expected((400,)),
        "Customers write names of fields in any case.",
        _other_case,
    ),
)
"""Every check, in the order in which they are made."""
