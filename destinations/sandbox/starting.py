"""Start the stand-in of a destination: that of its plugin, or one made from its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from destinations.definition import DestinationDefinition
from destinations.errors import UsageError
from destinations.runtime.plugins import Plugin, RunningSandbox, plugin_sandbox
from destinations.sandbox.definition_sandbox import DefinitionSandbox

__all__ = ["start_sandbox"]

_DEFAULT_API: Final = "current"


def start_sandbox(
    definition: DestinationDefinition,
    plugin: Plugin | None,
    *,
    seed: Path | None = None,
    port: int = 0,
    db: Path | None = None,
    api: str = _DEFAULT_API,
) -> RunningSandbox:
    """Start the sandbox of a destination, which the caller closes; see `Plugin.start_sandbox`.

    One that is made from the definition has no data. Raises `UsageError` if it is asked for some,
    and if the sandbox cannot start.
    """
    brought = plugin_sandbox(plugin, seed=seed, port=port, db=db, api=api)
    if brought is not None:
        return brought
    asked = {"seed": seed, "db": db, "api": None if api == _DEFAULT_API else api}
    wrong = [name for name, value in asked.items() if value is not None]
    if wrong:
        raise UsageError(
            f"the sandbox of {definition.name} is made from its definition and has no data: "
            f"it takes no {' and no '.join(wrong)}"
        )
    return DefinitionSandbox(definition, port=port)
