"""Answers that are asked for once, and the account of what was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from destinations.http import Answer, CompiledRequest, Failure
from destinations.runtime.destination import Destination
from destinations.runtime.sending import Item, Sender

PERSON = {"id": "u1", "name": "Ada"}


@pytest.fixture
def remembered(bind: Callable[..., Destination]) -> CompiledRequest:
    """The request ``find``, whose answer holds for everybody."""

    def change(documents: Any) -> None:
        documents["destination"]["requests"]["find"]["remember"] = True

    return bind(change).requests["find"]


@pytest.fixture
def ask(bind: Callable[..., Destination], clock: Any) -> Callable[..., list[Any]]:
    """Sends a request so many times through one sender, and gives the verdicts."""

    def run(request: CompiledRequest, transport: Any, times: int, memory: Any = None) -> list[Any]:
        policy = bind().definition.transport.retry
        stop = threading.Event()
        sender = Sender(policy, transport, clock, stop=stop, memory=memory, draw=lambda: 0.0)
        verdicts = []
        for _ in range(times):
            context = {"event": {}, "payload": {"id": "u1"}, "settings": {"endpoint": "http://h"}}
            item = Item(context, request.parts(context))
            sender.send(request, [item])
            verdicts.append(item.verdict)
        assert sender.requests_sent == len(transport.requests)
        return verdicts

    return run


def test_an_answer_is_remembered(
    remembered: CompiledRequest, ask: Callable[..., list[Any]], scripted: Any, replies: Any
) -> None:
    """The second time nothing is sent, and what was found out is left in the memory."""
    transport, memory = scripted([replies.data(PERSON)]), {}
    assert ask(remembered, transport, 3, memory) == [Answer("ok", PERSON)] * 3
    assert len(transport.requests) == 1
    assert memory == {"find": PERSON}


def test_an_answer_of_an_earlier_run_is_used(
    remembered: CompiledRequest, ask: Callable[..., list[Any]], scripted: Any, replies: Any
) -> None:
    """What is in the memory is not asked again, whatever it says."""
    transport = scripted([replies.lost])
    assert ask(remembered, transport, 1, {"find": None}) == [Answer("ok", None)]
    assert transport.requests == []


@pytest.mark.parametrize("name", ["missing", "failure"])
def test_only_successes_are_remembered(
    remembered: CompiledRequest,
    ask: Callable[..., list[Any]],
    scripted: Any,
    replies: Any,
    name: str,
) -> None:
    """An answer of another name, or none, is asked for again."""
    error = {"message": "no", "path": ["e0"], "extensions": {"code": "MISSING"}}
    first = replies.errors(error, data=None) if name == "missing" else replies.http(400)
    transport, memory = scripted([first, replies.data(PERSON)]), {}
    verdicts = ask(remembered, transport, 3, memory)
    assert (
        verdicts[0] == Answer("missing") if name == "missing" else isinstance(verdicts[0], Failure)
    )
    assert verdicts[1:] == [Answer("ok", PERSON)] * 2
    assert len(transport.requests) == 2


def test_other_answers_are_not_kept(
    bind: Callable[..., Destination],
    ask: Callable[..., list[Any]],
    scripted: Any,
    replies: Any,
) -> None:
    """A request that does not say so is sent every time."""
    transport, memory = scripted([replies.data(PERSON)]), {}
    ask(bind().requests["find"], transport, 3, memory)
    assert len(transport.requests) == 3
    assert memory == {}
