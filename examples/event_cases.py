"""The special cases of the example events, as tables: a value and its expected outcome.

The rules are those of Segment's specification and of the Kana actions ``identify`` and ``track``.
Everything is written down by hand here; nothing is computed with the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

__all__ = [
    "ABSENT",
    "BLANK_LINES",
    "BROKEN_LINES",
    "CARRIED_HALVES",
    "CONSUMABLE",
    "DELTAS",
    "EVENT_FAULTS",
    "FEATURE_IDS",
    "INTEGRATIONS",
    "ODD_USERS",
    "REPEATS",
    "SPACED_LINES",
    "TRAITS",
]

ABSENT: Final = object()  # as a value in a table: the key is left out

# Features of the sandbox's example account, with an event name that goes with each.
CONSUMABLE: Final[Mapping[str, str]] = {
    "api-calls": "API Called",
    "storage-gb": "File Uploaded",
    "seats": "Member Invited",
    "exports": "Report Exported",
}

# properties.delta, and the amount that is recorded; None: no integer of 32 bits, so invalid. What
# is there has to be one, or its digits: null and true do not mean 1.
DELTAS: Final[tuple[tuple[object, int | None], ...]] = (
    (ABSENT, 1),
    (None, None),
    ("", None),
    (" ", None),
    (0, 0),
    (-1, -1),
    (-25, -25),
    (3.0, 3),
    (-2.0, -2),
    ("3", 3),
    ("-4", -4),
    (" +5\t", 5),
    ("3.0", None),
    ("0x10", None),
    (True, None),
    (False, None),
    (1_000_000, 1_000_000),
    (1.5, None),
    (-0.25, None),
    ("1.5", None),
    ("abc", None),
    ("true", None),
    (2_147_483_648, None),
    (-2_147_483_649, None),
    (1e300, None),
    ("2147483648", None),
    ({"amount": 1}, None),
    ([1, 2], None),
)

# properties.featureId, and the reason why the event is not delivered.
FEATURE_IDS: Final[tuple[tuple[object, str], ...]] = (
    (ABSENT, "no_feature"),
    (None, "no_feature"),
    ("", "no_feature"),
    ("teleport", "unknown_feature"),
    ("API-Calls", "unknown_feature"),
    ("größe", "unknown_feature"),
    (42, "unknown_feature"),
    (4.0, "unknown_feature"),
    (True, "payload"),
    ("undefined", "payload"),
    (" api-calls", "payload"),
    ({"id": "api-calls"}, "payload"),
    (["api-calls", "seats"], "payload"),
)

# traits of an identify, and the fields of the user that they set; None: invalid. Numbers become
# text the way JavaScript prints them, but whole ones keep their digits.
TRAITS: Final[tuple[tuple[object, Mapping[str, str] | None], ...]] = (
    (ABSENT, {}),
    ({}, {}),
    ({"plan": "enterprise", "age": 41, "address": {"city": "Zürich"}}, {}),
    ({"name": None, "email": None, "billingUserId": None}, {}),
    ({"name": "", "email": "", "billingUserId": ""}, {}),
    ({"name": " ", "email": "null", "billingUserId": "Undefined"}, {}),
    ({"billingUserId": "\t", "billingId": "cus_example_e"}, {"billingId": "cus_example_e"}),
    ({"name": 42}, {"name": "42"}),
    ({"name": 12.0}, {"name": "12"}),
    ({"name": 1.5}, {"name": "1.5"}),
    ({"name": 1e21}, {"name": "1e+21"}),
    ({"name": 9_007_199_254_740_993}, {"name": "9007199254740993"}),
    ({"name": True}, {"name": "true"}),
    ({"name": False}, {"name": "false"}),
    ({"name": 0}, {"name": "0"}),
    ({"name": " spaces kept "}, {"name": " spaces kept "}),
    ({"name": 'quote " slash \\ {{name}} $& <b>'}, {"name": 'quote " slash \\ {{name}} $& <b>'}),
    ({"name": "line\nbreak\ttab"}, {"name": "line\nbreak\ttab"}),
    # separators that only some readers take for the end of a line
    ({"name": "sep\u2028arat\u0085ed"}, {"name": "sep\u2028arat\u0085ed"}),
    ({"name": "Grüße 用户 😀 e\u0301"}, {"name": "Grüße 用户 😀 e\u0301"}),
    ({"name": "مستخدم"}, {"name": "مستخدم"}),
    ({"billingUserId": 1234567}, {"billingId": "1234567"}),
    ({"billingId": "cus_example_old"}, {"billingId": "cus_example_old"}),
    ({"billingUserId": "cus_example_a", "billingId": "cus_b"}, {"billingId": "cus_example_a"}),
    ({"billingUserId": None, "billingId": "cus_example_c"}, {"billingId": "cus_example_c"}),
    ({"name": {"first": "Example"}}, None),
    ({"name": ["Example", "User"]}, None),
    ({"email": {"address": "object@example.com"}}, None),
    ({"billingUserId": {"id": "cus_example_d"}}, None),
)

# Users of the example file besides user_NNNN: an id is any text of the caller's choosing.
ODD_USERS: Final = (
    "ünï-cødé",
    "用户-0001",
    "😀",
    "with space",
    'quote"and\\slash',
    "constructor",
    "0042",
    "0",
    "nullify",
)

# The event's integrations object, and whether it lets the event through to Kana.
INTEGRATIONS: Final[tuple[tuple[object, bool], ...]] = (
    (ABSENT, True),
    ({}, True),
    ({"All": True}, True),
    ({"Kana": True}, True),
    ({"Kana": {"option": 1}}, True),
    ({"Kana": {}}, True),
    ({"All": False, "Kana": True}, True),
    ({"All": False, "Kana": {"option": 1}}, True),
    ({"Salesforce": False}, True),
    ({"kana": False}, True),
    ({"All": False}, False),
    ({"Kana": False}, False),
    ({"All": True, "Kana": False}, False),
    ({"All": False, "kana": True}, False),
    ({"All": False, "Salesforce": True}, False),
)

# A good call, what is changed in it, and the reason why the row is not delivered then.
EVENT_FAULTS: Final[tuple[tuple[str, Mapping[str, object], str], ...]] = (
    ("track", {"type": ABSENT}, "type_invalid"),
    ("track", {"type": None}, "type_invalid"),
    ("track", {"type": 7}, "type_invalid"),
    ("track", {"type": "Track"}, "type_invalid"),
    ("page", {"type": "pageview"}, "type_invalid"),
    ("track", {"userId": 1234}, "id_not_string"),
    ("identify", {"userId": 1234}, "id_not_string"),
    ("identify", {"userId": {"id": "user_0001"}}, "id_not_string"),
    ("track", {"userId": ["user_0001"]}, "id_not_string"),
    ("track", {"userId": True}, "id_not_string"),
    ("track", {"anonymousId": 99}, "id_not_string"),
    ("track", {"userId": ABSENT, "anonymousId": ABSENT}, "no_user_anon_id"),
    ("identify", {"userId": ABSENT, "anonymousId": ABSENT}, "no_user_anon_id"),
    ("page", {"userId": ABSENT, "anonymousId": ABSENT}, "no_user_anon_id"),
    ("track", {"event": ABSENT}, "event_not_defined"),
    ("track", {"event": 404}, "event_not_string"),
    ("track", {"event": {"name": "API Called"}}, "event_not_string"),
    ("track", {"properties": "api-calls"}, "properties_not_object"),
    ("track", {"properties": ["api-calls"]}, "properties_not_object"),
    ("page", {"properties": 1}, "properties_not_object"),
    ("identify", {"traits": "Example User"}, "traits_not_object"),
    ("identify", {"traits": [{"name": "Example User"}]}, "traits_not_object"),
    ("group", {"traits": "Example Company"}, "traits_not_object"),
    ("track", {"messageId": 5}, "id_not_string"),
    ("identify", {"messageId": {"id": 5}}, "id_not_string"),
    ("track", {"messageId": "m" * 101}, "message_id_too_long"),
    ("group", {"groupId": ABSENT}, "group_id_not_defined"),
    ("alias", {"previousId": ABSENT}, "alias_ids_not_defined"),
    # the checks of the event come before the integrations object, and that before the missing user
    ("track", {"event": ABSENT, "integrations": {"All": False}}, "event_not_defined"),
    (
        "page",
        {"userId": ABSENT, "anonymousId": "a1", "integrations": {"All": False}},
        "integrations",
    ),
    ("track", {"userId": ABSENT, "anonymousId": "a2", "properties": {}}, "user_id_missing"),
    ("page", {"userId": None, "anonymousId": "a3"}, "user_id_missing"),
    ("group", {"userId": ABSENT, "anonymousId": "a4"}, "user_id_missing"),
    ("track", {"userId": "undefined"}, "user_id_placeholder"),
    ("identify", {"userId": "NULL"}, "user_id_placeholder"),
    ("track", {"userId": "true"}, "user_id_placeholder"),
    ("identify", {"userId": "[object Object]"}, "user_id_placeholder"),
    ("track", {"userId": "  "}, "user_id_placeholder"),
    ("identify", {"userId": " user_0001"}, "user_id_placeholder"),
    ("page", {"userId": "NaN"}, "user_id_placeholder"),
)

# A messageId is used again, and how often: the reason that befell its first event (None: it was
# delivered), and the reason for the second. That is the same event if it is a duplicate, else
# another one, which is delivered (None) if it corrects one that certainly had no effect.
REPEATS: Final[tuple[tuple[str | None, str | None, int], ...]] = (
    (None, "duplicate", 7),
    (None, "conflict", 7),
    ("not_subscribed", "duplicate", 2),
    ("not_subscribed", None, 2),
    # another one would be a correction or a conflict, as the partner has refused the first by then
    ("unknown_feature", "duplicate", 2),
    ("no_feature", "duplicate", 1),
    ("no_feature", None, 1),
    ("payload", "duplicate", 1),
    ("payload", None, 1),
    ("event_not_defined", None, 1),
    ("properties_not_object", None, 1),
    ("integrations", None, 2),
    ("user_id_missing", None, 2),
)

BLANK_LINES: Final = (b"", b"", b"", b"", b" ", b"    ", b"\t", b"\r", b" \t \r", b"", b"", b"")

# Space around an event that JSON allows.
SPACED_LINES: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda line: line + b"\r",
    lambda line: b"  " + line,
    lambda line: b"\t" + line + b"  ",
)


def _with(member: bytes) -> Callable[[bytes], bytes]:
    """Append a member to the object on the line."""
    return lambda line: line[:-1] + b"," + member + b"}"


def _in_id(key: bytes, text: bytes) -> Callable[[bytes], bytes]:
    """Put text in front of an id."""
    member = re.compile(b'("' + key + b'": ?")')
    return lambda line: member.sub(lambda found: found[1] + text, line)


# The line of a good event (in ASCII), turned into a line that yields no event, and why it does not.
BROKEN_LINES: Final[tuple[tuple[Callable[[bytes], bytes], str], ...]] = (
    (lambda line: line[: len(line) // 2], "not_json"),
    (lambda line: line[:-1], "not_json"),
    (lambda line: line[:-1] + b",}", "not_json"),
    (lambda line: line + line, "not_json"),
    (lambda line: b"event: " + line, "not_json"),
    (lambda line: line.replace(b'"', b"'"), "not_json"),
    (lambda _: b"<html><body>502 Bad Gateway</body></html>", "not_json"),
    (lambda _: b"undefined", "not_json"),
    (_with(b'"note":"a raw\ttab"'), "not_json"),
    (_with(b'"note":"bad \\x escape"'), "not_json"),
    (_with(b'"note":01'), "not_json"),
    (lambda line: b"[" + line + b"]", "not_object"),
    (lambda _: b"[]", "not_object"),
    (lambda _: b"null", "not_object"),
    (lambda _: b"42", "not_object"),
    (lambda _: b'"track"', "not_object"),
    (_with(b'"type":"track"'), "duplicate_key"),
    (_with(b'"note":{"a":1,"b":[{"c":1,"c":2}]}'), "duplicate_key"),
    (_with(b'"\\u0074ype":"page"'), "duplicate_key"),
    (_with(b'"note":NaN'), "not_finite"),
    (_with(b'"note":[Infinity]'), "not_finite"),
    (_with(b'"note":-Infinity'), "not_finite"),
    (_with(b'"note":1e999'), "not_finite"),
    (_with(b'"note":{"deep":-1e999}'), "not_finite"),
    # infinite only through digits and exponent together
    (_with(b'"note":' + b"9" * 250 + b"e99"), "not_finite"),
    (_with(b'"note":"\xff"'), "not_utf8"),
    (_with(b'"note":"caf\xe9"'), "not_utf8"),
    (_in_id(b"userId", b"\\ud83d"), "lone_surrogate"),
    (_in_id(b"userId", b"\xed\xa0\xbd"), "lone_surrogate"),
    (_in_id(b"messageId", b"\\ude00\\ud83d"), "lone_surrogate"),
)

# The same, turned into the line of a good event that carries half a character somewhere.
CARRIED_HALVES: Final[tuple[Callable[[bytes], bytes], ...]] = (
    _with(b'"note":"\xed\xa0\x80"'),
    _with(b'"note":"\\ud800"'),
    _with(b'"note":"\\ude00\\ud83d"'),
    _with(b'"\\udfff":1'),
)
