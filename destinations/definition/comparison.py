"""Compare two versions of a definition, and say what changes for its users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final, NamedTuple

from destinations.definition.model import (
    DELETION,
    ActionDefinition,
    DestinationDefinition,
    Perform,
    Preset,
    Step,
)
from destinations.definition.request_model import RequestDefinition
from destinations.segment.json_pointer import pointer
from destinations.segment.validation.required_when import KEYWORD

__all__ = ["Bump", "Difference", "Version", "compare"]

_MISSING: Any = object()
_OF_FORMS: Final = frozenset(
    {
        *("x-labels", "x-placeholder", "x-dependsOn", "x-hidden", "readOnly", "x-display"),
        *("x-category", "x-objectUI", "x-disabledInputs", "x-choices"),
    }
)
"""The keywords of a field or setting that say only how forms show it."""


class Bump(IntEnum):
    """The part of the version that a change has to raise: major if users have to act."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """One change; ``path`` is a JSON pointer within the definition."""

    bump: Bump
    path: str
    message: str


class Version(NamedTuple):
    """The version of a definition, such as 1.2.3."""

    major: int
    minor: int
    patch: int

    @classmethod
    def read(cls, text: str) -> Version:
        """Return the version that a definition declares."""
        return cls(*map(int, text.split(".")))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def bump_to(self, new: Version) -> Bump:
        """Return the part that a ``new`` version raises; NONE if it is not higher."""
        if new <= self:
            return Bump.NONE
        if new.major != self.major:
            return Bump.MAJOR
        return Bump.PATCH if new.minor == self.minor else Bump.MINOR

    def after(self, bump: Bump) -> Version:
        """Return the next version that raises this part; the same version for NONE."""
        if bump is Bump.MAJOR:
            return Version(self.major + 1, 0, 0)
        if bump is Bump.MINOR:
            return Version(self.major, self.minor + 1, 0)
        return self._replace(patch=self.patch + (bump is Bump.PATCH))


def compare(old: DestinationDefinition, new: DestinationDefinition) -> list[Difference]:
    """Return all changes that users could notice, in the order of the new definition."""
    found = [*_object("/settings", old.settings, new.settings, "setting")]
    for slug in old.actions:
        if slug not in new.actions:
            message = f"the action {slug!r} is gone: subscriptions that use it end"
            found.append(Difference(Bump.MAJOR, pointer("actions", slug), message))
    for slug, action in new.actions.items():
        found += _action(old.actions.get(slug), action)
    for name, request in new.requests.items():
        if name in old.requests:
            found += _key(old.requests[name], request)
    found += _deletion(old.deletion, new.deletion)
    found += _presets(old, new)
    found += _access(old, new)
    found += _prose(old, new)
    return found


def _action(old: ActionDefinition | None, new: ActionDefinition) -> Iterator[Difference]:
    place = pointer("actions", new.slug)
    if old is None:
        yield Difference(Bump.MINOR, place, f"the action {new.slug!r} is new")
        return
    if new.operator and not old.operator:
        message = "it is only for operators from now on: events no longer reach it"
        yield Difference(Bump.MAJOR, place + "/operator", message)
    yield from _object(place + "/fields", old.fields, new.fields, "field")
    yield from _perform(place + "/perform", old.perform, new.perform)
    yield from _window(place, old, new)
    if old.default_subscription != new.default_subscription:
        message = "the default subscription has changed; existing ones keep theirs"
        yield Difference(Bump.MINOR, place + "/defaultSubscription", message)


def _deletion(old: ActionDefinition | None, new: ActionDefinition | None) -> Iterator[Difference]:
    place = pointer(DELETION)
    if old is None and new is not None:
        yield Difference(Bump.MINOR, place, "the partner is asked to delete users from now on")
    elif old is not None and new is None:
        message = "the partner is no longer asked to delete users: such events are filtered"
        yield Difference(Bump.MAJOR, place, message)
    elif old is not None and new is not None and old.perform != new.perform:
        yield Difference(Bump.MINOR, place + "/request", "it makes another request")


def _perform(place: str, old: Perform, new: Perform) -> Iterator[Difference]:
    if old == new:
        return
    if not (old.steps and new.steps):
        yield Difference(Bump.MINOR, place, "it makes another request")
        return
    yield from _steps(place + "/steps", old.steps, new.steps)
    if old.repeatable and new.repeatable and old.repeat_after != new.repeat_after:
        message = f"after a lost answer, its steps are made again after {new.repeat_after:g} s"
        yield Difference(Bump.PATCH, place + "/repeatable/after", message)
    if old.repeatable != new.repeatable:
        message = (
            "after a lost answer, its steps are made again"
            if new.repeatable
            else "after a lost answer, its steps are not made again: an operator decides"
        )
        yield Difference(Bump.MINOR, place + "/repeatable", message)
    if old.batch_size != new.batch_size:
        yield Difference(Bump.PATCH, place + "/batch/size", "it takes other numbers of events")


def _steps(place: str, old: Sequence[Step], new: Sequence[Step]) -> Iterator[Difference]:
    before, after = ({step.name: step for step in steps} for steps in (old, new))
    for name in before:
        if name not in after:
            yield Difference(Bump.MINOR, place, f"the step {name!r} is gone")
    for number, (name, step) in enumerate(after.items()):
        own = place + pointer(number)
        if name not in before:
            yield Difference(Bump.MINOR, own, f"the step {name!r} is new")
        elif step.request != before[name].request:
            message = f"the step {name!r} makes another request"
            yield Difference(Bump.MINOR, own + "/request", message)
        elif step.when != before[name].when:
            message = f"the step {name!r} is made after other answers than before"
            yield Difference(Bump.MINOR, own + "/when", message)
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield Difference(Bump.MINOR, place, "the steps have another order")


def _window(place: str, old: ActionDefinition, new: ActionDefinition) -> Iterator[Difference]:
    """Yield that events are too late, or too early, that were not before."""
    if old.window == new.window:
        return
    place += "/window"
    if new.window is None:
        yield Difference(Bump.MINOR, place, "no event is too late for it any more")
    elif old.window is None:
        verb = "rejected" if new.window.then == "reject" else "held for an operator"
        yield Difference(Bump.MAJOR, place, f"events outside of its window are {verb} from now on")
    else:
        yield Difference(Bump.MAJOR, place, "other events are outside of its window than before")


def _key(old: RequestDefinition, new: RequestDefinition) -> Iterator[Difference]:
    """Yield that what is under way when the version changes is recognised differently."""
    before, after = old.idempotency_key, new.idempotency_key
    place = pointer("requests", new.name, "idempotencyKey")
    if before == after:
        return
    if before is None:
        message = "a lost answer is sent again from now on, with the same key"
        yield Difference(Bump.MINOR, place, message)
    elif after is None:
        message = "a lost answer is no longer sent again; what is under way is held or asked about"
        yield Difference(Bump.MAJOR, place, message)
    elif (before.source, before.field) != (after.source, after.field):
        message = "keys are made in another way: what is under way is held or asked about"
        yield Difference(Bump.MAJOR, place + "/from", message)
    elif before.seconds != after.seconds:
        message = "a lost answer is sent again for another time than before"
        yield Difference(Bump.MINOR, place + "/for", message)


def _object(
    place: str, old: Mapping[str, Any], new: Mapping[str, Any], kind: str
) -> Iterator[Difference]:
    """Yield the properties of the settings or of an action's fields."""
    before, after = old["properties"], new["properties"]
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for key in before:
        if key not in after:
            message = f"the {kind} {key!r} is gone: a value given for it is dropped or refused"
            yield Difference(Bump.MAJOR, place + pointer("properties", key), message)
    for key, spec in after.items():
        own = place + pointer("properties", key)
        if key in is_required - was_required:
            yield _required(own, key, kind, spec, is_new=key not in before)
        elif key not in before:
            yield Difference(Bump.MINOR, own, f"the {kind} {key!r} is new and optional")
        if key in before:
            yield from _property(own, before[key], spec, kind)


