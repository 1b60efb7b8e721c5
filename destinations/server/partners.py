"""Tell which destinations of a configuration can be asked about what a store has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from destinations.definition import load_definition
from destinations.errors import DefinitionError, SecretMissingError, TemporaryError, UsageError
from destinations.operations import Partner
from destinations.pipeline.ledger import ScopeTotals
from destinations.runtime.installed import find_folder
from destinations.server.binding import bind
from destinations.server.config import read_config
from destinations.store import SqliteStore

__all__ = ["configured_partners"]


def configured_partners(
    path: Path,
    environment: Mapping[str, str],
    store: SqliteStore,
    scopes: Collection[ScopeTotals],
) -> Sequence[Partner]:
    """Return the destinations of a configuration that may deliver to the accounts of scopes.

    Only their secrets are read. Raises `TemporaryError` if one is not there, and `UsageError` if
    the configuration cannot be used.
    """
    served = {one.destination for one in scopes if one.served}
    of_runs = {one.destination for one in scopes if not one.served}
    config = read_config(path, {}, secrets=False)
    names = {
        one.name
        for one in config.destinations
        if one.name in served
        or (of_runs and load_definition(find_folder(one.destination)).slug in of_runs)
    }
    try:
        config = read_config(path, environment, secrets=names)
        chosen = tuple(one for one in config.destinations if one.name in names)
        bound = bind(replace(config, destinations=chosen), store)
    except DefinitionError as error:
        kind = TemporaryError if isinstance(error, SecretMissingError) else UsageError
        raise kind(
            f"the partner cannot be asked about deliveries of the user that are unknown: {error}\n"
            "Nothing was changed. Repeat this command with the environment and the files that the "
            "server has, or start the server, so that it asks the partner"
        ) from None
    return [
        Partner(
            each.name,
            each.destination,
            each.identity,
            each.config.delivery.losses,
            each.config.delivery.allow_private,
        )
        for each in bound
    ]
