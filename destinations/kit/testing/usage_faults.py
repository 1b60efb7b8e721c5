"""Play what a partner may answer when it is asked what it has counted (``usage``)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from destinations.definition import (
    GraphQLDefinition,
    PendingDefinition,
    RequestDefinition,
    UsageQuestion,
    UsageStep,
)
from destinations.errors import IntegrationError, ResolveError, UsageError
from destinations.http import Answer, HttpResponse
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import RecordedRequest, RecordedResponse
from destinations.kit.testing.plain_paths import plain_keys, with_value
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.wire import CutResponse, Reply, Wire, http_response
from destinations.runtime.amounts import read_amount
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.runtime.usage_questions import Counted, UsageAsker, iso_time
from destinations.sandbox.answers import MESSAGE, graphql_error, success, success_value
from destinations.secrets import reveal
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

__all__ = ["UsageFaultResult", "UsageFaults"]

_USER: Final = "sample-user"
_FEATURE: Final = "sample-feature"
_DAY: Final = 86_400
_ABOUT_NOW: Final = 1_768_435_200  # a midnight

_PAGES: Final = 20
"""The pages after which an answer is given up here: enough to see that it is."""

_MOST: Final = 10 * _PAGES

_HTML: Final = HttpResponse(
    200, {"content-type": "text/html"}, f"<html><body>{MESSAGE}</body></html>".encode()
)

_ENDLESS: Final = "pages that never end"
_AGAIN: Final = "a page that comes again"
_ONCE: Final = "500, once"
_NO_LIST: Final = "no list"
_NONE_FITS: Final = "no item that fits"
_TWO_FIT: Final = "two items that fit"
_TEXT: Final = "text in place of the number"
_NO_NUMBER: Final = "no number"

_ERROR: Final = "an error"
_COUNTED: Final = "the amount"
_NOTHING: Final = "nothing counted"

_STATUSES: Final[Mapping[str, int]] = {
    **{str(status): status for status in (401, 403, 404, 429, 500)},
    _ONCE: 500,
}
_CUT_OFF: Final = "answer cut off"
_WITHOUT_ANSWER: Final[Mapping[str, Reply]] = {
    "no connection": "refused",
    "time-out after sending": "timeout",
}


@dataclass(frozen=True, slots=True)
class UsageFaultResult:
    """The end of a question: what came of it, how often its step was asked, and what differs."""

    ending: str
    asked: int
    differences: Sequence[tuple[str, object, object]]


@dataclass(frozen=True, slots=True)
class _Success:
    """An answer to a step, and what later steps read of it: the answer, or the item that fits."""

    data: Any
    found: Any


class _NeverEndsError(Exception):
    """The partner is asked again and again."""


class UsageFaults:
    """The faults that the question of an action's ``usage`` can meet, at each of its steps.

    ``is_test`` tells the test of the credentials from the request with this name. Raises
    `UsageError` if answers made from the definition show no number without a fault.
    """

    def __init__(
        self,
        action: str,
        question: UsageQuestion,
        destination: Destination,
        is_test: Callable[[RecordedRequest, str], bool],
    ) -> None:
        self._is_test = is_test
        self._question = question
        self._destination = destination
        self._requests = destination.definition.requests
        aligned = question.aligned or _DAY
        from_ = round((_ABOUT_NOW // aligned) * aligned * 1000)
        self._range = (from_, from_ + round(aligned * 1000))
        self._roots = self._usage_roots()
        self._answers: dict[str, Any] = {}
        self._successes: list[_Success] = []
        for step in question.steps:
            made = self._success(step)
            self._successes.append(made)
            self._answers[step.name] = made.found
        last = len(question.steps) - 1
        counted, _ = self._ask(last, lambda number: self._usual(min(number - 1, last)))
        if counted.amount is None:
            msg = (
                f"{destination.definition.slug}, action {action}: with successes made from the"
                f" definition its usage cannot be asked for: {counted.error}; give the requests an"
                " `example` of an answer"
            )
            raise UsageError(msg)
        self._amount = counted.amount

    @staticmethod
    def can_be_asked(question: UsageQuestion, requests: Mapping[str, RequestDefinition]) -> bool:
        """Return whether all requests of a question are written."""
        calls = [requests[step.request].call for step in question.steps]
        return not any(isinstance(call, PendingDefinition) for call in calls)

    def names(self, place: int) -> Iterator[str]:
        """Yield the names of the faults that the step at a place can meet.

        Lists and pages can be made where plain paths read them.
        """
        step = self._question.steps[place]
        yield from ("HTML", *_STATUSES, *_WITHOUT_ANSWER, _CUT_OFF)
        if step.items is not None and plain_keys(step.items, "answer") is not None:
            yield from (_NO_LIST, _NONE_FITS, _TWO_FIT)
        if place == len(self._question.steps) - 1:
            for name, replacement in ((_TEXT, MESSAGE), (_NO_NUMBER, UNDEFINED)):
                made = self._without_number(replacement)
                if made is not None and not self._means_nothing(step, made):
                    yield name
        if self._page(place, 1) is not None:
            yield from (_ENDLESS, _AGAIN)

    def play(self, place: int, name: str) -> UsageFaultResult:
        """Ask with the fault at a step, and compare what came of it."""
        counted, asked = Counted(None, "the partner is asked without an end"), 0
        try:
            counted, asked = self._ask(place, lambda number: self._reply(place, name, number))
        except _NeverEndsError:
            asked = _MOST
        if counted.amount is None:
            ending = _ERROR
        else:
            ending = _NOTHING if name != _ONCE and not counted.amount else _COUNTED
        asked = max(0, asked - place)
        return UsageFaultResult(
            ending, asked, list(self._differences(place, name, counted, ending, asked))
        )

    def _differences(
        self, place: int, name: str, counted: Counted, ending: str, asked: int
    ) -> Iterator[tuple[str, object, object]]:
        step = self._question.steps[place]
        expected = self._expected(step, name)
        if ending != expected:
            got = counted.error if counted.amount is None else f"{counted.amount:f}"
            yield "usage ends as", expected, f"{ending} ({got})"
        elif expected == _COUNTED and counted.amount != self._amount:
            yield "usage shown", f"{self._amount:f}", f"{counted.amount:f}"
        elif expected == _ERROR and step.request not in counted.error:
            yield "message names", step.request, counted.error
        elif asked != _ASKED.get(name, asked):
            yield "pages asked for", _ASKED[name], asked

    def _expected(self, step: UsageStep, name: str) -> str:
        if name == _ONCE:
            return _COUNTED
        if name in _STATUSES and self._means_nothing(step, self._refusal(step, name)):
            return _NOTHING
        return _ERROR

    def _means_nothing(self, step: UsageStep, reply: HttpResponse) -> bool:
        """Return whether the definition says of an answer that nothing was counted."""
        (verdict,) = self._destination.requests[step.request].read(reply, 1)
        return isinstance(verdict, Answer) and verdict.name in self._question.nothing

    # -- asking --------------------------------------------------------------------------------

    def _ask(self, place: int, answer: Callable[[int], Reply]) -> tuple[Counted, int]:
        """Ask the question, and return how many requests it took; ``answer`` gets their numbers.

        A request whose key is refused at the step is followed by the test of the credentials.
        """
        asked, name = 0, self._question.steps[place].request

        def reply(request: RecordedRequest) -> Reply:
            nonlocal asked
            asked += 0 if asked > place and self._is_test(request, name) else 1
            if asked > _MOST:
                raise _NeverEndsError
            return answer(asked)

        transport = HttpTransport(self._destination.definition.transport.timeouts)
        sender = Sender(self._destination, transport, clock=StillClock())
        asker = UsageAsker(self._destination, sender, self._question, most_pages=_PAGES)
        try:
            with Wire(reply):
                return asker.ask(_USER, _FEATURE, *self._range), asked
        finally:
            transport.close()

    def _reply(self, place: int, name: str, number: int) -> Reply:
        """Return the reply to a request by its number: each step before the fault is one."""
        if number <= place:
            return self._usual(number - 1)
        of_step, step = number - place, self._question.steps[place]
        if name == _ONCE and of_step > 1:
            return self._usual(min(place + of_step - 1, len(self._question.steps)) - 1)
        if name in _STATUSES:
            return self._refusal(step, name)
        if name in _WITHOUT_ANSWER:
            return _WITHOUT_ANSWER[name]
        if name == _CUT_OFF:
            return CutResponse(self._usual(place))
        return _HTML if name == "HTML" else self._wrong(place, name, of_step)

    def _wrong(self, place: int, name: str, number: int) -> HttpResponse:
        """Return an answer with a success's status that has no number, no list, or no end."""
        step = self._question.steps[place]
        made: HttpResponse | None
        if name in {_ENDLESS, _AGAIN}:
            made = self._page(place, 1 if name == _AGAIN else number)
        elif name in {_TEXT, _NO_NUMBER}:
            made = self._without_number(MESSAGE if name == _TEXT else UNDEFINED)
        else:
            fitting, keys = self._successes[place].found, plain_keys(step.items, "answer")
            assert keys is not None  # noqa: S101 - its fault has a name
            items: Mapping[str, Any] = {
                _NO_LIST: MESSAGE,
                _NONE_FITS: [self._other_item(place)],
                _TWO_FIT: [fitting, fitting],
            }
            made = self._answer(step, with_value(self._successes[place].data, keys, items[name]))
        assert made is not None  # noqa: S101 - its fault has a name
        return made

    def _refusal(self, step: UsageStep, name: str) -> HttpResponse:
        is_graphql = isinstance(self._requests[step.request].call, GraphQLDefinition)
        body = {"errors": [graphql_error()]} if is_graphql else {"message": MESSAGE}
        return http_response(RecordedResponse(_STATUSES[name], json=body))

    # -- answers -------------------------------------------------------------------------------

    def _usage_roots(self) -> dict[str, Any]:
        start, end = self._range
        usage = {"user": _USER, "feature": _FEATURE, "from": iso_time(start), "to": iso_time(end)}
        return {"usage": {**usage, "last": iso_time(end - 1)}}

    def _usual(self, place: int) -> HttpResponse:
        step = self._question.steps[place]
        return self._answer(step, self._successes[place].data)

    def _answer(self, step: UsageStep, data: Any) -> HttpResponse:
        return success(replace(self._requests[step.request], example=data), 1)

    def _success(self, step: UsageStep) -> _Success:
        """Return an answer to a step, which is the last of its pages, with an item that fits."""
        data = copy.deepcopy(success_value(self._requests[step.request]))
        following = plain_keys(self._following(step), "answer")
        if following:
            data = with_value(data, following, None)
        if step.items is None:
            return _Success(data, data)
        listed = self._resolved(step.items, {"answer": data})
        found = copy.deepcopy(listed[0]) if isinstance(listed, list) and listed else {}
        keys = plain_keys(step.items, "answer")
        if keys is not None:
            for member, value in self._wanted(step).items():
                found = with_value(found, member.split("."), value)
            data = with_value(data, keys, [found])
        return _Success(data, found)

    def _following(self, step: UsageStep) -> object:
        """Return what gives the next page of the answer to a step."""
        is_sum = step.items is None and step is self._question.steps[-1]
        return self._question.next if is_sum else step.next

    def _wanted(self, step: UsageStep) -> dict[str, Any]:
        context = {**self._roots, "answers": self._answers}
        context["settings"] = self._destination.settings
        found = {member: self._resolved(value, context) for member, value in step.where.items()}
        return {key: reveal(one) if isinstance(one, str) else one for key, one in found.items()}

    def _other_item(self, place: int) -> Any:
        """Return an item that does not fit."""
        found = self._successes[place].found
        for member in self._question.steps[place].where:
            found = with_value(found, member.split("."), MESSAGE)
        return found

    def _page(self, place: int, number: int) -> HttpResponse | None:
        """Return a page that names the next one by a number; None if it cannot be made.

        It has nothing that fits, if an item is looked for: else the search would end there.
        """
        step = self._question.steps[place]
        keys = plain_keys(self._following(step), "answer")
        if not keys:
            return None
        data = self._successes[place].data
        if step.items is not None:
            items = plain_keys(step.items, "answer")
            if items is None:
                return None
            data = with_value(data, items, [self._other_item(place)])
        return self._answer(step, with_value(data, keys, f"page-{number}"))

    def _without_number(self, replacement: Any) -> HttpResponse | None:
        """Return an answer to the last step of which ``shown`` makes no number; None if none is.

        It has the replacement in place of one of its values, or lacks that if it is UNDEFINED.
        """
        step, made = self._question.steps[-1], self._successes[-1]
        keys = () if step.items is None else plain_keys(step.items, "answer")
        if keys is None:
            return None
        for path in sorted(_paths(made.found), key=len, reverse=True):
            found = _changed(made.found, path, replacement)
            context = {"answer": found, "answers": {**self._answers, step.name: found}}
            shown = self._resolved(self._question.shown, context)
            amounts = shown if isinstance(shown, list) else [shown]
            if any(read_amount(one) is None for one in amounts):
                data = found if step.items is None else with_value(made.data, keys, [found])
                return self._answer(step, data)
        return None

    def _resolved(self, mapping: object, context: Mapping[str, Any]) -> Any:
        try:
            return compile_value(mapping).resolve(context)
        except (ResolveError, IntegrationError):
            return UNDEFINED


_ASKED: Final[Mapping[str, int]] = {_ENDLESS: _PAGES, _AGAIN: 2}
"""How many pages are asked for, until it is clear that they do not end."""


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all that is within a JSON value."""
    if isinstance(value, Mapping):
        pairs: Sequence[tuple[str | int, Any]] = list(value.items())
    else:
        pairs = list(enumerate(value)) if isinstance(value, list) else []
    for key, one in pairs:
        yield (*path, key)
        yield from _paths(one, (*path, key))


def _changed(value: Any, path: Sequence[str | int], replacement: Any) -> Any:
    """Return a copy of a JSON value with a replacement at a path, or without what is there."""
    made = copy.deepcopy(value)
    held = made
    for key in path[:-1]:
        held = held[key]
    if replacement is UNDEFINED:
        del held[path[-1]]
    else:
        held[path[-1]] = replacement
    return made
