from __future__ import annotations

import pytest

from destinations.definition.document import read_document
from destinations.definition.schema_issues import schema_issues


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{}", "f.yaml:1: lacks 'description', 'settings', 'clock', 'events', 'interactions'"),
        ("description: D\nother: 1", "f.yaml:2: /other: is not a key here; known: $schema,"),
        ("- 1", "f.yaml:1: must be a mapping, not a list"),
        ("events:\n  - 1", "f.yaml:2: /events/0: must be a mapping or text, not a number"),
        ("description: ''", "f.yaml:1: /description: must not be empty"),
        ("clock: now", "f.yaml:1: /clock: must be a time with its zone, such as 2026-"),
        (r'clock: "2026-01-01T00:00:00Z\n"', "/clock: must be a time with its zone, such as 2026-"),
        ("clock: '٢٠٢٦-01-01T00:00:00Z'", "/clock: must be a time with its zone, such as 2026-"),
        ("expected: [{event: 1, outcome: fine}]", "/expected/0/outcome: must be one of delivered"),
        ("events: [1.5]", "/events/0: must be a mapping or text, not 1.5"),
        ("events: []", "/events: must not be empty"),
        ("settings: secret-1", "/settings: must be a mapping, not text"),
        ("expected: [{event: '1'}]", "/event: must be an integer, not '1'; write 1 without quotes"),
        ("expected: [{event: 1.0}]", "/expected/0/event: must be an integer, not 1.0; write 1"),
        ("expected: [{event: yes it is}]", "/expected/0/event: must be an integer, not text"),
        ("expected: [{action: 5}]", "/expected/0/action: must be text or null, not a number"),
        ("expected: [{outcome: deliverd}]", "not 'deliverd'; did you mean delivered?"),
        (
            "interactions: [{request: {json: 1, body: a}}]",
            "/interactions/0/request: must not have json and body together",
        ),
        ("interactions: [{request: {}}]", "/interactions/0: must have exactly one of: response |"),
    ],
)
def test_what_does_not_fit_a_schema(text: str, shown: str) -> None:
    """Each issue has its place, and says what would be right."""
    found = [str(issue) for issue in schema_issues(read_document(text, "f.yaml"), "case")]
    assert [issue for issue in found if shown in issue], found
