"""Users are deleted at the partner: by events over HTTP and from files, and by `forget`."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.console.api.forms import changed_json, details_json, replayed_json
from destinations.console.operators import Operator
from destinations.console.pages.visit import Redirected
from destinations.console.shown import Targets
from destinations.console.verbs import Decision, decisions
from destinations.definition import DELETION
from destinations.http import HttpResponse
from destinations.operations import forgetting
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import Service, read_config
from destinations.store import SqliteStore, broken_rules
from destinations.telemetry import observe
from tests.browser.world import World
from tests.destinations.console.pages.test_pages import Pages

Command = Callable[..., Any]

ANN = "ann@example.com"
BUSY, REFUSED = HttpResponse(429, {}, b""), HttpResponse(400, {}, b"")
ENVIRONMENT = {
    "KEY": "sk_test_0123456789",
    "RECEIVER": "the-key-of-the-receiver",
    "WRITE": "the-write-key-of-the-source",
}


def _identify(message_id: str, user: str = ANN) -> dict[str, Any]:
    traits = {"email": user, "name": "A"}
    return {"type": "identify", "userId": user, "messageId": message_id, "traits": traits}


def _delete(message_id: str, user: str = ANN) -> dict[str, Any]:
    return {"type": "delete", "userId": user, "messageId": message_id}


@dataclass
class Place:
    """A server, its configuration and its store, and contacts as the partner."""

    folder: Path
    definition: Path
    served: Any
    run: Command
    services: list[tuple[Service, Any]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """Its store."""
        return self.folder / "store.sqlite3"

    @property
    def config(self) -> Path:
        """Its configuration, which keeps all that it can."""
        crm = {
            "name": "crm",
            "destination": str(self.definition),
            "settings": {"apiKey": {"env": "KEY"}},
            "receiver": {"keys": [{"env": "RECEIVER"}]},
            "from": ["web"],
        }
        hook = {
            "name": "hook",
            "destination": "webhook",
            "settings": {"url": "http://127.0.0.1:9/"},
            "from": ["web"],
        }
        document = {
            "destinations": [crm, hook],
            "sources": [{"name": "web", "keys": [{"env": "WRITE"}]}],
            "listen": {"host": "127.0.0.1", "port": 0},
            "store": {"path": str(self.store)},
            "keepAttempts": {"sample": 1},
            "keepRecent": {},
            "drainSeconds": 0,
        }
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def start(self) -> Service:
        """Start a server."""
        observation = observe(stream=io.StringIO(), level="error")
        service = Service(read_config(self.config, ENVIRONMENT), observation)
        self.services.append((service, observation))
        service.start()
        return service

    def post(self, service: Service, *events: Mapping[str, Any]) -> requests.Response:
        """Send events to it."""
        headers = {"Authorization": ENVIRONMENT["RECEIVER"]}
        body = {"batch": events}
        return requests.post(service.urls["crm"], json=body, headers=headers, timeout=30)

    def stop(self) -> None:
        """Stop the server."""
        while self.services:
            service, observation = self.services.pop()
            service.stop()
            observation.close()

    def entries(self) -> list[LedgerEntry]:
        """All deliveries, in order."""
        with SqliteStore(self.store, read_only=True) as store:
            assert broken_rules(store.database) == []
            return sorted(store.ledger().find(Selection()), key=lambda one: one.id)

    def entry(self, id_: int) -> LedgerEntry:
        """Return the delivery with an id."""
        (found,) = (one for one in self.entries() if one.id == id_)
        return found

    def until(self, holds: Callable[[], bool]) -> None:
        """Return when it is so; fails if that takes for ever."""
        pause = threading.Event()
        for _ in range(1_500):
            if holds():
                return
            pause.wait(0.02)
        raise AssertionError([(one.key, one.status, one.reason) for one in self.entries()])

    def until_all_is(self, *statuses: Outcome | State) -> None:
        """Return when the deliveries have these statuses."""
        self.until(lambda: tuple(one.status for one in self.entries()) == statuses)


@pytest.fixture
def place(
    tmp_path: Path,
    write_definition: Any,
    with_deletion: Any,
    served_contacts: Any,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """A place without a server yet."""

    def change(documents: Any) -> None:
        with_deletion(documents)
        served_contacts.connected(documents)

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    made = Place(tmp_path, write_definition(change), served_contacts, command)
    yield made
    made.stop()


def test_over_http(place: Place) -> None:
    """It is sent after what waits of the user; another one with its messageId counts once."""
    contacts = place.served.contacts
    failures, created = [BUSY, BUSY], []

    def hook(what: str, done: bool) -> Any:
        if (what, done) == ("delete", False):
            created.append(list(contacts.created))
        return failures.pop() if (what, done) == ("create", False) and failures else None

    contacts.hook = hook
    service = place.start()
    events = [_identify("m1"), _delete("m2"), _identify("m3", "bob"), _delete("m2")]
    assert place.post(service, *events).json() == {"accepted": 4}
    place.until_all_is(*[Outcome.DELIVERED] * 3)
    assert contacts.deleted == ["ann%40example.com"]
    assert failures == []
    assert ANN in created[0]


def test_from_a_source(place: Place) -> None:
    """It goes to the destinations that can be asked; the others filter it."""
    service = place.start()
    url = service.urls["crm"].partition("/v1/")[0] + "/v1/batch"
    body = {"batch": [_delete("m1")]}
    answer = requests.post(url, json=body, auth=(ENVIRONMENT["WRITE"], ""), timeout=30)
    assert answer.status_code == 200, answer.text
    place.until(lambda: len(place.entries()) == 2)
    place.until(lambda: {one.status for one in place.entries()} == {"delivered", "filtered"})
    (filtered,) = [one for one in place.entries() if one.status is Outcome.FILTERED]
    assert filtered.reason == "Webhook cannot be asked to delete users"
    assert place.served.contacts.deleted == ["ann%40example.com"]


def test_without_a_user(place: Place) -> None:
    """It is refused with what is missing."""
    service = place.start()
    answer = place.post(service, {"type": "delete", "anonymousId": "a", "messageId": "m"})
    assert (answer.status_code, answer.json()["code"]) == (400, "NO_USER_ANON_ID")
    assert "a delete call needs a userId" in answer.json()["message"]


def test_from_a_file(place: Place, tmp_path: Path) -> None:
    """Run again, it is a duplicate; by a run of another destination, it is filtered."""
    events, settings = tmp_path / "events.ndjson", tmp_path / "settings.json"
    lines = [_identify("m1"), _delete("m2")]
    events.write_text("\n".join(map(json.dumps, lines)))
    settings.write_text(json.dumps({"apiKey": ENVIRONMENT["KEY"]}))
    command = ["run", place.definition, "--events", events, "--settings", settings]
    command += ["--store", place.store, "--json"]
    for number, outcome in ((2, "delivered"), (2, "filtered")):
        done = place.run(*command)
        assert done.code == 0, done.err
        assert {k: v for k, v in done.json["outcomes"].items() if v} == {outcome: number}
    assert place.served.contacts.asked == ["find", "create", "delete"]


def _without_deletion(place: Place) -> None:
    path = place.definition / "destination.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    del document["onDelete"]
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


def test_a_server_that_cannot_delete(place: Place) -> None:
    """Segment's answer to a call that is not supported, as before."""
    _without_deletion(place)
    service = place.start()
    answer = place.post(service, _delete("m1"))
    assert (answer.status_code, answer.json()["code"]) == (501, "CALL_UNSUPPORTED")


