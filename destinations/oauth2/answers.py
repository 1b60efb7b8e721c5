"""Read the answers of a token endpoint, also those that no OAuth2 server should give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from destinations.definition import ErrorClass
from destinations.errors import TransportError
from destinations.http.answer import Failure, HttpResponse
from destinations.http.envelope import error_text, one_line, parse_body, retry_after
from destinations.http.error_rules import meaning_of_status
from destinations.secrets import MASK, NO_TOKEN

__all__ = ["RULE", "Cure", "TokenAnswer", "TokenError", "lost_answer", "read_answer", "refused"]

RULE: Final = "authentication.oauth2"
"""The rule of a failure to get a token begins with it, as `Failure.rule` has it.

What is refused follows: ``.refreshToken`` or ``.clientSecret``; nothing if that is not known.
"""

_UNAUTHORIZED: Final = 401
_MAY_PASS: Final = frozenset({"server_error", "slow_down", "temporarily_unavailable"})
"""Codes of errors that say nothing about the credentials (RFC 6749, 4.1.2.1; RFC 8628, 3.5)."""

_OF_TOKENS: Final = frozenset({400, 401, 403})
"""Statuses by which a token endpoint refuses credentials, as long as it says so in JSON."""

_INVALID_GRANT: Final = "invalid_grant"
_MOST_SHOWN: Final = 200


class Cure(NamedTuple):
    """The cure of a refusal, and the ``key`` of the credential that is to blame, if known."""

    words: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A new token; ``lifetime`` is in seconds, None where the answer names none.

    ``issue`` says what is wrong with the refresh token beside it, if anything.
    """

    access_token: str = field(repr=False)
    lifetime: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    issue: str = ""


