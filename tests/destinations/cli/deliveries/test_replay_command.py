from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Effect, Outcome, State
from destinations.postgres import StoreAddress
from tests.serving import store_spec
from tests.stores import few_in_postgres

Put = Callable[..., int]
Run = Callable[..., Any]
Statuses = Callable[[], dict[int, str]]

WRONG = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": "x", "thing": "t"}}


@pytest.fixture
def folder(write_definition: Callable[..., Path]) -> Path:
    """The small destination without the action that needs a plugin."""

    def change(documents: dict[str, dict[str, Any]]) -> None:
        del documents["sync"]
        documents["destination"]["presets"].pop()

    return write_definition(change)


@pytest.fixture
def replay(folder: Path, deliveries: Run) -> Run:
    """``destinations deliveries replay`` with that destination."""

    def run(*arguments: Any) -> Any:
        return deliveries("replay", *arguments, "--definition", folder)

    return run


def test_by_id(replay: Run, statuses: Statuses, dead: Put) -> None:
    """What is named waits for its turn again; the others do not."""
    dead()
    dead()
    done = replay(2_000)
    assert (done.code, done.out) == (0, "1 delivery waits for its turn\n")
    assert statuses() == {1_000: "dead", 2_000: "ready"}


def test_by_class(replay: Run, statuses: Statuses, dead: Put, put: Put) -> None:
    """All of an outcome, narrowed by the other options."""
    dead()
    dead(user="u2")
    put(status=Outcome.DROPPED)
    put(status=Outcome.REJECTED, code="BAD_REQUEST")
    put(status=Outcome.DELIVERED)
    found = replay("--outcome", "dead", "--user", "u2", "--json").json
    assert [one["id"] for one in found["deliveries"]] == [2_000]
    assert (found["reopened"], found["ended"], found["added"]) == (1, 0, 0)
    assert replay("--outcome", "dead").out == "1 delivery waits for its turn\n"
    assert list(statuses().values()) == ["ready", "ready", "dropped", "rejected", "delivered"]
    done = replay("--outcome", "dead")
    assert (done.code, done.out) == (0, "No delivery matches.\n")


def test_without_a_class(replay: Run, statuses: Statuses, put: Put) -> None:
    """Other options alone choose what a replay is for, and nothing else."""
    for status in (*Outcome, State.READY, State.UNKNOWN, State.HELD):
        put(status=status)
    done = replay("--user", "u1")
    assert (done.code, done.err) == (0, "")
    assert done.out == "4 deliveries wait for their turn\n"
    assert list(statuses().values()) == [
        *("delivered", "filtered", "ready", "ready", "ready", "ready", "dropped"),
        *("ready", "unknown", "held"),
    ]


def test_a_dry_run(replay: Run, statuses: Statuses, dead: Put, put: Put) -> None:
    """What each would become is shown with its payload or reason, and nothing is written."""
    dead()
    put(WRONG, status=Outcome.DEAD, reason="gone")
    done = replay("--outcome", "dead", "--dry-run")
    assert done.code == 0
    for line in (
        "1000 track/m1, user u1: dead -> sent",
        "  was: the partner is down",
        '  count: {"by":2,"thing":"t"}',
        "2000 track/m2, user u1: dead -> invalid",
        '  count: /by must be an integer, got "x"',
        "1 dead -> sent",
        "1 dead -> invalid",
        "Nothing changed: this was a dry run.",
    ):
        assert line in done.out.splitlines()
    assert set(statuses().values()) == {"dead"}
    found = replay("--outcome", "dead", "--dry-run", "--json").json
    assert found["dry_run"] is True
    assert found["deliveries"][0] == {
        "id": 1_000,
        "before": {"outcome": "dead", "reason": "the partner is down"},
        "refused": None,
        "warning": None,
        "changes": True,
        "today": {
            "subscription": "Counts",
            "action": "count",
            "becomes": "sent",
            "payload": {"by": 2, "thing": "t"},
        },
        "added": [],
    }
    assert found["deliveries"][1]["today"]["becomes"] == "invalid"
    assert "reopened" not in found


def test_a_dry_run_of_many(replay: Run, dead: Put) -> None:
    """The first ones are shown, all are counted."""
    for _ in range(22):
        dead()
    done = replay("--outcome", "dead", "--dry-run")
    assert "... and 2 more; --json shows all of them" in done.out
    assert "22 dead -> sent" in done.out
    assert sum("-> sent" in line for line in done.out.splitlines()) == 21


def test_what_must_not_be_replayed(
    replay: Run, statuses: Statuses, dead: Put, held: Put, put: Put
) -> None:
    """Named by its id it is refused, and says why; the others are replayed."""
    held()
    dead()
    put(status=Outcome.DELIVERED)
    dead(effect=Effect.MAYBE)
    done = replay(1_000, 2_000, 3_000, 4_000)
    assert done.code == 1
    assert done.out == "1 delivery waits for its turn\n3 deliveries were not replayed\n"
    assert "delivery 1000 is not replayed: it may have been applied: decide with" in done.err
    assert "delivery 3000 is not replayed: it was delivered" in done.err
    assert "delivery 4000 is not replayed: it may have been applied: the partner is" in done.err
    assert list(statuses().values()) == ["held", "ready", "delivered", "dead"]
    dry = replay(1_000, "--dry-run")
    assert dry.code == 1
    assert "not replayed: it may have been applied" in dry.out
    assert "1 held -> not replayed" in dry.out


def test_what_stays_as_it_is(replay: Run, put: Put) -> None:
    """Today's definition makes the same of it, which is said."""
    put(WRONG, status=Outcome.INVALID, reason='/by must be an integer, got "x"')
    done = replay(1_000)
    assert (done.code, done.out) == (
        0,
        "1 delivery stays as it is, since today's definition does the same\n",
    )


