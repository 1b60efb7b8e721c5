"""A wrong event and its correction, under one messageId: in every order it counts once."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from destinations.cli import main
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.store import SqliteStore, broken_rules
from kana_destination.sandbox import Sandbox
from tests.case_tables import each_value

SEED = {
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    "users": [{"id": "u1"}],
}
EVENT = {"type": "track", "event": "Used", "userId": "u1", "messageId": "m1"}

CORRECTED = {**EVENT, "properties": {"featureId": "calls", "delta": 5}}
WRONG: Mapping[str, Mapping[str, Any]] = {
    "invalid": {**EVENT, "properties": {"featureId": "calls", "delta": "many"}},
    "rejected": {**EVENT, "properties": {"featureId": "no such feature", "delta": 50}},
    "unmapped": {**EVENT, "properties": {"delta": 500}},
}

ORDERS = sorted({"".join(order) for order in itertools.permutations("wwcc")})
"""Each of both comes twice: the second time it is the same again."""


def _sent(order: str, wrong: str) -> list[Mapping[str, Any]]:
    return [WRONG[wrong] if one == "w" else CORRECTED for one in order]


def _seen(entries: Sequence[LedgerEntry]) -> list[tuple[str, str | None]]:
    return sorted((str(entry.status), entry.code) for entry in entries)


def _expected(order: str) -> list[tuple[str, str | None]]:
    """Return how the two rows end: the wrong one is replaced, or comes too late for that."""
    if order.startswith("w"):
        return [("delivered", None), ("filtered", "REPLACED")]
    return [("delivered", None), ("rejected", "CONFLICT")]


def _recorded(sandbox: Sandbox) -> int:
    return sum(field == "recordUsage" for one in sandbox.requests for _, field in one.roots)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=SEED) as running:
        yield running


@each_value
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("order", ORDERS)
def test_over_http(
    sandbox: Sandbox, serve_kana: Callable[..., Any], order: str, wrong: str
) -> None:
    """One count, two rows; what comes again makes no row and sends nothing."""
    served = serve_kana(sandbox)
    known: set[int] = set()
    for nth, event in enumerate(_sent(order, wrong)):
        before = _recorded(sandbox)
        reply = served.post(event)
        served.wait()
        is_conflict = order[0] == "c" and order[nth] == "w"
        assert reply.status_code == (409 if is_conflict else 200)
        now = {entry.id for entry in served.entries}
        if order[nth] in order[:nth]:
            assert now == known
            assert _recorded(sandbox) == before
        known = now
    assert _seen(served.entries) == _expected(order)
    assert sandbox.snapshot()["usage"] == {"u1": {"calls": 5}}


@pytest.mark.parametrize("wrong", ["invalid", "unmapped"])
@pytest.mark.parametrize("order", ORDERS)
def test_in_one_body(
    sandbox: Sandbox, serve_kana: Callable[..., Any], order: str, wrong: str
) -> None:
    """What needs no sending is corrected within the body that brings it."""
    served = serve_kana(sandbox)
    reply = served.post(_sent(order, wrong))
    served.wait()
    late = [nth for nth, one in enumerate(order) if order[0] == "c" and one == "w"]
    rejected = reply.json().get("rejected", [])
    assert [(one["index"], one["status"]) for one in rejected] == [(nth, 409) for nth in late]
    assert reply.json()["accepted"] == len(order) - len(late)
    assert _seen(served.entries) == _expected(order)
    assert sandbox.snapshot()["usage"] == {"u1": {"calls": 5}}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("order", ["wwcc", "wcwc", "ccww"])
def test_without_a_store(
    sandbox: Sandbox, tmp_path: Path, capsys: Any, order: str, wrong: str
) -> None:
    """Within one file it is the same: the correction waits until it is known what it corrects."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"apiKey": sandbox.api_key, "endpoint": sandbox.url}))
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(json.dumps(event) for event in _sent(order, wrong)))
    with contextlib.suppress(SystemExit):
        places = ["--settings", str(settings), "--events", str(path)]
        main(["run", "kana", "--json", "--no-store", *places])
    outcomes = json.loads(capsys.readouterr().out)["outcomes"]
    late = order.count("w") if order[0] == "c" else 0
    others = {"filtered": len(order) - 1 - late, "rejected": late}
    assert {one: count for one, count in outcomes.items() if count} == {
        "delivered": 1,
        **{one: count for one, count in others.items() if count},
    }
    assert sandbox.snapshot()["usage"] == {"u1": {"calls": 5}}


@pytest.mark.parametrize("kept", [False, True])
def test_the_reason_names_the_line(
    sandbox: Sandbox, tmp_path: Path, capsys: Any, *, kept: bool
) -> None:
    """What is in conflict within a file is told by where the other event stands in it.

    With a store, the reason outlives the file, so the delivery is named as well.
    """
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"apiKey": sandbox.api_key, "endpoint": sandbox.url}))
    path = tmp_path / "events.ndjson"
    path.write_text("\n" + "\n".join(json.dumps(event) for event in _sent("cw", "rejected")))
    store = ["--store", str(tmp_path / "store.sqlite3")] if kept else ["--no-store"]
    with contextlib.suppress(SystemExit):
        main(["run", "kana", "--settings", str(settings), "--events", str(path), *store])
    shown = " ".join(capsys.readouterr().out.split())
    other = "delivery 1000 (line 2)" if kept else "the event of line 2"
    assert f"{other} has the same messageId and different content" in shown


@each_value
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("together", [False, True])
def test_in_files(
    sandbox: Sandbox, tmp_path: Path, capsys: Any, order: str, wrong: str, *, together: bool
) -> None:
    """The same in one file, and in files that are run one after another, and then once more."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"apiKey": sandbox.api_key, "endpoint": sandbox.url}))
    store = tmp_path / "store.sqlite3"
    places = ["--settings", str(settings), "--store", str(store)]
    lines = [json.dumps(event) for event in _sent(order, wrong)]
    files = ["\n".join(lines)] if together else lines
    for text in [*files, *files]:
        path = tmp_path / "events.ndjson"
        path.write_text(text + "\n")
        with contextlib.suppress(SystemExit):
            main(["run", "kana", "--json", *places, "--events", str(path)])
        totals = json.loads(capsys.readouterr().out)
        assert sum(totals["outcomes"].values()) == totals["rows"]
    with SqliteStore(store) as kept:
        assert _seen(list(kept.ledger().find(Selection()))) == _expected(order)
        assert broken_rules(kept.database) == []
    assert sandbox.snapshot()["usage"] == {"u1": {"calls": 5}}
