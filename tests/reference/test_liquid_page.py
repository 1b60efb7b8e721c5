from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.mapping.liquid import LiquidError, compile_liquid_template, liquid_reads
from destinations.segment.mapping.liquid.liquid_environment import (
    DISABLED_FILTERS,
    DISABLED_TAGS,
    _environment,
)
from making.liquid import GROUPS, LiquidExample, liquid_examples, liquid_pages, read_liquid_page

EXAMPLES = list(liquid_examples())
SAID = read_liquid_page()
LOOPS = ("break", "continue")
"""Tags that the page names as a difference: they belong into those that are off."""
INTERNAL = {"content", "illegal", "output"}
"""What python-liquid calls the pieces of a template that are no tags."""


@pytest.mark.parametrize("one", EXAMPLES, ids=[one.template for one in EXAMPLES])
def test_an_example(one: LiquidExample) -> None:
    """It renders to the text that the page shows."""
    assert compile_liquid_template(one.template)(SAID["event"]) == one.gives


def test_every_filter_has_a_line() -> None:
    """The page has the environment's filters, each once and used by its example, and no other."""
    listed = [name for key in GROUPS.values() for name in SAID[key]]
    on = _environment().filters.keys() - set(DISABLED_FILTERS)
    assert sorted(listed) == sorted(on)
    for key in GROUPS.values():
        for name, (_, template, _) in SAID[key].items():
            assert f"| {name}" in template


def test_every_tag_has_a_line() -> None:
    """The page has the environment's tags that do something, each used by its example."""
    on = _environment().tags.keys() - set(DISABLED_TAGS) - set(LOOPS) - INTERNAL
    assert SAID["tags"].keys() == on | {"raw"}  # which the library reads before all tags
    for name, (_, template, _) in SAID["tags"].items():
        assert f"{{% {name}" in template


@pytest.mark.parametrize("name", DISABLED_TAGS)
def test_a_tag_that_is_off(name: str) -> None:
    """The page names it, and a template that has it cannot be read."""
    assert f"`{name}`" in _off("tags")
    with pytest.raises(LiquidError, match=f"the tag {name} is disabled"):
        compile_liquid_template(f"{{% {name} x %}}")


@pytest.mark.parametrize("name", DISABLED_FILTERS)
def test_a_filter_that_is_off(name: str) -> None:
    """The page names it, a check finds it, and a value that reaches it fails."""
    assert f"`{name}`" in _off("filters")
    template = f"{{{{ userId | {name} }}}}"
    assert liquid_reads(template).filter_issues
    with pytest.raises(LiquidError, match=f"the filter {name} is disabled"):
        compile_liquid_template(template)(SAID["event"])


def _off(kind: str) -> str:
    (page,) = liquid_pages()
    (row,) = (
        line
        for line in page.text.partition("## What is off")[2].splitlines()
        if line.startswith(f"| {kind} |")
    )
    return row


def test_a_filter_that_does_not_exist() -> None:
    """It leaves its value as it is, and a check finds it."""
    template = "a{{ userId | shout }}"
    assert compile_liquid_template(template)(SAID["event"]) == "au1"
    assert liquid_reads(template).filter_issues


@pytest.mark.parametrize(
    "template", [*(f"{{% {tag} %}}" for tag in LOOPS), "{% if (a) %}{% endif %}"]
)
def test_what_cannot_be_rendered(template: str) -> None:
    """What ends a loop fails outside of one, and so do parentheses in a condition."""
    with pytest.raises(LiquidError):
        compile_liquid_template(template)({})


def test_false_values() -> None:
    """Only false, null and what is missing are false in a condition."""
    render = compile_liquid_template("{% if v %}true{% else %}false{% endif %}")
    values: list[Any] = [False, None, "", 0, [], {}, " "]
    results = {str(value): render({"v": value}) for value in values}
    assert results == {
        "False": "false", "None": "false", "": "true", "0": "true", "[]": "true", "{}": "true",
        " ": "true",
    }  # fmt: skip
    assert render({}) == "false"
