"""``destinations kana merge`` beside a server: it merges, in turn with the events of both users."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.errors import TemporaryError
from destinations.http.transport import HttpTransport
from destinations.operations import Periods, lock_run, lock_server, note_server, note_start
from destinations.outcome import Outcome
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.server import Service, read_config
from destinations.server.config_model import ServeConfig
from destinations.store import SqliteStore, broken_rules
from destinations.telemetry import observe
from kana_destination.plugin import KanaPlugin
from kana_destination.sandbox import Sandbox
from kana_destination.users import LEFT_OVER
from tests.case_tables import ALL_CASES

FEATURE = {"id": "calls", "name": "Calls", "type": "CONSUMABLE"}
PAIRS = 6 if ALL_CASES else 4
SEND = HttpTransport.send

Merge = Callable[..., Any]


@pytest.fixture
def merge(command: Callable[..., Any], write: Callable[[str, Any], Path]) -> Merge:
    """Calls ``destinations kana merge`` with the settings of a sandbox and a store."""

    def call(sandbox: Sandbox, store: Path, *arguments: str) -> Any:
        values = {"apiKey": sandbox.api_key, "endpoint": sandbox.url, "account": "main"}
        settings = write("settings.json", values)
        line = ("kana", "merge", "--yes", *arguments)
        return command(*line, "--settings", settings, "--store", store)

    return call


def _seed() -> dict[str, Any]:
    """Pairs of users: of every second one it is FROM that survives, as it has a billing id."""
    users: list[dict[str, Any]] = [{"id": "other"}]
    usage = []
    for number in range(PAIRS):
        billing = {"billingId": f"cus_{number}"} if number % 2 else {}
        users += [{"id": f"from{number}", **billing}, {"id": f"into{number}"}]
        usage += [
            {"userId": f"from{number}", "featureId": "calls", "used": 1_000},
            {"userId": f"into{number}", "featureId": "calls", "used": 100_000},
        ]
    return {"users": users, "features": [FEATURE], "usage": usage}


class Stream(threading.Thread):
    """Posts events of all users, one after another, until it is told to stop."""

    def __init__(self, post: Callable[[Any], Any]) -> None:
        super().__init__(daemon=True)
        self._send = post
        self._stopping = threading.Event()
        self.deltas: dict[tuple[str, int], int] = {}
        self.faults: list[object] = []

    def run(self) -> None:
        """Each user's usage, and now and then an identify, in bodies of several events."""
        numbers = itertools.count(1)
        while not self._stopping.is_set():
            body = []
            for number in range(PAIRS):
                nth = next(numbers)
                for user in (f"from{number}", f"into{number}", "other"):
                    body.append(self._track(user, nth))
                    if nth % 3 == 0:
                        body.append(self._identify(user, nth))
            self._post(body)
            self._stopping.wait(0.1)  # the server keeps up
        # Whoever is gone by now comes again, so that nothing waits for it.
        users = [f"{kind}{number}" for number in range(PAIRS) for kind in ("from", "into")]
        self._post([self._identify(user, 0) for user in users])

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _post(self, body: list[dict[str, Any]]) -> None:
        reply = self._send(body)
        if reply.json() != {"accepted": len(body)}:
            self.faults.append(reply.text)

    def _track(self, user: str, nth: int) -> dict[str, Any]:
        delta = self.deltas[user, nth] = 1 + nth % 5
        head = {"type": "track", "event": "Used", "userId": user, "messageId": f"t-{user}-{nth}"}
        return {**head, "properties": {"featureId": "calls", "delta": delta}}

    def _identify(self, user: str, nth: int) -> dict[str, Any]:
        head = {"type": "identify", "userId": user, "messageId": f"i-{user}-{nth}"}
        return {**head, "traits": {"name": f"{user} {nth}"}}


