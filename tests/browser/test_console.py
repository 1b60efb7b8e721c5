"""The console in a real browser: each page, each action, without scripts, narrow, dark, and axe."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from destinations.outcome import Outcome
from destinations.store import SqliteStore
from tests.browser.world import Console, Filler, track

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE: Final = os.environ.get("AXE_CORE", "")
"""The file axe.min.js of the npm package axe-core; `tox -e console` sets it."""

PATHS: Final = {
    "overview": "/",
    "live": "/live",
    "deliveries": "/deliveries",
    "delivery": "/deliveries/{dead}",
    "held delivery": "/deliveries/{held}",
    "held": "/held",
    "drifts": "/drifts",
    "refused": "/refused",
    "wrong filter": "/deliveries?since=yesterday",
    "replay": "/replay?outcome=dead",
    "drop": "/drop?outcome=dead",
    "resolve": "/resolve?state=held",
    "tester": "/tester?id={dead}",
    "unmapped": "/kana/unmapped",
    "rules": "/kana/rules?try=1&name=seats&event=Seat+Added&feature=seats",
    "users": "/kana/users",
    "tenants": "/tenants",
    "tenant": "/tenants/{acme}?destination=partner",
    "configuration": "/configuration",
    "error": "/deliveries/9",
    "login": "/login",
}
SHORT: Final = ("overview", "deliveries", "held delivery", "rules")
"""The pages that the short form looks at in each way."""

Visit = Callable[..., "Page"]


def _path(console: Console, name: str) -> str:
    return PATHS[name].format(**console.world.ids, **console.world.tenants)


@pytest.mark.parametrize("name", PATHS if AXE else SHORT)
@pytest.mark.parametrize("way", ["wide", "narrow", "dark", "no script"])
def test_each_page(console: Console, visit: Visit, name: str, way: str) -> None:
    """It is shown without a complaint, fits its window, and says what it is about."""
    ways: dict[str, dict[str, Any]] = {
        "wide": {},
        "narrow": {"viewport": {"width": 360, "height": 800}},
        "dark": {"color_scheme": "dark"},
        "no script": {"java_script_enabled": False},
    }
    page = visit(console, _path(console, name), **ways[way])
    assert page.locator("h1").count() == 1
    assert page.locator("h1").inner_text()
    if way != "no script":
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0
        background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (background == "rgb(20, 23, 28)") == (way == "dark")


@pytest.mark.skipif(not AXE, reason="AXE_CORE does not name axe.min.js; tox -e console does")
@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe(console: Console, visit: Visit, name: str, scheme: str) -> None:
    """Contrast, labels, names, roles and the order of headings pass axe's rules."""
    page = visit(console, _path(console, name), color_scheme=scheme, bypass_csp=True)
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    faults = [
        (one["id"], node["target"], node["failureSummary"])
        for one in found["violations"]
        for node in one["nodes"]
    ]
    assert faults == [], json.dumps(faults, indent=1)


def test_axe_finds_what_is_wrong(console: Console, visit: Visit) -> None:
    """A page without labels and contrast does not pass: the check is one."""
    if not AXE:
        pytest.skip("AXE_CORE does not name axe.min.js; tox -e console does")
    page = visit(console, "/deliveries", bypass_csp=True)
    page.evaluate(
        "document.querySelectorAll('label').forEach((one) => one.remove());"
        "document.querySelector('h1').style.color = '#eee'"
    )
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document)")
    ids = {one["id"] for one in found["violations"]}
    assert {"color-contrast", "select-name"} <= ids


def test_keyboard(console: Console, visit: Visit) -> None:
    """The first stop skips to the content; what has the focus is marked."""
    page = visit(console, "/deliveries")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"


def test_filters_links_and_the_back_button(console: Console, visit: Visit) -> None:
    """Filters are in the URL, which another operator can open; back shows what was there."""
    page = visit(console, "/deliveries")
    page.get_by_label("Outcome").select_option("dead")
    page.get_by_role("button", name="Show").click()
    assert "outcome=dead" in page.url
    assert page.locator("tbody tr").count() == 3
    page.locator("tbody a").first.click()
    assert page.locator("h1").inner_text().startswith("Delivery ")
    page.go_back()
    assert page.locator("tbody tr").count() == 3
    page.go_back()
    assert page.locator("tbody tr").count() == 50
    shared = visit(console, "/deliveries?outcome=dead")
    assert shared.locator("tbody tr").count() == 3


