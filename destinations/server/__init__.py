"""HTTP in: events are taken from Segment and others, kept, and delivered for as long as it runs."""

from destinations.server.app import Limits, Receiver
from destinations.server.auth import Guard
from destinations.server.binding import Bound, bind
from destinations.server.body import Body, BodyError, read_body
from destinations.server.checking import check_start
from destinations.server.config import read_config
from destinations.server.engine_worker import EngineWorker, open_engine
from destinations.server.http_server import HttpServer, is_loopback
from destinations.server.ingest import Entrance, Route
from destinations.server.lock import StoreLock
from destinations.server.model import (
    DeliveryConfig,
    DestinationConfig,
    ListenConfig,
    LogConfig,
    ReceiverConfig,
    ServeConfig,
    StoreConfig,
)
from destinations.server.service import Service
from destinations.server.worker import OpenWorker, Resources, Worker

__all__ = [
    "Body",
    "BodyError",
    "Bound",
    "DeliveryConfig",
    "DestinationConfig",
    "EngineWorker",
    "Entrance",
    "Guard",
    "HttpServer",
    "Limits",
    "ListenConfig",
    "LogConfig",
    "OpenWorker",
    "Receiver",
    "ReceiverConfig",
    "Resources",
    "Route",
    "ServeConfig",
    "Service",
    "StoreConfig",
    "StoreLock",
    "Worker",
    "bind",
    "check_start",
    "is_loopback",
    "open_engine",
    "read_body",
    "read_config",
]
