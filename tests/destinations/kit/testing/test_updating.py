from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.kit.testing.case_reading import read_case
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import subject_in
from destinations.kit.testing.updating import CaseUpdate, update_of

Change = Callable[[Path], object]


def _edit(name: str, old: str, new: str) -> Change:
    """Return what replaces a text in a file of the definition."""

    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


CASE = "cases/track.yaml"
SENDS = "name: {'@path': $.payload.name}"
ANSWER = "    response:\n      status: 200"


@pytest.fixture
def make(template: Path) -> Callable[..., CaseUpdate]:
    """Updates the case of the destination that ``init`` makes, after these changes."""

    def run(*changes: Change) -> CaseUpdate:
        for change in changes:
            change(template)
        subject = subject_in(template)
        path = template / CASE
        return update_of(subject, read_case(path, subject.definition), path)

    return run


RENAMED = _edit("trackEvent.yaml", "default: {'@path': $.event}", "default: Something")

# What changes the definition or the case, and the lines that an update takes and gives.
UPDATES: dict[str, tuple[list[Change], list[str]]] = {
    "a value of the request and the payload": (
        [RENAMED],
        [
            "-        name: Report Opened",
            "+        name: Something",
            "-      name: Report Opened",
            "+      name: Something",
        ],
    ),
    "a method": (
        [_edit("destination.yaml", "method: POST", "method: PUT")],
        ["-      method: POST", "+      method: PUT"],
    ),
    "a header that the case compares": (
        [_edit(CASE, "Bearer placeholder-apiKey", "Bearer another")],
        [
            "-      headers: {Authorization: Bearer another}",
            "+      headers: {Authorization: Bearer placeholder-apiKey}",
        ],
    ),
    "an outcome": (
        [_edit(CASE, "outcome: invalid", "outcome: filtered")],
        [
            "-    outcome: filtered",
            "+    outcome: invalid",
        ],
    ),
}


@pytest.mark.parametrize(("changes", "lines"), UPDATES.values(), ids=UPDATES)
def test_an_update_changes_what_differs(
    make: Callable[..., CaseUpdate], template: Path, changes: list[Change], lines: list[str]
) -> None:
    """Only these lines change, comments stay, and what is written replays."""
    update = make(*changes)
    found = [
        line
        for line in update.difference.splitlines()
        if line[0] in "+-" and not line.startswith(("+++", "---"))
    ]
    assert [line for line in found if "reason" not in line] == lines
    assert update.losses == ()
    assert update.new.startswith("# A case: events, the requests")
    update.write()
    subject = subject_in(template)
    assert replay(subject, read_case(template / CASE, subject.definition)).passed
    assert [path.name for path in (template / "cases").iterdir()] == ["track.yaml"]


def test_line_endings_stay(make: Callable[..., CaseUpdate], template: Path) -> None:
    """A file whose lines end as on Windows keeps them, and no other line changes."""

    def of_windows(folder: Path) -> None:
        path = folder / CASE
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    update = make(RENAMED, of_windows)
    before = (template / CASE).read_bytes()
    update.write()
    after = (template / CASE).read_bytes()
    assert after != before
    assert after.count(b"\n") == after.count(b"\r\n") == before.count(b"\r\n")
    assert "\r" not in update.difference


def test_what_is_no_longer_delivered_is_said(make: Callable[..., CaseUpdate]) -> None:
    """The answer of the case is a refusal now: the event was delivered, and would be rejected."""
    update = make(_edit(CASE, ANSWER, ANSWER.replace("200", "422")))
    assert update.losses == ('event 1, trackEvent: rejected (HTTP 422: {"status": "ok"})',)
    assert "+    outcome: rejected" in update.difference


def test_an_action_that_an_event_no_longer_reaches(make: Callable[..., CaseUpdate]) -> None:
    """The request goes with it, and the event is filtered."""
    update = make(_edit("destination.yaml", 'type = "track"', 'type = "page"'))
    assert update.losses[-1] == "event 1, trackEvent: no longer reaches this action"
    assert "+interactions: []" in update.difference


def test_a_request_without_an_answer(make: Callable[..., CaseUpdate]) -> None:
    """What was never answered cannot be made up: the case has to be recorded again."""

    def no_answers(folder: Path) -> None:
        path = folder / CASE
        head, _, rest = path.read_text(encoding="utf-8").partition("interactions:\n")
        expected = rest.partition("expected:\n")[2]
        path.write_text(f"{head}interactions: []\nexpected:\n{expected}", encoding="utf-8")

    with pytest.raises(UsageError) as caught:
        make(no_answers)
    assert str(caught.value) == (
        "the case track cannot be updated, so record it again: it has no answer to a further "
        "request: POST https://api.example.com/v1/events"
    )


def test_a_file_that_cannot_be_written(
    make: Callable[..., CaseUpdate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is."""
    update = make(RENAMED)

    def fail(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UsageError, match=r"cannot write .*track\.yaml: Permission denied"):
        update.write()
    assert update.path.read_text(encoding="utf-8") == update.old
    assert [path.name for path in update.path.parent.iterdir()] == ["track.yaml"]
