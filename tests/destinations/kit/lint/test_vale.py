"""Rule files in the format of Vale: what they look for, and what is wrong with a broken one."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from destinations.errors import DefinitionError, UsageError
from destinations.kit.lint import Configuration, lint_page, load_rules, read_configuration
from destinations.kit.lint.vale import read_rule
from destinations.kit.lint.vale_program import vale_findings
from destinations.kit.lint.word_lists import read_words

KINDS = "existence, substitution, occurrence, spelling"
RULES = {rule.id: rule for rule in load_rules()}


@pytest.fixture
def rule(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a rule file into a folder of styles."""

    def write(text: str, name: str = "House/Rule.yml") -> Path:
        path = tmp_path / "styles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "page", "found"),
    [
        ("extends: existence\ntokens: [stuff]\n", "Some stuff, stuffed.", ["stuff"]),
        ("extends: existence\ntokens: [Stuff]\n", "Some stuff.", []),
        ("extends: existence\nignorecase: true\ntokens: [Stuff]\n", "Some stuff.", ["stuff"]),
        ("extends: existence\ntokens: ['(?i)Stuff']\n", "Some stuff.", ["stuff"]),
        ("extends: existence\nnonword: true\ntokens: ['!']\n", "Go! Go!", ["!", "!"]),
        ("extends: existence\ntokens: [a few]\n", "Just a\nfew.", ["a few"]),
        ("extends: existence\ntokens: [a few]\n", "Just a\n\nfew.", []),
        ("extends: existence\ntokens: ['st\\w+']\nexceptions: [Stone]\n", "stone stuff", ["stuff"]),
        ("extends: existence\nraw: ['ab', 'cd']\n", "abcd ab cd", ["abcd"]),
        ("extends: existence\ntokens: [stuff]\n", "`stuff` [x](stuff) **Stuff**", []),
        ("extends: existence\nscope: raw\ntokens: [stuff]\n", "`stuff`", ["stuff"]),
        ("extends: existence\nscope: heading\ntokens: [stuff]\n", "## stuff\n\nstuff", ["stuff"]),
        ("extends: existence\nscope: alt\ntokens: [stuff]\n", "stuff ![stuff](a.png)", ["stuff"]),
        ("extends: existence\nscope: link\ntokens: [stuff]\n", "stuff [stuff](/docs/)", ["stuff"]),
        ("extends: substitution\nswap: {stuff: things}\n", "Some stuff.", ["things"]),
        ("extends: occurrence\nscope: sentence\nmax: 2\ntoken: '\\w+'\n", "A b. C d e.", ["3"]),
        (
            "extends: occurrence\nscope: paragraph\nmax: 3\ntoken: '\\w+'\n",
            "A b. C d.\n\nE.",
            ["4"],
        ),
        ("extends: occurrence\nscope: paragraph\nmin: 2\ntoken: '\\w+'\n", "A b.\n\nC.", ["1"]),
    ],
)
def test_what_a_rule_finds(
    text: str, page: str, found: list[str], rule: Callable[[str], Path]
) -> None:
    """Each kind of rule finds what Vale finds with it, in its scope."""
    own = read_rule(rule(text + "message: \"'%s'\"\n"))
    findings = lint_page(page + "\n", Path("page.md"), Configuration(rules=(own,)))
    assert [one.message.strip("'") for one in findings if one.rule == "rule"] == found


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        ("- a\n", [(1, "must be a mapping with the key extends: a rule in Vale's format")]),
        ("extends: sequence\n", [
            (1, f"must be one of {KINDS}, not 'sequence'; docs lint --vale runs others")]),
        ("extends: existence\ntokens: ['(a']\n", [
            (2, "is not a regular expression: missing ), unterminated subpattern")]),
        ("extends: substitution\nswap: {'[a': b}\n", [
            (2, "is not a regular expression: unterminated character set")]),
        ("extends: occurrence\ntoken: '*'\n", [
            (2, "is not a regular expression: nothing to repeat")]),
        ("extends: occurrence\ntoken: a\nmax: many\n", [
            (3, "must be a number of times, not 'many'")]),
        ("extends: existence\ntokens: stuff\n", [
            (2, "must be a list of texts"), (1, "has nothing to look for: add tokens")]),
        ("extends: existence\nlevel: bad\ntokens: [a]\n", [
            (2, "must be one of error, warning, suggestion, not 'bad'")]),
        ("extends: existence\nscope: page\ntokens: [a]\n", [
            (2, "must be one of text, raw, heading, paragraph, sentence, link, alt, not 'page'")]),
    ],
)  # fmt: skip
def test_a_broken_rule(
    text: str, issues: list[tuple[int, str]], rule: Callable[[str], Path]
) -> None:
    """What is wrong is named with the file, the line, and what would be right."""
    path = rule(text)
    with pytest.raises(DefinitionError) as caught:
        read_rule(path)
    assert [(issue.line, issue.message) for issue in caught.value.issues] == issues
    assert {issue.file for issue in caught.value.issues} == {str(path)}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer for CPU time")
