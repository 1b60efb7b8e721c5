"""Make the steps of an action: the requests that data chooses, one after another.

Steps run as a plugin's generator does: what several events ask for at once goes into the same
requests. Nothing is kept between two attempts; each begins with the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.definition import Perform, Step
from destinations.definition.model import SUCCESS
from destinations.errors import HeldError
from destinations.http import Answer
from destinations.outcome import Outcome
from destinations.runtime.action import Call, Done, Generated, Payload
from destinations.segment.javascript import type_name
from destinations.segment.validation import compile_schema

__all__ = ["OK", "AssumedAnswer", "StepCall", "Steps", "Unchanged", "assumed_answers"]

OK: Final = SUCCESS
"""The name of an answer that is a success."""

Condition = Callable[[Answer], bool]


@dataclass(frozen=True, slots=True)
class StepCall(Call):
    """The request of the step ``step``, after those in ``after``.

    ``answers`` is what its templates see of their answers, by step.
    """

    step: str = ""
    after: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Return the place for a message."""
        return f"in the step {self.step}" + (f", after {self.after}" if self.after else "")


@dataclass(frozen=True, slots=True)
class AssumedAnswer(Answer):
    """A success of which it is assumed that it fits the schemas of these ``steps``, and no other.

    So steps can be shown whose answers nobody has.
    """

    steps: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if not self.steps:
            return "ok, with which no step goes on"
        return f"ok, with which {' and '.join(sorted(self.steps))} goes on"


@dataclass(frozen=True, slots=True)
class Unchanged(Done):
    """The end of steps that only read, where that is no delivery: the event has this outcome."""

    outcome: Outcome = Outcome.REJECTED


class Steps:
    """The steps of one action, compiled; called with a payload, it starts on it.

    ``changing`` are the names of the requests that may change something. Where steps are left out
    and none of these was made, nobody got the event: it is not delivered unless the definition says
    that this is meant.
    """

    def __init__(self, perform: Perform, changing: Container[str]) -> None:
        self._steps = [(step, _conditions(step)) for step in perform.steps]
        self._changing = changing
        self._otherwise = perform.otherwise

    def __call__(self, payload: Payload) -> Generated:
        """Start on one payload."""
        return self._run(payload, resumes=False)

    def resume(self, payload: Payload) -> Generated:
        """Start on a payload for which an earlier attempt may have changed something."""
        return self._run(payload, resumes=True)

    def _run(self, payload: Payload, *, resumes: bool) -> Generated:
        answers: dict[str, Answer] = {}
        has_changed = False
        for step, conditions in self._steps:
            if all(name in answers and holds(answers[name]) for name, holds in conditions.items()):
                data = {name: answer.data for name, answer in answers.items()}
                answers[step.name] = yield StepCall(
                    step.request, payload, None, step.name, _shown(answers), data
                )
                has_changed = has_changed or step.request in self._changing
        done = f"steps: {_shown(answers)}"
        left_out = [step for step, _ in self._steps if step.name not in answers]
        if has_changed or not left_out or self._otherwise == "delivered":
            return Done(done)
        why = _unchanged(answers, left_out)
        if self._otherwise == "filtered":
            # What an earlier attempt may have changed, the steps have just found.
            return Done(done) if resumes else Unchanged(why, outcome=Outcome.FILTERED)
        if resumes:
            raise HeldError(f"an earlier attempt may have changed something, and now {why}")
        return Unchanged(why)


_MOST_KEYS: Final = 8
_LONGEST_KEY: Final = 40


def _unchanged(answers: Mapping[str, Answer], left_out: Sequence[Step]) -> str:
    """Return why nothing was changed: the answers that decided, and the steps that they fit not."""
    asked = {name for step in left_out for name in step.when}
    deciding = {name: answer for name, answer in answers.items() if name in asked}
    shown = ", ".join(f"{name} answered {_form(one)}" for name, one in deciding.items())
    names = ", ".join(step.name for step in left_out)
    return f"no step fits, so nothing was changed: {shown}; left out: {names}"


def _form(answer: Answer) -> str:
    """Return the name of an answer, or the form of a success, without its values."""
    if answer.name != OK:
        return answer.name
    if isinstance(answer, AssumedAnswer):
        return "something else"
    data = answer.data
    if not isinstance(data, dict):
        return _form_of(data)
    keys = [f"{key[:_LONGEST_KEY]}: {_form_of(item)}" for key, item in data.items()]
    more = ["..."] if len(keys) > _MOST_KEYS else []
    return f"{{{', '.join([*keys[:_MOST_KEYS], *more])}}}"


def _form_of(value: object) -> str:
    return f"array of {len(value)}" if isinstance(value, list) else type_name(value)


def _shown(answers: Mapping[str, Answer]) -> str:
    """Return the steps that were made, with the names of answers that are not successes."""
    return ", ".join(
        name if answer.name == OK else f"{name} ({answer.name})" for name, answer in answers.items()
    )


def _conditions(step: Step) -> dict[str, Condition]:
    return {name: _condition(step.name, wanted) for name, wanted in step.when.items()}


def _condition(step: str, wanted: str | Mapping[str, Any]) -> Condition:
    """Compile the condition of a step on one answer: its name, or the schema of a success."""
    if isinstance(wanted, str):
        return lambda answer: answer.name == wanted
    fits = compile_schema(dict(wanted)).is_valid

    def holds(answer: Answer) -> bool:
        if isinstance(answer, AssumedAnswer):
            return step in answer.steps
        return answer.name == OK and fits(answer.data)

    return holds


def assumed_answers(
    steps: Sequence[Step], name: str, answers: Iterable[Answer]
) -> Iterator[Answer]:
    """Yield answers to a step; a success once for each choice that later steps make by a schema.

    And once for none of them.
    """
    choosing = [one for one in steps if isinstance(one.when.get(name), Mapping)]
    choices = list(dict.fromkeys(frozenset(_alike(one, choosing, name)) for one in choosing))
    for answer in answers:
        if answer.name != OK or not choices:
            yield answer
            continue
        for chosen in (*choices, frozenset[str]()):
            yield AssumedAnswer(answer.name, answer.data, chosen)


def _alike(one: Step, choosing: Iterable[Step], name: str) -> Iterator[str]:
    """Yield the steps that go on with the same answers as this one."""
    return (other.name for other in choosing if other.when[name] == one.when[name])
