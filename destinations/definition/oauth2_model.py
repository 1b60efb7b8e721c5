"""The model of ``authentication.oauth2``: how access tokens are got (RFC 6749)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["ACCESS_TOKEN", "OAuth2Definition", "OAuth2Grant"]

OAuth2Grant = Literal["clientCredentials", "refreshToken"]

ACCESS_TOKEN: Final = "Bearer <access token>"  # noqa: S105 - a placeholder
"""The header Authorization of a request until it is sent: no token is in what is shown of it."""


@dataclass(frozen=True, slots=True)
class OAuth2Definition:
    """The way to access tokens.

    ``client_id``, ``client_secret`` and ``refresh_token`` are names of settings; ``parameters`` are
    mappings on the settings, and so is ``token_url``, or an object that chooses a URL by a setting.
    """

    grant: OAuth2Grant
    token_url: object
    client_id: str
    client_secret: str | None = None
    refresh_token: str | None = None
    scopes: tuple[str, ...] = ()
    client_authentication: Literal["basic", "body"] = "basic"
    parameters: Mapping[str, object] = field(default_factory=dict)

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the settings that are credentials."""
        named = (self.client_id, self.client_secret, self.refresh_token)
        return tuple(name for name in named if name is not None)
