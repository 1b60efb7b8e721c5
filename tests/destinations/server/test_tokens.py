"""A server of a partner that takes requests with access tokens only (OAuth2)."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.definition import load_definition
from destinations.errors import DefinitionError, UsageError
from destinations.operations import server_status, store_status
from destinations.operations.pauses import (
    RefusedCredentials,
    missing_tokens,
    refused_credentials,
)
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from destinations.server import ServeConfig, Service, read_config
from destinations.server import service as server_service
from destinations.server.partners import configured_partners
from destinations.store import (
    SealedValues,
    SqliteStore,
    Tenants,
    broken_rules,
    erase_tenant,
    make_sealing_key,
)
from destinations.telemetry import Observation
from tests.oauth2_samples import SETTINGS, write_oauth2

KEY = "the-key-of-receivers"
SEAL = make_sealing_key().reveal()


class Place:
    """The folder of a server, with the partner that it delivers to."""

    def __init__(self, path: Path, observation: Observation) -> None:
        self.path = path
        folder = write_oauth2(path / "ledgerly", "refreshToken")
        self.partner = DefinitionSandbox(load_definition(folder))
        assert self.partner.tokens is not None
        self.tokens = self.partner.tokens
        self.tokens.rotates = True
        self._observation = observation
        self.service: Service | None = None
        self._number = 0

    def config(
        self, *, sealing: bool = True, refresh: str = SETTINGS["refreshToken"], **more: Any
    ) -> ServeConfig:
        document = {
            "listen": {"port": 0},
            "store": {"path": "s.sqlite3"},
            "destinations": [
                {
                    "name": "usage",
                    "destination": "./ledgerly",
                    "account": "one",
                    "receiver": {"keys": ["${RECEIVER}"]},
                    "settings": {
                        "endpoint": self.partner.url,
                        "clientId": SETTINGS["clientId"],
                        "clientSecret": "${SECRET}",
                        "refreshToken": "${REFRESH}",
                    },
                }
            ],
            **({"sealing": {"key": "${SEAL}"}} if sealing else {}),
            **more,
        }
        path = self.path / "serve.json"
        path.write_text(json.dumps(document))
        return read_config(path, self.environment | {"REFRESH": refresh})

    @property
    def environment(self) -> dict[str, str]:
        return {
            "RECEIVER": KEY,
            "SEAL": SEAL,
            "SECRET": SETTINGS["clientSecret"],
            "REFRESH": SETTINGS["refreshToken"],
        }

    def start(self, config: ServeConfig | None = None) -> Service:
        service = Service(config or self.config(), self._observation)
        service.start()
        self.service = service
        return service

    def stop(self) -> None:
        if self.service is not None:
            self.service.stop()
            self.service = None

    def post(self, count: int = 1) -> None:
        assert self.service is not None
        for _ in range(count):
            self._number += 1
            event = {
                "type": "track",
                "event": "Used",
                "userId": f"u{self._number}",
                "messageId": f"m{self._number}",
                "timestamp": "2026-05-01T10:00:00Z",
            }
            url = self.service.urls["usage"]
            assert requests.post(url, json=event, auth=(KEY, ""), timeout=10).status_code == 200

    @property
    def taken(self) -> int:
        count: int = self.partner.snapshot().get("record", (0, 0))[1]
        return count


@pytest.fixture
def place(tmp_path: Path, observation: Observation) -> Iterator[Place]:
    """A partner, and the folder of a server for it."""
    made = Place(tmp_path, observation)
    yield made
    made.stop()
    made.partner.close()


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        threading.Event().wait(0.01)
    pytest.fail("it did not come to that")


def test_a_server_keeps_its_tokens(place: Place) -> None:
    """It delivers with one token, and the next server goes on with the refresh token it got."""
    place.start()
    place.post(3)
    _until(lambda: place.taken == 3)
    assert place.tokens.issued == 1
    place.stop()
    place.tokens.revoke()
    place.start()
    place.post()
    _until(lambda: place.taken == 4)
    assert place.tokens.issued == 2


def test_a_server_without_sealing(place: Place) -> None:
    """It does not start, and says which destination needs what."""
    with pytest.raises(DefinitionError, match="the store keeps sealed: add sealing, with a key"):
        place.start(place.config(sealing=False))


def test_a_revoked_refresh_token_pauses(place: Place, stream: io.StringIO) -> None:
    """Events wait, none is dead, what to do is said; another refresh token delivers them all."""
    service = place.start()
    place.post()
    _until(lambda: place.taken == 1)
    place.tokens.revoke(refresh_token=True)
    place.post(3)
    _until(lambda: "credentials refused" in stream.getvalue())
    assert any("refuses the credentials" in one for one in service.remarks())
    place.tokens.grants = {"another-refresh-token"}
    service.reload(place.config(refresh="another-refresh-token"))
    _until(lambda: place.taken == 4)
    assert "dead" not in stream.getvalue()


def test_while_no_token_can_be_got(place: Place, stream: io.StringIO) -> None:
    """A revoked token, and an OAuth2 server that is away: events wait, which status tells."""
    place.start()
    place.post()
    _until(lambda: place.taken == 1)
    place.tokens.revoke()
    place.partner.faults.add({"match": {"request": "accessToken"}, "times": None, "status": 503})
    place.post(3)
    with SqliteStore(place.path / "s.sqlite3", read_only=True) as store:
        _until(lambda: bool(missing_tokens(store)))
        status = store_status(store, 0.0, server_status(store))
        (one,) = status.to_json(0.0)["destinations"]
        assert "HTTP 503" in one["token_missing"]["reason"]
        _until(lambda: stream.getvalue().count("no access token from") > 0)
        ledger = store.ledger()
        waiting = [one for one in ledger.find(Selection()) if one.status is not Outcome.DELIVERED]
        assert [one.attempts for one in waiting] == [0, 0, 0]
        # However often that was tried, the partner has not seen the old token again.
        assert place.taken == 1
        place.partner.faults.clear()
        _until(lambda: place.taken == 4)
        _until(lambda: not missing_tokens(store))
        _until(lambda: {one.attempts for one in ledger.find(Selection())} == {1})


def test_what_is_logged_says_what_to_do(place: Place, stream: io.StringIO) -> None:
    """The log and the note for operators name the setting that needs another value."""
    service = place.start()
    place.tokens.revoke(refresh_token=True)
    place.post()
    _until(lambda: "credentials refused" in stream.getvalue())
    _until(lambda: any("authorize again" in one for one in service.remarks()))
    assert "authorize again, put the new refresh token into the setting" in stream.getvalue()
    assert SETTINGS["refreshToken"] not in stream.getvalue()


@pytest.mark.parametrize("when", ["at-the-start", "while-it-runs", "after-a-renewal", "later"])
def test_where_it_is_said_what_to_do(
    place: Place, stream: io.StringIO, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever refused credentials are told, so is that an operator has to authorize again."""
    if when == "later":  # the next attempt is to follow soon
        monkeypatch.setattr(server_service, "_KEY_PAUSE", 0.2)
    service = place.start()
    if when != "at-the-start":
        place.post()
        _until(lambda: place.taken == 1)
    if when == "after-a-renewal":  # a further 401 is about the request, unless the test says more
        place.tokens.revoke()
        place.post()
        _until(lambda: place.taken == 2)
    since = None
    if when == "later":  # first it is the API that refuses, which a token has nothing to do with
        for name in ("record", "whoami"):
            place.partner.faults.add({"match": {"request": name}, "times": None, "status": 403})
        place.post()
        _until(lambda: bool(_refused(place)))
        since = _refused(place)["usage"].since
        assert "replace the key" in _refused(place)["usage"].cure
        assert "replace the key" in _errors(stream)
    place.tokens.revoke(refresh_token=True)
    place.partner.faults.clear()
    place.post()
    _until(lambda: "authorize again" in _errors(stream))
    _until(lambda: any("authorize again" in one for one in service.remarks()))
    assert "authorize again" in _refused(place)["usage"].cure
    assert since in {None, _refused(place)["usage"].since}
    with SqliteStore(place.path / "s.sqlite3", read_only=True) as store:
        status = store_status(store, 0.0, server_status(store))
    (one,) = status.to_json(0.0)["destinations"]
    assert "authorize again" in one["credentials_refused"]["reason"]
    # Further attempts say nothing new.
    assert _errors(stream).count("authorize again") == 1


