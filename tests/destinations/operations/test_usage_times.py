"""The time whose usage is compared: exact times as they are, ages as the partner adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, load_definition
from destinations.errors import UsageError
from destinations.operations import select_usage
from destinations.operations.times import parse_given_time, parse_time
from destinations.runtime.usage_questions import iso_time
from tests.destinations.counting import write_counter

NOW = parse_time("2026-03-05T15:20:30.250Z", 0)


def _counter(folder: Path, *steps: str | None) -> DestinationDefinition:
    """Return a destination with an action for each of these steps by which it adds up."""

    def change(_: Any, action: dict[str, Any]) -> None:
        if steps[0] is not None:
            action["usage"]["ask"]["aligned"] = steps[0]

    written = write_counter(folder, change)
    text = (written / "count.yaml").read_text("utf-8")
    for number, step in enumerate(steps[1:]):
        assert text.count(f"aligned: {steps[0]}\n") == 1
        other = text.replace(f"aligned: {steps[0]}\n", f"aligned: {step}\n")
        other = other.replace("slug: count\n", f"slug: other{number}\n")
        (written / f"other{number}.yaml").write_text(other, "utf-8")
    return load_definition(written)


TIMES: dict[str, tuple[tuple[str | None, ...], tuple[str, str], tuple[str, str], bool]] = {
    "a partner that takes any time": (
        (None,),
        ("2h", "0s"),
        ("2026-03-05T13:20:30.250Z", "2026-03-05T15:20:30.250Z"),
        False,
    ),
    "by the second, of which nothing is told": (
        ("1s",),
        ("2h", "0s"),
        ("2026-03-05T13:20:30Z", "2026-03-05T15:20:30Z"),
        False,
    ),
    "by the minute": (
        ("1m",),
        ("2h", "0s"),
        ("2026-03-05T13:20:00Z", "2026-03-05T15:20:00Z"),
        True,
    ),
    "by the day": (
        ("1d",),
        ("1d", "0s"),
        ("2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"),
        True,
    ),
    "what two actions share": (
        ("4m", "6m"),
        ("1h", "0s"),
        ("2026-03-05T14:12:00Z", "2026-03-05T15:12:00Z"),
        True,
    ),
    "what three actions share": (
        ("90s", "1h", "1s"),
        ("1d", "1h"),
        ("2026-03-04T15:00:00Z", "2026-03-05T14:00:00Z"),
        True,
    ),
    "an exact beginning, and an age": (
        ("1h",),
        ("2026-03-05T10:00:00Z", "0s"),
        ("2026-03-05T10:00:00Z", "2026-03-05T15:00:00Z"),
        True,
    ),
    "exact times": (
        ("1h",),
        ("2026-03-05T10:00:00Z", "2026-03-05T12:00:00+01:00"),
        ("2026-03-05T10:00:00Z", "2026-03-05T11:00:00Z"),
        False,
    ),
}


@pytest.mark.parametrize(("steps", "given", "taken", "moved"), TIMES.values(), ids=TIMES)
def test_times(
    tmp_path: Path,
    steps: tuple[str | None, ...],
    given: tuple[str, str],
    taken: tuple[str, str],
    *,
    moved: bool,
) -> None:
    """Both ends are whole multiples of all that the partner adds up by."""
    since, until = (parse_given_time(one, NOW) for one in given)
    found = select_usage(_counter(tmp_path, *steps), since, until)
    assert (iso_time(found.from_ms), iso_time(found.to_ms)) == taken
    assert found.moved is moved


REFUSED: dict[str, tuple[tuple[str, ...], tuple[str, str], str]] = {
    "an exact time in between": (
        ("1h",),
        ("2026-03-05T10:30:00Z", "0s"),
        (
            "--from 2026-03-05T10:30:00Z cannot be asked for: Counter adds up by 1h in UTC;"
            " expected 2026-03-05T10:00:00Z or 2026-03-05T11:00:00Z"
        ),
    ),
    "an exact time that only one of two actions shares": (
        ("4m", "6m"),
        ("2h", "2026-03-05T14:04:00Z"),
        "expected 2026-03-05T14:00:00Z or 2026-03-05T14:12:00Z",
    ),
    "ages in the same hour": (
        ("1h",),
        ("10m", "0s"),
        (
            "--from and --to are both 2026-03-05T15:00:00Z, as an age is taken back to a whole"
            " multiple of 1h, by which Counter adds up in UTC; expected an earlier --from"
        ),
    ),
    "the wrong way round": (("1h",), ("0s", "3h"), "--to must be later than --from"),
    "the same age": (("1h",), ("3h", "3h"), "--to must be later than --from"),
}


@pytest.mark.parametrize(("steps", "given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(
    tmp_path: Path, steps: tuple[str, ...], given: tuple[str, str], message: str
) -> None:
    """The message says which times would do."""
    since, until = (parse_given_time(one, NOW) for one in given)
    with pytest.raises(UsageError) as caught:
        select_usage(_counter(tmp_path, *steps), since, until)
    assert message in str(caught.value)
