"""Compare two versions of a definition, and say what changes for its users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from destinations.definition.difference import (
    MISSING,
    Bump,
    Difference,
    changed,
    leaves,
    listed,
    shown,
)
from destinations.definition.model import (
    DELETION,
    ActionDefinition,
    DestinationDefinition,
    Perform,
    Preset,
    Step,
    UsageDefinition,
    Window,
)
from destinations.definition.request_comparison import compare_requests
from destinations.durations import duration_in_words
from destinations.segment.json_pointer import pointer
from destinations.segment.validation.required_when import KEYWORD

__all__ = ["Bump", "Difference", "Version", "compare"]

_OF_FORMS: Final = frozenset(
    {
        *("x-labels", "x-placeholder", "x-dependsOn", "x-hidden", "readOnly", "x-display"),
        *("x-category", "x-objectUI", "x-disabledInputs", "x-choices", "x-segment"),
    }
)
"""The keywords of a field or setting that say only how forms show it."""
_OF_PAGES: Final = frozenset(
    {"title", "description", "examples", "x-partnerField", "x-otherwise", "x-catalog"}
)
"""The keywords that say only what the documentation page has of it."""


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
    found += _deletion(old.deletion, new.deletion)
    found += _presets(old, new)
    found += compare_requests(old, new)
    found += _events(old, new)
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
    yield from _window(place + "/window", old.window, new.window)
    yield from _usage(place + "/usage", old.usage, new.usage)
    if old.default_subscription != new.default_subscription:
        was, now = (
            shown(one.default_subscription, other.default_subscription)
            for one, other in ((old, new), (new, old))
        )
        message = f"the default subscription was {was} and is {now}; existing ones keep theirs"
        yield Difference(Bump.MINOR, place + "/defaultSubscription", message)
    if old.unmapped != new.unmapped:
        was, now = (
            "nothing" if one.unmapped is None else one.unmapped.missing for one in (old, new)
        )
        message = f"the field without which an event ends as unmapped was {was} and is {now}"
        is_same = was == now  # it has another reason, or another mapper
        yield Difference(
            Bump.PATCH if is_same else Bump.MAJOR,
            place + "/unmapped",
            "events end as unmapped in other words" if is_same else message,
        )
    what = "an account that an event touches besides its user's"
    yield from changed(place + "/touches", what, old.touches, new.touches)
    for key in ("method", "title", "description"):
        pair = (getattr(one, key) for one in (old, new))
        yield from changed(place + pointer(key), f"its {key}", *pair)


def _deletion(old: ActionDefinition | None, new: ActionDefinition | None) -> Iterator[Difference]:
    place = pointer(DELETION)
    if old is None and new is not None:
        message = f"the partner is asked to delete users from now on, by {_performed(new.perform)}"
        yield Difference(Bump.MINOR, place, message)
    elif old is not None and new is None:
        message = "the partner is no longer asked to delete users: such events are filtered"
        yield Difference(Bump.MAJOR, place, message)
    elif old is not None and new is not None and old.perform != new.perform:
        yield _other_requests(place + "/request", old.perform, new.perform)


def _performed(perform: Perform) -> str:
    """Return what an action makes, in words."""
    if perform.request is not None:
        return f"the request {perform.request!r}"
    if perform.steps:
        return f"the steps {listed(step.name for step in perform.steps)}"
    return f"the requests of the generator {perform.generator!r} ({listed(perform.requests)})"


def _other_requests(place: str, old: Perform, new: Perform) -> Difference:
    message = f"it makes {_performed(new)}, and {_performed(old)} until now"
    return Difference(Bump.MINOR, place, message)


def _perform(place: str, old: Perform, new: Perform) -> Iterator[Difference]:
    if old == new:
        return
    if old.steps and new.steps:
        yield from _steps(place + "/steps", old.steps, new.steps)
    elif _performed(old) != _performed(new):
        yield _other_requests(place, old, new)
    what = "the most events that go through its requests together"
    yield from changed(place + "/batch/size", what, old.batch_size, new.batch_size)
    if not (old.steps and new.steps):
        return
    if old.otherwise != new.otherwise:
        end = new.otherwise or "rejected"
        message = f"where no step fits that changes something, an event is {end}"
        yield Difference(Bump.MINOR, place + "/otherwise", message)
    place += "/repeatable"
    again = "its steps are made again from the first one on"
    if old.repeatable and not new.repeatable:
        message = f"after a lost answer, {again} no longer: an operator decides"
        yield Difference(Bump.MAJOR, place, message)
    elif new.repeatable and not old.repeatable:
        message = f"after a lost answer, {again}, {duration_in_words(new.repeat_after)} later"
        yield Difference(Bump.MINOR, place, message)
    elif new.repeatable and old.repeat_after != new.repeat_after:
        was, now = (duration_in_words(one.repeat_after) for one in (old, new))
        message = f"after a lost answer, {again} after {now}, and after {was} until now"
        # The lost request may still arrive.
        bump = Bump.MINOR if new.repeat_after < old.repeat_after else Bump.PATCH
        yield Difference(bump, place + "/after", message)


def _steps(place: str, old: Sequence[Step], new: Sequence[Step]) -> Iterator[Difference]:
    before, after = ({step.name: step for step in steps} for steps in (old, new))
    for name, step in before.items():
        if name not in after:
            message = f"the step {name!r} is gone, which made the request {step.request!r}"
            yield Difference(Bump.MINOR, place, message)
    for number, (name, step) in enumerate(after.items()):
        own = place + pointer(number)
        if name not in before:
            message = f"the step {name!r} is new: it makes the request {step.request!r}"
            message += f" if {step.condition}" if step.when else ""
            yield Difference(Bump.MINOR, own, message)
            continue
        former = before[name]
        if step.request != former.request:
            message = (
                f"the step {name!r} makes the request {step.request!r}, and {former.request!r} "
                "until now"
            )
            yield Difference(Bump.MINOR, own + "/request", message)
        if step.when != former.when:
            was, now = (f"if {one.condition}" if one.when else "always" for one in (former, step))
            message = f"the step {name!r} is made {now}, and until now {was}"
            yield Difference(Bump.MINOR, own + "/when", message)
    kept, order = (
        [one for one in names if one in after and one in before] for names in (before, after)
    )
    if kept != order:
        message = f"the order of its steps was {listed(kept)} and is {listed(order)}"
        yield Difference(Bump.MINOR, place, message)


def _usage(
    place: str, old: UsageDefinition | None, new: UsageDefinition | None
) -> Iterator[Difference]:
    """Yield that usage is kept, or compared with the partner's, in another way."""
    if old is None and new is not None:
        message = "usage can be compared with what the partner counts, for what is delivered then"
        yield Difference(Bump.MINOR, place, message)
    elif old is not None and new is None:
        message = "usage can no longer be compared with what the partner counts"
        yield Difference(Bump.MAJOR, place, message)
    elif old is not None and new is not None:
        for key in ("user", "feature", "amount", "at"):
            if getattr(old, key) != getattr(new, key):
                message = "usage is kept in another way; what was kept before stays as it is"
                yield Difference(Bump.MINOR, place + pointer(key), message)
        if old.ask != new.ask:
            message = "the partner is asked about usage in another way"
            yield Difference(Bump.PATCH, place + "/ask", message)


