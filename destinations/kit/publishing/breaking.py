"""Find what a new version would break for the customers of a live destination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.errors import Issue, did_you_mean
from destinations.kit.exporter.fields import unshown_limits
from destinations.kit.publishing.publication import DESTINATION, Publication
from destinations.segment.json_pointer import pointer

__all__ = [
    "action_removed",
    "batching_removed",
    "choice_removed",
    "default_changed",
    "field_removed",
    "field_required",
    "field_stricter",
    "field_type_changed",
    "identity_changed",
    "limits_unseen",
    "object_closed",
    "preset_changed",
    "preset_removed",
    "scheme_changed",
]

_WITHIN: Final = "\0"
"""Stands between the names of an object and of a field in it: a name may have dots itself."""

_Fields = Mapping[str, Mapping[str, Any]]
_STRICTER: Final[Mapping[str, str]] = {
    "minimum": "at least",
    "maximum": "at most",
    "format": "the format",
}


class _Pair:
    """The fields of one action, or the settings, as they are live and as they would be.

    ``stem`` is the file of the definition, and ``place`` the pointer of their object in it.
    """

    def __init__(self, what: str, stem: str, place: str, old: _Fields, new: _Fields) -> None:
        self.what, self.stem, self.place = what, stem, place
        self.old, self.new = old, new
        self.kept = {key: (old[key], new[key]) for key in old if key in new}


def _pairs(publication: Publication) -> Iterator[_Pair]:
    if publication.published is None:
        return
    live, exported = publication.published.live, publication.published.exported
    yield _Pair("setting", DESTINATION, "/settings", _settings(live), _settings(exported))
    for slug, action in exported["actions"].items():
        if slug in live["actions"]:
            old = _flat(live["actions"][slug]["fields"])
            yield _Pair("field", slug, "/fields", old, _flat(action["fields"]))


def _settings(data: Mapping[str, Any]) -> _Fields:
    found: _Fields = (data.get("authentication") or {}).get("fields", {})
    return found


def _flat(fields: _Fields, prefix: str = "") -> dict[str, Mapping[str, Any]]:
    """Return fields by the names on the way to them, with those within objects."""
    found: dict[str, Mapping[str, Any]] = {}
    for key, field in fields.items():
        found[prefix + key] = field
        inner = field.get("properties")
        if isinstance(inner, Mapping):
            found |= _flat(inner, prefix + key + _WITHIN)
    return found


def _place(pair: _Pair, key: str, *rest: str) -> str:
    parts = [part for name in key.split(_WITHIN) for part in ("properties", name)]
    return pair.place + pointer(*parts, *rest)


def _named(pair: _Pair, key: str) -> str:
    name = key.replace(_WITHIN, ".")
    return f"the {pair.what} {name}" + (f" of {pair.stem}" if pair.what == "field" else "")


def identity_changed(publication: Publication) -> Iterator[Issue]:
    """Yield that the slug or the name differs from the live one."""
    if publication.published is None:
        return
    live, exported = publication.published.live, publication.published.exported
    for key in ("slug", "name"):
        if live[key] != exported[key]:
            message = (
                f"the live {key} is {live[key]!r}, and this one {exported[key]!r}: customers would"
                " lose the destination that they have set up"
            )
            yield publication.issue(message, f"/{key}")


def scheme_changed(publication: Publication) -> Iterator[Issue]:
    """Yield that customers have to authenticate in another way."""
    if publication.published is None:
        return
    old, new = (
        (one.get("authentication") or {}).get("scheme", "none")
        for one in (publication.published.live, publication.published.exported)
    )
    if old != new:
        message = f"the authentication was {old} and is {new}: what customers entered is not used"
        yield publication.issue(message, "/authentication")


def action_removed(publication: Publication) -> Iterator[Issue]:
    """Yield the live actions that are gone, with the one they may be called now."""
    if publication.published is None:
        return
    live, exported = publication.published.live["actions"], publication.metadata["actions"]
    added = {slug: one for slug, one in exported.items() if slug not in live}
    operator = publication.definition.actions
    for slug, action in live.items():
        if slug in exported:
            continue
        same = [new for new, one in added.items() if one["title"] == action.get("title")]
        hint = f"; it seems to be {same[0]} now" if same else did_you_mean(slug, added)
        message = f"the action {slug} is gone: mappings of customers that use it fail{hint}"
        stem = slug if slug in operator else DESTINATION
        yield publication.issue(message, "", stem)


def field_required(publication: Publication) -> Iterator[Issue]:
    """Yield the fields and settings that are required and were not."""
    for pair in _pairs(publication):
        for key, new in pair.new.items():
            old = pair.old.get(key)
            if new.get("required", False) is False or _is_inner_of_new(pair, key):
                continue
            is_new = old is None
            if old is not None and old.get("required", False) == new["required"]:
                continue
            if old is not None and old.get("required") is True:  # less often than before
                continue
            how = "is required" if new["required"] is True else "is required in some cases"
            customers = (
                "destinations of customers, who have not entered it, stop"
                if pair.what == "setting"
                else "mappings of customers, who have not mapped it, fail"
            )
            message = f"{_named(pair, key)} {'is new and ' * is_new}{how}{' now' * (not is_new)}"
            yield publication.issue(f"{message}: {customers}", _place(pair, key), pair.stem)


def _is_inner_of_new(pair: _Pair, key: str) -> bool:
    """Return whether a field is within an object that customers do not have yet."""
    outer = key.rpartition(_WITHIN)[0]
    return bool(outer) and outer not in pair.old


def field_type_changed(publication: Publication) -> Iterator[Issue]:
    """Yield the fields and settings that take other values than before."""
    for pair in _pairs(publication):
        for key, (old, new) in pair.kept.items():
            before, after = _type(old), _type(new)
            is_same = before == after or _is_secret_now(before, after)
            if not is_same and not (pair.what == "field" and _takes_as_well(before, after)):
                message = (
                    f"{_named(pair, key)} was {before} and is {after}: what customers have entered"
                    " or mapped may be refused"
                )
                yield publication.issue(message, _place(pair, key, "type"), pair.stem)


def _type(field: Mapping[str, Any]) -> str:
    return f"a list of {field['type']}" if field.get("multiple") else str(field.get("type"))


def _is_secret_now(before: str, after: str) -> bool:
    """Return whether text is only hidden now: the values stay."""
    return {before, after} <= {"string", "text", "password"} and before != "password"


_TAKEN_AS_WELL: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset({"integer"}),
    "string": frozenset({"text", "datetime", "integer", "number", "boolean"}),
    "text": frozenset({"string", "datetime", "integer", "number", "boolean"}),
}
"""The types whose values a type takes, too: Segment makes text of numbers for a text."""


def _takes_as_well(before: str, after: str) -> bool:
    """Return whether a field takes all that it took, though its type has changed."""
    return before in _TAKEN_AS_WELL.get(after, frozenset())


def field_removed(publication: Publication) -> Iterator[Issue]:
    """Yield the live fields and settings that are gone."""
    for pair in _pairs(publication):
        added = [key for key in pair.new if key not in pair.old]
        for key in pair.old:
            if key not in pair.new and not _outer_is_gone(pair, key):
                names = [one.replace(_WITHIN, ".") for one in added]
                hint = did_you_mean(key.replace(_WITHIN, "."), names)
                message = (
                    f"{_named(pair, key)} is gone: what customers have set for it is lost{hint}"
                )
                yield publication.issue(message, _place(pair, key), pair.stem)


def _outer_is_gone(pair: _Pair, key: str) -> bool:
    outer = key.rpartition(_WITHIN)[0]
    return bool(outer) and outer not in pair.new


def choice_removed(publication: Publication) -> Iterator[Issue]:
    """Yield the choices that customers may have chosen, and that are gone."""
    for pair in _pairs(publication):
        for key, (old, new) in pair.kept.items():
            before, after = old.get("choices"), new.get("choices")
            if not after:
                continue
            now = [one["value"] for one in after]
            if not before:
                message = (
                    f"{_named(pair, key)} took any value and has {_choices(len(now))}: other values"
                    " of customers are refused"
                )
                yield publication.issue(message, _place(pair, key, "enum"), pair.stem)
                continue
            gone = [one["value"] for one in before if one["value"] not in now]
            if gone:
                shown = ", ".join(map(repr, gone))
                message = (
                    f"{_named(pair, key)} no longer has the choice {shown}: customers who chose it"
                    " get an error"
                )
                yield publication.issue(message, _place(pair, key, "enum"), pair.stem)


def _choices(number: int) -> str:
    return "1 choice" if number == 1 else f"{number} choices"


def field_stricter(publication: Publication) -> Iterator[Issue]:
    """Yield the fields that refuse values which they took."""
    for pair in _pairs(publication):
        for key, (old, new) in pair.kept.items():
            for keyword, name in _STRICTER.items():
                before, after = old.get(keyword), new.get(keyword)
                if after is None or after == before or _is_looser(keyword, before, after):
                    continue
                if before is None and _is_newly_shown(old, new):
                    continue
                message = f"{_named(pair, key)} must be {name} {after} now"
                if keyword == "format":
                    message = f"{_named(pair, key)} must have the format {after} now"
                message += ": values that customers send are refused"
                yield publication.issue(message, _place(pair, key), pair.stem)
            if old.get("allowNull") and not new.get("allowNull"):
                message = f"{_named(pair, key)} no longer takes null: events with it fail"
                yield publication.issue(message, _place(pair, key, "type"), pair.stem)


def object_closed(publication: Publication) -> Iterator[Issue]:
    """Yield the objects that took members of any name, and now take those that are listed."""
    for pair in _pairs(publication):
        for key, (old, new) in pair.kept.items():
            if _is_open(old) and not _is_open(new) and "object" == old["type"] == new["type"]:
                message = (
                    f"{_named(pair, key)} took members of any name, and takes only those that are"
                    " listed now: what customers send beside them is lost or refused"
                )
                yield publication.issue(message, _place(pair, key), pair.stem)


def _is_open(field: Mapping[str, Any]) -> bool:
    return not field.get("properties") or bool(field.get("additionalProperties"))


def _is_looser(keyword: str, before: Any, after: Any) -> bool:
    if before is None or keyword == "format":
        return False
    return bool(after < before if keyword == "minimum" else after > before)


def _is_newly_shown(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether the limits of a field were checked by code, which no metadata shows."""
    return bool(old["type"] == "integer" and new["type"] == "number")


