"""Serve the pages: a request becomes a visit, and what a page gives an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from destinations.console.operators import Operator
from destinations.console.pages.notices import NOTICE
from destinations.console.pages.query import Query
from destinations.console.pages.table import all_pages
from destinations.console.pages.templating import render
from destinations.console.pages.visit import (
    ConsolePage,
    Frame,
    PageError,
    Redirected,
    Shown,
    Streamed,
    Visit,
)
from destinations.console.routing import Needs, StaticFolder, operator_of, page
from destinations.extras import libraries_of
from destinations.pages import base_css
from destinations.server import ServeConfig

with libraries_of("console", "the console"):
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import (
        HTMLResponse,
        RedirectResponse,
        Response,
        StreamingResponse,
    )
    from starlette.routing import BaseRoute, Mount
    from starlette.types import Receive, Scope, Send

__all__ = ["error_page", "login_page", "routes"]

_STATIC: Final = Path(__file__).parent / "static"
_NOBODY: Final = Operator("", "read", "session", "")


def routes(config: ServeConfig | None = None) -> Sequence[BaseRoute]:
    """Return the routes of all pages; with a ``config``, those of its plugins as well."""
    pages = all_pages(config)
    found: list[BaseRoute] = [_SharedStyle("/shared")]
    for one in pages:
        if one.show is not None:
            found.append(page(one.path, _endpoint(one, pages), needs="read"))
        if one.act is not None:
            acting = _endpoint(one, pages, acts=True)
            found.append(page(one.path, acting, needs="operate", methods=["POST"]))
    return [*found, StaticFolder("/static", _STATIC)]


def _endpoint(
    shown: ConsolePage, pages: Sequence[ConsolePage], *, acts: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        form = Query((key, str(value)) for key, value in request.state.form.multi_items())
        visit = _visit(request, pages, form)
        return await run_in_threadpool(_answer, request, visit, shown, acts=acts)

    return endpoint


def _answer(request: Request, visit: Visit, shown: ConsolePage, *, acts: bool) -> Response:
    sessions, session = request.app.state.gate.sessions, request.state.session
    try:
        found = shown.answer(visit, acts=acts)
    except PageError as error:
        values = {"title": error.title, "text": error.text, "way_on": error.way_on}
        found, shown = Shown("error.html", values, error.status), _plain(shown)
    if isinstance(found, Redirected):
        url = found.url
        if found.notice and session is not None:
            token = sessions.keep_notice(session, url, found.notice)
            url += f"{'&' if '?' in url else '?'}{NOTICE}={token}"
        return RedirectResponse(url, 303)
    if isinstance(found, Streamed):
        # Proxies must not keep events back until there are more.
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(found.events, media_type="text/event-stream", headers=headers)
    notice = ""
    # A part of a page that refreshes itself does not show it.
    if request.method == "GET" and session is not None and "hx-request" not in request.headers:
        token = Query.parse(request.url.query).text(NOTICE)
        if token:
            notice = visit.verbs.masker.text(sessions.take_notice(session, visit.here, token))
    values = {"notice": notice, **found.values}
    return HTMLResponse(render(Shown(found.template, values), visit, shown), found.status)


def _plain(shown: ConsolePage) -> ConsolePage:
    """Return a page whose templates are ours."""
    return ConsolePage(shown.path, title=shown.title)


def _visit(request: Request, pages: Sequence[ConsolePage], form: Query) -> Visit:
    verbs = request.app.state.verbs
    return Visit(
        operator=operator_of(request),
        path=request.url.path,
        query=Query.parse(request.url.query).without(NOTICE),
        csrf=request.state.csrf,
        pages=pages,
        verbs=verbs,
        form=form,
        parts={name: str(value) for name, value in request.path_params.items()},
        now=verbs.now,
    )


def _frame(request: Request) -> Frame:
    """Return what is around the page of a fault: it may have come up before anything is known."""
    operator = getattr(request.state, "operator", None)
    csrf = getattr(request.state, "csrf", "")
    path = request.url.path
    if operator is None:
        return Frame(operator=_NOBODY, path=path, csrf=csrf)
    return Frame(operator=operator, path=path, csrf=csrf, pages=all_pages(None))


class _SharedStyle(Mount):
    """The style of all pages, ``base.css``, which is not in the folder of the console."""

    needs: Needs = "nobody"

    def __init__(self, path: str) -> None:
        super().__init__(path, app=_style, name="shared")


async def _style(scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(base_css(), media_type="text/css")
    if not scope["path"].endswith("/base.css"):
        response = Response("not found", 404)
    await response(scope, receive, send)


def login_page(
    request: Request, *, csrf: str, next_path: str, message: str = "", status: int = 200
) -> Response:
    """Return the page on which operators log in."""
    values = {"token": csrf, "next": next_path, "fault": message}
    by_password = request.app.state.gate.users is not None
    shown = Shown("login.html", {**values, "by_password": by_password})
    return HTMLResponse(render(shown, _frame(request)), status)


def error_page(request: Request, status: int, title: str, sentence: str) -> Response:
    """Return the page of a fault."""
    text = f"{sentence[:1].upper()}{sentence[1:]}"
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    values = {"title": title, "text": ended, "way_on": None}
    return HTMLResponse(render(Shown("error.html", values), _frame(request)), status)
