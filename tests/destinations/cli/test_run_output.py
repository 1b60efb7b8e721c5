"""Files that cannot be written: the message names them, and the same command goes on."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from destinations.cli import group
from destinations.errors import TemporaryError
from destinations.outcome import Outcome
from destinations.pipeline.output import OutputFile
from destinations.pipeline.run import Run as PipelineRun
from destinations.pipeline.undelivered import Undelivered
from destinations.store import SqliteStore

pytestmark = pytest.mark.usefixtures("sandbox_thread")

resource = pytest.importorskip("resource", reason="has no limits for files")

Run = Callable[..., Any]
Write = Callable[[str, Any], Path]

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="has no disk that is always full")


@contextlib.contextmanager
def _limit(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size``, as if the disk were full then."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def _track(number: int, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Used",
        "messageId": f"m{number}",
        "userId": "user_0001",
        "properties": {"featureId": "api-calls", **properties},
    }


@pytest.fixture
def events(write: Write) -> Path:
    """Events that are not delivered, with one that is at their beginning."""
    faulty = [_track(number, featureId="no-such-feature") for number in range(1, 60)]
    return write("events.ndjson", [_track(0), *faulty])


def test_undelivered_without_room(command: Run, events: Path, tmp_path: Path) -> None:
    """The file keeps whole lines and can be fed back; the report is printed."""
    undelivered = tmp_path / "undelivered.ndjson"
    given = ("run", "kana", "--events", events, "--sandbox", "--json")
    with _limit(5_000):
        done = command(*given, "--undelivered", undelivered)
    assert done.code == 75
    assert done.json["stopped"] == "unavailable"
    assert done.json["outcomes"]["delivered"] == 1
    for part in (
        f"cannot write {undelivered}: File too large; make room for it.",
        f"{undelivered} is incomplete: some events that were not delivered are missing in it.",
        "Move it away,",
        "Nothing was remembered: the same command sends delivered events again.",
    ):
        assert part in done.err
    assert "feed it back" not in done.err
    lines = [json.loads(line) for line in undelivered.read_text(encoding="utf-8").splitlines()]
    assert 0 < len(lines) < 59
    assert undelivered.stat().st_size <= 5_000
    fed = command("run", "kana", "--events", undelivered, "--sandbox", "--json")
    assert fed.json["rows"] == len(lines)


@needs_full
def test_the_same_command_goes_on(
    command: Run, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a store nothing is sent again, and the next file has all that was not delivered."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    store = tmp_path / "store.sqlite3"
    given = ("run", "kana", "--events", events, "--sandbox", "--json", "--store", store)
    done = command(*given, "--undelivered", FULL)
    assert done.code == 75
    assert done.err.count("cannot write /dev/full: No space left on device; make room") == 1
    assert (
        "/dev/full is incomplete: some events that were not delivered are missing in it.\n"
        in done.err
    )
    assert done.err.endswith("The same command continues where it stopped.\n")
    undelivered = tmp_path / "undelivered.ndjson"
    again = command(*given, "--undelivered", undelivered)
    assert again.code == 1
    assert again.json["outcomes"]["filtered"] == 1  # delivered by the first
    assert len(undelivered.read_bytes().splitlines()) == 59


@needs_full
def test_undelivered_that_fails_at_an_interrupt(
    command: Run, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are told: that it was interrupted, and that the file is not whole."""
    runs: list[PipelineRun] = []
    execute, record = PipelineRun.execute, Undelivered.record

    def keep(run: PipelineRun, entries: Any) -> Any:
        runs.append(run)
        return execute(run, entries)

    def interrupted(file: Undelivered, rows: Any) -> None:
        runs[0]._interrupted(signal.SIGINT)
        record(file, rows)

    monkeypatch.setattr(PipelineRun, "execute", keep)
    monkeypatch.setattr(Undelivered, "record", interrupted)
    done = command("run", "kana", "--events", events, "--sandbox", "--undelivered", FULL)
    assert done.code == 130
    assert "Interrupted after line" in done.err
    assert done.err.count("cannot write /dev/full: No space left on device; make room for") == 1
    assert (
        "/dev/full is incomplete: some events that were not delivered are missing in it."
        in done.err
    )


