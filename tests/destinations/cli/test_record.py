from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations._version import __version__
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing import recording
from destinations.kit.testing.stand_ins import StillClock
from destinations.segment.json_pointer import value_at

IDENTIFY = {
    "type": "identify",
    "userId": "user_0005",
    "messageId": "m-1",
    "traits": {"email": "five@example.com"},
}
TRACK = {
    "type": "track",
    "event": "Report Exported",
    "userId": "user_0005",
    "messageId": "m-2",
    "properties": {"featureId": "seats", "delta": 2},
}


@pytest.fixture
def record(command: Callable[..., Any], write: Any, tmp_path: Path) -> Callable[..., Any]:
    """Records these two events of Kana's, unless the arguments say otherwise."""
    events = write("events.ndjson", [IDENTIFY, TRACK])
    usual = {"--events": events, "--case": "one", "--cases": tmp_path / "cases"}

    def run(*arguments: str | Path, destination: str | Path = "kana") -> Any:
        given = [each for pair in usual.items() if pair[0] not in arguments for each in pair]
        return command("record", destination, *given, *arguments)

    return run


@pytest.mark.usefixtures("only_cases")
def test_from_the_sandbox_to_a_test(
    command: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """What was recorded replays; it says where the case is, and is never overwritten."""
    done = record("--description", "An email and usage.")
    assert (done.code, done.err) == (0, "")
    path = tmp_path / "cases" / "one.yaml"
    assert done.out.endswith(f"Recorded in {path}\n")
    text = path.read_text(encoding="utf-8")
    assert "description: An email and usage." in text
    assert "Authorization: placeholder-apiKey" in text
    assert "prv_" not in text
    assert "127.0.0.1" not in text
    assert f"recorded:\n  against: sandbox\n  version: {__version__}\n" in text
    tested = command("test", "kana", "--cases", tmp_path / "cases", "--json")
    assert tested.code == 0
    (case,) = tested.json["destinations"][0]["cases"]
    assert (case["events"], case["passed"]) == (2, True)
    again = record()
    assert (again.code, "one.yaml exists" in again.err) == (2, True)
    assert path.read_text(encoding="utf-8") == text


def test_what_the_sandbox_holds_at_first(
    record: Callable[..., Any], write: Any, tmp_path: Path
) -> None:
    """--seed makes another account; usage of a feature that it lacks is rejected."""
    feature = {"id": "calls", "name": "Calls", "type": "CONSUMABLE"}
    seed = write("seed.yaml", {"users": [{"id": "user_0005"}], "features": [feature]})
    assert record("--seed", seed).code == 0
    text = (tmp_path / "cases" / "one.yaml").read_text(encoding="utf-8")
    assert "outcome: rejected" in text


def test_beside_the_definition(command: Callable[..., Any], kana_folder: Path, write: Any) -> None:
    """Without --cases, in the definition's own folder; the name becomes the description."""
    events = write("events.json", [TRACK])
    done = command("record", kana_folder, "--events", events, "--case", "some-usage")
    assert done.code == 0
    text = (kana_folder / "cases" / "some-usage.yaml").read_text(encoding="utf-8")
    assert text.startswith("description: Some usage.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--case", "a b"], "invalid name"),
        (["--events", "nothing.ndjson"], "cannot read the events file nothing.ndjson"),
        (["--settings", "nothing.yaml"], "cannot read the settings file nothing.yaml"),
        (["--seed", "s.yaml", "--settings", "x.yaml"], "--seed fills a sandbox"),
        (["--live"], "--live records from a real account: name its settings"),
    ],
)
def test_wrong_usage(record: Callable[..., Any], arguments: list[str], message: str) -> None:
    """Exit code 2 and one clear line."""
    done = record(*arguments)
    assert (done.code, message in done.err) == (2, True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [("\n\n", "holds no events"), ("{}\n" * 1001, "holds 1,001 events; a case has 1,000")],
)
def test_too_few_and_too_many(
    record: Callable[..., Any], write: Any, lines: str, message: str
) -> None:
    """A case is there to be read."""
    done = record("--events", write("other.ndjson", lines))
    assert (done.code, message in done.err) == (2, True)