def test_a_run_that_cannot_delete(place: Place, tmp_path: Path) -> None:
    """The row says why it was not sent, and is no error."""
    _without_deletion(place)
    events, settings = tmp_path / "events.ndjson", tmp_path / "settings.json"
    events.write_text(json.dumps(_delete("m1")))
    settings.write_text(json.dumps({"apiKey": ENVIRONMENT["KEY"]}))
    command = ["run", place.definition, "--events", events, "--settings", settings]
    done = place.run(*command, "--store", place.store, "--json")
    assert done.code == 0
    assert done.json["outcomes"]["filtered"] == 1
    (entry,) = place.entries()
    assert entry.reason == "Sample cannot be asked to delete users"


def _forget(place: Place, *more: str) -> Any:
    return place.run("forget", ANN, "--everywhere", "--config", place.config, *more)


def _with_ann(place: Place) -> None:
    """Let a server deliver something of her, and of somebody else."""
    service = place.start()
    place.post(service, _identify("m1"), _identify("m2", "bob"))
    place.until_all_is(*[Outcome.DELIVERED] * 2)
    place.stop()


def test_forget_asks_the_partner(place: Place) -> None:
    """The request is durable when the command ends; the next server sends it.

    Then nothing in the store names her any more: no row, no event, no request.
    """
    _with_ann(place)
    done = _forget(place, "--yes")
    assert done.code == 0, done.err
    waiting = place.entries()[-1]
    assert (waiting.action, waiting.status) == (DELETION, State.READY)
    assert waiting.user.startswith("erased-")
    told = f"Asked to delete the user: crm, as delivery {waiting.id}, which the server sends.\n"
    assert told in done.out
    assert "Not reached: what other partners have;" in done.out
    assert place.served.contacts.deleted == []
    place.start()
    place.until_all_is(*[Outcome.DELIVERED] * 3)
    assert place.served.contacts.deleted == ["ann%40example.com"]
    place.stop()
    assert place.run("store", "compact", "--store", place.store).code == 0
    stored = b"".join(
        file.read_bytes() for file in place.folder.glob("store.sqlite3*") if file.is_file()
    )
    assert ANN.encode() not in stored
    assert b"ann%40" not in stored


