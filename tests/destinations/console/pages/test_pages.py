"""What every page shows, of a store with everything and of an empty one, and never a secret."""

from __future__ import annotations

import hashlib
import html.parser
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from destinations.console.operators import Operator, Role
from destinations.console.pages.query import Query
from destinations.console.pages.serving import routes
from destinations.console.pages.table import PAGES, all_pages
from destinations.console.pages.templating import render
from destinations.console.pages.visit import (
    Answered,
    ConsolePage,
    PageError,
    Redirected,
    Shown,
    Visit,
)
from destinations.console.routing import ConsoleRoute
from destinations.console.stores import Stores
from destinations.console.verbs import Verbs
from destinations.errors import UsageError
from destinations.operations import FILTERS
from destinations.outcome import Outcome, State
from destinations.pipeline.queue import Increment
from destinations.runtime.plugins import Plugin
from destinations.server import read_config
from destinations.store import SqliteStore
from tests.browser.world import SECRET, Filler, World, make_world, track
from tests.destinations.console.conftest import RunningConsole
from tests.example_counts import examples

STATIC: Final = Path(__file__).parents[4] / "destinations/console/pages/static"
HTMX: Final = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
"""The digest of htmx 2.0.11, dist/htmx.min.js of the npm package htmx.org."""


class Page(html.parser.HTMLParser):
    """A page that was read: its elements, and what they must not have."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.ids: list[str] = []
        self.faults: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        """What a reader sees."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag == "form":
            self.forms.append({"action": given["action"], "method": given.get("method", "get")})
        if tag == "input" and self.forms and given.get("type") == "hidden":
            self.forms[-1][given["name"]] = given.get("value", "")
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.faults.append("a script of its own")
        self.faults += [name for name in given if name == "style" or name.startswith("on")]
        if tag in {"style", "iframe", "object", "base"}:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class Pages:
    """Shows the pages of a console to an operator, without HTTP."""

    def __init__(self, world: World, role: Role = "operate") -> None:
        self.world = world
        self.verbs = Verbs(Stores(world.store), world.config)
        self.pages = all_pages(world.config)
        self.role: Role = role

    def answer(self, path: str, form: dict[str, str] | None = None) -> Answered:
        """Return what a page gives."""
        page, visit = self._find(path, form)
        return page.answer(visit, acts=form is not None)

    def show(self, path: str, form: dict[str, str] | None = None) -> Page:
        """Return a page as it is shown."""
        return Page(self.html(path, form))

    def html(self, path: str, form: dict[str, str] | None = None) -> str:
        """Return a page as HTML."""
        page, visit = self._find(path, form)
        shown = page.answer(visit, acts=form is not None)
        assert isinstance(shown, Shown)
        return render(shown, visit, page)

    def _find(self, path: str, form: dict[str, str] | None) -> tuple[ConsolePage, Visit]:
        place, _, query = path.partition("?")
        for page in self.pages:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", page.path)
            found = re.fullmatch(pattern, place)
            answer = page.show if form is None else page.act
            if found and answer is not None:
                visit = Visit(
                    operator=Operator("ada", self.role, "session", ""),
                    path=place,
                    query=Query.parse(query),
                    csrf="token",
                    pages=self.pages,
                    verbs=self.verbs,
                    # Of a form that was read, what is not a field of it is not sent.
                    form=Query(
                        (key, value)
                        for key, value in (form or {}).items()
                        if key not in {"action", "method"}
                    ),
                    parts=found.groupdict(),
                    now=self.world.now,
                )
                return page, visit
        raise AssertionError(f"no page at {path}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A store with deliveries of every status."""
    return make_world(tmp_path_factory.mktemp("full"), time.time())


@pytest.fixture(scope="module")
def pages(world: World) -> Pages:
    """The console of it."""
    return Pages(world)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """A console whose store holds nothing yet."""
    return Pages(make_world(tmp_path_factory.mktemp("empty"), time.time(), empty=True))


def test_tenants_only_where_there_are_some(tmp_path: Path) -> None:
    """A server without any is not offered an empty table."""
    world = make_world(tmp_path, time.time(), empty=True)
    own = [one for one in world.config.destinations if one.receiver.tenants is None]
    pages = Pages(replace(world, config=replace(world.config, destinations=tuple(own))))
    assert "<option>tenant</option>" not in pages.html("/")
    with pytest.raises(PageError, match="There is no by 'tenant'"):
        pages.answer("/?by=tenant")


def _paths(world: World) -> Iterator[str]:
    yield from (page.path for page in all_pages(world.config) if page.title)
    yield from (f"/deliveries/{identity}" for identity in world.ids.values())
    yield from (f"/tester?id={identity}" for identity in world.ids.values())
    yield from (f"/tenants/{identity}?destination=partner" for identity in world.tenants.values())
    yield "/drifts"
    yield from ("/refused", "/refused?code=NOT_JSON", "/refused?destination=kana&code=NONE")
    yield from ("/?period=all&by=subscription", "/?period=7d&by=tenant", "/?refresh=off")
    yield from ("/replay?outcome=dead", "/replay?outcome=unmapped", "/replay?outcome=delivered")
    yield from ("/drop?outcome=dead", "/resolve?state=held", "/resolve?outcome=delivered")
    yield "/kana/rules?try=1&name=seats&event=Seat+Added&feature=seats"
    yield "/live?filter=type+%3D+%22track%22"


def test_every_page(world: World, pages: Pages) -> None:
    """Each is shown, runs nothing of its own, has each id once, and knows no secret."""
    for path in _paths(world):
        text = pages.html(path)
        page = Page(text)
        assert page.faults == [], path
        assert len(set(page.ids)) == len(page.ids), path
        assert page.names.count("h1") == 1, path
        assert page.names.count("main") == 1, path
        assert SECRET not in text, path
        assert SECRET[5:] not in text, path
        assert all(link.startswith(("/", "#")) for link in page.links), path


def test_links_lead_to_pages(world: World, pages: Pages) -> None:
    """What a page links to is a page that can be shown."""
    links = {link for path in _paths(world) for link in pages.show(path).links}
    assert len(links) > 100
    for link in sorted(links):
        if link.startswith("/"):
            assert pages.html(link), link


@pytest.mark.parametrize("page", [page for page in PAGES if page.title], ids=lambda page: page.path)
def test_empty_states(empty: Pages, page: ConsolePage) -> None:
    """Where there is nothing, a page says so, and what to do."""
    shown = empty.show(page.path)
    assert page.path in {"/tester", "/configuration"} or re.search(
        r"yet|[Nn]othing|[Nn]o ", shown.text
    )
    assert shown.faults == []


def test_who_only_reads_is_offered_nothing(world: World) -> None:
    """Who may not change anything sees no form that would, but the one to log out."""
    pages = Pages(world, "read")
    for path in _paths(world):
        posts = [form for form in pages.show(path).forms if form["method"] == "post"]
        assert [form["action"] for form in posts] == ["/logout"], path


def test_every_form_that_changes_has_the_token(world: World, pages: Pages) -> None:
    """A form that changes something repeats the token of the session."""
    forms = [form for path in _paths(world) for form in pages.show(path).forms]
    posts = [form for form in forms if form["method"] == "post"]
    assert len(posts) > 30
    assert all(form.get("csrf") == "token" for form in posts)


def test_the_menu_says_where_one_is(pages: Pages, world: World) -> None:
    """The page that is shown is marked, and the list above the page of a delivery."""
    for path in ("/deliveries", f"/deliveries/{world.ids['dead']}"):
        assert '<a href="/deliveries" aria-current="page">' in pages.html(path)
    assert pages.html("/").count("aria-current") == 1


def test_routes_say_who_may_use_them(world: World) -> None:
    """Pages need an operator, and what changes something one who may; files are anybody's."""
    found = [one for one in routes(world.config) if isinstance(one, ConsoleRoute)]
    needs = {(one.path, tuple(sorted(one.methods or ()))): one.needs for one in found}
    assert all(
        need == ("operate" if "POST" in methods else "read") for (_, methods), need in needs.items()
    )
    assert ("/kana/rules", ("POST",)) in needs


ODD_VALUES = ("nobody", "0", "-1", "9" * 18, "9" * 40, "é✓", "\x00", "'\"<b>", "a" * 5000, "\ud800")


def _given(world: World) -> Iterator[tuple[ConsolePage, str]]:
    """Yield each page that is shown with each parameter and each part of its path."""
    for page in all_pages(world.config):
        path = page.path.replace("{id}", str(world.ids["dead"]))
        path = path.replace("{name}", next(iter(world.tenants.values())))
        if page.show is None:
            continue
        for one in page.parameters:
            yield page, f"{path}?{one if isinstance(one, str) else one.name}="
        if "{" in page.path:
            yield page, page.path.partition("{")[0]


def _answered(pages: Pages, url: str) -> tuple[Answered | None, PageError | None]:
    try:
        return pages.answer(url), None
    except PageError as error:
        return None, error


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: ascii(value[:6]))
def test_unknown_values(world: World, pages: Pages, value: str) -> None:
    """Each is answered by a page: a list without rows, or what is wrong and where to look."""
    escaped = quote(value.encode("utf-8", "surrogatepass"), safe="")
    known = {page.path for page in all_pages(world.config)}
    refused = 0
    for page, start in _given(world):
        shown, fault = _answered(pages, start + escaped)
        if fault is not None:
            refused += 1
            assert fault.status in {400, 404}, start
            assert fault.title, start
            assert fault.text[-1] in ".?" or page.path == "/live/events", start
            assert fault.way_on.url in known, start
        elif isinstance(shown, Shown):
            assert shown.status in {200, 400, 404}, start
            assert Page(pages.html(start + escaped)).faults == [], start
    assert refused > 30


