"""The steps of a merge of two users: Kana has no merge and no delete, so it takes several requests.

One user *stays* and takes the final id. The other *goes*: it is kept as a left-over, with the plan
of the merge in its metadata. Usage must be added to the user that stays exactly once, and the API
has no idempotency key. So each request begins with a rename, which works only once: Kana runs the
mutations of a document in order, and none after one that fails. The documents:

- *freeze*: the user that goes becomes a left-over, if the one that stays exists. From now on
  no other program can add to its usage.
- *move*, for each feature: the left-over gets the next number in its id, and its usage is added to
  the user that stays. The plan is written with the rename; it names the feature, and the usage that
  the user that stays had before.
- *adopt*: the user that stays gets the final id and the fields.

A document that is repeated or arrives late fails at its rename, so the rest of it is not run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from destinations import Answer, Call, HeldError, IntegrationError, RetryableError
from kana_destination.users import Steps, User, find_user, left_over_id, left_over_of, update, write

__all__ = [
    "PLAN",
    "BothUsages",
    "LeftOver",
    "Usage",
    "feature_ids",
    "left_over_from",
    "left_overs_of",
    "merge_users",
    "put_back",
    "subscribed_packages",
    "usage_of_both",
]

PLAN: Final = "kanaDestinationMerge"
"""Key in the left-over user's metadata.

Its value has ``survivor``, the id of the user that stays, and ``moved``: for each feature the
``amount``, the usage ``before`` of the user that stays, and its ``periodStart``. ``ok`` is there
once the result is certain: true if the amount was added, false with a ``reason`` if Kana refused
it. ``done`` is true once all results are certain. ``into`` is the final id, unless it is the id
that the left-over had. Merges of earlier versions have ``usage`` instead: sums that were set.
"""

_MOST: Final = 2**31 - 1
_ENDED: Final = frozenset({"CANCELLED", "INCOMPLETE_EXPIRED"})
"""The statuses of subscriptions that are over, so that nothing of them is left to move."""

T = TypeVar("T")
_Asking = Generator[Call, Answer, T]


@dataclass(frozen=True, slots=True)
class Usage:
    """A user's usage of a feature in a period; ``period`` is None if Kana shows none."""

    used: int
    period: str | None


class BothUsages(NamedTuple):
    """The usage of a feature by the user that goes and by the one that stays."""

    goes: Usage
    stays: Usage


@dataclass(slots=True)
class LeftOver:
    """A user that a merge left over: ``owner`` is its former id, ``number`` the one in its id now.

    ``plan`` is None if its metadata has none.
    """

    user: User
    owner: str
    number: int
    plan: dict[str, Any] | None

    @property
    def id(self) -> str:
        """The id of the left-over."""
        return left_over_id(self.owner, self.number)

    @property
    def survivor(self) -> str | None:
        """The id that the user that stays had when the merge began; None if unknown."""
        return None if self.plan is None else self.plan["survivor"]

    @property
    def is_done(self) -> bool:
        """Whether all its usage was moved, except what Kana refused."""
        return self.plan is not None and bool(self.plan.get("done"))

    @property
    def is_untouched(self) -> bool:
        """Whether none of its usage was moved, so that it can get its own id back."""
        return self.plan is None or not (self.plan["moved"] or "usage" in self.plan)

    @property
    def into(self) -> str:
        """The final id of the user that stays."""
        into: str = (self.plan or {}).get("into", self.owner)
        return into

    @property
    def command(self) -> str:
        """The command that resumes its merge."""
        goes = self.owner if self.into == self.survivor else self.survivor
        return f"destinations kana merge {goes} {self.into}"

    @property
    def refused(self) -> Mapping[str, str]:
        """Why Kana refused usage, by feature; that usage stays with the left-over."""
        moved: Mapping[str, Any] = (self.plan or {}).get("moved", {})
        return {key: entry["reason"] for key, entry in moved.items() if entry.get("ok") is False}

    def belongs_to(self, survivor: str) -> bool:
        """Return whether the user ``survivor`` stays in its merge; any may if it has no plan."""
        return self.survivor in {None, survivor}

    def metadata(self, **changes: Any) -> dict[str, Any]:
        """Return the user's metadata with ``changes`` made to the plan in it."""
        return _with_plan(self.user, {**(self.plan or {}), **changes})


