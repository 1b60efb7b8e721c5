"""Settings in the code of an export: their defaults, credentials, and keys with a dot."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from destinations.kit.exporter import export_segment
from tests.destinations.kit.exporter.folders import Change, Definition


class Written(NamedTuple):
    """A change, and what stands in a file of the export, and what does not."""

    change: Change
    file: str
    code: str
    missing: str = "undefined"


def _setting(name: str, **more: Any) -> Change:
    setting = {"title": "A", "description": "A setting.", "type": "string", **more}
    return lambda one: one.destination["settings"]["properties"].update({name: setting})


def _all(*changes: Change) -> Change:
    return lambda one: [change(one) for change in changes]


def _transport(**more: Any) -> Change:
    return lambda one: one.destination["transport"].update(more)


def _json(value: object) -> Change:
    return lambda one: one.rest.update(json=value)


TOKEN: Final = _setting("token", format="password")
DOTTED: Final = _setting("the.region", enum=["us", "eu"], default="us")
WRITTEN: Final = {
    "a required token": Written(
        _transport(auth={"bearer": "apiKey"}),
        "index.ts",
        "headers: credential('authorization', settings.apiKey, 'Bearer ')",
        "`Bearer ",
    ),
    "an optional token": Written(
        _all(TOKEN, _transport(auth={"bearer": "token"})),
        "index.ts",
        "headers: credential('authorization', settings.token, 'Bearer ')",
        "`Bearer ",
    ),
    "an optional key in a header": Written(
        _all(TOKEN, _transport(auth={"apiKey": {"setting": "token", "header": "X-Key"}})),
        "index.ts",
        "headers: credential('x-key', settings.token)",
        "`${",
    ),
    "HTTP Basic": Written(
        _all(
            _setting("user"),
            TOKEN,
            _transport(auth={"basic": {"user": "user", "password": "token"}}),
        ),
        "index.ts",
        "headers: basic(settings.user, settings.token)",
        "Buffer",
    ),
    "defaults": Written(
        _all(
            _setting("plan", default="free"),
            _setting("size", type="integer", default=0),
            _setting("none", default=""),
        ),
        "requests.ts",
        "export const DEFAULTS = { plan: 'free', size: 0 }",
        "none",
    ),
    "defaults in a request": Written(
        _setting("plan", default="free"), "requests.ts", "  defaults: DEFAULTS,\n"
    ),
    "no defaults": Written(lambda _: None, "requests.ts", "canRepeat: true", "defaults"),
    "a URL by a setting with a dot": Written(
        _all(
            DOTTED,
            _transport(
                baseUrl={
                    "setting": "the.region",
                    "urls": {"us": "https://us.example.com", "eu": "https://eu.example.com"},
                }
            ),
        ),
        "requests.ts",
        "return urls[text(valueAt(['settings', 'the.region'], context))]",
        "\\.",
    ),
    "a URL with a setting with a dot": Written(
        _all(
            DOTTED,
            _transport(baseUrl={"@template": r"https://{{settings.the\.region}}.example.com"}),
        ),
        "requests.ts",
        "'https://' + text(valueAt(['settings', 'the.region'], context)) + '.example.com'",
        "\\.",
    ),
    "a query with a setting with a dot": Written(
        _all(
            _setting("the.key", format="password"),
            _transport(auth={"apiKey": {"setting": "the.key", "query": "key"}}),
        ),
        "requests.ts",
        "(context) => valueAt(['settings', 'the.key'], context)",
        "\\.",
    ),
    "a header of all requests with a dot": Written(
        _all(DOTTED, _transport(headers={"X-Region": {"@path": r"$.settings.the\.region"}})),
        "requests.ts",
        "headers: { 'X-Region': { '@path': '$.computed[0]' } }",
        "\\.",
    ),
    "a path with a dot": Written(
        _json({"a": {"@path": r"$.payload.a\.b.c"}, "again": {"@path": r"$.payload.a\.b.c"}}),
        "requests.ts",
        "(context) => valueAt(['payload', 'a.b', 'c'], context)",
        "computed[1]",
    ),
    "a template with dots": Written(
        _json({"a": {"@template": r"\. {{payload.a\.b}} {{{ payload.c\.d }}} {{payload.id}}"}}),
        "requests.ts",
        r"'\\. {{computed[0]}} {{{computed[1]}}} {{payload.id}}'",
        r"a\\.b",
    ),
    "a list at a path with a dot": Written(
        _json({"a": {"@arrayPath": [r"$.payload.a\.b", {"i": {"@path": "$.i"}}]}}),
        "requests.ts",
        "['$.computed[0]', { i: { '@path': '$.i' } }]",
        "\\.",
    ),
    "a conversion of a key with a dot": Written(
        _json({"a": {"@convert": {"value": {"@path": r"$.payload.a\.b"}, "to": "lower"}}}),
        "requests.ts",
        "convert({ '@path': '$.computed[0]' }, ['lower'], context)",
        "\\.",
    ),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_written(written: Written, tmp_path: Path) -> None:
    """The code says what the definition means, where Segment's paths and settings do not."""
    definition = Definition()
    definition.cases.clear()
    written.change(definition)
    exported = export_segment(definition.write(tmp_path / "acme"), tmp_path / "out")
    source = exported.files[written.file]
    assert written.code in source, source
    assert written.missing not in source
