"""The pages on codes have those that the code has: found in its source, not listed here."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from destinations.cli.run_tables import _STOPPED
from destinations.outcome import Outcome
from destinations.pipeline.run_input import _DONE_ELSEWHERE
from destinations.reference import read_topics
from destinations.statuses import CODES
from destinations.telemetry.metrics import _REFUSALS

ROOT = Path(__file__).parents[2]
PACKAGES = ("destinations", "kana_destination")
PAGE = ROOT / "docs" / "reference" / "codes.md"

# What a stand-in for a partner answers is the partner's; files of Segment have words of their own.
OF_OTHERS = ("destinations/sandbox/", "kana_destination/sandbox/", "destinations/kit/importer/")
CARRIERS = frozenset(
    {"BodyError", "EventError", "IntegrationError", "Refusal", "Result", "_Refused", "__init__"}
    | {"_known_code", "_refusal", "error", "invalid", "replace"}
)
"""What takes a code as an argument: the results and errors that carry it."""

SNAKE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
WORD = re.compile(r"[A-Z][A-Z0-9_]{3,}")
GIVEN = re.compile(WORD.pattern + r"|[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+")
"""What is a code where one is given, also one that is not in capitals, as all should be."""
NO_CODES = re.compile(
    r"(?:AF|CERT|O|RLIMIT|SSL|SSLV3|TCP|TLSV1|TLSV13|OTEL|WATCHDOG|XDG)_\w+"  # of the system
    r"|CURL_CA_BUNDLE|DESTINATIONS_SEALING_KEY|REQUESTS_CA_BUNDLE|NOTIFY_SOCKET"
    r"|GRAPHQL_\w+_FAILED"  # of a partner's answer, which an error rule reads
    r"|INCOMPLETE_EXPIRED"  # a state of a subscription at Kana
    r"|API_VERSION|BASE_URL|WHOLE_NUMBERS"  # constants of what an export writes
    r"|BASIC_CREDENTIALS"  # a variable of a command of curl
)


def _files() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not path.relative_to(ROOT).as_posix().startswith(OF_OTHERS):
                yield path, ast.parse(path.read_text(encoding="utf-8"))


def _is_all(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.AnnAssign(target=ast.Name(id="__all__")):
            return True
    return False


def _of_calls(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the arguments of what carries a code."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CARRIERS:
                yield from node.args
                yield from (one.value for one in node.keywords)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of texts in capitals, with the texts."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text)))
            ) if WORD.fullmatch(text):
                yield name, text


def _written(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what looks like a code wherever it is written, with its line."""
    exported = {id(one) for node in ast.walk(tree) if _is_all(node) for one in ast.walk(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in exported:
                if SNAKE.fullmatch(text) and not NO_CODES.fullmatch(text):
                    yield text, node.lineno
    for one in _of_calls(tree):
        match one:
            case ast.Constant(value=str(text)) if GIVEN.fullmatch(text):
                yield text, one.lineno


@cache
def _in_source() -> dict[str, str]:
    """Return each code with the place where it is written."""
    constants: dict[str, str] = {}
    found: dict[str, str] = {}
    used: set[str] = set()
    for path, tree in _files():
        where = path.relative_to(ROOT).as_posix()
        constants |= dict(_constants(tree))
        found |= {text: f"{where}:{line}" for text, line in _written(tree)}
        used |= {one.id for one in _of_calls(tree) if isinstance(one, ast.Name)}
    found |= {constants[name]: name for name in used & constants.keys()}
    # These are put together: `f"{outcome.name}_BY_A_SERVER"`.
    return found | {f"{one.name}_BY_A_SERVER": "run_input.py" for one in _DONE_ELSEWHERE}


def _headings() -> list[str]:
    return re.findall(r"^### (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_codes_are_found() -> None:
    """The search finds codes of each kind: of results, errors, constants, and of other modules."""
    assert {"PAYLOAD_VALIDATION_FAILED", "REPLACED", "CONFLICT", "RESTORED"} <= _in_source().keys()
    assert {"NO_DESTINATION", "NOT_JSON", "TOO_LARGE", "OTHER_DEFINITION"} <= _in_source().keys()


def test_codes_in_small_letters_are_found() -> None:
    """A code that is written in another way than the others is one all the same."""
    tree = ast.parse('Result.invalid("it ends early", "cut_off")\nraise EventError("no", "Not_So")')
    assert set(_written(tree)) == {("cut_off", 1), ("Not_So", 2)}


def test_codes_are_in_capitals() -> None:
    """Codes look alike, as whoever selects by them expects."""
    assert {code: at for code, at in _in_source().items() if not WORD.fullmatch(code)} == {}


def test_every_code_is_on_the_page() -> None:
    """Each code that the source writes has a heading, or is the name of a status."""
    missing = _in_source().keys() - set(_headings()) - set(CODES.values())
    assert {code: _in_source()[code] for code in missing} == {}


def test_no_code_is_on_the_page_that_is_gone() -> None:
    """Each heading is a code that the source still writes."""
    assert set(_headings()) - _in_source().keys() == set()
    assert len(_headings()) == len(set(_headings()))


def test_statuses_are_on_the_page() -> None:
    """Each status of an error has a row for partners; a receiver's have one each of theirs."""
    text = PAGE.read_text(encoding="utf-8")
    of_partners, _, of_receivers = text.partition("## Statuses of a receiver")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", of_partners, re.MULTILINE)
    assert {int(status): code for code, status in rows} == {
        status: code for status, code in CODES.items() if status >= 400
    }
    answered = {int(one) for one in re.findall(r"^\| (\d+) \|", of_receivers, re.MULTILINE)}
    assert answered - {404, 405} == set(_REFUSALS)  # nobody counts those of a path


def test_codes_of_refusals_are_on_the_page() -> None:
    """Each code by which metrics count refused requests has a heading, or is that of a status."""
    counted = {code for codes in _REFUSALS.values() for code in codes}
    assert counted <= {*_headings(), *CODES.values()}


@pytest.mark.parametrize("code", ["PAYLOAD_VALIDATION_FAILED", "payload_validation_failed"])
def test_a_code_is_a_topic(code: str) -> None:
    """`destinations help CODE` shows what is said of it, in upper or lower case."""
    (topic,) = read_topics().find(code)
    assert topic.section == "PAYLOAD_VALIDATION_FAILED"
    assert "does not fit its fields" in topic.text


def test_every_code_is_one_topic() -> None:
    """No code hides an outcome or is hidden by another topic of its name."""
    topics = read_topics()
    for code in [*_headings(), *(code for status, code in CODES.items() if status >= 400)]:
        (topic,) = topics.find(code)
        assert topic.path == "codes.md", code
    for outcome in Outcome:
        assert "codes.md" not in {topic.path for topic in topics.find(outcome)}


def _exit_codes() -> set[int]:
    text = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    return {int(one) for one in re.findall(r"^\| `(\d+)` \|", text, re.MULTILINE)}


def _numbers(node: ast.expr | None) -> Iterator[int]:
    """Yield the numbers that an expression may be."""
    match node:
        case ast.Constant(value=bool()):
            return
        case ast.Constant(value=int(number)):
            yield number
        case ast.IfExp(body=one, orelse=other):
            yield from _numbers(one)
            yield from _numbers(other)


def test_exit_codes() -> None:
    """The page has the codes that commands return, and no others."""
    found: set[int] = set(_STOPPED.values())
    folder = ROOT / "destinations" / "cli"
    modules = [*folder.rglob("*_command.py"), folder / "group.py", folder / "starting.py"]
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef(name=str(name)) if name in {"command", "run"}:
                    returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
                    found |= {number for one in returned for number in _numbers(one)}
                case ast.Call(func=ast.Name(id="_fail") | ast.Attribute(attr="_exit" | "exit")):
                    found |= {number for one in node.args for number in _numbers(one)}
    assert found <= _exit_codes()
    assert _exit_codes() == found | {0}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("help codes", 0),
        ("explain kana event.json", 1),
        ("help no such topic", 2),
        ("--no-such-option", 2),
        ("serve --config serve.yaml --check", 75),
    ],
)
def test_what_commands_end_with(
    arguments: str,
    code: int,
    command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Commands end with the codes of the page: here for an invalid event, and a secret to come."""
    monkeypatch.chdir(tmp_path)
    Path("event.json").write_text("{}", encoding="utf-8")
    Path("serve.yaml").write_text(
        "store: {path: store.sqlite3}\ndestinations:\n  - name: kana\n    destination: kana\n"
        "    settings: {apiKey: {env: NOT_THERE_YET}}\n",
        encoding="utf-8",
    )
    done = command(*arguments.split())
    assert done.code == code, done.err
