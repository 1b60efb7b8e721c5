"""The page of Kana: up to date, free of findings, and every sample does what the text says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.cli import main
from destinations.definition import DestinationDefinition
from destinations.kit.lint import lint_page
from destinations.kit.partner_page import Browser, Page, read_calls, read_page
from destinations.kit.partner_page.markdown import Table
from destinations.runtime.explain import explain
from destinations.statuses import PHRASES
from kana_destination.cases import Case, cases
from kana_destination.flags import find_flags
from kana_destination.mapping_rules import Rule, RuleMapper

ROOT = Path(__file__).resolve().parents[2]
X = "x@example.com"
EMAILS = {"no email": None, "same email": X, "another email": "z@example.com"}
PAGES = ["kana.md", "kana-submission.md"]
NUMBERED = sorted(
    (case for case in cases().values() if case.number), key=lambda case: case.number or 0
)


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Page:
    """Each flavour of the committed page."""
    return read_page((ROOT / "docs" / "kana" / request.param).read_text(encoding="utf-8"))


def _events(page: Page) -> list[dict[str, Any]]:
    """The events that a browser sends for all samples of the page, in order."""
    browser = Browser()
    return [
        browser.send(call)
        for fence in page.fences
        if fence.language == "js"
        for call in read_calls(fence.text)
    ]


def _tables(page: Page) -> list[Table]:
    return [block.content for block in page.blocks if isinstance(block.content, Table)]


def _table(page: Page, *head: str) -> list[dict[str, str]]:
    """The rows of the one table with these first columns."""
    (found,) = [table.rows for table in _tables(page) if table.rows[0][: len(head)] == head]
    return [dict(zip(found[0], row, strict=True)) for row in found[1:]]


def test_the_committed_pages_are_up_to_date() -> None:
    """What is in docs/ is what the definition, the templates and the tables make."""
    assert main(["docs", "build", "kana", "--check", "--out", str(ROOT / "docs")]) == 0


@pytest.mark.parametrize("name", PAGES)
def test_the_linter_finds_nothing(name: str) -> None:
    """No error and no warning in either flavour."""
    path = ROOT / "docs" / "kana" / name
    findings = lint_page(path.read_text(encoding="utf-8"), path)
    assert [str(one) for one in findings if one.level != "suggestion"] == []


def test_the_samples_of_the_page() -> None:
    """Both flavours show the same calls: one for each method, and one that a rule maps."""
    texts = [(ROOT / "docs" / "kana" / name).read_text(encoding="utf-8") for name in PAGES]
    published, submission = (_events(read_page(text)) for text in texts)
    assert published == submission
    assert [event["type"] for event in published] == ["identify", "track", "track"]


def test_samples_give_the_payloads_that_the_text_names(page: Page, kana: Any) -> None:
    """Each value of a payload stands in the section of its sample; nothing sent is dropped."""
    identify, track, unmapped = _events(page)
    destination = kana.bind()
    payloads = []
    for event in (identify, track):
        explanation = explain(destination, json.dumps(event).encode())
        (followed,) = (one for one in explanation.subscriptions if one.matches)
        assert followed.changes == []
        payloads.append(followed.payload)
        for value in followed.payload.values():
            shown = f"`{value}`" if isinstance(value, str) else f"adds {value} to"
            assert shown in page.text
    assert payloads[0] == {"id": identify["userId"], **_renamed(identify["traits"])}
    assert payloads[1] == {"userId": identify["userId"], **track["properties"]}
    explanation = explain(destination, json.dumps(unmapped).encode())
    (followed,) = (one for one in explanation.subscriptions if one.matches)
    assert followed.result is not None
    assert followed.result.outcome == "unmapped"


def _renamed(traits: dict[str, Any]) -> dict[str, Any]:
    return {{"billingUserId": "billingId"}.get(key, key): value for key, value in traits.items()}


def test_samples_do_at_kana_what_the_text_says(page: Page, make_kana: Callable[..., Any]) -> None:
    """Run against the sandbox, the user, the usage and the kept event are those of the text."""
    identify, track, unmapped = _events(page)
    feature = track["properties"]["featureId"]
    kana = make_kana({"features": [{"id": feature, "name": "F", "type": "CONSUMABLE"}]})
    kana.run(identify, track, unmapped)
    assert [kana.result(line).outcome for line in (1, 2, 3)] == [
        "delivered",
        "delivered",
        "unmapped",
    ]
    ((user_id, user),) = kana.users.items()
    said = re.search(
        r"gives the user `(.*?)` the name `(.*?)`, the email `(.*?)`, and the billing ID `(.*?)`",
        page.text,
    )
    assert said is not None
    assert said.groups() == (user_id, user["name"], user["email"], user["billingId"])
    said = re.search(
        r"adds (\d+) to the usage of the feature `(.*?)` by the user `(.*?)`", page.text
    )
    assert said is not None
    amount, feature_said, user_said = said.groups()
    assert kana.usage == {user_said: {feature_said: int(amount)}}


def test_the_rule_of_the_text_maps_its_sample(page: Page) -> None:
    """Both conditions hold, each is needed, and without an amount the event counts 1."""
    event = _events(page)[2]
    said = re.search(r"event name `(.*?)` and the value `(.*?)` at the path `(.*?)`", page.text)
    assert said is not None
    name, value, path = said.groups()
    assert Rule("r", "f", event=name, where={path: value}).matches(event)
    assert not Rule("r", "f", event="Other", where={path: value}).matches(event)
    assert not Rule("r", "f", event=name, where={path: "other"}).matches(event)
    rules = [Rule("old", "f", event=name), Rule("new", "g", where={path: value})]
    payload = {"userId": event["userId"], "delta": 1}
    assert RuleMapper(rules)(event, payload) == {**payload, "featureId": "f"}


@pytest.mark.parametrize("case", NUMBERED, ids=lambda case: str(case.number))
def test_the_ten_cases_are_those_that_the_code_runs(case: Any, page: Page) -> None:
    """Each row says of its case what the table of the decision says."""
    row = _table(page, "Case")[(case.number or 0) - 1]
    assert row["Case"] == str(case.number)
    state = {
        "missing": "Doesn't exist",
        "no email": "Has no email",
        "same email": "Has this email",
        "another email": "Has another email",
    }[case.user]
    assert row["User with this `userId`"] == state
    assert row["Stripe user with this email?"] == ("Yes" if case.stripe else "No")
    assert row["Other users with this email?"] == ("Yes" if case.others else "No")
    assert row["Flagged for its email?"] == ("Yes" if case.flagged else "No")
    verb = {
        "create": "Creates",
        "update": "Updates",
        "merge": "Merges",
        "rename": "Replaces the ID",
    }
    assert row["Outcome"].startswith(verb[case.then])
    if case.then == "update":
        changed = {"no email": "adds the", "same email": "", "another email": "replaces the"}
        assert changed[case.user] in row["Outcome"]
        assert ("the email" in row["Outcome"]) is (case.user != "same email")


def _seed(case: Case) -> dict[str, Any]:
    """The users of a case, with the email x."""
    users: list[dict[str, Any]] = []
    if case.user != "missing":
        users.append({"id": "1", "email": EMAILS[case.user]})
    if case.stripe:
        users.append({"id": X, "email": X, "billingId": "cus_1"})
    if case.others:
        users.append({"id": "2", "email": X})
    if case.number == 4:
        users.append({"id": "2", "email": EMAILS[case.user]})
    return {"users": users}


def _cases_after(page: Page, before: str) -> list[int]:
    """The numbers of the cases that a sentence names behind these words."""
    said = re.search(rf"{re.escape(before)} cases ([\d, and]+)", page.text)
    assert said is not None, before
    return [int(number) for number in re.findall(r"\d+", said[1])]


def test_where_the_api_takes_no_email(page: Page, make_kana: Callable[..., Any]) -> None:
    """In just the cases that the text names, the email waits, and in these they are flagged."""
    waits, flagged = [], []
    for case in NUMBERED:
        kana = make_kana(_seed(case), api="documented")
        kana.run({"type": "identify", "userId": "1", "messageId": "m", "traits": {"email": X}})
        fields = kana.result(1).manual.fields
        assert fields in ({}, {"email": X})
        shared = find_flags(list(kana.users.values()), {"1": fields}, {})["same-email"]
        assert ("1" in [one.user["id"] for one in shared]) is case.flagged
        if fields:
            waits.append(case.number)
            flagged += [case.number] * case.flagged
    assert waits == _cases_after(page, "Kana updates the other fields. In")
    assert flagged == _cases_after(page, "when it flags users in") == [2, 6, 10]


def test_what_happens_to_a_stripe_customer(page: Page) -> None:
    """The text names the cases in which the event's billing ID replaces that of a Stripe user."""
    said = [case.number for case in NUMBERED if case.then in {"merge", "rename"}]
    assert _cases_after(page, "doesn't sync it with Stripe. In") == said == [7, 8]
    assert "a `billingUserId` in the call replaces the billing ID of the Stripe user" in page.text


