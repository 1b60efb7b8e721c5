"""Finding what a request names, or refusing it with the error that Kana names for it."""

from __future__ import annotations

from kana_destination.sandbox.errors import (
    FeatureNotFoundError,
    PackageNotFoundError,
    UserNotFoundError,
)
from kana_destination.sandbox.models import Feature, Package, User
from kana_destination.sandbox.state import State

__all__ = ["feature_of", "package_of", "user_of"]


def user_of(state: State, user_id: str) -> User:
    """Find the user; raises :class:`UserNotFoundError`."""
    user = state.users.get(user_id)
    if user is None:
        raise UserNotFoundError(user_id)
    return user


def feature_of(state: State, feature_id: str) -> Feature:
    """Find the feature; raises :class:`FeatureNotFoundError`."""
    feature = state.features.get(feature_id)
    if feature is None:
        raise FeatureNotFoundError(feature_id)
    return feature


def package_of(state: State, package_id: str) -> Package:
    """Find the package; raises :class:`PackageNotFoundError`."""
    package = state.packages.get(package_id)
    if package is None:
        raise PackageNotFoundError(package_id)
    return package
