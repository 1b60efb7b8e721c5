"""Each rule of `publish check`: it finds what breaks it, and nothing where nothing does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from destinations.kit.publishing import CATEGORIES, RULES, Finding, check, read_publication
from destinations.kit.publishing.categories import nearest_categories
from tests.destinations.kit.publishing.conftest import (
    LOGO,
    MARK,
    Change,
    action_of,
    destination_of,
    field_of,
)

Found = Callable[[Change], list[Finding]]


def test_the_definition_breaks_no_rule(found: Found) -> None:
    """What each test changes is the only thing that is wrong."""
    assert [str(one.issue) for one in found(lambda _: None)] == []


def _new_action(files: dict[str, Any], slug: str) -> None:
    other = yaml.safe_load(yaml.safe_dump(action_of(files)))
    other |= {"slug": slug, "title": f"Title of {slug}"}
    files[f"{slug}.yaml"] = other
    preset = {"name": f"Also {slug}", "partnerAction": slug, "subscribe": 'type = "page"'}
    destination_of(files)["presets"].append(preset)
    for name, response in (("also", 200), ("also-refused", 400)):
        case = yaml.safe_load(yaml.safe_dump(files["cases/sent.yaml"]))
        case["subscriptions"] = [
            {"name": "Only", "partnerAction": slug, "subscribe": 'type = "track"'}
        ]
        case["expected"][0]["action"] = slug
        if response == 400:
            case["interactions"][0]["response"] = {"status": 400, "json": {}}
            case["expected"][0]["outcome"] = "rejected"
        files[f"cases/{name}-{slug}.yaml"] = case


def _action_without_preset(files: dict[str, Any]) -> None:
    _new_action(files, "other")
    destination_of(files)["presets"].pop()


def _fails_only_when_asked(files: dict[str, Any]) -> None:
    """Let the only error of the partner be the answer to a question about usage."""
    read = {key: {"@path": f"$.usage.{key}"} for key in ("user", "from", "to")}
    destination_of(files)["requests"]["count"] = {
        "description": "Shows what was counted.",
        "idempotent": True,
        "rest": {"method": "GET", "path": ["usage"], "query": read},
    }
    action_of(files)["usage"] = {
        "user": "somebody",
        "feature": "something",
        "ask": {"request": "count", "shown": {"@path": "$.answer.total"}},
    }
    case = files["cases/refused.yaml"]
    case["interactions"][0]["response"] = {"status": 200, "json": {}}
    request = {"method": "GET", "url": "https://api.example.com/usage"}
    case["interactions"].append({"request": request, "response": {"status": 404}})
    times = {"from": "2026-01-15T00:00:00Z", "to": "2026-01-16T00:00:00Z"}
    about = {"action": "trackEvent", "user": "somebody", "feature": "something"}
    case["usage"] = [{**about, **times, "error": "404"}]


def _preset_without(key: str) -> Change:
    def change(files: dict[str, Any]) -> None:
        fields = action_of(files)["fields"]["properties"]
        mapping = {name: one["default"] for name, one in fields.items() if name != key}
        destination_of(files)["presets"][0]["mapping"] = mapping

    return change


def _setting(key: str, **spec: Any) -> Change:
    def change(files: dict[str, Any]) -> None:
        destination_of(files)["settings"]["properties"][key] = {
            "title": key,
            "description": "What it is for, in a sentence.",
            "type": "string",
            **spec,
        }

    return change


def _field(key: str, **spec: Any) -> Change:
    def change(files: dict[str, Any]) -> None:
        action_of(files)["fields"]["properties"][key] = {
            "title": key,
            "description": "What it is for, in a sentence.",
            "type": "string",
            **spec,
        }
        destination_of(files)["requests"]["sendEvents"]["rest"]["json"][key] = {
            "@path": f"$.payload['{key}']"
        }

    return change


def _batch_keys(*keys: str, default: Any = None) -> Change:
    return _field(
        "batch_keys",
        type="array",
        items={"type": "string"},
        default=list(keys) if default is None else default,
    )


def _set(place: str, value: Any) -> Change:
    """Set a value of destination.yaml at a dotted path; None takes it out."""

    def change(files: dict[str, Any]) -> None:
        *outer, last = place.split(".")
        target = destination_of(files)
        for key in outer:
            target = target.setdefault(key, {})
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value

    return change


def _both(*changes: Change) -> Change:
    def change(files: dict[str, Any]) -> None:
        for one in changes:
            one(files)

    return change


def _direct(files: dict[str, Any]) -> None:
    destination_of(files)["publishing"] |= {
        "as": "direct",
        "endpoint": "https://events.example.com/v1/acme",
    }


def _image(name: str, text: str | None) -> Change:
    def change(files: dict[str, Any]) -> None:
        if text is None:
            del files[f"publishing/{name}.svg"]
        else:
            files[f"publishing/{name}.svg"] = text

    return change


def _inner(text: str) -> Change:
    return _image("logo", LOGO.replace("<path", f"{text}<path"))


def _time(path: str) -> Change:
    return lambda files: field_of(files, "time").update(default={"@path": path})


BROKEN: Final[list[tuple[str, Change, str, str]]] = [
    # rule, change, file, message
    ("presets", _set("presets", []), "destination.yaml", "no presets"),
    (
        "presets-of-actions",
        _action_without_preset,
        "other.yaml",
        "no preset uses the action other",
    ),
    ("preset-fields", _preset_without("user"), "destination.yaml", "maps nothing to user"),
    (
        "export",
        lambda files: field_of(files, "id").update(
            default={"@convert": {"value": {"@path": "$.messageId"}, "to": "uuid"}}
        ),
        "trackEvent.yaml",
        "@convert has no counterpart",
    ),
    (
        "batching",
        _set("requests.sendEvents.batch", None),
        "destination.yaml",
        "a request of its own",
    ),
    (
        "batch-results",
        _set("requests.sendEvents.batch", {"size": 100}),
        "destination.yaml",
        "succeed or fail as a whole",
    ),
    ("batch-keys", _batch_keys("id", "user", "name", "time"), "trackEvent.yaml", "has 4 keys"),
    (
        "batch-keys",
        _batch_keys("nobody"),
        "trackEvent.yaml",
        "`batch_keys` names 'nobody': expected a field of trackEvent, one of id",
    ),
    ("batch-keys", _batch_keys("batch_keys"), "trackEvent.yaml", "names itself"),
    ("event-time", _time("$.sentAt"), "trackEvent.yaml", "time of sending (sentAt)"),
    ("event-time", _time("$.receivedAt"), "trackEvent.yaml", "time of sending (receivedAt)"),
    (
        "event-time",
        lambda files: field_of(files, "time").update(
            default={"@template": "{{ originalTimestamp }}"}
        ),
        "trackEvent.yaml",
        "time of sending (originalTimestamp)",
    ),
    (
        "event-time",
        lambda files: field_of(files, "time").update(
            default={"@liquid": "{{ 'now' | date: '%Y' }}"}
        ),
        "trackEvent.yaml",
        "time of sending (now)",
    ),
    (
        "event-time-missing",
        _time("$.properties.when"),
        "trackEvent.yaml",
        "reads the event's timestamp",
    ),
    (
        "cases",
        lambda files: [files.pop(f"cases/{name}.yaml") for name in ("sent", "refused")],
        "trackEvent.yaml",
        "no recorded case has an event of trackEvent",
    ),
    (
        "failing-cases",
        lambda files: files.pop("cases/refused.yaml"),
        "trackEvent.yaml",
        "has an error of the partner",
    ),
    (
        "failing-cases",
        _fails_only_when_asked,
        "trackEvent.yaml",
        "has an error of the partner",
    ),
    (
        "authentication-test",
        _set("authentication", None),
        "destination.yaml",
        "no request tests the credentials",
    ),
    *(
        (
            "action-names",
            lambda files, slug=slug: _new_action(files, slug),
            f"{slug}.yaml",
            f"the code of {slug} is exported to the folder {slug}Action",
        )
        for slug in ("http", "index", "metadata", "Requests", "con", "node_modules")
    ),
    (
        "action-names",
        lambda files: _new_action(files, "TrackEvent"),
        "trackEvent.yaml",
        "the code of trackEvent is exported to the folder trackEventAction",
    ),
    ("field-names", _field("user id"), "trackEvent.yaml", "'user id' has a name"),
    ("field-names", _setting("1st"), "destination.yaml", "'1st' has a name"),
    ("field-names", _setting("toString"), "destination.yaml", "every object of JavaScript has"),
    *(
        ("field-names", _field(name), "trackEvent.yaml", f"the field {name!r} has")
        for name in (
            *("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"),
            *("toLocaleString", "toString", "valueOf", "__proto__", "__defineGetter__"),
            *("__defineSetter__", "__lookupGetter__", "__lookupSetter__", "naïve"),
            *("enable_batching", "batch_size", "batch_bytes"),
        )
    ),
    ("field-names", _field("batch_keys", default="id"), "trackEvent.yaml", "an optional list"),
    (
        "field-names",
        _field("outer", type="object", properties={"toString": {"type": "string"}}),
        "trackEvent.yaml",
        "the property 'toString' of the field 'outer' has",
    ),
    (
        "api-versions",
        _set("transport.headers", {"Acme-Version": "basil"}),
        "destination.yaml",
        "Acme-Version names the version basil",
    ),
    ("secret-type", _setting("secret"), "destination.yaml", "a secret by its name (secret)"),
    ("secret-type", _setting("accessToken"), "destination.yaml", "by its name (token)"),
    ("secret-type", _setting("API_KEY", type="boolean"), "destination.yaml", "(key)"),
    ("secret-type", _setting("country_code"), "destination.yaml", "(code)"),
    (
        "secret-default",
        lambda files: destination_of(files)["settings"]["properties"]["apiKey"].update(
            default="anything"
        ),
        "destination.yaml",
        "the secret setting apiKey has a default, which the catalog would show",
    ),
    (
        "case-secret",
        lambda files: files["cases/sent.yaml"]["settings"].update(
            apiKey="sk_live_" + "51H8xK2eZvKY"
        ),
        "sent.yaml",
        "the setting apiKey holds what looks like a real secret",
    ),
    ("secret-field", _field("password"), "trackEvent.yaml", "password is a secret"),
    (
        "description-missing",
        lambda files: field_of(files, "name").update(description=" "),
        "trackEvent.yaml",
        "the field name of trackEvent has no description",
    ),
    (
        "description-length",
        lambda files: field_of(files, "name").update(description="A name."),
        "trackEvent.yaml",
        "has 7 characters",
    ),
    (
        "description-length",
        lambda files: field_of(files, "name").update(description="Long. " * 70),
        "trackEvent.yaml",
        "has 419 characters",
    ),
    (
        "description-period",
        _setting("plan", description="What it is for"),
        "destination.yaml",
        "does not end with a period",
    ),
    ("catalog-description", _set("description", "Acme. " * 90), "destination.yaml", "539"),
    ("catalog-description-length", _set("description", "It counts."), "destination.yaml", "10"),
    ("website", _set("website", None), "destination.yaml", "no website"),
    ("website", _set("website", "http://example.com"), "destination.yaml", "is not an https URL"),
    ("categories-missing", _set("categories", None), "destination.yaml", "no category"),
    (
        "categories-too-many",
        _set("categories", ["Analytics", "CRM", "Surveys"]),
        "destination.yaml",
        "there are 3 categories",
    ),
    (
        "categories-unknown",
        _set("categories", ["Analytic"]),
        "destination.yaml",
        "no category 'Analytic'; near it: Analytics",
    ),
    ("support", _set("maintainer", None), "destination.yaml", "no support address"),
    ("test-account", _set("publishing", None), "destination.yaml", "get a test account"),
    (
        "test-account-fields",
        _set("publishing.testAccount.fields", None),
        "destination.yaml",
        "where reviewers find apiKey",
    ),
    (
        "test-account-secret",
        _set("publishing.testAccount.fields.apiKey", "It is sk9f8a7b6c5d4e3f2a1b0c9d8e."),
        "destination.yaml",
        "looks like a secret",
    ),
    ("logo-missing", _image("logo", None), "logo.svg", "there is no publishing/logo.svg"),
    ("mark-missing", _image("mark", None), "mark.svg", "there is no publishing/mark.svg"),
    ("image-invalid", _image("logo", "<svg"), "logo.svg", "is not XML"),
    (
        "image-invalid",
        _image("mark", '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"/>'),
        "mark.svg",
        "draws nothing",
    ),
    ("image-script", _inner("<script>1</script>"), "logo.svg", "has <script>"),
    ("image-external", _inner("<use href='https://example.com/a.svg#b'/>"), "logo.svg", "leads"),
    ("image-bitmap", _inner("<image href='data:image/png;base64,AA'/>"), "logo.svg", "<image>"),
    ("image-text", _inner("<text>Acme</text>"), "logo.svg", "has <text>"),
    (
        "image-view-box",
        _image("mark", MARK.replace(' viewBox="0 0 64 64"', "")),
        "mark.svg",
        "has no viewBox",
    ),
    ("image-size", _inner(f"<!--{'x' * 100_000}-->"), "logo.svg", "expected at most 100,000"),
    ("mark-square", _image("mark", LOGO), "mark.svg", "its viewBox is 240 by 64"),
    ("logo-lockup", _image("logo", MARK), "logo.svg", "is not wider than high"),
    (
        "docs-page",
        lambda files: files.update({"page/overview.md.j2": "{{ nothing_like_it }}"}),
        "destination.yaml",
        "the page of acme",
    ),
    (
        "docs-lint",
        lambda files: field_of(files, "name").update(description="The name, e.g. of a feature."),
        "trackEvent.yaml",
        "[latin]",
    ),
    (
        "docs-style",
        lambda files: field_of(files, "name").update(description="Acme will show this name."),
        "trackEvent.yaml",
        "[will]",
    ),
    (
        "endpoint",
        _both(_direct, _set("publishing.endpoint", None)),
        "destination.yaml",
        "there is no endpoint",
    ),
    (
        "key-setting",
        _both(_direct, _setting("secret", format="password")),
        "destination.yaml",
        "there are 2 (apiKey, secret)",
    ),
]


@pytest.mark.parametrize(
    ("rule", "change", "file", "message"),
    BROKEN,
    ids=[f"{number}-{one[0]}" for number, one in enumerate(BROKEN)],
)
def test_each_rule(found: Found, rule: str, change: Change, file: str, message: str) -> None:
    """The finding names its rule, file and line, and no other error is found."""
    findings = found(change)
    mine = [one for one in findings if one.rule.id == rule]
    assert mine, [str(one.issue) for one in findings]
    assert message in mine[0].issue.message
    assert Path(str(mine[0].issue.file)).name == file
    assert mine[0].issue.line is not None or rule in {"logo-missing", "mark-missing", "image-size"}
    others = {one.rule.id for one in findings if one.level == "error"} - {rule}
    assert others <= _FOLLOWS.get(rule, set())


_FOLLOWS: Final[dict[str, set[str]]] = {
    # By rule, other rules that what breaks it breaks as well.
    # The page's samples lack these times, and show what a preset sends.
    "event-time": {"docs-page"},
    "presets": {"docs-page"},
    "preset-fields": {"docs-page"},
    # Some of these names are words that the linter of the page does not know.
    # Mappings lose one of them, too.
    "field-names": {"batch-keys", "docs-lint", "export"},
}


def test_every_rule_is_tested() -> None:
    """No rule is without a case, but those for live destinations, which have their own file."""
    tested = {one[0] for one in BROKEN} | {"reserved-settings"}
    assert {rule.id for rule in RULES if not rule.id.startswith("live-")} == tested


def test_texts_of_rules() -> None:
    """Each rule says why, how to fix it, and who says so."""
    for rule in RULES:
        assert all((rule.why.endswith("."), rule.fix.endswith(".")))
        assert rule.source
    assert len({rule.id for rule in RULES}) == len(RULES)


def _template(text: str) -> Change:
    return lambda files: files.update({"page/overview.md.j2": text})


def _two_alike(files: dict[str, Any]) -> None:
    for key in ("name", "plan"):
        field_of(files, key)["description"] = "What it is, e.g. a word."


_LINES: Final = "It counts what users do.\n\nThis is shown, e.g. on a page, and so on.\n"


@pytest.mark.parametrize(
    ("change", "places"),
    [
        (_set("description", "Acme counts, e.g. clicks."), [("destination", "/description")]),
        (
            _setting("zone", description="A zone, e.g. of Acme."),
            [("destination", "/settings/properties/zone/description")],
        ),
        (
            lambda files: action_of(files).update(description="It sends, e.g. an event."),
            [("trackEvent", "/description")],
        ),
        (
            lambda files: field_of(files, "name").update(description="A name. E.g. *a*|b_c."),
            [("trackEvent", "/fields/properties/name/description")],
        ),
        (
            _two_alike,
            [
                ("trackEvent", "/fields/properties/name/description"),
                ("trackEvent", "/fields/properties/plan/description"),
            ],
        ),
        (_set("description", _LINES), [("destination", "/description")]),
        (_template("It counts.\n\nIt shows, e.g. users."), [("overview.md", "")]),
    ],
)
def test_places_of_the_page(
    written: Callable[..., Path], change: Change, places: list[tuple[str, str]]
) -> None:
    """A finding in the page is one at the text that it comes from, with the line of the words."""
    folder = written(change)
    issues = [
        one.issue for one in check(read_publication(folder)) if "[latin]" in one.issue.message
    ]
    assert [(Path(str(one.file)).stem, one.path) for one in issues] == places
    for one in issues:
        assert one.line is not None
        line = Path(str(one.file)).read_text("utf-8").splitlines()[one.line - 1]
        assert "e.g." in line.lower()


def test_a_generated_sentence(written: Callable[..., Path]) -> None:
    """A sentence that no text of the definition holds is quoted, with the name of the page."""
    text = "{{ name }} counts{{ ',' }} {{ 'e.g' }}. clicks of users."
    issues = [
        one.issue
        for one in check(read_publication(written(_template(text))))
        if "[latin]" in one.issue.message
    ]
    assert [(one.file, one.line) for one in issues] == [(None, None)]
    assert "the page acme.md, which is generated, says 'Acme counts, e.g." in issues[0].message


def test_a_rule_of_the_whole_page(found: Found) -> None:
    """What is asked of the page as a whole is at no text that happens to be on its line."""
    (finding,) = (one for one in found(_set("maintainer", None)) if one.rule.id == "docs-style")
    assert finding.issue.message.startswith("the page acme.md, which is generated: say who")
    assert (finding.issue.file, finding.issue.line, finding.issue.path) == (None, None, "")


@pytest.mark.parametrize(
    "change",
    [
        _setting("accessKeyId"),
        _setting("countryCode"),
        _setting("monkey"),
        _setting("useKey", type="boolean"),
        _time("$.timestamp"),
        lambda files: field_of(files, "time").update(
            default={
                "@if": {
                    "exists": {"@path": "$.timestamp"},
                    "then": {"@path": "$.timestamp"},
                    "else": {"@path": "$.receivedAt"},
                }
            }
        ),
        _batch_keys("id", "user", "name"),
        _inner("<use href='#a'/><g fill='url(#b)'/>"),
        _set(
            "publishing.testAccount.fields.apiKey", "See https://example.com/a1b2c3d4e5f6g7h8i9j0."
        ),
        _set("publishing.support", "support@example.com"),
        _set("transport.headers", {"Acme-Version": "v2"}),
        _direct,
    ],
)
def test_what_is_right(found: Found, change: Change) -> None:
    """What only looks like a fault is none."""
    assert [str(one.issue) for one in found(change)] == []


def test_reserved_settings(written: Callable[..., Path]) -> None:
    """Names that Segment keeps are found beside OAuth2 only, in upper or lower case."""

    def change(files: dict[str, Any]) -> None:
        destination = destination_of(files)
        properties = destination["settings"]["properties"]
        del properties["apiKey"]
        for key in ("appId", "appSecret", "Access_Token"):
            properties[key] = {
                "title": key,
                "description": "A part of the credentials.",
                "type": "string",
                "format": "password",
                "minLength": 8,
            }
        destination["settings"]["required"] = ["appId", "appSecret"]
        destination["transport"].pop("auth")
        destination["authentication"] = {
            "scheme": "oauth2",
            "fields": ["appId", "appSecret"],
            "test": "whoAmI",
            "oauth2": {
                "grant": "clientCredentials",
                "tokenUrl": "https://auth.example.com/token",
                "clientId": "appId",
                "clientSecret": "appSecret",
            },
        }
        destination["publishing"]["testAccount"].pop("fields")
        for name in ("sent", "refused"):
            files[f"cases/{name}.yaml"]["settings"] = {
                "appId": "placeholder-appId",
                "appSecret": "placeholder-appSecret",
            }

    findings = check(read_publication(written(change)))
    reserved = [one for one in findings if one.rule.id == "reserved-settings"]
    assert [one.issue.path for one in reserved] == ["/settings/properties/Access_Token"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("analytics", ["Analytics"]),
        ("Live Chat", ["Livechat"]),
        ("Push Notifications", ["SMS & Push Notifications"]),
        ("Email", ["Email Marketing"]),
        ("Zzz", []),
    ],
)
def test_nearest_categories(name: str, near: list[str]) -> None:
    """A mistyped category names the ones that were meant, first the nearest."""
    assert nearest_categories(name)[: len(near) or 1] == near
    assert len(CATEGORIES) == 22
