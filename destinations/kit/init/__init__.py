"""Create the folder, or the package, of a new destination."""

from destinations.kit.init.create import create_destination, create_package

__all__ = ["create_destination", "create_package"]
