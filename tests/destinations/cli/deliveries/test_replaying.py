from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Put = Callable[..., int]
Run = Callable[..., Any]

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


def _states(deliveries: Run) -> list[str]:
    found = deliveries("list", "--all", "--json").json["deliveries"]
    return [one["outcome"] or one["state"] for one in found]


def test_by_id(replay: Run, deliveries: Run, dead: Put):
    """What is named waits for its turn again; the others do not."""
    dead()
    dead()
    done = replay(2)
    assert (done.code, done.out) == (0, "1 delivery waits for its turn\n")
    assert _states(deliveries) == ["dead", "ready"]


def test_by_class(replay: Run, deliveries: Run, dead: Put, put: Put):
    """All of an outcome, narrowed by the other options; what was dropped stays dropped."""
    dead()
    dead(user="u2")
    dead(code="DROPPED", reason="dropped: x")
    dead(outcome="rejected", code="BAD_REQUEST")
    put(state="done", outcome="delivered", settled_at=1.0)
    found = replay("--outcome", "dead", "--user", "u2", "--json").json
    assert [one["id"] for one in found["deliveries"]] == [2]
    assert (found["reopened"], found["ended"], found["added"]) == (1, 0, 0)
    assert replay("--outcome", "dead").out == "1 delivery waits for its turn\n"
    assert _states(deliveries) == ["ready", "ready", "dead", "rejected", "delivered"]
    assert replay("--outcome", "dead").out == "No delivery is like that.\n"


def test_a_dry_run(replay: Run, deliveries: Run, dead: Put, put: Put):
    """What each would become is shown with its payload or reason, and nothing is written."""
    dead(definition_version="1.0.0")
    put(WRONG, state="done", outcome="dead", reason="gone", settled_at=1.0)
    done = replay("--outcome", "dead", "--dry-run")
    assert done.code == 0
    for line in (
        "1 track/m1, user u1: dead -> sent",
        "  was: the partner is down (definition 1.0.0, now 1.2.3)",
        '  count: {"by": 2, "thing": "t"}',
        "2 track/m2, user u1: dead -> invalid",
        '  count: /by must be an integer, got "x"',
        "1 dead -> sent",
        "1 dead -> invalid",
        "Nothing was changed: this was a dry run.",
    ):
        assert line in done.out.splitlines()
    assert _states(deliveries) == ["dead", "dead"]
    found = replay("--outcome", "dead", "--dry-run", "--json").json
    assert found["dry_run"] is True
    assert found["deliveries"][0]["today"] == {
        "action": "count",
        "becomes": "sent",
        "payload": {"by": 2, "thing": "t"},
    }
    assert found["deliveries"][1]["today"]["becomes"] == "invalid"


def test_what_must_not_be_replayed(replay: Run, deliveries: Run, dead: Put, held: Put, put: Put):
    """Named by its id it is refused, and says why; the others are replayed."""
    held()
    dead()
    put(state="done", outcome="delivered", settled_at=1.0)
    done = replay(1, 2, 3)
    assert done.code == 1
    assert done.out == "1 delivery waits for its turn\n2 deliveries were not replayed\n"
    assert "delivery 1 is not replayed: it may have been applied: decide with" in done.err
    assert "delivery 3 is not replayed: it was delivered" in done.err
    assert _states(deliveries) == ["held", "ready", "delivered"]
    dry = replay(1, "--dry-run")
    assert "not replayed: it may have been applied" in dry.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name deliveries by their ids, or choose them by --outcome"),
        (("--user", "u1"), "name deliveries by their ids, or choose them by --outcome"),
        ((1, "--outcome", "dead"), "not both"),
        (("--outcome", "delivered"), "'delivered' is not one of"),
        (("--outcome", "unknown"), "'unknown' is not one of"),
        ((9,), "there is no delivery 9"),
        (("--outcome", "dead", "--since", "1h", "--until", "2h"), "no delivery is between them"),
    ],
)
def test_wrong_calls(replay: Run, arguments: tuple[Any, ...], message: str):
    """Nothing is replayed by accident."""
    done = replay(*arguments)
    assert done.code == 2
    assert message in done.err


def test_the_name_is_the_definition(deliveries: Run, dead: Put):
    """Without another word the destination's own name says what maps it."""
    dead(destination="nobody")
    done = deliveries("replay", 1)
    assert done.code == 2
    assert "delivery 1 is of 'nobody': there is no destination 'nobody'" in done.err
    assert "give the server's configuration with --config FILE, or say what maps it" in done.err


def test_a_name_that_the_configuration_has_not(
    command: Run, folder: Path, write: Run, dead: Put, path: Path
):
    """It was removed or renamed: the message says which there are, and what maps it then."""
    dead(destination="former")
    text = f"store: {{path: {path}}}\ndestinations: [{{name: now, destination: {folder}}}]\n"
    config = write("serve.yaml", text)
    done = command("deliveries", "replay", "1", "--config", config)
    assert done.code == 2
    assert "delivery 1 is of 'former': the configuration has no destination 'former'" in done.err
    assert "only 'now'; say what maps it with --definition DESTINATION" in done.err
    done = command("deliveries", "replay", "1", "--config", config, "--definition", folder)
    assert (done.code, done.err) == (0, "")


def test_what_waits_for_nobody(replay: Run, dead: Put, served: Any):
    """Who replays for a destination that the server does not have is told that it stays."""
    dead(destination="former")
    dead(destination="sample")
    with served("sample"):
        done = replay(1, 2)
    assert done.out == "2 deliveries wait for their turn\n"
    assert done.err == (
        "The server has no destination 'former': what waits for it stays until it has one.\n"
    )


def test_a_dry_run_of_a_backup(replay: Run, dead: Put, path: Path):
    """Nothing is made beside it."""
    dead()
    for beside in set(path.parent.glob("store.sqlite3*")) - {path}:
        beside.unlink()
    assert replay(1, "--dry-run").code == 0
    assert list(path.parent.glob("store.sqlite3*")) == [path]


def test_by_the_configuration(command: Run, folder: Path, write: Run, dead: Put, deliveries: Run):
    """It says what the names mean and where the store is, and none of its secrets is needed."""
    dead(destination="production")
    text = (
        "store: {path: store.sqlite3}\n"
        f"destinations: [{{name: production, destination: {folder},"
        " settings: {apiKey: {env: NOT_SET}},"
        " receiver: {keys: [{file: not-there}]}}]\n"
    )
    done = command("deliveries", "replay", "1", "--config", write("serve.yaml", text))
    assert (done.code, done.out, done.err) == (0, "1 delivery waits for its turn\n", "")
    assert _states(deliveries) == ["ready"]
