"""Issue access tokens as a partner's token endpoint does (RFC 6749), for a sandbox."""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from destinations.definition import OAuth2Definition
from destinations.definition.settings import Settings
from destinations.http import HttpResponse
from destinations.sandbox.form_check import AddressCheck
from destinations.sandbox.possible_values import PossibleValues
from destinations.sandbox.wire import WireError, WireRequest, json_response, read_json
from destinations.secrets import reveal

__all__ = ["TOKEN_REQUEST", "TokenIssuer"]

TOKEN_REQUEST: Final = "accessToken"  # noqa: S105 - the name of a request
"""How fault rules and the log call a request for a token."""

_GRANTS: Final = {"clientCredentials": "client_credentials", "refreshToken": "refresh_token"}


class TokenIssuer:
    """The token endpoint of a sandbox, for a client with these settings; safe for threads.

    Tokens live ``seconds``, and answers say so unless that is None. With ``rotates`` each renewal
    replaces the refresh token, and a former one is refused from then on.
    """

    def __init__(
        self,
        oauth2: OAuth2Definition,
        settings: Settings,
        *,
        seconds: float | None = 3600.0,
        rotates: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._oauth2 = oauth2
        self._settings = settings
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self.grants = {self._setting(oauth2.refresh_token)} if oauth2.refresh_token else set[str]()
        """The refresh tokens that it takes now; another one is another account."""
        self.seconds = seconds
        self.rotates = rotates
        self.issued = 0
        """How many tokens it has issued."""
        self._address = AddressCheck(PossibleValues(settings), oauth2.token_url)

    @property
    def routes(self) -> Mapping[str, Callable[[object, bytes], HttpResponse]]:
        """The answers to those who want to see or change its tokens, by method."""
        return {"GET": self._show, "POST": self._change, "DELETE": self._revoke}

    def _show(self, _account: object, _body: bytes) -> HttpResponse:
        with self._lock:
            now = self._monotonic()
            good = sum(until > now for until in self._until.values())
        shown = {"seconds": self.seconds, "rotates": self.rotates}
        return json_response({**shown, "issued": self.issued, "good": good})

    def _change(self, account: object, body: bytes) -> HttpResponse:
        """Change how tokens are made from now on."""
        given = _members(body, {"seconds": "a number above 0, or null", "rotates": "true or false"})
        seconds, rotates = given.get("seconds", self.seconds), given.get("rotates", self.rotates)
        if seconds is not None and (
            isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0
        ):
            raise WireError(400, f"Invalid seconds {seconds!r}: expected a number above 0, or null")
        if not isinstance(rotates, bool):
            raise WireError(400, f"Invalid rotates {rotates!r}: expected true or false")
        if rotates and self._oauth2.refresh_token is None:
            raise WireError(400, "Invalid rotates: the definition has no refresh token")
        self.seconds, self.rotates = seconds, rotates
        return self._show(account, b"")

    def _revoke(self, account: object, body: bytes) -> HttpResponse:
        """End all access tokens, and the refresh token as well if the body says so."""
        given = _members(body or b"{}", {"refreshToken": "true or false"})
        refresh = given.get("refreshToken", False)
        if not isinstance(refresh, bool):
            raise WireError(400, f"Invalid refreshToken {refresh!r}: expected true or false")
        self.revoke(refresh_token=refresh)
        return self._show(account, b"")

    def is_at(self, origin: str | None, path: str) -> bool:
        """Return whether a request to this path is for a token."""
        return self._address.fits(origin, path)

    def accepts(self, token: str) -> bool:
        """Return whether a token is good now."""
        with self._lock:
            return self._until.get(token, 0.0) > self._monotonic()

    def revoke(self, *, refresh_token: bool = False) -> None:
        """Let no token be good any more, and with ``refresh_token`` none be renewed either."""
        with self._lock:
            self._until.clear()
            if refresh_token:
                self.grants.clear()

    def answer(self, request: WireRequest) -> HttpResponse:
        """Give a token, or refuse it."""
        if request.method != "POST":
            return json_response({"error": "invalid_request"}, 405, {"allow": "POST"})
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        if (why := self._client_issue(request, form)) is not None:
            return _refused("invalid_client", why, 401)
        grant = _GRANTS[self._oauth2.grant]
        if form.get("grant_type") != grant:
            return _refused("unsupported_grant_type", f"expected grant_type={grant}")
        missing = [scope for scope in self._oauth2.scopes if scope not in _scopes(form)]
        if missing:
            return _refused("invalid_scope", f"expected scope with {' '.join(missing)}")
        with self._lock:
            if self._oauth2.refresh_token is not None:
                refresh = form.get("refresh_token", "")
                if refresh not in self.grants:
                    why = "the refresh token is unknown, was replaced or was revoked"
                    return _refused("invalid_grant", why)
                if self.rotates:
                    self.grants.remove(refresh)
                    refresh = f"sandbox-refresh-{secrets.token_urlsafe(24)}"
                    self.grants.add(refresh)
            token = f"sandbox-access-{secrets.token_urlsafe(24)}"
            life = 3600.0 if self.seconds is None else self.seconds
            self._until[token] = self._monotonic() + life
            self.issued += 1
            made: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
            if self.seconds is not None:
                made["expires_in"] = int(self.seconds)
            if self._oauth2.refresh_token is not None and self.rotates:
                made["refresh_token"] = refresh
        return json_response(made, headers={"cache-control": "no-store"})

    def _client_issue(self, request: WireRequest, form: Mapping[str, str]) -> str | None:
        """Return what is wrong with the credentials of the client; None if nothing is."""
        secret = self._setting(self._oauth2.client_secret)
        if secret and self._oauth2.client_authentication == "basic":
            kind, _, encoded = request.headers.get("authorization", "").partition(" ")
            try:
                user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = password = ""
            if kind.lower() != "basic" or not user or password != secret:
                return "expected id and secret of the client as HTTP Basic"
            return None
        if not form.get("client_id") or form.get("client_secret", "") != secret:
            return "expected client_id and client_secret as fields of the form"
        return None

    def _setting(self, name: str | None) -> str:
        value = "" if name is None else self._settings.get(name, "")
        return reveal(value) if isinstance(value, str) else str(value)


def _members(body: bytes, known: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the members of a body; raises `WireError` for one that is not known."""
    given = read_json(body)
    expected = ", ".join(f"{name} ({what})" for name, what in known.items())
    if not isinstance(given, dict):
        raise WireError(400, f"Invalid body: expected a mapping with {expected}")
    for name in given:
        if name not in known:
            raise WireError(400, f"Unknown key {name!r}: expected {expected}")
    return given


def _scopes(form: Mapping[str, str]) -> list[str]:
    return form.get("scope", "").split()


def _refused(code: str, why: str, status: int = 400) -> HttpResponse:
    text = f"refused by the sandbox: {why}"
    return json_response({"error": code, "error_description": text}, status)
