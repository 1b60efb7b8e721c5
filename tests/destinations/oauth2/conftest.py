"""A partner whose token endpoint and API a test scripts, and a clock that obeys."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import Settings, check_settings
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from tests.oauth2_samples import SETTINGS, write_oauth2

Make = Callable[..., DestinationDefinition]


class HandClock:
    """Stands still; ``wall`` and ``mono`` are set apart, as a machine's clock may be wrong."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.mono = 1_000.0

    def time(self) -> float:
        """See `WallClock.time`."""
        return self.wall

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.mono

    def wait(self, seconds: float, stop: threading.Event) -> bool:  # noqa: ARG002 - it is a clock
        """See `Clock.wait`."""
        self.go_on(seconds)
        return False

    def go_on(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += seconds
        self.mono += seconds


@dataclass
class Partner:
    """A transport: a token endpoint that rotates refresh tokens, and an API that checks tokens.

    ``script`` has the next answers of the token endpoint, in place of its own: an answer, an error
    before or after the request was carried out, or a function of the request.
    """

    refresh: str = SETTINGS["refreshToken"]
    rotates: bool = False
    lifetime: Any = 3600
    good: set[str] = field(default_factory=set)
    script: list[Any] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    token_requests: list[HttpRequest] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    count: int = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `Transport.send`."""
        if request.for_token:
            return self._token(request)
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.used.append(token)
        status = 200 if token in self.good else 401
        return HttpResponse(status, {}, json.dumps({"seen": token}).encode())

    def _token(self, request: HttpRequest) -> HttpResponse:
        form = dict(parse_qsl((request.body or b"").decode()))
        self.asked.append(form)
        self.token_requests.append(request)
        planned = self.script.pop(0) if self.script else None
        if isinstance(planned, TransportError):
            if planned.sent:
                self._issue(form)
            raise planned
        if isinstance(planned, HttpResponse):
            return planned
        if callable(planned):
            planned(self)
        return self._issue(form)

    def _issue(self, form: dict[str, str]) -> HttpResponse:
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
            return answer({"error": "invalid_grant", "error_description": "token reuse"}, 400)
        self.count += 1
        token = f"access-token-{self.count:04}"
        self.good.add(token)
        made = {"access_token": token, "token_type": "Bearer"}
        if self.lifetime is not None:
            made["expires_in"] = self.lifetime
        if self.rotates:
            self.refresh = f"refresh-token-{self.count:04}"
            made["refresh_token"] = self.refresh
        return answer(made)

    def revoke(self) -> None:
        """Let no token be good any more."""
        self.good.clear()

    def close(self) -> None:
        """See `Transport.close`."""


def answer(value: object, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer in JSON."""
    return HttpResponse(status, headers, json.dumps(value).encode())


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that loads the sample definition with changes."""

    def load(grant: str = "clientCredentials", **changes: Any) -> DestinationDefinition:
        return load_definition(write_oauth2(tmp_path / "ledgerly", grant, **changes))

    return load


def settings_of(definition: DestinationDefinition, **changes: Any) -> Settings:
    """Return checked settings: those of the sample that the definition has."""
    properties = definition.settings["properties"]
    given = {key: value for key, value in SETTINGS.items() if key in properties}
    return check_settings(definition, Document("settings", given | changes, {}))
