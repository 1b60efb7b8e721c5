"""Keep the state of a page in its URL, so that a link to it can be shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from destinations.errors import UsageError, did_you_mean

__all__ = ["Parameter", "Query", "check_parameters", "link"]

_MOST: Final = 200
"""The most parameters that a URL may have; no page of this console has more."""
_LONGEST: Final = 100
"""The characters of what somebody else wrote that a message repeats."""


class Query(Mapping[str, str]):
    """The parameters of a URL or a form: of each name the first value, and `all_of` them."""

    __slots__ = ("_pairs", "is_readable")

    def __init__(self, pairs: Iterable[tuple[str, str]] = (), *, is_readable: bool = True) -> None:
        self._pairs = tuple(pairs)
        self.is_readable = is_readable

    @classmethod
    def parse(cls, text: str) -> Query:
        """Return the parameters of a URL's query; none of them is readable if they are many."""
        try:
            return cls(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST))
        except ValueError:
            return cls(is_readable=False)

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

    def without(self, name: str) -> Query:
        """Return all parameters but one."""
        kept = [pair for pair in self._pairs if pair[0] != name]
        return Query(kept, is_readable=self.is_readable)

    def changed(self, **changes: object) -> str:
        """Return the query of a link to the same page with these changes; None takes one out."""
        kept = [(key, value) for key, value in self._pairs if value and key not in changes]
        added = [(key, str(value)) for key, value in changes.items() if value not in {None, ""}]
        return urlencode([*kept, *added])


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a page or a field of its form.

    If it has ``values``, it is one of them, or empty. Only one that ``repeats`` may be given more
    than once.
    """

    name: str
    values: Sequence[str] = ()
    repeats: bool = False


def check_parameters(given: Query, expected: Iterable[str | Parameter]) -> None:
    """Raise `UsageError` unless all that is given is expected: nothing may be left unread.

    A page that left out what it does not know would show, or change, more than was asked for.
    """
    if not given.is_readable:
        raise UsageError(f"too many parameters: expected at most {_MOST}")
    known = {
        one.name: one
        for one in (Parameter(one) if isinstance(one, str) else one for one in expected)
    }
    for name in given:
        one = known.get(name)
        shown = repr(name[:_LONGEST])
        if one is None:
            names = f"one of {', '.join(known)}" if known else "none"
            near = did_you_mean(name[:_LONGEST], known)
            raise UsageError(f"unknown parameter {shown}: expected {names}{near}")
        values = given.all_of(name)
        if len(values) > 1 and not one.repeats:
            raise UsageError(f"the parameter {shown} is given {len(values)} times: expected one")
        for value in values if one.values else ():
            if value and value not in one.values:
                expects = " or ".join(one.values)
                found = repr(value[:_LONGEST])
                raise UsageError(f"invalid {name} {found}: expected {expects}, or none")


def link(path: str, **parameters: object) -> str:
    """Return the URL of a page with the parameters that are given; None and empty are left out."""
    given = [(key, str(value)) for key, value in parameters.items() if value not in {None, ""}]
    return f"{path}?{urlencode(given)}" if given else path
