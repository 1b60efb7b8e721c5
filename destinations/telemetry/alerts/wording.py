"""Write messages about alerts: as JSON for programs, and as text for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from destinations.operations import shown_duration
from destinations.telemetry.alerts.book import Message, MessageKind

__all__ = ["message_json", "message_text", "payload_of", "slack_text"]

_SIGNS: Final[Mapping[MessageKind, str]] = {
    "opened": "Alert",
    "repeated": "Still",
    "closed": "Over",
    "test": "Test",
}

_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def payload_of(message: Message, server: str, mask: Callable[[str], str]) -> Mapping[str, Any]:
    """Return a message as JSON values, in the form that Standard Webhooks recommend.

    ``server`` is the host that sends it. No text in it holds a secret: ``mask`` sees to that.
    """
    data: dict[str, Any] = {
        "alert": message.alert,
        "rule": message.rule,
        "condition": message.condition,
        "destination": message.destination or None,
        "subscription": message.subscription,
        "tenant": message.tenant,
        "since": _time(message.since),
        "summary": mask(message_text(message)),
        "figures": {name: _masked(value, mask) for name, value in message.numbers.items()},
        "command": mask(message.command) or None,
        "server": server,
    }
    return {"type": f"alert.{message.kind}", "timestamp": _time(message.at), "data": data}


def message_json(payload: Mapping[str, Any]) -> bytes:
    """Return the bytes of a message as they are signed and sent."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def message_text(message: Message) -> str:
    """Return a message in one line."""
    of = "".join(
        f", {what} {name}"
        for what, name in (("subscription", message.subscription), ("tenant", message.tenant))
        if name
    )
    subject = f"{message.destination or 'store'}{of}: "
    if message.kind == "test":  # which is about nothing
        subject = ""
    limit = f" ({message.limit})" if message.limit and message.kind != "closed" else ""
    after = ""
    if message.kind in {"repeated", "closed"}:
        after = f", after {shown_duration(message.at - message.since)}"
    return f"{_SIGNS[message.kind]}{after}: {subject}{message.what}{limit}"


def slack_text(message: Message, mask: Callable[[str], str]) -> str:
    """Return a message as Slack shows it: the rule, what is, and the command that shows more."""
    lines = [f"*{_escaped(mask(message_text(message)))}*", f"rule {_escaped(message.rule)}"]
    if message.command and message.kind != "closed":
        lines.append(f"`{_escaped(mask(message.command))}`")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Return text of which Slack makes no link and no mention."""
    return text.translate(_ESCAPES).replace("`", "'")


def _masked(value: float | str, mask: Callable[[str], str]) -> float | str:
    return mask(value) if isinstance(value, str) else value


def _time(seconds: float) -> str:
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