@pytest.mark.parametrize(
    ("url", "title", "text", "way_on"),
    [
        ("/tester?id=99", "No such delivery", "forgets deliveries after a while", "/deliveries"),
        ("/deliveries/99", "No such delivery", "There is no delivery 99.", "/deliveries"),
        ("/tester?tenant=nobody", "No such tenant", "Unknown tenant 'nobody'", "/tenants"),
        ("/kana/unmapped?tenant=nobody", "No such tenant", "Unknown tenant 'nobody'", "/tenants"),
        ("/kana/rules?tenant=nobody", "No such tenant", "Unknown tenant 'nobody'", "/tenants"),
        ("/held?tenant=nobody", "No such tenant", "Unknown tenant 'nobody'", "/tenants"),
        ("/tenants/nobody", "No such tenant", "Unknown tenant 'nobody'", "/tenants"),
        ("/held?destination=x", "No such destination", "there are: crm-webhook", "/held"),
        ("/tenants?destination=x", "No such destination", "there are: crm-webhook", "/tenants"),
        ("/replay?id=99", "No such delivery", "There is no delivery 99.", "/deliveries"),
        ("/refused?after=x", "No such page of the list", "Invalid after 'x'", "/"),
    ],
)
def test_where_to_look(pages: Pages, url: str, title: str, text: str, way_on: str) -> None:
    """A page about something that there is not says so, and leads to what there is."""
    with pytest.raises(PageError, match=re.escape(text)) as raised:
        pages.answer(url)
    assert (raised.value.title, raised.value.way_on.url) == (title, way_on)


