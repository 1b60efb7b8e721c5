"""The rules of alerts in a configuration: what they mean, and what is wrong with them."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.errors import DefinitionError, SecretMissingError
from destinations.secrets import Secret, reveal
from destinations.server import check_alerts, read_alert_config, read_config
from destinations.server.alert_config import DEFAULTS
from destinations.telemetry.alerts import (
    KINDS,
    AlertRule,
    CommandSink,
    Condition,
    SlackSink,
    WebhookSink,
)

Write = Callable[[str, Any], Path]

SMALL: Final = """store: {path: store.sqlite3}
destinations:
  - name: kana
    destination: kana
"""
SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SLACK: Final = "https://hooks.slack.com/services/T0/B0/secret-part-0"
ENVIRONMENT: Final = {
    "SLACK": SLACK,
    "SIGNING": SECRET,
    "WRONG": "not-a-secret-of-webhooks",
    "EMPTY": "",
}
TO: Final = "to: {slack: {url: {env: SLACK}}}"


def _alert(text: str) -> str:
    return f"{SMALL}alerts:\n  - {{{text}}}\n"


def test_all_of_it(write: Write) -> None:
    """Names, numbers and times mean what they say; secrets come from where they are named."""
    write("signing.txt", SECRET + "\n")
    text = f"""{SMALL}alerts:
  - name: dead-letters
    when: {{dead: {{over: 10, in: 1h}}}}
    to:
      - slack: {{url: '${{SLACK}}'}}
      - webhook: {{url: https://pages.example.com/in, secret: {{file: signing.txt}}}}
      - name: pager
        command: {{run: [/usr/bin/page, --now], env: [PAGER_KEY], timeoutSeconds: 3}}
    destination: kana
    subscription: Counts
    repeat: 1d
    closeAfter: 30s
  - {{when: {{invalidRate: {{over: 0.2, in: 5m, least: 7}}}}, to: {{slack: {{url: '${{SLACK}}'}}}}}}
  - {{when: {{held: {{}}}}, to: [later, pager]}}
  - {{when: {{drift: {{}}}}, to: {{name: later, command: [page]}}}}
  - when: {{silence: {{for: 2h}}}}
    to: [{{command: [page, x]}}]
    destination: kana
    tenant: acme
"""
    alerts = read_config(write("c.yaml", text), ENVIRONMENT).alerts
    assert alerts.rules == (
        AlertRule(
            *("dead-letters", Condition("dead", 10, 3600), ("slack", "webhook", "pager")),
            repeat=86_400,
            close_after=30,
            destination="kana",
            subscription="Counts",
        ),
        # The same sink has one name, wherever it stands.
        AlertRule("invalidRate", Condition("invalidRate", 0.2, 300, 7), ("slack",)),
        # One that is only named may stand at a later rule.
        AlertRule("held", Condition("held"), ("later", "pager")),
        AlertRule("drift", Condition("drift", 0, 3600), ("later",)),
        AlertRule(
            *("silence", Condition("silence", 7_200), ("command",)),
            destination="kana",
            tenant="acme",
        ),
    )
    assert alerts.sinks == {
        "slack": SlackSink("slack", Secret(SLACK)),
        "webhook": WebhookSink("webhook", Secret("https://pages.example.com/in"), Secret(SECRET)),
        "pager": CommandSink("pager", ("/usr/bin/page", "--now"), ("PAGER_KEY",), 3),
        "later": CommandSink("later", ("page",)),
        "command": CommandSink("command", ("page", "x")),
    }
    # Not the whole URL: words of it stand in many texts.
    assert {reveal(one) for one in alerts.secrets} == {"secret-part-0", SECRET}
    assert SECRET not in repr(alerts)
    assert "secret-part" not in repr(alerts)


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_those_of_the_schema(write: Write, kind: str) -> None:
    """The schema tells editors what the program does."""
    text = (files("destinations.definition") / "schemas" / "serve.schema.json").read_text("utf-8")
    schema = json.loads(text)
    spec = schema["$defs"]["alert"]["properties"]["when"]["properties"][kind]
    if "$ref" in spec:
        spec = {**schema["$defs"][spec["$ref"].rpartition("/")[2]], **spec}
    told = {key: one["default"] for key, one in spec.get("properties", {}).items()}
    assert told == DEFAULTS[kind]
    given = "refused" if kind == "credentials" else "{}"
    config = read_config(write("c.yaml", _alert(f"when: {{{kind}: {given}}}, {TO}")), ENVIRONMENT)
    (rule,) = config.alerts.rules
    assert (rule.name, rule.condition.kind) == (kind, kind)
    assert (rule.repeat, rule.close_after) == (14_400, 300)


def test_the_schema_has_every_condition() -> None:
    """No more and no less."""
    text = (files("destinations.definition") / "schemas" / "serve.schema.json").read_text("utf-8")
    spec = json.loads(text)["$defs"]["alert"]["properties"]["when"]["properties"]
    assert tuple(spec) == KINDS == tuple(DEFAULTS)


_SIGNED, _PRIVATE = "secret: {env: SIGNING}", "allowPrivate: true"
_SECRET_ISSUE = "must be {env: NAME}, {file: PATH} or ${NAME}, not the secret itself"


@pytest.mark.parametrize(
    ("alert", "issue"),
    [
        (
            f"when: {{ded: {{over: 1}}}}, {TO}",
            "6: /alerts/0/when/ded: is not a key here; known: dead",
        ),
        (f"when: {{ded: {{over: 1}}}}, {TO}", "did you mean dead?"),
        (f"when: {{queueage: {{}}}}, {TO}", "did you mean queueAge?"),
        (f"when: {{}}, {TO}", "/alerts/0/when: must be a condition such as {dead: "),
        (
            f"when: {{dead: {{}}, held: {{}}}}, {TO}",
            "silence, a condition such as {dead: {over: 10, in: 15m}}, not 2 (dead, held)",
        ),
        (f"when: {{dead: {{}}, held: {{}}}}, {TO}", "/alerts/0/when: must"),
        (
            f"when: {{dead: {{over: 1, within: 5m}}}}, {TO}",
            "/alerts/0/when/dead/within: is not a key",
        ),
        (
            f"when: {{dead: {{in: 15min}}}}, {TO}",
            "6: /alerts/0/when/dead/in: must be a duration, which is a whole number over 0",
        ),
        (f"when: {{dead: {{in: 0m}}}}, {TO}", "or 4h, not '0m'"),
        (f"when: {{dead: {{in: 15}}}}, {TO}", "/when/dead/in: must be a duration"),
        (f"when: {{dead: {{in: 8d}}}}, {TO}", "/when/dead/in: must be at most 7d"),
        (f"when: {{dead: {{over: -1}}}}, {TO}", "/alerts/0/when/dead/over: must be"),
        (f"when: {{dead: {{over: many}}}}, {TO}", "/alerts/0/when/dead/over: must be"),
        (f"when: {{invalidRate: {{over: 5}}}}, {TO}", "/when/invalidRate/over: must be"),
        (f"when: {{queueAge: {{over: 10}}}}, {TO}", "/queueAge/over: must be a duration"),
        (f"when: {{credentials: refuse}}, {TO}", "/when/credentials: must be"),
        (
            f"when: {{held: {{}}}}, repeat: often, {TO}",
            "/alerts/0/repeat: must be a duration",
        ),
        (
            f"when: {{held: {{}}}}, name: a b, {TO}",
            "/alerts/0/name: must be a name of at most 64 letters",
        ),
        (TO, "6: /alerts/0: lacks 'when'; expected a rule such as {name: many-dead, when: "),
        (
            "when: {held: {}}",
            "6: /alerts/0: lacks 'to'; expected a rule such as {name: many-dead, when: ",
        ),
        ("when: {held: {}}, to: []", "/alerts/0/to: must not be empty"),
        ("when: {held: {}}, to: 7", "/alerts/0/to: must be"),
        ("when: {held: {}}, to: page", "/alerts/0/to: no sink is called 'page'; there are: none"),
        (
            "when: {held: {}}, to: [{slack: {url: {env: SLACK}}}, slak]",
            "/alerts/0/to/1: no sink is called 'slak'; there are: slack; did you mean slack?",
        ),
        (
            "when: {held: {}}, to: {mail: x}",
            "/alerts/0/to/mail: is not a key here; known: name, web",
        ),
        (
            "when: {held: {}}, to: {name: x}",
            "/alerts/0/to: must have exactly one of webhook, slack",
        ),
        (
            "when: {held: {}}, to: {slack: {url: {env: SLACK}}, command: [x]}",
            "must have exactly one of",
        ),
        (
            f"when: {{held: {{}}}}, to: {{slack: {{url: '{SLACK}'}}}}",
            f"/slack/url: {_SECRET_ISSUE}",
        ),
        (
            f"when: {{held: {{}}}}, to: [{{webhook: {{url: 'https://x', secret: {SECRET}}}}}]",
            f"/alerts/0/to/0/webhook/secret: {_SECRET_ISSUE}",
        ),
        (
            "when: {held: {}}, to: {webhook: {url: 'https://x', secret: {env: WRONG}}}",
            "the environment variable WRONG must be whsec_ and 24 to 64 bytes as Base64",
        ),
        ("when: {held: {}}, to: {webhook: {url: 'https://x'}}", "/to/webhook: lacks 'secret'"),
        (
            "when: {held: {}}, to: {webhook: {url: 'http://x', secret: {env: SIGNING}}}",
            "/webhook/url: must be a URL: https://...; http needs allowPrivate: true",
        ),
        (
            f"when: {{held: {{}}}}, to: {{webhook: {{url: 'ftp://x', {_SIGNED}, {_PRIVATE}}}}}",
            "/webhook/url: must be a URL: https://... or http://...",
        ),
        (
            "when: {held: {}}, to: {webhook: {url: 'https://u:pw@x', secret: {env: SIGNING}}}",
            "/webhook/url: must not have a user or a password",
        ),
        (
            "when: {held: {}}, to: {slack: {url: {env: EMPTY}}}",
            "variable EMPTY is empty",
        ),
        ("when: {held: {}}, to: {command: []}", "/to/command: must not be empty"),
        ("when: {held: {}}, to: {command: ['']}", "/to/command: must name a program"),
        ("when: {held: {}}, to: {command: page}", "/to/command: must be"),
        (
            f"when: {{held: {{}}}}, destination: kan, {TO}",
            "/alerts/0/destination: no destination is called 'kan'; there are: kana; did you mean",
        ),
        (
            f"when: {{held: {{}}}}, subscription: X, {TO}",
            "/subscription: needs destination: say of",
        ),
        (
            f"when: {{breaker: {{}}}}, destination: kana, tenant: X, {TO}",
            "/alerts/0/tenant: has no effect on breaker: leave it out",
        ),
        (
            f"when: {{storeFull: {{}}}}, destination: kana, {TO}",
            "/alerts/0/destination: has no effect on storeFull: leave it out",
        ),
        (
            f"when: {{held: {{}}}}, {TO}}}\n  - {{when: {{held: {{over: 5}}}}, {TO}",
            "called by their condition: give this one a name, such as name: held-2",
        ),
        (
            f"when: {{held: {{}}}}, {TO}}}\n  - {{when: {{dead: {{}}}}, name: held, {TO}",
            "7: /alerts/1/name: the name 'held' occurs twice",
        ),
        (
            "when: {held: {}}, to: [{name: a, command: [x]}, {name: a, command: [z]}]",
            "/alerts/0/to/1/name: the name 'a' is another sink's: give each its own",
        ),
    ],
)
def test_issues(write: Write, alert: str, issue: str) -> None:
    """Each has its place, and what would be right; no secret is shown."""
    path = write("c.yaml", _alert(alert))
    with pytest.raises(DefinitionError) as caught:
        read_config(path, ENVIRONMENT)
    shown = str(caught.value)
    assert issue in shown
    for secret in ("secret-part", SECRET, "u:pw", "not-a-secret-of"):
        assert secret not in shown


def test_secrets_that_are_not_there_yet(write: Write) -> None:
    """It may be made later: that is told apart. Who does not serve needs none."""
    path = write("c.yaml", _alert("when: {held: {}}, to: {slack: {url: {env: LATER}}}"))
    for read in (read_config, read_alert_config):
        with pytest.raises(SecretMissingError, match="LATER is not set"):
            read(path, {})
    config = read_config(path, {}, secrets=False)
    assert [one.name for one in config.alerts.rules] == ["held"]
    assert config.alerts.sinks == {}


def test_only_the_secrets_of_alerts(write: Write) -> None:
    """A test of the sinks needs no other secret of the configuration."""
    text = _alert(f"when: {{held: {{}}}}, {TO}").replace(
        "    destination: kana\n", "    destination: kana\n    settings: {apiKey: {env: LATER}}\n"
    )
    path = write("c.yaml", text)
    with pytest.raises(SecretMissingError):
        read_config(path, ENVIRONMENT)
    assert list(read_alert_config(path, ENVIRONMENT).sinks) == ["slack"]


def test_files_that_everybody_can_read(write: Write) -> None:
    """A warning names them."""
    write("signing.txt", SECRET).chmod(0o644)
    text = _alert(
        "when: {held: {}}, to: {webhook: {url: 'https://x', secret: {file: signing.txt}}}"
    )
    config = read_config(write("c.yaml", text), ENVIRONMENT)
    (warning,) = config.warnings
    assert re.search(r"/alerts/0/to/webhook/secret: every user of this machine can read", warning)


def test_sinks_that_cannot_be_reached(write: Write) -> None:
    """A check warns of each, and of no other."""
    text = f"""{SMALL}alerts:
  - when: {{held: {{}}}}
    to:
      - command: [{sys.executable}]
      - {{name: gone, command: [no-such-program]}}
      - slack: {{url: {{env: NOWHERE}}}}
"""
    environment = {"NOWHERE": "https://nobody.invalid/secret-part"}
    warnings = check_alerts(read_config(write("c.yaml", text), environment))
    assert warnings[0] == (
        "alerts: the sink gone (command no-such-program) cannot be reached: there is no program "
        "no-such-program that can be run"
    )
    assert warnings[1].startswith("alerts: the sink slack (slack nobody.invalid) cannot be reached")
    assert len(warnings) == 2
    assert "secret-part" not in "".join(warnings)
