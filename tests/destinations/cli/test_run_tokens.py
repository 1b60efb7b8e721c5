"""``destinations run`` and ``check`` of a partner that takes requests with access tokens only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.cli.sealing_key import VARIABLE
from destinations.definition import load_definition
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from destinations.store import make_sealing_key
from tests.oauth2_samples import SETTINGS, write_oauth2

Command = Callable[..., Any]
Write = Callable[[str, Any], Path]

EVENTS = [
    {
        "type": "track",
        "event": "Used",
        "userId": f"user_{number}",
        "messageId": f"m{number}",
        "timestamp": "2026-05-01T10:00:00Z",
    }
    for number in range(4)
]


class Place:
    """A folder with a definition, its partner, settings, events and a sealing key."""

    def __init__(self, path: Path, command: Command, grant: str) -> None:
        self.path = path
        self._command = command
        self.folder = write_oauth2(path / "ledgerly", grant)
        self.partner = DefinitionSandbox(load_definition(self.folder))
        assert self.partner.tokens is not None
        self.tokens = self.partner.tokens
        self.key = path / "key"
        self.key.write_text(make_sealing_key().reveal() + "\n")
        self.store = path / "s.sqlite3"
        self.settings = path / "settings.json"
        self.write_settings()
        self.events = path / "events.ndjson"
        self.write_events(EVENTS)

    def write_settings(self, **changes: str) -> None:
        properties = load_definition(self.folder).settings["properties"]
        given = {**SETTINGS, "endpoint": self.partner.url, **changes}
        known = {name: value for name, value in given.items() if name in properties}
        self.settings.write_text(json.dumps(known))

    def write_events(self, events: list[dict[str, Any]]) -> None:
        self.events.write_text("".join(json.dumps(one) + "\n" for one in events))

    def run(self, *more: str | Path, key: Path | None = None) -> Any:
        return self._command(
            *("run", self.folder, "--events", self.events, "--settings", self.settings),
            *("--store", self.store, "--sealing-key", key or self.key, *more),
        )

    @property
    def taken(self) -> int:
        """How many events the partner has taken."""
        count: int = self.partner.snapshot().get("record", (0, 0))[1]
        return count

    def stored(self) -> bytes:
        """All that is in the store, and beside it."""
        paths = self.path.glob("s.sqlite3*")
        return b"".join(path.read_bytes() for path in paths)


@pytest.fixture(params=["clientCredentials"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """The place of a run; its sealing key is in no variable."""
    monkeypatch.delenv(VARIABLE, raising=False)
    made = Place(tmp_path, command, request.param)
    yield made
    made.partner.close()


refreshes = pytest.mark.parametrize("place", ["refreshToken"], indirect=True)
each_grant = pytest.mark.parametrize("place", ["clientCredentials", "refreshToken"], indirect=True)


@each_grant
def test_a_run(place: Place) -> None:
    """All is delivered with one token; a second run uses the same one, which the store keeps."""
    done = place.run()
    assert done.code == 0, done.err
    assert (place.taken, place.tokens.issued) == (4, 1)
    place.write_events([{**EVENTS[0], "messageId": "m9"}])
    assert place.run().code == 0
    assert (place.taken, place.tokens.issued) == (5, 1)


def test_without_a_key(place: Place, command: Command) -> None:
    """A store and no key: nothing is sent, the exit code is 2, and how to make one is said."""
    done = command(
        *("run", place.folder, "--events", place.events, "--settings", place.settings),
        *("--store", place.store),
    )
    assert done.code == 2
    assert "use --sealing-key FILE, or the environment variable DESTINATIONS_SEALING" in done.err
    assert "destinations store new-key > sealing-key" in done.err
    assert place.taken == place.tokens.issued == 0
    assert not place.store.exists()


def test_a_key_of_the_environment(
    place: Place, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable holds the key itself; the row opens with the same key of a file."""
    monkeypatch.setenv(VARIABLE, place.key.read_text())
    done = command(
        *("run", place.folder, "--events", place.events, "--settings", place.settings),
        *("--store", place.store),
    )
    assert done.code == 0, done.err
    place.write_events([{**EVENTS[0], "messageId": "m9"}])
    assert place.run().code == 0
    assert place.tokens.issued == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no sealing key: make one with"),
        ("short\n", "invalid sealing key: expected 32 bytes as Base64"),
        (None, "cannot read the sealing key"),
    ],
)
def test_a_key_that_is_none(place: Place, text: str | None, says: str) -> None:
    """It is told which file is wrong, and not what is in it."""
    path = place.path / "other"
    if text is not None:
        path.write_text(text)
    done = place.run(key=path)
    assert done.code == 2
    assert says in done.err
    assert str(path) in done.err
    assert "short" not in done.err.replace("other", "")


