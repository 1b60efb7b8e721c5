from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from destinations.errors import UsageError
from destinations.kit.testing import open_subject
from destinations.kit.testing.case import Case, RecordedResponse
from destinations.kit.testing.case_writing import case_text
from destinations.kit.testing.personal_data import PersonalKind, personal_values
from destinations.kit.testing.pseudonyms import Pseudonyms, pseudonymised
from destinations.kit.testing.replaying import replay
from destinations.kit.testing.subject import Subject

# A value of each kind, and the form of its stand-in.
FORMS: list[tuple[str, PersonalKind, str]] = [
    ("Ada Lovelace", "name", r"[A-Z][a-z]{2} [A-Z][a-z]{7}"),
    ("ADA", "name", r"[A-Z]{3}"),
    ("ada.lovelace+news@acme.io", "email", r"[a-z]{3}\.[a-z]{8}\+[a-z]{4}@[a-z]{4}\.example"),
    ("ada@example.com", "email", r"[a-z]{3}@example\.com"),
    ("+44 20 7946 0958", "phone", r"\+44 \d\d \d{4} \d{4}"),
    ("12 Main Street", "address", r"\d\d [A-Z][a-z]{3} [A-Z][a-z]{5}"),
    ("203.0.113.9", "IP address", r"192\.0\.2\.\d+"),
    ("2a00::1", "IP address", r"2001:db8::[0-9a-f]+"),
    ("user_0001", "ID", r"user_\d{4}"),
    ("cus_Lx8Zr2Wq5Tn1Yb", "ID", r"cus_[A-Z][a-z]\d[A-Z][a-z]\d[A-Z][a-z]\d[A-Z][a-z]\d[A-Z][a-z]"),
    ("ada_1985", "ID", r"[a-z]{3}_\d{4}"),
    ("12345", "ID", r"[1-9]\d{4}"),
    (
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "ID",
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}",
    ),
    ("5f2b6c9d1a3e4f5061728394", "ID", r"[0-9a-f]{24}"),
    ("ada-lovelace", "ID", r"[a-z]{3}-[a-z]{8}"),
]


@pytest.mark.parametrize(("value", "kind", "form"), FORMS, ids=[row[0] for row in FORMS])
def test_a_stand_in_has_the_form_of_the_value(value: str, kind: PersonalKind, form: str) -> None:
    """So patterns and formats still hold; nothing of the person is left."""
    made = Pseudonyms({value: kind}).of[value]
    assert re.fullmatch(form, made)
    assert made != value
    assert "ada" not in made.lower()
    assert "acme" not in made


def test_stand_ins_say_nothing_of_the_values() -> None:
    """They follow from the order alone, so trying values does not find out whom they stand for."""
    one = Pseudonyms({"Ada Lovelace": "name", "user_0001": "ID"})
    other = Pseudonyms({"Eva Marlowes": "name", "user_9999": "ID"})
    assert list(one.of.values()) == list(other.of.values())


def test_different_values_stay_different() -> None:
    """However few values of a form there are."""
    values: dict[str, PersonalKind] = {str(number): "ID" for number in range(10)}
    values |= {f"{letter}@acme.io": "email" for letter in "abcdefghijklmnopqrstuvwxyz"}
    made = Pseudonyms(values).of
    assert len(set(made.values())) == len(values)
    assert set(made.values()).isdisjoint(values)


VALUES: dict[str, PersonalKind] = {
    "Ada Lovelace": "name",
    "Ada@acme.io": "email",
    "müller@acme.io": "email",
    "user/0001": "ID",
    "4711": "ID",
    "1": "ID",
    "Ed": "name",
}
ENCODED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a sentence": "no user '{}' here".format,
    "in an address": lambda text: "https://api.example.com/users/" + quote(text, safe=""),
    "in a form": lambda text: f"id={quote_plus(text)}&x=1",
    "after a line break in JSON": lambda text: json.dumps({"a": f"x\n{text}"}),
    "in JSON in JSON": lambda text: json.dumps(json.dumps({"a": text}, ensure_ascii=False)),
    "with escapes of JSON": lambda text: json.dumps(f"<{text}>"),
}


