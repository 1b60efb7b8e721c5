"""Every key of every kind of document, with values of each type: told in words, never a crash.

The places come from the JSON Schemas, so that a new key is tried without a line here.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import DestinationDefinition
from destinations.definition.build import build_action, build_destination
from destinations.definition.checks.actions import check_action
from destinations.definition.checks.destination import check_destination, warnings
from destinations.definition.checks.windows import window_issues
from destinations.definition.document import Document
from destinations.definition.schema_issues import schema_issues
from destinations.definition.settings import check_settings, read_settings
from destinations.errors import DefinitionError, DestinationsError, Issue
from destinations.kit.testing.case_reading import build_case
from destinations.segment.json_pointer import pointer, value_at
from destinations.server import read_config

Path_ = tuple[str | int, ...]
Write = Callable[[str, Any], Path]

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "a whole float": 4.0,
    "a fraction": 1.5,
    "huge": 10**400,
    "infinite": math.inf,
    "not a number": math.nan,
    "an empty text": "",
    "a text": "x",
    "a long text": "x" * 5_000,
    "a number in quotes": "30",
    "a huge number in quotes": "9" * 5_000,
    "a boolean in quotes": "true",
    "NaN in quotes": "NaN",
    "brackets": "[" * 5_000,
    "an open group": "(",
    "a NUL": "a\0b",
    "an empty list": [],
    "a list": [1, "x", None],
    "a list of lists": [[["x"]]],
    "an empty mapping": {},
    "a mapping": {"x": 1},
    "mappings in a mapping": {"a": {"b": {"c": [{}]}}},
}
FEW = (  # for the largest schema: one of each type, and those that have made trouble
    "null", "true", "a whole float", "huge", "not a number", "a text", "a number in quotes",
    "an open group", "a list", "a mapping",
)  # fmt: skip
LIBRARY = re.compile(  # words of a library, which name no cure
    r"is not of type|is not valid under|should not be valid|Additional properties|does not match"
    r"|non-unique|less than|greater than|is too (?:long|short)|non-empty|is not one of|was expected"
)


def _schema(kind: str) -> dict[str, Any]:
    path = files("destinations.definition") / "schemas" / f"{kind}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    for name in ("mapping", "directive", "textOrDirective", "objectOrDirective"):
        if name in schema.get("$defs", {}):  # not what documents are checked by
            schema["$defs"][name] = {}
    return schema


def _places(schema: Any, root: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every place of a document that a schema describes; ``any`` where any key can stand."""
    if "$ref" in schema:
        yield from _places(value_at(root, schema["$ref"].removeprefix("#")), root, path)
        return
    for key, inner in schema.get("properties", {}).items():
        yield (*path, key)
        yield from _places(inner, root, (*path, key))
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        yield (*path, "any")
        yield from _places(inner, root, (*path, "any"))
    if "items" in schema:
        yield (*path, 0)
        yield from _places(schema["items"], root, (*path, 0))
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _places(branch, root, path)


def _with(document: Any, path: Path_, value: Any) -> Any:
    """A copy of a document with a value at a place, which is made if it is not there."""
    changed = copy.deepcopy(document)
    here = changed
    for key, following in zip(path, (*path[1:], None), strict=True):
        made = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(key, int):
            if not here:
                here.append(made)
            elif following is None or not isinstance(here[0], type(made)):
                here[0] = made
            here = here[0]
        else:
            if following is None or not isinstance(here.get(key), type(made)):
                here[key] = made
            here = here[key]
    return changed


def _tries(kind: str, base: Any, names: Iterable[str] = VALUES) -> Iterator[tuple[str, Any]]:
    schema = _schema(kind)
    for path in dict.fromkeys(_places(schema, schema)):
        for name in names:
            yield f"{pointer(*path)} is {name}", _with(base, path, VALUES[name])


def _finds(check: Callable[[Any], list[Issue]], tries: Iterator[tuple[str, Any]]) -> list[str]:
    """What goes wrong in ``check`` itself, and messages in a library's words."""
    wrong = []
    for name, data in tries:
        try:
            issues = check(data)
        except DestinationsError as error:
            issues = list(error.issues) if isinstance(error, DefinitionError) else []
        except Exception as error:  # noqa: BLE001 - told with the value that caused it
            wrong.append(f"{name}: {type(error).__name__}: {error}")
            continue
        wrong += [f"{name}: {it}" for it in issues if LIBRARY.search(it.message)]
    return wrong


