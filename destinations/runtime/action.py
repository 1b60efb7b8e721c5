"""Compile a subscription and its action: from an event to a payload."""

from __future__ import annotations

import collections.abc
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol, TypeVar, cast, runtime_checkable

from destinations.by_identity import ByIdentity
from destinations.definition import ActionDefinition, Preset
from destinations.definition.model import PATHS, Unmapped
from destinations.errors import DestinationsError, PluginError, ResolveError, did_you_mean
from destinations.http import Answer, CompiledRequest, Selection
from destinations.outcome import ManualChange, Outcome, Result
from destinations.runtime.field_escaping import Escaping
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.runtime.usage import EventUsage
from destinations.runtime.window import EventWindow
from destinations.segment.event import Event
from destinations.segment.fql import compile_fql
from destinations.segment.mapping import CompiledValue, compile_mapping, compile_value
from destinations.segment.mapping.parts import members, paths_read
from destinations.segment.payload import MakePayload, compile_payload
from destinations.segment.validation import CompiledSchema, FieldError, compile_schema

__all__ = [
    "Action",
    "Call",
    "Done",
    "Generated",
    "Generator",
    "Mapper",
    "Payload",
    "ResumingGenerator",
    "Subscription",
    "VersionedMapper",
    "checked_calls",
    "failed",
]

T = TypeVar("T")

Payload = dict[str, Any]
"""The fields of an action, filled for one event and checked."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a generator asks for: its name, and the payload that its templates see.

    If a list is read for it, ``only`` selects the items that its generator needs: of the list that
    it asks for, or of one that answers the request (``list`` in the definition). Others may be
    missing from the answer; None needs all.
    """

    request: str
    payload: Mapping[str, Any]
    only: Selection | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a generator: a line on what was done, and what an operator still has to do."""

    note: str
    manual: ManualChange | None = None


Generated = collections.abc.Generator[Call, Answer, Done]
"""A generator of calls; it receives their answers, returns what was done, and does no I/O."""


class Generator(Protocol):
    """Plugin code that decides which requests a payload needs."""

    def __call__(self, payload: Payload) -> Generated:
        """Start on one payload."""
        ...


@runtime_checkable
class ResumingGenerator(Protocol):
    """A generator that does more if an earlier attempt may have changed something."""

    def resume(self, payload: Payload) -> Generated:
        """Start on a payload for which an earlier attempt may have changed something."""
        ...


class Mapper(Protocol):
    """Plugin code that finds what a payload lacks, for example by a customer's rules."""

    def __call__(self, event: Event, payload: Payload) -> Mapping[str, Any] | None:
        """Return the fields to add to the payload; None if the event stays unmapped."""
        ...


@runtime_checkable
class VersionedMapper(Protocol):
    """A mapper whose rules can change while it is used."""

    @property
    def version(self) -> str:
        """The version of its rules, which changes when they may map an event differently."""
        ...


