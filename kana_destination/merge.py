"""Merging two users with the operations that Kana documents: it has no merge and no delete.

One user survives and takes the final id; the other is kept under a left-over id, with the plan of
the merge in its metadata. Each step may be repeated: a merge that was cut off anywhere ends the
same when it is done again, with the usage of both users kept and nothing counted twice.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from destinations import Answer, Call, IntegrationError
from kana_destination.users import (
    LEFT_OVER,
    Steps,
    User,
    is_left_over,
    left_over_id,
    update,
    write,
)

__all__ = ["PLAN", "belongs_to", "merge"]

PLAN: Final = "kanaDestinationMerge"
"""Key in the left-over user's metadata; its value has ``survivor``, ``usage`` and ``done``."""

_MOST: Final = 2**31 - 1


def belongs_to(left_over: User, survivor: str) -> bool:
    """Whether a left-over user is of a merge with ``survivor`` that may still be under way."""
    plan = _plan(left_over)
    return plan is None or plan["survivor"] == survivor


def merge(gone: User, survivor: User, *, final_id: str, changes: Mapping[str, str]) -> Steps:
    """Merges ``gone`` into ``survivor``, which gets the id ``final_id`` and the ``changes``.

    ``gone`` may be a left-over already. Returns the changes that the API does not take. The steps:
    (1) ``gone`` gets its left-over id; (2) the plan, for each feature that it used the sum of both
    users' usage, goes into its metadata; (3) usage of the survivor is set to those sums, and the
    plan is marked as done; (4) the survivor gets its final id. Raises `IntegrationError` if a sum
    is too large for Kana; both users are then as they were.
    """
    name = gone["id"]
    if not is_left_over(gone):
        name = left_over_id(gone["id"])
        yield from write(gone["id"], {}, new_id=name)
    plan = _plan(gone)
    if plan is None:
        sums = yield from _sums(name, survivor["id"])
        too_large = [feature for feature, amount in sums.items() if abs(amount) > _MOST]
        if too_large:
            # Nothing was changed but the name: without it back, the user would be lost.
            own = name.removesuffix(LEFT_OVER)
            yield from write(name, {}, new_id=own)
            message = (
                f"cannot merge {own!r} with {survivor['id']!r}: their usage of "
                f"{', '.join(too_large)} together is more than the 32 bits that Kana counts with"
            )
            raise IntegrationError(message, "CONFLICT", 409)
        plan = {"survivor": survivor["id"], "usage": sums}
        yield from _write_plan(name, gone, plan)
    if not plan.get("done"):
        for feature_id, amount in plan["usage"].items():
            usage = {"userId": survivor["id"], "featureId": feature_id, "amount": amount}
            yield Call("setUsage", usage)
        # From here on a repeat must leave the usage alone: more may have been recorded since.
        yield from _write_plan(name, gone, {**plan, "done": True})
    new_id = final_id if survivor["id"] != final_id else None
    return (yield from update(survivor["id"], changes, new_id=new_id))


def _write_plan(name: str, gone: User, plan: Mapping[str, Any]) -> Generator[Call, Answer, None]:
    """Puts the plan into the left-over user's metadata; its other keys stay."""
    yield from write(name, {"metadata": {**(gone["metadata"] or {}), PLAN: dict(plan)}})


def _plan(user: User) -> Mapping[str, Any] | None:
    metadata = user["metadata"]
    plan = metadata.get(PLAN) if isinstance(metadata, dict) else None
    return plan if isinstance(plan, dict) else None


def _sums(gone: str, survivor: str) -> Generator[Call, Answer, dict[str, int]]:
    """The usage of both users together, of each feature that the first one used."""
    features = yield Call("listFeatures", {})
    sums: dict[str, int] = {}
    for feature in features.data:
        used = yield from _used(gone, feature["id"])
        if used:
            sums[feature["id"]] = used + (yield from _used(survivor, feature["id"]))
    return sums


def _used(user_id: str, feature_id: str) -> Generator[Call, Answer, int]:
    """What a user has used in the current period; none where Kana tells of no period."""
    answer = yield Call("showUsage", {"userId": user_id, "featureId": feature_id})
    current = answer.data["current"]
    return int(current["consumption"]["used"]) if current else 0
