"""Ask partners to delete a user who was erased from a store.

The request is an event of ``type: delete`` in the queue, as one that came from outside: the server
or the run that delivers for the destination sends it. So it is durable before anything is sent, and
tried again as any other. In its row, a digest stands in the place of the user. Only the event has
the id, which the partner needs: it is deleted when the partner has answered.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from destinations.definition import DELETION
from destinations.http.json_bytes import encode_json
from destinations.operations.times import shown_time
from destinations.outcome import State, Status
from destinations.pipeline.ledger import ScopeTotals
from destinations.pipeline.queue import Arrival, QueuedDelivery, QueuedEvent, Scope
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import DELETE
from destinations.store import OpenStore

__all__ = ["AskedDeletion", "Deletable", "ask_to_delete", "deletable"]


@dataclass(frozen=True, slots=True)
class Deletable:
    """A partner who can be asked to delete a user.

    ``destination`` is its name at a server, or the slug of runs; ``tenant`` the id of the customer
    whose account it is, empty for none.
    """

    scope: int
    destination: str
    tenant: str
    served: bool


class AskedDeletion(NamedTuple):
    """The delivery that asks a partner to delete a user.

    ``status`` is `ready`, or what an earlier one came to: nothing of the user was sent since.
    """

    delivery: int
    status: Status


def deletable(
    store: OpenStore,
    scopes: Collection[int],
    tenants: Collection[str],
    asked: Callable[[Collection[ScopeTotals]], Collection[ScopeTotals]],
    now: float,
) -> Sequence[Deletable]:
    """Return the partners to ask: of these scopes, those that ``asked`` says can be.

    Of a server's customers, only ``tenants`` (ids) are meant: elsewhere the id is of somebody else.
    """
    totals = [one for one in store.ledger().totals(now) if one.id in scopes]
    mine = [one for one in totals if not one.tenant or one.tenant in tenants]
    return [Deletable(one.id, one.destination, one.tenant, one.served) for one in asked(mine)]


def ask_to_delete(
    store: OpenStore, partners: Sequence[Deletable], user: str, name: str, now: float
) -> Sequence[AskedDeletion]:
    """Let each partner be asked to delete a user; returns the deliveries that do it.

    ``name`` stands in the place of the user. What waits for the same is not doubled, nor what was
    delivered, or is held, if nothing of the user came since: an erasure that was cut off does not
    ask again.
    """
    queue, made = store.queue(), []
    payload = encode_json({"userId": user})
    for one in partners:
        settled = queue.settled_deletion(one.scope, {user, name})
        if settled is not None:
            made.append(AskedDeletion(*settled))
            continue
        message_id = f"forget-{uuid.uuid4()}"
        raw = encode_json(
            {
                "type": DELETE,
                "userId": user,
                "messageId": message_id,
                "timestamp": shown_time(now),
            }
        )
        event = QueuedEvent(message_id, DELETE, name, now, raw, 0)
        event.count = 1
        # Without the digest of a definition, it is planned again before it is sent.
        delivery = QueuedDelivery(event, SubscriptionKey(DELETION, DELETION), payload=payload)
        scope = Scope(one.scope, one.destination, one.tenant)
        asked = queue.request(scope, Arrival(event, [delivery]))
        made.append(AskedDeletion(asked, State.READY))
    return made