@dataclass(frozen=True, eq=False)
class Action:
    """An action with its only request, or with a generator that chooses among ``requests``.

    Steps are such a generator, made of data. ``source`` says where generator and mapper come from,
    for messages.
    """

    definition: ActionDefinition
    requests: Mapping[str, CompiledRequest]
    generator: Generator | None = None
    mapper: Mapper | None = None
    source: str = ""

    @property
    def slug(self) -> str:
        """Its name in the definition."""
        return self.definition.slug

    @cached_property
    def batch_size(self) -> int:
        """The largest number of events in one batch."""
        if self.generator is not None:
            return self.definition.perform.batch_size
        (request,) = self.requests.values()
        return request.definition.batch_size

    @cached_property
    def repeats_users(self) -> bool:
        """Whether one request can carry several events of a user: only if all it does is add.

        The sum of amounts does not depend on their order. For other events it matters: one that
        failed for now must not be sent again after a later one was applied.
        """
        return any(request.definition.reconcile is not None for request in self.requests.values())

    @cached_property
    def is_idempotent(self) -> bool:
        """Whether all that it does can be done again without harm, from the first request on."""
        return self.definition.perform.repeatable or all(
            request.definition.idempotent for request in self.requests.values()
        )

    @cached_property
    def keys_last(self) -> float | None:
        """The seconds for which the partner recognises all requests that must not be repeated.

        None if it does not recognise one of them, and if there is none.
        """
        once = [one.definition for one in self.requests.values() if not one.definition.idempotent]
        keys = [one.idempotency_key for one in once]
        seconds = [key.seconds for key in keys if key is not None]
        return min(seconds) if seconds and len(seconds) == len(once) else None

    @property
    def repeat_after(self) -> float:
        """After how many seconds a lost answer leads to another attempt; 0 for at once."""
        perform = self.definition.perform
        is_late = any(not request.definition.idempotent for request in self.requests.values())
        return perform.repeat_after if perform.repeatable and is_late else 0.0

    @property
    def touches(self) -> bool:
        """Whether its events touch accounts at the partner besides that of their own user."""
        return bool(self.definition.touches)

    def touched(self, payload: Payload) -> list[str]:
        """Return the names of the accounts that an event touches besides that of its own user."""
        found: list[str] = []
        for value in self._touched:
            try:
                named = value.resolve({"payload": payload})
            except (ResolveError, RecursionError):
                continue
            found += map(str, filter(_is_name, named if isinstance(named, list) else [named]))
        return found

    @cached_property
    def _touched(self) -> list[CompiledValue]:
        return [compile_value(one) for one in self.definition.touches]

    def part(self, kind: str, name: str | None) -> str:
        """Return how a message calls code of the plugin: with where it is from, if known."""
        what = f"the {kind} {name!r}"
        return f"{self.source}: {what}" if self.source else what

    @property
    def who(self) -> str:
        """Return how a message calls what chooses among its requests."""
        perform = self.definition.perform
        if perform.steps:
            return f"the steps of {self.slug}"
        return self.part("generator", perform.generator)

    def generate(self, payload: Payload, *, resumes: bool) -> Generated:
        """Start the generator on a payload; ``resumes`` says that an earlier attempt began it.

        Its steps raise `PluginError` where it fails, asks for a request that the action does not
        list, or does not end with `Done`.
        """
        generator = self.generator
        assert generator is not None  # noqa: S101 - checked by the caller
        who = self.who
        try:
            if resumes and isinstance(generator, ResumingGenerator):
                steps = generator.resume(payload)
            else:
                steps = generator(payload)
            done = yield from checked_calls(steps, self.requests, who)
        except DestinationsError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(failed(who, error)) from error
        if not isinstance(done, Done):
            raise PluginError(f"{who} must return a destinations.Done, not {done!r:.80}")
        return done

    @cached_property
    def window(self) -> EventWindow | None:
        """The window within which the partner takes its events; None if it takes all."""
        window = self.definition.window
        return None if window is None else EventWindow(window)

    @cached_property
    def usage(self) -> EventUsage | None:
        """What its events count for at the partner; None if that cannot be compared."""
        usage = self.definition.usage
        return None if usage is None else EventUsage(usage)

    @cached_property
    def reads_event(self) -> bool:
        """Whether a request, or its window, may need the raw event besides the payload."""
        if self.window is not None and self.window.reads_event:
            return True
        return any(request.reads_event for request in self.requests.values())

    @cached_property
    def takes_payload_bytes(self) -> bool:
        """Whether its request is made from the payload's bytes, without parsing them."""
        if self.generator is not None:
            return False
        (request,) = self.requests.values()
        return request.takes_payload_bytes


