"""Define every error that this package raises, grouped by its cure.

::

    DestinationsError
    ├── UsageError                     fix the call: a name, a file, an option (exit code 2)
    │   ├── CursorError                console: begin the list again
    │   ├── FilterError                fix the value of a filter of deliveries
    │   ├── InputError                 console: fix the request; it names each place
    │   ├── MissingExtraError          install the extra that the message names
    │   ├── PluginError                fix the plugin: the message names its package and generator
    │   ├── StaleDecisionError         console: look again, then decide
    │   ├── StoreDamagedError          put a backup in the place of the store
    │   ├── StoreDeniedError           grant the right that the message names
    │   ├── UnansweredError            answer the question, or say --yes: nobody was there to ask
    │   ├── TenantChangedError         another process has merged or erased the customer
    │   ├── UnknownError               console: name a delivery, destination or tenant that is there
    │   └── TemporaryError             try again later, unchanged (exit code 75)
    │       ├── ChangedByOthersError   another process has changed what this would write
    │       ├── StoreFullError         make room on the disk, or allow the store more
    │       ├── StoreGoneError         begin again: the store was removed while it was in use
    │       ├── UncertainError         it is not known whether it was written
    │       └── UnderWayError          requests of the customer are under way
    ├── DefinitionError                fix a file; holds every Issue that was found
    │   ├── MappingError               a mapping is refused when it is loaded
    │   ├── RefusedExportError         say it in another way, or export the rest with --partial
    │   ├── PartialPackError           say it in another way: a pack has the whole of the code
    │   ├── NewerCaseError             update the package: a newer version recorded the case
    │   ├── SettingsError              the settings do not fit the definition
    │   └── SecretMissingError         a secret is not there yet; also a TemporaryError
    ├── SampleError                    fix a code sample of a documentation page
    ├── EventError                     fix the event: it is not delivered
    ├── BodyError                      fix the body of a request to the receiver
    ├── QueueFullError                 send the event to the receiver again, after retry_after
    ├── ResolveError                   fix the mapping: a directive failed on one event
    ├── TransportError                 no answer came; tried again by its request's rules
    │   └── UnsendableError            fix the request: none like it can be sent
    └── IntegrationError               delivery failed: message, code, status
        ├── PayloadValidationError     400, the payload does not fit the fields
        ├── InvalidAuthenticationError 401, the credentials are wrong; stops a run
        ├── APIError                   the partner answered with an error
        ├── RetryableError             500, may be tried again
        ├── HeldError                  409, an operator has to decide whether it was applied
        └── SelfTimeoutError           408, the partner did not answer in time

The classes below ``IntegrationError``, ``HeldError`` apart, and their codes are the public ones of
Segment's Actions framework. Some differ only in their code; they stay, so that a plugin can
raise the errors that its author knows, and logs and dashboards made for them keep their meaning.

Signals are not part of the tree, as each is caught within the package that raises it.

::

    CaseDifferenceError      kit.testing: shown by pytest for a case that does not replay
    FqlError                 segment.fql: ends the reading of a subscription; becomes an FqlIssue
    HeaderError              server: becomes a KeyRefusedError for settings that came with a request
    KanaError                sandbox of Kana: its answers, with the names of Kana's API
    KeyRefusedError          server: becomes the answer to a request whose key is not accepted
    LeaseLostError           pipeline: others deliver what came back, so it is forgotten
    LiquidError              segment.mapping: becomes a ResolveError or MappingError with its place
    PageError                console: becomes a page that says what is wrong with a request
    RangeError               segment.mapping: becomes a ResolveError with what would be right
    SinkError                telemetry.alerts: a message was not taken, and is sent again
    SourceError              definition: becomes an Issue in settings or a configuration
    SourceMissingError       definition: the same, where the secret may come later
    TokenError               oauth2: becomes a Failure of the request that needed a token
    UnevaluableError         segment.fql: makes a subscription match nothing
    UnsayableAddressError    kit.exporter: becomes an Issue of what cannot be exported
    UnsayablePatternError    kit.exporter: the same, of an expression that JavaScript lacks
    WireError                sandbox: an HTTP answer to a request that cannot be read
    AnsweredError            server: ends the reading of a body that its connection has refused
    _DocumentTypeError       kit.publishing: becomes a finding about a picture
    _EndedError              runtime: brings the result out of a plugin's generator
    _InvalidDateError        segment.javascript: ends the reading of a date
    _NeverEndsError          kit.testing: ends a made fault whose pages never end
    _NothingError            runtime: becomes an amount of 0 that the partner has counted
    RefusedError             server: ends the handling of a request with a reply
    _TwiceError              segment: ends the repair of JSON that has a key twice
    _UnknownError            runtime: becomes the reason why a sum of usage is not known
    _UnexpectedRequestError  kit.testing: stops a replay at a request that the case lacks
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from destinations.statuses import CODES, UNKNOWN_CODE

__all__ = [
    "APIError",
    "BodyError",
    "DefinitionError",
    "DestinationsError",
    "EventError",
    "HeldError",
    "IntegrationError",
    "InvalidAuthenticationError",
    "Issue",
    "MappingError",
    "MissingExtraError",
    "NewerCaseError",
    "PayloadValidationError",
    "PluginError",
    "QueueFullError",
    "ResolveError",
    "RetryableError",
    "SecretMissingError",
    "SelfTimeoutError",
    "SettingsError",
    "StoreDamagedError",
    "StoreDeniedError",
    "StoreFullError",
    "StoreGoneError",
    "TemporaryError",
    "TransportError",
    "UnsendableError",
    "UsageError",
    "did_you_mean",
    "error_code",
    "unknown_name",
]


def error_code(status: int) -> str:
    """Return the upper-case name of an HTTP status, ``UNKNOWN_ERROR`` where it has none."""
    return CODES.get(status, UNKNOWN_CODE)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean NAME?`` if a known name is near ``name``, else an empty text.

    Upper and lower case count as the same.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - slow to import, and only for mistakes

    by_words = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), by_words, n=1, cutoff=_NEAR)
    return f"; did you mean {by_words[near[0]]}?" if near else ""


def unknown_name(kind: str, name: str, known: Collection[str]) -> str:
    """Return the message for an unknown name, with the known ones and the nearest of them."""
    listed = ", ".join(known) or "none"
    return f"unknown {kind} {name!r}; known: {listed}{did_you_mean(name, known)}"


_NEAR: Final = 0.7  # trak and track, setting and settings; not key and apiKey


class DestinationsError(Exception):
    """Root of all errors raised on purpose by this package.

    ``topic`` is the one of `destinations help` that explains it, empty for none.
    """

    topic: str = ""


class UsageError(DestinationsError):
    """The caller asked for something that does not exist or does not fit together."""

    def __init__(self, *arguments: object, topic: str = "") -> None:
        super().__init__(*arguments)
        if topic:
            self.topic = topic


class MissingExtraError(UsageError):
    """A library is missing that comes with an extra; see `destinations.extras.libraries_of`."""

    topic = "guide install"


class PluginError(UsageError):
    """The code of a plugin failed, or asked for something that its definition does not have."""


class TemporaryError(UsageError):
    """The request is right, and may work later."""


class UncertainError(TemporaryError):
    """The store cannot tell yet whether what was written last is there."""


class StoreFullError(TemporaryError):
    """Nothing was written: the disk is full, or the store has reached its size limit.

    ``reason`` says which of them, for senders: it names no file of this machine.
    """

    def __init__(self, message: str, reason: str = "the store is full") -> None:
        self.reason = reason
        super().__init__(message)


class StoreGoneError(TemporaryError):
    """The store was removed or replaced while in use; nothing more is written."""


class StoreDeniedError(UsageError):
    """The user of a database lacks a right: senders are told to come again, until it is granted."""


class StoreDamagedError(UsageError):
    """The content of the store is damaged; it cannot be used."""

    topic = "destinations store"


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue in a document or mapping, with its place.

    ``path`` is a JSON pointer (``/requests/recordUsage/timeout``), empty for the whole document.
    ``file`` and ``line`` (from 1) are set for documents that were read from a file.
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
    """A document is invalid; ``issues`` holds all its issues, in the order of the document."""

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = tuple(issues)
        super().__init__("\n".join(str(issue) for issue in self.issues))


class MappingError(DefinitionError):
    """A mapping is invalid for the reference runtime too, or needs a missing extra."""


class NewerCaseError(DefinitionError):
    """A case was recorded by a newer version of this package, so it cannot be replayed."""


class SettingsError(DefinitionError):
    """Settings that do not fit the destination's settings schema."""

    topic = "settings"


