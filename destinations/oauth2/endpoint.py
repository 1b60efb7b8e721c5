"""Ask a partner's token endpoint, by Authlib: it makes the requests of RFC 6749."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from destinations.definition import OAuth2Definition
from destinations.definition.settings import Settings
from destinations.errors import ResolveError, TransportError, UnsendableError
from destinations.extras import libraries_of
from destinations.http.address import Address
from destinations.http.answer import HttpRequest, HttpResponse
from destinations.http.envelope import led_to_stand_in, setting_text
from destinations.http.parameters import revealed_text
from destinations.http.transport import Transport
from destinations.oauth2.answers import Cure, TokenAnswer, lost_answer, read_answer, refused
from destinations.secrets import shown_url
from destinations.segment.javascript import UNDEFINED
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping import compile_value

__all__ = ["TokenEndpoint", "check_library"]

_METHODS: Final = {"basic": "client_secret_basic", "body": "client_secret_post"}
_PLACE: Final = "/authentication/oauth2"
_ANSWER_BYTES: Final = 1_000_000
_NEEDED_BY: Final = "scheme: oauth2"
_HEADERS: Final = {
    "Accept": "application/json",
    "Content-Type": "application/x-www-form-urlencoded",
}


def check_library() -> None:
    """Raise `MissingExtraError` without the extra ``oauth2``."""
    _client_class()


@functools.cache
def _client_class() -> Callable[..., Any]:
    # Deferred: installed with an extra only.
    with libraries_of("oauth2", _NEEDED_BY):
        from authlib.oauth2.client import OAuth2Client  # noqa: PLC0415 - as said above

    class Client(OAuth2Client):
        """Returns answers as they came: `read_answer` reads them, as not all are of OAuth2."""

        def parse_response_token(self, resp: HttpResponse) -> dict[str, Any]:
            """Return the answer in the form that the library expects of a token."""
            self.token = {"refresh_token": "", "answer": resp}
            return self.token  # type: ignore[no-any-return] # the library's own kind of dict

    return Client


class _Session:
    """A transport of ours, in place of the session of `requests` that the library sends with."""

    def __init__(self, transport: Transport, stand_in: str | None, *, public_only: bool) -> None:
        self._transport = transport
        self._stand_in = stand_in
        self._public_only = public_only

    def post(
        self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any
    ) -> HttpResponse:
        """Send a form; raises `TransportError`."""
        _, made, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        if self._stand_in is not None:
            url, made = led_to_stand_in(self._stand_in, url, made)
        request = HttpRequest(
            *("POST", url, made, body.encode()),
            answer_bytes=_ANSWER_BYTES,
            public_only=self._public_only,
            for_token=True,
        )
        return self._transport.send(request)


class TokenEndpoint:
    """The token endpoint of a partner, as a client with these settings asks it."""

    def __init__(
        self,
        oauth2: OAuth2Definition,
        settings: Settings,
        *,
        stand_in: str | None = None,
        public_only: bool = False,
    ) -> None:
        self._oauth2 = oauth2
        self._settings = settings
        self._stand_in = stand_in
        self._public_only = public_only
        self._parameters = {name: compile_value(value) for name, value in oauth2.parameters.items()}

    @property
    def settings(self) -> Settings:
        """The settings that it is asked with."""
        return self._settings

    @property
    def refresh_token(self) -> str | None:
        """The refresh token of the settings; None for another grant."""
        name = self._oauth2.refresh_token
        return None if name is None else self._text(name)

    def url(self) -> str:
        """Return the URL; raises `ResolveError` if the settings make none."""
        context = {"event": {}, "payload": {}, "settings": self._settings}
        return Address(self._oauth2.token_url).url(context)

    def parameters(self) -> Mapping[str, str]:
        """Return the further fields of the request; raises `ResolveError`."""
        context = {"event": {}, "payload": {}, "settings": self._settings}
        found: dict[str, str] = {}
        for name, mapping in self._parameters.items():
            value = mapping.resolve(context)
            if value is None or value is UNDEFINED:
                continue
            if isinstance(value, dict | list):
                raise ResolveError(f"{_PLACE}/parameters{pointer(name)}", "must be text")
            found[name] = revealed_text(value)
        return found

    def issue(self) -> str:
        """Return why no token can be got with these settings; empty if one may be."""
        missing = [
            name
            for name in self._oauth2.credentials
            if not self._text(name)
            and (name != self._oauth2.client_secret or self._oauth2.refresh_token is None)
        ]
        if missing:
            return f"no access token can be got without {' and '.join(missing)}"
        try:
            self.url()
            self.parameters()
        except ResolveError as error:
            return str(error)
        return ""

    def ask(self, refresh_token: str | None, transport: Transport, note: str = "") -> TokenAnswer:
        """Return a new token; raises `TokenError`.

        ``note`` is added to what the message says about a refresh token that is refused.
        """
        if issue := self.issue():
            raise refused("the token endpoint", issue, Cure("complete the settings"))
        url, place = self.url(), self.shown
        session = _Session(transport, self._stand_in, public_only=self._public_only)
        oauth2 = self._oauth2
        secret = "" if oauth2.client_secret is None else self._text(oauth2.client_secret)
        client = _client_class()(
            session,
            client_id=self._text(oauth2.client_id),
            client_secret=secret,
            token_endpoint_auth_method=_METHODS[oauth2.client_authentication] if secret else "none",
            scope=" ".join(oauth2.scopes) or None,
        )
        body = urlencode(self.parameters())
        try:
            if refresh_token is None:
                made = client.fetch_token(
                    url, body=body, grant_type="client_credentials", headers=dict(_HEADERS)
                )
            else:
                made = client.refresh_token(
                    url, refresh_token=refresh_token, body=body, headers=dict(_HEADERS)
                )
        except UnsendableError as error:
            raise refused(place, error.message, Cure("check tokenUrl")) from None
        except TransportError as error:
            raise lost_answer(place, error) from None
        except UnicodeEncodeError:
            cure = Cure("expected text in Latin-1; use clientAuthentication: body")
            raise refused(place, "id or secret cannot be sent in a header", cure) from None
        masker = self._settings.masker_of_answers
        return read_answer(made["answer"], place, masker.foreign, self._cures(note))

    @property
    def shown(self) -> str:
        """The URL to show, without secrets."""
        try:
            return self._settings.masker.text(shown_url(self.url()))
        except ResolveError:
            return "the token endpoint"

    def _cures(self, note: str) -> Mapping[str, Cure]:
        """Return what to do about a refusal, by the code of the error; see `read_answer`."""
        oauth2 = self._oauth2
        named = [name for name in (oauth2.client_id, oauth2.client_secret) if name is not None]
        check = f"check the setting{'s' * (len(named) > 1)} {' and '.join(named)}"
        of_client = Cure(check, "clientSecret")
        cures = {
            "": Cure(f"{check}, and authentication.oauth2 of the definition"),
            "invalid_client": of_client,
            "unauthorized_client": of_client,
        }
        if oauth2.refresh_token is None:
            return cures
        again = Cure(
            f"the refresh token was revoked, has expired or was replaced{note}: authorize again, "
            f"put the new refresh token into the setting {oauth2.refresh_token}, and reload the "
            "server (restart it if the setting is in its environment), or run again with "
            "--same-account",
            "refreshToken",
        )
        return {**cures, "invalid_grant": again, "bad_refresh_token": again}

    def _text(self, name: str) -> str:
        return setting_text(self._settings, name)
