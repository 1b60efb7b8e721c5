"""Play what may go wrong with access tokens (OAuth2), from an expired one to two workers.

The partner is scripted, the tokens are got and renewed by the runtime itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl

from destinations.definition import OAuth2Definition
from destinations.http import HttpResponse
from destinations.kit.testing.case import RecordedRequest
from destinations.kit.testing.difference import Difference
from destinations.kit.testing.faults import RETRY_AFTER
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.wire import Reply
from destinations.oauth2 import AccessTokens, KeptToken, MemoryKeeper, TokenEndpoint
from destinations.outcome import Outcome, Result, State

__all__ = ["TokenFaultResult", "TokenScript", "play_token_fault", "token_fault_names"]

_KEPT: Final = "kept-access-token"
_LIFE: Final = 3600.0
_OFF: Final = 600.0
"""How wrong a clock is."""

Play = Callable[["TokenScript"], Sequence[Result]]
"""Delivers the sample payload of an action with the tokens of a script."""


class _Keeper(MemoryKeeper):
    """Keeps one token, under whatever name."""

    def __init__(self, kept: KeptToken) -> None:
        super().__init__()
        self.last = kept
        self._version = "1"

    def load(self, name: str) -> tuple[KeptToken | None, str]:  # noqa: ARG002 - there is one
        """See `TokenKeeper.load`."""
        return self.last, self._version

    def save(self, name: str, token: KeptToken, version: str) -> str | None:  # noqa: ARG002 - as above
        """See `TokenKeeper.save`."""
        if version != self._version:
            return None
        self.last, self._version = token, f"{int(version) + 1}"
        return self._version


@dataclass
class TokenScript:
    """A partner's token endpoint, and what it takes for a token.

    ``plan`` has its next answers: one of the wire, or what is done before the usual one is given.
    ``good`` are the tokens that the partner takes, ``refresh`` is the refresh token that it takes.
    """

    oauth2: OAuth2Definition
    kept: KeptToken = field(default_factory=KeptToken)
    plan: list[Reply | Callable[[TokenScript], Reply]] = field(default_factory=list)
    good: set[str] = field(default_factory=set)
    refresh: str = ""
    answer: Mapping[str, Any] = field(default_factory=lambda: {"expires_in": int(_LIFE)})
    rotates: bool = False
    takes_none: bool = False
    forever: Reply | None = None
    asked: list[Mapping[str, str]] = field(default_factory=list)
    refused: int = 0
    tokens: AccessTokens | None = None
    """What holds the tokens; None for that of a new process."""
    keeper: _Keeper | None = None
    url: str = ""

    def open(self, clock: StillClock, endpoint: TokenEndpoint) -> AccessTokens:
        """Return what gets the tokens, for a process with this clock."""
        self.url = endpoint.url()
        self.refresh = self.refresh or endpoint.refresh_token or ""
        if self.keeper is None:
            self.keeper = _Keeper(
                replace(self.kept, obtained_at=clock.time() + self.kept.obtained_at)
            )
        if self.tokens is None:
            self.tokens = AccessTokens(self.keeper, clock)
        return self.tokens

    def reply(self, request: RecordedRequest) -> Reply | None:
        """Return the answer to a request for a token, or with one that is not taken; else None."""
        if request.url.partition("?")[0] != self.url.partition("?")[0]:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token in self.good and not self.takes_none:
                return None
            self.refused += 1
            return _json({"message": "the token is not taken"}, 401)
        form = dict(parse_qsl(request.body or ""))
        self.asked.append(form)
        planned = self.plan.pop(0) if self.plan else self.forever
        if callable(planned):
            return planned(self)
        return self.issue() if planned is None else planned

    def issue(self) -> Reply:
        """Return a new token, or refuse the refresh token."""
        form = self.asked[-1]
        if self.oauth2.refresh_token is not None and form.get("refresh_token") != self.refresh:
            return _refusal(self)
        token = f"access-token-{len(self.asked)}"
        self.good.add(token)
        made = {"access_token": token, "token_type": "Bearer", **self.answer}
        if self.rotates and self.oauth2.refresh_token is not None:
            self.refresh = f"refresh-token-{len(self.asked)}"
            made["refresh_token"] = self.refresh
        return _json(made)


@dataclass(frozen=True, slots=True)
class TokenFaultResult:
    """The results of the events, the number of requests for tokens, and the differences."""

    results: Sequence[Result]
    asked: int
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class _Fault:
    """A fault: a script, how often a token may be asked for, and the outcome of events.

    ``again`` prepares the partner for a second delivery, by the same process or by another one.
    ``says`` is a part of the reason, ``refused`` how often a token may be sent that is refused.
    """

    script: Mapping[str, Any]
    asked: int
    outcome: Outcome | State = Outcome.DELIVERED
    again: Callable[[TokenScript], None] | None = None
    says: str = ""
    only: str = ""
    refused: int | None = None


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    named = {"content-type": "application/json", **(headers or {})}
    return HttpResponse(status, named, json.dumps(value).encode())


def _refusal(script: TokenScript) -> Reply:
    """Return what an OAuth2 server says of credentials that it does not take any more."""
    is_refresh = script.oauth2.refresh_token is not None
    code, status = ("invalid_grant", 400) if is_refresh else ("invalid_client", 401)
    return _json({"error": code}, status)


def _lost(script: TokenScript) -> Reply:
    """Make a token, and lose the answer."""
    script.issue()
    return "lost"


def _by_the_same_process(script: TokenScript) -> None:
    script.good.clear()


def _by_another_process(script: TokenScript) -> None:
    script.good.clear()
    script.tokens = None


_PAGE: Final = HttpResponse(
    200, {"content-type": "text/html"}, b"<html><body>Sign in</body></html>"
)
_REDIRECT: Final = HttpResponse(302, {"location": "https://login.example.com/"}, b"")
_GOOD: Final = KeptToken(_KEPT, 0.0, _LIFE)


def _kept(age: float, life: float = _LIFE) -> dict[str, Any]:
    return {"kept": KeptToken(_KEPT, -age, life), "good": {_KEPT}}


_FAULTS: Final[Mapping[str, _Fault]] = {
    "access token: expired": _Fault({"kept": _GOOD}, 1),
    "access token: about to expire": _Fault(_kept(_LIFE - 1), 1),
    "access token: revoked, with its grant": _Fault(
        {"kept": _GOOD, "forever": _refusal}, 1, State.READY, says="no access token from"
    ),
    "access token: refused, though it is new": _Fault({"takes_none": True}, 2, State.READY),
    "access token: refused, and no other can be got": _Fault(
        {"kept": _GOOD, "forever": _json({}, 503)},
        *(-1, State.READY),
        again=_by_the_same_process,
        says="no access token from",
        refused=1,
    ),
    "access token: without expires_in": _Fault({"answer": {}}, 1),
    "access token: expires_in as text": _Fault({"answer": {"expires_in": "3600"}}, 1),
    "access token: two workers": _Fault({"kept": _GOOD, "rotates": True}, 1),
    "access token: a clock 10 minutes ahead": _Fault(_kept(_OFF), 0),
    "access token: a clock 10 minutes behind": _Fault(_kept(-_OFF), 0),
    "access token: a clock 10 minutes ahead, 5 minutes of life": _Fault(_kept(_OFF, 300.0), 1),
    "refresh token: replaced": _Fault(
        {"rotates": True}, 2, again=_by_the_same_process, only="refreshToken"
    ),
    "refresh token: replaced, and the process ends": _Fault(
        {"rotates": True}, 2, again=_by_another_process, only="refreshToken"
    ),
    "refresh token: replaced, and the answer lost": _Fault(
        {"rotates": True, "plan": [_lost]},
        2,
        State.READY,
        says="the answer to an earlier renewal was lost",
        only="refreshToken",
    ),
    "token endpoint: answer lost, once": _Fault({"plan": [_lost]}, 2),
    "token endpoint: no connection, once": _Fault({"plan": ["refused"]}, 2),
    "token endpoint: 503, once": _Fault({"plan": [_json({}, 503)]}, 2),
    "token endpoint: 429 with Retry-After, once": _Fault(
        {"plan": [_json({}, 429, {"retry-after": str(RETRY_AFTER)})]}, 2
    ),
    "token endpoint: redirect, once": _Fault({"plan": [_REDIRECT]}, 2),
    "token endpoint: HTML, once": _Fault({"plan": [_PAGE]}, 2),
    "token endpoint: HTML": _Fault({"forever": _PAGE}, -1, State.READY, says="with HTML: expected"),
}
"""What may go wrong; a token that is asked for -1 times may be asked for again and again."""


def token_fault_names(oauth2: OAuth2Definition) -> Iterator[str]:
    """Yield the names of all faults that a definition with these keys can meet."""
    for name, fault in _FAULTS.items():
        if fault.only in {"", oauth2.grant}:
            yield name


def play_token_fault(name: str, oauth2: OAuth2Definition, play: Play) -> TokenFaultResult:
    """Deliver with a fault, and compare the outcome and the requests for tokens."""
    fault = _FAULTS[name]
    script = TokenScript(oauth2, **{key: _copied(value) for key, value in fault.script.items()})
    workers = 2 if "two workers" in name else 1
    results: list[Result] = []
    for number in range(workers):
        if number:
            script.tokens = None  # another process, which has the token of before
        results += play(script)
    if fault.again is not None:
        fault.again(script)
        results += play(script)
    found = [
        Difference(f"{name}: {what}", expected, got)
        for what, expected, got in _differences(name, fault, script, results)
    ]
    return TokenFaultResult(results, len(script.asked), found)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, list | set) else value


def _differences(
    name: str, fault: _Fault, script: TokenScript, results: Sequence[Result]
) -> Iterator[tuple[str, object, object]]:
    for result in results:
        if result.outcome is not fault.outcome:
            yield "outcome", fault.outcome.value, f"{result.outcome.value} ({result.reason})"
        elif fault.says not in result.reason:
            yield "reason", fault.says, result.reason
        elif fault.outcome is Outcome.DELIVERED and fault.asked == 1 and result.attempts != 1:
            yield "attempts", 1, result.attempts
    asked = len(script.asked)
    if fault.asked >= 0 and asked != fault.asked:
        yield "tokens asked for", fault.asked, asked
    if fault.refused is not None and script.refused != fault.refused:
        yield "refused tokens sent", fault.refused, script.refused
    kept = None if script.keeper is None else script.keeper.last.refresh_token
    if "refresh token: replaced" in name and fault.outcome is Outcome.DELIVERED:
        if kept != script.refresh:
            yield "kept refresh token", script.refresh, kept
        if len({form.get("refresh_token") for form in script.asked}) != asked:
            yield "refresh tokens sent", "each once", "one twice"
