"""The errors that the sandbox answers with, named as Kana's own clients name them.

::

    KanaError                       exception.name "Error", code BAD_USER_INPUT
    ├── AuthenticationError         code UNAUTHENTICATED, message starts with "Unauthenticated"
    ├── UserNotFoundError
    ├── FeatureNotFoundError
    ├── PackageNotFoundError
    ├── SubscriptionNotFoundError
    └── SubscriptionError           a rule of subscribing is broken

Kana documents the names and the shape ``extensions: {code, exception: {name, message}}``, but a
code for ``BAD_USER_INPUT`` only: the sandbox answers it for every fault of the caller's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from graphql import GraphQLError

__all__ = [
    "AuthenticationError",
    "FeatureNotFoundError",
    "KanaError",
    "PackageNotFoundError",
    "SubscriptionError",
    "SubscriptionNotFoundError",
    "UserNotFoundError",
    "error_entry",
    "request_error",
]


class KanaError(Exception):
    """A refusal; ``name`` is what ``extensions.exception.name`` says."""

    name: ClassVar[str] = "Error"
    code: ClassVar[str] = "BAD_USER_INPUT"

    @property
    def extensions(self) -> dict[str, Any]:
        """``{code, exception: {name, message}}``; graphql-core copies it into its own error."""
        return {"code": self.code, "exception": {"name": self.name, "message": str(self)}}


class AuthenticationError(KanaError):
    """The key is missing or is none that the Admin API takes."""

    name = "AuthenticationError"
    code = "UNAUTHENTICATED"

    def __init__(self, why: str) -> None:
        super().__init__(f"Unauthenticated: {why}")


class _NotFoundError(KanaError):
    kind: ClassVar[str]

    def __init__(self, identifier: str) -> None:
        super().__init__(f"{self.kind} {identifier!r} does not exist")


class UserNotFoundError(_NotFoundError):
    """No user has the id."""

    name = "UserNotFoundError"
    kind = "User"


class FeatureNotFoundError(_NotFoundError):
    """No feature has the id."""

    name = "FeatureNotFoundError"
    kind = "Feature"


class PackageNotFoundError(_NotFoundError):
    """No package has the id."""

    name = "PackageNotFoundError"
    kind = "Package"


class SubscriptionNotFoundError(_NotFoundError):
    """No subscription has the id."""

    name = "SubscriptionNotFoundError"
    kind = "Subscription"


class SubscriptionError(KanaError):
    """The user cannot be subscribed to these packages."""

    name = "SubscriptionError"


def error_entry(error: GraphQLError, code: str) -> dict[str, Any]:
    """One entry of ``errors``: message, locations, path, extensions.

    ``code`` is for errors of GraphQL itself; a :class:`KanaError` brings its own, and any other
    exception that a resolver let through (its error has a path) is ``INTERNAL_SERVER_ERROR``.
    """
    entry = dict(error.formatted)
    if not error.extensions:
        if error.path is not None and error.original_error is not None:
            code = "INTERNAL_SERVER_ERROR"
        entry["extensions"] = {
            "code": code,
            "exception": {"name": "Error", "message": error.message},
        }
    return entry


def request_error(error: KanaError) -> dict[str, Any]:
    """Return a whole answer that says why nothing was run: there is no ``data`` in it."""
    return {"errors": [{"message": str(error), "extensions": error.extensions}]}