class Subscription:
    """An action with the events that it receives and the mapping that makes its payload."""

    def __init__(self, preset: Preset, action: Action, placeholders: Sequence[str] = ()) -> None:
        self.name = preset.name
        self.action = action
        self.key = SubscriptionKey(preset.name, action.definition.slug)
        self.fql = compile_fql(preset.subscribe)
        self.mapping = compile_mapping(dict(preset.mapping))
        self.schema = _schema(ByIdentity(action.definition), tuple(placeholders))
        self._escaping = Escaping(action.definition.fields)
        self._unmapped = action.definition.unmapped
        self.source: Final = dict(preset.mapping)
        """Its mapping as it is written."""

    def with_mapper(self, mapper: Mapper | None) -> Subscription:
        """Return the same subscription with another mapper; what is compiled is shared."""
        if mapper is self.action.mapper:
            return self
        _ = self._make  # before it is copied
        other = copy.copy(self)
        other.action = replace(self.action, mapper=mapper)
        return other

    @cached_property
    def _make(self) -> MakePayload:
        """The function that makes payloads, compiled late as few runs need all subscriptions."""
        return compile_payload(self.mapping, self.schema)

    def payload(self, event: Event) -> Payload | Result:
        """Return the payload of an event that matched, or the result that ends it."""
        errors: list[tuple[str, str]] = []
        try:
            if self._escaping.is_needed and self._escaping.changes(event):
                payload, errors = self._checked(self.mapped(event))
            else:
                payload = self._make(event, errors)
            unmapped = self._unmapped
            # A mapping that is one directive may give any value; only an object is valid.
            if unmapped and isinstance(payload, dict) and unmapped.missing not in payload:
                found = self._found(unmapped, event, payload)
                if isinstance(found, Result):
                    return found
                payload, errors = self._checked({**self.mapped(event), **found})
        except (ResolveError, RecursionError) as error:
            reason = error if isinstance(error, ResolveError) else "the data is nested too deeply"
            return Result.invalid(f"the mapping failed: {reason}", "PAYLOAD_VALIDATION_FAILED")
        if errors:
            texts = tuple([str(FieldError(path, message)) for path, message in errors])
            return Result.invalid("; ".join(texts), "PAYLOAD_VALIDATION_FAILED", texts)
        result: Payload = payload
        return result

    def mapped(self, event: Event) -> Any:
        """Return the unchecked result of the mapping; raises `ResolveError`."""
        return self._escaping.resolve(self.mapping.resolve, event)

    def _checked(self, mapped: Any) -> tuple[Any, list[tuple[str, str]]]:
        checked = self.schema.check(mapped)
        return checked.payload, [(error.path, error.message) for error in checked.errors]

    def _found(
        self, unmapped: Unmapped, event: Event, payload: Payload
    ) -> Mapping[str, Any] | Result:
        """Return the fields that the plugin's mapper adds, or the result if it finds none."""
        mapper = self.action.mapper
        try:
            found = mapper(event, payload) if mapper is not None else None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - must fail its event only
            reason = failed(self.action.part("mapper", unmapped.mapper), error)
            return Result(Outcome.DEAD, reason, "UNKNOWN_ERROR", 500)
        return self._is_unmapped if found is None else found

    @cached_property
    def _is_unmapped(self) -> Result:
        """The result of an event that lacks the field, with the paths that it could have had."""
        unmapped = self._unmapped
        assert unmapped is not None  # noqa: S101 - it is asked only where a field may be missing
        made = members(self.source) or {}
        paths = paths_read(made.get(unmapped.missing))
        place = " or ".join(paths) or f"{unmapped.missing} in the mapping"
        return Result(Outcome.UNMAPPED, unmapped.reason.replace(PATHS, place))


def checked_calls(
    steps: collections.abc.Generator[Call, Answer, T], known: Mapping[str, object], who: str
) -> collections.abc.Generator[Call, Answer, T]:
    """Yield a generator's calls, and return its result.

    Raises `PluginError`, with ``who`` asked, at a call of a request that is not ``known``.
    """
    if not isinstance(steps, collections.abc.Generator):
        raise PluginError(f"{who} must be a generator function, but gives {steps!r:.80}")
    try:
        call = next(steps)
        while True:
            _check(call, known, who)
            call = steps.send((yield call))
    except StopIteration as stop:
        return cast("T", stop.value)
    finally:
        steps.close()


def _check(call: object, known: Mapping[str, object], who: str) -> None:
    if not isinstance(call, Call):
        raise PluginError(f"{who} must yield a destinations.Call, not {call!r:.80}")
    if call.request not in known:
        names = list(known)
        shown = ", ".join(names) or "none"
        hint = did_you_mean(str(call.request), names)
        raise PluginError(
            f"{who} asks for the unknown request {call.request!r}{hint}; known: {shown}"
        )


def failed(who: str, error: BaseException) -> str:
    """Return the message for an unexpected error of a plugin's code."""
    return f"{who} failed: {type(error).__name__}: {error}"


def _is_name(value: object) -> bool:
    """Return whether a value names something: text that is not blank, or a number."""
    return value.strip() != "" if isinstance(value, str) else type(value) is int


@lru_cache(maxsize=16)
def _schema(key: ByIdentity[ActionDefinition], placeholders: tuple[str, ...]) -> CompiledSchema:
    """Return the schema of an action's payload, which connections to one definition share."""
    return compile_schema(_with(placeholders, key.value.fields))


def _with(placeholders: Sequence[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of fields; each identifier gets the placeholders that it refuses."""
    properties = {
        key: {**spec, "x-identifier": list(placeholders)} if spec.get("x-identifier") else spec
        for key, spec in fields["properties"].items()
    }
    return {**fields, "properties": properties}
