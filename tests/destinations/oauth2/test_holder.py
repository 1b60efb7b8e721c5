from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from destinations.definition import ACCESS_TOKEN
from destinations.errors import StoreFullError, TemporaryError, TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.oauth2 import Access, AccessTokens, KeptToken, MemoryKeeper, TokenError
from tests.destinations.oauth2.conftest import HandClock, Make, Partner, answer, settings_of

REQUEST = HttpRequest("GET", "https://p.example/me", {"Authorization": ACCESS_TOKEN}, None)


class Keeper(MemoryKeeper):
    """Keeps in memory, as a store does it; what fails is said by a test."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[KeptToken] = []
        self.fails: list[Exception] = []
        self.locked = threading.Lock()
        self.before: Callable[[], None] = lambda: None

    def save(self, name: str, token: KeptToken, version: str) -> str | None:
        """See `TokenKeeper.save`."""
        if self.fails and (error := self.fails.pop(0)) is not None:
            raise error
        if self.load(name)[1] != version:
            return None
        self.saved.append(token)
        return super().save(name, token, version)

    def renewing(self, name: str, seconds: float) -> AbstractContextManager[None]:  # noqa: ARG002 - as the base has it
        """See `TokenKeeper.renewing`."""

        @contextmanager
        def held() -> Iterator[None]:
            self.before()
            with self.locked:
                yield

        return held()


def _access(make: Make, keeper: MemoryKeeper, clock: HandClock, grant: str = "") -> Access:
    definition = make(grant or "clientCredentials")
    found = AccessTokens(keeper, clock).of(definition, settings_of(definition))
    assert found is not None
    return found


def test_one_token_for_many_requests(make: Make, clock: HandClock) -> None:
    """A token is asked for once, by HTTP Basic, and then sent with each request."""
    partner = Partner()
    access = _access(make, Keeper(), clock)
    answers = [access.send(REQUEST, partner).status for _ in range(3)]
    assert answers == [200, 200, 200]
    assert partner.asked == [{"grant_type": "client_credentials", "scope": "usage:write"}]
    (request,) = partner.token_requests
    assert request.url == "https://api.ledgerly.example/oauth/token"
    assert request.headers["Authorization"].startswith("Basic ")
    assert partner.used == ["access-token-0001"] * 3


def test_credentials_in_the_body(make: Make, clock: HandClock) -> None:
    """With clientAuthentication: body they are fields, beside the further parameters."""
    partner = Partner()
    definition = make(clientAuthentication="body", parameters={"audience": "https://a.example"})
    access = AccessTokens(None, clock).of(definition, settings_of(definition))
    assert access is not None
    access.send(REQUEST, partner)
    assert partner.asked == [
        {
            "grant_type": "client_credentials",
            "scope": "usage:write",
            "audience": "https://a.example",
            "client_id": "client-0042",
            "client_secret": "placeholder-clientSecret",
        }
    ]
    assert "Authorization" not in partner.token_requests[0].headers


@pytest.mark.parametrize(
    ("lifetime", "still", "renewed"),
    [(3600, 3299, 3301), ("600", 479, 481), (None, 3299, 3301), (10, 7, 9), (0, 3299, 3301)],
)
def test_a_token_is_renewed_before_it_expires(
    make: Make, clock: HandClock, lifetime: object, still: float, renewed: float
) -> None:
    """With a fifth of its life left, at most 5 minutes; without `expires_in` it lives an hour."""
    partner = Partner(lifetime=lifetime)
    access = _access(make, Keeper(), clock)
    access.send(REQUEST, partner)
    clock.go_on(still)
    access.send(REQUEST, partner)
    assert partner.count == 1
    clock.go_on(renewed - still)
    access.send(REQUEST, partner)
    assert partner.used == ["access-token-0001", "access-token-0001", "access-token-0002"]


def test_a_token_that_cannot_be_renewed_in_time_is_used_until_it_ends(
    make: Make, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    """While the OAuth2 server is away, the old token goes on, and it is not asked each time."""
    partner = Partner()
    access = _access(make, Keeper(), clock)
    access.send(REQUEST, partner)
    clock.go_on(3400)
    partner.script = [answer({}, 503)]
    with caplog.at_level(logging.WARNING):
        assert access.send(REQUEST, partner).status == 200
    assert "not renewed yet, the old one is still good" in caplog.text
    assert access.send(REQUEST, partner).status == 200
    assert len(partner.asked) == 2
    clock.go_on(20)
    assert access.send(REQUEST, partner).status == 200
    assert partner.used[-1] == "access-token-0002"


def test_a_refused_token_is_renewed_once(make: Make, clock: HandClock) -> None:
    """After a 401 the request is sent again with a new token; a second 401 is the answer."""
    partner = Partner()
    access = _access(make, Keeper(), clock)
    access.send(REQUEST, partner)
    partner.revoke()
    assert access.send(REQUEST, partner).status == 200
    assert partner.used == ["access-token-0001", "access-token-0001", "access-token-0002"]
    # The API refuses whatever is issued: it is not asked for again and again.
    partner.good = set()
    partner.script = [lambda it: it.good.clear()] * 9

    class Refusing(Partner):
        def send(self, request: HttpRequest) -> HttpResponse:
            found = partner.send(request)
            return found if request.for_token else HttpResponse(401, {}, b"")

    refusing = Refusing()
    before = len(partner.asked)
    assert [access.send(REQUEST, refusing).status for _ in range(4)] == [401] * 4
    assert len(partner.asked) == before
    # The authentication test says whether it is the token.
    assert [access.send(REQUEST, refusing, is_test=True).status for _ in range(4)] == [401] * 4
    assert len(partner.asked) == before + 1
    clock.go_on(301)
    access.send(REQUEST, refusing)
    assert len(partner.asked) == before + 1
    access.send(REQUEST, refusing, is_test=True)
    assert len(partner.asked) == before + 2


def test_a_token_that_another_process_replaced_in_between(make: Make, clock: HandClock) -> None:
    """A new token that is refused at once: what another process has got since is used instead."""
    partner, keeper = Partner(rotates=True), Keeper()
    one = _access(make, keeper, clock, "refreshToken")
    one.send(REQUEST, partner)
    partner.revoke()

    class Between(Partner):
        """Lets the other process replace the token before the new one is used."""

        def send(self, request: HttpRequest) -> HttpResponse:
            if request.headers["Authorization"].endswith("access-token-0002"):
                partner.revoke()
                other = _access(make, keeper, clock, "refreshToken")
                assert other.send(REQUEST, partner, is_test=True).status == 200
            return partner.send(request)

    assert one.send(REQUEST, Between()).status == 200
    assert partner.count == 3
    assert partner.used[-1] == "access-token-0003"


def test_a_new_refresh_token_is_kept_before_the_token_is_used(make: Make, clock: HandClock) -> None:
    """What replaces a refresh token is durable first; the request comes after that."""
    partner, keeper = Partner(rotates=True), Keeper()
    access = _access(make, keeper, clock, "refreshToken")
    access.send(REQUEST, partner)
    assert [one.is_lost for one in keeper.saved] == [True, False]
    assert keeper.saved[-1].refresh_token == "refresh-token-0001"
    partner.revoke()
    access.send(REQUEST, partner)
    assert [form["refresh_token"] for form in partner.asked] == [
        "placeholder-refreshToken",
        "refresh-token-0001",
    ]
    # Another process, with the same settings, goes on where this one is.
    other = _access(make, keeper, clock, "refreshToken")
    assert other.send(REQUEST, partner).status == 200
    assert len(partner.asked) == 2


def test_a_new_refresh_token_that_cannot_be_kept_is_not_used(make: Make, clock: HandClock) -> None:
    """A full disk: no request goes out with it until it is kept, and it is not asked for again."""
    partner, keeper = Partner(rotates=True), Keeper()
    access = _access(make, keeper, clock, "refreshToken")
    access.send(REQUEST, partner)
    partner.revoke()
    keeper.fails = [None, StoreFullError("no room")]  # type: ignore[list-item]  # None lets one pass
    with pytest.raises(TokenError, match="no room") as found:
        access.send(REQUEST, partner)
    assert found.value.failure.retryable
    assert partner.used[-1] == "access-token-0001"  # not with the new one
    clock.go_on(2)
    assert access.send(REQUEST, partner).status == 200
    assert len(partner.asked) == 2
    assert keeper.saved[-1].refresh_token == "refresh-token-0002"


def test_nothing_is_asked_for_where_nothing_can_be_kept(make: Make, clock: HandClock) -> None:
    """A refresh token is only used once it is noted that it is: else a kill could lose its heir."""
    partner, keeper = Partner(rotates=True), Keeper()
    access = _access(make, keeper, clock, "refreshToken")
    keeper.fails = [TemporaryError("the store is away")]
    with pytest.raises(TokenError, match="the store is away"):
        access.send(REQUEST, partner)
    assert partner.asked == []


def test_the_answer_is_lost_while_the_token_is_replaced(make: Make, clock: HandClock) -> None:
    """The old refresh token is tried again; refused, the message says what may have happened."""
    partner, keeper = Partner(rotates=True), Keeper()
    access = _access(make, keeper, clock, "refreshToken")
    partner.script = [TransportError("the connection broke", sent=True)]
    with pytest.raises(TokenError, match="the connection broke") as lost:
        access.send(REQUEST, partner)
    assert lost.value.failure.retryable
    clock.go_on(2)
    with pytest.raises(TokenError) as found:
        access.send(REQUEST, partner)
    assert found.value.is_refused
    message = found.value.failure.message
    assert "the answer to an earlier renewal was lost" in message
    assert (
        "authorize again, put the new refresh token into the setting refreshToken, and reload"
        in message
    )


def test_a_request_that_was_never_sent_loses_nothing(make: Make, clock: HandClock) -> None:
    """Without a connection nothing was replaced, so nothing is noted as lost."""
    partner, keeper = Partner(rotates=True), Keeper()
    access = _access(make, keeper, clock, "refreshToken")
    partner.script = [TransportError("no connection", sent=False)]
    with pytest.raises(TokenError, match="no connection"):
        access.send(REQUEST, partner)
    assert not keeper.saved[-1].is_lost
    clock.go_on(2)
    assert access.send(REQUEST, partner).status == 200


@pytest.mark.parametrize("off", [-600.0, 600.0])
@pytest.mark.parametrize("lifetime", [300, 3600])
def test_a_clock_that_is_10_minutes_off_does_no_harm(
    make: Make, clock: HandClock, off: float, lifetime: int
) -> None:
    """Two processes, one of them on a machine with a wrong clock: all requests succeed."""
    partner, keeper, wrong = Partner(lifetime=lifetime, rotates=True), Keeper(), HandClock()
    one = _access(make, keeper, clock, "refreshToken")
    other = _access(make, keeper, wrong, "refreshToken")
    wrong.wall += off
    born: dict[str, float] = {}
    for step in range(0, 7200, 60):
        now = clock.mono
        # The partner's tokens end by its own time.
        partner.good = {token for token in partner.good if now - born[token] < lifetime}
        for access in (one, other):
            assert access.send(REQUEST, partner).status == 200, step
            born = {token: born.get(token, now) for token in partner.good}
        clock.go_on(60)
        wrong.go_on(60)
    most = 7200 / lifetime * 3
    assert len(partner.asked) <= most


def test_a_clock_that_is_set_back_does_not_keep_a_token_forever(
    make: Make, clock: HandClock
) -> None:
    """A token is never taken to live longer than the partner said."""
    kept = KeptToken("t", obtained_at=clock.time() + 86_400, lifetime=3600.0)
    assert kept.remaining(clock.time()) == 3600.0
    partner, keeper = Partner(), Keeper()
    _access(make, keeper, clock).send(REQUEST, partner)
    clock.wall -= 86_400
    other = _access(make, keeper, clock)
    other.send(REQUEST, partner)
    clock.go_on(3400)
    other.send(REQUEST, partner)
    assert partner.count == 2


def test_two_workers_renew_once(make: Make, clock: HandClock) -> None:
    """Many threads of two processes are refused at once: one token is asked for, and all go on."""
    partner, keeper = Partner(rotates=True), Keeper()
    accesses = [_access(make, keeper, clock, "refreshToken") for _ in range(2)]
    for access in accesses:
        access.send(REQUEST, partner)
    assert partner.count == 1
    partner.revoke()
    found: list[Any] = []
    gate = threading.Barrier(8)

    def work(number: int) -> None:
        gate.wait()
        try:
            found.append(accesses[number % 2].send(REQUEST, partner).status)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            found.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 8
    assert partner.count == 2


def test_a_row_that_was_sealed_anew_meanwhile_keeps_the_new_token(
    make: Make, clock: HandClock
) -> None:
    """A server that starts with another key seals the row anew between request and answer."""
    partner, keeper = Partner(rotates=True), Keeper()
    access = _access(make, keeper, clock, "refreshToken")

    def reseal(_: Partner) -> None:
        ((name, (token, version)),) = keeper._kept.items()
        assert token.is_lost
        MemoryKeeper.save(keeper, name, token, version)

    partner.script = [reseal]
    assert access.send(REQUEST, partner).status == 200
    assert keeper.saved[-1].refresh_token == "refresh-token-0001"


def test_a_lock_that_another_process_keeps(make: Make, clock: HandClock) -> None:
    """It is told, and tried again; nothing is asked for."""
    partner, keeper = Partner(), Keeper()

    def taken() -> None:
        raise TemporaryError("another process renews the access token")

    keeper.before = taken
    with pytest.raises(TokenError, match="another process renews") as found:
        _access(make, keeper, clock).send(REQUEST, partner)
    assert found.value.failure.retryable
    assert partner.asked == []


def test_failures_are_not_repeated_by_every_thread(make: Make, clock: HandClock) -> None:
    """What was refused or asked to wait is not asked again before its time."""
    partner = Partner()
    access = _access(make, Keeper(), clock)
    partner.script = [HttpResponse(429, {"retry-after": "30"}, b"")]
    for _ in range(3):
        with pytest.raises(TokenError, match="HTTP 429"):
            access.send(REQUEST, partner)
    assert len(partner.asked) == 1
    clock.go_on(31)
    assert access.send(REQUEST, partner).status == 200


def test_the_settings_mask_tokens(make: Make, clock: HandClock) -> None:
    """Tokens are masked wherever secrets are, also those that were replaced just now."""
    definition, partner = make("refreshToken"), Partner(rotates=True)
    settings = settings_of(definition)
    access = AccessTokens(None, clock).of(definition, settings)
    assert access is not None
    access.send(REQUEST, partner)
    partner.revoke()
    access.send(REQUEST, partner)
    said = "access-token-0001 refresh-token-0001 access-token-0002 refresh-token-0002"
    assert settings.masker.text(said) == "*** *** *** ***"
    assert settings.masker_of_answers.foreign(said) == "*** *** *** ***"


@pytest.mark.parametrize("after_401", [False, True])
def test_what_is_kept_of_a_token(after_401: bool) -> None:
    """All of it is read again, also what an earlier version kept, which says less."""
    token = KeptToken("t", 1.5, None, "r", is_lost=True, after_401=after_401)
    assert KeptToken.from_json(token.to_json()) == token
    data = json.loads(token.to_json())
    del data["after401"]
    assert KeptToken.from_json(json.dumps(data)) == replace(token, after_401=False)
