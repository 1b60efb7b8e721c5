"""A deletion keeps its place among the events of its user: over runs, servers and decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from destinations.http import HttpResponse
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.postgres.address import PostgresAddress
from destinations.postgres.store import PostgresStore
from destinations.store import broken_rules
from tests.case_tables import each_value
from tests.destinations.server.test_deletion import ANN, BUSY, ENVIRONMENT, Place, place
from tests.postgres_server import new_store_address

__all__ = ["place"]

LOST = HttpResponse(500, {}, b"")


def _identify(message_id: str, user: str = ANN) -> dict[str, Any]:
    traits = {"email": user, "name": "A"}
    return {"type": "identify", "userId": user, "messageId": message_id, "traits": traits}


def _delete(message_id: str, user: str = ANN) -> dict[str, Any]:
    return {"type": "delete", "userId": user, "messageId": message_id}


def _run(
    place: Place,
    *events: Mapping[str, Any],
    more: tuple[str, ...] = (),
    at: tuple[str, ...] | None = None,
) -> Any:
    """Run a file of its own with these events."""
    name = "-".join(one["messageId"] for one in events) or "none"
    path, settings = place.folder / f"{name}.ndjson", place.folder / "settings.json"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events))
    settings.write_text(json.dumps({"apiKey": ENVIRONMENT["KEY"]}))
    where = ("--store", place.store) if at is None else at
    command = ["run", place.definition, "--settings", settings, *where, "--json"]
    return place.run(*command, *more, "--events", path)


def _statuses(place: Place) -> list[tuple[str, str, str | None]]:
    return [(one.message_id, one.status.value, one.code) for one in place.entries()]


def _leave_ready(place: Place, *events: Mapping[str, Any]) -> None:
    """Let a run end in an outage, so that what it tried waits."""
    place.served.contacts.hook = lambda what, done: BUSY if not done and what == "find" else None
    assert _run(place, *events, more=("--outage", "0.2")).code != 0
    place.served.contacts.hook = lambda _what, _done: None
    place.served.contacts.asked.clear()


def test_a_later_run(place: Place) -> None:
    """It leaves the deletion in the queue, as an earlier run has left an event; both go in order.

    So do events that came later: of that user in a third run, and of others at once.
    """
    _leave_ready(place, _identify("m1"))
    contacts = place.served.contacts
    done = _run(place, _delete("m2"), _identify("m3"), _identify("b1", "bob"))
    assert done.code == 1, done.err
    assert {k: v for k, v in done.json["outcomes"].items() if v} == {"ready": 2, "delivered": 1}
    assert contacts.created == ["bob"]
    assert contacts.deleted == []
    assert sorted(_statuses(place)) == [
        ("b1", "delivered", None),
        ("m1", "ready", "TOO_MANY_REQUESTS"),
        ("m2", "ready", "EARLIER_WAITS"),
        ("m3", "ready", None),
    ]
    done = _run(place, _identify("m4"))
    assert done.code == 1
    contacts.asked.clear()
    done = _run(place, more=("--resume",))
    assert done.code == 0, done.err
    assert {one.status for one in place.entries()} == {Outcome.DELIVERED}
    assert contacts.asked[:4] == ["find", "create", "delete", "find"]
    assert contacts.asked.count("delete") == 1


def test_the_run_that_resumes_brings_it(place: Place) -> None:
    """What was left goes first, also when it fails once more."""
    _leave_ready(place, _identify("m1"))
    contacts, failures = place.served.contacts, [BUSY, BUSY]

    def hook(what: str, done: bool) -> Any:
        return failures.pop() if failures and what == "find" and not done else None

    contacts.hook = hook
    done = _run(place, _delete("m2"), more=("--resume",))
    assert done.code == 0, done.err
    assert contacts.asked == ["find", "find", "find", "create", "delete"]


def _held(place: Place) -> int:
    """Lose the answer to what cannot be asked about; returns the delivery that is held."""
    contacts = place.served.contacts
    contacts.hook = lambda what, done: LOST if (what, done) == ("create", True) else None
    assert _run(place, _identify("m1")).code == 1
    contacts.hook = lambda _what, _done: None
    (entry,) = place.entries()
    assert entry.status is State.HELD
    contacts.asked.clear()
    return entry.id


@pytest.mark.parametrize("decision", ["--applied", "--not-applied", "drop"])
@pytest.mark.parametrize("resumes", [False, True])
def test_a_held_event_in_runs(place: Place, decision: str, resumes: bool) -> None:
    """The run ends, and says which delivery is to be decided; then the deletion is sent."""
    held = _held(place)
    contacts = place.served.contacts
    more = ("--resume",) if resumes else ()
    done = _run(place, _delete("m2"), _identify("m3"), more=more)
    assert done.code == 1
    assert contacts.asked == []
    deletion = place.entries()[1]
    assert (deletion.status, deletion.code) == (State.READY, "EARLIER_HELD")
    assert f"destinations deliveries resolve {held}" in deletion.reason
    shown = place.run("deliveries", "show", str(deletion.id), "--store", place.store)
    assert deletion.reason in " ".join(shown.out.split())
    if decision == "drop":
        told = ["drop", str(held), "--reason", "x"]
    else:
        told = ["resolve", str(held), decision]
    assert place.run("deliveries", *told, "--store", place.store, "--yes").code == 0
    done = _run(place, more=("--resume",))
    assert done.code == 0, done.err
    sent = ["find", "change"] if decision == "--not-applied" else []
    assert contacts.asked == [*sent, "delete", "find", "change"]


@pytest.mark.parametrize("decision", ["--applied", "--not-applied"])
def test_a_held_event_at_a_server(place: Place, decision: str) -> None:
    """It goes on by itself once an operator has decided; other users do not wait."""
    contacts = place.served.contacts
    contacts.hook = lambda what, done: LOST if (what, done) == ("create", True) else None
    service = place.start()
    place.post(service, _identify("m1"))
    place.until_all_is(State.HELD)
    contacts.hook = lambda _what, _done: None
    contacts.asked.clear()
    place.post(service, _delete("m2"), _identify("m3"), _identify("b1", "bob"))
    place.until(lambda: place.entries()[-1].status is Outcome.DELIVERED)
    place.until(lambda: place.entries()[1].code == "EARLIER_HELD")
    assert contacts.asked == ["find", "create"]
    held = place.entries()[0].id
    told = ["deliveries", "resolve", str(held), decision, "--config", place.config, "--yes"]
    assert place.run(*told).code == 0
    place.until_all_is(*[Outcome.DELIVERED] * 4)
    sent = ["find", "change"] if decision == "--not-applied" else []
    assert contacts.asked[2:] == [*sent, "delete", "find", "change"]


@pytest.fixture
def in_postgres() -> Iterator[PostgresAddress]:
    """A database as the store of runs."""
    address = new_store_address()
    with PostgresStore(address):
        yield address


def _of_database(address: PostgresAddress) -> list[LedgerEntry]:
    with PostgresStore(address, read_only=True) as store:
        assert broken_rules(store.database) == []
        return sorted(store.ledger().find(Selection()), key=lambda one: one.id)


@pytest.fixture(params=["a file", "a database"])
def at(request: pytest.FixtureRequest, place: Place) -> tuple[str, str]:
    """Each kind of store, as the option of a run."""
    if request.param == "a file":
        return "--store", str(place.store)
    return "--store", str(request.getfixturevalue("in_postgres"))


CAME_SINCE: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "nothing": ([], True),
    "an event": ([_identify("m3")], False),
    "an event, and another deletion": ([_identify("m3"), _delete("m4")], False),
    "another user": ([_identify("b1", "bob")], True),
    "another deletion": ([_delete("m4")], True),
}


@each_value
@pytest.mark.parametrize("case", CAME_SINCE)
def test_a_deletion_comes_again(place: Place, at: tuple[str, str], case: str) -> None:
    """It is sent again only if nothing of its user came since: the partner would delete that."""
    since, is_sent = CAME_SINCE[case]
    contacts = place.served.contacts
    first = (_identify("m1"), _delete("m2"))
    assert _run(place, *first, at=at).code == 0
    for one in since:
        assert _run(place, one, at=at).code == 0
    contacts.asked.clear()
    done = _run(place, *first, more=("--again", "--yes"), at=at)
    assert done.code == 0, done.err
    left_out = [one for one in done.json["reasons"] if one["code"] == "USER_CAME_BACK"]
    assert len(left_out) == (not is_sent)
    if not is_sent:
        assert "delivery 3000 of its user came since" in left_out[0]["reason"]
        assert "under another messageId" in left_out[0]["reason"]
    assert contacts.asked.count("delete") == is_sent


def test_a_deletion_comes_again_after_a_new_event(place: Place, at: tuple[str, str]) -> None:
    """What the same run has read before it, and has no row yet, came since as well."""
    contacts = place.served.contacts
    assert _run(place, _identify("m1"), _delete("m2"), at=at).code == 0
    contacts.asked.clear()
    done = _run(place, _identify("m3"), _delete("m2"), more=("--again", "--yes"), at=at)
    assert done.code == 0, done.err
    assert [one["code"] for one in done.json["reasons"]].count("USER_CAME_BACK") == 1
    assert "delete" not in contacts.asked


@pytest.mark.parametrize("is_back", [False, True])
def test_a_refused_deletion_comes_again(place: Place, at: tuple[str, str], is_back: bool) -> None:
    """It is tried again with the file, unless its user came since; then it stays rejected."""
    contacts = place.served.contacts
    contacts.hook = lambda what, _done: HttpResponse(400, {}, b"") if what == "delete" else None
    assert _run(place, _identify("m1"), _delete("m2"), at=at).code == 1
    contacts.hook = lambda _what, _done: None
    if is_back:
        assert _run(place, _identify("m3"), at=at).code == 0
    contacts.asked.clear()
    done = _run(place, _identify("m1"), _delete("m2"), more=("--dry-run",), at=at)
    codes = [one["code"] for one in done.json["reasons"]]
    assert codes.count("USER_CAME_BACK") == is_back
    done = _run(place, _identify("m1"), _delete("m2"), at=at)
    assert done.code == is_back, done.err
    assert done.json["outcomes"]["rejected"] == is_back
    assert contacts.asked.count("delete") == (not is_back)


@pytest.mark.parametrize("by", ["a server", "a run"])
def test_another_content_after_a_deletion(place: Place, by: str) -> None:
    """It is refused with the deletion as the reason, and with what to do."""
    other = {**_identify("m1"), "traits": {"email": ANN, "name": "B"}}
    if by == "a server":
        service = place.start()
        place.post(service, _identify("m1"), _delete("m2"))
        place.until_all_is(Outcome.DELIVERED, Outcome.DELIVERED)
        place.post(service, other)
        place.stop()
    else:
        assert _run(place, _identify("m1"), _delete("m2")).code == 0
        assert _run(place, other).code == 1
    first, deletion, refused = place.entries()
    assert (refused.status, refused.code) == (Outcome.REJECTED, "CONFLICT")
    assert refused.reason == (
        f"delivery {first.id} has the same messageId and different content, and the partner was "
        f"asked to delete its user after it (delivery {deletion.id}); if the user is back, send "
        "the event under another messageId"
    )


@pytest.mark.parametrize("first", ["a server", "a run"])
def test_a_deletion_of_a_server_comes_again(place: Place, first: str) -> None:
    """Its account is what counts: whether a server or a run delivered what came since."""
    contacts = place.served.contacts

    def deliver(by: str, *events: dict[str, Any]) -> None:
        if by == "a run":
            assert _run(place, *events).code == 0
            return
        known = len(place.entries()) if place.store.exists() else 0
        place.post(place.start(), *events)
        place.until_all_is(*[Outcome.DELIVERED] * (known + len(events)))
        place.stop()

    deliver(first, _identify("m1"), _delete("m2"))
    deliver("a run" if first == "a server" else "a server", _identify("m3"))
    contacts.asked.clear()
    done = _run(place, _delete("m2"), more=("--again", "--yes"))
    assert done.code == 0, done.err
    assert [one["code"] for one in done.json["reasons"]] == ["USER_CAME_BACK"]
    assert "delete" not in contacts.asked


def test_an_erased_deletion_comes_again(place: Place) -> None:
    """A digest stands for the user in what came since: it is found all the same."""
    contacts = place.served.contacts
    for one in (_identify("m1"), _delete("m2"), _identify("m3")):
        assert _run(place, one).code == 0
    forget = ["forget", ANN, "--everywhere", "--store", place.store, "--yes"]
    assert place.run(*forget).code == 0
    contacts.asked.clear()
    done = _run(place, _delete("m2"), more=("--again", "--yes"))
    assert [one["code"] for one in done.json["reasons"]] == ["USER_CAME_BACK"]
    assert "delete" not in contacts.asked


def test_runs_that_share_a_database(place: Place, in_postgres: PostgresAddress) -> None:
    """Each delivers what waits, and leaves the deletion until the held event is decided."""
    contacts = place.served.contacts
    at = ("--store", str(in_postgres))
    contacts.hook = lambda what, done: LOST if (what, done) == ("create", True) else None
    assert _run(place, _identify("m1"), at=at).code == 1
    contacts.hook = lambda _what, _done: None
    contacts.asked.clear()
    done = _run(place, _delete("m2"), _identify("m3"), _identify("b1", "bob"), at=at)
    assert done.code == 1, done.err
    assert {k: v for k, v in done.json["outcomes"].items() if v} == {"ready": 2, "delivered": 1}
    assert contacts.asked == ["find", "create"]
    held, deletion, *_ = _of_database(in_postgres)
    assert (held.status, deletion.code) == (State.HELD, "EARLIER_HELD")
    told = ["deliveries", "resolve", str(held.id), "--not-applied", "--yes"]
    assert place.run(*told, *at).code == 0
    done = _run(place, _identify("b2", "bob"), at=at)
    assert done.code == 0, done.err
    assert {one.status for one in _of_database(in_postgres)} == {Outcome.DELIVERED}
    of_ann = [one for one in contacts.changed if one[0] == "c1"]
    assert len(of_ann) == 2
    assert contacts.deleted == ["ann%40example.com"]
    where = contacts.asked.index("delete")
    assert contacts.asked[:where].count("change") >= 1


def test_an_outage_in_a_database(place: Place, in_postgres: PostgresAddress) -> None:
    """What an earlier run left goes first, without being asked for."""
    contacts = place.served.contacts
    at = ("--store", str(in_postgres))
    contacts.hook = lambda what, done: BUSY if not done and what == "find" else None
    assert _run(place, _identify("m1"), more=("--outage", "0.2"), at=at).code != 0
    contacts.hook = lambda _what, _done: None
    contacts.asked.clear()
    assert _run(place, _delete("m2"), at=at).code == 0
    assert contacts.asked == ["find", "create", "delete"]


def test_without_a_store(place: Place) -> None:
    """Nobody can decide in a run that keeps nothing: it ends, and says so."""
    contacts = place.served.contacts
    contacts.hook = lambda what, done: LOST if (what, done) == ("create", True) else None
    path, settings = place.folder / "events.ndjson", place.folder / "settings.json"
    events = [_identify("m1"), _delete("m2"), _identify("m3"), _delete("b1", "bob")]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events))
    settings.write_text(json.dumps({"apiKey": ENVIRONMENT["KEY"]}))
    command = ["run", place.definition, "--settings", settings, "--events", path]
    done = place.run(*command, "--no-store", "--json")
    assert done.code == 1
    assert {k: v for k, v in done.json["outcomes"].items() if v} == {
        "held": 1,
        "ready": 2,
        "delivered": 1,
    }
    assert contacts.deleted == ["bob"]


def test_an_event_from_before_is_not_sent_again(place: Place) -> None:
    """A replay would create anew who was deleted: it is refused, with what can be done."""
    contacts = place.served.contacts
    refused = HttpResponse(400, {}, b"")
    path = place.definition / "destination.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    document["transport"]["concurrency"] = 1
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    def hook(what: str, done: bool) -> Any:
        return refused if (what, done, contacts.created) == ("find", False, ["bob"]) else None

    contacts.hook = hook
    assert _run(place, _identify("b1", "bob"), _identify("m1")).code == 1
    contacts.hook = lambda _what, _done: None
    assert _run(place, _delete("m2")).code == 0
    _, first, deletion = place.entries()
    assert (first.status, deletion.status) == (Outcome.REJECTED, Outcome.DELIVERED)
    command = ["deliveries", "replay", str(first.id), "--store", place.store]
    done = place.run(*command, "--definition", place.definition)
    assert done.code == 1, done.out
    assert f"was asked to delete its user after it (delivery {deletion.id})" in done.err
    shown = place.run("deliveries", "show", str(first.id), "--store", place.store)
    assert f"replay {first.id}" not in shown.out
    # The line of the file, too.
    done = _run(place, _identify("m1"))
    assert done.json["outcomes"]["filtered"] == 1
    done = _run(place, _identify("m1"), more=("--dry-run",))
    assert done.json["outcomes"]["filtered"] == 1
    assert contacts.created == ["bob"]
    # A new event of the user is one of who is back.
    assert _run(place, _identify("m4")).code == 0
    assert contacts.created == ["bob", ANN]
