"""Errors tell what went wrong, where, and by which code."""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from typing import Any

import pytest

import destinations
import kana_destination
from destinations import errors
from destinations.errors import (
    APIError,
    DefinitionError,
    DestinationsError,
    HeldError,
    IntegrationError,
    InvalidAuthenticationError,
    Issue,
    MappingError,
    PayloadValidationError,
    ResolveError,
    RetryableError,
    SelfTimeoutError,
    SettingsError,
    TemporaryError,
    UsageError,
    error_code,
)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BAD_REQUEST"),
        (404, "NOT_FOUND"),
        (429, "TOO_MANY_REQUESTS"),
        (500, "INTERNAL_SERVER_ERROR"),
        (503, "SERVICE_UNAVAILABLE"),
        (599, "UNKNOWN_ERROR"),
        (0, "UNKNOWN_ERROR"),
    ],
)
def test_codes_of_statuses(status: int, code: str) -> None:
    """A status has the name that HTTP gives it, in Segment's capitals."""
    assert error_code(status) == code
    assert APIError("no", status).code == code


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (PayloadValidationError("no"), "PAYLOAD_VALIDATION_FAILED", 400),
        (InvalidAuthenticationError("no"), "INVALID_AUTHENTICATION", 401),
        (APIError("no", 409), "CONFLICT", 409),
        (RetryableError("no"), "RETRYABLE_ERROR", 500),
        (RetryableError("no", 503), "RETRYABLE_ERROR", 503),
        (SelfTimeoutError("no"), "SELF_TIMEOUT", 408),
        (HeldError("no"), "CONFLICT", 409),
        (IntegrationError("no", "CODE", 418), "CODE", 418),
    ],
)
def test_failures_of_a_delivery(error: IntegrationError, code: str, status: int) -> None:
    """Each class has its code and status, and all are caught as one."""
    assert isinstance(error, IntegrationError)
    assert (error.message, error.code, error.status) == ("no", code, status)
    assert str(error) == "no"


@pytest.mark.parametrize(
    ("issue", "text"),
    [
        (Issue("is wrong"), "is wrong"),
        (Issue("is wrong", "/a/0"), "/a/0: is wrong"),
        (Issue("is wrong", "/a", "x.yaml"), "x.yaml: /a: is wrong"),
        (Issue("is wrong", "/a", "x.yaml", 7), "x.yaml:7: /a: is wrong"),
        (Issue("is wrong", "", "x.yaml", 1), "x.yaml:1: is wrong"),
    ],
)
def test_an_issue_names_its_place(issue: Issue, text: str) -> None:
    """File, line and path stand before the message, as far as they are known."""
    assert str(issue) == text


@pytest.mark.parametrize("kind", [DefinitionError, MappingError, SettingsError])
def test_all_issues_are_told(kind: Any) -> None:
    """An error of a document holds each issue, and shows one a line."""
    error = kind(iter([Issue("one", "/a"), Issue("two", "/b")]))
    assert [issue.message for issue in error.issues] == ["one", "two"]
    assert str(error) == "/a: one\n/b: two"
    assert isinstance(error, DefinitionError)


@pytest.mark.parametrize(("path", "text"), [("/a/b", "/a/b: no"), ("", "/: no")])
def test_a_failed_directive_names_its_place(path: str, text: str) -> None:
    """The place of a directive stands before the message, a slash for the whole mapping."""
    error = ResolveError(path, "no")
    assert (str(error), error.path, error.message) == (text, path, "no")


def test_what_may_pass_by_itself_is_the_callers_to_try_again() -> None:
    """Whoever catches wrong calls catches it as well; it is told apart by its class alone."""
    error = TemporaryError("the store is in use")
    assert isinstance(error, UsageError)
    assert not isinstance(UsageError("no"), TemporaryError)
    assert str(error) == "the store is in use"


_TREE, _, _SIGNALS = (errors.__doc__ or "").partition("Signals are not part of the tree")
_BRANCH = re.compile(r"^ {4}([│├└─ ]*)(\w+Error)\b", re.MULTILINE)


def _drawn() -> dict[str, str | None]:
    """Return each class of the picture, and the one that it hangs from."""
    above: dict[int, str] = {}
    drawn: dict[str, str | None] = {}
    for line in _BRANCH.finditer(_TREE):
        depth = len(line[1]) // 4
        above[depth] = line[2]
        drawn[line[2]] = above.get(depth - 1)
    return drawn


@cache
def _classes() -> list[type[BaseException]]:
    """Every exception class of both packages that is an error by its name."""
    for package in (destinations, kana_destination):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, left = set[type[BaseException]](), [BaseException]
    while left:
        below = left.pop().__subclasses__()
        left += below
        found |= {one for one in below if one.__module__.partition(".")[0] in _PACKAGES}
    return sorted((one for one in found if one.__name__.endswith("Error")), key=str)


_PACKAGES = {"destinations", "kana_destination"}


def test_the_picture_is_the_whole_tree() -> None:
    """Every class below the root is drawn once, below its first base; whoever adds one draws it."""
    tree = [one for one in _classes() if issubclass(one, DestinationsError)]
    public = {one.__name__: one.__bases__[0].__name__ for one in tree if one.__name__[0] != "_"}
    assert {**public, "DestinationsError": None} == _drawn()


def test_what_is_outside_of_the_tree_is_a_signal_with_a_reason() -> None:
    """An exception that is no `DestinationsError` is listed with where it ends, and none else."""
    reasons = dict(re.findall(r"^ {4}(\w+Error) +(\S.+)$", _SIGNALS, re.MULTILINE))
    outside = {
        one.__name__
        for one in _classes()
        if not issubclass(one, DestinationsError) or one.__name__[0] == "_"
    }
    assert outside == reasons.keys()


def test_no_error_is_named_twice() -> None:
    """A name means one class, in the package and its plugins."""
    names = [one.__name__ for one in _classes()]
    assert sorted(names) == sorted(set(names))
