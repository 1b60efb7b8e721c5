"""Whose key a run has: tested before the first event, and told apart from other customers'."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.cli import run_execution
from destinations.operations import file_locks, lock_run, lock_server
from destinations.store import SqliteStore
from kana_destination.sandbox import Sandbox
from tests.destinations.cli.conftest import KEYS, SEED

Use = Callable[..., dict[str, Any]]

SECOND = "prv_test_second"
WRONG = "prv_test_wrong"
NOBODY = "http://127.0.0.1:9/graphql"


# -- before the first event ------------------------------------------------------------------------


def test_a_wrong_key(runs: Any, use: Use, tmp_path: Any) -> None:
    """The run ends before the first event: nothing is counted, written or kept."""
    undelivered = tmp_path / "undelivered.ndjson"
    done = runs("--undelivered", undelivered, events=runs.file(use()), key=WRONG)
    assert (done.code, done.out) == (2, "")
    assert "the credentials were refused, so no event was read: Unauthenticated" in done.err
    assert WRONG not in done.err
    assert undelivered.read_bytes() == b""
    assert runs.statuses == []


def test_a_wrong_key_that_is_mended(runs: Any, use: Use) -> None:
    """The right key is no second account to be asked about: nothing was delivered with the other.

    The same holds for an endpoint where nobody is.
    """
    events = runs.file(use())
    assert runs(events=events, key=WRONG).code == 2
    assert runs("--no-check", "--outage", "0", events=runs.file(), where=NOBODY).code == 0
    done = runs(events=events)
    assert (done.code, runs.counts(done)) == (0, {"delivered": 1})
    assert runs(events=events, key=WRONG).code == 2
    done = runs(events=events)
    assert (done.code, runs.counts(done)) == (0, {"filtered": 1})
    assert runs(events=events, key=SECOND).code == 2  # which may be another customer's


def test_a_wrong_key_without_a_check(runs: Any, use: Use) -> None:
    """The first refusal ends the run at its line; what was read is ready, not lost."""
    done = runs("--no-check", events=runs.file(use(), use()), key=WRONG)
    assert (done.code, done.json["stopped"], done.json["line"]) == (2, "authentication", 1)
    assert "stopped at line 1: the credentials were refused: Unauthenticated" in done.err
    assert runs.counts(done) == {"ready": 2}
    assert WRONG not in done.out + done.err


def test_a_partner_that_cannot_be_reached(runs: Any, use: Use) -> None:
    """It is told at once; then it is waited for as for any other, and the run exits 75."""
    done = runs("--outage", "0", events=runs.file(use()), where=NOBODY)
    assert (done.code, runs.counts(done)) == (75, {"ready": 1})
    told, *_ = done.err.splitlines()
    assert told.startswith("Kana does not answer (no connection")
    assert told.endswith("waiting up to 0 s.")


def test_a_partner_that_takes_its_time(
    runs: Any, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told while the answer is waited for; what comes then is an answer as any other."""
    monkeypatch.setattr(run_execution, "_PATIENCE", 0.0)
    runs.partner.faults.add({"nth": 1, "hold": 0.2})
    done = runs(events=runs.file(use()))
    assert (done.code, runs.counts(done)) == (0, {"delivered": 1})
    told, again, *_ = done.err.splitlines()
    assert told == "Kana does not answer (no answer so far); waiting up to 60 s."
    assert again == "Kana answers again."


@pytest.fixture
def hanging() -> Iterator[str]:
    """The URL of a partner that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"


@pytest.mark.parametrize("source", ["a file", "standard input"])
@pytest.mark.parametrize("options", [(), ("--no-check",)])
def test_a_partner_that_never_answers(
    runs: Any, use: Use, hanging: str, options: tuple[str, ...], source: str
) -> None:
    """The run ends when the outage time is over, not when its request is; nothing is lost."""
    event, given = use(), ("--outage", "0", *options)
    began = time.monotonic()
    if source == "a file":
        done = runs(*given, events=runs.file(event), where=hanging)
        assert runs.counts(done) == ({"ready": 1} if options else {})
    else:
        done = runs.process(*given, events="-", lines=json.dumps(event).encode(), where=hanging)
        assert runs.counts(done) == {"ready": 1}
    assert time.monotonic() - began < 9  # Kana's requests may take 30 s
    assert (done.code, done.json["stopped"]) == (75, "unavailable")
    assert "the partner has not answered for 0 s" in done.err


# -- accounts --------------------------------------------------------------------------------------


def test_another_key_where_nobody_can_be_asked(runs: Any, use: Use) -> None:
    """It may be another customer's: both ways to say so are named, and nothing is sent."""
    events = runs.file(use())
    runs(events=events)
    done = runs(events=events, key=SECOND)
    assert (done.code, done.out) == (2, "")
    for way in ("--same-account", "--new-account", "account: NAME"):
        assert way in done.err
    assert runs.usage == {"ann": 1}
    assert SECOND not in done.err


