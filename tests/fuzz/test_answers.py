"""Random answers of a partner are successes only where the definition says so, and never errors."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.definition import DestinationDefinition, load_definition
from destinations.http import Answer, Failure, HttpResponse, compile_request
from destinations.segment.validation import compile_schema
from tests.shipped import SHIPPED as NAMES

pytestmark = pytest.mark.fuzz

SHIPPED = importlib.resources.files("kana_destination.definitions")
LONGEST = 66_000
"""Of a message: what is read of an answer, and what is said around it. It is cut when shown."""


@pytest.fixture(scope="module")
def definitions() -> list[DestinationDefinition]:
    """All shipped definitions."""
    return [load_definition(SHIPPED.joinpath(name)) for name in NAMES]


def _bodies(strategies: Any) -> st.SearchStrategy[bytes]:
    error = st.fixed_dictionaries(
        {},
        optional={
            "message": st.one_of(
                st.text(max_size=20), st.just("a" * 100_000 + "!"), strategies.json
            ),
            "path": st.one_of(
                st.lists(st.sampled_from(["e0", "e1", 0]), max_size=2), strategies.json
            ),
            "extensions": st.one_of(
                st.fixed_dictionaries(
                    {"code": strategies.scalars, "exception": st.just({"name": "Error"})}
                ),
                strategies.json,
            ),
        },
    )
    value = st.one_of(
        st.fixed_dictionaries(
            {}, optional={"recorded": st.booleans(), "id": st.text(max_size=2), "ok": st.booleans()}
        ),
        strategies.json,
    )
    graphql = st.fixed_dictionaries(
        {},
        optional={
            "data": st.one_of(
                st.dictionaries(st.sampled_from(["e0", "e1"]), value), strategies.json
            ),
            "errors": st.one_of(st.lists(error, max_size=3), strategies.json),
            "error": strategies.json,
            "message": strategies.json,
        },
    )
    texts = st.one_of(graphql, value).map(lambda body: json.dumps(body).encode())
    return st.one_of(texts, st.binary(max_size=30), st.sampled_from([b"", b"ok", b"[" * 300]))


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_answers(
    data: st.DataObject, definitions: list[DestinationDefinition], strategies: Any
) -> None:
    """Each event gets an answer or a failure; a success is a 2xx whose value fits ``expect``."""
    definition = data.draw(st.sampled_from(definitions))
    request = data.draw(st.sampled_from(sorted(definition.requests.values(), key=lambda r: r.name)))
    compiled = compile_request(request, definition.transport, definition.error_rules)
    status = data.draw(st.one_of(st.just(200), st.integers(100, 599)))
    waits = st.one_of(
        st.text(max_size=10), st.sampled_from(["5", "-1", "Mon, 01 Jan 2999 00:00:00 +2359"])
    )
    headers = {"retry-after": data.draw(waits)}
    count = data.draw(st.integers(1, max(1, min(request.batch_size, 3))))
    response = HttpResponse(status, headers, data.draw(_bodies(strategies)))
    verdicts = compiled.read(response, count)
    assert len(verdicts) == count
    names = {"ok", *(answer.name for answer in request.answers)}
    for verdict in verdicts:
        if isinstance(verdict, Failure):
            assert verdict.message
            assert len(verdict.message) < LONGEST
            assert verdict.retry_after is None or verdict.retry_after >= 0
            assert str(verdict.error()) == verdict.message
            continue
        assert isinstance(verdict, Answer)
        assert verdict.name in names
        if verdict.name == "ok" and request.expect is not None:
            assert 200 <= status < 300
            assert compile_schema(dict(request.expect)).is_valid(verdict.data)
