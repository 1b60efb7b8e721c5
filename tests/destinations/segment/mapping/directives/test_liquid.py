from __future__ import annotations

import sys

import pytest

from destinations.errors import MappingError, ResolveError
from destinations.extras import missing_library
from destinations.segment.mapping import compile_mapping, compile_value


def test_templates_are_rendered() -> None:
    """The result is text, empty for an empty template."""
    assert compile_value({"@liquid": "{{ n | plus: 1 }}"}).resolve({"n": 1}) == "2"
    assert compile_value({"@liquid": ""}).constant == ""


def test_failures_wait_until_reached() -> None:
    """A broken template is a warning of the mapping, and an error where it is reached."""
    value = {"@if": {"exists": {"@path": "x"}, "then": {"@liquid": "{% case x %}{% endcase %}"}}}
    compiled = compile_mapping({"a": value})
    assert [issue.path for issue in compiled.warnings] == ["/a/@if/then/@liquid"]
    assert compiled.resolve({}) == {}
    with pytest.raises(ResolveError, match="the tag case is disabled"):
        compiled.resolve({"x": 1})


def test_data_may_make_a_template_fail() -> None:
    """A filter that is disabled fails only where it runs, with the place of the directive."""
    compiled = compile_value({"@liquid": "{% if x %}{{ x | map: 'a' }}{% endif %}"}, root="/r")
    assert compiled.warnings == ()
    assert compiled.resolve({}) == ""
    with pytest.raises(ResolveError, match="the filter map is disabled") as caught:
        compiled.resolve({"x": 1})
    assert caught.value.path == "/r/@liquid"


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without python-liquid a mapping that needs it is refused with the command that helps."""
    for name in [
        name for name in sys.modules if name.startswith("destinations.segment.mapping.liquid")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "liquid", None)
    with pytest.raises(MappingError) as caught:
        compile_mapping({"a": {"@liquid": "x"}})
    (issue,) = caught.value.issues
    assert issue.path == "/a/@liquid"
    assert issue.message == str(missing_library("python-liquid", "liquid", "@liquid"))
    assert compile_mapping({"a": {"@path": "x"}}).resolve({"x": 1}) == {"a": 1}
