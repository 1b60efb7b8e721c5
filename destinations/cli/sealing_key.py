"""Read the key that seals tokens in the store, and open what keeps them for a command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from destinations.definition import DestinationDefinition
from destinations.definition.input_files import read_text_input
from destinations.errors import UsageError
from destinations.oauth2 import AccessTokens
from destinations.operations.tokens import stored_tokens
from destinations.store import OpenStore, SealedValues, Sealer, SealingKey

__all__ = ["VARIABLE", "check_key_is_given", "needs_store", "open_tokens", "sealing_key_option"]

VARIABLE: Final = "DESTINATIONS_SEALING_KEY"

_MAKE_ONE: Final = "(umask 077; set -C; destinations store new-key > sealing-key)"


sealing_key_option = click.option(
    "--sealing-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=(
        "Seal access tokens in the store with the key in FILE; further lines are former keys. "
        f"Default: the environment variable {VARIABLE}."
    ),
)


def needs_store(definition: DestinationDefinition) -> bool:
    """Return whether its tokens must outlive a command: a refresh token may be replaced."""
    return definition.oauth2 is not None and definition.oauth2.refresh_token is not None


def open_tokens(
    definition: DestinationDefinition,
    store: OpenStore | None,
    key: Path | None,
    *,
    environment: Mapping[str, str] = os.environ,
    is_real: bool = True,
) -> AccessTokens | None:
    """Return what keeps the tokens of a destination; None if it uses none.

    Without a ``store`` they end with the command, which only those may that need no store, and
    those of a sandbox, which is not ``is_real``. Raises `UsageError` for others, and for a store
    without a key, or with values that another key has sealed.
    """
    if definition.oauth2 is None:
        return None
    if store is None:
        if is_real and needs_store(definition):
            raise UsageError(
                f"{definition.name} may replace the refresh token, and without a store the new one "
                "would be lost: leave --no-store out"
            )
        return AccessTokens()
    sealer = _sealer(key, environment)
    if sealer is None:
        raise _no_key(definition)
    sealed = SealedValues(store.database, sealer)
    try:
        sealed.check()
    except UsageError as error:
        raise UsageError(
            f"{error}, which is where a server has them, or as further lines to --sealing-key FILE"
        ) from None
    return stored_tokens(store, sealed)


def check_key_is_given(definition: DestinationDefinition, key: Path | None) -> None:
    """Raise `UsageError` if a store would need a key and none is named; none is read."""
    if definition.oauth2 is not None and key is None and not os.environ.get(VARIABLE, "").strip():
        raise _no_key(definition)


def _no_key(definition: DestinationDefinition) -> UsageError:
    return UsageError(
        f"the store keeps the access tokens of {definition.name} sealed, and there is no key: "
        f"use --sealing-key FILE, or the environment variable {VARIABLE}. Make a key with "
        f"{_MAKE_ONE}; a server with this store needs the same one"
    )


def _sealer(path: Path | None, environment: Mapping[str, str]) -> Sealer | None:
    """Return a sealer with the keys of a file or of the environment; None if there is neither."""
    if path is None:
        text = environment.get(VARIABLE, "")
        return Sealer(_key(text.strip(), VARIABLE)) if text.strip() else None
    try:
        text = read_text_input(path, pipes=True)
    except OSError as error:
        raise UsageError(f"cannot read the sealing key {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read the sealing key {path}: it is not UTF-8") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UsageError(f"{path} holds no sealing key: make one with {_MAKE_ONE}")
    current, *former = [_key(line, str(path)) for line in lines]
    return Sealer(current, former)


def _key(text: str, place: str) -> SealingKey:
    try:
        return SealingKey.parse(text)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
