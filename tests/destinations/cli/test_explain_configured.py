"""Events explained by the configuration of a server, which need not have its secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, Any], Path]
Command = Callable[..., Any]

KEY = "prv_live_0123456789abcdef"
CALLS = {
    "name": "Calls",
    "partnerAction": "track",
    "subscribe": 'event = "API Called"',
    "mapping": {"featureId": "api-calls"},
}
EVENT = {
    "type": "track",
    "event": "API Called",
    "userId": "u1",
    "timestamp": "2026-01-01T00:00:00Z",
    "properties": {"delta": 2},
}


def _kana(name: str = "kana", **more: Any) -> dict[str, Any]:
    settings = {"apiKey": {"env": "KANA_KEY"}, "endpoint": "https://kana.example/graphql"}
    return {"name": name, "destination": "kana", "settings": settings, **more}


@pytest.fixture
def config(write: Write) -> Callable[..., Path]:
    """Writes a configuration of these destinations; its store does not exist."""

    def make(*destinations: Any, **more: Any) -> Path:
        document = {"store": {"path": "none/s.sqlite3"}, "destinations": destinations, **more}
        return write("serve.json", document)

    return make


def test_what_is_configured_counts(
    command: Command, write: Write, config: Callable[..., Path], tmp_path: Path
) -> None:
    """Settings, subscriptions and filters are those of the server; a secret has its name."""
    one = _kana(subscriptions=[CALLS], filters=[{"blockProperties": ["delta"]}])
    one["from"] = ["web"]
    path = config(one, sources=[{"name": "web", "keys": [{"env": "WRITE_KEY"}]}])
    before = sorted(tmp_path.rglob("*"))
    done = command("explain", write("event.json", EVENT), "--config", path, "--json")
    assert done.code == 0, done.err
    (followed,) = done.json["subscriptions"]
    assert followed["payload"] == {"userId": "u1", "featureId": "api-calls", "delta": 1}
    (request,) = followed["requests"]
    assert request["request"]["url"] == "https://kana.example/graphql"
    assert request["request"]["headers"]["Authorization"] == "<apiKey>"
    assert "kana: apiKey is shown as <apiKey>: the environment variable KANA_KEY" in done.err
    assert set(tmp_path.rglob("*")) - set(before) == {tmp_path / "event.json"}


def test_a_secret_that_is_there(
    command: Command,
    write: Write,
    config: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is masked."""
    monkeypatch.setenv("KANA_KEY", KEY)
    path = config(_kana(subscriptions=[CALLS]))
    done = command("explain", write("event.json", EVENT), "--config", path)
    assert "Authorization: ***" in done.out
    assert KEY not in done.out + done.err


@pytest.mark.parametrize(
    ("options", "actions"),
    [(["--destination", "other"], ["track"]), (["--destination", "kana"], ["identify", "track"])],
)
def test_one_of_several(
    command: Command,
    write: Write,
    config: Callable[..., Path],
    options: list[str],
    actions: list[str],
) -> None:
    """The one that is named is meant."""
    path = config(_kana(), _kana("other", subscriptions=[CALLS]))
    done = command("explain", write("event.json", EVENT), "--config", path, *options, "--json")
    assert sorted({one["action"] for one in done.json["subscriptions"]}) == actions


def test_customers_with_keys_of_their_own(
    command: Command, write: Write, config: Callable[..., Path]
) -> None:
    """What they send with their events has its name; the configuration says the rest."""
    settings = {"fromHeader": ["endpoint"], "allowUrls": ["endpoint"]}
    receiver = {"tenants": {"key": "apiKey", "settings": settings}}
    one = {"name": "kana", "destination": "kana", "receiver": receiver, "subscriptions": [CALLS]}
    path = config(one, sealing={"key": {"env": "SEALING_KEY"}})
    done = command("explain", write("event.json", EVENT), "--config", path, "--json")
    assert done.code == 0, done.err
    (request,) = done.json["subscriptions"][0]["requests"]
    assert request["request"]["url"] == "https://<endpoint>"
    assert request["request"]["headers"]["Authorization"] == "<apiKey>"


WRONG: dict[str, tuple[list[str], str]] = {
    "several and none named": (
        ["EVENT", "--config", "CONFIG"],
        "serve.json has 2 destinations; say which with --destination NAME: kana, canna",
    ),
    "an unknown one": (
        ["EVENT", "--config", "CONFIG", "--destination", "kena"],
        "serve.json has no destination 'kena'; it has: kana, canna; did you mean kana?",
    ),
    "settings as well": (
        ["EVENT", "--config", "CONFIG", "--settings", "s.yaml"],
        "--config has settings and connection",
    ),
    "a connection as well": (
        ["EVENT", "--config", "CONFIG", "--connection", "c.yaml"],
        "--config has settings and connection",
    ),
    "a name without a configuration": (
        ["kana", "EVENT", "--destination", "kana"],
        "use --config FILE as well",
    ),
    "nothing to explain by": (["--sample"], "expected DESTINATION, or --config FILE"),
    "no event": (["--config", "CONFIG", "--destination", "kana"], "expected either FILE"),
    "a destination in place of the event": (
        ["kana", "--config", "CONFIG", "--destination", "kana"],
        "cannot read the event file kana",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_together(
    command: Command,
    write: Write,
    config: Callable[..., Path],
    arguments: list[str],
    message: str,
) -> None:
    """It is told, with the names that there are."""
    places = {"EVENT": write("event.json", EVENT), "CONFIG": config(_kana(), _kana("canna"))}
    done = command("explain", *(places.get(one, one) for one in arguments))
    assert done.code == 2
    assert message in done.err, done.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"subscriptions": [{**CALLS, "partnerAction": "trak"}]}, "/subscriptions/0/partner"),
        ({"settings": {"apiKye": {"env": "KANA_KEY"}}}, "no such setting"),
        ({"destination": "kena"}, "kena"),
    ],
)
def test_a_configuration_with_a_fault(
    command: Command,
    write: Write,
    config: Callable[..., Path],
    more: dict[str, Any],
    message: str,
) -> None:
    """It is refused as the server does."""
    done = command("explain", write("event.json", EVENT), "--config", config({**_kana(), **more}))
    assert done.code == 2
    assert message in done.err, done.err
