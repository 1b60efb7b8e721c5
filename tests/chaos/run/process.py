"""``destinations`` as it is, but in a hurry: what failed is tried again, or asked about, soon.

What a killed process has sent is with the partner, on this machine, long before.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.resources.abc import Traversable

from destinations.cli import main, opening, run_options
from destinations.definition import DestinationDefinition, load_definition
from destinations.pipeline import breaker
from destinations.pipeline.reconcile import LossOptions


def _in_a_hurry(folder: Traversable) -> DestinationDefinition:
    loaded = load_definition(folder)
    retry = replace(loaded.transport.retry, base=0.05, cap=0.5)
    return replace(loaded, transport=replace(loaded.transport, retry=retry))


if __name__ == "__main__":
    vars(opening)["load_definition"] = _in_a_hurry
    breaker._FIRST_PAUSE = 0.1  # type: ignore[misc]
    losses = LossOptions(settle_after=0.2)
    run_options.Options.losses = property(lambda _: losses)  # type: ignore[assignment,method-assign]
    sys.exit(main())
