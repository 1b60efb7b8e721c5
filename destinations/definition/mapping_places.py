"""List every mapping of a definition, each with the shape of the data that it reads.

A field's mapping sees only the event. A request's sees ``event``, ``payload`` and ``settings``;
what a batch shares sees only the settings; mappings on answers see what the partner sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from destinations.definition.answer_shapes import answer_shape
from destinations.definition.build import DELETION_FIELDS
from destinations.definition.form_keywords import choice_fields
from destinations.definition.reads import Shape
from destinations.segment.javascript.values import article
from destinations.segment.json_pointer import pointer

__all__ = [
    "ANSWER",
    "EVENT",
    "destination_mappings",
    "found_shape",
    "payload_shape",
    "reconcile_key",
    "shown_shape",
    "touches_shape",
    "usage_shape",
    "where_shape",
    "window_shape",
    "with_payload",
]

_EVENT_KEYS: Final = (
    "type", "event", "name", "category", "userId", "anonymousId", "groupId", "previousId",
    "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "properties", "traits",
    "context", "integrations", "version", "channel", "writeKey", "projectId", "metadata",
)  # fmt: skip
"""The common fields of Segment's Spec, and those of its calls."""

_ELSEWHERE: Final = {
    name: f"must not read {name}: a field's mapping reads only the event, such as $.properties.plan"
    for name in ("payload", "settings", "answer", "answers")
}
_NAME: Final = Shape(
    "key of event",
    {},
    {
        key: f"event is the name of a Track call here: write $.{key}, without event"
        for key in _EVENT_KEYS
    },
    is_open=True,
)
EVENT: Final = Shape(
    "key of events", {**dict.fromkeys(_EVENT_KEYS), "event": _NAME}, _ELSEWHERE, is_open=True
)
"""What a field's mapping reads; events may have keys of their own."""

_EVENT_OF_REQUEST: Final = Shape("key of events", dict.fromkeys(_EVENT_KEYS), is_open=True)
_WITHIN_EVENT: Final = {
    key: f"unknown root {key!r}: write $.event.{key}, as a request's mapping reads event, "
    "payload and settings"
    for key in _EVENT_KEYS
    if key != "event"
}
_PAYLOAD_FIRST: Final = (
    "$.payload.{0} for the field of the action, or $.event.{0} for what the event has"
)
_NO_STEP: Final = (
    "must not read answers: these are of the steps before a request, and no step makes this one"
)
_NO_QUESTION: Final = "must not read usage: no question about usage makes this request"
ANSWER: Final = Shape("root", {"answer": None})
"""What a mapping on an answer reads."""

Placed = tuple[str, object, Shape | None]
"""The JSON pointer of a mapping, the mapping, and what it can read."""


