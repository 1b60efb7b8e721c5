"""Hold the token of an account for all threads, and renew it: one at a time, and in time."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from destinations.clock import WallClock
from destinations.errors import DestinationsError
from destinations.http.answer import Failure
from destinations.http.transport import Transport
from destinations.oauth2.answers import RULE, TokenAnswer, TokenError
from destinations.oauth2.endpoint import TokenEndpoint
from destinations.oauth2.keeping import DEFAULT_LIFETIME, KeptToken, TokenKeeper
from destinations.secrets import NO_TOKEN

__all__ = ["TokenHolder"]

_LOG: Final = logging.getLogger("destinations.oauth2")

_EARLIEST: Final = 300.0
_SHARE: Final = 0.2
"""A token is renewed when a fifth of its life is left, but at most 5 minutes before it ends."""

_AGAIN: Final = 1.0
_LONGEST_AGAIN: Final = 60.0
_REFUSED_AGAIN: Final = 5.0
_EARLY_AGAIN: Final = 15.0
"""Seconds before it is asked again: after a failure (doubled each time, up to the longest), after a
refusal, while the old one is good."""

_LONGEST_ASKED: Final = 3600.0
"""The most seconds for which a `Retry-After` is heeded."""

_DOUBTED: Final = 300.0
"""Seconds before a token is renewed because of a 401 that was itself got because of one.

