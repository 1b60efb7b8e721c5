"""Turn what verbs return into JSON values, and what callers choose by into selections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from destinations.console.problems import InputError
from destinations.console.shown import (
    Changed,
    ConnectionShown,
    Page,
    PauseChanged,
    PauseState,
    ReplayedDelivery,
    ReplayedPart,
    ReplayShown,
)
from destinations.console.verbs import Verbs
from destinations.operations import (
    FILTERS,
    DeliveryDetails,
    FilterError,
    RefusedCredentials,
    StoreStatus,
    TenantDetails,
    TenantStatus,
    entry_version,
    queue_length,
    select,
)
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerDrift, LedgerEntry, Selection
from destinations.store import Attempt, AuditLine, RefusedEntry

__all__ = [
    "attempt_json",
    "audit_json",
    "changed_json",
    "connection_json",
    "delivery_json",
    "details_json",
    "drift_json",
    "explanation_json",
    "page_json",
    "pause_json",
    "plan_json",
    "replayed_json",
    "selection_of",
    "state_json",
    "status_json",
    "tenant_details_json",
    "tenant_json",
]

T = TypeVar("T")


def selection_of(given: Mapping[str, Any], now: float, place: str) -> Selection:
    """Return the selection that fits its schema; raises `InputError`, with the place, if not."""
    by_key = {one.key: name for name, one in FILTERS.items()}
    chosen = {by_key[key]: value for key, value in given.items()}
    try:
        return select(chosen, now, lambda one: one.key)
    except FilterError as error:
        issues = [(f"{place}{FILTERS[name].key}", message) for name, message in error.issues]
        raise InputError(issues, 422) from None


def when(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the millisecond; None for none."""
    if seconds is None:
        return None
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def page_json(page: Page[T], of: Callable[[T], Any]) -> dict[str, Any]:
    """Return a page of a list."""
    return {"items": [of(one) for one in page.items], "next": page.next}


def delivery_json(entry: LedgerEntry, verbs: Verbs) -> dict[str, Any]:
    """Return a delivery, without its content."""
    increment = entry.increment
    return {
        "id": entry.id,
        "eventId": entry.event_id,
        "destination": entry.destination,
        "account": entry.account,
        "tenant": entry.tenant or None,
        "tenantName": verbs.masker.value(entry.tenant_name),
        "user": verbs.masker.value(entry.user),
        "subscription": entry.subscription,
        "action": entry.action,
        "connection": entry.connection or None,
        "type": entry.type,
        "messageId": verbs.masker.value(entry.message_id),
        "state": entry.state.value,
        "outcome": None if entry.outcome is None else entry.outcome.value,
        "effect": entry.effect.value,
        "attempts": entry.attempts,
        "acceptedAt": when(entry.accepted_at),
        "firstAttemptAt": when(entry.first_attempt_at),
        "nextAt": when(entry.next_at),
        "settledAt": when(entry.settled_at),
        "code": entry.code,
        "httpStatus": entry.http_status,
        "reason": verbs.masker.text(entry.reason),
        "stage": entry.stage,
        "increment": None
        if increment is None
        else {"key": verbs.masker.text(increment.key), "amount": increment.amount},
        "evidence": verbs.masker.value(dict(entry.evidence)),
        "restored": entry.restored,
        "version": entry_version(entry),
    }


def details_json(details: DeliveryDetails, verbs: Verbs) -> dict[str, Any]:
    """Return a delivery with its content, and what can be done with it."""
    kept = "whole" if details.raw is not None else "deleted"
    if details.recent is not None:
        kept = "recent"
    step, shown = details.next_step, details.proposed
    return {
        **delivery_json(details.entry, verbs),
        "event": verbs.shown_json(details.raw if details.raw is not None else details.recent),
        "eventKept": kept,
        "payload": verbs.shown_json(details.payload),
        "nextStep": None
        if step is None
        else {"what": step.what, "by": step.by, "paused": verbs.masker.text(step.paused)},
        "proposed": None if shown is None else "applied" if shown else "not_applied",
        "resolve": _allowed(details.why_not_resolved),
        "replay": _allowed(details.why_not_replayed),
        "drop": _allowed(details.why_not_dropped),
        "warning": verbs.masker.text(details.warning),
    }


def attempt_json(one: Attempt, verbs: Verbs) -> dict[str, Any]:
    """Return a request that carried a delivery, with its answer."""
    masked = verbs.masker.text
    answer = None
    if one.status is not None:
        answer = {
            "status": one.status,
            "headers": verbs.masker.value(dict(one.answer_headers)),
            "body": _sent(one.answer_body, one.answer_bytes, verbs, is_cut=one.is_answer_cut),
        }
    return {
        "number": one.number,
        "at": when(one.at),
        "seconds": one.seconds,
        "kind": one.kind,
        "outcome": None if one.outcome is None else one.outcome.value,
        "errorClass": one.error_class,
        "rule": one.rule,
        "error": masked(one.error),
        "deliveries": one.deliveries,
        "erased": one.is_erased,
        "request": {
            "name": one.request,
            "step": one.step or None,
            "method": one.method,
            "url": masked(one.url),
            "headers": verbs.masker.value(dict(one.request_headers)),
            "body": _sent(one.request_body, one.request_bytes, verbs, is_cut=one.is_request_cut),
        },
        "answer": answer,
    }


