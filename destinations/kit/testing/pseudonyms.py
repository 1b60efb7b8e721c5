"""Replace personal data in a recorded case by stand-ins of the same form.

The same value has the same stand-in everywhere in the case: in events, requests and answers, within
other texts, in lower and upper case, and encoded. Stand-ins depend on the order of the values and
not on the values, so no one can find out by trying whom one stands for.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import random
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, quote_plus

from destinations.errors import UsageError
from destinations.kit.testing.case import (
    ABSENT,
    Case,
    ExpectedOutcome,
    RecordedRequest,
    RecordedResponse,
)
from destinations.kit.testing.case_usage import answered
from destinations.kit.testing.personal_data import (
    PersonalKind,
    is_id_key,
    is_reserved,
    personal_values,
)
from destinations.kit.testing.rerunning import expectation_of, rerun
from destinations.kit.testing.subject import Subject
from destinations.segment.json_pointer import pointer

__all__ = ["Pseudonyms", "personal_places", "pseudonymised"]

_CONSONANTS: Final = "bdfgklmnprstvz"
_VOWELS: Final = "aeiou"
_TRIES: Final = 200

# Beginnings of IDs that say what kind of ID it is, and nothing of the person.
_PREFIX: Final = re.compile(
    r"(?:user|usr|cus|cust|customer|acct|account|anon|anonymous|visitor|member|contact|lead|sub|org|"
    r"group|team|company|device|session|message|msg|event|evt|id|uid|m|u|c)[_:-](?=.*\d)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]+")
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_HEX: Final = re.compile(r"(?=.*\d)[0-9a-f-]{16,}", re.IGNORECASE)

# Keys of an event whose values are never about a person, but decide its outcome.
_KEPT_KEYS: Final = frozenset(
    {"type", "channel", "version", "integrations", "timestamp", "originalTimestamp", "sentAt"}
    | {"receivedAt"}
)

# So long that it is no part of another word by chance, if it has a digit or an @.
_LONG: Final = 8
_SHORT_NUMBER: Final = 4

_SHORTEST_WORD: Final = 3

# Words of made-up names and of companies, which messages use for other things.
_COMMON_WORDS: Final = frozenset(
    {"user", "account", "customer", "contact", "person", "test", "example", "name", "the", "and"}
    | {"company", "inc", "ltd", "llc", "gmbh", "first", "last", "new", "not"}
)

_ENCODINGS: Final[Sequence[Callable[[str], str]]] = (
    str,
    lambda text: quote(text, safe=""),
    quote,
    quote_plus,
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    html.escape,
)
_DIGESTS: Final[Sequence[Callable[[str], str]]] = (
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    *(
        lambda text, name=name: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()
        for name in ("sha256", "sha1", "md5")
    ),
)


class Pseudonyms:
    """The stand-ins of personal values; ``values`` has the kind of each, in order."""

    def __init__(self, values: Mapping[str, PersonalKind]) -> None:
        self._chance = random.Random(0)  # noqa: S311 - stand-ins are to be the same each time
        self._taken = {value.lower() for value in values}
        self._taken_words = {word for one in self._taken for word in _WORD.findall(one)}
        self._words: dict[str, str] = {}
        self._bases: dict[str, str] = {}
        self._domains: dict[str, str] = {}
        self.of = {value: self._stand_in(value, kind) for value, kind in values.items()}
        words = dict(self._names_alone(values))
        alone = _forms(words, dict.fromkeys(words, "name"))
        self._forms = {**dict(alone), **dict(_forms(self.of, values))}
        free = [form for form in self._forms if _is_long(form)]
        bound = [form for form in self._forms if not _is_long(form)]
        parts = [_alternatives(free)] if free else []
        parts += [f"{_BEFORE}(?:{_alternatives(bound)}){_AFTER}"] if bound else []
        # The longest first, wherever it begins: an email has its own name in it.
        self._pattern = re.compile("|".join(parts)) if parts else None

    def text(self, text: str) -> str:
        """Return text with every personal value in it replaced."""
        if text in self.of:
            return self.of[text]
        if self._pattern is None:
            return text
        made = self._pattern.sub(self._replaced, text)
        # Letters of another width, or some of them decomposed, spell the same value.
        plain = _composed(made)
        again = self._pattern.sub(self._replaced, plain)
        return made if again == plain else again

    def value(self, value: Any, key: str = "") -> Any:
        """Return a JSON value with every personal value replaced, in keys as well."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(name): self.value(item, name) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, key) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            digits = str(value)
            if digits in self.of and (len(digits) >= _SHORT_NUMBER or is_id_key(key)):
                return int(self.of[digits])
        return value

    def event(self, event: Mapping[str, Any] | str) -> Mapping[str, Any] | str:
        """Return an event with every personal value replaced; its type and times stay."""
        if isinstance(event, str):
            return self.text(event)
        return {
            key: item if key in _KEPT_KEYS else self.value(item, key) for key, item in event.items()
        }

    def places(self, value: Any, path: str = "") -> Iterator[str]:
        """Yield the JSON pointers of the texts that still hold a personal value."""
        if isinstance(value, str):
            if self.text(value) != value:
                yield path
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from self.places(key, path + pointer(key))
                yield from self.places(item, path + pointer(key))
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from self.places(item, path + pointer(index))

    def _names_alone(self, values: Mapping[str, PersonalKind]) -> Iterator[tuple[str, str]]:
        """Yield the words of names, as a first name may stand alone in a text."""
        for value, kind in values.items():
            for word in _WORD.findall(_composed(value)) if kind == "name" else ():
                if len(word) >= _SHORTEST_WORD and word.lower() not in _COMMON_WORDS:
                    yield word, _in_case_of(word, self._word(word.lower()))

    def _replaced(self, found: re.Match[str]) -> str:
        return self._forms[found[0]]

    def _stand_in(self, value: str, kind: PersonalKind) -> str:
        if kind == "email":
            return self._email(value)
        if kind == "IP address":
            return self._unique(value, self._ip, self._taken)
        if kind in {"name", "address"}:
            value = _composed(value)  # a letter and its accent are one letter, however written
        made = self._bases.get(value.lower())
        if made is None:
            make = {"ID": self._id, "token": self._id, "phone": self._phone}.get(
                kind, self._words_of
            )
            made = self._bases[value.lower()] = self._unique(value.lower(), make, self._taken)
        return _in_case_of(value, made)

    @classmethod
    def _unique(cls, value: str, make: Callable[[str], str], taken: set[str]) -> str:
        """Return a stand-in that is neither a value of the case nor that of another value."""
        for _ in range(_TRIES):
            made = make(value)
            if made not in taken:
                taken.add(made)
                return made
        return cls._unique(value + "0", make, taken)  # all of this length are taken

    def _email(self, value: str) -> str:
        local, _, domain = value.rpartition("@")
        made = self._bases.get(value.lower())
        if made is None:
            made = self._bases[value.lower()] = self._unique(
                value.lower(), self._new_email, self._taken
            )
        head, _, tail = made.rpartition("@")
        return f"{_in_case_of(local, head)}@{domain if is_reserved(value) else tail}"

    def _new_email(self, value: str) -> str:
        local, _, domain = value.rpartition("@")
        if is_reserved(value):
            return f"{self._words_of(local)}@{domain}"
        if domain not in self._domains:
            first = re.sub(r"[^a-z]", "", domain.partition(".")[0]) or "site"
            self._domains[domain] = f"{self._word(first)}.example"
        return f"{self._words_of(local)}@{self._domains[domain]}"

    def _words_of(self, value: str) -> str:
        """Return text with other words and digits; a word is the same in all texts."""
        return re.sub(
            rf"{_WORD.pattern}|\d",
            lambda found: self._digit() if found[0].isdigit() else self._word(found[0]),
            value,
        )

    def _word(self, word: str) -> str:
        if word not in self._words:
            self._words[word] = self._unique(word, self._syllables, self._taken_words)
        return self._words[word]

    def _syllables(self, word: str) -> str:
        return "".join(
            self._chance.choice(_VOWELS if place % 2 else _CONSONANTS) for place in range(len(word))
        )

    def _id(self, value: str) -> str:
        """Return an ID of the same form: prefix, length, separators, digits and letters."""
        prefix = _PREFIX.match(value)
        head = prefix[0] if prefix else ""
        rest = value[len(head) :]
        if not any(character.isdigit() for character in value):
            return self._words_of(value)
        letters = "abcdef" if _HEX.fullmatch(rest) else string.ascii_lowercase
        fixed = {14, 19} if _UUID.fullmatch(value) else set()  # version and variant
        made = [
            character
            if place in fixed
            else self._digit()
            if character.isdigit()
            else self._chance.choice(letters)
            if character.isalpha()
            else character
            for place, character in enumerate(rest)
        ]
        if value.isdigit() and value[0] != "0":
            made[0] = self._chance.choice("123456789")
        return head + "".join(made)

    def _phone(self, value: str) -> str:
        """Return a phone number of the same form, with the same first two digits."""
        kept = [place for place, one in enumerate(value) if one.isdigit()][:2]
        return "".join(
            self._digit() if one.isdigit() and place not in kept else one
            for place, one in enumerate(value)
        )

    def _ip(self, value: str) -> str:
        """Return an address that is reserved for documentation: RFC 5737 and RFC 3849."""
        number = self._chance.randrange(1, 255)
        return f"2001:db8::{number:x}" if ":" in value else f"192.0.2.{number}"

    def _digit(self) -> str:
        return self._chance.choice(string.digits)


