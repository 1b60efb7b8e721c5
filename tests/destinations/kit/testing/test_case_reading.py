from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations._version import __version__
from destinations.errors import DefinitionError, NewerCaseError, UsageError
from destinations.kit.testing.case import ABSENT, Case, Recorded
from destinations.kit.testing.case_reading import case_files, read_case, read_cases
from destinations.kit.testing.subject import Subject
from destinations.outcome import Outcome, State, Status


def test_what_a_file_says(partner: Subject, template: Path) -> None:
    """A case has the file's name, checked settings, and all its parts in order."""
    case = read_case(template / "cases" / "track.yaml", partner.definition)
    assert case.name == "track"
    assert case.settings["endpoint"] == "https://api.example.com"  # the default
    assert repr(case.settings["apiKey"]) == "'***'"
    assert [interaction.request.method for interaction in case.interactions] == ["POST"]
    assert [(row.event, row.action, row.outcome) for row in case.expected] == [
        (1, "trackEvent", Outcome.DELIVERED),
        (2, None, Outcome.INVALID),
    ]
    assert case.expected[1].payload is ABSENT
    assert case.subscriptions is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *[(outcome.value, outcome) for outcome in Outcome if outcome is not Outcome.DROPPED],
        ("ready", State.READY),
        ("retrying", State.READY),
        ("unknown", State.UNKNOWN),
    ],
)
def test_what_may_become_of_an_event(
    make_case: Callable[..., Case], text: str, status: Status
) -> None:
    """An outcome, or the state of what has none; ``ready`` is known by its former name as well."""
    case = make_case(_set("expected", 0, "outcome", to=text))
    assert case.expected[0].outcome is status


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        target: Any = data
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to

    return change


ISSUES: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "a key that is none": (_set("event", to={}), "/event", "is not a key here"),
    "a part that is missing": (lambda data: data.pop("clock"), "", "lacks 'clock'"),
    "a version that is none": (
        _set("recorded", to={"against": "live", "version": "first"}),
        "/recorded/version",
        "such as 1.0.0",
    ),
    "a partner who is none": (
        _set("recorded", to={"against": "somebody", "version": "0.0.1"}),
        "/recorded/against",
        "must be one of sandbox, test, live",
    ),
    "no events": (_set("events", to=[]), "/events", "must not be empty"),
    "an outcome that is none": (
        _set("expected", 0, "outcome", to="fine"),
        "/expected/0/outcome",
        "must be one of delivered",
    ),
    "a setting that is none": (_set("settings", "key", to="k"), "/settings/key", "no such setting"),
    "a setting that does not fit": (
        _set("settings", "apiKey", to="short"),
        "/settings/apiKey",
        "8 characters",
    ),
    "an action that is none": (
        _set("expected", 0, "action", to="send"),
        "/expected/0/action",
        "known: trackEvent",
    ),
    "an event that is none": (
        _set("expected", 0, "event", to=3),
        "/expected/0/event",
        "unknown event 3; the case has 2",
    ),
    "a time without a zone": (
        _set("clock", to="2024-01-15T12:00:00"),
        "/clock",
        "a time with its zone",
    ),
    "a day that is none": (_set("clock", to="2024-02-31T12:00:00Z"), "/clock", "not a date"),
    "a response and a failure": (
        _set("interactions", 0, "failure", to="timeout"),
        "/interactions/0",
        "response | failure",
    ),
    "a failure that is none": (
        _set("interactions", to=[{"request": {"method": "GET", "url": "u"}, "failure": "x"}]),
        "/interactions/0/failure",
        "must be one of refused",
    ),
    "a subscription without an action": (
        _set("subscriptions", to=[{"name": "S", "partnerAction": "x", "subscribe": "type = 1"}]),
        "/subscriptions/0/partnerAction",
        "unknown action 'x'",
    ),
    "a subscription that is not FQL": (
        _set(
            "subscriptions",
            to=[{"name": "S", "partnerAction": "trackEvent", "subscribe": "type ="}],
        ),
        "/subscriptions/0/subscribe",
        "at character",
    ),
}


