"""What an identify does at Kana, as code without I/O: it asks, decides, and asks again."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from destinations import Answer, Call, Done, Generated, IntegrationError, ManualChange, Payload
from kana_destination.cases import decide, stripe_matters, user_state
from kana_destination.merge import belongs_to, merge
from kana_destination.users import (
    User,
    addresses,
    changes_to,
    folded,
    is_left_over,
    is_stripe_user,
    left_over_id,
    update,
)

__all__ = ["identify"]


def identify(payload: Payload) -> Generated:
    """Creates, updates, renames or merges users so that user ``id`` has the payload's fields.

    Which of these is decided by the table of `kana_destination.cases`; more than the user with
    that id is looked up only where the decision depends on it. Every step may be repeated.
    """
    user_id, email = payload["id"], payload.get("email")
    found = yield Call("findUser", {"id": user_id})
    user: User | None = found.data if found.name == "ok" else None
    if email and email != user_id and stripe_matters(user_state(user, email)):
        return (yield from _by_email(payload, user))
    return (yield from _create_or_update(payload, user))


def _by_email(payload: Payload, user: User | None) -> Generated:
    """Decides where a Stripe user with the payload's email would make a difference."""
    user_id, email = payload["id"], payload["email"]
    stripe = yield from _stripe_user(email, user_id=user_id)
    if stripe is None:
        return (yield from _create_or_update(payload, user))
    listed = yield Call("listUsers", {})
    everyone = {listed_user["id"]: listed_user for listed_user in listed.data}
    left_over = everyone.get(left_over_id(user_id))
    if user is None and left_over is not None and belongs_to(left_over, stripe["id"]):
        # A merge was cut off after user 1 had been renamed: it goes on.
        return (yield from _merge(payload, left_over, stripe))
    others = [
        other
        for other in everyone.values()
        if folded(other["email"]) == folded(email)
        and other["id"] not in {user_id, stripe["id"]}
        and not is_left_over(other)
    ]
    case = decide(user_state(user, email), stripe=True, others=bool(others))
    if case.then == "merge" and user is not None:
        return (yield from _merge(payload, user, stripe))
    if case.then == "rename":
        refused = yield from update(stripe["id"], changes_to(stripe, payload), new_id=user_id)
        return _done(f"renamed {stripe['id']}, imported from Stripe", payload, refused)
    return (yield from _create_or_update(payload, user))


def _stripe_user(email: str, *, user_id: str) -> Generator[Call, Answer, User | None]:
    """Looks the Stripe user with an email up; None if there is none that may become ``user_id``."""
    for address in addresses(email):
        if address == user_id:
            continue
        found = yield Call("findUser", {"id": address})
        if found.name == "ok" and is_stripe_user(found.data, user_id=user_id):
            stripe: User = found.data
            return stripe
    return None


def _merge(payload: Payload, user: User, stripe: User) -> Generated:
    changes = changes_to(stripe, {**_fields_of(user), **payload})
    refused = yield from merge(user, stripe, final_id=payload["id"], changes=changes)
    return _done(f"merged with {stripe['id']}, imported from Stripe", payload, refused)


def _fields_of(user: User) -> Mapping[str, Any]:
    """What the merged user keeps of the one whose id it gets: its name."""
    return {"name": user["name"]} if user["name"] else {}


def _create_or_update(payload: Payload, user: User | None) -> Generated:
    if user is None:
        created = yield Call("createUser", payload)
        if created.name == "ok":
            return _done("created", payload, {})
        # Somebody else created the user since it was looked up.
        found = yield Call("findUser", {"id": payload["id"]})
        if found.name != "ok":
            message = f"Kana neither finds nor creates the user {payload['id']!r}"
            raise IntegrationError(message, "CONFLICT", 409)
        user = found.data
    changes = changes_to(user, payload)
    refused = yield from update(payload["id"], changes)
    changed = [key for key in changes if key not in refused]
    note = f"updated {', '.join(changed)}" if changed else "nothing to change"
    return _done(note, payload, refused)


def _done(note: str, payload: Payload, refused: Mapping[str, str]) -> Done:
    if refused:
        note += f"; the API does not take {', '.join(refused)} of an existing user"
    settled = frozenset(payload.keys() - refused.keys())
    return Done(note, ManualChange(payload["id"], refused, settled))