def test_what_came_meanwhile_is_sent_after_it(place: Place) -> None:
    """A user who is back after the erasure is created again, and not deleted then."""
    _with_ann(place)
    assert _forget(place, "--yes").code == 0
    contacts = place.served.contacts
    contacts.people.pop(ANN)
    contacts.asked.clear()
    contacts.hook = lambda _what, done: None if done or place.services else BUSY
    place.post(place.start(), _identify("m9"))
    place.until_all_is(*[Outcome.DELIVERED] * 4)
    assert contacts.asked == ["delete", "find", "create"]


def test_forget_says_so_before(place: Place) -> None:
    """A dry run names the partner, and asks nobody."""
    _with_ann(place)
    before = place.entries()
    done = _forget(place, "--dry-run")
    assert "To ask to delete the user: crm.\n" in done.out
    assert len(place.entries()) == len(before)


def test_forget_that_is_cut_off(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is there before anything is erased; the same command completes the rest."""
    _with_ann(place)

    def cut_off(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "erase_user", cut_off)
        assert _forget(place, "--yes").code != 0
    assert [one.action for one in place.entries()].count(DELETION) == 1
    assert ANN in {one.user for one in place.entries()}
    assert _forget(place, "--yes").code == 0
    assert [one.action for one in place.entries()].count(DELETION) == 1
    assert ANN not in {one.user for one in place.entries()}


def test_forget_twice(place: Place) -> None:
    """While the first request waits, there is no second one."""
    _with_ann(place)
    assert "of other users" not in _forget(place, "--yes").out
    done = _forget(place, "--yes")
    assert done.code == 0
    # The request has the id, under a digest: it is of no other user.
    assert "of other users" not in done.out
    assert [one.action for one in place.entries()].count(DELETION) == 1


@pytest.mark.parametrize("how", ["no configuration", "no onDelete"])
def test_nobody_can_be_asked(place: Place, how: str) -> None:
    """The command says that the partner keeps what it has."""
    _with_ann(place)
    if how == "no onDelete":
        _without_deletion(place)
        done = _forget(place, "--yes")
    else:
        done = place.run("forget", ANN, "--everywhere", "--store", place.store, "--yes")
    assert done.code == 0, done.err
    assert "Asked to delete" not in done.out
    assert "Not reached: what the partner has;" in done.out
    assert DELETION not in {one.action for one in place.entries()}


def test_a_refused_deletion_stays(place: Place) -> None:
    """An operator sees it under the digest, and can send it again once the partner takes it."""
    _with_ann(place)
    assert _forget(place, "--yes").code == 0
    contacts = place.served.contacts
    contacts.hook = lambda what, _done: REFUSED if what == "delete" else None
    place.start()
    place.until(lambda: place.entries()[-1].status is Outcome.REJECTED)
    place.stop()
    contacts.hook = lambda _what, _done: None
    entry = place.entries()[-1]
    done = place.run("deliveries", "replay", str(entry.id), "--config", place.config)
    assert done.code == 0, done.err
    place.start()
    place.until(lambda: place.entries()[-1].status is Outcome.DELIVERED)
    assert contacts.deleted == ["ann%40example.com"]


def _refused_then_back(
    place: Place,
    *,
    erased: bool,
    back: int,
    answer: HttpResponse = REFUSED,
    ends_as: Status = Outcome.REJECTED,
) -> int:
    """Let a deletion be refused, and the user come back so often; returns the deletion."""
    contacts = place.served.contacts
    contacts.hook = lambda what, _done: answer if what == "delete" else None
    if erased:
        _with_ann(place)
        assert _forget(place, "--yes").code == 0
        service = place.start()
    else:
        service = place.start()
        place.post(service, _identify("m1"), _delete("m2"))
    place.until(lambda: place.entries()[-1].status is ends_as)
    deletion = place.entries()[-1]
    assert deletion.type == "delete"
    place.post(service, *(_identify(f"back-{number}") for number in range(back)))
    place.post(service, _identify("another", "bob"))
    place.until(
        lambda: all(
            one.status is Outcome.DELIVERED for one in place.entries() if one.id > deletion.id
        )
    )
    place.stop()
    contacts.hook = lambda _what, _done: None
    contacts.asked.clear()
    return deletion.id


BACK: dict[int, str] = {
    0: "",
    1: "1 event of its user reached the partner after it, or may have ({0}): the partner deletes",
    5: "5 events of its user reached the partner after it, or may have ({0}, {1}, {2}, ...): the",
}


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize(("back", "told"), BACK.items(), ids=map(str, BACK))
def test_a_deletion_is_replayed_after_the_user_came_back(
    place: Place, monkeypatch: pytest.MonkeyPatch, back: int, told: str, *, erased: bool
) -> None:
    """It is said before that the partner deletes what came since; then an operator may do it."""
    deletion = _refused_then_back(place, erased=erased, back=back)
    later = [one.id for one in place.entries() if one.id > deletion]
    told = told.format(*later)
    replay = ("deliveries", "replay", str(deletion), "--config", place.config)
    done = place.run(*replay, "--dry-run")
    assert (done.code, "warning: " in done.out, told in done.out) == (0, back > 0, True), done.out
    shown = json.loads(place.run(*replay, "--dry-run", "--json").out)["deliveries"][0]
    assert told in (shown["warning"] or "")
    if back:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        done = place.run(*replay)
        assert (done.code, f"delivery {deletion}: {told}" in done.err) == (2, True), done.err
        assert "Send this deletion all the same?" in done.err
        assert "nothing changed. Use --yes to skip the prompt" in done.err
        assert place.entry(deletion).status is Outcome.REJECTED
    done = place.run(*replay, "--yes" if back else "--json")
    assert done.code == 0, done.err
    place.start()
    place.until(lambda: place.entry(deletion).status is Outcome.DELIVERED)
    assert place.served.contacts.asked == ["delete"]


def _held_then_back(place: Place, *, erased: bool, back: int) -> int:
    """Let the answer to a deletion be lost, and the user come back; returns the deletion."""
    file = place.definition / "destination.yaml"
    document = yaml.safe_load(file.read_text())
    document["requests"][document["onDelete"]["request"]]["idempotent"] = False
    file.write_text(yaml.safe_dump(document))
    return _refused_then_back(
        place, erased=erased, back=back, answer=HttpResponse(500, {}, b""), ends_as=State.HELD
    )


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("back", [0, 1])
def test_a_held_deletion_is_sent_after_the_user_came_back(
    place: Place, back: int, *, erased: bool
) -> None:
    """Whoever says that the partner has not done it is told the same before."""
    deletion = _held_then_back(place, erased=erased, back=back)
    told = BACK[back].format(*(one.id for one in place.entries() if one.id > deletion))
    resolve = ("deliveries", "resolve", str(deletion), "--config", place.config)
    for options in (("--not-applied", "--dry-run"), ("--not-applied", "--yes")):
        done = place.run(*resolve, *options)
        assert done.code == 0, done.err
        assert told in done.err
        assert (f"delivery {deletion}: " in done.err) is bool(back)
    assert place.entry(deletion).status is State.READY


@pytest.mark.parametrize("back", BACK)
def test_the_console_says_it_before(place: Place, back: int) -> None:
    """The dry run of the API and the page that asks name it; then an operator may do it."""
    deletion = _refused_then_back(place, erased=False, back=back)
    told = BACK[back].format(*(one.id for one in place.entries() if one.id > deletion))
    config = read_config(place.config, ENVIRONMENT)
    world = World(config, place.store, time.time())
    pages = Pages(world)
    operator, targets = Operator("ada", "operate", "key", ""), Targets((deletion,))
    shown = pages.verbs.replay(operator, targets, dry_run=True)
    sent = replayed_json(shown, pages.verbs)
    assert (sent["warned"], told in sent["items"][0]["warning"]) == (min(back, 1), True)
    page = pages.show(f"/replay?id={deletion}")
    assert told in page.text
    summary = "1 of them deletes a user of whom the partner got something since: see below."
    assert (summary in page.text) is bool(back)
    (form,) = [one for one in page.forms if one["action"] == "/replay"]
    assert isinstance(pages.answer("/replay", form), Redirected)
    assert place.entry(deletion).status is State.READY


@pytest.mark.parametrize("back", BACK)
def test_the_console_says_it_of_a_held_one(place: Place, back: int) -> None:
    """Its page, the page for several, and the API name it, where it is sent again."""
    deletion = _held_then_back(place, erased=False, back=back)
    told = BACK[back].format(*(one.id for one in place.entries() if one.id > deletion))
    world = World(read_config(place.config, ENVIRONMENT), place.store, time.time())
    pages = Pages(world)
    verbs, operator = pages.verbs, Operator("ada", "operate", "key", "")
    details = details_json(verbs.delivery(deletion), verbs)
    assert (bool(details["warning"]), told in details["warning"]) == (bool(back), True)
    for path in (f"/deliveries/{deletion}", f"/resolve?id={deletion}"):
        text = pages.show(path).text
        assert ("sent again: " in text, told in text) == (bool(back), True)
    decisions: dict[Decision, bool] = {"applied": False, "not_applied": bool(back)}
    for decision, warned in decisions.items():
        changed = verbs.resolve(operator, Targets((deletion,)), decision, dry_run=True)
        warnings = changed_json(changed)["warnings"]
        assert [one["id"] for one in warnings] == [deletion] * warned
        assert all(told in one["warning"] for one in warnings)


def test_what_cannot_be_sent_can_be_decided_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page asks, also where only one of the decisions is possible."""
    deletion = _held_then_back(place, erased=False, back=1)
    monkeypatch.setattr(decisions, "why_not_sent", lambda *_: "its user was deleted since")
    world = World(read_config(place.config, ENVIRONMENT), place.store, time.time())
    text = Pages(world).show(f"/resolve?id={deletion}").text
    assert ("All 1 were applied" in text, "sent again: " in text) == (True, False)


def test_a_later_deletion_did_it(place: Place) -> None:
    """What a later deletion has deleted is not told again; what came after that one is."""
    deletion = _refused_then_back(place, erased=False, back=2)
    service = place.start()
    place.post(service, _delete("m9"))
    place.until(lambda: place.entries()[-1].status is Outcome.DELIVERED)
    replay = ("deliveries", "replay", str(deletion), "--config", place.config, "--dry-run")
    assert "warning" not in place.run(*replay).out
    place.post(service, _identify("m10"))
    place.until(lambda: place.entries()[-1].status is Outcome.DELIVERED)
    last = place.entries()[-1].id
    assert f"1 event of its user reached the partner after it, or may have ({last})" in (
        place.run(*replay).out
    )


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_case_of_a_deletion(place: Place, tmp_path: Path, is_gone: bool) -> None:
    """It is written as those of events are, and replays, if the definition still deletes users."""
    contacts = place.served.contacts
    contacts.hook = lambda what, _done: REFUSED if what == "delete" else None
    service = place.start()
    place.post(service, _delete("m1"))
    place.until_all_is(Outcome.REJECTED)
    place.stop()
    (entry,) = place.entries()
    if is_gone:
        _without_deletion(place)
    cases = tmp_path / "cases"
    done = place.run(
        *("deliveries", "show", entry.id, "--as-case", "deleted", "--cases", cases),
        *("--config", place.config),
    )
    if is_gone:
        assert done.code == 2
        assert "today's definition has no onDelete" in done.err
        return
    assert done.code == 0, done.err
    assert done.err == ""
    text = (cases / "deleted.yaml").read_text("utf-8")
    case = yaml.safe_load(text)
    assert ANN not in text
    assert [one["action"] for one in case["expected"]] == [DELETION]
    assert [one["request"]["method"] for one in case["interactions"]] == ["DELETE"]
    tested = place.run("test", place.definition, "--cases", cases, "--json")
    (one,) = tested.json["destinations"][0]["cases"]
    assert (one["case"], one["passed"]) == ("deleted", True)


def test_the_types_that_are_taken(place: Place) -> None:
    """A refusal of an unknown type names deletions where the destination takes them."""
    service = place.start()
    told = "type must be one of alias, delete, group"
    unknown = {**_identify("m1"), "type": "nosuch"}
    assert told in place.post(service, unknown).json()["message"]
    place.stop()
    _without_deletion(place)
    service = place.start()
    assert "type must be one of alias, group" in place.post(service, unknown).json()["message"]