def test_an_unknown_delivery_over_http(console: RunningConsole) -> None:
    """It is a page of the console, with the menu, and 404."""
    client = console.stranger
    client.sign_in("ada")
    answer = client.get("/tester?id=99")
    assert answer.status == 404
    page = Page(answer.text)
    assert "No such delivery There is no delivery 99. The store forgets" in page.text
    assert {"/deliveries", "/tester"} <= {*page.links}
    assert "Show the deliveries</a>" in answer.text


# -- the content of pages --------------------------------------------------------------------------


def test_overview(pages: Pages) -> None:
    """It counts what came in and what became of it, and leads to each."""
    page = pages.show("/")
    assert "2 held" in page.text
    assert "3 dead" in page.text
    today = time.strftime("%Y-%m-%dT00%%3A00%%3A00Z", time.gmtime(pages.world.now))
    assert f"/deliveries?destination=kana&outcome=dead&ended_since={today}" in page.links
    assert "no server delivers from it" in page.text
    assert page.names.count("svg") > 2
    by_tenant = pages.show("/?by=tenant&period=all")
    assert f"/deliveries?destination=partner&tenant={min(pages.world.tenants.values())}" in (
        by_tenant.links
    )


@pytest.mark.parametrize("period", ["today", "7d", "30d", "all"])
@pytest.mark.parametrize("by", ["destination", "subscription", "tenant"])
def test_a_number_leads_to_as_many(pages: Pages, period: str, by: str) -> None:
    """Where a number of the overview is a link, so many deliveries are there."""
    text = pages.html(f"/?period={period}&by={by}")
    found = re.findall(r'<a href="(/deliveries[^"]*)">([0-9,]+)</a>', text)
    assert found
    for link, number in found:
        page = pages.show(link.replace("&amp;", "&"))
        assert "no such" not in page.text.lower()
        assert _listed(page) == min(50, int(number.replace(",", ""))), link


def test_a_replay_that_changes_nothing(tmp_path: Path) -> None:
    """Where the payload is as before, it says that the same request is sent again."""
    world = make_world(tmp_path, time.time(), empty=True)
    with SqliteStore(world.store) as store:
        filler = Filler(world, store)
        filler.put(track(), Outcome.REJECTED, reason="no such feature", code="NOT_FOUND")
    text = Pages(world).show("/replay?outcome=rejected").text
    assert "Of 1 chosen, 1 would be sent again as today's definition has them." in text
    assert "The same request would be sent again: the payload is as before." in text
    assert "would change" not in text


def test_refused(pages: Pages, empty: Pages) -> None:
    """They are no deliveries: the overview counts them, and the page has each with its reason."""
    assert '<a href="/refused"><b>2</b> refused</a>' in pages.html("/")
    text = pages.show("/refused").text
    for part in (
        "NO_USER_ANON_ID 400 needs a userId or an anonymousId",
        '"event": "Seat Added"',
        "NOT_JSON 400 it ends early, after ***",
        '{"key": "***", "name": "<b>&',
        "evt-refused",
        "kana /v1/kana",
        "destinations refused export --config ",
    ):
        assert part in text
    of_code = pages.show("/refused?code=NOT_JSON").text
    assert ("it ends early" in of_code, "needs a userId" in of_code) == (True, False)
    assert "refused list --code NOT_JSON --config" in of_code
    none = pages.show("/refused?code=NONE").text
    assert "No refused event fits these filters." in none
    unknown = pages.answer("/refused?destination=kanna")
    assert isinstance(unknown, Shown)
    assert unknown.status == 404
    assert "did you mean kana?" in unknown.values["issues"]["destination"]
    assert "Nothing needs to be done here." in empty.show("/refused").text
    assert '<a href="/refused"><b>0</b> refused</a>' in empty.html("/")