# A value within text stands by itself: between characters that are not letters or digits, or after
# an escape, such as %2F or \n.
_BEFORE: Final = r"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrtbf]))"
_AFTER: Final = r"(?![^\W_])"


def _alternatives(forms: Sequence[str]) -> str:
    return "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))


def _is_long(form: str) -> bool:
    return (
        len(form) >= _LONG and " " not in form and any(one.isdigit() or one == "@" for one in form)
    )


def _forms(
    stand_ins: Mapping[str, str], values: Mapping[str, PersonalKind]
) -> Iterator[tuple[str, str]]:
    """Yield each form in which a value may be written, with that of its stand-in."""
    for value, stand_in in stand_ins.items():
        pairs = [(value, stand_in)]
        if values[value] != "name" or " " in value:  # one word in lower case is any word
            pairs += [(value.lower(), stand_in.lower()), (value.upper(), stand_in.upper())]
        if value.isdigit() and len(value) < _SHORT_NUMBER:
            # By itself, such a number is any number.
            yield from ((f"'{value}'", f"'{stand_in}'"), (f'"{value}"', f'"{stand_in}"'))
            continue
        spelled = [
            (unicodedata.normalize(form, one), other)
            for form in ("NFKC", "NFC", "NFD")
            for one, other in pairs
        ]
        for encode in _ENCODINGS:
            for one, other in (*spelled, *pairs):
                yield encode(one), encode(other)
        if len(value) >= _SHORT_NUMBER:
            for digest in _DIGESTS:
                for one, other in pairs[:2]:
                    yield digest(one), digest(other)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _in_case_of(value: str, made: str) -> str:
    """Return a stand-in with capitals where the value has them."""
    if len(value) != len(made):
        return made
    return "".join(
        new.upper() if old.isupper() else new for old, new in zip(value, made, strict=True)
    )


