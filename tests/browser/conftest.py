"""A browser, and consoles that it visits; skipped where there is none."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.browser.world import Console, make_world, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; Playwright's own is not downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as started:
        # In a container there is no sandbox of the kernel for it.
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console whose store no test changes."""
    with running(make_world(tmp_path_factory.mktemp("console"), time.time())) as found:
        yield found


@pytest.fixture
def own_console(tmp_path: Path) -> Iterator[Console]:
    """A console whose store the test changes."""
    with running(make_world(tmp_path, time.time())) as found:
        yield found


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a console as an operator; what a script or the browser complains of fails the test."""
    contexts = []
    complaints: list[str] = []

    def opened(console: Console, path: str = "/", *, role: Any = "operate", **options: Any) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        )
        contexts.append(context)
        cookie: Any = console.cookie(role)
        context.add_cookies([cookie])
        page = context.new_page()
        page.on(
            "console",
            lambda one: complaints.append(one.text) if one.type == "error" else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(console.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    # A page that answers 409 or 404 on purpose is no complaint.
    assert [one for one in complaints if "Failed to load resource" not in one] == []