class Wire:
    """Notes what every request to the partner names, in the order of beginnings and ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.moments: list[tuple[int, bool, str, frozenset[str]]] = []

    def send(self, transport: HttpTransport, request: Any) -> Any:
        """Send a request; its thread tells which of them are of one merge."""
        body = json.loads(request.body)
        named = frozenset(_texts(body.get("variables")))
        operation = body["query"].split("(", 1)[0].split()[1]
        try:
            self._note(operation, named, begins=True)
            return SEND(transport, request)
        finally:
            self._note(operation, named, begins=False)

    def _note(self, operation: str, named: frozenset[str], *, begins: bool) -> None:
        with self._lock:
            self.moments.append((threading.get_ident(), begins, operation, named))

    def intruders(self, pair: frozenset[str]) -> list[str]:
        """What named one of a pair while both were merged, and was none of the merge."""
        merger, found = None, []
        under_way: Counter[tuple[int, str]] = Counter()
        for thread, begins, operation, named in self.moments:
            is_merging = pair <= named or any(f"{one}{LEFT_OVER}" in named for one in pair)
            if begins and operation == "FreezeUser" and is_merging:
                merger = thread
                found += [what for (_, what), count in under_way.items() if count]
            elif thread == merger:
                if not begins and operation == "AdoptUser" and named & pair:
                    merger = None
            elif named & pair:
                under_way[thread, operation] += 1 if begins else -1
                if merger is not None and begins:
                    found.append(operation)
        return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """What the server and the commands of this process send."""
    noted = Wire()

    def send(transport: HttpTransport, request: Any) -> Any:
        return noted.send(transport, request)

    monkeypatch.setattr(HttpTransport, "send", send)
    return noted


@pytest.mark.parametrize("names", [("kana",), ("one", "two")], ids=["alone", "shared account"])
def test_merges_while_events_stream_in(
    serve_kana: Callable[..., Any], merge: Merge, wire: Wire, names: tuple[str, ...]
) -> None:
    """Nothing else of both users is under way while they are merged, so users and sums are exact.

    What was sent for FROM before that is with the merged user, what was sent after it with a new
    one, which the next identify of FROM makes.
    """
    with Sandbox(_seed()) as sandbox:
        sandbox.faults.add({"match": {"rootField": "updateUser"}, "delay": 0.02, "times": None})
        served = serve_kana(sandbox, *names)
        stream = Stream(lambda body: served.post(body, names[-1]))
        stream.start()
        for number in range(PAIRS):
            done = merge(sandbox, served.store, f"from{number}", f"into{number}")
            assert (done.code, done.out) == (0, f"Merged from{number} into into{number}.\n")
        stream.stop()
        served.wait()
        assert stream.faults == []
        assert served.statuses.keys() == {"delivered"}
        snapshot = sandbox.snapshot()
        entries = served.entries
    merges = [entry for entry in entries if entry.action == "merge"]
    assert [entry.status for entry in merges] == [Outcome.DELIVERED] * PAIRS
    by_id = {user["id"]: user for user in snapshot["users"]}
    left = [user.partition("~")[0] for user in by_id if "~" in user]
    goes = [f"{'into' if number % 2 else 'from'}{number}" for number in range(PAIRS)]
    assert sorted(left) == sorted(goes)
    for number in range(1, PAIRS, 2):
        assert by_id[f"into{number}"]["billingId"] == f"cus_{number}"
        assert by_id[f"from{number}"]["billingId"] is None
    used = {user: amounts.get("calls", 0) for user, amounts in snapshot["usage"].items()}
    for number in range(PAIRS):
        both = (f"from{number}", f"into{number}")
        added = sum(delta for (user, _), delta in stream.deltas.items() if user in both)
        assert sum(used.get(user, 0) for user in both) == 101_000 + added
        if number % 2 == 0:
            moved = by_id[f"from{number}~left-over~1"]["metadata"]["kanaDestinationMerge"]["moved"]
            of_into = sum(d for (user, _), d in stream.deltas.items() if user == both[1])
            assert used[both[1]] == 100_000 + of_into + moved["calls"]["amount"]
        assert wire.intruders(frozenset(both)) == []


# -- one merge -----------------------------------------------------------------------------------

TWO: dict[str, Any] = {
    "apiKeys": ["prv_test_two"],
    "users": [
        {"id": "from", "email": "f@example.com", "billingId": "cus_f"},
        {"id": "into", "name": "I"},
        {"id": "other"},
    ],
    "features": [FEATURE],
    "usage": [
        {"userId": "from", "featureId": "calls", "used": 5},
        {"userId": "into", "featureId": "calls", "used": 7},
    ],
}


def _is_merged(sandbox: Sandbox, left: str = "into~left-over~1") -> bool:
    found = sandbox.snapshot()
    users = {user["id"]: user for user in found["users"]}
    into = users["into"]
    return (
        users.keys() == {"into", "other", left}
        and (into["name"], into["email"], into["billingId"]) == ("I", "f@example.com", "cus_f")
        and found["usage"]["into"] == {"calls": 12}
    )


@pytest.fixture
def two() -> Iterator[Sandbox]:
    """A sandbox with two users to be merged."""
    with Sandbox(TWO) as sandbox:
        yield sandbox


def _merges(store: Path) -> list[LedgerEntry]:
    with SqliteStore(store, read_only=True) as opened:
        assert broken_rules(opened.database) == []
        return [entry for entry in opened.ledger().find(Selection()) if entry.action == "merge"]


def test_a_server_merges(serve_kana: Callable[..., Any], merge: Merge, two: Sandbox) -> None:
    """It is in the ledger as any delivery is, and may be asked for again."""
    served = serve_kana(two)
    for _ in range(2):
        done = merge(two, served.store, "from", "into")
        assert (done.code, done.out, done.err) == (0, "Merged from into into.\n", "")
        assert _is_merged(two)
    first, second = _merges(served.store)
    assert (first.status, first.type, first.user) == (Outcome.DELIVERED, "alias", "into")
    assert first.reason == second.reason == "merged from into into"
    assert first.message_id != second.message_id


OPERATIONS = ("ListUsers", "UsageOfBoth", "FreezeUser", "MoveUsage", "AdoptUser")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("drop", ["before", "after"])
def test_an_answer_that_is_lost(
    serve_kana: Callable[..., Any], merge: Merge, two: Sandbox, operation: str, drop: str
) -> None:
    """The server goes on with the merge: nothing is missing, nothing counts twice."""
    two.faults.add({"match": {"operation": operation}, "drop": drop})
    served = serve_kana(two)
    assert merge(two, served.store, "from", "into").code == 0
    assert _is_merged(two)
    (entry,) = _merges(served.store)
    assert entry.status is Outcome.DELIVERED


@pytest.mark.parametrize("users", [("nobody", "into"), ("from", "nobody")])
def test_a_user_that_is_not_there(
    serve_kana: Callable[..., Any], merge: Merge, two: Sandbox, users: tuple[str, str]
) -> None:
    """The delivery is rejected with the reason that the command tells; nothing is changed."""
    served = serve_kana(two)
    before = two.snapshot()["users"]
    done = merge(two, served.store, *users)
    assert (done.code, done.out) == (2, "")
    (entry,) = _merges(served.store)
    assert (entry.status, entry.reason) == (Outcome.REJECTED, "Kana has no user 'nobody'")
    assert f"Kana has no user 'nobody' (delivery {entry.id} is rejected)" in done.err
    assert two.snapshot()["users"] == before


@pytest.mark.parametrize(("option", "used"), [("--moved", 7), ("--not-moved", 12)])
def test_an_operator_decides_what_was_moved(
    serve_kana: Callable[..., Any], merge: Merge, option: str, used: int
) -> None:
    """What cannot be told is held with both numbers; then the server does as the operator says.

    With that, what was held is settled.
    """
    # Somebody else added as well, so that the difference tells nothing.
    entry = {"amount": 5, "before": 4, "periodStart": None}
    plan = {"survivor": "into", "into": "into", "moved": {"calls": entry}}
    left_over = {"id": "from~left-over", "metadata": {"kanaDestinationMerge": plan}}
    usage = [
        {"userId": "from~left-over", "featureId": "calls", "used": 5},
        {"userId": "into", "featureId": "calls", "used": 7},
    ]
    users = [left_over, {"id": "into"}]
    with Sandbox({**TWO, "users": users, "usage": usage}) as sandbox:
        served = serve_kana(sandbox)
        done = merge(sandbox, served.store, "from", "into")
        assert done.code == 2
        assert "which had 4 before and has 7 now" in done.err
        assert "destinations kana merge from into with --moved or --not-moved FEATURE" in done.err
        assert sandbox.snapshot()["usage"]["into"] == {"calls": 7}
        assert [one.status for one in _merges(served.store)] == ["held"]
        assert merge(sandbox, served.store, "from", "into", option, "calls").code == 0
        assert sandbox.snapshot()["usage"]["into"] == {"calls": used}
        held, decided = _merges(served.store)
        assert [held.status, decided.status] == ["delivered", "delivered"]
        assert held.reason == "resolved by an operator: applied"


def test_what_waits_for_an_operator_to_change(serve_kana: Callable[..., Any], merge: Merge) -> None:
    """What waited for FROM waits for the merged user from the moment of the merge on."""
    with Sandbox(TWO, api="documented") as sandbox:
        served = serve_kana(sandbox)
        traits = {"email": "new@example.com"}
        served.post({"type": "identify", "userId": "from", "messageId": "i", "traits": traits})
        done = merge(sandbox, served.store, "from", "into")
        assert done.code == 0
        assert "email: new@example.com" in done.err
        with SqliteStore(served.store, read_only=True) as store:
            (scope,) = [one for one in store.ledger().totals(0.0) if one.served]
            assert scope.partner_account is not None
            changes = store.manual_changes([scope.partner_account])
            assert changes.entries() == {"into": {"email": "new@example.com"}}


def test_a_user_who_comes_again(serve_kana: Callable[..., Any], merge: Merge, two: Sandbox) -> None:
    """What the former user of that id had used says nothing of a lost answer for the new one.

    Somebody else makes the new one at Kana.
    """
    served = serve_kana(two, delivery={"settleAfterSeconds": 0.1})
    head = {"userId": "from", "event": "Used", "properties": {"featureId": "calls", "delta": 3}}
    served.post({"type": "track", "messageId": "first", **head})
    served.wait()
    assert merge(two, served.store, "from", "into").code == 0
    query = 'mutation { createUser(input: {id: "from"}) { id } }'
    headers = {"Authorization": two.api_key}
    made = requests.post(two.url, json={"query": query}, headers=headers, timeout=30)
    assert made.json()["data"] == {"createUser": {"id": "from"}}
    two.faults.add({"match": {"rootField": "recordUsage"}, "drop": "after"})
    served.post({"type": "track", "messageId": "second", **head})
    served.wait()
    assert served.statuses == {"delivered": 3}
    assert two.snapshot()["usage"]["from"] == {"calls": 3}


# -- events do not merge -------------------------------------------------------------------------

ALIAS = {"type": "alias", "userId": "into", "previousId": "from", "messageId": "a"}


def test_an_event_merges_nobody(
    serve_kana: Callable[..., Any],
    two: Sandbox,
    command: Callable[..., Any],
    write: Callable[[str, Any], Path],
    tmp_path: Path,
) -> None:
    """Over HTTP, in a file, and in a file of undelivered deliveries that name the action."""
    served = serve_kana(two)
    assert served.post(ALIAS).status_code == 501
    assert served.post([ALIAS, {**ALIAS, "messageId": "c"}]).status_code == 501
    assert served.entries == []
    note = {"outcome": "rejected", "subscription": "merge", "action": "merge", "reason": "why"}
    lines = [{**ALIAS, "messageId": "b"}, {"undelivered": note, "rawEvent": ALIAS}]
    settings = write("run.json", {"apiKey": two.api_key, "endpoint": two.url})
    both = ("--settings", settings, "--store", tmp_path / "runs.sqlite3")
    events = write("events.ndjson", lines)
    done = command("run", "kana", "--events", events, *both, "--json")
    assert (done.code, done.json["outcomes"]["filtered"]) == (0, 2)
    assert [user["id"] for user in two.snapshot()["users"]] == ["from", "into", "other"]


# -- where no server does it ---------------------------------------------------------------------


@contextlib.contextmanager
def _as_server(store: Path, account: int | None, *actions: str) -> Iterator[None]:
    """Holds the store as a server does that never delivers."""
    with lock_server(store), SqliteStore(store) as opened:
        if account is not None:
            with opened.database.transaction() as connection:
                connection.execute(
                    "INSERT INTO scopes (destination, served, partner_account) VALUES (?, 1, ?)"
                    " ON CONFLICT (destination, tenant) WHERE served DO NOTHING",
                    ("kana", account),
                )
        note_server(opened, ["kana"], Periods(), {"kana": actions})
        yield


def _account(sandbox: Sandbox, store: Path, name: str = "main") -> int:
    """The account of a sandbox, which the store knows from now on."""
    with SqliteStore(store) as opened:
        definition = load_definition(find_folder("kana"))
        values = {"apiKey": sandbox.api_key, "endpoint": sandbox.url}
        settings = check_settings(definition, Document("settings", values, {}))
        destination = Destination(definition, settings, KanaPlugin().code(None))
        return opened.accounts().add(identity_of(destination, name))


def test_a_run_is_under_way(merge: Merge, two: Sandbox, tmp_path: Path) -> None:
    """The command waits for it to end, as another run would: exit code 75."""
    store = tmp_path / "store.sqlite3"
    account = _account(two, store)
    with SqliteStore(store) as opened:
        scope = opened.accounts().run("kana", account)
    with lock_run(store, scope.id, "kana at main"):
        done = merge(two, store, "from", "into")
    assert (done.code, done.out) == (75, "")
    assert "another run delivers to kana at main" in done.err
    assert not any(user["id"].endswith("left-over") for user in two.snapshot()["users"])
    assert merge(two, store, "from", "into").code == 0
    assert _is_merged(two)


def test_nobody_begins_meanwhile(
    merge: Merge, two: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the command merges, neither a server nor a run can begin to deliver."""
    store = tmp_path / "store.sqlite3"
    account = _account(two, store)
    refused = []

    def send(transport: HttpTransport, request: Any) -> Any:
        with SqliteStore(store) as opened:
            scope = opened.accounts().run("kana", account)
        for lock in (lock_server(store), lock_run(store, scope.id, "x")):
            with pytest.raises(TemporaryError), lock:
                pass
        refused.append(request)
        return SEND(transport, request)

    monkeypatch.setattr("destinations.operations.file_locks._PATIENCE", 0.0)
    monkeypatch.setattr(HttpTransport, "send", send)
    assert merge(two, store, "from", "into").code == 0
    assert len(refused) > 5