@pytest.mark.parametrize("script", [True, False])
def test_times(console: Console, visit: Visit, script: bool) -> None:
    """Times are in the zone of the reader, with the exact one at hand; without scripts in UTC."""
    page = visit(
        console,
        f"/deliveries/{console.world.ids['dead']}",
        timezone_id="Asia/Kathmandu",
        java_script_enabled=script,
    )
    one = page.locator("dd time").first
    assert one.get_attribute("title", timeout=5_000).__str__().startswith("20")
    assert one.inner_text().endswith("UTC") is not script


@pytest.mark.parametrize("script", [True, False])
def test_decide(own_console: Console, visit: Visit, script: bool) -> None:
    """A held delivery is decided on from its list, and the second of two operators gets 409."""
    page = visit(own_console, "/held", java_script_enabled=script)
    other = visit(
        own_console, f"/deliveries/{own_console.world.ids['held']}", java_script_enabled=script
    )
    page.get_by_role("button", name="It was applied").first.click()
    assert "counts as delivered" in page.get_by_role("status").inner_text()
    with other.expect_response("**/resolve") as answer:
        other.get_by_role("button", name="It was not applied").click()
    assert answer.value.status == 409
    assert "Nothing was changed" in other.get_by_role("alert").inner_text()
    assert other.locator(".facts .badge").first.inner_text() == "delivered"


@pytest.mark.parametrize("script", [True, False])
def test_replay_drop_and_rule(own_console: Console, visit: Visit, script: bool) -> None:
    """Each shows how many it is about before it changes anything."""
    page = visit(own_console, "/deliveries?outcome=dead", java_script_enabled=script)
    page.get_by_role("link", name="Replay…").click()
    assert page.locator("h1").inner_text() == "Replay 3 deliveries?"
    page.get_by_role("button", name="Replay 3").click()
    assert "3 deliveries were replayed." in page.get_by_role("status").inner_text()
    page.goto(f"{own_console.url}/deliveries?outcome=rejected")
    page.get_by_role("link", name="Drop…").click()
    assert page.locator("h1").inner_text() == "Drop 2 deliveries?"
    page.get_by_label("Reason").fill("test data")
    page.get_by_role("button", name="Drop 2").click()
    assert "2 deliveries were dropped." in page.get_by_role("status").inner_text()
    page.goto(f"{own_console.url}/kana/unmapped")
    page.get_by_role("link", name="Make a rule for Seat Added").click()
    page.get_by_label("Name of the rule").fill("seats")
    page.get_by_label("Feature id").fill("seats")
    page.get_by_role("button", name="Show what it would map").click()
    page.get_by_role("button", name="Add the rule, and send 3 events").click()
    assert "it maps 3 events" in page.get_by_role("status").first.inner_text()


def test_pause(own_console: Console, visit: Visit) -> None:
    """A destination is paused and resumed."""
    page = visit(own_console, "/?refresh=off")
    page.get_by_role("button", name="Pause kana").click()
    assert "kana is paused" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Resume kana").click()
    assert "kana is resumed" in page.get_by_role("status").inner_text()


@pytest.mark.parametrize("script", [True, False])
def test_a_notice_is_said_once(own_console: Console, visit: Visit, script: bool) -> None:
    """It is shown where something was done, and not in another tab, later, or by a link."""
    place = "/deliveries?outcome=dead"
    page = visit(own_console, place, java_script_enabled=script)
    other = page.context.new_page()
    other.goto(f"{own_console.url}/held")
    page.get_by_role("link", name="Replay…").click()
    page.get_by_role("button", name="Replay 3").click()
    assert "3 deliveries were replayed." in page.get_by_role("status").inner_text()
    if script:
        page.wait_for_url(f"{own_console.url}{place}")
    else:  # the token stays, and is good for nothing
        assert page.url.startswith(f"{own_console.url}{place}&said=")
    other.reload()
    assert other.get_by_role("status").count() == 0
    page.reload()
    assert page.get_by_role("status").count() == 0
    page.go_back()
    page.go_forward()
    assert page.get_by_role("status").count() == 0
    page.goto(f"{own_console.url}/?done=paused&number=2")
    assert page.get_by_role("status").count() == 0


