"""What a new version would break for customers is found by comparing it with what is live."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.errors import DefinitionError, UsageError
from destinations.kit.publishing import RULES, check, read_publication
from tests.destinations.kit.publishing.conftest import (
    Change,
    action_of,
    destination_of,
    field_of,
)


def _renamed_field(files: dict[str, Any]) -> None:
    fields = action_of(files)["fields"]
    fields["properties"]["names"] = fields["properties"].pop("name")
    fields["required"] = ["id", "user", "time"]
    json_ = destination_of(files)["requests"]["sendEvents"]["rest"]["json"]
    json_["name"] = {"@path": "$.payload.names"}


def _renamed_action(files: dict[str, Any]) -> None:
    files["sendEvent.yaml"] = {**files.pop("trackEvent.yaml"), "slug": "sendEvent"}
    destination_of(files)["presets"][0]["partnerAction"] = "sendEvent"
    for name in ("sent", "refused"):
        files[f"cases/{name}.yaml"]["expected"][0]["action"] = "sendEvent"


def _new_setting(**more: Any) -> Change:
    def change(files: dict[str, Any]) -> None:
        settings = destination_of(files)["settings"]
        settings["properties"]["plan"] = {
            "title": "Plan",
            "description": "The plan of your account.",
            "type": "string",
            **more,
        }
        settings["required"] = ["apiKey", "plan"]
        for name in ("sent", "refused"):
            files[f"cases/{name}.yaml"]["settings"]["plan"] = "pro"

    return change


def _dotted_setting(files: dict[str, Any]) -> None:
    _new_setting()(files)
    settings = destination_of(files)["settings"]
    settings["properties"]["my.plan"] = settings["properties"].pop("plan")
    settings["required"] = ["apiKey", "my.plan"]
    for name in ("sent", "refused"):
        files[f"cases/{name}.yaml"]["settings"]["my.plan"] = "pro"
        del files[f"cases/{name}.yaml"]["settings"]["plan"]


def _required(key: str) -> Change:
    return lambda files: action_of(files)["fields"]["required"].append(key)


def _field(key: str, **more: Any) -> Change:
    return lambda files: field_of(files, key).update(more)


def _without(key: str, *keywords: str) -> Change:
    return lambda files: [field_of(files, key).pop(one) for one in keywords]


def _region(**more: Any) -> Change:
    return lambda files: destination_of(files)["settings"]["properties"]["region"].update(more)


BROKEN: Final[list[tuple[str, Change, str]]] = [
    (
        "live-action-removed",
        _renamed_action,
        (
            "the action trackEvent is gone: mappings of customers that use it fail; it seems "
            "to be sendEvent now"
        ),
    ),
    (
        "live-field-removed",
        _renamed_field,
        (
            "the field name of trackEvent is gone: what customers have set for it is lost; "
            "did you mean names?"
        ),
    ),
    (
        "live-required-field",
        _required("plan"),
        (
            "the field plan of trackEvent is required now: mappings of customers, who have "
            "not mapped it, fail"
        ),
    ),
    (
        "live-required-field",
        _new_setting(),
        (
            "the setting plan is new and is required: destinations of customers, who have not "
            "entered it, stop"
        ),
    ),
    (
        "live-required-field",
        _field(
            "plan",
            **{
                "x-requiredWhen": {
                    "conditions": [{"field": "name", "operator": "is", "value": "Order Completed"}]
                }
            },
        ),
        (
            "the field plan of trackEvent is required in some cases now: mappings of "
            "customers, who have not mapped it, fail"
        ),
    ),
    (
        "live-type",
        lambda files: (
            field_of(files, "plan").pop("enum"),
            field_of(files, "plan").update(type="integer"),
        ),
        (
            "the field plan of trackEvent was string and is integer: what customers have "
            "entered or mapped may be refused"
        ),
    ),
    (
        "live-choice-removed",
        _field("plan", enum=["free"]),
        (
            "the field plan of trackEvent no longer has the choice 'pro': customers who chose "
            "it get an error"
        ),
    ),
    (
        "live-choice-removed",
        _region(enum=["us", "uk"]),
        "the setting region no longer has the choice 'eu': customers who chose it get an error",
    ),
    (
        "live-choice-removed",
        _field("user", enum=["user_1"]),
        (
            "the field user of trackEvent took any value and has 1 choice: other values of "
            "customers are refused"
        ),
    ),
    (
        "live-stricter",
        _field("user", maxLength=8),
        (
            "the field user of trackEvent must be at most 8 now: values that customers send "
            "are refused"
        ),
    ),
    (
        "live-stricter",
        _field("user", format="email"),
        (
            "the field user of trackEvent must have the format email now: values that "
            "customers send are refused"
        ),
    ),
    (
        "live-unseen",
        _field("plan", pattern="^[a-z]+$"),
        "no published file shows the limits that code checks: pattern of plan",
    ),
    (
        "live-unseen",
        lambda files: (
            _field("plan", pattern="^[a-z]")(files),
            field_of(files, "user").update({"x-refuse": [{"pattern": "^x", "message": "no"}]}),
        ),
        "no published file shows the limits that code checks: x-refuse of user, pattern of plan",
    ),
    (
        "live-scheme",
        lambda _: None,
        "the authentication was oauth2 and is custom: what customers entered is not used",
    ),
    (
        "live-identity",
        lambda files: destination_of(files).update(name="Acme Two"),
        (
            "the live name is 'Acme', and this one 'Acme Two': customers would lose the "
            "destination that they have set up"
        ),
    ),
    (
        "live-default",
        _field("user", default={"@path": "$.anonymousId"}),
        (
            "the default of the field user of trackEvent has changed: mappings of customers "
            "keep the former one"
        ),
    ),
    (
        "live-default",
        _region(default="eu"),
        (
            "the default of the setting region has changed: customers who have not set it may "
            "get the new one"
        ),
    ),
    (
        "live-batching",
        lambda files: destination_of(files)["requests"]["sendEvents"].pop("batch"),
        (
            "the action `trackEvent` took batches, and takes single events now: customers see"
            " more delay"
        ),
    ),
    (
        "live-required-field",
        _dotted_setting,
        (
            "the setting my.plan is new and is required: destinations of customers, who have "
            "not entered it, stop"
        ),
    ),
    (
        "live-preset-changed",
        lambda files: destination_of(files)["presets"][0].update(subscribe='type = "page"'),
        (
            "the preset 'Track events' had subscribe 'type = \"track\"' and has "
            "'type = \"page\"': customers who have it keep the former one"
        ),
    ),
    (
        "live-unseen",
        lambda files: action_of(files).update(
            window={"from": {"@path": "$.payload.time"}, "grace": "1d", "then": "reject"}
        ),
        "no published file shows the limits that code checks: the window",
    ),
    (
        "live-preset",
        lambda files: destination_of(files)["presets"][0].update(name="Send events"),
        (
            "the preset 'Track events' is gone: customers who add the destination from now on "
            "start without it"
        ),
    ),
]


def _object(**more: Any) -> Change:
    def change(files: dict[str, Any]) -> None:
        action_of(files)["fields"]["properties"]["extra"] = {
            "title": "Extra",
            "description": "More of the event.",
            "type": "object",
            "default": {"@path": "$.properties.extra"},
            **more,
        }

    return change


_INNER: Final = {"a": {"title": "A", "description": "An inner field.", "type": "string"}}


def _edited(live: Path, rule: str) -> None:
    if rule == "live-scheme":
        data = json.loads(live.read_text("utf-8"))
        data["authentication"]["scheme"] = "oauth2"
        live.write_text(json.dumps(data), "utf-8")


@pytest.mark.parametrize(
    ("rule", "change", "message"),
    BROKEN,
    ids=[f"{number}-{one[0]}" for number, one in enumerate(BROKEN)],
)
def test_each_change(
    written: Callable[..., Path], live: Path, rule: str, change: Change, message: str
) -> None:
    """A breaking change is found, with what customers would see, and a line of the definition."""
    _edited(live, rule)
    findings = check(read_publication(written(change), live))
    mine = [one.issue for one in findings if one.rule.id == rule]
    assert message in [one.message for one in mine], [str(one.issue) for one in findings]
    assert all(one.line is not None for one in mine)
    found = {one.rule.id for one in findings if one.rule.id.startswith("live-")}
    # Batches go, and with them the fields that Segment gives to actions with batches.
    assert found - {rule} <= ({"live-field-removed"} if rule == "live-batching" else set())


_AGE: Final = {
    "title": "Age",
    "description": "The age of the user, in years.",
    "default": {"@path": "$.properties.age"},
}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            {"type": "integer", "maximum": 150},
            {"type": "integer", "maximum": 15},
            {"live-unseen": "maximum of age"},
        ),
        (
            {"type": "integer", "maximum": 150},
            {"type": "number", "maximum": 150},
            {"live-unseen": "maximum of age"},
        ),
        (
            {"type": "number", "maximum": 150},
            {"type": "number", "maximum": 15},
            {"live-stricter": "must be at most 15 now"},
        ),
        ({"type": "number", "maximum": 150}, {"type": "number", "maximum": 200}, {}),
        ({"type": "integer"}, {"type": "integer"}, {}),
    ],
)
def test_limits_of_numbers(
    written: Callable[..., Path],
    tmp_path: Path,
    old: dict[str, Any],
    new: dict[str, Any],
    found: dict[str, str],
) -> None:
    """Limits that the metadata shows are compared; those of whole numbers, code has to show."""

    def with_age(spec: dict[str, Any]) -> Change:
        def change(files: dict[str, Any]) -> None:
            action_of(files)["fields"]["properties"]["age"] = {**_AGE, **spec}
            json_ = destination_of(files)["requests"]["sendEvents"]["rest"]["json"]
            json_["age"] = {"@path": "$.payload.age"}

        return change

    live = tmp_path / "live.json"
    publication = read_publication(written(with_age(old), tmp_path / "old"))
    live.write_text(json.dumps(publication.metadata), "utf-8")
    findings = check(read_publication(written(with_age(new)), live))
    assert {one.rule.id for one in findings} == found.keys()
    for one in findings:
        assert found[one.rule.id] in one.issue.message


def test_every_rule_is_tested() -> None:
    """No rule for live destinations is without a case."""
    tested = {one[0] for one in BROKEN} | {"live-object-closed"}
    assert {rule.id for rule in RULES if rule.id.startswith("live-")} == tested


OPEN: Final = _object(additionalProperties=True, properties=_INNER)
CLOSED: Final = _object(additionalProperties=False, properties=_INNER)


@pytest.mark.parametrize(
    ("before", "after", "is_closed"),
    [
        (OPEN, CLOSED, True),
        (_object(), CLOSED, True),
        (_object(), OPEN, False),
        (CLOSED, OPEN, False),
        (CLOSED, CLOSED, False),
    ],
    ids=["closed", "closed, of nothing", "of nothing", "opened", "the same"],
)
def test_closed_objects(
    written: Callable[..., Path], tmp_path: Path, before: Change, after: Change, *, is_closed: bool
) -> None:
    """An object that took anything must go on to take it."""
    live = tmp_path / "live.json"
    former = read_publication(written(before, tmp_path / "former"))
    live.write_text(json.dumps(former.metadata), "utf-8")
    found = check(read_publication(written(after), live))
    closed = [one for one in found if one.rule.id == "live-object-closed"]
    assert len(closed) == is_closed
    if closed:
        assert "the field extra of trackEvent took members of any name" in closed[0].issue.message


def test_what_is_gone_by_its_dotted_name(written: Callable[..., Path], live: Path) -> None:
    """A dot in the name of a setting or field is part of the name."""
    data = json.loads(live.read_text("utf-8"))
    gone = {"label": "Old", "description": "It was.", "type": "string", "required": False}
    data["authentication"]["fields"]["my.old"] = gone
    data["actions"]["trackEvent"]["fields"]["its.old"] = gone
    live.write_text(json.dumps(data), "utf-8")
    found = [one.issue.message for one in check(read_publication(written(), live))]
    assert [one.partition(" is gone")[0] for one in found] == [
        "the setting my.old",
        "the field its.old of trackEvent",
    ]


@pytest.mark.parametrize(
    ("was", "is_now", "is_error"),
    [
        ("integer", "number", False),
        ("integer", "string", False),
        ("number", "string", False),
        ("boolean", "string", False),
        ("datetime", "string", False),
        ("text", "string", False),
        ("string", "number", True),
        ("number", "integer", True),
        ("object", "string", True),
    ],
)
def test_looser_types(
    written: Callable[..., Path], live: Path, was: str, is_now: str, *, is_error: bool
) -> None:
    """A type that takes all values of the former one breaks nothing."""
    data = json.loads(live.read_text("utf-8"))
    data["actions"]["trackEvent"]["fields"]["name"]["type"] = was
    live.write_text(json.dumps(data), "utf-8")
    found = check(read_publication(written(_field("name", type=is_now)), live))
    assert [one.rule.id for one in found if one.rule.id == "live-type"] == ["live-type"] * is_error


def test_presets_of_one_name(written: Callable[..., Path], live: Path) -> None:
    """Presets that share a name are compared with the one that is the same."""
    data = json.loads(live.read_text("utf-8"))
    (preset,) = data["presets"]
    data["actions"]["other"] = data["actions"]["trackEvent"]
    data["presets"] = [{**preset, "partnerAction": "other"}, preset]
    live.write_text(json.dumps(data), "utf-8")

    def change(files: dict[str, Any]) -> None:
        other = {"slug": "other", "title": "Other"}
        files["other.yaml"] = {**copy.deepcopy(action_of(files)), **other}
        presets = destination_of(files)["presets"]
        presets.append({**presets[0], "partnerAction": "other"})

    found = check(read_publication(written(change), live))
    assert [one for one in found if one.rule.id.startswith("live-")] == []


def _metadata(**changes: Any) -> str:
    action = {"title": "Track event", "fields": {"id": {"type": "string"}}}
    data = {
        "slug": "actions-acme",
        "name": "Acme",
        "actions": {"trackEvent": action},
        "presets": [],
        **changes,
    }
    return json.dumps({key: value for key, value in data.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", DefinitionError, "live.json:1"),
        ("[]", DefinitionError, "must be an object, as in a metadata.json"),
        ('{"name": "x"}', DefinitionError, "it lacks slug, actions, presets"),
        (_metadata(actions=None), DefinitionError, "it lacks actions"),
        (_metadata(presets={}), DefinitionError, "/presets: must be an array"),
        (_metadata(actions={"a": 1}), DefinitionError, "/actions/a: must be an action with fields"),
        (
            _metadata(actions={"a": {"fields": {"b": {}}}}),
            DefinitionError,
            "/actions/a/fields/b: must be a field with a type",
        ),
        (_metadata(presets=[1]), DefinitionError, "/presets/0: must be a preset with a name"),
        (_metadata(authentication=[1]), DefinitionError, "/authentication: must be an object"),
        (
            _metadata(authentication={"scheme": "custom", "fields": {"key": "x"}}),
            DefinitionError,
            "/authentication/fields/key: must be a field with a type",
        ),
        (
            _metadata(actions={"a": {"fields": {"b": {"type": "string", "choices": [1]}}}}),
            DefinitionError,
            "/actions/a/fields/b: must have choices with a value each",
        ),
        *(
            (
                _metadata(actions={"a": {"fields": {"b": {"type": "number", key: value}}}}),
                DefinitionError,
                f"/actions/a/fields/b/{key}: must be {called}",
            )
            for key, value, called in (
                ("minimum", "1", "a number"),
                ("maximum", True, "a number"),
                ("format", [1], "text"),
                ("properties", [1], "an object"),
            )
        ),
        *(
            (
                _metadata(presets=[{"name": "Track", key: {}}]),
                DefinitionError,
                f"/presets/0/{key}: must be text",
            )
            for key in ("partnerAction", "subscribe")
        ),
        (
            _metadata(slug="actions-other", name="Other", actions={"else": {"fields": {}}}),
            UsageError,
            "is the file of another destination: Other (actions-other), not Acme (actions-acme)",
        ),
    ],
)
def test_unreadable_metadata(
    written: Callable[..., Path], tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    """A file that is no metadata.json, or another one's, is an error that names the place."""
    path = tmp_path / "live.json"
    path.write_text(text, "utf-8")
    with pytest.raises(error) as caught:
        read_publication(written(), path)
    assert message in str(caught.value)
    assert "live.json" in str(caught.value)


def test_missing_metadata(written: Callable[..., Path], tmp_path: Path) -> None:
    """A file that is not there, not UTF-8, or a folder is named."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(21_000_000)
    (tmp_path / "latin.json").write_bytes(b'"\xe4"')
    for name, message in (
        ("none.json", "cannot read"),
        ("latin.json", "is not UTF-8"),
        ("", "cannot read"),
        ("pipe", "it is a pipe"),
        ("large.json", "has more than 20 MB"),
    ):
        with pytest.raises(UsageError, match=message):
            read_publication(written(), tmp_path / name)


def test_a_direct_destination_has_no_metadata(written: Callable[..., Path], live: Path) -> None:
    """The option is refused, instead of being without effect."""

    def change(files: dict[str, Any]) -> None:
        destination_of(files)["publishing"]["as"] = "direct"

    with pytest.raises(UsageError, match="leave out --published"):
        read_publication(written(change), live)
