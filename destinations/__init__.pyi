from ._version import __version__
from .clock import WallClock
from .definition import DestinationDefinition, check_folder, load_definition
from .definition.connection import Connection, read_connection
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
    StoreDamagedError,
    TemporaryError,
    TransportError,
    UsageError,
)
from .http import Answer, Failure, HttpRequest, HttpResponse, Selection
from .http.transport import (
    HttpTransport,
    Transport,
)
from .opening import (
    Deliveries,
    EventLike,
    OpenDestination,
    open_definition,
    open_destination,
    open_sandbox,
    open_store,
)
from .outcome import Effect, ManualChange, Outcome, Result, Retry, State, Status
from .pipeline.reading import Entry
from .pipeline.reconcile import LossOptions
from .pipeline.report import Report, Row, Stopped, Totals
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
from .runtime.store import Documents, ManualChanges, Store
from .runtime.subscription_key import SubscriptionKey
from .secrets import Secret
from .segment.event import (
    check_event,
    read_json,
)
from .segment.fql import compile_fql
from .segment.mapping import compile_mapping
from .segment.validation import compile_schema
from .store import OpenStore, SqliteStore

__all__ = [
    "APIError",
    "Answer",
    "Call",
    "Code",
    "Connection",
    "DefinitionError",
    "Deliveries",
    "Delivery",
    "Destination",
    "DestinationDefinition",
    "DestinationsError",
    "Documents",
    "Done",
    "Effect",
    "Entry",
    "EventError",
    "EventLike",
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
    "ManualChanges",
    "MappingError",
    "OpenDestination",
    "OpenStore",
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
    "SqliteStore",
    "State",
    "Status",
    "Stopped",
    "Store",
    "StoreDamagedError",
    "SubscriptionKey",
    "TemporaryError",
    "Totals",
    "Transport",
    "TransportError",
    "UsageError",
    "WallClock",
    "__version__",
    "check_event",
    "check_folder",
    "check_settings",
    "compile_fql",
    "compile_mapping",
    "compile_schema",
    "load_definition",
    "open_definition",
    "open_destination",
    "open_sandbox",
    "open_store",
    "plan",
    "read_connection",
    "read_json",
    "read_settings",
]
