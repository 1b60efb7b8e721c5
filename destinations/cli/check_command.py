"""``destinations check``."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click

from destinations.cli.opening import (
    destination_argument,
    open_definition,
    open_destination,
    settings_option,
)
from destinations.clock import SystemClock
from destinations.definition import DestinationDefinition
from destinations.errors import (
    IntegrationError,
    InvalidAuthenticationError,
    RetryableError,
    SelfTimeoutError,
    UsageError,
)
from destinations.http import Answer
from destinations.http.transport import HttpTransport
from destinations.runtime.action import Call
from destinations.runtime.delivery import Courier
from destinations.runtime.destination import Destination

__all__ = ["command"]


@click.command("check", epilog="Example: destinations check kana --settings kana.yaml --live")
@destination_argument
@settings_option
@click.option(
    "--live", is_flag=True, help="Fail unless the credentials are of the live environment."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(destination: str, settings: Path | None, *, live: bool, as_json: bool) -> int:
    """Test the credentials of DESTINATION with its authentication request.

    Says whether they are valid, refused, of the wrong kind or environment, or whether the partner
    cannot be reached. Exits 0 if they are valid, else 2.
    """
    definition, plugin = open_definition(destination)
    if definition.authentication is None:
        msg = f"{definition.name} has no credentials to test"
        raise UsageError(msg)
    bound = open_destination(_impatient(definition), plugin, settings)
    status, message = _test(bound, definition.authentication.test)
    environments = bound.environments
    if status == "valid" and live and "live" not in environments:
        status = "wrong environment"
        found = " and ".join(environments) or "no known environment"
        message = f"These are {found} credentials; --live asks for live ones."
    if as_json:
        shown = {"status": status, "message": message, "environments": environments}
        click.echo(json.dumps(shown, ensure_ascii=False))
    else:
        environment = f" ({', '.join(environments)})" if environments else ""
        text = f"{definition.name}{environment}: {status}. {message}".strip()
        click.echo(text, err=status != "valid")
        if status == "valid" and environments == ["test"]:
            click.echo("These are test credentials: events do not reach live customers.")
    return 0 if status == "valid" else 2


def _impatient(definition: DestinationDefinition) -> DestinationDefinition:
    """The definition without retries: who waits for this answer wants to know now."""
    retry = replace(definition.transport.retry, attempts=1)
    return replace(definition, transport=replace(definition.transport, retry=retry))


def _test(bound: Destination, request: str) -> tuple[str, str]:
    def steps() -> Generator[Call, Answer, Any]:
        return (yield Call(request, {}))

    transport = HttpTransport(bound.definition.transport.timeouts)
    try:
        Courier(bound, transport, SystemClock()).perform(steps())
    except InvalidAuthenticationError as error:
        return "refused", f"The partner refuses these credentials: {error.message}"
    except IntegrationError as error:
        lost = isinstance(error, RetryableError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
        unreachable = lost or isinstance(error, SelfTimeoutError)
        message = f"{bound.endpoint}: {error.message}"
        return ("unreachable" if unreachable else "failed"), message
    finally:
        transport.close()
    return "valid", ""
