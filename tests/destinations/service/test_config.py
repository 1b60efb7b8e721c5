"""The configuration: typed, with the place of every fault, and no secret in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from destinations.errors import DefinitionError
from destinations.secrets import Secret
from destinations.service import (
    DeliveryConfig,
    ListenConfig,
    ReceiverConfig,
    StoreConfig,
    read_config,
)

Write = Callable[[str, Any], Path]

SMALL = """\
store: {path: store.sqlite3}
destinations:
  - name: one
    destination: kana
"""
WHOLE = """\
listen: {host: 0.0.0.0, port: 0, maxBodyBytes: 2048, bodySeconds: 2}
store: {path: /data/s.sqlite3, maxBytes: 2000000, keepDays: 3, dedupeDays: 0.5}
queue: {maxEvents: 7}
drainSeconds: 1.5
destinations:
  - name: one
    destination: ./folder
    settings: {apiKey: {env: KEY}, region: 'x-${REGION}', text: plain, other: {file: key.txt}}
    receiver: {keys: [{env: KEY}, '${KEY2}'], signatureSecrets: [{file: key.txt}]}
    delivery: {deadlineSeconds: 60, settleAfterSeconds: 5, concurrency: 2, allowPrivate: true}
"""
TOML = """\
drainSeconds = 1.5
[listen]
host = "0.0.0.0"
port = 0
maxBodyBytes = 2048
bodySeconds = 2
[store]
path = "/data/s.sqlite3"
maxBytes = 2000000
keepDays = 3
dedupeDays = 0.5
[queue]
maxEvents = 7
[[destinations]]
name = "one"
destination = "./folder"
receiver = {keys = [{env = "KEY"}, "${KEY2}"], signatureSecrets = [{file = "key.txt"}]}
delivery = {deadlineSeconds = 60, settleAfterSeconds = 5, concurrency = 2, allowPrivate = true}
[destinations.settings]
apiKey = {env = "KEY"}
region = "x-${REGION}"
text = "plain"
other = {file = "key.txt"}
"""
ENVIRONMENT = {"KEY": "key-1", "KEY2": "key-2", "REGION": "eu", "EMPTY": ""}


def test_the_schema_is_one() -> None:
    """It is valid, and every key in it is described."""
    text = (files("destinations") / "schemas" / "serve.schema.json").read_text("utf-8")
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)

    def undescribed(part: Any, place: str) -> list[str]:
        found = []
        for key, spec in part.get("properties", {}).items():
            found += [] if "description" in spec else [f"{place}/{key}"]
            found += undescribed(spec, f"{place}/{key}")
        return found

    assert undescribed(schema, "") == []
    assert undescribed(schema["$defs"]["destination"], "") == []


def test_defaults(write: Write, tmp_path: Path) -> None:
    """What is not said is bound to this machine, with the defaults that the schema tells."""
    config = read_config(write("c.yaml", SMALL), {})
    assert config.listen == ListenConfig("127.0.0.1", 8787, 512_000, 10)
    assert config.store == StoreConfig(tmp_path / "store.sqlite3", None, 30, 7)
    assert (config.max_events, config.drain_seconds) == (1_000_000, 30)
    (one,) = config.destinations
    assert (one.name, one.destination, one.settings.data) == ("one", "kana", {})
    assert (one.receiver, one.delivery) == (ReceiverConfig(), DeliveryConfig(14_400, 30))


def test_defaults_are_those_of_the_schema() -> None:
    """The schema tells editors what the program does."""
    text = (files("destinations") / "schemas" / "serve.schema.json").read_text("utf-8")
    schema = json.loads(text)
    listen = schema["properties"]["listen"]["properties"]
    assert [spec["default"] for spec in listen.values()] == ["127.0.0.1", 8787, 512_000, 10]
    store = schema["properties"]["store"]["properties"]
    assert [store[key]["default"] for key in ("keepDays", "dedupeDays")] == [30, 7]
    delivery = schema["$defs"]["destination"]["properties"]["delivery"]["properties"]
    assert [spec.get("default") for spec in delivery.values()] == [14_400, 30, None, False]


@pytest.mark.parametrize(("name", "text"), [("c.yaml", WHOLE), ("c.toml", TOML)])
def test_all_of_it(write: Write, tmp_path: Path, name: str, text: str) -> None:
    """YAML and TOML mean the same; secrets come from where they are named."""
    write("key.txt", "from-a-file\n")
    config = read_config(write(name, text), ENVIRONMENT)
    assert config.listen == ListenConfig("0.0.0.0", 0, 2_048, 2)  # noqa: S104 - read, not bound
    assert config.store == StoreConfig(Path("/data/s.sqlite3"), 2_000_000, 3, 0.5)
    assert (config.max_events, config.drain_seconds) == (7, 1.5)
    (one,) = config.destinations
    assert one.destination == str(tmp_path / "folder")
    assert one.settings.data == {
        "apiKey": "key-1",
        "region": "x-eu",
        "text": "plain",
        "other": "from-a-file",
    }
    assert one.in_text == {"region", "text"}
    assert one.receiver == ReceiverConfig(
        (Secret("key-1"), Secret("key-2")), (Secret("from-a-file"),)
    )
    assert one.delivery == DeliveryConfig(60, 5, 2, allow_private=True)
    assert "key-1" not in repr(config)
    assert "from-a-file" not in repr(config)


def _faulty(line: str) -> str:
    return SMALL + line


WAYS = "must be {env: NAME}, {file: PATH} or ${NAME}: a secret does not stand in this file"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "1: lacks 'store', 'destinations'"),
        (_faulty("other: 1\n"), "5: /other: is not a key here; known are: $schema, listen"),
        (_faulty("drainSeconds: soon\n"), "5: /drainSeconds: must be number"),
        (_faulty("drainSeconds: -1\n"), "5: /drainSeconds: -1 is less than the minimum of 0"),
        (_faulty("listen: {port: 70000}\n"), "5: /listen/port: 70000 is greater than"),
        (
            _faulty("    receiver: {keys: [plain-key]}\n"),
            f"/receiver/keys/0: {WAYS}",
        ),
        (_faulty("    receiver: {keys: [{env: A, file: b}]}\n"), f"/receiver/keys/0: {WAYS}"),
        (_faulty("    receiver: {keys: [7]}\n"), f"/receiver/keys/0: {WAYS}"),
        (_faulty("    receiver: {signatureSecrets: [a-secret]}\n"), f"/signatureSecrets/0: {WAYS}"),
        (_faulty("    receiver: {keys: []}\n"), "/receiver/keys: must not be empty"),
        (
            _faulty("    receiver: {keys: [{env: NOT_SET}]}\n"),
            "/receiver/keys/0: the environment variable NOT_SET is not set",
        ),
        (_faulty("    receiver: {keys: [{env: EMPTY}]}\n"), "/keys/0: names an empty value"),
        (_faulty("    receiver: {keys: [{file: none}]}\n"), "none: No such file or directory"),
        (
            _faulty("    settings:\n      a: 1\n      apiKey: ${NOT_SET}\n"),
            "7: /destinations/0/settings/apiKey: the environment variable NOT_SET is not set",
        ),
        (
            _faulty("  - {name: one, destination: kana}\n"),
            "5: /destinations/1/name: the name",
        ),
        (SMALL.replace("one", "a/b"), "3: /destinations/0/name: 'a/b' does not have the form"),
        (
            _faulty("listen: {host: 0.0.0.0}\n"),
            "3: /destinations/0: lacks keys or signatureSecrets in receiver: others than this mach",
        ),
        ("destinations: [", "not YAML"),
    ],
)
def test_faults(write: Write, text: str, fault: str) -> None:
    """Each has its file, line and path, says what would be right, and shows no secret."""
    path = write("c.yaml", text)
    with pytest.raises(DefinitionError) as caught:
        read_config(path, ENVIRONMENT)
    shown = str(caught.value)
    assert fault in shown
    assert str(path) in shown
    assert "plain-key" not in shown
    assert "a-secret" not in shown


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = ", "not TOML: Invalid value (at "),
        ("drainSeconds = inf", "/drainSeconds: must be a finite number"),
        ("drainSeconds = 2020-01-01", "/drainSeconds: must be a text, a number, true or false"),
        ("[store]\npath = 1", "/store/path: must be string"),
    ],
)
def test_faults_of_toml(write: Write, text: str, fault: str) -> None:
    """What TOML has and JSON has not is refused, and what is wrong is told with its path."""
    with pytest.raises(DefinitionError) as caught:
        read_config(write("c.toml", text), {})
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, r"c\.yaml: cannot be read: No such file"), (b"\xff", r"c\.yaml: is not UTF-8")],
)
def test_files_that_cannot_be_read(
    write: Write, tmp_path: Path, content: bytes | None, fault: str
) -> None:
    """The error names the file."""
    path = tmp_path / "c.yaml" if content is None else write("c.yaml", content)
    with pytest.raises(DefinitionError, match=fault):
        read_config(path, {})


def test_the_example(write: Write, tmp_path: Path) -> None:
    """It can be used as it stands, with secrets where it names them."""
    example = Path(__file__).parents[3] / "examples" / "serving" / "serve.yaml"
    text = example.read_text("utf-8").replace(
        "/run/credentials/kana-destination.service", str(tmp_path)
    )
    write("kana-api-key", "prv_test_x\n")
    write("receiver-key", "a-receiver-key\n")
    config = read_config(write("serve.yaml", text), {})
    assert [each.name for each in config.destinations] == ["kana"]
    assert config.store.max_bytes == 20_000_000_000
