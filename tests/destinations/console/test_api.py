"""The API on stores of both kinds: what it shows, decides, and refuses."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destinations.console.api.openapi import openapi_document
from destinations.console.cursors import CursorError, make_cursor, read_cursor
from destinations.console.verbs import StaleDecisionError, Verbs
from destinations.operations import Periods, StoredPauses, note_server, pause_destination
from destinations.outcome import Outcome, State
from destinations.pipeline.attempts import Content, KeptAttempt, KeptExchange
from destinations.postgres import StoreAddress, open_at
from destinations.secrets import Secret
from destinations.server.config_model import (
    ApiKeyConfig,
    ConsoleConfig,
    ReceiverConfig,
    SourceConfig,
)
from destinations.server.network_addresses import Address
from destinations.store import OpenStore, RefusedEvent
from destinations.store.attempts import write_exchanges
from tests.destinations.console.conftest import GOOD, SECRET, RunningConsole
from tests.example_counts import examples
from tests.serving import delivering
from tests.stores import few_in_postgres

Put = Callable[..., int]
Statuses = Callable[[], dict[int, str]]

WRONG = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": "x", "thing": "t"}}


def _ids(answer: Any) -> list[int]:
    assert answer.status == 200, answer.text
    return [one["id"] for one in answer.json["items"]]


def test_list_by_conditions(console: RunningConsole, put: Put, dead: Put, held: Put) -> None:
    """All that are given must hold; the newest come first unless the oldest are asked for."""
    dead()
    held(user="u2")
    put(status=Outcome.DELIVERED, accepted_at=5_000.0, message_id="mine")
    put(subscription="Pages", action="save")
    put(destination="other", status=Outcome.INVALID, code="NO_USER_ANON_ID")
    put(status=State.UNKNOWN)
    for query, expected in {
        "": [6_000, 5_000, 4_000, 3_000, 2_000, 1_000],
        "order=oldest": [1_000, 2_000, 3_000, 4_000, 5_000, 6_000],
        "outcome=dead": [1_000],
        "state=held": [2_000],
        "needsOperator=true": [5_000, 2_000, 1_000],
        "needsOperator=false": [6_000, 5_000, 4_000, 3_000, 2_000, 1_000],
        "user=u2": [2_000],
        "destination=other": [5_000],
        "endedSince=1970-01-01": [5_000, 3_000, 1_000],
        "endedUntil=1970-01-01": [],
        "subscription=Pages": [4_000],
        "code=NO_USER_ANON_ID": [5_000],
        "messageId=mine": [3_000],
        "messageId=nobody": [],
        "since=1970-01-01T01:00:00Z": [3_000],
        "until=1970-01-01T01:00:00Z&outcome=dead": [1_000],
        "since=2h": [3_000],
        "restored=true": [],
        "outcome=delivered&user=u1": [3_000],
    }.items():
        assert _ids(console.reader.api(f"/deliveries?{query}")) == expected, query


@few_in_postgres
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("destination=sampel", "there is no destination 'sampel'; there are: other, sample; did"),
        ("destination=sampel", "did you mean sample?"),
        ("destination=sample&subscription=Count", "there is no subscription 'Count'"),
        ("subscription=Count", "did you mean Counts?"),
        ("destination=other&subscription=Nothing", "there is no subscription 'Nothing'"),
        ("account=nobody", "there is no account 'nobody'; there are: "),
        ("tenant=nobody", "unknown tenant 'nobody'"),
    ],
)
def test_a_condition_names_what_there_is(
    console: RunningConsole, dead: Put, query: str, words: str
) -> None:
    """A name that nothing has is 404 with those there are, wherever deliveries are chosen."""
    dead()
    dead(destination="other", subscription="Elsewhere")
    given = dict(part.split("=") for part in query.split("&"))
    for answer in (
        console.reader.api(f"/deliveries?{query}"),
        console.operator.api("/deliveries/drop", {"reason": "x", "selection": given}),
        console.operator.api("/deliveries/replay", {"selection": given}),
    ):
        assert answer.status == 404, answer.text
        assert words in answer.json["detail"]


@pytest.mark.parametrize("listed", ["/status", "/tenants", "/drifts", "/refused"])
def test_other_lists_of_a_destination(console: RunningConsole, dead: Put, listed: str) -> None:
    """They say as well that there is none of this name."""
    dead()
    assert console.reader.api(f"{listed}?destination=sample").status == 200
    answer = console.reader.api(f"{listed}?destination=sampel")
    assert (answer.status, "did you mean sample?" in answer.json["detail"]) == (404, True)


def test_what_is_configured_is_known(console: RunningConsole) -> None:
    """A destination that got no event yet, and its subscriptions, have none: no fault."""
    assert _ids(console.reader.api("/deliveries?destination=sample")) == []
    assert _ids(console.reader.api("/deliveries?destination=sample&subscription=Counts")) == []


def test_pages_by_an_age(console: RunningConsole, put: Put) -> None:
    """Time goes on between two pages: an age is another time then, in the same list."""
    for _ in range(3):
        put(accepted_at=9_000.0)
    first = console.reader.api("/deliveries?since=2h&limit=2")
    console.clock.now += 30
    second = console.reader.api(f"/deliveries?since=2h&limit=2&cursor={first.json['next']}")
    assert (_ids(first), _ids(second)) == ([3_000, 2_000], [1_000])


def test_refused(console: RunningConsole, dead: Put, path: StoreAddress) -> None:
    """Events that were refused are listed, the latest first, by conditions and in pages."""
    dead()
    raw = f'{{"key": "{SECRET}"}}'.encode()
    with open_at(path) as store:
        (scope,) = (one.id for one in store.ledger().totals(0.0))
        for at, code, content in ((1_000.0, "NOT_JSON", b"{\xff"), (9_000.0, "CONFLICT", raw)):
            event = RefusedEvent(
                *(scope, at, 400, code, f"wrong {SECRET}", "/v1/sample", "192.0.2.1", content),
                *(len(content), code == "CONFLICT", "m1", None),
            )
            assert store.refused().add([event], 10, 10_000) == 0
    found = console.reader.api("/refused").json
    assert [one["code"] for one in found["items"]] == ["CONFLICT", "NOT_JSON"]
    assert SECRET not in json.dumps(found)
    assert found["items"][0]["event"] == {"key": "***"}
    assert found["items"][1] == {
        "id": 1,
        "at": "1970-01-01T00:16:40.000Z",
        "destination": "sample",
        "tenant": None,
        "path": "/v1/sample",
        "peer": "192.0.2.1",
        "status": 400,
        "code": "NOT_JSON",
        "reason": "wrong ***",
        "messageId": "m1",
        "user": None,
        "bytes": 2,
        "whole": False,
        "event": "{\ufffd",
    }
    for query, ids in (("code=NOT_JSON", [1]), ("since=1h", [2]), ("user=u9", []), ("code=X", [])):
        items = console.reader.api(f"/refused?{query}").json["items"]
        assert [one["id"] for one in items] == ids, query
    first = console.reader.api("/refused?limit=1").json
    second = console.reader.api(f"/refused?limit=1&cursor={first['next']}").json
    assert [one["id"] for one in (*first["items"], *second["items"])] == [2, 1]
    assert second["next"] is None


def test_drifts(console: RunningConsole, dead: Put, path: StoreAddress) -> None:
    """Balances that were not as expected are listed, the latest first, by the same conditions."""
    dead()
    with open_at(path) as store:
        (scope,) = (one.id for one in store.ledger().totals(0.0))
        with store.database.transaction() as connection:
            for at, user in ((1_000, "u1"), (9_000, "u2")):
                connection.execute(
                    "INSERT INTO drifts (scope, key, user, expected, found, noticed_at, deliveries)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (scope, f"{user} calls", user, 5, 9, float(at), "[1000]"),
                )
    found = console.reader.api("/drifts").json["items"]
    assert [one["user"] for one in found] == ["u2", "u1"]
    assert found[1] == {
        "destination": "sample",
        "account": found[1]["account"],
        "key": "u1 calls",
        "user": "u1",
        "expected": 5,
        "found": 9,
        "noticedAt": "1970-01-01T00:16:40.000Z",
        "deliveries": [1_000],
    }
    for query, users in (
        ("user=u1", ["u1"]),
        ("since=1h", ["u2"]),
        ("destination=sample", ["u2", "u1"]),
    ):
        items = console.reader.api(f"/drifts?{query}").json["items"]
        assert [one["user"] for one in items] == users, query


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages(console: RunningConsole, put: Put, order: str) -> None:
    """Every delivery is on one page, in one order, whatever its table."""
    statuses = [Outcome.DELIVERED, Outcome.DEAD, State.READY, Outcome.FILTERED, State.HELD]
    expected = sorted(
        (put(status=statuses[number % 5]) for number in range(23)), reverse=order == "newest"
    )
    for limit in (1, 4, 23, 50):
        found: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            answer = console.reader.api(f"/deliveries?order={order}&limit={limit}{more}")
            found += _ids(answer)
            cursor = answer.json["next"]
        assert found == expected


def test_what_comes_later_moves_no_page(console: RunningConsole, put: Put) -> None:
    """The next page begins where the one before has ended, not at a number of rows."""
    for _ in range(4):
        put()
    first = console.reader.api("/deliveries?limit=2")
    put()
    second = console.reader.api(f"/deliveries?limit=2&cursor={first.json['next']}")
    assert (_ids(first), _ids(second)) == ([4_000, 3_000], [2_000, 1_000])


def test_a_cursor_belongs_to_its_list(console: RunningConsole, put: Put) -> None:
    """One of another list, or that nobody has given, is refused in a sentence."""
    put()
    put()
    cursor = console.reader.api("/deliveries?limit=1").json["next"]
    for query in (
        f"cursor={cursor}&outcome=dead",
        f"cursor={cursor}&order=oldest",
        "cursor=x",
        "cursor=" + "A" * 200,
        "cursor=%00",
        "cursor=W10",
        "cursor=WzEsIDJd",
    ):
        answer = console.reader.api(f"/deliveries?{query}")
        assert answer.status == 422, query
        assert "invalid cursor: expected next of a page" in answer.json["detail"]


@given(text=st.text(max_size=250))
@settings(deadline=None)
def test_hostile_cursors(text: str) -> None:
    """Whatever is sent as a cursor is one, or is refused; nothing else comes of it."""
    try:
        after = read_cursor(text, ("list",))
    except CursorError:
        return
    assert after is not None
    assert read_cursor(make_cursor(after, ("list",)), ("list",)) == after


@given(after=st.integers(0, 2**63 - 1), of=st.lists(st.text(max_size=5), max_size=3))
@settings(deadline=None)
def test_cursors_are_read_again(after: int, of: list[str]) -> None:
    """A cursor leads to where it was made, and nowhere in another list."""
    cursor = make_cursor(after, of)
    assert read_cursor(cursor, of) == after
    with pytest.raises(CursorError):
        read_cursor(cursor, [*of, "more"])


def test_a_page_looks_at_few_rows(console: RunningConsole, put: Put, path: StoreAddress) -> None:
    """However rare a selection is: what is not found among so many rows is on the next page."""
    rare = put(status=Outcome.DEAD, user="rare")
    for _ in range(12):
        put(status=Outcome.DELIVERED)
    with open_at(path, read_only=True) as store:
        ledger = store.ledger()
        from destinations.pipeline.ledger import Selection  # noqa: PLC0415 - only here

        after, pages, found = None, 0, []
        while True:
            page = ledger.page(Selection(user="rare"), size=5, after=after, most_rows=4)
            found += [one.id for one in page.entries]
            pages += 1
            if page.last is None:
                break
            assert after is None or page.last < after
            after = page.last
    assert (found, pages >= 4) == ([rare], True)
    assert _ids(console.reader.api("/deliveries?user=rare")) == [rare]


def test_a_page_takes_little_time(
    console: RunningConsole, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time is over, a page is given as it is: empty, with more to come."""
    from destinations.store import StoredLedger  # noqa: PLC0415 - only here

    for _ in range(9):
        put(status=Outcome.DELIVERED)
    whole = StoredLedger.page

    def slow(self: StoredLedger, *arguments: Any, **given: Any) -> Any:
        console.clock.now += 1
        return whole(self, *arguments, **{**given, "most_rows": 3})

    monkeypatch.setattr(StoredLedger, "page", slow)
    answer = console.reader.api("/deliveries?user=nobody")
    assert answer.json["items"] == []
    assert answer.json["next"] is not None
    seen = 0
    while (cursor := answer.json["next"]) is not None:
        answer = console.reader.api(f"/deliveries?user=nobody&cursor={cursor}")
        assert answer.json["items"] == []
        seen += 1
    assert seen == 3


