"""Merging two users with the operations that Kana documents: it has no merge and no delete.

One user *stays* and takes the final id; the other *goes* and is kept as a left-over, with the plan
of the merge in its metadata. Adding usage to the one that stays must happen once, and the API has
no idempotency key, so a rename is the token that is used up: mutations of one document are carried
out in their order, and none behind one that fails. The documents:

- *freeze*: the user that goes becomes a left-over, if the one that stays is there. From here on
  nobody else can add to its usage.
- *move*, for each feature: the left-over gets the next number in its id, and its usage is added to
  the user that stays. The plan, written with the rename, says which feature it was and what the
  other user had before.
- *adopt*: the user that stays gets the final id and the fields.

Each may be repeated, and may arrive late: it then fails at its rename, and nothing behind is done.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from destinations import Answer, Call, HeldError, IntegrationError, RetryableError
from kana_destination.users import Steps, User, left_over_id, left_over_of, update, write

__all__ = [
    "PLAN",
    "LeftOver",
    "Usage",
    "left_over_from",
    "left_overs_of",
    "merge",
    "put_back",
]

PLAN: Final = "kanaDestinationMerge"
"""Key in the left-over user's metadata.

Its value has ``survivor``, the id of the user that stays, and ``moved``: for each feature the
``amount``, the usage ``before`` of the one that stays, its ``periodStart``, and ``ok`` when it is
certain that it was added (false with a ``reason`` where Kana refused it). ``done`` says so of all.
``into`` is the final id, where that is not the one that the left-over had.
Merges of earlier versions have ``usage`` instead: sums that were set.
"""

_MOST: Final = 2**31 - 1

T = TypeVar("T")
_Asking = Generator[Call, Answer, T]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user has used of a feature in a period; ``period`` is None where none is shown."""

    used: int
    period: str | None


class _Both(NamedTuple):
    """What the user that goes and the one that stays have used of a feature."""

    goes: Usage
    stays: Usage


@dataclass(slots=True)
class LeftOver:
    """What a merge left over: the user, the number in its id, and the plan, None for none."""

    user: User
    owner: str
    number: int
    plan: dict[str, Any] | None

    @property
    def id(self) -> str:
        """The id that it has now."""
        return left_over_id(self.owner, self.number)

    @property
    def survivor(self) -> str | None:
        """The id that the user who stays had when the merge began; None if it is not known."""
        return None if self.plan is None else self.plan["survivor"]

    @property
    def is_done(self) -> bool:
        """Whether its usage is certainly moved, as far as Kana took it."""
        return self.plan is not None and bool(self.plan.get("done"))

    @property
    def is_untouched(self) -> bool:
        """Whether nothing of it was moved, so that it can get its own id back."""
        return self.plan is None or not (self.plan["moved"] or "usage" in self.plan)

    @property
    def into(self) -> str:
        """The id that the user who stays has in the end."""
        into: str = (self.plan or {}).get("into", self.owner)
        return into

    @property
    def command(self) -> str:
        """The command that goes on with its merge."""
        goes = self.owner if self.into == self.survivor else self.survivor
        return f"destinations kana merge {goes} {self.into}"

    @property
    def refused(self) -> Mapping[str, str]:
        """Why Kana did not take the usage of a feature, by feature; it stays with the left-over."""
        moved: Mapping[str, Any] = (self.plan or {}).get("moved", {})
        return {key: entry["reason"] for key, entry in moved.items() if entry.get("ok") is False}

    def belongs_to(self, survivor: str) -> bool:
        """Tell whether the user ``survivor`` stays in its merge; any user may if it has no plan."""
        return self.survivor in {None, survivor}

    def metadata(self, **changes: Any) -> dict[str, Any]:
        """Return the user's metadata with ``changes`` made to the plan in it."""
        return _with_plan(self.user, {**(self.plan or {}), **changes})


def left_overs_of(owner: str, users: Iterable[User]) -> list[LeftOver]:
    """Return what merges left over of a user, by number."""
    found = [one for one in map(left_over_from, users) if one is not None and one.owner == owner]
    return sorted(found, key=lambda one: one.number)


def left_over_from(user: User) -> LeftOver | None:
    """Return what a merge left over, if a user is that."""
    named = left_over_of(user["id"])
    return None if named is None else LeftOver(user, *named, _plan(user))


