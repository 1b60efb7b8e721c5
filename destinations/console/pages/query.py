"""Keep the state of a page in its URL, so that a link to it can be shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

__all__ = ["Query", "link"]

_MOST: Final = 200
"""The most parameters that are read; more make no page of this console."""


class Query(Mapping[str, str]):
    """The parameters of a URL or a form: of each name the first value, and `all_of` them."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple(pairs)[:_MOST]

    @classmethod
    def parse(cls, text: str) -> Query:
        """Return the parameters of a URL's query, or of a form's body; what is odd is left out."""
        try:
            return cls(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST))
        except ValueError:
            return cls()

    def __getitem__(self, name: str) -> str:
        for key, value in self._pairs:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key for key, _ in self._pairs))

    def __len__(self) -> int:
        return len({key for key, _ in self._pairs})

    def text(self, name: str) -> str:
        """Return a value without the space around it; empty if it is not given."""
        return self.get(name, "").strip()

    def all_of(self, name: str) -> list[str]:
        """Return all values of a name, in order."""
        return [value for key, value in self._pairs if key == name]

    def number(self, name: str) -> int | None:
        """Return a whole number of at most 18 digits; None for anything else."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None

    def pairs(self, *left_out: str) -> list[tuple[str, str]]:
        """Return what is given and not empty, for the hidden fields of a form."""
        return [(key, value) for key, value in self._pairs if value and key not in left_out]

    def changed(self, **changes: object) -> str:
        """Return the query of a link to the same page with these changes; None takes one out."""
        kept = [(key, value) for key, value in self._pairs if value and key not in changes]
        added = [(key, str(value)) for key, value in changes.items() if value not in {None, ""}]
        return urlencode([*kept, *added])


def link(path: str, **parameters: object) -> str:
    """Return the URL of a page with the parameters that are given; None and empty are left out."""
    given = [(key, str(value)) for key, value in parameters.items() if value not in {None, ""}]
    return f"{path}?{urlencode(given)}" if given else path
