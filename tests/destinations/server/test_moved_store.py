"""A server goes on with a store that was moved: what waited, once, and what came before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from destinations.errors import UsageError
from destinations.operations import move_store
from destinations.server import ServeConfig, Service
from tests.destinations.server.conftest import RECEIVER_KEY, Partner
from tests.postgres_server import new_store_address

Start = Callable[[ServeConfig], Service]


def _post(service: Service, *names: str) -> None:
    """Send an event of each name, all of one user."""
    for name in names:
        event = {
            "type": "track",
            "event": "Sample",
            "userId": "ann",
            "messageId": name,
            "properties": {"by": 1, "thing": name},
        }
        headers = {"Authorization": RECEIVER_KEY}
        answer = requests.post(service.urls["one"], json=event, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text


def test_a_server_goes_on_with_it(
    start: Start, configure: Callable[..., ServeConfig], partner: Partner, tmp_path: Path
) -> None:
    """Into a database and back: each event is delivered once, whichever store accepted it."""
    address, back = new_store_address(), tmp_path / "back.sqlite3"
    in_database: dict[str, Any] = {
        "postgres": {"dsn": str(address), "hardStop": False},
    }
    service = start(configure("one"))
    _post(service, "before")
    partner.wait_for("before")
    partner.is_down = True
    _post(service, "waits")
    service.stop()
    move_store(tmp_path / "s.sqlite3", address)
    with pytest.raises(UsageError, match="was moved to"):
        start(configure("one"))

    partner.is_down = False
    service = start(configure("one", store=in_database))
    partner.wait_for("waits")
    _post(service, "before", "waits", "later")
    partner.wait_for("later")
    service.stop()
    move_store(address, back)
    with pytest.raises(UsageError, match="was moved to"):
        start(configure("one", store=in_database))

    service = start(configure("one", store={"path": str(back)}))
    _post(service, "before", "waits", "later", "last")
    partner.wait_for("last")
    assert partner.things == ["before", "waits", "later", "last"]


def test_a_right_that_is_taken_away(
    start: Start, configure: Callable[..., ServeConfig], partner: Partner
) -> None:
    """Senders are told to come again; once it is given back, all goes on."""
    address = new_store_address()
    with psycopg.connect(address.url, autocommit=True) as owner:
        owner.execute("CREATE ROLE app_of_test LOGIN IN ROLE postgres")
        owner.execute("GRANT ALL ON SCHEMA destinations TO app_of_test")
        url = address.url.replace("postgres@", "app_of_test@")
        service = start(configure("one", store={"postgres": {"dsn": url, "hardStop": False}}))
        _post(service, "before")
        partner.wait_for("before")
        owner.execute("REVOKE postgres FROM app_of_test")
        event = {"type": "track", "event": "Sample", "userId": "ann", "messageId": "while"}
        event |= {"properties": {"by": 1, "thing": "while"}}  # type: ignore[dict-item]
        answer = requests.post(
            service.urls["one"], json=event, headers={"Authorization": RECEIVER_KEY}, timeout=30
        )
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
        assert "app_of_test" not in answer.text
        owner.execute("GRANT postgres TO app_of_test")
        _post(service, "while", "after")
        partner.wait_for("after")
        service.stop()
        owner.execute("DROP OWNED BY app_of_test")
        owner.execute("DROP ROLE app_of_test")
    assert partner.things == ["before", "while", "after"]