def test_an_undelivered_file_that_fails_when_it_is_closed(
    command: Run, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no run that went well, although every line was written."""
    real = OutputFile.close

    def close(file: OutputFile) -> None:
        is_first = not file.closed
        real(file)
        if is_first:
            file.failure = TemporaryError("cannot write it: Disk quota exceeded")
            raise file.failure

    with monkeypatch.context() as patched:
        patched.setattr(OutputFile, "close", close)
        out = tmp_path / "out"
        done = command("run", "kana", "--events", events, "--sandbox", "--undelivered", out)
    assert done.code == 75
    assert "Stopped after line 60: cannot write it: Disk quota exceeded." in done.err


@pytest.fixture
def store(tmp_path: Path, add_delivery: Callable[..., int]) -> Path:
    """A store with deliveries that can be exported."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as opened:
        for number in range(30):
            add_delivery(opened, _track(number), status=Outcome.DEAD)
    return path


def test_an_export_without_room(command: Run, store: Path, tmp_path: Path) -> None:
    """Nothing is left of it, so that the same command can be given again."""
    target = tmp_path / "dead.ndjson"
    given = ("deliveries", "export", "--store", store, "--output", target)
    with _limit(1_000):
        done = command(*given)
    assert (done.code, done.out) == (75, "")
    assert done.err == f"Error: cannot write {target}: File too large; make room for it\n"
    assert not target.exists()
    assert command(*given).code == 0
    assert len(target.read_bytes().splitlines()) == 30


@pytest.mark.parametrize("name", ["/dev/null", "/dev/stdout"])
def test_an_export_to_a_device(command: Run, store: Path, name: str) -> None:
    """It is written to, as to a pipe."""
    done = command("deliveries", "export", "--store", store, "--output", name)
    assert (done.code, done.err) == (0, "Exported: 30.\n")


@needs_full
@pytest.mark.parametrize(
    "given",
    [("deliveries", "export"), ("deliveries", "list", "--all"), ("deliveries", "list", "--json")],
    ids=" ".join,
)
def test_standard_output_without_room(
    command: Run, store: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    """It is named as such, with 75."""
    with FULL.open("w", encoding="utf-8") as full, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", full)
        done = command(*given, "--store", store)
        assert done.code == 75
        assert done.err.endswith(
            "Error: cannot write to standard output: No space left on device; make room for it\n"
        )
        _drop(full)


@needs_full
@pytest.mark.parametrize("keeps", [True, False], ids=["store", "no store"])
@pytest.mark.parametrize("form", [("--json",), ()], ids=["json", "tables"])
def test_a_report_without_room(
    command: Run,
    events: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: tuple[str, ...],
    *,
    keeps: bool,
) -> None:
    """What became of the run is told in a line, and whether the same command may be given again."""
    where = ("--store", tmp_path / "store.sqlite3") if keeps else ()
    given = ("run", "kana", "--events", events, "--sandbox", *where)
    with FULL.open("w", encoding="utf-8") as full, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", full)
        done = command(*given, *form)
        _drop(full)
    assert done.code == 75
    assert "Error: cannot write the report to standard output: No space left on device" in done.err
    assert "The run itself has ended: 1 delivered, 59 rejected." in done.err
    rest = (
        "The same command continues from there."
        if keeps
        else "Nothing was remembered: the same command sends everything again."
    )
    assert rest in done.err


def _drop(stream: io.TextIOBase) -> None:
    """Close a stream that cannot be written to."""
    try:
        stream.close()
    except OSError:
        stream.close()


def test_standard_error_without_room(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code still says what there was to say."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(click, "echo", full)
    assert command("status", "--store", "/no/such/store").code == 2
    monkeypatch.setattr(group.cli, "main", full)
    assert command("status").code == 75
