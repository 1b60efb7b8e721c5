"""Find what reviews of a folder of TypeScript ask to change in its definition."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from destinations.definition import ActionDefinition
from destinations.definition.request_model import RestDefinition
from destinations.errors import Issue
from destinations.kit.exporter.literals import file_name
from destinations.kit.exporter.names import faulty_names
from destinations.kit.exporter.settings import missing_there
from destinations.kit.publishing.catalog_rules import case_secrets, secret_defaults
from destinations.kit.publishing.publication import Publication
from destinations.kit.testing.case import RecordedResponse
from destinations.segment.json_pointer import pointer

__all__ = [
    "action_names",
    "api_versions",
    "authentication_test",
    "batch_keys",
    "batch_results",
    "batches",
    "cases",
    "event_time",
    "exports",
    "failing_cases",
    "field_names",
    "no_presets",
    "own_time",
    "preset_fields",
    "presets_of_actions",
    "reserved_settings",
]

_MAX_BATCH_KEYS: Final = 3
_TIMED: Final = re.compile(r"\btype\s*=\s*[\"'](?:track|page|screen)[\"']")
_TIME: Final = re.compile(r"\$(?:\.|\[')timestamp\b|\{\{-?\s*timestamp\b")
_SENDING: Final = re.compile(
    r"(?:\$(?:\.|\[')|\{\{-?\s*)(sentAt|receivedAt|originalTimestamp)\b|'(now)'"
)
_WHOLE: Final = re.compile(r'"\$\.?"')
_RESERVED_SETTINGS: Final = frozenset(
    {
        *("oauth", "oauth2", "accesstoken", "access-token", "access_token", "refresh-token"),
        *("refresh_token", "token_type", "apikey", "apisecret", "clientsecret", "password"),
        *("secretkey", "secret", "securitytoken"),
    }
)
"""Names of settings that Segment refuses beside OAuth2, in lower case."""


def no_presets(publication: Publication) -> Iterator[Issue]:
    """Yield that there is no preset."""
    if not publication.definition.presets:
        yield publication.issue("the destination has no presets", "/presets")


def presets_of_actions(publication: Publication) -> Iterator[Issue]:
    """Yield the actions that no preset uses."""
    definition = publication.definition
    used = {preset.partner_action for preset in definition.presets}
    for slug in definition.event_actions if used else ():
        if slug not in used:
            yield publication.issue(f"no preset uses the action {slug}", "/slug", slug)


def preset_fields(publication: Publication) -> Iterator[Issue]:
    """Yield the presets that leave out a required field of their action."""
    definition = publication.definition
    for index, preset in enumerate(definition.presets):
        action = definition.actions[preset.partner_action]
        for key in action.fields.get("required", ()):
            if preset.mapping.get(key) is None:
                message = (
                    f"the preset {preset.name!r} maps nothing to {key}, which"
                    f" {action.slug} requires"
                )
                yield publication.issue(message, pointer("presets", index))


def exports(publication: Publication) -> Iterator[Issue]:
    """Yield what an export refuses, but for names, which have a rule of their own."""
    if publication.exported is not None:
        # Names and secrets have rules of their own, which say more.
        names = {(one.stem, one.path) for one in faulty_names(publication.definition)}
        secret = {*_places(secret_defaults(publication)), *_places(case_secrets(publication))}
        for issue in publication.exported.refused:
            is_named = (Path(issue.file or "").stem, issue.path) in names
            if not is_named and (issue.file, issue.path) not in secret:
                yield issue


def _places(issues: Iterable[Issue]) -> Iterator[tuple[str | None, str]]:
    return ((issue.file, issue.path) for issue in issues)


def batches(publication: Publication) -> Iterator[Issue]:
    """Yield the actions whose events go out one by one."""
    for slug, action in publication.definition.event_actions.items():
        request = publication.definition.requests.get(action.perform.request or "")
        if request is not None and request.batch_size == 1:
            message = f"the action `{slug}` sends each event in a request of its own"
            yield publication.issue(message, pointer("requests", request.name))


def batch_results(publication: Publication) -> Iterator[Issue]:
    """Yield the batches that succeed or fail as a whole."""
    for slug, action in publication.definition.event_actions.items():
        request = publication.definition.requests.get(action.perform.request or "")
        if request is None or publication.batching(slug) != "whole":
            continue
        call = request.call
        # Of a batch that the partner applies as a whole, nothing else can be told.
        if not (isinstance(call, RestDefinition) and call.all_or_nothing):
            message = f"the batches of {slug} succeed or fail as a whole"
            yield publication.issue(message, pointer("requests", request.name, "batch"))


def own_time(publication: Publication) -> Iterator[Issue]:
    """Yield the defaults and presets that take the time of sending for that of the event."""
    definition = publication.definition
    for slug, action in definition.event_actions.items():
        for key, default in action.default_mapping.items():
            if found := _time_of_sending(default):
                message = f"{key} is the time of sending ({found}), not that of the event"
                place = pointer("fields", "properties", key, "default")
                yield publication.issue(message, place, slug)
    for index, preset in enumerate(definition.presets):
        defaults = definition.actions[preset.partner_action].default_mapping
        for key, value in preset.mapping.items():
            if value != defaults.get(key) and (found := _time_of_sending(value)):
                message = f"{key} is the time of sending ({found}), not that of the event"
                yield publication.issue(message, pointer("presets", index, "mapping", key))


def _time_of_sending(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str).replace('\\"', "'")
    found = _SENDING.search(text)
    return "" if found is None or _TIME.search(text) else found[1] or found[2]


def event_time(publication: Publication) -> Iterator[Issue]:
    """Yield the actions of things that happened, which send no time of the event."""
    for slug, action in publication.definition.event_actions.items():
        if not _is_timed(publication, action):
            continue
        mapping = json.dumps(action.default_mapping, default=str)
        if not any(one.search(mapping) for one in (_TIME, _SENDING, _WHOLE)):
            yield publication.issue(f"no field of {slug} reads the event's timestamp", "", slug)


def _is_timed(publication: Publication, action: ActionDefinition) -> bool:
    if action.method is not None:
        return action.method in {"track", "page", "screen"}
    presets = [p for p in publication.definition.presets if p.partner_action == action.slug]
    texts = [action.default_subscription or "", *(preset.subscribe for preset in presets)]
    return any(map(_TIMED.search, texts))


def batch_keys(publication: Publication) -> Iterator[Issue]:
    """Yield what is wrong with a field ``batch_keys``."""
    for slug, action in publication.definition.event_actions.items():
        properties: Mapping[str, Any] = action.fields["properties"]
        if "batch_keys" not in properties:
            continue
        place = pointer("fields", "properties", "batch_keys", "default")
        keys = properties["batch_keys"].get("default")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            yield publication.issue(
                "`batch_keys` has no list of fields as its default", place, slug
            )
            continue
        if len(keys) > _MAX_BATCH_KEYS:
            message = f"`batch_keys` has {len(keys)} keys: expected at most {_MAX_BATCH_KEYS}"
            yield publication.issue(message, place, slug)
        for index, key in enumerate(keys):
            if key == "batch_keys":
                message = "`batch_keys` names itself"
                yield publication.issue(message, place + pointer(index), slug)
            elif key not in properties:
                known = ", ".join(one for one in properties if one != "batch_keys")
                message = f"`batch_keys` names {key!r}: expected a field of {slug}, one of {known}"
                yield publication.issue(message, place + pointer(index), slug)


def cases(publication: Publication) -> Iterator[Issue]:
    """Yield the actions that no recorded case delivers through."""
    covered = {
        expected.action for case in publication.subject.cases() for expected in case.expected
    }
    for slug in publication.definition.event_actions:
        if slug not in covered:
            yield publication.issue(f"no recorded case has an event of {slug}", "/slug", slug)


def failing_cases(publication: Publication) -> Iterator[Issue]:
    """Yield the actions whose cases show no failure of the partner."""
    found: dict[str, set[bool]] = defaultdict(set)
    for case in publication.subject.cases():
        # Of a case that asks about usage, the failures may be those of the questions.
        fails = not case.usage and any(
            not isinstance(one.result, RecordedResponse) or one.result.status >= 400
            for one in case.interactions
        )
        for expected in case.expected:
            found[str(expected.action)].add(fails)
    for slug in publication.definition.event_actions:
        if found[slug] == {False}:
            message = f"no recorded case of {slug} has an error of the partner"
            yield publication.issue(message, "/slug", slug)


def authentication_test(publication: Publication) -> Iterator[Issue]:
    """Yield that credentials are not tested when customers enter them."""
    definition = publication.definition
    if definition.authentication is None and definition.secret_settings:
        yield publication.issue("no request tests the credentials", "/authentication")


def reserved_settings(publication: Publication) -> Iterator[Issue]:
    """Yield the settings whose names Segment keeps for OAuth2."""
    definition = publication.definition
    if definition.oauth2 is None:
        return
    kept = missing_there(definition)
    for key in definition.settings["properties"]:
        if key not in kept and key.lower() in _RESERVED_SETTINGS:
            message = f"the name {key} is kept for what Segment stores for OAuth2"
            yield publication.issue(message, pointer("settings", "properties", key))


def action_names(publication: Publication) -> Iterator[Issue]:
    """Yield the actions that are exported to a folder of another name than their own."""
    folders: dict[str, str] = {}
    for slug in publication.definition.event_actions:
        folders[slug] = file_name(slug, folders.values())
        if folders[slug] != slug:
            message = f"the code of {slug} is exported to the folder {folders[slug]}"
            yield publication.issue(message, "/slug", slug)


def field_names(publication: Publication) -> Iterator[Issue]:
    """Yield the fields and settings whose names code cannot have."""
    for fault in faulty_names(publication.definition):
        yield publication.issue(fault.message, fault.path, fault.stem)


def api_versions(publication: Publication) -> Iterator[Issue]:
    """Yield the headers that name a version of the API which ``versioning-info.ts`` lacks."""
    if publication.exported is None:
        return
    written = publication.exported.files["versioning-info.ts"]
    definition = publication.definition
    places = [(pointer("transport", "headers"), definition.transport.headers)]
    for name, request in definition.requests.items():
        if isinstance(request.call, RestDefinition):
            places.append((pointer("requests", name, "rest", "headers"), request.call.headers))
    for place, headers in places:
        for key, value in headers.items():
            if "version" in key.lower() and isinstance(value, str) and f"'{value}'" not in written:
                message = f"the header {key} names the version {value}"
                yield publication.issue(message, place + pointer(key))
