"""Export a definition as a folder of Segment's repository of action destinations."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from destinations.definition import (
    ActionDefinition,
    DefinitionFiles,
    DestinationDefinition,
    Preset,
)
from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_input
from destinations.definition.reads import Shape, unreadable
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.kit.exporter.actions import ActionFile, write_action
from destinations.kit.exporter.case_tests import (
    AUTHENTICATION,
    CaseDelivery,
    case_deliveries,
    cases_source,
)
from destinations.kit.exporter.dotted_keys import UNSAID, dotted_keys
from destinations.kit.exporter.events import event_fields
from destinations.kit.exporter.fields import (
    FieldSet,
    action_fields,
    setting_fields,
    unsaid_in_mappings,
)
from destinations.kit.exporter.findings import (
    DESTINATION,
    Findings,
    RefusedExportError,
    lost_names,
    lost_numbers,
)
from destinations.kit.exporter.folder import (
    BY_HAND,
    MARK,
    check_edits,
    check_folder,
    check_owned,
    edited_files,
    stale_files,
    with_digests,
    with_hand_written,
    write_folder,
)
from destinations.kit.exporter.index import IndexFile, scheme
from destinations.kit.exporter.literals import file_name
from destinations.kit.exporter.metadata import ActionMetadata, metadata_text
from destinations.kit.exporter.names import faulty_names, without_names
from destinations.kit.exporter.requests import RequestFile, write_requests
from destinations.kit.exporter.settings import (
    constants,
    kept_by_segment,
    missing_there,
    with_constants,
)
from destinations.kit.exporter.types import types_source
from destinations.kit.exporter.versioning import VersionFile, versions_in
from destinations.kit.real_secrets import secrets_in_cases
from destinations.kit.testing.subject import Subject, subject_in
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.parts import beyond_segment
from destinations.whole_files import is_interrupted, roll_back

__all__ = ["Exported", "export_segment", "exported_slug"]

_PREFIX: Final = "actions-"
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "batches": ("http",),
    "checks": ("schemas",),
    "choices": ("http",),
    "conversions": ("http",),
    "parameters": ("http",),
    "signing": ("http",),
    "tokens": ("http",),
    "windows": ("conversions", "http"),
}
"""The modules that a module of `typescript` imports."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The folder, its files by path, and what is not in it.

    ``refused`` cannot be said there; ``left_out`` changes nothing of what is sent. ``changed`` are
    the files that differ from those in the folder, or are to be taken out of it; ``edited`` are
    those among them that somebody changed outside of the places for code by hand. ``deliveries``
    are what the tests of the folder send.
    """

    folder: Path
    files: Mapping[str, str]
    refused: tuple[Issue, ...]
    left_out: tuple[Issue, ...]
    changed: tuple[str, ...]
    deliveries: tuple[CaseDelivery, ...] = ()
    edited: tuple[str, ...] = ()


def exported_slug(slug: str) -> str:
    """Return the slug of a destination in Segment's catalog."""
    return slug if slug.startswith(_PREFIX) else _PREFIX + slug


def export_segment(
    folder: Path, into: Path, *, partial: bool = False, check: bool = False, force: bool = False
) -> Exported:
    """Write the definition in ``folder`` as the folder ``into`` of Segment's repository.

    With ``check`` nothing is written, and ``changed`` says what would be. Raises
    `RefusedExportError` with all that cannot be said there, unless ``partial``: then an error of
    status 501 stands in its place. Raises `UsageError` for a folder that is not an export of this
    destination, or has files that somebody changed since, unless ``force``, for one that holds a
    definition, and if it cannot be written.
    """
    files = DefinitionFiles.read(folder)
    definition = files.load()
    findings = Findings(_documents(files))
    export = _Export(definition, findings, subject_in(folder))
    written = export.files()
    if findings.refused and not partial:
        raise RefusedExportError(findings.refused)
    if not check:
        try:
            roll_back(into)
        except OSError as error:
            raise UsageError(f"cannot write {into}: {error.strerror}") from error
    try:
        check_folder(into, definition.slug, force=force)
        written, stale = _merged(into, written, force=force)
        # Where an export was interrupted, files do not fit each other; the next one mends that.
        edited = [] if is_interrupted(into) else edited_files(into, written, stale)
    except OSError as error:  # such as a folder in one that cannot be looked into
        raise UsageError(f"cannot read {into}: {error.strerror}") from error
    if not check and not force:
        check_edits(into, edited)
    changed = [name for name, text in written.items() if _content(into / name) != text] + stale
    if not check and changed:
        write_folder(into, written, stale)
    return Exported(
        into,
        written,
        tuple(findings.refused),
        tuple(findings.left_out),
        tuple(changed),
        export.deliveries,
        tuple(edited),
    )


