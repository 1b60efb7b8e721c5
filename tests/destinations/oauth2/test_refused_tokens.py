"""What a 401 comes to: a token that was revoked, a request that is refused, or no token at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import load_definition
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.oauth2 import AccessTokens, MemoryKeeper
from destinations.outcome import Outcome, Result, State
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.sender import Sender
from tests.destinations.oauth2.conftest import HandClock, Partner, answer, settings_of
from tests.oauth2_samples import oauth2_files, write_oauth2

DELIVERED, READY = Outcome.DELIVERED, State.READY


@dataclass
class Api(Partner):
    """Refuses requests with a good token as well: those of ``refused`` users, or by a function."""

    refused: set[str] = field(default_factory=set)
    before: Callable[[Api, Sequence[str]], HttpResponse | None] = lambda *_: None
    log: list[tuple[str, str]] = field(default_factory=list)

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `Transport.send`."""
        if request.for_token:
            return super().send(request)
        is_test = request.url.endswith("/me")
        body = [] if is_test else json.loads(request.body or b"")
        users = [one["user"] for one in (body if isinstance(body, list) else [body])]
        token = request.headers["Authorization"].removeprefix("Bearer ")[-4:]
        self.log.append(("test" if is_test else "+".join(users), token))
        planned = self.before(self, users)
        if planned is not None:
            return planned
        if self.refused & set(users):
            return answer({"message": "no"}, 401)
        return super().send(request)


