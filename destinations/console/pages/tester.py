"""The tester: paste or pick an event, see each step, and send it to a sandbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.console.pages.query import link
from destinations.console.pages.sandbox_run import run_in_sandbox
from destinations.console.pages.steps import steps_of
from destinations.console.pages.templating import json_shown
from destinations.console.pages.visit import Answered, PageError, Shown, Visit, chosen
from destinations.errors import DestinationsError, EventError, UsageError
from destinations.segment.event import read_json

__all__ = ["test_event", "tester"]

_PICKED: Final = 15
_LOOKED_AT: Final = 200
_LARGEST: Final = 512 * 1024
_EXAMPLE: Final = {
    "type": "track",
    "event": "Report Exported",
    "messageId": "try-1",
    "userId": "user-1",
    "timestamp": "2026-05-04T10:00:00.000Z",
    "properties": {"featureId": "exports", "delta": 1},
}


@dataclass(frozen=True, slots=True)
class _Pick:
    """An event that can be tried: one that was delivered lately."""

    at: float
    name: str
    destinations: str
    url: str


def tester(visit: Visit) -> Answered:
    """Show the tester, with the event that was picked and its steps."""
    query = visit.query
    names = [one.name for one in visit.verbs.config.destinations]
    destination = chosen(query, "destination", names, names[0])
    tenant, raw = query.text("tenant"), None
    identity = query.number("id")
    if query.text("id") and identity is None:
        text = f"There is no delivery {query.text('id')[:40]!r}."
        raise PageError(404, "No such delivery", text)
    if identity is not None:
        details = visit.verbs.delivery(identity)
        raw = details.raw if details.raw is not None else details.recent
        if raw is None:
            text = f"The event of delivery {identity} was deleted: it is no longer needed."
            raise PageError(404, "No event", text)
        tenant = details.entry.tenant
        if details.entry.destination in names:
            destination = details.entry.destination
    elif query.text("recent"):
        raw = _recent(visit, query.text("recent"))
    if tenant and identity is None:
        visit.verbs.tenant(tenant, destination)  # which says that there is none of this name
    event = json_shown(_EXAMPLE if raw is None else visit.verbs.shown_json(raw))
    return _shown(visit, destination, tenant, event, explains=raw is not None)


def test_event(visit: Visit) -> Answered:
    """Show the steps of the event in the form; send it to a sandbox, if that is asked for."""
    form = visit.form
    names = [one.name for one in visit.verbs.config.destinations]
    destination = chosen(form, "destination", names, names[0])
    return _shown(
        visit,
        destination,
        form.text("tenant"),
        form.get("event", ""),
        explains=True,
        sends=form.text("do") == "send",
    )


def _shown(
    visit: Visit,
    destination: str,
    tenant: str,
    event: str,
    *,
    explains: bool,
    sends: bool = False,
) -> Shown:
    steps = run = None
    fault = ""
    if explains:
        try:
            value = _read(event)
            steps = steps_of(visit.verbs.explain(destination, value, tenant or None))
            if sends:
                (config,) = (
                    one for one in visit.verbs.config.destinations if one.name == destination
                )
                run = run_in_sandbox(config, json.dumps(value).encode(), visit.verbs.masker)
        except DestinationsError as error:
            text = visit.verbs.masker.text(str(error))
            fault = f"{text[:1].upper()}{text[1:]}"
    return Shown(
        "tester.html",
        {
            "names": [one.name for one in visit.verbs.config.destinations],
            "destination": destination,
            "tenant": tenant,
            "has_tenants": any(
                one.receiver.tenants is not None for one in visit.verbs.config.destinations
            ),
            "event": visit.verbs.masker.text(event),
            "steps": steps,
            "run": run,
            "fault": fault,
            "picks": _picks(visit, destination),
        },
        400 if fault else 200,
    )


def _read(text: str) -> Any:
    """Return the event in a form; raises `EventError` or `UsageError` if it is no JSON."""
    data = text.strip().encode("utf-8", "surrogatepass")
    if not data:
        raise UsageError("there is no event: paste one as JSON, or pick one below")
    return read_json(data, limit=_LARGEST)


def _recent(visit: Visit, message_id: str) -> bytes:
    with visit.verbs.reading() as store:
        for one in store.recent().last(_LOOKED_AT):
            if one.message_id == message_id:
                return one.raw
    raise PageError(404, "No event", "This event is not kept any more: pick another one.")


def _picks(visit: Visit, destination: str) -> Sequence[_Pick]:
    with visit.verbs.reading() as store:
        events = store.recent().last(_PICKED)
    return [
        _Pick(
            one.at,
            visit.verbs.masker.text(_name(one.raw, one.message_id)),
            ", ".join(dict.fromkeys(name for name, _ in one.destinations)),
            link("/tester", destination=destination, recent=one.message_id),
        )
        for one in reversed(events)
        # A link to one with a secret in its messageId would have the secret.
        if one.message_id and visit.verbs.masker.text(one.message_id) == one.message_id
    ]


def _name(raw: bytes, message_id: str) -> str:
    """Return what an event is called in a list."""
    try:
        event = read_json(raw, limit=len(raw))
    except EventError:
        return message_id
    if not isinstance(event, dict):
        return message_id
    parts = [event.get("type"), event.get("event"), message_id]
    return " ".join(str(part)[:100] for part in parts if part)
