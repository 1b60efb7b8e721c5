"""Values of events in what a partner reads as markup: text, whatever it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.case_tables import each_value

SLACK = Path(__file__).parents[3] / "definitions" / "slack"


def _event(number: int, user: str, name: str, **properties: Any) -> dict[str, Any]:
    event = {"type": "track", "messageId": f"s{number}", "userId": user, "event": name}
    return {**event, "properties": properties}


TEXTS = [
    (
        _event(1, "u1", "<!channel> free coins at <https://evil.example|our site>"),
        "u1: &lt;!channel&gt; free coins at &lt;https://evil.example|our site&gt;",
    ),
    (_event(2, "<!everyone>", "a & b < c"), "&lt;!everyone&gt;: a &amp; b &lt; c"),
    (_event(3, "u1", "Order 9007199254740993", id=9007199254740993), "u1: Order 9007199254740993"),
    (_event(4, "u1", "&lt;!here&gt;"), "u1: &amp;lt;!here&amp;gt;"),
    (_event(5, "u1", "&amp;"), "u1: &amp;amp;"),
    (_event(6, "<@U0123>", "<#C0123>"), "&lt;@U0123&gt;: &lt;#C0123&gt;"),
    (_event(7, "u1", "plain"), "u1: plain"),
    (_event(8, "u1", "*bold* _it_ `code`"), "u1: *bold* _it_ `code`"),
]


@pytest.mark.parametrize(("event", "text"), TEXTS, ids=lambda one: str(one)[-40:])
def test_a_message_of_slack(deliver: Any, way: Any, partner: Any, event: Any, text: str) -> None:
    """What an event says is shown as it is: it mentions nobody, and links nothing."""
    partner.answer = lambda _: (200, b"ok")
    url = f"{partner.url}/services/T0/B0/secret"
    done = deliver(way, "slack", [event], endpoint=None, apiKey=None, webhookUrl=url)
    assert set(done.outcomes.values()) == {"delivered"}
    assert [one.json for one in partner.received] == [{"text": text}]


def _folder(deliver: Any, mapping: Any) -> Path:
    """Slack, with a mapping that somebody wrote."""
    destination = yaml.safe_load((SLACK / "destination.yaml").read_text(encoding="utf-8"))
    action = yaml.safe_load((SLACK / "postMessage.yaml").read_text(encoding="utf-8"))
    del destination["$schema"], action["$schema"]
    destination["presets"][0]["mapping"] = mapping
    folder: Path = deliver.write_definition(destination=destination, postMessage=action)
    return folder


EVIL = "<!channel> & co"
SAFE = "&lt;!channel&gt; &amp; co"
MAPPINGS: list[tuple[Any, Any]] = [
    # The author's own markup is markup.
    (
        {"text": {"@template": "<!here> *{{event}}* <https://a.example/?a=1&b=2|more>"}},
        {"text": f"<!here> *{SAFE}* <https://a.example/?a=1&b=2|more>"},
    ),
    ({"text": "<!here> & co"}, {"text": "<!here> & co"}),
    ({"text": {"@literal": "<!here>"}}, {"text": "<!here>"}),
    ({"text": {"@path": "$.event"}}, {"text": SAFE}),
    ({"text": {"@template": "{{{event}}}"}}, {"text": SAFE}),
    (
        {"text": {"@case": {"operator": "upper", "value": {"@path": "$.event"}}}},
        {"text": SAFE.replace("channel", "CHANNEL").replace("co", "CO")},
    ),
    (
        {"text": {"@if": {"exists": {"@path": "$.event"}, "then": {"@path": "$.event"}}}},
        {"text": SAFE},
    ),
    (
        {"text": {"@json": {"mode": "encode", "value": {"@path": "$.properties"}}}},
        {"text": '{"&lt;!here&gt;":["&amp;",{"deep":"&lt;"}]}'},
    ),
    (
        {
            "text": {
                "@replace": {"pattern": "co", "replacement": "<b>", "value": {"@path": "$.event"}}
            }
        },
        {"text": "&lt;!channel&gt; &amp; <b>"},
    ),
    (
        {"text": {"@liquid": "<!here> {{ event | upcase | truncate: 6 }}"}},
        {"text": "<!here> &lt;!C..."},
    ),
    (
        {
            "@transform": {
                "apply": {"it": {"@path": "$.event"}},
                "mapping": {"text": {"@template": "<{{it}}>"}},
            }
        },
        {"text": f"<{SAFE}>"},
    ),
    (
        {
            "text": {"@path": "$.event"},
            "blocks": [
                {
                    "type": "section",
                    "text": {"type": "mrkdwn", "text": {"@template": "<!here> {{event}}"}},
                }
            ],
        },
        {
            "text": SAFE,
            "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": f"<!here> {SAFE}"}}],
        },
    ),
]


@each_value
@pytest.mark.parametrize(("mapping", "sent"), MAPPINGS, ids=lambda one: str(one)[:60])
def test_a_mapping_of_ones_own(
    deliver: Any, way: Any, partner: Any, command: Any, mapping: Any, sent: Any
) -> None:
    """Whatever it makes of an event is text; what it says itself is markup."""
    partner.answer = lambda _: (200, b"ok")
    folder = _folder(deliver, mapping)
    event = _event(1, "u1", EVIL, **{"<!here>": ["&", {"deep": "<"}]})
    done = deliver(way, folder, [event], endpoint=None, apiKey=None, webhookUrl=partner.url)
    assert set(done.outcomes.values()) == {"delivered"}, done.reasons
    assert [one.json for one in partner.received] == [sent]
    settings = deliver.write("settings.json", {"webhookUrl": partner.url})
    shown = command(
        "explain", folder, deliver.write("event.json", event), "--settings", settings, "--json"
    )
    (followed,) = [one for one in shown.json["subscriptions"] if one["matches"]]
    assert followed["payload"] == sent
    assert followed["mapped"]["text"] == sent["text"]


def test_only_fields_that_say_so(deliver: Any, way: Any, partner: Any) -> None:
    """A field without ``x-escape`` beside one that has it gets the value as it is."""
    partner.answer = lambda _: (200, b"ok")
    folder = _folder(deliver, {"text": {"@path": "$.event"}, "raw": {"@path": "$.event"}})
    action = yaml.safe_load((folder / "postMessage.yaml").read_text(encoding="utf-8"))
    action["fields"]["properties"]["raw"] = {
        "title": "Raw",
        "description": "As it is.",
        "type": "string",
        "x-escape": {"!": "(bang)"},
    }
    destination = yaml.safe_load((folder / "destination.yaml").read_text(encoding="utf-8"))
    destination["requests"]["postMessage"]["rest"]["json"]["raw"] = {"@path": "$.payload.raw"}
    folder = deliver.write_definition(destination=destination, postMessage=action)
    event = _event(1, "u1", EVIL)
    deliver(way, folder, [event], endpoint=None, apiKey=None, webhookUrl=partner.url)
    sent = {"text": SAFE, "raw": EVIL.replace("!", "(bang)")}
    assert [one.json for one in partner.received] == [sent]


@pytest.mark.parametrize(
    ("escapes", "message"),
    [
        ({}, "empty"),
        ({"ab": "c"}, "at most 1 character, not 2"),
        ({"": "c"}, "empty"),
        ({"a": 1}, "must be text, not a number"),
    ],
)
def test_what_cannot_be_declared(
    deliver: Any, command: Any, escapes: dict[str, Any], message: str
) -> None:
    """Single characters, and text for them."""
    folder = _folder(deliver, {"text": {"@path": "$.event"}})
    action = yaml.safe_load((folder / "postMessage.yaml").read_text(encoding="utf-8"))
    action["fields"]["properties"]["text"]["x-escape"] = escapes
    (folder / "postMessage.yaml").write_text(yaml.safe_dump(action), encoding="utf-8")
    done = command("validate", folder)
    assert done.code == 2
    assert "/fields/properties/text/x-escape" in done.out
    assert message in done.out