def test_a_lost_answer(serve_kana: Callable[..., Any], merge: Merge, two: Sandbox) -> None:
    """It is judged by what FROM had before, so that must not change: exit code 75 until it is."""
    served = serve_kana(two)
    two.faults.add({"match": {"rootField": "recordUsage"}, "drop": "after"})
    used = {"featureId": "calls", "delta": 3}
    event = {"type": "track", "event": "Used", "userId": "from", "messageId": "m"}
    served.post({**event, "properties": used})
    pause = threading.Event()
    while "unknown" not in served.counts:
        pause.wait(0.01)
    served.service.stop()
    done = merge(two, served.store, "from", "into")
    assert done.code == 75
    assert "the answer to delivery 1000 of from was lost" in done.err
    assert [user["id"] for user in two.snapshot()["users"]] == ["from", "into", "other"]


def test_a_server_of_another_account(merge: Merge, two: Sandbox, tmp_path: Path) -> None:
    """The command merges beside it, but not beside another command."""
    store = tmp_path / "store.sqlite3"
    account = _account(two, store)
    with Sandbox({**TWO, "apiKeys": ["prv_test_else"]}) as other:
        elsewhere = _account(other, store, "else")
        with _as_server(store, elsewhere, "merge"):
            with SqliteStore(store) as opened:
                scope = opened.accounts().run("kana", account)
            with lock_run(store, scope.id, "kana at main", allow_server=True):
                assert merge(two, store, "from", "into").code == 75
            assert merge(two, store, "from", "into").code == 0
    assert _is_merged(two)
    assert _merges(store) == []