def test_show(console: RunningConsole, held: Put, put: Put) -> None:
    """One delivery with its content, what can be done with it, and its version."""
    held()
    put(status=Outcome.DELIVERED)
    answer = console.reader.api("/deliveries/1000")
    shown = answer.json
    assert answer.headers["etag"] == f'"{shown["version"]}"'
    assert (shown["event"], shown["eventKept"], shown["payload"]) == (GOOD, "whole", {})
    assert (shown["state"], shown["outcome"], shown["proposed"]) == ("held", None, "applied")
    assert shown["resolve"] == {"allowed": True, "why": ""}
    assert shown["replay"]["allowed"] is False
    assert "it may have been applied" in shown["replay"]["why"]
    assert shown["increment"] == {"key": "u1 calls", "amount": 5}
    assert shown["acceptedAt"] == "1970-01-01T00:16:40.000Z"
    gone = console.reader.api("/deliveries/2000").json
    assert (gone["event"], gone["eventKept"]) == (None, "deleted")


UNKNOWN = ("99", "0", "-1", "9223372036854775807", "9223372036854775808", "1" * 40, "abc", "1.0")
UNKNOWN_TEXTS = ("%00", "%F0%9F%92%A9", "..%2F..", "' OR 1=1 --".replace(" ", "%20"), "%FF")


