"""Count what became of each key of Segment's files: carried, named in a note, or without meaning.

A key whose value says nothing (null, false, empty) does not count. What is carried is looked for in
the definition as it is loaded, not in what the importer says of itself.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from destinations.definition import ActionDefinition
from destinations.kit.importer import Imported
from destinations.kit.importer.left_out import MEANS_NOTHING, Kind, is_empty
from destinations.segment.fields import FORM_KEYWORDS, SYNC_MODE
from destinations.segment.json_pointer import pointer

TYPES = {
    **dict.fromkeys(("string", "text", "password"), "string"),
    **dict.fromkeys(("number", "integer", "boolean", "object"), None),
    "datetime": ["string", "number"],
}
FORMATS = {"datetime": "date-like", "text": "text", "password": "password"}
BOUNDS = {"string": ("minLength", "maxLength"), "number": ("minimum", "maximum")}


@dataclasses.dataclass(slots=True)
class Account:
    """What became of the keys of destinations, by ``kind.key``; ``lost`` are their places."""

    carried: Counter[str] = dataclasses.field(default_factory=Counter)
    noted: Counter[str] = dataclasses.field(default_factory=Counter)
    meaningless: Counter[str] = dataclasses.field(default_factory=Counter)
    lost: list[str] = dataclasses.field(default_factory=list)

    def table(self) -> dict[str, dict[str, int]]:
        """Each key with its three counts."""
        parts = {"carried": self.carried, "noted": self.noted, "meaningless": self.meaningless}
        keys = sorted({key for part in parts.values() for key in part})
        return {key: {name: part[key] for name, part in parts.items() if part[key]} for key in keys}


class Accountant:
    """Goes through one destination in the shape of the action library."""

    def __init__(self, account: Account, imported: Imported, raw: Mapping[str, Any]) -> None:
        self.account = account
        self.definition = imported.definition
        self.notes = {note.path for note in imported.notes}
        self.raw = raw

    def count(self, path: str = "") -> None:
        """Count all keys of the destination at ``path`` of its file."""
        raw, definition = self.raw, self.definition
        made = {
            "slug": True,  # of which the name of the folder is made
            "name": raw.get("name") == definition.name,
            "description": _same_text(raw.get("description"), definition.description),
            "mode": raw.get("mode") == "cloud",
        }
        inner = ("authentication", "actions", "presets")
        self._keys("destination", raw, path, made, skip=inner)
        self._authentication(raw.get("authentication") or {}, f"{path}/authentication")
        for slug, action in raw["actions"].items():
            place = f"{path}/actions{pointer(slug)}"
            if slug in definition.actions:
                self._action(action, place, definition.actions[slug])
            else:
                self._whole("action", action, place)
        for at, preset in enumerate(raw.get("presets") or ()):
            self._preset(preset, f"{path}/presets/{at}")

    def _tell(self, kind: Kind, key: str, path: str, *, is_carried: bool) -> None:
        name = f"{kind}.{key}"
        if path in self.notes:
            self.account.noted[name] += 1
        elif is_carried:
            self.account.carried[name] += 1
        elif key in MEANS_NOTHING[kind]:
            self.account.meaningless[name] += 1
        else:
            self.account.lost.append(f"{path} ({name})")

    def _keys(
        self,
        kind: Kind,
        raw: Mapping[str, Any],
        path: str,
        made: Mapping[str, bool],
        skip: tuple[str, ...] = (),
    ) -> None:
        for key, value in raw.items():
            if key not in skip and not is_empty(value):
                place = path + pointer(key)
                self._tell(kind, key, place, is_carried=made.get(key, False))

    def _whole(self, kind: Kind, raw: Mapping[str, Any], path: str) -> None:
        """Count an object that a note leaves out as a whole, or all its keys as lost."""
        for key, value in raw.items():
            if is_empty(value):
                continue
            if path in self.notes:
                self.account.noted[f"{kind}.{key}"] += 1
            else:
                self.account.lost.append(path + pointer(key))

    def _authentication(self, raw: Mapping[str, Any], path: str) -> None:
        self._keys("authentication", raw, path, {}, skip=("fields",))
        settings = self.definition.settings
        for name, field in (raw.get("fields") or {}).items():
            spec = settings["properties"].get(name)
            place = f"{path}/fields{pointer(name)}"
            if spec is None:
                self._whole("setting", field, place)
                continue
            values, labels = _choices(field)
            is_required = name in settings.get("required", ())
            made = {
                "label": spec["title"] == field.get("label"),
                "description": _same_text(field.get("description"), spec["description"]),
                "type": _is_setting_type(field, spec),
                "required": _is_required(field.get("required"), spec, is_required),
                "choices": spec.get("enum") == values and _are_labels(labels, spec, values),
                "default": spec.get("default") == field.get("default"),
                "depends_on": _is_rule(field.get("depends_on"), spec.get("x-dependsOn")),
                "placeholder": spec.get("x-placeholder") == field.get("placeholder"),
                "format": spec.get("format") == field.get("format"),
                "minimum": field.get("minimum") in (spec.get("minLength"), spec.get("minimum")),
                "maximum": field.get("maximum") in (spec.get("maxLength"), spec.get("maximum")),
            }
            self._keys("setting", field, place, made)

    def _action(self, raw: Mapping[str, Any], path: str, action: ActionDefinition) -> None:
        modes = action.fields["properties"].get(SYNC_MODE, {})
        given = raw.get("syncMode") or {}
        made = {
            "title": raw.get("title") == action.title,
            "description": _same_text(raw.get("description"), action.description),
            "platform": raw.get("platform") == "cloud",  # where definitions run
            "defaultSubscription": action.default_subscription == raw.get("defaultSubscription"),
            "syncMode": modes.get("enum") == [one["value"] for one in given.get("choices", ())]
            and modes.get("default") == given.get("default")
            and modes.get("title") == given.get("label"),
        }
        nested = ("fields", "hooks", "dynamicFields")
        self._keys("action", raw, path, made, skip=nested)
        properties = action.fields["properties"]
        for group in nested[1:]:
            for name in raw.get(group) or ():
                place = f"{path}/{group}{pointer(name)}"
                has_choices = group == "dynamicFields" and "x-choices" in properties.get(name, {})
                self._tell("action", group, place, is_carried=has_choices)
        required, rules = action.fields.get("required", ()), action.fields.get("allOf", ())
        for key, field in raw["fields"].items():
            place = f"{path}/fields{pointer(key)}"
            self._field(field, place, properties[key], key in required, rules)

    def _field(
        self,
        raw: Mapping[str, Any],
        path: str,
        spec: Mapping[str, Any],
        is_required: bool,
        rules: Any,
    ) -> None:
        one = spec.get("items", spec)
        kind = raw["type"]
        low, high = BOUNDS.get(kind, ("", ""))
        values, labels = _choices(raw)
        enum = [value for value in one.get("enum", ()) if value is not None or value in values]
        made = {
            "label": spec.get("title") == raw.get("label"),
            "description": _same_text(raw.get("description"), spec.get("description")),
            "type": _is_type(raw, spec),
            "required": _is_required(raw.get("required"), spec, is_required)
            or _is_in_rules(raw.get("required"), path, rules),
            "multiple": spec["type"] == "array",
            "allowNull": "null" in one.get("type", ()) or "null" in spec["type"],
            "choices": enum == values and _are_labels(labels, one, values),
            "format": one.get("format", spec.get("format")) == raw.get("format"),
            "properties": list(one.get("properties", ())) == list(raw.get("properties") or ()),
            "additionalProperties": one.get("additionalProperties", True) is True,
            "minimum": one.get(low, spec.get(low)) == raw.get("minimum"),
            "maximum": one.get(high, spec.get(high)) == raw.get("maximum"),
            "default": spec.get("default") == raw.get("default"),
            "dynamic": "x-choices" in spec,
            "depends_on": _is_rule(raw.get("depends_on"), spec.get("x-dependsOn")),
            **{key: spec.get(keyword) == raw.get(key) for key, keyword in FORM_KEYWORDS.items()},
        }
        self._keys("field", raw, path, made)
        for key, inner in (raw.get("properties") or {}).items():
            place = f"{path}/properties{pointer(key)}"
            is_inner = key in one.get("required", ())
            self._field(inner, place, one["properties"][key], is_inner, rules)

    def _preset(self, raw: Mapping[str, Any], path: str) -> None:
        if path in self.notes:
            self._whole("preset", raw, path)
            return
        found = [one for one in self.definition.presets if one.name.startswith(raw["name"])]
        same = [one for one in found if one.partner_action == raw["partnerAction"]
                and one.mapping == (raw.get("mapping") or {})]  # fmt: skip
        made = {
            "name": bool(found),
            "partnerAction": bool(same),
            "mapping": bool(same),
            "subscribe": any(one.subscribe == raw.get("subscribe") for one in same),
            "type": raw.get("type") == "automatic",
        }
        self._keys("preset", raw, path, made)


def _choices(raw: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the values and the labels of a field's choices."""
    choices = [
        one if isinstance(one, dict) else {"value": one, "label": str(one)}
        for one in raw.get("choices") or ()
    ]
    return [one["value"] for one in choices], [one.get("label") for one in choices]


