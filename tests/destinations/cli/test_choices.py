"""``destinations choices``: what it asks, what it prints, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.oauth2_samples import oauth2_files, write_oauth2

Command = Callable[..., Any]

CHOICES: dict[str, Any] = {
    "request": "lists",
    "items": {"@path": "$.answer.lists"},
    "value": {"@path": "$.id"},
    "label": {"@path": "$.name"},
    "next": {"@path": "$.answer.paging.next"},
}


def _change(documents: Any) -> None:
    documents["destination"]["requests"]["lists"] = {
        "description": "Returns a page of lists.",
        "idempotent": True,
        "rest": {
            "method": "GET",
            "path": ["lists"],
            "query": {"after": {"@path": "$.page"}},
        },
    }
    del documents["sync"], documents["destination"]["presets"][2]  # which needs a plugin
    fields = documents["count"]["fields"]["properties"]
    fields["thing"]["x-choices"] = CHOICES
    fields["by"]["x-choices"] = {"pending": "the request of amounts"}
    inner = {"title": "Color", "description": "A color.", "type": "string", "x-choices": CHOICES}
    fields["item"] = {"title": "Item", "description": "An item.", "type": "object"}
    fields["item"] |= {"additionalProperties": False, "properties": {"color": inner}}


@pytest.fixture
def folder(write_definition: Callable[..., Path]) -> Path:
    """A definition of which two fields have choices, and one will have."""
    return write_definition(_change)


def test_a_sandbox_has_choices(command: Command, folder: Path) -> None:
    """It answers with a list that the definition can read, for people and for machines."""
    done = command("choices", folder, "count", "thing", "--sandbox")
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["value", "label"],
        ['"choice-1"', "Choice", "1"],
        ['"choice-2"', "Choice", "2"],
    ]
    found = command("choices", folder, "count", "item.color", "--sandbox", "--json").json
    assert found == {
        "choices": [
            {"value": "choice-1", "label": "Choice 1"},
            {"value": "choice-2", "label": "Choice 2"},
        ],
        "pages": 1,
        "ending": "complete",
        "unusable": 0,
    }


def test_a_limit(command: Command, folder: Path) -> None:
    """Where the list goes on, a line says so."""
    done = command("choices", folder, "count", "thing", "--sandbox", "--limit", "1")
    assert "Ended after 1 choice: the partner has more; --limit N asks for more." in done.out


@pytest.mark.parametrize(
    ("action", "field", "message"),
    [
        ("cuont", "thing", "has no action 'cuont'; it has: count, save; did you mean count?"),
        (
            "count",
            "thin",
            "'thin' is no field of count; fields with x-choices: by, thing, item.",
        ),
        ("save", "name", "fields with x-choices: none"),
        ("count", "by", "cannot be asked for yet: the request of amounts"),
    ],
)
def test_what_cannot_be_asked(
    action: str, field: str, message: str, command: Command, folder: Path
) -> None:
    """A wrong name comes with those that are right."""
    done = command("choices", folder, action, field, "--sandbox")
    assert done.code == 2
    assert message in done.err


def test_a_partner_that_is_away(
    command: Command, folder: Path, write: Callable[[str, Any], Path]
) -> None:
    """The code says that it may pass by itself."""
    settings = {"apiKey": "key_0123456789", "endpoint": "http://127.0.0.1:9"}
    file = write("settings.json", settings)
    done = command("choices", folder, "count", "thing", "--settings", file)
    assert done.code == 75
    assert "the partner did not answer lists: no connection" in done.err


def test_what_is_left_to_do(command: Command, write_definition: Callable[..., Path]) -> None:
    """`validate` names choices whose request is not written."""

    def change(documents: Any) -> None:
        _change(documents)
        del documents["count"]["fields"]["properties"]["item"]  # which nothing sends

    done = command("validate", write_definition(change))
    assert (done.code, done.err) == (0, "")
    assert "Left to do: write x-choices of count.by; it is pending." in done.out


def test_a_refresh_token_is_not_spent(command: Command, tmp_path: Path) -> None:
    """The partner may replace it, and without a store the new one would be lost."""
    data = oauth2_files("refreshToken")
    folder = write_oauth2(tmp_path / "ledgerly", "refreshToken")
    action = next(one for one in folder.glob("*.yaml") if one.name != "destination.yaml")
    changed = yaml.safe_load(action.read_text())
    name = next(iter(changed["fields"]["properties"]))
    request = next(iter(data["requests"]))
    changed["fields"]["properties"][name]["x-choices"] = {
        "request": request,
        "items": {"@path": "$.answer"},
        "value": {"@path": "$.id"},
    }
    action.write_text(yaml.safe_dump(changed, sort_keys=False))
    done = command("choices", folder, changed["slug"], name)
    assert done.code == 2
    assert "may replace its refresh token" in done.err