def test_all_cases_are_there(page: Page) -> None:
    """Ten rows, in order."""
    assert [row["Case"] for row in _table(page, "Case")] == [str(case.number) for case in NUMBERED]
    assert len(NUMBERED) == 10


def test_the_tables_of_fields(page: Page, kana_definition: DestinationDefinition) -> None:
    """Every field of both actions with its mark; what the table names is what is read."""
    identify, track = [
        [dict(zip(table.rows[0], row, strict=True)) for row in table.rows[1:]]
        for table in _tables(page)
        if table.rows[0][0] == "Field"
    ]
    assert [list(row.values())[:3] for row in identify] == [
        ["`userId`", "`id`", "Required"],
        ["`traits.name`", "`name`", "Optional"],
        ["`traits.email`", "`email`", "Optional"],
        ["`traits.billingUserId`", "`billingId`", "Optional"],
    ]
    assert [list(row.values())[:3] for row in track] == [
        ["`properties.featureId`", "`featureId`", "Optional"],
        ["`properties.delta`", "`delta`", "Optional"],
    ]
    assert list(identify[0]) == ["Field", "Kana field", "Required?", "Description"]
    billing = identify[3]["Description"]
    assert "must be the ID of a customer at Stripe or Chargebee" in billing
    assert billing.endswith("Falls back to `traits.billingId`.")
    fields = kana_definition.actions["track"].fields["properties"]
    assert track[1]["Description"].endswith(f"Defaults to `{fields['delta']['x-otherwise']}`.")


