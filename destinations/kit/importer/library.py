"""Read definitions in the shape of Segment's action library: actions by slug, fields by key.

The files ``metadata.json`` that are in the repository of the library have the same shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from destinations.kit.importer.batching import exported_batching
from destinations.kit.importer.findings import Findings, json_type
from destinations.kit.importer.left_out import is_empty, note_left_out
from destinations.kit.importer.options import read_option
from destinations.kit.importer.segment_model import SegmentAction, SegmentDestination, SegmentOption
from destinations.kit.importer.subscriptions import note_unread, read_preset
from destinations.kit.importer.sync_mode import sync_mode_field
from destinations.segment.fields import SYNC_MODE
from destinations.segment.json_pointer import pointer

__all__ = ["note_place", "read_library"]

_READ: Final = ("slug", "name", "description", "mode", "authentication", "actions", "presets")
_READ_OF_ACTIONS: Final = (
    *("title", "description", "platform", "defaultSubscription", "hidden", "fields"),
    *("syncMode", "hooks", "dynamicFields"),
)
_PARTS: Final = {"__keys__": "keys", "__values__": "values"}
_DEVICE: Final = "device"
_WHERE: Final = {"web": "browser", "mobile": "app"}
_SCHEMES: Final[Mapping[str, str]] = {
    "basic": "HTTP Basic of settings: write authentication with scheme basic",
    "oauth2": "Segment keeps the tokens of OAuth2: write authentication with scheme oauth2",
    "oauth-managed": (
        "an app of Segment's own gets the tokens of OAuth2, which nothing does here: write"
        " authentication with scheme oauth2 and an app of yours"
    ),
}


def read_library(
    raw: Mapping[str, Any], slug: str, path: str, findings: Findings
) -> SegmentDestination:
    """Return the definition at ``path``; issues are added to ``findings``."""
    note_left_out(raw, "destination", _READ, path, findings)
    name = findings.text(raw, "name", path)
    mode = findings.text(raw, "mode", path)
    if mode is not None and mode not in ("cloud", _DEVICE):
        message = f"Segment's {mode} runs it, by code of its own: imported as any other"
        findings.note(f"{path}/mode", message)
    actions = [
        _action(item, key, place, mode, name, findings)
        for key, place, item in _by_key(raw["actions"], f"{path}/actions", findings)
    ]
    presets = []
    for place, item in findings.objects(raw.get("presets"), f"{path}/presets"):
        note_unread(item, place, findings)
        presets.append(read_preset(item, place, {}, findings))
    options, remarks = _authentication(raw.get("authentication"), path, findings)
    return SegmentDestination(
        slug=slug,
        actions=[action for action in actions if action is not None],
        presets=[preset for preset in presets if preset is not None],
        path=path,
        name=name,
        description=findings.text(raw, "description", path),
        options=options,
        remarks=remarks,
    )


def _authentication(
    raw: object, path: str, findings: Findings
) -> tuple[list[SegmentOption] | None, list[str]]:
    """Return the settings, None if the file has none, and remarks on how they are used."""
    if not isinstance(raw, dict):
        return None, []
    place = f"{path}/authentication"
    note_left_out(raw, "authentication", ("scheme", "fields"), place, findings)
    scheme = findings.text(raw, "scheme", place)
    remarks = []
    if scheme is not None and scheme in _SCHEMES:
        findings.note(f"{place}/scheme", _SCHEMES[scheme])
        remarks.append(f"The scheme of authentication is {scheme}. {_sentence(_SCHEMES[scheme])}")
    elif scheme not in (None, "custom"):
        findings.note(f"{place}/scheme", f"the scheme {scheme} is unknown: left out")
    if "fields" not in raw:
        return None, remarks
    place += "/fields"
    found = _by_key(raw["fields"], place, findings)
    return [read_option(item, key, at, findings) for key, at, item in found], remarks


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _by_key(value: object, path: str, findings: Findings) -> list[tuple[str, str, dict[str, Any]]]:
    """Yield (key, path, value) of each object in an object."""
    if not isinstance(value, dict):
        findings.issue(path, f"should be an object but is {json_type(value)}")
        return []
    found = []
    for key, item in value.items():
        place = path + pointer(key)
        if isinstance(item, dict):
            found.append((key, place, item))
        else:
            findings.issue(place, f"should be an object but is {json_type(item)}")
    return found


def note_place(platform: str | None, slug: str, path: str, findings: Findings) -> bool:
    """Return whether an action runs on servers; else note that it is left out."""
    where = _WHERE.get((platform or "").lower())
    if where is not None:
        findings.note(path, f"the action {slug!r} runs in the {where}, not here: left out")
    return where is None


def _action(
    raw: Mapping[str, Any],
    slug: str,
    path: str,
    mode: str | None,
    destination: str | None,
    findings: Findings,
) -> SegmentAction | None:
    platform = findings.text(raw, "platform", path)
    if not note_place(platform or ("web" if mode == _DEVICE else None), slug, path, findings):
        return None
    note_left_out(raw, "action", _READ_OF_ACTIONS, path, findings)
    fields = raw.get("fields")
    if not isinstance(fields, dict):
        findings.issue(
            f"{path}/fields", f"should be an object of fields but is {json_type(fields)}"
        )
        fields = {}
    batching = exported_batching(fields, destination)
    for key in batching:
        message = "an export of a definition made it, of the batch of a request: left out"
        findings.note(f"{path}/fields{pointer(key)}", message)
    fields = {key: one for key, one in fields.items() if key not in batching}
    mode_field = sync_mode_field(raw.get("syncMode"), f"{path}/syncMode", findings)
    if mode_field is not None:
        fields = {**fields, SYNC_MODE: mode_field}
    is_hidden = findings.flag(raw, "hidden", path)
    if is_hidden:
        findings.note(f"{path}/hidden", "Segment does not show the action: a comment says so")
    return SegmentAction(
        slug=slug,
        fields=fields,
        path=path,
        name=findings.text(raw, "title", path),
        description=findings.text(raw, "description", path),
        default_subscription=findings.text(raw, "defaultSubscription", path),
        hidden=is_hidden,
        remarks=[
            *_hooks(raw.get("hooks"), f"{path}/hooks", findings),
            *_dynamic(raw.get("dynamicFields"), fields, f"{path}/dynamicFields", findings),
        ],
    )


def _hooks(hooks: object, path: str, findings: Findings) -> Iterator[str]:
    """Yield remarks on what Segment runs when somebody saves a mapping."""
    if is_empty(hooks):
        return
    for name, hook in hooks.items() if isinstance(hooks, dict) else ():
        label = hook.get("label") if isinstance(hook, dict) else None
        what = f"{name} ({label})" if isinstance(label, str) and label else name
        message = f"code of Segment's runs {what} when a mapping is saved, which nothing does here"
        findings.note(path + pointer(name), f"{message}: left out")
        yield _sentence(message)
    if not isinstance(hooks, dict):
        findings.note(path, f"should be an object but is {json_type(hooks)}: left out")


def _dynamic(
    dynamic: object, fields: Mapping[str, Any], path: str, findings: Findings
) -> Iterator[str]:
    """Yield remarks on the parts of fields that Segment asks the partner for.

    A field that is dynamic as a whole has ``x-choices``, which says so.
    """
    if is_empty(dynamic):
        return
    for field, asked in dynamic.items() if isinstance(dynamic, dict) else ():
        own = fields.get(field)
        listed: list[str] = list(asked) if isinstance(asked, list | dict) else []
        parts = [_PARTS.get(one, str(one)) for one in listed]
        if not parts and isinstance(own, dict) and own.get("dynamic") is True:
            continue
        what = f"the {' and '.join(parts)} of {field}" if parts else f"the choices of {field}"
        message = f"code of Segment's asks the partner for {what}"
        findings.note(path + pointer(field), f"{message}, which no keyword says: left out")
        yield _sentence(message)
    if not isinstance(dynamic, dict):
        findings.note(path, f"should be an object but is {json_type(dynamic)}: left out")
