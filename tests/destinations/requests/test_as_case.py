"""Cases of deliveries whose requests are lines, compressed, forms, texts, or several steps."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import check_folder
from destinations.operations import open_ledger
from destinations.pipeline.ledger import Selection
from destinations.postgres import open_at
from tests.case_tables import each_value
from tests.destinations.requests.conftest import API_KEY

EVENT = {"type": "track", "event": "E", "userId": "u1", "messageId": "m1"}
PAYLOAD = {"@path": "$.payload"}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "json": {"json": PAYLOAD},
    "json, compressed": {"json": PAYLOAD, "gzip": True},
    "lines": {"ndjson": [{"create": {"_id": {"@path": "$.event.messageId"}}}, PAYLOAD]},
    "lines, compressed": {"ndjson": [PAYLOAD], "gzip": True},
    "one line": {"ndjson": [PAYLOAD]},
    "a form": {"form": PAYLOAD},
    "a form, compressed": {"form": PAYLOAD, "gzip": True},
    "text": {"text": {"@template": "name={{payload.name}}\n"}},
    "text, compressed": {"text": {"@template": "é {{payload.name}}"}, "gzip": True},
    "no body": {"query": PAYLOAD},
}
AUTH: Mapping[str, Mapping[str, Any]] = {
    "bearer": {"bearer": "apiKey"},
    "query": {"apiKey": {"query": "key", "setting": "apiKey"}},
    "basic": {"basic": {"user": "apiKey"}},
}
RULES = [
    {
        "description": "The partner does not want it.",
        "when": {"status": 422},
        "class": "invalid",
        "retryable": False,
        "nothingApplied": True,
    }
]


def _destination(requests: Mapping[str, Any], auth: str = "bearer") -> dict[str, Any]:
    return {
        "name": "Cases",
        "slug": "cases",
        "description": "A partner of many kinds of requests.",
        "settings": {
            "type": "object",
            "required": ["apiKey"],
            "additionalProperties": False,
            "properties": {
                "endpoint": {
                    "title": "Endpoint",
                    "description": "The URL.",
                    "type": "string",
                    "default": "https://cases.example.com",
                },
                "apiKey": {
                    "title": "API key",
                    "description": "The key.",
                    "type": "string",
                    "format": "password",
                },
            },
        },
        "transport": {
            "baseUrl": {"@path": "$.settings.endpoint"},
            "auth": AUTH[auth],
            "timeout": {"connect": 5, "read": 10, "total": 30},
        },
        "requests": requests,
        "errorRules": RULES,
        "presets": [{"name": "Send", "partnerAction": "send", "subscribe": 'type = "track"'}],
    }


def _action(perform: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "slug": "send",
        "title": "Send",
        "description": "Send an event.",
        "fields": {
            "type": "object",
            "properties": {
                "name": {
                    "title": "Name",
                    "description": "What happened.",
                    "type": "string",
                    "default": {"@path": "$.event"},
                }
            },
        },
        "perform": perform,
    }


@pytest.fixture
def as_case(
    deliver: Any, partner: Any, command: Callable[..., Any]
) -> Callable[..., Mapping[str, Any]]:
    """Delivers an event, makes a case of it, replays that; returns the case."""

    def make(
        destination: Mapping[str, Any], action: Mapping[str, Any], outcome: str, *given: str
    ) -> Mapping[str, Any]:
        folder: Path = deliver.write_definition(
            destination=copy.deepcopy(destination), send=copy.deepcopy(action)
        )
        assert list(check_folder(folder)) == []
        done = deliver("serve", folder, [EVENT])
        assert done.outcomes == {"m1": outcome}, done.reasons
        store = deliver.folder / "store.sqlite3"
        with open_at(store, read_only=True) as opened:
            (row,) = open_ledger(opened).find(Selection())
        event = deliver.write("event.json", EVENT)
        options = ("--store", store, "--definition", folder, "--event", event, *given)
        made = command("deliveries", "show", row.id, "--as-case", "one", *options)
        assert made.code == 0, made.err
        text = (folder / "cases" / "one.yaml").read_text("utf-8")
        assert API_KEY not in text
        tested = command("test", folder)
        assert "one" in tested.out
        assert tested.code == 0, tested.out + tested.err
        case: Mapping[str, Any] = yaml.safe_load(text)
        assert len(case["interactions"]) == len(partner.received)
        return case

    return make


@each_value
@pytest.mark.parametrize("status", [200, 422])
@pytest.mark.parametrize("body", BODIES)
def test_bodies(as_case: Callable[..., Any], partner: Any, body: str, status: int) -> None:
    """The case has what was sent, before it was compressed, and replays."""
    partner.answer = lambda _: (status, {"message": "no"})
    request = {
        "description": "Sends an event.",
        "idempotent": True,
        "rest": {"method": "POST", "path": ["send"], **BODIES[body]},
    }
    action = _action({"request": "send"})
    # A success is kept as an attempt only in a share of cases: so it fails first.
    if status == 200:
        answers = iter([(503, {"message": "later"}), (200, {"message": "yes"})])
        partner.answer = lambda _: next(answers)
    case = as_case(
        _destination({"send": request}), action, "delivered" if status == 200 else "rejected"
    )
    sent = json.dumps([one["request"] for one in case["interactions"]])
    assert "E" in sent or body == "no body"


@pytest.mark.parametrize("auth", AUTH)
def test_credentials(as_case: Callable[..., Any], partner: Any, auth: str) -> None:
    """Placeholders stand for them wherever they are."""
    partner.answer = lambda _: (422, {"message": "no"})
    request = {
        "description": "Sends an event.",
        "idempotent": True,
        "rest": {"method": "POST", "path": ["send"], "json": PAYLOAD},
    }
    as_case(_destination({"send": request}, auth), _action({"request": "send"}), "rejected")


STEPS = {
    "find": {
        "description": "Finds a thing.",
        "idempotent": True,
        "readOnly": True,
        "rest": {"method": "POST", "path": ["find"], "json": PAYLOAD},
        "expect": {"type": "object"},
    },
    "create": {
        "description": "Creates a thing.",
        "idempotent": False,
        "rest": {"method": "POST", "path": ["create"], "ndjson": [PAYLOAD], "gzip": True},
    },
    "update": {
        "description": "Updates a thing.",
        "idempotent": True,
        "rest": {
            "method": "PUT",
            "path": ["update", {"@path": "$.answers.find.id"}],
            "form": PAYLOAD,
        },
    },
}
NONE = {"type": "object", "properties": {"id": False}}
SOME = {"type": "object", "required": ["id"]}
PERFORM = {
    "steps": [
        {"name": "find", "request": "find"},
        {"name": "create", "request": "create", "when": {"find": NONE}},
        {"name": "update", "request": "update", "when": {"find": SOME}},
    ]
}
FLOWS: Mapping[str, tuple[list[tuple[int, Any]], str]] = {
    "created": ([(503, {}), (200, {}), (200, {})], "delivered"),
    "updated": ([(503, {}), (200, {"id": "7"}), (200, {})], "delivered"),
    "not found out": ([(422, {"message": "no"})], "rejected"),
    "not created": ([(200, {}), (422, {"message": "no"})], "rejected"),
    "updated at last": (
        [(200, {"id": "7"}), (503, {}), (200, {"id": "7"}), (200, {})],
        "delivered",
    ),
}


@pytest.mark.parametrize("flow", FLOWS)
def test_steps(as_case: Callable[..., Any], partner: Any, flow: str) -> None:
    """Each request of each attempt is in the case, in its order."""
    answers, outcome = FLOWS[flow]
    following = iter(answers)
    partner.answer = lambda _: next(following)
    case = as_case(_destination(STEPS), _action(PERFORM), outcome)
    methods = [one["request"]["method"] for one in case["interactions"]]
    assert len(methods) == len(answers)
