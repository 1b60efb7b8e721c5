"""The page on meter usage says what the definitions say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.definition import load_definition
from tests.shipped import DEFINITIONS, SHIPPED

PAGE: Final = (DEFINITIONS.parent / "docs" / "how-to" / "meter-usage.md").read_text("utf-8")

TIMES: Final = {"any": None, "whole seconds": 1, "whole minutes": 60, "whole days": 86_400}
UNITS: Final = {"minutes": 60, "hour": 3_600}


def _rows() -> dict[str, list[str]]:
    """Return the cells of the table on comparison, by destination."""
    _, _, table = PAGE.partition("| destination | compares |")
    rows = {}
    for line in table.splitlines()[2:]:
        if not line.startswith("|"):
            break
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[first.strip("`")] = cells
    return rows


@pytest.mark.parametrize("slug", SHIPPED)
def test_the_table(slug: str) -> None:
    """It has the destinations that can be asked, each with its times and its delay."""
    definition = load_definition(DEFINITIONS / slug)
    asks = [one.usage.ask for one in definition.actions.values() if one.usage is not None]
    rows = _rows()
    assert (slug in rows) == bool(asks)
    for ask in asks:
        _, _, times, waits = rows[slug]
        number, unit = waits.split()
        assert ask.aligned == TIMES[times]
        assert ask.settles_after == int(number) * UNITS[unit]


def test_the_connection(command: Callable[..., Any], write: Callable[[str, Any], Path]) -> None:
    """It fits OpenMeter, and says what is compared."""
    (block,) = re.findall(r"```yaml\n(# connection.yaml\n.*?)```", PAGE, re.DOTALL)
    connection = write("connection.yaml", block)
    event = {"type": "track", "event": "prompt", "userId": "u1", "messageId": "m1"}
    event["timestamp"] = "2026-03-05T14:00:00Z"
    given = write("event.json", {**event, "properties": {"tokens": 21}})
    done = command("explain", "openmeter", given, "--connection", connection, "--json")
    assert done.code == 0, done
    shown = str(done.json)
    assert "'meter': 'tokens_total'" in shown
    assert "'amount': '21'" in shown


def test_what_cannot_be_asked(command: Callable[..., Any], tmp_path: Path) -> None:
    """Kana cannot, as the page says; the message names those that can."""
    store = tmp_path / "store.sqlite3"
    within = ["--from", "2026-03-01", "--to", "2026-04-01", "--store", store]
    done = command("usage", "reconcile", "kana", *within)
    assert done.code == 2
    assert "Kana cannot be asked what it has counted" in done.err
    assert f": {', '.join(sorted(_rows()))}" in done.err
    assert "Kana is not compared." in PAGE
