"""Exported folders do in Segment's framework what the definitions do here.

This is the short form, with two destinations; ``tox -e export`` takes all, and more faults. It
costs half a minute of a processor, and once the installation of the packages from npm.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from destinations.http.answer import HttpResponse
from destinations.kit.exporter import export_segment
from destinations.oauth2.answers import Cure, TokenError, read_answer
from destinations.segment.mapping.conversions import CONVERSIONS
from destinations.segment.patterns import compile_pattern
from tests.case_tables import ALL_CASES
from tests.destinations.kit.exporter.test_expressions import TRANSLATED
from tests.export.install import FRAMEWORK
from tests.export.odd import (
    events_definition,
    oauth2_definition,
    odd_definition,
    refused_definition,
    strict_definition,
    windowed_definition,
)
from tests.export.proof import as_json, examine, table
from tests.npm_packages import InstallError, installed
from tests.shipped import DEFINITIONS

WHOLE: Final = ("braze", "slack")


OAUTH2: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "basic": ("clientCredentials", {}),
    "body": (
        "clientCredentials",
        {
            "clientAuthentication": "body",
            "scopes": ["a:write", "b~*"],
            "parameters": {"audience": "https://x", "host": {"@path": "$.settings.host"}},
        },
    ),
    "refresh": ("refreshToken", {"scopes": ["a"]}),
    "refresh-body": ("refreshToken", {"clientAuthentication": "body"}),
    "refresh-public": ("refreshToken", {"clientSecret": None}),
    "chosen": (
        "clientCredentials",
        {
            "tokenUrl": {
                "setting": "region",
                "urls": {"us": "https://us.example.com/token", "eu": "https://eu.example.com"},
            }
        },
    ),
}
"""Grants, and what else ``oauth2`` says."""


class Fault(NamedTuple):
    """A fault that is put into the export of a destination, and what has to be said of it."""

    destination: str
    file: str
    old: str
    new: str
    said: str


FAULTS: Final[Mapping[str, Fault]] = {
    "a header is missing": Fault(
        "braze", "index.ts", "credential('authorization'", "credential('other'", "authorization"
    ),
    "there is another header": Fault(
        "slack", "http.ts", "accept: 'application/json' }", "accept: '*/*', extra: '1' }", "extra"
    ),
    "another body": Fault("slack", "requests.ts", "'$.payload.text'", "'$.payload.blocks'", "json"),
    "another URL": Fault("braze", "requests.ts", "'users', 'track'", "'users', 'trace'", "trace"),
    "another method": Fault("slack", "requests.ts", "'POST'", "'PUT'", "case post-message"),
    "another verdict": Fault(
        "slack",
        "requests.ts",
        "kind: 'not_found',\n    isRetryable: false",
        "kind: 'not_found',\n    isRetryable: true",
        '"retry"',
    ),
    "all events of a batch": Fault(
        "braze", "requests.ts", "'$.errors'", "'$.faults'", "case track-events"
    ),
    "another payload": Fault(
        "slack",
        "postMessage/index.ts",
        "type: 'string',",
        "type: 'boolean',",
        "payload of case post-message",
    ),
    "an answer that makes code throw": Fault(
        "strict", "http.ts", "!Array.isArray(data)", "true", "case list"
    ),
    "a mapping that fails on an answer": Fault(
        "strict", "http.ts", "  } catch {\n    return undefined", "  } finally {", "case message"
    ),
    "items of a batch without those that are null": Fault(
        "strict",
        "http.ts",
        "parts.map((part) => part.item)\n  if",
        "parts.map((part) => part.item).filter((item) => item !== null)\n  if",
        "case nothing",
    ),
    "keys that no header can hold": Fault(
        "strict", "http.ts", "!VISIBLE.test(key)", "key === ''", "case keys"
    ),
    "keys in what is no object": Fault(
        "strict", "http.ts", "item === null || Array.isArray(item)", "item === null", "case bodies"
    ),
    "a secret that is not Base64": Fault(
        "strict", "signing.ts", "!BASE64.test(secret)", "secret === ''", "case secret"
    ),
    "a user with a colon": Fault(
        "strict", "http.ts", "name.includes(':')", "name === ':'", "case colon"
    ),
    "a credential without a value": Fault(
        "strict", "http.ts", "name === '' ? {} :", "name === '-' ? {} :", "case optional"
    ),
    "settings without their defaults": Fault(
        "strict", "requests.ts", "'data.region': 'us'", "'data.region': 'eu'", "case nothing"
    ),
    "defaults of settings that were emptied": Fault(
        "strict", "http.ts", "value !== undefined)", "value !== '')", "case emptied"
    ),
    "keys with a dot": Fault(
        "strict",
        "requests.ts",
        "'payload', 'all', 'v.w'",
        "'payload', 'all', 'v', 'w'",
        "case keys",
    ),
    "other metadata": Fault(
        "slack", "metadata.json", '"hasPerformBatch": false', '"hasPerformBatch": true', "hasPerf"
    ),
    "a token is asked for in another way": Fault(
        "oauth2-body", "index.ts", "'a:write b~*'", "'a:write'", "case access token"
    ),
    "a header of others is sent for a token": Fault(
        "oauth2-refresh-body", "index.ts", "'x-region']", "'x-other']", "x-region"
    ),
    "events without what all have to have": Fault(
        "events",
        "track/index.ts",
        "required: true,\n      unsafe_hidden",
        "unsafe_hidden",
        "metadata.json, track.fields",
    ),
    "users that are none": Fault(
        "events", "track/index.ts", "placeholders: ['null', ", "placeholders: [", "unsent track"
    ),
    "users that are none are deleted": Fault(
        "events", "index.ts", "checkUser(payload)", "payload", "unsent onDelete"
    ),
    "an event of no action": Fault(
        "events", "__tests__/cases.test.ts", "action: 'onEvent()'", "action: 'track'", "unsent"
    ),
    "no TypeScript": Fault(
        "slack",
        "requests.ts",
        "timeout: 20000",
        "timeout: '20000'",
        "does not compile: requests.ts(",
    ),
}

FEW: Final = (
    *("another body", "another verdict", "another payload", "other metadata", "no TypeScript"),
    *(
        "a token is asked for in another way",
        "users that are none",
        "users that are none are deleted",
    ),
    "a mapping that fails on an answer",
)
"""What the test command plays: one of each thing that is compared."""


def _played() -> dict[str, Fault]:
    """Return the faults to play, of which there are more with all cases."""
    return {name: FAULTS[name] for name in (FAULTS if ALL_CASES else FEW)}


def _broken(folder: Path, number: int, fault: Fault) -> str:
    """Make a copy of an export with a fault, and return its name."""
    name = f"{fault.destination}-{number}"
    shutil.copytree(folder / "src" / fault.destination, folder / "src" / name)
    path = folder / "src" / name / fault.file
    text = path.read_text(encoding="utf-8")
    assert fault.old in text
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    return name


VALUES: Final[tuple[Any, ...]] = (
    *("2026-02-30", "2025-02-29", "2024-02-29", "2026-04-31", "2026-13-01", "0000-01-01"),
    *("0001-01-01", "0001-01-01T00:00+01:00", "9999-12-31T23:59:59.999999Z", "2026-03-05"),
    *("9999-12-31T23:59:59-00:01", "2026-03-05T24:00:00Z", "2026-03-05 14:30", "2026-03-05T14:60"),
    *("2026-03-05T14:30:60Z", "2026-03-05T14:30+01:60", "2026-03-05T14:30-0330"),
    *("2026-03-05T14:30:00,1239+02", "1969-12-31T23:59:59.9999Z", "2026-03-05T14:30+24:00"),
    *(0, -1, 1.5, -0.0000005, 1e10, 1e11, 1772721000123, 1e21, 1e308, 99999999999.9995),
    *(253402300799999, 253402300800000, -62135596800000, -62135596800001, 1772721000123.75),
    *("5", " 5.0 ", "1e-400", "0e-400", "1e400", "-.5", "٣4", "Straße", "\u01c5", " x ", "", True),
)
STATUSES: Final = (200, 201, 302, 307, 400, 401, 403, 404, 408, 429, 500, 501)
TOKENS: Final = (
    *("", "[]", "null", "<html>", "{}", '{"access_token": "a"}', '\ufeff{"access_token": " a "}'),
    *('{"access_token": ""}', '{"access_token": 1}', '{"access_token": "\u00e9"}'),
    *(
        '{"access_token": "a", "token_type": " Bearer"}',
        '{"access_token": "a", "token_type": "mac"}',
    ),
    *('{"access_token": "a", "refresh_token": "r"}', '{"access_token": "a", "refresh_token": " "}'),
    *(
        '{"access_token": "a", "refresh_token": 1}',
        '{"access_token": "a", "error": "invalid_grant"}',
    ),
    *('{"error": "invalid_grant"}', '{"error": "slow_down"}', '{"error": 1}', '{"ok": false}'),
)
"""Answers of a token endpoint."""

CHOICES: Final[tuple[tuple[Any, Any], ...]] = (
    ({"items": [{"id": "a", "name": one} for one in "AB"], "next": 2}, [["a", "A"], "2"]),
    ({"items": [{"id": 1, "name": 5}, {"id": "a"}], "next": False}, [["1", "1"], ["a", "a"], ""]),
    (
        {"items": [{"id": "a"}, {"id": "a"}, {"id": None}, {"id": {}}, {"id": [1]}]},
        [["a", "a"], ""],
    ),
    ({"items": [], "next": None}, [""]),
    ({"items": [], "next": {}}, "500"),
    ({"items": {}}, "500"),
    ({}, "500"),
    ("text", "500"),
)
"""Answers with choices, and what is shown of them: values with labels, and the next page."""

BATCHES: Final[tuple[tuple[list[Any], list[int]], ...]] = (
    ([{"index": 0, "status": 401}], [403, 200]),
    ([{"index": 0, "status": 401}, {"index": 1, "status": 400}], [403, 400]),
    ([{"index": 0, "status": 401}, {"index": 1, "status": 401}], [401, 401]),
)
"""Failed events of a batch; with OAuth2, Segment sends all of them again after one of 401."""

HALVES: Final = ("\ud800", "a\udc00b", "\udbff\udbff")
"""Texts that have no bytes."""

ERRORS: Final[tuple[tuple[dict[str, Any], int], ...]] = (
    ({"name": "TypeError", "message": "secret is not a legal HTTP header value"}, 400),
    ({"name": "TypeError", "message": "fetch failed", "cause": {"code": "ECONNRESET"}}, 400),
    ({"name": "FetchError", "code": "ECONNREFUSED", "message": "https://x.example/?k=secret"}, 500),
    ({"name": "FetchError", "code": "ECONNRESET", "message": "https://x.example/?k=secret"}, 400),
    (
        {
            "name": "FetchError",
            "code": "ECONNRESET",
            "message": "?k=secret",
            "canRepeat": True,
        },
        500,
    ),
    ({"name": "RequestTimeoutError", "status": 408, "canRepeat": True, "message": "late"}, 408),
)
"""What the client throws, and the status by which Segment repeats the event or not."""

TEXTS: Final = (
    *("", "a", "F", "Foo-bar", "rate-limit", "rate limit", "RATE", "a\rb", "a\nb", "\u2028", "é"),
    *(
        "éa",
        "aé",
        "a1",
        "٣",
        "]",
        "}",
        "]F",
        "A]",
        "a _'\"@:/b",
        ".",
        "^",
        "\x85",
        "\ufeff",
        "FFFFF",
    ),
    *("\u017f", "\u212a", "😀", "\x01\t", "a-z", "a\n", "ba", "1 1", "A1-", "\u0301"),
)


def _compare_values(folder: Path) -> None:
    """Compare what both sides make of many values, for which there are no cases."""
    shutil.copyfile(Path(__file__).parent / "values.js", folder / "values.js")
    conversions = [{"word": word, "value": one} for word in CONVERSIONS for one in VALUES]
    expressions = [{"pattern": one, "texts": TEXTS} for one in TRANSLATED.values()]
    done = subprocess.run(
        ["node", "values.js", "out/odd"],
        cwd=folder,
        input=json.dumps({"conversions": conversions, "expressions": expressions}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    differing = [
        (one, _converted(one["word"], one["value"]), there)
        for one, there in zip(conversions, answer["conversions"], strict=True)
        if _converted(one["word"], one["value"]) != there
    ]
    assert differing == []
    for pattern, found in zip(TRANSLATED, answer["expressions"], strict=True):
        search = compile_pattern(pattern)
        assert [(pattern, one) for one in TEXTS if search(one)] == [
            (pattern, one) for one, is_found in zip(TEXTS, found, strict=True) if is_found
        ]


def _compare_answers(folder: Path) -> None:
    """Compare what both sides make of answers, and of events, that no case has."""
    shutil.copyfile(Path(__file__).parent / "answers.js", folder / "answers.js")
    tokens = [(status, body) for status in STATUSES for body in TOKENS]
    given = {
        "tokens": [{"status": status, "body": body} for status, body in tokens],
        "choices": [{"body": json.dumps(body)} for body, _ in CHOICES],
        "batches": [{"body": json.dumps({"errors": body})} for body, _ in BATCHES],
        "events": [{"name": name} for name in HALVES],
        "errors": [one for one, _ in ERRORS],
    }
    done = subprocess.run(
        ["node", "answers.js", "out"],
        cwd=folder,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    for one, there in zip(tokens, answer["tokens"], strict=True):
        shown = {401: "rejected"}.get(there, "retry") if isinstance(there, int) else there
        assert (one, shown) == (one, _tokens(*one))
    found = [(one.get("error", {}).get("code"), one) for one in answer["choices"]]
    assert [
        code or [*(list(each.values()) for each in one["choices"]), one["nextPage"]]
        for code, one in found
    ] == [expected for _, expected in CHOICES]
    assert answer["batches"] == [expected for _, expected in BATCHES]
    assert answer["events"] == [[400] * len(one) for one in answer["events"]]
    assert answer["errors"] == [[expected, False] for _, expected in ERRORS]


def _tokens(status: int, body: str) -> object:
    """Return what an answer with tokens gives here."""
    try:
        found = read_answer(HttpResponse(status, {}, body.encode()), "there", str, {"": Cure("")})
    except TokenError as error:
        return "rejected" if error.is_refused else "retry"
    more = {} if found.refresh_token is None else {"refreshToken": found.refresh_token}
    return {"accessToken": found.access_token, **more}


def _converted(word: str, value: object) -> list[Any]:
    """Return what a conversion makes, as far as numbers of JavaScript can have it."""
    try:
        found = CONVERSIONS[word].convert(value)
    except (ValueError, TypeError):
        return []
    return [] if word == "microseconds" and abs(found) > 2**53 - 1 else [found]


def test_the_export_does_the_same(tmp_path: Path) -> None:
    """Requests, verdicts, payloads and metadata are the same, also with names that are hard to say.

    Each fault that is put in is told.
    """
    try:
        framework = installed(FRAMEWORK)
    except InstallError as error:
        pytest.skip(str(error))
    sources = {name: DEFINITIONS / name for name in WHOLE}
    sources["odd"] = odd_definition().write(tmp_path / "odd" / "acme")
    sources["refused"] = refused_definition().write(tmp_path / "refused" / "acme")
    sources["windowed"] = windowed_definition().write(tmp_path / "windowed" / "acme")
    sources["events"] = events_definition().write(tmp_path / "events" / "acme")
    sources["strict"] = strict_definition().write(tmp_path / "strict" / "acme")
    for name, (grant, more) in OAUTH2.items():
        source = oauth2_definition(grant, **more).write(tmp_path / f"oauth2-{name}" / "acme")
        sources[f"oauth2-{name}"] = source
    exported = {
        name: export_segment(source, tmp_path / "src" / name, partial=name == "refused")
        for name, source in sources.items()
    }
    for name, source in sources.items():
        check = export_segment(source, tmp_path / "src" / name, partial=True, check=True)
        assert check.changed == ()
    faults = _played()
    names = {_broken(tmp_path, at, one): one for at, one in enumerate(faults.values())}
    rows = examine(
        tmp_path,
        framework,
        sources | {name: sources[one.destination] for name, one in names.items()},
        exported | {name: exported[one.destination] for name, one in names.items()},
    )
    # No request of the definition that is refused can be made.
    assert rows[3].differences.pop(0) == "1 recorded requests are in no test"
    right = rows[: len(sources)]
    assert {row.destination: row.differences for row in right if row.differences} == {}
    assert [(row.cases, row.exported_cases, row.left, row.tokens) for row in right] == [
        *((3, 3, 0, 0), (4, 4, 0, 0), (13, 13, 0, 0), (1, 0, 1, 0), (3, 3, 0, 0), (2, 2, 0, 0)),
        (12, 12, 0, 0),
        *[(1, 1, 0, 1)] * len(OAUTH2),
    ]
    assert [(row.unsent, row.unplayed) for row in (right[2], right[3], right[5])] == [
        *((8, []), (0, ["event 1 of sent"]), (7, [])),
    ]
    for row, (what, fault) in zip(rows[len(sources) :], faults.items(), strict=True):
        assert row.differences, what
        assert fault.said in "\n".join(row.differences), what
    assert [one["differences"] for one in json.loads(as_json(rows))] == [
        row.differences for row in rows
    ]
    _compare_values(tmp_path)
    _compare_answers(tmp_path)
    lines = table(rows).splitlines()
    assert lines[1].split() == ["braze", "3", "3", "3", "0", "0", "4", "0", "0", "0", "equal"]
    assert "different: " in lines[-1]
