"""Answers for faults: problem documents (RFC 9457) for programs, pages for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from destinations.console.cursors import CursorError
from destinations.console.pages import error_page
from destinations.console.verbs import StaleDecisionError, UnknownError
from destinations.errors import DefinitionError, TemporaryError, UsageError
from destinations.statuses import PHRASES

__all__ = ["API", "PROBLEM_TYPE", "InputError", "answer_fault", "is_of_api", "of_error", "problem"]

API: Final = "/api/v1"
PROBLEM_TYPE: Final = "application/problem+json"
_AWAY_SECONDS: Final = 5


class InputError(UsageError):
    """A request does not have what it must have; ``issues`` say where, by a place in it.

    ``status`` is 400 for what does not fit a schema, and 422 for what cannot be meant.
    """

    def __init__(self, issues: Sequence[tuple[str, str]], status: int = 400) -> None:
        self.issues = issues
        self.status = status
        super().__init__("; ".join(f"{place}: {message}" for place, message in issues))


def is_of_api(request: Request) -> bool:
    """Return whether a program asks: it gets problem documents."""
    path = request.url.path
    return path == "/api" or path.startswith("/api/")


def problem(
    status: int,
    detail: str,
    *,
    issues: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document: ``detail`` is a sentence, and each of ``issues`` has its place."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": PHRASES[status],
        "status": status,
        "detail": detail,
    }
    if issues:
        content["issues"] = [{"place": place, "detail": message} for place, message in issues]
    return JSONResponse(content, status, dict(headers or {}), media_type=PROBLEM_TYPE)


def answer_fault(
    request: Request,
    status: int,
    detail: str,
    *,
    issues: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a fault as who asks reads it."""
    if is_of_api(request):
        return problem(status, detail, issues=issues, headers=headers)
    response = error_page(request, status, PHRASES[status], detail)
    response.headers.update(headers or {})
    return response


def of_error(error: Exception) -> tuple[int, str, Sequence[tuple[str, str]], Mapping[str, str]]:
    """Return the status, sentence, issues and headers for an error of a verb."""
    if isinstance(error, InputError):
        return error.status, str(error), error.issues, {}
    if isinstance(error, CursorError):
        return 422, str(error), (("query: cursor", str(error)),), {}
    if isinstance(error, UnknownError):
        return 404, str(error), (), {}
    if isinstance(error, StaleDecisionError):
        return 409, str(error), (), {}
    if isinstance(error, TemporaryError):
        return 503, str(error), (), {"Retry-After": str(_AWAY_SECONDS)}
    if isinstance(error, DefinitionError):
        issues = [(one.path or "/", str(one)) for one in error.issues]
        return 422, str(error), issues, {}
    return 422, str(error), (), {}