def _sent(body: bytes | None, size: int, verbs: Verbs, *, is_cut: bool) -> dict[str, Any] | None:
    if body is None:
        return None
    text = verbs.masker.text(body.decode("utf-8", "replace"))
    return {"text": text, "bytes": size, "cut": is_cut}


def _allowed(why_not: str) -> dict[str, Any]:
    return {"allowed": not why_not, "why": why_not}


def changed_json(changed: Changed) -> dict[str, Any]:
    """Return what was changed."""
    return {
        "dryRun": changed.dry_run,
        "deliveries": len(changed.ids),
        "done": changed.done,
        "ids": list(changed.ids),
        "skipped": [{"why": why, "deliveries": n} for why, n in changed.skipped.items()],
        "version": changed.version,
        "warnings": [{"id": one, "warning": text} for one, text in changed.warnings.items()],
    }


def replayed_json(shown: ReplayShown, verbs: Verbs) -> dict[str, Any]:
    """Return what a replay did, or would do."""
    return {
        "dryRun": shown.dry_run,
        "deliveries": shown.count,
        "refused": shown.refused,
        "warned": shown.warned,
        "unchanged": shown.unchanged,
        "reopened": shown.reopened,
        "ended": shown.ended,
        "added": shown.added,
        "changedSince": shown.changed_since,
        "unserved": list(shown.unserved),
        "changes": [
            {"before": before, "after": after, "deliveries": number}
            for (before, after), number in shown.changes.items()
        ],
        "items": [_replayed(one, verbs) for one in shown.deliveries],
        "version": shown.version,
    }


def _replayed(one: ReplayedDelivery, verbs: Verbs) -> dict[str, Any]:
    return {
        "delivery": delivery_json(one.entry, verbs),
        "refused": one.refused,
        "warning": one.warning,
        "changes": one.changes,
        "before": one.before,
        "today": None if one.today is None else _part(one.today),
        "added": [_part(part) for part in one.added],
    }


def _part(part: ReplayedPart) -> dict[str, Any]:
    return {
        "subscription": part.subscription,
        "action": part.action,
        "becomes": part.becomes,
        "reason": part.reason,
        "payload": part.payload,
    }


def state_json(state: PauseState) -> dict[str, Any]:
    """Return whether a destination is paused."""
    return {
        "destination": state.destination,
        "tenant": state.tenant or None,
        "pausedAt": when(state.paused_at),
        "pausedActions": dict(state.actions),
        "credentialsRefused": _refusal(state.credentials),
        "version": state.version,
    }


def pause_json(changed: PauseChanged) -> dict[str, Any]:
    """Return what was paused or resumed."""
    return {
        "destination": changed.destination,
        "tenant": changed.tenant or None,
        "paused": changed.paused,
        "changed": changed.changed,
        "dryRun": changed.dry_run,
        "resumedActions": dict(changed.actions),
        "resumedCredentials": changed.credentials or None,
        "resumedTenants": changed.tenants,
    }


def status_json(status: StoreStatus, now: float) -> dict[str, Any]:
    """Return how a store stands; never where it is."""
    return {
        "served": status.served,
        "size": status.size,
        "engine": status.engine,
        "workers": None
        if status.workers is None
        else [
            {
                "id": one.id,
                "name": one.name,
                "state": one.state,
                "isRun": one.is_run,
                "lanes": one.lanes,
            }
            for one in status.workers
        ],
        "destinations": [
            {
                "name": one.destination,
                "account": one.account,
                "source": "serve" if one.served else "run",
                "served": one.served and one.destination in status.names,
                "queue": queue_length(one),
                "counts": _counts(one.counts),
                "today": _counts(one.today),
                "pausedAt": when(status.stopped.get(one.destination)) if one.served else None,
                "pausedActions": dict(status.paused.get(one.destination, {})) if one.served else {},
                "credentialsRefused": _refusal(
                    status.refused.get(one.destination) if one.served else None
                ),
                "oldestSeconds": None if one.oldest is None else max(0.0, now - one.oldest),
                "nextRetrySeconds": None if one.next_at is None else max(0.0, one.next_at - now),
                "tenants": status.tenants[one.destination].to_json() if one.tenants else None,
            }
            for one in status.scopes
        ],
    }


