"""Check ``destination.yaml`` as a whole: what a JSON Schema cannot say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from destinations.definition.checks.addresses import address_issues, open_urls, values_in_addresses
from destinations.definition.checks.authentication import (
    auth_issues,
    authentication_issues,
    shown_secrets,
    unused_credentials,
)
from destinations.definition.checks.deletion import deletion_issues
from destinations.definition.checks.idempotency_keys import keys_of_presets
from destinations.definition.checks.mappings import mapping_issues, plain_text_issues
from destinations.definition.checks.requests import changing_questions, request_issues
from destinations.definition.checks.rules import awaited_actions, rule_issues
from destinations.definition.checks.subscriptions import odd_conditions, preset_issues
from destinations.definition.defaults import broken_mapping, broken_setting_defaults
from destinations.definition.document import Document
from destinations.definition.form_keywords import form_issues, keyword_warnings
from destinations.definition.mapping_places import destination_mappings
from destinations.definition.unused import times_as_numbers, unread_fields
from destinations.errors import Issue, did_you_mean, unknown_name
from destinations.segment.json_pointer import pointer

__all__ = ["check_destination", "warnings"]


def check_destination(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield the issues in ``destination.yaml``, given the actions' documents by slug."""
    data = document.data
    yield from _settings(document)
    yield from address_issues(document)
    of_actions = [action.data for action in actions.values()]
    mappings = destination_mappings(data, of_actions)
    found = (mapping_issues(document, place, value, shape) for place, value, shape in mappings)
    yield from dict.fromkeys(issue for issues in found for issue in issues)
    for name, request in data["requests"].items():
        yield from request_issues(document, name, request, actions)
    yield from rule_issues(document, "", data)
    yield from awaited_actions(document, actions)
    yield from authentication_issues(document)
    yield from auth_issues(document)
    yield from deletion_issues(document, actions)
    yield from _publishing(document)
    of_operator = {slug for slug, action in actions.items() if action.data.get("operator")}
    presets = data.get("presets", ())
    yield from preset_issues(document, "/presets", presets, actions, of_operator)
    for index, preset in enumerate(presets):
        if "mapping" in preset and preset["partnerAction"] in actions:
            fields = actions[preset["partnerAction"]].data["fields"]
            place = pointer("presets", index, "mapping")
            yield from broken_mapping(document, place, preset["mapping"], fields)
    yield from keys_of_presets(document, actions)


def _settings(document: Document) -> Iterator[Issue]:
    settings = document.data["settings"]
    for index, key in enumerate(settings.get("required", ())):
        if key not in settings["properties"]:
            message = f"unknown setting {key!r} to require"
            message += did_you_mean(key, settings["properties"])
            yield document.issue(pointer("settings", "required", index), message)
    yield from form_issues(document, "/settings", settings, "setting")
    yield from broken_setting_defaults(document)


def _publishing(document: Document) -> Iterator[Issue]:
    """Yield an endpoint that no Direct Destination has, and what is no setting."""
    publishing = document.data.get("publishing", {})
    if "endpoint" in publishing and publishing.get("as") != "direct":
        message = "only a Direct Destination has an endpoint: set `as: direct`, or remove it"
        yield document.issue("/publishing/endpoint", message)
    settings = document.data["settings"]["properties"]
    for key in publishing.get("testAccount", {}).get("fields", ()):
        if key not in settings:
            place = pointer("publishing", "testAccount", "fields", key)
            yield document.issue(place, unknown_name("setting", key, settings))


def warnings(document: Document, actions: Mapping[str, Document]) -> Iterator[Issue]:
    """Yield the issues in a valid definition that do no harm, though they are mistakes."""
    yield from values_in_addresses(document)
    yield from unused_credentials(document, actions)
    yield from shown_secrets(document)
    yield from changing_questions(document)
    yield from open_urls(document)
    yield from keyword_warnings(document, "/settings", document.data["settings"], "setting")
    for index, preset in enumerate(document.data.get("presets", ())):
        yield from odd_conditions(document, pointer("presets", index, "subscribe"), preset)
        place = pointer("presets", index, "mapping")
        yield from plain_text_issues(document, place, preset.get("mapping"))
    for action in actions.values():
        yield from odd_conditions(action, "/defaultSubscription", action.data)
        yield from unread_fields(document, action)
        yield from times_as_numbers(action)
        yield from keyword_warnings(action, "/fields", action.data["fields"], "field")
