"""Say what a page gets and gives: its visit, and what is shown, sent elsewhere or streamed."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from destinations.console.operators import Operator
from destinations.console.pages.query import Parameter, Query, check_parameters
from destinations.console.verbs import UnknownError, Verbs
from destinations.errors import UsageError, did_you_mean

__all__ = [
    "Answered",
    "ConsolePage",
    "Frame",
    "PageError",
    "Redirected",
    "Shown",
    "Streamed",
    "Visit",
    "WayOn",
    "chosen",
    "command_line",
    "sentence",
    "wrong_cursor",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The surroundings of the content of a page: who looks at which of the ``pages``.

    ``csrf`` is the token that each form of the page repeats.
    """

    operator: Operator
    path: str
    query: Query = field(default_factory=Query)
    csrf: str = ""
    pages: Sequence[ConsolePage] = ()

    @property
    def here(self) -> str:
        """The URL of this page, with its state."""
        text = self.query.changed()
        return f"{self.path}?{text}" if text else self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Frame):
    """One request for a page: ``verbs`` is what can be asked and done.

    ``parts`` are what stands in the place of names in its path. ``form`` is what was sent to it, if
    it is to change something. ``now`` is in seconds since 1970, UTC.
    """

    verbs: Verbs
    form: Query = field(default_factory=Query)
    parts: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0


def command_line(visit: Visit, words: str) -> str:
    """Return the command that does in the store of this console what ``words`` say."""
    path = visit.verbs.config.path
    return f"destinations {words} --config {'FILE' if path is None else shlex.quote(str(path))}"


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: the name of its template, and the values that it shows."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Redirected:
    """Another page of this console, to be shown after a change.

    ``notice`` says what was done. The page has it the first time that it is loaded, for the
    operator who did it: it is not in the URL, which can be shared.
    """

    url: str
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Streamed:
    """Events that are sent as they come, in the form of server-sent events."""

    events: AsyncIterator[bytes]


Answered: TypeAlias = Shown | Redirected | Streamed


@dataclass(frozen=True, slots=True)
class WayOn:
    """A link on the page of an error, to what can be done instead."""

    url: str
    text: str


_OVERVIEW: Final = WayOn("/", "Go to the overview")


class PageError(Exception):
    """A request that gets a page which says what is wrong, with this HTTP status.

    The page links to ``way_on``, by default to the overview.
    """

    def __init__(self, status: int, title: str, text: str, way_on: WayOn = _OVERVIEW) -> None:
        super().__init__(text)
        self.status = status
        self.title = title
        self.text = text
        self.way_on = way_on


def chosen(given: Query, name: str, choices: Iterable[str], default: str) -> str:
    """Return a parameter that has one of a few values, or the default if it is not given.

    Raises `PageError` for another value, as a page that leaves it out shows something else.
    """
    text, known = given.text(name), list(choices)
    if not text or text in known:
        return text or default
    expected = f"expected {' or '.join(filter(None, (', '.join(known[:-1]), known[-1])))}"
    end = did_you_mean(text[:100], known) or "."
    raise PageError(404, f"No such {name}", f"There is no {name} {text[:100]!r}: {expected}{end}")


def wrong_cursor(visit: Visit) -> PageError:
    """Return the answer to an ``after`` that no page of this list has led to."""
    after = visit.query.text("after")[:100]
    text = f"Invalid after {after!r}: expected the link of a page of the same list and filters."
    return PageError(400, "No such page of the list", text)


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """A page of the console, at a path such as ``/deliveries/{id}``.

    ``show`` answers a visit, and ``act`` a form that is sent to it, of an operator who may change
    something. ``title`` is what the menu calls it; without one it is not in the menu. ``package``
    is the Python package whose folder ``templates`` has its templates. Templates extend
    ``layout.html``, and everything that they show is escaped.

    ``parameters`` are what its URL may have when it is shown, and ``fields`` what the form has that
    is sent to it, beside its token. Anything else is answered 400.
    """

    path: str
    show: Callable[[Visit], Answered] | None = None
    act: Callable[[Visit], Answered] | None = None
    title: str = ""
    package: str = "destinations.console.pages"
    parameters: Sequence[str | Parameter] = ()
    fields: Sequence[str | Parameter] = ()

    def answer(self, visit: Visit, *, acts: bool = False) -> Answered:
        """Answer a visit, or a form if it ``acts``.

        Raises `PageError` for parameters and fields that the page does not have.
        """
        answer = self.act if acts else self.show
        if answer is None:
            raise PageError(405, "Nothing was changed", "This page cannot be used in this way.")
        try:
            check_parameters(visit.query, () if acts else self.parameters)
            if acts:
                check_parameters(visit.form, ("csrf", *self.fields))
        except UsageError as error:
            title = "Nothing was changed" if acts else "This page cannot be shown"
            text = sentence(visit.verbs.masker.text(str(error)))
            raise PageError(400, title, text) from None
        try:
            return answer(visit)
        except UnknownError as error:
            raise _not_found(visit, error) from None


def _not_found(visit: Visit, error: UnknownError) -> PageError:
    """Return the page that says that there is nothing of a name or id, and where to look."""
    text = sentence(visit.verbs.masker.text(str(error)))
    what, way_on = error.what, WayOn("/deliveries", "Show the deliveries")
    if what == "delivery":
        text += " The store forgets deliveries after a while (keepDays)."
    elif what == "tenant":
        way_on = WayOn("/tenants", "Show the tenants")
    elif visit.query and any(page.path == visit.path and page.title for page in visit.pages):
        way_on = WayOn(visit.path, "Show this page without filters")
    return PageError(404, f"No such {what}" if what else "Not found", text, way_on)


def sentence(text: str) -> str:
    """Return a message as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}"
