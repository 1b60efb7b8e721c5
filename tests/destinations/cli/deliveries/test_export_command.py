from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from tests.stores import few_in_postgres

Put = Callable[..., int]
Run = Callable[..., Any]


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def every(put: Put) -> dict[str, int]:
    """A delivery of each class; their ids by status."""
    found = {"sending": put(sending=True)}
    for status in (*Outcome, State.READY, State.UNKNOWN, State.HELD):
        found[status.value] = put(status=status)
    return found


def test_everything_that_has_an_event(deliveries: Run, every: dict[str, int], served: Any) -> None:
    """Without a word on which: all that may be sent yet, the oldest first; the store stays so."""
    with served("sample"):
        before = deliveries("list", "--all", "--json").json
        done = deliveries("export")
    assert done.code == 0
    notes = [line["undelivered"]["outcome"] for line in _lines(done.out)]
    finished = {"delivered", "filtered", "dropped"}
    # What comes of what is being sent, whoever reads the file cannot know.
    known = ["unknown" if status == "sending" else status for status in every]
    assert notes == [status for status in known if status not in finished]
    assert done.err == (
        f"Exported: {len(notes)}.\nOf these, 3 still wait in this store, which delivers them: feed "
        "them back to a run with this store, or drop them here first.\n"
    )
    with served("sample"):
        assert deliveries("list", "--all", "--json").json == before


@few_in_postgres("options0")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--outcome", "dead"), ["dead"]),
        (("--state", "held"), ["held"]),
        (("--user", "u1", "--outcome", "rejected"), ["rejected"]),
        (("--user", "u2"), []),
    ],
)
@pytest.mark.usefixtures("every")
def test_a_selection(deliveries: Run, options: tuple[str, ...], expected: list[str]) -> None:
    """The same options as everywhere."""
    done = deliveries("export", *options)
    assert [line["undelivered"]["outcome"] for line in _lines(done.out)] == expected
    assert f"Exported: {len(expected)}.\n" in done.err


def test_by_id(deliveries: Run, every: dict[str, int]) -> None:
    """Those that are named; it exits 1 if the event of one of them is not kept any more."""
    done = deliveries("export", every["dead"], every["held"])
    assert (done.code, len(_lines(done.out))) == (0, 2)
    done = deliveries("export", every["dead"], every["delivered"])
    assert (done.code, len(_lines(done.out))) == (1, 1)
    left_out = "Left out, because the store no longer keeps their events: 1.\n"
    assert done.err == f"Exported: 1.\n{left_out}"
    assert deliveries("export", 9).code == 2
    both = deliveries("export", every["dead"], "--user", "u1")
    assert (both.code, "not by both" in both.err) == (2, True)


def test_what_is_finished_is_left_out(deliveries: Run, every: dict[str, int]) -> None:
    """A selection may hold such; that is told, and no failure."""
    done = deliveries("export", "--user", "u1")
    assert (done.code, len(_lines(done.out))) == (0, len(every) - 3)
    assert "Left out, because the store no longer keeps their events: 3." in done.err


def test_to_a_file(deliveries: Run, tmp_path: Path, dead: Put) -> None:
    """It is a new one: what is in another is never overwritten."""
    dead()
    target = tmp_path / "dead.ndjson"
    done = deliveries("export", "--output", target)
    assert (done.code, done.out) == (0, "")
    (line,) = _lines(target.read_text(encoding="utf-8"))
    assert line["rawEvent"]["userId"] == "u1"
    again = deliveries("export", "--output", target)
    assert again.code == 2
    assert f"cannot write {target}: it exists and is not empty; move it away" in again.err
    nowhere = deliveries("export", "--output", tmp_path / "no" / "file")
    assert (nowhere.code, "No such file or directory" in nowhere.err) == (2, True)
    assert len(target.read_bytes().splitlines()) == 1


def test_a_dry_run(deliveries: Run, tmp_path: Path, every: dict[str, int]) -> None:
    """It only says how many there would be, and makes no file."""
    target = tmp_path / "all.ndjson"
    done = deliveries("export", "--dry-run", "--output", target)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"Would export: {len(every) - 3}.\n")
    assert not target.exists()


def test_an_event_with_line_breaks(deliveries: Run, put: Put) -> None:
    """However it was written, it is one line."""
    put({"type": "track", "userId": "u1", "text": "a\nb"}, status=Outcome.DEAD)
    (line,) = _lines(deliveries("export").out)
    assert line["rawEvent"]["text"] == "a\nb"
