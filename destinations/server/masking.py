"""Mask the secrets of a configuration in what is shown of events, in commands and the console."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from destinations.definition.secret_sources import SourceError, Sources, names_a_secret
from destinations.errors import DefinitionError, UsageError
from destinations.opening import open_definition
from destinations.secrets import Masker, query_secrets, reveal
from destinations.server.config import config_to_show, named_secrets
from destinations.server.config_model import DestinationConfig, ServeConfig

__all__ = ["config_masker"]


def config_masker(config: ServeConfig, environment: Mapping[str, str]) -> Masker:
    """Return a masker of all secrets that a configuration names, as far as they can be had here.

    They are those of its destinations, of who sends and asks, of sealing and of alerts. The
    configuration may have been read without its secrets.
    """
    folder = Path() if config.path is None else config.path.parent
    sources = Sources(environment, folder)
    secrets: list[str] = [one.key for one in (config.console.keys if config.console else ())]
    secrets += [key for one in config.sources for key in one.keys]
    secrets += [key for one in config.destinations for key in one.receiver.secrets]
    secrets += config.alerts.secrets
    shown = config
    if config.document is not None:
        secrets += named_secrets(config.document, sources)
        name, data = config.document.name, config.document.data
        shown = config_to_show(data, name, folder, environment, config.store.address)
    names = cache(_secret_settings)  # thousands of destinations may have one definition
    for one in shown.destinations:
        secrets += _of_settings(one, names(one.destination), sources)
    return Masker(secrets)


def _secret_settings(destination: str) -> Collection[str] | None:
    """Return the names of the settings that are secrets; None if the definition cannot be read."""
    with contextlib.suppress(DefinitionError, UsageError):
        return open_definition(destination)[0].secret_settings
    return None


def _of_settings(
    config: DestinationConfig, names: Collection[str] | None, sources: Sources
) -> list[str]:
    """Return the secrets in the settings of a destination, and in the queries of its addresses.

    Without their ``names``, all are taken for secrets that are only named in the configuration.
    """
    found = []
    for key, given in config.spec.get("settings", {}).items():
        is_secret = names_a_secret(given) if names is None else key in names
        with contextlib.suppress(SourceError):
            value = sources.value(given)
            if isinstance(value, str) and value:
                text = reveal(value)
                found += [text] if is_secret else query_secrets(text)
    return found
