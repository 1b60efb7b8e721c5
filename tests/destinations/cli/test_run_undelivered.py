"""`--undelivered FILE` holds what is not delivered, also after cuts and with the next input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import try_to_lock

Use = Callable[..., dict[str, Any]]

NOTHING_GOES = {"status": 503, "times": None}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The file."""
    return tmp_path / "undelivered.ndjson"


def _outcomes(kept: Path) -> list[tuple[str, str]]:
    """The messageId and the outcome of each line, in their order."""
    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    return [(one["rawEvent"]["messageId"], one["undelivered"]["outcome"]) for one in lines]


def _cut(runs: Any, *arguments: Any, events: Path) -> None:
    """Run while the partner is away."""
    runs.partner.faults.add(NOTHING_GOES)
    done = runs("--outage", "0", "--no-check", *arguments, events=events)
    runs.partner.faults.clear()
    assert done.code == 75, done.err


@pytest.mark.parametrize("cuts", [1, 3])
def test_the_same_command_goes_on(runs: Any, use: Use, kept: Path, cuts: int) -> None:
    """After a cut it takes the file of before, where each event stands once, as it is by then."""
    wrong = {**use(), "properties": {"featureId": "nosuch"}}
    right = [use("ann"), use("bob")]
    events = runs.file(*right, wrong)
    for _ in range(cuts):
        _cut(runs, "--undelivered", kept, events=events)
        assert sorted(_outcomes(kept)) == sorted(
            (one["messageId"], "ready") for one in (*right, wrong)
        )
    done = runs("--undelivered", kept, events=events)
    assert (done.code, runs.counts(done)) == (1, {"delivered": 2, "rejected": 1})
    assert _outcomes(kept) == [(wrong["messageId"], "rejected")]
    assert runs.usage == {"ann": 1, "bob": 1}


@pytest.mark.parametrize("properties", [{"featureId": "nosuch"}, {}, {"delta": "x"}])
@pytest.mark.parametrize("keep", [True, False], ids=["with a store", "without"])
def test_what_was_replaced_is_not_in_it(
    runs: Any, use: Use, kept: Path, properties: dict[str, Any], *, keep: bool
) -> None:
    """Nobody has to correct what a later line has corrected; what is wrong in that stays."""
    first, second, other = use("ann"), use("bob"), use("bob")
    wrong = [{**one, "properties": properties} for one in (first, second, other)]
    still_wrong = {**second, "properties": {"featureId": "nosuch", "delta": 2}}
    events = runs.file(*wrong, use("ann"), first, still_wrong)
    given = [] if keep else ["--no-store"]
    done = runs("--undelivered", kept, *given, events=events, keep=keep)
    assert done.json["outcomes"]["filtered"] == 2
    lines = kept.read_text(encoding="utf-8").splitlines()
    left = [json.loads(one)["rawEvent"] for one in lines]
    assert sorted(left, key=str) == sorted([wrong[2], still_wrong], key=str)
    undelivered = sum(done.json["outcomes"].values()) - 2 - runs.counts(done)["delivered"]
    assert undelivered == len(lines)


def test_what_another_run_corrects_is_not_in_it(runs: Any, use: Use, kept: Path) -> None:
    """Its line goes with the run that delivers the correction."""
    first, second = use("ann"), use("bob")
    wrong = [{**one, "properties": {"featureId": "nosuch"}} for one in (first, second)]
    runs("--undelivered", kept, events=runs.file(*wrong))
    assert [one for one, _ in _outcomes(kept)] == [first["messageId"], second["messageId"]]
    assert runs("--undelivered", kept, events=runs.file(first)).code == 0
    assert [one for one, _ in _outcomes(kept)] == [second["messageId"]]


def test_what_another_input_left_stays(runs: Any, use: Use, kept: Path) -> None:
    """Only what this run has a row for is brought up to date; all of it can be fed back."""
    first, second = use("ann"), use("bob")
    _cut(runs, "--undelivered", kept, events=runs.file(first))
    _cut(runs, "--undelivered", kept, events=runs.file(second))
    ready = [(first["messageId"], "ready"), (second["messageId"], "ready")]
    assert _outcomes(kept) == ready
    assert runs("--undelivered", kept, events=runs.file(second)).code == 0
    assert _outcomes(kept) == ready[:1]
    assert runs.counts(runs(events=kept)) == {"delivered": 1}
    assert runs.usage == {"ann": 1, "bob": 1}