def test_what_ends_and_what_is_added(replay: Run, put: Put, statuses: Statuses) -> None:
    """Each is counted with what became of it."""
    page = {"type": "page", "userId": "u1", "name": "p"}
    put(page, status=Outcome.DEAD)
    put(page, status=Outcome.DEAD)
    done = replay("--outcome", "dead")
    assert done.out == (
        "2 deliveries have another outcome at once\n"
        "2 deliveries were added for subscriptions of today\n"
    )
    assert statuses() == {1_000: "filtered", 1_001: "ready", 2_000: "filtered", 2_001: "ready"}
    assert replay("--state", "ready").code == 0


@few_in_postgres("arguments2")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "choose deliveries by their ids, or by options such as --outcome"),
        ((1_000, "--outcome", "dead"), "by their ids or by options, not by both"),
        ((9,), "there is no delivery 9"),
        (("x",), "'x' is not a valid integer"),
    ],
)
def test_wrong_calls(
    replay: Run, dead: Put, statuses: Statuses, *, arguments: tuple[Any, ...], message: str
) -> None:
    """Nothing is replayed by accident."""
    dead()
    done = replay(*arguments)
    assert done.code == 2
    assert message in done.err
    assert statuses() == {1_000: "dead"}


def test_the_name_is_the_definition(deliveries: Run, dead: Put) -> None:
    """Without another word the destination's own name says what maps it."""
    dead(destination="nobody")
    done = deliveries("replay", 1_000)
    assert done.code == 2
    assert "delivery 1000 is of 'nobody': unknown destination 'nobody'" in done.err
    assert "use the server's configuration with --config FILE, or name its definition" in done.err


def test_a_name_that_the_configuration_has_not(
    command: Run, folder: Path, write: Run, dead: Put, path: StoreAddress
) -> None:
    """It was removed or renamed: the message says which there are, and what maps it then."""
    dead(destination="former")
    text = f"store: {store_spec(path)}\ndestinations: [{{name: now, destination: {folder}}}]\n"
    config = write("serve.yaml", text)
    done = command("deliveries", "replay", "1000", "--config", config)
    assert done.code == 2
    assert "delivery 1000 is of 'former': the configuration has no destination" in done.err
    assert "only 'now'; name its definition with --definition DESTINATION" in done.err
    done = command("deliveries", "replay", "1000", "--config", config, "--definition", folder)
    assert (done.code, done.err) == (0, "")


def test_what_waits_for_nobody(replay: Run, dead: Put, served: Any) -> None:
    """Who replays for a destination that the server does not have is told that it stays."""
    dead(destination="former")
    dead(destination="sample")
    with served("sample"):
        done = replay(1_000, 2_000)
    assert done.out == "2 deliveries wait for their turn\n"
    assert done.err == (
        "The server has no destination 'former': its deliveries wait until it has one.\n"
    )


@pytest.mark.parametrize("path", ["sqlite"], indirect=True)
def test_a_dry_run_of_a_backup(replay: Run, dead: Put, path: Path) -> None:
    """Nothing is made beside it."""
    dead()
    for beside in set(path.parent.glob("store.sqlite3*")) - {path}:
        beside.unlink()
    assert replay(1_000, "--dry-run").code == 0
    assert list(path.parent.glob("store.sqlite3*")) == [path]


def test_by_the_subscriptions_of_the_configuration(
    command: Run, folder: Path, write: Run, dead: Put, statuses: Statuses, path: StoreAddress
) -> None:
    """Events are planned as the server would plan them."""
    dead(destination="production")
    text = (
        f"store: {store_spec(path)}\n"
        f"destinations: [{{name: production, destination: {folder},"
        " subscriptions: [{name: Named, partnerAction: count, subscribe: 'event = \"Other\"'}]}]\n"
    )
    done = command("deliveries", "replay", "1000", "--config", write("serve.yaml", text))
    assert (done.code, done.err) == (0, "")
    assert statuses() == {1_000: "filtered"}


def test_by_the_configuration(
    command: Run, folder: Path, write: Run, dead: Put, statuses: Statuses, path: StoreAddress
) -> None:
    """It says what the names mean and where the store is, and none of its secrets is needed."""
    dead(destination="production")
    text = (
        f"store: {store_spec(path)}\n"
        f"destinations: [{{name: production, destination: {folder},"
        " settings: {apiKey: {env: NOT_SET}},"
        " receiver: {keys: [{file: not-there}]}}]\n"
    )
    done = command("deliveries", "replay", "1000", "--config", write("serve.yaml", text))
    assert (done.code, done.out, done.err) == (0, "1 delivery waits for its turn\n", "")
    assert statuses() == {1_000: "ready"}


def test_two_destinations_of_one_definition(
    command: Run, folder: Path, write: Run, dead: Put, statuses: Statuses, path: StoreAddress
) -> None:
    """Each is planned by its own subscriptions, also in one replay."""
    dead(destination="some")
    dead(destination="all")
    text = (
        f"store: {store_spec(path)}\n"
        f"destinations:\n- {{name: some, destination: {folder},"
        " subscriptions: [{name: Named, partnerAction: count, subscribe: 'event = \"Other\"'}]}\n"
        f"- {{name: all, destination: {folder}}}\n"
    )
    config = write("serve.yaml", text)
    done = command("deliveries", "replay", "--outcome", "dead", "--config", config)
    assert (done.code, done.err) == (0, "")
    assert statuses() == {1_000: "filtered", 2_000: "ready"}
