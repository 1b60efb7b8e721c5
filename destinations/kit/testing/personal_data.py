"""Find what looks like personal data in a case: names, emails, phones, addresses, IDs, tokens."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from destinations.kit.testing.case import ABSENT, Case, RecordedRequest, RecordedResponse

__all__ = [
    "EMAIL",
    "PersonalKind",
    "counted",
    "is_id_key",
    "is_reserved",
    "is_worth_hiding",
    "personal_values",
]

PersonalKind = Literal["name", "email", "phone", "address", "IP address", "ID", "token"]

EMAIL: Final = re.compile(r"\w[\w.+'-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")

# Domains that no one can own, so an email there belongs to no one: RFC 2606 and RFC 6761.
_RESERVED: Final = re.compile(
    r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)$", re.IGNORECASE
)

_NAMES: Final = frozenset(
    (
        "name",
        "firstname",
        "lastname",
        "fullname",
        "displayname",
        "realname",
        "username",
        "nickname",
        "screenname",
        "givenname",
        "familyname",
        "middlename",
        "surname",
        "login",
    )
)
_PHONES: Final = ("phone", "phonenumber", "mobile", "mobilenumber", "telephone")
_PLACES: Final = frozenset(
    (
        "street",
        "address",
        "postalcode",
        "postcode",
        "zip",
        "zipcode",
        "city",
    )
)
_IDS_OF_PERSONS: Final = frozenset(
    (
        "userid",
        "anonymousid",
        "previousid",
        "customerid",
        "contactid",
        "profileid",
        "personid",
        "memberid",
        "subscriberid",
        "leadid",
        "externalid",
        "deviceid",
        "advertisingid",
    )
)
# Objects under these keys are persons, as are objects with a key that only a person has.
_PERSONS: Final = frozenset(
    (
        "user",
        "users",
        "customer",
        "customers",
        "contact",
        "contacts",
        "person",
        "people",
        "profile",
        "profiles",
        "member",
        "members",
        "lead",
        "leads",
        "subscriber",
        "subscribers",
        "recipient",
        "recipients",
        "traits",
    )
)
_IDS_OF_EVENTS: Final = ("userId", "anonymousId", "previousId", "groupId", "messageId")
_ID_ENDING: Final = re.compile(r"^(?:id|ID)$|(?:[_-](?:id|ID)|[a-z0-9](?:Id|ID))s?$")
# With the code of a country, a phone number is one under any key.
_PHONE: Final = re.compile(r"\+[1-9][\d ().-]{7,18}\d")
_SECRETS: Final = ("token", "secret", "password", "apikey", "accesskey", "authorization")
# Tokens say by their beginning what they are: JSON Web Tokens, and keys of well-known services.
_MARKED_TOKEN: Final = re.compile(
    r"\b(?:eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|[a-z]{2,4}_(?:live|test)_\w{8,}|gh[pousr]_\w{20,}"
    r"|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}\b)"
)
_LONG_TOKEN: Final = re.compile(r"(?=.*\d)(?:(?=.*[a-z])(?=.*[A-Z])[\w+=-]{32,}|[0-9a-f]{32,})")
_SHORTEST_SECRET: Final = 8
_SHORTEST_CODE: Final = 4  # a shorter text in an address is a code, of a country or a state


def personal_values(case: Case) -> dict[str, PersonalKind]:
    """Return the values that look personal, as text, each with its kind, as they occur.

    In events those are the IDs, the traits and the IP address; in all objects of a person (in
    events, requests and answers) the names, phones, addresses and IDs; everywhere the emails,
    phones with the code of a country, public IP addresses, and tokens; and the users whose usage
    is kept or asked for.
    """
    found: dict[str, PersonalKind] = {}
    for event in case.events:
        if isinstance(event, str):
            _emails(event, found)
            continue
        for key in _IDS_OF_EVENTS:
            _add(event.get(key), "ID", found)
        context = event.get("context")
        if isinstance(context, Mapping):
            _add(context.get("ip"), "IP address", found)
            device = context.get("device")
            _search(device, found, person=isinstance(device, Mapping))
        _search(event, found)
    for item in case.interactions:
        for message in (item.request, item.result):
            if isinstance(message, RecordedRequest | RecordedResponse):
                _search(None if message.json is ABSENT else message.json, found)
                _emails(message.body or "", found)
    kept = [row.usage.user for row in case.expected if row.usage is not None]
    for user in (*kept, *(one.user for one in case.usage)):
        _add(user, "ID", found)
    return {text: kind for text, kind in found.items() if not _is_derived(text, kind, found)}


def _is_derived(text: str, kind: PersonalKind, found: Mapping[str, PersonalKind]) -> bool:
    """Return whether an ID begins with another value, such as the ID of a left-over of a merge.

    It follows from the stand-in of that value.
    """
    return kind == "ID" and any(
        len(other) >= _SHORTEST_CODE
        and text.startswith(other)
        and not text[len(other) :][:1].isalnum()
        for other in found
        if other != text
    )


def is_worth_hiding(text: str, kind: PersonalKind) -> bool:
    """Return whether a value may belong to somebody: not one that is reserved for examples."""
    if kind == "email":
        return not is_reserved(text)
    return kind != "IP address" or _is_public_address(text)


def counted(values: Mapping[str, PersonalKind]) -> str:
    """Return how many values of each kind there are, such as ``1 name, 2 emails``."""
    kinds = Counter(values.values())
    return ", ".join(
        f"{number} {kind}{'' if number == 1 else 'es' if kind.endswith('s') else 's'}"
        for kind, number in kinds.items()
    )


def is_reserved(email: str) -> bool:
    """Return whether an email is at a domain that is reserved for examples."""
    return _RESERVED.search(email.rpartition("@")[2]) is not None


def is_id_key(key: str) -> bool:
    """Return whether a key is that of an ID, such as ``id``, ``userId`` or ``order_id``."""
    return _ID_ENDING.search(key) is not None


def _search(
    value: Any, found: dict[str, PersonalKind], *, person: bool = False, deep: bool = False
) -> None:
    """Add the personal values in a JSON value; ``deep`` if all objects in it are of a person."""
    if isinstance(value, str):
        _emails(value, found)
        for token in _MARKED_TOKEN.findall(value):
            found.setdefault(token, "token")
    elif isinstance(value, list | tuple):
        for item in value:
            _search(item, found, person=person, deep=deep)
    elif isinstance(value, Mapping):
        person = person or deep or any(_marks_a_person(_word(key)) for key in value)
        for key, item in value.items():
            _emails(key, found)
            _search_member(key, item, found, person=person, deep=deep)


def _search_member(
    key: str, item: Any, found: dict[str, PersonalKind], *, person: bool, deep: bool
) -> None:
    """Add the personal values in a member of an object; see `_search`."""
    word = _word(key)
    if isinstance(item, str | int) and not isinstance(item, bool):
        kind = _kind(key, word, person=person)
        if kind is None and isinstance(item, str):
            kind = _kind_by_form(item, key, word)
        if kind is not None:
            _add(item, kind, found)
        _search(item, found)
    elif isinstance(item, Mapping) and word.endswith("address"):
        for part in _leaves(item):
            _add(part, "address", found)
    else:
        _search(item, found, person=word in _PERSONS, deep=deep or word == "traits")


def _word(key: str) -> str:
    return re.sub(r"[^a-z]", "", key.lower())


def _marks_a_person(word: str) -> bool:
    return word.endswith(("email", *_PHONES)) or word in (_NAMES - {"name", "login", "username"})


def _kind(key: str, word: str, *, person: bool) -> PersonalKind | None:
    """Return the kind of text or of a number under a key; None if it is not personal."""
    if word.endswith(_PHONES):
        return "phone"
    if word in _IDS_OF_PERSONS:
        return "ID"
    if word in _NAMES and (person or word not in {"name", "login", "username"}):
        return "name"
    if person and word in _PLACES:
        return "address"
    return "ID" if person and is_id_key(key) else None


def _kind_by_form(text: str, key: str, word: str) -> PersonalKind | None:
    """Return the kind of a text that gives itself away, whatever it is about."""
    if _PHONE.fullmatch(text):
        return "phone"
    if word.endswith(_SECRETS) and len(text) >= _SHORTEST_SECRET:
        return "token"
    if not is_id_key(key) and _LONG_TOKEN.fullmatch(text):
        return "token"
    is_version = word.endswith(("version", "build"))
    return "IP address" if not is_version and _is_public_address(text) else None


def _is_public_address(text: str) -> bool:
    """Return whether text is an IP address of the public internet, so that it may be somebody's."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, str) and len(value) >= _SHORTEST_CODE:
        yield value


def _add(value: Any, kind: PersonalKind, found: dict[str, PersonalKind]) -> None:
    """Add text or a whole number, unless it says nothing; an email is one wherever it stands."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return
    text = str(value)
    if EMAIL.fullmatch(text):
        kind = "email"
    if any(character.isalnum() for character in text) and text.lower() not in _NO_VALUES:
        found.setdefault(text, kind)


# Programs write these where a value is missing.
_NO_VALUES: Final = frozenset({"null", "undefined", "none", "nan", "true", "false"})


def _emails(text: str, found: dict[str, PersonalKind]) -> None:
    for email in EMAIL.findall(text):
        found.setdefault(email, "email")
