"""Decide on deliveries: drop, resolve or replay them, if they are as the operator saw them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from destinations.console.operators import Operator
from destinations.console.shown import (
    Changed,
    ReplayedDelivery,
    ReplayedPart,
    ReplayShown,
    Targets,
)
from destinations.console.verbs.errors import StaleDecisionError
from destinations.console.verbs.store_verbs import StoreVerbs, check_ids, check_version, ids_of
from destinations.errors import UsageError
from destinations.operations import (
    DROPPED,
    REPLAYED,
    RESOLVED,
    PlannedReplay,
    choose,
    deletes_more,
    drop,
    open_ledger,
    plan_replay,
    proposed,
    recover_interrupted,
    replay,
    resolve,
    split,
    unserved_destinations,
    version_of_all,
    why_not_dropped,
    why_not_resolved,
    why_not_sent,
)
from destinations.outcome import Result, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import QueuedDelivery
from destinations.server import todays_destinations
from destinations.store import OpenStore, StoredLedger

__all__ = ["MOST_TARGETS", "DecidingVerbs", "Decision"]

MOST_TARGETS: Final = 10_000
"""The most deliveries that one request changes."""

_SHOWN: Final = 100
"""The replays that are shown one by one."""

Decision = Literal["applied", "not_applied", "as_shown"]
"""What is decided on a lost answer; ``as_shown`` is what the balances show."""

_NOTHING_SHOWN: Final = "the balances do not show whether it was applied"
_SINCE: Final = "it has changed in the meantime"


class DecidingVerbs(StoreVerbs):
    """The verbs that change deliveries."""

    def drop(
        self,
        operator: Operator,
        targets: Targets,
        reason: str,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> Changed:
        """Give deliveries up for good; ``reason`` stays in the ledger."""
        reason = reason.strip()
        if not reason:
            raise UsageError("the reason is empty: expected why the deliveries are dropped")
        with self._opened(dry_run=dry_run) as store:
            ledger = open_ledger(store)
            chosen = self._chosen(store, ledger, targets, DROPPED)
            version = _check_seen(chosen, seen)
            found, skipped = _split(targets, chosen, why_not_dropped, "dropped")
            if dry_run or not found:
                return Changed(ids_of(found), 0, version, skipped, dry_run=dry_run)
            with self._audited(store, operator, "drop", found) as done:
                recover_interrupted(store, ledger, found)
                done.append(drop(ledger, found, reason=reason, now=self._clock.time()))
            return _changed(found, done[0], version, skipped)

    def resolve(
        self,
        operator: Operator,
        targets: Targets,
        decision: Decision,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> Changed:
        """Decide on deliveries whose answers were lost: whether the partner has applied them."""
        with self._opened(dry_run=dry_run) as store:
            ledger = open_ledger(store)
            chosen = self._chosen(store, ledger, targets, RESOLVED)
            version = _check_seen(chosen, seen)

            def why_not(entry: LedgerEntry) -> str:
                shown = proposed(entry)
                is_sent = shown is False if decision == "as_shown" else decision != "applied"
                why = why_not_sent(ledger, entry) if is_sent else why_not_resolved(entry)
                if why or decision != "as_shown" or shown is not None:
                    return why
                return f"{_NOTHING_SHOWN}: look it up at the partner, and decide by that"

            found, skipped = _split(targets, chosen, why_not, "resolved")
            by_verdict: dict[bool, list[LedgerEntry]] = {}
            for one in found:
                is_applied = proposed(one) if decision == "as_shown" else decision == "applied"
                by_verdict.setdefault(bool(is_applied), []).append(one)
            warnings = {
                one.id: self.masker.text(text)
                for one in by_verdict.get(False, ())
                if (text := deletes_more(ledger, one))
            }
            if dry_run or not found:
                return Changed(
                    *(ids_of(found), 0, version, skipped), dry_run=dry_run, warnings=warnings
                )
            with self._audited(store, operator, "resolve", found, decision=decision) as done:
                recover_interrupted(store, ledger, found)
                now = self._clock.time()
                done += [
                    resolve(ledger, entries, applied=applied, now=now)
                    for applied, entries in by_verdict.items()
                ]
            return replace(_changed(found, sum(done), version, skipped), warnings=warnings)

    def replay(
        self,
        operator: Operator,
        targets: Targets,
        *,
        dry_run: bool = False,
        seen: str | None = None,
    ) -> ReplayShown:
        """Plan events again with today's definition, and send what is different in its turn.

        A dry run shows what would become of each.
        """
        with self._opened(dry_run=dry_run) as store:
            ledger = open_ledger(store)
            chosen = self._chosen(store, ledger, targets, REPLAYED)
            version = _check_seen(chosen, seen)
            find = todays_destinations(store, None, self.config)
            planned = [plan_replay(ledger, find(one), one) for one in chosen]
            if targets.ids and not dry_run:
                for each in planned:
                    if each.refused:
                        msg = f"delivery {each.entry.id} cannot be replayed: {each.refused}"
                        raise StaleDecisionError(msg)
            shown = self._replay_shown(ledger, planned, version)
            changing = [one.entry for one in planned if one.changes]
            if dry_run or not changing:
                return replace(shown, dry_run=dry_run)
            with self._audited(store, operator, "replay", changing) as done:
                made = replay(ledger, planned, now=self._clock.time())
                done.append(made.reopened + made.ended)
            if not done[0]:
                raise StaleDecisionError(_changed_since(changing))
            return replace(
                shown,
                reopened=made.reopened,
                ended=made.ended,
                added=made.added,
                changed_since=made.changed_since,
                unserved=unserved_destinations(store, planned),
            )

    def _replay_shown(
        self, ledger: StoredLedger, planned: Sequence[PlannedReplay], version: str
    ) -> ReplayShown:
        changes: Counter[tuple[str, str]] = Counter()
        for one in planned:
            if one.replan is None:
                changes[one.entry.status.value, "not replayed"] += 1
                continue
            changes[one.entry.status.value, _becomes(one.replan.result)] += 1
            for _, result in one.replan.added:
                changes["no delivery", _becomes(result)] += 1
        return ReplayShown(
            dry_run=False,
            count=len(planned),
            # Those with a warning come first, so that none is left out before another.
            deliveries=[
                self._replayed(ledger, one)
                for one in sorted(planned, key=lambda one: not one.warning)[:_SHOWN]
            ],
            changes=changes,
            version=version,
            refused=sum(bool(one.refused) for one in planned),
            unchanged=sum(not one.refused and not one.changes for one in planned),
            warned=sum(bool(one.warning) for one in planned),
        )

    def _replayed(self, ledger: StoredLedger, one: PlannedReplay) -> ReplayedDelivery:
        parts = []
        if one.replan is not None:
            parts = [
                self._part(delivery, result)
                for delivery, result in (
                    (one.replan.delivery, one.replan.result),
                    *one.replan.added,
                )
            ]
        return ReplayedDelivery(
            one.entry,
            self.masker.text(one.refused),
            one.changes,
            self.shown_json(ledger.payload(one.entry)),
            parts[0] if parts else None,
            parts[1:],
            self.masker.text(one.warning),
        )

    def _part(self, delivery: QueuedDelivery, result: Result | None) -> ReplayedPart:
        name = "" if delivery.key is None else delivery.key.name
        if result is None:
            return ReplayedPart(
                name, delivery.action, "sent", payload=self.shown_json(delivery.payload)
            )
        reason = self.masker.text(result.reason)
        return ReplayedPart(name, delivery.action, result.outcome.value, reason)

    def _chosen(
        self,
        store: OpenStore,
        ledger: StoredLedger,
        targets: Targets,
        statuses: frozenset[Status],
    ) -> list[LedgerEntry]:
        """Return the deliveries that are meant; without statuses, those of these ``statuses``."""
        if bool(targets.ids) == (targets.selection is not None):
            raise UsageError("expected either ids or a selection of deliveries")
        if len(targets.ids) > MOST_TARGETS:
            raise UsageError(
                f"{len(targets.ids):,} ids are given: expected at most {MOST_TARGETS:,}"
            )
        if targets.ids:
            check_ids(ledger, targets.ids)
            return choose(ledger, targets.ids, Selection())
        assert targets.selection is not None  # noqa: S101 - looked at above
        selection = targets.selection
        if selection == Selection():  # such as by a program whose variable was empty
            raise UsageError(
                "the selection is empty: expected at least one of its keys, such as outcome, as "
                "all deliveries of a store are never changed at once"
            )
        self.check_names(store, selection)
        if selection.statuses is None:
            selection = replace(selection, statuses=statuses)
        return choose(ledger, (), selection, most=MOST_TARGETS)


def _split(
    targets: Targets,
    chosen: Sequence[LedgerEntry],
    why_not: Callable[[LedgerEntry], str],
    done: str,
) -> tuple[list[LedgerEntry], Mapping[str, int]]:
    """Return what can be changed, and why the rest cannot; of given ids, all must be changeable."""
    try:
        return split(chosen, why_not, done, strict=bool(targets.ids))
    except UsageError as error:
        raise StaleDecisionError(str(error)) from None


def _check_seen(chosen: Sequence[LedgerEntry], seen: str | None) -> str:
    """Return the version of what is chosen; raises `StaleDecisionError` if another was seen."""
    version = version_of_all(chosen)
    what = f"delivery {chosen[0].id}" if len(chosen) == 1 else "what is chosen"
    check_version(version, seen, what)
    return version


def _changed(
    found: Sequence[LedgerEntry], done: int, version: str, skipped: Mapping[str, int]
) -> Changed:
    if not done:
        raise StaleDecisionError(_changed_since(found))
    if done < len(found):
        skipped = {**skipped, _SINCE: len(found) - done}
    return Changed(ids_of(found), done, version, skipped)


def _changed_since(found: Sequence[LedgerEntry]) -> str:
    what = (
        f"delivery {found[0].id} has" if len(found) == 1 else f"all {len(found):,} deliveries have"
    )
    return f"{what} changed in the meantime: look again"


def _becomes(result: Result | None) -> str:
    return "sent" if result is None else result.outcome.value