@few_in_postgres
@pytest.mark.parametrize("given_id", [*UNKNOWN, *UNKNOWN_TEXTS])
def test_unknown_deliveries(console: RunningConsole, dead: Put, given_id: str) -> None:
    """An id that there is not is answered 404 with a sentence, whatever it is."""
    dead()
    for answer in (
        console.reader.api(f"/deliveries/{given_id}"),
        console.reader.api(f"/deliveries/{given_id}/attempts"),
        console.operator.api(f"/deliveries/{given_id}/drop", {"reason": "x"}),
        console.operator.api(f"/deliveries/{given_id}/resolve", {"decision": "applied"}),
        console.operator.api(f"/deliveries/{given_id}/replay", {}),
    ):
        assert answer.status == 404, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        detail = answer.json["detail"]
        assert "there is no" in detail or "there is nothing" in detail


@few_in_postgres
@pytest.mark.parametrize("name", ["nobody", "%00", "..", "a%2Fb", "%F0%9F%92%A9"])
def test_unknown_names(console: RunningConsole, dead: Put, name: str) -> None:
    """Destinations and tenants as well."""
    dead()
    for answer in (
        console.reader.api(f"/destinations/{name}"),
        console.operator.api(f"/destinations/{name}/pause", {}),
        console.operator.api("/destinations/sample/pause", {"tenant": name}),
        console.reader.api(f"/tenants/{name}"),
        console.reader.api(f"/status?tenant={name}"),
        console.reader.api(f"/deliveries?tenant={name}"),
        console.operator.api("/explain", {"destination": name, "event": {}}),
    ):
        assert answer.status == 404, answer.text
        assert answer.json["detail"]


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", ["ids", "query", "body"])
def test_hostile_input(console: RunningConsole, dead: Put, kind: str) -> None:
    """Nothing that is sent makes an internal error."""
    dead()
    texts = st.text(st.characters(codec="utf-8"), max_size=40)
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    )
    names = list(openapi_document()["paths"]["/deliveries"]["get"]["parameters"])
    from urllib.parse import quote, urlencode  # noqa: PLC0415 - only here

    @given(data=st.data())
    @settings(
        deadline=None,
        max_examples=examples(25),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    def send(data: st.DataObject) -> None:
        if kind == "ids":
            text = quote(data.draw(texts), safe="")
            answer = console.reader.api(f"/deliveries/{text}")
        elif kind == "query":
            parameter = data.draw(st.sampled_from(names))["name"]
            answer = console.reader.api("/deliveries?" + urlencode({parameter: data.draw(texts)}))
        else:
            action = data.draw(st.sampled_from(["drop", "resolve", "replay"]))
            body = {"dryRun": True, data.draw(texts): data.draw(values)}
            answer = console.operator.api(f"/deliveries/{action}", body)
        assert answer.status in {200, 400, 404, 422}
        assert answer.status == 200 or answer.json["detail"]

    send()


FAULTS: Mapping[str, tuple[str, Any, int, str]] = {
    "unknown parameter": ("/deliveries?stat=dead", None, 400, "query: stat"),
    "twice": ("/deliveries?user=a&user=b", None, 400, "expected it once"),
    "no outcome": ("/deliveries?outcome=gone", None, 400, "must be one of delivered"),
    "no number": ("/deliveries?limit=many", None, 400, "query: limit"),
    "too many": ("/deliveries?limit=201", None, 400, "must be at most 200"),
    "no time": (
        "/deliveries?since=yesterday",
        None,
        400,
        "query: since: invalid value 'yesterday': expected ISO 8601 (UTC if it names no zone)",
    ),
    "no such time": ("/deliveries?since=2026-13-01", None, 422, "invalid time"),
    "wrong order": ("/deliveries?since=1h&until=2h", None, 422, "must be before until"),
    "two states": ("/deliveries?state=held&outcome=dead", None, 422, "not both"),
    "no body": ("/deliveries/1000/drop", {}, 400, "'reason' is a required property"),
    "no reason": (
        "/deliveries/1000/drop",
        {"reason": " "},
        400,
        "/reason: invalid value ' ': expected some text",
    ),
    "no decision": ("/deliveries/1000/resolve", {"decision": "yes"}, 400, "/decision"),
    "more": ("/deliveries/1000/replay", {"x": 1}, 400, "'x' was unexpected"),
    "no version": (
        "/deliveries/1000/replay",
        {"seen": "1"},
        400,
        "expected the version of what was seen, such as",
    ),
    "no target": ("/deliveries/drop", {"reason": "x"}, 400, "either ids or selection"),
    "both": (
        "/deliveries/drop",
        {"reason": "x", "ids": [1_000], "selection": {}},
        400,
        "either ids or selection",
    ),
    "no id": ("/deliveries/drop", {"reason": "x", "ids": [0]}, 400, "/ids/0"),
    "of a selection": (
        "/deliveries/drop",
        {"reason": "x", "selection": {"since": "2026-13-01"}},
        422,
        "/selection/since",
    ),
    "no object": ("/deliveries/replay", [], 400, "body: must be an object"),
}


@few_in_postgres
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_their_place(console: RunningConsole, dead: Put, fault: str) -> None:
    """Each is a problem document with a sentence, and with the place of what is wrong."""
    dead()
    path, body, status, words = FAULTS[fault]
    answer = console.operator.api(path, body)
    assert answer.status == status, answer.text
    problem = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["status"], words in problem["detail"]) == (status, True), problem
    assert problem["issues"]


