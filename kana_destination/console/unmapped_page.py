"""The unmapped events, counted by name and by property: a rule is made from each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from destinations.console import Answered, Query, Shown, Visit, link
from kana_destination.unmapped import count_unmapped

__all__ = ["MOST", "tenant_of", "unmapped"]

MOST: Final = 1_000
"""The newest events that are counted: who has more of them sees their kinds all the same."""
_TOP: Final = 25
_LONGEST: Final = 120


@dataclass(frozen=True, slots=True)
class _Row:
    """Something that events have in common; ``url`` makes a rule of it, empty where none can be."""

    name: str
    value: str
    number: int
    url: str


def unmapped(visit: Visit) -> Answered:
    """Show the unmapped events, of one tenant if it is given."""
    masked = visit.verbs.masker.text
    tenant = tenant_of(visit, visit.query) or None
    with visit.verbs.reading() as store:
        events, values, total, tenants = count_unmapped(store, tenant, most=MOST)
    return Shown(
        "unmapped.html",
        {
            "total": total,
            "is_cut": total >= MOST,
            "tenant": tenant or "",
            "events": [
                _row(masked, number, name, "", link("/kana/rules", event=name, tenant=tenant))
                for name, number in events.most_common(_TOP)
            ],
            "properties": [
                _row(
                    *(masked, number, path, value),
                    link("/kana/rules", where=f"{path}={value}", tenant=tenant),
                )
                for (path, value), number in values.most_common(_TOP)
            ],
            "tenants": [
                (name or identity, link("/kana/unmapped", tenant=identity), number)
                for (identity, name), number in tenants.most_common(_TOP)
            ],
            "all": link("/deliveries", outcome="unmapped", tenant=tenant),
        },
    )


def tenant_of(visit: Visit, given: Query) -> str:
    """Return the id of the tenant that is meant; empty for none."""
    text = given.text("tenant")
    return visit.verbs.tenant(text).status.tenant.id if text else ""


def _row(masked: Callable[[str], str], number: int, name: str, value: str, url: str) -> _Row:
    shown = (masked(name), masked(value))
    # A rule on a secret, or on more than anybody reads, is not meant.
    can_be_one = shown == (name, value) and max(len(name), len(value)) <= _LONGEST
    return _Row(shown[0][:_LONGEST], shown[1][:_LONGEST], number, url if can_be_one else "")
