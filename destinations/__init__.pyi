from ._version import __version__
from .definition import DestinationDefinition, check_folder, load_definition
from .definition.settings import Settings, check_settings, read_settings
from .errors import (
    APIError,
    DefinitionError,
    DestinationsError,
    Fault,
    IntegrationError,
    InvalidAuthenticationError,
    MappingError,
    PayloadValidationError,
    ResolveError,
    RetryableError,
    SelfTimeoutError,
    SettingsError,
    UsageError,
)
from .http import Answer, Failure, HttpRequest, HttpResponse
from .http.transport import HttpTransport, Transport, TransportError
from .outcome import ManualChange, Outcome, Result
from .plugins import Plugin, RunningSandbox
from .runner import Entry, Report, Row, Run
from .runtime.action import Call, Done, Generated, Generator, Payload
from .runtime.delivery import Courier
from .runtime.destination import Code, Delivery, Destination
from .secrets import Secret
from .segment.event import EventError, check_event, read_json
from .segment.fql import compile_fql
from .segment.mapping import compile_mapping
from .segment.validation import compile_schema

__all__ = [
    "APIError",
    "Answer",
    "Call",
    "Code",
    "Courier",
    "DefinitionError",
    "Delivery",
    "Destination",
    "DestinationDefinition",
    "DestinationsError",
    "Done",
    "Entry",
    "EventError",
    "Failure",
    "Fault",
    "Generated",
    "Generator",
    "HttpRequest",
    "HttpResponse",
    "HttpTransport",
    "IntegrationError",
    "InvalidAuthenticationError",
    "ManualChange",
    "MappingError",
    "Outcome",
    "Payload",
    "PayloadValidationError",
    "Plugin",
    "Report",
    "ResolveError",
    "Result",
    "RetryableError",
    "Row",
    "Run",
    "RunningSandbox",
    "Secret",
    "SelfTimeoutError",
    "Settings",
    "SettingsError",
    "Transport",
    "TransportError",
    "UsageError",
    "__version__",
    "check_event",
    "check_folder",
    "check_settings",
    "compile_fql",
    "compile_mapping",
    "compile_schema",
    "load_definition",
    "read_json",
    "read_settings",
]
