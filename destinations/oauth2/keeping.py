"""Keep tokens between requests, and between processes where a store does."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from destinations.http.json_bytes import decode_json

__all__ = ["DEFAULT_LIFETIME", "KeptToken", "MemoryKeeper", "TokenKeeper"]

DEFAULT_LIFETIME: Final = 3600.0
"""Seconds that a token is taken to live whose answer does not say so: most live an hour."""


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A token as it is kept; times are in seconds since 1970, by the clock of who got it.

    ``lifetime`` is None where the partner names none. ``refresh_token`` is the next one to use,
    None for that of the settings. ``is_lost`` says that a renewal has begun whose answer did not
    arrive: the partner may have replaced the refresh token by one that nobody knows. ``after_401``
    says that it was got because the token before it was refused. ``issue`` is what is wrong with
    the latest answer, if it had no access token of use, or no refresh token.
    """

    access_token: str | None = field(default=None, repr=False)
    obtained_at: float = 0.0
    lifetime: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    is_lost: bool = False
    after_401: bool = False
    issue: str = ""

    def remaining(self, now: float) -> float:
        """Return for how many seconds it is still good; never more than it lives.

        The clock of another machine may be wrong, or this one's may have been set since.
        """
        life = DEFAULT_LIFETIME if self.lifetime is None else self.lifetime
        return min(life, self.obtained_at + life - now)

    def to_json(self) -> str:
        """Return the text that is sealed."""
        return json.dumps(
            {
                "accessToken": self.access_token,
                "obtainedAt": self.obtained_at,
                "lifetime": self.lifetime,
                "refreshToken": self.refresh_token,
                "isLost": self.is_lost,
                "after401": self.after_401,
                "issue": self.issue,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> KeptToken:
        """Return what `to_json` made a text of."""
        data: Mapping[str, Any] = decode_json(text.encode())
        return cls(
            data["accessToken"],
            data["obtainedAt"],
            data["lifetime"],
            data["refreshToken"],
            data["isLost"],
            data.get("after401", False),  # earlier versions did not note it
            data.get("issue", ""),
        )


class TokenKeeper(Protocol):
    """Keeps tokens by name; safe for threads.

    Methods raise `TemporaryError` and `UsageError` as the store does that they are kept in.
    """

    def load(self, name: str) -> tuple[KeptToken | None, str]:
        """Return what is kept under a name, and its version."""
        ...

    def save(self, name: str, token: KeptToken, version: str) -> str | None:
        """Keep a token durably in place of that version, and return the new version.

        Returns None, and changes nothing, if another version is kept.
        """
        ...

    def own(self, name: str, owner: str) -> None:
        """Note whose the token of a name is, of several perhaps: it goes with the last of them."""
        ...

    def renewing(self, name: str, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Let nobody else renew the token of this name within; waits ``seconds`` for who does.

        Raises `TemporaryError` if that is too short.
        """
        ...


class MemoryKeeper:
    """Keeps tokens as long as the process lives; see `TokenKeeper`."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[KeptToken, str]] = {}

    def load(self, name: str) -> tuple[KeptToken | None, str]:
        """See `TokenKeeper.load`."""
        return self._kept.get(name, (None, ""))

    def save(self, name: str, token: KeptToken, version: str) -> str | None:
        """See `TokenKeeper.save`; within a process `TokenHolder` lets one renew at a time."""
        new = f"{int(version or 0) + 1}"
        self._kept[name] = (token, new)
        return new

    def own(self, name: str, owner: str) -> None:
        """Do nothing: the process ends before its owners do."""

    def renewing(self, name: str, seconds: float) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002 - nobody else has it
        """See `TokenKeeper.renewing`."""
        return contextlib.nullcontext()
