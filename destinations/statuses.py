"""Name the HTTP statuses, by one table for every version of Python.

The names in Python's ``http.HTTPStatus`` change with the version: 422 is ``UNPROCESSABLE_ENTITY``
until 3.12, and ``UNPROCESSABLE_CONTENT`` from 3.13 on. Ledgers keep these codes, and alerts and
``--code`` search for them, so they must not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = [
    "BODY_INCOMPLETE",
    "CODES",
    "FEEDS_NOTHING",
    "FINAL_REFUSALS",
    "PHRASES",
    "SENDER_GONE",
    "UNKNOWN_CODE",
]

UNKNOWN_CODE: Final = "UNKNOWN_ERROR"
"""The code of any status that is not in the table."""

# 306, 499, 509 and 529 are not in the registry of HTTP, but partners and the proxies before them
# answer with them, and their names are Segment's. Segment calls four others differently (301
# MOVED_PERMENANTLY, 413 PAYLOAD_TOO_LARGE, 414 URI_TOO_LONG, 416 RANGE_NOT_SATISFIABLE), but
# ledgers already hold the codes that follow from the phrases below.
PHRASES: Final[Mapping[int, str]] = MappingProxyType(
    {
        100: "Continue",
        101: "Switching Protocols",
        102: "Processing",
        103: "Early Hints",
        200: "OK",
        201: "Created",
        202: "Accepted",
        203: "Non-Authoritative Information",
        204: "No Content",
        205: "Reset Content",
        206: "Partial Content",
        207: "Multi-Status",
        208: "Already Reported",
        226: "IM Used",
        300: "Multiple Choices",
        301: "Moved Permanently",
        302: "Found",
        303: "See Other",
        304: "Not Modified",
        305: "Use Proxy",
        306: "Switch Proxy",
        307: "Temporary Redirect",
        308: "Permanent Redirect",
        400: "Bad Request",
        401: "Unauthorized",
        402: "Payment Required",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        406: "Not Acceptable",
        407: "Proxy Authentication Required",
        408: "Request Timeout",
        409: "Conflict",
        410: "Gone",
        411: "Length Required",
        412: "Precondition Failed",
        413: "Request Entity Too Large",
        414: "Request-URI Too Long",
        415: "Unsupported Media Type",
        416: "Requested Range Not Satisfiable",
        417: "Expectation Failed",
        418: "I'm a Teapot",
        421: "Misdirected Request",
        422: "Unprocessable Entity",
        423: "Locked",
        424: "Failed Dependency",
        425: "Too Early",
        426: "Upgrade Required",
        428: "Precondition Required",
        429: "Too Many Requests",
        431: "Request Header Fields Too Large",
        451: "Unavailable For Legal Reasons",
        499: "Cancelled",
        500: "Internal Server Error",
        501: "Not Implemented",
        502: "Bad Gateway",
        503: "Service Unavailable",
        504: "Gateway Timeout",
        505: "HTTP Version Not Supported",
        506: "Variant Also Negotiates",
        507: "Insufficient Storage",
        508: "Loop Detected",
        509: "Bandwidth Limit Exceeded",
        510: "Not Extended",
        511: "Network Authentication Required",
        529: "Site Is Overloaded",
    }
)
"""The reason phrase of each status, such as ``Bad Request`` of 400."""

_TO_CODE: Final = str.maketrans({" ": "_", "-": "_", "'": None})

CODES: Final[Mapping[int, str]] = MappingProxyType(
    {status: phrase.translate(_TO_CODE).upper() for status, phrase in PHRASES.items()}
)
"""The code of each status, such as ``BAD_REQUEST`` of 400: its phrase in capitals."""

SENDER_GONE: Final = 499
"""The status of a request whose sender went away before its end, as in the logs of nginx.

HTTP does not register it. A client that still reads takes it for a 400 (RFC 9110, 15).
"""

BODY_INCOMPLETE: Final = "BODY_INCOMPLETE"
"""The code of such a request, if its body did not end."""

FEEDS_NOTHING: Final = "NO_DESTINATION"
"""The code of an event of a source that feeds no destination."""

FINAL_REFUSALS: Final = frozenset({400, 409, 413, 415, SENDER_GONE, 501})
"""The statuses of a receiver after which an event may not come again: what is not kept is lost."""
