"""Make the screenshots of the console in docs/img: ``python docs/console_images.py``.

They are of a made-up store, at one moment. ``--check`` only says whether the list is that of the
documents; a picture of it is made again when a page has changed.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / "docs" / "img"
SHOTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "console-overview": ("/?refresh=off", {"viewport": {"width": 1280, "height": 1180}}),
    "console-delivery": ("/deliveries/{dead}#attempts", {}),
    "console-held": ("/held", {"color_scheme": "dark"}),
    "console-rule": ("/kana/rules?try=1&name=seats&event=Seat+Added&feature=seats", {}),
    "console-narrow": ("/held#d{held}", {"viewport": {"width": 360, "height": 640}}),
}
"""The path of each, and what is different of its window."""

DOCUMENTS: Final = ("docs/console.md", "README.md")
_NOW: Final = 1_777_888_800.0  # 2026-05-04T10:00:00Z


def issues() -> list[str]:
    """Return what is wrong: a picture that is not there, that nobody shows, or that is not made."""
    there = {path.stem for path in IMAGES.glob("*.png")}
    shown = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"img/([a-z-]+)\.png", (ROOT / document).read_text(encoding="utf-8"))
    }
    found = [f"docs/img/{name}.png is missing: make it" for name in sorted(SHOTS.keys() - there)]
    found += [
        f"docs/img/{name}.png is of no page: delete it" for name in sorted(there - SHOTS.keys())
    ]
    found += [f"no document shows docs/img/{name}.png" for name in sorted(SHOTS.keys() - shown)]
    return found + [f"{name}.png is shown, but not made" for name in sorted(shown - SHOTS.keys())]


def make() -> None:
    """Make all of them; needs Playwright and Chromium."""
    sys.path.insert(0, str(ROOT))
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only to make them

    from tests.browser.world import make_world, running  # noqa: PLC0415 - only to make them

    IMAGES.mkdir(exist_ok=True)
    # One and the same, as the overview shows it.
    folder = Path(tempfile.gettempdir()) / "example"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        playwright = stack.enter_context(sync_playwright())
        world = make_world(folder, _NOW)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with running(world, _NOW) as console:
            for name, (path, options) in SHOTS.items():
                context = browser.new_context(
                    **{
                        "viewport": {"width": 1280, "height": 760},
                        "locale": "en-GB",
                        "timezone_id": "UTC",
                        **options,
                    }
                )
                cookie: Any = console.cookie()
                context.add_cookies([cookie])
                page = context.new_page()
                page.goto(console.url + path.format(**world.ids))
                page.screenshot(path=IMAGES / f"{name}.png")
                context.close()
        browser.close()


def main() -> int:
    """Make the screenshots, or check their list."""
    if "--check" not in sys.argv:
        make()
    found = issues()
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