def merge(
    goes: User | LeftOver,
    stays: User,
    *,
    final_id: str,
    changes: Mapping[str, str],
    earlier: Iterable[LeftOver] = (),
    decided: Mapping[str, bool] | None = None,
) -> Steps:
    """Merge ``goes`` into ``stays``, which gets the id ``final_id`` and the ``changes``.

    A merge that was cut off goes on with its left-over. ``earlier`` are all left-overs of the same
    user: what they have not moved yet is moved as well. ``decided`` says of features whether their
    usage was moved, where that cannot be told. Returns the changes that the API does not take.

    Raises `HeldError` where it cannot be told whether usage was moved, `RetryableError` if users
    have changed since they were looked up, and `IntegrationError` if a sum is too large for Kana;
    in that case both users are as they were.
    """
    unfinished = [one for one in earlier if one.belongs_to(stays["id"]) and not one.is_done]
    number = max((one.number for one in earlier), default=-1) + 1
    if isinstance(goes, LeftOver):
        number = max(number, goes.number + 1)
        if all(one.id != goes.id for one in unfinished) and not goes.is_done:
            unfinished.append(goes)
    features = yield from _features()
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
        # A repeat must not ask again, since who knows what is used until then. Where nothing was
        # moved, the new id of the user that stays tells that the merge is over.
        if not one.is_untouched or new_id is None:
            yield from write(one.id, {"metadata": one.metadata(done=True)}, merges=True)
    return (yield from update(stays["id"], changes, new_id=new_id, merges=True))


def put_back(left_over: LeftOver) -> _Asking[User]:
    """Give a left-over its own id back, as the user that it was to be merged into is gone."""
    metadata = left_over.metadata()
    del metadata[PLAN]
    kept = metadata or None
    yield from write(left_over.id, {"metadata": kept}, new_id=left_over.owner, merges=True)
    return {**left_over.user, "id": left_over.owner, "metadata": kept}


def _check_sums(goes: str, stays: str, features: Iterable[str]) -> _Asking[None]:
    """Look whether Kana can count the usage of both together, before anything is changed."""
    too_large = []
    for feature in features:
        both = yield from _usage_of(goes, stays, feature)
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
    found = yield Call("findUser", {"id": user_id})
    return found.name == "ok" and _plan(found.data) == plan


def _move_all(
    left_over: LeftOver,
    stays: str,
    features: Iterable[str],
    number: int,
    decided: Mapping[str, bool],
) -> _Asking[int]:
    """Move what is not moved yet; returns the next free number, after those that it used.

    ``stays`` is the id of the user that stays by now: it has the final one if all was over before.
    """
    assert left_over.plan is not None  # noqa: S101 - it has begun
    moved: dict[str, Any] = left_over.plan["moved"]
    for feature in features:
        while "ok" not in moved.get(feature, {}):
            both = yield from _usage_of(left_over.id, stays, feature)
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
    """Give a left-over a plan of today; one of an earlier version may need a decision."""
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
    """Tell whether usage was moved by a request whose answer was lost.

    The rename in front of it was carried out, so it was as well, unless the partner broke off
    between both: then the usage is what it was. Others are taken to add only; so it was moved where
    the difference is at least what was moved, or where usage was taken back and is less now.
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


def _move(left_over: LeftOver, stays: str, feature: str, both: _Both, number: int) -> _Asking[None]:
    """Move the usage of one feature; where that is not certain, its entry has no ``ok``."""
    assert left_over.plan is not None  # noqa: S101 - it has begun
    amount, before = both.goes.used, both.stays.used
    if abs(amount + before) > _MOST:
        raise HeldError(
            f"the merge of {left_over.owner!r} with {stays!r} cannot go on: {amount} of {feature} "
            f"beside {before} are more than the 32 bits that Kana counts with"
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
    if answer.name == "survivor_gone":  # the next id was claimed, for nothing
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


def _features() -> _Asking[list[str]]:
    answer = yield Call("listFeatures", {})
    return [feature["id"] for feature in answer.data]


def _usage_of(goes: str, stays: str, feature: str) -> _Asking[_Both | None]:
    """Return what both users have used of a feature; None if there is no such feature any more."""
    payload = {"goes": goes, "stays": stays, "featureId": feature}
    answer = yield Call("usageOfBoth", payload)
    if answer.name == "no_such_feature":
        return None
    if answer.name != "ok":
        raise RetryableError(f"the users {goes!r} and {stays!r} changed during their merge")
    return _Both(_usage(answer.data["goes"]), _usage(answer.data["stays"]))


def _usage(shown: Mapping[str, Any]) -> Usage:
    """Return what is shown of the current period; nothing where Kana tells of none."""
    current = shown["current"]
    if current is None:
        return Usage(0, None)
    return Usage(int(current["consumption"]["used"]), current["periodStart"])


def _plan(user: User) -> dict[str, Any] | None:
    metadata = user["metadata"]
    plan = metadata.get(PLAN) if isinstance(metadata, dict) else None
    if not (isinstance(plan, dict) and isinstance(plan.get("survivor"), str)):
        return None
    if plan.get("done"):  # all is moved, in one way or the other
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
