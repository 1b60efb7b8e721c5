"""HTTP in: events are taken from Segment and others, kept, and delivered for as long as it runs."""

from destinations.errors import BodyError
from destinations.server.app import Limits, Receiver
from destinations.server.auth import Authenticator
from destinations.server.binding import Bound, bind
from destinations.server.body import Body, read_body
from destinations.server.checking import check_start
from destinations.server.config import read_config
from destinations.server.config_model import (
    AdminConfig,
    DeliveryConfig,
    DestinationConfig,
    ListenConfig,
    LogConfig,
    ReceiverConfig,
    RefusedConfig,
    ServeConfig,
    StoreConfig,
)
from destinations.server.http_server import HttpServer, is_loopback
from destinations.server.ingest_route import IngestRoute
from destinations.server.service import Service

__all__ = [
    "AdminConfig",
    "Authenticator",
    "Body",
    "BodyError",
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
    "ServeConfig",
    "Service",
    "StoreConfig",
    "bind",
    "check_start",
    "is_loopback",
    "read_body",
    "read_config",
]
