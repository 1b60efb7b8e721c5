from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "examples"
FEATURES = {"api-calls", "storage-gb", "seats", "exports"}
ACCOUNT_USERS = {f"user_{number:04d}" for number in range(1, 13)}

Json = dict[str, Any]


EXAMPLES = {
    "events": ROOT / "examples" / "events.ndjson",
    "faulty": ROOT / "examples" / "faulty.ndjson",
    "every-case": FIXTURES / "every-case.ndjson",
}


def _ledger(name: str) -> Json:
    made: Json = json.loads((FIXTURES / f"{name}.ledger.json").read_text(encoding="ascii"))
    return made


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_ledger_adds_up(name: str) -> None:
    """Every line is empty or a row, and each total of the ledger equals the sum over its rows."""
    ledger, lines = _ledger(name), EXAMPLES[name].read_bytes().split(b"\n")[:-1]
    rows = ledger["by_line"]
    assert ledger["lines"] == len(lines) == ledger["empty"] + ledger["rows"]
    assert len({row["line"] for row in rows}) == len(rows) == ledger["rows"]
    assert Counter(row["outcome"] for row in rows) == ledger["outcomes"]
    assert Counter(row["reason"] for row in rows if row["reason"]) == +Counter(ledger["reasons"])
    for action, outcomes in ledger["by_action"].items():
        assert Counter(row["outcome"] for row in rows if row["action"] == action) == outcomes
    assert all((row["outcome"] == "delivered") == (row["reason"] is None) for row in rows)


def test_everyday_events_have_no_faults() -> None:
    """A run of them ends with 0, each outcome of that kind occurs, and amounts are ordinary."""
    ledger = _ledger("events")
    assert ledger["outcomes"].keys() == {"delivered", "filtered", "unmapped"}
    assert ledger["empty"] == 0
    amounts = [amount for used in ledger["usage"].values() for amount in used.values()]
    assert 0 < min(amounts) <= max(amounts) < 1_000


def test_the_faulty_events_have_every_fault(ledger: Json) -> None:
    """Each reason of every-case.ndjson that ends as invalid or rejected is shown once at least."""
    faults = {"invalid", "rejected"}
    expected = {row["reason"] for row in ledger["by_line"] if row["outcome"] in faults}
    faulty = _ledger("faulty")
    assert {row["reason"] for row in faulty["by_line"]} == expected | {None}
    assert faulty["outcomes"].keys() == faults | {"delivered"}


def test_empty_lines_are_no_rows(ledger: Json, lines: list[bytes]) -> None:
    """The lines without a row are exactly those that hold nothing but white space."""
    numbers = {row["line"] for row in ledger["by_line"]}
    blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
    assert blank == set(range(1, len(lines) + 1)) - numbers
    assert len(blank) == ledger["empty"] > 0


def test_every_kind_of_outcome_occurs(ledger: Json) -> None:
    """The file shows each outcome that an event's own content can bring about, and each reason."""
    assert ledger["outcomes"].keys() == {
        "delivered",
        "filtered",
        "invalid",
        "rejected",
        "unmapped",
    }
    assert min(ledger["reasons"].values()) > 0
    assert ledger["by_action"].keys() == {"-", "identify", "track"}


def _members(pairs: list[tuple[str, Any]]) -> Json:
    if len(dict(pairs)) < len(pairs):
        raise KeyError("duplicate")
    return dict(pairs)


def _finite(text: str) -> float:
    if float(text) in (float("inf"), float("-inf")):
        raise OverflowError(text)
    return float(text)


def _read(line: bytes) -> str | None:
    """What is wrong with a line, as the standard library sees it."""
    if len(line) > 32 * 1024:
        return "too_large"
    try:
        value = json.loads(
            line.decode("utf-8", "surrogatepass"),
            object_pairs_hook=_members,
            parse_constant=lambda _: _finite("inf"),
            parse_float=_finite,
        )
        if isinstance(value, dict):  # what is only carried may be cut within a character
            str(value.get("userId")).encode()
            str(value.get("messageId")).encode()
    except UnicodeDecodeError:
        return "not_utf8"
    except UnicodeEncodeError:
        return "lone_surrogate"
    except KeyError:
        return "duplicate_key"
    except OverflowError:
        return "not_finite"
    except ValueError:
        return "not_json"
    return None if isinstance(value, dict) else "not_object"


def test_lines_that_yield_no_event(rows: list[tuple[Json, bytes]]) -> None:
    """A strict reader finds at exactly those lines, which the ledger names, the fault it names."""
    broken = {
        "too_large",
        "not_utf8",
        "not_json",
        "not_object",
        "duplicate_key",
        "not_finite",
        "lone_surrogate",
    }
    expected = {row["line"]: row["reason"] for row, _ in rows if row["reason"] in broken}
    found = {row["line"]: fault for row, line in rows if (fault := _read(line))}
    assert found == expected


def _events(rows: list[tuple[Json, bytes]], **wanted: str) -> list[Json]:
    """The events of the rows that have the ``wanted`` values."""
    return [json.loads(line) for row, line in rows if wanted.items() <= row.items()]


def test_usage_is_what_the_delivered_tracks_say(
    ledger: Json, rows: list[tuple[Json, bytes]]
) -> None:
    """The usage of the ledger is the sum of the deltas in the lines that are to be delivered."""
    usage: dict[str, Counter[str]] = {}
    for event in _events(rows, outcome="delivered", action="track"):
        properties = event["properties"]
        delta = properties.get("delta")
        used = usage.setdefault(event["userId"], Counter())
        used[properties["featureId"]] += 1 if delta is None else int(float(delta))
    assert usage == ledger["usage"]
    assert {feature for used in usage.values() for feature in used} == FEATURES


