"""What events hold, all the way to Kana: over HTTP through a server, and from a file through a run.

Each case gives the same either way: what is charged, which users there are, and what is refused.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import requests

from destinations import Entry, HttpTransport, Run
from destinations.definition import Preset
from destinations.operations import open_run_store
from destinations.runtime.account_identity import identity_of
from destinations.store import SqliteStore
from tests.case_tables import each_value

BIG = 9007199254740993
SEED: dict[str, Any] = {
    "users": [{"id": "u1", "name": "One", "email": "one@example.com", "billingId": "cus_1"}],
    "features": [
        {"id": feature, "name": feature, "type": "CONSUMABLE"}
        for feature in ("calls", "seats", str(BIG), str(BIG - 1), "1", "true", "half \ufffd")
    ],
}
Way = Callable[..., "Came"]


class Came:
    """What became of events, by messageId, and the answer to their body over HTTP."""

    def __init__(self, found: Mapping[str, Any], answer: Any = None, status: int = 0) -> None:
        self._found = found
        self.answer = answer
        self.status = status

    def outcome(self, message_id: str) -> str:
        """Tell what became of one event; ``refused`` if it has no row."""
        return str(self._found[message_id][0]) if message_id in self._found else "refused"

    def reason(self, index: int, message_id: str = "") -> str:
        """Tell why an event was not delivered, by the answer or by its row."""
        rejected = {one["index"]: one["message"] for one in (self.answer or {}).get("rejected", ())}
        return str(rejected.get(index) or self._found.get(message_id, ("", ""))[1])


def _body(events: Sequence[Any], around: str) -> bytes:
    raw = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    joined = b",".join(raw)
    return {
        "one": joined,
        "array": b"[" + joined + b"]",
        "batch": b'{"batch": [' + joined + b"]}",
    }[around]


class Served:
    """A server in front of a sandbox of Kana, behind a real port."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def post(self, *events: Any, around: str = "batch") -> requests.Response:
        """Post a body of events."""
        answer: requests.Response = self.server.post(_body(events, around))
        return answer

    def came(self, *events: Any, around: str = "batch") -> Came:
        """Post a body, and return what became of its events once all have their outcome."""
        answer = self.post(*events, around=around)
        self.server.wait()
        found = {one.message_id: (one.status, one.reason) for one in self.server.entries}
        return Came(found, answer.json(), answer.status_code)


@pytest.fixture
def kana(make_kana: Callable[..., Any]) -> Any:
    """A sandbox with one user."""
    return make_kana(SEED)


@pytest.fixture
def served(kana: Any, serve_kana: Callable[..., Any]) -> Served:
    """A server that delivers to the sandbox."""
    return Served(serve_kana(kana.sandbox))


@pytest.fixture(params=["serve", "run"])
def way(request: pytest.FixtureRequest, kana: Any) -> Way:
    """Takes events to Kana, in one body or in one file."""
    if request.param == "serve":
        served: Served = request.getfixturevalue("served")
        return served.came

    def run(*events: Any) -> Came:
        kana.run(*events)
        read = [json.loads(one) if isinstance(one, bytes) else one for one in events]
        results = {event["messageId"]: kana.result(line) for line, event in enumerate(read, 1)}
        return Came({name: (one.outcome, one.reason) for name, one in results.items()})

    return run


def _track(message_id: str | None = "m", user: str = "u1", **properties: Any) -> dict[str, Any]:
    event = {"type": "track", "event": "Called", "userId": user, "properties": properties}
    return event if message_id is None else {**event, "messageId": message_id}


def _identify(message_id: str, user: str = "u1", **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "messageId": message_id, "traits": traits}


# -- amounts ----------------------------------------------------------------------------------

NO_AMOUNTS: list[Any] = [
    *(None, "", " ", "\t\n", "\u00a0", True, False, "0x10", "0b1", "0o7", "1e3", "5.0", "5.", ".5"),
    *(5.5, "1 000", "1,000", "1_000", "--1", "+", "-", "\u0661", "Infinity", "NaN", "null"),
    *([5], ["5"], [], {}, {"by": 1}, 1e300, 2**31, "9" * 400, "true", "undefined"),
]
AMOUNTS: list[tuple[Any, int]] = [
    *((5, 5), (5.0, 5), (-3, -3), (0, 0), (-0.0, 0), (1e3, 1000), (2**31 - 1, 2**31 - 1)),
    *(("5", 5), ("+5", 5), ("-5", -5), (" 5\n", 5), ("007", 7), ("0", 0), ("-0", 0)),
]


