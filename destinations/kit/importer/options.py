"""Read one setting of Segment's: in the action library a field, in the Public API an option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.errors import Issue
from destinations.kit.importer.findings import Findings
from destinations.kit.importer.left_out import is_empty, note_left_out
from destinations.kit.importer.segment_model import SegmentOption
from destinations.segment.fields.conditions import conditions_of

__all__ = ["read_option"]

_READ: Final = (
    *("name", "type", "label", "description", "required", "default", "defaultValue", "choices"),
    *("multiple", "depends_on", "placeholder", "format", "minimum", "maximum", "hidden"),
    *("unsafe_hidden", "readOnly", "category", "displayMode"),
)
_TEXTS: Final = {"placeholder": "x-placeholder", "category": "x-category", "format": "format"}
_FLAGS: Final = {"hidden": "x-hidden", "unsafe_hidden": "x-hidden", "readOnly": "readOnly"}


def read_option(
    raw: Mapping[str, Any], name: str, path: str, findings: Findings, default: str = "default"
) -> SegmentOption:
    """Return the option; ``default`` is the key of its default."""
    note_left_out(raw, "setting", _READ, path, findings)
    kind = (findings.text(raw, "type", path, required=True) or "").lower()
    required = raw.get("required")
    is_conditional = isinstance(required, dict)
    choices = raw.get("choices")
    return SegmentOption(
        name=name,
        type="list" if raw.get("multiple") is True else kind,
        path=path,
        label=findings.text(raw, "label", path),
        description=findings.text(raw, "description", path),
        required=not is_conditional and findings.flag(raw, "required", path),
        default=raw.get(default),
        default_key=default,
        choices=choices if isinstance(choices, list) else (),
        form=_form(raw, kind, path, findings),
    )


def _form(raw: Mapping[str, Any], kind: str, path: str, findings: Findings) -> dict[str, Any]:
    """Return what forms show of an option, by keyword."""
    form: dict[str, Any] = {}
    for key, keyword in _TEXTS.items():
        text = findings.text(raw, key, path)
        if text is not None:
            form[keyword] = text
    form |= {word: True for key, word in _FLAGS.items() if findings.flag(raw, key, path)}
    display = raw.get("displayMode")
    if display in ("expanded", "normal", "collapsed"):
        form["x-display"] = display
    elif not is_empty(display):
        findings.note(f"{path}/displayMode", "is none of collapsed, expanded, normal: left out")
    form |= _bounds(raw, kind, path, findings)
    issues: list[Issue] = []
    for key, keyword in (("depends_on", "x-dependsOn"), ("required", "x-requiredWhen")):
        if isinstance(raw.get(key), dict):
            rule = conditions_of(raw[key], f"{path}/{key}", issues)
            form |= {} if rule is None else {keyword: rule}
    for issue in issues:
        findings.issue(issue.path, issue.message)
    return form


def _bounds(raw: Mapping[str, Any], kind: str, path: str, findings: Findings) -> dict[str, Any]:
    """Return the bounds of a number, or of the length of a text, by keyword."""
    bounds: dict[str, Any] = {}
    is_text = kind in ("string", "text", "password")
    for key, of_text in (("minimum", "minLength"), ("maximum", "maxLength")):
        if isinstance(raw.get(key), int | float) and (is_text or kind in ("number", "integer")):
            bounds[of_text if is_text else key] = raw[key]
        elif raw.get(key) is not None:
            findings.note(f"{path}/{key}", f"is no bound of a {kind}: left out")
    return bounds
