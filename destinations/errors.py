"""Every error that this package raises, grouped by what can be done about it.

::

    DestinationsError
    ├── UsageError                    the call is wrong: name, file, option (exit code 2)
    │   ├── MissingExtraError         a library is missing; the message has the command for it
    │   └── TemporaryError            may pass by itself: disk full, store in use (exit code 75)
    ├── DefinitionError               a file is wrong; holds every Fault that was found
    │   ├── MappingError              a mapping is refused when it is loaded
    │   ├── SettingsError             the settings do not fit the definition
    │   └── SecretMissingError        a secret is not there yet; also a TemporaryError
    ├── ResolveError                  a directive failed on one event; that event is invalid
    └── IntegrationError              delivery failed: message, code, status
        ├── PayloadValidationError    400, the payload does not fit the fields
        ├── InvalidAuthenticationError 401, the credentials are wrong; stops a run
        ├── APIError                  the partner answered with an error
        ├── RetryableError            500, may be tried again
        ├── HeldError                 409, an operator has to decide whether it was applied
        └── SelfTimeoutError          408, the partner did not answer in time

The classes below ``IntegrationError``, ``HeldError`` apart, and their codes are those of Segment's
Actions framework, so that logs and dashboards made for it keep their meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from destinations.statuses import CODES, UNKNOWN_CODE

__all__ = [
    "APIError",
    "DefinitionError",
    "DestinationsError",
    "Fault",
    "HeldError",
    "IntegrationError",
    "InvalidAuthenticationError",
    "MappingError",
    "MissingExtraError",
    "PayloadValidationError",
    "ResolveError",
    "RetryableError",
    "SecretMissingError",
    "SelfTimeoutError",
    "SettingsError",
    "TemporaryError",
    "UsageError",
    "error_code",
]


def error_code(status: int) -> str:
    """Return the upper-case name of an HTTP status, ``UNKNOWN_ERROR`` where it has none."""
    return CODES.get(status, UNKNOWN_CODE)


class DestinationsError(Exception):
    """Root of all errors raised on purpose by this package."""


class UsageError(DestinationsError):
    """The caller asked for something that does not exist or does not fit together."""


class MissingExtraError(UsageError):
    """A library is missing that comes with an extra; see `destinations.extras.libraries_of`."""


class TemporaryError(UsageError):
    """Nothing is wrong with what the caller asked for, and it may work later."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a file or mapping, and where.

    ``path`` is a JSON pointer (``/requests/recordUsage/timeout``), empty for the whole document.
    ``file`` and ``line`` (from 1) are known for what was read from a file.
    """

    message: str
    path: str = ""
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = self.file or ""
        if self.line is not None:
            place += f":{self.line}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


class DefinitionError(DestinationsError):
    """A document is wrong; ``faults`` holds everything found, in the order of the document."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class MappingError(DefinitionError):
    """A mapping that the reference runtime refuses as well, or that needs a missing extra."""


class SettingsError(DefinitionError):
    """Settings that do not fit the destination's settings schema."""


class SecretMissingError(DefinitionError, TemporaryError):
    """All that is wrong in a document is that secrets which it names are not there yet."""


class ResolveError(DestinationsError):
    """A directive failed while a mapping was resolved for one event.

    ``path`` is the JSON pointer of the directive within its mapping.
    """

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{path or '/'}: {message}")


class IntegrationError(DestinationsError):
    """Delivery failed; ``code`` is Segment's upper-case name, ``status`` an HTTP status."""

    def __init__(self, message: str, code: str, status: int) -> None:
        self.message = message
        self.code = code
        self.status = status
        super().__init__(message)


class PayloadValidationError(IntegrationError):
    """The payload does not fit the action's fields: nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "PAYLOAD_VALIDATION_FAILED", 400)


class InvalidAuthenticationError(IntegrationError):
    """The partner refused the credentials; no event of this destination can succeed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "INVALID_AUTHENTICATION", 401)


class APIError(IntegrationError):
    """The partner answered with an error; ``status`` tells whether it may be tried again."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, error_code(status), status)


class RetryableError(IntegrationError):
    """The same request may succeed later."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message, "RETRYABLE_ERROR", status)


class HeldError(IntegrationError):
    """What was applied cannot be told from what the partner shows: an operator has to decide.

    The message names what is to be compared. This class is not one of Segment's.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, "CONFLICT", 409)


class SelfTimeoutError(IntegrationError):
    """The partner did not answer within the time-out."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "SELF_TIMEOUT", 408)
