"""Read the rules of alerts and their sinks from the configuration of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from destinations.definition.document import Document
from destinations.definition.secret_sources import SourceError, Sources, names_a_secret
from destinations.errors import did_you_mean
from destinations.http.environment import check_address
from destinations.operations import parse_duration
from destinations.secrets import Secret, has_userinfo, reveal
from destinations.segment.json_pointer import pointer
from destinations.telemetry.alerts import (
    NARROWED,
    AlertConfig,
    AlertRule,
    CommandSink,
    Condition,
    Kind,
    Sink,
    SlackSink,
    WebhookSink,
    webhook_secret_fault,
)

__all__ = ["DEFAULTS", "read_alerts"]

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "dead": {"over": 0, "in": "15m"},
    "rejected": {"over": 0, "in": "15m"},
    "invalidRate": {"over": 0.05, "in": "15m", "least": 20},
    "held": {"over": 0},
    "queueAge": {"over": "10m"},
    "breaker": {"for": "5m"},
    "credentials": {},
    "drift": {"over": 0, "in": "1h"},
    "storeFull": {"over": 0.9},
    "silence": {"for": "1h"},
}
"""What the conditions are without the keys that the configuration leaves out."""

_REPEAT: Final = "4h"
_CLOSE_AFTER: Final = "5m"
_TIMEOUT: Final = 10.0
_LONGEST_WINDOW: Final = 7 * 86_400.0
_SINKS: Final = ("webhook", "slack", "command")

Tell = Callable[[str, str], None]
"""Takes the place of an issue, and what it is."""


def read_alerts(
    document: Document,
    sources: Sources,
    tell: Tell,
    tell_source: Callable[[str, SourceError], None],
    *,
    secrets: bool = True,
) -> AlertConfig:
    """Return the alerts of a configuration that fits its schema; tells issues by their places.

    Without ``secrets`` nothing is looked up that is only named there, and there are no sinks.
    """
    reader = _Reader(document, sources, tell, tell_source, secrets=secrets)
    rules = [
        reader.rule(spec, pointer("alerts", index))
        for index, spec in enumerate(document.data.get("alerts", ()))
    ]
    reader.check_names(rules)
    reader.check_references()
    return AlertConfig(tuple(rules), reader.sinks, reader.exposed)


class _Reader:
    def __init__(
        self,
        document: Document,
        sources: Sources,
        tell: Tell,
        tell_source: Callable[[str, SourceError], None],
        *,
        secrets: bool,
    ) -> None:
        self.sinks: dict[str, Sink] = {}
        self.exposed: dict[str, Path] = {}
        self._data = document.data
        self._sources = sources
        self._tell = tell
        self._tell_source = tell_source
        self._looks_up = secrets
        # By the name of a sink, what it is; sinks without a name are told apart by that.
        self._specs: dict[str, str] = {}
        # The places where a sink is only named.
        self._named: list[tuple[str, str]] = []

    def rule(self, spec: Mapping[str, Any], place: str) -> AlertRule:
        (kind, given), *_ = spec["when"].items()
        given = given if isinstance(given, Mapping) else {}
        to = spec["to"]
        if isinstance(to, list):
            sinks = [(each, place + pointer("to", index)) for index, each in enumerate(to)]
        else:
            sinks = [(to, place + "/to")]
        names = [self._sink(each, at) for each, at in sinks]
        self._check_narrowing(spec, kind, place)
        return AlertRule(
            spec.get("name", kind),
            self._condition(kind, given, place + pointer("when", kind)),
            tuple(dict.fromkeys(name for name in names if name)),
            parse_duration(spec.get("repeat", _REPEAT)),
            parse_duration(spec.get("closeAfter", _CLOSE_AFTER)),
            *(spec.get("destination"), spec.get("subscription"), spec.get("tenant")),
        )

    def _condition(self, kind: Kind, given: Mapping[str, Any], place: str) -> Condition:
        values = {**DEFAULTS[kind], **given}
        over = values.get("for", values.get("over", 0))
        within = parse_duration(values["in"]) if "in" in values else 0.0
        if within > _LONGEST_WINDOW:
            self._tell(place + "/in", "must be at most 7d")
        over = parse_duration(over) if isinstance(over, str) else float(over)
        return Condition(kind, over, within, values.get("least", 0))

    def _check_narrowing(self, spec: Mapping[str, Any], kind: Kind, place: str) -> None:
        names = [one["name"] for one in self._data["destinations"]]
        name = spec.get("destination")
        if name is not None and name not in names:
            known = f"no destination is called {name!r}; there are: {', '.join(names)}"
            self._tell(place + "/destination", known + did_you_mean(name, names))
        for key, kinds in NARROWED.items():
            if key in spec and kind not in kinds:
                self._tell(place + pointer(key), f"has no effect on {kind}: leave it out")
            elif key in spec and key != "destination" and name is None:
                self._tell(place + pointer(key), "needs destination: say of which one it is")

    # -- sinks ---------------------------------------------------------------------------------

    def _sink(self, spec: Mapping[str, Any] | str, place: str) -> str:
        """Return the name of a sink, which is made if no other rule has the same one."""
        if isinstance(spec, str):
            self._named.append((spec, place))
            return spec
        kinds = [kind for kind in _SINKS if kind in spec]
        if len(kinds) != 1:
            self._tell(place, "must have exactly one of webhook, slack and command")
            return ""
        (kind,) = kinds
        what = json.dumps({kind: spec[kind]}, sort_keys=True)
        name = spec.get("name") or self._free_name(kind, what)
        if self._specs.setdefault(name, what) != what:
            self._tell(place + "/name", f"the name {name!r} is another sink's: give each its own")
        elif self._looks_up and name not in self.sinks:
            made = self._made(kind, name, spec[kind], place + pointer(kind))
            if made is not None:
                self.sinks[name] = made
        return name

    def _free_name(self, kind: str, what: str) -> str:
        """Return the kind, with a number if there are other sinks of it."""
        number = 1
        while True:
            name = kind if number == 1 else f"{kind}-{number}"
            if self._specs.get(name, what) == what:
                return name
            number += 1

    def _made(self, kind: str, name: str, spec: Any, place: str) -> Sink | None:
        if kind == "command":
            spec = {"run": spec} if isinstance(spec, list) else spec
            argv = tuple(spec["run"])
            if not argv[0].strip() or any("\0" in one for one in argv):
                self._tell(place, "must name a program, without the character U+0000")
            seconds = float(spec.get("timeoutSeconds", _TIMEOUT))
            return CommandSink(name, argv, tuple(spec.get("env", ())), seconds)
        allow_private = spec.get("allowPrivate", False)
        seconds = float(spec.get("timeoutSeconds", _TIMEOUT))
        url = self._url(spec["url"], place + "/url", allow_private=allow_private)
        if kind == "slack":
            return None if url is None else SlackSink(name, url, allow_private, seconds)
        secret = self._secret(spec["secret"], place + "/secret")
        if url is None or secret is None:
            return None
        return WebhookSink(name, url, secret, allow_private, seconds)

    def _secret(self, given: Any, place: str) -> Secret | None:
        try:
            found = self._sources.secret(given, webhook_secret_fault)
        except SourceError as error:
            self._tell_source(place, error)
            return None
        self._look_at_file(given, place)
        return found

    def _url(self, given: Any, place: str, *, allow_private: bool) -> Secret | None:
        try:
            url = reveal(str(self._sources.value(given)))
        except SourceError as error:
            self._tell_source(place, error)
            return None
        self._look_at_file(given, place)
        issue = _url_issue(url, allow_private=allow_private)
        if issue is not None:
            self._tell(place, issue)
            return None
        return Secret(url)

    def _look_at_file(self, given: Any, place: str) -> None:
        exposed = self._sources.exposed(given) if names_a_secret(given) else None
        if exposed is not None:
            self.exposed[place] = exposed

    def check_names(self, rules: Sequence[AlertRule]) -> None:
        """Find rules of one name, which is what commands call them."""
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            place = pointer("alerts", index)
            spec = self._data["alerts"][index]
            if rule.name in seen and "name" in spec:
                self._tell(place + "/name", f"the name {rule.name!r} occurs twice")
            elif rule.name in seen:
                free = _free(rule.name, [one.name for one in rules])
                self._tell(
                    place,
                    f"another rule is called {rule.name!r}, as rules without a name are called by "
                    f"their condition: give this one a name, such as name: {free}",
                )
            seen.add(rule.name)

    def check_references(self) -> None:
        """Find sinks that are only named, and stand nowhere."""
        for name, place in self._named:
            if name not in self._specs:
                known = ", ".join(self._specs) or "none"
                near = did_you_mean(name, self._specs)
                self._tell(place, f"no sink is called {name!r}; there are: {known}{near}")


def _free(name: str, taken: Collection[str]) -> str:
    """Return a name with a number that no rule has yet."""
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _url_issue(url: str, *, allow_private: bool) -> str | None:
    """Return what is wrong with the URL of a sink, without showing it; None if nothing is."""
    schemes: Collection[str] = {"https", "http"} if allow_private else {"https"}
    try:
        parts = urlsplit(url)
        if parts.scheme not in schemes or not parts.hostname or check_address(url) is not None:
            right = "https://..." if not allow_private else "https://... or http://..."
            return f"must be a URL: {right}" + (
                "; http needs allowPrivate: true" if parts.scheme == "http" else ""
            )
    except ValueError:
        return "must be a URL: https://..."
    return "must not have a user or a password" if has_userinfo(url) else None
