"""The rules of alerts, and the sinks that take messages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from destinations.secrets import Secret, reveal

__all__ = [
    "COUNTED",
    "KINDS",
    "NARROWED",
    "AlertConfig",
    "AlertRule",
    "CommandSink",
    "Condition",
    "Kind",
    "Sink",
    "SlackSink",
    "WebhookSink",
]

Kind = Literal[
    "dead",
    "rejected",
    "invalidRate",
    "held",
    "queueAge",
    "breaker",
    "credentials",
    "drift",
    "storeFull",
    "silence",
]

KINDS: Final[Sequence[Kind]] = get_args(Kind)

COUNTED: Final[frozenset[Kind]] = frozenset({"dead", "rejected", "invalidRate", "drift"})
"""Conditions on what happened within a time, ``in``."""

_TOKEN: Final = 12
"""Characters that a token in a URL has at least."""

NARROWED: Final[Mapping[str, frozenset[Kind]]] = {
    "destination": frozenset(KINDS) - {"storeFull"},
    "subscription": frozenset({"dead", "rejected", "invalidRate", "held"}),
    "tenant": frozenset({"dead", "rejected", "invalidRate", "held", "queueAge", "silence"}),
}
"""The conditions that can be of one destination, one subscription or one tenant only."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, which holds if a figure is more than ``over``.

    The figure is a count, a share (``invalidRate``, ``storeFull``) or an age in seconds
    (``queueAge``, ``breaker``, ``silence``). What is counted happened within the last ``within``
    seconds. A share needs ``least`` deliveries to be one.
    """

    kind: Kind
    over: float = 0.0
    within: float = 0.0
    least: int = 0


@dataclass(frozen=True, slots=True)
class WebhookSink:
    """A URL that gets each message in the form of Standard Webhooks, signed with ``secret``."""

    name: str
    url: Secret
    secret: Secret
    allow_private: bool = False
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class SlackSink:
    """An incoming webhook of Slack, or of what takes the same messages."""

    name: str
    url: Secret
    allow_private: bool = False
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class CommandSink:
    """A program that gets each message as JSON on its standard input; no shell is used.

    Of the environment it has ``PATH``, ``HOME``, ``LANG``, ``TZ`` and the variables of ``env``.
    """

    name: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    timeout: float = 10.0


Sink = WebhookSink | SlackSink | CommandSink


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule: a condition, and the ``sinks`` that are told, by name.

    An open alert is told of again every ``repeat`` seconds, and is over once the condition has not
    held for ``close_after`` seconds. Without a ``destination``, each one has alerts of its own.
    """

    name: str
    condition: Condition
    sinks: tuple[str, ...]
    repeat: float = 4 * 3600.0
    close_after: float = 300.0
    destination: str | None = None
    subscription: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """The rules of a server and their sinks by name.

    ``exposed`` are the files of secrets that every user of this machine can read, by their place.
    """

    rules: tuple[AlertRule, ...] = ()
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    exposed: Mapping[str, Path] = field(default_factory=dict)

    @property
    def secrets(self) -> Sequence[Secret]:
        """What must not be shown: the secrets of webhooks, and what may be one in a URL."""
        found: list[Secret] = []
        for sink in self.sinks.values():
            if isinstance(sink, WebhookSink):
                found.append(sink.secret)
            if not isinstance(sink, CommandSink):
                found += _tokens(reveal(sink.url))
        return found


def _tokens(url: str) -> list[Secret]:
    """Return what may be a token in a URL; its words are in many texts, and must not be masked."""
    parts = urlsplit(url)
    return [
        Secret(one)
        for one in re.split(r"[/?&=;]", f"{parts.path}?{parts.query}")
        if len(one) >= _TOKEN
    ]
