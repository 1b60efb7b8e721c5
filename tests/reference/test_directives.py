from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from destinations.errors import MappingError, ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_mapping
from destinations.segment.mapping.directives import DIRECTIVES
from destinations.segment.mapping.parts import split
from destinations.segment.mapping.paths import compile_path
from making import directives as pages
from tests.reference.documented import mapping_examples

EXAMPLES = list(mapping_examples())
NAMES = [f"{name}: {one['what']}" for name, one in EXAMPLES]


@pytest.mark.parametrize("one", [one for _, one in EXAMPLES], ids=NAMES)
def test_an_example(one: Mapping[str, Any]) -> None:
    """It comes to what its page says: a result, a failure, or a mapping that is refused."""
    assert len(one.keys() & {"gives", "fails", "refused"}) == 1
    if "refused" in one:
        with pytest.raises(MappingError) as refused:
            compile_mapping(one["mapping"])
        assert [issue.message.partition(";")[0] for issue in refused.value.issues] == [
            one["refused"]
        ]
        return
    mapping = compile_mapping(one["mapping"])
    if "fails" in one:
        with pytest.raises(ResolveError) as failed:
            mapping.resolve(one["event"])
        assert failed.value.message == one["fails"]
    else:
        assert mapping.resolve(one["event"]) == one["gives"]


@pytest.mark.parametrize("name", DIRECTIVES)
def test_a_directive_shows_something_missing(name: str) -> None:
    """Each page has an example that gives a result although the event lacks what it reads."""
    shown = [one for each, one in EXAMPLES if each == name and "gives" in one]
    assert shown
    assert all(name in str(one["mapping"]) for one in shown)
    assert any(
        compile_path(path)(one["event"]) is UNDEFINED
        for one in shown
        for path in _paths(one["mapping"])
    )


def _paths(mapping: Any) -> Iterator[str]:
    """The paths that a mapping reads of its event."""
    found = split(mapping)
    if found is not None:
        for part in found.parts:
            if part.role == "code" and isinstance(part.value, str):
                yield from map(".".join, found.directive.paths(part.value))
            elif part.on == "data":
                yield from _paths(part.value)
    elif isinstance(mapping, dict):
        for value in mapping.values():
            yield from _paths(value)


def test_every_directive_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the code has and the file has not, or the other way round, stops the making."""
    assert pages.read_directives().keys() == DIRECTIVES.keys()
    some = {name: one for name, one in DIRECTIVES.items() if name != "@case"}
    monkeypatch.setattr(pages, "DIRECTIVES", {**some, "@new": DIRECTIVES["@case"]})
    with pytest.raises(LookupError, match=r"'@case', '@new'"):
        pages.read_directives()


PAGES = {page.name: page for page in pages.directive_pages()}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_what_the_test_resolves(name: str) -> None:
    """Its YAML and JSON are those of the examples, however they are laid out."""
    read: dict[str, Callable[[str], Any]] = {"yaml": yaml.safe_load, "json": json.loads}
    shown = []
    for block in PAGES[name].text.split("```")[1::2]:
        language, _, text = block.partition("\n")
        shown.append(read[language](text))
    mine = [one for each, one in EXAMPLES if each == (name if name != "directives" else "mapping")]
    expected = [one[key] for one in mine for key in ("mapping", "event", "gives") if key in one]
    assert shown == expected
