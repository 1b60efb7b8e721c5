"""The console as an ASGI application: guard, API and pages."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from destinations.console import pages
from destinations.console.gate import Gate
from destinations.console.guard import Guard
from destinations.console.login import login_routes
from destinations.console.problems import answer_fault, of_error
from destinations.console.verbs import Verbs
from destinations.errors import DestinationsError
from destinations.server import ServeConfig

__all__ = ["make_app", "make_routes"]


def make_routes(config: ServeConfig | None = None) -> Sequence[BaseRoute]:
    """Return all routes; a test goes over them, so that each declares who may use it."""
    from destinations.console.api.routes import api_routes  # noqa: PLC0415 - made from its table

    return [*login_routes(), *api_routes(), *pages.routes(config)]


def make_app(
    verbs: Verbs, gate: Gate, *, hosts: frozenset[str] | None = None, is_local: bool = True
) -> ASGIApp:
    """Return the application of these verbs; ``gate`` knows who may use it.

    For ``hosts`` and ``is_local`` see `Guard`.
    """
    app = _App(routes=list(make_routes(verbs.config)))
    app.router.redirect_slashes = False
    app.state.verbs = verbs
    app.state.gate = gate
    return Guard(app, gate, hosts=hosts, is_local=is_local)


class _App(Starlette):
    """Answers faults itself; all other errors are left to the guard, which has logged none yet."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return what handles a request."""
        return ExceptionMiddleware(
            self.router, handlers={HTTPException: _http_fault, DestinationsError: _fault}
        )


async def _http_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.url.path} does not take {request.method}",
    }.get(error.status_code, error.detail)
    return answer_fault(request, error.status_code, detail, headers=error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    status, detail, issues, headers = of_error(error)
    return answer_fault(request, status, detail, issues=issues, headers=headers)
