"""The examples on the pages about keys are read by the readers of such files, without an issue."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition.connection import connect, read_connection
from destinations.definition.loader import check_folder, load_definition
from destinations.kit import testing
from destinations.sandbox.faults import Faults
from destinations.server import read_config

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
EXAMPLES: Mapping[str, str] = yaml.safe_load(
    (ROOT / "docs" / "making" / "examples.yaml").read_text("utf-8")
)
FOLDERS = ("case", "connection", "definition/action", "definition/destination", "faults", "serve")

DESTINATION: Mapping[str, Any] = {
    **yaml.safe_load(EXAMPLES["destination.yaml"]),
    "slug": "example-counter",
}
ACTION: Mapping[str, Any] = yaml.safe_load(EXAMPLES["action"])
SERVE: Mapping[str, Any] = {
    "store": {"path": "store.sqlite3"},
    "destinations": [
        {
            "name": "kana",
            "destination": "kana",
            "settings": {"apiKey": {"env": "KANA_API_KEY"}},
            "receiver": {"keys": [{"env": "RECEIVER_KEY"}]},
        }
    ],
}

STEP_REQUESTS: Mapping[str, Any] = {
    name: {"description": "Does it.", "idempotent": idempotent, "rest": rest}
    for name, idempotent, rest in (
        ("createUser", False, {"method": "POST", "path": ["users"], "json": {}}),
        ("updateUser", True, {"method": "PUT", "path": ["users"], "json": {}}),
    )
} | {
    "findUser": {
        "description": "Finds a user.",
        "idempotent": True,
        "rest": {"method": "GET", "path": ["users"]},
        "expect": {"type": "object", "required": ["plan"]},
        "answers": [{"name": "missing", "when": {"status": 404}}],
    }
}
"""The requests of which the example of steps speaks."""

USAGE_REQUESTS: Mapping[str, Any] = {
    "listMeters": {
        "description": "Lists the meters.",
        "idempotent": True,
        "rest": {"method": "GET", "path": ["meters"], "query": {"page": {"@path": "$.page"}}},
    },
    "showUsage": {
        "description": "Shows what was counted.",
        "idempotent": True,
        "rest": {
            "method": "GET",
            "path": ["meters", {"@path": "$.answers.meter.id"}],
            "query": {
                key: {"@path": f"$.usage.{key}"} for key in ("user", "feature", "from", "to")
            },
        },
        "answers": [{"name": "unknown_customer", "when": {"status": 404}}],
    },
    "listUsage": {
        "description": "Lists what was counted.",
        "idempotent": True,
        "rest": {
            "method": "GET",
            "path": ["usage"],
            "query": {
                **{key: {"@path": f"$.usage.{key}"} for key in ("user", "feature", "from", "to")},
                "page": {"@path": "$.page"},
            },
        },
    },
}
"""The requests of which the example of usage speaks."""

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://events:hidden@db.example.com/events",
    "KANA_API_KEY": "prv_test_0123456789",
    "RECEIVER_KEY": "0123456789abcdef0123456789abcdef",
    "SLACK_URL": "https://hooks.example.com/services/T0/B0/0123456789",
    "WRITE_KEY": "abcdef0123456789abcdef0123456789",
}
FILES = {
    "kana-api-key": "prv_test_0123456789",
    "receiver-key": "0123456789abcdef0123456789abcdef",
    "sealing-key": b64encode(bytes(range(32))).decode(),
    "signing": "whsec_" + b64encode(bytes(range(32))).decode(),
}


def _topic(page: Path) -> str:
    found = re.search(r'^topic: "(.+)"$', page.read_text("utf-8"), re.MULTILINE)
    assert found is not None, page
    return found[1]


PAGES = {_topic(page): page for folder in FOLDERS for page in (REFERENCE / folder).glob("*.md")}


def test_each_page_has_an_example() -> None:
    """Every page about keys shows an example, and every example is on a page."""
    assert PAGES.keys() == EXAMPLES.keys()
    for topic, page in PAGES.items():
        text = page.read_text("utf-8")
        assert EXAMPLES[topic].rstrip() in text.partition("## Example\n")[2], topic


def _names_what_it_shows(topic: str) -> list[str]:
    """Return the keys that the example of a topic must have, each in the one before."""
    return re.split(r"\.", re.sub(r"^(case|serve\.yaml) ", "", topic))


def _has(value: Any, keys: list[str]) -> bool:
    if not keys:
        return True
    if isinstance(value, list):
        return any(_has(one, keys) for one in value)
    if not isinstance(value, dict):
        return False
    if keys[0] in value and _has(value[keys[0]], keys[1:]):
        return True
    return any(_has(one, keys) for one in value.values() if isinstance(one, dict))


@pytest.mark.parametrize(
    "topic", [one for one in EXAMPLES if one not in {"action", "case", "connection", "faults"}]
)
def test_an_example_has_what_its_page_is_about(topic: str) -> None:
    """The example of `requests.batch` has a batch in a request, and so on."""
    if not topic.endswith(".yaml"):
        assert _has(yaml.safe_load(EXAMPLES[topic]), _names_what_it_shows(topic))


def _definition(topic: str, folder: Path) -> None:
    """Write a definition that has the example of a topic."""
    part = yaml.safe_load(EXAMPLES[topic])
    is_action = topic == "action" or topic.startswith(("fields", "perform", "usage"))
    destination = {**DESTINATION, **({} if is_action else part)}
    action = {**ACTION, **(part if is_action else {})}
    if not is_action and "whoami" not in destination["requests"]:
        needed = ("whoami", "deleteUser")
        destination["requests"] |= {name: DESTINATION["requests"][name] for name in needed}
    if topic == "perform":
        destination["requests"] = {**destination["requests"], **STEP_REQUESTS}
    if topic.startswith("usage"):
        made = {key: one for key, one in USAGE_REQUESTS.items() if key in EXAMPLES[topic]}
        destination["requests"] = {**destination["requests"], **made}
    if "{'@path': $.payload.amount}" in EXAMPLES[topic]:
        amount = yaml.safe_load(EXAMPLES["fields.properties"])["fields"]["properties"]["amount"]
        fields = action["fields"]
        action["fields"] = {**fields, "properties": {**fields["properties"], "amount": amount}}
    folder.mkdir()
    for name, data in (("destination", destination), ("track", action)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")


@pytest.mark.parametrize(
    "topic", [one for one, page in PAGES.items() if "definition" in page.parts]
)
def test_a_definition(topic: str, tmp_path: Path) -> None:
    """A definition with the example has no issue and no warning."""
    folder = tmp_path / "example-counter"
    _definition(topic, folder)
    # An example is of a part: requests of other parts may read its fields.
    issues = [str(issue) for issue in check_folder(folder)]
    assert [one for one in issues if "is never sent: " not in one] == []


@pytest.mark.parametrize("topic", [one for one, page in PAGES.items() if "serve" in page.parts])
def test_a_configuration(topic: str, tmp_path: Path) -> None:
    """A configuration with the example is read, once its secrets are there."""
    (tmp_path / "secrets").mkdir()
    for name, secret in FILES.items():
        (tmp_path / "secrets" / name).write_text(secret, "utf-8")
    path = tmp_path / "serve.yaml"
    path.write_text(yaml.safe_dump({**SERVE, **yaml.safe_load(EXAMPLES[topic])}), "utf-8")
    assert read_config(path, ENVIRONMENT).destinations


def test_a_connection(tmp_path: Path) -> None:
    """The connection is read, and fits Kana, of which it speaks."""
    path = tmp_path / "connection.yaml"
    path.write_text(EXAMPLES["connection"], "utf-8")
    connected = connect(load_definition(ROOT / "definitions" / "kana"), read_connection(path))
    assert list(connected.warnings) == []


@pytest.mark.parametrize("topic", ["case", "case expected", "case interactions"])
def test_a_case(topic: str, tmp_path: Path) -> None:
    """The case is replayed without a difference, by the destination of which it speaks."""
    path = tmp_path / "an-example.yaml"
    case = {**yaml.safe_load(EXAMPLES["case"]), **yaml.safe_load(EXAMPLES[topic])}
    path.write_text(yaml.safe_dump(case), "utf-8")
    subject = testing.subject_in(ROOT / "definitions" / "webhook")
    report = testing.replay(subject, testing.read_case(path, subject.definition))
    assert list(map(str, report.differences)) == []


def test_faults() -> None:
    """The faults are taken by a sandbox."""
    assert Faults().add_json(yaml.safe_load(EXAMPLES["faults"])) == 2
