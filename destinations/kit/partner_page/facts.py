"""Collect the facts for a page from the definition and the plugin's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.durations import shown_duration
from destinations.errors import UsageError
from destinations.kit.partner_page.browser import Browser
from destinations.kit.partner_page.calls import METHODS, SampleError, read_calls
from destinations.kit.partner_page.fields import FieldRow, field_rows, setting_rows
from destinations.kit.partner_page.flavour import in_one_line
from destinations.kit.partner_page.payloads import EXAMPLE_USER, Runtime
from destinations.kit.partner_page.samples import Sample, make_sample, run_samples
from destinations.runtime.destination import Code
from destinations.segment.event import Event
from destinations.segment.fql import compile_fql
from destinations.statuses import PHRASES

__all__ = ["ActionFacts", "MethodFacts", "page_facts", "sample_events"]


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """The facts of one action.

    ``shown_at`` is the title of an earlier method whose section has the same table of fields;
    empty if this is the first. ``window`` is a sentence on events that are not taken, empty if all
    are.
    """

    slug: str
    title: str
    description: str
    fields: tuple[FieldRow, ...]
    shown_at: str
    window: str = ""


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """A call of the Segment Spec with the actions that take it; ``identify`` is such a name."""

    name: str
    title: str
    path: str
    actions: tuple[ActionFacts, ...]


def page_facts(
    definition: DestinationDefinition, code: Code | None, data: Mapping[str, object]
) -> dict[str, Any]:
    """Return the variables of templates.

    ``data`` are the plugin's tables. Raises `UsageError` for a sample that does not work, and if no
    action says which calls of the Segment Spec it takes.
    """
    catalog = definition.catalog
    documentation: Mapping[str, Any] = catalog.get("documentation", {})
    methods = _methods(definition)
    runtime = Runtime(definition, code)
    return {
        "definition": definition,
        "name": " ".join(definition.name.split()),
        "id": catalog.get("id"),
        "website": catalog.get("website"),
        "maintainer": catalog.get("maintainer"),
        "modes": _modes(catalog.get("connectionModes", {})),
        "settings": definition.settings["properties"],
        "setting_rows": setting_rows(definition),
        "oauth2": definition.oauth2,
        "documentation": documentation,
        "beta": documentation.get("beta", False),
        "methods": methods,
        "refusal": _refusal(definition, runtime),
        "deletes": definition.deletion is not None,
        "samples": _samples(definition, methods, documentation, runtime),
        "data": data,
    }


def _methods(definition: DestinationDefinition) -> list[MethodFacts]:
    taken: dict[str, list[ActionDefinition]] = {}
    for action in definition.event_actions.values():
        for name in _calls(definition, action):
            taken.setdefault(name, []).append(action)
    if not taken:
        msg = (
            f"no action of {definition.name} says which calls it takes; give one a method, or a "
            'defaultSubscription such as type = "track"'
        )
        raise UsageError(msg)
    shown: dict[str, str] = {}
    return [
        MethodFacts(
            name=name,
            title=name.capitalize(),
            path=f"/docs/connections/spec/{name}/",
            actions=tuple(_action(action, name, shown) for action in taken[name]),
        )
        for name in METHODS
        if name in taken
    ]


def _action(action: ActionDefinition, method: str, shown: dict[str, str]) -> ActionFacts:
    """Return the facts of an action; ``shown`` has the method that shows each action first."""
    first = shown.setdefault(action.slug, method)
    return ActionFacts(
        action.slug,
        action.title,
        in_one_line(action.description),
        tuple(field_rows(action)),
        "" if first == method else first.capitalize(),
        _window(action),
    )


def _window(action: ActionDefinition) -> str:
    """Return a sentence on the events that come too late, or too early; empty if none do."""
    window = action.window
    if window is None:
        return ""
    limits = [
        f"more than {shown_duration(seconds)} {what}"
        for seconds, what in ((window.grace, "old"), (window.ahead, "in the future"))
        if seconds is not None
    ]
    outside = f"events that are {' or '.join(limits)}"
    if window.then == "reject":
        # Its title makes it another paragraph for each action.
        return f"**{action.title}** rejects {outside}."
    return f"**{action.title}** holds {outside}, until an operator decides about them."


def _calls(definition: DestinationDefinition, action: ActionDefinition) -> list[str]:
    """Return an action's calls: its method, else those to which its subscriptions restrict it."""
    if action.method is not None:
        return [action.method]
    presets = [one.subscribe for one in definition.presets if one.partner_action == action.slug]
    found = [compile_fql(text) for text in (action.default_subscription or "", *presets)]
    telling = [one.types for one in found if one.asks_type_only or len(one.types) < len(METHODS)]
    return [name for name in METHODS if any(name in types for types in telling)]


def _modes(modes: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the platforms of each connection mode, without those that have none."""
    found: dict[str, list[str]] = {}
    for platform, mode in modes.items():
        if mode != "none":
            found.setdefault(mode, []).append(platform)
    return found


def _refusal(definition: DestinationDefinition, runtime: Runtime) -> str:
    """Return the HTTP status for an event that lacks the fields required by the partner."""
    if "userId" not in definition.required_event_fields:
        return ""
    event = {"type": "track", "event": "Any", "anonymousId": "a", "messageId": "m"}
    (result,) = runtime.follow(event)
    status = result.status or 400
    return f"{status} {PHRASES[status]}"


def _samples(
    definition: DestinationDefinition,
    methods: list[MethodFacts],
    documentation: Mapping[str, Any],
    runtime: Runtime,
) -> dict[str, Sample]:
    """Return the definition's samples by name, and one for each method without any."""
    return run_samples(_codes(definition, methods, documentation), runtime)


def sample_events(definition: DestinationDefinition) -> Iterator[tuple[str, Event]]:
    """Yield the events of a definition's samples, each with the name of its sample.

    They are those of its page: the definition's own, and one for each call of the Segment Spec that
    has none. Raises `UsageError` for a sample that cannot be read, and if no action says which
    calls it takes.
    """
    documentation: Mapping[str, Any] = definition.catalog.get("documentation", {})
    browser = Browser(EXAMPLE_USER)
    for name, code in _codes(definition, _methods(definition), documentation).items():
        try:
            for call in read_calls(code):
                yield name, browser.send(call)
        except SampleError as error:
            raise UsageError(f"the sample {name}: {error}") from None


def _codes(
    definition: DestinationDefinition,
    methods: list[MethodFacts],
    documentation: Mapping[str, Any],
) -> dict[str, str]:
    """Return the code of each sample by its name."""
    given: dict[str, str] = dict(documentation.get("samples", {}))
    for method in methods:
        if method.name not in given:
            actions = [definition.actions[action.slug] for action in method.actions]
            given[method.name] = make_sample(method.name, actions, definition.presets)
    return given
