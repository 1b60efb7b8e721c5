from __future__ import annotations

import pytest

from destinations.http import HttpResponse
from destinations.oauth2 import Cure, TokenAnswer, TokenError, read_answer

PLACE = "https://p.example/token"
CURES = {"": Cure("look at the settings"), "invalid_grant": Cure("authorize again", "refreshToken")}


def _read(status: int, body: bytes, **headers: str) -> TokenAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = HttpResponse(status, named, body)
    return read_answer(response, PLACE, lambda text: text.replace("hush-hush", "***"), CURES)


@pytest.mark.parametrize(
    ("given", "lifetime"),
    [
        ("3600", 3600.0),
        ('"3600"', 3600.0),
        ('" 3599.5 "', 3599.5),
        ("59.9", 59.9),
        ("1", 1.0),
        ("1e-9", 1e-9),
        ("31536000000", 31536000000.0),
        ("0", None),
        ("-0.0", None),
        ("-1", None),
        ('"-3600"', None),
        ('"3600s"', None),
        ('""', None),
        ("{}", None),
        ("9" * 400, None),
        ('"' + "9" * 400 + '"', None),
        ('"never"', None),
        ("null", None),
        ("true", None),
        ("[1]", None),
        ("1e999999", None),
        ('"inf"', None),
        ('"nan"', None),
    ],
)
def test_how_long_a_token_lives(given: str, lifetime: float | None) -> None:
    """Seconds also count as text; what says nothing of use is like none."""
    found = _read(200, f'{{"access_token": "t", "expires_in": {given}}}'.encode())
    assert found == TokenAnswer("t", lifetime, None)


@pytest.mark.parametrize(
    ("body", "token"),
    [
        ('{"access_token": " t\\n"}', "t"),
        ('{"access_token": "t", "token_type": "BEARER"}', "t"),
        ('{"access_token": "t", "token_type": ""}', "t"),
        ('{"access_token": "t", "token_type": null}', "t"),
        ('{"access_token": "t", "token_type": ["mac"]}', "t"),
        # The last of several, as most readers of JSON have it.
        ('{"access_token": "s", "access_token": "t"}', "t"),
        ('{"access_token": "t", "error": ""}', "t"),
        ('{"access_token": "t", "error": null}', "t"),
        ('{"access_token": "t", "error": "invalid_grant"}', "t"),
        ('\ufeff{"access_token": "t"}', "t"),
    ],
)
def test_what_counts_as_a_token(body: str, token: str) -> None:
    """Beside what says nothing, and what contradicts it, a token is a token."""
    assert _read(200, body.encode()) == TokenAnswer(token, None, None)


@pytest.mark.parametrize("given", ['{"expires_in": 5, "expires_in": 7, ', '{"expires_in": "7", '])
def test_a_lifetime_that_is_given_twice(given: str) -> None:
    """The last of several counts."""
    assert _read(200, f'{given}"access_token": "t"}}'.encode()) == TokenAnswer("t", 7.0, None)


def test_a_token_with_a_refresh_token() -> None:
    """A new refresh token is read; an empty one is none."""
    body = b'{"access_token": "t", "token_type": "bearer", "refresh_token": "r"}'
    assert _read(200, body) == TokenAnswer("t", None, "r")
    assert _read(200, body.replace(b'"r"', b'""')).refresh_token is None


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            400,
            b'{"error": "invalid_grant", "error_description": "revoked hush-hush"}',
            f"no access token from {PLACE}: invalid_grant: revoked ***; authorize again",
        ),
        (200, b'{"error": "invalid_grant"}', f"no access token from {PLACE}: invalid_grant; auth"),
        (
            200,
            b'{"error": "invalid_grant", "access_token": ""}',
            f"no access token from {PLACE}: invalid_grant; auth",
        ),
        (
            401,
            b'{"error": "invalid_client"}',
            f"no access token from {PLACE}: invalid_client; look",
        ),
        (400, b'{"error": "invalid_scope"}', f"no access token from {PLACE}: invalid_scope; look"),
        (
            400,
            b'{"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}',
            f"no access token from {PLACE}: HTTP 400: missing or invalid refresh token; authorize",
        ),
        (403, b'{"message": "blocked"}', f"no access token from {PLACE}: HTTP 403: blocked; look"),
    ],
)
def test_a_refusal(status: int, body: bytes, message: str) -> None:
    """What refuses the credentials pauses, says what to do, and ends no event."""
    with pytest.raises(TokenError) as found:
        _read(status, body)
    failure = found.value.failure
    assert failure.message.startswith(message)
    assert found.value.is_refused
    assert (failure.error_class, failure.concerns, failure.nothing_applied) == (
        "authentication",
        "key",
        True,
    )


@pytest.mark.parametrize(
    ("status", "body", "headers", "says"),
    [
        (200, b"<html>Sign in</html>", {}, "HTTP 200 with HTML: expected JSON with access_token"),
        (200, b"", {}, "HTTP 200 with nothing: expected JSON"),
        (200, b"ok", {}, "HTTP 200 with no JSON"),
        (200, b'{"token": "t"}', {}, "HTTP 200 with JSON without access_token"),
        (200, b'["t"]', {}, "HTTP 200 with JSON that is not an object"),
        (200, b'{"access_token": null}', {}, "HTTP 200 with JSON without access_token"),
        (200, b'{"access_token": 7}', {}, "an access_token that is not text: expected JSON with"),
        (200, b'{"access_token": {"value": "t"}}', {}, "an access_token that is not text"),
        (200, b'{"access_token": ""}', {}, "its access_token is empty"),
        (200, b'{"access_token": " "}', {}, "its access_token is empty"),
        (200, b'{"access_token": "t", "expires_in": NaN}', {}, "HTTP 200 with no JSON"),
        (200, b'{"error": {"message": "no"}}', {}, "HTTP 200 with JSON without access_token"),
        (200, b'{"access_token": "t\xc3\xa9"}', {}, "its access_token cannot be sent in a header"),
        (200, b'{"access_token": "a\\r\\nb"}', {}, "its access_token cannot be sent"),
        (200, b'{"access_token": "t", "token_type": "mac"}', {}, "of the type 'mac': expected Bea"),
        (302, b"", {"location": "https://x.example/login?s=1"}, "redirected to https://x.example/"),
        (404, b"<h1>no</h1>", {"content_type": "text/html"}, "HTTP 404 with HTML"),
        (403, b"<h1>no</h1>", {"content_type": "text/html"}, "HTTP 403 with HTML"),
        (500, b"oops", {}, "HTTP 500: oops"),
        (503, b'{"error": "invalid_grant"}', {"retry_after": "7"}, "HTTP 503: invalid_grant"),
        (429, b"", {"retry_after": "30"}, "HTTP 429"),
        (400, b'{"error": "temporarily_unavailable"}', {}, "temporarily_unavailable"),
    ],
)
def test_what_says_nothing_about_the_credentials(
    status: int, body: bytes, headers: dict[str, str], says: str
) -> None:
    """It is told in a sentence, asked again, and ends no event."""
    with pytest.raises(TokenError) as found:
        _read(status, body, **headers)
    failure = found.value.failure
    assert says in failure.message
    assert not found.value.is_refused
    assert failure.retryable
    assert failure.for_operator
    assert failure.nothing_applied
    wait = headers.get("retry_after")
    assert failure.retry_after == (None if wait is None else float(wait))
    # A success without a token of use may have replaced the refresh token.
    assert found.value.is_lost is (status >= 500 or status == 200)
