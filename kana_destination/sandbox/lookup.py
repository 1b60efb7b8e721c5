"""Look up what a request names, or raise the error that Kana documents for it."""

from __future__ import annotations

from kana_destination.sandbox.errors import not_found
from kana_destination.sandbox.models import Feature, Package, User
from kana_destination.sandbox.state import State

__all__ = ["feature_of", "package_of", "user_of"]


def user_of(state: State, user_id: str) -> User:
    """Find the user; raises ``UserNotFoundError``."""
    user = state.users.get(user_id)
    if user is None:
        raise not_found("User", user_id)
    return user


def feature_of(state: State, feature_id: str) -> Feature:
    """Find the feature; raises ``FeatureNotFoundError``."""
    feature = state.features.get(feature_id)
    if feature is None:
        raise not_found("Feature", feature_id)
    return feature


def package_of(state: State, package_id: str) -> Package:
    """Find the package; raises ``PackageNotFoundError``."""
    package = state.packages.get(package_id)
    if package is None:
        raise not_found("Package", package_id)
    return package
