"""Run the checks of an endpoint, and judge each by the answers that come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.errors import TemporaryError
from destinations.http.environment import proxy_of
from destinations.kit.portal.answer import EndpointAnswer
from destinations.kit.portal.checks import CHECKS, Check
from destinations.kit.portal.expected import Expected, Judgement, Verdict, judge
from destinations.kit.portal.samples import CALLS, Endpoint, Samples, new_mark
from destinations.kit.portal.sending import send_each, send_on_one_connection
from destinations.secrets import Masker, shown_url

__all__ = ["CheckedEndpoint", "Row"]

_PATIENCE: Final = 3
"""Checks in a row without an answer, after which the rest is skipped: each may take a time-out."""

_ANSWER_CHARACTERS: Final = 500
_SHORTEST_SETTING: Final = 8
"""Characters of a text in the settings that is masked like a secret; it may be one."""


@dataclass(frozen=True, slots=True)
class Row:
    """The result of a check.

    ``statuses`` are those of its answers in their order, 0 for none. ``status`` and ``answer`` are
    the status and the text, without secrets, of the answer that the verdict is about. ``message``
    says why the verdict is not ``ok``; for a fault also what it costs.
    """

    name: str
    sent: str
    status: int
    statuses: tuple[int, ...]
    answer: str
    verdict: Verdict
    expected: str
    message: str


class CheckedEndpoint:
    """An endpoint and what is known of it so far.

    ``mark`` is in the ids of all events that are sent. A request may take ``seconds`` in all.
    """

    def __init__(self, endpoint: Endpoint, *, seconds: float = 10.0, mark: str = "") -> None:
        self.mark = mark or new_mark()
        self._endpoint = endpoint
        self._seconds = seconds
        self._samples = Samples(endpoint, self.mark)
        self._masker = Masker(_secrets(endpoint))
        self._accepted: dict[str, bool] = {}
        self._silent = 0
        self._was_reached = False

    def run(self, checks: Sequence[Check] = CHECKS) -> Iterator[Row]:
        """Yield the row of each check.

        Raises `TemporaryError` if the endpoint cannot be reached at all.
        """
        for check in checks:
            skipped = self._reason_to_skip(check)
            if skipped:
                yield self._row(check, (), EndpointAnswer(0), Judgement(Verdict.SKIPPED, skipped))
            else:
                yield self._run(check)

    def _reason_to_skip(self, check: Check) -> str:
        """Return why a check cannot be made; an empty text if it can."""
        if self._silent >= _PATIENCE:
            return f"The endpoint did not answer {_PATIENCE} checks in a row."
        if check.needs != "nothing" and self._endpoint.key is None:
            return "It needs a key."
        if check.one_connection and proxy_of(self._endpoint.url):
            return "A proxy keeps connections of its own."
        if check.needs == "call" and not self._find_call():
            return "It needs a call that the endpoint accepts."
        return ""

    def _find_call(self) -> bool:
        """Return whether a call is known that the endpoint accepts; else the calls are tried."""
        for call in CALLS:
            if call not in self._accepted:
                answer = self._send([self._samples.post(self._samples.event(call))])[0]
                if not answer.status:
                    self._silent += 1
                    return False
                self._accepted[call] = answer.is_accepted
            if self._accepted[call]:
                self._samples.call = call
                return True
        return False

    def _run(self, check: Check) -> Row:
        requests = check.requests(self._samples)
        answers = self._send(list(requests.values()), one_connection=check.one_connection)
        if check.name in CALLS:
            self._accepted[check.name] = answers[0].is_accepted
        self._silent = 0 if any(answer.status for answer in answers) else self._silent + 1
        statuses = tuple(answer.status for answer in answers)
        takes_settings = self._endpoint.settings is not None
        expected = (takes_settings and check.with_settings) or check.expected
        if check.judged == "each":
            answer, judgement = _worst(expected, dict(zip(requests, answers, strict=True)))
        elif check.judged == "last of accepted" and not answers[0].is_accepted:
            answer = answers[0]
            reason = "The event before it was not accepted."
            judgement = Judgement(Verdict.SKIPPED, reason)
        else:
            answer = answers[-1]
            judgement = judge(expected, answer)
        return self._row(check, statuses, answer, judgement, expected)

    def _send(
        self, requests: Sequence[Any], *, one_connection: bool = False
    ) -> list[EndpointAnswer]:
        """Return the answers; raises `TemporaryError` if the first one of all has no connection."""
        send = send_on_one_connection if one_connection else send_each
        answers = list(send(requests, self._seconds))
        if not self._was_reached and answers[0].ending == "unreachable":
            place = shown_url(self._endpoint.url)
            reason = self._masker.foreign(answers[0].reason)
            raise TemporaryError(f"cannot reach {place}: {reason}")
        self._was_reached = True
        return answers

    def _row(
        self,
        check: Check,
        statuses: tuple[int, ...],
        answer: EndpointAnswer,
        judgement: Judgement,
        expected: Expected | None = None,
    ) -> Row:
        # Masked before it is cut: a part of a secret would not be recognised.
        text = self._masker.foreign(answer.message)
        if len(text) > _ANSWER_CHARACTERS:
            text = text[: _ANSWER_CHARACTERS - 1] + "…"
        return Row(
            check.name,
            check.sent,
            answer.status,
            statuses,
            text,
            judgement.verdict,
            str(expected or check.expected),
            self._masker.foreign(judgement.reason),
        )


_ORDER: Final = (Verdict.OK, Verdict.NOTE, Verdict.FAULT)


def _worst(
    expected: Expected, answers: dict[str, EndpointAnswer]
) -> tuple[EndpointAnswer, Judgement]:
    """Return the first of the answers with the worst verdict; its reason names its request."""
    judged = [(name, answer, judge(expected, answer)) for name, answer in answers.items()]
    name, answer, judgement = max(judged, key=lambda one: _ORDER.index(one[2].verdict))
    if name and judgement.reason:
        judgement = Judgement(judgement.verdict, f"With {name}: {judgement.reason}")
    return answer, judgement


def _secrets(endpoint: Endpoint) -> Iterator[str]:
    """Yield the key, and each text in the settings that may be a secret."""
    if endpoint.key is not None:
        yield endpoint.key
    left: list[Any] = [endpoint.settings]
    while left:
        match left.pop():
            case dict() as members:
                left += members.values()
            case list() as items:
                left += items
            case str() as text if len(text) >= _SHORTEST_SETTING:
                yield text
