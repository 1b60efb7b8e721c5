"""Decide who may use a route: by a session or a key, with the role that the route needs."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from destinations.clock import Clock
from destinations.console.keys import ApiKeys
from destinations.console.login_link import LoginLink
from destinations.console.operators import Operator
from destinations.console.problems import answer_fault, is_of_api, problem
from destinations.console.routing import Needs
from destinations.console.sessions import Session, Sessions, is_same
from destinations.console.throttle import BY_ADDRESS, Throttle
from destinations.console.users import Users

__all__ = ["FORM_FIELD", "Gate", "GateOptions", "stamp_of"]

FORM_FIELD: Final = "csrf"
_HEADER: Final = "x-csrf-token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="destinations"'}
_DELAY_SECONDS: Final = 1.0
_MOST_DELAYED: Final = 100
"""The wrong keys that are answered late at a time; more are answered at once."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """The address of the console, as far as cookies go: its ``port``, and if it ``is_secure``.

    ``behind_proxy`` says that the address of who asks comes from the proxy.
    """

    port: int
    is_secure: bool = False
    behind_proxy: bool = False


class Gate:
    """See the module. ``link`` lets in whoever has it; without ``users`` nobody has a password."""

    def __init__(
        self,
        options: GateOptions,
        *,
        clock: Clock,
        keys: ApiKeys,
        users: Users | None = None,
        link: LoginLink | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.options = options
        self.users = users
        self.link = link
        self.sessions = Sessions(clock)
        self.throttle = Throttle(clock)
        self._keys = keys
        self._sleep = sleep
        self._delayed = 0
        self._secret = secrets.token_bytes(32)

    @property
    def cookie(self) -> str:
        """The name of the cookie with a session's token.

        Cookies know no ports, so it has that of the console; and with ``__Host-`` no other machine
        of a domain can set it.
        """
        if self.options.is_secure:
            return "__Host-destinations"
        return f"destinations-{self.options.port}"

    def set_cookie(self, response: Response, token: str) -> None:
        """Let the browser keep the token of a session, until it is closed."""
        response.set_cookie(
            self.cookie,
            token,
            path="/",
            httponly=True,
            samesite="strict",
            secure=self.options.is_secure,
        )

    def delete_cookie(self, response: Response) -> None:
        """Let the browser forget the token."""
        response.delete_cookie(
            self.cookie,
            path="/",
            httponly=True,
            samesite="strict",
            secure=self.options.is_secure,
        )

    def exchange_keys(self, keys: ApiKeys) -> None:
        """Let in who has one of these keys, from now on."""
        self._keys = keys

    def identify(self, request: Request) -> None:
        """Note who sent a request: ``operator`` is None for a stranger.

        ``wrong_key`` says that it has a key that is not known: then a session does not count.
        """
        state, address = request.state, request.state.address
        state.operator, state.csrf, state.wrong_key, state.session = None, "", False, None
        authorization = request.headers.get("authorization")
        if authorization is not None:
            scheme, _, key = authorization.strip().partition(" ")
            found = self._keys.find(key.strip()) if scheme.lower() == "bearer" else None
            if found is None:
                state.wrong_key = True
            else:
                state.operator = Operator(*found, "key", address)
            return
        token = request.cookies.get(self.cookie)
        session = None if token is None else self._session(token)
        if session is not None:
            state.operator = Operator(session.name, session.role, "session", address)
            state.csrf, state.session = session.csrf, session

    def _session(self, token: str) -> Session | None:
        session = self.sessions.find(token)
        if session is None or self.users is None:
            return session
        # Who was removed from the file, or has another password or role there, signs in again.
        user = self.users.find(session.name)
        if user is None or (user.role, stamp_of(user.password_hash)) != (
            session.role,
            session.stamp,
        ):
            self.sessions.end(token)
            return None
        return session

    async def refusal(self, needs: Needs, request: Request) -> Response | None:
        """Return the answer to a request that may not use a route; None if it may."""
        state = request.state
        operator: Operator | None = state.operator
        if state.wrong_key:
            return await self._wrong_key(request)
        if needs != "nobody":
            if operator is None:
                return _stranger(request)
            if not operator.may(needs):
                detail = f"{operator.name} has the role {operator.role}: this needs {needs}"
                return answer_fault(request, 403, detail)
            return self.forgery(request)
        return None  # who lets strangers in sees to that

    def forgery(self, request: Request) -> Response | None:
        """Return the answer to a request that another site may have made; None if none has.

        A browser sends the cookie of a session by itself, but only a page of the console has its
        token.
        """
        state = request.state
        if request.method in _SAFE or state.session is None:
            return None
        if is_same(_given_token(request), state.csrf):
            return None
        detail = "the form is not of this session, or too old: go back, reload the page, try again"
        return answer_fault(request, 403, detail)

    async def _wrong_key(self, request: Request) -> Response:
        """Answer a wrong key late, while others are served: guessing many takes long."""
        keys = [(("key", request.state.address), BY_ADDRESS)]
        wait = self.throttle.wait(keys)
        self.throttle.failed(keys)
        if wait:
            detail = f"too many wrong keys from this address: try again in {wait} s"
            headers = {"Retry-After": str(wait)}
            return answer_fault(request, 429, detail, headers=headers)
        if self._delayed < _MOST_DELAYED:
            self._delayed += 1
            try:
                await self._sleep(_DELAY_SECONDS)
            finally:
                self._delayed -= 1
        detail = (
            "wrong key in Authorization: expected Bearer and a key of the configuration (api.keys)"
        )
        return answer_fault(request, 401, detail, headers=_CHALLENGE)

    def login_token(self, seed: str) -> str:
        """Return the token of the form by which one signs in, for the seed in its cookie."""
        return hmac.new(self._secret, seed.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def stamp_of(password_hash: str) -> str:
    """Return what tells one password from the next, without being of use to anyone."""
    return hashlib.sha256(password_hash.encode()).hexdigest()


def _given_token(request: Request) -> str | None:
    given: str | None = request.headers.get(_HEADER) or request.state.form.get(FORM_FIELD)
    return given


def _stranger(request: Request) -> Response:
    if is_of_api(request):
        detail = (
            "no key in Authorization: expected Bearer and a key of the configuration (api.keys)"
        )
        return problem(401, detail, headers=_CHALLENGE)
    if request.method != "GET":
        return RedirectResponse("/login", 303)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/login?next={quote(request.url.path + query, safe='')}", 303)