def _window(place: str, old: Window | None, new: Window | None) -> Iterator[Difference]:
    """Yield that events are too late, or too early, that were not before."""
    if old == new:
        return
    if new is None:
        yield Difference(Bump.MINOR, place, "no event is too late for it any more")
        return
    verb = "rejected" if new.then == "reject" else "held for an operator"
    if old is None:
        limits = " or ".join(
            f"more than {duration_in_words(seconds)} {what}"
            for seconds, what in ((new.grace, "old"), (new.ahead, "in the future"))
            if seconds is not None
        )
        message = f"events that are {limits} are {verb} from now on"
        yield Difference(Bump.MAJOR, place, message)
        return
    so = "other events are outside of its window"
    what = "the time of an event"
    yield from changed(place + "/from", what, old.source, new.source, Bump.MAJOR, so=so)
    if old.grace_setting != new.grace_setting:
        said = [
            "the definition" if one is None else f"the setting {one}"
            for one in (old.grace_setting, new.grace_setting)
        ]
        message = f"how old an event could be was said by {said[0]} and is said by {said[1]}"
        # An account that has set it to more than the default takes less from now on.
        bump = Bump.MINOR if old.grace_setting is None else Bump.MAJOR
        yield Difference(bump, place + "/grace", message)
    for key, what, side in (
        ("grace", "old", "late"),
        ("ahead", "in the future", "early"),
    ):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            was, now = (
                "any time" if one is None else duration_in_words(one) for one in (before, after)
            )
            is_narrower = after is not None and (before is None or after < before)
            fewer = "more" if is_narrower else "fewer"
            message = f"an event could be {was} {what} and can be {now}: {fewer} are too {side}"
            bump = Bump.MAJOR if is_narrower else Bump.MINOR
            yield Difference(bump, place + pointer(key), message)
    if old.then != new.then:
        was = "rejected" if old.then == "reject" else "held for an operator"
        message = f"events outside of its window were {was} and are {verb}"
        yield Difference(Bump.MAJOR, place + "/then", message)


def _object(
    place: str, old: Mapping[str, Any], new: Mapping[str, Any], kind: str
) -> Iterator[Difference]:
    """Yield the properties of the settings or of an action's fields."""
    before: Mapping[str, Any] = old["properties"]
    after: Mapping[str, Any] = new["properties"]
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
    has_both = "properties" in old.keys() & new.keys()
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key, MISSING), new.get(key, MISSING)
        if before == after:
            continue
        own = place + pointer(key)
        is_inner = isinstance(before, Mapping) and isinstance(after, Mapping)
        if key in _OF_FORMS | _OF_PAGES:
            who = "forms show" if key in _OF_FORMS else "its page shows"
            for path, was, now in leaves(own, before, after):
                message = f"{who} the {kind} in another way: {key} was {shown(was, now)} and is "
                yield Difference(Bump.PATCH, path, message + shown(now, was))
        elif key == "default":
            yield from _default(own, before, after, kind)
        elif is_inner and key == "items":
            yield from _property(own, before, after, kind)
        elif key not in {"properties", "required"} or not has_both:
            yield _keyword(own, key, before, after, kind)
    if has_both:
        yield from _object(place, old, new, "property")