@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("value", [value for value in VALUES if len(value) > 1])
def test_a_value_is_replaced_wherever_it_is_written(
    value: str, encode: Callable[[str], str]
) -> None:
    """Encoded, escaped and within other texts, by its stand-in in the same form."""
    pseudonyms = Pseudonyms(VALUES)
    assert pseudonyms.text(encode(value)) == encode(pseudonyms.of[value])


@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("word", ["Jäne", "Lovelace"])
def test_a_word_of_a_name_is_replaced_wherever_it_is_written(
    word: str, encode: Callable[[str], str]
) -> None:
    """A first or a last name alone is replaced in the same forms as the whole name."""
    pseudonyms = Pseudonyms({"Jäne Lovelace": "name"})
    made = pseudonyms.text(word)
    assert made != word
    assert pseudonyms.text(encode(word)) == encode(made)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    "text",
    [
        "Zoe\u0308 Mu\u0308ller",
        "ZOE\u0308 MÜLLER",
        "Hello Zoe\u0308!",
        "\uff3aoë \uff2düller",
        "u=" + quote("Zoe\u0308 Mu\u0308ller"),
        json.dumps({"a": "Zoe\u0308 Mu\u0308ller"}),
    ],
)
def test_a_name_is_replaced_however_its_letters_are_written(text: str, form: Any) -> None:
    """Decomposed or in full width, in the event or elsewhere, it is the same name."""
    name = unicodedata.normalize(form, "Zoë Müller")
    pseudonyms = Pseudonyms({name: "name"})
    first, last = pseudonyms.of[name].split()
    made = pseudonyms.text(text)
    assert first.lower() in made.lower()
    assert last.lower() in made.lower() or "Hello" in text
    for word in ("zoë", "zoe", "ller"):
        assert word not in unicodedata.normalize("NFKC", made).lower()
    assert list(pseudonyms.places(text)) == [""]
    assert list(pseudonyms.places(made)) == []


@pytest.mark.parametrize("text", ["\ufb01le \u2460", "cafe\u0301"])
def test_letters_of_other_texts_stay_as_they_are_written(text: str) -> None:
    """Only a text that holds a value in another form is written anew."""
    assert Pseudonyms(VALUES).text(text) == text


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_digests_are_replaced(name: str) -> None:
    """An email is as good as told by its digest; so it is the digest of the stand-in."""
    pseudonyms = Pseudonyms(VALUES)

    def digest(text: str) -> str:
        return hashlib.new(name, text.lower().encode()).hexdigest()

    made = pseudonyms.of["Ada@acme.io"]
    assert pseudonyms.text(f"h={digest('Ada@acme.io')}") == f"h={digest(made)}"
    basic = base64.b64encode(b"Ada@acme.io").decode()
    assert pseudonyms.text(basic) == base64.b64encode(made.encode()).decode()


@pytest.mark.parametrize(
    "text",
    ["Edition", "line 1 of 1", "2024-01-15T12:00:01Z", "14711", "1.5", "Canada", "acme"],
)
def test_other_texts_stay(text: str) -> None:
    """A value within a word or a number is no value."""
    assert Pseudonyms(VALUES).text(text) == text


def test_words_of_names() -> None:
    """A first name alone is replaced as in the whole name; words of messages stay."""
    pseudonyms = Pseudonyms({"Ada Lovelace": "name", "Test User": "name"})
    first = pseudonyms.of["Ada Lovelace"].split()[0]
    assert pseudonyms.text("Hello Ada!") == f"Hello {first}!"
    assert pseudonyms.text("User not found") == "User not found"


def test_upper_and_lower_case() -> None:
    """A partner that writes an email in lower case still answers about the same user."""
    pseudonyms = Pseudonyms({"Ada@acme.io": "email", "ada@acme.io": "email"})
    one, other = pseudonyms.of.values()
    assert one.lower() == other
    assert one != other
    assert pseudonyms.text("ADA@ACME.IO") == other.upper()