@pytest.mark.parametrize(
    ("typed", "options", "outcome"),
    [
        ("y\n", (), "filtered"),
        ("n\n", (), "delivered"),
        (None, ("--same-account",), "filtered"),
        (None, ("--new-account",), "delivered"),
    ],
)
def test_another_key(
    runs: Any, use: Use, typed: str | None, options: tuple[str, ...], outcome: str
) -> None:
    """What the first key delivered counts for it only if they are of one account; asked once."""
    events = runs.file(use())
    runs(events=events)
    if typed is not None:
        runs.type(typed)
    done = runs(*options, events=events, key=SECOND)
    assert (done.code, runs.counts(done)) == (0, {outcome: 1})
    assert ("Is it the same account?" in done.err) == (typed is not None)
    runs.type("")
    for key in (SECOND, "prv_test_first"):
        assert runs.counts(runs(events=events, key=key)) == {"filtered": 1}


def test_several_accounts_without_a_name(runs: Any, use: Use) -> None:
    """They are told apart by numbers and by when they were first used, and chosen by them."""
    events = runs.file(use())
    runs(events=events)
    runs("--new-account", events=events, key=SECOND)
    done = runs("--same-account", events=events, key="prv_test_third")
    assert (done.code, done.out) == (2, "")
    assert "there are 2 accounts (unnamed-1, first used 20" in done.err
    assert "; unnamed-2, first used 20" in done.err
    done = runs("--dry-run", "--account", "unnamed-2", events=events, key="prv_test_third")
    assert runs.counts(done) == {"filtered": 1}


@pytest.mark.parametrize(
    ("options", "outcome", "asks"),
    [
        ((), "ready", True),
        (("--same-account",), "filtered", False),
        (("--new-account",), "ready", False),
        (("--account", "other"), "ready", False),
    ],
)
def test_a_dry_run_with_another_key(
    runs: Any, use: Use, options: tuple[str, ...], outcome: str, *, asks: bool
) -> None:
    """It says what a run would ask, and shows what would happen if it had that answer."""
    events = runs.file(use())
    runs(events=events)
    done = runs("--dry-run", *options, events=events, key=SECOND)
    assert (done.code, runs.counts(done)) == (0, {outcome: 1})
    assert (
        "the run first asks whether it is the same account: the credentials are new" in done.err
    ) is asks
    assert ("unnamed-1, first used 20" in done.err) is asks


@pytest.mark.parametrize("way", ["settings", "option"])
def test_a_named_account(runs: Any, use: Use, way: str) -> None:
    """A name is the account, whatever its key is by then; another name is another account."""
    events = runs.file(use())

    def named(name: str, key: str) -> Any:
        if way == "option":
            return runs("--account", name, events=events, key=key)
        return runs(events=events, key=key, account=name)

    assert runs.counts(named("acme", "prv_test_first")) == {"delivered": 1}
    assert runs.counts(named("acme", SECOND)) == {"filtered": 1}
    done = named("other", SECOND)
    assert (done.code, done.out) == (2, "")
    assert "these credentials are those of the account 'acme', not of 'other'" in done.err


@pytest.mark.parametrize(
    ("form", "spelling"),
    [("127.0.0.1", "LocalHost"), ("127.0.0.1", "127.1"), ("/graphql", "//x/../%67raphql/")],
)
def test_spellings_of_one_endpoint(runs: Any, use: Use, form: str, spelling: str) -> None:
    """However it is written, it is the same place."""
    events = runs.file(use())
    runs(events=events)
    there = runs.partner.url.replace(form, spelling)
    assert there != runs.partner.url
    assert runs.counts(runs(events=events, where=there)) == {"filtered": 1}


