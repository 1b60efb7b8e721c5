from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.pages import Html, element, escape, joined, void
from tests.well_formed import parsed

TEXT = st.text(st.characters(), max_size=40)  # halves of characters as well


@given(TEXT, TEXT)
def test_whatever_the_text_is_it_stays_text(text: str, value: str) -> None:
    """A parser finds one element, with the text and the attribute as they were."""
    found = parsed(element("p", text, title=value))
    assert len(found) == 0
    for shown, given_ in ((found.text or "", text), (found.attrib["title"], value)):
        # Line breaks of each kind become one, and spaces in attributes.
        assert shown.split() == html.unescape(escape(given_)).split()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\"'&", "&quot;&#x27;&amp;"),
        ("a\0b\x1b[31m", "a�b�[31m"),
        ("\ud800", "�"),
        ("abc\u202egpj.exe", "abc�gpj.exe"),
        ("two\nlines", "two\nlines"),
        (12, "12"),
        (Html("<b>known</b>"), "<b>known</b>"),
    ],
)
def test_escape(text: object, shown: str) -> None:
    """Only what says that it is markup is taken for it."""
    assert escape(text) == shown


def test_elements_hold_elements() -> None:
    """What an element returns is markup, and is not escaped twice."""
    inner = element("b", "a & b")
    assert element("p", "x", inner, class_="note", data_label="<") == (
        '<p class="note" data-label="&lt;">x<b>a &amp; b</b></p>'
    )
    assert joined(["<", inner], between=", ") == "&lt;, <b>a &amp; b</b>"


def test_attributes_that_say_yes_or_no() -> None:
    """A switch that is on has its name as the value; one that is off is not there."""
    assert (
        void("input", disabled=True, checked=False, value=None) == '<input disabled="disabled" />'
    )


@pytest.mark.parametrize("name", ["", "a b", "a>", 'onload="x', "1a"])
def test_names_are_names(name: str) -> None:
    """A name is never made of text that others chose: one that is none is a fault."""
    with pytest.raises(ValueError, match="invalid name"):
        void(name)
    with pytest.raises(ValueError, match="invalid name"):
        void("p", **{name: "x"})


def test_template_engines_take_it_as_it_is() -> None:
    """Jinja with autoescape inserts markup unchanged, and escapes all else."""
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Environment(autoescape=True).from_string("{{ a }}{{ b }}")
    assert template.render(a=element("b", "<"), b="<") == "<b>&lt;</b>&lt;"
