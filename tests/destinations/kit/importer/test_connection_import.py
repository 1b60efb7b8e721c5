"""Connections of Segment's Public API and of its action library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.connection import Connection, connect
from destinations.definition.document import Document, read_document
from destinations.errors import DefinitionError, UsageError
from destinations.kit.importer import export_connection, import_connection
from destinations.kit.importer.findings import Findings
from destinations.kit.importer.subscriptions import mapped_here

Write = Callable[[str, Any], Path]

CALLS = {
    "id": "s1",
    "name": "Calls",
    "actionId": "a1",
    "actionSlug": "track",
    "destinationId": "d1",
    "modelId": "",
    "enabled": True,
    "trigger": 'event = "API Called"',
    "settings": {
        "userId": {"@path": "$.userId"},
        "featureId": "api-calls",
        "delta": {"@path": "$.properties.delta"},
    },
}
PRESET = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "API Called"',
    "mapping": CALLS["settings"],
    "type": "automatic",
}
HERE = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "API Called"',
    "mapping": {"featureId": "api-calls"},
}
FILTER = {
    "id": "f1",
    "sourceId": "s1",
    "destinationId": "d1",
    "if": 'type = "page"',
    "title": "Fewer pages",
    "description": "They cost.",
    "enabled": True,
    "createdAt": "2026-01-01T00:00:00Z",
    "updatedAt": "2026-01-01T00:00:00Z",
    "actions": [{"type": "SAMPLE", "percent": 0.1, "path": "userId"}],
}


@pytest.fixture(scope="module")
def kana() -> DestinationDefinition:
    """Kana's definition, whose Track adds to an amount."""
    return load_definition(Path(__file__).resolve().parents[4] / "definitions" / "kana")


def _imported(definition: DestinationDefinition, *files: Path, **more: Any) -> tuple[Any, str]:
    """Return what the file of an imported connection says, and what was noted."""
    filters = files[1] if len(files) > 1 else None
    imported = import_connection(definition, files[0], filters=filters, **more)
    return read_document(imported.text, "c").data, "\n".join(map(str, imported.notes))


@pytest.mark.parametrize(
    "shape",
    [
        CALLS,
        [CALLS],
        {"subscriptions": [CALLS]},
        {"subscription": CALLS},
        {"data": {"subscription": CALLS}},
        {"data": {"subscriptions": [CALLS]}},
        {"data": {"subscriptions": [CALLS], "pagination": {"current": "MA==", "next": None}}},
        PRESET,
        [PRESET],
    ],
)
def test_shapes(shape: Any, kana: DestinationDefinition, write: Write) -> None:
    """Each shape in which Segment has a subscription is the same one here."""
    data, _ = _imported(kana, write("s.json", shape))
    assert data == {"subscriptions": [HERE]}


@pytest.mark.parametrize(
    ("more", "here", "note"),
    [
        ({"enabled": False}, {"enabled": False}, "id is only of use at Segment: left out"),
        ({"odd": 1}, {}, "/odd: has no place in a connection: left out"),
        (
            {"trigger": 'type = "track" AND event = "API Called"'},
            {"subscribe": 'type = "track" and event = "API Called"'},
            "as Segment reads it",
        ),
        ({"settings": {}}, {"mapping": None}, ""),
        ({"mapping": CALLS["settings"]}, {}, ""),
        (
            {"mapping": {**PRESET["mapping"], "featureId": "b"}},  # type: ignore[dict-item]
            {"mapping": {"featureId": "b"}},
            "/0/settings: differs from 'mapping', which is taken: left out",
        ),
        (
            {"subscribe": 'event = "B"'},
            {"subscribe": 'event = "B"'},
            "/0/trigger: differs from 'subscribe', which is taken: left out",
        ),
        (
            {"partnerAction": "track", "actionSlug": "identify"},
            {},
            "/0/actionSlug: differs from 'partnerAction', which is taken: left out",
        ),
        (
            {"settings": {**PRESET["mapping"], "enable_batching": True}},  # type: ignore[dict-item]
            {},
            "/settings/enable_batching: is for Segment's own sending",
        ),
        (
            {"settings": {"featureId": "api-calls"}},
            {},
            "/settings: does not map userId, delta: the default is kept here",
        ),
    ],
)
def test_what_is_not_taken_over(
    more: dict[str, Any],
    here: dict[str, Any],
    note: str,
    kana: DestinationDefinition,
    write: Write,
) -> None:
    """What a connection cannot say is noted with its place, the rest stays."""
    data, notes = _imported(kana, write("s.json", [CALLS | more]))
    expected = {key: value for key, value in {**HERE, **here}.items() if value is not None}
    assert data == {"subscriptions": [expected]}
    assert note in notes