So it is as long as the partner has not accepted it: it may refuse whatever it issues.
"""

_PATIENCE: Final = 30.0
"""Seconds to wait for another process that renews, beyond the longest time of a request."""

_PAST: Final = 6
"""How many secrets are masked that were of use before: partners repeat them in late answers."""

_LOST_NOTE: Final = (
    " (the answer to an earlier renewal was lost, and with it the token that it had)"
)


class TokenHolder:
    """The token of one account, which the threads of a process share; ``name`` is how it is kept.

    What is kept counts: other processes renew it as well.
    """

    def __init__(self, name: str, keeper: TokenKeeper, clock: WallClock) -> None:
        self._name = name
        self._keeper = keeper
        self._clock = clock
        self._lock = threading.Lock()
        # Held by who renews; `_lock` is only for the values below.
        self._renewing = threading.Lock()
        self._token: str | None = None
        self._renew_at = self._expires_at = 0.0
        self._ask_at = 0.0
        # Of the token: whether it was got because of a 401, and when; whether the partner has
        # accepted it since, and whether it refused it, so that it is not sent again.
        self._after_401 = False
        self._got_at = 0.0
        self._is_accepted = self._is_refused = False
        self._failures = 0
        self._error: TokenError | None = None
        # Got, but not kept: it must not be used before it is, as it has a new refresh token.
        self._unsaved: tuple[KeptToken, KeptToken, str] | None = None
        self._past: deque[str] = deque(maxlen=_PAST)

    def secrets(self) -> Sequence[str]:
        """Return the tokens that must not be shown: those of now, and the last before them."""
        with self._lock:
            return tuple(self._past)

    def current(self, endpoint: TokenEndpoint, transport: Transport) -> str:
        """Return a token that is good as far as is known, renewed if it ends soon.

        Raises `TokenError`.
        """
        with self._lock:
            now, token = self._clock.monotonic(), self._token
            rejected = token if self._is_refused else None
            if token is None or rejected is not None:
                is_good = False
            elif now < self._renew_at:
                return token
            else:
                is_good = now < self._expires_at
                if is_good and now < self._ask_at:
                    return token
        if not is_good or token is None:
            return self._renewed(endpoint, transport, rejected=rejected)
        # It is still good: the others go on while one thread renews it.
        if not self._renewing.acquire(blocking=False):
            return token
        try:
            return self._renew(endpoint, transport, rejected=None)
        except TokenError as error:
            with self._lock:
                wait = max(_EARLY_AGAIN, _asked_to_wait(error))
                self._ask_at = self._clock.monotonic() + wait
            _LOG.warning("access token not renewed yet, the old one is still good: %s", error)
            return token
        finally:
            self._renewing.release()

    def instead_of(
        self,
        rejected: str,
        endpoint: TokenEndpoint,
        transport: Transport,
        *,
        is_test: bool = False,
    ) -> str | None:
        """Return a token in place of one that the partner rejects; raises `TokenError`.

        Returns None if there is none, and another one would be no better: this one was got for the
        same reason. Whether it is refused, or only this request, is for the authentication test to
        say: only a refusal of that (``is_test``) renews it, at once if the partner has accepted it
        since, as then it was revoked, else some time later.
        """
        with self._lock:
            now = self._clock.monotonic()
            is_other = self._token is not None and self._token != rejected
            if is_other and not self._is_refused and now < self._expires_at:
                return self._token
            may_renew = is_other or self._may_be_renewed(now, is_test=is_test)
            if may_renew and not is_other:
                self._is_refused = True
        if not may_renew:
            return self._of_another(rejected)
        return self._renewed(endpoint, transport, rejected=rejected)

    def _may_be_renewed(self, now: float, *, is_test: bool) -> bool:
        """Return whether the token is to be renewed because of a 401; under the lock."""
        if not self._after_401:
            return True
        return is_test and (self._is_accepted or now - self._got_at >= _DOUBTED)

    def is_replaced(self, token: str) -> bool:
        """Return whether another token is used by now, and this one not any more."""
        with self._lock:
            return self._token is not None and self._token != token and not self._is_refused

    def _of_another(self, rejected: str) -> str | None:
        """Return the token that another process has got since; None if there is none."""
        try:
            kept, _ = self._keeper.load(self._name)
        except DestinationsError:
            return None
        if kept is None or not self._is_of_use(kept, rejected):
            return None
        return self._take(kept, is_accepted=False)

    def accepted(self, token: str) -> None:
        """Note that the partner has accepted a token."""
        if not self._is_accepted or self._is_refused:
            with self._lock:
                if token == self._token:
                    self._is_accepted, self._is_refused = True, False

    def _renewed(
        self, endpoint: TokenEndpoint, transport: Transport, *, rejected: str | None
    ) -> str:
        """Wait for a thread that renews, and renew if it did not."""
        with self._renewing:
            with self._lock:
                now, token = self._clock.monotonic(), self._token
                if self._is_refused:
                    rejected = token
                elif token is not None and token != rejected and now < self._renew_at:
                    return token
                if self._error is not None and now < self._ask_at:
                    raise _again_in(self._error, self._ask_at - now)
            try:
                return self._renew(endpoint, transport, rejected=rejected)
            except TokenError as error:
                wait = _REFUSED_AGAIN
                if not error.is_refused:
                    wait = min(_LONGEST_AGAIN, _AGAIN * 2.0 ** min(self._failures, 10))
                    self._failures += 1
                wait = max(wait, _asked_to_wait(error))
                with self._lock:
                    self._error, self._ask_at = error, self._clock.monotonic() + wait
                if error.is_refused:
                    _LOG.info("%s", error)
                raise _again_in(error, wait) from None

    def _renew(self, endpoint: TokenEndpoint, transport: Transport, *, rejected: str | None) -> str:
        """Renew the token, unless another process has; only one thread is here."""
        try:
            with self._keeper.renewing(self._name, _PATIENCE):
                kept, version = self._saved()
                # One that was there may have been accepted by others; this process may find out.
                is_accepted = rejected is None
                if not self._is_of_use(kept, rejected):
                    is_accepted = False
                    kept = self._asked(
                        kept, version, endpoint, transport, after_401=rejected is not None
                    )
        except TokenError:
            raise
        except DestinationsError as error:
            message = f"{NO_TOKEN} {endpoint.shown}: {error}"
            raise _not_kept(message) from None
        return self._take(kept, is_accepted=is_accepted)

    def _saved(self) -> tuple[KeptToken, str]:
        """Return what is kept, and its version; first keeps what could not be kept before."""
        if self._unsaved is not None:
            self._replaced(*self._unsaved)
            self._unsaved = None  # it is kept, or another process has renewed it since
        kept, version = self._keeper.load(self._name)
        kept = kept or KeptToken()
        self._remember(kept.access_token, kept.refresh_token)
        return kept, version

    def _is_of_use(self, kept: KeptToken, rejected: str | None) -> bool:
        if kept.access_token is None or kept.access_token == rejected:
            return False
        with self._lock:
            # The wall clock may have been set back since; the one that it is held by goes on.
            if kept.access_token == self._token and self._clock.monotonic() >= self._renew_at:
                return False
        return kept.remaining(self._clock.time()) > _margin(kept)

    def _asked(
        self,
        kept: KeptToken,
        version: str,
        endpoint: TokenEndpoint,
        transport: Transport,
        *,
        after_401: bool,
    ) -> KeptToken:
        """Ask for a new token, and keep it; if it has another refresh token, before its first use.

        That a renewal has begun is kept before it does: only so a process that comes after one that
        was killed in between knows why its refresh token may be refused.
        """
        seed = endpoint.refresh_token
        refresh = None if seed is None else kept.refresh_token or seed
        before = kept
        if refresh is not None and not kept.is_lost:
            before = replace(kept, is_lost=True, issue="")
            version = self._keep(before, kept, version, endpoint)
        try:
            answer = endpoint.ask(refresh, transport, _note_on(kept))
        except TokenError as error:
            if refresh is not None and error.refresh_token is not None:
                self._keep_refresh_token(error, refresh, before, version)
            elif refresh is not None and error.is_lost and error.issue:
                self._keep_if_possible(replace(before, issue=error.issue), before, version)
            elif before is not kept and not error.is_lost:
                self._keep(kept, before, version, endpoint)  # it was answered, or never sent
            raise
        self._remember(answer.access_token, answer.refresh_token)
        if answer.lifetime is None:
            _LOG.info(
                "the OAuth2 server names no expires_in: the access token is renewed within an "
                "hour, or once it is refused"
            )
        made = self._made(kept, answer, after_401=after_401)
        try:
            saved = self._replaced(made, before, version)
        except DestinationsError:
            if answer.refresh_token in (None, refresh):
                return made  # there is nothing new to lose
            self._unsaved = made, before, version
            raise
        if saved is None:  # only where the lock was lost: what is kept may be newer
            _LOG.warning("another process renewed an access token at the same time")
            found, _ = self._keeper.load(self._name)
            return found if found is not None and found.access_token is not None else made
        return made

    def _keep_refresh_token(
        self, error: TokenError, sent: str, before: KeptToken, version: str
    ) -> None:
        """Keep the refresh token of an answer that has no access token of use.

        With it the next renewal is asked for, so nothing is lost.
        """
        self._remember(error.refresh_token)
        made = replace(before, refresh_token=error.refresh_token, is_lost=False, issue=error.issue)
        if error.refresh_token == sent:
            self._keep_if_possible(made, before, version)
            return
        try:
            saved = self._replaced(made, before, version)
        except DestinationsError:
            self._unsaved = made, before, version
            raise
        if saved is None:  # only where the lock was lost: what is kept may be newer
            _LOG.warning("another process renewed an access token at the same time")

    def _keep_if_possible(self, token: KeptToken, known: KeptToken, version: str) -> None:
        """Keep what only explains; without it, nothing is lost."""
        if token == known:
            return
        with contextlib.suppress(DestinationsError):
            self._replaced(token, known, version)

    def _keep(
        self, token: KeptToken, known: KeptToken, version: str, endpoint: TokenEndpoint
    ) -> str:
        saved = self._replaced(token, known, version)
        if saved is None:
            message = f"{NO_TOKEN} {endpoint.shown}: another process renews it now"
            raise _not_kept(message)
        return saved

    def _replaced(self, token: KeptToken, known: KeptToken, version: str) -> str | None:
        """Keep a token in place of one, which may have been sealed anew since; else return None."""
        saved = self._keeper.save(self._name, token, version)
        if saved is None:
            found, version = self._keeper.load(self._name)
            if found == known:
                saved = self._keeper.save(self._name, token, version)
        return saved

    def _made(self, kept: KeptToken, answer: TokenAnswer, *, after_401: bool) -> KeptToken:
        return KeptToken(
            answer.access_token,
            self._clock.time(),
            answer.lifetime,
            answer.refresh_token or kept.refresh_token,
            after_401=after_401,
            issue=answer.issue,
        )

    def _take(self, kept: KeptToken, *, is_accepted: bool) -> str:
        token = kept.access_token or ""
        wall = self._clock.time()
        remaining = kept.remaining(wall)
        self._remember(kept.access_token, kept.refresh_token)
        with self._lock:
            now = self._clock.monotonic()
            self._after_401, self._failures = kept.after_401, 0
            self._got_at = now - max(0.0, wall - kept.obtained_at)
            self._is_accepted, self._is_refused = is_accepted, False
            self._token, self._error = token, None
            self._expires_at = now + remaining
            self._renew_at = now + max(0.0, remaining - _margin(kept))
            self._ask_at = 0.0
        return token

    def _remember(self, *secrets: str | None) -> None:
        with self._lock:
            for one in secrets:
                if one is not None and one not in self._past:
                    self._past.append(one)


def _note_on(kept: KeptToken) -> str:
    """Return what may explain that the refresh token is refused."""
    if kept.issue:
        return f" (the answer to an earlier renewal could not be used: {kept.issue})"
    return _LOST_NOTE if kept.is_lost else ""


def _margin(kept: KeptToken) -> float:
    """Return how many seconds before its end a token is renewed."""
    life = DEFAULT_LIFETIME if kept.lifetime is None else kept.lifetime
    return min(_EARLIEST, life * _SHARE)


def _asked_to_wait(error: TokenError) -> float:
    return min(_LONGEST_ASKED, error.failure.retry_after or 0.0)


def _again_in(error: TokenError, seconds: float) -> TokenError:
    """Return the error for a request that needs a token, with the time until one is asked for.

    Deliveries wait that long. Where the credentials are refused, the destination pauses.
    """
    if error.is_refused:
        return TokenError(error.failure)
    return TokenError(replace(error.failure, retry_after=seconds), is_lost=error.is_lost)


def _not_kept(message: str) -> TokenError:
    """Return the error for tokens that cannot be kept: nothing can be asked before they can."""
    return TokenError(
        Failure(
            message,
            "unavailable",
            0,
            retryable=True,
            nothing_applied=True,
            for_operator=True,
            attempted=False,
            rule=RULE,
        )
    )
