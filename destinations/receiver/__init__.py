"""HTTP in: events are taken from Segment and others, and acknowledged once they are durable."""

from destinations.receiver.app import Limits, Receiver
from destinations.receiver.body import Body, BodyError, read_body
from destinations.receiver.entrance import Entrance, Route
from destinations.receiver.guard import Guard
from destinations.receiver.server import HttpServer, is_loopback

__all__ = [
    "Body",
    "BodyError",
    "Entrance",
    "Guard",
    "HttpServer",
    "Limits",
    "Receiver",
    "Route",
    "is_loopback",
    "read_body",
]
