"""Two who merge the same users at once, request by request: a server's identify and a command."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import pytest

from destinations import Answer, Call, IntegrationError, RetryableError, Sender
from destinations.http.transport import HttpTransport
from kana_destination.identify import identify
from kana_destination.operator_merge import operator_merge
from tests.case_tables import each_value

X = "x@example.com"
SEED: dict[str, Any] = {
    "users": [{"id": "1", "name": "One"}, {"id": X, "email": X, "billingId": "cus_1"}],
    "features": [
        {"id": feature, "name": feature, "type": "CONSUMABLE"} for feature in ("calls", "seats")
    ],
    "usage": [
        {"userId": "1", "featureId": "calls", "used": 5},
        {"userId": "1", "featureId": "seats", "used": 2},
        {"userId": X, "featureId": "calls", "used": 7},
    ],
}

Steps = Callable[[], Generator[Call, Answer, object]]


class Merger:
    """One of those who merge: begins anew where users have changed, until it is done."""

    def __init__(self, begin: Steps) -> None:
        self._begin = begin
        self._steps = begin()
        self._answer: Answer | None = None
        self.is_done = False

    def step(self, send: Callable[[Call], Answer]) -> None:
        """Make the next request."""
        try:
            call = next(self._steps) if self._answer is None else self._steps.send(self._answer)
            self._answer = send(call)
        except StopIteration:
            self.is_done = True
        except RetryableError:
            self._steps, self._answer = self._begin(), None
        except IntegrationError:  # a command says that there is nothing to merge any more
            self.is_done = True


def _identified() -> Generator[Call, Answer, object]:
    return identify.resume({"id": "1", "email": X, "name": "N"})


def _commanded() -> Generator[Call, Answer, object]:
    return operator_merge({"from": X, "into": "1"})


PAIRS: dict[str, tuple[Steps, Steps]] = {
    "an identify and a command": (_identified, _commanded),
    "two identifies": (_identified, _identified),
    "two commands": (_commanded, _commanded),
}


@each_value
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("seed", range(25))
def test_two_who_merge_the_same_users(
    make_kana: Callable[..., Any], pair: tuple[Steps, Steps], seed: int
) -> None:
    """Each step is carried out once, whoever's it is: one user is left, with all usage."""
    chance = random.Random(f"races {seed}")
    kana = make_kana(SEED)
    mergers = [Merger(begin) for begin in pair]
    with closing(HttpTransport(kana.definition.transport.timeouts)) as transport:
        sender = Sender(kana.bind(), transport)

        def send(call: Call) -> Answer:
            (verdict,) = sender.ask(call.request, [dict(call.payload)])
            assert isinstance(verdict, Answer)
            return verdict

        for _ in range(500):
            waiting = [one for one in mergers if not one.is_done]
            if not waiting:
                break
            merger = chance.choice(waiting)
            for _ in range(chance.choice([1, 1, 2, 5])):
                if not merger.is_done:
                    merger.step(send)
    assert all(one.is_done for one in mergers)
    users = kana.users
    assert set(users) == {"1", "1~left-over~2"}
    assert (users["1"]["email"], users["1"]["billingId"]) == (X, "cus_1")
    assert kana.usage["1"] == {"calls": 12, "seats": 2}
