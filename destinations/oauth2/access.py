"""Send requests with an access token, and once again with another one where it is refused."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from destinations.clock import SystemClock, WallClock
from destinations.definition import ACCESS_TOKEN, DestinationDefinition, OAuth2Definition
from destinations.definition.settings import Settings
from destinations.errors import ResolveError
from destinations.http.answer import HttpRequest, HttpResponse
from destinations.http.transport import Transport
from destinations.oauth2.endpoint import TokenEndpoint
from destinations.oauth2.holder import TokenHolder
from destinations.oauth2.keeping import MemoryKeeper, TokenKeeper
from destinations.secrets import reveal

__all__ = ["Access", "AccessTokens", "Sent"]

_HEADER: Final = "Authorization"
_UNAUTHORIZED: Final = 401
_REPLACED: Final = 2
"""How often a request is sent again with another token; only one of them is asked for."""
_HELD: Final = 20_000
"""Accounts whose tokens are held in memory; those of others are read from the store again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer, and the token that its request had, which is empty without one."""

    response: HttpResponse
    token: str = field(default="", repr=False)


class Access:
    """Sends the requests of one account at the partner."""

    def __init__(self, endpoint: TokenEndpoint, holder: TokenHolder) -> None:
        self._endpoint = endpoint
        self._holder = holder

    def send(
        self, request: HttpRequest, transport: Transport, *, is_test: bool = False
    ) -> HttpResponse:
        """Return the answer to a request; see `send_with_token`."""
        return self.send_with_token(request, transport, is_test=is_test).response

    def send_with_token(
        self, request: HttpRequest, transport: Transport, *, is_test: bool = False
    ) -> Sent:
        """Send a request with a token; raises `TokenError` without one, else as the transport does.

        An answer 401 changed nothing at the partner. Its token may have been revoked: the request
        is sent once more with a new one, and again if another process has replaced that since. A
        token that was got for that reason is only renewed again if the authentication test
        (``is_test``) is refused as well: else it is this request that is refused.
        """
        if request.headers.get(_HEADER) != ACCESS_TOKEN:
            return Sent(transport.send(request))
        token = self._holder.current(self._endpoint, transport)
        response = transport.send(_with_token(request, token))
        for _ in range(_REPLACED):
            if response.status != _UNAUTHORIZED:
                break
            other = self._holder.instead_of(token, self._endpoint, transport, is_test=is_test)
            if other is None:
                break
            token = other
            response = transport.send(_with_token(request, token))
        if 200 <= response.status < 300:
            self._holder.accepted(token)
        return Sent(response, token)

    def is_replaced(self, token: str) -> bool:
        """Return whether requests are sent with another token by now."""
        return self._holder.is_replaced(token)


def _with_token(request: HttpRequest, token: str) -> HttpRequest:
    return replace(request, headers={**request.headers, _HEADER: f"Bearer {token}"})


class AccessTokens:
    """All access tokens of a process; those with the same credentials share one.

    The ``keeper`` outlives the process if a store does it; by default nothing does. Safe for
    threads.
    """

    def __init__(self, keeper: TokenKeeper | None = None, clock: WallClock | None = None) -> None:
        self._keeper: TokenKeeper = keeper or MemoryKeeper()
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._holders: OrderedDict[str, TokenHolder] = OrderedDict()

    def of(
        self,
        definition: DestinationDefinition,
        settings: Settings,
        *,
        public_only: bool = False,
        owner: str | None = "",
    ) -> Access | None:
        """Return what sends the requests of a destination with these settings.

        From now on the settings mask its tokens, too. Returns None for a definition without OAuth2.
        ``owner`` is the full name of the scope of a customer, with whom its token goes; None for
        credentials of which it is not known yet whose they are.
        """
        if definition.oauth2 is None:
            return None
        endpoint = TokenEndpoint(
            definition.oauth2,
            settings,
            stand_in=definition.transport.stand_in,
            public_only=public_only,
        )
        name = _name(definition, definition.oauth2, endpoint)
        if owner is not None:
            self._keeper.own(name, owner)
        holder = self._holder(name)
        settings.issued = holder.secrets
        return Access(endpoint, holder)

    def _holder(self, name: str) -> TokenHolder:
        with self._lock:
            found = self._holders.get(name)
            if found is None:
                found = self._holders[name] = TokenHolder(name, self._keeper, self._clock)
            self._holders.move_to_end(name)
            while len(self._holders) > _HELD:
                self._holders.popitem(last=False)
            return found


def _name(
    definition: DestinationDefinition, oauth2: OAuth2Definition, endpoint: TokenEndpoint
) -> str:
    """Return the name under which the token is kept: the same for the same credentials.

    So a refresh token belongs to one row, whatever destinations, runs and servers use it.
    """
    settings = endpoint.settings
    try:
        url, parameters = endpoint.url(), dict(endpoint.parameters())
    except ResolveError:  # it is told when a token is asked for
        url, parameters = "", {}
    values = [
        reveal(value) if isinstance(value := settings.get(name), str) else value
        # A new secret of the client leaves what its refresh token has become as it is.
        for name in (oauth2.client_id, oauth2.refresh_token or oauth2.client_secret)
        if name is not None
    ]
    parts = [url, values, sorted(oauth2.scopes), parameters, definition.transport.stand_in]
    text = json.dumps(parts, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"oauth2/{definition.slug}/{digest}"
