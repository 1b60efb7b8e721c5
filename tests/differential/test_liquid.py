from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from differential_inputs.accepted import ACCEPTED, accepted
from differential_inputs.liquid_templates import liquid_events, liquid_texts
from differential_inputs.reference import Judge
from hypothesis import given, settings


@settings(settings.get_profile("differential"))
@given(template=liquid_texts(), event=liquid_events())
def test_liquid(judge: Judge, template: str, event: dict[str, Any]) -> None:
    """A Liquid template gives the same text, but for the kinds of differences that are listed."""
    inputs = {"mapping": {"text": {"@liquid": template}}, "event": event}
    vector, _ = judge.vector("mapping", inputs)
    result = judge.run("mapping", vector)
    if result.passed:
        return
    kind = accepted(template, result.expected, result.outcome)
    assert kind is not None, f"expected {result.expected}, got {result.outcome}"
    hypothesis.event(f"accepted: {kind.kind}")


@pytest.mark.parametrize("one", ACCEPTED, ids=lambda one: one.kind)
def test_accepted_differences_have_reasons(one: Any) -> None:
    """Each kind of difference that is accepted says why it stays, in a sentence."""
    assert len(one.reason.split()) > 5
