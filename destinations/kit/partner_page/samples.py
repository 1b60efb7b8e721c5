"""Make a page's code samples: those of the definition, and others from its mappings."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import ActionDefinition, Preset
from destinations.errors import UsageError
from destinations.kit.partner_page.browser import Browser
from destinations.kit.partner_page.calls import Call, SampleError, read_calls
from destinations.kit.partner_page.example_values import example_value
from destinations.kit.partner_page.fields import first_sources
from destinations.kit.partner_page.matching import matching_event
from destinations.kit.partner_page.payloads import EXAMPLE_USER, Runtime, SampleResult
from destinations.outcome import Outcome
from destinations.segment.event import Event
from destinations.segment.fql import compile_fql

__all__ = ["Sample", "make_sample", "run_samples"]

_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*")


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample, and the results of its calls."""

    code: str
    results: tuple[SampleResult, ...]

    @property
    def fence(self) -> str:
        """Return the fence of the code block, longer than any within it."""
        return "`" * max(3, *(len(run) + 1 for run in re.findall("`+", self.code) or [""]))


def run_samples(samples: Mapping[str, str], runtime: Runtime) -> dict[str, Sample]:
    """Run samples by name, in order, as one visitor's calls.

    Raises `UsageError` for an unreadable sample, and for one that would not work for customers,
    since its event is invalid or no action takes it.
    """
    done = {}
    for name, code in samples.items():
        try:
            results = tuple(runtime.run(read_calls(code)))
        except SampleError as error:
            raise UsageError(f"the sample {name}: {error}") from None
        if not results:
            raise UsageError(f"the sample {name} has no call such as analytics.track(...)")
        for result in results:
            if result.outcome in {Outcome.INVALID, Outcome.FILTERED}:
                msg = (
                    f"the sample {name} does not work: {result.reason}; correct it in "
                    f"destination.yaml at /documentation/samples/{name}"
                )
                raise UsageError(msg)
        done[name] = Sample(code.strip(), results)
    return done


def make_sample(
    method: str, actions: Iterable[ActionDefinition], presets: Iterable[Preset] = ()
) -> str:
    """Return a call of ``method`` with a value for every path that the actions read by default.

    One of the ``presets`` takes it; without any, the actions' own subscriptions are used. Raises
    `UsageError` if no value was found for what the subscriptions ask.
    """
    actions = list(actions)
    event: dict[str, Any] = {}
    for action in actions:
        properties: Mapping[str, Mapping[str, Any]] = action.fields["properties"]
        for key, spec in properties.items():
            for source in filter(None, first_sources(spec.get("default"))):
                value = EXAMPLE_USER if source == "userId" else example_value(key, spec)
                # A copy: other paths may write into it, and the original is shared.
                _put(event, source.split("."), copy.deepcopy(value))
    root = "traits" if method in {"identify", "group"} else "properties"
    # An action that takes all events names none.
    values = event.get(root) or ({"plan": "pro"} if root in event else {})
    first = {
        "identify": EXAMPLE_USER,
        "track": "Order Completed",
        "page": "Pricing",
        "screen": "Pricing",
        "group": "company_0042",
        "alias": EXAMPLE_USER,
    }[method]
    arguments = [first] if method == "alias" else [first, values]
    sent = Browser(EXAMPLE_USER).send(Call(method, tuple(arguments), 1))
    taken = _taken(method, sent, _subscriptions(actions, presets))
    if method != "alias":
        first, values = taken.get(_FIRST[method], ""), taken[root]
        context = {
            key: value
            for key, value in taken["context"].items()
            if value != sent["context"].get(key)
        }
        arguments = [first] if not values and not context else [first, values]
        arguments += [{"context": context}] if context else []
    return f"analytics.{method}({', '.join(map(_script, arguments))});"


_FIRST: Final = {
    "identify": "userId",
    "track": "event",
    "page": "name",
    "screen": "name",
    "group": "groupId",
}
"""The key of an event that the first argument of its call is."""


def _subscriptions(
    actions: Sequence[ActionDefinition], presets: Iterable[Preset]
) -> list[tuple[str, str]]:
    """Return (what it is called in messages, FQL) of the subscriptions of these actions."""
    own = {action.slug for action in actions}
    found = [
        (f"the preset {preset.name!r}", preset.subscribe)
        for preset in presets
        if preset.partner_action in own
    ]
    return found or [
        (f"the defaultSubscription of {action.slug}", action.default_subscription)
        for action in actions
        if action.default_subscription is not None
    ]


def _taken(method: str, event: Event, subscriptions: Iterable[tuple[str, str]]) -> Event:
    """Return ``event``, changed so that one of these subscriptions takes it.

    Raises `UsageError` if they take events of the type, but none that was tried.
    """
    free = {_FIRST.get(method, ""), "properties", "traits", "context"}
    untaken = []
    for name, text in subscriptions:
        if method not in compile_fql(text).types:
            continue
        found = matching_event(text, event, free)
        if found is not None:
            return found
        untaken.append(f"{name} ({text})")
    if untaken:
        msg = (
            f"no {method} call was found that is taken by {', '.join(untaken)}: write one in "
            f"destination.yaml at /documentation/samples/{method}"
        )
        raise UsageError(msg)
    return event


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        target = inner
    target.setdefault(path[-1], value)


def _script(value: Any, depth: int = 0) -> str:
    """Return ``value`` as a JavaScript literal in the style of Segment's docs."""
    if isinstance(value, str):
        return "'" + json.dumps(value, ensure_ascii=False)[1:-1].replace("'", "\\'") + "'"
    if isinstance(value, dict) and value:
        inner = "  " * (depth + 1)
        lines = [
            f"{inner}{key if _NAME.fullmatch(key) else _script(key)}: {_script(item, depth + 1)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
    return json.dumps(value)
