"""Show every key of the configuration of ``serve`` with its value, also where the file has none.

It goes through the schema of the file, so that no key can be forgotten. Of secrets it says where
they come from, never what they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.console.login_link import login_link_path
from destinations.definition import DestinationDefinition
from destinations.errors import DestinationsError
from destinations.operations import shown_duration
from destinations.outcome import Outcome
from destinations.pages import bytes_text
from destinations.pipeline.reconcile import longest_wait
from destinations.secrets import shown_url
from destinations.server import DestinationConfig, ServeConfig, bind_to_show

__all__ = ["NOT_SET", "KeyShown", "Section", "keys_of_destination", "sections", "serve_schema"]

Schema = Mapping[str, Any]

_DAY: Final = 86_400
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
NOT_SET: Final = "not set"
_ELSEWHERE: Final = frozenset({"$schema", "destinations"})
_ON_THE_PAGE: Final = frozenset({"settings", "subscriptions", "filters"})
"""The keys of a destination that have a place of their own on its part of the page."""


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key by its path, such as ``store.keepDays.dead``, and whether the file has it."""

    key: str
    value: str
    is_given: bool


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of a part of the configuration."""

    title: str
    keys: Sequence[KeyShown]


@cache
def serve_schema() -> Schema:
    """Return the schema of the configuration, with its references."""
    place = files("destinations.definition") / "schemas" / "serve.schema.json"
    found: Schema = json.loads(place.read_text(encoding="utf-8"))
    return found


def sections(config: ServeConfig) -> Iterator[Section]:
    """Yield the parts of the configuration, but for the destinations."""
    data = {} if config.document is None else dict(config.document.data)
    store = data.get("store", {})
    if isinstance(days := store.get("keepDays", {}), int | float):
        # One number is for those that need nobody; the others have days of their own.
        data["store"] = {**store, "keepDays": {one.value: days for one in _KEPT[:3]}}
    walk = _Walk(_of_server(config))
    for name, schema in serve_schema()["properties"].items():
        if name not in _ELSEWHERE:
            yield Section(name, list(walk.keys(name, schema, data.get(name))))


def keys_of_destination(config: DestinationConfig) -> Iterator[KeyShown]:
    """Yield the keys of a destination, but for those that are shown in a way of their own."""
    walk = _Walk(_of_destination(config))
    for name, schema in serve_schema()["$defs"]["destination"]["properties"].items():
        if name not in _ON_THE_PAGE:
            yield from walk.keys(name, schema, config.spec.get(name))


class _Walk:
    """Goes through a schema, together with what the file says.

    ``effective`` has what really holds, by the path of a key without the numbers of lists.
    """

    def __init__(self, effective: Mapping[str, Callable[[], str]]) -> None:
        self._effective = effective

    def keys(
        self, path: str, schema: Schema, given: Any, *, in_list: bool = False
    ) -> Iterator[KeyShown]:
        """Yield a key with its value, or those below it."""
        schema = _resolved(schema)
        plain, is_given = re.sub(r" \d+", "", path), given is not None
        if plain in self._effective:
            yield KeyShown(path, self._effective[plain](), is_given)
            if not isinstance(given, Mapping):
                return
        source = None if "properties" in schema else _source(given)
        if source is not None:
            yield KeyShown(path, source, is_given=True)
        elif isinstance(given, list) and any(isinstance(one, Mapping) for one in given):
            for number, one in enumerate(given, 1):
                yield from self.keys(f"{path} {number}", schema["items"], one, in_list=True)
        elif isinstance(given, Mapping) and "properties" not in schema and "items" in schema:
            yield from self.keys(path, schema["items"], given, in_list=True)  # one, not a list
        elif isinstance(given, Mapping) and "properties" in schema:
            yield from self._members(path, schema, given, in_list=in_list)
        elif given is None and "properties" in schema and "required" not in schema:
            # What it consists of has defaults.
            yield from self._members(path, schema, {}, in_list=in_list)
        else:
            value = schema.get("default") if given is None else given
            yield KeyShown(path, _text(path, value), is_given)

    def _members(
        self, path: str, schema: Schema, given: Mapping[str, Any], *, in_list: bool
    ) -> Iterator[KeyShown]:
        for name in schema["properties"]:
            member = _resolved(schema["properties"][name])
            if member.get("deprecated") and name not in given:
                continue
            # Of an entry, what is not given and has no default means nothing.
            if in_list and name not in given and "default" not in member:
                continue
            yield from self.keys(f"{path}.{name}", member, given.get(name), in_list=in_list)


def _resolved(schema: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return {**serve_schema()["$defs"][reference.rpartition("/")[2]], **schema, "$ref": None}


def _source(given: Any) -> str | None:
    """Return where a secret comes from; None for what is no secret that is named."""
    if isinstance(given, Mapping) and given.keys() == {"env"} and isinstance(given["env"], str):
        return f"from the variable {given['env']}"
    if isinstance(given, Mapping) and given.keys() == {"file"} and isinstance(given["file"], str):
        return f"from the file {given['file']}"
    found = _VARIABLE.fullmatch(given) if isinstance(given, str) else None
    return None if found is None else f"from the variable {found[1]}"


def _text(path: str, value: Any) -> str:
    """Return a value of the file as people read it."""
    name = path.rpartition(".")[2]
    if value is None or value == []:
        return NOT_SET if value is None else "none"
    if name.endswith("command") or name == "run":
        return _program(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if isinstance(value, list):
        return ", ".join(_text("", one) for one in value)
    if isinstance(value, str) and "://" in value:
        return _address(value) if name == "url" else shown_url(value)
    # What an object has that the schema does not know may be a secret.
    return value if isinstance(value, str) else ", ".join(value)


def _number(name: str, value: float) -> str:
    if name.endswith(("Bytes", "bytes")):
        return bytes_text(round(value))
    for unit, seconds in (("Seconds", 1), ("Days", _DAY), ("hours", 3_600)):
        if name.endswith(unit):
            whole = value * seconds
            return shown_duration(whole) if whole >= 60 else f"{whole:g}s"
    return f"{value:,}" if name != "port" else str(value)


def _program(value: Sequence[str]) -> str:
    """Return a program: its arguments may be secrets, as a command line has no other place."""
    more = len(value) - 1
    return value[0] if not more else f"{value[0]}, with {more} argument{'' if more == 1 else 's'}"


def _address(url: str) -> str:
    """Return where a URL leads: its path may be a secret, as webhooks have it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/…"


