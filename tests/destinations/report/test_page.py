from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.operations import (
    AccountFigures,
    RunContext,
    RunReason,
    RunRecord,
    SubscriptionCounts,
)
from destinations.outcome import Effect, Outcome, State, Status
from destinations.pages import Html
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.queue import Increment
from destinations.pipeline.timeline import Timeline
from destinations.report import run_page
from destinations.report.page import MARK
from destinations.secrets import Masker
from tests.well_formed import parsed

BEGAN = 1_777_888_800.0
SECRET = "sk_live_abcdefgh<&>"
KEPT = RunContext(
    "kana",
    "Kana",
    "1.0.0",
    "main",
    "events.ndjson",
    continued_by="destinations run kana --events events.ndjson",
    delivering="destinations run kana",
    options=" --store s.sqlite3 --destination kana",
)
GOES_ON = "Continue with: destinations run kana --events events.ndjson"
NOT_KEPT = (
    "Read, and neither finished nor stored: 2 from line 3 on: full. Feed the same input again. "
    + GOES_ON
)
STATUSES: Sequence[Status] = [one for one in (*Outcome, *State) if one is not State.DONE]


def _timeline(counts: Mapping[str, int]) -> Timeline:
    by_name = {one.value: one for one in STATUSES}
    timeline = Timeline()
    for number, (name, count) in enumerate(counts.items()):
        timeline.add([by_name[name]] * count, BEGAN + number)
    return timeline


def _record(outcomes: Mapping[str, int] | None = None, **more: Any) -> RunRecord:
    counts = {"delivered": 5, "dead": 2} if outcomes is None else outcomes
    rows = sum(counts.values())
    given_: dict[str, Any] = {
        "context": KEPT,
        "exit_code": 1,
        "began": BEGAN,
        "ended": BEGAN + 2,
        "seconds": 2.0,
        "lines": rows,
        "empty": 0,
        "requests": 3,
        "outcomes": counts,
        "subscriptions": [SubscriptionCounts("Record usage", "track", counts)],
        "reasons": [
            RunReason(name, "CODE", number, "line 3", f"why {name}")
            for name, number in counts.items()
            if name != "delivered"
        ],
        "timeline": _timeline(counts),
    }
    return RunRecord(**{**given_, **more})


def _entry(number: int, **more: Any) -> LedgerEntry:
    given_: dict[str, Any] = {
        "id": number,
        "event_id": 1,
        "scope": 1,
        "destination": "kana",
        "account": "main",
        "key": None,
        "status": State.HELD,
        "effect": Effect.MAYBE,
        "attempts": 1,
        "user": "ann",
        "type": "track",
        "message_id": "m1",
        "accepted_at": BEGAN,
        "first_attempt_at": BEGAN,
        "next_at": None,
        "settled_at": BEGAN,
        "code": None,
        "http_status": None,
        "stage": "send",
        "reason": "another writer",
        "plan": "",
        "increment": Increment("ann calls", 5),
        "evidence": {"before": 7, "expected": 12, "found": 9, "proposed": "not applied"},
    }
    return LedgerEntry(**{**given_, **more})


def _figures(**more: Any) -> AccountFigures:
    counts = {"delivered": 7, "held": 1}
    given_: dict[str, Any] = {
        "at": BEGAN,
        "counts": counts,
        "subscriptions": [SubscriptionCounts("Record usage", "track", counts)],
        "days": {20_576: {"delivered": 3}, 20_577: {"delivered": 4, "held": 1}},
        "undecided": [_entry(17_000)],
    }
    return AccountFigures(**{**given_, **more})


def _text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _body(page: Html) -> ET.Element:
    found = parsed(page).find("body")
    assert found is not None
    return found


def _said(page: Html) -> str:
    return _text(_body(page))


TEXT = st.one_of(
    st.text(st.characters(), max_size=30),
    st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]>", "&#0;"]),
)
COUNTS = st.dictionaries(
    st.sampled_from([one.value for one in STATUSES]), st.integers(1, 10**12), max_size=4
)
REASONS = st.lists(
    st.builds(
        RunReason,
        st.sampled_from([one.value for one in STATUSES if one is not Outcome.DELIVERED]),
        TEXT,
        st.integers(1, 10**9),
        TEXT,
        TEXT,
    ),
    max_size=4,
)
CONTEXTS = st.builds(
    RunContext,
    *[TEXT] * 9,
    is_dry=st.booleans(),
    is_kept=st.booleans(),
)
RECORDS = st.builds(
    RunRecord,
    CONTEXTS,
    exit_code=st.integers(0, 130),
    began=st.floats(),
    ended=st.floats(),
    seconds=st.floats(0, 1e9),
    lines=st.integers(0, 10**12),
    empty=st.integers(0, 3),
    requests=st.integers(0, 10**12),
    outcomes=COUNTS,
    subscriptions=st.lists(st.builds(SubscriptionCounts, TEXT, TEXT, COUNTS), max_size=3),
    reasons=REASONS,
    timeline=st.just(_timeline({"delivered": 3, "dead": 1})),
    duplicates=st.dictionaries(st.sampled_from(["content", "line"]), st.integers(1, 9)),
    earlier=COUNTS,
    before=COUNTS,
    unmapped=st.dictionaries(TEXT, st.integers(1, 10**9), max_size=40),
    other_unmapped=st.integers(0, 9),
    stopped=st.sampled_from(["", "interrupted", "unavailable", "refused", "damaged"]),
    stopped_at=TEXT,
    why_stopped=TEXT,
    not_kept=TEXT,
    hidden_from=TEXT,
    failure=TEXT,
    made_by=TEXT,
)
ENTRIES = st.builds(
    lambda user, reason, evidence: _entry(1, user=user, reason=reason, evidence=evidence),
    TEXT,
    TEXT,
    st.dictionaries(st.sampled_from(["before", "expected", "found", "proposed"]), TEXT),
)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "footer"),
    *("h1", "h2", "h3", "p", "div", "span", "b", "ul", "li", "dl", "dt", "dd", "pre", "code"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "time"),
    *("figure", "figcaption", "svg", "desc", "g", "rect", "line", "text"),
}


