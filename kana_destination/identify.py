"""Carry an identify out at Kana, as code without I/O: it yields requests and gets the answers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final

from destinations import (
    Answer,
    Call,
    Done,
    Generated,
    HeldError,
    IntegrationError,
    ManualChange,
    Payload,
    Selection,
)
from kana_destination.cases import decide, stripe_matters, user_state
from kana_destination.merge_steps import LeftOver, merge_users, put_back
from kana_destination.user_list import UserList, list_users, users_with
from kana_destination.users import (
    User,
    addresses,
    changes_to,
    check_user,
    find_user,
    is_stripe_user,
    update,
)

__all__ = ["identify"]


class _Identify:
    """Creates, updates, renames or merges users so that user ``id`` has the payload's fields.

    The table of `kana_destination.cases` decides which of these. Other users are looked up only
    where the decision depends on them. Every step may be repeated.
    """

    def __call__(self, payload: Payload) -> Generated:
        """See `destinations.Generator`."""
        return _identify(payload, resumes=False)

    def resume(self, payload: Payload) -> Generated:
        """Do it again: a merge may have been cut off. See `destinations.ResumingGenerator`."""
        return _identify(payload, resumes=True)


identify: Final = _Identify()


def _identify(payload: Payload, *, resumes: bool) -> Generated:
    user_id, email = payload["id"], payload.get("email")
    only = _users_for(payload)
    user = yield from find_user(user_id, only)
    if email and email != user_id and stripe_matters(user_state(user, email)):
        stripe = yield from _stripe_user(email, only, user_id=user_id)
        if stripe is not None:
            users = yield from list_users(only)
            # The users may have changed since; one answer shows all of them at one moment.
            user, stripe = users.by_id.get(user_id), users.by_id.get(stripe["id"])
            if stripe is not None and is_stripe_user(stripe, user_id=user_id):
                return (yield from _with_stripe_user(payload, user, stripe, users))
    if user is None and resumes:
        return (yield from _resume(payload))
    return (yield from _create_or_update(payload, user))


def _with_stripe_user(
    payload: Payload, user: User | None, stripe: User, users: UserList
) -> Generated:
    """Decide where there is a Stripe user with the payload's email."""
    user_id, email = payload["id"], payload["email"]
    left_overs = users.left_overs_of(user_id)
    of_stripe = [one for one in left_overs if one.belongs_to(stripe["id"])]
    if user is None and of_stripe:
        # A merge was cut off after user 1 had been renamed: resume it.
        return (yield from _merge(payload, of_stripe[-1], stripe, left_overs))
    others = [
        other for other in users.with_email(email) if other["id"] not in {user_id, stripe["id"]}
    ]
    case = decide(user_state(user, email), stripe=True, others=bool(others))
    if case.then == "merge" and user is not None:
        return (yield from _merge(payload, user, stripe, left_overs))
    if case.then == "rename":
        refused = yield from update(stripe["id"], changes_to(stripe, payload), new_id=user_id)
        note = f"renamed {stripe['id']}, imported from Stripe"
        return _done(note + _replaced(stripe, payload, refused), payload, refused)
    return (yield from _create_or_update(payload, user))


def _resume(payload: Payload) -> Generated:
    """Decide where user 1 is missing and an earlier attempt may have begun to merge it."""
    user_id = payload["id"]
    # Who stays in a merge is known only from the left-over.
    users = yield from list_users()
    if user_id in users.by_id:  # created since, perhaps by an earlier request that came late
        return (yield from _create_or_update(payload, users.by_id[user_id]))
    left_overs = users.left_overs_of(user_id)
    # The merge of a left-over that is done and moved nothing is certainly over.
    found = [one for one in left_overs if one.into == user_id]
    found = [one for one in found if not (one.is_done and one.is_untouched)]
    if not found:
        return (yield from _create_or_update(payload, None))
    left_over = found[-1]
    stays = users.by_id.get(left_over.survivor or "")
    if stays is not None:
        return (yield from _merge(payload, left_over, stays, left_overs))
    if not left_over.is_untouched:
        raise HeldError(
            f"{left_over.survivor!r} is gone, with which {user_id!r} was merged: usage of "
            f"{left_over.id!r} was moved there already; in the dashboard, give the user who has it "
            f"the id {user_id!r}, or remove {left_over.id!r} to have that user created again"
        )
    return (yield from _create_or_update(payload, (yield from put_back(left_over))))


def _users_for(payload: Payload) -> Selection:
    """Return a selection of the users on which the decision depends."""
    user_id, email = payload["id"], payload.get("email")
    ids = addresses(email) if email else ()
    return users_with(user_id, *ids, email=email, left_overs_of=[user_id])


def _stripe_user(
    email: str, only: Selection, *, user_id: str
) -> Generator[Call, Answer, User | None]:
    """Look up the Stripe user with an email; None if there is none that may become ``user_id``."""
    for address in addresses(email):
        if address == user_id:
            continue
        found = yield Call("findUser", {"id": address}, only)
        if found.name == "ok" and is_stripe_user(found.data, user_id=user_id):
            check_user(found, address)
            stripe: User = found.data
            return stripe
    return None


def _merge(
    payload: Payload, goes: User | LeftOver, stripe: User, left_overs: Iterable[LeftOver]
) -> Generated:
    user = goes.user if isinstance(goes, LeftOver) else goes
    refused = yield from merge_users(
        goes,
        stripe,
        final_id=payload["id"],
        changes=changes_to(stripe, {**_fields_of(user), **payload}),
        earlier=left_overs,
    )
    note = f"merged with {stripe['id']}, imported from Stripe"
    return _done(note + _replaced(stripe, payload, refused), payload, refused)


def _replaced(stripe: User, payload: Payload, refused: Mapping[str, str]) -> str:
    """Return that the event took the customer at Stripe away, as it names another one."""
    if "billingId" in refused or payload.get("billingId") in {None, stripe["billingId"]}:
        return ""
    return f"; the event's billingId replaced {stripe['billingId']}"


def _fields_of(user: User) -> Mapping[str, Any]:
    """Return the fields that the merged user takes from the one whose id it gets: the name."""
    return {"name": user["name"]} if user["name"] else {}


def _create_or_update(payload: Payload, user: User | None) -> Generated:
    if user is None:
        created = yield Call("createUser", payload)
        if created.name == "ok":
            check_user(created, payload["id"])
            return _done("created", payload, {})
        # Another program created the user since it was looked up.
        user = yield from find_user(payload["id"], _users_for(payload))
        if user is None:
            message = f"Kana neither finds nor creates the user {payload['id']!r}"
            raise IntegrationError(message, "CONFLICT", 409)
    changes = changes_to(user, payload)
    refused = yield from update(payload["id"], changes)
    changed = [key for key in changes if key not in refused]
    note = f"updated {', '.join(changed)}" if changed else "nothing to change"
    return _done(note, payload, refused)


def _done(note: str, payload: Payload, refused: Mapping[str, str]) -> Done:
    if refused:
        note += f"; the API cannot change {', '.join(refused)} of an existing user"
    settled = frozenset(payload.keys() - refused.keys())
    return Done(note, ManualChange(payload["id"], refused, settled))
