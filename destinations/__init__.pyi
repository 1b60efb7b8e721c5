from ._version import __version__
from .definition import DestinationDefinition, check_folder, load_definition
from .definition.settings import Settings, check_settings, read_settings
from .errors import (
    APIError,
    DefinitionError,
    DestinationsError,
    EventError,
    HeldError,
    IntegrationError,
    InvalidAuthenticationError,
    Issue,
    MappingError,
    PayloadValidationError,
    ResolveError,
    RetryableError,
    SelfTimeoutError,
    SettingsError,
    TemporaryError,
    TransportError,
    UsageError,
)
from .http import Answer, Failure, HttpRequest, HttpResponse, Selection
from .http.transport import (
    HttpTransport,
    Transport,
)
from .outcome import Effect, ManualChange, Outcome, Result, Retry, State
from .pipeline.reading import Entry
from .pipeline.reconcile import LossOptions
from .pipeline.report import Report, Row
from .pipeline.run import Run, RunOptions, RunStore
from .runtime.action import (
    Call,
    Done,
    Generated,
    Generator,
    Payload,
    ResumingGenerator,
)
from .runtime.destination import Code, Delivery, Destination
from .runtime.plan import Plan, PlannedDelivery, plan
from .runtime.plugins import Holdings, Plugin, RunningSandbox
from .runtime.sender import Sender
from .runtime.store import Documents, Store
from .runtime.subscription_key import SubscriptionKey
from .secrets import Secret
from .segment.event import (
    check_event,
    read_json,
)
from .segment.fql import compile_fql
from .segment.mapping import compile_mapping
from .segment.validation import compile_schema

__all__ = [
    "APIError",
    "Answer",
    "Call",
    "Code",
    "DefinitionError",
    "Delivery",
    "Destination",
    "DestinationDefinition",
    "DestinationsError",
    "Documents",
    "Done",
    "Effect",
    "Entry",
    "EventError",
    "Failure",
    "Generated",
    "Generator",
    "HeldError",
    "Holdings",
    "HttpRequest",
    "HttpResponse",
    "HttpTransport",
    "IntegrationError",
    "InvalidAuthenticationError",
    "Issue",
    "LossOptions",
    "ManualChange",
    "MappingError",
    "Outcome",
    "Payload",
    "PayloadValidationError",
    "Plan",
    "PlannedDelivery",
    "Plugin",
    "Report",
    "ResolveError",
    "Result",
    "ResumingGenerator",
    "Retry",
    "RetryableError",
    "Row",
    "Run",
    "RunOptions",
    "RunStore",
    "RunningSandbox",
    "Secret",
    "Selection",
    "SelfTimeoutError",
    "Sender",
    "Settings",
    "SettingsError",
    "State",
    "Store",
    "SubscriptionKey",
    "TemporaryError",
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
    "plan",
    "read_json",
    "read_settings",
]