@pytest.mark.parametrize(("change", "path", "message"), ISSUES.values(), ids=ISSUES)
def test_what_is_wrong_with_a_file(
    make_case: Callable[..., Case], change: Any, path: str, message: str
) -> None:
    """Each issue has file, line and path, and says what would be right."""
    with pytest.raises(DefinitionError) as caught:
        make_case(change)
    (issue,) = [issue for issue in caught.value.issues if issue.path == path]
    assert message in issue.message
    assert issue.file == "case.yaml"
    assert issue.line is not None


def test_subscriptions_instead_of_the_presets(make_case: Callable[..., Case]) -> None:
    """Without a mapping of its own, a subscription has that of the fields."""
    subscription = {
        "name": "Some",
        "partnerAction": "trackEvent",
        "subscribe": 'event = "Report Opened"',
    }
    case = make_case(_set("subscriptions", to=[subscription]))
    assert case.subscriptions is not None
    (preset,) = case.subscriptions
    assert (preset.name, preset.partner_action) == ("Some", "trackEvent")
    assert preset.mapping["user"] == {"@path": "$.userId"}


def test_the_cases_of_a_folder(partner: Subject, template: Path) -> None:
    """They come by name; other files are left alone, and no folder means no cases."""
    text = (template / "cases" / "track.yaml").read_text(encoding="utf-8")
    (template / "cases" / "another.yaml").write_text(text, encoding="utf-8")
    (template / "cases" / "README.md").write_text("# Cases", encoding="utf-8")
    assert [file.name for file in case_files(template / "cases")] == ["another.yaml", "track.yaml"]
    assert [case.name for case in partner.cases()] == ["another", "track"]
    assert read_cases(template / "nothing", partner.definition) == []


@pytest.mark.parametrize(
    ("version", "is_newer"),
    [
        ("0.0.1", False),
        (__version__, False),
        (f"{__version__}.dev1", False),
        (__version__.rpartition(".")[0] + ".9999", True),
        ("10.0.0", True),
        ("10.0.0rc1", True),
    ],
)
def test_a_case_of_a_newer_version(
    make_case: Callable[..., Case], version: str, is_newer: bool
) -> None:
    """It is one message with its place, both versions and the cure, whatever else is new in it."""

    def change(data: dict[str, Any]) -> None:
        data["recorded"] = {"against": "sandbox", "version": version}
        if is_newer:
            data["recorded"]["mood"] = data["mood"] = "good"

    if not is_newer:
        assert make_case(change).recorded == Recorded("sandbox", version)
        return
    with pytest.raises(NewerCaseError) as caught:
        make_case(change)
    (issue,) = caught.value.issues
    assert (issue.file, issue.path) == ("case.yaml", "/recorded/version")
    assert issue.message == (
        f"recorded by version {version}, but {__version__} is installed: update the package, or "
        "record the case again with the installed version"
    )


def test_newer_cases_stop_no_other(partner: Subject, template: Path) -> None:
    """Those that can be replayed are read; all that is wrong is still told at once."""
    text = (template / "cases" / "track.yaml").read_text(encoding="utf-8")
    newer = text + "recorded: {against: live, version: 99.0.0}\n"
    (template / "cases" / "new.yaml").write_text(newer, encoding="utf-8")
    cases, issues = partner.readable_cases()
    assert [case.name for case in cases] == ["track"]
    assert [Path(str(issue.file)).name for issue in issues] == ["new.yaml"]
    with pytest.raises(DefinitionError) as caught:
        partner.cases()
    assert caught.value.issues == tuple(issues)
    (template / "cases" / "a.yaml").write_text("description: A", encoding="utf-8")
    with pytest.raises(DefinitionError, match="lacks 'settings'"):
        partner.readable_cases()


def test_all_files_are_checked(partner: Subject, template: Path) -> None:
    """What is wrong in several files is told at once."""
    (template / "cases" / "a.yaml").write_text("description: A", encoding="utf-8")
    (template / "cases" / "b.yaml").write_text("- 1", encoding="utf-8")
    (template / "cases" / "c.yaml").write_bytes(b"\xff")
    with pytest.raises(DefinitionError) as caught:
        partner.cases()
    files = {Path(str(issue.file)).name for issue in caught.value.issues}
    assert files == {"a.yaml", "b.yaml", "c.yaml"}


def test_a_file_that_is_not_there(partner: Subject, tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(UsageError, match=r"nothing\.yaml: No such file"):
        read_case(tmp_path / "nothing.yaml", partner.definition)
