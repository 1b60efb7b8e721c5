"""A token endpoint that replaces a refresh token in an answer that is of no other use."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import ACCESS_TOKEN, load_definition
from destinations.errors import StoreFullError, TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.oauth2 import Access, AccessTokens, KeptToken, TokenError, TokenKeeper
from destinations.operations.tokens import StoredTokens
from destinations.store import SealedValues, Sealer, SealingKey, make_sealing_key
from tests.destinations.oauth2.conftest import HandClock, Partner, answer, settings_of
from tests.oauth2_samples import SETTINGS, write_oauth2
from tests.stores import AnyStore, both_kinds, few_in_postgres, open_again

REQUEST = HttpRequest("GET", "https://p.example/me", {"Authorization": ACCESS_TOKEN}, None)
KEY = SealingKey.parse(make_sealing_key().reveal())
OLD, NEW = SETTINGS["refreshToken"], "the-refresh-token-that-is-new"
LOST = "the answer to an earlier renewal was lost"
UNUSABLE = "the answer to an earlier renewal could not be used: "

CRLF = {"access_token": "a\r\nb"}
MAC = {"access_token": "abc", "token_type": "mac"}


class KilledError(BaseException):
    """Ends what a process does, as a kill would: nothing handles it."""


class Steps:
    """A keeper and a transport of a process that ends at a step; one is before and after a call."""

    def __init__(self, keeper: TokenKeeper, partner: Partner, last: int = 0) -> None:
        self._keeper = keeper
        self._partner = partner
        self._last = last
        self.count = 0
        self.fails: list[Exception | None] = []

    def _step(self) -> None:
        self.count += 1
        if self.count == self._last:
            raise KilledError

    def load(self, name: str) -> tuple[KeptToken | None, str]:
        """See `TokenKeeper.load`."""
        return self._keeper.load(name)

    def save(self, name: str, token: KeptToken, version: str) -> str | None:
        """See `TokenKeeper.save`."""
        if self.fails and (error := self.fails.pop(0)) is not None:
            raise error
        self._step()
        found = self._keeper.save(name, token, version)
        self._step()
        return found

    def own(self, name: str, owner: str) -> None:
        """See `TokenKeeper.own`."""
        self._keeper.own(name, owner)

    @contextmanager
    def renewing(self, name: str, seconds: float) -> Iterator[None]:
        """See `TokenKeeper.renewing`."""
        with self._keeper.renewing(name, seconds):
            yield

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `Transport.send`."""
        self._step()
        found = self._partner.send(request)
        self._step()
        return found

    def close(self) -> None:
        """See `Transport.close`."""


class Bench:
    """Processes that keep tokens in one store, and the partner that they ask."""

    def __init__(self, store: AnyStore, path: Path) -> None:
        self.definition = load_definition(write_oauth2(path / "ledgerly", "refreshToken"))
        self.store = store
        self.partner = Partner()
        self.clock = HandClock()

    def process(self, last: int = 0) -> AbstractContextManager[tuple[Access, Steps]]:
        """Return a process of its own, which ends at a step (0: at none)."""

        @contextmanager
        def opened() -> Iterator[tuple[Access, Steps]]:
            with open_again(self.store) as again:
                sealed = SealedValues(again.database, Sealer(KEY))
                steps = Steps(StoredTokens(again, sealed), self.partner, last)
                access = AccessTokens(steps, self.clock).of(
                    self.definition, settings_of(self.definition)
                )
                assert access is not None
                yield access, steps

        return opened()

    def answers(self, given: Any, refresh: str = NEW, status: int = 200) -> None:
        """Let the partner take only ``refresh`` from the next request for a token on."""

        def replaced(partner: Partner) -> None:
            partner.refresh = refresh

        reply = given if isinstance(given, HttpResponse) else answer(given, status)
        self.partner.script.append(_after(replaced, reply))

    @property
    def sent(self) -> list[str]:
        """The refresh tokens that it was asked with."""
        return [form["refresh_token"] for form in self.partner.asked]


class _Replacing(Partner):
    """A partner whose scripted answers may replace the refresh token as they are given."""

    def _token(self, request: HttpRequest) -> HttpResponse:
        if self.script and isinstance(self.script[0], tuple):
            change, self.script[0] = self.script[0]
            change(self)
        return super()._token(request)


def _after(
    change: Callable[[Partner], None], reply: HttpResponse
) -> tuple[Callable[[Partner], None], HttpResponse]:
    return change, reply


@pytest.fixture
def bench(store: AnyStore, tmp_path: Path) -> Bench:
    """Return what starts processes with one store."""
    made = Bench(store, tmp_path)
    made.partner = _Replacing()
    return made