def test_what_is_no_amount_is_not_charged(kana: Any, way: Way) -> None:
    """Given it is a whole number or its digits; whatever else is there is invalid."""
    events = [
        _track(f"m{number}", featureId="calls", delta=delta)
        for number, delta in enumerate(NO_AMOUNTS)
    ]
    came = way(*events)
    outcomes = {repr(delta): came.outcome(f"m{at}") for at, delta in enumerate(NO_AMOUNTS)}
    assert set(outcomes.values()) == {"invalid"}, outcomes
    assert "/delta must be" in came.reason(0, "m0")
    assert kana.usage == {}


@pytest.mark.parametrize(("delta", "charged"), AMOUNTS, ids=repr)
def test_what_is_an_amount(kana: Any, delta: Any, charged: int) -> None:
    """It is charged as it was meant."""
    kana.run(_track(featureId="calls", delta=delta))
    assert kana.result(1).outcome == "delivered"
    assert kana.usage.get("u1", {}).get("calls", 0) == charged


def test_an_amount_that_is_absent_is_one(kana: Any, way: Way) -> None:
    """Of an event that says none, and of no other."""
    came = way(_track("a", featureId="calls"), _track("b", featureId="calls", other=None))
    assert [came.outcome(one) for one in "ab"] == ["delivered"] * 2
    assert kana.usage == {"u1": {"calls": 2}}


# -- identifiers ------------------------------------------------------------------------------


def test_whole_numbers_keep_their_digits(kana: Any, way: Way) -> None:
    """An id beyond 2^53 is not charged to its neighbour."""
    came = way(
        _track("a", featureId=BIG, delta=10),
        _track("b", featureId=BIG - 1, delta=3),
        _track("c", featureId=str(BIG), delta=100),
    )
    assert [came.outcome(one) for one in "abc"] == ["delivered"] * 3
    assert kana.usage == {"u1": {str(BIG): 110, str(BIG - 1): 3}}


PLACEHOLDERS = ["undefined", "null", "none", "nan", "true", "[object Object]"]
NO_IDS = [
    *(text for one in PLACEHOLDERS for text in dict.fromkeys([one, one.upper(), one.title()])),
    *("NaN", "nULL", "[object object]", " ", "\t", "\u00a0", "\u200b", "\ufeff", "\u3000 "),
    *(" u9", "u9 ", "\tu9", "u9\n", "\u00a0u9", "u9\u200b", "\ufeffu9", " undefined "),
]
IDS = ["0", "anonymous", "undefined1", "nullify", "nan@example.com", "a b", "object", "trueman"]


def test_a_text_that_is_nobody(kana: Any, way: Way) -> None:
    """It is refused with a reason, whatever the call is; no user is made of it, none is charged."""
    events = []
    for number, user in enumerate(NO_IDS):
        events += [
            _identify(f"i{number}", user, email=f"p{number}@example.com"),
            _track(f"t{number}", user, featureId="calls", delta=10),
        ]
    before = kana.users
    came = way(_track("good", featureId="calls", delta=1), *events)
    outcomes = {
        repr(user): {came.outcome(f"{kind}{number}") for kind in "it"}
        for number, user in enumerate(NO_IDS)
    }
    assert all(found <= {"invalid", "refused"} for found in outcomes.values()), outcomes
    for at, event in enumerate(events, 1):
        assert "userId must " in came.reason(at, event["messageId"]), event
    assert kana.users == before
    assert kana.usage == {"u1": {"calls": 1}}
    if came.answer is not None:
        assert came.answer["accepted"] == 1
        assert {one["status"] for one in came.answer["rejected"]} == {400}


def test_one_that_is_nobody_is_answered_with_400(served: Served) -> None:
    """A single event is refused with the reason."""
    answer = served.post(_track("m", "undefined", featureId="calls"), around="one")
    assert answer.status_code == 400
    assert "userId must be an identifier, not 'undefined'" in answer.json()["message"]


def test_ids_that_look_odd_are_ids(kana: Any, way: Way) -> None:
    """What is not on the list is somebody."""
    came = way(*(_identify(f"i{number}", user) for number, user in enumerate(IDS)))
    assert {came.outcome(f"i{number}") for number in range(len(IDS))} == {"delivered"}
    assert set(IDS) <= set(kana.users)


@pytest.mark.parametrize("feature", [True, "True", " calls", "calls ", " ", "NULL", "half \ufffd"])
def test_a_text_that_is_no_feature(kana: Any, feature: Any) -> None:
    """A feature is an identifier as well."""
    kana.run(_track(featureId=feature))
    assert kana.result(1).outcome == "invalid"
    assert kana.result(1).reason.startswith("/featureId must ")
    assert kana.usage == {}


