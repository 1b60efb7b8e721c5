"""The error that the sandbox answers with, and the names that Kana's own clients give its kinds.

=========================== ================== ================================================
``exception.name``          ``code``           when
=========================== ================== ================================================
Error                       BAD_USER_INPUT     any other fault of the caller's
AuthenticationError         UNAUTHENTICATED    the message starts with "Unauthenticated"
UserNotFoundError           BAD_USER_INPUT     nothing has the id; also for Feature, Package and
                                               Subscription
SubscriptionError           BAD_USER_INPUT     a rule of subscribing is broken
=========================== ================== ================================================

Kana documents the names and the shape ``extensions: {code, exception: {name, message}}``, but a
code for ``BAD_USER_INPUT`` only: the sandbox answers it for every fault of the caller's.
"""

from __future__ import annotations

from typing import Any, Literal

from graphql import GraphQLError

__all__ = [
    "KanaError",
    "error_entry",
    "not_found",
    "not_subscribable",
    "request_error",
    "unauthenticated",
]


class KanaError(Exception):
    """A refusal; ``name`` is what ``extensions.exception.name`` says."""

    def __init__(self, message: str, name: str = "Error", code: str = "BAD_USER_INPUT") -> None:
        super().__init__(message)
        self.name = name
        self.code = code

    @property
    def extensions(self) -> dict[str, Any]:
        """``{code, exception: {name, message}}``; graphql-core copies it into its own error."""
        return {"code": self.code, "exception": {"name": self.name, "message": str(self)}}


def unauthenticated(why: str) -> KanaError:
    """Return the error for a key that is missing or is none that the Admin API takes."""
    return KanaError(f"Unauthenticated: {why}", "AuthenticationError", "UNAUTHENTICATED")


def not_found(
    kind: Literal["User", "Feature", "Package", "Subscription"], identifier: str
) -> KanaError:
    """Return the error for an id that nothing of its kind has."""
    return KanaError(f"{kind} {identifier!r} does not exist", f"{kind}NotFoundError")


def not_subscribable(why: str) -> KanaError:
    """Return the error for a user that cannot be subscribed to the packages."""
    return KanaError(why, "SubscriptionError")


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