def limits_unseen(publication: Publication) -> Iterator[Issue]:
    """Yield the limits of live fields that cannot be compared, as code checks them."""
    for pair in _pairs(publication):
        if pair.what != "field":
            continue
        specs = publication.definition.actions[pair.stem].fields["properties"]
        found = []
        for key, (old, new) in pair.kept.items():
            keywords = unshown_limits(specs[key]) if key in specs else []
            if _is_newly_shown(old, new):
                keywords += [one for one in ("minimum", "maximum") if new.get(one) is not None]
            if keywords:
                found.append(f"{' and '.join(keywords)} of {key}")
        place = "/fields" if found else "/window"
        if publication.definition.actions[pair.stem].window is not None:
            found.append("the window")
        if found:
            message = f"no published file shows the limits that code checks: {', '.join(found)}"
            yield publication.issue(message, place, pair.stem)


def default_changed(publication: Publication) -> Iterator[Issue]:
    """Yield the defaults that new mappings get, and existing ones do not."""
    for pair in _pairs(publication):
        for key, (old, new) in pair.kept.items():
            if old.get("default") != new.get("default"):
                message = (
                    f"the default of {_named(pair, key)} has changed: mappings of customers keep"
                    " the former one"
                )
                if pair.what == "setting":
                    message = (
                        f"the default of {_named(pair, key)} has changed: customers who have not"
                        " set it may get the new one"
                    )
                yield publication.issue(message, _place(pair, key, "default"), pair.stem)