def _merged(
    into: Path, files: Mapping[str, str], *, force: bool
) -> tuple[dict[str, str], list[str]]:
    """Return files with what was written by hand, and the files of an earlier export to remove."""
    if not force:
        check_owned(into, files)
    return with_hand_written(into, files), stale_files(into, files)


def _content(path: Path) -> str | None:
    try:
        return read_input(path).decode()  # Segment's formatter refuses other line ends than ours
    except (OSError, UnicodeDecodeError):
        return None


def _documents(files: DefinitionFiles) -> Mapping[str, Document]:
    found = {}
    for name, text in files.contents.items():
        stem = name.rpartition(".")[0]
        try:
            found[stem] = read_document(text, name=f"{files.path}/{name}")
        except DefinitionError:  # a file that is no part of the definition
            continue
    return found


class _Export:
    """One export of a definition."""

    def __init__(
        self, definition: DestinationDefinition, findings: Findings, subject: Subject
    ) -> None:
        self._definition = with_constants(definition)
        self._findings = findings
        self._subject = subject
        self._slug = exported_slug(definition.slug)
        self._modules: set[str] = set()
        self._faulty: dict[str, set[str]] = {}
        self._unsayable: set[str] = set()
        self._titled = {"settings": "the schema of settings"}
        self.deliveries: tuple[CaseDelivery, ...] = ()

    def files(self) -> dict[str, str]:
        """Return the text of each file by its path."""
        definition, findings = self._definition, self._findings
        for fault in faulty_names(definition):
            findings.refuse(fault.stem, fault.path, fault.message)
            self._faulty.setdefault(fault.stem, set()).add(fault.key)
        settings = setting_fields(
            self._sayable(definition.settings, DESTINATION),
            DESTINATION,
            findings,
            frozenset(missing_there(definition)),
        )
        self._note_settings()
        self._note_events()
        for key in definition.secret_settings:
            if "default" in definition.settings["properties"][key]:
                message = "its default would be public, in index.ts and metadata.json: remove it"
                place = pointer("settings", "properties", key, "default")
                findings.refuse(DESTINATION, place, message)
        fields = {slug: self._fields(action) for slug, action in definition.event_actions.items()}
        for slug in definition.actions.keys() - definition.event_actions.keys():
            findings.leave_out(slug, "/operator", "an action of operators has no counterpart")
        versions = self._versions()
        asked = self._asked(fields)
        requests = write_requests(
            definition, self._requests(fields), findings, versions, frozenset(asked)
        )
        if DESTINATION in self._faulty:
            reason = "a setting has a name that code cannot have"
            requests.refused |= dict.fromkeys(requests.names, reason)
        actions = {slug: self._action(slug, fields[slug], requests) for slug in fields}
        folders: dict[str, str] = {}
        for slug in actions:
            folders[slug] = file_name(slug, folders.values())
        presets = [one for preset in definition.presets if (one := self._preset(preset))]
        index = IndexFile(
            definition, self._slug, settings.fields, folders, presets, requests, findings
        )
        found = {"index.ts": _exported(definition, index.source())}
        self._modules |= index.modules
        if requests.names:
            self._modules |= requests.modules | {"http"}
            found["requests.ts"] = _exported(definition, requests.source)
        found["generated-types.ts"] = types_source("Settings", settings.fields)
        found["versioning-info.ts"] = (
            _exported(definition, versions.source(), by_hand=False) + f"\n{BY_HAND}"
        )
        metadata = {}
        for slug, file in actions.items():
            self._modules |= file.modules
            action = definition.actions[slug]
            found[f"{folders[slug]}/index.ts"] = _exported(definition, file.source)
            found[f"{folders[slug]}/generated-types.ts"] = types_source("Payload", file.fields)
            metadata[slug] = ActionMetadata(
                action.title,
                action.description,
                action.default_subscription,
                file.is_batched,
                file.fields,
                fields[slug].choices,
            )
        has_authentication = bool(settings.fields) or definition.authentication is not None
        found["metadata.json"] = metadata_text(
            slug=self._slug,
            name=definition.name,
            description=definition.description,
            scheme=scheme(definition) if has_authentication else None,
            settings=settings.fields,
            actions=metadata,
            presets=[_public_preset(*one, metadata) for one in presets],
        )
        batched = {slug for slug, file in actions.items() if file.is_batched}
        found |= self._tests(requests, batched)
        for module in self._all_modules():
            found[f"{module}.ts"] = _exported(definition, _module(module), by_hand=False)
        return dict(sorted(with_digests(found).items()))

    # -- parts -----------------------------------------------------------------------------------

    def _note_events(self) -> None:
        definition, findings = self._definition, self._findings
        if definition.blank_traits is not None:
            message = "Segment does not look for blank traits of events"
            findings.leave_out(DESTINATION, "/events/blankTraits", message)
        if definition.transport.rate_limit is not None:
            message = "Segment keeps no rate: it sends again what the partner refuses with 429"
            findings.leave_out(DESTINATION, "/transport/rateLimit", message)

    def _sayable(self, schema: Mapping[str, Any], stem: str) -> Mapping[str, Any]:
        return without_names(schema, self._faulty.get(stem, set()))

    def _note_settings(self) -> None:
        definition, findings = self._definition, self._findings
        for key in constants(definition):
            message = f"{key} is no setting at Segment: its default stands in the code"
            findings.leave_out(DESTINATION, pointer("settings", "properties", key), message)
        kept = [
            key for key in definition.settings["properties"] if key in kept_by_segment(definition)
        ]
        if kept:
            message = (
                "Segment keeps client ID, client secret and refresh token itself, so these are no"
                f" settings there ({', '.join(kept)})"
            )
            findings.leave_out(DESTINATION, "/authentication/oauth2", message)

    def _fields(self, action: ActionDefinition) -> FieldSet:
        stem, findings = action.slug, self._findings
        placeholders = self._definition.placeholders
        found = action_fields(self._sayable(action.fields, stem), stem, placeholders, findings)
        if stem in self._faulty:
            found.refusal = "a field has a name that code cannot have"
        elif (other := self._titled.setdefault(action.title, stem)) != stem:
            # It would check the fields of one action by the schema of the other.
            message = (
                f"{other} has this title, by which Segment's framework keeps the schema of an"
                " action: give each its own"
            )
            findings.refuse(stem, "/title", message)
            found.refusal = f"{other} has the same title"
        for place, message in lost_numbers(findings.documents[stem].data):
            findings.refuse(stem, place, message)
            found.refusal = found.refusal or "a field has a number that JavaScript has not"
        self._unsayable |= {stem} if found.refusal else set()
        perform = action.perform
        if perform.generator is not None:
            message = "a generator is code of a plugin, and has no counterpart"
            findings.refuse(stem, "/perform/generator", message)
        if perform.steps:
            findings.refuse(stem, "/perform/steps", "steps have no counterpart")
        if action.unmapped is not None:
            message = "Segment has no unmapped events: require the field"
            findings.refuse(stem, "/unmapped", message)
        if action.touches:
            message = "Segment keeps no order of the events of several users"
            findings.leave_out(stem, "/touches", message)
        return found

    def _requests(self, fields: Mapping[str, FieldSet]) -> list[str]:
        definition = self._definition
        names = [
            action.perform.request
            for action in definition.event_actions.values()
            if action.perform.request is not None
        ]
        if definition.authentication is not None:
            names.append(definition.authentication.test)
        if definition.deletion is not None:
            names += definition.deletion.perform.names
        return names + self._asked(fields)

    def _asked(self, fields: Mapping[str, FieldSet]) -> list[str]:
        """Return the names of the requests that give choices."""
        return [
            str(form["request"])
            for one in fields.values()
            for form in one.choices.values()
            if "request" in form
        ]

    def _action(self, slug: str, fields: FieldSet, requests: RequestFile) -> ActionFile:
        action = self._definition.actions[slug]
        file = write_action(self._definition, action, fields, requests, self._window(action))
        if file.is_batched and action.perform.request is not None:
            message = (
                "Segment sends no halves of a batch that is refused as a whole: all of its events"
                " are refused"
            )
            place = pointer("requests", action.perform.request, "batch")
            self._findings.leave_out(DESTINATION, place, message)
        if action.perform.request in requests.batched and not file.is_batched:
            message = (
                "only with a single event Segment shows the values that x-escape and x-wholeNumber"
                " look at: it sends each event of this action by itself"
            )
            self._findings.leave_out(slug, "/perform/request", message)
        return file

    def _window(self, action: ActionDefinition) -> Mapping[str, Any] | None:
        window = action.window
        if window is None:
            return None
        if window.then == "hold":
            message = "Segment holds no events: late ones are refused"
            self._findings.leave_out(action.slug, "/window/then", message)
        before = len(self._findings.refused)
        shape = Shape(
            "root",
            {"payload": None},
            elsewhere={
                "event": "reads the event, and Segment's perform sees only the payload: read the"
                " time from a field"
            },
        )
        is_written = "from" in self._findings.documents[action.slug].data["window"]
        for at, message in unreadable(window.source, "/window/from", shape):
            self._findings.refuse(action.slug, at if is_written else "/window", message)
        for at, message in _unsaid_of_window(window.source):
            self._findings.refuse(action.slug, f"/window/from{at}", message)
        if len(self._findings.refused) > before:
            return None
        found: dict[str, Any] = {"from": window.source}
        if window.grace_setting is not None:
            found["grace"] = {"setting": window.grace_setting, "default": window.grace}
        elif window.grace is not None:
            found["grace"] = window.grace
        if window.ahead is not None:
            found["ahead"] = window.ahead
        return found

    def _preset(self, preset: Preset) -> tuple[Preset, bool] | None:
        action = self._definition.actions[preset.partner_action]
        if action.operator:
            return None
        is_default = preset.mapping == action.default_mapping
        faulty = self._faulty.get(action.slug, set())
        mapping = {key: one for key, one in preset.mapping.items() if key not in faulty}
        place = pointer("presets", self._definition.presets.index(preset), "mapping")
        beyond = [] if is_default else list(unsaid_in_mappings(preset.mapping))
        for at, message in beyond:
            self._findings.refuse(DESTINATION, place + at, message)
        if beyond:
            return None
        preset = replace(preset, mapping=mapping)
        if not is_default:
            more = {one.key: one.mapping for one in event_fields(self._definition, action)}
            preset = replace(preset, mapping={**preset.mapping, **more})
        return preset, is_default

    def _tests(self, requests: RequestFile, batched: set[str]) -> Mapping[str, str]:
        definition = self._definition
        actions = {
            slug: action.perform.request
            for slug, action in definition.event_actions.items()
            if action.perform.request is not None and slug not in self._unsayable
        }
        if definition.deletion is not None and definition.deletion.perform.request is not None:
            actions[definition.deletion.slug] = definition.deletion.perform.request
        if definition.authentication is not None:
            actions[AUTHENTICATION] = definition.authentication.test
        actions = {one: name for one, name in actions.items() if name not in requests.refused}
        secrets = secrets_in_cases(self._subject.folder, definition)
        for issues in secrets.values():
            self._findings.refused.extend(issues)
        of_all = case_deliveries(
            self._subject,
            actions,
            batched,
            frozenset(missing_there(definition)),
            constants(definition),
        )
        deliveries = [one for one in of_all if one.case not in secrets]
        self.deliveries = tuple(deliveries)
        if not deliveries:
            return {}
        helper = _exported(definition, _module("tests/partner"), by_hand=False)
        return {
            "__tests__/__helpers__/partner.ts": helper,
            "__tests__/cases.test.ts": _exported(definition, cases_source(deliveries)),
        }

    def _versions(self) -> VersionFile:
        texts = [json.dumps(self._definition.transport.base_url)]
        for request in self._definition.requests.values():
            path = getattr(request.call, "path", ())
            texts += [one for one in path if isinstance(one, str)]
            url = getattr(request.call, "url", None)
            texts += [json.dumps(url)] if url is not None else []
        return VersionFile(self._definition.name, versions_in(texts))

    def _all_modules(self) -> Sequence[str]:
        found = set(self._modules)
        while more := {need for one in found for need in _NEEDS.get(one, ())} - found:
            found |= more
        return sorted(found)


