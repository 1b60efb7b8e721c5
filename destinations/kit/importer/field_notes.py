"""Note what of a field of Segment's a JSON Schema does not say, and prepare the rest for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from destinations.kit.importer.findings import Findings
from destinations.kit.importer.left_out import is_empty, note_left_out
from destinations.segment.fields import FORM_KEYWORDS, SYNC_MODE
from destinations.segment.fields.conditions import conditions_of
from destinations.segment.json_pointer import pointer

__all__ = ["prepared_fields"]

_READ: Final = frozenset(
    {
        *("type", "label", "description", "required", "multiple", "allowNull", "choices"),
        *("format", "properties", "additionalProperties", "minimum", "maximum", "default"),
        *("depends_on", "dynamic"),
        *FORM_KEYWORDS,
    }
)
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "displayMode": frozenset({"expanded", "normal", "collapsed"}),
    "defaultObjectUI": frozenset(
        {"keyvalue", "keyvalue:only", "object", "object:only", "arrayeditor"}
    ),
}
_INPUTS: Final = frozenset({"literal", "variable", "function", "enrichment", "freeform"})
_KINDS: Final[tuple[tuple[tuple[str, ...], tuple[type, ...], str], ...]] = (
    (("placeholder", "category", "format"), (str,), "text"),
    (("hidden", "unsafe_hidden", "readOnly"), (bool,), "true or false"),
    (("minimum", "maximum"), (int, float), "a number"),
)
_OWN_FORMAT: Final = {"datetime": "date-like", "password": "password", "text": "text"}
_BOUNDED: Final = ("string", "number")


def prepared_fields(fields: Mapping[str, Any], path: str, findings: Findings) -> dict[str, Any]:
    """Return fields without what no keyword can say, each of which is noted.

    Fields that are no objects stay, for `fields_to_schema` to refuse.
    """
    return _Preparation(fields, findings).fields(fields, path)


class _Preparation:
    """Goes through the fields of one action."""

    def __init__(self, root: Mapping[str, Any], findings: Findings) -> None:
        self._root = root
        self._findings = findings

    def fields(
        self, fields: Mapping[str, Any], path: str, parent: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the fields at ``path``; ``parent`` is the one that has them as properties."""
        is_lax = parent is not None and any(map(_is_conditional, fields.values()))
        found: dict[str, Any] = {}
        for key, raw in fields.items():
            place = path + pointer(key)
            found[key] = raw
            if not isinstance(raw, dict):
                continue
            found[key] = self._field(raw, place)
            self._note_required(raw, place, parent, is_lax=is_lax)
            if not is_empty(raw.get("depends_on")):
                self._note_dependence(raw["depends_on"], f"{place}/depends_on", fields)
        return found

    def _field(self, raw: Mapping[str, Any], path: str) -> dict[str, Any]:
        note_left_out(raw, "field", _READ, path, self._findings)
        unreadable = dict(_unreadable(raw))
        field = {key: value for key, value in raw.items() if key not in unreadable}
        for key, message in (*_unenforced(field), *unreadable.items()):
            self._findings.note(path + pointer(key), message)
        for at, choice in enumerate(_list(raw.get("choices"))):
            if isinstance(choice, dict):
                place = f"{path}/choices/{at}"
                note_left_out(choice, "choice", ("value", "label"), place, self._findings)
        if raw.get("dynamic") is True:
            message = "code of Segment's asks the partner for the choices: write x-choices"
            self._findings.note(f"{path}/dynamic", message)
        if isinstance(raw.get("properties"), dict) and raw.get("type") == "object":
            field["properties"] = self.fields(raw["properties"], f"{path}/properties", raw)
        return field

    def _note_required(
        self,
        raw: Mapping[str, Any],
        path: str,
        parent: Mapping[str, Any] | None,
        *,
        is_lax: bool,
    ) -> None:
        if raw.get("required") is True and is_lax:
            message = (
                "Segment does not ask for it, as another property of the object is required under"
                " conditions: not required here either"
            )
            self._findings.note(f"{path}/required", message)
        if not _is_conditional(raw):
            return
        rule = conditions_of(raw["required"], "", [])
        if rule is None:  # an issue, which `fields_to_schema` finds
            return
        reason = ""
        unknown = _unknown(rule, self._root)
        if unknown:
            reason = f"the action has no field {unknown[0]!r}"
        elif parent is not None and parent.get("multiple"):
            reason = "it is a property of each item of a list"
        elif parent is not None and len(rule["conditions"]) > 1:
            reason = "a property with several conditions is read as a field with a dotted name"
        if reason:
            message = f"{reason}: written as allOf, with the meaning that it has at Segment"
            self._findings.note(f"{path}/required", message)

    def _note_dependence(self, given: object, path: str, siblings: Mapping[str, Any]) -> None:
        rule = conditions_of(given, "", [])
        unknown = [] if rule is None else _unknown(rule, {**self._root, **siblings})
        if unknown:
            name = "its sync mode" if unknown[0] == SYNC_MODE else f"a field {unknown[0]!r}"
            message = f"depends on {name}, which the action does not have: kept for Segment only"
            self._findings.note(path, message)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_conditional(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("required"), dict)


def _unknown(rule: Mapping[str, Any], known: Collection[str]) -> list[str]:
    names = (one["field"] for one in rule["conditions"])
    return [name for name in names if name.split(".")[0] not in known]


def _unenforced(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a field by which Segment's runtime changes nothing, with the reason."""
    kind = raw.get("type")
    own = _OWN_FORMAT.get(kind) if isinstance(kind, str) else None
    if own is not None and raw.get("format") not in (None, "", own):
        yield "format", f"a {kind} is read as {own} at Segment, and here: kept for Segment only"
    for key in ("minimum", "maximum"):
        value = raw.get(key)
        if value is not None and (kind not in _BOUNDED or value == 0 or raw.get("multiple")):
            yield (
                key,
                f"Segment does not enforce {value} for a field of this type: kept for Segment only",
            )
    if raw.get("properties") is not None and kind != "object":
        yield "properties", f"a {kind} has no properties at Segment, nor here: left out"
    if raw.get("allowNull") and kind == "object" and raw.get("properties") is not None:
        yield (
            "allowNull",
            "has no effect at Segment on an object with properties: kept for Segment only",
        )


def _unreadable(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a field whose value is not one that Segment's forms know."""
    for keys, kind, wanted in _KINDS:
        for key in keys:
            value = raw.get(key)
            is_flag = isinstance(value, bool) and bool not in kind
            if value is not None and (is_flag or not isinstance(value, kind)):
                yield key, f"is not {wanted}: left out"
    for key, words in _WORDS.items():
        value = raw.get(key)
        if value is not None and (not isinstance(value, str) or value not in words):
            yield key, f"is none of {', '.join(sorted(words))}: left out"
    given = raw.get("disabledInputMethods")
    if given is None:
        return
    is_list = isinstance(given, list) and all(isinstance(one, str) for one in given)
    if not is_list or not _INPUTS.issuperset(given):
        yield "disabledInputMethods", f"is no list of {', '.join(sorted(_INPUTS))}: left out"
