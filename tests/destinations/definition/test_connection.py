"""A connection takes the place of the presets, and never lets one event be added twice unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.connection import connect, read_connection
from destinations.errors import DefinitionError, UsageError
from destinations.runtime.installed import find_folder
from destinations.segment.filters import EventFilter

Write = Callable[..., Path]


@pytest.fixture
def kana() -> DestinationDefinition:
    """A destination of which one action adds to an amount."""
    return load_definition(find_folder("kana"))


@pytest.fixture
def connected(kana: DestinationDefinition, tmp_path: Path) -> Callable[..., DestinationDefinition]:
    """Connect Kana with subscriptions, each with what it needs."""

    def make(*given: dict[str, Any], **more: Any) -> DestinationDefinition:
        subscriptions = [
            {"name": f"S{at}", "partnerAction": "track", "subscribe": 'type = "track"', **one}
            for at, one in enumerate(given)
        ]
        path = tmp_path / "connection.yaml"
        path.write_text(yaml.safe_dump({"subscriptions": subscriptions, **more}), encoding="utf-8")
        return connect(kana, read_connection(path))

    return make


def test_it_takes_the_place_of_the_presets(
    connected: Callable[..., DestinationDefinition], kana: DestinationDefinition
) -> None:
    """A mapping goes over the defaults of the fields; what is not enabled receives nothing."""
    found = connected(
        {"name": "Calls", "subscribe": 'event = "A"', "mapping": {"featureId": "calls"}},
        {"name": "Off", "enabled": False},
        {"name": "People", "partnerAction": "identify", "subscribe": 'type = "identify"'},
    )
    calls, people = found.presets
    defaults = kana.actions["track"].default_mapping
    assert (calls.name, calls.partner_action, calls.subscribe) == ("Calls", "track", 'event = "A"')
    assert calls.mapping == {**defaults, "featureId": "calls"}
    assert people.mapping == kana.actions["identify"].default_mapping
    assert found.actions == kana.actions


def test_a_mapping_that_is_a_directive(connected: Callable[..., DestinationDefinition]) -> None:
    """It makes the whole payload: no default comes to it."""
    directive = {"@path": "$.properties"}
    (one,) = connected({"mapping": directive}).presets
    assert one.mapping == directive


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ([{"partnerAction": "trak"}], ["partnerAction: unknown action 'trak'.*did you mean track"]),
        ([{"partnerAction": "merge"}], ["partnerAction: this action is only for operators"]),
        ([{"subscribe": 'event == "A"'}], ["subscribe: at character 8"]),
        ([{"mapping": {"fetureId": 1}}], ["mapping/fetureId: .*did you mean featureId"]),
        ([{"mapping": {"featureId": {"@pth": "x"}}}], ["mapping/featureId: .*@pth"]),
        ([{"mapping": {"delta": "many"}}], ["mapping/delta"]),
        ([{"name": "A"}, {"name": "A", "enabled": False}], ["name: track has another .*'A'"]),
        ([{"name": ""}], ["subscriptions/0/name"]),
        ([{"subscribe": 3}], ["subscriptions/0/subscribe"]),
        ([{"other": 1}], ["subscriptions/0/other"]),
        ([{"partnerAction": "x"}, {"subscribe": "x"}], ["0/partnerAction", "1/subscribe"]),
    ],
)
def test_faults(
    connected: Callable[..., DestinationDefinition], given: list[Any], messages: list[str]
) -> None:
    """Each is named with its place, all at once."""
    for message in messages:
        with pytest.raises(DefinitionError, match=rf"connection\.yaml:\d+: .*{message}"):
            connected(*given)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "subscriptions: []", "subscription: []", "filters: 3", "a: b: c"]
)
def test_what_is_no_connection(tmp_path: Path, text: str) -> None:
    """It is refused by the name of the file."""
    path = tmp_path / "connection.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"connection\.yaml"):
        read_connection(path)
    path.unlink()
    with pytest.raises(UsageError, match="cannot read the connection"):
        read_connection(path)


OVERLAPS = [
    ([{}, {}], True),
    ([{"subscribe": 'event = "A"'}, {"subscribe": 'event = "B"'}], False),
    ([{"subscribe": 'event = "A"'}, {"subscribe": 'contains(event, "A")'}], True),
    ([{"subscribe": 'event = "A"'}, {"subscribe": 'event != "A"'}], False),
    ([{}, {"enabled": False}], False),
    # Both are needed for one event, and only one of them adds.
    ([{}, {"partnerAction": "identify"}], False),
    ([{"partnerAction": "identify"}, {"partnerAction": "identify"}], False),
    ([{"subscribe": 'event = "A"'}, {"subscribe": 'event = "B"'}, {}], True),
]


@pytest.mark.parametrize(("given", "overlaps"), OVERLAPS)
def test_overlaps(
    connected: Callable[..., DestinationDefinition], given: list[Any], overlaps: bool
) -> None:
    """Two that add to an amount never receive the same event, unless that is asked for."""
    assert connected(*given, allowOverlap=True).presets
    if not overlaps:
        assert connected(*given).presets
        return
    with pytest.raises(DefinitionError, match=r"'S\d' overlaps with 'S\d': both may receive \{"):
        connected(*given)


def test_what_can_match_no_event(connected: Callable[..., DestinationDefinition]) -> None:
    """It is a warning: it does no harm, and may be meant for later."""
    found = connected({"subscribe": 'type = "trakc"'}, {"subscribe": 'type = "track"'})
    (warning,) = found.warnings
    assert "did you mean track?" in str(warning)
    assert "/subscriptions/0/subscribe" in str(warning)


def test_plain_text_that_looks_like_a_path(
    connected: Callable[..., DestinationDefinition],
) -> None:
    """It is a warning with its place: Segment, from which subscriptions come, sends it as it is."""
    given = {"@if": {"exists": {"@path": "$.userId"}, "then": "{{properties.plan}}"}}
    (warning,) = connected({"mapping": {"featureId": given}}).warnings
    assert "/subscriptions/0/mapping/featureId/@if/then" in str(warning)
    assert "did you mean {'@template': '{{properties.plan}}'}?" in str(warning)


FILTERS = """
filters:
  - {blockProperties: [email, context.ip]}
  - {sample: 0.5, by: userId, when: type = "page"}
  - {drop: event = "Noise"}
