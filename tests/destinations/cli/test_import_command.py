from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures" / "segment"
CATALOG = Path(__file__).parents[2] / "conformance" / "definitions.json.gz"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_from_a_catalog_to_payloads(command: Callable[..., Any], write: Any) -> None:
    """Import, validate, explain, diff: the payload is there, and what is left to do is named."""
    slug = "actions-canny"
    done = command("import", "segment", CATALOG, "--destination", slug)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{slug}/")
    assert f"Next: destinations validate {slug}\n" in done.out
    assert "Requests to write in actions-canny/destination.yaml: " in done.out
    valid = command("validate", slug)
    assert valid.code == 0
    assert "Left to do: write the request " in valid.out
    event = {"type": "identify", "userId": "u", "messageId": "m", "traits": {"name": "N"}}
    explained = command("explain", slug, write("event.json", event), "--json")
    (followed,) = [item for item in explained.json["subscriptions"] if item["matches"]]
    assert followed["payload"]["traits"]["name"] == "N"
    (request,) = followed["requests"]
    assert "not written yet" in request["note"]
    assert command("diff", slug, slug).code == 0


def test_nothing_can_be_sent(command: Callable[..., Any], write: Any) -> None:
    """A definition with pending requests does not run, and says which they are."""
    command("import", "segment", FIXTURES / "metadata.json")
    events = write("events.ndjson", [{"type": "track", "event": "E", "userId": "u"}])
    settings = write("settings.json", {"apiKey": "secret-key"})
    folder = "actions-sample-partner"
    done = command("run", folder, "--events", events, "--settings", settings)
    assert done.code == 2
    assert "these requests are not written: trackEvent, saveUser" in done.err
    for arguments in (["check", folder, "--settings", settings], ["test", folder]):
        done = command(*arguments)
        assert done.code == 2
        assert "Traceback" not in done.err


def test_the_page(command: Callable[..., Any]) -> None:
    """An imported definition can have its documentation page built."""
    command("import", "segment", CATALOG, "--destination", "actions-voyage")
    assert command("docs", "build", "actions-voyage", "--out", "docs").code == 0
    assert Path("docs/actions-voyage/actions-voyage.md").is_file()


def test_a_written_request_is_sent_like_any_other(command: Callable[..., Any], write: Any) -> None:
    """With rest in the place of pending, explain shows the request."""
    command("import", "segment", FIXTURES / "metadata.json")
    path = Path("actions-sample-partner/destination.yaml")
    written = (
        "rest:\n      method: POST\n      url: https://api.example.com/events\n"
        "      json: {'@path': $.payload}"
    )
    pending = "pending: what is sent to the partner; Segment's file does not say it."
    path.write_text(path.read_text("utf-8").replace(pending, written, 1), "utf-8")
    track = {"type": "track", "event": "E", "userId": "u", "messageId": "m"}
    event = write("event.json", {**track, "timestamp": "2026-01-01T00:00:00Z"})
    explained = command("explain", "actions-sample-partner", event, "--json")
    (request,) = explained.json["subscriptions"][0]["requests"]
    body = {"user": "u", "name": "E of u", "amount": 1, "at": "2026-01-01T00:00:00Z"}
    assert request["request"]["body"] == body
    assert "saveUser" in command("validate", "actions-sample-partner").out


def test_subscriptions(command: Callable[..., Any]) -> None:
    """--into adds to a definition that is there, and stands alone."""
    command("import", "segment", FIXTURES / "metadata.json", "--out", "mine")
    done = command("import", "segment", FIXTURES / "subscriptions.json", "--into", "mine")
    assert done.code == 0
    assert done.out.startswith("mine/destination.yaml\n")
    assert "the preset 'Switched off' is set aside" in done.out
    assert "4 presets" in command("validate", "mine").out
    both = command(
        "import", "segment", FIXTURES / "subscriptions.json", "--into", "mine", "--force"
    )
    assert (both.code, "--into cannot be used with" in both.err) == (2, True)


def test_json(command: Callable[..., Any]) -> None:
    """--json prints the same for machines."""
    done = command("import", "segment", FIXTURES / "metadata.json", "--json")
    assert done.json["folder"] == "actions-sample-partner"
    assert done.json["pending"] == ["trackEvent", "saveUser"]
    assert len(done.json["files"]) == 6
    assert {"message", "path", "file", "line"} == set(done.json["notes"][0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "holds no destination"),
        ("[", "is not JSON"),
        ('{"slug": "a", "actions": {"b": {"fields": {"c": {}}}}}', "/actions/b/fields/c/type"),
    ],
)
def test_faulty_files(
    content: str, message: str, command: Callable[..., Any], write: Callable[[str, Any], Path]
) -> None:
    """Exit code 2 and the place of the issue; no folder is left behind."""
    done = command("import", "segment", write("x.json", content), "--out", "made")
    assert done.code == 2
    assert message in done.err
    assert not Path("made").exists()