BODIES = (
    (b"", "application/json", 400),
    (b"{", "application/json", 400),
    (b'{"reason": "x", "reason": "y"}', "application/json", 400),
    (b'{"reason": NaN}', "application/json", 400),
    (b"\xff", "application/json", 400),
    (b"[" * 5_000, "application/json", 400),
    (b'{"reason": "x"}', "text/plain", 415),
    (b'{"reason": "x"}', "", 415),
    (b"reason=x", "application/x-www-form-urlencoded", 415),
    (b'{"reason": "x"}', "application/json; charset=utf-8", 200),
)


@few_in_postgres
@pytest.mark.parametrize(("body", "kind", "status"), BODIES)
def test_bodies(console: RunningConsole, dead: Put, body: bytes, kind: str, status: int) -> None:
    """Only JSON is read, and strictly: a key that is there twice may mean two things."""
    dead()
    headers = {"Content-Type": kind} if kind else {}
    answer = console.operator.send(
        "POST", "/api/v1/deliveries/1000/drop", body=body, headers=headers
    )
    assert answer.status == status, answer.text


def test_drop(console: RunningConsole, dead: Put, put: Put, statuses: Statuses) -> None:
    """One or several; a dry run changes nothing and says what it would."""
    dead()
    dead()
    put(status=Outcome.DELIVERED)
    dry = console.operator.api("/deliveries/1000/drop", {"reason": "test", "dryRun": True}).json
    assert (dry["dryRun"], dry["deliveries"], dry["done"]) == (True, 1, 0)
    assert statuses()[1_000] == "dead"
    body = {"reason": "test", "seen": dry["version"]}
    assert console.operator.api("/deliveries/1000/drop", body).json["done"] == 1
    assert statuses() == {1_000: "dropped", 2_000: "dead", 3_000: "delivered"}
    answer = console.operator.api("/deliveries/3000/drop", {"reason": "test"})
    assert (answer.status, "it is delivered" in answer.json["detail"]) == (409, True)
    several = console.operator.api(
        "/deliveries/drop", {"reason": "all", "selection": {"destination": "sample"}}
    ).json
    assert (several["done"], several["ids"]) == (1, [2_000])
    both = {"reason": "x", "ids": [2_000, 77]}
    assert console.operator.api("/deliveries/drop", both).status == 404


@pytest.mark.parametrize(
    ("verb", "more"),
    [("drop", {"reason": "x"}), ("resolve", {"decision": "as_shown"}), ("replay", {})],
)
def test_an_empty_selection(
    console: RunningConsole, dead: Put, statuses: Statuses, verb: str, more: Mapping[str, str]
) -> None:
    """A program whose variable is empty must not change all that a store has."""
    dead()
    body = {**more, "selection": {}}
    answer = console.operator.api(f"/deliveries/{verb}", body)
    assert (answer.status, "the selection is empty" in answer.json["detail"]) == (422, True)
    assert statuses() == {1_000: "dead"}


