"""The options that several commands choose deliveries by."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from destinations.errors import UsageError
from destinations.operations import LedgerEntry, parse_time, shown_time

__all__ = ["RECORD_FIELDS", "TIME", "check_scope", "record", "scope_options"]

F = TypeVar("F", bound=Callable[..., Any])


class _Time(click.ParamType[float]):
    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_time(value, time.time())
        except UsageError as error:
            self.fail(str(error), param, ctx)


TIME: Final = _Time()
"""A time of an option, in seconds since 1970, UTC."""

_SCOPE: Final = (
    click.option("--destination", metavar="NAME", help="Only of this destination."),
    click.option("--code", metavar="CODE", help="Only with this error code, as in list."),
    click.option("--user", metavar="ID", help="Only of this user."),
    click.option(
        "--since", type=TIME, metavar="TIME", help="Accepted since: ISO 8601, or 2h or 3d ago."
    ),
    click.option("--until", type=TIME, metavar="TIME", help="Accepted before: as for --since."),
)


def scope_options(command: F) -> F:
    """Adds --destination, --code, --user, --since and --until."""
    for option in reversed(_SCOPE):
        command = option(command)
    return command


def check_scope(scope: Mapping[str, Any]) -> None:
    """Raises for times between which there is none: nothing could ever be found."""
    since, until = scope["since"], scope["until"]
    if since is not None and until is not None and since >= until:
        msg = (
            f"--since {shown_time(since)} is not before --until {shown_time(until)}: "
            "no delivery is between them"
        )
        raise click.UsageError(msg)


RECORD_FIELDS: Final = (
    "id",
    "event_id",
    "destination",
    "user",
    "action",
    "type",
    "message_id",
    "accepted_at",
    "state",
    "attempts",
    "first_attempt_at",
    "next_at",
    "outcome",
    "code",
    "status",
    "reason",
    "stage",
    "definition_version",
    "settled_at",
    "lease",
)


def record(entry: LedgerEntry) -> dict[str, Any]:
    """A delivery as JSON; times are in seconds since 1970, UTC."""
    found: dict[str, Any] = {name: getattr(entry, name) for name in RECORD_FIELDS}
    expected = entry.expectation
    found["expectation"] = (
        None if expected is None else {"key": expected.key, "amount": expected.amount}
    )
    found["evidence"] = dict(entry.evidence)
    return found
