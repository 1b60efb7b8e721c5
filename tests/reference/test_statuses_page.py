"""The page on statuses says what follows each answer, and its example helps as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from destinations.definition.build import _error_rules
from destinations.http import Failure, HttpResponse
from destinations.http.error_rules import StatusMeaning, meaning_of_status
from destinations.runtime.endings import Loss, ending
from making.statuses import ROWS, meanings, request_to_try

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "definition" / "statuses.md"
ADDRESS = frozenset({404, 405, 410, 415})
"""Statuses that have the same meaning, one of them with its own name of a class."""


def _named() -> set[int]:
    return {int(one) for name, _, _ in ROWS for one in re.findall(r"\b\d{3}\b", name)}


def _fallback(status: int) -> int | None:
    """The status that stands for this one on the page; None if the page names it."""
    if status in _named():
        return None
    return {3: 302, 4: 422, 5: 500}[status // 100]


@pytest.mark.parametrize("status", range(300, 600))
def test_no_status_is_missing(status: int) -> None:
    """One that has a meaning of its own has a row of its own."""
    fallback = _fallback(status)
    if fallback is not None:
        assert meaning_of_status(status) == meaning_of_status(fallback)
    elif status in ADDRESS:
        meaning = StatusMeaning("invalid", retryable=False, proof=False)
        assert meaning_of_status(status)._replace(error_class="invalid") == meaning


def test_the_table_is_that_of_the_code() -> None:
    """A few cells, written down here: the page is made, so it would follow any mistake."""
    found = dict(meanings())
    assert found["400"] == ("rejected", "held", "held", "unknown; the partner is asked", "held")
    assert found["429"] == ("tried again, then dead",) * 5
    assert found["another 5xx"] == found["none: sent, and no answer came"]
    assert found["another 5xx"][:3] == (
        "tried again, then dead",
        "held",
        "sent again; it may count twice",
    )
    assert found["401"] == ("stops the run",) * 5
    assert len(found) == len(ROWS)
    text = PAGE.read_text("utf-8")
    for name, ends in found.items():
        assert f"| {name} | {' | '.join(ends)} |" in text


def test_the_example_helps() -> None:
    """With its rule, a 400 to a request that is not idempotent ends the event."""
    (code,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    ends = []
    for rules in ((), _error_rules(yaml.safe_load(code))):
        request = request_to_try(idempotent=False, is_fixed=True, rules=rules)
        (failure,) = request.read(HttpResponse(400, {}, b""), 1)
        assert isinstance(failure, Failure)
        ends.append(ending(request, failure, Loss()))
    assert ends == ["held", "rejected"]
