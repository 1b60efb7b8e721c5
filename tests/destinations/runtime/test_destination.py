"""Which events a destination takes, through which subscriptions, and what it is known by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.errors import DefinitionError
from destinations.outcome import Outcome, Result
from destinations.runtime import destination as destination_module
from destinations.runtime.action import Call, Done, Generated, Payload
from destinations.runtime.destination import Code, Delivery, Destination
from destinations.runtime.subscription_key import SubscriptionKey

Bind = Callable[..., Destination]
Documents = dict[str, Any]


def _track(**changes: Any) -> dict[str, Any]:
    event = {"type": "track", "event": "Used", "userId": "u"}
    return {**event, "properties": {"by": 1, "thing": "t"}, **changes}


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({}, None, ""),
        ({"integrations": {"All": False, "Sample": True}}, None, ""),
        (
            {"integrations": {"All": False}},
            Outcome.FILTERED,
            "the event's integrations object excludes Sample",
        ),
        (
            {"userId": None, "anonymousId": "a"},
            Outcome.INVALID,
            "Sample needs userId",
        ),
        # What is not meant for a destination is not its fault.
        ({"userId": "", "integrations": {"Sample": False}}, Outcome.FILTERED, "the event's"),
    ],
)
def test_who_may_come_in(
    bind: Bind, changes: dict[str, Any], outcome: Outcome | None, reason: str
) -> None:
    """An event passes unless its integrations object or what the partner requires is against it."""
    result = bind().admit(_track(**changes))
    assert (result.outcome if result else None) == outcome
    assert (result.reason if result else "").startswith(reason)


def test_the_key_of_the_integrations_object(bind: Bind) -> None:
    """The definition may call the destination by another name than its own."""

    def change(documents: Documents) -> None:
        documents["destination"]["events"]["integrationsKey"] = "Sample (Actions)"

    destination = bind(change)
    assert destination.admit(_track(integrations={"Sample": False})) is None
    refused = destination.admit(_track(integrations={"Sample (Actions)": False}))
    assert refused is not None
    assert refused.outcome is Outcome.FILTERED


def _three(documents: Documents) -> None:
    documents["destination"]["presets"] = [
        {"name": "One", "partnerAction": "count", "subscribe": 'type = "track"'},
        {"name": "Two", "partnerAction": "save", "subscribe": "userId != null"},
        {"name": "Three", "partnerAction": "count", "subscribe": 'type = "page"'},
    ]


ONE, TWO = SubscriptionKey("One", "count"), SubscriptionKey("Two", "save")
THREE = SubscriptionKey("Three", "count")


@pytest.mark.parametrize(
    ("changes", "only", "expected"),
    [
        ({}, None, [(ONE, "payload"), (TWO, "payload")]),
        ({}, TWO, [(TWO, "payload")]),
        ({}, ONE, [(ONE, "payload")]),
        ({"properties": {}}, None, [(ONE, "unmapped"), (TWO, "payload")]),
        ({"type": "page", "properties": None}, None, [(TWO, "payload"), (THREE, "unmapped")]),
        ({"type": "screen"}, ONE, [(None, "filtered")]),
        ({}, SubscriptionKey("People", "sync"), [(None, "filtered")]),
        ({}, SubscriptionKey("One", "save"), [(None, "filtered")]),
        ({"userId": None}, TWO, [(None, "filtered")]),
    ],
)
def test_an_event_goes_through_each_subscription_that_matches(
    bind: Bind,
    changes: dict[str, Any],
    only: SubscriptionKey | None,
    expected: list[tuple[SubscriptionKey | None, str]],
) -> None:
    """One pair for each subscription that matches, in their order; exactly one if none does.

    Two subscriptions of one action are told apart, so that one can be fed back without the other.
    """
    found = [
        (
            None if subscription is None else subscription.key,
            what.outcome.value if isinstance(what, Result) else "payload",
        )
        for subscription, what in bind(_three).payloads(_track(**changes), only=only)
    ]
    assert found == expected


def test_a_payload_comes_with_the_subscription_that_made_it(bind: Bind) -> None:
    """Both are what a delivery is made of."""
    ((subscription, payload),) = bind().payloads(_track())
    assert subscription is not None
    assert payload == {"by": 1, "thing": "t"}
    assert (subscription.name, subscription.action.slug) == ("Counts", "count")
    assert subscription.key == SubscriptionKey("Counts", "count")


def test_a_delivery_is_made_of_values_or_of_bytes(bind: Bind) -> None:
    """What was kept as JSON is read when it is asked for; an event that nobody reads is empty."""
    (subscription, *_) = bind().subscriptions
    made = Delivery(subscription, _track(), {"by": 1})
    kept = Delivery(subscription, payload_json=b'{"by":1}', raw=json.dumps(_track()).encode())
    for delivery in (made, kept):
        assert (delivery.event, delivery.payload) == (_track(), {"by": 1})
        assert delivery.payload is delivery.payload
    assert Delivery(subscription, payload_json=b"{}").event == {}


def test_the_reason_of_no_subscription(bind: Bind) -> None:
    """It names the type of the event, so that the table of reasons tells what is left out."""
    ((_, end),) = bind().payloads({"type": "alias", "userId": "u", "previousId": "p"})
    assert isinstance(end, Result)
    assert end.reason == "no subscription takes alias events"


def test_subscriptions_and_actions_by_what_they_are_known_by(bind: Bind) -> None:
    """Subscriptions of one action share it; an action without a subscription is not there."""
    destination = bind(_three)
    assert list(destination.by_key) == [ONE, TWO, THREE]
    assert destination.by_key[ONE].action is destination.by_key[THREE].action
    assert list(destination.actions) == ["count", "save"]


@pytest.mark.parametrize(
    ("key", "successors"),
    [
        (ONE, [ONE]),
        (THREE, [THREE]),
        (SubscriptionKey("Renamed since", "count"), [ONE, THREE]),
        (SubscriptionKey("Renamed since", "save"), [TWO]),
        # The name of one with another action is not its own.
        (SubscriptionKey("Two", "count"), [ONE, THREE]),
        (SubscriptionKey("People", "sync"), []),
        (SubscriptionKey("Gone", "gone"), []),
    ],
)
def test_the_heirs_of_a_subscription(
    bind: Bind, key: SubscriptionKey, successors: list[SubscriptionKey]
) -> None:
    """Itself; where it is gone, as it was renamed, those of its action; none if that is gone."""
    assert [one.key for one in bind(_three).successors(key)] == successors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda documents: documents["sync"]["perform"].update(generator="other"),
            "sync: no plugin has the generator 'other'; known: sync",
        ),
        (
            lambda documents: documents["count"]["unmapped"].update(mapper="rules"),
            "count: no plugin has the mapper 'rules'; known: none",
        ),
    ],
    ids=["generator", "mapper"],
)
def test_code_that_no_plugin_has(
    bind: Bind, change: Callable[[Documents], object], message: str
) -> None:
    """A definition that names code that is not there is refused before any event is read."""
    with pytest.raises(DefinitionError) as caught:
        bind(change)
    assert str(caught.value) == message


def _environments(documents: Documents) -> None:
    properties = documents["destination"]["settings"]["properties"]
    properties["apiKey"]["x-environments"] = {"test": "_test_", "live": "_live_"}


@pytest.mark.parametrize(
    ("key", "environments"),
    [
        ("sk_test_0123456789", ["test"]),
        ("sk_live_0123456789", ["live"]),
        ("sk_0123456789", []),
        ("sk_test_live_0123456789", ["test", "live"]),
    ],
)
def test_environments(bind: Bind, key: str, environments: list[str]) -> None:
    """They are what the definition reads from the settings, by the value of a secret as well."""
    assert bind(_environments, apiKey=key).environments == environments


def test_no_secret_is_in_the_endpoint(bind: Bind, api_key: str) -> None:
    """The URL is shown and kept, so that a secret in it is masked."""
    assert bind(endpoint=f"http://a/?key={api_key}").endpoint == "http://a/?key=***"


def _requests(count: int) -> Callable[[Documents], None]:
    """Return the change after which the destination has so many requests."""

    def change(documents: Documents) -> None:
        requests = documents["destination"]["requests"]
        request = next(iter(requests.values()))
        requests |= {f"more{number}": request for number in range(count - len(requests))}

    return change


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (4, "requests {0}, {1}, {2} cannot be sent: "),
        (5, "requests {0}, {1}, {2} and 1 more cannot be sent: "),
        (16, "requests {0}, {1}, {2} and 12 more cannot be sent: "),
    ],
)
def test_a_setting_that_prevents_requests(bind: Bind, count: int, named: str) -> None:
    """What one setting prevents is one issue, however many requests need it; one does not."""
    destination = bind(_requests(count), endpoint="ftp://partner.example")
    assert len(destination.requests) == count
    (issue,) = destination.request_issues()
    assert issue.startswith("with these settings the " + named.format(*destination.requests))


def _more_words(documents: Documents) -> None:
    documents["destination"]["description"] = "Counts things, and saves people well."


def _other_mapping(documents: Documents) -> None:
    documents["count"]["fields"]["properties"]["by"]["default"] = {"@path": "$.properties.amount"}


def _other_filter(documents: Documents) -> None:
    documents["destination"]["presets"][0]["subscribe"] = 'type = "track" and event = "Used"'


def _other_name(documents: Documents) -> None:
    documents["destination"]["presets"][0]["name"] = "Counted"


def _fewer(documents: Documents) -> None:
    del documents["destination"]["presets"][1]


def _other_preset_mapping(documents: Documents) -> None:
    documents["destination"]["presets"][0]["mapping"] = {"by": 1, "thing": "t"}


def _other_request(documents: Documents) -> None:
    documents["destination"]["requests"]["save"]["rest"]["json"] = {"by": "nobody"}


@pytest.mark.parametrize(
    "change",
    [
        _more_words,
        _other_mapping,
        _other_filter,
        _other_name,
        _fewer,
        _other_preset_mapping,
        _other_request,
    ],
)
def test_another_definition_plans_otherwise(bind: Bind, change: Any) -> None:
    """Whatever is changed in it, what was planned by the old one is planned again."""
    assert bind(change).plan_digest != bind().plan_digest


@pytest.mark.parametrize(
    "settings",
    [
        {"apiKey": "sk_test_9876543210"},
        {"endpoint": "http://127.0.0.1:9/other"},
        {"limit": 1},
        {"limit": 2},
    ],
)
def test_other_settings_plan_otherwise(bind: Bind, settings: dict[str, Any]) -> None:
    """A mapping may read any of them, secrets by their value."""
    assert bind(**settings).plan_digest not in {bind().plan_digest, bind(limit=3).plan_digest}


def test_another_version_of_the_package_plans_otherwise(
    bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its directives and types may mean something else."""
    before = bind().plan_digest
    monkeypatch.setattr("destinations.runtime.destination.__version__", "99.0.0")
    assert bind().plan_digest != before