def batching_removed(publication: Publication) -> Iterator[Issue]:
    """Yield the actions that took batches and take single events now."""
    if publication.published is None:
        return
    exported = publication.metadata["actions"]
    for slug, action in publication.published.live["actions"].items():
        is_kept = slug in exported and not exported[slug]["hasPerformBatch"]
        if is_kept and action.get("hasPerformBatch"):
            message = (
                f"the action `{slug}` took batches, and takes single events now: customers see"
                " more delay"
            )
            yield publication.issue(message, "/perform", slug)


def preset_removed(publication: Publication) -> Iterator[Issue]:
    """Yield the presets that are gone."""
    if publication.published is None:
        return
    names = {preset["name"] for preset in publication.metadata["presets"]}
    for preset in publication.published.live["presets"]:
        if preset["name"] not in names:
            message = (
                f"the preset {preset['name']!r} is gone: customers who add the destination from now"
                " on start without it"
            )
            yield publication.issue(message, "/presets")


def preset_changed(publication: Publication) -> Iterator[Issue]:
    """Yield the presets that start another action, or with other events, under the same name."""
    if publication.published is None:
        return
    exported = list(enumerate(publication.metadata["presets"]))
    changed = []
    # Several may have one name: those that have not changed belong together.
    for live in publication.published.live["presets"]:
        same = [one for one in exported if one[1]["name"] == live["name"]]
        exact = [one for one in same if not _differing(live, one[1])]
        if exact:
            exported.remove(exact[0])
        elif live.get("partnerAction") in publication.metadata["actions"]:
            changed.append(live)  # else the action is gone, which is told
    for live in changed:
        same = [one for one in exported if one[1]["name"] == live["name"]]
        if not same:
            continue
        exported.remove(same[0])
        index, preset = same[0]
        for key in _differing(live, preset):
            message = (
                f"the preset {live['name']!r} had {key} {live[key]!r} and has {preset[key]!r}:"
                " customers who have it keep the former one"
            )
            yield publication.issue(message, pointer("presets", index, key))


def _differing(live: Mapping[str, Any], preset: Mapping[str, Any]) -> list[str]:
    return [
        key for key in ("partnerAction", "subscribe") if live.get(key, preset[key]) != preset[key]
    ]