@pytest.mark.parametrize("script", [True, False])
def test_times_of_plots(console: Console, visit: Visit, script: bool) -> None:
    """The last hour is told in the zone of the reader, days in UTC, and each says which."""
    page = visit(console, "/", timezone_id="Asia/Kathmandu", java_script_enabled=script)
    hour, days = page.locator("figure.plot").all()
    assert ("times in your zone" in hour.inner_text()) is script
    assert ("times in UTC" in hour.inner_text()) is not script
    assert "times in UTC" in days.inner_text()
    tick = hour.locator("text[data-time]").first
    at = datetime.fromisoformat(str(tick.get_attribute("data-time")))
    zone = timezone(timedelta(hours=5, minutes=45)) if script else UTC
    assert tick.text_content() == f"{at.astimezone(zone):%H:%M}"


def test_a_wrong_filter(console: Console, visit: Visit) -> None:
    """It is said at its field, which is in sight and keeps what was typed."""
    page = visit(console, "/deliveries?since=yesterday")
    field = page.get_by_label("Accepted since")
    assert field.is_visible()
    assert field.input_value() == "yesterday"
    assert field.get_attribute("aria-invalid") == "true"
    assert "invalid time" in page.locator("#e-since").inner_text()
    assert page.locator("tbody tr").count() == 0


def test_nothing_pauses_without_scripts(console: Console, visit: Visit) -> None:
    """A button that would do nothing is not there."""
    page = visit(console, "/live", java_script_enabled=False)
    assert page.get_by_role("button", name="Pause").count() == 0


def test_tester(console: Console, visit: Visit) -> None:
    """An event is pasted, explained, and sent to a sandbox."""
    page = visit(console, "/tester")
    page.get_by_label("Event, as JSON").fill(json.dumps({**track(), "messageId": "tried"}))
    page.get_by_role("button", name="Show the steps").click()
    assert page.get_by_text("Request recordUsage").count() == 1
    page.get_by_role("button", name="Send it to a sandbox").click()
    page.locator("#sandbox").wait_for(timeout=20_000)
    assert page.get_by_text("Answer: 200").count() >= 1


def test_the_overview_refreshes(own_console: Console, visit: Visit) -> None:
    """Its figures change by themselves, and stop when that is wanted."""
    page = visit(own_console, "/")
    with SqliteStore(own_console.world.store) as store:
        Filler(own_console.world, store).put(
            {**track(), "messageId": "new"}, Outcome.DEAD, age=-1, reason="new"
        )
    page.get_by_role("link", name="4 dead").wait_for(timeout=10_000)
    page.get_by_role("link", name="Stop refreshing").click()
    assert "refresh=off" in page.url
    assert page.locator("[hx-get]").count() == 0


def test_live(own_console: Console, visit: Visit) -> None:
    """New deliveries appear by themselves, as text and masked, and only those that fit."""
    page = visit(own_console, "/live?filter=event+%3D+%22Shown%22")
    page.get_by_text("Connected").wait_for(timeout=10_000)
    time.sleep(1.5)  # until the stream has looked once at what is there
    with SqliteStore(own_console.world.store) as store:
        filler = Filler(own_console.world, store)
        for name in ("Hidden", "Shown"):
            filler.put(
                {**track(), "event": name, "messageId": f"<b>{name}</b>"},
                Outcome.REJECTED,
                age=-1,
                reason="<img src=x>",
            )
    page.get_by_text("<b>Shown</b>").wait_for(timeout=10_000)
    assert page.get_by_text("<b>Hidden</b>").count() == 0
    assert page.locator("td img, td b").count() == 0
    page.get_by_role("button", name="Pause").click()
    assert "Paused" in page.locator("#live-state").inner_text()


def test_who_only_reads(console: Console, visit: Visit) -> None:
    """Who only reads is offered nothing that changes something."""
    page = visit(console, f"/deliveries/{console.world.ids['held']}", role="read")
    assert page.get_by_text("You may only read here.").count() == 1
    assert page.locator("main button").count() == 0
