"""Make names and prose for parts of a file that lack them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["NO_DESCRIPTION", "camel_case", "numbered", "title_of"]

NO_DESCRIPTION: Final = "No description was imported."

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W_]+")


def title_of(key: str) -> str:
    """Return a label made of a key: ``external_id`` and ``externalId`` are both ``External id``."""
    words = _WORDS.findall(key)
    text = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return text[:1].upper() + text[1:] or key


def camel_case(slug: str) -> str:
    """Return a request's name: letters and digits of ``slug``, beginning with a small letter."""
    words = re.findall(r"[A-Za-z0-9]+", slug)
    joined = "".join(words[:1] + [word[:1].upper() + word[1:] for word in words[1:]])
    return joined[:1].lower() + joined[1:]


def numbered(name: str, taken: Iterable[str], join: str = " ") -> str:
    """Return ``name``, followed by a number if it is taken."""
    used = set(taken)
    if name not in used:
        return name
    return next(found for n in range(2, len(used) + 3) if (found := f"{name}{join}{n}") not in used)