def _required(
    place: str, key: str, kind: str, spec: Mapping[str, Any], *, is_new: bool
) -> Difference:
    what = f"the {kind} {key!r} is " + ("new and required" if is_new else "required now")
    if kind == "setting" and "default" in spec:
        return Difference(Bump.MINOR, place, f"{what}; its default is used")
    if kind == "field" and "default" in spec and is_new:
        message = f"{what}: subscriptions without a mapping for it end as invalid; add its default"
        return Difference(Bump.MAJOR, place, message)
    return Difference(Bump.MAJOR, place, f"{what}: refused where it is missing")


def _property(
    place: str, old: Mapping[str, Any], new: Mapping[str, Any], kind: str
) -> Iterator[Difference]:
    for key in sorted((old.keys() | new.keys()) - {"title", "description", "examples"}):
        before, after = old.get(key, _MISSING), new.get(key, _MISSING)
        if before == after:
            continue
        own = place + pointer(key)
        if key in _OF_FORMS:
            yield Difference(Bump.PATCH, own, f"forms show the {kind} in another way")
        elif key == KEYWORD and after is _MISSING:
            yield Difference(Bump.MINOR, own, f"the {kind} is no longer required in some cases")
        elif key == KEYWORD:
            message = f"the {kind} is required in other cases now: refused where it is missing"
            yield Difference(Bump.MAJOR, own, message)
        elif key == "default" and kind == "field":
            message = "the default mapping has changed: new subscriptions send something else"
            yield Difference(Bump.MINOR if before is _MISSING else Bump.MAJOR, own, message)
        elif key == "default":
            yield Difference(
                Bump.MAJOR, own, "the default has changed: it applies to those that do not set it"
            )
        elif after is _MISSING:
            yield Difference(Bump.MINOR, own, f"{key} no longer restricts the {kind}")
        else:
            was = "nothing" if before is _MISSING else repr(before)
            yield Difference(Bump.MAJOR, own, f"{key} was {was} and is {after!r}")


