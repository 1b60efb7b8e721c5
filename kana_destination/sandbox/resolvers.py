"""Resolve each query, mutation and field: one function each, in the order of the schema.

``info.context`` is a :class:`Context`. Arguments have the names that ``graphql_schema`` gives them
(``id`` is ``identifier``, ``input`` is ``given``, the others are in snake case). Resolvers raise
:class:`KanaError`, which becomes an entry of ``errors`` with the path of the field.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from graphql import GraphQLResolveInfo

from kana_destination.sandbox import changes
from kana_destination.sandbox.errors import not_found
from kana_destination.sandbox.lookup import feature_of, package_of, user_of
from kana_destination.sandbox.models import (
    Feature,
    Package,
    PackageFeature,
    Subscription,
    User,
    iso,
)
from kana_destination.sandbox.state import State
from kana_destination.sandbox.usage import (
    Access,
    Period,
    access_to,
    grant_of,
    past_periods,
    period_of,
    record,
    reset_of,
    used_in,
)

__all__ = ["ATTRIBUTES", "RESOLVERS", "Context", "Resolver"]

Resolver = Callable[..., Any]
# A string, since the class is generic only from graphql-core 3.3 on.
Info: TypeAlias = "GraphQLResolveInfo[Any]"

_RECORDED: Mapping[str, object] = {"recorded": True, "reason": None}


@dataclass(frozen=True, slots=True)
class Context:
    """The data of a request: the state, and the time at which it arrived (UTC)."""

    state: State
    now: datetime
    today: int
    """``now`` as a proleptic ordinal."""


def _feature(_root: object, info: Info, identifier: str) -> Feature:
    return feature_of(info.context.state, identifier)


def _features(_root: object, info: Info) -> list[Feature]:
    return list(info.context.state.features.values())


def _user(_root: object, info: Info, identifier: str) -> User:
    return user_of(info.context.state, identifier)


def _users(_root: object, info: Info) -> list[User]:
    return list(info.context.state.users_by_seq.values())


def _package(_root: object, info: Info, identifier: str) -> Package:
    return package_of(info.context.state, identifier)


def _packages(_root: object, info: Info, status: str | None = None) -> list[Package]:
    packages: dict[str, Package] = info.context.state.packages
    return [package for package in packages.values() if status in (None, package.status)]


def _subscription(_root: object, info: Info, identifier: str) -> Subscription:
    found: Subscription | None = info.context.state.subscriptions.get(identifier)
    if found is None:
        raise not_found("Subscription", identifier)
    return found


def _subscriptions(
    _root: object, info: Info, user_id: str | None = None, package_id: str | None = None
) -> list[Subscription]:
    state: State = info.context.state
    user = state.users.get(user_id) if user_id is not None else None
    if user_id is not None and user is None:
        return []
    return [
        subscription
        for subscription in state.subscriptions.values()
        if (user is None or subscription.user_seq == user.seq)
        and package_id in (None, subscription.package_id)
    ]


def _can_use_feature(
    _root: object, info: Info, user_id: str, feature_id: str, delta: int | None = None
) -> dict[str, object]:
    return _access(info.context, user_id, feature_id, 1 if delta is None else delta)


def _access(context: Context, user_id: str, feature_id: str, delta: int) -> dict[str, object]:
    user, feature = user_of(context.state, user_id), feature_of(context.state, feature_id)
    found = access_to(context.state, user, feature, context.today, delta)
    consumable = feature.type == "CONSUMABLE"
    return {
        "access": found.access,
        "reason": found.reason,
        "consumption": _consumption(found) if consumable else None,
    }


def _consumption(found: Access) -> dict[str, object]:
    return {
        "used": found.used,
        "budget": found.budget,
        "overageEnabled": found.overage_enabled,
    }


def _show_usage(_root: object, info: Info, user_id: str, feature_id: str) -> dict[str, object]:
    context: Context = info.context
    user, feature = user_of(context.state, user_id), feature_of(context.state, feature_id)
    grant = grant_of(context.state, user, feature.id)
    reset, days = reset_of(grant), context.state.days(user, feature.id)
    current = period_of(reset, context.today)
    return {
        "current": _in_period(current, used_in(current, days), grant),
        "past": [
            _in_period(period, used, grant)
            for period, used in past_periods(reset, days, context.today)
        ],
    }


def _in_period(period: Period, used: int, grant: PackageFeature | None) -> dict[str, object]:
    return {
        "periodStart": iso(period.start_time),
        "periodEnd": iso(period.end_time),
        "consumption": {
            "used": used,
            "budget": 0 if grant is None else grant.limit,
            "overageEnabled": grant is not None and grant.overage_enabled,
        },
    }


def _create_user(_root: object, info: Info, given: dict[str, Any]) -> User:
    return changes.create_user(info.context.state, given, info.context.now)


def _update_user(_root: object, info: Info, identifier: str, given: dict[str, Any]) -> User:
    return changes.update_user(info.context.state, identifier, given)


def _create_feature(_root: object, info: Info, given: dict[str, Any]) -> Feature:
    return changes.create_feature(info.context.state, given)


def _update_feature(_root: object, info: Info, identifier: str, given: dict[str, Any]) -> Feature:
    return changes.update_feature(info.context.state, identifier, given)


def _create_package(_root: object, info: Info, given: dict[str, Any]) -> Package:
    return changes.create_package(info.context.state, given, info.context.now)


def _update_package(_root: object, info: Info, identifier: str, given: dict[str, Any]) -> Package:
    return changes.update_package(info.context.state, identifier, given, info.context.now)


def _subscribe(
    _root: object, info: Info, package_ids: list[str], user_id: str
) -> list[Subscription]:
    return changes.subscribe(info.context.state, user_id, package_ids)


def _record_usage(_root: object, info: Info, given: dict[str, Any]) -> Mapping[str, object]:
    context: Context = info.context
    state = context.state
    user, feature = user_of(state, given["userId"]), feature_of(state, given["featureId"])
    delta = given.get("delta")
    reason = record(
        state,
        user,
        feature,
        context.today,
        1 if delta is None else delta,
        overwrite=given.get("action") == "SET",
    )
    return _RECORDED if reason is None else {"recorded": False, "reason": reason}


def _generate_user_token(_root: object, info: Info, user_id: str) -> dict[str, str]:
    user_of(info.context.state, user_id)
    return {"token": f"usr_test_{secrets.token_urlsafe(24)}"}


def _feature_packages(feature: Feature, info: Info) -> list[Package]:
    packages: dict[str, Package] = info.context.state.packages
    return [package for package in packages.values() if feature.id in package.features]


def _feature_entitlement(feature: Feature, info: Info, user_id: str) -> dict[str, object]:
    return _access(info.context, user_id, feature.id, 1)


def _package_features(package: Package, info: Info) -> list[dict[str, Any]]:
    features: dict[str, Feature] = info.context.state.features
    return [
        {**features[entry.id].to_json(), **entry.to_json()} for entry in package.features.values()
    ]


def _package_updated(package: Package, _info: Info) -> str:
    return iso(package.updated_at)


def _subscription_user(subscription: Subscription, info: Info) -> str:
    user: User = info.context.state.users_by_seq[subscription.user_seq]
    return user.id


def _subscription_package(subscription: Subscription, info: Info) -> Package:
    package: Package = info.context.state.packages[subscription.package_id]
    return package


RESOLVERS: Mapping[str, Mapping[str, Resolver]] = {
    "Query": {
        "feature": _feature,
        "features": _features,
        "user": _user,
        "users": _users,
        "package": _package,
        "packages": _packages,
        "subscription": _subscription,
        "subscriptions": _subscriptions,
        "canUseFeature": _can_use_feature,
        "showUsage": _show_usage,
    },
    "Mutation": {
        "createUser": _create_user,
        "updateUser": _update_user,
        "createFeature": _create_feature,
        "updateFeature": _update_feature,
        "createPackage": _create_package,
        "updatePackage": _update_package,
        "subscribe": _subscribe,
        "recordUsage": _record_usage,
        "generateUserToken": _generate_user_token,
    },
    "Feature": {"packages": _feature_packages, "entitlement": _feature_entitlement},
    "Package": {"features": _package_features, "updatedAt": _package_updated},
    "PackageSubscription": {"userId": _subscription_user, "package": _subscription_package},
}
"""The functions of fields, by type and field."""

ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "User": {"billingId": "billing_id"},
    "Feature": {"unitLabel": "unit_label", "unitLabelPlural": "unit_label_plural"},
    "Package": {"isAddon": "is_addon"},
}
"""Attributes of models that differ from the field's name, by type and field."""
