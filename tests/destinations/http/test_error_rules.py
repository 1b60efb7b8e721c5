"""Error rules: conditions, first match wins, and the default by status."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.definition import AnswerRule, ErrorCondition, ErrorRule
from destinations.http import Answer, Failure
from destinations.http.error_rules import ErrorReader, Signal


def _rule(error_class: Any, retryable: bool = False, proof: bool = False, **when: Any) -> ErrorRule:  # noqa: FBT002
    return ErrorRule(ErrorCondition(**when), error_class, retryable, proof)


@pytest.mark.parametrize(
    ("when", "signal", "holds"),
    [
        ({"status": (429,)}, Signal(429, ""), True),
        ({"status": (429,)}, Signal(430, ""), False),
        ({"status": (400, "5xx")}, Signal(503, ""), True),
        ({"status": ("4xx",)}, Signal(503, ""), False),
        ({"code": "BAD"}, Signal(200, "", code="BAD"), True),
        ({"code": "BAD"}, Signal(200, "", code="BADLY"), False),
        ({"code": "BAD"}, Signal(200, "BAD"), False),
        ({"exception": "Error"}, Signal(200, "", exception="Error"), True),
        ({"exception": "Error"}, Signal(200, "", exception="UserError"), False),
        ({"message": "exist"}, Signal(200, "does exist"), True),
        ({"message": "^exist"}, Signal(200, "does exist"), False),
        ({"message": "(?i)EXIST"}, Signal(200, "does exist"), True),
        ({"body": {"type": "object", "required": ["a"]}}, Signal(400, "", body={"a": 1}), True),
        ({"body": {"type": "object", "required": ["a"]}}, Signal(400, "", body={"b": 1}), False),
        ({"body": {"type": "object"}}, Signal(400, "", body="text"), False),
        ({"status": (400,), "code": "BAD"}, Signal(400, "", code="BAD"), True),
        ({"status": (400,), "code": "BAD"}, Signal(401, "", code="BAD"), False),
        ({"status": (400,), "code": "BAD"}, Signal(400, "", code="OK"), False),
    ],
)
def test_conditions(when: dict[str, Any], signal: Signal, holds: bool) -> None:
    """All that a condition names must hold."""
    reader = ErrorReader((), [_rule("conflict", **when)])
    verdict = reader.read(signal, whole_request=False)
    assert isinstance(verdict, Failure)
    assert (verdict.error_class == "conflict") is holds


def test_the_first_rule_wins() -> None:
    """Answers come before rules, and rules in their order."""
    answers = [AnswerRule("gone", ErrorCondition(status=(410,)))]
    rules = [
        _rule("conflict", retryable=True, code="A"),
        _rule("invalid", proof=True, status=("4xx",)),
    ]
    reader = ErrorReader(answers, rules)
    assert reader.read(Signal(410, "", code="A"), whole_request=True) == Answer("gone")
    first = reader.read(Signal(400, "x", code="A"), whole_request=True, retry_after=3.0)
    assert first == Failure(
        "HTTP 400: x",
        "conflict",
        400,
        retryable=True,
        nothing_applied=False,
        whole_request=True,
        retry_after=3.0,
    )
    second = reader.read(Signal(429, "x", code="B"), whole_request=False)
    assert second == Failure(
        "HTTP 429: x",
        "invalid",
        429,
        retryable=False,
        nothing_applied=True,
        whole_request=False,
    )


@pytest.mark.parametrize(
    ("status", "error_class", "retryable", "nothing_applied"),
    [
        (200, "internal", False, False),
        (301, "invalid", False, False),
        (302, "invalid", False, False),
        (303, "invalid", False, False),
        (307, "invalid", False, True),
        (308, "invalid", False, True),
        (400, "invalid", False, False),
        (401, "authentication", False, True),
        (403, "permission", False, True),
        (404, "not_found", False, False),
        (408, "timeout", True, False),
        (409, "invalid", False, False),
        (410, "invalid", False, False),
        (413, "invalid", False, True),
        (422, "invalid", False, False),
        (423, "conflict", True, False),
        (429, "rate_limit", True, True),
        (500, "unavailable", True, False),
        (501, "invalid", False, False),
        (502, "unavailable", True, False),
        (503, "unavailable", True, False),
        (504, "unavailable", True, False),
        (599, "unavailable", True, False),
    ],
)
def test_defaults_by_status(
    status: int, error_class: str, retryable: bool, nothing_applied: bool
) -> None:
    """Without a rule: retried as Segment does, and certain of nothing but what a refusal proves."""
    verdict = ErrorReader((), ()).read(Signal(status, "x"), whole_request=True)
    assert isinstance(verdict, Failure)
    assert (verdict.error_class, verdict.retryable) == (error_class, retryable)
    assert verdict.nothing_applied is nothing_applied


@pytest.mark.parametrize(
    ("signal", "fixed", "rule", "concerns", "proof"),
    [
        (Signal(404, "x"), True, None, "request", True),
        (Signal(405, "x"), True, None, "request", True),
        (Signal(410, "x"), True, None, "request", True),
        (Signal(415, "x"), True, None, "request", True),
        (Signal(302, "x"), True, None, "request", False),
        (Signal(308, "x"), True, None, "request", True),
        # Of an address that an event chose, it is that event's.
        (Signal(404, "x"), False, None, "event", False),
        (Signal(308, "x"), False, None, "event", True),
        (Signal(404, "x"), False, "request", "request", True),
        (Signal(404, "x"), True, "event", "event", True),
        (Signal(400, "x"), True, None, "event", False),
        (Signal(413, "x"), True, None, "event", True),
        (Signal(422, "x"), True, None, "event", False),
        (Signal(400, "x"), True, "request", "request", True),
        (Signal(200, "x", code="GRAPHQL_VALIDATION_FAILED"), True, None, "request", False),
        (Signal(400, "x", code="GRAPHQL_PARSE_FAILED"), False, None, "request", False),
        (Signal(200, "x", code="BAD_USER_INPUT"), True, None, "event", False),
        (Signal(401, "x"), True, None, "key", True),
        (Signal(403, "x"), False, None, "key", True),
        (Signal(503, "x"), True, None, "event", False),
    ],
)
def test_what_a_refusal_concerns(
    signal: Signal, *, fixed: bool, rule: Any, concerns: str, proof: bool
) -> None:
    """What is said of the address, the document or the key is no verdict on an event."""
    when = ErrorCondition(status=(signal.status,))
    made = ErrorRule(when, "invalid", retryable=False, nothing_applied=True, concerns=rule)
    rules = [] if rule is None else [made]
    verdict = ErrorReader((), rules, fixed_address=fixed).read(signal, whole_request=True)
    assert isinstance(verdict, Failure)
    assert (verdict.concerns, verdict.nothing_applied) == (concerns, proof)
    single = ErrorReader((), rules, fixed_address=fixed).read(signal, whole_request=False)
    assert isinstance(single, Failure)
    assert single.concerns == ("key" if signal.status == 401 else "event")


@pytest.mark.parametrize(
    ("failure", "name", "code", "status"),
    [
        (
            ("authentication", 200, False),
            "InvalidAuthenticationError",
            "INVALID_AUTHENTICATION",
            401,
        ),
        (("timeout", 0, True), "SelfTimeoutError", "SELF_TIMEOUT", 408),
        (("unavailable", 200, True), "RetryableError", "RETRYABLE_ERROR", 503),
        (("unavailable", 0, True), "RetryableError", "RETRYABLE_ERROR", 503),
        (("unavailable", 502, True), "APIError", "BAD_GATEWAY", 502),
        (("rate_limit", 429, True), "APIError", "TOO_MANY_REQUESTS", 429),
        (("not_found", 200, False), "APIError", "NOT_FOUND", 404),
        (("not_found", 200, True), "RetryableError", "RETRYABLE_ERROR", 404),
        (("not_found", 404, True), "APIError", "NOT_FOUND", 404),
        (("invalid", 422, False), "APIError", "UNPROCESSABLE_ENTITY", 422),
        (("conflict", 200, False), "APIError", "CONFLICT", 409),
        (("permission", 200, False), "APIError", "FORBIDDEN", 403),
        (("internal", 200, False), "APIError", "INTERNAL_SERVER_ERROR", 500),
        (("unavailable", 599, True), "APIError", "UNKNOWN_ERROR", 599),
    ],
)
def test_failures_as_errors(failure: tuple[Any, ...], name: str, code: str, status: int) -> None:
    """A failure has the error class, the code and the status of Segment's framework."""
    error_class, given, retryable = failure
    error = Failure("why", error_class, given, retryable, nothing_applied=False).error()
    assert (type(error).__name__, error.code, error.status) == (name, code, status)
    assert str(error) == "why"


@pytest.mark.parametrize("status", [307, 308, 413])
def test_one_item_that_was_turned_away_proves_nothing(status: int) -> None:
    """Only a request that is turned away as a whole has certainly changed nothing."""
    reader = ErrorReader((), ())
    proofs = []
    for whole_request in (True, False):
        verdict = reader.read(Signal(status, "no"), whole_request=whole_request)
        proofs.append(isinstance(verdict, Failure) and verdict.nothing_applied)
    assert proofs == [True, False]
