"""Create the folder, or the package, of a new destination."""

from destinations.kit.init.create import (
    create_destination,
    create_package,
    package_definition,
)

__all__ = ["create_destination", "create_package", "package_definition"]
