"""A stand-in that is made from a definition: it takes what the definition sends, and says yes."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from destinations.definition import DestinationDefinition, PendingDefinition
from destinations.definition.document import Document
from destinations.definition.settings import Settings, check_settings
from destinations.definition.url_pieces import AddressTemplate, AddressText, read_address
from destinations.errors import SettingsError, UsageError
from destinations.runtime.plugins import Holdings, RunningSandbox
from destinations.sandbox.choice_answers import with_choices
from destinations.sandbox.definition_account import (
    DefinitionAccount,
    DefinitionRecord,
    is_success,
    success_for,
)
from destinations.sandbox.expected_request import ExpectedRequest
from destinations.sandbox.faults import Faults
from destinations.sandbox.form_check import ReadEvents
from destinations.sandbox.log import RequestLog
from destinations.sandbox.matching import Matcher
from destinations.sandbox.placeholders import placeholder_settings
from destinations.sandbox.possible_values import values_of
from destinations.sandbox.server import RunningServer, Service
from destinations.sandbox.token_issuer import TokenIssuer
from destinations.sandbox.wire import WireRequest
from destinations.secrets import reveal
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["DefinitionSandbox"]


class DefinitionSandbox(RunningSandbox):
    """A stand-in for the partner of a definition, in a thread of this process.

    It answers each request of the definition with a success: its ``example``, or a value that fits
    ``expect``. Anything else gets a 4xx that says what would be right. Its ``tokens`` are issued at
    the token endpoint of a definition with OAuth2; None for others. ``settings`` are those that
    it expects; by default placeholders, with its own address where a setting has the partner's.
    Port 0 picks a free one.

    Raises `UsageError` if the port cannot be used, if no request is written yet, or if no answer
    of one that is written could be made that the definition takes for a success.
    """

    def __init__(
        self, definition: DestinationDefinition, *, settings: Settings | None = None, port: int = 0
    ) -> None:
        written = [
            with_choices(definition, request)
            for request in definition.requests.values()
            if not isinstance(request.call, PendingDefinition)
        ]
        if not written:
            raise UsageError(f"{definition.name} has no request yet that a sandbox could answer")
        self._definition = definition
        service = _Service()
        self._server = RunningServer(service, port)
        self.url = self._server.origin
        try:
            self._settings, self.leads_here = (
                (settings, False) if settings is not None else _settings(definition, self.url)
            )
            self.tokens: TokenIssuer | None = None
            if definition.oauth2 is not None:
                self.tokens = TokenIssuer(definition.oauth2, self._settings)
                service.routes = {"/tokens": self.tokens.routes}
            is_token = bool if self.tokens is None else self.tokens.accepts
            expected = [
                ExpectedRequest(
                    definition, one, values_of(definition, self._settings, one.name), is_token
                )
                for one in written
            ]
            _check_answers(definition, expected)
        except BaseException:
            self.close()
            raise
        self._account = service.account = DefinitionAccount(
            Matcher(expected), self._settings.masker, self.url, self.tokens
        )
        self.faults: Faults = self._account.faults
        self.requests: RequestLog[DefinitionRecord] = self._account.requests

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings that it accepts; they lead to it if ``leads_here``."""
        return {
            name: reveal(value) if isinstance(value, str) else value
            for name, value in self._settings.items()
        }

    @property
    def free_settings(self) -> Container[str]:
        """All settings but secrets, and the one with its address."""
        address = _address_setting(self._definition)
        bound = {*self._definition.secret_settings, *([address] if address else [])}
        return self._settings.keys() - bound

    def connected(self, definition: DestinationDefinition) -> DestinationDefinition:
        """Return the definition, all of whose requests go to this sandbox."""
        transport = replace(definition.transport, stand_in=self.url)
        return replace(definition, transport=transport)

    def arrive(self) -> int:
        """Take the late and repeated requests that fault rules still hold back; return how many."""
        return self._account.arrive()

    def snapshot(self) -> Mapping[str, Any]:
        """Return how many requests and events it has taken, by the names of the requests."""
        account = self._account
        return {
            name: (requests, account.taken_events[name])
            for name, requests in account.taken_requests.items()
        }

    def holdings(self, before: Mapping[str, Any]) -> Sequence[Holdings]:
        """Return a table of what it has taken since an earlier `snapshot`."""
        rows: list[Sequence[object]] = []
        for name, (requests, events) in self.snapshot().items():
            earlier = before.get(name, (0, 0))
            rows.append((name, requests - earlier[0], events - earlier[1]))
        return [Holdings(f"The sandbox of {self._definition.name}", _COLUMNS, rows)]

    def close(self) -> None:
        """Stop it; safe to repeat."""
        self._server.stop()


_COLUMNS: Final = ("request", "taken", "events")


def _settings(definition: DestinationDefinition, url: str) -> tuple[Settings, bool]:
    """Return placeholders for the settings, and whether one of them leads to ``url``."""
    made = placeholder_settings(definition, dict.fromkeys(definition.secret_settings))
    name = _address_setting(definition)
    if name is None:
        return made, False
    values = {
        key: reveal(value) if isinstance(value, str) else value for key, value in made.items()
    }
    leads_here = definition.oauth2 is None or _leading(definition.oauth2.token_url) == name
    try:
        found = check_settings(definition, Document("settings", {**values, name: url}, {}))
    except SettingsError:  # it takes other URLs only
        return made, False
    return found, leads_here


def _address_setting(definition: DestinationDefinition) -> str | None:
    """Return the setting with which the base URL begins; None if there is none."""
    return _leading(definition.transport.base_url)


def _leading(url: object) -> str | None:
    """Return the setting with which a URL begins; None if there is none."""
    address = read_address(url)
    pieces = address.pieces if isinstance(address, AddressTemplate) else ()
    first = next((one for one in pieces if not isinstance(one, AddressText) or one.text), None)
    if first is None or isinstance(first, AddressText) or not first.of_settings:
        return None
    keys = split_path(strip_root(first.path))
    return keys[1] if len(keys) == len(("settings", "its name")) else None


def _check_answers(definition: DestinationDefinition, expected: Sequence[ExpectedRequest]) -> None:
    wrong = [
        one.name
        for one in expected
        if not is_success(one, _ONE_EVENT, success_for(one, _ONE_EVENT))
    ]
    if wrong:
        raise UsageError(
            f"{definition.name}: no answer could be made that counts as a success of "
            f"{', '.join(wrong)}: give {'it' if len(wrong) == 1 else 'each'} an `example`"
        )


_ONE_EVENT: Final = ReadEvents(({},))


class _Service(Service):
    """The one account of a sandbox, without a key of its own."""

    name = "sandbox"
    account: DefinitionAccount

    def open(self, authorization: str | None) -> DefinitionAccount:  # noqa: ARG002 - one account for all
        """See `Service.open`."""
        return self.account

    def find(self, request: WireRequest) -> DefinitionAccount:  # noqa: ARG002 - one account for all
        """See `Service.find`."""
        return self.account
