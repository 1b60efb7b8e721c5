"""A destination whose requests need tokens: what is said of its settings, shown, and opened."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from destinations import open_destination
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.errors import MissingExtraError, UsageError
from destinations.oauth2 import endpoint
from destinations.opening.binding import bind_destination
from destinations.runtime.destination import Destination
from destinations.runtime.explain import explain
from destinations.runtime.sender import Sender
from destinations.store import make_sealing_key
from tests.destinations.oauth2.conftest import Make, Partner, settings_of
from tests.oauth2_samples import SETTINGS, write_oauth2

EVENT = {
    "type": "track",
    "event": "Used",
    "userId": "user_1",
    "messageId": "m1",
    "timestamp": "2026-05-01T10:00:00Z",
}


def test_a_setting_that_is_missing(make: Make) -> None:
    """Settings without what a token needs are told before anything is sent."""
    definition = make("refreshToken")
    definition.settings["required"].remove("refreshToken")
    settings = check_settings(
        definition, Document("s", {"clientId": "c", "clientSecret": "secret-0001"}, {})
    )
    assert Destination(definition, settings).request_issues() == [
        "no access token can be got without refreshToken"
    ]


def test_a_url_that_is_none(make: Make) -> None:
    """A setting that makes no URL is told, too."""
    definition = make(tokenUrl={"@template": "{{settings.clientId}}/token"})
    (issue,) = Destination(definition, settings_of(definition)).request_issues()
    assert "must be an absolute http or https URL" in issue


def test_without_the_extra(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is missing, the message names the extra when settings are bound."""
    monkeypatch.setitem(sys.modules, "authlib.oauth2.client", None)
    endpoint._client_class.cache_clear()
    definition = make()
    with pytest.raises(
        MissingExtraError, match=r"scheme: oauth2 needs the library authlib, .*oauth2"
    ):
        bind_destination(definition, None, Document("s", _given(), {}))


def _given() -> dict[str, Any]:
    return {name: SETTINGS[name] for name in ("clientId", "clientSecret")}


def test_what_is_explained(make: Make) -> None:
    """The request has the place of the token; what follows where there is none is said."""
    definition = make("refreshToken")
    found = explain(Destination(definition, settings_of(definition)), json.dumps(EVENT).encode())
    (planned,) = found.subscriptions[0].requests
    assert planned.request is not None
    assert planned.request["headers"]["Authorization"] == "Bearer <access token>"
    assert planned.outcomes[:2] == (
        (
            "no access token from https://api.ledgerly.example/oauth/token for a refresh token",
            "waits; is never dead",
        ),
        (
            "access token refused (401)",
            "sent once more with a new one; costs no attempt",
        ),
    )


def test_requests_without_tokens_are_not_sent_with_any(make: Make) -> None:
    """Where no token is asked for, as in cases, the placeholder is what is sent."""
    definition, partner = make(), Partner()
    destination = Destination(definition, settings_of(definition))
    destination.keep_tokens(None)
    failure = Sender(destination, partner).test_credentials()
    assert failure is not None
    assert partner.used == ["<access token>"]
    assert partner.asked == []


def test_settings_of_another_customer_have_another_token(make: Make) -> None:
    """A destination with other settings gets its own token, from the same keeper."""
    definition, partner = make(), Partner()
    one = Destination(definition, settings_of(definition))
    other = one.with_settings(settings_of(definition, clientId="another-client"))
    same = one.with_settings(settings_of(definition))
    for destination in (one, other, same):
        assert Sender(destination, partner).test_credentials() is None
    assert partner.used == ["access-token-0001", "access-token-0002", "access-token-0001"]


def test_a_program(tmp_path: Path) -> None:
    """`open_destination` keeps tokens sealed in its store, and without a key it says what to do."""
    folder = write_oauth2(tmp_path / "ledgerly", "refreshToken")
    store, partner = tmp_path / "s.sqlite3", Partner(rotates=True)
    with pytest.raises(UsageError, match="give a sealing_key, which destinations store new-key"):
        open_destination(folder, SETTINGS, store=store, transport=partner)
    key = make_sealing_key().reveal()
    for number in range(2):
        with open_destination(
            folder, SETTINGS, store=store, transport=partner, sealing_key=key
        ) as opened:
            found = opened.deliver([{**EVENT, "messageId": f"m{number}"}])
            assert [one.outcome.value for one in found] == ["delivered"]
        partner.revoke()
    assert partner.count == 2
    with open_destination(folder, SETTINGS, transport=Partner()) as opened:
        assert opened.test_credentials() is None
