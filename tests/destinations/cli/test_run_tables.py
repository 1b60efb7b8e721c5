from __future__ import annotations

from collections.abc import Mapping

import pytest

from destinations.cli.run_tables import exit_code, print_kept, print_report, summary
from destinations.outcome import Outcome, Result, State, Status
from destinations.pipeline.report import Report, Row, Stopped
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.secrets import Masker

KEY = SubscriptionKey("Counts", "count")


def _report(
    *outcomes: Status, lines: int = 0, empty: int = 0, requests: int = 0, by_content: int = 0
) -> Report:
    report = Report(lines, empty, requests, seconds=2.0)
    report.derived["content"] += by_content
    for line, outcome in enumerate(outcomes, 1):
        report.totals.add(Row(line, KEY, Result(outcome, "since sk_1234 came")))
    return report


@pytest.mark.parametrize(
    ("outcomes", "more", "sentences"),
    [
        (
            [Outcome.DELIVERED],
            {"lines": 1, "requests": 1},
            ["1 line read: 1 row. 1 request in 2.00 s, 0 lines a second"],
        ),
        (
            [Outcome.DELIVERED] * 2,
            {"lines": 2_000, "empty": 1_998, "requests": 3},
            [
                "2,000 lines read, 1,998 of them empty: 2 rows, one for each.",
                "3 requests in 2.00 s, 1,000 lines a second",
            ],
        ),
        (
            [Outcome.DELIVERED],
            {"lines": 2, "empty": 1},
            ["2 lines read, 1 of them empty: 1 row. 0 requests in"],
        ),
        ([Outcome.DELIVERED] * 2, {"lines": 2}, ["0 requests in 2.00 s, 1 line a second"]),
        (
            [Outcome.DELIVERED] * 2,
            {"lines": 1},
            ["1 line read: 2 rows, one for each event and subscription that took it."],
        ),
        (
            [Outcome.FILTERED],
            {"lines": 1, "by_content": 1},
            ["1 event without a messageId had the same content as one of an earlier run."],
        ),
        ([], {}, ["0 lines read: 0 rows. 0 requests in"]),
    ],
)
def test_the_sentences_of_a_report(
    capsys: pytest.CaptureFixture[str],
    outcomes: list[Status],
    more: Mapping[str, int],
    sentences: list[str],
) -> None:
    """Nothing is missing, and the numbers agree with their words."""
    print_report(_report(*outcomes, **more), Masker(), to_stderr=False)
    said = " ".join(capsys.readouterr().out.split())
    for sentence in sentences:
        assert sentence in said


def test_a_line_that_is_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    """It has no action, and its line is said once."""
    report = Report(lines=7)
    result = Result(Outcome.INVALID, "line 7: is not JSON: it is cut off", code="NOT_JSON")
    report.totals.add(Row(7, None, result))
    print_report(report, Masker(), to_stderr=False)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["(none)", "1", "1"] in shown
    assert ["invalid", "1", "7", *["is", "not", "JSON:", "it", "is", "cut", "off"]] in shown


def test_the_report_of_what_earlier_runs_left(capsys: pytest.CaptureFixture[str]) -> None:
    """No line was read, so there is none to speak of."""
    report = _report(Outcome.DELIVERED, Outcome.DEAD, requests=2)
    print_report(report, Masker(), to_stderr=False, of_earlier="kana at main")
    said = capsys.readouterr().out
    assert "2 rows of earlier runs." in said
    assert "2 requests in 2.00 s\n" in said
    assert "line" not in said
    assert "since sk_1234 came" in said


