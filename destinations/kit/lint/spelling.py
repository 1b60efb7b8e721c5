"""Tell misspelled words from words that no dictionary has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from destinations.extras import libraries_of
from destinations.kit.lint.word_lists import field_words

if TYPE_CHECKING:
    from spellchecker import SpellChecker

__all__ = ["correction", "is_plain_slip", "is_word"]

# fmt: off
_PREFIXES: Final = (
    "auto", "anti", "back", "co", "cross", "cyber", "de", "dis", "geo", "hyper", "inter",
    "meta", "micro", "mid", "mini", "mis", "mono", "multi", "non", "out", "over", "post", "pre",
    "pseudo", "re", "semi", "sub", "super", "tele", "trans", "ultra", "un", "under", "up",
)
# fmt: on
# An ending, and what the word may have instead of it.
_ENDINGS: Final = (
    ("s", ("",)),
    ("es", ("", "e")),
    ("ies", ("y",)),
    ("ed", ("", "e")),
    ("ing", ("", "e")),
    ("er", ("", "e")),
    ("ers", ("", "e")),
    ("or", ("e",)),
    ("able", ("", "e")),
    ("ability", ("", "e", "able")),
    ("ly", ("", "le")),
    ("ness", ("",)),
    ("less", ("",)),
    ("ful", ("",)),
    ("wise", ("",)),
    ("ization", ("ize", "")),
    ("ation", ("ate", "e")),
    # British spelling.
    ("ise", ("ize",)),
    ("ised", ("ize",)),
    ("ises", ("ize",)),
    ("ising", ("ize",)),
    ("isation", ("ize",)),
    ("our", ("or",)),
    ("ours", ("or",)),
    ("oured", ("or",)),
    ("oural", ("or",)),
)
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_SHORTEST: Final = 5
"""Shorter words have too many neighbours to be taken for a misspelled one."""
_COMMON: Final = 300
"""How often the dictionary has seen a word that others are taken for: a fourth of its words."""
_FREQUENT: Final = 2000
"""How often it has seen a word that goes before an unlisted one made of parts."""
_WELL_KNOWN: Final = 1000
"""How often it has seen a word that a slip of the fingers is taken for, whatever the slip's length
and capital: a tenth of its words."""
_NAME_ENDINGS: Final = ("id", "ids", "url", "key", "name", "type", "token")


@cache
def _dictionary() -> SpellChecker:
    # Loading the dictionary takes a third of a second: only a lint needs it.
    with libraries_of("kit"):
        from spellchecker import SpellChecker  # noqa: PLC0415 - slow to import

    return SpellChecker(language="en")


@cache
def is_word(word: str) -> bool:
    """Return whether a word in lower case is known, or made of known parts: unmapped, retryable."""
    if _is_listed(word):
        return True
    # What looks made of parts may be a common word without a letter: biling, desination.
    if len(word) >= _SHORTEST and any(_frequency(one) >= _FREQUENT for one in _longer(word)):
        return False
    if any(_is_listed(stem) for stem in _stems(word)):
        return True
    rests = (word.removeprefix(prefix) for prefix in _PREFIXES)
    return any(
        len(rest) > 3 and rest != word and any(map(_is_listed, (rest, *_stems(rest))))
        for rest in rests
    )


@cache
def correction(word: str, own: Collection[str] = frozenset()) -> str:
    """Return the word that an unknown one is a slip of; empty if it is like no other."""
    # Names of fields are written as one word: messageid.
    if any(word.endswith(one) and _is_listed(word.removesuffix(one)) for one in _NAME_ENDINGS):
        return ""
    if len(word) < _SHORTEST:
        near = {one for one in _neighbours(word) if is_plain_slip(word, one)}
        return max(sorted(near), key=_frequency, default="")
    near = {one for one in _neighbours(word) if _frequency(one) >= _COMMON or one in own}
    near |= _by_single_letters().get(_single_letters(word), set())
    return max(sorted(near), key=_frequency, default="")


def is_plain_slip(word: str, meant: str) -> bool:
    """Return whether a word is a well-known one with 2 letters swapped, or without one: sned, clik.

    Such a slip is one wherever it stands; with another letter in it, it may be a name: Bronto.
    """
    if len(word) < _SHORTEST - 1 or _frequency(meant) < _WELL_KNOWN:
        return False
    return word in _swapped(meant) or (word[0] == meant[0] and meant in _longer(word))


@cache
def _by_single_letters() -> dict[str, set[str]]:
    """Return the common long words by what they are without doubled letters: sucesful."""
    found: dict[str, set[str]] = {}
    for word, frequency in _dictionary().word_frequency.dictionary.items():
        if frequency >= _COMMON and len(word) > _SHORTEST:
            found.setdefault(_single_letters(word), set()).add(word)
    return found


def _single_letters(word: str) -> str:
    return re.sub(r"(.)\1", r"\1", word)


def _is_listed(word: str) -> bool:
    return word in field_words() or word in _dictionary()


def _stems(word: str) -> Iterator[str]:
    for ending, instead in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            yield from (stem + one for one in instead)
            if len(stem) > 3 and stem[-1] == stem[-2] and ending[0] in "eia":
                yield stem[:-1]  # mapped, debugging


def _frequency(word: str) -> int:
    if word in field_words() and len(word) >= _SHORTEST:
        return _COMMON * 100
    frequencies = _dictionary().word_frequency.dictionary
    return int(frequencies.get(word, 0))


def _longer(word: str) -> set[str]:
    """Return all texts that one more letter within a word makes of it."""
    cuts = [(word[:at], word[at:]) for at in range(1, len(word))]
    return {left + letter + right for left, right in cuts for letter in _LETTERS}


def _swapped(word: str) -> set[str]:
    """Return all texts that a word becomes with 2 letters next to each other swapped."""
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)} - {
        word
    }


def _neighbours(word: str) -> set[str]:
    """Return all texts that one letter too many, too few, wrong or swapped makes of a word."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    fewer = {left + right[1:] for left, right in cuts if right}
    changed = {left + letter + right[1:] for left, right in cuts if right for letter in _LETTERS}
    more = {left + letter + right for left, right in cuts for letter in _LETTERS}
    return (fewer | _swapped(word) | changed | more) - {word}
