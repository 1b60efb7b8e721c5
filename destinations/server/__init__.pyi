from .app import (
    Limits,
    Receiver,
)
from .auth import (
    Authenticator,
)
from .binding import (
    Bound,
    bind,
    bind_to_show,
)
from .body import (
    Body,
    read_body,
)
from .checking import (
    check_start,
)
from .config import (
    read_config,
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
from .service import (
    Service,
)

__all__ = [
    "AdminConfig",
    "Authenticator",
    "Body",
    "Bound",
    "DeliveryConfig",
    "DestinationConfig",
    "HttpServer",
    "IngestRoute",
    "Limits",
    "ListenConfig",
    "LogConfig",
    "Receiver",
    "ReceiverConfig",
    "RefusedConfig",
    "SealingConfig",
    "ServeConfig",
    "Service",
    "StoreConfig",
    "bind",
    "bind_to_show",
    "check_start",
    "configured_partners",
    "configured_tenant",
    "read_body",
    "read_config",
]