def _same_text(before: object, after: object) -> bool:
    return isinstance(before, str) and isinstance(after, str) and before.strip() == after.strip()


def _is_setting_type(raw: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    if raw["type"] == "password":
        return bool(spec["type"] == "string" and spec.get("format") == "password")
    return bool(spec["type"] == raw["type"])


def _is_type(raw: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    kind = raw["type"]
    wanted = TYPES[kind] or kind
    one = spec.get("items", spec) if raw.get("multiple") else spec
    types = one["type"]
    if raw.get("allowNull") and isinstance(types, list):
        types = [name for name in types if name != "null"]
        types = types[0] if len(types) == 1 else types
    has_format = FORMATS.get(kind) in (None, spec.get("format"))
    return bool(types == wanted and has_format)


def _is_required(given: object, spec: Mapping[str, Any], listed: bool) -> bool:
    return _is_rule(given, spec.get("x-requiredWhen")) if isinstance(given, dict) else listed


def _is_in_rules(given: object, path: str, rules: Any) -> bool:
    """Return whether a rule of the whole payload requires a field under conditions."""
    name = path.rpartition("/")[2]
    return isinstance(given, dict) and any(
        name in [key.rpartition(".")[2] for key in _names(rule["then"])] for rule in rules
    )


def _names(then: Mapping[str, Any]) -> list[str]:
    inner = [name for part in then.get("properties", {}).values() for name in _names(part)]
    return [*then["required"], *inner]


def _is_rule(given: object, made: object) -> bool:
    """Return whether a rule of a definition is one of Segment's."""
    if not isinstance(given, dict) or not isinstance(made, dict):
        return False
    wanted = [
        {
            "field": SYNC_MODE if one.get("type") == "syncMode" else one["fieldKey"],
            "operator": one["operator"],
            **({"value": one["value"]} if "value" in one else {}),
        }
        for one in given["conditions"]
    ]
    return bool(
        made["conditions"] == wanted and made.get("match", "all") == given.get("match", "all")
    )


def _are_labels(labels: list[str], spec: Mapping[str, Any], values: list[Any]) -> bool:
    shown = spec.get("x-labels", [None] * len(values))
    return all(
        label == (mine if mine is not None else str(value))
        for label, mine, value in zip(labels, shown, values, strict=False)
    )


def accounts(imported: Iterator[tuple[Mapping[str, Any], Imported, str]]) -> Account:
    """Return the account of several destinations: each raw, imported, and its place in its file."""
    account = Account()
    for raw, result, path in imported:
        Accountant(account, result, raw).count(path)
    return account
