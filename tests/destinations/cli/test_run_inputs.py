"""Runs of several files, of gzip, and of the first events alone."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import run_forked

pytestmark = pytest.mark.usefixtures("sandbox_thread")

TIME = "2026-11-28T10:00:00Z"


def _track(number: int | None = None, **changes: Any) -> dict[str, Any]:
    event = {"type": "track", "event": "Used", "userId": "user_0001", "timestamp": TIME}
    named = {} if number is None else {"messageId": f"m{number}"}
    return {**event, **named, "properties": {"featureId": "api-calls"}, **changes}


def _lines(*events: Any) -> str:
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in events)


@pytest.fixture
def run(command: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Runs files with one sandbox's account and one store."""

    def call(*arguments: str | Path, keeps: bool = True) -> Any:
        store = ("--store", tmp_path / "store.sqlite3") if keeps else ()
        files = [
            each for one in arguments for each in (("--events", one) if _is_file(one) else (one,))
        ]
        return command("run", "kana", "--sandbox", "--json", *store, *files)

    return call


def _is_file(one: str | Path) -> bool:
    return isinstance(one, Path)


def _outcomes(done: Any) -> dict[str, int]:
    return {outcome: count for outcome, count in done.json["outcomes"].items() if count}


def test_files_are_read_one_after_another(run: Any, write: Any) -> None:
    """In the order in which they are named, each in its own form, and named where it matters."""
    one = write("a.ndjson", _lines(_track(1), "", "{bad"))
    two = write("b.json", json.dumps([_track(1), _track(2, properties={"featureId": "nope"})]))
    three = write("c.ndjson.gz", gzip.compress(_lines(_track(3), _track(1, userId="x")).encode()))
    done = run(one, two, three, keeps=False)
    assert done.code == 1
    assert (done.json["lines"], done.json["empty"], done.json["rows"]) == (7, 1, 6)
    assert _outcomes(done) == {"delivered": 2, "filtered": 1, "invalid": 1, "rejected": 2}
    shown = " ".join(done.err.split())
    assert f"filtered 1 {two}:1 a duplicate: its messageId was read before in this run" in shown
    assert f"invalid 1 {one}:3 is not JSON" in shown
    assert f"rejected 1 {two}:1 " in shown
    assert f"rejected 1 {three}:2 the event of {one}:1 has the same messageId" in shown


def test_the_rows_of_several_files_are_kept(
    run: Any, command: Any, write: Any, tmp_path: Path
) -> None:
    """The reason in the store names the file and its line."""
    one, two = write("a.ndjson", _lines(_track(1))), write("b.ndjson", _lines(_track(2), "{bad"))
    run(one, two)
    listed = command(
        *("deliveries", "list", "--outcome", "invalid", "--json"),
        *("--store", tmp_path / "store.sqlite3"),
    )
    (entry,) = listed.json["deliveries"]
    assert entry["reason"].startswith(f"{two}:2: is not JSON")


@pytest.mark.parametrize("cut", range(1, 7))
def test_it_goes_on_where_it_was_cut(run: Any, write: Any, cut: int) -> None:
    """Wherever that was, each event is delivered once, with a messageId or without."""
    events = [_track(1), _track(), _track(event="Other"), _track(2), _track(), _track(3)]
    one = write("a.ndjson", _lines(*events[:4]))
    two = write("b.ndjson.gz", gzip.compress(_lines(*events[4:]).encode()))
    first = run(one, two, "--limit", str(cut))
    assert first.json["lines"] == cut
    assert f"--limit {cut} was reached: the rest of the input was not read." in first.err
    # The fifth event has no messageId and equals the second, which is of another file.
    assert _outcomes(first).get("delivered") == min(cut, 4) + (cut > 5)
    second = run(one, two)
    delivered = _outcomes(first)["delivered"] + _outcomes(second).get("delivered", 0)
    assert (second.code, second.json["rows"], delivered) == (0, 6, 5)
    third = run(one, two)
    assert _outcomes(third) == {"filtered": 6}


def test_files_are_inputs_of_their_own(run: Any, write: Any) -> None:
    """Two equal lines of a file are two events; those of another file are the same two."""
    one = write("a.ndjson", _lines(_track(), _track()))
    two = write("b.ndjson", _lines(_track(), _track(), _track()))
    done = run(one, two)
    assert _outcomes(done) == {"delivered": 3, "filtered": 2}
    assert done.json["duplicates_by_content"] == 2
    assert "2 events without a messageId had the same content as one of another file" in done.err
    assert _outcomes(run(two)) == {"filtered": 3}


def test_names_for_files(run: Any, write: Any) -> None:
    """Each file has a name of its own, by which its lines are known in later runs, too."""
    event = _track()
    del event["timestamp"]
    one = write("a.ndjson", _lines(event, event))
    two = write("b.ndjson", _lines(event))
    assert _outcomes(run(one, two)) == {"invalid": 3}
    assert _outcomes(run(one, two, "--input-id", "mon", "--input-id", "tue")) == {"delivered": 3}
    assert _outcomes(run(two, "--input-id", "tue")) == {"filtered": 1}
    assert _outcomes(run(two, one, "--input-id", "tue", "--input-id", "mon")) == {"filtered": 3}
    assert _outcomes(run(two, "--input-id", "wed")) == {"delivered": 1}