def left_overs_of(owner: str, users: Iterable[User]) -> list[LeftOver]:
    """Return the left-overs of the user ``owner``, ordered by number."""
    found = [one for one in map(left_over_from, users) if one is not None and one.owner == owner]
    return sorted(found, key=lambda one: one.number)


def left_over_from(user: User) -> LeftOver | None:
    """Read a user as a left-over; None if it is not one."""
    named = left_over_of(user["id"])
    return None if named is None else LeftOver(user, *named, _plan(user))


def merge_users(
    goes: User | LeftOver,
    stays: User,
    *,
    final_id: str,
    changes: Mapping[str, str],
    earlier: Iterable[LeftOver] = (),
    decided: Mapping[str, bool] | None = None,
) -> Steps:
    """Merge ``goes`` into ``stays``, which gets the id ``final_id`` and the ``changes``.

    To resume a merge that was cut off, ``goes`` is its left-over. ``earlier`` are all left-overs of
    the same user; usage that they still have is moved as well. ``decided`` says for a feature
    whether its usage was moved, where Kana does not show it. Returns the changes that the API
    refuses.

    Raises `HeldError` where nothing shows whether usage was moved, `RetryableError` if users have
    changed since they were looked up, and `IntegrationError` if a sum is too large for Kana, before
    any user is changed.
    """
    unfinished = [one for one in earlier if one.belongs_to(stays["id"]) and not one.is_done]
    number = max((one.number for one in earlier), default=-1) + 1
    if isinstance(goes, LeftOver):
        number = max(number, goes.number + 1)
        if all(one.id != goes.id for one in unfinished) and not goes.is_done:
            unfinished.append(goes)
    features = yield from feature_ids()
    for one in unfinished:
        _begin_plan(one, stays["id"], decided or {})
        number = yield from _move_all(one, stays["id"], features, number, decided or {})
    if not isinstance(goes, LeftOver):
        yield from _check_sums(goes["id"], stays["id"], features)
        frozen = yield from _freeze(goes, stays["id"], number, final_id)
        yield from _move_all(frozen, stays["id"], features, number + 1, {})
        unfinished.append(frozen)
    new_id = final_id if stays["id"] != final_id else None
    for one in unfinished:
        # A repeat must not compare usage again, since others may have changed it by then. Where
        # nothing was moved, the new id of the user that stays shows that the merge is over.
        if not one.is_untouched or new_id is None:
            yield from write(one.id, {"metadata": one.metadata(done=True)}, merges=True)
    return (yield from update(stays["id"], changes, new_id=new_id, merges=True))


def put_back(left_over: LeftOver) -> _Asking[User]:
    """Give a left-over its own id back and return the user, as the other user is gone."""
    metadata = left_over.metadata()
    del metadata[PLAN]
    kept = metadata or None
    yield from write(left_over.id, {"metadata": kept}, new_id=left_over.owner, merges=True)
    return {**left_over.user, "id": left_over.owner, "metadata": kept}


def _check_sums(goes: str, stays: str, features: Iterable[str]) -> _Asking[None]:
    """Check that Kana can count the usage of both together, before anything is changed."""
    too_large = []
    for feature in features:
        both = yield from usage_of_both(goes, stays, feature)
        if both is not None and both.goes.used and abs(both.goes.used + both.stays.used) > _MOST:
            too_large.append(feature)
    if too_large:
        message = (
            f"cannot merge {goes!r} with {stays!r}: their usage of {', '.join(too_large)} together "
            "is more than the 32 bits that Kana counts with"
        )
        raise IntegrationError(message, "CONFLICT", 409)


