from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = "pytester"


def _run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-Werror", "-p", "no:cacheprovider", *arguments)


def test_pytest_finds_the_plugin() -> None:
    """Whoever installs the package has it."""
    (found,) = entry_points(group="pytest11", name="destinations")
    assert found.value == "destinations.kit.testing.pytest_plugin"


def test_the_plugin_costs_nothing() -> None:
    """It is loaded whenever pytest starts, also where there is no destination."""
    code = (
        "import sys, pytest, destinations.kit.testing.pytest_plugin\n"
        "slow = {'requests', 'jsonschema', 'graphql', 'yaml', 'responses', 'click'}\n"
        "print(sorted(slow & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"


def test_case_files_are_tests(pytester: pytest.Pytester, template: Path) -> None:
    """Those in a folder cases beside a definition; other files are none."""
    (template / "cases" / "notes.txt").write_text("none", encoding="utf-8")
    lonely = pytester.path / "cases"
    lonely.mkdir()
    (lonely / "track.yaml").write_text("none", encoding="utf-8")
    result = _run(pytester, "-v", str(template), str(pytester.path))
    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["*cases/track.yaml*PASSED*"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/v1/events", "/v2/events", "request 1 url: expected*v2/events*got*v1/events*"),
        ("outcome: invalid", "outcome: none", "*track.yaml:*/expected/1/outcome: must be one of*"),
    ],
)
def test_a_case_that_fails(
    pytester: pytest.Pytester, template: Path, old: str, new: str, message: str
) -> None:
    """What differs, or what is wrong with the file, and no trace of the kit."""
    path = template / "cases" / "track.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    result = _run(pytester, str(template))
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines([message])
    assert "Traceback" not in "\n".join(result.stdout.lines)


FIXTURES = """
import pytest
from destinations import (
    Entry, HttpResponse, HttpTransport, LossOptions, Run, RunOptions, TransportError)

IDENTIFY = b'{"type": "identify", "userId": "user_0001", "messageId": "1"}'
TRACK = (b'{"type": "track", "event": "E", "userId": "u", "messageId": "1",'
         b' "properties": {"featureId": "f"}}')

def test_a_sandbox(destination, destination_sandbox):
    assert destination.endpoint == destination_sandbox.url
    transport = HttpTransport(destination.definition.transport.timeouts)
    report = Run(destination, transport).execute([Entry(1, IDENTIFY)])
    transport.close()
    assert report.totals.outcomes == {"delivered": 1}

def test_a_script(destination, scripted_transport, no_backoff):
    assert "".join(destination.settings["apiKey"]) == "placeholder-apiKey"
    busy = HttpResponse(429, {"retry-after": "50"}, b"")
    done = HttpResponse(200, {}, b'{"data": {"e0": {"recorded": true}}}')
    lost = TransportError("no connection", sent=False)
    transport = scripted_transport(busy, lost, done)
    alone = RunOptions(losses=LossOptions(asks=False))  # the partner is not asked what it holds
    report = Run(destination, transport, options=alone).execute([Entry(1, TRACK)])
    assert report.totals.outcomes == {"delivered": 1}
    assert len(transport.requests) == 3
    assert no_backoff[0] == 50 and len(no_backoff) == 2

def test_a_partner_who_is_away(destination, scripted_transport, no_backoff):
    lost = TransportError("no connection", sent=False)
    transport = scripted_transport(*[lost] * 100)
    report = Run(destination, transport).execute([Entry(1, TRACK)])
    assert report.totals.outcomes == {"ready": 1}
    assert report.stopped.why == "unavailable"
    assert 60 <= sum(no_backoff) < 120

class TestItsOwn:
    destination = FOLDER

    def test_a_class_names_its_destination(self, destination):
        assert destination.definition.slug == "partner"
"""


def test_fixtures(pytester: pytest.Pytester, template: Path) -> None:
    """A sandbox, a destination bound to it or to placeholders, a script, and no waiting."""
    pytester.makepyfile(FIXTURES.replace("FOLDER", repr(str(template))))
    pytester.makeini("[pytest]\ndestination = kana")
    assert _run(pytester).parseoutcomes() == {"passed": 4}


def test_no_destination_is_named(pytester: pytest.Pytester) -> None:
    """The message says where to name it."""
    pytester.makepyfile("def test_it(destination): pass")
    result = _run(pytester)
    assert result.parseoutcomes() == {"errors": 1}
    result.stdout.fnmatch_lines(["*unknown destination: set `destination` in pytest's*"])