def test_what_waits_is_brought_up_to_date(runs: Any, use: Use, kept: Path) -> None:
    """Also what came on standard input, and is delivered from the store."""
    event = use()
    lines = json.dumps(event).encode()
    runs.partner.faults.add(NOTHING_GOES)
    given = ("--outage", "0", "--no-check", "--undelivered", kept)
    assert runs.process(*given, events="-", lines=lines).code == 75
    runs.partner.faults.clear()
    assert _outcomes(kept) == [(event["messageId"], "ready")]
    assert runs("--undelivered", kept).code == 0
    assert kept.read_bytes() == b""


def test_a_line_that_was_cut(runs: Any, use: Use, kept: Path) -> None:
    """As by a full disk: the rest of the file stays, and the event comes again."""
    events = runs.file(use("ann"), use("bob"))
    _cut(runs, "--undelivered", kept, events=events)
    first = kept.read_bytes().splitlines(keepends=True)[0]
    kept.write_bytes(first + b'{"undelivered":{"outc')
    _cut(runs, "--undelivered", kept, events=events)
    assert [outcome for _, outcome in _outcomes(kept)] == ["ready", "ready"]


@pytest.mark.parametrize("other", ["a line", "an account"])
def test_a_file_of_something_else(runs: Any, use: Use, kept: Path, other: str) -> None:
    """It is refused as it is: what is no such line, and what was for another account."""
    events = runs.file(use())
    _cut(runs, "--undelivered", kept, events=events)
    key, told = {}, "line 2 of "
    if other == "a line":
        with kept.open("ab") as stream:
            stream.write(b"{}\n")
    else:
        key, told = {"key": "prv_test_second"}, "is not empty; feed it back or move it away"
    before = kept.read_bytes()
    done = runs("--new-account", "--undelivered", kept, events=events, **key)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert kept.read_bytes() == before
    assert runs.usage == {}


def test_two_runs_do_not_write_one_file(runs: Any, use: Use, kept: Path) -> None:
    """The second one exits 75."""
    events = runs.file(use())
    with kept.open("ab") as stream:
        assert try_to_lock(stream.fileno())
        done = runs("--undelivered", kept, events=events)
    assert (done.code, done.out) == (75, "")
    assert f"another run writes {kept}" in done.err


@pytest.mark.parametrize("outcome", ["sending", "unknown", "held"])
@pytest.mark.parametrize("keep", [True, False])
def test_what_may_be_applied_is_not_sent_elsewhere(
    runs: Any, use: Use, outcome: str, *, keep: bool
) -> None:
    """Fed back to a run that knows nothing of it, it is held: else it could count twice."""
    line = {"undelivered": {"outcome": outcome, "reason": "", "action": None}, "rawEvent": use()}
    done = runs(*([] if keep else ["--no-store"]), events=runs.file(line), keep=keep)
    assert (done.code, runs.counts(done)) == (1, {"held": 1})
    assert runs.usage == {}


@pytest.mark.parametrize("outcome", ["banana", "", "Unknown", "delivered"])
def test_an_outcome_that_nobody_knows(runs: Any, use: Use, outcome: str) -> None:
    """It may tell of something that was applied, so its event is held."""
    line = {"undelivered": {"outcome": outcome, "reason": "", "action": None}, "rawEvent": use()}
    assert runs.counts(runs(events=runs.file(line))) == {"held": 1}


@pytest.mark.parametrize(
    "outcome", ["ready", "retrying", "unmapped", "invalid", "rejected", "dead"]
)
def test_an_outcome_without_an_effect(runs: Any, use: Use, outcome: str) -> None:
    """Its event is sent."""
    line = {"undelivered": {"outcome": outcome, "reason": "", "action": None}, "rawEvent": use()}
    assert runs.counts(runs(events=runs.file(line))) == {"delivered": 1}


@pytest.mark.parametrize("option", ["--input-id", "--account"])
@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_a_name_that_names_nothing(runs: Any, use: Use, option: str, name: str) -> None:
    """Such as that of a variable that is not set: two days' equal lines would be one."""
    done = runs(option, name, events=runs.file(use()))
    assert (done.code, option in done.err, "the name " in done.err) == (2, True, True)
    assert runs.usage == {}
