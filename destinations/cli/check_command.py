"""``destinations check``."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.opening import (
    bind_to_file,
    destination_argument,
    settings_option,
    store_option,
)
from destinations.cli.sealing_key import needs_store, open_tokens, sealing_key_option
from destinations.errors import UsageError
from destinations.http.transport import HttpTransport
from destinations.opening import open_definition, open_store
from destinations.postgres import StoreAddress
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.secrets import shown_url

__all__ = ["command"]


@click.command(
    "check", cls=Command, epilog="Example: destinations check kana --settings kana.yaml --live"
)
@destination_argument
@settings_option
@click.option(
    "--live", is_flag=True, help="Fail unless the credentials belong to the live environment."
)
@store_option
@sealing_key_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    destination: str,
    settings: Path | None,
    *,
    live: bool,
    store: StoreAddress | None,
    sealing_key: Path | None,
    as_json: bool,
) -> int:
    """Test the credentials of DESTINATION with its authentication request.

    Says whether they are valid, refused, of the wrong kind or environment, or whether the partner
    cannot be reached. Exits 0 if they are valid, else 2. Only a destination with refresh tokens has
    a store here: the partner may replace its token, and the store keeps the new one.
    """
    definition, plugin = open_definition(destination)
    if definition.authentication is None:
        msg = f"{definition.name} has no authentication test, so its credentials cannot be checked"
        raise UsageError(msg, topic="authentication.test")
    bound = bind_to_file(definition, plugin, settings).destination
    with contextlib.ExitStack() as stack:
        if definition.oauth2 is not None:
            opened = stack.enter_context(open_store(store)) if needs_store(definition) else None
            bound.keep_tokens(open_tokens(definition, opened, sealing_key))
        status, message = _test(bound)
    environments = bound.environments
    if status == "valid" and live and "live" not in environments:
        status = "wrong environment"
        found = " and ".join(environments) or "no known environment"
        message = f"wrong credentials ({found}): expected live ones, as --live requires."
    if as_json:
        shown = {"status": status, "message": message, "environments": environments}
        click.echo(json_text(shown))
    else:
        environment = f" ({', '.join(environments)})" if environments else ""
        text = f"{definition.name}{environment}: {status}. {message}".strip()
        click.echo(text, err=status != "valid")
        if status == "valid" and environments == ["test"]:
            click.echo("These are test credentials: events do not reach live customers.")
    return 0 if status == "valid" else 2


def _test(bound: Destination) -> tuple[str, str]:
    with contextlib.closing(HttpTransport(bound.definition.transport.timeouts)) as transport:
        failure = Sender(bound, transport).test_credentials()
    if failure is None:
        return "valid", ""
    message = bound.settings.masker.text(failure.message)
    if failure.error_class == "authentication":
        return "refused", f"The partner refuses these credentials: {message}"
    status = "failed" if failure.is_answered else "unreachable"
    return status, f"{shown_url(bound.endpoint)}: {message}"