def _freeze(goes: User, stays: str, number: int, final_id: str) -> _Asking[LeftOver]:
    plan: dict[str, Any] = {"survivor": stays, "moved": {}}
    if final_id != goes["id"]:
        plan["into"] = final_id
    metadata = _with_plan(goes, plan)
    frozen = left_over_id(goes["id"], number)
    answer = yield Call(
        "freezeUser",
        {"userId": goes["id"], "survivor": stays, "newId": frozen, "metadata": metadata},
    )
    left_over = LeftOver({**goes, "id": frozen, "metadata": metadata}, goes["id"], number, plan)
    # The answer to the same request may have been lost, so that this was the second time.
    is_ours = answer.name == "gone" and (yield from _has_plan(frozen, plan))
    if answer.name != "ok" and not is_ours:
        raise RetryableError(f"the users {goes['id']!r} and {stays!r} changed before their merge")
    return left_over


def _has_plan(user_id: str, plan: Mapping[str, Any]) -> _Asking[bool]:
    found = yield from find_user(user_id)
    return found is not None and _plan(found) == plan


def _move_all(
    left_over: LeftOver,
    stays: str,
    features: Iterable[str],
    number: int,
    decided: Mapping[str, bool],
) -> _Asking[int]:
    """Move the usage that is not moved yet; returns the next free number for the left-over's id.

    ``stays`` is the id that the user that stays has now: the final one if the merge was over.
    """
    assert left_over.plan is not None  # noqa: S101 - it has begun
    moved: dict[str, Any] = left_over.plan["moved"]
    for feature in features:
        while "ok" not in moved.get(feature, {}):
            both = yield from usage_of_both(left_over.id, stays, feature)
            if both is None:  # the feature is gone, and its usage with it
                break
            if feature in moved:
                if _was_moved(left_over, stays, feature, both.stays, decided):
                    moved[feature]["ok"] = True
                    break
                del moved[feature]
            if not both.goes.used:
                break
            yield from _move(left_over, stays, feature, both, number)
            number += 1
    return number


def _begin_plan(left_over: LeftOver, stays: str, decided: Mapping[str, bool]) -> None:
    """Bring the plan of a left-over up to date; one of an earlier version may need a decision."""
    plan = left_over.plan or {"survivor": stays}
    sums: Mapping[str, int] = plan.pop("usage", {})
    open_sums = [f"{key}: {amount}" for key, amount in sums.items() if key not in decided]
    if open_sums:
        raise HeldError(
            f"the merge of {left_over.owner!r} with {stays!r}, which an earlier version began, was "
            f"cut off while it set the usage of {stays!r} to these sums ({', '.join(open_sums)}); "
            f"{_how_to_decide(left_over)}"
        )
    was_set = {key: {"amount": sums[key], "ok": True} for key in sums if decided[key]}
    left_over.plan = {**plan, "moved": {**was_set, **plan.get("moved", {})}}


def _was_moved(
    left_over: LeftOver, stays: str, feature: str, now: Usage, decided: Mapping[str, bool]
) -> bool:
    """Return whether a request whose answer was lost has moved usage.

    Its rename was done. So the usage was moved, unless Kana stopped between the two: then the usage
    is what it was. Others are assumed only to add. So it was moved if usage has grown by at least
    the amount, or, for a negative amount, if there is less usage now. Raises `HeldError` otherwise.
    """
    assert left_over.plan is not None  # noqa: S101 - it names the feature
    if feature in decided:
        return decided[feature]
    entry = left_over.plan["moved"][feature]
    amount, before = entry["amount"], entry["before"]
    difference = now.used - before
    if now.period is not None and entry["periodStart"] in {None, now.period}:
        if difference == 0:
            return False
        if difference < 0 if amount < 0 else difference >= amount:
            return True
    raise HeldError(
        f"the merge of {left_over.owner!r} with {stays!r} was cut off while {amount} of {feature} "
        f"were added to {stays!r}, which had {before} before and has {now.used} now; "
        f"{_how_to_decide(left_over)}"
    )


def _how_to_decide(left_over: LeftOver) -> str:
    how = f"{left_over.command} with --moved or --not-moved FEATURE"
    return f"look them up in the dashboard, and call {how}"