"""


def test_filters(kana: DestinationDefinition, tmp_path: Path) -> None:
    """They are those of the connection; without subscriptions the presets stay."""
    path = tmp_path / "connection.yaml"
    path.write_text(FILTERS, encoding="utf-8")
    found = connect(kana, read_connection(path))
    assert found.presets == kana.presets
    assert found.filters == (
        EventFilter("block", paths=("email", "context.ip")),
        EventFilter("sample", 'type = "page"', 0.5, "userId"),
        EventFilter("drop", 'event = "Noise"'),
    )
    assert found.warnings == kana.warnings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample": 2}, "/filters/0/sample"),
        ({"sample": "many"}, "/filters/0/sample"),
        ({"when": 'type = "track"'}, "/filters/0: must have one of sample, drop, .*it has: none"),
        ({"sample": 0.1, "drop": 'type = "track"'}, "it has: sample, drop"),
        ({"drop": 'event == "A"'}, "/filters/0/drop: at character 8"),
        ({"drop": 'event = "A"', "by": "userId"}, "/filters/0/by: is for sample"),
        ({"drop": 'event = "A"', "when": 'event = "A"'}, "/filters/0/when: is for other filters"),
        ({"blockProperties": ["context"]}, "blockProperties/0: expected the name of a property"),
        ({"blockProperties": []}, "/filters/0/blockProperties"),
        ({"allowProperties": ["a"], "when": "x"}, "/filters/0/when: at character"),
        ({"keep": 1}, "/filters/0/keep"),
        ({"sample": 0.1, "by": "$.userId"}, r"/filters/0/by: is written without \$: userId"),
        ({"sample": 0.1, "by": "usrId"}, "/filters/0/by: begins with 'usrId'.*did you mean userId"),
        (
            {"blockProperties": ["$.traits.a"]},
            r"blockProperties/0: is written without \$: traits.a",
        ),
        (
            {"allowProperties": ["properites.a"]},
            "begins with 'properites'.*did you mean properties",
        ),
    ],
)
def test_faults_of_filters(
    connected: Callable[..., DestinationDefinition], given: dict[str, Any], message: str
) -> None:
    """Each is named with its place."""
    with pytest.raises(DefinitionError, match=rf"connection\.yaml:\d+: .*{message}"):
        connected({}, filters=[given])


@pytest.mark.parametrize(
    ("filters", "warning"),
    [
        ([{"drop": 'type = "track"'}, {"drop": 'type != "track"'}], "/filters/1: leaves no event"),
        ([{"drop": 'type = "track"'}], "/subscriptions/0: filters leave no event for 'Calls'"),
        ([{"sample": 0, "when": 'type = "track"'}], "filters leave no event for 'Calls'"),
        ([{"drop": 'type = "trak"'}], "/filters/0: is for no event: "),
        ([{"blockProperties": ["a"], "when": 'type = "trak"'}], "/filters/0: is for no event: "),
        ([{"drop": 'type = "page"'}], ""),
        ([{"drop": 'type = "track" and event = "A"'}], ""),
    ],
)
def test_filters_together(
    connected: Callable[..., DestinationDefinition], filters: list[dict[str, Any]], warning: str
) -> None:
    """What they leave together is told where the types of events decide."""
    one = {"name": "Calls", "partnerAction": "track", "subscribe": 'type = "track"'}
    found = [str(each) for each in connected(one, filters=filters).warnings]
    about = [each for each in found if "filters" in each]
    assert [warning in each for each in about] == ([True] if warning else [])


@pytest.mark.parametrize(
    ("given", "warns"),
    [
        ({"sample": 0}, True),
        ({"sample": 0, "when": 'type = "page"'}, False),
        ({"sample": 0.1}, False),
        ({"drop": 'type != "nothing"'}, True),
        ({"drop": 'type = "track"'}, False),
    ],
)
def test_a_filter_that_leaves_nothing(
    connected: Callable[..., DestinationDefinition], given: dict[str, Any], warns: bool
) -> None:
    """It is a warning: that is hardly meant."""
    warnings = [str(one) for one in connected({}, filters=[given]).warnings]
    assert any("leaves no event" in one for one in warnings) is warns