def test_the_report_where_nothing_waits(capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, without a table of nothing."""
    print_report(_report(), Masker(), to_stderr=False, of_earlier="kana at main")
    assert (
        capsys.readouterr().out
        == "Nothing waits for kana at main: earlier runs left nothing to deliver.\n"
    )


def test_a_reason_without_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What an earlier run left came from no line of this input."""
    report = Report()
    report.totals.add(Row(0, KEY, Result(Outcome.DEAD, "gone")))
    print_report(report, Masker(), to_stderr=False)
    *_, last = capsys.readouterr().out.rstrip().splitlines()
    assert last.split() == ["dead", "1", "-", "gone"]


def test_a_reason_names_the_topic_of_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A code has a topic; what was not meant to be sent needs none."""
    report = Report()
    for outcome, code in ((Outcome.FILTERED, "DUPLICATE"), (Outcome.INVALID, "NOT_JSON")):
        report.totals.add(Row(1, KEY, Result(outcome, "because", code)))
    print_report(report, Masker(), to_stderr=False)
    *_, last = capsys.readouterr().out.rstrip().splitlines()
    assert last == "Help: destinations help NOT_JSON"


def test_why_it_was_not_delivered(capsys: pytest.CaptureFixture[str]) -> None:
    """Each reason once, with how often and where first, and without secrets."""
    report = _report(Outcome.DELIVERED, Outcome.DEAD, Outcome.DEAD, State.HELD, lines=4)
    print_report(report, Masker(["sk_1234"]), to_stderr=True)
    said = capsys.readouterr()
    assert said.out == ""
    *_, dead, held = said.err.rstrip().splitlines()
    assert dead.split() == ["dead", "2", "2", "since", "***", "came"]
    assert held.split() == ["held", "1", "4", "since", "***", "came"]


@pytest.mark.parametrize(
    ("counts", "users", "said"),
    [
        ({}, 0, ""),
        ({Outcome.DELIVERED: 5, Outcome.DROPPED: 1, Outcome.FILTERED: 2}, 0, ""),
        (
            {Outcome.DEAD: 20, State.HELD: 1},
            0,
            "Kept for you to decide: 20 dead, 1 held. See: destinations deliveries list X\n",
        ),
        (
            {Outcome.UNMAPPED: 2},
            0,
            (
                "Kept for you to decide: 2 unmapped. "
                "See: destinations deliveries list --outcome unmapped X\n"
            ),
        ),
        ({Outcome.DELIVERED: 5}, 1, "1 user has changes to make by hand.\n"),
        (
            {State.READY: 3, State.UNKNOWN: 1},
            0,
            "Waiting in the store for the next run: 3 ready, 1 unknown.\n",
        ),
        ({}, 2, "2 users have changes to make by hand.\n"),
    ],
)
def test_what_is_kept(
    capsys: pytest.CaptureFixture[str], counts: Mapping[Status, int], users: int, said: str
) -> None:
    """What needs an operator is named with the command that shows it; what is done is not."""
    print_kept(counts, users, " X", to_stderr=False)
    assert capsys.readouterr().out == said


def test_the_command_for_changes_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """The command that shows them is named, where the destination has one."""
    print_kept({}, 1, " X", changes="sample changes Y", to_stderr=False)
    assert capsys.readouterr().out == (
        "1 user has changes to make by hand. See: destinations sample changes Y\n"
    )


@pytest.mark.parametrize(
    ("stored", "read", "said"),
    [
        (100, 1_000, "The 900 other ready rows above are only in the input, not in the store.\n"),
        (0, 1, "The 1 ready row above is only in the input, not in the store.\n"),
        (2, 2, ""),
        (2, 0, ""),
    ],
)
def test_what_is_ready_and_not_stored(
    capsys: pytest.CaptureFixture[str], stored: int, read: int, said: str
) -> None:
    """The two numbers of ready rows are told apart."""
    print_kept({State.READY: stored}, 0, "", read=read, to_stderr=False)
    waits = f"Waiting in the store for the next run: {stored} ready.\n" if stored else ""
    assert capsys.readouterr().out == waits + said


def test_a_summary() -> None:
    """Outcomes stand in the order of the tables; those that did not occur are left out."""
    assert summary({State.HELD: 1, Outcome.DEAD: 2, Outcome.DELIVERED: 0}) == "2 dead, 1 held"
    assert summary({}) == ""


@pytest.mark.parametrize(
    ("outcomes", "why", "code"),
    [
        ([], None, 0),
        ([Outcome.DELIVERED, Outcome.FILTERED, Outcome.UNMAPPED], None, 0),
        *(([one], None, 1) for one in (Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD)),
        *(([one], None, 1) for one in (Outcome.DROPPED, State.HELD, State.UNKNOWN, State.READY)),
        ([Outcome.DELIVERED], "authentication", 2),
        ([Outcome.DELIVERED], "unavailable", 75),
        ([Outcome.DEAD], "interrupted", 130),
    ],
)
def test_exit_codes(outcomes: list[Status], why: str | None, code: int) -> None:
    """1 if something was not delivered, filtered or kept; why a run was stopped goes before."""
    report = _report(*outcomes)
    if why is not None:
        report.stopped = Stopped(why, 1, "")  # type: ignore[arg-type]  # one of three words
    assert exit_code(report) == code


def test_the_exit_code_of_a_dry_run() -> None:
    """What would be sent is fine."""
    assert exit_code(_report(State.READY), dry_run=True) == 0
    assert exit_code(_report(State.READY, Outcome.INVALID), dry_run=True) == 1
