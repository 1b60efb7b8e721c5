"""Create the folder of a new destination."""

from destinations.kit.init.create import create_destination

__all__ = ["create_destination"]
