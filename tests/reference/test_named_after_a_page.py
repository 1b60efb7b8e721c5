from __future__ import annotations

import pytest

from destinations.errors import UsageError
from destinations.reference import read_topics
from making.liquid import GROUPS, read_liquid_page

TOPICS = read_topics()
SAID = read_liquid_page()


@pytest.mark.parametrize(
    "name", [*SAID["tags"], *(one for key in GROUPS.values() for one in SAID[key])]
)
def test_a_filter_or_tag_of_liquid(name: str) -> None:
    """It is found after the name of its page, also where a directive has the same name."""
    found = TOPICS.find(f"Liquid  {name}")
    assert {(one.path, one.section) for one in found} == {("liquid.md", name)}
    assert all(f"| `{name}` |" in one.text for one in found)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("json", "directives/json.md"),
        ("@if", "directives/if.md"),
        ("if", "directives/if.md"),
        ("subscribe", "fql.md"),
        ("fql contains", "fql.md"),
        ("fql grammar", "fql.md"),
        ("upcase", "liquid.md"),
        ("conversions dates", "conversions.md"),
        ("coercion", "conversions.md"),
        ("mapping", "directives/index.md"),
    ],
)
def test_where_a_name_leads(name: str, path: str) -> None:
    """A page goes before headings and rows; after its name, its own are found."""
    assert [one.path for one in TOPICS.find(name)] == [path]


@pytest.mark.parametrize("name", ["liquid upcas", "fql", "conversions nothing", "liquid "])
def test_what_is_no_part_of_a_page(name: str) -> None:
    """A name that the page does not have is unknown; the page's own name is the page."""
    if name.strip() in {"fql", "liquid"}:
        assert [one.section for one in TOPICS.find(name)] == [""]
    else:
        with pytest.raises(UsageError, match="unknown topic"):
            TOPICS.find(name)