# -- what really holds -----------------------------------------------------------------------------


def _of_server(config: ServeConfig) -> Mapping[str, Callable[[], str]]:
    """Return what holds of keys whose value is not what the file, or else the schema, says."""
    store, periods, console = config.store, config.periods, config.console
    effective: dict[str, Callable[[], str]] = {
        "store.dedupeDays": lambda: _recognised(config),
        "store.postgres.dsn": lambda: str(store.address),
        "store.postgres.leaseSeconds": lambda: _number("Seconds", store.lease.lease),
        "store.postgres.hardStop": lambda: _text("", store.lease.hard_stop),
        "store.postgres.durability": lambda: "replicated" if store.is_replicated else "single-node",
    }
    if store.max_bytes is None:
        effective["store.maxBytes"] = lambda: "as much as the disk has"
    if isinstance(store.address, Path):
        effective["store.path"] = lambda: str(store.address)
    for outcome in _KEPT:
        key = f"store.keepDays.{outcome.value}"
        effective[key] = partial(_kept, periods.of(outcome))
    if config.keep_recent is None:
        effective["keepRecent"] = lambda: "none are kept"
    if config.keep_attempts is None:
        effective["keepAttempts"] = lambda: "none are kept"
    if console is not None:
        effective["console.behindProxy"] = lambda: _text("", console.behind_proxy)
        if console.users is None:
            effective["console.users"] = lambda: "none: whoever has the login link signs in"
            effective["console.loginLink"] = lambda: str(login_link_path(config))
        if not console.hosts:
            names = (
                "any that the proxy passes on"
                if console.behind_proxy
                else "those of the loopback address"
            )
            effective["console.hosts"] = lambda: names
    return effective


_KEPT: Final = (
    *(Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED, Outcome.UNMAPPED),
    *(Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD),
)


def _kept(days: float | None) -> str:
    return "until it is replayed or dropped" if days is None else shown_duration(days * _DAY)


def _recognised(config: ServeConfig) -> str:
    """Return for how long a messageId is recognised: never shorter than its deliveries stay."""
    dedupe, periods = config.store.dedupe_days, config.periods
    days = {max(dedupe, kept) for one in _KEPT if (kept := periods.of(one)) is not None}
    own = shown_duration(dedupe * _DAY)
    least, most = (shown_duration(one * _DAY) for one in (min(days), max(days)))
    if min(days) == max(days) == dedupe:
        return own
    span = least if least == most else f"{least} to {most}"
    return f"{own}; in effect {span}, as a messageId stays with its deliveries (keepDays)"


def _of_destination(config: DestinationConfig) -> Mapping[str, Callable[[], str]]:
    delivery = config.delivery

    def of_definition(own: float | None, shown: Callable[[DestinationDefinition], str]) -> str:
        try:
            return shown(bind_to_show(config, None).definition)
        except DestinationsError:  # which the page says by itself
            return "as the definition says" if own is None else f"{own:g}"

    return {
        "delivery.concurrency": lambda: of_definition(
            delivery.concurrency, lambda one: f"{one.transport.concurrency:,}"
        ),
        "delivery.settleAfterSeconds": lambda: of_definition(
            delivery.settle_after_seconds,
            lambda one: (
                _number("Seconds", wait)
                if (wait := longest_wait(one, delivery.losses))
                else "the partner is not asked"
            ),
        ),
        "delivery.waitForSeconds": lambda: (
            "as the definition says"
            if delivery.wait_for_seconds is None
            else _number("Seconds", delivery.wait_for_seconds)
        ),
        "delivery.lostAnswers": lambda: delivery.lost_answers or "as the definition says",
    }
