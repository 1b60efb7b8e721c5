"""What waits is sent as today's definition has it; where that has none for it, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from destinations.engine import NullWatcher
from destinations.engine.remapping import Mapped, Remapper
from destinations.outcome import Outcome, Result
from destinations.queue import Claimed
from destinations.runtime.destination import Destination

EVENT = {
    "type": "track",
    "event": "E",
    "userId": "u",
    "messageId": "m",
    "properties": {"by": 2, "thing": "t"},
}
RAW = json.dumps(EVENT).encode()
PAGE = json.dumps({**EVENT, "type": "page"}).encode()


def _presets(*named: tuple[str, str]) -> Callable[[dict[str, Any]], None]:
    """A definition whose subscriptions of the action ``count`` have these names and types."""

    def change(documents: dict[str, Any]) -> None:
        presets = documents["destination"]["presets"]
        (usual,) = [preset for preset in presets if preset["partnerAction"] == "count"]
        others = [preset for preset in presets if preset is not usual]
        documents["destination"]["presets"] = others + [
            {**usual, "name": name, "subscribe": f'type = "{kind}"'} for name, kind in named
        ]

    return change


@pytest.mark.parametrize(
    ("presets", "key", "raw", "expected"),
    [
        # There is one: as ever.
        ([("Counts", "track")], "count", RAW, "mapped"),
        ([("Counts", "track")], "count", PAGE, "filtered"),
        ([("A", "track"), ("B", "track")], "count: B", RAW, "mapped"),
        # A second one came, or one of two went: only the one that is left can be meant.
        ([("A", "track")], "count: A", RAW, "mapped"),
        ([("Renamed", "track")], "count: Counts", RAW, "mapped"),
        ([("Renamed", "page")], "count: Counts", RAW, "filtered"),
        # Several could be meant, or none: a person has to say.
        ([("A", "track"), ("B", "page")], "count", RAW, "SUBSCRIPTION_GONE"),
        ([("A", "track"), ("B", "track")], "count: C", RAW, "SUBSCRIPTION_GONE"),
        ([("A", "track")], "removed", RAW, "SUBSCRIPTION_GONE"),
        # What cannot be sent any more.
        ([("A", "track")], "count", b"{", "not_json"),
        ([("A", "track")], "count", None, "EVENT_GONE"),
    ],
)
def test_the_subscription_that_is_meant(
    bind: Callable[..., Destination],
    presets: list[tuple[str, str]],
    key: str,
    raw: bytes | None,
    expected: str,
) -> None:
    """Nothing that waits is dropped in silence because a subscription has another name now."""
    remapper = Remapper("sample", bind(_presets(*presets)), NullWatcher())
    found = remapper.mapped(Claimed(1, 1, "u", key, raw, 0.0))
    if isinstance(found, Mapped):
        assert (expected, found.delivery.payload["by"]) == ("mapped", 2)
        assert found.delivery.subscription.action.definition.slug == "count"
    else:
        assert expected in {found.code, found.outcome.value}
        assert (found.outcome is Outcome.DEAD) is expected.endswith("GONE")


def test_a_fault_of_the_mapping(
    bind: Callable[..., Destination], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends its own event, and is told."""
    destination, told = bind(), []

    class Watcher(NullWatcher):
        def failed(self, destination: str, error: BaseException) -> None:
            told.append((destination, type(error)))

    def fail(*_: object, **__: object) -> Result:
        raise ZeroDivisionError

    monkeypatch.setattr(destination, "deliveries", fail)
    found = Remapper("sample", destination, Watcher()).mapped(Claimed(1, 1, "u", "count", RAW, 0.0))
    assert isinstance(found, Result)
    assert (found.outcome, told) == (Outcome.DEAD, [("sample", ZeroDivisionError)])