def _move(
    left_over: LeftOver, stays: str, feature: str, both: BothUsages, number: int
) -> _Asking[None]:
    """Move the usage of one feature; its entry in the plan has ``ok`` only if that is certain."""
    assert left_over.plan is not None  # noqa: S101 - it has begun
    amount, before = both.goes.used, both.stays.used
    if abs(amount + before) > _MOST:
        raise HeldError(
            f"the merge of {left_over.owner!r} with {stays!r} cannot go on: {amount} of {feature} "
            f"and {before} are together more than the 32 bits that Kana counts with"
        )
    entry = {"amount": amount, "before": before, "periodStart": both.stays.period}
    left_over.plan["moved"][feature] = entry
    claimed = left_over_id(left_over.owner, number)
    answer = yield Call(
        "moveUsage",
        {
            "leftOver": left_over.id,
            "newId": claimed,
            "metadata": left_over.metadata(),
            "survivor": stays,
            "featureId": feature,
            "amount": amount,
        },
    )
    # The answer to the same request may have been lost, so that this was the second time.
    is_ours = answer.name == "claimed" and (yield from _has_plan(claimed, left_over.plan))
    if answer.name == "survivor_gone":  # the left-over has the next id, but no usage was moved
        left_over.number = number
        del left_over.plan["moved"][feature]
        yield from write(claimed, {"metadata": left_over.metadata()}, merges=True)
    if answer.name != "ok" and not is_ours:
        raise RetryableError(f"the usage of {feature} was not moved to {stays!r} as it was planned")
    left_over.number = number
    if is_ours:
        return
    recorded = answer.data["move"]
    entry["ok"] = recorded["recorded"]
    if not entry["ok"]:
        entry["reason"] = recorded["reason"] or "no reason given"


def feature_ids() -> _Asking[list[str]]:
    """Return the ids of all features."""
    answer = yield Call("listFeatures", {})
    return [feature["id"] for feature in answer.data]


def subscribed_packages(user_id: str) -> _Asking[list[str]]:
    """Return the ids of the packages of a user's subscriptions, without those that have ended."""
    answer = yield Call("listSubscriptions", {"userId": user_id})
    return sorted(one["package"]["id"] for one in answer.data if one["status"] not in _ENDED)


def usage_of_both(goes: str, stays: str, feature: str) -> _Asking[BothUsages | None]:
    """Return both users' usage of a feature; None if the feature is gone."""
    payload = {"goes": goes, "stays": stays, "featureId": feature}
    answer = yield Call("usageOfBoth", payload)
    if answer.name == "no_such_feature":
        return None
    if answer.name != "ok":
        raise RetryableError(f"the users {goes!r} and {stays!r} changed during their merge")
    return BothUsages(_usage(answer.data["goes"]), _usage(answer.data["stays"]))


def _usage(shown: Mapping[str, Any]) -> Usage:
    """Return the usage of the current period: none if Kana shows no period."""
    current = shown["current"]
    if current is None:
        return Usage(0, None)
    return Usage(int(current["consumption"]["used"]), current["periodStart"])


def _plan(user: User) -> dict[str, Any] | None:
    metadata = user["metadata"]
    plan = metadata.get(PLAN) if isinstance(metadata, dict) else None
    if not (isinstance(plan, dict) and isinstance(plan.get("survivor"), str)):
        return None
    if plan.get("done"):  # no sum of an earlier version is open any more
        plan = {key: value for key, value in plan.items() if key != "usage"}
    return {**plan, "moved": {**plan.get("moved", {})}}


def _with_plan(user: User, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user's metadata with the plan in it; its other keys stay."""
    metadata = user["metadata"]
    kept = metadata if isinstance(metadata, dict) else {}
    if metadata is not None and not isinstance(metadata, dict):
        kept = {"metadata": metadata}
    moved = {feature: dict(entry) for feature, entry in plan.get("moved", {}).items()}
    return {**kept, PLAN: {**plan, "moved": moved}}