def _refused(place: Place) -> Mapping[str, RefusedCredentials]:
    with SqliteStore(place.path / "s.sqlite3", read_only=True) as store:
        return refused_credentials(store)


def _errors(stream: io.StringIO) -> str:
    """Return the lines of the log on refused credentials."""
    return "\n".join(one for one in stream.getvalue().splitlines() if "credentials refused" in one)


def test_a_reload_that_brings_tokens_without_a_key(place: Place) -> None:
    """The sealing key is read at the start: the reload is refused, and nothing is changed."""
    config = place.config(sealing=False)
    webhook = {
        "name": "hook",
        "destination": "webhook",
        "receiver": {"keys": ["${RECEIVER}"]},
        "settings": {"url": "http://127.0.0.1:9/"},
    }
    (place.path / "other.json").write_text(
        json.dumps(
            {
                "listen": {"port": 0},
                "store": {"path": "s.sqlite3"},
                "destinations": [webhook],
            }
        )
    )
    del config
    service = place.start(read_config(place.path / "other.json", place.environment))
    with pytest.raises(UsageError, match="sealing is read when the server starts"):
        service.reload(place.config())
    assert set(service.urls) == {"hook"}


def test_a_command_asks_with_the_tokens_of_the_server(place: Place) -> None:
    """Partners of a configuration have its tokens; without the key they cannot be asked."""
    place.start()
    place.post()
    _until(lambda: place.taken == 1)
    place.stop()
    path = place.path / "serve.json"
    with SqliteStore(place.path / "s.sqlite3") as store:
        scopes = store.ledger().totals(0.0)
        (partner,) = configured_partners(path, place.environment, store, scopes)
        assert partner.destination.tokens is not None
        place.tokens.revoke()
        without = {key: value for key, value in place.environment.items() if key != "SEAL"}
        with pytest.raises(UsageError, match="the key of sealing cannot be read here"):
            configured_partners(path, without, store, scopes)