def test_resolve(console: RunningConsole, held: Put, statuses: Statuses) -> None:
    """As was found at the partner, or as the balances show; without them nothing is guessed."""
    held()
    held()
    held(evidence={"why": "another writer"})
    held()
    for path, decision in (
        ("/deliveries/1000/resolve", "applied"),
        ("/deliveries/2000/resolve", "not_applied"),
    ):
        assert console.operator.api(path, {"decision": decision}).json["done"] == 1
    assert statuses() == {1_000: "delivered", 2_000: "ready", 3_000: "held", 4_000: "held"}
    answer = console.operator.api("/deliveries/3000/resolve", {"decision": "as_shown"})
    assert answer.status == 409
    assert "the balances do not show whether it was applied" in answer.json["detail"]
    several = console.operator.api(
        "/deliveries/resolve", {"decision": "as_shown", "selection": {"destination": "sample"}}
    ).json
    assert (several["done"], several["ids"]) == (1, [4_000])
    assert [one["deliveries"] for one in several["skipped"]] == [1]
    assert statuses()[4_000] == "delivered"


def test_replay(console: RunningConsole, dead: Put, put: Put, statuses: Statuses) -> None:
    """A dry run shows the payloads before and today; then what is sent waits for its turn."""
    dead(payload=b'{"by":1,"thing":"t"}')
    put(WRONG, status=Outcome.DEAD, reason="gone")
    put(status=Outcome.DELIVERED)
    dry = console.operator.api(
        "/deliveries/replay", {"selection": {"outcome": "dead"}, "dryRun": True}
    ).json
    assert {(one["before"], one["after"]): one["deliveries"] for one in dry["changes"]} == {
        ("dead", "sent"): 1,
        ("dead", "invalid"): 1,
    }
    first = dry["items"][0]
    assert first["before"] == {"by": 1, "thing": "t"}
    assert first["today"]["payload"] == {"by": 2, "thing": "t"}
    assert set(statuses().values()) == {"dead", "delivered"}
    done = console.operator.api(
        "/deliveries/replay", {"selection": {"outcome": "dead"}, "seen": dry["version"]}
    ).json
    assert (done["reopened"], done["ended"]) == (1, 1)
    assert statuses() == {1_000: "ready", 2_000: "invalid", 3_000: "delivered"}
    answer = console.operator.api("/deliveries/3000/replay", {})
    assert (answer.status, "it was delivered" in answer.json["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("/deliveries/1000/drop", {"reason": "x"}),
        ("/deliveries/1000/replay", {}),
        ("/deliveries/drop", {"reason": "x", "selection": {"outcome": "dead"}}),
        ("/deliveries/replay", {"ids": [1_000, 2_000]}),
    ],
)
def test_a_stale_decision(
    console: RunningConsole,
    dead: Put,
    statuses: Statuses,
    place: str,
    body: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has changed since it was shown is not decided on: 409, and nothing is changed."""
    dead()
    dead()
    seen = console.operator.api(place, {**body, "dryRun": True}).json["version"]
    console.operator.api("/deliveries/1000/replay", {})
    before = statuses()
    answer = console.operator.api(place, {**body, "seen": seen})
    assert (answer.status, "has changed since it was shown" in answer.json["detail"]) == (409, True)
    assert statuses() == before
    # The guard is what finds it: without it the decision would be carried out.
    monkeypatch.setattr("destinations.console.verbs.decisions.check_version", lambda *_: None)
    assert console.operator.api(place, {**body, "seen": seen}).status in {200, 409}
    if "drop" in place:  # what waits already is not replayed either way
        assert statuses() != before


def test_two_operators_at_once(
    console: RunningConsole, held: Put, statuses: Statuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen the same and decide at the same moment: one succeeds, the other gets 409."""
    held()
    seen = console.reader.api("/deliveries/1000").json["version"]
    both_have_looked = threading.Barrier(2)
    recover = "destinations.console.verbs.decisions.recover_interrupted"
    monkeypatch.setattr(recover, lambda *_: both_have_looked.wait(20))
    found: dict[str, int] = {}

    def decide(decision: str) -> None:
        body = {"decision": decision, "seen": seen}
        found[decision] = console.operator.api("/deliveries/1000/resolve", body).status

    threads = [threading.Thread(target=decide, args=(one,)) for one in ("applied", "not_applied")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found.values()) == [200, 409]
    winner = next(one for one, status in found.items() if status == 200)
    assert statuses() == {1_000: "delivered" if winner == "applied" else "ready"}


def test_pause_and_resume(console: RunningConsole, dead: Put) -> None:
    """It says how it stands, and whether that is new; what was not seen is not decided on."""
    dead()
    state = console.reader.api("/destinations/sample").json
    assert (state["pausedAt"], state["pausedActions"]) == (None, {})
    dry = console.operator.api("/destinations/sample/pause", {"dryRun": True}).json
    assert (dry["paused"], dry["changed"]) == (True, True)
    body = {"seen": state["version"]}
    assert console.operator.api("/destinations/sample/pause", body).json["changed"] is True
    assert console.operator.api("/destinations/sample/pause", body).status == 409
    assert console.operator.api("/destinations/sample/pause", {}).json["changed"] is False
    paused = console.reader.api("/destinations/sample").json
    assert paused["pausedAt"] == "1970-01-01T02:46:40.000Z"
    status = console.reader.api("/status").json["destinations"][0]
    assert status["pausedAt"] == paused["pausedAt"]
    assert console.operator.api("/destinations/sample/resume", {}).json["changed"] is True
    assert console.operator.api("/destinations/sample/resume", {}).json["changed"] is False


def test_secrets_in_names(console: RunningConsole, dead: Put) -> None:
    """They are masked wherever an event has them."""
    dead(user=f"u {SECRET}", message_id=f"m-{SECRET}")
    for path in ("/deliveries", "/deliveries/1000"):
        answer = console.reader.api(path)
        assert answer.status == 200
        assert SECRET not in answer.text
        assert "***" in answer.text


def test_keys_are_masked(console: RunningConsole) -> None:
    """Those of senders and of the API, should an event have one."""
    given = console.verbs.config
    keys = [f"{name}-key-of-these-tests" for name in ("api", "receiver", "signature", "source")]
    api, receiver, signature, source = map(Secret, keys)
    listen = Address("127.0.0.1", 0)
    of_console = ConsoleConfig(listen, keys=(ApiKeyConfig("reporting", "read", api),))
    senders = ReceiverConfig(keys=(receiver,), signature_secrets=(signature,))
    config = replace(
        given,
        console=of_console,
        destinations=tuple(replace(one, receiver=senders) for one in given.destinations),
        sources=(SourceConfig("web", keys=(source,)),),
    )
    masker = Verbs(console.verbs._stores, config).masker
    assert [masker.text(f"has {key}") for key in keys] == ["has ***"] * 4


def test_all_that_pauses_by_itself(console: RunningConsole, dead: Put, path: StoreAddress) -> None:
    """It is shown with its reason, and resumed by the one verb, as by the command."""
    dead()
    with open_at(path) as store:
        StoredPauses(store, "sample", lambda: 1_000.0).write({"count": "400 for all"})
        StoredPauses(store, "sample", lambda: 1_000.0).write_key("authentication (HTTP 401)")
        StoredPauses(store, "sample/t1", lambda: 1_000.0).write({"count": "400 for all"})
    refusal = {"since": "1970-01-01T00:16:40.000Z", "reason": "authentication (HTTP 401)"}
    state = console.reader.api("/destinations/sample").json
    assert state["pausedActions"] == {"count": "400 for all"}
    assert state["credentialsRefused"] == refusal
    assert console.reader.api("/status").json["destinations"][0]["credentialsRefused"] == refusal
    body = {"seen": state["version"]}
    done = console.operator.api("/destinations/sample/resume", body).json
    assert (done["changed"], done["resumedTenants"]) == (True, 1)
    assert done["resumedCredentials"] == refusal["reason"]
    assert done["resumedActions"] == state["pausedActions"]
    assert console.operator.api("/destinations/sample/resume", body).status == 409
    left = console.reader.api("/destinations/sample").json
    assert (left["pausedActions"], left["credentialsRefused"]) == ({}, None)
    assert console.operator.api("/destinations/sample/resume", {}).json["changed"] is False


def _pause_destination(store: OpenStore) -> None:
    pause_destination(store, "sample", 1_000.0)


def _pause_action(store: OpenStore) -> None:
    StoredPauses(store, "sample").write({"count": "400 for all"})


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (
            "HTTP 401",
            "(HTTP 401): its events wait, and a request is tried every 5 minutes. Replace",
        ),
        (
            "no access token from https://p.example/token: invalid_grant; authorize again",
            "every 5 minutes. No access token from https://p.example/token: invalid_grant; author",
        ),
    ],
    ids=["key", "token"],
)
def test_what_the_overview_says_of_refused_credentials(
    console: RunningConsole, put: Put, path: StoreAddress, reason: str, says: str
) -> None:
    """It says what to do, which for a token is not to replace a key."""
    put(status=State.READY)
    with open_at(path) as store:
        StoredPauses(store, "sample").write_key(reason)
    text = " ".join(re.sub(r"<[^>]*>", "", console.reader.get("/").text).split())
    assert says in text
    assert text.count("eplace the key") == (reason == "HTTP 401")


