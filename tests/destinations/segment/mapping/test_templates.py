from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.mapping.templates import compile_template, split_template

DATA: dict[str, Any] = {
    "name": "Zoë",
    "none": None,
    "yes": True,
    "price": 1.50,
    "list": [1, None, "x"],
    "object": {},
    "again": "<{{name}}>",
    "zero": 0,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {{name}}!", "Hello Zoë!"),
        ("{{ name }}{{price}}", "Zoë1.5"),
        ("{{nope}}|{{none}}|{{nope.deeper}}", "||"),
        ("{{yes}} {{zero}} {{list}} {{object}}", "true 0 1,,x [object Object]"),
        ("{{}}", "{{}}"),
        ("{{ }}", "[object Object]"),
        ("{{name", "{{name"),
        ("{{a}b}}", "{{a}b}}"),
        ("{{$.name}}", ""),
        ("{{again}}", "<{{name}}>"),
        ("{{{again}}}", "<Zoë>"),
        ("{{{name}}} and {{price}}", "Zoë and 1.5"),
        ("{{{nope}}}", ""),
        ("{{{{name}}}}", "}"),
        ("{{ name | upcase }}", ""),
    ],
)
def test_templates_are_filled_in(template: str, text: str) -> None:
    """Placeholders print as in JavaScript; what a triple one gave is expanded once more."""
    compiled = compile_template(template)
    assert (compiled if isinstance(compiled, str) else compiled(DATA)) == text


def test_templates_without_placeholders_are_constant() -> None:
    """Text with nothing to fill in needs no function."""
    assert compile_template("plain { text }") == "plain { text }"


@pytest.mark.parametrize(
    ("template", "pieces"),
    [
        ("", [""]),
        ("plain { text }", ["plain { text }"]),
        ("Hello {{ name }}!", ["Hello ", "name", "!"]),
        ("{{a}}{{{b}}}", ["", "a", "", "b", ""]),
        ("{{}}{{ }}", ["{{}}", "", ""]),
        ("{{a {{{b}}}", ["{{a ", "b", ""]),
        ("{{a | upcase}}", ["", "a | upcase", ""]),
    ],
)
def test_texts_and_paths_of_a_template(template: str, pieces: list[str]) -> None:
    """Texts and paths take turns, and triple placeholders come before double ones."""
    assert split_template(template) == pieces
