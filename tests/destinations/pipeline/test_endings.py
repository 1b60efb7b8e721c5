"""What is said to follow an answer is what follows it: the same answers, really given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.http import Failure, HttpResponse
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent
from destinations.pipeline.retry import LossRule, RetryPolicy
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.endings import AGAIN, Loss, ending
from destinations.runtime.sender import Sender
from destinations.runtime.subscription_key import SubscriptionKey

EVENTS: dict[str, dict[str, Any]] = {
    "save": {"type": "page", "userId": "u", "name": "home"},
    "count": {
        "type": "track",
        "event": "Used",
        "userId": "u",
        "properties": {"by": 1, "thing": "t"},
    },
}
LOSSES = {"held": Loss(), "sent again": Loss(resends=True), "asked about": Loss(asks=True)}
STATES: dict[str, Status] = {
    "tried again, then dead": State.READY,
    "waits; its action pauses": State.READY,
    "stops the run": State.READY,
    "sent again; it may count twice": State.READY,
    "unknown; the partner is asked": State.UNKNOWN,
    "held": State.HELD,
    "rejected": Outcome.REJECTED,
}
POLICY = RetryPolicy(
    deadline=100.0, base=1.0, cap=8.0, max_retry_after=50.0, outage="dead", draw=lambda: 1.0
)
NO_ANSWER = 0


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize(
    "status",
    [*(NO_ANSWER, 302, 308, 400, 401, 403, 404, 408, 409, 410, 413, 422, 423, 429), 500, 501, 503],
)
def test_what_follows_an_answer(
    bind: Callable[..., Destination],
    clock: Any,
    *,
    scripted: Any,
    replies: Any,
    status: int,
    name: str,
    loss: Loss,
) -> None:
    """An attempt with this answer, and what the queue makes of its result."""
    destination = bind()
    ((subscription, payload),) = destination.payloads(EVENTS[name])
    assert subscription is not None
    assert isinstance(payload, dict)
    request = destination.actions[name].requests[name]
    if status == NO_ANSWER:
        reply = replies.lost
        failure = Failure("", "timeout", 0, retryable=True, nothing_applied=False)
    else:
        reply = HttpResponse(status, {}, b"")
        (read,) = request.read(reply, 1)
        assert isinstance(read, Failure)
        failure = read
    said = ending(request, failure, loss)
    sender = Sender(destination, scripted([reply]), clock=clock)
    (result,) = sender.deliver([Delivery(subscription, EVENTS[name], payload)])
    rule = LossRule(1.0 if loss.asks else None, resend=loss.resends)
    if request.definition.idempotent:
        rule = LossRule(repeatable=True)

    def after(began: float | None) -> Status:
        event = QueuedEvent("m", "track", "u", 0.0)
        key = SubscriptionKey("Any", name)
        delivery = QueuedDelivery(event, key, id=1, first_attempt_at=began)
        return POLICY.after(delivery, result, 1000.0, rule=rule).result.outcome

    assert after(None) is STATES[said]
    if said == AGAIN:
        assert after(1.0) is Outcome.DEAD
    elif said == "waits; its action pauses" and failure.concerns == "request":
        assert after(1.0) is State.READY