@pytest.fixture
def moved() -> Iterator[str]:
    """The URL of another partner that takes the same keys."""
    with Sandbox(SEED) as partner:
        yield partner.url


def test_another_endpoint_where_nobody_can_be_asked(runs: Any, use: Use, moved: str) -> None:
    """The partner may have moved, or it is a copy of it: nothing is sent before that is said."""
    events = runs.file(use())
    runs(events=events)
    done = runs(events=events, where=moved)
    assert (done.code, done.out) == (2, "")
    assert f"the credentials are known at {runs.partner.url}, and {moved} is new" in done.err
    for way in ("--same-account", "--new-account", "account: NAME"):
        assert way in done.err


@pytest.mark.parametrize("name", [None, "acme"])
@pytest.mark.parametrize(
    ("typed", "options", "outcome"),
    [
        ("y\n", (), "filtered"),
        ("n\n", (), "delivered"),
        (None, ("--same-account",), "filtered"),
        (None, ("--new-account",), "delivered"),
    ],
)
def test_another_endpoint(
    runs: Any,
    use: Use,
    moved: str,
    *,
    typed: str | None,
    options: tuple[str, ...],
    outcome: str,
    name: str | None,
) -> None:
    """What was delivered counts there only if the account has moved, however it is called now."""
    events = runs.file(use())
    runs(events=events)
    if typed is not None:
        runs.type(typed)
    named = {} if name is None else {"account": name}
    done = runs(*options, events=events, where=moved, **named)
    assert (done.code, runs.counts(done)) == (0, {outcome: 1})
    assert ("Is it the same account?" in done.err) == (typed is not None)
    runs.type("")
    assert runs.counts(runs(events=events, where=moved, **named)) == {"filtered": 1}


def test_a_named_account_may_move(runs: Any, use: Use, moved: str) -> None:
    """Its name says that it is the same; another name is another account."""
    events = runs.file(use())
    runs(events=events, account="acme")
    assert runs.counts(runs(events=events, where=moved, account="acme")) == {"filtered": 1}
    assert runs.counts(runs(events=events, where=moved, account="copy")) == {"delivered": 1}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "the name is empty"),
        ("  ", "the name is empty"),
        ("\u00a0", "the name is empty"),
        ("a\nb", "the name has a line break"),
        ("a\x1b[2J", "an invisible character"),
        ("a\u202eb", "an invisible character"),
        ("unnamed-1", "unknown account 'unnamed-1'"),
    ],
    ids=ascii,
)
def test_a_name_that_is_none(
    runs: Any, use: Use, command: Any, write: Any, *, name: str, why: str
) -> None:
    """It is refused by one rule: as an option, in settings, by a server and by its check."""
    events = runs.file(use())
    config = {
        "store": {"path": str(runs.store)},
        "listen": {"port": 0},
        "destinations": [
            {
                "name": "kana",
                "destination": "kana",
                "account": name,
                "settings": {"apiKey": "${KANA_KEY}", "endpoint": runs.partner.url},
            }
        ],
    }
    runs.monkeypatch.setenv("KANA_KEY", KEYS[0])
    path = write("serve.json", config)
    for given in (
        runs("--account", name, events=events),
        runs(events=events, account=name),
        command("serve", "--check", "--config", path),
        command("serve", "--config", path),
    ):
        assert given.code == 2
        # An empty text fails the schema of the configuration before.
        assert why in given.err or (not name and "must not be empty" in given.err)


def test_a_name_that_is_a_number(runs: Any, use: Use) -> None:
    """It is refused with its place."""
    done = runs(events=runs.file(use()), account=7)
    assert (done.code, done.out) == (2, "")
    assert "account must be a name" in done.err