def pseudonymised(subject: Subject, case: Case) -> tuple[Case, Mapping[str, PersonalKind]]:
    """Return a recorded case with stand-ins for personal data, and the values that they replace.

    Its requests are made again from the events with stand-ins. Raises `UsageError` if these lead to
    other requests or outcomes, or if a personal value remains.
    """
    values = personal_values(case)
    pseudonyms = Pseudonyms(values)
    events = tuple(map(pseudonyms.event, case.events))
    asked = [
        replace(one, user=pseudonyms.text(one.user), feature=pseudonyms.text(one.feature))
        for one in case.usage
    ]
    interactions, rows, counted = rerun(
        subject,
        case.settings,
        events,
        [_result(pseudonyms, item.result) for item in case.interactions],
        case.clock,
        presets=case.subscriptions,
        served=case.served,
        times=[item.at for item in case.interactions],
        usage=asked,
        beyond=f"{_CANNOT}: stand-ins lead to a further request",
    )
    if len(interactions) < len(case.interactions):
        number = len(interactions) + 1
        missing = case.interactions[len(interactions)].request.method
        raise UsageError(f"{_CANNOT}: with stand-ins, request {number} is missing: {missing}")
    expected = tuple(map(expectation_of, rows))
    for before, now in zip(case.expected, expected, strict=False):
        if not _ends_alike(before, now):
            place = f"event {before.event}, {before.action or 'no action'}"
            ends = f"{now.outcome.value} with stand-ins, not as {before.outcome.value}"
            raise UsageError(f"{_CANNOT}: {place} ends as {ends}")
    usage = tuple(answered(one, got) for one, got in zip(asked, counted, strict=True))
    for number, (one, other) in enumerate(zip(case.usage, usage, strict=True), start=1):
        if (one.shown, one.error is None) != (other.shown, other.error is None):
            raise UsageError(f"{_CANNOT}: usage {number} has another answer with stand-ins")
    made = replace(
        case,
        events=events,
        interactions=tuple(interactions),
        expected=expected,
        usage=usage,
    )
    left = [*pseudonyms.places(case.description, "/description"), *_left(pseudonyms, made)]
    if left:
        raise UsageError(f"{_CANNOT}: personal data would remain at {', '.join(left[:5])}")
    return made, values


