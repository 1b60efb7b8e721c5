"""Merge two users on behalf of an operator: plan it, look at what it would do, do it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Final

from destinations import Done, OpenDestination, Payload, Plan, UsageError
from destinations.operations import (
    HandedOver,
    await_server,
    hand_to_server,
    instead_of_server,
    plan_request,
    settle_held,
)
from destinations.pipeline.queue import Scope
from kana_destination.merge_preview import MergePreview, preview_merge
from kana_destination.merge_steps import LeftOver
from kana_destination.opened_kana import check_is_kana
from kana_destination.plugin import SLUG
from kana_destination.users import LEFT_OVER, left_over_of

__all__ = ["PlannedMerge", "plan_merge"]

_ACTION: Final = "merge"


class PlannedMerge:
    """A merge of the user ``gone`` into the user ``kept``, of which nothing is done yet.

    ``handed_over`` is what a server does of it, once it was asked to. ``of_tenant`` is the scope of
    a customer who sends with a key of their own, if it is in the account of one.
    """

    def __init__(
        self,
        kana: OpenDestination,
        gone: str,
        kept: str,
        plan: Plan,
        payload: Payload,
        of_tenant: Scope | None = None,
    ) -> None:
        self.gone = gone
        self.kept = kept
        self.handed_over: HandedOver | None = None
        self._kana = kana
        self._plan = plan
        self._payload = payload
        self._of_tenant = of_tenant

    def preview(self) -> MergePreview | LeftOver:
        """Look up what it would do, without changing anything; see `preview_merge`."""
        return self._kana.perform(preview_merge(self.gone, self.kept))

    def perform(self, tell: Callable[[str], None] = lambda _text: None) -> Mapping[str, str]:
        """Merge the users; returns fields of ``kept`` that have to be changed by hand.

        If a server delivers to the account from the same store, it merges them, and is waited for:
        ``tell`` is called with what it waits for. It can be repeated after an interruption. Raises
        `IntegrationError` if Kana refuses, `TemporaryError` if something else delivers to the
        account or a lost answer has to be settled first, and `UsageError` if the server fails.
        """
        kana = self._kana
        of_tenant = self._of_tenant
        handed = hand_to_server(
            kana.store, kana.destination, self._plan, kana.account, of_tenant=of_tenant
        )
        if handed is None:
            with instead_of_server(kana.store, SLUG, kana.account, self._plan, of_tenant=of_tenant):
                action = kana.destination.actions[_ACTION]
                done: Done = kana.perform(action.generate(self._payload, resumes=True))
                if done.manual is not None:
                    kana.manual_changes.note(done.manual)
        else:
            self.handed_over = handed
            await_server(kana.store, handed, tell=tell)
        settle_held(kana.store, kana.account, self._plan)
        return kana.manual_changes.entries().get(self.kept, {})


def plan_merge(
    kana: OpenDestination,
    gone: str,
    kept: str,
    *,
    moved: Collection[str] = (),
    not_moved: Collection[str] = (),
    of_tenant: Scope | None = None,
) -> PlannedMerge:
    """Plan a merge: one user remains, with the id ``kept`` and the usage of both.

    ``moved`` and ``not_moved`` name features whose usage was moved by an earlier merge, or was not,
    where Kana does not tell. ``of_tenant`` is as `PlannedMerge` has it. Raises `UsageError` for ids
    or features that do not fit, and if another destination is open.
    """
    check_is_kana(kana)
    if gone == kept:
        raise UsageError("FROM and INTO are the same user")
    if both := sorted(set(moved) & set(not_moved)):
        raise UsageError(f"{', '.join(both)} cannot be both moved and not moved")
    if left_over_of(gone) or left_over_of(kept):
        msg = (
            f"ids that end in {LEFT_OVER} are those of left-overs of merges: expected the users "
            "themselves"
        )
        raise UsageError(msg)
    decided = {"moved": sorted(set(moved)), "notMoved": sorted(set(not_moved))}
    # Of type alias, which no other action handles.
    event = {
        "type": "alias",
        "messageId": f"merge-{uuid.uuid4()}",
        "previousId": gone,
        "userId": kept,
        "properties": {key: features for key, features in decided.items() if features},
    }
    plan, payload = plan_request(kana.destination, _ACTION, event)
    return PlannedMerge(kana, gone, kept, plan, payload, of_tenant)
