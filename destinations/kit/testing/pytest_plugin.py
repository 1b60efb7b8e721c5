"""The pytest plugin: case files as tests, and fixtures for tests of a destination.

A file ``cases/*.yaml`` next to a ``destination.yaml`` is a test: run ``pytest FOLDER/cases``. The
fixtures use the destination of `destination_name`: the attribute ``destination`` of the test's
class, else pytest's setting ``destination``. A conftest.py may define that fixture instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from destinations import clock, errors
from destinations.kit import testing

if TYPE_CHECKING:
    # pytest always loads this module, so these are only imported where they are used.
    from destinations.kit.testing.stand_ins import ScriptedReply, ScriptedTransport
    from destinations.runtime.destination import Destination
    from destinations.runtime.plugins import RunningSandbox

__all__ = [
    "CaseFile",
    "CaseItem",
    "destination",
    "destination_name",
    "destination_sandbox",
    "no_backoff",
    "pytest_addoption",
    "pytest_collect_file",
    "scripted_transport",
]

_ENDINGS = (".yaml", ".yml", ".json")


class CaseDifferenceError(Exception):
    """A case does not replay; the message lists the differences."""


class CaseItem(pytest.Item):
    """The test of one case."""

    def runtest(self) -> None:
        """Replay the case."""
        subject = testing.subject_in(self.path.parent.parent)
        report = testing.replay(subject, testing.read_case(self.path, subject.definition))
        if not report.passed:
            raise CaseDifferenceError("\n".join(map(str, report.differences)))

    def repr_failure(  # type: ignore[override]  # narrower, as pytest itself has it
        self, excinfo: pytest.ExceptionInfo[BaseException], style: str | None = None
    ) -> object:
        """Return the differences or the issues in the files, without a traceback."""
        if isinstance(excinfo.value, CaseDifferenceError | errors.DestinationsError):
            return f"{self.path.name}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)  # type: ignore[arg-type]  # as above

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the place and the name of the test."""
        return self.path, None, f"case: {self.name}"


class CaseFile(pytest.File):
    """A case file."""

    def collect(self) -> Iterator[CaseItem]:
        """Yield its only case."""
        item: CaseItem = CaseItem.from_parent(self, name=self.path.stem)
        yield item


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that names the destination of the fixtures."""
    parser.addini("destination", "The slug or folder of the destination that is tested.")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CaseFile | None:
    """Collect the cases of a destination."""
    if file_path.suffix not in _ENDINGS or file_path.parent.name != "cases":
        return None
    folder = file_path.parent.parent
    if not any((folder / f"destination{ending}").is_file() for ending in _ENDINGS):
        return None
    found: CaseFile = CaseFile.from_parent(parent, path=file_path)
    return found


@pytest.fixture
def destination_name(request: pytest.FixtureRequest) -> str:
    """Return the tested destination: a slug, or the path of a folder."""
    name = getattr(request.cls, "destination", None) or request.config.getini("destination")
    if not name:
        msg = (
            "unknown destination: set `destination` in pytest's settings or in the test's "
            "class, or define the fixture destination_name"
        )
        raise pytest.UsageError(msg)
    return str(name)


@pytest.fixture
def destination_sandbox(destination_name: str) -> Iterator[RunningSandbox]:
    """Run a stand-in for the partner, with its first state."""
    sandbox = testing.open_subject(destination_name).start_sandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture
def destination(request: pytest.FixtureRequest, destination_name: str) -> Destination:
    """Return the destination, bound to its sandbox if the test uses one, else placeholders."""
    subject = testing.open_subject(destination_name)
    if "destination_sandbox" in request.fixturenames:
        sandbox: RunningSandbox = request.getfixturevalue("destination_sandbox")
        return subject.reaching(sandbox).bind(subject.settings(sandbox.settings))
    return subject.bind(testing.placeholder_settings(subject.definition))


@pytest.fixture
def scripted_transport() -> Callable[..., ScriptedTransport]:
    """Make a transport from its replies: responses, errors to raise, functions of the request."""

    def make(*replies: ScriptedReply) -> ScriptedTransport:
        return testing.ScriptedTransport(replies)

    return make


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip all waits, and return the list of them in seconds.

    Time moves only by them, and a run does all its work in the calling thread, as the order of
    threads would vary.
    """
    from destinations.pipeline.run import Run  # noqa: PLC0415 - loaded only where it is used

    still = testing.StillClock()
    for name in ("time", "monotonic", "wait"):
        monkeypatch.setattr(clock.SystemClock, name, getattr(still, name))
    made_inline = functools.partialmethod(Run.__init__, inline=True)
    monkeypatch.setattr(Run, "__init__", made_inline)
    return still.waits