def test_another_key(place: Place) -> None:
    """Values of another key stop the command before it sends; that key as a second line helps."""
    place.run()
    other = place.path / "other"
    other.write_text(make_sealing_key().reveal() + "\n")
    done = place.run(key=other)
    assert done.code == 2
    assert "as further lines to --sealing-key FILE" in done.err
    with other.open("a") as file:
        file.write(place.key.read_text())
    assert place.run(key=other).code == 0


@refreshes
def test_a_refresh_token_that_is_replaced(place: Place) -> None:
    """Each run goes on with the token that the last one got, not with that of the settings."""
    place.tokens.rotates = True
    for number in range(3):
        place.write_events([{**EVENTS[0], "messageId": f"n{number}"}])
        done = place.run()
        assert done.code == 0, done.err
        place.tokens.revoke()
    assert (place.taken, place.tokens.issued) == (3, 3)
    (refresh,) = place.tokens.grants
    assert refresh.encode() not in place.stored()


@refreshes
def test_a_refresh_token_needs_a_store(place: Place, command: Command) -> None:
    """Without a store the new refresh token would be lost: nothing is sent."""
    done = command(
        *("run", place.folder, "--events", place.events, "--settings", place.settings),
        "--no-store",
    )
    assert done.code == 2
    assert "without a store the new one would be lost" in done.err
    assert place.tokens.issued == 0


def test_client_credentials_need_none(place: Place, command: Command) -> None:
    """A token that can be asked for again ends with the command."""
    done = command(
        *("run", place.folder, "--events", place.events, "--settings", place.settings),
        "--no-store",
    )
    assert done.code == 0, done.err
    assert place.tokens.issued == 1


@refreshes
def test_a_revoked_refresh_token_stops_the_run(place: Place) -> None:
    """No event ends: they wait, and another refresh token in the settings delivers them."""
    place.tokens.revoke(refresh_token=True)
    done = place.run()
    assert done.code == 2
    assert (
        "authorize again, put the new refresh token into the setting refreshToken, and" in done.err
    )
    assert "or run again with --same-account" in done.err
    assert place.taken == 0
    done = place.run("--no-check")
    assert done.code == 2
    assert "authorize again" in done.err
    with sqlite3.connect(place.store) as store:
        (dead,) = store.execute("SELECT count(*) FROM ledger").fetchone()
    assert dead == 0
    place.tokens.grants = {"another-refresh-token"}
    place.write_settings(refreshToken="another-refresh-token")
    done = place.run("--same-account")
    assert done.code == 0, done.err
    assert place.taken == 4


def test_a_token_that_expires_during_the_run_costs_no_attempt(place: Place) -> None:
    """The partner refuses three events once: all is delivered, by first attempts.

    The faults name the event: which request is the third depends on the threads of the run, and a
    second refusal of one event, with a new token, does cost an attempt.
    """
    for one in EVENTS[1:]:
        match = {"request": "record", "text": one["userId"]}
        place.partner.faults.add({"match": match, "status": 401})
    done = place.run("--json")
    assert done.code == 0, done.err
    assert place.taken == 4
    assert place.tokens.issued > 1
    with sqlite3.connect(place.store) as store:
        attempts = {row[0] for row in store.execute("SELECT attempts FROM ledger")}
    assert attempts == {1}


@pytest.mark.parametrize(
    "fault",
    [{"status": 503}, {"body": "<html>Sign in</html>"}, {"drop": "after"}],
    ids=["503", "HTML", "no answer"],
)
def test_an_oauth2_server_that_is_away(place: Place, fault: dict[str, Any]) -> None:
    """It is asked again, and all is delivered; nothing ends by it."""
    place.partner.faults.add({"match": {"request": "accessToken"}, **fault})
    done = place.run("--outage", "30", "--no-check")
    assert done.code == 0, done.err
    assert place.taken == 4


def test_an_oauth2_server_that_stays_away(place: Place) -> None:
    """The run ends with 75, its events wait, and the message is that of the server."""
    page = {"match": {"request": "accessToken"}, "times": None, "body": "<html>Sign in</html>"}
    place.partner.faults.add(page)
    done = place.run("--outage", "0.2")
    assert done.code == 75
    assert "HTTP 200 with HTML: expected JSON with access_token; check tokenUrl" in done.err
    place.partner.faults.clear()
    assert place.run().code == 0
    assert place.taken == 4


