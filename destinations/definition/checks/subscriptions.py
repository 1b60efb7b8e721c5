"""Check subscriptions: their actions, names, FQL and mappings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from destinations.definition.checks.mappings import mapping_issues
from destinations.definition.document import Document
from destinations.definition.mapping_places import EVENT
from destinations.errors import Issue, unknown_name
from destinations.segment.fql import check_fql, compile_fql, never_holds, unknown_types
from destinations.segment.json_pointer import pointer

__all__ = ["fql_issues", "odd_conditions", "preset_issues"]


def preset_issues(
    document: Document,
    place: str,
    presets: Sequence[Any],
    actions: Collection[str],
    of_operator: Collection[str] = (),
    *,
    must_hold: bool = True,
) -> Iterator[Issue]:
    """Yield the issues in subscriptions that stand at ``place``, given the actions' slugs.

    No subscription may have an action in ``of_operator``. That one can match no event is an issue
    unless ``must_hold`` is false.
    """
    names: set[tuple[str, str]] = set()
    for index, preset in enumerate(presets):
        own = place + pointer(index)
        action, name = preset["partnerAction"], preset["name"]
        if (action, name) in names:
            message = f"{action} has another subscription called {name!r}; give it its own name"
            yield document.issue(own + "/name", message)
        names.add((action, name))
        if preset["partnerAction"] not in actions:
            known = sorted(set(actions) - set(of_operator))
            message = unknown_name("action", preset["partnerAction"], known)
            yield document.issue(own + "/partnerAction", message)
        elif preset["partnerAction"] in of_operator:
            message = "this action is only for operators: no subscription may have it"
            yield document.issue(own + "/partnerAction", message)
        yield from fql_issues(document, own + "/subscribe", preset["subscribe"])
        never = never_holds(preset["subscribe"]) if must_hold else None
        if never is not None:
            yield document.issue(own + "/subscribe", str(never))
        if "mapping" in preset:
            # Subscriptions may be Segment's, which sends such text without a word: see `warnings`.
            yield from mapping_issues(
                document, own + "/mapping", preset["mapping"], EVENT, refuses_text=False
            )


def odd_conditions(document: Document, place: str, data: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield conditions that do not mean what they seem to, or are on types that no event has.

    A whole subscription for which no event fits is an issue: it is there to deliver. The default
    of an action delivers nothing, and some of Segment's own are mistyped.
    """
    text = data.get(place.rpartition("/")[2])
    if not isinstance(text, str):
        return
    never = never_holds(text)
    on_types = [never] if never is not None else unknown_types(text)
    for issue in (*compile_fql(text).warnings, *on_types):
        yield document.issue(place, str(issue))


def fql_issues(document: Document, place: str, text: str) -> Iterator[Issue]:
    """Yield what is wrong with the FQL at ``place``."""
    for issue in check_fql(text):
        yield document.issue(place, str(issue))
