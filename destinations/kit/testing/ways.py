"""Find and play the sequences of an action's requests, with answers made from the definition.

An action with one request has one such way. The ways of steps and of a plugin's generator are found
by playing them: with successes first, then with each answer that the definition declares in place
of one, and with a success for each choice that steps make by one.
"""

from __future__ import annotations

import collections.abc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from destinations.definition import (
    ActionDefinition,
    JsonSchema,
    Preset,
    RequestDefinition,
    RestDefinition,
    Window,
)
from destinations.definition.key_sources import put_at
from destinations.errors import ResolveError, UsageError
from destinations.http import Answer
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import ABSENT, RecordedRequest, Served
from destinations.kit.testing.sequence import deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.token_faults import TokenScript
from destinations.kit.testing.wire import Reply, Wire
from destinations.oauth2 import TokenEndpoint
from destinations.outcome import OUTSIDE_WINDOW, Result, State
from destinations.pipeline.reading import Entry
from destinations.runtime.action import (
    Action,
    Generated,
    Generator,
    Payload,
    ResumingGenerator,
    Subscription,
)
from destinations.runtime.destination import Destination
from destinations.runtime.steps import OK, StepCall
from destinations.runtime.window import EventWindow
from destinations.sandbox.answers import error_answer, fitting_value, success
from destinations.sandbox.placeholders import placeholder_settings
from destinations.sandbox.sample_value import sample
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.parts import paths_read
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["Played", "Stage", "Way", "find_ways"]

_MAX_STEPS: Final = 5
_FITS: Final = "ok for "
"""An answer of this name and that of a step is a success with which the step is made."""


class Made(NamedTuple):
    """A request that an action makes, and the step that it is; empty if it has none."""

    request: str
    step: str = ""

    @property
    def name(self) -> str:
        """The name that tells it apart from others of its action."""
        return self.step or self.request


@dataclass(frozen=True, slots=True)
class Way:
    """An action makes ``request`` ``after`` these answers to the requests named in ``before``.

    ``step`` is the name of its step; empty if the action has none.
    """

    request: str
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    step: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """A played way: the requests of the last attempt, how often each was sent, the results.

    ``waits`` are in seconds. ``requests`` has, for each of the ``calls``, all that were sent.
    """

    calls: tuple[Made, ...]
    sent: tuple[int, ...]
    results: tuple[Result, ...]
    waits: tuple[float, ...]
    requests: tuple[Sequence[RecordedRequest], ...] = ()