@pytest.mark.parametrize(
    ("path", "feature"),
    [
        (r"$.properties.feature\.id", "calls"),
        (r"$.properties['feature\.id']", "calls"),
        (r"$.properties.v1\.0.feature\.id", "1"),
        ("$.properties['feature.id']", "seats"),  # as at Segment
    ],
)
@pytest.mark.parametrize("is_template", [False, True])
def test_a_property_whose_name_has_a_dot(
    kana: Any, path: str, feature: str, *, is_template: bool
) -> None:
    """A backslash before the dot makes it one of the name, in paths and in templates."""
    template = "{{" + path.removeprefix("$.") + "}}"
    mapping = {"@template": template} if is_template else {"@path": path}
    action = kana.definition.actions["track"]
    preset = Preset(
        "Own", "track", 'type = "track"', action.default_mapping | {"featureId": mapping}
    )
    kana.definition = replace(kana.definition, presets=(preset,))
    properties: dict[str, Any] = {
        "feature.id": "calls",
        "v1.0": {"feature.id": "1"},
        "feature": {"id": "seats"},
    }
    kana.run(_track(**properties))
    assert kana.usage == {"u1": {feature: 1}}


# -- halves of characters ---------------------------------------------------------------------

HALVES = [rb"\ud83d", rb"\ude00", rb"\uD83D", rb"\ude00\ud83d", b"\xed\xa0\xbd"]


def _raw(message_id: bytes = b"m", **members: bytes) -> bytes:
    """An event with members of raw JSON."""
    known = {
        "type": b'"track"',
        "event": b'"Called"',
        "messageId": b'"' + message_id + b'"',
        "userId": b'"u1"',
        "properties": b'{"featureId": "calls", "delta": 1}',
    }
    return b"{%s}" % b",".join(
        b'"%s":%s' % (name.encode(), value) for name, value in (known | members).items()
    )


CARRIED = {
    "a value": {"context": b'{"page": {"title": "a %s"}}'},
    "a value between others": {"context": b'{"title": "\\ud83d\\ude00%s\\ud83d\\ude00 \\\\ud83d"}'},
    "a key": {"context": b'{"a %s": 1}'},
    "the name of the event": {"event": b'"Called %s"'},
    "another property": {"properties": b'{"featureId": "calls", "delta": 1, "note": "%s"}'},
}
IDENTIFIES = {
    "userId": {"userId": b'"u1 %s"'},
    "messageId": {"messageId": b'"m %s"'},
    "anonymousId": {"anonymousId": b'"%s"'},
    "previousId": {"previousId": b'"%s"'},
    "groupId": {"groupId": b'"%s"'},
    "featureId": {"properties": b'{"featureId": "half %s"}'},
}


def _with(members: dict[str, bytes], half: bytes) -> dict[str, bytes]:
    return {name: value.replace(b"%s", half) for name, value in members.items()}


@pytest.mark.parametrize("members", CARRIED.values(), ids=CARRIED)
def test_half_a_character_that_is_only_carried(
    kana: Any, way: Way, members: dict[str, bytes]
) -> None:
    """It costs no event."""
    events = [_raw(b"m%d" % number, **_with(members, half)) for number, half in enumerate(HALVES)]
    came = way(*events)
    assert {came.outcome(f"m{number}") for number in range(len(HALVES))} == {"delivered"}
    assert kana.usage == {"u1": {"calls": len(HALVES)}}


@pytest.mark.parametrize("trait", ["email", "billingUserId", "billingId"])
def test_half_a_character_in_what_identifies_elsewhere(kana: Any, way: Way, trait: str) -> None:
    """An email finds a Stripe user, a billing id the customer: no good one is overwritten."""
    traits = b'{"%s": "a\\ud83d@x.com"}' % trait.encode()
    came = way(_raw(type=b'"identify"', traits=traits))
    assert came.outcome("m") == "invalid"
    assert "U+FFFD" not in str(kana.users)
    assert "\ufffd" not in str(kana.users)


@each_value
@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("members", IDENTIFIES.values(), ids=IDENTIFIES)
def test_half_a_character_in_an_identifier(
    kana: Any, served: Served, members: dict[str, bytes], half: bytes
) -> None:
    """It is refused, alone, and nothing is charged."""
    came = served.came(_raw(b"good"), _raw(**_with(members, half)))
    assert came.status == 200
    assert came.outcome("m") in {"invalid", "refused"}
    reason = came.reason(1, "m")
    assert "half a character" in reason or "U+FFFD" in reason
    assert kana.usage == {"u1": {"calls": 1}}


def test_what_was_carried_arrives_whole(kana: Any, way: Way) -> None:
    """A name that was cut within an emoji has U+FFFD for the rest; whole emoji stay."""
    traits = rb'{"name": "Ann \ud83d\ude00\ud83d", "email": "one@example.com"}'
    way(_raw(type=b'"identify"', traits=traits))
    assert kana.users["u1"]["name"] == "Ann \U0001f600\ufffd"


# -- traits -----------------------------------------------------------------------------------

