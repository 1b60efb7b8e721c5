"""How much the linter finds, and how much it reports that is right, measured with a corpus."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FILES = {
    f"images/{name}.png": "png 800x400"
    for name in ("api-keys", "1", "screen-shot-2022-10-01-at-12.30")
}


def _lines(name: str) -> list[str]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


BAD = [tuple(line.split("\t")) for line in _lines("corpus-bad.txt")]
GOOD = _lines("corpus-good.txt")


def test_the_corpus_is_hard() -> None:
    """It is large, has no sentence twice, and more than half of it has names, code or UI words."""
    assert len(BAD) >= 150
    assert len(GOOD) >= 150
    for sentences in ([sentence for _, sentence in BAD], GOOD):
        assert len(set(sentences)) == len(sentences)
        tricky = [
            one for one in sentences if re.search(r"`|\*\*|\]\(|(?<!^)\b[A-Z]|[a-z][A-Z]", one)
        ]
        assert len(tricky) > len(sentences) / 2


def test_what_is_wrong_is_found(lint: Callable[..., Any], published: str) -> None:
    """At least 95% of the sentences that break a rule are reported by that rule."""
    missed = [
        (rule, sentence)
        for rule, sentence in BAD
        if rule not in {one.rule for one in lint(f"{published}{sentence}\n", FILES)}
    ]
    assert len(missed) <= 0.05 * len(BAD), missed


def test_what_is_right_is_left_alone(lint: Callable[..., Any], published: str) -> None:
    """At most 3% of the right sentences are reported, and none of them as an error."""
    reported = {
        sentence: found for sentence in GOOD if (found := lint(f"{published}{sentence}\n", FILES))
    }
    assert len(reported) <= 0.03 * len(GOOD), reported
    assert [one for found in reported.values() for one in found if one.level == "error"] == []


@pytest.mark.parametrize(
    ("sentence", "rules"),
    [
        ("Kana recieves the event.", ["typos"]),
        ("It doesnt work.", ["typos"]),
        ("Use the whitelist.", ["subs"]),
        ("Use the the list.", ["repeated-word"]),
    ],
)
def test_a_place_is_reported_once(
    sentence: str, rules: list[str], lint: Callable[..., Any], published: str
) -> None:
    """Of several rules for the same words, the one that says what to write reports them."""
    assert [one.rule for one in lint(f"{published}{sentence}\n")] == rules


@pytest.mark.parametrize(
    "sentence", ["Bronto stores the event.", "Kana stores each messageid and groupid."]
)
def test_names_are_no_misspellings(sentence: str, lint: Callable[..., Any], published: str) -> None:
    """A name at the start of a sentence, and one of a field in lower case, is a suggestion."""
    found = lint(f"{published}{sentence}\n")
    assert {(one.rule, one.level) for one in found} == {("unknown-word", "suggestion")}


@pytest.mark.parametrize("head", ["---\ntitle: Leverage Me Destination\n---\n", "# Leverage Me\n"])
def test_the_products_name_breaks_no_rule(head: str, lint: Callable[..., Any]) -> None:
    """A name from front matter or the title is one, whatever its words are."""
    found = lint(f"{head}\nLeverage Me's rules\nare of Leverage\nMe.\n")
    assert [one.rule for one in found if one.rule != "front-matter-id"] == []
    found = lint(f"{head}\nLeverage the rules.\n")
    assert "subs" in {one.rule for one in found}


@pytest.mark.parametrize("name", ["field", "languages", "products", "segment"])
def test_listed_words_are_known(name: str, lint: Callable[..., Any], published: str) -> None:
    """No word of the lists is reported: as it stands, in a sentence, and at the start of one."""
    root = HERE.parents[3] / "destinations" / "kit" / "lint" / "words" / f"{name}.txt"
    words = [line for line in root.read_text("utf-8").splitlines() if not line.startswith("#")]
    text = "\n".join(f"- {word} and {word}" for word in words)
    found = [
        one for one in lint(published + text + "\n") if one.rule in {"spelling", "unknown-word"}
    ]
    assert found == []