def test_left_out(kana: DestinationDefinition, write: Write) -> None:
    """Rows of a warehouse and Segment's own events are none of a source; more pages are told."""
    rows = [CALLS, CALLS | {"modelId": "m"}, PRESET | {"type": "specificEvent", "eventSlug": "x"}]
    answer = {"data": {"subscriptions": rows, "pagination": {"next": "Mg=="}}}
    data, notes = _imported(kana, write("s.json", answer))
    assert data == {"subscriptions": [HERE]}
    assert "/data/subscriptions/1: 'Calls' is left out: it takes rows" in notes
    assert "/data/subscriptions/2: 'Calls' is left out: Segment starts it" in notes
    assert "/data/pagination: there are more pages" in notes


def test_two_of_one_name(kana: DestinationDefinition, write: Write) -> None:
    """Segment tells them apart by their ids; here each has its own name."""
    other = CALLS | {"trigger": 'event = "Seat Added"'}
    data, notes = _imported(kana, write("s.json", [CALLS, other]))
    assert [one["name"] for one in data["subscriptions"]] == ["Calls", "Calls 2"]
    assert "/1/name: is the name of another one as well: 'Calls 2' here" in notes


def test_what_runs_in_a_browser(kana: DestinationDefinition, write: Write) -> None:
    """It is left out by its name; the rest is a connection."""
    pixel = CALLS | {"name": "Pixel", "actionSlug": "pixelWeb"}
    data, notes = _imported(kana, write("s.json", [pixel, CALLS]))
    assert [one["name"] for one in data["subscriptions"]] == ["Calls"]
    assert "/0: 'Pixel' is for the action 'pixelWeb', which is not imported" in notes
    with pytest.raises(
        UsageError, match=r"nothing of .* can be in a connection: /0 'Pixel' is for"
    ):
        _imported(kana, write("s.json", [pixel]))


def test_what_hooks_gave(kana: DestinationDefinition, write: Write) -> None:
    """A value that reads it is named; a directive of the root stays."""
    root = {"__segment_internal_directive": {"@transform": {"apply": {"id": 1}}}}
    hooked = {"featureId": {"@path": "$.hookOutputs.onMappingSave.id"}}
    data, notes = _imported(kana, write("s.json", CALLS | {"settings": hooked}))
    assert data["subscriptions"][0]["mapping"] == hooked
    assert "/settings/featureId/@path: reads what code of Segment's gave" in notes
    assert mapped_here({**hooked, **root}, (), "", Findings("f")) == {**hooked, **root}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"actionSlug": "trakc"}, "/0/actionSlug: unknown action 'trakc'"),
        ({"actionSlug": None}, "/0/actionId: is an id"),
        ({"trigger": "event = = 1"}, "/0/trigger: "),
        (
            {"trigger": "length(event) > 3"},
            "/0/trigger: at character 1: the function length is not supported: expected contains",
        ),
        (
            {"trigger": 'anonymousId = "b"'},
            "/0/trigger: at character 1: expected type, event, name, userId, properties.<name>",
        ),
        ({"settings": {"featureld": "x"}}, "/0/settings/featureld: track has no field"),
        ({"settings": {"featureId": {"@none": 1}}}, "/0/settings/featureId"),
        ({"settings": {"delta": "x"}}, "/0/settings/delta: does not fit its own field"),
    ],
)
def test_issues(
    more: dict[str, Any], message: str, kana: DestinationDefinition, write: Write
) -> None:
    """Nothing that a run would refuse is written; the place is that of Segment's file."""
    file = write("s.json", [CALLS | more])
    with pytest.raises(DefinitionError) as raised:
        import_connection(kana, file)
    assert f"{file}: {message}" in str(raised.value)


