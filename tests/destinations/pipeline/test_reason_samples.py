from __future__ import annotations

import json

import pytest

from destinations.outcome import Outcome, Result
from destinations.pipeline.reason_samples import EventSample, ReasonSamples, shape_of
from destinations.pipeline.report import Row


def _row(line: int, reason: str, code: str | None = "C", outcome: Outcome = Outcome.DEAD) -> Row:
    return Row(line, None, Result(outcome, reason, code))


def test_some_of_each_reason() -> None:
    """Up to three whose reasons differ; what was delivered has none."""
    samples = ReasonSamples()
    event = b'{"type": "page"}'
    for line, reason in enumerate(["a", "a", "b", "c", "d"], start=1):
        samples.record([(_row(line, reason), event)])
    samples.record([(_row(9, "z", None, Outcome.DELIVERED), event)])
    samples.record([(_row(10, "alone", None), b"no JSON")])
    found = [(one.line, one.reason) for one in samples.of("dead", "C")]
    assert found == [(1, "a"), (3, "b"), (4, "c")]
    assert samples.of("dead", "alone") == [EventSample(10, "alone", "")]
    assert samples.of("delivered", "z") == ()


def test_only_so_many_reasons() -> None:
    """What each row has as a reason of its own does not fill the memory."""
    samples = ReasonSamples()
    samples.record([(_row(line, f"reason {line}", None), b"{}") for line in range(1, 200)])
    assert samples.of("dead", "reason 100")
    assert not samples.of("dead", "reason 101")


@pytest.mark.parametrize(
    ("event", "shape"),
    [
        (
            {"userId": "u-1", "event": "E", "type": "track"},
            {"type": "track", "event": "E", "userId": "***"},
        ),
        (
            {"properties": {"a": 1, "b": None, "c": True, "d": "", "e": ["x", "y", "z"]}},
            {"properties": {"a": "***", "b": None, "c": True, "d": "", "e": ["***", "***"]}},
        ),
        ({"event": {"name": "Ada"}}, {"event": {"name": "***"}}),
    ],
)
def test_the_shape_of_an_event(event: object, shape: object) -> None:
    """Its keys, type and name; nothing else of it."""
    text = shape_of(json.dumps(event).encode())
    assert json.loads(text) == shape
    assert list(json.loads(text)) == list(shape)  # type: ignore[call-overload]


@pytest.mark.parametrize("raw", [b"", b"no JSON", b"[1]", b"7"])
def test_what_is_no_event(raw: bytes) -> None:
    """It has no shape."""
    assert shape_of(raw) == ""


def test_large_ones_are_cut() -> None:
    """Neither depth nor width makes a sample long."""
    deep: object = "x"
    for _ in range(50):
        deep = {"k": deep}
    assert shape_of(json.dumps({"properties": deep}).encode()).count("k") < 10
    wide = {"properties": {f"key-{n}-{'x' * 60}": n for n in range(500)}}
    assert len(shape_of(json.dumps(wide).encode())) == 1_000