@pytest.mark.parametrize("way", ["option", "settings"])
def test_spaces_around_a_name(runs: Any, use: Use, way: str) -> None:
    """They are no part of it, wherever it is given."""
    events = runs.file(use())
    assert runs.counts(runs("--account", "acme", events=events)) == {"delivered": 1}
    if way == "option":
        done = runs("--account", " acme ", events=events)
    else:
        done = runs(events=events, account=" acme ")
    assert runs.counts(done) == {"filtered": 1}


@pytest.mark.parametrize(
    ("account", "code", "told"),
    [("unnamed-1", 0, ""), ("unnamed-2", 2, "unknown account 'unnamed-2'"), ("acme", 0, "")],
)
def test_a_check_asks_the_store(
    runs: Any, use: Use, command: Any, write: Any, *, account: str, code: int, told: str
) -> None:
    """What a start would be told of an account, `--check` is told as well."""
    runs(events=runs.file(use()))
    runs.monkeypatch.setenv("KANA_KEY", KEYS[0])
    settings = {"apiKey": "${KANA_KEY}", "endpoint": runs.partner.url}
    destination = {"name": "kana", "destination": "kana", "settings": settings}
    config = {
        "store": {"path": str(runs.store)},
        "destinations": [{**destination, "account": account}],
    }
    before = sorted(path.name for path in runs.store.parent.iterdir())
    done = command("serve", "--check", "--config", write("serve.json", config))
    assert (done.code, told in done.err) == (code, True)
    after = sorted(path.name for path in runs.store.parent.iterdir())
    assert set(after) - set(before) <= {"serve.json"}


# -- one run at a time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("the same account", "another run delivers to kana at http://127.0.0.1:"),
        ("another account", None),
        ("a server", "a server delivers from the store"),
    ],
)
def test_a_store_in_use(
    runs: Any, use: Use, monkeypatch: pytest.MonkeyPatch, by: str, told: str | None
) -> None:
    """A second run for an account exits 75 and says so; nothing of its input is read."""
    monkeypatch.setattr(file_locks, "_PATIENCE", 0.0)
    runs(events=runs.file(use()))
    with SqliteStore(runs.store) as store:
        (mine,) = store.ledger().totals(0.0)
    lock = (
        lock_server(runs.store)
        if by == "a server"
        else lock_run(runs.store, mine.id + (by == "another account"), "it")
    )
    with lock:
        done = runs(events=runs.file(use()))
    if told is None:
        assert (done.code, runs.counts(done)) == (0, {"delivered": 1})
    else:
        assert (done.code, done.out) == (75, "")
        assert told in done.err
    assert runs.usage == {"ann": 2 if told is None else 1}
    assert runs.counts(runs(events=runs.file(use()))) == {"delivered": 1}


@pytest.mark.parametrize("mark", ["?token=", "?a=1&token=", "#"])
def test_what_the_query_of_an_endpoint_holds(
    runs: Any, use: Use, command: Any, write: Any, *, mark: str
) -> None:
    """Nothing that an operator sees shows it, and the account stays the one that it is."""
    where = f"{runs.partner.url}{mark}hunter2secret"
    events = runs.file(use())
    done = runs(events=events, where=where)
    assert runs.counts(done) == {"delivered": 1}
    again = runs(events=events, where=where)
    assert runs.counts(again) == {"filtered": 1}
    shown = [done, again, runs(events=events, where=where, key=SECOND)]
    settings = write("s.json", {"apiKey": WRONG, "endpoint": where})
    event = write("event.json", json.dumps(use()))
    shown += [
        command(*line, "--store", runs.store)
        for line in (
            ("status",),
            ("status", "--json"),
            ("deliveries", "list", "--all"),
            ("deliveries", "list", "--all", "--json"),
            ("deliveries", "show", "1000"),
            ("deliveries", "show", "1000", "--json"),
            ("kana", "status"),
            ("kana", "status", "--json"),
            ("explain", "kana", event, "--settings", settings),
            ("explain", "kana", event, "--settings", settings, "--json"),
        )
    ]
    shown.append(command("check", "kana", "--settings", settings))
    nowhere = write("t.json", {"apiKey": WRONG, "endpoint": f"{NOBODY}{mark}hunter2secret"})
    shown.append(command("check", "kana", "--settings", nowhere))
    for one in shown:
        assert "Traceback" not in one.err
        assert "hunter2" not in one.out + one.err