def _documents(write_definition: Callable[..., Path]) -> dict[str, Any]:
    folder = write_definition()
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in folder.glob("*.yaml")}


@pytest.fixture
def documents(write_definition: Callable[..., Path]) -> dict[str, Any]:
    """The documents of a small destination, by name."""
    return _documents(write_definition)


def test_a_destination(documents: dict[str, Any]) -> None:
    """A wrong value in ``destination.yaml`` is an issue or has no effect."""
    base, action = documents["destination"], documents["save"]
    # As small as can be, since every check reads all of it.
    del base["authentication"], base["errorRules"]
    base["requests"] = {"save": base["requests"]["save"]}
    base["presets"] = [one for one in base["presets"] if one["partnerAction"] == "save"]
    actions = {"save": Document("save.yaml", action, {})}

    def check(data: Any) -> list[Issue]:
        document = Document("destination.yaml", data, {})
        issues = list(schema_issues(document, "destination"))
        issues = issues or list(check_destination(document, actions))
        if not issues:
            settings = data["settings"]["properties"]
            build_destination(data, {"save": build_action(action, settings)})
            issues += warnings(document, actions)
        return issues

    assert _finds(check, _tries("destination", base, FEW)) == []


def test_an_action(documents: dict[str, Any]) -> None:
    """A wrong value in an action is an issue or has no effect."""

    def check(data: Any) -> list[Issue]:
        document = Document("count.yaml", data, {})
        issues = list(schema_issues(document, "action"))
        destination = documents["destination"]
        if not issues:
            issues += check_action(document, destination["requests"])
            issues += window_issues(document, Document("destination.yaml", destination, {}))
        if not issues:
            build_action(data, destination["settings"]["properties"])
        return issues

    assert _finds(check, _tries("action", documents["count"])) == []


def test_a_case(load: Callable[..., DestinationDefinition]) -> None:
    """A wrong value in a case is an issue or has no effect."""
    definition = load()
    base = {
        "description": "One.",
        "settings": {"apiKey": "placeholder"},
        "clock": "2024-01-15T12:00:00Z",
        "events": [{"type": "track"}],
        "interactions": [],
        "expected": [{"event": 1, "outcome": "filtered"}],
    }

    def check(data: Any) -> list[Issue]:
        build_case(Document("case.yaml", data, {}), "case", definition)
        return []

    assert _finds(check, _tries("case", base)) == []


SERVE = {"store": {"path": "s.sqlite3"}, "destinations": [{"name": "one", "destination": "kana"}]}


def test_the_configuration_of_a_server(write: Write) -> None:
    """A wrong value in it is an issue or has no effect."""

    def check(data: Any) -> list[Issue]:
        issues = list(schema_issues(Document("serve.yaml", data, {}), "serve"))
        if not issues:
            read_config(write("serve.yaml", yaml.safe_dump(data)), {})
        return issues

    assert _finds(check, _tries("serve", SERVE)) == []


@pytest.mark.parametrize("as_file", [False, True])
def test_settings(
    write: Write, load: Callable[..., DestinationDefinition], *, as_file: bool
) -> None:
    """A wrong value of a setting, or of what stands for one, is an issue or has no effect."""
    definition = load()
    places: list[Path_] = [(), *((key,) for key in definition.settings["properties"])]
    places += [("apiKey", "env"), ("apiKey", "file"), ("apiKey", 0), ("unknown",)]
    tries = (
        (f"{pointer(*path)} is {name}", _with({"apiKey": "x"}, path, value) if path else value)
        for path in places
        for name, value in VALUES.items()
    )

    def check(data: Any) -> list[Issue]:
        document = Document("settings.yaml", data, {})
        if as_file:
            document = read_settings(write("settings.yaml", yaml.safe_dump(data)), {})
        elif not isinstance(data, dict):
            return []
        check_settings(definition, document)
        return []

    assert _finds(check, tries) == []


def test_what_is_tried() -> None:
    """The places are those of the schemas, at any depth."""
    found = {kind: set(_places(_schema(kind), _schema(kind))) for kind in ("serve", "destination")}
    assert ("store", "keepDays", "dead") in found["serve"]
    assert ("destinations", 0, "receiver", "keys", 0, "env") in found["serve"]
    assert ("requests", "any", "batch", "failures", "status", 0) in found["destination"]
