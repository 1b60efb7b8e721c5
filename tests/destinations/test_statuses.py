"""Codes made of HTTP statuses are the same in every version of Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from destinations.errors import error_code
from destinations.statuses import CODES, PHRASES, UNKNOWN_CODE

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ("destinations", "kana_destination", "definitions")

# What ledgers hold and alerts look for: a code here never changes.
WHOLE_TABLE = {
    100: "CONTINUE",
    101: "SWITCHING_PROTOCOLS",
    102: "PROCESSING",
    103: "EARLY_HINTS",
    200: "OK",
    201: "CREATED",
    202: "ACCEPTED",
    203: "NON_AUTHORITATIVE_INFORMATION",
    204: "NO_CONTENT",
    205: "RESET_CONTENT",
    206: "PARTIAL_CONTENT",
    207: "MULTI_STATUS",
    208: "ALREADY_REPORTED",
    226: "IM_USED",
    300: "MULTIPLE_CHOICES",
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    304: "NOT_MODIFIED",
    305: "USE_PROXY",
    306: "SWITCH_PROXY",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    407: "PROXY_AUTHENTICATION_REQUIRED",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    410: "GONE",
    411: "LENGTH_REQUIRED",
    412: "PRECONDITION_FAILED",
    413: "REQUEST_ENTITY_TOO_LARGE",
    414: "REQUEST_URI_TOO_LONG",
    415: "UNSUPPORTED_MEDIA_TYPE",
    416: "REQUESTED_RANGE_NOT_SATISFIABLE",
    417: "EXPECTATION_FAILED",
    418: "IM_A_TEAPOT",
    421: "MISDIRECTED_REQUEST",
    422: "UNPROCESSABLE_ENTITY",
    423: "LOCKED",
    424: "FAILED_DEPENDENCY",
    425: "TOO_EARLY",
    426: "UPGRADE_REQUIRED",
    428: "PRECONDITION_REQUIRED",
    429: "TOO_MANY_REQUESTS",
    431: "REQUEST_HEADER_FIELDS_TOO_LARGE",
    451: "UNAVAILABLE_FOR_LEGAL_REASONS",
    499: "CANCELLED",
    500: "INTERNAL_SERVER_ERROR",
    501: "NOT_IMPLEMENTED",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
    505: "HTTP_VERSION_NOT_SUPPORTED",
    506: "VARIANT_ALSO_NEGOTIATES",
    507: "INSUFFICIENT_STORAGE",
    508: "LOOP_DETECTED",
    509: "BANDWIDTH_LIMIT_EXCEEDED",
    510: "NOT_EXTENDED",
    511: "NETWORK_AUTHENTICATION_REQUIRED",
    529: "SITE_IS_OVERLOADED",
}

# The interpreter's names of statuses, wherever they can be had.
NAMES_OF_PYTHON = {"HTTPStatus", "responses", "phrase"}


def test_the_whole_table() -> None:
    """Every status has the code that ledgers already hold for it."""
    assert dict(CODES) == WHOLE_TABLE
    assert PHRASES.keys() == WHOLE_TABLE.keys()


def test_every_status_has_a_code() -> None:
    """What is not in the table is unknown, whatever the interpreter calls it."""
    for status in range(600):
        assert error_code(status) == WHOLE_TABLE.get(status, UNKNOWN_CODE), status


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"),
        (203, "Non-Authoritative Information"),
        (418, "I'm a Teapot"),
        (505, "HTTP Version Not Supported"),
    ],
)
def test_phrases(status: int, phrase: str) -> None:
    """A phrase is written as people read it."""
    assert PHRASES[status] == phrase


def _names_of_python(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that take names of statuses from the standard library."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"http", "http.client"}:
            if NAMES_OF_PYTHON & {alias.name for alias in node.names}:
                yield node.lineno
        elif isinstance(node, ast.Attribute) and node.attr in NAMES_OF_PYTHON:
            yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        "from http import HTTPStatus",
        "from http.client import responses",
        "import http\nhttp.HTTPStatus(400).name",
        "import http.client\nhttp.client.responses[400]",
        "status.phrase",
    ],
)
def test_what_counts_as_a_name_of_python(source: str) -> None:
    """The search below finds each way."""
    assert list(_names_of_python(ast.parse(source)))


def test_nothing_takes_names_from_python() -> None:
    """No shipped module asks the interpreter what a status is called."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in SHIPPED
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in _names_of_python(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
