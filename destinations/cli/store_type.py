"""The type of options that name a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from destinations.postgres import PostgresAddress, StoreAddress, parse_store

__all__ = ["STORE", "STORE_METAVAR"]

STORE_METAVAR: Final = "FILE|URL"

_FILE: Final = "sqlite:"
"""What may stand before the path of a file, to say that it is one."""


class _Store(click.ParamType[StoreAddress]):
    """The path of a file, or the address ``postgresql://...`` of a database."""

    name = "store"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,  # noqa: ARG002 - as above
    ) -> StoreAddress:
        """Return the address; raises `UsageError` as `parse_store`."""
        if isinstance(value, Path | PostgresAddress):
            return value
        return parse_store(str(value).removeprefix(_FILE))

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002 - as above
        incomplete: str,
    ) -> list[CompletionItem]:
        """Let the shell complete paths."""
        return [CompletionItem(incomplete, type="file")]


STORE: Final = _Store()
