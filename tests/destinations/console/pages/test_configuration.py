"""The page of the configuration has every key that there is, and no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.console.pages.configuration_keys import (
    KeyShown,
    keys_of_destination,
    sections,
    serve_schema,
)
from destinations.server import ServeConfig, read_config
from destinations.store import make_sealing_key

SECRET: Final = "a-secret-that-nobody-may-see-0123456789"

_OWN_PLACES: Final = ("settings", "subscriptions", "filters")
"""Keys of a destination that the page shows as tables and JSON."""

WHOLE: Final = """
listen: {host: 127.0.0.1, port: 8787, maxBodyBytes: 2048, bodySeconds: 5, maxConnections: 9,
  trustedProxies: [10.0.0.0/8]}
admin: {listen: 127.0.0.1:9100}
console: {listen: 127.0.0.1:8788, users: {file: users.yaml}, behindProxy: true,
  hosts: [console.example.com], loginLink: link}
api:
  keys:
  - {env: READ_KEY, role: read, name: reporting}
  - {file: key, role: operate, name: deploy}
sealing: {key: {file: sealing}, formerKeys: [{env: SEALING}]}
store: {path: store.sqlite3, maxBytes: 2000000000, dedupeDays: 5,
  keepDays: {delivered: 3, filtered: 1, dropped: 1, unmapped: 9, invalid: 9, rejected: 9, dead: 9}}
refused: {maxEvents: 1, maxBytes: 1000, maxEventBytes: 100, keepDays: 2}
keepRecent: {events: 7, bytes: 70000, hours: 2}
keepAttempts: {failed: 2d, delivered: 2h, sample: 0.5, maxBytes: 1MB}
queue: {maxEvents: 77}
log: {level: debug, form: json}
drainSeconds: 9
sources: [{name: web, keys: [{env: SOURCE_KEY}], cors: ['https://shop.example'],
  contextTraits: true}]
alerts:
- {name: a, when: {dead: {over: 3, in: 20m}}, repeat: 2h, closeAfter: 7m, destination: one,
   subscription: Send every event,
   to: [{name: hook, webhook: {url: 'https://hooks.example/a-token-in-its-path-0123',
         secret: {env: HOOK}, allowPrivate: true, timeoutSeconds: 3}},
        {slack: {url: {env: SLACK}, allowPrivate: true, timeoutSeconds: 3}}]}
- {when: {rejected: {over: 3, in: 20m}}, destination: one, tenant: t,
   to: {command: {run: [page, --token, a-token-of-a-program], env: [HOME], timeoutSeconds: 3}}}
- {when: {invalidRate: {over: 0.1, in: 20m, least: 3}}, to: hook}
- {when: {held: {over: 3}}, to: hook}
- {when: {queueAge: {over: 3m}}, to: hook}
- {when: {breaker: {for: 3m}}, to: hook}
- {when: {credentials: refused}, to: hook}
- {when: {drift: {over: 3, in: 20m}}, to: hook}
- {when: {storeFull: {over: 0.5}}, to: hook}
- {when: {silence: {for: 3m}}, to: hook}
destinations:
- name: one
  destination: webhook
  account: main
  settings: {url: 'https://x.example'}
  from: [web]
  allowOverlap: true
  receiver: {keys: [{env: RECEIVER}], signatureSecrets: [{env: SIGNATURE}]}
  delivery: {deadlineSeconds: 60, waitForSeconds: 30, settleAfterSeconds: 20, soleWriter: false,
    lostAnswers: hold, concurrency: 3, allowPrivate: true}
- name: two
  destination: kana
  settings: {endpoint: 'http://127.0.0.1:9/graphql'}
  receiver: {tenants: {key: apiKey, refuseAfterSeconds: 60,
    settings: {fromHeader: [endpoint], allowUrls: [endpoint]}}}
  delivery: {reconcileAfterSeconds: 20}