def test_all_issues_at_once(kana: DestinationDefinition, write: Write) -> None:
    """FQL that cannot be read hides neither an unknown action nor a field; each is told once."""
    wrong = [
        CALLS | {"trigger": "event = = 1", "actionSlug": "trakk"},
        CALLS | {"trigger": "length(event) > 3", "settings": {"featureld": "x"}},
        {"name": "No action", "trigger": 'type = "page"'},
    ]
    bad_filter = FILTER | {"if": 'lowercase(event) = "x"'}
    files = write("s.json", wrong), write("f.json", [bad_filter])
    with pytest.raises(DefinitionError) as raised:
        _imported(kana, *files)
    assert sorted((Path(one.file or "").name, one.path) for one in raised.value.issues) == [
        ("f.json", "/0/if"),
        ("s.json", "/0/actionSlug"),
        ("s.json", "/0/trigger"),
        ("s.json", "/1/settings/featureld"),
        ("s.json", "/1/trigger"),
        ("s.json", "/2"),
    ]


def test_an_overlap(kana: DestinationDefinition, write: Write) -> None:
    """At Segment both would send; here it is refused unless it is asked for."""
    both = [CALLS, CALLS | {"name": "All", "trigger": 'type = "track"'}]
    file = write("s.json", both)
    message = "/1/trigger: 'All' overlaps with 'Calls': .*; narrow one of them, or use --allow-ov"
    with pytest.raises(DefinitionError, match=message):
        import_connection(kana, file)
    data, _ = _imported(kana, file, allow_overlap=True)
    assert data["allowOverlap"] is True


@pytest.mark.parametrize(
    ("more", "here"),
    [
        ({}, [{"sample": 0.1, "by": "userId", "when": 'type = "page"'}]),
        (
            {"actions": [{"type": "SAMPLE", "percent": 0.5, "path": "$.userId"}], "if": "all"},
            [{"sample": 0.5, "by": "userId"}],
        ),
        ({"actions": [{"type": "SAMPLE", "percent": 1}], "if": "all"}, [{"sample": 1}]),
        ({"actions": [{"type": "DROP", "fields": None}]}, [{"drop": 'type = "page"'}]),
        ({"actions": [{"type": "DROP"}], "if": "all"}, [{"drop": 'type != ""'}]),
        (
            {"actions": [{"type": "DROP"}], "if": "event = 'a' or event = \"b'c'd\""},
            [{"drop": 'event = "a" or event = "b\'c\'d"'}],
        ),
        (
            {
                "if": "all",
                "actions": [
                    {
                        "type": "DROP_PROPERTIES",
                        "fields": {
                            "properties": ["email", "plan.price", "context"],
                            "traits": {"fields": ["email", "context"]},
                            "context": ["ip"],
                        },
                    },
                    {"type": "ALLOW_PROPERTIES", "fields": {"context.device": ["id"]}},
                ],
            },
            [
                {
                    "blockProperties": [
                        *("email", "properties.plan.price", "properties.context"),
                        *("traits.context", "context.ip"),
                    ]
                },
                {"allowProperties": ["context.device.id"]},
            ],
        ),
    ],
)
def test_filters(
    more: dict[str, Any], here: list[Any], kana: DestinationDefinition, write: Write
) -> None:
    """Each action of a filter is one here; its title is a comment."""
    file = write("f.json", {"data": {"filters": [FILTER | more]}})
    data, _ = _imported(kana, write("s.json", [CALLS]), file)
    assert data == {"subscriptions": [HERE], "filters": here}
    assert "  # Fewer pages\n" in import_connection(kana, file).text


def test_a_filter_that_is_off(kana: DestinationDefinition, write: Write) -> None:
    """It is left out: a filter here is always on."""
    files = write("s.json", [CALLS]), write("f.json", [FILTER | {"enabled": False}])
    data, notes = _imported(kana, *files)
    assert data == {"subscriptions": [HERE]}
    assert "/0: the filter 'Fewer pages' is left out: it is switched off in Segment" in notes


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"if": "event == 1"}, "/0/if: "),
        ({"actions": [{"type": "KEEP"}]}, "/0/actions/0/type: unknown action 'KEEP'; known: DROP"),
        ({"actions": [{"type": "SAMPLE", "percent": True}]}, "/0/actions/0/percent: should be a"),
        ({"actions": [{"type": "SAMPLE", "percent": 10}]}, "/0/actions/0"),
        (
            {"actions": [{"type": "DROP_PROPERTIES", "fields": {"": ["userId"]}}]},
            "/0/actions/0/fields/: of the event itself nothing can be taken out",
        ),
        ({"actions": [{"type": "DROP_PROPERTIES"}]}, "/0/actions/0/fields: should be an object"),
    ],
)
def test_issues_of_filters(
    more: dict[str, Any], message: str, kana: DestinationDefinition, write: Write
) -> None:
    """A filter that cannot be said is not left out: what it hides would be sent."""
    file = write("f.json", [FILTER | more])
    with pytest.raises(DefinitionError) as raised:
        import_connection(kana, file)
    assert f"{file}: {message}" in str(raised.value)


