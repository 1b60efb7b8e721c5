"""The pages of the console, as Starlette has routes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from destinations.server import ServeConfig

__all__ = ["error_page", "login_page", "routes"]

_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
    "<body><main><h1>{title}</h1>{body}</main></body></html>"
)


def routes(config: ServeConfig | None) -> Sequence[BaseRoute]:  # noqa: ARG001 - pages of its plugins
    """Return the routes of all pages."""
    return ()


def login_page(
    request: Request,  # noqa: ARG001 - what pages are made from
    *,
    csrf: str,
    next_path: str,
    message: str = "",
    status: int = 200,
) -> Response:
    """Return the page on which operators sign in."""
    body = (
        (f"<p role=alert>{escape(message)}</p>" if message else "")
        + '<form method="post" action="/login">'
        + f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
        + f'<input type="hidden" name="next" value="{escape(next_path)}">'
        + '<p><label>Name <input name="name" autocomplete="username" required></label></p>'
        + '<p><label>Password <input name="password" type="password"'
        + ' autocomplete="current-password" required></label></p>'
        + "<p><button>Sign in</button></p></form>"
    )
    return HTMLResponse(_PAGE.format(title="Sign in", body=body), status)


def error_page(request: Request, status: int, title: str, sentence: str) -> Response:  # noqa: ARG001 - as above
    """Return the page of a fault."""
    body = f"<p>{escape(sentence)}</p>"
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), status)
