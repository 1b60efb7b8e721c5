"""Sign in, by name and password or by the link of the terminal, and out."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from destinations.console.gate import FORM_FIELD, Gate, stamp_of
from destinations.console.pages import login_page
from destinations.console.problems import answer_fault
from destinations.console.routing import ConsoleRoute
from destinations.console.sessions import is_same
from destinations.console.throttle import BY_ADDRESS, BY_NAME, BY_PAIR
from destinations.console.users import Users

__all__ = ["LINK_NAME", "login_routes"]

_LOG = logging.getLogger(__name__)

LINK_NAME: Final = "terminal"
"""The name of the operator who came by the link."""

_CHECKS: Final = 2
"""Passwords that are checked at a time: each takes 64 MiB for a moment."""
_LONGEST_NAME: Final = 64
_NO_USERS: Final = "Open the login link that the server has written to its terminal and its file."
_SEED_SECONDS: Final = 3600


def login_routes() -> Sequence[BaseRoute]:
    """Return the routes by which strangers become operators."""
    form = _Form()
    return (
        ConsoleRoute("/login", form.show, needs="nobody"),
        ConsoleRoute("/login", form.take, needs="nobody", methods=["POST"]),
        ConsoleRoute("/login/{token}", _by_link, needs="nobody"),
        ConsoleRoute("/logout", _log_out, needs="nobody", methods=["POST"]),
    )


class _Form:
    """The form with name and password."""

    def __init__(self) -> None:
        self._checks = asyncio.Semaphore(_CHECKS)

    async def show(self, request: Request) -> Response:
        """Show the form, with a token that only the browser can send that got it."""
        return _shown(request, _local_path(request.query_params.get("next")))

    async def take(self, request: Request) -> Response:
        """Sign in, or say that it did not work; who guesses has to wait."""
        gate: Gate = request.app.state.gate
        given = request.state.form
        next_path = _local_path(given.get("next"))
        seed = request.cookies.get(_seed_cookie(gate), "")
        if not seed or not is_same(given.get(FORM_FIELD), gate.login_token(seed)):
            return _shown(request, next_path, "The form was too old. Sign in again.", 403)
        if gate.users is None:
            return _shown(request, next_path, _NO_USERS, 403)
        name, address = given.get("name", "")[:_LONGEST_NAME], request.state.address
        pair = ("pair", name, address)
        keys = [(pair, BY_PAIR), (("address", address), BY_ADDRESS), (("name", name), BY_NAME)]
        wait = gate.throttle.wait(keys)
        if wait:
            message = f"Too many attempts have failed. Try again in {wait} s."
            response = _shown(request, next_path, message, 429)
            response.headers["Retry-After"] = str(wait)
            return response
        # Counted before it is known, so that many at once are no way around the limit.
        gate.throttle.failed(keys)
        async with self._checks:
            users: Users = gate.users
            user = await asyncio.to_thread(users.check, name, given.get("password", ""))
        if user is None:
            _LOG.warning("sign-in failed", extra={"operator": name, "address": address})
            return _shown(request, next_path, "Wrong name or password.", 401)
        gate.throttle.succeeded(pair)
        gate.throttle.took_back([key for key, _ in keys[1:]])
        token = gate.sessions.begin(user.name, user.role, stamp_of(user.password_hash))
        return _signed_in(request, token, user.name, next_path)


async def _by_link(request: Request) -> Response:
    gate: Gate = request.app.state.gate
    address = request.state.address
    keys = [(("link", address), BY_ADDRESS)]
    wait = gate.throttle.wait(keys)
    if wait:
        headers = {"Retry-After": str(wait)}
        detail = f"too many wrong links from this address: try again in {wait} s"
        return answer_fault(request, 429, detail, headers=headers)
    taken = gate.link is not None and await asyncio.to_thread(
        gate.link.take, request.path_params["token"]
    )
    if not taken:
        gate.throttle.failed(keys)
        _LOG.warning("login link refused", extra={"address": address})
        detail = "this login link was used already, or is of an earlier start: take the latest one"
        return answer_fault(request, 403, detail)
    return _signed_in(request, gate.sessions.begin(LINK_NAME, "operate"), LINK_NAME, "/")


async def _log_out(request: Request) -> Response:
    gate: Gate = request.app.state.gate
    refusal = gate.forgery(request)
    if refusal is not None:
        return refusal
    token = request.cookies.get(gate.cookie)
    if token is not None and request.state.session is not None:
        gate.sessions.end(token)
        _LOG.info("operator signed out", extra={"operator": request.state.session.name})
    response = RedirectResponse("/login", 303)
    gate.delete_cookie(response)
    return response


def _signed_in(request: Request, token: str, name: str, next_path: str) -> Response:
    gate: Gate = request.app.state.gate
    _LOG.info("operator signed in", extra={"operator": name, "address": request.state.address})
    former = request.cookies.get(gate.cookie)
    if former is not None:  # a session that someone else has put there must not live on
        gate.sessions.end(former)
    response = RedirectResponse(next_path, 303)
    gate.set_cookie(response, token)
    response.delete_cookie(
        _seed_cookie(gate),
        path="/login",
        httponly=True,
        samesite="strict",
        secure=gate.options.is_secure,
    )
    return response


def _shown(request: Request, next_path: str, message: str = "", status: int = 200) -> Response:
    gate: Gate = request.app.state.gate
    seed = secrets.token_urlsafe(32)
    if not message and gate.users is None:
        message = _NO_USERS
    response = login_page(
        request,
        csrf=gate.login_token(seed),
        next_path=next_path,
        message=message,
        status=status,
    )
    response.set_cookie(
        _seed_cookie(gate),
        seed,
        max_age=_SEED_SECONDS,
        path="/login",
        httponly=True,
        samesite="strict",
        secure=gate.options.is_secure,
    )
    return response


def _seed_cookie(gate: Gate) -> str:
    return f"destinations-login-{gate.options.port}"


def _local_path(given: str | None) -> str:
    r"""Return a path of the console, and nothing that leads elsewhere, such as ``//host``."""
    if given is None or not given.startswith("/") or given[1:2] in {"/", "\\"}:
        return "/"
    return given if given.isprintable() and "\\" not in given else "/"