def _refusal(found: RefusedCredentials | None) -> dict[str, Any] | None:
    return None if found is None else {"since": when(found.since), "reason": found.reason}


def _counts(counts: Mapping[Status, int]) -> dict[str, int]:
    return {one.value: counts[one] for one in (*State, *Outcome) if one in counts}


def tenant_json(one: TenantStatus) -> dict[str, Any]:
    """Return a tenant with its numbers."""
    tenant = one.tenant
    return {
        "id": tenant.id,
        "name": tenant.name,
        "destination": tenant.scope.name,
        "state": one.state,
        "key": one.key,
        "notedAt": when(tenant.noted_at),
        "provenAt": when(tenant.proven_at),
        "refusedSince": when(tenant.refused_since),
        "pausedAt": when(tenant.paused_at),
        "connection": tenant.connection,
        "connectionFault": tenant.connection_fault or None,
        "queue": one.numbers.queue,
        "held": one.numbers.held,
        "deliveredToday": one.numbers.delivered_today,
    }


def tenant_details_json(found: TenantDetails, now: float) -> dict[str, Any]:
    """Return all that is shown of a tenant."""
    oldest = found.totals.oldest
    return {
        **tenant_json(found.status),
        "account": found.totals.account,
        "keys": found.keys,
        "counts": _counts(found.totals.counts),
        "today": _counts(found.totals.today),
        "oldestSeconds": None if oldest is None else max(0.0, now - oldest),
        "documents": dict(found.documents),
        "pausedActions": dict(found.paused),
    }


def connection_json(one: ConnectionShown) -> dict[str, Any]:
    """Return the subscriptions of a destination."""
    return {
        "destination": one.destination,
        "definition": one.definition,
        "version": one.version or None,
        "subscriptions": [
            {
                "name": each.name,
                "action": each.action,
                "subscribe": each.subscribe,
                "mapping": each.mapping,
            }
            for each in one.subscriptions
        ],
        "filters": one.filters,
        "fault": one.fault or None,
    }


def explanation_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an explanation with keys as the API has them; those of events stay as they are."""
    return {
        **_cameled(found),
        "result": _ended(found["result"]),
        "subscriptions": [
            {
                **_cameled(one),
                "clauses": [_cameled(each) for each in one["clauses"]],
                "mapping": [_cameled(each) for each in one["mapping"]],
                "changes": [_cameled(each) for each in one["changes"]],
                "requests": [_cameled(each) for each in one["requests"]],
                "result": _ended(one["result"]),
            }
            for one in found["subscriptions"]
        ],
    }


def _ended(result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if result is None else _cameled(result)


def plan_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of a plan with keys as the API has them; those of events stay."""
    return {
        **_cameled(found),
        "destinations": [
            {
                **_cameled(one),
                # The kind of an example is the key that counts those like it.
                "examples": [
                    {**_cameled(each), "kind": _camel(each["kind"])} for each in one["examples"]
                ],
            }
            for one in found["destinations"]
        ],
    }


def _camel(name: str) -> str:
    """Return a name of Python as a key of JSON."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _cameled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with its own keys in camel case: ``takenOut`` for ``taken_out``."""
    return {_camel(key): value for key, value in given.items()}


def drift_json(one: LedgerDrift, verbs: Verbs) -> dict[str, Any]:
    """Return a balance that was not as expected."""
    drift = one.drift
    return {
        "destination": one.destination,
        "account": one.account,
        "key": verbs.masker.text(drift.key),
        "user": verbs.masker.text(drift.user),
        "expected": drift.expected,
        "found": drift.found,
        "noticedAt": when(drift.noticed_at),
        "deliveries": list(drift.deliveries),
    }


def refused_json(entry: RefusedEntry, verbs: Verbs) -> dict[str, Any]:
    """Return a refused event, with what is kept of it; as text where that is no JSON."""
    event, masked = entry.event, verbs.masker.value
    return {
        "id": entry.id,
        "at": when(event.at),
        "destination": entry.destination,
        "tenant": entry.tenant or None,
        "path": masked(event.path),
        "peer": event.peer,
        "status": event.status,
        "code": event.code,
        "reason": masked(event.reason),
        "messageId": masked(event.message_id),
        "user": masked(event.user),
        "bytes": event.length,
        "whole": event.is_whole,
        "event": verbs.shown_json(event.raw),
    }


def audit_json(line: AuditLine) -> dict[str, Any]:
    """Return a line of the audit log."""
    return {
        "id": line.id,
        "at": when(line.at),
        "operator": line.operator,
        "via": line.via,
        "address": line.address,
        "verb": line.verb,
        "destination": line.destination or None,
        "tenant": line.tenant or None,
        # What is about a destination is about no delivery, of which none would be wrong as well.
        "deliveries": line.number or None,
        "ids": list(line.ids),
        "more": dict(line.more),
        "done": line.done,
    }
