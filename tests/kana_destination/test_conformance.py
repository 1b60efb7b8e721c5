from __future__ import annotations

from destinations.kit.testing import DestinationConformance


class TestKana(DestinationConformance):
    """The definition that is shipped, with its recorded cases."""

    destination = "kana"
    documented_errors = (
        {"exception": "SubscriptionError"},
        {"exception": "SubscriptionNotFoundError"},
        {"exception": "PackageNotFoundError"},
        {"exception": "FeatureNotFoundError"},
        {"exception": "UserNotFoundError"},
        {"exception": "AuthenticationError"},
        {"exception": "NetworkError"},
        {"exception": "Error"},
        {"code": "BAD_USER_INPUT"},
        {"code": "INTERNAL_SERVER_ERROR"},
        {"message": "Unauthenticated"},
    )
