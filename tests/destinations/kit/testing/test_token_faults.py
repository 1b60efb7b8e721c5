"""Faults of access tokens: they pass with the runtime as it is, and not with one that is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from destinations.http import HttpRequest
from destinations.http.transport import Transport
from destinations.kit.testing.made_faults import FaultReport, fault_cases, play_fault
from destinations.kit.testing.subject import subject_in
from destinations.kit.testing.token_faults import token_fault_names
from destinations.oauth2 import (
    Access,
    KeptToken,
    Sent,
    TokenAnswer,
    TokenEndpoint,
    TokenHolder,
    answers,
    holder,
)
from tests.oauth2_samples import write_oauth2

Break = Callable[[pytest.MonkeyPatch], None]


def _played(tmp_path: Path, grant: str) -> Mapping[str, FaultReport]:
    subject = subject_in(write_oauth2(tmp_path / "ledgerly", grant))
    cases = [case for case in fault_cases(subject) if case.fault.kind == "token"]
    assert subject.definition.oauth2 is not None
    assert [case.fault.name for case in cases] == list(token_fault_names(subject.definition.oauth2))
    return {case.fault.name: play_fault(case) for case in cases}


@pytest.mark.parametrize(("grant", "count"), [("clientCredentials", 18), ("refreshToken", 21)])
def test_they_pass(tmp_path: Path, grant: str, count: int) -> None:
    """Each fault ends as it must, for both grants."""
    played = _played(tmp_path, grant)
    assert len(played) == count
    assert {name: one.differences for name, one in played.items() if not one.passed} == {}


def _never_renewed_on_401(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TokenHolder, "instead_of", lambda *_, **__: None)


def _without_early_renewal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holder, "_margin", lambda _: 0.0)


def _new_refresh_token_dropped(patch: pytest.MonkeyPatch) -> None:
    made = TokenHolder._made

    def forgetful(
        self: TokenHolder, kept: KeptToken, answer: TokenAnswer, *, after_401: bool
    ) -> KeptToken:
        found = made(self, kept, answer, after_401=after_401)
        return replace(found, refresh_token=kept.refresh_token)

    patch.setattr(TokenHolder, "_made", forgetful)


def _refusal_ends_events(patch: pytest.MonkeyPatch) -> None:
    refused = answers.refused

    def harsh(place: str, said: str, cure: answers.Cure) -> answers.TokenError:
        failure = refused(place, said, cure).failure
        return answers.TokenError(replace(failure, error_class="invalid", concerns="event"))

    patch.setattr(answers, "refused", harsh)


def _loss_not_noted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holder, "_LOST_NOTE", "")


def _renewed_for_each_401(patch: pytest.MonkeyPatch) -> None:
    def send(
        self: Access, request: HttpRequest, transport: Transport, *, is_test: bool = False
    ) -> Sent:
        assert is_test in {True, False}
        for _ in range(3):
            token = self._holder.current(self._endpoint, transport)
            headers = {**request.headers, "Authorization": f"Bearer {token}"}
            response = transport.send(replace(request, headers=headers))
            if response.status != 401:
                break
            self._holder._renewed(self._endpoint, transport, rejected=token)
        return Sent(response, token)

    patch.setattr(Access, "send_with_token", send)


def _refused_token_sent_again(patch: pytest.MonkeyPatch) -> None:
    current = TokenHolder.current

    def forgiving(self: TokenHolder, endpoint: TokenEndpoint, transport: Transport) -> str:
        self._is_refused = False
        return current(self, endpoint, transport)

    patch.setattr(TokenHolder, "current", forgiving)


BROKEN: Mapping[str, tuple[Break, str]] = {
    "no renewal on a 401": (_never_renewed_on_401, "access token: expired"),
    "no early renewal": (_without_early_renewal, "access token: about to expire"),
    "a refresh token is dropped": (_new_refresh_token_dropped, "refresh token: replaced"),
    "a refusal ends events": (_refusal_ends_events, "access token: revoked, with its grant"),
    "a loss is not told": (_loss_not_noted, "refresh token: replaced, and the answer lost"),
    "renewal for each 401": (_renewed_for_each_401, "access token: refused, though it is new"),
    "a refused token is sent again": (
        _refused_token_sent_again,
        "access token: refused, and no other can be got",
    ),
}


@pytest.mark.parametrize(("break_it", "fault"), BROKEN.values(), ids=BROKEN)
def test_they_find_what_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Break, fault: str
) -> None:
    """A runtime that does not do it fails the fault that is about it."""
    break_it(monkeypatch)
    assert not _played(tmp_path, "refreshToken")[fault].passed
