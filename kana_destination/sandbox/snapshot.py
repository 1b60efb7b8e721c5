"""Everything that an account holds, as values that JSON can carry."""

from __future__ import annotations

from typing import Any

from kana_destination.sandbox.state import State
from kana_destination.sandbox.usage import grant_of, period_of, reset_of, used_in

__all__ = ["take_snapshot"]


def take_snapshot(state: State, today: int) -> dict[str, Any]:
    """Return ``{users, features, packages, subscriptions, usage}``.

    The lists are in order of creation, with the API's names (users with ``createdAt`` too).
    ``usage`` is the amount in the current period by user id and feature id, for each pair that has
    ever had usage. ``today`` is a proleptic ordinal (UTC).
    """
    usage: dict[str, dict[str, int]] = {}
    for seq, features in sorted(state.usage.items()):
        user = state.users_by_seq[seq]
        usage[user.id] = {
            feature_id: used_in(period_of(reset_of(grant_of(state, user, feature_id)), today), days)
            for feature_id, days in sorted(features.items())
        }
    return {
        "users": [user.to_json() for user in state.users_by_seq.values()],
        "features": [feature.to_json() for feature in state.features.values()],
        "packages": [package.to_json() for package in state.packages.values()],
        "subscriptions": [
            {
                "id": one.id,
                "userId": state.users_by_seq[one.user_seq].id,
                "packageId": one.package_id,
                "status": one.status,
            }
            for one in state.subscriptions.values()
        ],
        "usage": usage,
    }
