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
    check_alerts,
    check_durability,
    check_start,
)
from .config import (
    read_alert_config,
    read_config,
)
from .config_changes import (
    DestinationChange,
    Sides,
    destination_changes,
)
from .config_model import (
    AdminConfig,
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
from .partners import (
    configured_partners,
    configured_tenant,
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
    "Authenticator",
    "Body",
    "Bound",
    "DeliveryConfig",
    "DestinationChange",
    "DestinationConfig",
    "HttpServer",
    "IngestRoute",
    "Limits",
    "ListenConfig",
    "LogConfig",
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
    "configured_partners",
    "configured_tenant",
    "connected_definition",
    "destination_changes",
    "read_alert_config",
    "read_body",
    "read_config",
    "running_configuration",
]
