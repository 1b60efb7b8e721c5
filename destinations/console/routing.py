"""Routes that declare who may use them; this is the one place where that is enforced."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from destinations.console.operators import ROLES, Operator, Role

__all__ = ["ConsoleRoute", "Needs", "StaticFolder", "operator_of", "page"]

Needs = Literal["nobody", "read", "operate"]
"""The role that a route needs; ``nobody`` lets strangers in, as for signing in."""

Endpoint = Callable[[Request], Response | Awaitable[Response]]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class ConsoleRoute(Route):
    """A route that only operators with its role reach; ``refuse`` answers all others."""

    def __init__(
        self,
        path: str,
        endpoint: Endpoint,
        *,
        needs: Needs,
        methods: Collection[str] = ("GET",),
        name: str | None = None,
    ) -> None:
        if needs not in {"nobody", *ROLES}:
            raise ValueError(f"{path}: expected the role that it needs, not {needs!r}")
        super().__init__(path, endpoint, methods=list(methods), name=name)
        self.needs: Needs = needs

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it: as nobody's, as a forged one, or for the role."""
        gate = scope["app"].state.gate
        refusal = await gate.refusal(self.needs, Request(scope, receive))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await super().handle(scope, receive, send)


class StaticFolder(Mount):
    """Files of a folder that anyone may have, such as style sheets."""

    needs: Needs = "nobody"

    def __init__(self, path: str, folder: Path) -> None:
        super().__init__(path, app=StaticFiles(directory=folder), name="static")


def page(
    path: str,
    endpoint: Endpoint,
    *,
    needs: Role | None = None,
    methods: Collection[str] = ("GET",),
    name: str | None = None,
) -> ConsoleRoute:
    """Return the route of a page of the console; one that takes a form has to say what it needs."""
    if needs is None:
        if not _SAFE.issuperset(methods):
            raise ValueError(f"{path}: expected needs, as it takes {', '.join(methods)}")
        needs = "read"
    return ConsoleRoute(path, endpoint, needs=needs, methods=methods, name=name)


def operator_of(request: Request) -> Operator:
    """Return who sent a request that a route has let in."""
    operator: Operator = request.state.operator
    return operator
