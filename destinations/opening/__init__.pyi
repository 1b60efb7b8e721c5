from .binding import (
    BoundDestination,
    bind_destination,
    check_written,
    open_definition,
)
from .deliveries import Deliveries, EventLike
from .opened import OpenDestination, open_destination
from .sandbox import open_sandbox
from .store import open_store

__all__ = [
    "BoundDestination",
    "Deliveries",
    "EventLike",
    "OpenDestination",
    "bind_destination",
    "check_written",
    "open_definition",
    "open_destination",
    "open_sandbox",
    "open_store",
]
