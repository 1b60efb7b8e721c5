"""``destinations export segment`` as a user reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.destinations.kit.exporter.folders import Definition
from tests.shipped import DEFINITIONS

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test in a folder with a definition."""
    monkeypatch.chdir(tmp_path)
    Definition().write(Path("acme"))


def _refused() -> None:
    definition = Definition()
    definition.request["remember"] = True
    definition.destination["transport"]["rateLimit"] = {"requests": 10, "per": 1}
    definition.write(Path("acme"))


def test_written_and_checked(command: Command) -> None:
    """It says how many files there are and changed, and which are not up to date."""
    done = command("export", "segment", "acme", "--into", "out", "--check")
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[0] == "out/__tests__/__helpers__/partner.ts is not up to date."
    assert done.out.splitlines()[-1] == "Next: destinations export segment acme --into out"
    assert not Path("out").exists()
    done = command("export", "segment", "acme", "--into", "out")
    assert (done.code, done.err, done.out) == (0, "", "Wrote 10 files to out.\n")
    for arguments in ((), ("--check",), ("--force",)):
        done = command("export", "segment", "acme", "--into", "out", *arguments)
        assert (done.code, done.err, done.out) == (0, "", "out is up to date.\n")
    Path("out/requests.ts").unlink()
    done = command("export", "segment", "acme", "--into", "out")
    assert (done.code, done.out) == (0, "Wrote 1 of 10 files to out.\n")


def test_an_action_that_is_gone(command: Command) -> None:
    """Files that are removed are named."""
    definition = Definition()
    definition.add_action("identify")
    definition.write(Path("acme"))
    command("export", "segment", "acme", "--into", "out")
    Path("acme/identify.yaml").unlink()
    done = command("export", "segment", "acme", "--into", "out")
    assert done.out == (
        "Wrote 2 of 10 files to out.\n"
        "Removed out/identify/generated-types.ts.\n"
        "Removed out/identify/index.ts.\n"
    )


def test_a_change_by_hand(command: Command) -> None:
    """A change outside of the marks is named by a check, refused, and dropped by force."""
    Definition().write(Path("acme"))
    command("export", "segment", "acme", "--into", "out")
    source = Path("out/index.ts").read_text("utf-8")
    Path("out/index.ts").write_text(source + "const mine = 1\n", "utf-8")
    given = ("export", "segment", "acme", "--into", "out")
    done = command(*given, "--check")
    assert done.code == 1
    said = "out/index.ts was changed outside of the places for code by hand."
    assert done.out.splitlines()[0] == said
    assert command(*given, "--check", "--json").json["edited"] == ["index.ts"]
    done = command(*given)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "Error: out/index.ts has changes outside of the places for code by hand, and the export"
        " would overwrite it: move your code between `// By hand: begin` and `// By hand: end`,"
        " change the definition, or add --force to drop the changes\n"
    )
    assert command(*given, "--force").code == 0
    assert Path("out/index.ts").read_text("utf-8") == source


def test_refused(command: Command) -> None:
    """What cannot be said is named with its place, and what to do; nothing is written."""
    _refused()
    done = command("export", "segment", "acme", "--into", "out")
    line = Path("acme/destination.yaml").read_text("utf-8").splitlines().index
    at = line("    remember: true") + 1
    assert (done.code, done.out) == (2, "")
    place = f"{Path('acme').resolve()}/destination.yaml:{at}: /requests/sendEvent/remember"
    first, second = done.err.splitlines()[:2]
    assert first == f"Error: {place}: Segment remembers no answers between events"
    assert second.startswith("Nothing is written. Add --partial to export the rest: ")
    assert not Path("out").exists()


def test_partial(command: Command) -> None:
    """A partial export says what is missing; the same command checks it."""
    _refused()
    done = command("export", "segment", "acme", "--into", "out", "--partial")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert (
        lines[0] == "Not exported (an action that cannot be performed fails with the status 501):"
    )
    assert lines[1].startswith(f"  {Path('acme').resolve()}/destination.yaml:")
    assert "/requests/sendEvent/remember: " in lines[1]
    assert lines[3] == "Left out, as Segment has nothing like it:"
    assert "/transport/rateLimit: " in lines[4]
    assert lines[-1].startswith("Wrote ")
    done = command("export", "segment", "acme", "--into", "out", "--partial", "--check")
    assert (done.code, done.out.splitlines()[-1]) == (0, "out is up to date.")
    Path("out/http.ts").unlink()
    done = command("export", "segment", "acme", "--into", "out", "--partial", "--check")
    assert done.code == 1
    assert done.out.splitlines()[-2:] == [
        "out/http.ts is not up to date.",
        "Next: destinations export segment acme --into out --partial",
    ]


def test_as_json(command: Command) -> None:
    """The JSON says the same, with places as fields."""
    _refused()
    done = command("export", "segment", "acme", "--into", "out", "--partial", "--json")
    assert (done.code, done.err) == (0, "")
    assert set(done.json) == {
        *("folder", "files", "changed", "edited", "refused", "leftOut", "isUpToDate"),
    }
    assert (done.json["folder"], done.json["isUpToDate"]) == ("out", False)
    assert done.json["changed"] == done.json["files"]
    (refused,), (left_out,) = done.json["refused"], done.json["leftOut"]
    assert refused["path"] == "/requests/sendEvent/remember"
    assert refused["file"] == str(Path("acme/destination.yaml").resolve())
    assert type(refused["line"]) is int
    assert left_out["path"] == "/transport/rateLimit"
    done = command("export", "segment", "acme", "--into", "out", "--partial", "--check", "--json")
    assert (done.code, done.json["changed"], done.json["isUpToDate"]) == (0, [], True)


def test_a_folder_of_others(command: Command) -> None:
    """A folder that is no export is refused, and `--force` overwrites it."""
    Path("out").mkdir()
    Path("out/index.ts").write_text("export {}\n")
    done = command("export", "segment", "acme", "--into", "out")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "Error: out is not an export of `destinations export segment`, and would be overwritten:"
        " name another folder, or add --force\n"
    )
    assert command("export", "segment", "acme", "--into", "out", "--force").code == 0


def test_by_slug(command: Command) -> None:
    """A destination that is installed is exported by its slug."""
    done = command("export", "segment", "slack", "--into", "out")
    assert (done.code, done.err) == (0, "")
    by_folder = command("export", "segment", DEFINITIONS / "slack", "--into", "out", "--check")
    assert by_folder.code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("acme",), "Missing option '--into'"),
        (("missing", "--into", "out"), "missing"),
        (("acme", "--into", "acme/destination.yaml"), "is not an export of"),
        (("acme", "--into", "acme"), "holds a definition"),
        (("acme", "--into", "acme", "--force"), "holds a definition"),
        (("acme", "--into", "acme/destination.yaml/out"), "Not a directory"),
        (("acme", "--into", "x" * 300), "File name too long"),
    ],
)
def test_mistakes(command: Command, arguments: tuple[str, ...], said: str) -> None:
    """A mistake is said in a line, with exit code 2."""
    done = command("export", "segment", *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not Path("out").exists()