def test_the_sandbox_of_a_run(place: Place, command: Command) -> None:
    """--sandbox issues tokens as well, and keeps none of them."""
    done = command("run", place.folder, "--events", place.events, "--sandbox")
    assert done.code == 0, done.err
    assert "record" in done.out


def test_a_dry_run_asks_for_no_token(place: Place) -> None:
    """The request is shown with the place of the token; no key is needed."""
    done = place.run("--dry-run", key=place.path / "missing")
    assert done.code == 0, done.err
    assert "Authorization: Bearer <access token>" in done.out
    assert place.tokens.issued == 0


@refreshes
def test_check(place: Place, command: Command) -> None:
    """They are tested with a token that the store keeps, as the partner may replace it."""
    place.tokens.rotates = True
    words = ("check", place.folder, "--settings", place.settings, "--store", place.store)
    done = command(*words)
    assert done.code == 2
    assert "use --sealing-key FILE" in done.err
    for _ in range(2):
        done = command(*words, "--sealing-key", place.key)
        assert (done.code, done.out) == (0, "Ledgerly: valid.\n"), done.err
        place.tokens.revoke()
    place.tokens.revoke(refresh_token=True)
    done = command(*words, "--sealing-key", place.key)
    assert done.code == 2
    assert "refused. The partner refuses these credentials: no access token from" in done.err
    assert "authorize again" in done.err


def test_check_without_a_store(place: Place, command: Command) -> None:
    """Client credentials need neither a store nor a key."""
    before = set(place.path.iterdir())
    done = command("check", place.folder, "--settings", place.settings)
    assert (done.code, done.out) == (0, "Ledgerly: valid.\n"), done.err
    assert set(place.path.iterdir()) == before
    place.write_settings(clientSecret="a-wrong-secret")
    done = command("check", place.folder, "--settings", place.settings)
    assert done.code == 2
    assert "invalid_client" in done.err
    assert "check the settings clientId and clientSecret" in done.err
    assert "a-wrong-secret" not in done.err


@refreshes
def test_no_secret_is_shown(place: Place, command: Command) -> None:
    """What a partner repeats of tokens in its errors is masked in all that is shown or kept."""
    place.tokens.rotates = True
    tokens: set[str] = set()
    issue = place.tokens.answer

    def note(request: Any) -> Any:
        found = issue(request)
        made = json.loads(found.body)
        tokens.update(made[key] for key in ("access_token", "refresh_token") if key in made)
        return found

    place.tokens.answer = note  # type: ignore[method-assign]  # notes what is issued
    place.run()
    (refresh, access) = sorted(tokens, reverse=True)
    echo = {"match": {"request": "record"}, "status": 422, "times": None}
    place.partner.faults.add({**echo, "body": json.dumps({"message": f"{access} and {refresh}"})})
    place.write_events([{**EVENTS[0], "messageId": "n1"}])
    undelivered = place.path / "undelivered.ndjson"
    report = place.path / "report.html"
    done = place.run("--undelivered", undelivered, "--report", report)
    assert done.code == 1
    assert "*** and ***" in done.out
    identity = "1"
    with sqlite3.connect(place.store) as store:
        rows = store.execute("SELECT id FROM ledger ORDER BY id").fetchall()
        identity = str(rows[-1][0])
    shown = command("deliveries", "show", identity, "--store", place.store, "--attempts", "--curl")
    texts = [done.out, done.err, shown.out, shown.err, undelivered.read_text(), report.read_text()]
    for text in (*texts, place.stored().decode("latin-1")):
        for secret in (*tokens, *SETTINGS.values()):
            if secret != SETTINGS["clientId"]:
                assert secret not in text


@refreshes
def test_a_recorded_case_has_the_place_of_the_token(place: Place, command: Command) -> None:
    """The request for a token is in no case, nor is a token; the case replays without either."""
    place.tokens.rotates = True
    place.write_events(EVENTS[:1])
    words = ("--events", place.events, "--settings", place.settings)
    done = command("record", place.folder, "--case", "first", *words)
    assert done.code == 0, done.err
    text = (place.folder / "cases" / "first.yaml").read_text()
    assert "Authorization: Bearer <access token>" in text
    assert "oauth/token" not in text
    assert "sandbox-" not in text
    assert place.tokens.issued == 1
    done = command("test", place.folder, "--json")
    (tested,) = json.loads(done.out)["destinations"]
    assert tested["passed"], done.out
    assert len([one for one in tested["faults"] if one["request"] == "accessToken"]) == 21
