"""Find out what a merge of two users would do, without changing anything."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from destinations import Answer, Call
from kana_destination.merge_steps import (
    BothUsages,
    LeftOver,
    feature_ids,
    subscribed_packages,
    usage_of_both,
)
from kana_destination.operator_merge import Pair, find_pair
from kana_destination.users import User, left_over_id

__all__ = ["MergePreview", "preview_merge"]


@dataclass(frozen=True, slots=True)
class MergePreview:
    """The users of a merge as they are now, and their usage by feature, where it is to be moved.

    ``packages`` are those of the subscriptions that stay with the user that goes.
    """

    pair: Pair
    usage: Mapping[str, BothUsages]
    packages: Sequence[str]

    @property
    def goes(self) -> User:
        """The user that goes, which may be a left-over already."""
        return self.pair.user_that_goes

    @property
    def survives(self) -> User:
        """The user that stays."""
        return self.pair.survives

    @property
    def changes(self) -> Mapping[str, str]:
        """The fields that the user that stays takes from the other."""
        return self.pair.changes

    @property
    def begins(self) -> bool:
        """Whether no merge of both has begun yet."""
        return not isinstance(self.pair.goes, LeftOver)

    @property
    def is_done(self) -> bool:
        """Whether all usage was moved by an earlier merge of both."""
        return isinstance(self.pair.goes, LeftOver) and self.pair.goes.is_done

    @property
    def left_over(self) -> str:
        """The id of the left-over; its number grows with each feature whose usage is moved."""
        if isinstance(self.pair.goes, LeftOver):
            return self.pair.goes.id
        number = max((one.number for one in self.pair.earlier), default=-1) + 1
        return left_over_id(self.goes["id"], number)


def preview_merge(gone: str, kept: str) -> Generator[Call, Answer, MergePreview | LeftOver]:
    """Look up what a merge of the user ``gone`` into ``kept`` would do; only reads.

    Returns the left-over of ``kept`` if a merge into ``gone`` was cut off and that user is gone
    since: then all that is done is to give ``kept`` its id back.

    Raises `IntegrationError` if Kana lacks one of the users, as the merge does, and
    `RetryableError` if one of them is gone by then.
    """
    pair = yield from find_pair(gone, kept)
    if isinstance(pair, LeftOver):
        return pair
    features: Sequence[str] = yield from feature_ids()
    usage = {}
    moved = (pair.goes.plan or {}).get("moved", {}) if isinstance(pair.goes, LeftOver) else {}
    for feature in features:
        if "ok" in moved.get(feature, {}):
            continue
        both = yield from usage_of_both(pair.user_that_goes["id"], pair.survives["id"], feature)
        if both is not None and (both.goes.used or both.stays.used):
            usage[feature] = both
    packages = yield from subscribed_packages(pair.user_that_goes["id"])
    return MergePreview(pair, usage, packages)
