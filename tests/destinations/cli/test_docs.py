"""``destinations docs``: build, lint and preview."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

Command = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_build_writes_its_files(command: Command, here: Path) -> None:
    """Both flavours, each with a preview, go into a folder of the destination in docs/."""
    done = command("docs", "build", "kana")
    files = ["kana.md", "kana-submission.md", "kana.html", "kana-submission.html"]
    names = [f"docs/kana/{file}" for file in files]
    assert (done.code, done.out.splitlines()) == (0, names)
    assert all((here / name).read_text(encoding="utf-8") for name in names)


def test_check_tells_what_is_out_of_date(command: Command, here: Path) -> None:
    """Nothing is written; a page that is missing or differs is named, and the exit code is 1."""
    assert command("docs", "build", "kana", "--check").code == 1
    assert list(here.iterdir()) == []
    command("docs", "build", "kana", "--out", "pages")
    assert command("docs", "build", "kana", "--out", "pages", "--check").code == 0
    page = here / "pages" / "kana" / "kana.md"
    page.write_text(page.read_text(encoding="utf-8").replace("Getting", "Get"), encoding="utf-8")
    done = command("docs", "build", "kana", "--out", "pages", "--check")
    assert (done.code, done.out) == (1, "")
    assert done.err == "pages/kana/kana.md is out of date: run destinations docs build\n"
    assert "## Get Started" in page.read_text(encoding="utf-8")


def test_a_change_of_the_definition_makes_a_page_stale(
    command: Command, here: Path, kana_folder: Path
) -> None:
    """What the definition says is on the page: a new description of a field is."""
    command("docs", "build", str(kana_folder))
    identify = kana_folder / "identify.yaml"
    text = identify.read_text(encoding="utf-8")
    identify.write_text(text.replace("The name of the user.", "What it is called."), "utf-8")
    done = command("docs", "build", str(kana_folder), "--check")
    assert done.code == 1
    assert done.err.count("is out of date") == 4
    command("docs", "build", str(kana_folder))
    page = (here / "docs" / "kana" / "kana.md").read_text(encoding="utf-8")
    assert "| `traits.name` | `name` | Optional | What it is called. |" in page


def test_images_are_copied(command: Command, here: Path, kana_folder: Path) -> None:
    """An image goes beside the pages; for a file that is none, nothing is written."""
    images = kana_folder / "page" / "images"
    images.mkdir()
    (images / "rules.gif").write_bytes(b"GIF89a" + bytes([32, 3, 144, 1]))
    done = command("docs", "build", str(kana_folder), "--out", "pages")
    assert (done.code, done.out.splitlines()[-1]) == (0, "pages/kana/images/rules.gif")
    copied = here / "pages" / "kana" / "images" / "rules.gif"
    assert copied.read_bytes() == (images / "rules.gif").read_bytes()
    (images / "keys.png").write_bytes(b"no image")
    done = command("docs", "build", str(kana_folder), "--out", "others")
    assert (done.code, done.out) == (2, "")
    assert "page/images/keys.png is not an image: expected a PNG or GIF file" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (here / "others").exists()


def test_build_of_what_is_no_destination(command: Command, here: Path) -> None:
    """A name that is neither installed nor a folder is wrong usage."""
    done = command("docs", "build", "nothing")
    assert done.code == 2
    assert "unknown destination 'nothing'" in done.err
    assert list(here.iterdir()) == []


def test_lint_prints_places(command: Command, here: Path) -> None:
    """File, line, column, level, message and rule, then the counts; the exit code is 1."""
    (here / "page.md").write_text("# Sample\n\nIt will count.\n", encoding="utf-8")
    done = command("docs", "lint", "page.md")
    assert done.code == 1
    assert done.out == ("page.md:3:4: warning: write the present tense instead of 'will' [will]\n")
    assert done.err == "0 errors, 1 warning, 0 suggestions in 1 page.\n"


def test_lint_of_a_destination(command: Command, here: Path) -> None:
    """As its neighbours, it takes the name of one: its pages in docs/ are checked."""
    done = command("docs", "lint", "kana")
    assert (done.code, "docs/kana has no page" in done.err) == (2, True)
    assert command("docs", "build", "kana", "--output", "docs").code == 0
    done = command("docs", "lint", "kana")
    assert (done.code, "in 2 pages." in done.err) == (0, True)
    assert len(list((here / "docs" / "kana").glob("*.md"))) == 2


def test_lint_prints_json(command: Command, here: Path) -> None:
    """The same as an array of objects."""
    (here / "page.md").write_text("# Sample\n\nIt will count.\n", encoding="utf-8")
    done = command("docs", "lint", "page.md", "--json")
    assert done.json == [
        {
            "file": "page.md",
            "line": 3,
            "column": 4,
            "rule": "will",
            "level": "warning",
            "message": "write the present tense instead of 'will'",
        }
    ]
    assert (done.code, done.err) == (1, "")


def test_lint_takes_levels_from_a_file(command: Command, here: Path) -> None:
    """A rule that is switched off is not reported; a suggestion does not fail."""
    (here / "page.md").write_text("# Sample\n\nIt will count.\n", encoding="utf-8")
    (here / "lint.yaml").write_text("levels: {will: suggestion}\n", encoding="utf-8")
    done = command("docs", "lint", "page.md", "--config", "lint.yaml")
    assert done.code == 0
    assert ": suggestion: " in done.out
    (here / "lint.yaml").write_text("levels: {wil: 'off'}\n", encoding="utf-8")
    done = command("docs", "lint", "page.md", "--config", "lint.yaml")
    assert done.code == 2
    assert "lint.yaml:1: /levels/wil: is not a rule" in done.err


@pytest.mark.usefixtures("here")
def test_lint_checks_the_built_pages_by_default(command: Command) -> None:
    """Those in docs/, installed or not; without any, the message says how to write one."""
    done = command("docs", "lint")
    assert done.code == 2
    assert "docs/ has no page: write one with `destinations docs build`" in done.err
    command("init", "sample")
    command("docs", "build", "./sample")
    assert "sample.md" in command("docs", "lint").out
    command("docs", "build", "kana")
    done = command("docs", "lint")
    assert done.code == 0, done.out
    assert done.err.startswith("0 errors, 0 warnings")
    assert done.err.endswith("in 4 pages.\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read page.md: No such file or directory"), (b"\xff", "page.md is not UTF-8")],
)
def test_lint_of_a_file_that_cannot_be_read(
    content: bytes | None, message: str, command: Command, here: Path
) -> None:
    """The message names the file."""
    if content is not None:
        (here / "page.md").write_bytes(content)
    done = command("docs", "lint", "page.md")
    assert done.code == 2
    assert message in done.err


def test_lint_lists_its_rules(command: Command) -> None:
    """Id, level and message of each, with a good and a bad example, as lines or as JSON."""
    lines = command("docs", "lint", "--rules").out.splitlines()
    rules = command("docs", "lint", "--rules", "--json").json
    assert len(rules) > 70
    assert {"rule", "level", "message", "good", "bad"} == set(rules[0])
    at = lines.index("will: warning: write the present tense instead of 'will'")
    assert lines[at + 1 : at + 3] == [
        "  good  Kana updates the user.",
        "   bad  Kana will update the user.",
    ]


def test_lint_reads_what_is_beside_a_page(command: Command, here: Path) -> None:
    """lint.yaml and words.txt of its folder, and none of another one."""
    for name in ("a", "b"):
        (here / name).mkdir()
        (here / name / "page.md").write_text("# A\n\nIt will frobnitz.\n", encoding="utf-8")
    (here / "a" / "lint.yaml").write_text("levels: {will: suggestion}\n", encoding="utf-8")
    (here / "a" / "words.txt").write_text("# ours\nfrobnitz\n", encoding="utf-8")
    done = command("docs", "lint", "a/page.md", "b/page.md", "--json")
    assert [(one["file"], one["rule"], one["level"]) for one in done.json] == [
        ("a/page.md", "will", "suggestion"),
        ("b/page.md", "will", "warning"),
        ("b/page.md", "unknown-word", "suggestion"),
    ]


def test_lint_takes_word_lists_and_rules(command: Command, here: Path) -> None:
    """Those that the options name, beside what is shipped."""
    (here / "page.md").write_text("# A\n\nIt is nifty to frobnitz.\n", encoding="utf-8")
    (here / "names.txt").write_text("frobnitz\nnifty\n", encoding="utf-8")
    (here / "styles" / "House").mkdir(parents=True)
    rule = "extends: existence\nmessage: no '%s'\nlevel: error\ntokens: [nifty]\n"
    (here / "styles" / "House" / "Slang.yml").write_text(rule, encoding="utf-8")
    done = command("docs", "lint", "page.md", "--words", "names.txt", "--styles", "styles")
    assert (done.code, done.out) == (1, "page.md:3:7: error: no 'nifty' [slang]\n")
    shown = command("docs", "lint", "--rules", "--styles", "styles").out
    assert "slang: error: no '...'" in shown


def test_lint_fixes(command: Command, here: Path) -> None:
    """What is mechanical is mended in the file; the rest is reported."""
    (here / "page.md").write_text("# A\n\nSend it  via HTTP. It will.\n", encoding="utf-8")
    done = command("docs", "lint", "page.md", "--fix")
    assert (here / "page.md").read_text(
        encoding="utf-8"
    ) == "# A\n\nSend it through HTTP. It will.\n"
    assert (done.code, done.out.count("\n")) == (1, 1)
    assert "[will]" in done.out


def test_a_fix_keeps_line_endings(command: Command, here: Path) -> None:
    r"""A file whose lines end with ``\r\n`` does so afterwards."""
    (here / "page.md").write_bytes(b"# A\r\n\r\nSend it via HTTP.\r\n")
    command("docs", "lint", "page.md", "--fix")
    assert (here / "page.md").read_bytes() == b"# A\r\n\r\nSend it through HTTP.\r\n"


@pytest.mark.parametrize("form", ["sarif", "github"])
def test_lint_prints_other_formats(form: str, command: Command, here: Path) -> None:
    """The findings in the format alone, without counts."""
    (here / "page.md").write_text("# A\n\nIt will.\n", encoding="utf-8")
    done = command("docs", "lint", "page.md", "--format", form)
    assert (done.code, done.err) == (1, "")
    assert ("::warning file=page.md" in done.out) == (form == "github")
    assert ('"version": "2.1.0"' in done.out) == (form == "sarif")


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"words.txt": b"\xff"}, (), "Error: the word list words.txt is not UTF-8 text"),
        ({"lint.yaml": b"levels: 1\n"}, (), "Error: lint.yaml:1: /levels: must be a mapping"),
        ({"s/S/R.yml": b"extends: existence\ntokens: ['(']\n"}, ("--styles", "s"),
            "Error: s/S/R.yml:2: /tokens/0: is not a regular expression"),
        ({}, ("--styles", "nothing"), "Error: nothing has no rules"),
        ({}, ("--vale",), "Error: --vale needs Vale on the path"),
    ],
)  # fmt: skip
def test_lint_of_bad_input(
    files: dict[str, bytes],
    options: tuple[str, ...],
    message: str,
    command: Command,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line that names the file; exit code 2."""
    monkeypatch.setenv("PATH", str(here))
    (here / "page.md").write_text("# A\n\nText.\n", encoding="utf-8")
    for name, content in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content)
    done = command("docs", "lint", "page.md", *options)
    assert done.code == 2
    assert done.err.startswith(message)
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("name", [(), ("build",), ("lint",), ("preview",)])
def test_help_has_an_example(name: tuple[str, ...], command: Command) -> None:
    """Each command shows how it is called."""
    done = command("docs", *name, "--help")
    assert done.code == 0
    assert "Example: destinations docs " in done.out


def test_preview_serves_until_it_is_interrupted() -> None:
    """It prints its address, serves the page there, and ends with 130."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "destinations", "docs", "preview", "kana"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    try:
        answer = requests.get(url, timeout=30)
        assert answer.status_code == 200
        assert "<h1>Kana Destination</h1>" in answer.text
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (130, "Interrupted.")
