"""Sessions of operators who have signed in: kept in this process, and ended by its end."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from destinations.clock import Clock
from destinations.console.operators import Role

__all__ = ["IDLE_SECONDS", "LONGEST_SECONDS", "Session", "Sessions", "is_same"]

IDLE_SECONDS: Final = 2 * 3600.0
LONGEST_SECONDS: Final = 12 * 3600.0
_MOST: Final = 1_000
_TOKEN_BYTES: Final = 32
_MOST_NOTICES: Final = 20
_NOTICE_SECONDS: Final = 60.0
_NOTICE_BYTES: Final = 9


class _Notice(NamedTuple):
    """A notice of what was done, for the redirect with a ``token``: said once, if that is soon."""

    token: str
    place: object
    text: str
    at: float


@dataclass(slots=True)
class Session:
    """An operator who has signed in; forms of theirs have the token ``csrf``."""

    name: str
    role: Role
    csrf: str
    began_at: float
    used_at: float
    stamp: str
    notices: list[_Notice] = field(default_factory=list)


class Sessions:
    """See the module; any thread may use it. Of a token, only the digest is kept.

    A session ends when it was not used for two hours, or after twelve; the one that was used
    longest ago ends if there are too many.
    """

    def __init__(self, clock: Clock, *, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._by_digest: dict[bytes, Session] = {}

    def begin(self, name: str, role: Role, stamp: str = "") -> str:
        """Return the token of a new session; ``stamp`` says by which entry one signed in."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock.monotonic()
        session = Session(name, role, secrets.token_urlsafe(_TOKEN_BYTES), now, now, stamp)
        with self._lock:
            self._drop_old(now)
            while len(self._by_digest) >= self._most:
                oldest = min(self._by_digest, key=lambda key: self._by_digest[key].used_at)
                del self._by_digest[oldest]
            self._by_digest[_digest(token)] = session
        return token

    def find(self, token: str) -> Session | None:
        """Return the session of a token, which is used by that; None if there is none."""
        digest, now = _digest(token), self._clock.monotonic()
        with self._lock:
            session = self._by_digest.get(digest)
            if session is None:
                return None
            if _is_over(session, now):
                del self._by_digest[digest]
                return None
            session.used_at = now
            return session

    def keep_notice(self, session: Session, url: str, text: str) -> str:
        """Keep what was done, to be said by the page of this URL; returns the token for it.

        Each is for one redirect, so that another tab of the operator does not take it away.
        """
        token = secrets.token_urlsafe(_NOTICE_BYTES)
        with self._lock:
            notice = _Notice(token, _place(url), text, self._clock.monotonic())
            session.notices = [*session.notices[1 - _MOST_NOTICES :], notice]
        return token

    def take_notice(self, session: Session, url: str, token: str) -> str:
        """Return what the page of this URL has to say, which it says once; empty for nothing."""
        place, now = _place(url), self._clock.monotonic()
        with self._lock:
            fresh = [one for one in session.notices if now - one.at < _NOTICE_SECONDS]
            own = [one for one in fresh if is_same(one.token, token) and one.place == place]
            session.notices = [one for one in fresh if one not in own]
            return " ".join(one.text for one in own)

    def end(self, token: str) -> None:
        """End the session of a token, if there is one."""
        with self._lock:
            self._by_digest.pop(_digest(token), None)

    def _drop_old(self, now: float) -> None:
        for digest in [key for key, one in self._by_digest.items() if _is_over(one, now)]:
            del self._by_digest[digest]


def _place(url: str) -> object:
    """Return what a URL leads to, however it is encoded."""
    parts = urlsplit(url)
    return unquote(parts.path), parse_qsl(parts.query, keep_blank_values=True)


def _is_over(session: Session, now: float) -> bool:
    return now - session.used_at >= IDLE_SECONDS or now - session.began_at >= LONGEST_SECONDS


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_same(given: str | None, expected: str) -> bool:
    """Return whether a token is the expected one; it takes as long for each that is not."""
    return given is not None and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode()
    )
