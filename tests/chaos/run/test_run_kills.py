"""``destinations run``, ended at any time, and again: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MOST_KILLS, EVENTS = (3, 240) if "CHAOS_SEEDS" in os.environ else (2, 120)
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
MOMENTS = ("while it starts", "while it delivers", "while it delivers", "at any time")


def test_a_run_that_is_ended(  # noqa: PLR0917 - fixtures
    run_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Any],
    end: Callable[..., int],
    ledger: Any,
    differences: Callable[..., Any],
    canary: str,
    tmp_path: Path,
) -> None:
    """The same command goes on until there is nothing left to do, from a file and from a pipe.

    What had been read of a pipe has a row if it was ended in order. All ends once, and usage is
    exact. Each user is in the end as the last of their identifies said.
    """
    chance = random.Random(f"run {run_seed}")
    events = traffic(chance, users=12, events=EVENTS)
    kana = partner(events.seed)
    # An answer that takes its time: so that there is a while between "applied" and "told".
    rule = {"match": {"rootField": "recordUsage"}, "delay": chance.uniform(0, 0.1), "times": None}
    kana.sandbox.faults.add(rule)
    path = tmp_path / "events.ndjson"
    lines = [json.dumps(event).encode() + b"\n" for event in events.events]
    path.write_bytes(b"".join(lines))
    of_pipe = bool(run_seed % 2)
    given = {"lines": lines} if of_pipe else {}
    arguments = ["--events", "-" if of_pipe else str(path)]
    running = runs(kana.settings)
    notes = []
    for _ in range(chance.randint(1, MOST_KILLS)):
        number, moment = chance.choice(SIGNALS), chance.choice(MOMENTS)
        process = running.start(*arguments, **given)
        if moment == "while it delivers":
            enough = kana.sandbox.requests.count + chance.randint(1, 12)
            code = end(process, number, lambda: kana.sandbox.requests.count >= enough)  # noqa: B023
        else:
            until = time.monotonic() + chance.uniform(0, 0.7 if moment == "while it starts" else 2)
            code = end(process, number, lambda: time.monotonic() >= until)  # noqa: B023
        notes.append((moment, number.name, code, dict(ledger.outcomes)))
        # Python itself has a traceback for who interrupts its imports, and ends by that signal.
        assert code == -signal.SIGINT or b"Traceback" not in running.errors
        assert code in {0, -number} | ({130} if number != signal.SIGKILL else set())
        if code == 130 and running.report is not None:
            read = {one["messageId"] for one in events.events[: running.report["lines"]]}
            assert running.report["rows"] == running.report["lines"]
            assert not of_pipe or read <= set(ledger.accepted)
    if of_pipe:
        assert running.run() == 0
        assert differences(kana.added, ledger.deltas(events.messages)) == {}
    assert running.run(*arguments, **given) == 0
    print(f"seed {run_seed}: {'pipe' if of_pipe else 'file'}, {notes}")
    assert running.report["rows"] == running.report["lines"] == len(events.events)
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
    assert kana.traits == events.traits
    assert canary.encode() not in ledger.bytes + running.log
    assert b"Internal error" not in running.log


@pytest.mark.parametrize(
    ("name", "number"), [("-", signal.SIGTERM), ("a named pipe", signal.SIGINT)]
)
def test_a_pipe_that_stays_open(  # noqa: PLR0917 - fixtures
    name: str,
    number: signal.Signals,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runs: Callable[..., Any],
    end: Callable[..., int],
    ledger: Any,
    tmp_path: Path,
) -> None:
    """A run that waits for more ends when it is told to, and not in the way of Python's own end."""
    events = traffic(random.Random(0), events=10)
    kana = partner(events.seed)
    running = runs(kana.settings)
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in events.events)
    path = tmp_path / "events"
    os.mkfifo(path)
    # Open for both, so that nobody waits for it to be opened.
    pipe = os.open(path, os.O_RDWR)
    try:
        os.write(pipe, lines)
        source = pipe if name == "-" else None
        process = running.start("--events", "-" if source else str(path), stdin=source)
        code = end(process, number, lambda: ledger.finished == len(events.messages))
    finally:
        os.close(pipe)
    assert code == 130
    assert running.report["stopped"] == "interrupted"
    assert running.report["outcomes"]["delivered"] == len(events.messages)
    assert b"Traceback" not in running.errors
    assert b"Fatal" not in running.errors