def test_a_server_that_begins(
    merge: Merge, two: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server before it had says nothing: it is waited for, nothing is done beside it."""
    store = tmp_path / "store.sqlite3"
    account = _account(two, store)
    with _as_server(store, account, "merge"), SqliteStore(store) as opened:
        note_start(opened)
        _at(monkeypatch, 3, _interrupt)
        assert merge(two, store, "from", "into").code == 130
        _at(monkeypatch, 1_000, _interrupt)
        done = merge(two, store, "from", "into")
        assert done.code == 75
        assert "a server delivers from the store" in done.err
        assert _merges(store) == []

        def begin() -> None:
            note_server(opened, ["kana"], Periods(), {"kana": ["merge"]})
            _at(monkeypatch, 3, _interrupt)

        _at(monkeypatch, 3, begin)
        assert merge(two, store, "from", "into").code == 130
    assert [one.status for one in _merges(store)] == ["ready"]


def test_a_server_of_an_earlier_version(merge: Merge, two: Sandbox, tmp_path: Path) -> None:
    """It must not get what it does not know; nor may the command merge beside it."""
    store = tmp_path / "store.sqlite3"
    with _as_server(store, _account(two, store)):
        done = merge(two, store, "from", "into")
    assert done.code == 75
    assert "does not know the action merge: start it again with this version" in done.err
    assert _merges(store) == []


# -- the server ends, or the command -------------------------------------------------------------


class Moments:
    """A clock that goes on by itself, and does something after so many waits."""

    def __init__(self, waits: int, act: Callable[[], None]) -> None:
        self._now, self._left, self._act = 0.0, waits, act

    def monotonic(self) -> float:
        return self._now

    def wait(self, seconds: float, _stop: threading.Event) -> bool:
        self._now += seconds
        self._left -= 1
        if self._left == 0:
            self._act()
        return False


def _interrupt() -> None:
    raise KeyboardInterrupt


def _at(monkeypatch: pytest.MonkeyPatch, waits: int, act: Callable[[], None]) -> None:
    clock = "destinations.operations.requests.SystemClock"
    monkeypatch.setattr(clock, lambda: Moments(waits, act))


def test_ctrl_c(
    merge: Merge, two: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says what it waited for, that the server goes on, and where to look."""
    store = tmp_path / "store.sqlite3"
    _at(monkeypatch, 100, _interrupt)
    with _as_server(store, _account(two, store), "merge"):
        done = merge(two, store, "from", "into")
    (entry,) = _merges(store)
    assert (done.code, done.out) == (130, "")
    look = f"destinations deliveries show {entry.id} --store {store}"
    assert [line for line in done.err.splitlines() if line] == [
        f"The server has it as delivery {entry.id} of kana, which is ready.",
        f"The server continues it; see: {look}",
        "Interrupted.",
    ]


def test_a_server_that_ends(
    serve_kana: Callable[..., Any],
    merge: Merge,
    two: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The delivery waits for the next start; asked for again, it is the same one."""
    store = tmp_path / "store.sqlite3"
    account = _account(two, store)
    for decided in ((), (), ("--moved", "calls")):
        server = contextlib.ExitStack()
        server.enter_context(_as_server(store, account, "merge"))
        with monkeypatch.context() as patch, server:
            _at(patch, 3, server.close)
            done = merge(two, store, "from", "into", *decided)
        assert done.code == 75
        assert "no server delivers for kana any more: this waits for its next start" in done.err
    same, decided_one = _merges(store)
    assert [same.status, decided_one.status] == ["ready", "ready"]
    assert str(decided_one.id) in done.err
    served = serve_kana(two)
    served.wait()
    assert _is_merged(two)
    assert [one.status for one in _merges(store)] == ["delivered", "delivered"]


def test_a_destination_that_is_gone(
    merge: Merge, two: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload took it from the server: the delivery waits until it has it again."""
    store = tmp_path / "store.sqlite3"

    def reload() -> None:
        with SqliteStore(store) as opened:
            note_server(opened, ["another"], Periods())

    _at(monkeypatch, 3, reload)
    with _as_server(store, _account(two, store), "merge"):
        done = merge(two, store, "from", "into")
    assert done.code == 75
    assert "no server delivers for kana any more" in done.err
    assert [one.status for one in _merges(store)] == ["ready"]


def test_what_waits_is_done_by_the_command(merge: Merge, two: Sandbox, tmp_path: Path) -> None:
    """Where no server runs any more the command merges, and the next one need not."""
    store = tmp_path / "store.sqlite3"
    with _as_server(store, _account(two, store), "merge"), pytest.MonkeyPatch.context() as patch:
        _at(patch, 1, _interrupt)
        assert merge(two, store, "from", "into").code == 130
    assert [one.status for one in _merges(store)] == ["ready"]
    assert merge(two, store, "from", "into").code == 0
    assert _is_merged(two)
    (entry,) = _merges(store)
    assert (entry.status, entry.reason) == ("dropped", "dropped: another command has done the same")


class TwoAccounts:
    """A server of another account, and the configuration that lets it have the one of `two`."""

    def __init__(self, folder: Path, store: Path, two: Sandbox, other: Sandbox) -> None:
        self._two, self._other = two, other
        self._folder, self.store = folder, store

    def config(self, *names: str) -> ServeConfig:
        """The configuration with the destinations ``two``, ``other``, or both."""
        sandboxes = {"two": (self._two, "main"), "other": (self._other, "else")}
        keys = {f"KEY_{name}": sandboxes[name][0].api_key for name in names}
        destinations = [
            {
                "name": name,
                "destination": "kana",
                "account": sandboxes[name][1],
                "settings": {"apiKey": f"${{KEY_{name}}}", "endpoint": sandboxes[name][0].url},
            }
            for name in names
        ]
        document = {"store": {"path": str(self.store)}, "listen": {"port": 0}}
        path = self._folder / "serve.json"
        path.write_text(json.dumps({**document, "destinations": destinations}), encoding="utf-8")
        return read_config(path, keys)


@pytest.fixture
def accounts(tmp_path: Path, two: Sandbox) -> Iterator[TwoAccounts]:
    """Two accounts, of which both may be served."""
    with Sandbox({**TWO, "apiKeys": ["prv_test_else"]}) as other:
        yield TwoAccounts(tmp_path, tmp_path / "store.sqlite3", two, other)


@pytest.fixture
def service_of() -> Iterator[Callable[[ServeConfig], Service]]:
    """Makes servers, which stop with the test."""
    with contextlib.ExitStack() as stack:
        observation = observe(stream=io.StringIO(), level="error")
        stack.callback(observation.close)

        def make(config: ServeConfig) -> Service:
            service = Service(config, observation)
            stack.callback(service.stop)
            return service

        yield make


USED = {
    "type": "track",
    "event": "Used",
    "userId": "other",
    "messageId": "m",
    "properties": {"featureId": "calls", "delta": 3},
}


@pytest.mark.parametrize("by", ["a reload", "a start"])
def test_a_server_that_gets_the_account_meanwhile(
    merge: Merge,
    two: Sandbox,
    accounts: TwoAccounts,
    service_of: Callable[[ServeConfig], Service],
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    """It delivers nothing to the account before the command has ended, and keeps what comes."""
    service = service_of(accounts.config("other"))
    service.start()
    monkeypatch.setattr("destinations.operations.file_locks._PATIENCE", 0.0)
    merging = threading.get_ident()
    begun: list[str] = []

    def send(transport: HttpTransport, request: Any) -> Any:
        # What has to be excluded is another thread's, or comes before the merge is over.
        if threading.get_ident() == merging and not begun:
            begun.append(request.url)
            if by == "a start":
                service.stop()
                with pytest.raises(TemporaryError, match="a command delivers to kana at main"):
                    service_of(accounts.config("two", "other")).start()
            else:
                service.reload(accounts.config("two", "other"))
                assert service.needs_repair
                service.repair()
                assert any("a command delivers to kana at main" in it for it in service.unready())
                reply = requests.post(service.urls["two"], json=USED, timeout=30)
                assert reply.status_code == 200
        return SEND(transport, request)

    monkeypatch.setattr(HttpTransport, "send", send)
    assert merge(two, accounts.store, "from", "into").code == 0
    assert begun
    assert _is_merged(two)
    if by == "a start":
        service_of(accounts.config("two", "other")).start()
        return
    assert two.snapshot()["usage"].get("other", {}) == {}
    service.repair()
    assert not service.needs_repair
    pause = threading.Event()
    while two.snapshot()["usage"].get("other", {}) != {"calls": 3}:
        pause.wait(0.02)


def test_a_server_that_has_the_account_by_now(
    merge: Merge,
    two: Sandbox,
    accounts: TwoAccounts,
    service_of: Callable[[ServeConfig], Service],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command that did not see it yet does nothing beside it: exit code 75."""
    service = service_of(accounts.config("other"))
    service.start()
    monkeypatch.setattr("destinations.operations.file_locks._PATIENCE", 0.0)

    def late(*arguments: Any, **options: Any) -> Any:
        service.reload(accounts.config("two", "other"))  # after the command has looked
        return lock_run(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr("destinations.operations.requests.lock_run", late)
        done = merge(two, accounts.store, "from", "into")
    assert (done.code, done.out) == (75, "")
    assert "a server or another command delivers to kana at main" in done.err
    assert not any(LEFT_OVER in user["id"] for user in two.snapshot()["users"])
    assert merge(two, accounts.store, "from", "into").code == 0
    assert _is_merged(two)
    service.reload(accounts.config("other"))  # which lets go of the account
    assert merge(two, accounts.store, "from", "into").code == 0
