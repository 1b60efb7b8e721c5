from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition import DestinationDefinition
from destinations.errors import UsageError
from destinations.kit.partner_page.calls import METHODS, read_calls
from destinations.kit.partner_page.example_values import example_value
from destinations.kit.partner_page.payloads import Runtime
from destinations.kit.partner_page.samples import make_sample, run_samples
from destinations.outcome import Outcome

Load = Callable[..., DestinationDefinition]


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({"type": "integer"}, "x: 1"),
        ({"type": "number"}, "x: 9.5"),
        ({"type": "boolean"}, "x: true"),
        ({"type": "string"}, "x: 'X'"),
        ({"type": ["string", "null"]}, "x: 'X'"),
        ({"type": "string", "format": "email"}, "x: 'ada@example.com'"),
        ({"type": "string", "enum": ["b", "a"]}, "x: 'b'"),
        ({"type": "string", "examples": ["it's"]}, "x: 'it\\'s'"),
        ({"type": "object"}, "x: {}"),
        ({"type": "array"}, "x: []"),
    ],
)
def test_values_fit_their_fields(spec: dict[str, Any], shown: str, load: Load) -> None:
    """A sample that is made shows a value of each field's type, and can be executed."""

    def change(documents: Any) -> None:
        documents["count"]["fields"]["properties"]["x"] = {
            "title": "X",
            "description": "X.",
            "default": {"@path": "$.properties.deep.x"},
            **spec,
        }

    text = make_sample("track", [load(change).actions["count"]])
    assert f"  deep: {{\n    {shown}\n  }}" in text
    (call,) = read_calls(text)
    assert set(call.arguments[1]) == {"by", "thing", "deep"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("first_name", "Ada"),
        ("lastName", "Lovelace"),
        ("name", "Ada Lovelace"),
        ("planName", "Pro"),
        ("billing_country", "GB"),
        ("order_id", "order_0042"),
        ("external-id", "external_0042"),
        ("couponCode", "Coupon code"),
        ("id", "0042"),
    ],
)
def test_values_are_those_of_a_customer(key: str, value: str) -> None:
    """A field without an example gets what its name makes a reader expect."""
    assert example_value(key, {"type": "string"}) == value


def test_the_name_of_an_event_is_that_of_the_subscription(load: Load) -> None:
    """An action for one event is shown with this event."""

    def change(documents: Any) -> None:
        documents["count"]["defaultSubscription"] = 'type = "track" and event = "Order Completed"'

    text = make_sample("track", [load(change).actions["count"]])
    assert text.startswith("analytics.track('Order Completed', {")


def test_an_action_that_takes_all_properties_is_shown_with_one(load: Load) -> None:
    """Where no property is named, the call has one all the same."""

    def change(documents: Any) -> None:
        documents["count"]["fields"]["properties"] = {
            "all": {
                "title": "All",
                "description": "All.",
                "type": "object",
                "default": {"@path": "$.properties"},
            }
        }
        documents["count"]["fields"]["required"] = []
        documents["count"].pop("unmapped")
        variables = documents["destination"]["requests"]["count"]["graphql"]["variables"]
        variables["by"] = {"@path": "$.payload.all"}

    text = make_sample("track", [load(change).actions["count"]])
    assert text == "analytics.track('Order Completed', {\n  plan: 'pro'\n});"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_call(method: str, load: Load, plugin: Any) -> None:
    """A sample that is made for any method is a call of it that a browser can send."""
    definition = load()
    (call,) = read_calls(make_sample(method, definition.actions.values()))
    assert call.method == method
    (result, *_) = Runtime(definition, plugin().code(None)).run([call])
    assert result.event["type"] == method


FITTED = {
    # subscription: what the sample has
    'event = "Order Completed"': "track('Order Completed', {",
    'type = "track" and (event = "A" or event = "B")': "track('A', {",
    '(type = "page" and name = "B") or (type = "track" and event = "C")': "track('C', {",
    'contains(event, "Trial")': "track('Trial', {",
    'match(event, "Order*") and contains(event, "x") and match(event, "*Done")': (
        "track('Order x Done', {"
    ),
    'match(event, "Trial*") and match(event, "Trial Sta*")': "track('Trial Sta', {",
    'event != "Order Completed"': "track('example', {",
    '!contains(event, "Order") and !match(event, "ex*")': "track('other', {",
    'properties.plan = "pro"': "plan: 'pro'",
    "properties.total = 5": "total: 5\n",
    "properties.total > 5": "total: 6\n",
    "properties.total > 5 and properties.total < 6": "total: 5.5\n",
    "properties.total != 1": "total: 2\n",
    "properties.cart.total >= 5": "cart: {\n    total: 5\n",
    "properties.is_new = true": "is_new: true\n",
    "properties.is_new = false": "is_new: false\n",
    "properties.coupon != null": "coupon: 'example'\n",
    'properties.coupon = null and event = "A"': "track('A', {",
    'context.app.name = "Shop" and type = "track"': (
        "}, {\n  context: {\n    app: {\n      name: 'Shop'\n    }\n  }\n});"
    ),
}