def _listed(page: Page) -> int:
    return sum(bool(re.fullmatch(r"/deliveries/[0-9]+", link)) for link in page.links)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("outcome=dead", 3),
        ("state=held", 2),
        ("destination=crm-webhook", 2),
        ("user=margaret&state=ready", 2),
        ("code=NOT_FOUND", 1),
        ("message_id=evt-0001", 1),
        ("needs_operator=1&outcome=", 8),
    ],
)
def test_filters(pages: Pages, query: str, shown: int) -> None:
    """Filters are those of the command line."""
    assert _listed(pages.show(f"/deliveries?{query}")) == shown


@pytest.mark.parametrize(
    ("query", "status", "issue"),
    [
        ("tenant=nobody", 404, "unknown tenant"),
        ("destination=kanna", 404, "did you mean kana?"),
        ("account=nobody", 404, "there is no account"),
        ("subscription=Record+usge", 404, "did you mean Record usage?"),
        ("outcome=lost", 400, "unknown outcome 'lost': expected one of delivered"),
        ("outcome=deat", 400, "did you mean dead?"),
        ("state=done", 400, "unknown state 'done'"),
        ("state=held&outcome=dead", 400, "not both"),
        ("since=yesterday", 400, "invalid time 'yesterday': expected ISO 8601, such as 2026"),
        ("ended_until=1x", 400, "invalid time '1x'"),
        ("since=1h&until=2h", 400, "must be before"),
        *(
            (f"{name}={value}", 400, f"invalid {name} '{value}': expected 1, or none")
            for name in ("needs_operator", "restored")
            for value in ("false", "0", "no", "maybe")
        ),
    ],
)
def test_filters_that_cannot_be_used(pages: Pages, query: str, status: int, issue: str) -> None:
    """What is wrong is said at the field, which keeps what was typed; nothing is listed."""
    answer = pages.answer(f"/deliveries?{query}")
    assert isinstance(answer, Shown)
    assert answer.status == status
    text = pages.html(f"/deliveries?{query}")
    page = Page(text)
    assert _listed(page) == 0
    (name, *_) = answer.values["issues"]
    assert issue in answer.values["issues"][name]
    assert f'aria-describedby="e-{name}' in text
    given = dict(part.split("=") for part in query.split("&"))[name].replace("+", " ")
    assert FILTERS[name].kind == "flag" or f'value="{given}"' in text
    assert "/replay" not in text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/drop?outcome=rejected&destinaton=kana", "'destinaton': expected one of state, outcome"),
        ("/drop?outcome=rejected&destinaton=kana", "did you mean destination?"),
        ("/replay?outcome=dead&sicne=1h", "did you mean since?"),
        ("/resolve?state=held&nosuch=1", "Unknown parameter 'nosuch'"),
        ("/replay?outcome=dead&after=x", "Unknown parameter 'after'"),
        ("/deliveries?outcom=dead", "did you mean outcome?"),
        ("/deliveries?messageId=evt-0001", "did you mean message_id?"),
        ("/deliveries?destination=kana&destination=w", "'destination' is given 2 times"),
        ("/drop?destination=kana&destination=kana", "'destination' is given 2 times"),
        ("/drop?outcome=dead&needs_operator=false", "Invalid needs_operator 'false'"),
        ("/drop?id=1&destination=kana", "by ids and by filters at once"),
        ("/deliveries?outcome=dead&after=x", "Invalid after 'x'"),
        ("/held?after=x", "Invalid after 'x'"),
        ("/tenants?after=x", "Invalid after 'x'"),
        ("/held?outcome=dead", "expected one of destination, tenant, after"),
        ("/drifts?tenant=x", "Unknown parameter 'tenant'"),
        ("/kana/unmapped?destination=nix", "Unknown parameter 'destination'"),
        ("/kana/unmapped?since=x", "Unknown parameter 'since'"),
        ("/kana/users?ask=nix", "Invalid ask 'nix': expected 1, or none"),
        ("/kana/rules?try=yes", "Invalid try 'yes'"),
        ("/kana/rules?feture=seats", "did you mean feature?"),
        ("/tester?delivery=nix", "Unknown parameter 'delivery'"),
        ("/?nosuch=1", "Unknown parameter 'nosuch': expected one of period, by, refresh"),
        ("/?refresh=of", "Invalid refresh 'of': expected off, or none"),
        ("/configuration?x=1", "Unknown parameter 'x': expected none."),
        ("/deliveries/1?attempt=77", "Unknown parameter 'attempt'"),
        ("/live/events?user=ada", "Unknown parameter 'user'"),
        (f"/deliveries?{'destination=kana&' * 201}", "Too many parameters"),
    ],
)
def test_parameters_that_no_page_reads(pages: Pages, url: str, expected: str) -> None:
    """Nothing in a URL is left out: neither the page nor a change is about more than it says."""
    with pytest.raises(PageError) as caught:
        pages.answer(url)
    assert caught.value.status == 400
    assert expected in caught.value.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_page_names_its_parameters(pages: Pages, page: ConsolePage) -> None:
    """Each page refuses what it does not have, also in the form that is sent to it."""
    path = page.path.replace("{id}", "1").replace("{name}", "x")
    if page.show is not None:
        with pytest.raises(PageError, match="Unknown parameter 'nosuch'"):
            pages.answer(f"{path}?nosuch=")
    if page.act is not None:
        with pytest.raises(PageError, match="Unknown parameter 'nosuch'"):
            pages.answer(path, {"nosuch": ""})
        with pytest.raises(PageError, match="Unknown parameter 'destination': expected none"):
            pages.answer(f"{path}?destination=kana", {"seen": "x"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/?period=yesterday", "expected today, 7d, 30d or all"),
        ("/?by=usr", "expected destination, subscription or tenant"),
        ("/tenants?status=provn", "did you mean proven?"),
        ("/tester?destination=kanna", "did you mean kana?"),
        ("/tester?id=first", "There is no delivery 'first'"),
        ("/live?destination=kanna", "did you mean kana?"),
        ("/kana/users?destination=crm", "There is no destination 'crm'"),
    ],
)
def test_what_a_page_does_not_know(pages: Pages, url: str, expected: str) -> None:
    """A page never shows something else than what its URL asks for."""
    with pytest.raises(PageError) as caught:
        pages.answer(url)
    assert caught.value.status == 404
    assert expected in caught.value.text


