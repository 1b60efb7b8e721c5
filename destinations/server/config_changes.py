"""Compare the destinations of two configurations, before one takes the place of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from destinations.definition import DefinitionFiles, DestinationDefinition
from destinations.errors import DefinitionError, UsageError, did_you_mean
from destinations.operations import connected_as_tenant
from destinations.runtime.destination import Destination
from destinations.secrets import Masker
from destinations.server.binding import bind_to_show
from destinations.server.config_model import DestinationConfig, ServeConfig
from destinations.store import OpenStore, Tenants, TenantStore

__all__ = ["DestinationChange", "Sides", "destination_changes"]


class Sides(NamedTuple):
    """A destination as it is and as it would be, and why one of both is None."""

    before: Destination | None
    after: Destination | None
    new: str = "the destination is new"
    gone: str = "the destination is gone"


@dataclass(frozen=True, slots=True)
class DestinationChange:
    """A destination as it is and as it would be; None where it is new, or gone.

    ``differs`` names what is not the same, such as ``settings: endpoint``. With ``has_tenants``,
    its senders are customers, who have all of this in common; their keys and rules are their own,
    and so may their connections be. ``of_tenant`` gives the sides for one of them, by the id.
    ``maskers`` mask what other secrets than those of its settings must not be shown.
    """

    name: str
    before: Destination | None
    after: Destination | None
    differs: Sequence[str]
    has_tenants: bool
    of_tenant: Callable[[str], Sides]
    maskers: Sequence[Masker] = ()

    def sides(self, tenant: str = "") -> Sides:
        """Return the destination as it is and as it would be, for a customer of it by the id."""
        return self.of_tenant(tenant) if tenant else Sides(self.before, self.after)

    @property
    def state(self) -> Literal["kept", "new", "gone"]:
        """Whether it is in both configurations, or only in one."""
        if self.before is None:
            return "new"
        return "gone" if self.after is None else "kept"


MOST_DESTINATIONS: Final = 200
"""The destinations of which changes are shown at once: more take minutes, and nobody reads them."""


@dataclass(frozen=True, slots=True)
class ConfigChanges:
    """The ``destinations`` of two configurations, those that are gone last.

    ``left_out`` are not among them, as there are too many; of those ``left_out_differing`` are not
    the same in both.
    """

    destinations: Sequence[DestinationChange]
    left_out: int = 0
    left_out_differing: int = 0


def destination_changes(
    before: ServeConfig,
    after: ServeConfig,
    store: OpenStore | None,
    loaded: Mapping[str, DefinitionFiles] | None = None,
    *,
    only: str | None = None,
    most: int | None = None,
) -> ConfigChanges:
    """Return the changes of the destinations of both configurations, or of the ``only`` one.

    ``loaded`` are the definitions as a server has loaded them ``before``, by the destination's
    name; others are read now. At ``most`` so many are looked at (200), first those that differ.
    Raises `DefinitionError` and `UsageError` as `bind` does, and `UsageError` if there is none of
    the name.
    """
    most = MOST_DESTINATIONS if most is None else most
    old = {one.name: one for one in before.destinations}
    new = {one.name: one for one in after.destinations}
    names = list(dict.fromkeys([*new, *old]))
    if only is not None:
        if only not in names:
            known = f"{', '.join(names[:most])}{', ...' if len(names) > most else ''}"
            msg = f"neither configuration has a destination {only!r}; they have: {known}"
            raise UsageError(msg + did_you_mean(only, names))
        names = [only]
    differing = [
        name
        for name in names
        if name not in old or name not in new or old[name].spec != new[name].spec
    ]
    chosen = set(list(dict.fromkeys([*differing, *names]))[:most])
    return ConfigChanges(
        [
            _change(name, old.get(name), new.get(name), store, (loaded or {}).get(name))
            for name in names
            if name in chosen
        ],
        len(names) - len(chosen),
        sum(name not in chosen for name in differing),
    )


def _change(
    name: str,
    old: DestinationConfig | None,
    new: DestinationConfig | None,
    store: OpenStore | None,
    loaded: DefinitionFiles | None,
) -> DestinationChange:
    before = None if old is None else bind_to_show(old, store, loaded)
    after = None if new is None else bind_to_show(new, store)
    differs: Sequence[str] = ()
    if old is not None and new is not None and before is not None and after is not None:
        definitions = before.definition, after.definition
        if "subscriptions" in {*old.spec, *new.spec}:  # which are told by themselves
            definitions = replace(definitions[0], presets=()), replace(definitions[1], presets=())
        differs = [*_definition(*definitions), *_differences(old.spec, new.spec)]
    has_tenants = any(one is not None and one.receiver.tenants is not None for one in (old, new))

    @cache
    def of_tenant(tenant: str) -> Sides:
        found: list[Destination | None] = []
        why = [Sides._field_defaults["new"], Sides._field_defaults["gone"]]
        for at, (config, files) in enumerate(((old, loaded), (new, None))):
            try:
                one = None if config is None else _of_tenant(config, files, store, tenant)
            except DefinitionError as error:
                one, why[at] = None, f"its own connection does not fit: {error.issues[0].message}"
            found.append(one)
        return Sides(found[0], found[1], *why)

    return DestinationChange(name, before, after, differs, has_tenants, of_tenant)


def _of_tenant(
    config: DestinationConfig,
    files: DefinitionFiles | None,
    store: OpenStore | None,
    tenant: str,
) -> Destination:
    """Return a destination with the rules of a tenant, and its connection if it has its own."""
    known = None if store is None else Tenants(store.database).get(config.name, tenant)

    def connected(definition: DestinationDefinition) -> DestinationDefinition:
        if store is None or known is None:
            return definition
        return connected_as_tenant(store, known, definition)

    own = None if store is None else TenantStore(store, tenant)
    return bind_to_show(config, own, files, connected)


def _definition(one: DestinationDefinition, two: DestinationDefinition) -> Iterator[str]:
    """Yield whether the definition is another one; what a connection adds is told by itself."""
    one, two = (
        replace(each, filters=(), connection="", allow_overlap=False) for each in (one, two)
    )
    if one.slug != two.slug:
        yield f"destination: {one.slug} becomes {two.slug}"
    elif one.version != two.version:
        yield f"definition: {one.version} becomes {two.version}"
    elif one != two:
        yield f"definition, still {one.version}"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    one, two = old.get("settings", {}), new.get("settings", {})
    names = [key for key in dict.fromkeys([*one, *two]) if one.get(key) != two.get(key)]
    if names:
        yield f"settings: {', '.join(names)}"
    for key in ("account", "from", "subscriptions", "filters", "allowOverlap"):
        if old.get(key) != new.get(key):
            yield key
    tenants = [spec.get("receiver", {}).get("tenants") for spec in (old, new)]
    if _of_tenants(tenants[0]) != _of_tenants(tenants[1]):
        yield "receiver.tenants"


def _of_tenants(given: Mapping[str, Any] | None) -> Any:
    """Return the part by which the settings of customers are read; None if they send nothing."""
    return None if given is None else (given.get("key"), given.get("settings"))
