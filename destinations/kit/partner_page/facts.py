"""Collect the facts for a page from the definition and the plugin's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.definition.model import SUCCESS
from destinations.durations import duration_in_words
from destinations.errors import UsageError
from destinations.kit.exporter.settings import kept_by_segment
from destinations.kit.partner_page.browser import Browser
from destinations.kit.partner_page.calls import METHODS, SampleError, read_calls
from destinations.kit.partner_page.fields import FieldRow, field_rows, setting_rows
from destinations.kit.partner_page.flavour import code_span, in_one_line, joined
from destinations.kit.partner_page.payloads import EXAMPLE_USER, Runtime
from destinations.kit.partner_page.samples import Sample, make_sample, run_samples
from destinations.runtime.destination import Code
from destinations.runtime.endings import Loss
from destinations.segment.event import Event
from destinations.segment.fql import compile_fql
from destinations.statuses import PHRASES

__all__ = ["ActionFacts", "MethodFacts", "page_facts", "sample_events"]


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """The facts of one action.

    ``shown_at`` is the title of an earlier method whose section has the same table of fields;
    empty if this is the first. ``window`` is a sentence on events that are not taken, empty if all
    are; ``usage`` one that usage can be compared, empty if not. ``key`` says for how long a retry
    cannot count twice, empty if nothing is recognized by a key. ``steps`` are the requests that it
    makes one after another, if it has steps, and ``lost`` says what follows from a lost answer to
    one of them.
    """

    slug: str
    title: str
    description: str
    fields: tuple[FieldRow, ...]
    shown_at: str
    window: str = ""
    key: str = ""
    steps: tuple[str, ...] = ()
    lost: str = ""
    usage: str = ""


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
    kept = kept_by_segment(definition)
    authorizes = bool(kept) and catalog.get("publishing", {}).get("as") != "direct"
    runtime = Runtime(definition, code)
    return {
        "definition": definition,
        "name": " ".join(definition.name.split()),
        "id": catalog.get("id"),
        "website": catalog.get("website"),
        "maintainer": catalog.get("maintainer"),
        "modes": _modes(catalog.get("connectionModes", {})),
        "settings": definition.settings["properties"],
        "setting_rows": [
            row for row in setting_rows(definition) if not authorizes or row.key not in kept
        ],
        "oauth2": definition.oauth2,
        "authorizes": authorizes,
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
            actions=tuple(_action(definition, one, name, shown) for one in taken[name]),
        )
        for name in METHODS
        if name in taken
    ]


def _action(
    definition: DestinationDefinition, action: ActionDefinition, method: str, shown: dict[str, str]
) -> ActionFacts:
    """Return the facts of an action; ``shown`` has the method that shows each action first."""
    first = shown.setdefault(action.slug, method)
    return ActionFacts(
        action.slug,
        action.title,
        in_one_line(action.description),
        tuple(field_rows(action)),
        "" if first == method else first.capitalize(),
        _window(definition, action),
        _key(definition, action),
        tuple(_steps(definition, action)),
        _lost(definition, action),
        _usage(action, " ".join(definition.name.split())),
    )


def _key(definition: DestinationDefinition, action: ActionDefinition) -> str:
    """Return for how long the partner recognizes a retry by its key; empty if it never does."""
    name = " ".join(definition.name.split())
    requests = [definition.requests[one] for one in action.perform.names]
    loss = Loss.of(requests, repeatable=action.perform.repeatable)
    if loss.keys_last is None or loss.repeatable:
        return ""
    keys = [one.idempotency_key for one in requests if one.idempotency_key is not None]
    named = [("header", key.header) if key.header else ("field", key.field or "") for key in keys]
    places = dict.fromkeys(f"the {kind} {code_span(text)}" for kind, text in named)
    lasts = duration_in_words(loss.keys_last)
    decides = f"this destination asks {name} about it" if loss.asks else "an operator decides"
    return (
        f"**{action.title}** sends each event with a key, in {joined(list(places))}. By that, "
        f"{name} recognizes the event for {lasts}, so a retry within {lasts} can't count twice. If "
        f"it is still unknown after that whether {name} has the event, {decides}."
    )


def _steps(definition: DestinationDefinition, action: ActionDefinition) -> Iterator[str]:
    """Yield the requests of an action's steps, each with when it is made."""
    numbers = {step.name: at for at, step in enumerate(action.perform.steps, start=1)}
    for step in action.perform.steps:
        described = in_one_line(definition.requests[step.request].description)
        conditions, depends = [], []
        for earlier, wanted in step.when.items():
            before = f"step {numbers[earlier]}"
            if not isinstance(wanted, str):
                depends.append(before)
            elif wanted == SUCCESS:
                conditions.append(f"if {before} succeeds")
            else:
                conditions.append(f"if the answer to {before} is {code_span(wanted)}")
        only = f" Only {joined(conditions)}." if conditions else ""
        depends_on = f" Depends on the answer to {joined(depends)}." if depends else ""
        yield described + only + depends_on


def _lost(definition: DestinationDefinition, action: ActionDefinition) -> str:
    """Return what follows if the answer to a step is lost; empty for an action without steps."""
    perform = action.perform
    if not perform.steps:
        return ""
    begin = f"If an answer doesn't arrive, **{action.title}** begins again with step 1"
    if perform.repeatable:
        wait = duration_in_words(perform.repeat_after)
        return f"{begin}, after {wait} or more, which can't count twice."
    requests = [definition.requests[one] for one in perform.names]
    once = [one for one in requests if not one.idempotent and one.idempotency_key is None]
    if not once:
        return f"{begin}."
    return (
        f"If the answer to a step of **{action.title}** doesn't arrive, and another attempt could "
        "count twice, an operator decides about the event."
    )


def _window(definition: DestinationDefinition, action: ActionDefinition) -> str:
    """Return a sentence on the events that come too late, or too early; empty if none do."""
    window = action.window
    if window is None:
        return ""
    limits = [
        f"more than {duration_in_words(seconds)} {what}"
        for seconds, what in ((window.grace, "old"), (window.ahead, "in the future"))
        if seconds is not None
    ]
    if window.grace_setting is not None and window.grace is not None:
        title = definition.settings["properties"][window.grace_setting]["title"]
        default = duration_in_words(window.grace)
        limits[0] = f"older than the setting **{in_one_line(title)}** says ({default} by default)"
    outside = f"events that are {' or '.join(limits)} when it sends them"
    if window.then == "reject":
        # Its title makes it another paragraph for each action.
        return f"**{action.title}** rejects {outside}."
    return f"**{action.title}** holds {outside}, until an operator decides about them."


def _usage(action: ActionDefinition, partner: str) -> str:
    """Return a sentence on usage that can be compared; empty if it cannot be."""
    if action.usage is None:
        return ""
    what = f"what **{action.title}** sent with what {partner} counted, for each user and feature"
    return f"The command `destinations usage reconcile` compares {what}."


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