_CANNOT: Final = "the case cannot be recorded with --pseudonymise"


def _result(pseudonyms: Pseudonyms, result: Any) -> Any:
    if not isinstance(result, RecordedResponse):
        return result
    return replace(
        result,
        json=ABSENT if result.json is ABSENT else pseudonyms.value(result.json),
        body=None if result.body is None else pseudonyms.text(result.body),
    )


def _ends_alike(before: ExpectedOutcome, now: ExpectedOutcome) -> bool:
    same_code = before.code in {None, now.code}
    same_row = (before.event, before.action) == (now.event, now.action)
    return same_row and same_code and before.outcome is now.outcome


def personal_places(
    case: Case, values: Mapping[str, PersonalKind]
) -> Iterator[tuple[str, PersonalKind]]:
    """Yield the JSON pointers of a case's texts that hold one of these values, with its kind."""
    found: dict[str, PersonalKind] = {}
    for kind in dict.fromkeys(values.values()):
        pseudonyms = Pseudonyms({one: kind for one, other in values.items() if other == kind})
        for place in _left(pseudonyms, case):
            found.setdefault(place, kind)
    # In the order of the file: events, interactions, outcomes.
    yield from sorted(found.items(), key=lambda pair: _order(pair[0]))


def _order(place: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in place.split("/")]


def _left(pseudonyms: Pseudonyms, case: Case) -> Iterator[str]:
    """Yield the places of a case that still hold a personal value."""
    for number, event in enumerate(case.events):
        yield from pseudonyms.places(event, pointer("events", number))
    for number, item in enumerate(case.interactions):
        for name, message in (("request", item.request), ("response", item.result)):
            place = pointer("interactions", number, name)
            if isinstance(message, RecordedRequest):
                yield from pseudonyms.places(message.url, f"{place}/url")
            if isinstance(message, RecordedRequest | RecordedResponse):
                parts = {"json": message.json, "body": message.body}
                yield from pseudonyms.places(parts, place)
    for number, row in enumerate(case.expected):
        parts = {"reason": row.reason, "payload": row.payload}
        if row.usage is not None:
            parts["usage"] = {"user": row.usage.user, "feature": row.usage.feature}
        yield from pseudonyms.places(parts, pointer("expected", number))
    for number, asked in enumerate(case.usage):
        parts = {"user": asked.user, "feature": asked.feature, "error": asked.error}
        yield from pseudonyms.places(parts, pointer("usage", number))
