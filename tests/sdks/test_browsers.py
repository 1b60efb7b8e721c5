"""Segment's SDK for browsers, in Chromium: events of pages arrive at every destination, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

WRITE_KEY: Final = "write-key-0123456789-0123456789"
TYPES: Final = {
    "identify": "/v1/i",
    "track": "/v1/t",
    "page": "/v1/p",
    "screen": "/v1/s",
    "group": "/v1/g",
    "alias": "/v1/a",
}
BEACON: Final = """
const event = { userId: 'user_0042', event: 'Left', messageId: 'beacon-1', writeKey: 'WRITE_KEY' }
navigator.sendBeacon('https://events.example.com/v1/track', JSON.stringify(event))
"""


@dataclass
class Browser:
    """Chromium, a site, and what stands before the server that its pages send to."""

    site: Any
    front: Any
    browse: Callable[[str], None]

    def open(self, text: str, key: str = WRITE_KEY) -> None:
        """Open the page of the site with a program."""
        for old, new in (("WRITE_KEY", key), ("https://events.example.com", self.front.url)):
            assert old in text
            text = text.replace(old, new)
        self.site.program = text
        self.site.said.clear()
        self.browse(f"{self.site.url}/")

    def wait_for_events(self, number: int) -> list[str]:
        """Return the ids of the events that the page sent, once as many were taken."""

        def taken() -> set[str]:
            posts = [one for one in self.front.posts if one.status == 200 and not one.is_lost]
            return {event["messageId"] for one in posts for event in one.events}

        self.front.wait_for(lambda: len(taken()) == number, f"{number} events")
        return sorted(taken())


@pytest.fixture(scope="module")
def sites(site: Callable[..., Any]) -> list[Any]:
    """A site, and one with TLS, from both of which pages may send; and one that is not listed."""
    return [site(), site(secure=True), site()]


@pytest.fixture
def serving(served: Callable[..., Any], sites: list[Any]) -> Any:
    """A server that lets pages of two sites send."""
    return served(cors=[one.url for one in sites[:2]])


@pytest.fixture
def browser(
    sites: list[Any], serving: Any, proxy: Callable[..., Any], browse: Callable[[str], None]
) -> Browser:
    """A browser that opens pages of the listed site."""
    return Browser(sites[0], proxy(serving), browse)


def _secure(
    browser: Browser, sites: list[Any], serving: Any, proxy: Callable[..., Any], path: Path
) -> Browser:
    return Browser(sites[1], proxy(serving, path), browser.browse)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_one_by_one(
    browser: Browser,
    snippet_of: Callable[[str], str],
    serving: Any,
    sites: list[Any],
    proxy: Callable[..., Any],
    certificate: Path,
    *,
    secure: bool,
) -> None:
    """Each call is sent by itself and arrives as it was sent, also behind a proxy with TLS."""
    if secure:
        browser = _secure(browser, sites, serving, proxy, certificate)
    browser.open(snippet_of("browser"))
    arrived = serving.assert_delivered_once(browser.wait_for_events(len(TYPES)))
    posts = browser.front.posts
    assert {one.path: one.status for one in posts} == dict.fromkeys(TYPES.values(), 200)
    assert sorted(one["type"] for one in arrived) == sorted(TYPES)
    sent = browser.front.events
    for one in arrived:
        original = sent[one["messageId"]]
        assert one["context"]["library"]["name"] == "analytics.js"
        assert one["originalTimestamp"] == original.pop("timestamp")
        assert original.pop("writeKey") == WRITE_KEY
        assert {key: one[key] for key in original} == original
    assert browser.site.said == []


def test_batches(browser: Browser, snippet_of: Callable[[str], str], serving: Any) -> None:
    """Several events are one request; each arrives once but for one that is refused."""
    text = snippet_of("browser-batches")
    old = "delta: 3 })"
    assert old in text
    wrong = "delta: 3 }, { messageId: 'm'.repeat(101) })"
    browser.open(text.replace(old, wrong) + "analytics.page('Docs', 'Pricing')\n")
    ids = [id_ for id_ in browser.wait_for_events(3) if id_ != "m" * 101]
    assert len(serving.assert_delivered_once(ids)) == 2
    assert [(one.path, one.status) for one in browser.front.posts] == [("/v1/b", 200)]
    assert serving.wait_for_refused("m" * 101)["code"] == "MESSAGE_ID_TOO_LONG"
    assert browser.site.said == []


def test_a_page_that_is_left(
    browser: Browser, snippet_of: Callable[[str], str], serving: Any
) -> None:
    """What waits for its batch is sent when the page is left."""
    text = snippet_of("browser-batches")
    assert "timeout: 1000" in text
    text = text.replace("timeout: 1000", "timeout: 3600000")
    browser.open(text + "await analytics.page('Docs', 'Pricing')\nlocation.href = '/left'\n")
    serving.assert_delivered_once(browser.wait_for_events(3))


def test_beacons(browser: Browser, serving: Any) -> None:
    """A page without an SDK may send an event as its last act."""
    browser.open(BEACON)
    assert browser.wait_for_events(1) == ["beacon-1"]
    serving.assert_delivered_once(["beacon-1"])


def test_a_server_that_is_restarted(
    browser: Browser, snippet_of: Callable[[str], str], serving: Any
) -> None:
    """Events arrive once, also if the server took them and was stopped before it could answer."""
    browser.front.in_place_of_an_answer = serving.stop
    browser.open(snippet_of("browser"))
    browser.front.wait_for(lambda: any(one.is_lost for one in browser.front.posts))
    serving.start()
    serving.assert_delivered_once(browser.wait_for_events(len(TYPES)))


def test_a_page_that_is_not_listed(
    browser: Browser, snippet_of: Callable[[str], str], sites: list[Any]
) -> None:
    """Its browser lets it read no settings, so the SDK sends nothing, and the page is told."""
    browser.site = sites[2]
    browser.open(snippet_of("browser"))
    browser.site.wait_for(lambda: browser.site.said, "a complaint")
    assert browser.front.posts == []
    assert [one.path for one in browser.front.sent] == [f"/v1/projects/{WRITE_KEY}/settings"]


def test_a_wrong_write_key(browser: Browser, snippet_of: Callable[[str], str]) -> None:
    """There are no settings for it, so the SDK sends nothing, and the page is told."""
    browser.open(snippet_of("browser"), "another-key-0123456789-0123456789")
    browser.site.wait_for(lambda: browser.site.said, "a complaint")
    assert {one.status for one in browser.front.sent} == {404}
    assert browser.front.posts == []