"""


def _config(tmp_path: Path, text: str) -> ServeConfig:
    for name, value in (("key", SECRET), ("sealing", make_sealing_key())):
        file = tmp_path / name
        file.write_text(value)
        file.chmod(0o600)
    path = tmp_path / "serve.yaml"
    path.write_text(text)
    environment = dict.fromkeys(
        ("SOURCE_KEY", "HOOK", "SLACK", "RECEIVER", "SIGNATURE", "READ_KEY"), f"{SECRET}-"
    )
    return read_config(path, environment, to_show=True, for_console=True)


def _shown(config: ServeConfig) -> dict[str, KeyShown]:
    found = {one.key: one for part in sections(config) for one in part.keys}
    for each in config.destinations:
        found |= {f"{each.name}: {one.key}": one for one in keys_of_destination(each)}
    return found


def _leaves(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield every key of a schema that has a value of its own."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name == "secret":
            yield path
            return
        schema = {**serve_schema()["$defs"][name], **schema}
    members = schema.get("properties", {})
    items = schema.get("items", {})
    if {"properties", "$ref"} & items.keys():
        yield from _leaves(items, path)
    elif not members:
        yield path
    for key, member in members.items():
        yield from _leaves(member, f"{path}.{key}" if path else key)


def test_every_key_of_the_schema_is_shown(tmp_path: Path) -> None:
    """A new key cannot be forgotten: the page is made of the schema, and this goes over all."""
    text = "\n".join(_shown(_config(tmp_path, WHOLE)))
    shown = {re.sub(r" \d+", "", key.partition(": ")[2] or key) for key in text.splitlines()}
    schema = serve_schema()
    expected = {
        key
        for name, one in schema["properties"].items()
        if name not in {"$schema", "destinations"}
        for key in _leaves(one, name)
    }
    destination = schema["$defs"]["destination"]["properties"]
    expected |= {
        key
        for name, one in destination.items()
        if name not in _OWN_PLACES
        for key in _leaves(one, name)
    }
    # A store is one of two things, and a key comes from a file or a variable.
    expected -= {key for key in expected if key.startswith("store.postgres.")}
    assert len(expected) > 90
    assert expected - shown == set()


def test_every_key_has_a_value_without_being_given(tmp_path: Path) -> None:
    """What the file leaves out is shown as what holds then, and marked as that."""
    text = "store: {path: s}\ndestinations: [{name: one, destination: kana, settings: {}}]"
    shown = _shown(_config(tmp_path, text))
    for key, value in {
        "console": "not set",
        "api.keys": "not set",
        "alerts": "none",
        "keepRecent": "none are kept",
        "keepAttempts.failed": "30d",
        "keepAttempts.sample": "0.01",
        "store.keepDays.delivered": "30d",
        "store.keepDays.dead": "until it is replayed or dropped",
        "one: delivery.concurrency": "4",
        "one: delivery.settleAfterSeconds": "2m",
        "one: delivery.waitForSeconds": "as the definition says",
        "one: delivery.lostAnswers": "as the definition says",
    }.items():
        assert (shown[key].value, shown[key].is_given) == (value, False), key


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("", "7d; in effect 30d, as a messageId stays with its deliveries (keepDays)"),
        ("keepDays: 3", "7d"),
        ("keepDays: 3, dedupeDays: 40", "40d"),
        ("keepDays: {delivered: 90, filtered: 1}", "7d; in effect 7d to 90d, as"),
    ],
)
def test_how_long_duplicates_are_recognised(tmp_path: Path, store: str, expected: str) -> None:
    """That is never shorter than the deliveries stay, whatever dedupeDays says."""
    one = "destinations: [{name: a, destination: kana, settings: {}}]"
    text = f"store: {{path: s, {store}}}\n{one}"
    assert _shown(_config(tmp_path, text))["store.dedupeDays"].value.startswith(expected)


def test_secrets_are_told_by_where_they_come_from(tmp_path: Path) -> None:
    """The role and source of a key are there, and never what it is, nor what may be a token."""
    shown = _shown(_config(tmp_path, WHOLE))
    values = {key: one.value for key, one in shown.items()}
    assert values["api.keys 1.env"] == "READ_KEY"
    assert values["api.keys 1.role"] == "read"
    assert values["api.keys 2.file"] == "key"
    assert values["sealing.key"] == "from the file sealing"
    assert values["one: receiver.keys 1"] == "from the variable RECEIVER"
    assert values["alerts 1.to 1.webhook.url"] == "https://hooks.example/…"
    assert values["alerts 1.to 2.slack.url"] == "from the variable SLACK"
    assert values["alerts 2.to.command.run"] == "page, with 2 arguments"
    text = json.dumps(values)
    assert SECRET not in text
    assert "a-token" not in text