def _presets(old: DestinationDefinition, new: DestinationDefinition) -> Iterator[Difference]:
    after = {preset.name: preset for preset in new.presets}
    for preset in old.presets:
        place = pointer("presets", preset.name)
        if preset.name not in after:
            yield Difference(Bump.MAJOR, place, f"the preset {preset.name!r} is gone")
            continue
        if preset.subscribe != after[preset.name].subscribe:
            message = "selects other events than before"
            yield Difference(Bump.MAJOR, place + "/subscribe", message)
        yield from _mapping(place, preset, new)
    for name in after.keys() - {preset.name for preset in old.presets}:
        yield Difference(Bump.MINOR, pointer("presets", name), f"the preset {name!r} is new")


def _mapping(place: str, old: Preset, new: DestinationDefinition) -> Iterator[Difference]:
    """Yield why a subscription made from the old preset no longer fits the fields."""
    action = new.actions.get(old.partner_action)
    if action is None:
        return
    fields = action.fields["properties"]
    for key in old.mapping:
        if key not in fields:
            message = f"subscriptions made from it map the removed field {key!r}"
            yield Difference(Bump.MAJOR, place + pointer("mapping", key), message)
    for key in action.fields.get("required", ()):
        if key not in old.mapping:
            message = f"subscriptions made from it lack the required field {key!r}"
            yield Difference(Bump.MAJOR, place + pointer("mapping", key), message)


def _access(old: DestinationDefinition, new: DestinationDefinition) -> Iterator[Difference]:
    """Yield what changes in how access tokens are got (OAuth2)."""
    before, after = old.oauth2, new.oauth2
    place = pointer("authentication", "oauth2")
    if before == after:
        return
    if before is None or after is None or before.grant != after.grant:
        was, becomes = (
            "no access tokens" if one is None else f"the grant {one.grant}"
            for one in (before, after)
        )
        message = f"it uses {becomes} from now on, and {was} until now: other credentials are due"
        yield Difference(Bump.MAJOR, place, message)
        return
    if more := [scope for scope in after.scopes if scope not in before.scopes]:
        again = after.refresh_token is not None
        message = f"it asks for further scopes: {' '.join(more)}"
        message += "; refresh tokens without them have to be authorized again" if again else ""
        yield Difference(Bump.MAJOR if again else Bump.MINOR, place + "/scopes", message)
    if before.credentials != after.credentials:
        message = f"its credentials are in other settings: {', '.join(after.credentials)}"
        yield Difference(Bump.MAJOR, place, message)
    if replace(before, scopes=after.scopes) != after or {*before.scopes} - {*after.scopes}:
        yield Difference(Bump.PATCH, place, "its requests for access tokens have changed")


def _prose(old: DestinationDefinition, new: DestinationDefinition) -> Iterator[Difference]:
    for key in ("name", "description", "catalog"):
        if getattr(old, key) != getattr(new, key):
            yield Difference(Bump.PATCH, pointer(key), "its wording has changed")
    for key in ("transport", "requests", "error_rules"):
        if getattr(old, key) != getattr(new, key):
            yield Difference(
                Bump.PATCH, pointer(key), "its requests, or how it reads answers, have changed"
            )
