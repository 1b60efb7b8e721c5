from __future__ import annotations

import pytest

from destinations.definition.document import read_document
from destinations.definition.schema_issues import schema_issues


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{}", "f.yaml:1: lacks 'description', 'settings', 'clock', 'events', 'interactions'"),
        ("description: D\nother: 1", "f.yaml:2: /other: is not a key here; known: $schema,"),
        ("- 1", "f.yaml:1: must be an object"),
        ("events:\n  - 1", "f.yaml:2: /events/0: must be an object or a string"),
        ("description: ''", "f.yaml:1: /description: must not be empty"),
        ("clock: now", "f.yaml:1: /clock: 'now' does not have the form"),
        ("expected: [{event: 1, outcome: fine}]", "/expected/0/outcome: must be one of delivered"),
        ("interactions: [{request: {}}]", "/interactions/0: must have exactly one of: response |"),
    ],
)
def test_what_does_not_fit_a_schema(text: str, shown: str) -> None:
    """Each issue has its place, and says what would be right."""
    found = [str(issue) for issue in schema_issues(read_document(text, "f.yaml"), "case")]
    assert [issue for issue in found if shown in issue], found