def test_numbers_and_keys() -> None:
    """An ID is replaced as a number and as a key, and other numbers stay."""
    pseudonyms = Pseudonyms(VALUES)
    long, short = int(pseudonyms.of["4711"]), int(pseudonyms.of["1"])
    value = {"user": 4711, "id": 1, "count": 1, "4711": [True, 1]}
    assert pseudonyms.value(value) == {
        "user": long,
        "id": short,
        "count": 1,
        str(long): [True, 1],
    }


@pytest.fixture(scope="module")
def kana() -> Subject:
    return open_subject("kana")


# Created, merged, renamed, told apart from others, refused alone, not sent, and tried again.
CASES = ["create-a-user", "merge-whose-answer-is-lost", "identify-case-08", "identify-case-09"]
CASES += ["record-usage", "not-sent", "error-network", "update-by-csv-only"]


@pytest.mark.parametrize("name", CASES)
def test_cases_of_kana(kana: Subject, name: str) -> None:
    """Merges, renames and errors end as before, and the case replays without the old values."""
    (case,) = [case for case in kana.cases() if case.name == name]
    case = replace(case, description="A case.")
    made, values = pseudonymised(kana, case)
    assert values == personal_values(case)
    assert replay(kana, made).passed
    assert [row.outcome for row in made.expected] == [row.outcome for row in case.expected]
    text = case_text(made)
    assert [value for value in values if len(value) > 3 and value in text] == []
    assert case_text(pseudonymised(kana, case)[0]) == text


def _with(answer: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change to a case whose only answer is this one."""

    def change(data: dict[str, Any]) -> None:
        data["interactions"][0]["response"] = {"status": 422, "json": answer}
        data["expected"] = data["expected"][:1]
        data["expected"][0] = {"event": 1, "action": "trackEvent", "outcome": "rejected"}
        data["events"] = data["events"][:1]

    return change


def test_answers_and_reasons(make_case: Callable[..., Case], partner: Subject) -> None:
    """A value in the partner's message is replaced, so it is in the reason as well."""
    case = make_case(_with({"message": "no user_0001"}))
    made, _ = pseudonymised(partner, case)
    (interaction,) = made.interactions
    user = made.events[0]["userId"] if isinstance(made.events[0], dict) else ""
    assert user != "user_0001"
    assert interaction.request.json["user"] == user
    assert isinstance(interaction.result, RecordedResponse)
    assert interaction.result.json == {"message": f"no {user}"}
    assert made.expected[0].reason == f"HTTP 422: no {user}"
    assert made.expected[0].payload["user"] == user


def test_a_value_that_decides_what_happens(kana: Subject) -> None:
    """Where stand-ins lead elsewhere the case is refused, and it is said where."""
    (case,) = [case for case in kana.cases() if case.name == "reserved-ids"]
    with pytest.raises(UsageError, match=r"^the case cannot be recorded with --pseudonymise: "):
        pseudonymised(kana, case)


def test_a_value_that_is_a_word_of_the_partner() -> None:
    """A name that the partner uses for success is replaced there as well, so the event fails."""
    slack = open_subject("slack")
    (case,) = [case for case in slack.cases() if case.name == "post-message"]
    (event,) = case.events
    assert isinstance(event, dict)
    named = {**event, "context": {"traits": {"name": "ok"}}}
    with pytest.raises(UsageError, match=r"ends as \w+ with stand-ins, not as delivered"):
        pseudonymised(slack, replace(case, events=(named,)))


def test_a_request_that_is_missing(make_case: Callable[..., Case], partner: Subject) -> None:
    """A subscription that names a user takes only that user."""

    def change(data: dict[str, Any]) -> None:
        filtered = 'type = "track" and userId = "user_0001"'
        one = {"name": "One", "partnerAction": "trackEvent", "subscribe": filtered}
        data["subscriptions"] = [one]

    with pytest.raises(UsageError, match="with stand-ins, request 1 is missing: POST"):
        pseudonymised(partner, make_case(change))


def test_what_would_remain(make_case: Callable[..., Case], partner: Subject) -> None:
    """A value in the description, which only its author can word, is named by its place."""
    case = replace(make_case(), description="What becomes of user_0001.")
    with pytest.raises(UsageError, match="personal data would remain at /description"):
        pseudonymised(partner, case)
