"""Inputs that would take time or memory without end, were they not bounded.

Run by test_bombs.py as ``python bombs.py NAME ...``: each in turn with a limit on processor time
and memory, so that one that gets out of hand is killed instead of the test run. Prints a line
``start NAME``, and ``done NAME ...`` with what came of it.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from typing import Any

from destinations.definition.document import read_document
from destinations.definition.graphql_document import check_operation
from destinations.errors import DestinationsError
from destinations.http import HttpResponse
from destinations.http.envelope import retry_after
from destinations.http.json_bytes import decode_json, encode_json
from destinations.runtime.account_identity import normalised
from destinations.segment.event import read_json
from destinations.segment.fql import check_fql, compile_fql
from destinations.segment.mapping import compile_mapping
from destinations.segment.mapping.roots import reads
from destinations.segment.validation import compile_schema

MEMORY = 1 << 30
SECONDS = 10


def nested(levels: int, leaf: Any = 1, key: str | None = "a") -> Any:
    """``leaf`` in so many objects, or arrays if there is no key."""
    for _ in range(levels):
        leaf = [leaf] if key is None else {key: leaf}
    return leaf


def wrapped(levels: int, node: Any, wrap: Callable[[Any], Any]) -> Any:
    """``node`` in so many directives."""
    for _ in range(levels):
        node = wrap(node)
    return node


def resolve(node: Any, event: Any) -> Callable[[], Any]:
    """Compiles a mapping with one value and resolves it."""
    return lambda: compile_mapping({"x": node}).resolve(event)


def liquid(template: str, **event: Any) -> Callable[[], Any]:
    """Renders a template."""
    return resolve({"@liquid": template}, event)


def check(schema: Any, value: Any) -> Callable[[], Any]:
    """Checks the field ``a`` of a payload."""
    compiled = {"type": "object", "properties": {"a": schema}}
    return lambda: [str(error) for error in compile_schema(compiled).check({"a": value}).errors]


def fql(text: str) -> Callable[[], Any]:
    """Checks and compiles a subscription, and matches it."""
    return lambda: (check_fql(text), compile_fql(text).matches({"properties": {}}))


P = {"@path": "$.p"}
LONG = "x" * 16_000
DOTS = ".".join("a" * 15_000)
TEXT_FIELD = {"type": "string"}


def _encode(node: Any) -> Any:
    return {"@json": {"mode": "encode", "value": node}}


def _double(node: Any) -> Any:
    return {"@transform": {"apply": {"p": [P, P]}, "mapping": node}}


def _wide(levels: int) -> Any:
    return nested(levels, {str(at): 1 for at in range(3000)}, "k" * 80)


CASES: dict[str, Callable[[], Any]] = {
    "mapping of 100,000 objects": lambda: compile_mapping(nested(100_000)),
    "mapping of 100,000 arrays": lambda: compile_mapping({"a": nested(100_000, key=None)}),
    "path from an event": resolve({"@path": P}, {"p": DOTS}),
    "path in a triple placeholder": resolve({"@template": "{{{p}}}"}, {"p": "{{" + DOTS + "}}"}),
    "triple placeholders": resolve(
        {"@template": "{{{p}}}" * 1000}, {"p": "{{q}}" * 3200, "q": LONG}
    ),
    "many placeholders": resolve({"@template": "{{p}}" * 20_000}, {"p": LONG}),
    "many templates": lambda: compile_mapping(
        {str(at): {"@template": "{{p}}" * 8} for at in range(5000)}
    ).resolve({"p": LONG}),
    "replace with all before": resolve(
        {"@replace": {"pattern": "x", "replacement": "$`$`$`$`$`", "value": P}}, {"p": LONG}
    ),
    "json in json": resolve(wrapped(40, P, _encode), {"p": '"'}),
    "json of 100,000 levels": resolve(
        {"@json": {"mode": "decode", "value": P}}, {"p": "[" * 100_000 + "]" * 100_000}
    ),
    "doubling transforms": resolve(wrapped(20, P, _double), {"p": 1}),
    "array in array": resolve(
        {"@arrayPath": ["$.p", {str(at): {"@path": "$.a"} for at in range(2000)}]},
        {"p": [{}] * 2000},
    ),
    "flatten deep and wide": resolve(
        {"@flatten": {"separator": ".", "value": P}}, {"p": _wide(100)}
    ),
    "merge of texts": resolve(
        {"@merge": {"direction": "left", "objects": [P] * 10_000}}, {"p": LONG}
    ),
    "liquid list in itself": liquid("{%assign p=p|push:p%}" * 45 + "{{p}}", p=LONG),
    "liquid range": liquid("{{ (1..1000000000) | join }}"),
    "liquid append": liquid("{%assign p=p|append:p%}" * 40, p=LONG),
    "liquid capture": liquid("{%capture p%}{{p}}{{p}}{%endcapture%}" * 25, p=LONG),
    "liquid for": liquid("{% for i in (1..999999999) %}x{% endfor %}"),
    "liquid date": liquid("{{ 0 | date: '%1000000000d' }}"),
    "number of digits and a letter": check({"type": "number"}, "9" * 32_000 + "x"),
    "multiple of with a huge integer": check({"type": "number", "multipleOf": 3}, 10**400),
    "pattern that backtracks": check({**TEXT_FIELD, "pattern": "^(a+)+$"}, "a" * 32_000 + "!"),
    "look-ahead that backtracks": check(
        {**TEXT_FIELD, "pattern": "^(?=(a|aa)+$)(a|aa)+$"}, "a" * 32_000 + "!"
    ),
    "email": check({**TEXT_FIELD, "format": "email"}, "a." * 8000 + "a@" + "a-" * 8000),
    "uri": check({**TEXT_FIELD, "format": "uri"}, "http://" + "a:@%41" * 5000 + " "),
    "url": check({**TEXT_FIELD, "format": "url"}, "http://" + "a-@" * 8000 + " x"),
    "url of labels": check({**TEXT_FIELD, "format": "url"}, "http://" + "a-b." * 8000 + "!"),
    "date": check({**TEXT_FIELD, "format": "date-like"}, "2020" + "1" * 32_000 + "x"),
    "uri template": check({**TEXT_FIELD, "format": "uri-template"}, "{a,b}" * 6000 + "{"),
    "regex": check({**TEXT_FIELD, "format": "regex"}, "(" * 32_000),
    "base64": check({**TEXT_FIELD, "format": "byte"}, "abcd" * 8000 + "!"),
    "payload of 900 levels": check({"contains": TEXT_FIELD}, [nested(900)]),
    "fql of 100,000 clauses": fql(" and ".join(['properties.a = "x"'] * 100_000)),
    "fql of 5,000 clauses": fql(" and ".join(['properties.a = "x"'] * 5000)),
    "fql of 100,000 parentheses": fql("(" * 100_000),
    "fql of dots": fql("properties" + ".a" * 90_000 + " = 1"),
    "fql match of stars": fql(f'match(event, "{"*a" * 30_000}")'),
    "yaml aliases": lambda: read_document(
        "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*a, *a]\n" for c in "bcdef"), "f"
    ),
    "yaml of 100,000 arrays": lambda: read_document("[" * 100_000, "f"),
    "yaml of 100,000 objects": lambda: read_document('{"a":' * 100_000, "f"),
    "yaml of 10 MB": lambda: read_document("a: 1\n" * 2_000_000, "f"),
    "yaml number": lambda: read_document("a: 1" + ":1" * 30_000, "f"),
    "event of 100,000 arrays": lambda: read_json(b"[" * 100_000, limit=1_000_000),
    "event of 16,000 arrays in arrays": lambda: read_json(b"[" * 16_000 + b"]" * 16_000),
    "event of 6,000 equal keys": lambda: read_json(b"{" + b'"":1,' * 6_000 + b'"":1}'),
    "event with a long number": lambda: read_json(b"9" * 30_000),
    "graphql of 100,000 levels": lambda: list(check_operation("{" + "a{" * 100_000, {})),
    "body of 5,000 levels": lambda: encode_json(nested(5000)),
    "body with a long number": lambda: encode_json({"a": 10**5000}),
    "payload of 900 levels as bytes": lambda: len(
        encode_json(decode_json(encode_json(nested(900))))
    ),
    "mapping of 90 levels that reads": lambda: reads(nested(90, {"@path": "$.event"}), "event"),
    "address of 30,000 dots": lambda: len(normalised("http://" + "a." * 15_000 + "/")),
    "year of Retry-After": lambda: retry_after(
        HttpResponse(429, {"retry-after": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"}, b"")
    ),
    "zone of Retry-After": lambda: retry_after(
        HttpResponse(429, {"retry-after": "Mon, 01 Jan 2020 00:00:00 +99999999999999"}, b"")
    ),
}


def main(names: list[str]) -> None:
    """Runs the cases with these names."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    for name in names:
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS, hard)
        )
        sys.stdout.write(f"start {name}\n")
        sys.stdout.flush()
        try:
            result = repr(CASES[name]())
        except DestinationsError as error:
            result = f"{type(error).__name__}: {error}"
        sys.stdout.write(f"done {json.dumps([name, result[:3000]])}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