class Stage:
    """One action of a destination, ready to be played repeatedly.

    Raises `UsageError` if no payload can be made from its fields.
    """

    def __init__(self, subject: Subject, action: ActionDefinition) -> None:
        self.action = action
        self.definition = subject.definition
        self._subject = subject
        self._settings = placeholder_settings(
            subject.definition, dict.fromkeys(subject.definition.secret_settings)
        )
        self._calls: list[Made] = []
        payload = self._payload = self._sample()
        # The mapping is the payload itself, so any event leads to it.
        self._preset = Preset(action.slug, action.slug, 'type = "track"', {"@literal": payload})
        # A time that is made from the schema of its field is outside of any window.
        self.destination = self._bind(None)
        is_joined = self.destination.subscriptions[0].action.batch_size > 1
        # Steps choose for each event, so one is played at a time.
        self.count = 2 if is_joined and not action.perform.steps else 1

    def play_with_tokens(self, tokens: TokenScript) -> Sequence[Result]:
        """Deliver sample payloads with the access tokens of a script; all else is a success."""
        return self.play(self.scripted(()), tokens).results

    def time_in(self, window: Window) -> float:
        """Return the time of the sample event that counts for a window, in seconds since 1970."""
        return self._timed(window)[1]

    def _timed(self, window: Window) -> tuple[Window, float]:
        """Return a window that can read the time of the sample event, and that time.

        Of a payload whose sample is not a time, the event's own counts in its place.
        """
        event = json.loads(self._entries()[0].data)
        for one in (window, replace(window, source={"@path": "$.event.timestamp"})):
            found = EventWindow(one).time_of(event, self._payload)
            if found is not None:
                return one, found
        raise AssertionError("the sample event has a time")

    def play(
        self,
        reply: Callable[[int, str, int], Reply],
        tokens: TokenScript | None = None,
        *,
        clock: StillClock | None = None,
        in_window: bool = False,
        served: Served | None = None,
    ) -> Played:
        """Deliver sample payloads; ``reply`` gets a request's number from 0, name and attempt.

        With ``in_window``, the window of the action counts. Events are ``served`` as by a server,
        or else delivered by a run.
        """
        self._calls.clear()
        sent: list[int] = []
        requests: list[list[RecordedRequest]] = []
        window = self.action.window if in_window else None
        destination = self.destination
        if window is not None:
            destination = self._bind(self._timed(window)[0])

        def on_request(request: RecordedRequest) -> Reply:
            of_tokens = None if tokens is None else tokens.reply(request)
            if of_tokens is not None:
                return of_tokens
            place = max(0, len(self._calls) - 1)
            sent.extend([0] * (place + 1 - len(sent)))
            requests.extend([] for _ in range(place + 1 - len(requests)))
            # A refused key is also refused by the authentication test.
            if not self.tests_key(request, self._name(place)):
                sent[place] += 1
                requests[place].append(request)
            return reply(place, self._name(place), sent[place])

        clock = StillClock() if clock is None else clock
        if tokens is not None and self.definition.oauth2 is not None:
            endpoint = TokenEndpoint(self.definition.oauth2, self._settings)
            self.destination.keep_tokens(tokens.open(clock, endpoint))
        transport = HttpTransport(self.definition.transport.timeouts)
        try:
            with Wire(on_request):
                rows = deliver_in_sequence(
                    destination, transport, clock, self._entries(), served=served
                )
        finally:
            transport.close()
            self.destination.keep_tokens(None)
        request = self.action.perform.request  # of a batch that failed before it was sent
        calls = tuple(self._calls) or (() if request is None else (Made(request),))
        results = tuple(_as_held(one.row.result) for one in rows)
        return Played(calls, tuple(sent), results, tuple(clock.waits), tuple(requests))

    def tests_key(self, request: RecordedRequest, name: str) -> bool:
        """Return whether this is the authentication test instead of a request of the action."""
        authentication = self.definition.authentication
        if authentication is None or authentication.test == name:
            return False
        test = self.destination.requests[authentication.test]
        context = {"event": {}, "payload": {}, "settings": self._settings}
        message = test.prepare([test.part(context)], context)
        if (request.method, request.url) != (message.method, message.url):
            return False
        if message.body is None:
            return request.json is ABSENT and request.body is None
        if request.json is ABSENT:
            return request.body == message.body.decode()
        try:
            return bool(request.json == json.loads(message.body))
        except ValueError:  # a test with another kind of body
            return False

    def _entries(self) -> list[Entry]:
        """Return events of as many users as one request can carry."""
        return entries_of(self._event(number) for number in range(self.count))

    def _event(self, number: int) -> dict[str, Any]:
        """Return an event that has what its requests cannot be made without."""
        for value in (f"sample-{number}", number + 1, f"2024-01-15T12:00:0{number}.000Z"):
            event = {
                "type": "track",
                "event": "Sample",
                "userId": f"sample-user-{number}",
                "messageId": f"sample-message-{number}",
                "timestamp": "2024-01-15T12:00:00.000Z",
            }
            for source in self._needed:
                for path in paths_read(source):
                    root, *keys = split_path(strip_root(path)) or ("",)
                    if root == "event":
                        put_at(event, keys, value)
            if all(self._is_made(source, event) for source in self._needed):
                break
        return event

    @cached_property
    def _needed(self) -> list[object]:
        """The mappings whose result no request can do without: keys, and segments of paths."""
        found: list[object] = []
        for name in self.action.perform.names:
            request = self.definition.requests[name]
            if request.idempotency_key is not None:
                found.append(request.idempotency_key.source)
            if isinstance(request.call, RestDefinition):
                found += request.call.path
        return [one for one in found if any(map(_is_of_event, paths_read(one)))]

    def _is_made(self, source: object, event: dict[str, Any]) -> bool:
        context = {"event": event, "payload": self._payload, "settings": self._settings}
        try:
            value = compile_value(source).resolve(context)
        except ResolveError:
            return False
        return isinstance(value, str | int) and str(value).strip() != ""

    def answer(self, name: str, request: RequestDefinition, step: str = "") -> Reply:
        """Return a success, or the answer ``name`` to this step; see `answers`."""
        if name.startswith(_FITS):
            schema = self._choices(step)[name]
            fitting = fitting_value(request, schema)
            if fitting is None:
                raise UsageError(
                    f"no answer to {request.name} can be made that fits the condition of the step"
                    f" {name.removeprefix(_FITS)}: {schema}; give it `examples` or constants"
                )
            return success(replace(request, example=fitting), self.count)
        if name != OK:
            condition = next(one.when for one in request.answers if one.name == name)
            made = error_answer(condition, request)
            if made is not None:
                return made
        return success(request, self.count)

    def answers(self, made: Made) -> list[str]:
        """Return the names of the answers to a request that lead on in another way."""
        perform = self.action.perform
        if perform.generator is None and not perform.steps:
            return []
        declared = [answer.name for answer in self.definition.requests[made.request].answers]
        return [*declared, *self._choices(made.step)]

    def _choices(self, step: str) -> Mapping[str, JsonSchema]:
        """Return the schemas by which later steps choose with an answer, by names of answers."""
        found: dict[str, JsonSchema] = {}
        for one in self.action.perform.steps:
            schema = one.when.get(step)
            if schema is not None and not isinstance(schema, str) and schema not in found.values():
                found[_FITS + one.name] = schema
        return found

    def scripted(self, way: tuple[str, ...]) -> Callable[[int, str, int], Reply]:
        """Reply with these answers, then with successes."""

        def reply(place: int, request: str, _attempt: int) -> Reply:
            name = way[place] if place < len(way) else OK
            step = self._calls[place].step if place < len(self._calls) else ""
            return self.answer(name, self.definition.requests[request], step)

        return reply

    def _name(self, place: int) -> str:
        perform = self.action.perform
        return perform.request if perform.request is not None else self._calls[place].request

    def _bind(self, window: Window | None) -> Destination:
        """Return the destination with only this action, whose calls are recorded."""
        # Waits are those that failures cause: not those for a turn.
        transport = replace(self.definition.transport, rate_limit=None)
        action = replace(self.action, window=window)
        definition = replace(
            self.definition,
            presets=(self._preset,),
            actions={**self.definition.all_actions, action.slug: action},
            transport=transport,
        )
        destination = Destination(definition, self._settings, self._subject.code)
        destination.keep_tokens(None)
        (subscription,) = destination.subscriptions
        bound = subscription.action
        if bound.generator is not None:
            subscription.action = replace(bound, generator=self._watched(bound.generator))
        return destination

    def _watched(self, generator: Generator) -> Generator:
        if isinstance(generator, ResumingGenerator):
            return _WatchedResuming(generator, generator, self._calls)
        return _Watched(generator, self._calls)

    def _sample(self) -> Payload:
        preset = Preset(self.action.slug, self.action.slug, 'type = "track"', {})
        schema = Subscription(preset, Action(self.action, {})).schema
        checked = schema.check(sample(self.action.fields))
        if checked.errors:
            faults = "; ".join(map(str, checked.errors))
            msg = (
                f"no payload can be made for the action {self.action.slug}: {faults}; "
                "give these fields `examples`"
            )
            raise UsageError(msg)
        payload: Payload = checked.payload
        return payload