class Bench:
    """A destination with a batch size, and what sends for it."""

    def __init__(self, path: Path, clock: HandClock, keeper: MemoryKeeper) -> None:
        self.path, self.clock, self.keeper = path, clock, keeper

    def sender(self, api: Api, size: int = 1, grant: str = "refreshToken") -> Sender:
        """Return what sends for a process of its own."""
        folder = write_oauth2(self.path / "ledgerly", grant)
        data = oauth2_files(grant)
        data["requests"]["record"] |= {"idempotent": True, "batch": {"size": size}}
        (folder / "destination.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        definition = load_definition(folder)
        self.destination = Destination(definition, settings_of(definition))
        self.destination.keep_tokens(AccessTokens(self.keeper, self.clock))
        return Sender(self.destination, api, clock=self.clock)

    def deliver(self, sender: Sender, users: str) -> list[Result]:
        """Make one attempt with an event of each user."""
        return sender.deliver([self._delivery(user) for user in users])

    def _delivery(self, user: str) -> Delivery:
        event = {"type": "track", "event": "Used", "userId": user, "messageId": f"m-{user}"}
        ((subscription, payload),) = self.destination.payloads(event)
        assert subscription is not None
        assert isinstance(payload, dict), payload
        return Delivery(subscription, event, payload)


@pytest.fixture
def bench(tmp_path: Path, clock: HandClock) -> Bench:
    """Return what makes senders with one keeper."""
    return Bench(tmp_path, clock, MemoryKeeper())


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize(
    ("users", "size", "refused"),
    [
        ("p", 1, "p"),
        ("ap", 1, "p"),
        ("pa", 1, "p"),
        ("abcp", 4, "p"),
        ("pabc", 4, "p"),
        ("apbq", 4, "pq"),
        ("abcdefgp", 8, "p"),
        ("pqrs", 4, "pqrs"),
    ],
)
def test_a_request_that_is_refused_with_any_token(
    bench: Bench, rotates: bool, users: str, size: int, refused: str
) -> None:
    """However it is mixed with what is accepted: one renewal, and no event ends by it."""
    api = Api(rotates=rotates, refused=set(refused))
    sender = bench.sender(api, size)
    for _ in range(6):
        for start in range(0, len(users), size):
            found = bench.deliver(sender, users[start : start + size])
            for user, result in zip(users[start : start + size], found, strict=True):
                assert result.outcome is (READY if user in refused else DELIVERED), user
                if user in refused:
                    assert result.retry is not None
                    assert result.retry.concerns == "permission"
                    assert result.retry.attempted
        bench.clock.go_on(120)
    assert len(api.asked) == 2  # the first, and one because of a 401
    # Nor does another process renew it for that.
    other = bench.sender(api, size)
    bench.deliver(other, users[:size])
    assert len(api.asked) == 2


def test_each_refusal_by_chance_is_told_by_the_test(bench: Bench) -> None:
    """A partner that refuses good tokens now and then gets the request again, with the same one."""
    api = Api()
    sender = bench.sender(api)
    (first,) = bench.deliver(sender, "a")
    api.before = _once(answer({}, 401))
    (second,) = bench.deliver(sender, "b")
    api.before = _once(answer({}, 401))
    (third,) = bench.deliver(sender, "c")
    assert [one.outcome for one in (first, second, third)] == [DELIVERED] * 3
    assert api.log == [
        ("a", "0001"),
        *[("b", "0001"), ("b", "0002")],
        *[("c", "0002"), ("test", "0002"), ("c", "0002")],
    ]
    assert len(api.asked) == 2


def _once(reply: HttpResponse) -> Callable[[Api, Sequence[str]], HttpResponse | None]:
    left = [reply]
    return lambda _, __: left.pop() if left else None


@pytest.mark.parametrize("seconds", [0.0, 1.0, 299.0, 3000.0])
def test_tokens_that_are_revoked_one_after_another(bench: Bench, seconds: float) -> None:
    """Each was accepted before, so each is replaced; no event waits for it, or is sent twice."""
    api = Api(rotates=True)
    sender = bench.sender(api)
    for number, user in enumerate("abcd", 1):
        assert [one.outcome for one in bench.deliver(sender, user)] == [DELIVERED]
        assert api.count == number
        assert api.used[-1] == f"access-token-{number:04}"
        bench.clock.go_on(seconds)
        api.revoke()


def test_a_partner_that_refuses_whatever_it_issues(bench: Bench) -> None:
    """The credentials are refused; another token is asked for after minutes, not each time."""
    api = Api(before=lambda *_: answer({}, 401))
    sender = bench.sender(api)
    asked = []
    for _ in range(10):
        (result,) = bench.deliver(sender, "a")
        assert (result.outcome, result.code) == (READY, "INVALID_AUTHENTICATION")
        asked.append(len(api.asked))
        bench.clock.go_on(60)
    assert asked == [2, 2, 2, 2, 2, 3, 3, 3, 3, 3]
    # It is good again: what is there is used.
    api.before = lambda *_: None
    assert [one.outcome for one in bench.deliver(sender, "a")] == [DELIVERED]
    assert len(api.asked) == 3


@pytest.mark.parametrize("size", [1, 4])
def test_no_other_token_can_be_got(bench: Bench, size: int) -> None:
    """The refused token is not sent again; the token endpoint is asked at growing intervals."""
    api = Api()
    sender = bench.sender(api, size)
    bench.deliver(sender, "a")
    api.revoke()
    api.script = [answer({}, 503)] * 99
    sent, began = len(api.log), len(api.asked)
    asked: list[float] = []
    for second in range(300):
        found = bench.deliver(sender, "bcde"[:size])
        for result in found:
            assert result.outcome is READY
            assert result.reason.startswith("no access token from https://api.ledgerly.example/")
            assert result.retry is not None
            assert not result.retry.attempted
            assert result.retry.after is not None
            assert 0 < result.retry.after <= 60
        if len(api.asked) > began + len(asked):
            asked.append(second)
        bench.clock.go_on(1)
    assert asked == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert len(api.log) == sent + 1
    api.script = []
    bench.clock.go_on(60)
    assert [one.outcome for one in bench.deliver(sender, "b")] == [DELIVERED]
    # The next failure begins from the start.
    api.revoke()
    api.script = [answer({}, 503)]
    bench.deliver(sender, "b")
    bench.clock.go_on(1)
    assert [one.outcome for one in bench.deliver(sender, "b")] == [DELIVERED]


def test_how_long_the_token_endpoint_asks_to_wait(bench: Bench) -> None:
    """Its `Retry-After` is what deliveries wait, at most an hour."""
    api = Api(script=[HttpResponse(429, {"retry-after": "999999"}, b"")])
    sender = bench.sender(api)
    for left in (3600.0, 3000.0):
        (result,) = bench.deliver(sender, "a")
        assert result.retry is not None
        assert result.retry.after == left
        bench.clock.go_on(600)
    bench.clock.go_on(2400)
    assert [one.outcome for one in bench.deliver(sender, "a")] == [DELIVERED]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer({"error": "invalid_grant"}, 400), "INVALID_AUTHENTICATION"),
        (answer({}, 503), None),
        (TransportError("no connection", sent=False), None),
    ],
    ids=["invalid_grant", "503", "no connection"],
)
def test_the_token_is_revoked_in_the_middle_of_a_batch(
    bench: Bench, reply: Any, code: str | None
) -> None:
    """What was accepted is delivered; the rest waits, as nothing says that an event is to blame."""
    api = Api(rotates=True)

    def before(api: Api, users: Sequence[str]) -> HttpResponse | None:
        if len(users) > 2:
            return answer({}, 413)
        if "c" in users:
            api.revoke()
        return None

    api.before = before
    sender = bench.sender(api, 8)
    bench.deliver(sender, "z")
    api.script = [reply] * 9
    found = bench.deliver(sender, "abcd")
    assert [one.outcome for one in found] == [DELIVERED, DELIVERED, READY, READY]
    for one in found[2:]:
        assert one.retry is not None
        assert not one.retry.attempted
        assert code is None or one.code == code


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("renewals", [0, 1, 2])
@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (answer({"error": "invalid_grant"}, 400), "authorize again"),
        (answer({"error": "invalid_client"}, 401), "check the settings clientId and clientSecret"),
        (answer({}, 503), "HTTP 503"),
    ],
    ids=["refresh-token", "client", "away"],
)
def test_why_no_other_token_can_be_got(
    bench: Bench, size: int, renewals: int, reply: HttpResponse, says: str
) -> None:
    """The first result says it, also where it is the authentication test that finds it out."""
    api = Api()
    sender = bench.sender(api, size)
    bench.deliver(sender, "a")
    for _ in range(renewals):
        api.revoke()
        bench.deliver(sender, "a")
    api.revoke()
    api.script = [reply] * 9
    for result in bench.deliver(sender, "bcde"[:size]):
        assert result.outcome is READY
        assert result.reason.startswith("no access token from https://api.ledgerly.example/")
        assert says in result.reason
    api.script = []


def test_a_token_that_two_processes_see_refused(bench: Bench) -> None:
    """Each has the old token; the first renews it, the others take what it got."""
    api = Api(rotates=True)
    senders = [bench.sender(api) for _ in range(5)]
    for sender in senders:
        bench.deliver(sender, "a")
    api.revoke()
    for _ in range(3):
        for sender in senders:
            assert [one.outcome for one in bench.deliver(sender, "a")] == [DELIVERED]
    assert len(api.asked) == 2


def test_questions_are_asked_again_with_another_token(bench: Bench) -> None:
    """What is asked is asked once more where the test got another token, or passes."""
    api = Api(rotates=True)
    sender = bench.sender(api)
    bench.deliver(sender, "a")
    for _ in range(2):
        api.revoke()
        (found,) = sender.ask("record", [{"user": "q", "name": "n"}])
        assert not hasattr(found, "error_class")
    assert api.count == 3