def _unsaid_of_window(source: object) -> Iterator[tuple[str, str]]:
    """Yield what the mapping of a window cannot say there, each place with the reason."""
    for at, directive in beyond_segment(source):
        yield at, f"{directive} has no counterpart here: times are read in all of their forms"
    for at in dotted_keys(source):
        yield at, f"{UNSAID}: no code reads this mapping, so give the field another name"
    yield from lost_names(source)


def _public_preset(
    preset: Preset,
    is_default: bool,  # noqa: FBT001 - a pair
    metadata: Mapping[str, ActionMetadata],
) -> Mapping[str, Any]:
    mapping: Mapping[str, Any] = preset.mapping
    if is_default:
        fields = metadata[preset.partner_action].fields
        mapping = {key: one["default"] for key, one in fields.items() if "default" in one}
    return {
        "name": preset.name,
        "type": "automatic",
        "partnerAction": preset.partner_action,
        "subscribe": preset.subscribe,
        "mapping": mapping,
    }


def _module(name: str) -> str:
    file = importlib.resources.files(__package__) / "typescript" / f"{name}.ts"
    return file.read_text(encoding="utf-8")


def _exported(definition: DestinationDefinition, source: str, *, by_hand: bool = True) -> str:
    """Return a file with the line that says what wrote it, and the place for code by hand."""
    first = f"{MARK} from {definition.slug} {definition.version}.\n"
    if not by_hand:
        return first + source
    head, _, rest = source.partition("\n\n")
    if not head.startswith("import"):
        return first + source
    return f"{first}{head}\n\n{BY_HAND}\n{rest.lstrip(chr(10))}"