BLANKS = ["", " ", "\t\n", "\u00a0", "\u200b", "null", "NULL", " null ", "undefined", "Undefined"]


@pytest.mark.parametrize("blank", [*BLANKS, None], ids=repr)
def test_a_blank_trait_is_absent(kana: Any, way: Way, blank: str | None) -> None:
    """It overwrites nothing, neither for the user nor for the others."""
    came = way(
        _identify("m", email=blank, name=blank, billingUserId=blank),
        _identify("n", "u2", email=blank, name="Two", billingUserId=blank, billingId="cus_2"),
    )
    assert [came.outcome(one) for one in "mn"] == ["delivered"] * 2
    (one, two) = (kana.users[user] for user in ("u1", "u2"))
    assert (one["name"], one["email"], one["billingId"]) == ("One", "one@example.com", "cus_1")
    assert (two["name"], two["email"], two["billingId"]) == ("Two", None, "cus_2")


@pytest.mark.parametrize("name", ["Nullmann", "undefined behaviour", "None", "0", "nan"])
def test_a_name_that_is_one(kana: Any, name: str) -> None:
    """What is not on the list of traits is written."""
    kana.run(_identify("m", name=name))
    assert kana.users["u1"]["name"] == name


# -- events without an id ---------------------------------------------------------------------

TIME = "2026-01-01T00:00:00.000Z"


def test_an_event_without_an_id_counts_once(kana: Any, served: Served) -> None:
    """The body again is the same events, whatever the sender adds anew; equal ones in it are two.

    Another time, another content and one more of them are further events.
    """
    first = {**_track(None, featureId="calls", delta=1), "timestamp": TIME}
    for stamp in ("2026-01-02T00:00:00Z", "2026-01-02T00:00:07Z", None):
        sending = {"sentAt": stamp, "writeKey": f"key {stamp}", "receivedAt": stamp}
        events = [{**first, **sending}, {**first, **sending}]
        assert served.came(*events).answer == {"accepted": 2}
        assert kana.usage == {"u1": {"calls": 2}}
    assert served.came(first, first, first).answer == {"accepted": 3}
    assert kana.usage == {"u1": {"calls": 3}}
    later = {**first, "timestamp": "2026-01-01T00:00:00.001Z"}
    other = _track(None, featureId="calls", delta=10)
    original = {**other, "originalTimestamp": TIME}
    served.came(later, original)
    served.came(original, later)
    assert kana.usage == {"u1": {"calls": 14}}


@pytest.mark.parametrize(
    "time",
    [{}, {"timestamp": ""}, {"timestamp": None}, {"sentAt": TIME}, {"receivedAt": TIME}],
    ids=str,
)
def test_what_adds_and_cannot_be_told_apart(kana: Any, served: Served, time: Any) -> None:
    """Without an id and a time of its own it is refused, also if a rule may map it later."""
    usage = {**_track(None, featureId="calls"), **time}
    unmapped = {**_track(None), **time}
    came = served.came(_track("good", featureId="calls"), usage, unmapped, usage)
    assert [one["index"] for one in came.answer["rejected"]] == [1, 2, 3]
    assert all("neither a messageId nor" in came.reason(index, "") for index in (1, 2, 3))
    alone = served.post(usage, around="one")
    assert (alone.status_code, alone.json()["code"]) == (400, "MESSAGE_ID_MISSING")
    assert kana.usage == {"u1": {"calls": 1}}


def test_what_sets_goes_through_without_an_id(kana: Any, served: Served) -> None:
    """A user who goes back to an earlier name is not taken for an event that came before."""
    for name in ("Ann", "Anna", "Ann"):
        event = {"type": "identify", "userId": "u1", "traits": {"name": name}}
        assert served.came(event, around="one").answer == {"accepted": 1}
        assert kana.users["u1"]["name"] == name


def test_an_event_of_a_file_is_that_of_a_body(kana: Any, served: Served) -> None:
    """By its content, an event is known however it comes."""
    event = {**_track(None, featureId="calls"), "timestamp": TIME}
    served.came(event)
    assert kana.usage == {"u1": {"calls": 1}}
    served.server.service.stop()
    destination, clock = kana.bind(), kana.clock
    identity = identity_of(destination, "main")
    with SqliteStore(served.server.store) as store:
        account = store.accounts().find(identity)
        assert account is not None
        transport = HttpTransport(destination.definition.transport.timeouts)
        with (
            contextlib.closing(transport),
            open_run_store(store, account.id, identity, reconcile_after=30.0, clock=clock) as kept,
        ):
            run = Run(destination, transport, store=kept, clock=clock, inline=True)
            report = run.execute([Entry(1, json.dumps(event).encode())])
    assert report.totals.outcomes == {"filtered": 1}
    assert kana.usage == {"u1": {"calls": 1}}