def _as_held(result: Result) -> Result:
    """Return a result as it is: what a window holds is not asked about, whatever the action is."""
    if result.code == OUTSIDE_WINDOW and result.outcome is State.UNKNOWN:
        return replace(result, outcome=State.HELD)
    return result


def _is_of_event(path: str) -> bool:
    return split_path(strip_root(path))[:1] == ("event",)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A generator that records the requests of its last attempt in ``calls``."""

    generator: Generator
    calls: list[Made]

    def __call__(self, payload: Payload) -> Generated:
        """See `destinations.Generator`."""
        given: Any = self.generator(payload)  # of a plugin, so it may be anything
        if isinstance(given, collections.abc.Generator):
            return self.watch(given)
        other: Generated = given
        return other  # judged as when the plugin delivers

    def watch(self, steps: Generated) -> Generated:
        """Run the steps and record the requests."""
        self.calls.clear()  # another attempt starts over
        try:
            call = next(steps)
            while True:
                step = call.step if isinstance(call, StepCall) else ""
                name = getattr(call, "request", repr(call))  # of a plugin, so it may be anything
                self.calls.append(Made(name, step))
                answer: Answer = yield call
                call = steps.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return] # the generator's result
        finally:
            steps.close()


@dataclass(frozen=True, slots=True)
class _WatchedResuming:
    """The same for a generator that resumes after an earlier attempt."""

    generator: Generator
    resuming: ResumingGenerator
    calls: list[Made]

    def __call__(self, payload: Payload) -> Generated:
        """See `destinations.Generator`."""
        return _Watched(self.generator, self.calls)(payload)

    def resume(self, payload: Payload) -> Generated:
        """See `destinations.ResumingGenerator`."""
        return _Watched(self.generator, self.calls).watch(self.resuming.resume(payload))


def find_ways(stage: Stage) -> tuple[Played, list[Way]]:
    """Return the result without faults, and one way to each reachable request."""
    whole = stage.play(stage.scripted(()))
    found: dict[str, Way] = {}
    pending: list[tuple[str, ...]] = [()]
    while pending:
        script = pending.pop(0)
        played = whole if not script else stage.play(stage.scripted(script))
        for place, made in enumerate(played.calls):
            is_known = made.request in stage.definition.requests  # if not, the event ended dead
            if not is_known or made.name in found or place > _MAX_STEPS:
                continue
            after = (*script, *[OK] * place)[:place]
            before = tuple(one.request for one in played.calls[:place])
            found[made.name] = Way(made.request, after, before, made.step)
            pending += [(*after, name) for name in stage.answers(made)]
    return whole, list(found.values())