def _keyword(place: str, key: str, before: object, after: object, kind: str) -> Difference:
    """Return that a keyword takes other values than before."""
    was, now = shown(before, after), shown(after, before)
    if after is MISSING:
        message = f"{key} no longer restricts the {kind}: it was {was}"
        if key == KEYWORD:
            message = f"the {kind} is no longer required in some cases, which were {was}"
        return Difference(Bump.MINOR, place, message)
    message = f"{key} was {was} and is {now}"
    if key == KEYWORD:
        message = f"the {kind} is required in other cases now: refused where it is missing; the "
        message += f"cases were {was} and are {now}"
    return Difference(Bump.MAJOR, place, message)


def _default(place: str, before: object, after: object, kind: str) -> Iterator[Difference]:
    so, bump = "it applies to those that do not set it", Bump.MAJOR
    what = "the default"
    if kind != "setting":
        what, so = "the default mapping", "new subscriptions send something else"
        bump = Bump.MINOR if before is MISSING else Bump.MAJOR
    for path, was, now in leaves(place, before, after):
        message = f"{what} has changed: it was {shown(was, now)} and is {shown(now, was)}; {so}"
        yield Difference(bump, path, message)


def _presets(old: DestinationDefinition, new: DestinationDefinition) -> Iterator[Difference]:
    after = {preset.name: preset for preset in new.presets}
    for preset in old.presets:
        place = pointer("presets", preset.name)
        if preset.name not in after:
            yield Difference(Bump.MAJOR, place, f"the preset {preset.name!r} is gone")
            continue
        what = "the action of its subscriptions"
        was, now = preset.partner_action, after[preset.name].partner_action
        yield from changed(place + "/partnerAction", what, was, now, Bump.MAJOR)
        if preset.subscribe != after[preset.name].subscribe:
            was, now = preset.subscribe, after[preset.name].subscribe
            message = f"selected the events {shown(was, now)} and selects {shown(now, was)}"
            yield Difference(Bump.MAJOR, place + "/subscribe", message)
        yield from _other_mapping(place + "/mapping", preset, after[preset.name], old)
        yield from _mapping(place, preset, new)
    for name in after.keys() - {preset.name for preset in old.presets}:
        yield Difference(Bump.MINOR, pointer("presets", name), f"the preset {name!r} is new")


def _other_mapping(
    place: str, old: Preset, new: Preset, definition: DestinationDefinition
) -> Iterator[Difference]:
    """Yield what a preset maps otherwise, unless it is the default of a field, which is told."""
    action = definition.actions.get(old.partner_action)
    if action is None or old.partner_action != new.partner_action:
        return
    defaults = action.default_mapping
    for key, mapping in new.mapping.items():
        if key in old.mapping and old.mapping[key] != defaults.get(key, MISSING):
            own, what = place + pointer(key), f"what it sends as {key!r}"
            yield from changed(own, what, old.mapping[key], mapping, Bump.MAJOR)


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


def _events(old: DestinationDefinition, new: DestinationDefinition) -> Iterator[Difference]:
    """Yield which events are taken otherwise, before any action is asked."""
    place = "/events"
    before, after = {*old.required_event_fields}, {*new.required_event_fields}
    for name in sorted(before ^ after):
        is_new = name in after
        message = f"events without {name} are {'' if is_new else 'no longer '}refused"
        yield Difference(Bump.MAJOR if is_new else Bump.MINOR, place + "/requires", message)
    if old.integrations_key != new.integrations_key:
        message = (
            f"the key of its options in `integrations` was {old.integrations_key!r} and is "
            f"{new.integrations_key!r}: events that name the former are no longer for it"
        )
        yield Difference(Bump.MAJOR, place + "/integrationsKey", message)
    what = "a value that stands for a missing one"
    yield from changed(
        place + "/placeholders", what, old.placeholders, new.placeholders, Bump.MINOR
    )
    what = "a trait that counts as missing if it is blank"
    yield from changed(place + "/blankTraits", what, old.blank_traits, new.blank_traits, Bump.MINOR)


def _prose(old: DestinationDefinition, new: DestinationDefinition) -> Iterator[Difference]:
    for key in ("name", "description"):
        what = "its wording has changed: it"
        yield from changed(pointer(key), what, getattr(old, key), getattr(new, key))
    for path, was, now in leaves("", old.catalog, new.catalog):
        message = f"its wording has changed: it was {shown(was, now)} and is {shown(now, was)}"
        yield Difference(Bump.PATCH, path, message)
