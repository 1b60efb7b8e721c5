from .app import (
    Receiver,
)
from .auth import (
    Authenticator,
)
from .binding import (
    Bound,
    bind,
    bind_to_show,
    check_definitions,
    connected_definition,
)
from .body import (
    Body,
    read_body,
)
from .body_reader import (
    Limits,
)
from .checking import (
    Faults,
    check_alerts,
    check_durability,
    check_start,
    check_without_secrets,
)
from .config import (
    config_of_text,
    config_to_check,
    read_alert_config,
    read_config,
)
from .config_changes import (
    ConfigChanges,
    DestinationChange,
    Sides,
    destination_changes,
)
from .config_model import (
    AdminConfig,
    ApiKeyConfig,
    ConsoleConfig,
    DeliveryConfig,
    DestinationConfig,
    ListenConfig,
    LogConfig,
    ReceiverConfig,
    RefusedConfig,
    SealingConfig,
    ServeConfig,
    SourceConfig,
    StoreConfig,
)
from .http_server import (
    HttpServer,
)
from .ingest_route import (
    IngestRoute,
)
from .masking import (
    config_masker,
)
from .partners import (
    configured_partner,
    configured_partners,
    configured_tenant,
    deleting_scopes,
    partners_of,
)
from .plan_report import (
    PlanReport,
    compare_event,
    masked,
)
from .replanning import (
    todays_destinations,
)
from .running import (
    RunningConfiguration,
    running_configuration,
)
from .service import (
    Role,
    Service,
)

__all__ = [
    "AdminConfig",
    "ApiKeyConfig",
    "Authenticator",
    "Body",
    "Bound",
    "ConfigChanges",
    "ConsoleConfig",
    "DeliveryConfig",
    "DestinationChange",
    "DestinationConfig",
    "Faults",
    "HttpServer",
    "IngestRoute",
    "Limits",
    "ListenConfig",
    "LogConfig",
    "PlanReport",
    "Receiver",
    "ReceiverConfig",
    "RefusedConfig",
    "Role",
    "RunningConfiguration",
    "SealingConfig",
    "ServeConfig",
    "Service",
    "Sides",
    "SourceConfig",
    "StoreConfig",
    "bind",
    "bind_to_show",
    "check_alerts",
    "check_definitions",
    "check_durability",
    "check_start",
    "check_without_secrets",
    "compare_event",
    "config_masker",
    "config_of_text",
    "config_to_check",
    "configured_partner",
    "configured_partners",
    "configured_tenant",
    "connected_definition",
    "deleting_scopes",
    "destination_changes",
    "masked",
    "partners_of",
    "read_alert_config",
    "read_body",
    "read_config",
    "running_configuration",
    "todays_destinations",
]