def test_without_a_plugin(
    command: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """The sandbox that is made from the definition answers; wrong settings have their place."""
    command("init", "partner", "--path", tmp_path)
    assert record(destination=tmp_path / "partner").code == 0
    text = (tmp_path / "cases" / "one.yaml").read_text(encoding="utf-8")
    assert "against: sandbox" in text
    assert "outcome: delivered" in text
    assert "endpoint: https://api.example.com" in text
    assert "127.0.0.1" not in text
    tested = command("test", tmp_path / "partner", "--cases", tmp_path / "cases", "--json")
    assert tested.code == 0
    settings = tmp_path / "settings.yaml"
    settings.write_text("apiKey: short\n", encoding="utf-8")
    wrong = record("--settings", settings, "--case", "two", destination=tmp_path / "partner")
    assert (wrong.code, "settings.yaml:1" in wrong.err) == (2, True)


def test_any_endpoint(
    command: Callable[..., Any],
    record: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With --settings, what they lead to: here a port where nobody listens.

    It is tried for as long as a run waits for its partner, and left as a run leaves it.
    """
    monkeypatch.setattr(recording, "PacedClock", StillClock)
    command("init", "partner", "--path", tmp_path)
    settings = tmp_path / "settings.yaml"
    settings.write_text("apiKey: ${KEY}\nendpoint: http://127.0.0.1:9\n", encoding="utf-8")
    monkeypatch.setenv("KEY", "sk_live_0123456789")
    assert record("--settings", settings, destination=tmp_path / "partner").code == 0
    case = (tmp_path / "cases" / "one.yaml").read_text(encoding="utf-8")
    assert case.count("failure: refused") > 2
    assert case.count("outcome: ready") == 1
    assert "sk_live" not in case


LIVE, TEST = "prv_live_", "prv_test_"
LOCAL, AWAY = "http://127.0.0.1:9/graphql", "https://kana.example/graphql"


@pytest.mark.parametrize(
    ("given", "options", "against"),
    [
        ((TEST, LOCAL), [], "sandbox"),
        ((TEST, "http://localhost:9/graphql"), [], "sandbox"),
        ((TEST, AWAY), [], "test"),
        (("prv_", AWAY), [], "test"),
        (("prv_", AWAY), ["--live"], "live"),
        ((LIVE, AWAY), ["--live"], "live"),
        ((LIVE, LOCAL), ["--live"], "live"),
        ((LIVE, LOCAL), [], "sandbox"),
        ((LIVE, AWAY), [], "are those of a real account: add --live"),
        (
            (TEST, AWAY),
            ["--live"],
            "--live is for a real account, but these settings of Kana are for",
        ),
    ],
)
def test_who_answered(
    record: Callable[..., Any],
    write: Any,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, str],
    options: list[str],
    against: str,
) -> None:
    """The case says it; a key of the other environment is refused before anything is sent."""
    sent: list[str] = []

    def send(transport: Any, request: HttpRequest) -> HttpResponse:
        sent.append(request.url)
        transport._keep(request, "refused")
        raise TransportError("no connection: Connection refused", sent=False)

    monkeypatch.setattr(recording, "PacedClock", StillClock)
    monkeypatch.setattr(recording._RecordingTransport, "send", send)
    key, endpoint = given
    settings = write("settings.json", {"apiKey": key + "0" * 32, "endpoint": endpoint})
    done = record("--settings", settings, "--case", "one", *options)
    if against not in {"sandbox", "test", "live"}:
        assert (done.code, against in done.err, sent) == (2, True, [])
        return
    assert (done.code, set(sent)) == (0, {endpoint})
    path = Path(done.out.rstrip().rpartition("Recorded in ")[2])
    text = path.read_text(encoding="utf-8")
    assert f"\n  against: {against}\n" in text
    # The address of a stand-in is gone when it ends.
    shown = endpoint if endpoint == AWAY else "https://api.usekana.com/graphql"
    assert f"\n  endpoint: {shown}\n" in text


ANSWER = {"data": {"e0": {"id": "user_0005", "name": "Bo Diddley", "email": "bo@acme.io"}}}


@pytest.fixture
def record_away(
    record: Callable[..., Any], write: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[Any, str]]:
    """Records an identify from a real account; returns the command's end and the case's text."""

    def send(transport: Any, request: HttpRequest) -> HttpResponse:
        response = HttpResponse(200, {}, json.dumps(ANSWER).encode())
        transport._keep(request, transport._recorded(response))
        return response

    # The run then waits for a minute of its clock, which nobody has to wait for.
    monkeypatch.setattr(recording, "PacedClock", StillClock)
    monkeypatch.setattr(recording._RecordingTransport, "send", send)
    settings = write("settings.json", {"apiKey": LIVE + "0" * 32, "endpoint": AWAY})
    traits = {"name": "Bo Diddley", "email": "bo@acme.io"}
    events = write("live.ndjson", [{**IDENTIFY, "traits": traits}])

    def run(*options: str) -> tuple[Any, str]:
        done = record("--settings", settings, "--live", "--events", events, *options)
        path = tmp_path / "cases" / "one.yaml"
        return done, path.read_text(encoding="utf-8") if path.exists() else ""

    return run


def test_personal_data_of_a_real_account(record_away: Callable[..., tuple[Any, str]]) -> None:
    """Without --pseudonymise it is recorded, and a warning says where it is, and what to do."""
    done, text = record_away()
    assert (done.code, "bo@acme.io" in text) == (0, True)
    first, *places, last = done.err.splitlines()
    path = done.out.rstrip().rpartition("Recorded in ")[2]
    assert first == (f"warning: {path} holds what looks like personal data: 2 IDs, 1 name, 1 email")
    assert places[:3] == [
        "  /events/0/messageId: ID",
        "  /events/0/traits/email: email",
        "  /events/0/traits/name: name",
    ]
    document = yaml.safe_load(text)
    for place in places:
        pointed, _, kind = place.strip().partition(": ")
        if not kind:
            assert pointed.startswith("and ")
            continue
        assert isinstance(value_at(document, pointed), str)
    assert last.startswith("Record the case with --pseudonymise")


@pytest.mark.parametrize(
    ("traits", "warned"),
    [
        ({"email": "ada@acme.io"}, ["/events/0/traits/email: email"]),
        ({"email": "ada@example.com"}, []),
        ({"firstName": "Ada"}, ["/events/0/traits/firstName: name"]),
        ({"contact": "+44 20 7946 0958"}, ["/events/0/traits/contact: phone"]),
        ({"lastIp": "8.8.8.8"}, ["/events/0/traits/lastIp: IP address"]),
        ({"lastIp": "192.0.2.8"}, []),
        ({"plan": "pro", "pushToken": "d0f2c6a91b"}, ["/events/0/traits/pushToken: token"]),
        ({"plan": "pro"}, []),
    ],
)
def test_personal_data_in_a_sandbox(
    record: Callable[..., Any], write: Any, traits: dict[str, str], warned: list[str]
) -> None:
    """Events may be those of real users, whoever answers; the made-up data of examples is none."""
    events = write("real.ndjson", [{**IDENTIFY, "traits": traits}])
    done = record("--events", events, destination="webhook")
    assert done.code == 0
    places = [line.strip() for line in done.err.splitlines() if line.startswith("  /events/0/")]
    assert places == warned
    assert done.err.startswith("warning: ") is bool(warned)


@pytest.mark.usefixtures("only_cases")
def test_stand_ins_for_personal_data(
    command: Callable[..., Any], record_away: Callable[..., tuple[Any, str]], tmp_path: Path
) -> None:
    """With it the case has stand-ins, and replays; there is no warning."""
    done, text = record_away("--pseudonymise")
    assert (done.code, done.err) == (0, "")
    assert "Stand-ins replace 2 IDs, 1 name, 1 email.\nRecorded in " in done.out
    for value in ("bo@acme.io", "acme", "Diddley", "user_0005", "m-1\n"):
        assert value not in text
    assert command("test", "kana", "--cases", tmp_path / "cases").code == 0


def test_a_description_with_personal_data(record_away: Callable[..., tuple[Any, str]]) -> None:
    """What --pseudonymise does not replace is refused, with its place, and nothing is written."""
    done, text = record_away("--pseudonymise", "--description", "Bo Diddley is there.")
    assert (done.code, text) == (2, "")
    assert "personal data would remain at /description" in done.err