def _is_blank(trait: object) -> bool:
    return str("" if trait is None else trait).strip().lower() in {"", "null", "undefined"}


def test_users_are_what_the_delivered_identifies_say(
    ledger: Json, rows: list[tuple[Json, bytes]]
) -> None:
    """The fields of the ledger's users are the last ones in the lines that are to be delivered."""
    users: dict[str, Json] = {}
    for event in _events(rows, outcome="delivered", action="identify"):
        traits = event.get("traits", {})
        fields = users.setdefault(event["userId"], dict.fromkeys(("name", "email", "billingId")))
        billing = traits.get("billingUserId")
        given = {
            "name": traits.get("name"),
            "email": traits.get("email"),
            "billingId": traits.get("billingId") if _is_blank(billing) else billing,
        }
        fields.update({name: value for name, value in given.items() if not _is_blank(value)})
    scalars = {user: dict(fields) for user, fields in users.items()}
    for user, fields in ledger["users"].items():
        for name, text in fields.items():
            value = scalars[user][name]
            assert text is None if value is None else isinstance(text, str)
            if isinstance(value, str):
                assert text == value
    assert users.keys() == ledger["users"].keys()
    assert all(None not in ledger["users"][user].values() for user in ACCOUNT_USERS)


def test_users_exist_before_their_events(rows: list[tuple[Json, bytes]]) -> None:
    """A user that the account does not have is created by an identify before anything else."""
    known = set(ACCOUNT_USERS)
    for row, line in rows:
        if row["action"] == "-":
            continue
        event = json.loads(line)
        if row["action"] == "identify" and row["outcome"] == "delivered":
            known.add(event["userId"])
        assert event["userId"] in known
    assert len(known) > 200


# What of an event has certainly no effect, so that another one may take its place.
WITHOUT_EFFECT = {"not_subscribed", "integrations", "replaced"}


def test_message_ids_that_are_used_again(rows: list[tuple[Json, bytes]]) -> None:
    """The same event is a duplicate; another one is a conflict, or corrects what had no effect."""
    latest: dict[str, tuple[Json, Json]] = {}
    found: Counter[tuple[str | None, str | None]] = Counter()
    for row, line in rows:
        if _read(line) or not isinstance(message := json.loads(line).get("messageId"), str):
            continue
        event, reason = json.loads(line), row["reason"]
        if message in latest:
            first, before = latest[message]
            found[before["reason"], reason] += 1
            assert (event == first) is (reason == "duplicate")
            if reason == "duplicate":
                assert row["action"] == before["action"]
                continue
            if reason == "conflict":
                assert before["outcome"] == "delivered"
                continue
            assert row["outcome"] == "delivered"
            assert before["reason"] in WITHOUT_EFFECT
            assert before["outcome"] == "filtered"
        if row["action"] != "-" or reason in WITHOUT_EFFECT:
            latest[message] = event, row
    assert found[None, "duplicate"] > 0
    assert found[None, "conflict"] > 0
    assert {first for first, second in found if second is None} == WITHOUT_EFFECT


def test_the_largest_line_is_exactly_as_large_as_allowed(rows: list[tuple[Json, bytes]]) -> None:
    """The limit of 32 KiB is shown from both sides, and counted in bytes, not in characters."""
    delivered = max(len(line) for row, line in rows if row["outcome"] == "delivered")
    too_large = [line for row, line in rows if row["reason"] == "too_large"]
    assert delivered == 32 * 1024
    assert min(len(line) for line in too_large) == 32 * 1024 + 1
    assert min(len(line.decode()) for line in too_large) < 32 * 1024


@pytest.mark.parametrize(
    "library",
    [
        "analytics.js",
        "analytics-node",
        "analytics-python",
        "analytics-ios",
        "analytics-android",
        "http",
    ],
)
def test_each_library_sends_every_supported_call(
    rows: list[tuple[Json, bytes]], library: str
) -> None:
    """Identifies and tracks that are delivered come from each of the six libraries."""
    calls = Counter(
        event["type"]
        for event in _events(rows, outcome="delivered")
        if event["context"]["library"]["name"] == library
    )
    assert min(calls["identify"], calls["track"]) >= 10


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\u2028".encode(), id="line separator"),
        pytest.param("\u0085".encode(), id="next line"),
        pytest.param("😀".encode(), id="emoji"),
        pytest.param(b"\\ud83d\\ude00", id="surrogate pair as escapes"),
        pytest.param("e\u0301".encode(), id="combining accent"),
        pytest.param("مستخدم".encode(), id="right to left"),
    ],
)
def test_text_that_careless_readers_break(rows: list[tuple[Json, bytes]], text: bytes) -> None:
    """Text beyond ASCII occurs raw and escaped in events that are to be delivered."""
    assert any(text in line for row, line in rows if row["outcome"] == "delivered")


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_address_beyond_example_com(name: str) -> None:
    """Every e-mail address of the examples is of the domain that is kept for documentation."""
    words = EXAMPLES[name].read_bytes().replace(b'"', b" ").split()
    domains = {word.rsplit(b"@", 1)[1] for word in words if b"@" in word}
    assert domains == {b"example.com"}