def test_drifts(own: Pages) -> None:
    """Unexpected balances are listed with what may count twice, by the filters of the command."""
    assert "No balance was found" in own.show("/drifts").text
    with SqliteStore(own.world.store) as store:
        (scope, *_) = (one.id for one in store.ledger().totals(0.0) if one.destination == "kana")
        with store.database.transaction() as connection:
            connection.execute(
                "INSERT INTO drifts (scope, key, user, expected, found, noticed_at, deliveries)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (scope, '["ada","calls"]', "ada", 5, 9, own.world.now - 60, "[1000]"),
            )
    page = own.show("/drifts?user=ada&since=1h")
    assert "kana ada, calls ada 5 9 1000" in page.text
    assert "deliveries list --drift --user ada --since 1h" in page.text
    assert "No balance was found" in own.show("/drifts?user=bob").text
    for query, status in (("since=x", 400), ("destination=kanna", 404)):
        wrong = own.answer(f"/drifts?{query}")
        assert isinstance(wrong, Shown)
        assert (wrong.status, wrong.values["drifts"]) == (status, [])


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ("outcome=delivered", set()),
        ("outcome=filtered", set()),
        ("outcome=dropped", set()),
        ("outcome=dead", {"replay", "drop"}),
        ("state=held", {"resolve", "drop"}),
        ("state=unknown", {"resolve"}),
        ("state=ready", {"drop"}),
        ("user=margaret", {"replay", "resolve", "drop"}),
    ],
)
def test_only_what_can_be_done_is_offered(pages: Pages, query: str, offered: set[str]) -> None:
    """Of deliveries in a state or with an outcome, what can be changed together is offered."""
    links = pages.show(f"/deliveries?{query}").links
    found = {link[1:].partition("?")[0] for link in links} & {"replay", "resolve", "drop"}
    if _listed(pages.show(f"/deliveries?{query}")):
        assert found == offered


def test_lists_name_the_event(pages: Pages) -> None:
    """A list shows what an event is called, as far as that is kept, before its type and id."""
    text = pages.show("/deliveries?outcome=dead").text
    assert re.search(r"Report Exported track/evt-[0-9]+", text)


def test_pages_of_the_list(pages: Pages) -> None:
    """Going on from page to page shows each delivery once."""
    seen: list[str] = []
    path = "/deliveries"
    while path:
        page = pages.show(path)
        seen += [one for one in page.links if re.fullmatch(r"/deliveries/[0-9]+", one)]
        older = [one for one in page.links if one.startswith("/deliveries?after=")]
        path = older[0] if older else ""
    with SqliteStore(pages.world.store, read_only=True) as store:
        assert len(seen) == sum(sum(one.counts.values()) for one in store.ledger().totals(0.0))
    assert len(set(seen)) == len(seen)


def test_a_delivery(pages: Pages) -> None:
    """Its page has the event, the steps, the request with its secret masked, and the attempts."""
    text = pages.show(f"/deliveries/{pages.world.ids['dead']}").text
    assert "Report Exported" in text
    assert "Record usage" in text
    assert "Authorization: ***" in text
    assert "no answer within 10 s" in text
    assert "errorRules[2]" in text


