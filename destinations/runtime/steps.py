"""Make the steps of an action: the requests that data chooses, one after another.

Steps run as a plugin's generator does: what several events ask for at once goes into the same
requests. Nothing is kept between two attempts; each begins with the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.definition import Perform, Step
from destinations.definition.model import SUCCESS
from destinations.http import Answer
from destinations.runtime.action import Call, Done, Generated, Payload
from destinations.segment.validation import compile_schema

__all__ = ["OK", "AssumedAnswer", "StepCall", "Steps", "assumed_answers"]

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


class Steps:
    """The steps of one action, compiled; called with a payload, it starts on it."""

    def __init__(self, perform: Perform) -> None:
        self._steps = [(step, _conditions(step)) for step in perform.steps]

    def __call__(self, payload: Payload) -> Generated:
        """Start on one payload."""
        answers: dict[str, Answer] = {}
        for step, conditions in self._steps:
            if all(name in answers and holds(answers[name]) for name, holds in conditions.items()):
                data = {name: answer.data for name, answer in answers.items()}
                answers[step.name] = yield StepCall(
                    step.request, payload, None, step.name, _shown(answers), data
                )
        return Done(f"steps: {_shown(answers)}")


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
    """Yield answers to a step; a success once for each choice that later steps make by a schema."""
    choosing = [one for one in steps if isinstance(one.when.get(name), Mapping)]
    choices = list(dict.fromkeys(frozenset(_alike(one, choosing, name)) for one in choosing))
    for answer in answers:
        if answer.name != OK or not choices:
            yield answer
            continue
        for chosen in choices:
            yield AssumedAnswer(answer.name, answer.data, chosen)


def _alike(one: Step, choosing: Iterable[Step], name: str) -> Iterator[str]:
    """Yield the steps that go on with the same answers as this one."""
    return (other.name for other in choosing if other.when[name] == one.when[name])