@pytest.mark.parametrize(("subscribe", "part"), FITTED.items(), ids=FITTED)
def test_a_preset_takes_its_sample(subscribe: str, part: str, load: Load, plugin: Any) -> None:
    """A sample that is made has what the preset of its action asks of an event."""

    def change(documents: Any) -> None:
        presets = documents["destination"]["presets"]
        documents["destination"]["presets"] = [{**presets[0], "subscribe": subscribe}]

    definition = load(change)
    text = make_sample("track", [definition.actions["count"]], definition.presets)
    assert part in text
    (result,) = Runtime(definition, plugin().code(None)).run(read_calls(text))
    assert (result.action, result.outcome) == ("count", None)


@pytest.mark.parametrize(
    ("method", "subscribe", "start"),
    [
        ("page", 'name = "Pricing"', "analytics.page('Pricing'"),
        ("identify", 'userId = "u1" and traits.plan = "pro"', "analytics.identify('u1', {"),
        ("group", "traits.employees > 10", "analytics.group('company_0042', {\n  employees: 11"),
        ("alias", 'type = "alias"', "analytics.alias('user_0042')"),
    ],
)
def test_samples_of_other_calls(method: str, subscribe: str, start: str, load: Load) -> None:
    """Each call has its own place for what a preset asks."""

    def change(documents: Any) -> None:
        presets = documents["destination"]["presets"]
        documents["destination"]["presets"] = [{**presets[1], "subscribe": subscribe}]

    definition = load(change)
    assert make_sample(method, [definition.actions["save"]], definition.presets).startswith(start)


def test_a_preset_that_no_sample_fits(load: Load) -> None:
    """The message names the preset and where to write a sample."""

    def change(documents: Any) -> None:
        preset = documents["destination"]["presets"][0]
        preset["subscribe"] = 'type = "track" and event = "A" and contains(event, "B")'

    definition = load(change)
    with pytest.raises(UsageError) as raised:
        make_sample("track", [definition.actions["count"]], definition.presets)
    assert str(raised.value) == (
        "no track call was found that is taken by the preset 'Counts' "
        '(type = "track" and event = "A" and contains(event, "B")): write one in '
        "destination.yaml at /documentation/samples/track"
    )


def test_a_subscription_that_can_hold_in_many_ways(load: Load) -> None:
    """The search ends, however many ways there are."""
    either = " and ".join(f'(properties.a{at} = "x" or properties.a{at} = "y")' for at in range(30))

    def change(documents: Any) -> None:
        documents["destination"]["presets"][0]["subscribe"] = either

    definition = load(change)
    assert "a29: 'x'" in make_sample("track", [definition.actions["count"]], definition.presets)


def test_samples_run_as_one_visit(load: Load, plugin: Any) -> None:
    """A track after an identify has its user; what the runtime makes of each is kept."""
    samples = run_samples(
        {
            "identify": "analytics.identify('user_0042');",
            "track": "analytics.track('A', {by: 2, thing: 't'});\nanalytics.track('B', {by: 1});\n",
        },
        Runtime(load(), plugin().code(None)),
    )
    first, second = samples["track"].results
    assert first.event["userId"] == "user_0042"
    assert (first.action, first.payload, first.outcome) == ("count", {"by": 2, "thing": "t"}, None)
    assert (second.payload, second.outcome) == (None, Outcome.UNMAPPED)
    assert second.reason == "The event names no thing."
    assert not samples["track"].code.endswith("\n")


def test_values_of_one_sample_are_not_shared(load: Load) -> None:
    """What one path puts into an object is neither in another one nor in the next sample."""

    def change(documents: Any) -> None:
        paths = {"x": "$.properties.a", "w": "$.properties.a.deep", "z": "$.properties.b"}
        for key, path in paths.items():
            documents["count"]["fields"]["properties"][key] = {
                "title": "X",
                "description": "X.",
                "type": "object",
                "default": {"@path": path},
            }

    actions = [load(change).actions["count"]]
    first = make_sample("track", actions)
    assert first == make_sample("track", actions)
    (call,) = read_calls(first)
    assert call.arguments[1]["a"] == {"deep": {}}
    assert call.arguments[1]["b"] == {}


@pytest.mark.parametrize(
    ("items", "value"),
    [
        ({"type": "string"}, ["product_0042"]),
        ({"type": "integer"}, [1]),
        ({"type": "string", "examples": ["p7"]}, ["p7"]),
        ({}, []),
    ],
)
def test_a_list_has_an_item(items: dict[str, Any], value: list[Any]) -> None:
    """A list without an example shows what it holds, as far as its schema says it."""
    assert example_value("product_ids", {"type": "array", "items": items}) == value
