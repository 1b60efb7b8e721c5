"""The users that Kana flags: those without a billing id, and those that share an email."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from destinations import DestinationsError, HttpTransport, OpenDestination, UsageError
from destinations.console import Answered, Shown, Visit, chosen
from destinations.runtime.account_identity import identity_of
from destinations.secrets import shown_url
from destinations.server import DestinationConfig, bind_to_show
from kana_destination.flags import BOXES, Flagged, flagged_users
from kana_destination.plugin import SLUG

__all__ = ["flagged"]

_MOST: Final = 200


def flagged(visit: Visit) -> Answered:
    """Show the boxes of an account at Kana, which is asked when that is wanted."""
    names = [one.name for one in _accounts(visit)]
    query = visit.query
    name = chosen(query, "destination", names, names[0]) if names else ""
    found, fault = None, ""
    if query.text("ask") and names:
        (config,) = (one for one in _accounts(visit) if one.name == name)
        try:
            found = _asked(visit, config)
        except DestinationsError as error:
            text = visit.verbs.masker.text(str(error))
            fault = f"{text[:1].upper()}{text[1:]}"
    return Shown(
        "users.html",
        {
            "names": names,
            "destination": name,
            "boxes": None if found is None else [_box(visit, *box) for box in found.items()],
            "fault": fault,
            "most": _MOST,
        },
        502 if fault else 200,
    )


def _accounts(visit: Visit) -> Sequence[DestinationConfig]:
    """Return the destinations of one account at Kana each: not those of tenants."""
    found = []
    for one in visit.verbs.config.destinations:
        if one.receiver.tenants is None:
            with contextlib.suppress(DestinationsError):
                if bind_to_show(one, None).definition.slug == SLUG:
                    found.append(one)
    return found


def _asked(visit: Visit, config: DestinationConfig) -> Mapping[str, Sequence[Flagged]]:
    if config.absent:
        why = "; ".join(f"{name}: {text}" for name, text in config.absent.items())
        raise UsageError(f"Kana cannot be asked by this process, as settings are missing: {why}")
    with visit.verbs.reading() as store:
        destination = bind_to_show(config, store)
        identity = identity_of(destination, config.account)
        account = store.accounts().find(identity)
        timeouts = destination.definition.transport.timeouts
        allowed = config.delivery.allow_private
        with contextlib.closing(HttpTransport(timeouts, allow_private=allowed)) as http:
            opened = OpenDestination(
                destination, store, 0 if account is None else account.id, identity, http
            )
            try:
                return flagged_users(opened)
            except DestinationsError as error:
                endpoint = shown_url(destination.endpoint)
                raise UsageError(f"{endpoint}: {error}") from None


def _box(
    visit: Visit, name: str, users: Sequence[Flagged]
) -> tuple[str, int, Sequence[tuple[str, ...]]]:
    masked = visit.verbs.masker.text
    rows = [
        (
            *(masked(str(one.user[key] or "")) for key in ("id", "name", "email", "billingId")),
            masked(one.note),
        )
        for one in users[:_MOST]
    ]
    return BOXES[name], len(users), rows
