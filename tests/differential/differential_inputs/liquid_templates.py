"""Liquid templates for ``@liquid``: tags and filters that are allowed, and some that are not."""

from __future__ import annotations

from typing import Any, Final

from differential_inputs.json_values import one_in, scalars
from hypothesis import strategies as st

__all__ = ["liquid_events", "liquid_texts"]

_VARIABLES: Final = (
    "type", "event", "properties.name", "properties.total", "properties.list", "properties.object",
    "properties.flag", "properties.nothing", "properties['name']", "properties.list[0]",
    "properties.list.size", "properties.list.first", "properties.list.last",
    "properties.name.size", "missing", "properties.missing.deep", "properties.date",
    "properties.list[-1]", '"text"', "'it'", "1", "-1.5", "true", "nil", "empty", "blank",
    "(1..3)",
)  # fmt: skip
_FILTERS: Final = (
    "upcase", "downcase", "capitalize", "strip", "lstrip", "rstrip", "size", "abs", "ceil",
    "floor", "round", "round: 1", "plus: 1", "minus: 1.5", "times: 2", "divided_by: 3",
    "modulo: 3", "append: 'x'", "prepend: 'x'", "replace: 'a', 'b'", "replace_first: 'a', 'b'",
    "remove: 'a'", "remove_first: 'a'", "split: ','", "split: ' ' | join: '-'", "join",
    "join: '-'", "first", "last", "slice: 0", "slice: 1, 2", "slice: -2, 2", "truncate: 5",
    "truncatewords: 1", "escape", "escape_once", "url_encode", "url_decode", "strip_html",
    "strip_newlines", "default: 'd'", "default: 'd', allow_false: true", "json",
    "date: '%Y-%m-%d'", "date: '%d %b %Y %H:%M:%S'", "date_to_xmlschema", "at_least: 2",
    "at_most: 2", "compact", "sum", "where: 'a', 1", "map: 'a'", "sort", "reverse", "uniq", "nope",
    "base64_encode", "base64_decode", "number_of_words", "to_integer", "slugify", "cgi_escape",
    "uri_escape", "normalize_whitespace", "push: 1", "shift", "pop", "sample: 0",
)  # fmt: skip
_OPERATORS: Final = ("==", "!=", "<", ">", "<=", ">=", "contains")
_WORDS: Final = ("", " ", "a", "text ", "\n")
# Brackets are not broken: what liquidjs makes of those that do not match is nobody's intention.
_BREAKS: Final = ("", " ", "a", "<b>", "é", "|", ":", ",", "'", "=")


@st.composite
def _outputs(draw: st.DrawFn) -> str:
    filters = draw(st.lists(st.sampled_from(_FILTERS), max_size=3))
    opening, closing = draw(st.sampled_from([("{{ ", " }}")] * 8 + [("{{-", "-}}"), ("{{", "}}")]))
    return opening + " | ".join([draw(st.sampled_from(_VARIABLES)), *filters]) + closing


@st.composite
def _conditions(draw: st.DrawFn) -> str:
    left, right = draw(st.sampled_from(_VARIABLES)), draw(st.sampled_from(_VARIABLES))
    first = draw(st.sampled_from([left, f"{left} {draw(st.sampled_from(_OPERATORS))} {right}"]))
    joint = draw(st.sampled_from(["", "", " and ", " or "]))
    return first + (f"{joint}{draw(st.sampled_from(_VARIABLES))}" if joint else "")


@st.composite
def _tags(draw: st.DrawFn, depth: int) -> str:
    inner = draw(_texts(depth - 1)) if depth else draw(st.sampled_from(_WORDS[:3]))
    other = draw(_texts(depth - 1)) if depth else "no"
    condition = draw(_conditions())
    variable, filters = draw(st.sampled_from(_VARIABLES)), draw(st.sampled_from(_FILTERS))
    forms = [
        f"{{% if {condition} %}}{inner}{{% else %}}{other}{{% endif %}}",
        f"{{% if {condition} %}}{inner}{{% elsif {draw(_conditions())} %}}{other}{{% endif %}}",
        f"{{% unless {condition} %}}{inner}{{% endunless %}}",
        f"{{% assign x = {variable} | {filters} %}}{{{{ x }}}}{inner}",
        f"{{% capture x %}}{inner}{{% endcapture %}}{{{{ x | {filters} }}}}",
        f"{{%- if {condition} -%}} {inner} {{%- endif -%}} {other}",
        "{% raw %}{{ type }}{% endraw %}",
        f"{{% comment %}}{inner}{{% endcomment %}}",
        "{% increment n %}{% increment n %}{% decrement n %}",
        "{% cycle 'a', 'b' %}{% cycle 'a', 'b' %}",
        f"{{% echo {variable} | {filters} %}}",
        f"{{% for item in {variable} %}}{{{{ item }}}}{{% endfor %}}",
    ]
    return draw(st.sampled_from(forms))


@st.composite
def _texts(draw: st.DrawFn, depth: int) -> str:
    parts = st.one_of(_outputs(), _outputs(), _tags(depth), st.sampled_from(_WORDS))
    return "".join(draw(st.lists(parts, min_size=1, max_size=3)))


@st.composite
def liquid_texts(draw: st.DrawFn) -> str:
    """A template of Liquid; some are broken, as people break them."""
    text = draw(_texts(depth=1))
    if one_in(draw, 12):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(_BREAKS)) + text[at:]
    return text


@st.composite
def liquid_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event with what the templates ask for."""
    words = st.sampled_from(
        ["Ann", "a b c", "a,b", " x ", "<i>a</i>", "12", "1.5", "", "a&b", "é", "Order 1"]
    )
    value = st.one_of(
        words, st.integers(-20, 20), st.floats(-50, 50).map(lambda n: round(n, 2)), scalars
    )
    properties = {
        "name": st.one_of(words, value),
        "total": st.one_of(st.integers(-20, 200), value),
        "list": st.one_of(st.lists(value, max_size=3), value),
        "object": st.dictionaries(st.sampled_from(["a", "b"]), value, max_size=2),
        "flag": st.booleans(),
        "nothing": st.none(),
        "date": st.sampled_from(["2024-01-05T12:30:00Z", "2024-01-05", "1704412800", "noon"]),
    }
    return {
        "type": "track",
        "event": draw(words),
        "properties": draw(st.fixed_dictionaries({}, optional=properties)),
    }
