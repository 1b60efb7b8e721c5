from __future__ import annotations

import pytest

from destinations.kit.partner_page.calls import Call, SampleError, read_calls


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("", []),
        ("analytics.page();", [Call("page", (), 1)]),
        ("analytics.identify('u', {name: 'N'})", [Call("identify", ("u", {"name": "N"}), 1)]),
        (
            "analytics.track(\"Used\", {'a b': [1, -2.5, true, null], c: {d: 'it\\'s'}});",
            [Call("track", ("Used", {"a b": [1, -2.5, True, None], "c": {"d": "it's"}}), 1)],
        ),
        (
            "// first\nanalytics.identify('u');\n\nanalytics.track('Used (twice)',\n {n: 1,},\n);",
            [Call("identify", ("u",), 2), Call("track", ("Used (twice)", {"n": 1}), 4)],
        ),
        ("analytics.track('A', { /* ) */ b: 1 // )\n})", [Call("track", ("A", {"b": 1}), 1)]),
        ("// analytics.track('A');\n'analytics.track()'", []),
        ("window.analytics.group('g', {plan: 'pro'})", [Call("group", ("g", {"plan": "pro"}), 1)]),
        ("analytics.ready(function() {}); analytics.reset()", []),
    ],
)
def test_calls_are_read(text: str, calls: list[Call]) -> None:
    """Method, arguments as JSON values and line of every call; comments and strings hide none."""
    assert list(read_calls(text)) == calls


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("analytics.track('A', {b: c});", 1, "must be literals"),
        ("\nanalytics.track('A', {\n  b: new Date()\n});", 3, "must be literals"),
        ("analytics.track(`A`)", 1, "must be literals"),
        ("analytics.identify('u', {", 1, "no closing parenthesis"),
    ],
)
def test_what_cannot_be_executed(text: str, line: int, message: str) -> None:
    """The error names the line in the sample and what would be right."""
    with pytest.raises(SampleError, match=message) as caught:
        list(read_calls(text))
    assert caught.value.line == line