def _refuse_credentials(store: OpenStore) -> None:
    StoredPauses(store, "sample").write_key("HTTP 401")


@pytest.mark.parametrize(
    ("pause", "by", "why"),
    [
        (lambda _: None, "nobody", ""),
        (_pause_destination, "operator", "an operator has paused the destination"),
        (_pause_action, "operator", "400 for all"),
        (_refuse_credentials, "operator", "the partner refuses the credentials: HTTP 401"),
    ],
    ids=["nothing", "destination", "action", "credentials"],
)
def test_what_a_delivery_waits_for(
    console: RunningConsole,
    put: Put,
    path: StoreAddress,
    pause: Callable[[OpenStore], None],
    by: str,
    why: str,
) -> None:
    """What has to be resumed is said of each delivery that waits for it."""
    found = put(status=State.READY)
    with open_at(path) as store:
        pause(store)
    step = console.reader.api(f"/deliveries/{found}").json["nextStep"]
    assert (step["by"], step["paused"]) == (by, why)


def test_beside_a_server(
    console: RunningConsole, path: StoreAddress, held: Put, statuses: Statuses
) -> None:
    """A running server is no obstacle, as for commands."""
    held()
    with delivering(path):
        with open_at(path) as store:
            note_server(store, ["sample"], Periods())
        assert console.reader.api("/status").json["served"] is True
        answer = console.operator.api("/deliveries/1000/resolve", {"decision": "applied"})
        assert answer.status == 200, answer.text
        assert statuses() == {1_000: "delivered"}


