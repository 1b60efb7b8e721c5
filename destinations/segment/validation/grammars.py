"""The grammars of formats as regular expressions, for matching whole texts without regard to case.

They are those of the RFCs named at each, in the reading of ajv-formats.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BASE64",
    "DURATION",
    "EMAIL",
    "FRAGMENT_POINTER",
    "HOST_NAME",
    "IPV4",
    "IPV6",
    "POINTER",
    "RELATIVE_POINTER",
    "URI",
    "URI_REFERENCE",
    "URI_TEMPLATE",
    "UUID",
]

# RFC 5321 and 5322 without quoted local parts; the domain needs a dot.
_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
EMAIL: Final = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}"

# RFC 1123
_HOST_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME: Final = rf"(?=.{{1,253}}\.?\Z){_HOST_LABEL}(?:\.{_HOST_LABEL})*\.?"

# RFC 4291. Within a URI, ajv lets the octets of IPv4 have leading zeros.
_LAX_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|[01]?\d?\d)"
IPV4: Final = rf"{_LAX_OCTET}(?:\.{_LAX_OCTET}){{3}}"
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_GROUP: Final = "[0-9a-f]{1,4}"


def _ipv6(ipv4: str) -> str:
    """Build the pattern of eight groups; ``::`` may stand for some, IPv4 for the last two."""
    last = rf"(?:{_GROUP}:{_GROUP}|{ipv4})"
    forms = [rf"(?:{_GROUP}:){{6}}{last}", rf"::(?:{_GROUP}:){{5}}{last}"]
    for after in range(4, -1, -1):
        before = rf"(?:(?:{_GROUP}:){{0,{4 - after}}}{_GROUP})?"
        forms.append(rf"{before}::(?:{_GROUP}:){{{after}}}{last}")
    forms += [
        rf"(?:(?:{_GROUP}:){{0,5}}{_GROUP})?::{_GROUP}",
        rf"(?:(?:{_GROUP}:){{0,6}}{_GROUP})?::",
    ]
    return f"(?:{'|'.join(forms)})"


IPV6: Final = _ipv6(rf"{_OCTET}(?:\.{_OCTET}){{3}}")

# RFC 3986
_ESCAPE: Final = "%[0-9a-f]{2}"
_UNRESERVED: Final = r"a-z0-9\-._~"
_DELIMITERS: Final = "!$&'()*+,;="
_USER: Final = rf"(?:(?:[{_UNRESERVED}{_DELIMITERS}:]|{_ESCAPE})*@)?"
_FUTURE: Final = rf"v[0-9a-f]+\.[{_UNRESERVED}{_DELIMITERS}:]+"
_LITERAL: Final = rf"\[(?:{_ipv6(IPV4)}|{_FUTURE})\]"
_SCHEME: Final = r"[a-z][a-z0-9+\-.]*:"


def _reference(more: str) -> tuple[str, str]:
    """Return a pattern of hierarchy, query and fragment; ``more`` may stand in names."""
    name = rf"(?:[{_UNRESERVED}{_DELIMITERS}{more}]|{_ESCAPE})*"
    char = rf"(?:[{_UNRESERVED}{_DELIMITERS}{more}:@]|{_ESCAPE})"
    rootless = rf"{char}+(?:/{char}*)*"
    authority = rf"{_USER}(?:{_LITERAL}|{name})(?::\d*)?"
    hierarchy = rf"(?:/?/{authority}(?:/{char}*)*|/(?:{rootless})?|{rootless})"
    return hierarchy, rf"(?:\?(?:{char}|[/?])*)?(?:\#(?:{char}|[/?])*)?"


_HIERARCHY, _TAIL = _reference("")
URI: Final = rf"{_SCHEME}{_HIERARCHY}{_TAIL}"
# ajv lets double quotes stand in references, but not in URIs.
_LAX_HIERARCHY, _LAX_TAIL = _reference('"')
URI_REFERENCE: Final = rf"(?:{_SCHEME})?{_LAX_HIERARCHY}?{_LAX_TAIL}"

# RFC 6570
_VARIABLE: Final = rf"(?:[a-z0-9_]|{_ESCAPE})+(?::[1-9]\d{{0,3}}|\*)?"
_EXPRESSION: Final = rf"\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}}"
URI_TEMPLATE: Final = rf"(?:[^\x00-\x20\"'<>%\\^`{{|}}]|{_ESCAPE}|{_EXPRESSION})*"

UUID: Final = "(?:urn:uuid:)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # RFC 4122
POINTER: Final = "(?:/(?:[^~/]|~[01])*)*"  # RFC 6901
FRAGMENT_POINTER: Final = rf"\#(?:/(?:[a-z0-9_\-.!$&'()*+,;:=@]|{_ESCAPE}|~[01])*)*"
RELATIVE_POINTER: Final = rf"(?:0|[1-9][0-9]*)(?:\#|{POINTER})"
BASE64: Final = "(?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}==|[a-z0-9+/]{3}=)?"
DURATION: Final = (  # RFC 3339, appendix A
    r"P(?!\Z)(?:(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?|(?:\d+W)?)"
)