def _said(access: Access, steps: Steps) -> str:
    with pytest.raises(TokenError) as found:
        access.send(REQUEST, steps)
    return str(found.value)


SHAPES: list[tuple[str, Any, int, str]] = [
    ("crlf", CRLF, 200, "its access_token cannot be sent in a header"),
    ("mac", MAC, 200, "it gives tokens of the type 'mac': expected Bearer"),
    ("none", {}, 200, "HTTP 200 with JSON without access_token"),
    ("null", {"access_token": None}, 200, "HTTP 200 with JSON without access_token"),
    ("empty", {"access_token": " "}, 200, "its access_token is empty"),
    ("number", {"access_token": 7}, 200, "an access_token that is not text"),
    ("foreign", {"access_token": "é"}, 200, "its access_token cannot be sent in a header"),
    ("created", {}, 201, "HTTP 201 with JSON without access_token"),
    ("partial", CRLF, 206, "its access_token cannot be sent in a header"),
    ("error", {"error": "invalid_grant"}, 200, "invalid_grant; the refresh token was revoked"),
    ("told", {"error": "e", "error_description": f"use {NEW}"}, 200, "e: use ***; check"),
    ("later", {"error": "server_error"}, 200, "server_error"),
    ("error-object", {"error": {"message": "no"}}, 200, "HTTP 200 with JSON without access_token"),
]


@both_kinds
@few_in_postgres
@pytest.mark.parametrize("same", [True, False], ids=["same-process", "another-process"])
@pytest.mark.parametrize(
    ("shape", "status", "says"), [one[1:] for one in SHAPES], ids=[one[0] for one in SHAPES]
)
def test_the_refresh_token_of_an_answer_of_no_other_use(
    bench: Bench, shape: dict[str, Any], status: int, says: str, same: bool
) -> None:
    """It is kept, the message says what is wrong, and the next renewal is asked for with it."""
    bench.answers({**shape, "refresh_token": NEW}, status=status)
    with bench.process() as (access, steps):
        assert says in (message := _said(access, steps))
        assert NEW not in message
        bench.clock.go_on(10)
        if same:
            assert access.send(REQUEST, steps).status == 200
    if not same:
        with bench.process() as (access, steps):
            assert access.send(REQUEST, steps).status == 200
    assert bench.sent == [OLD, NEW]


@both_kinds
@few_in_postgres
@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, ""),
        ("", ""),
        (" ", ""),
        (7, " and its refresh_token is not text"),
        (True, " and its refresh_token is not text"),
        ({"value": NEW}, " and its refresh_token is not text"),
        ([NEW], " and its refresh_token is not text"),
    ],
)
def test_an_answer_without_a_refresh_token_of_use(bench: Bench, given: object, why: str) -> None:
    """The old one is sent again; where it is refused, the message says what the answer lacked."""
    bench.answers({**CRLF, "refresh_token": given})
    with bench.process() as (access, steps):
        assert "its access_token cannot be sent in a header" in _said(access, steps)
        bench.clock.go_on(10)
        # The partner takes no other than the one that came.
        assert f"{UNUSABLE}its access_token cannot be sent in a header{why})" in (
            said := _said(access, steps)
        )
    assert LOST not in said
    assert bench.sent == [OLD, OLD]
    with bench.process() as (access, steps):  # another process knows it as well
        assert UNUSABLE in _said(access, steps)


@both_kinds
@pytest.mark.parametrize("given", [7, [NEW]])
def test_a_token_beside_a_refresh_token_that_cannot_be_used(bench: Bench, given: object) -> None:
    """The access token is used; once the old refresh token is refused, the message says why."""
    good = {"access_token": "access-token-good", "expires_in": 3600, "refresh_token": given}
    bench.partner.good.add("access-token-good")
    bench.answers(good)
    with bench.process() as (access, steps):
        assert access.send(REQUEST, steps).status == 200
        bench.partner.revoke()
        assert f"{UNUSABLE}its refresh_token" in _said(access, steps)


@both_kinds
def test_a_refresh_token_that_stays(bench: Bench) -> None:
    """An answer with the same one says that it is still good: nothing is lost."""
    bench.answers({**MAC, "refresh_token": OLD}, refresh=OLD)
    with bench.process() as (access, steps):
        assert "of the type 'mac'" in _said(access, steps)
    with bench.process() as (access, steps):
        assert access.send(REQUEST, steps).status == 200
    assert bench.sent == [OLD, OLD]