def test_held(pages: Pages) -> None:
    """Both balances are there, what they show, and both decisions, with what was seen."""
    page = pages.show("/held")
    assert "12 balance before 17 balance found, expected 17" in page.text
    assert "The balances show that it was applied ." in page.text
    decisions = [form for form in page.forms if form["action"].endswith("/resolve")]
    assert [form["decision"] for form in decisions] == ["applied", "not_applied"] * 2
    assert all(form["seen"] and form["was"] == "held" for form in decisions)


def test_configuration(pages: Pages) -> None:
    """Secrets are masked, also in the query of an address, and the rest is there."""
    text = pages.show("/configuration").text
    assert "apiKey ***" in text
    assert "https://crm.example/hooks/in?token=***" in text
    assert "store.keepDays.delivered 30d" in text
    assert "store.keepDays.dead until it is replayed or dropped default" in text
    assert "store.dedupeDays 7d; in effect 30d, as a messageId stays" in text
    assert "delivery.concurrency 4 default" in text
    assert "delivery.settleAfterSeconds 2m default" in text
    assert 'type = "identify"' in text


def test_unmapped(pages: Pages) -> None:
    """Events are counted by name and by property, and a rule is made of each."""
    page = pages.show("/kana/unmapped")
    assert "Seat Added 3" in page.text
    assert "/kana/rules?event=Seat+Added" in page.links
    assert "/kana/rules?where=plan%3Dpro" in page.links
    tried = pages.show("/kana/rules?try=1&name=seats&event=Seat+Added&feature=seats")
    assert "It maps 3 of the 4 newest unmapped events" in tried.text


# -- texts of others -------------------------------------------------------------------------------

PIECES: Final = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</textarea><b>",
        "' onfocus='x",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "javascript:alert(1)",
        "&lt;i&gt;",
        "\u202etxt.exe",
        "\x00\x1b[31m",
        SECRET,
        SECRET.upper(),
        f"Bearer {SECRET}",
        "é",
    ]
)
TEXTS: Final = st.lists(PIECES | st.text(max_size=20), min_size=1, max_size=4).map("".join)