def test_the_audit_log(
    console: RunningConsole, dead: Put, caplog: pytest.LogCaptureFixture, path: StoreAddress
) -> None:
    """Each change says who made it, when, from where, and of which deliveries: also a vain one."""
    dead()
    dead()
    console.operator.api("/deliveries/1000/drop", {"reason": "x", "dryRun": True})
    console.operator.api("/deliveries/drop", {"reason": "a name", "ids": [1_000, 2_000]})
    console.operator.api("/deliveries/1000/drop", {"reason": "x"})
    console.operator.api("/destinations/sample/pause", {})
    console.clock.now += 60
    again = console.operator.api("/destinations/sample/pause", {}).json
    assert again["changed"] is False
    state = console.reader.api("/destinations/sample").json
    assert state["pausedAt"] == "1970-01-01T02:46:40.000Z"
    answer = console.reader.api("/audit").json
    assert [(one["verb"], one["done"]) for one in answer["items"][:1]] == [("pause", 0)]
    del answer["items"][0]
    assert answer["items"] == [
        {
            "id": 2,
            "at": "1970-01-01T02:46:40.000Z",
            "operator": "deploy",
            "via": "key",
            "address": "127.0.0.1",
            "verb": "pause",
            "destination": "sample",
            "tenant": None,
            "deliveries": None,
            "ids": [],
            "more": {},
            "done": 1,
        },
        {
            "id": 1,
            "at": "1970-01-01T02:46:40.000Z",
            "operator": "deploy",
            "via": "key",
            "address": "127.0.0.1",
            "verb": "drop",
            "destination": "sample",
            "tenant": None,
            "deliveries": 2,
            "ids": [1_000, 2_000],
            "more": {},
            "done": 2,
        },
    ]
    lines = [one for one in caplog.records if one.message.startswith("operator changed")]
    assert [(vars(one)["operator"], vars(one)["verb"], vars(one)["done"]) for one in lines] == [
        ("deploy", "drop", 2),
        ("deploy", "pause", 1),
        ("deploy", "pause", 0),
    ]
    first = console.reader.api("/audit?limit=2").json
    assert [one["id"] for one in first["items"]] == [3, 2]
    second = console.reader.api(f"/audit?limit=2&cursor={first['next']}").json
    assert ([one["id"] for one in second["items"]], second["next"]) == ([1], None)
    with open_at(path) as store:
        assert store.audit().delete_before(console.clock.now + 1) == 3
    assert console.reader.api("/audit").json["items"] == []


