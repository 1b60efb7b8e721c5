from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.mapping.liquid import LiquidError, compile_liquid_template
from destinations.segment.mapping.liquid.liquid_environment import DISABLED_FILTERS, DISABLED_TAGS

DATA: dict[str, Any] = {
    "name": "Zoë 😀",
    "price": 9.99,
    "text": "27.5",
    "none": None,
    "list": [1, "two", None, 3.0, [4]],
    "object": {"b": 1.0, "1": 2},
    "products": [{"n": "A", "p": 1}, {"n": "B", "p": 2}],
    "html": "<b>&\"'x</b>",
    "ts": "2022-02-23T22:28:55.111Z",
}


def render(template: str) -> str:
    return compile_liquid_template(template)(DATA)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {{ name }}{{ nope }}{{ none }}{{ nope.deeper }}", "Hello Zoë 😀"),
        ("{{ price }} {{ list }} {{ object }} {{ true }}", "9.99 1two34 [object Object] true"),
        ("{{ name.size }} {{ list.size }} {{ object.size }}", "6 5 2"),
        ("{{ list.first }} {{ list.last }} {{ list[1] }} {{ list[-1] }}", "1 4 two 4"),
        ("{{ name.first }}|{{ price.size }}|{{ empty }}|{{ nil }}", "|||"),
        ("{% assign x = 3 %}{{ x | plus: 1 }}", "4"),
        ("{% capture c %}a{{ price }}{% endcapture %}{{ c | size }}", "5"),
        ("{% if price > '9' and name contains 'Zo' %}y{% else %}n{% endif %}", "y"),
        ("{% unless nope %}u{% endunless %}", "u"),
        ("{% raw %}{{x}}{% endraw %}", "{{x}}"),
        ("{% comment %}z{% endcomment %}{%- echo 1.50 -%} {% # note %}", "1.5"),
        ("{% increment a %}{% increment a %}{% cycle 'a', 'b' %}{% cycle 'a', 'b' %}", "01ab"),
        ("{% liquid\n assign a = 1\n echo a\n%}", "1"),
        ("{{ (1..3) | join: '-' }}", "1-2-3"),
        ("{{ name | nofilter: 1 }}", "Zoë 😀"),
        ("{{ 'x' | append: 'y', 'surplus' | size }}", None),
    ],
)
def test_templates_render(template: str, text: str | None) -> None:
    """Tags work as in Liquid, values print as in JavaScript, unknown filters change nothing."""
    if text is None:
        with pytest.raises(LiquidError, match="append should have one argument"):
            render(template)
    else:
        assert render(template) == text


@pytest.mark.parametrize("tag", DISABLED_TAGS)
def test_disabled_tags_cannot_be_read(tag: str) -> None:
    """A disabled tag makes the whole template unreadable, even where it would not run."""
    with pytest.raises(LiquidError, match=f"the tag {tag} is disabled"):
        compile_liquid_template(f"{{% if false %}}{{% {tag} x %}}{{% endif %}}")


@pytest.mark.parametrize("name", DISABLED_FILTERS)
def test_disabled_filters_fail_where_they_run(name: str) -> None:
    """A disabled filter fails when it runs, and only then."""
    assert render(f"{{% if false %}}{{{{ list | {name}: 'a' }}}}{{% endif %}}") == ""
    with pytest.raises(LiquidError, match=f"the filter {name} is disabled"):
        render(f"{{{{ list | {name}: 'a' }}}}")


@pytest.mark.parametrize(
    "template", ["{{ unclosed", "{% nope %}", "{% if %}x{% endif %}", "{% if a %}"]
)
def test_broken_templates_cannot_be_read(template: str) -> None:
    """Syntax errors are found when the template is compiled, with a message of one line."""
    with pytest.raises(LiquidError) as caught:
        compile_liquid_template(template)
    assert "\n" not in str(caught.value)


def test_values_cannot_grow_without_limit() -> None:
    """Text that doubles with every filter is stopped long before it fills the memory."""
    doubling = "{% assign a = a | append: a %}" * 30
    with pytest.raises(LiquidError, match="at most 1000000 characters"):
        compile_liquid_template("{% assign a = 'x' %}" + doubling)({})


@pytest.mark.parametrize(
    "template",
    [
        "{{ a | replace: 'x', a | size }}",
        "{{ a | split: '' | join: a }}",
        "{{ 0 | date: '%999999999Y' }}",
        "{{ 0 | date: '%999999999N' }}",
    ],
)
def test_filters_look_before_they_write(template: str) -> None:
    """Filters that multiply text refuse before they make too much of it."""
    with pytest.raises(LiquidError, match="at most 1000000 characters"):
        compile_liquid_template(template)({"a": "x" * 5000})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% capture x %} {% endcapture %}[{{ x }}]", "[ ]"),
        ("[{% if true %} \n{% else %}{% endif %}]", "[ \n]"),
        ("[{%- if true -%} \n{%- endif -%}]", "[]"),
    ],
)
def test_white_space_in_blocks_is_kept(template: str, text: str) -> None:
    """A block of nothing but white space gives it, unless the tag says otherwise."""
    assert compile_liquid_template(template)({}) == text


def test_rendering_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that takes longer than half a second fails."""
    clock = iter([0.0, 0.4, 0.6])
    template = compile_liquid_template("{{ 1 | plus: 1 | plus: 1 }}")
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with pytest.raises(LiquidError, match="too long"):
        template({})


@pytest.mark.parametrize("data", [None, "text", 5, [1]])
def test_items_of_any_type_can_be_data(data: Any) -> None:
    """Within arrays the data may be anything; then there are no variables."""
    assert compile_liquid_template("a{{ x }}")(data) == "a"
