"""The pieces that pages are made of: URLs, breakers, differences, rates, the live view, bounds."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.console.pages.actions import changed_lines
from destinations.console.pages.breakers import breakers_of, read_breakers
from destinations.console.pages.live import LiveView, read_filter
from destinations.console.pages.notices import NOTICES, notice_of
from destinations.console.pages.overview import flows
from destinations.console.pages.query import Query, link
from destinations.console.pages.steps import steps_of
from destinations.console.stores import Stores
from destinations.console.verbs import Verbs
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.postgres import StoreAddress, open_at
from destinations.server import ServeConfig, read_config
from destinations.store import RecentBounds
from tests.serving import store_spec

DAY = 86_400
Put = Callable[..., int]


@pytest.fixture
def config(path: StoreAddress, tmp_path: Path) -> ServeConfig:
    """A configuration with a console of the store."""
    file = tmp_path / "serve.yaml"
    file.write_text(
        f"store: {store_spec(path)}\nconsole: {{listen: '127.0.0.1:1'}}\n"
        "destinations: [{name: sample, destination: webhook, settings: {url: 'https://x.example'}}]"
    )
    return read_config(file, {}, to_show=True)


@pytest.fixture
def verbs(path: StoreAddress, config: ServeConfig) -> Iterator[Verbs]:
    """What pages ask."""
    stores = Stores(path)
    yield Verbs(stores, config)
    stores.close()


# -- URLs and words --------------------------------------------------------------------------------


def test_links_keep_the_state() -> None:
    """A link has what is given, encoded; what is empty is left out, and a change replaces."""
    assert link("/x") == link("/x", a=None, b="") == "/x"
    assert link("/x", user="a&b=c d/é") == "/x?user=a%26b%3Dc+d%2F%C3%A9"
    query = Query.parse("a=1&b=2&a=3&empty=")
    assert query.changed(b=None, c=4) == "a=1&a=3&c=4"
    assert query.all_of("a") == ["1", "3"]


@pytest.mark.parametrize("text", ["-1", "1.5", "९", "1e3", " ", "9" * 19, "x"])
def test_numbers_in_a_url(text: str) -> None:
    """Anything but a whole number is none."""
    assert Query([("n", text)]).number("n") is None
    assert Query([("n", "17")]).number("n") == 17


def test_odd_queries() -> None:
    """Too many parameters, or bytes that are no text, are no fault."""
    assert len(Query.parse("&".join(f"a{n}=1" for n in range(5_000)))) == 0
    assert Query.parse("a=%FF%00").text("a") == "\ufffd\x00"


@pytest.mark.parametrize("key", NOTICES)
def test_notices(key: str) -> None:
    """What was done is said of one delivery, and of several with their number."""
    one, several = notice_of(key, 1), notice_of(key, 2_000)
    assert one.startswith("1 delivery ")
    assert several.startswith("2,000 deliveries ")


def test_changed_lines() -> None:
    """Two payloads are shown line by line; what is the same has no sign."""
    assert changed_lines({"a": 1, "b": 2}, {"a": 1, "b": 3}) == [
        (" ", "{"),
        (" ", '  "a": 1,'),
        ("-", '  "b": 2'),
        ("+", '  "b": 3'),
        (" ", "}"),
    ]
    assert changed_lines(None, 7) == [("+", "7")]
    assert len(changed_lines(list(range(10_000)), list(range(1, 10_000)))) < 1_000


def test_steps() -> None:
    """The steps of a subscription that takes the event come first; a document is indented."""
    one: dict[str, Any] = {
        "name": "Other",
        "action": "other",
        "subscribe": "type = 'x'",
        "matches": False,
        "clauses": [],
        "mapping": [],
        "changes": [],
        "payload": None,
        "result": None,
        "requests": [],
    }
    request = {
        "method": "POST",
        "url": "https://x",
        "headers": {"A": "***"},
        "body": {"query": "query {\na\n}", "variables": {"v": 1}},
    }
    planned = {"name": "r", "after": [], "request": request, "note": "", "outcomes": [["a", "b"]]}
    two = {**one, "name": "Taken", "matches": True, "payload": {"p": 1}, "requests": [planned]}
    steps = steps_of(
        {
            "taken_out": ["a.b"],
            "blank_traits": [],
            "subscriptions": [one, two],
            "result": None,
        }
    )
    assert [each.name for each in steps.subscriptions] == ["Taken", "Other"]
    assert steps.before == ["Taken out by filters: a.b"]
    (shown,) = (part for part in steps.subscriptions[0].parts if part.title == "Request r")
    assert "query {\n  a\n}" in shown.code
    assert '"v": 1' in shown.code


# -- breakers --------------------------------------------------------------------------------------

METRICS = """
# TYPE destinations_breaker_state gauge
destinations_breaker_state{destination="kana",state="closed"} 0.0
destinations_breaker_state{destination="kana",state="open"} 1.0
destinations_breaker_state{destination="a\\"b",state="closed"} 1.0
destinations_breaker_state{destination="bad",state="<b>"} 1.0
"""


def test_breakers() -> None:
    """The state of each is the one that is 1."""
    assert breakers_of(METRICS) == {"kana": "open", 'a"b': "closed"}


def test_breakers_of_a_server(config: ServeConfig, tmp_path: Path) -> None:
    """They are read from its metrics; without an address, or an answer, none is known."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(METRICS.encode())

        def log_message(self, *_: Any) -> None:
            pass

    assert read_breakers(config) is None
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = tmp_path / "serve.yaml"
    file.write_text(f"admin: {{listen: '127.0.0.1:{server.server_port}'}}\n{file.read_text()}")
    served = read_config(file, {}, to_show=True)
    assert read_breakers(served) == {"kana": "open", 'a"b': "closed"}
    server.shutdown()
    server.server_close()
    assert read_breakers(served) is None


# -- numbers, on both kinds of store ---------------------------------------------------------------


def test_flows(path: StoreAddress, put: Put) -> None:
    """What ended on the days is counted, and all that waits; of earlier days nothing."""
    put(status=Outcome.DELIVERED, settled_at=10 * DAY + 5)
    put(status=Outcome.DEAD, settled_at=10 * DAY + 5, reason="x", subscription="Other")
    put(status=Outcome.DELIVERED, settled_at=3 * DAY)
    put()
    with open_at(path, read_only=True) as store:
        (flow,) = flows(store.ledger().tallies(10), "destination", {})
        assert (flow.came_in, flow.waiting, flow.count(Outcome.DELIVERED)) == (3, 1, 1)
        by = flows(store.ledger().tallies(), "subscription", {})
        assert {(one.name, one.came_in) for one in by} == {
            ("sample: Counts", 3),
            ("sample: Other", 1),
        }
        assert flows(store.ledger().tallies(), "tenant", {}) == []


def test_what_ended_lately(path: StoreAddress, put: Put) -> None:
    """Outcomes since a time are returned, of the newest only."""
    put(status=Outcome.DELIVERED, settled_at=5_000.0)
    put(status=Outcome.DEAD, settled_at=6_000.0, reason="x")
    put(status=Outcome.DELIVERED, settled_at=7_000.0)
    with open_at(path, read_only=True) as store:
        ledger = store.ledger()
        found = {(status, at) for status, at, _ in ledger.ended_by_minute(5_500.0, 100)}
        assert found == {(Outcome.DEAD, 6_000.0), (Outcome.DELIVERED, 6_960.0)}  # of minutes
        newest = ledger.ended_by_minute(0.0, 1)
        assert sum(number for _, _, number in newest) == 2  # one of each table


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_list_begins_at_its_time(path: StoreAddress, put: Put, newest_first: bool) -> None:
    """However few rows are looked at, those of a time are found at once, and nothing follows."""
    days = {day: put(accepted_at=day * float(DAY)) for day in range(1, 41)}
    with open_at(path) as store, store.database.transaction() as connection:
        connection.execute("DELETE FROM days")
        connection.executemany(
            "INSERT INTO days VALUES (?, ?)", [(day, one // 1_000) for day, one in days.items()]
        )
    selection = Selection(since=20.0 * DAY, until=22.0 * DAY)
    with open_at(path, read_only=True) as store:
        page = store.ledger().page(selection, size=10, most_rows=6, newest_first=newest_first)
        found = [one.id for one in page.entries]
        assert found == [days[21], days[20]] if newest_first else [days[20], days[21]]
        after = page.last
        rest = 0
        while after is not None:
            page = store.ledger().page(
                selection, size=10, most_rows=6, after=after, newest_first=newest_first
            )
            after, rest = page.last, rest + 1
        assert rest <= 1


def test_live(verbs: Verbs, put: Put) -> None:
    """What is new, or stands in another way, comes once; what does not fit the filter, never."""
    first = put({"type": "track", "event": "A", "userId": "u"}, message_id="first")
    view = LiveView(verbs, read_filter(Query([("filter", 'event = "A"')]), []))
    view.begin()
    assert view.tick() is None
    second = put({"type": "track", "event": "A", "userId": "u"}, message_id="second")
    put({"type": "track", "event": "B", "userId": "u"}, message_id="other")
    sent = view.tick()
    assert sent is not None
    assert [row["id"] for row in sent["rows"]] == [second]
    assert view.tick() is None
    assert first not in [row["id"] for row in sent["rows"]]


def test_live_is_a_sample(verbs: Verbs, put: Put) -> None:
    """Of many at once, some are shown, and how many were left out is said."""
    view = LiveView(verbs, read_filter(Query(), []))
    view.begin()
    for _ in range(25):
        put(status=Outcome.DELIVERED)
    sent = view.tick()
    assert sent is not None
    assert (len(sent["rows"]), sent["left_out"]) == (20, 5)


def test_a_filter_that_is_none(verbs: Verbs, put: Put) -> None:
    """What is wrong with the FQL is said, and nothing is shown."""
    put()
    chosen = read_filter(Query([("filter", "type = ")]), [])
    assert chosen.issue
    assert LiveView(verbs, chosen).newest() == []


def test_delivered_events_are_kept_for_a_console(config: ServeConfig, tmp_path: Path) -> None:
    """With a console they are, by the default bounds; without one they are not."""
    assert config.keep_recent == RecentBounds()
    file = tmp_path / "serve.yaml"
    text = file.read_text()
    file.write_text(text.replace("console: {listen: '127.0.0.1:1'}\n", ""))
    assert read_config(file, {}, to_show=True).keep_recent is None
    file.write_text(f"keepRecent: {{events: 5}}\n{text}")
    kept = read_config(file, {}, to_show=True).keep_recent
    assert kept is not None
    assert kept.events == 5