class SecretMissingError(DefinitionError, TemporaryError):
    """A document is valid, but secrets that it names are not there yet."""


class EventError(DestinationsError):
    """The data is not an event; ``code`` names the rule that it breaks."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class BodyError(DestinationsError):
    """The body holds no events that can be taken; ``status`` is the HTTP status to answer with.

    ``events`` is how many it holds, 1 where they cannot be counted; ``code`` is what is wrong in
    one word, empty where the status says as much.
    """

    def __init__(self, message: str, status: int = 400, events: int = 1, code: str = "") -> None:
        self.message = message
        self.status = status
        self.events = events
        self.code = code
        super().__init__(message)


class QueueFullError(DestinationsError):
    """Nothing was accepted: the queue is too long or its disk is full.

    ``retry_after`` is in seconds.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        self.message = message
        self.retry_after = retry_after
        super().__init__(message)


class ResolveError(DestinationsError):
    """A directive failed while a mapping was resolved for one event.

    ``path`` is the JSON pointer of the directive within its mapping.
    """

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(f"{path or '/'}: {message}")


class TransportError(DestinationsError):
    """No answer came.

    ``sent`` is False only if the partner certainly got nothing or an incomplete request.
    ``for_operator`` says that nothing can be sent before an operator has fixed something.
    ``too_long`` says that an answer came and is longer than the definition allows: it would come
    again.
    """

    def __init__(
        self,
        message: str,
        *,
        sent: bool,
        timeout: bool = False,
        for_operator: bool = False,
        too_long: bool = False,
    ) -> None:
        self.message = message
        self.sent = sent
        self.timeout = timeout
        self.for_operator = for_operator
        self.too_long = too_long
        super().__init__(message)