@given(RECORDS, st.none() | st.builds(lambda one: _figures(undecided=one), st.lists(ENTRIES)))
def test_no_text_becomes_markup(record: RunRecord, figures: AccountFigures | None) -> None:
    """Whatever events and partners say, the page has only our own elements and attributes."""
    tree = parsed(run_page(record, figures))
    assert {one.tag for one in tree.iter()} <= TAGS
    names = {name for one in tree.iter() for name in one.attrib}
    assert not [name for name in names if name.startswith("on")]
    assert names.isdisjoint({"href", "src", "style", "action", "srcset", "xlink:href"})


@given(TEXT, TEXT)
def test_no_secret_is_on_the_page(before: str, after: str) -> None:
    """What the store says is masked by value; a record is masked when it is made."""
    text = f"{before}{SECRET}{after}"
    figures = _figures(undecided=[_entry(1, user=text, reason=text)])
    page = run_page(_record(), figures, Masker([SECRET]).text)
    assert SECRET not in _said(page)
    assert "sk_live" not in page


def test_it_is_one_file() -> None:
    """It names no other file or address, runs nothing, and says that it is a report."""
    page = run_page(_record(), _figures())
    assert not re.search(r"https?://|<script|<link|<img|url\(", page)
    assert f'content="{MARK} ' in page[:4_096]
    assert page.startswith("<!DOCTYPE html>\n<html lang=")


