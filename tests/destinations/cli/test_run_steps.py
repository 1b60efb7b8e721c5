"""Runs of steps in processes that are killed between any two of them, and runs again."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import ForkedPopen

EMAIL = "a@x"
EVENT = {
    "type": "identify",
    "messageId": "m1",
    "userId": "u1",
    "traits": {"email": EMAIL, "name": "A"},
}
REPEATABLE = {"repeatable": {"after": 0.2}}


@pytest.fixture
def run(
    served_contacts: Any, write_definition: Callable[..., Path], with_steps: Any, tmp_path: Path
) -> Callable[..., Any]:
    """Runs the event in a process; returns its exit code and its report."""

    def make(perform: Any, **options: str) -> tuple[int, Any]:
        def change(documents: Any) -> None:
            with_steps(documents)
            documents["sync"]["perform"] |= perform
            served_contacts.connected(documents)

        folder = write_definition(change)
        (tmp_path / "event.json").write_text(json.dumps(EVENT))
        (tmp_path / "settings.json").write_text(json.dumps({"apiKey": "sk_test_0123456789"}))
        command = [
            *(sys.executable, "-P", "-W", "error", "-m", "destinations", "run", str(folder)),
            *("--events", str(tmp_path / "event.json")),
            *("--settings", str(tmp_path / "settings.json")),
            *("--store", str(tmp_path / "store.sqlite3"), "--json"),
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            served_contacts.process = ForkedPopen[bytes](command, stdout=out, stderr=err)
            process = served_contacts.process
            code = process.wait(60)
        served_contacts.process = None
        text = (tmp_path / "out").read_text("utf-8")
        return code, json.loads(text) if text else (tmp_path / "err").read_text("utf-8")

    return make


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["find", "create"])
def test_a_repeatable_whole_that_is_killed(
    served_contacts: Any, run: Callable[..., Any], step: str, done: bool
) -> None:
    """The same command begins with the look-up again, and creates nothing twice."""
    served_contacts.kill_at(step, done=done)
    code, _ = run(REPEATABLE)
    assert code == -signal.SIGKILL
    code, report = run(REPEATABLE)
    assert code == 0, report
    assert report["outcomes"]["delivered"] == 1
    assert served_contacts.contacts.created == [EMAIL]
    was_created = (step, done) == ("create", True)
    assert [name for name, _ in served_contacts.contacts.changed] == (["c1"] if was_created else [])


def test_what_a_killed_process_sent_may_still_arrive(
    served_contacts: Any, run: Callable[..., Any]
) -> None:
    """The next run waits before it looks up, as after a lost answer: else it finds too little."""
    served_contacts.kill_at("create", done=False)
    code, _ = run(REPEATABLE)
    assert code == -signal.SIGKILL
    killed = time.monotonic()
    asked: list[float] = []
    served_contacts.contacts.hook = lambda *_: asked.append(time.monotonic())
    code, report = run({"repeatable": {"after": 2}})
    assert code == 0, report
    assert asked[0] - killed >= 1.5  # the process was killed a moment after it had sent


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_whole_that_must_not_be_repeated(
    served_contacts: Any, run: Callable[..., Any], done: bool
) -> None:
    """Whether it was created is not known, so an operator decides; it is not sent again."""
    served_contacts.kill_at("create", done=done)
    code, _ = run({})
    assert code == -signal.SIGKILL
    asked = list(served_contacts.contacts.asked)
    code, report = run({})
    assert code == 1, report
    assert report["outcomes"].get("delivered", 0) == 0
    assert served_contacts.contacts.asked == asked
    assert len(served_contacts.contacts.created) == int(done)