def _other_sync(payload: Payload) -> Generated:
    """Does nothing: which code a plugin has is no part of what payloads are made by."""
    yield Call("find", payload)
    return Done("nothing")


@pytest.mark.parametrize("change", [None, _three, _other_mapping])
def test_the_same_plans_the_same(bind: Bind, api_key: str, change: Any) -> None:
    """A digest does not depend on who made it, on what was planned, or on the order of settings."""
    destination = bind(change)
    before = destination.plan_digest
    destination.payloads(_track())
    values = {**destination.settings, "apiKey": api_key}
    ordered = Document("other.yaml", dict(reversed(values.items())), {})
    again = Destination(
        destination.definition,
        check_settings(destination.definition, ordered),
        Code({"sync": _other_sync}),
    )
    assert destination.plan_digest == bind(change).plan_digest == again.plan_digest == before


def test_a_digest_outlives_the_process() -> None:
    """Another process, with other hashes, has the same one: else all would be planned again."""
    script = (
        "from destinations import Destination, check_settings, load_definition\n"
        "from destinations.definition.document import Document\n"
        "from destinations.runtime.installed import find_folder\n"
        "from destinations.runtime.plugins import find_plugin\n"
        "definition = load_definition(find_folder('kana'))\n"
        "settings = Document('', {'apiKey': 'kana_test_0123456789abcdef'}, {})\n"
        "code = find_plugin('kana').code(None)\n"
        "bound = Destination(definition, check_settings(definition, settings), code)\n"
        "print(bound.plan_digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-P", "-c", script],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1


