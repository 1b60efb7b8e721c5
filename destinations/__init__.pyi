from ._version import __version__
from .action import Call, Done, Generated, Generator, Payload
from .definition import DestinationDefinition, check_folder, load_definition
from .delivery import Courier
from .destination import Code, Delivery, Destination
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
from .event import EventError, check_event, read_json
from .mapping import compile_mapping
from .outcome import ManualChange, Outcome, Result
from .plugins import Plugin, RunningSandbox
from .request import Answer, Failure, HttpRequest, HttpResponse
from .runner import Entry, Report, Row, Run
from .secrets import Secret
from .settings import Settings, check_settings, read_settings
from .subscription import compile_fql
from .transport import HttpTransport, Transport, TransportError
from .validation import compile_schema

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
