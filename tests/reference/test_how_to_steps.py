"""The definition of the page on looking up and then creating works as the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.definition import check_folder
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport
from destinations.kit import testing
from destinations.kit.testing.sequence import deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Outcome
from destinations.runtime.destination import Destination
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from destinations.sandbox.placeholders import placeholder_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "look-up-then-create.md").read_text("utf-8")
EXAMPLES: Mapping[str, str] = yaml.safe_load(
    (ROOT / "docs" / "making" / "examples.yaml").read_text("utf-8")
)
KEY = "sk_test_0123456789"
BASE = "https://api.example.com/v1"
EVENT = {"type": "identify", "userId": "u1", "messageId": "m1"}
TRAITS = {"email": "ada@example.com", "name": "Ada"}


def _field(path: str) -> dict[str, Any]:
    return {
        "title": "Title",
        "description": "What it is.",
        "type": "string",
        "minLength": 1,
        "default": {"@path": path},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The definition of the page, with the rest of that of the reference."""
    parts: dict[str, Any] = {}
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE):
        parts |= yaml.safe_load(block)
    destination = yaml.safe_load(EXAMPLES["destination.yaml"])
    whoami = destination["requests"]["whoami"]
    del destination["onDelete"]
    destination["requests"] = {"whoami": whoami, **parts["requests"]}
    preset = {"name": "People", "partnerAction": "sync", "subscribe": 'type = "identify"'}
    destination["presets"] = [preset]
    action = {
        "slug": "sync",
        "title": "Sync",
        "description": "Create or update a contact.",
        "fields": {
            "type": "object",
            "required": ["email"],
            "additionalProperties": False,
            "properties": {"email": _field("$.traits.email"), "name": _field("$.traits.name")},
        },
        "perform": parts["perform"],
    }
    made = tmp_path / "example-counter"
    made.mkdir()
    for name, data in (("destination", destination), ("sync", action)):
        (made / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")
    return made


def test_it_is_valid(folder: Path) -> None:
    """There is no issue, and no warning."""
    assert [str(issue) for issue in check_folder(folder)] == []


def test_every_fault_in_each_step(folder: Path) -> None:
    """Nothing is held, as all may be made again."""
    subject = testing.subject_in(folder)
    cases = list(testing.fault_cases(subject))
    assert {case.way.step for case in cases} == {"find", "create", "update"}
    reports = [testing.play_fault(case) for case in cases]
    assert [found for report in reports for found in report.differences] == []
    assert {one.value for report in reports for one in report.ends} <= {
        *("delivered", "ready", "rejected", "dead"),
    }


def _search(found: list[Any], **answer: Any) -> dict[str, Any]:
    return {
        "request": {
            "method": "POST",
            "url": f"{BASE}/contacts/search",
            "json": {"email": TRAITS["email"]},
        },
        "response": answer or {"status": 200, "json": {"results": found}},
    }


CREATE = {"method": "POST", "url": f"{BASE}/contacts", "json": TRAITS}
UPDATE = {"method": "PATCH", "url": f"{BASE}/contacts/101", "json": {"name": "Ada"}}
CONTACT = {"status": 200, "json": {"id": "101"}}


@pytest.mark.parametrize(
    ("interactions", "reason"),
    [
        (
            [_search([]), {"request": CREATE, "response": CONTACT}],
            "steps: find, create",
        ),
        (
            [_search([{"id": "101"}]), {"request": UPDATE, "response": CONTACT}],
            "steps: find, update",
        ),
        (
            [
                _search([]),
                {"request": CREATE, "failure": "lost"},
                _search([{"id": "101"}]),
                {"request": UPDATE, "response": CONTACT},
            ],
            "steps: find, update",
        ),
    ],
    ids=["create", "update", "a lost answer"],
)
def test_a_recorded_case(folder: Path, interactions: Any, reason: str) -> None:
    """A case has the interactions of all steps, and of all attempts."""
    case = {
        "description": "A contact.",
        "settings": {"apiKey": KEY},
        "clock": "2026-01-15T12:00:00Z",
        "events": [{**EVENT, "traits": TRAITS}],
        "interactions": interactions,
        "expected": [{"event": 1, "action": "sync", "outcome": "delivered", "reason": reason}],
    }
    path = folder / "cases" / "contact.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps(case), "utf-8")  # which is YAML without aliases
    subject = testing.subject_in(folder)
    report = testing.replay(subject, testing.read_case(path, subject.definition))
    assert list(map(str, report.differences)) == []


(FAULT,) = json.loads(re.findall(r"^  '(\[.*\])'$", PAGE, re.MULTILINE)[0])


@pytest.mark.parametrize(("faults", "last"), [([], "update"), ([FAULT], "create")])
def test_the_sandbox_answers_each_step(folder: Path, faults: list[Any], last: str) -> None:
    """Who is looked up is found, unless a fault says otherwise; each request is expected."""
    subject = testing.subject_in(folder)
    with DefinitionSandbox(subject.definition) as sandbox:
        requests.post(f"{sandbox.url}/faults", json=faults, timeout=10).raise_for_status()
        definition = sandbox.connected(subject.definition)
        settings = placeholder_settings(definition, dict.fromkeys(definition.secret_settings))
        destination = Destination(definition, settings)
        transport = HttpTransport(definition.transport.timeouts)
        entries = entries_of([{**EVENT, "traits": TRAITS}])
        (one,) = deliver_in_sequence(destination, transport, StillClock(), entries)
        transport.close()
        assert one.row.result.outcome is Outcome.DELIVERED, one.row.result
        assert one.row.result.reason == f"steps: find, {last}"


def test_how_long_a_run_waits(folder: Path) -> None:
    """The look-up comes when the lost request can have arrived; a run does not give up before."""
    subject = testing.subject_in(folder)
    settings = placeholder_settings(
        subject.definition, dict.fromkeys(subject.definition.secret_settings)
    )
    asked: list[tuple[float, str]] = []
    clock = StillClock()

    class Slow:
        """Loses the answer to a creation, and finds a contact only a minute later."""

        def send(self, request: HttpRequest) -> HttpResponse:
            what = f"{request.method} {request.url.removeprefix(BASE)}"
            asked.append((clock.monotonic(), what))
            if what == "POST /contacts":
                raise TransportError("no answer: timed out", sent=True, timeout=True)
            found = [{"id": "101"}] if clock.monotonic() > 60 else []
            body = {"results": found} if what == "POST /contacts/search" else {"id": "101"}
            return HttpResponse(200, {}, json.dumps(body).encode())

        def close(self) -> None:
            """Nothing is open."""

    destination = Destination(subject.definition, settings)
    (one,) = deliver_in_sequence(
        destination, Slow(), clock, entries_of([{**EVENT, "traits": TRAITS}])
    )
    assert one.row.result.outcome is Outcome.DELIVERED
    assert [what for _, what in asked] == [
        "POST /contacts/search",
        "POST /contacts",
        "POST /contacts/search",
        "PATCH /contacts/101",
    ]
    assert asked[2][0] - asked[1][0] >= 120