def test_several_files_are_fed_back(run: Any, write: Any, tmp_path: Path) -> None:
    """What was not delivered names its file; named later, no two lines are taken for one."""
    event = _track()
    del event["timestamp"]
    one, two = write("a.ndjson", _lines(event)), write("b.ndjson", _lines(event))
    rest = tmp_path / "rest.ndjson"
    assert _outcomes(run(one, two, "--undelivered", str(rest))) == {"invalid": 2}
    notes = [json.loads(line)["undelivered"] for line in rest.read_text().splitlines()]
    assert sorted((note["file"], note["line"]) for note in notes) == [(str(one), 1), (str(two), 1)]
    assert _outcomes(run(rest, "--input-id", "rest")) == {"delivered": 2}
    assert _outcomes(run(rest, "--input-id", "rest")) == {"filtered": 2}


def test_all_of_several_files_are_sent_again(run: Any, write: Any) -> None:
    """Files that are packed or named otherwise meanwhile are still the same input."""
    content = _lines(_track(1), _track(2))
    one, two = write("a.ndjson", content), write("b.ndjson", _lines(_track(3)))
    assert _outcomes(run(one, two)) == {"delivered": 3}
    assert _outcomes(run(one, two, "--again", "--yes")) == {"delivered": 3}
    packed = write("c.gz", gzip.compress(content.encode()))
    assert _outcomes(run(packed, two)) == {"filtered": 3}


@pytest.mark.parametrize("how", ["cut off", "damaged"])
def test_gzip_that_cannot_be_trusted(run: Any, write: Any, how: str) -> None:
    """Nothing of it is sent, not even what comes before: damage may have changed an amount."""
    whole = gzip.compress(_lines(*(_track(number) for number in range(3))).encode())
    broken = whole[:-8] if how == "cut off" else whole[:-8] + bytes(8)
    file = write("a.gz", broken)
    done = run(write("b.ndjson", _lines(_track(7))), file)
    assert done.code == 2
    assert f"{file} cannot be trusted: the gzip data is {how} at byte" in done.err
    assert "use an intact copy" in done.err
    assert _outcomes(run(write("c.gz", whole))) == {"delivered": 3}
    assert _outcomes(run(write("b.ndjson", _lines(_track(7))))) == {"delivered": 1}


def test_where_one_of_several_cannot_be_read_on(run: Any, write: Any) -> None:
    """The file is named to people and to machines, and the next one is read."""
    one = write("a.gz", gzip.compress(_lines(_track(1)).encode()) + b"text")
    two = write("b.ndjson", _lines(_track(2)))
    done = run(one, two)
    assert (done.code, _outcomes(done)) == (1, {"delivered": 2, "invalid": 1})
    place = (done.json["unreadable_from_file"], done.json["unreadable_from_line"])
    assert place == (str(one), 2)
    assert f"from {one}:2 on events may be missing" in " ".join(done.err.split())


# The arguments, with A and B for two files; then what is said.
REFUSED = {
    "A A": "--events names {A} twice: its events would come twice",
    "A LINK": "--events names {A} and {LINK}, the same file",
    "A -": "--events - is standard input, which cannot be combined with a file",
    "- -": "--events - is standard input, which cannot be combined with a file",
    "A B --input-id x": "1 --input-id for 2 --events: expected one NAME for each file",
    "A --input-id x --input-id y": "2 --input-id for 1 --events",
    "A B --input-id x --input-id x": "--input-id gives two files one NAME",
    "A --limit 0": "0 is not in the range",
    "A --limit 1 --again": "--limit cannot be used with --again",
    "--limit 1": "--limit need --events",
    "A MISSING": "cannot read the events file {MISSING}: No such file",
    "A CSV": "{CSV} is CSV: expected JSON",
    "A B --undelivered B": "--undelivered {B} is the file that --events reads",
}


@pytest.mark.parametrize(("line", "message"), REFUSED.items())
def test_what_is_refused(command: Any, write: Any, tmp_path: Path, line: str, message: str) -> None:
    """Before the first event of the first file is sent."""
    files = {
        "A": write("a.ndjson", _lines(_track(1))),
        "B": write("b.ndjson", _lines(_track(2))),
        "LINK": tmp_path / "link.ndjson",
        "MISSING": tmp_path / "missing.ndjson",
        "CSV": write("c.ndjson", "messageId,userId\nm,u\n"),
    }
    files["LINK"].symlink_to(files["A"])
    store = tmp_path / "store.sqlite3"
    words: list[str | Path] = []
    for word in line.split():
        if (word in files or word == "-") and words[-1:] != ["--undelivered"]:
            words += ["--events", files.get(word, "-")]
        else:
            words.append(files.get(word, word))
    done = command("run", "kana", "--sandbox", "--store", store, *words)
    assert done.code == 2
    assert message.format(**files) in done.err
    assert "Outcomes" not in done.out


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (gzip.compress(_lines(_track(1), _track(2)).encode()), 0, '"delivered": 2'),
        (f"[{json.dumps(_track(1))}]".encode(), 2, "standard input is an array: expected one"),
        (json.dumps(_track(1)).encode("utf-16"), 2, "standard input is UTF-16: expected UTF-8"),
    ],
    ids=["gzip", "an array", "UTF-16"],
)
def test_standard_input(data: bytes, code: int, said: str) -> None:
    """It is looked at as a file is, when it comes."""
    line = [sys.executable, "-P", "-m", "destinations", "run", "kana", "--sandbox", "--json"]
    done = run_forked([*line, "--events", "-"], input=data, capture_output=True, check=False)
    assert done.returncode == code
    assert said in (done.stdout + done.stderr).decode()
