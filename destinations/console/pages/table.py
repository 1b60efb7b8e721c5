"""All pages of the console, in the order of its menu."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from destinations.console.pages import actions
from destinations.console.pages.configuration import configuration
from destinations.console.pages.deliveries import deliveries, delivery
from destinations.console.pages.held import drifts, held
from destinations.console.pages.live import live, live_events
from destinations.console.pages.overview import overview
from destinations.console.pages.query import Parameter
from destinations.console.pages.refused import refused
from destinations.console.pages.tenants import tenant, tenants
from destinations.console.pages.tester import test_event, tester
from destinations.console.pages.visit import ConsolePage
from destinations.errors import DestinationsError, UsageError
from destinations.opening import open_definition
from destinations.operations import DRIFT_FILTERS, FILTERS
from destinations.runtime.plugins import plugin_console_pages
from destinations.server import ServeConfig

__all__ = ["PAGES", "all_pages"]

_CHOSEN: Final[Sequence[str | Parameter]] = (*FILTERS, Parameter("id", repeats=True))
"""What chooses deliveries that are changed together."""
_ONE: Final = ("seen", "was", "back")
"""What a form repeats of the page of a delivery."""
_LIVE: Final = ("filter", "destination")
_PAUSED: Final = ("destination", "tenant", "seen")
_TESTED: Final = ("destination", "tenant")

_FIRST: Final = (
    ConsolePage(
        "/", overview, title="Overview", parameters=("period", "by", Parameter("refresh", ["off"]))
    ),
    ConsolePage("/live", live, title="Live", parameters=_LIVE),
    ConsolePage("/live/events", live_events, parameters=_LIVE),
    ConsolePage("/deliveries", deliveries, title="Deliveries", parameters=(*FILTERS, "after")),
    ConsolePage("/deliveries/{id}", delivery),
    ConsolePage("/deliveries/{id}/resolve", act=actions.resolve_one, fields=(*_ONE, "decision")),
    ConsolePage("/deliveries/{id}/drop", act=actions.drop_one, fields=(*_ONE, "reason")),
    ConsolePage("/held", held, title="Held", parameters=("destination", "tenant", "after")),
    ConsolePage("/drifts", drifts, parameters=DRIFT_FILTERS),
    ConsolePage("/refused", refused, parameters=("destination", "code", "after")),
    ConsolePage(
        *("/resolve", actions.confirm_resolve, actions.resolve_many),
        parameters=_CHOSEN,
        fields=(*_CHOSEN, "seen", "decision"),
    ),
    ConsolePage(
        *("/drop", actions.confirm_drop, actions.drop_many),
        parameters=_CHOSEN,
        fields=(*_CHOSEN, "seen", "reason"),
    ),
    ConsolePage(
        *("/replay", actions.confirm_replay, actions.replay_many),
        parameters=_CHOSEN,
        fields=(*_CHOSEN, "seen"),
    ),
    ConsolePage("/destinations/pause", act=actions.pause, fields=_PAUSED),
    ConsolePage("/destinations/resume", act=actions.resume, fields=_PAUSED),
    ConsolePage(
        *("/tester", tester, test_event),
        title="Tester",
        parameters=(*_TESTED, "id", "recent"),
        fields=(*_TESTED, "event", Parameter("do", ["explain", "send"])),
    ),
)
_LAST: Final = (
    ConsolePage(
        "/tenants", tenants, title="Tenants", parameters=("destination", "status", "after")
    ),
    ConsolePage("/tenants/{name}", tenant, parameters=("destination",)),
    ConsolePage("/configuration", configuration, title="Configuration"),
)

PAGES: Final[Sequence[ConsolePage]] = (*_FIRST, *_LAST)
"""The pages of the framework; those of plugins stand before the tenants."""


def all_pages(config: ServeConfig | None) -> Sequence[ConsolePage]:
    """Return the pages of a console: the framework's, and those of the plugins of destinations.

    Raises `UsageError` for pages of a plugin that are none, or whose path another page has.
    """
    added = [] if config is None else list(_of_plugins(config))
    known = {page.path for page in PAGES}
    for page in added:
        if page.path in known or not page.path.startswith("/"):
            raise UsageError(f"a plugin has the page {page.path!r}: expected a path of its own")
        known.add(page.path)
    return (*_FIRST, *added, *_LAST)


def _of_plugins(config: ServeConfig) -> Iterator[ConsolePage]:
    seen = set()
    for name in dict.fromkeys(one.destination for one in config.destinations):
        try:
            definition, plugin = open_definition(name)
        except DestinationsError:
            continue  # the page of the configuration says what is wrong with it
        if plugin is None or definition.slug in seen:
            continue
        seen.add(definition.slug)
        found = plugin_console_pages(plugin)
        if not all(isinstance(page, ConsolePage) for page in found):
            raise UsageError(
                f"{plugin.source}: its console_pages() must return a list of "
                "destinations.console.ConsolePage"
            )
        yield from (page for page in found if isinstance(page, ConsolePage))