def test_headings_go_down_one_step_at_a_time() -> None:
    """Who listens to the page can go by its headings; there is one of the first level."""
    levels = [
        int(one.tag[1])
        for one in parsed(run_page(_record(), _figures())).iter()
        if re.fullmatch(r"h[1-6]", str(one.tag))
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_ids_are_those_of_one_element() -> None:
    """Both plots are named by their own titles."""
    ids = [
        one.attrib["id"]
        for one in parsed(run_page(_record(), _figures())).iter()
        if "id" in one.attrib
    ]
    assert sorted(ids) == ["days-desc", "days-title", "run-desc", "run-title"]


@pytest.mark.parametrize(
    ("record", "level", "text"),
    [
        (
            _record({"delivered": 5, "filtered": 1}),
            "good",
            "Every row was delivered, filtered or kept as unmapped.",
        ),
        (_record(), "warning", "Not every row was delivered: 2 dead."),
        (_record({}), "", "There was nothing to deliver."),
        (
            _record(stopped="interrupted", why_stopped="interrupted", exit_code=130),
            "warning",
            f"The run was interrupted. {GOES_ON}",
        ),
        (
            _record(stopped="authentication", stopped_at="line 3", why_stopped="401", exit_code=2),
            "bad",
            f"The run stopped: the credentials were refused at line 3: 401. {GOES_ON}",
        ),
        (
            _record(stopped="unavailable", why_stopped="away", not_kept="2 from line 3 on: full"),
            "warning",
            f"The run stopped: the partner or the store was not available: away. {NOT_KEPT}",
        ),
        (
            _record(failure="the key was refused", context=replace(KEPT, continued_by="")),
            "bad",
            "The run failed: the key was refused",
        ),
        (
            _record({"ready": 2}, context=replace(KEPT, is_dry=True, is_kept=False)),
            "good",
            "Every row would be sent, or needs no sending.",
        ),
    ],
)
def test_how_it_ended(record: RunRecord, level: str, text: str) -> None:
    """The first thing on the page is how the run ended, and how to go on."""
    found = next(_body(run_page(record)).iter("div"))
    assert found.attrib["class"] == f"message {level}".rstrip()
    assert " ".join(" ".join(found.itertext()).split()) == text


def test_totals_add_up() -> None:
    """The table has the rows of each subscription and their sum, and a sentence says so."""
    record = _record(
        {"delivered": 5, "dead": 2},
        subscriptions=[
            SubscriptionCounts("", "", {"dead": 1}),
            SubscriptionCounts("Record usage", "track", {"delivered": 5, "dead": 1}),
        ],
    )
    (table, *_) = _body(run_page(record)).iter("table")
    assert [[_text(cell) for cell in row] for row in table.iter("tr")] == [
        ["subscription", "action", "delivered", "dead", "rows"],
        ["(none)", "", "", "1", "1"],
        ["Record usage", "track", "5", "1", "6"],
        ["total", "", "5", "2", "7"],
    ]
    assert "7 lines read: 7 rows, one for each." in _said(run_page(record))


def test_what_has_no_row_is_said() -> None:
    """Where a run was cut off, what was read and has no row is counted, not hidden."""
    said = _said(run_page(_record(lines=10)))
    assert "10 lines read: 7 rows." in said
    assert "3 entries that were read have no row here" in said


def test_an_error_leaves_no_promise() -> None:
    """Where an error ended the run, rows may be missing, so nothing is said to add up."""
    said = _said(run_page(_record(failure="RuntimeError: x")))
    assert "7 lines read: 7 rows." in said
    assert "one for each" not in said


def test_reasons_with_what_can_be_done() -> None:
    """Each reason stands with its number, first place and code, and there is a command for it."""
    page = run_page(_record())
    body = _body(page)
    assert "dead 2 rows, 28.6%" in _said(page)
    commands = [_text(one) for one in body.iter("pre")]
    chosen = "--outcome dead --code CODE --store s.sqlite3 --destination kana --dry-run"
    assert commands == [f"destinations deliveries replay {chosen}", "destinations run kana"]
    reasons = list(body.iter("table"))[1]
    assert [[_text(cell) for cell in row] for row in reasons.iter("tr")] == [
        ["rows", "first at", "code", "first reason"],
        ["2", "line 3", "CODE", "why dead"],
    ]


def test_reasons_that_were_too_many() -> None:
    """Rows whose reasons were not kept are counted."""
    record = _record(reasons=[RunReason("dead", "", 1, "", "why")])
    assert "1 row more had other reasons, which were too many to keep." in _said(run_page(record))


def test_both_numbers_of_what_is_held() -> None:
    """A held delivery stands with what was added, and what the balance was and is."""
    page = run_page(_record(), _figures())
    section = next(
        one for one in _body(page).iter("section") if one.findtext("h2") == "Held and unknown"
    )
    cells = [_text(one) for one in next(section.iter("tbody")).iter() if one.tag in {"th", "td"}]
    assert cells == [
        *("17000", "held", "ann", "5", "7", "12", "9", "not applied"),
    ]
    assert "All of them: another writer." in _text(section)
    assert [_text(one) for one in section.iter("pre")] == [
        "destinations deliveries resolve 17000 --applied --store s.sqlite3"
    ]


def test_held_for_several_reasons() -> None:
    """Each has its own reason, and those that are not shown are counted."""
    figures = _figures(
        counts={"held": 30, "unknown": 2},
        undecided=[_entry(1), _entry(2, reason="its answer was lost", status=State.UNKNOWN)],
    )
    said = _said(run_page(_record(), figures))
    assert "another writer" in said
    assert "its answer was lost" in said
    assert "All of them" not in said
    assert "30 more are not shown here." in said


def test_the_store_now() -> None:
    """It has the totals of all runs, those by day, and what is to be done by hand."""
    said = _said(run_page(_record(), _figures(users_to_change=2)))
    assert "8 deliveries: the subscriptions add up to the total." in said
    assert "Deliveries of all runs by the day on which they ended" in said
    assert "2 users have changes to make by hand." in said
    odd = _figures(subscriptions=[])
    assert "the subscriptions have 0, as a process was writing" in _said(run_page(_record(), odd))
    none = _figures(counts={}, subscriptions=[], days={}, undecided=[])
    assert "The store has no delivery of it." in _said(run_page(_record(), none))


def test_unmapped_and_duplicates() -> None:
    """Unmapped events are counted by name, and duplicates by how they were recognised."""
    record = _record(
        {"unmapped": 42},
        unmapped={f"name {number}": 1 for number in range(40)},
        other_unmapped=2,
        duplicates={"content": 3, "line": 1},
    )
    said = _said(run_page(record))
    assert "name 29" in said
    assert "name 30" not in said
    assert "12 events with other names." in said
    assert "3 events without a messageId had the same content as one of another file" in said
    assert "1 event without a messageId stood in the same line" in said


def test_what_earlier_runs_left() -> None:
    """Rows that were delivered first are told apart from those of the input."""
    assert "what earlier runs had left was delivered: 4 delivered." in _said(
        run_page(_record(before={"delivered": 4}))
    )
    assert "this run ended beside its own rows: 3 delivered." in _said(
        run_page(_record(earlier={"delivered": 3}))
    )
    nothing_read = _record(lines=0, context=replace(KEPT, source=""))
    assert "7 rows of earlier runs." in _said(run_page(nothing_read))


def test_an_input_that_could_not_be_read() -> None:
    """It is said from which line on events may be missing."""
    assert "from line 4 on events may be missing" in _said(run_page(_record(hidden_from="line 4")))