class TokenError(Exception):
    """No token could be got; ``failure`` says why, and what follows.

    ``is_lost`` says that the request may have arrived, and no answer says what came of it.
    ``refresh_token`` came with an answer that has no access token of use: the partner may take no
    other one from now on. ``issue`` says what is wrong with such an answer.
    """

    def __init__(
        self,
        failure: Failure,
        *,
        is_lost: bool = False,
        refresh_token: str | None = None,
        issue: str = "",
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.is_lost = is_lost
        self.refresh_token = refresh_token
        self.issue = issue

    @property
    def is_refused(self) -> bool:
        """Whether the credentials are refused, so that asking again is no use."""
        return self.failure.error_class == "authentication"


def read_answer(
    response: HttpResponse,
    place: str,
    mask: Callable[[str], str],
    cures: Mapping[str, Cure],
) -> TokenAnswer:
    """Return the token in an answer; raises `TokenError` for any other.

    ``place`` is the URL to show. ``mask`` masks secrets in what the server says. ``cures`` say what
    to do about a refusal, by the error's code; that of an empty text is for all others.
    """
    try:
        body = parse_body(response)
    except ValueError:
        body = None
    if not 200 <= response.status < 300:
        return _read(response, body, place, mask, cures)
    # Whatever else is wrong with a success: its refresh token may be the only one that is taken.
    refresh, issue = _refresh_token(body)

    def mask_all(text: str) -> str:
        return mask(text if refresh is None else text.replace(refresh, MASK))

    try:
        answer = _read(response, body, place, mask_all, cures)
    except TokenError as error:
        said = error.failure.message.removeprefix(f"{NO_TOKEN} {place}: ").partition(";")[0]
        raise TokenError(
            error.failure,
            is_lost=error.is_lost,
            refresh_token=refresh,
            issue=" and ".join(filter(None, (said, issue))),
        ) from None
    return replace(answer, refresh_token=refresh, issue=issue)


def _read(
    response: HttpResponse,
    body: object,
    place: str,
    mask: Callable[[str], str],
    cures: Mapping[str, Cure],
) -> TokenAnswer:
    """Return the access token in an answer; see `read_answer`."""
    data: Mapping[str, Any] = body if isinstance(body, dict) else {}
    status = response.status
    is_success = 200 <= status < 300
    given, code = data.get("access_token"), data.get("error")
    is_error = isinstance(code, str) and bool(code)
    # A token beside an error is one: with it a refresh token may have come that is taken once.
    if is_success and isinstance(given, str) and (given.strip() or not is_error):
        return _token(data, given.strip(), place, mask)
    if status >= 500 or status in {408, 429}:
        said = _shown(response, body, mask)
        meaning = meaning_of_status(status)
        raise _may_pass(
            place,
            f"HTTP {status}{said}",
            meaning.error_class,
            status=status,
            wait=retry_after(response),
            is_lost=status >= 500,
        )
    if isinstance(code, str) and code:
        described = data.get("error_description")
        text = f": {described}" if isinstance(described, str) and described.strip() else ""
        said = mask(one_line(code + text))[:_MOST_SHOWN]
        if code in _MAY_PASS:
            raise _may_pass(place, said, "unavailable", status=status, wait=retry_after(response))
        raise refused(place, said, cures.get(code, cures[""]))
    if status in _OF_TOKENS and data:
        said = f"HTTP {status}{_shown(response, body, mask)}"
        raise refused(place, said, cures.get(_INVALID_GRANT if status == 400 else "", cures[""]))
    said = _unreadable(response, body, mask)
    raise _may_pass(place, said, "unavailable", status=status, is_lost=is_success)


def lost_answer(place: str, error: TransportError) -> TokenError:
    """Return the error for a request without an answer."""
    error_class: ErrorClass = "timeout" if error.timeout else "unavailable"
    return _may_pass(place, error.message, error_class, status=0, is_lost=error.sent)


def refused(place: str, said: str, cure: Cure) -> TokenError:
    """Return the error for credentials that are refused; ``cure`` says what to do."""
    message = f"{NO_TOKEN} {place}: {said}; {cure.words}"
    return TokenError(
        Failure(
            message,
            "authentication",
            _UNAUTHORIZED,
            retryable=False,
            nothing_applied=True,
            concerns="key",
            attempted=False,
            rule=f"{RULE}.{cure.key}" if cure.key else RULE,
        )
    )


def _may_pass(
    place: str,
    said: str,
    error_class: ErrorClass,
    *,
    status: int,
    wait: float | None = None,
    is_lost: bool = False,
) -> TokenError:
    """Return the error for an answer that says nothing about the credentials: it is asked again.

    No event ends by it, as none is to blame.
    """
    return TokenError(
        Failure(
            f"{NO_TOKEN} {place}: {said}",
            error_class,
            status,
            retryable=True,
            nothing_applied=True,
            retry_after=wait,
            for_operator=True,
            attempted=False,
            rule=RULE,
        ),
        is_lost=is_lost,
    )


def _token(
    data: Mapping[str, Any], token: str, place: str, mask: Callable[[str], str]
) -> TokenAnswer:
    """Return the access token of an answer; raises `TokenError` for one that cannot be used."""
    said = ""
    kind = data.get("token_type")
    if not token:
        said = "its access_token is empty"
    elif not token.isascii() or not token.isprintable():
        said = "its access_token cannot be sent in a header"
    elif isinstance(kind, str) and kind.strip() and kind.strip().lower() != "bearer":
        said = f"it gives tokens of the type {mask(one_line(kind))[:40]!r}: expected Bearer"
    if said:
        raise _may_pass(place, said, "invalid", status=200, is_lost=True)
    return TokenAnswer(token, _lifetime(data.get("expires_in")))


def _refresh_token(body: object) -> tuple[str | None, str]:
    """Return the refresh token of an answer, or what is wrong with it; neither without one."""
    given = body.get("refresh_token") if isinstance(body, dict) else None
    if given is None or (isinstance(given, str) and not given.strip()):
        return None, ""
    if not isinstance(given, str):
        return None, "its refresh_token is not text"
    return given, ""


def _lifetime(given: object) -> float | None:
    """Return ``expires_in`` in seconds, which some servers write as text; None if it says none.

    Servers whose tokens do not expire say 0 or a negative number.
    """
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    try:
        seconds = float(given)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _shown(response: HttpResponse, body: object, mask: Callable[[str], str]) -> str:
    text = mask(error_text(response, body))[:_MOST_SHOWN]
    return f": {text}" if text else ""


def _unreadable(response: HttpResponse, body: object, mask: Callable[[str], str]) -> str:
    """Return what is wrong with an answer that is none of OAuth2, and what to look at."""
    status = response.status
    if 300 <= status < 400:
        return f"HTTP {status}{_shown(response, body, mask)}; check tokenUrl"
    if isinstance(body, dict):
        is_other = body.get("access_token") is not None
        what = "an access_token that is not text" if is_other else "JSON without access_token"
    elif body is not None:
        what = "JSON that is not an object"
    else:
        start = response.body.lstrip()[:15].lower()
        kind = response.headers.get("content-type", "")
        is_html = start.startswith((b"<!doctype html", b"<html")) or "html" in kind
        what = "HTML" if is_html else "no JSON" if start else "nothing"
    return f"HTTP {status} with {what}: expected JSON with access_token; check tokenUrl"
