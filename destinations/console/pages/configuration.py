"""The effective configuration: what the file says and what it leaves out, with secrets masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.console.pages.templating import json_shown
from destinations.console.pages.visit import Answered, Shown, Visit
from destinations.console.shown import ConnectionShown
from destinations.errors import DestinationsError
from destinations.operations import shown_duration
from destinations.pages import bytes_text
from destinations.secrets import MASK, Masker, Secret, shown_url
from destinations.server import DestinationConfig, ServeConfig, bind_to_show

__all__ = ["DestinationShown", "configuration", "server_facts", "settings_shown"]

_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class DestinationShown:
    """A destination of the configuration, ready to be shown."""

    name: str
    facts: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]
    connection: ConnectionShown
    mappings: Sequence[tuple[str, str]]
    filters: str


def configuration(visit: Visit) -> Answered:
    """Show the configuration as the server understands it."""
    config, masker = visit.verbs.config, visit.verbs.masker
    connections = {one.destination: one for one in visit.verbs.connections()}
    return Shown(
        "configuration.html",
        {
            "path": "" if config.path is None else str(config.path),
            "server": [(name, masker.text(text)) for name, text in server_facts(config)],
            "warnings": [masker.text(text) for text in config.warnings],
            "destinations": [
                _destination(one, connections[one.name], masker) for one in config.destinations
            ],
        },
    )


def server_facts(config: ServeConfig) -> Iterator[tuple[str, str]]:
    """Yield what holds for the whole server; of secrets only that they are there."""
    listen, store, refused = config.listen, config.store, config.refused
    yield "listens for events", f"{listen.host}:{listen.port}"
    yield "largest body", bytes_text(listen.max_body_bytes)
    if config.admin is not None:
        yield "metrics and health", f"{config.admin.listen.host}:{config.admin.listen.port}"
    yield "store", str(store.address)
    yield "largest store", "no limit" if store.max_bytes is None else bytes_text(store.max_bytes)
    yield "keeps deliveries for", shown_duration(store.keep_days * _DAY)
    for outcome, days in store.keep_days_by_outcome.items():
        yield f"keeps {outcome.value} for", shown_duration(days * _DAY)
    yield "recognises duplicates for", shown_duration(store.dedupe_days * _DAY)
    yield "keeps refused events", f"{refused.max_events:,}, {bytes_text(refused.max_bytes)}"
    recent = config.keep_recent
    if recent is None:
        yield "keeps delivered events", "none (keepRecent)"
    else:
        kept = f"{recent.events:,}, {bytes_text(recent.bytes)}"
        yield "keeps delivered events", f"{kept}, for {shown_duration(recent.hours * 3_600)}"
    yield "largest queue", f"{config.max_events:,}"
    yield "drains for", shown_duration(config.drain_seconds)
    yield "log", f"{config.log.level}, {config.log.form}"
    if config.sealing is not None:
        yield "secrets of tenants", "sealed"
    for source in config.sources:
        origins = f", pages of {', '.join(source.cors)}" if source.cors else ""
        yield f"source {source.name}", f"write keys in the configuration{origins}"


def _destination(
    config: DestinationConfig, connection: ConnectionShown, masker: Masker
) -> DestinationShown:
    return DestinationShown(
        config.name,
        [(name, masker.text(text)) for name, text in _facts(config, connection)],
        settings_shown(config, masker),
        connection,
        [
            (one.name, json_shown(masker.value(one.mapping)))
            for one in connection.subscriptions
            if one.mapping
        ],
        json_shown(masker.value(_plain(connection.filters))) if connection.filters else "",
    )


def _facts(config: DestinationConfig, connection: ConnectionShown) -> Iterator[tuple[str, str]]:
    delivery, receiver = config.delivery, config.receiver
    yield "definition", config.destination
    if config.account:
        yield "account", config.account
    yield "connection", connection.version or "the presets of the definition"
    if config.sources:
        yield "events from", ", ".join(config.sources)
    if config.is_posted_to:
        yield "events at", f"/v1/{config.name}"
    if receiver.tenants is not None:
        yield "tenants", f"each with a key of its own, in the setting {receiver.tenants.key}"
    yield "gives an event up after", shown_duration(delivery.deadline_seconds)
    if delivery.concurrency is not None:
        yield "requests at a time", f"{delivery.concurrency:,}"
    if delivery.lost_answers is not None:
        yield "lost answers", delivery.lost_answers
    yield "only writer of its balances", "yes" if delivery.sole_writer else "no"
    if delivery.allow_private:
        yield "private addresses", "allowed"


def settings_shown(config: DestinationConfig, masker: Masker) -> Sequence[tuple[str, str]]:
    """Return the settings of a destination: of a secret only that it is there, or why not."""
    try:
        bound = bind_to_show(config, None)
    except DestinationsError as error:
        return [("fault", masker.text(str(error)))]
    found = []
    for name, value in bound.settings.items():
        if name in config.absent:
            text = f"not known to this process: {config.absent[name]}"
        elif isinstance(value, Secret) or name in bound.definition.secret_settings:
            text = MASK
        elif isinstance(value, str):
            text = shown_url(value) if "://" in value else value
        else:
            text = json_shown(_plain(value))
        found.append((name, masker.text(text)))
    return found


def _plain(value: Any) -> Any:
    """Return a value of a configuration as JSON values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