def payload_shape(fields: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a payload of these fields (JSON Schema); None if other keys may come."""
    return _of_schema(fields, "field")


def touches_shape(fields: Mapping[str, Any]) -> Shape:
    """Return the shape that names of touched accounts can read."""
    return Shape("root", {"payload": payload_shape(fields)})


def window_shape(fields: Mapping[str, Any]) -> Shape:
    """Return the shape that the time of an event can be read from."""
    return _of_event(payload_shape(fields))


def usage_shape(
    fields: Mapping[str, Any], destination: Mapping[str, Any], *, with_event: bool = False
) -> Shape:
    """Return the shape of what an event counts for: its payload and the settings.

    Only the time of it may be read from the event.
    """
    roots = {"payload": payload_shape(fields), "settings": _settings_shape(destination)}
    if with_event:
        return Shape("root", {"event": _EVENT_OF_REQUEST, **roots}, _WITHIN_EVENT)
    message = "must not read event: write a field of the action, such as $.payload.amount"
    elsewhere = {key: f"unknown root {key!r}: expected payload or settings" for key in _EVENT_KEYS}
    return Shape("root", roots, {**elsewhere, "event": message})


_USAGE: Final = Shape("key of usage", dict.fromkeys(("user", "feature", "from", "to", "last")))
"""What the partner is asked with about usage."""


def found_shape() -> Shape:
    """Return the shape of the answer to one step of a question about usage."""
    return ANSWER


def shown_shape(steps: Sequence[str]) -> Shape:
    """Return the shape of the answers to a question about usage, in these steps."""
    if not steps:
        message = "must not read answers: the question has no steps; write $.answer"
        return Shape("root", {"answer": None}, {"answers": message})
    return Shape("root", {"answer": None, "answers": Shape("step", dict.fromkeys(steps))})


def where_shape(steps: Sequence[str], destination: Mapping[str, Any]) -> Shape:
    """Return the shape by which an item of an answer is found, after these steps."""
    answers = Shape("step", dict.fromkeys(steps))
    return Shape(
        "root", {"usage": _USAGE, "settings": _settings_shape(destination), "answers": answers}
    )


def _settings_shape(destination: Mapping[str, Any]) -> Shape:
    settings = destination["settings"]["properties"]
    return Shape("setting", {key: _of_schema(spec) for key, spec in settings.items()})


def _of_event(payload: Shape | None) -> Shape:
    """Return the shape of what stays the same in all attempts: an event and its payload."""
    message = "must not read settings: expected event or payload, which stay the same"
    elsewhere = {**_WITHIN_EVENT, "settings": message}
    return Shape("root", {"event": _EVENT_OF_REQUEST, "payload": payload}, elsewhere)


def _of_schema(schema: object, what: str = "key") -> Shape | None:
    """Return the shape of a scalar, or of an object whose schema names all its keys; else None."""
    if not isinstance(schema, dict):
        return None
    types = schema.get("type")
    scalars = [types] if isinstance(types, str) else types or ()
    if scalars and all(kind in _SCALARS for kind in scalars):
        named = [article(kind) for kind in scalars if kind != "null"]
        return Shape(what, {}, scalar=" or ".join(named) or "null")
    if types != "object":
        return None
    if schema.get("additionalProperties") is not False or "patternProperties" in schema:
        return None
    properties = schema.get("properties", {})
    return Shape(what, {key: _of_schema(spec) for key, spec in properties.items()})


_SCALARS: Final = frozenset({"string", "number", "integer", "boolean", "null"})


class _Shapes:
    """The values that the requests of a destination read."""

    def __init__(self, data: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]) -> None:
        self._requests = data["requests"]
        self._actions = actions
        self._deletes = data.get("onDelete", {}).get("request")
        self._test = data.get("authentication", {}).get("test")
        self._of_choices = {
            choices.get("request")
            for action in actions
            for _, _, choices in choice_fields(action["fields"])
        }
        self._settings = _settings_shape(data)

    def own(self, name: str) -> Shape:
        """Return the shape that the mappings of a request read."""
        if name in self._of_choices:
            message = "must not use event or payload: choices are asked for without an event"
            elsewhere = {**_WITHIN_EVENT, "event": message, "payload": message}
            return Shape("root", {"settings": self._settings, "page": None}, elsewhere)
        if name in self._of_usage:
            return self._asking_about_usage(name)
        return self.of_request(self.payload(name), self.answers(name))

    @cached_property
    def _of_usage(self) -> Mapping[str, list[_UsageStep]]:
        """The requests about usage, each with the steps that make it."""
        found: dict[str, list[_UsageStep]] = {}
        for action in self._actions:
            ask = action.get("usage", {}).get("ask", {})
            steps = ask.get("steps", ())
            names = [one["name"] for one in steps]
            if "request" in ask:
                found.setdefault(ask["request"], []).append(_UsageStep(action["slug"], "", [], []))
            for index, step in enumerate(steps):
                made = _UsageStep(action["slug"], step["name"], names[:index], names[index:])
                found.setdefault(step["request"], []).append(made)
        return found

    def _asking_about_usage(self, name: str) -> Shape:
        """Return the shape of a request about usage, which is made without an event."""
        message = "must not use event or payload: usage is asked for without an event"
        elsewhere = {**_WITHIN_EVENT, "event": message, "payload": message}
        roots: dict[str, Shape | None] = {"settings": self._settings}
        other = self._maker_beside_steps(name) or self._step_that_makes(name)
        if other:
            why = f"{other} makes this request as well, and asks about no usage"
            refused = {key: f"must not read {key}: {why}" for key in ("usage", "answers", "page")}
            return Shape("root", roots, {**elsewhere, **refused})
        roots |= {"usage": _USAGE, "page": None}
        uses = self._of_usage[name]
        if any(use.step for use in uses):
            roots["answers"] = _answers_before(uses)
        else:
            elsewhere["answers"] = "must not read answers: no step comes before this request"
        return Shape("root", roots, elsewhere)

    def _step_that_makes(self, name: str) -> str:
        """Return the step of an action that makes a request for an event; empty if none does."""
        for action in self._actions:
            for step in action["perform"].get("steps", ()):
                if step["request"] == name:
                    return f"the step {step['name']} of {action['slug']}"
        return ""

    def of_request(self, payload: Shape | None, answers: Shape | str = _NO_STEP) -> Shape:
        """Return the shape that a request can read; ``answers`` may be why it has none."""
        roots = {"event": _EVENT_OF_REQUEST, "payload": payload, "settings": self._settings}
        elsewhere = {"usage": _NO_QUESTION}
        if isinstance(answers, Shape):
            roots["answers"] = answers
        else:
            elsewhere["answers"] = answers
        names = () if payload is None else payload.keys.keys() & _WITHIN_EVENT.keys()
        of_fields = {
            name: f"unknown root {name!r}: write {_PAYLOAD_FIRST.format(name)}" for name in names
        }
        return Shape("root", roots, {**_WITHIN_EVENT, **of_fields, **elsewhere})

    def answers(self, name: str) -> Shape | str:
        """Return the shape of earlier answers that a request can read; why, if it can read none.

        A step has the answers of the steps before it. What several steps make reads only what
        each of them has.
        """
        uses = [
            (action["slug"], step["name"], [one["name"] for one in steps[:index]])
            for action in self._actions
            for steps in [action["perform"].get("steps", ())]
            for index, step in enumerate(steps)
            if step["request"] == name
        ]
        if not uses:
            return _NO_STEP
        other = self._maker_beside_steps(name)
        if other:
            return f"must not read answers: {other} makes this request as well, without steps"
        slugs = {slug for slug, _, _ in uses}
        found: dict[str, Shape | None] = {}
        elsewhere: dict[str, str] = {}
        for one in self._steps_of(slugs):
            lacking = next((use for use in uses if one not in use[2]), None)
            if lacking is None:
                found[one] = self._answer_of(slugs, one)
                continue
            slug, step, before = lacking
            known = ", ".join(before) or "none"
            elsewhere[one] = (
                f"the step {one} does not come before the step {step} of {slug}, which makes this"
                f" request; before it: {known}"
            )
        return Shape("step", found, elsewhere)

    def _answer_of(self, slugs: Collection[str], name: str) -> Shape | None:
        """Return the shape of the answer to a step; None if actions ask different requests."""
        asked = {
            step["request"]
            for action in self._actions
            if action["slug"] in slugs
            for step in action["perform"].get("steps", ())
            if step["name"] == name
        }
        known = [self._requests[one] for one in asked if one in self._requests]
        return answer_shape(known[0]) if len(known) == len(asked) == 1 else None

    def _steps_of(self, slugs: Collection[str]) -> list[str]:
        performs = [one["perform"] for one in self._actions if one["slug"] in slugs]
        return [step["name"] for perform in performs for step in perform.get("steps", ())]

    def _maker_beside_steps(self, name: str) -> str:
        """Return what makes a request without steps before it; empty if nothing does."""
        for action in self._actions:
            perform = action["perform"]
            if name == perform.get("request") or name in perform.get("requests", ()):
                return f"the action {action['slug']}"
        for other, request in self._requests.items():
            asked = {
                "reconcile": request.get(reconcile_key(request), {}).get("ask"),
                "list": request.get("list", {}).get("request"),
            }
            for key, one in asked.items():
                if one == name:
                    return f"{key} of {other}"
        if name == self._deletes:
            return "onDelete"
        if name in self._of_choices:
            return "x-choices of a field"
        return "the authentication test" if name == self._test else ""

    def shared_by(self, name: str) -> Shape:
        """Return the shape that all events of a batch of this request share."""
        message = f"must not use event or payload: the batches of {name} share it"
        elsewhere = {**_WITHIN_EVENT, "event": message, "payload": message}
        elsewhere["answers"] = f"must not use answers: the batches of {name} share it"
        return Shape("root", {"settings": self._settings}, elsewhere)

    @property
    def of_batch(self) -> Shape:
        """The shape that the body of a batch can read."""
        return Shape("root", {"items": None, "settings": self._settings})

    @property
    def of_transport(self) -> Shape:
        """The shape that all requests can read: every field of every action."""
        return self.of_request(_united([self.payload(name) for name in self._requests]))

    @property
    def of_settings(self) -> Shape:
        """The shape that token requests can read, which are of no event."""
        message = "must read only settings: a token is asked for without an event"
        elsewhere = {**_WITHIN_EVENT, "event": message, "payload": message}
        return Shape("root", {"settings": self._settings}, elsewhere)

    def payload(self, name: str, asking: frozenset[str] = frozenset()) -> Shape | None:
        """Return the payload that a request sees; None if plugin code makes it.

        ``asking`` are the requests that brought us here, by their ``reconcile`` and ``list``.
        """
        performs = [action["perform"] for action in self._actions]
        if any(name in perform.get("requests", ()) for perform in performs):
            return None
        found: list[Shape | None] = [
            payload_shape(action["fields"])
            for action in self._actions
            if name in with_payload(action["perform"])
        ]
        found += [payload_shape(DELETION_FIELDS)] if name == self._deletes else []
        found += [
            self.payload(other, asking | {name})
            for other, request in self._requests.items()
            if other not in asking | {name}
            and name
            in {
                request.get(reconcile_key(request), {}).get("ask"),
                request.get("list", {}).get("request"),
            }
        ]
        return _united(found)


class _UsageStep(NamedTuple):
    """A step of the question about usage of an action; ``step`` is empty for the only request."""

    slug: str
    step: str
    before: Sequence[str]
    after: Sequence[str]

    @property
    def where(self) -> str:
        what = f"the step {self.step} of usage" if self.step else "the question about usage"
        return f"{what} of {self.slug}"


def _answers_before(uses: Sequence[_UsageStep]) -> Shape:
    """Return the shape of the answers that all these steps have; why they lack others."""
    found: dict[str, Shape | None] = {}
    elsewhere: dict[str, str] = {}
    for one in dict.fromkeys(name for use in uses for name in (*use.before, *use.after)):
        lacking = next((use for use in uses if one not in use.before), None)
        if lacking is None:
            found[one] = None
        else:
            known = ", ".join(lacking.before) or "none"
            elsewhere[one] = (
                f"the step {one} does not come before {lacking.where}, which makes this request;"
                f" before it: {known}"
            )
    return Shape("step", found, elsewhere)


def with_payload(perform: Mapping[str, Any]) -> list[str]:
    """Return the names of the requests that are made with the action's own payload."""
    named = [perform["request"]] if "request" in perform else []
    return [*named, *(step["request"] for step in perform.get("steps", ()))]


def _united(shapes: Sequence[Shape | None]) -> Shape | None:
    """Return the union of shapes; None if one may have any key, or if there is none."""
    keys: dict[str, Shape | None] = {}
    for shape in shapes:
        if shape is None:
            return None
        for key, inner in shape.keys.items():
            keys[key] = inner if keys.get(key, inner) == inner else None
    return Shape("field", keys) if shapes else None


_SHARED: Final = ("url", "path", "headers", "query")
_MAPPED: Final = (*_SHARED, "json", "form", "text")
"""The parts of a REST request that are mappings; those of ``ndjson`` are its lines."""


def destination_mappings(
    data: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]
) -> Iterator[Placed]:
    """Yield the mappings of ``destination.yaml`` but for its presets', given the actions' data."""
    shapes = _Shapes(data, actions)
    transport = data["transport"]
    batched = [name for name, one in data["requests"].items() if _is_batched(one)]
    for key in ("baseUrl", "url", "headers"):
        if key in transport:
            seen = shapes.of_transport
            yield f"/transport/{key}", transport[key], replace(seen, of_url=key != "headers")
            if key != "baseUrl":  # which reads only settings in any case
                for name in batched:
                    seen = shapes.shared_by(name)
                    yield f"/transport/{key}", transport[key], replace(seen, of_url=key == "url")
    if "account" in data.get("authentication", {}):
        yield "/authentication/account", data["authentication"]["account"], ANSWER
    oauth2 = data.get("authentication", {}).get("oauth2", {})
    url = oauth2.get("tokenUrl")
    if isinstance(url, dict) and "urls" not in url:
        yield "/authentication/oauth2/tokenUrl", url, replace(shapes.of_settings, of_url=True)
    for name, value in oauth2.get("parameters", {}).items():
        place = pointer("authentication", "oauth2", "parameters", name)
        yield place, value, shapes.of_settings
    for name, request in data["requests"].items():
        for place, value, shape in _of_request(name, request, shapes):
            yield pointer("requests", name) + place, value, shape