class Customers:
    """A server to which customers send with refresh tokens of their own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        place.tokens.grants = {"refresh-of-ann-0001", "refresh-of-bob-0001"}

    def config(self, secret: str = SETTINGS["clientSecret"]) -> ServeConfig:
        place = self.place
        document = {
            "listen": {"port": 0},
            "store": {"path": "s.sqlite3"},
            "sealing": {"key": "${SEAL}"},
            "destinations": [
                {
                    "name": "usage",
                    "destination": "./ledgerly",
                    "receiver": {"tenants": {"key": "refreshToken"}},
                    "settings": {
                        "endpoint": place.partner.url,
                        "clientId": SETTINGS["clientId"],
                        "clientSecret": "${SECRET}",
                    },
                }
            ],
        }
        path = place.path / "serve.json"
        path.write_text(json.dumps(document))
        return read_config(path, place.environment | {"SECRET": secret})

    def post(self, key: str, message: str) -> int:
        assert self.place.service is not None
        event = {
            "type": "track",
            "event": "Used",
            "userId": "u1",
            "messageId": message,
            "timestamp": "2026-05-01T10:00:00Z",
        }
        url = self.place.service.urls["usage"]
        return requests.post(url, json=event, auth=(key, ""), timeout=10).status_code


def test_customers_with_tokens_of_their_own(place: Place) -> None:
    """Each has its own chain of refresh tokens, which goes on although the key they send stays."""
    customers = Customers(place)
    for number in range(3):
        place.start(customers.config())
        for key in ("refresh-of-ann-0001", "refresh-of-bob-0001"):
            assert customers.post(key, f"m{number}-{len(key)}{key[11]}") == 200
        _until(lambda: place.taken == 2 * number + 2)  # noqa: B023 - called at once
        place.stop()
        place.tokens.revoke()
    assert place.tokens.issued == 6
    assert len(place.tokens.grants) == 2
    stored = b"".join(path.read_bytes() for path in place.path.glob("s.sqlite3*"))
    for secret in (*place.tokens.grants, "refresh-of-ann-0001"):
        assert secret.encode() not in stored


def test_a_customer_that_is_erased_leaves_no_token(place: Place) -> None:
    """Its refresh token goes with it; the next customer's stays."""
    customers = Customers(place)
    place.start(customers.config())
    for key in ("refresh-of-ann-0001", "refresh-of-bob-0001"):
        assert customers.post(key, f"m-{key[11]}") == 200
    _until(lambda: place.taken == 2)
    place.stop()
    with SqliteStore(place.path / "s.sqlite3") as store:
        sealed = SealedValues(store.database, None)
        for left in (1, 0):
            assert len(sealed.names("oauth2/")) == left + 1
            erase_tenant(store.database, Tenants(store.database).all()[0])
            assert len(sealed.names("oauth2/")) == left
            assert broken_rules(store.database) == []


def test_strangers_leave_nothing(place: Place) -> None:
    """A key that the partner refuses is refused here, and no row is kept of it."""
    customers = Customers(place)
    place.start(customers.config())
    assert [customers.post(f"a-made-up-key-{number}", f"m{number}") for number in range(3)] == [
        401
    ] * 3
    with SqliteStore(place.path / "s.sqlite3", read_only=True) as store:
        assert store.database.all("SELECT name FROM sealed WHERE name LIKE 'oauth2/%'") == []


def test_a_secret_of_the_operator_refuses_no_customer(place: Place) -> None:
    """What is wrong with the client is the operator's: no key of a customer counts as wrong."""
    customers = Customers(place)
    place.start(customers.config("another-secret-of-the-client"))
    assert customers.post("refresh-of-ann-0001", "m1") == 200
    place.stop()
    place.start(customers.config())
    _until(lambda: place.taken == 1)