def test_the_fields_are_those_of_kana(kana_definition: DestinationDefinition) -> None:
    """What the table calls Kana's field is one of the API: of a user, or of a usage event."""
    schema = (ROOT / "kana_destination/sandbox/schema.graphql").read_text(encoding="utf-8")
    for action, name in (("identify", "type User"), ("track", "input CreateUsageEventInput")):
        found = re.search(rf"^{name} \{{(.*?)\}}", schema, re.MULTILINE | re.DOTALL)
        assert found is not None
        known = re.findall(r"(\w+)\s*:", found[1])
        for spec in kana_definition.actions[action].fields["properties"].values():
            assert spec["x-partnerField"] in known


def test_an_event_without_a_user_is_answered_as_the_text_says(page: Page, kana: Any) -> None:
    """Both calls are invalid without a userId, with the status on the page."""
    said = re.search(r"drops events without a `userId`, and answers with `(.*?)`", page.text)
    assert said is not None
    for event in _events(page):
        anonymous = {**event, "userId": None}
        result = explain(kana.bind(), json.dumps(anonymous).encode()).result
        assert result is not None
        assert result.outcome == "invalid"
        assert result.status is not None
        assert said[1] == f"{result.status} {PHRASES[result.status]}"


def test_what_the_page_must_say(page: Page, kana_definition: DestinationDefinition) -> None:
    """Link to the partner, maintainer, six steps, setting, methods, modes, warnings, filters."""
    catalog = kana_definition.catalog
    text = page.text
    assert f"({catalog['website']}?utm_source=" in text
    assert "&utm_medium=" in text
    assert f"mailto:{catalog['maintainer']['email']}" in text
    steps = re.findall(r"^\d+\. (.*)$", text, re.MULTILINE)
    assert len(steps) == 6
    assert catalog["documentation"]["credentials"] in steps[3]
    assert f"**{kana_definition.settings['properties']['apiKey']['title']}**" in steps[5]
    for part in (
        "/docs/connections/spec/identify/",
        "/docs/connections/spec/track/",
        "cloud-mode",
        "Kana drops all other traits.",
        "retroactively",
        "/docs/guides/filtering-data/",
        "low-code",
        "measure entitlement",
        "gain insights",
        "charge customers correctly",
        "all properties are available to [mapping rules]",
        "In the dashboard, you can merge or delete flagged users.",
        "**Admin API (Backend) Key**",
    ):
        assert part in text, part