@pytest.mark.parametrize("value", [{}, [], {"data": {"destinations": []}}, [{"a": 1}]])
def test_other_files(value: Any, kana: DestinationDefinition, write: Write) -> None:
    """A file of something else is said to be one."""
    with pytest.raises(UsageError, match="holds no subscriptions of Segment's"):
        import_connection(kana, write("s.json", value))


_MAPPINGS = st.fixed_dictionaries(
    {"featureId": st.sampled_from(["a", "api calls", "true", "12"])},
    optional={
        "delta": st.sampled_from([1, {"@path": "$.properties.n"}]),
        "userId": st.sampled_from([{"@path": "$.anonymousId"}, {"@template": "{{userId}}"}]),
    },
)
_FQL = st.sampled_from(['event = "A: #b"', 'type = "track" and event != "B"', "event = \"é 'c'\""])
_SUBSCRIPTIONS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1),
            "partnerAction": st.just("track"),
            "subscribe": _FQL,
            "mapping": _MAPPINGS,
        },
        optional={"enabled": st.just(value=False)},
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: str(one["name"]),
)
_NAMES = st.lists(
    st.sampled_from(["email", "plan.price", "traits.a", "properties.b", "context.ip"]),
    min_size=1,
    unique=True,
).map(sorted)
_FILTERS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"drop": _FQL}),
        st.fixed_dictionaries(
            {"sample": st.sampled_from([0.25, 1])},
            optional={"by": st.just("userId"), "when": _FQL},
        ),
        st.fixed_dictionaries({"blockProperties": _NAMES}, optional={"when": _FQL}),
        st.fixed_dictionaries({"allowProperties": _NAMES}, optional={"when": _FQL}),
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(subscriptions=_SUBSCRIPTIONS, filters=_FILTERS)
def test_there_and_back(
    subscriptions: Any, filters: Any, kana: DestinationDefinition, tmp_path: Path
) -> None:
    """What is exported is the same connection when it is imported: not one field is lost."""
    data = {"subscriptions": subscriptions, "allowOverlap": True}
    if filters:
        data["filters"] = filters
    connection = Connection.of(Document("c", data, {}), data)
    file = tmp_path / "segment.json"
    file.write_text(json.dumps(export_connection(kana, connection)), "utf-8")
    back, notes = _imported(kana, file, allow_overlap=True)
    assert notes == ""
    again = Connection.of(Document("c", back, {}), back)
    assert connect(kana, again).presets == connect(kana, connection).presets
    assert {**back, "filters": _sorted(back)} == {**data, "filters": _sorted(data)}


def test_what_segment_lacks_is_not_exported(kana: DestinationDefinition) -> None:
    """A mapping that Segment would refuse is named with its place, instead of being written."""
    convert = {"@convert": {"value": {"@path": "$.properties.n"}, "to": "integer"}}
    subscription = {
        "name": "Usage",
        "partnerAction": "track",
        "subscribe": 'type = "track"',
        "mapping": {"delta": convert},
    }
    data = {"subscriptions": [subscription]}
    with pytest.raises(DefinitionError) as caught:
        export_connection(kana, Connection.of(Document("c", data, {}), data))
    assert list(map(str, caught.value.issues)) == [
        "/subscriptions/0/mapping/delta: Segment has no @convert; map this without it"
    ]


def _sorted(data: Any) -> Any:
    """Return filters with their properties in one order: that makes no difference."""
    keys = ("blockProperties", "allowProperties")
    return [
        {key: sorted(value) if key in keys else value for key, value in one.items()}
        for one in data.get("filters", ())
    ]