class _Rules:
    """A mapper that can come to map otherwise."""

    def __init__(self, version: str) -> None:
        self.version = version

    def __call__(self, event: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        """Maps nothing."""


def _with_mapper(documents: Documents) -> None:
    documents["count"]["unmapped"]["mapper"] = "rules"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of rules is asked for each time."""
    monkeypatch.setattr(destination_module, "_DIGEST_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_other_rules_plan_otherwise(bind: Bind) -> None:
    """Other rules plan otherwise, and those of the same version plan the same."""
    rules = _Rules("1")
    destination = bind(_with_mapper, mappers={"rules": rules})
    first = destination.plan_digest
    rules.version = "2"
    assert destination.plan_digest != first
    rules.version = "1"
    assert destination.plan_digest == first
    assert bind(_with_mapper, mappers={"rules": _Rules("1")}).plan_digest == first


def test_rules_that_nothing_uses_plan_nothing(bind: Bind) -> None:
    """Of a mapper that no subscription comes to, and of one without a version, nothing counts."""
    assert bind(mappers={"rules": _Rules("1")}).plan_digest == bind().plan_digest

    def fixed(event: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        """Maps nothing, for ever."""

    def other(event: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        """Maps nothing either."""

    first = bind(_with_mapper, mappers={"rules": fixed}).plan_digest
    assert bind(_with_mapper, mappers={"rules": other}).plan_digest == first