LINKS = {
    # address: the words behind which the text leads there
    "https://dashboard.usekana.com": ["In the [Kana dashboard", "users in its [dashboard"],
    "https://dashboard.usekana.com/developer": ["open the [API key page"],
    "https://dashboard.usekana.com/integrations/segment/rules": ["Create rules on the [rules page"],
    "https://docs.usekana.com": ["The [Kana documentation"],
    "https://kana-1.gitbook.io/kana-docs/reference/admin-api-backend-reference/objects#user": [
        "in the fields of its [user object"
    ],
    "https://kana-1.gitbook.io/kana-docs": [
        "creating, updating, and merging users in the [Kana documentation on users",
        "setting up rules in the [Kana documentation on rules",
    ],
}


def test_links_to_kana(page: Page, kana_definition: DestinationDefinition) -> None:
    """Each address of Kana's docs and dashboard is linked where it is needed, and no other is."""
    website = kana_definition.catalog["website"]
    found = re.findall(r"\]\((https://[^)\s]*(?:usekana|kana-docs)[^)\s]*)\)", page.text)
    assert {address for address in found if not address.startswith(website)} == set(LINKS)
    for address, texts in LINKS.items():
        for words in texts:
            shown = rf"{re.escape(words)}[^\]]*\]\({re.escape(address)}\)"
            assert re.search(shown, page.text), words


def test_the_two_ways_to_map(page: Page) -> None:
    """They are a list: with a property, and with a rule, which needs no code."""
    section = page.text.partition("Mapping Rules\n")[2]
    ways = re.findall(r"^- (.*)$", section.partition("Create rules")[0], re.MULTILINE)
    assert [way.partition(":")[0] for way in ways] == [
        "**With a property**",
        "**With a mapping rule**",
    ]
    assert "`featureId`" in ways[0]
    for reason in ("no code", "your other destinations stay clean"):
        assert reason in ways[1]


def test_settings_that_the_catalog_lacks_are_not_there(page: Page) -> None:
    """Segment's catalog asks for the key alone."""
    assert "Endpoint" not in page.text


def test_the_outlines() -> None:
    """The shapes that partners submit and that the catalog publishes."""
    published, submission = (
        [
            (one.level, one.text)
            for one in read_page((ROOT / "docs/kana" / name).read_text("utf-8")).headings
        ]
        for name in PAGES
    )
    assert published == [
        (2, "Getting Started"),
        (2, "Supported methods"),
        (3, "Identify"),
        (4, "Creating, updating or merging"),
        (3, "Track"),
        (3, "Mapping Rules"),
    ]
    assert submission == [
        (1, "Kana Destination"),
        (2, "Getting Started"),
        (3, "Supported Methods"),
        (3, "Setup"),
        (2, "Identify"),
        (3, "Creating, updating or merging"),
        (2, "Track"),
        (3, "Mapping Rules"),
    ]
