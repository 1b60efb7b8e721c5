"""The process that a company leaves running: its configuration, its parts, and its signals."""

from destinations.service.binding import Bound, bind
from destinations.service.checking import check_start
from destinations.service.config import read_config
from destinations.service.engine_worker import EngineWorker, open_engine
from destinations.service.lock import StoreLock
from destinations.service.model import (
    DeliveryConfig,
    DestinationConfig,
    ListenConfig,
    LogConfig,
    ReceiverConfig,
    ServeConfig,
    StoreConfig,
)
from destinations.service.service import Service
from destinations.service.worker import OpenWorker, Resources, Worker

__all__ = [
    "Bound",
    "DeliveryConfig",
    "DestinationConfig",
    "EngineWorker",
    "ListenConfig",
    "LogConfig",
    "OpenWorker",
    "ReceiverConfig",
    "Resources",
    "ServeConfig",
    "Service",
    "StoreConfig",
    "StoreLock",
    "Worker",
    "bind",
    "check_start",
    "open_engine",
    "read_config",
]