@settings(
    max_examples=examples(6),
    deadline=None,
    # One example takes a second: what it is, is as good as the smallest one.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
@example(SECRET, f"x{SECRET}", SECRET, f"<b>{SECRET}")
def test_texts_of_others(tmp_path: Path, name: str, user: str, value: str, reason: str) -> None:
    """Whatever events and answers say, no page has markup or a secret of it."""
    folder = tmp_path / hashlib.sha256(repr((name, user, value, reason)).encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    world = make_world(folder, time.time(), empty=True)
    raw = {
        **track(None, user=user.replace("\x00", "") or "u"),
        "event": name,
        "properties": {value: value, "list": [value]},
    }
    named = name.replace("\x00", "")
    with SqliteStore(world.store) as store:
        filler = Filler(world, store)
        identity = filler.put(
            {**raw, "messageId": f"1{named}"},
            Outcome.UNMAPPED,
            reason=reason.replace("\x00", ""),
            recent=True,
        )
        held = filler.put(
            {**raw, "messageId": f"2{named}"},
            State.HELD,
            reason=reason,
            evidence={"why": value, name: value},
        )
        filler.put({**raw, "messageId": f"3{named}"}, State.HELD, reason=reason, code=name[:20])
        filler.attempt(held, 500, json.dumps({"message": value}).encode(), reason)
    shown = Pages(world)
    for path in (
        *("/", "/?by=subscription", "/deliveries", f"/deliveries/{identity}", "/held", "/live"),
        *(f"/deliveries/{held}", "/replay?outcome=unmapped", "/drop?outcome=unmapped"),
        *("/tester", f"/tester?id={identity}", "/kana/unmapped", "/resolve?state=held"),
    ):
        text = shown.html(path)
        page = Page(text)
        assert page.faults == [], path
        assert not {"b-x", "img", "i"} & set(page.names), path
        assert SECRET.lower() not in text.lower(), path
        assert "\u202e" not in text, path


# -- plugins and files -----------------------------------------------------------------------------


class _Wrong(Plugin):
    def __init__(self, pages: list[object]) -> None:
        self._pages = pages

    def console_pages(self) -> list[object]:
        return self._pages


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (["no page"], "must return a list of destinations.console.ConsolePage"),
        ([ConsolePage("/held")], "has the page '/held': expected a path of its own"),
        ([ConsolePage("held")], "has the page 'held': expected a path of its own"),
    ],
)
def test_pages_of_a_plugin_that_are_none(
    world: World, monkeypatch: pytest.MonkeyPatch, added: list[object], message: str
) -> None:
    """A plugin whose pages cannot be used is named."""
    monkeypatch.setattr(
        "destinations.console.pages.table.open_definition",
        lambda _: (_Definition, _Wrong(added)),
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        all_pages(world.config)


class _Definition:
    slug = "kana"


def test_the_vendored_file() -> None:
    """It is the file that its author released, with its licence beside it."""
    assert hashlib.sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest() == HTMX
    assert (STATIC / "htmx.LICENSE").read_text(encoding="utf-8").startswith("Zero-Clause BSD")


def test_no_page_loads_anything_from_elsewhere() -> None:
    """Scripts and styles are files of this package."""
    layout = (STATIC.parent / "templates" / "layout.html").read_text(encoding="utf-8")
    found = re.findall(r'(?:src|href)="([^"{]+)"', layout)
    assert found
    for one in found:
        is_file = one.startswith("/static/") and (STATIC / one.removeprefix("/static/")).is_file()
        assert one in {"#content", "/", "/shared/base.css"} or is_file, one


# -- changes ---------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Pages:
    """A console whose store the test changes."""
    return Pages(make_world(tmp_path, time.time()))


def test_a_form_changes_no_more_than_it_says(own: Pages) -> None:
    """A filter of a form that cannot be read is not left out."""
    form = _form(own.show("/drop?outcome=dead&destination=kana"), "/drop", reason="x")
    form["destinaton"] = form.pop("destination")
    with pytest.raises(PageError, match="did you mean destination") as caught:
        own.answer("/drop", form)
    assert caught.value.title == "Nothing was changed"
    assert _status(own, "dead") == "dead"


def _status(pages: Pages, name: str) -> str:
    return pages.verbs.delivery(pages.world.ids[name]).entry.status.value


def _form(page: Page, action: str, **given: str) -> dict[str, str]:
    (form, *_) = (one for one in page.forms if one["action"] == action)
    return {**{key: value for key, value in form.items() if key != "action"}, **given}


def test_decide_on_one(own: Pages) -> None:
    """A decision is made by what was seen; the second of two gets 409, and sees how it is now."""
    path = f"/deliveries/{own.world.ids['held']}"
    form = _form(own.show(path), f"{path}/resolve")
    assert own.answer(f"{path}/resolve", form) == Redirected(
        path, "1 delivery counts as delivered now."
    )
    assert _status(own, "held") == "delivered"
    other = own.answer(f"{path}/resolve", {**form, "decision": "not_applied"})
    assert isinstance(other, Shown)
    assert other.status == 409
    text = own.show(f"{path}/resolve", {**form, "decision": "not_applied"}).text
    assert "Nothing was changed" in text
    assert "it was held ; now it is delivered" in text
    assert ". This page shows it" in re.sub("<[^>]*>", "", own.html(f"{path}/resolve", form))
    assert _status(own, "held") == "delivered"


@pytest.mark.parametrize("action", ["resolve", "drop"])
def test_what_was_not_seen_is_not_decided(own: Pages, action: str) -> None:
    """A form that has seen something else changes nothing, though it still could be."""
    path = f"/deliveries/{own.world.ids['held']}"
    form = _form(own.show(path), f"{path}/{action}", seen="0" * 16)
    form |= {"reason": "x"} if action == "drop" else {}
    answer = own.answer(f"{path}/{action}", form)
    assert isinstance(answer, Shown)
    assert answer.status == 409
    assert _status(own, "held") == "held"
    assert "It is still held" in own.show(f"{path}/{action}", form).text
    with pytest.raises(PageError, match="does not say what was seen"):
        own.answer(f"{path}/{action}", {**form, "seen": ""})


def test_drop_one(own: Pages) -> None:
    """It is dropped with its reason, and back on its page."""
    path = f"/deliveries/{own.world.ids['rejected']}"
    form = _form(own.show(path), f"{path}/drop", reason="test data")
    assert own.answer(f"{path}/drop", form) == Redirected(path, "1 delivery was dropped.")
    assert "dropped: test data" in own.show(path).text


@pytest.mark.parametrize(
    ("place", "action", "given", "done", "after"),
    [
        ("/drop?outcome=dead", "/drop", {"reason": "x"}, "3 deliveries were dropped.", "dropped"),
        ("/replay?outcome=dead", "/replay", {}, "3 deliveries were replayed.", "ready"),
    ],
)
def test_change_many(
    own: Pages, place: str, action: str, given: dict[str, str], done: str, after: str
) -> None:
    """The confirmation says how many they are; what was confirmed is changed, and nothing else."""
    page = own.show(place)
    assert "3 deliveries?" in page.text
    form = _form(page, action, **given)
    assert own.answer(action, form) == Redirected("/deliveries?outcome=dead", done)
    assert _status(own, "dead") == after


def test_change_many_that_have_changed(own: Pages) -> None:
    """Where one of them has changed since, nothing is, and the page says how many they are now."""
    form = _form(own.show("/drop?outcome=dead"), "/drop", reason="x")
    path = f"/deliveries/{own.world.ids['dead']}"
    own.answer(f"{path}/drop", _form(own.show(path), f"{path}/drop", reason="other"))
    answer = own.answer("/drop", form)
    assert isinstance(answer, Shown)
    assert (answer.status, answer.values["number_of"]) == (409, 2)
    assert "Nothing was changed" in own.show("/drop", form).text


def test_resolve_as_the_balances_show(own: Pages) -> None:
    """Of many, those are decided on whose balances show something."""
    page = own.show("/resolve?state=held")
    assert "As the balances show: 1 of 2" in page.text
    form = next(one for one in page.forms if one.get("decision") == "as_shown")
    answer = own.answer("/resolve", form)
    assert answer == Redirected("/held", "1 delivery was decided as the balances show.")
    assert (_status(own, "held"), _status(own, "held-unknown")) == ("delivered", "held")


def test_what_comes_later_is_not_meant(own: Pages) -> None:
    """A confirmation is about what was there when its page was drawn."""
    form = _form(own.show("/drop?outcome=dead"), "/drop", reason="x")
    with SqliteStore(own.world.store) as store:
        Filler(own.world, store).put(
            {**track(), "messageId": "later"}, Outcome.DEAD, age=-5, reason="later"
        )
    assert own.answer("/drop", form) == Redirected(
        "/deliveries?outcome=dead", "3 deliveries were dropped."
    )


def test_pause_and_resume(own: Pages) -> None:
    """A destination is paused and resumed from the overview."""
    form = _form(own.show("/"), "/destinations/pause", destination="kana")
    assert own.answer("/destinations/pause", form) == Redirected(
        "/", "kana is paused: its events wait."
    )
    assert "Paused since" in own.show("/").text
    assert own.answer("/destinations/pause", form) == Redirected(
        "/", "kana was paused already: nothing was changed."
    )
    form = _form(own.show("/"), "/destinations/resume", destination="kana")
    assert own.answer("/destinations/resume", form) == Redirected(
        "/", "kana is resumed: its events are delivered."
    )
    assert "Paused since" not in own.show("/").text


def test_rules(own: Pages) -> None:
    """A rule is added with what it maps, and removed; each is in the audit."""
    page = own.show("/kana/rules?try=1&name=seats&event=Seat+Added&feature=seats")
    answer = own.answer("/kana/rules", _form(page, "/kana/rules"))
    assert answer == Redirected("/kana/rules", "The rule seats was added: it maps 3 events.")
    assert _status(own, "unmapped") in {"ready", "unmapped"}
    form = _form(own.show("/kana/rules"), "/kana/rules/remove")
    assert own.answer("/kana/rules/remove", form) == Redirected(
        "/kana/rules", "The rule seats was removed. What it has mapped stays mapped."
    )
    assert [line.verb for line in own.verbs.audit().items[:2]] == ["remove rule", "add rule"]
    wrong = own.answer("/kana/rules?try=1&name=seats&feature=seats")
    assert isinstance(wrong, Shown)
    assert (wrong.status, wrong.values["fault"][:20]) == (400, "needs a condition: F")


def test_tester(own: Pages) -> None:
    """An event is explained and sent to a sandbox; the store gets nothing of it."""
    event = json.dumps({**track(), "messageId": "tried"})
    form = {"destination": "kana", "event": event, "do": "send"}
    text = own.show("/tester", form).text
    assert "What the sandbox got" in text
    assert "Answer: 200" in text
    assert "delivered Record usage" in text
    assert not own.verbs.deliveries(_selection("tried")).items
    wrong = own.answer("/tester", {**form, "event": "{"})
    assert isinstance(wrong, Shown)
    assert wrong.status == 400


def test_the_tester_masks_secrets_only(own: Pages) -> None:
    """The key of the sandbox is masked as a whole, also where it begins as the real one does."""
    key = Path(own.world.store).parent / "key"
    key.write_text("prv_test_sandbox-of-the-partner")
    pages = Pages(
        World(
            read_config(own.world.config.path or key, {}, to_show=True),
            own.world.store,
            own.world.now,
        )
    )
    event = {
        name: value for name, value in track().items() if name not in {"messageId", "timestamp"}
    }
    form = {"destination": "kana", "event": json.dumps(event), "do": "send"}
    text = pages.show("/tester", form).text
    assert "Authorization: ***" in text
    assert "******" not in text
    # Nor is the operator told of the inputs of a run, which this is not.
    assert "input_id" not in text
    assert "delivered Record usage" in text


def test_keys_of_balances_are_readable(own: Pages) -> None:
    """A key of several parts is JSON in the store; people read its parts."""
    with SqliteStore(own.world.store) as store:
        identity = Filler(own.world, store).put(
            {**track(), "messageId": "of-parts"},
            State.HELD,
            increment=Increment('["ada","exports",7]', 5),
            evidence={"key": '["ada","exports",7]', "why": "x"},
        )
    for path in ("/held", f"/deliveries/{identity}"):
        text = own.show(path).text
        assert "5 to ada, exports, 7" in text
        assert '["ada"' not in text.split("The payload")[0]


def _selection(message_id: str) -> Any:
    from destinations.pipeline.ledger import Selection  # noqa: PLC0415 - used once

    return Selection(message_id=message_id)
