"""The error that the sandbox answers with, and the names of its kinds in Kana's own clients.

=========================== ================== ================================================
``exception.name``          ``code``           when
=========================== ================== ================================================
Error                       BAD_USER_INPUT     any other mistake of the caller
AuthenticationError         UNAUTHENTICATED    the message starts with "Unauthenticated"
UserNotFoundError           BAD_USER_INPUT     no user has the id; likewise for Feature, Package
                                               and Subscription
SubscriptionError           BAD_USER_INPUT     a rule of subscribing is broken
=========================== ================== ================================================

Kana documents these names, the shape ``extensions: {code, exception: {name, message}}`` and one
code, ``BAD_USER_INPUT``: the sandbox uses it for every mistake of the caller.
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
    """A refused request; ``name`` is its kind, ``extensions.exception.name`` in the answer.

    A fault rule may leave it out, as an API does that hides what went wrong within it.
    """

    def __init__(
        self, message: str, name: str | None = "Error", code: str = "BAD_USER_INPUT"
    ) -> None:
        super().__init__(message)
        self.name = name
        self.code = code

    @property
    def extensions(self) -> dict[str, Any]:
        """``{code, exception: {name, message}}``; graphql-core copies it into its own error."""
        if self.name is None:
            return {"code": self.code}
        return {"code": self.code, "exception": {"name": self.name, "message": str(self)}}


def unauthenticated(why: str) -> KanaError:
    """Return the error for an API key that is missing or is not accepted."""
    return KanaError(f"Unauthenticated: {why}", "AuthenticationError", "UNAUTHENTICATED")


def not_found(
    kind: Literal["User", "Feature", "Package", "Subscription"], identifier: str
) -> KanaError:
    """Return the error for an id that does not exist."""
    return KanaError(f"{kind} {identifier!r} does not exist", f"{kind}NotFoundError")


def not_subscribable(why: str) -> KanaError:
    """Return the error for a user who cannot be subscribed to the packages."""
    return KanaError(why, "SubscriptionError")


def error_entry(error: GraphQLError, code: str) -> dict[str, Any]:
    """Return the entry of ``errors``: message, locations, path, extensions.

    ``code`` is for errors of GraphQL itself. A :class:`KanaError` has its own, and any other
    exception in a resolver (its error has a path) gets ``INTERNAL_SERVER_ERROR``.
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
    """Return a whole answer, without ``data``, that says why nothing was run."""
    return {"errors": [{"message": str(error), "extensions": error.extensions}]}