def _is_batched(request: Mapping[str, Any]) -> bool:
    size: int = request.get("batch", {}).get("size", 1)
    return size > 1


def _of_request(name: str, request: Mapping[str, Any], shapes: _Shapes) -> Iterator[Placed]:
    own = shapes.own(name)
    if "graphql" in request:
        yield "/graphql/variables", request["graphql"].get("variables", {}), own
    yield from _of_rest(name, request, shapes)
    for index, refusal in enumerate(request.get("refusals", ())):
        yield pointer("refusals", index, "message"), refusal["message"], ANSWER
    batch = request.get("batch", {})
    yield "/batch/json", batch.get("json"), shapes.of_batch
    yield "/batch/failures", batch.get("failures"), None
    named = reconcile_key(request)
    of_payload = Shape("root", {"payload": shapes.payload(name)})
    for key, value in request.get(named, {}).items():
        if key not in {"ask", "nothing", "after"}:
            yield pointer(named, key), value, of_payload if key in {"key", "amount"} else ANSWER
    if "idempotencyKey" in request:
        place = "/idempotencyKey/from"
        yield place, request["idempotencyKey"]["from"], _of_event(shapes.payload(name))
    if "list" in request:
        yield "/list/value", request["list"]["value"], own


def _of_rest(name: str, request: Mapping[str, Any], shapes: _Shapes) -> Iterator[Placed]:
    own = shapes.own(name)
    rest = request.get("rest", {})
    for key in (key for key in rest if key in _MAPPED):
        is_shared = key in _SHARED and _is_batched(request)
        seen = shapes.shared_by(name) if is_shared else own
        yield pointer("rest", key), rest[key], replace(seen, of_url=key == "url")
    for index, line in enumerate(rest.get("ndjson", ())):  # each is a mapping; their list is none
        yield pointer("rest", "ndjson", index), line, own
    if "sign" in rest:
        yield "/rest/sign/secret", rest["sign"]["secret"], own


def reconcile_key(request: Mapping[str, Any]) -> str:
    """Return the key that a request uses: ``reconcile``, or its old name ``settle``."""
    return "settle" if "settle" in request and "reconcile" not in request else "reconcile"
