"""Mask the secrets of a configuration in what is shown of events, in commands and the console."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from destinations.definition.secret_sources import SourceError, Sources, names_a_secret
from destinations.errors import DefinitionError, UsageError
from destinations.secrets import Masker, reveal
from destinations.server.binding import bind_to_show
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
    masker = Masker(secrets)
    for one in shown.destinations:
        masker = masker.plus(_of_settings(one, sources))
    return masker


def _of_settings(config: DestinationConfig, sources: Sources) -> Masker:
    """Return a masker of the secrets in the settings of a destination."""
    with contextlib.suppress(DefinitionError, UsageError):
        return bind_to_show(config, None).settings.masker
    # Which of them are secrets, only the definition says: all that are only named are masked.
    found = []
    for given in config.spec.get("settings", {}).values():
        if names_a_secret(given):
            with contextlib.suppress(SourceError):
                found.append(reveal(sources.value(given)))
    return Masker(found)