def test_a_pattern_that_backtracks_is_ended(
    rule: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message names the file, the rule and the page."""
    monkeypatch.setattr("destinations.kit.lint.page._SECONDS", 0.05)
    path = rule("extends: existence\ntokens: ['(a+)+x']\n")
    configuration = Configuration(rules=(read_rule(path),))
    with pytest.raises(UsageError) as caught:
        lint_page("a" * 60 + "b\n", Path("page.md"), configuration)
    assert str(caught.value).startswith(
        f"{path}: the rule rule takes longer than 0.05 seconds for page.md: a pattern backtracks"
    )


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer for CPU time")
@pytest.mark.parametrize("page", ["A page with {}.\n", "## A heading with A{}\n"])
def test_a_word_list_that_backtracks_is_ended(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message names the list and its expression, wherever the word is in the page."""
    monkeypatch.setattr("destinations.kit.lint.configuration._SECONDS", 0.05)
    path = tmp_path / "words.txt"
    path.write_text("(a+)+$\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        lint_page(page.format("a" * 60 + "b"), Path("page.md"), Configuration().with_words(path))
    assert str(caught.value).startswith(
        f"{path}: '(a+)+$' takes longer than 0.05 seconds for the word '"
    )


@pytest.mark.parametrize("instead", [r"\9", "$9", r"\g<name>", r"\q"])
def test_an_edit_that_cannot_replace(rule: Callable[[str], Path], instead: str) -> None:
    """It is found with the rule, not when a page has a place to fix."""
    action = f"action: {{name: edit, params: [regex, T, '{instead}']}}\n"
    with pytest.raises(DefinitionError) as caught:
        read_rule(rule(f"extends: existence\ntokens: [Term]\n{action}"))
    (issue,) = caught.value.issues
    assert (issue.path, issue.line) == ("/action/params", 3)
    assert issue.message.startswith(f"{instead!r} cannot replace what is found: ")


def test_a_rule_takes_the_place_of_the_shipped_one(
    rule: Callable[..., Path], tmp_path: Path
) -> None:
    """By the name of its file: its level, message and patterns count, the flavours stay."""
    rule("extends: existence\nlevel: error\nmessage: no '%s'\ntokens: [gonna]\n", "House/Will.yml")
    rule("extends: existence\nscope: raw\nraw: ['segment.com/docs']\n", "House/relative-url.yml")
    own = Configuration().with_styles(tmp_path / "styles")
    text = "# Sample\n\nIt will, it's gonna.\n\n[Docs](https://segment.com/docs/)\n"
    findings = lint_page(text, Path("page.md"), own)
    assert [(one.rule, one.level, one.message) for one in findings] == [
        ("will", "error", "no 'gonna'")
    ]
    assert {one.id: one for one in own.rules}["will"].bad == RULES["will"].bad


def test_levels_of_own_rules(rule: Callable[..., Path], tmp_path: Path) -> None:
    """A configuration names the folder of rules, and may set their levels."""
    rule("extends: existence\ntokens: [nifty]\n", "House/Nifty.yml")
    config = tmp_path / "lint.yaml"
    config.write_text("styles: styles\nlevels: {nifty: suggestion}\n", encoding="utf-8")
    findings = lint_page("It's nifty.\n", Path("page.md"), read_configuration(config))
    assert [(one.rule, one.level) for one in findings] == [("nifty", "suggestion")]


def test_words_of_a_style(rule: Callable[..., Path], tmp_path: Path) -> None:
    """A vocabulary beside the rules is read, with its expressions."""
    rule("extends: existence\ntokens: [nifty]\n", "House/Nifty.yml")
    words = tmp_path / "styles" / "config" / "vocabularies" / "House" / "accept.txt"
    words.parent.mkdir(parents=True)
    words.write_text("(?:F|f)robnitz\nquxly\n", encoding="utf-8")
    own = Configuration().with_styles(tmp_path / "styles")
    assert lint_page("A frobnitz, a quxly.\n", Path("page.md"), own) == ()


def test_a_folder_without_rules(tmp_path: Path) -> None:
    """The message names the folder and what is expected in it."""
    with pytest.raises(UsageError, match=r"has no rules: expected files STYLE/RULE\.yml"):
        Configuration().with_styles(tmp_path)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            b"\xff\xfe",
            UsageError,
            r"the word list .*words\.txt is not UTF-8 text: invalid start byte",
        ),
        (None, UsageError, r"cannot read the word list .*words\.txt: No such file"),
        (
            b"good\n(bad\n",
            DefinitionError,
            r"words\.txt:2: '\(bad' is neither a word nor a",
        ),
    ],
)
def test_a_word_list_that_cannot_be_read(
    content: bytes | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    """One message that names the file, and the line."""
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        read_words(path)


VALE = """#!/bin/sh
echo "$@" > "$(dirname "$0")/called"
cat <<'END'
%s
END
exit %d
"""


@pytest.fixture
def vale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Path]:
    """Puts a program on the path that prints a report as Vale does."""

    def write(report: str, code: int = 0) -> Path:
        program = tmp_path / "bin" / "vale"
        program.parent.mkdir()
        program.write_text(VALE % (report, code), encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return program.parent / "called"

    return write


def test_vale_is_run(vale: Callable[..., Path], rule: Callable[..., Path], tmp_path: Path) -> None:
    """Its alerts become findings; with a folder of styles it gets a configuration for them."""
    called = vale(
        '{"page.md": [{"Check": "House.Rule", "Line": 3, "Span": [4, 8], "Message": "No.", '
        '"Severity": "warning", "Match": "stuff"}]}',
        1,
    )
    rule("extends: existence\ntokens: [stuff]\n")
    findings = vale_findings([Path("page.md")], tmp_path / "styles")
    assert list(map(str, findings)) == ["page.md:3:4: warning: No. [vale.House.Rule]"]
    assert called.read_text().split()[0] == "--output=JSON"
    assert "--config=" in called.read_text()


def test_vale_fails(vale: Callable[..., Path]) -> None:
    """What it says of the failure is passed on."""
    vale('{"Code": "E100", "Text": "no .vale.ini was found"}', 2)
    with pytest.raises(UsageError, match=r"Vale failed: no \.vale\.ini was found"):
        vale_findings([Path("page.md")])


def test_vale_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it comes from."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"install it from https://vale\.sh"):
        vale_findings([Path("page.md")])


def test_shipped_rules_have_only_keys_of_vale() -> None:
    """So Vale reads them: it refuses what it does not know."""
    keys = {
        "extends", "message", "level", "scope", "ignorecase", "nonword", "tokens", "raw", "swap",
        "exceptions", "action", "max", "min", "token",
    }  # fmt: skip
    styles = Path(__file__).parents[4] / "destinations" / "kit" / "lint" / "styles"
    files = sorted(styles.glob("*/*.yml"))
    assert len(files) > 40
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        used = {line.partition(":")[0] for line in lines if line[:1].isalpha()}
        assert used <= keys, file