@both_kinds
def test_refresh_tokens_that_are_replaced_again_and_again(bench: Bench) -> None:
    """Each answer brings another one; each is used once, and the last is what counts."""
    for number in range(4):
        bench.answers({"refresh_token": f"{NEW}-{number}"}, refresh=f"{NEW}-{number}")
    with bench.process() as (access, steps):
        for _ in range(4):
            assert "without access_token" in _said(access, steps)
            bench.clock.go_on(60)
        assert access.send(REQUEST, steps).status == 200
    assert bench.sent == [OLD, *(f"{NEW}-{number}" for number in range(4))]


@both_kinds
def test_a_good_token_outlives_an_answer_of_no_use(bench: Bench) -> None:
    """A renewal in time that fails so leaves the access token in use, and keeps what came."""
    with bench.process() as (access, steps):
        access.send(REQUEST, steps)
        bench.clock.go_on(3400)
        bench.answers({**CRLF, "refresh_token": NEW})
        assert access.send(REQUEST, steps).status == 200
        bench.clock.go_on(20)
        assert access.send(REQUEST, steps).status == 200
    assert bench.sent == [OLD, OLD, NEW]
    assert bench.partner.used == ["access-token-0001"] * 2 + ["access-token-0002"]


@both_kinds
def test_what_came_is_refused_later(bench: Bench) -> None:
    """The message says what was wrong with the answer, and not that it was lost."""
    bench.answers({**CRLF, "refresh_token": NEW})
    with bench.process() as (access, steps):
        _said(access, steps)
        bench.clock.go_on(10)
        bench.partner.refresh = "another one"
        said = _said(access, steps)
    assert f"{UNUSABLE}its access_token cannot be sent in a header)" in said
    assert LOST not in said
    assert bench.sent == [OLD, NEW]


@both_kinds
def test_an_answer_that_is_lost_after_one_of_no_use(bench: Bench) -> None:
    """The latest answer is what counts: its message is that of a lost one."""
    bench.answers({**CRLF, "refresh_token": NEW})
    with bench.process() as (access, steps):
        _said(access, steps)
        bench.clock.go_on(10)
        bench.partner.rotates = True
        bench.partner.script = [TransportError("the connection broke", sent=True)]
        assert "the connection broke" in _said(access, steps)
        bench.clock.go_on(10)
        said = _said(access, steps)
    assert LOST in said
    assert UNUSABLE not in said


@both_kinds
def test_a_refresh_token_that_cannot_be_kept_at_once(bench: Bench) -> None:
    """A full disk: it is kept before anything else is asked for, and then used."""
    bench.answers({**CRLF, "refresh_token": NEW})
    with bench.process() as (access, steps):
        steps.fails = [None, StoreFullError("no room"), StoreFullError("still no room")]
        assert "no room" in _said(access, steps)
        bench.clock.go_on(10)
        assert "still no room" in _said(access, steps)
        assert bench.sent == [OLD]
        bench.clock.go_on(10)
        assert access.send(REQUEST, steps).status == 200
    assert bench.sent == [OLD, NEW]


@both_kinds
@pytest.mark.parametrize("shape", [CRLF, MAC, {}], ids=["crlf", "mac", "none"])
def test_a_kill_in_between(bench: Bench, shape: dict[str, Any]) -> None:
    """Wherever it ends, the next process asks with what the store keeps, and says what it lacks."""
    # Before and after: the note of the renewal, the request, the new refresh token.
    for last, refresh, end in [
        (1, OLD, 200),
        (2, OLD, 200),
        (3, OLD, 200),
        (4, OLD, LOST),
        (5, OLD, LOST),
        (6, NEW, 200),
    ]:
        with open_again(bench.store) as again:
            sealed = SealedValues(again.database, Sealer(KEY))
            for name in sealed.names("oauth2/"):
                keeper = StoredTokens(again, sealed)
                keeper.save(name, KeptToken(), keeper.load(name)[1])
        bench.partner = _Replacing()
        bench.answers({**shape, "refresh_token": NEW})
        with bench.process(last) as (access, steps), contextlib.suppress(KilledError):
            access.send(REQUEST, steps)
            pytest.fail("it was not killed")
        bench.clock.go_on(10)
        bench.partner.script.clear()
        with bench.process() as (access, steps):
            if end == 200:
                assert access.send(REQUEST, steps).status == 200, last
            else:
                assert LOST in _said(access, steps), last
        assert bench.sent[-1] == refresh, last


def test_what_an_earlier_version_kept() -> None:
    """It says nothing of an answer of no use."""
    data = json.loads(KeptToken("t", issue="its access_token is empty").to_json())
    assert KeptToken.from_json(json.dumps(data)).issue == "its access_token is empty"
    del data["issue"]
    assert KeptToken.from_json(json.dumps(data)) == KeptToken("t")