def test_a_process_that_ends_leaves_a_line(
    console: RunningConsole, dead: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wanted what is known even if nobody could write down what came of it."""
    dead()

    def end(*_: object, **__: object) -> int:
        raise KeyError("the process ends")

    monkeypatch.setattr("destinations.console.verbs.decisions.drop", end)
    assert console.operator.api("/deliveries/1000/drop", {"reason": "x"}).status == 500
    (line,) = console.reader.api("/audit").json["items"]
    assert (line["ids"], line["done"]) == ([1_000], None)


def test_secrets_are_masked(console: RunningConsole, put: Put) -> None:
    """What is a secret of the configuration is shown nowhere, whatever it stands in."""
    event = {**GOOD, "properties": {"by": 2, "thing": f"my {SECRET} here"}}
    payload = json.dumps({"by": 2, "thing": SECRET}).encode()
    put(event, status=Outcome.DEAD, reason=f"refused {SECRET}", payload=payload)
    for answer in (
        console.reader.api("/deliveries"),
        console.reader.api("/deliveries/1000"),
        console.operator.api("/deliveries/1000/replay", {"dryRun": True}),
        console.operator.api("/explain", {"destination": "sample", "event": event}),
        console.reader.api("/connections"),
        console.operator.api("/plan", {"configuration": "store: {path: x}", "events": [event]}),
    ):
        assert SECRET not in answer.text
    assert "my *** here" in console.reader.api("/deliveries/1000").text


def test_explain(console: RunningConsole) -> None:
    """Every step of an event, as the command shows it."""
    answer = console.reader.api("/explain", {"destination": "sample", "event": GOOD})
    found = answer.json
    assert answer.status == 200
    by_name = {one["name"]: one for one in found["subscriptions"]}
    assert by_name["Counts"]["payload"] == {"by": 2, "thing": "t"}


def test_markup_is_text(console: RunningConsole, put: Put) -> None:
    """An event of 32 KB of markup comes back as JSON, which no browser reads as a page."""
    markup = "<script>alert(1)</script>" * 1_200
    put({**GOOD, "properties": {"by": 1, "thing": markup}}, status=Outcome.DEAD)
    answer = console.reader.api("/deliveries/1000")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json["event"]["properties"]["thing"] == markup


def test_times_are_iso(console: RunningConsole, dead: Put) -> None:
    """All of them, in UTC."""
    dead()
    for name, value in console.reader.api("/deliveries/1000").json.items():
        if name.endswith("At") and value is not None:
            assert value.endswith("Z")
            assert datetime.fromisoformat(value).tzinfo is not None


def test_a_store_that_is_not_there(console: RunningConsole, path: StoreAddress) -> None:
    """It is said in a sentence, and the next request looks again."""
    from pathlib import Path  # noqa: PLC0415 - only here

    if not isinstance(path, Path):
        pytest.skip("a file is moved away")
    assert console.reader.api("/status").status == 200
    away = path.with_name("away")
    path.rename(away)
    answer = console.reader.api("/status")
    assert answer.status in {422, 503}
    assert answer.json["detail"]
    away.rename(path)
    assert console.reader.api("/status").status == 200


def test_verbs_say_the_same_to_pages(console: RunningConsole, dead: Put) -> None:
    """Pages call the verbs themselves: a stale decision is an error there."""
    from destinations.console.operators import Operator  # noqa: PLC0415 - only here
    from destinations.console.shown import Targets  # noqa: PLC0415 - as above

    dead()
    verbs: Verbs = console.verbs
    seen = verbs.delivery(1_000).version
    operator = Operator("ada", "operate", "session", "127.0.0.1")
    verbs.drop(operator, Targets([1_000]), "x", seen=seen)
    with pytest.raises(StaleDecisionError, match="delivery 1000 has changed"):
        verbs.drop(operator, Targets([1_000]), "x", seen=seen)


def test_attempts(console: RunningConsole, dead: Put, path: StoreAddress) -> None:
    """Requests and answers as they are kept, masked, with the lengths of whole bodies."""
    dead()
    assert console.reader.api("/deliveries/1000/attempts").json == {"items": []}
    url = f"https://partner.example/?key={SECRET}"
    kept = KeptExchange(
        at=1_500.0,
        seconds=0.25,
        kind="send",
        request="count",
        method="POST",
        status=503,
        error="",
        failed=True,
        carried=1,
        users=["u1"],
        head=_content(json.dumps([url, {"X-Key": SECRET}, []])),
        request_body=_content(f"<{SECRET}>"),
        request_bytes=20_000,
        is_request_cut=True,
        answer_head=b"",
        answer_body=_content("sorry"),
        answer_bytes=5,
        is_answer_cut=False,
        attempts=[KeptAttempt(0, "unavailable", "errorRules[2]", outcome=Outcome.DEAD)],
    )
    with open_at(path) as store, store.database.transaction() as connection:
        write_exchanges(connection, [(store.ledger().get(1_000).scope, [1_000], kept)])
    (found,) = console.reader.api("/deliveries/1000/attempts").json["items"]
    assert SECRET not in json.dumps(found)
    assert found == {
        "number": 1,
        "at": "1970-01-01T00:25:00.000Z",
        "seconds": 0.25,
        "kind": "send",
        "outcome": "dead",
        "errorClass": "unavailable",
        "rule": "errorRules[2]",
        "error": "",
        "deliveries": 1,
        "erased": False,
        "request": {
            "name": "count",
            "step": None,
            "method": "POST",
            "url": "https://partner.example/?key=***",
            "headers": {"X-Key": "***"},
            "body": {"text": "<***>", "bytes": 20_000, "cut": True},
        },
        "answer": {
            "status": 503,
            "headers": {},
            "body": {"text": "sorry", "bytes": 5, "cut": False},
        },
    }


def _content(text: str) -> Content:
    return Content(hashlib.sha256(text.encode()).digest(), zlib.compress(text.encode()))


def _plan(folder: object, **more: Any) -> dict[str, Any]:
    text = json.dumps(
        {
            "store": {"path": "elsewhere.sqlite3"},
            "destinations": [
                {"name": "sample", "destination": str(folder), "settings": {}, **more}
            ],
        }
    )
    return {"configuration": text, "events": [GOOD]}


def test_plan(console: RunningConsole, folder: Any) -> None:
    """It says what would be sent no more, and changes nothing."""
    answer = console.reader.api("/plan", _plan(folder))
    assert answer.status == 200, answer.text
    same = answer.json
    assert (same["lost"], same["events"]) == (0, 1)
    answer = console.reader.api("/plan", _plan(folder, filters=[{"drop": 'type = "track"'}]))
    assert answer.status == 200, answer.text
    gone = answer.json
    assert gone["lost"] == 1
    assert gone["destinations"][0]["noLongerMatched"] == 1


_OF_EVENTS = {"payload", "mapped", "value", "before", "after", "headers", "body", "changedFields"}
"""What has the keys of an event, a payload or a request."""


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key not in _OF_EVENTS:
                yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def test_all_keys_are_in_camel_case(console: RunningConsole, dead: Put, folder: Any) -> None:
    """Those of every answer, but for keys of events: what they are called is left as it is."""
    dead()
    given = {**GOOD, "properties": {**GOOD["properties"], "of_an_event": 1}}
    explained = console.reader.api("/explain", {"destination": "sample", "event": given}).json
    changed = {**_plan(folder, filters=[{"drop": 'type = "track"'}]), "events": [given]}
    planned = console.reader.api("/plan", changed).json
    for found in (
        *(explained, planned, console.reader.api("/deliveries/1000").json),
        *(console.reader.api(path).json for path in ("/deliveries", "/status", "/connections")),
    ):
        keys = set(_keys(found))
        assert {key for key in keys if "_" in key} <= {"of_an_event"}, keys
    assert {"takenOut", "blankTraits"} <= explained.keys()
    assert planned["destinations"][0]["examples"][0]["kind"] == "noLongerMatched"


def test_a_plan_that_takes_too_long(
    console: RunningConsole, folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in time, and says how many events it has not looked at."""
    monkeypatch.setattr("destinations.console.planning.SECONDS", 0.0)
    answer = console.reader.api("/plan", {**_plan(folder), "events": [GOOD] * 1_000})
    assert answer.status == 200, answer.text
    assert (answer.json["events"], answer.json["leftOutEvents"]) == (0, 1_000)
    (note,) = answer.json["notes"]
    assert note.startswith("1,000 events were not looked at, as the time was over")


def test_a_plan_reads_nothing_of_the_machine(
    console: RunningConsole, folder: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither files nor variables that the server does not name, nor folders of definitions."""
    secret = tmp_path / "of-the-machine"
    secret.write_text("what nobody may see")
    monkeypatch.setenv("OF_THE_MACHINE", "what nobody may see")
    for value in (
        {"file": str(secret)},
        {"env": "OF_THE_MACHINE"},
        "${OF_THE_MACHINE}",
        "a${OF_THE_MACHINE}",
    ):
        answer = console.reader.api("/plan", _plan(folder, settings={"endpoint": value}))
        assert "what nobody may see" not in answer.text
    other = tmp_path / "other"
    other.mkdir()
    for place in (str(other), "./other", "../x", "/etc"):
        answer = console.reader.api("/plan", _plan(place))
        assert answer.status == 422, place
        assert "is a folder that the server's configuration does not have" in answer.json["detail"]


@pytest.mark.parametrize("text", ["", "[", "a: &a [*a]", "x: 1", "store: {path: x}", "\x00"])
def test_a_plan_of_what_is_no_configuration(console: RunningConsole, text: str) -> None:
    """Each issue is told with its place in the text."""
    answer = console.reader.api("/plan", {"configuration": text, "events": [GOOD]})
    assert answer.status in {400, 422}
    assert answer.json["issues"]