class UnsendableError(TransportError):
    """The request cannot be written as HTTP: it was not sent and never will be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class IntegrationError(DestinationsError):
    """Delivery failed; ``code`` is Segment's upper-case name, ``status`` an HTTP status."""

    def __init__(self, message: str, code: str, status: int) -> None:
        self.message = message
        self.code = code
        self.status = status
        super().__init__(message)


class PayloadValidationError(IntegrationError):
    """The payload does not fit the action's fields: nothing was sent.

    One of Segment's names, for plugins; the runtime itself returns such an outcome.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, "PAYLOAD_VALIDATION_FAILED", 400)


class InvalidAuthenticationError(IntegrationError):
    """The partner refused the credentials; no event of this destination can succeed.

    One of Segment's names, for its code.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, "INVALID_AUTHENTICATION", 401)


class APIError(IntegrationError):
    """The partner answered with an error; ``status`` says whether it may be tried again."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, error_code(status), status)


class RetryableError(IntegrationError):
    """The same request may succeed later."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message, "RETRYABLE_ERROR", status)


class HeldError(IntegrationError):
    """The partner's data does not show what was applied, so an operator has to decide.

    The message names the values to compare. This class is not one of Segment's.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, "CONFLICT", 409)


class SelfTimeoutError(IntegrationError):
    """The partner did not answer within the time-out. One of Segment's names, for its code."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "SELF_TIMEOUT", 408)
