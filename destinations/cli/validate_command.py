"""``destinations validate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.opening import optional_destination_argument
from destinations.cli.tables import count
from destinations.definition import (
    DestinationDefinition,
    check_folder,
    load_definition,
    other_files,
)
from destinations.definition.form_keywords import choice_fields
from destinations.definition.schema_copies import FOLDER, missing_schemas, stale_schemas
from destinations.definition.schema_copies import update_schemas as renew_schemas
from destinations.errors import DefinitionError, Issue
from destinations.kit.subjects import verb_without_subject
from destinations.pipeline.output import naming
from destinations.reference import help_line
from destinations.runtime.destination import missing_code
from destinations.runtime.installed import find_folder
from destinations.runtime.plugins import find_plugin, plugin_code

__all__ = ["command"]

_OF_CASES = (
    "A case belongs to the settings, actions and requests of its definition: after changing these, "
    "change it too, or delete it, as that of the template."
)


@click.command("validate", cls=Command, epilog="Example: destinations validate ./my-destination")
@optional_destination_argument
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of the issues.")
@click.option(
    "--update-schemas",
    is_flag=True,
    help="Write the current schemas to schemas/, where editors read them.",
)
def command(destination: str | None, *, as_json: bool, update_schemas: bool) -> int:
    """Check the definition of DESTINATION and report every issue with file, line and path.

    DESTINATION is the name of an installed destination or a folder; without it, the current folder
    is checked. The cases next to the definition are read as well, but not replayed. Exits 2 if
    anything is wrong.
    """
    destination = "." if destination is None else destination
    folder = find_folder(destination)
    updated = _updated(folder) if update_schemas else []
    issues = list(check_folder(folder))
    of_cases: list[Issue] = []
    if not issues:
        of_cases = _cases(folder)
        issues += [*_code(destination), *of_cases]
    if as_json:
        click.echo(json_text([asdict(issue) for issue in issues], indent=2))
        return 2 if issues else 0
    if issues:
        _say_issues(issues, destination)
        if of_cases:
            click.echo(_OF_CASES, err=True)
    else:
        definition = load_definition(folder)
        click.echo(
            f"{definition.name} {definition.version} is valid: "
            f"{count(len(definition.actions), 'action')}, "
            f"{count(len(definition.requests), 'request')}, "
            f"{count(len(definition.presets), 'preset')}."
        )
        _say_pending(definition)
        _say_descriptions(definition)
    for name, why in other_files(folder).items():
        click.echo(f"Skipped: {name}: {why}.")
    for name in updated:
        click.echo(f"Updated: {name}.")
    cure = f"destinations validate {destination} --update-schemas"
    for name in stale_schemas(folder):
        click.echo(f"Out of date: {name}, by which editors complete and check; run {cure}")
    for name, file in missing_schemas(folder).items():
        click.echo(f"Missing: {name}, which $schema of {file} names; run {cure}")
    return 2 if issues else 0


def _say_issues(issues: Sequence[Issue], destination: str) -> None:
    for issue in issues:
        click.echo(str(issue))
    click.echo(f"{count(len(issues), 'issue')} in {destination}.", err=True)
    if line := help_line(issues):
        click.echo(line, err=True)


def _say_pending(definition: DestinationDefinition) -> None:
    """Print what is still to be written: requests, and where choices come from."""
    for name in definition.pending_requests:
        click.echo(f"Left to do: write the request {name}; it is not sent while it is pending.")
    for slug, action in definition.actions.items():
        for _, name, choices in choice_fields(action.fields):
            if "pending" in choices:
                click.echo(f"Left to do: write x-choices of {slug}.{name}; it is pending.")


def _say_descriptions(definition: DestinationDefinition) -> None:
    """Print the descriptions that pages would show without a subject: Uploads an event."""
    for action in definition.actions.values():
        if found := verb_without_subject(action.description):
            click.echo(
                f"Reword: the description of the action {action.slug} begins with "
                f"'{found['verb']}'; describe an action in the imperative"
            )


def _updated(folder: Traversable) -> list[str]:
    if not isinstance(folder, Path):
        return []
    with naming(folder / FOLDER):
        return renew_schemas(folder)


def _cases(folder: Traversable) -> list[Issue]:
    """Find the issues in the cases of a definition that has none itself."""
    from destinations.kit.testing.case_reading import (  # noqa: PLC0415 - only where there are cases
        CASES_FOLDER,
        case_files,
        read_cases,
    )

    cases = folder / CASES_FOLDER
    if not case_files(cases):
        return []
    try:
        read_cases(cases, load_definition(folder))
    except DefinitionError as error:
        return list(error.issues)
    return []


def _code(destination: str) -> list[Issue]:
    """Find code that the definition names and no plugin has: it is loaded only when needed."""
    folder = find_folder(destination)
    definition = load_definition(folder)
    code = plugin_code(find_plugin(definition.slug, folder), None)
    named = [
        (slug, kind, name, known)
        for slug, action in definition.actions.items()
        for kind, name, known in (
            ("generator", action.perform.generator, code.generators),
            ("mapper", action.unmapped.mapper if action.unmapped else None, code.mappers),
        )
    ]
    return [
        Issue(missing_code(kind, name, known, code.source), file=slug)
        for slug, kind, name, known in named
        if name is not None and name not in known
    ]
