from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.segment.javascript.dates import MAX_DATE, parse_date


def at(year: int, month: int, day: int, *time: int) -> int:
    hour, minute, second, micro = (*time, 0, 0, 0, 0)[:4]
    made = datetime(year, month, day, hour, minute, second, micro, UTC)
    return round(made.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2022-02-23T22:28:55.111Z", at(2022, 2, 23, 22, 28, 55, 111000)),
        ("2022-02-23", at(2022, 2, 23)),
        ("2022-02", at(2022, 2, 1)),
        ("2022", at(2022, 1, 1)),
        ("+002022-02-23", at(2022, 2, 23)),
        ("2020-06-15T10:20:30+05:30", at(2020, 6, 15, 4, 50, 30)),
        ("2020-06-15T10:20:30+0530", at(2020, 6, 15, 4, 50, 30)),
        ("2020-01-01T24:00:00.000Z", at(2020, 1, 2)),
        ("2020-01-01T10:00:00.1234567Z", at(2020, 1, 1, 10, 0, 0, 123000)),
        ("2020-02-30", at(2020, 3, 1)),
        ("Tue Mar 01 2022 10:00:00 GMT+0100 (CET)", at(2022, 3, 1, 9)),
        ("Mar 5, 2021", at(2021, 3, 5)),
        ("5 March 2021 3:45 pm", at(2021, 3, 5, 15, 45)),
        ("Mon, 25 Dec 1995 13:30:00 +0430", at(1995, 12, 25, 9)),
        ("12/25/1995", at(1995, 12, 25)),
        ("1/2/3", at(2003, 1, 2)),
        ("1/2/70", at(1970, 1, 2)),
        ("Jan 1 2020 12:00 AM", at(2020, 1, 1)),
        ("2020-1-1", at(2020, 1, 1)),
        ("2020-01-01 10:00 PST", at(2020, 1, 1, 18)),
        ("Jan 1 2020 10:00:00.5", at(2020, 1, 1, 10, 0, 0, 500000)),
        ("word Aug 9", at(2001, 8, 9)),
        ("SKU-9", at(2001, 9, 1)),
        ("12", at(2001, 12, 1)),
        ("-000000-01-01", at(2001, 1, 1)),
        ("(a (nested) remark) 3 Jan 2020", at(2020, 1, 3)),
    ],
)
def test_dates_are_read(text: str, moment: int) -> None:
    """ISO dates and what V8 reads beyond them name the moment that Node says they do."""
    assert parse_date(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a date",
        "true",
        "1663069260",
        "2020-13-01",
        "2020-12-32",
        "2020-01-01T25:00",
        "2020-01-01T24:00:01",
        "2020-01-01T10:00:60",
        "2020-01-01T10",
        "2020-01-01T10:00Zx",
        "2020-01-01T10:00+25:00",
        "+999999-01-01",
        "1 2 3 4",
        "12:30",
        "Jan 1 2020 13:00 pm",
        "Jan 1 2020 word",
        "x5",
        "6th St",
        "Jan 1 2020 10:00 +12345",
        "2020-01-01)",
    ],
)
def test_other_text_is_no_date(text: str) -> None:
    """What Node takes for an invalid date is none here."""
    assert parse_date(text) is None


@given(st.text(alphabet="0123456789:-+./ TZtzJanMarPMam()GMT,x", max_size=30))
def test_any_text_gives_a_moment_or_nothing(text: str) -> None:
    """No text makes the parser fail, and no moment lies beyond what JavaScript knows."""
    moment = parse_date(text)
    assert moment is None or abs(moment) <= MAX_DATE


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_iso_dates_are_read_back(moment: datetime) -> None:
    """Every date that Python writes in ISO form is read to the millisecond."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.").zfill(20) + f"{moment.microsecond // 1000:03}Z"
    exact = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    assert parse_date(text) == round(exact.timestamp() * 1000)
