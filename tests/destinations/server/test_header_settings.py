"""Settings that come with a request are a stranger's text; they stay with their events."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from destinations.definition import load_definition
from destinations.definition.setting_uses import account_settings, address_settings, names_read
from destinations.errors import DefinitionError
from destinations.http import ssrf
from destinations.operations import Periods, plan_replay, prune, replay
from destinations.outcome import Outcome
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import EventSettings
from destinations.postgres import open_at
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.server import ServeConfig, Service, read_config
from destinations.server.binding import bind as bind_all
from destinations.server.header_settings import HeaderError, HeaderSettings
from destinations.server.partners import configured_tenant
from destinations.store import RefusedSelection, SealedValues, Tenants
from destinations.telemetry import observe

SEALING_KEY = "A" * 43 + "="
KEY = "key-of-a-customer"
Body = dict[str, Any]


def encoded(settings: object) -> str:
    """Return settings as a sender encodes them."""
    return base64.b64encode(json.dumps(settings).encode()).decode()


# -- what is read --------------------------------------------------------------------------------


@pytest.fixture
def reader() -> HeaderSettings:
    """A reader of two settings, of which one belongs to the account."""
    return HeaderSettings(
        ["region", "host"],
        ["host"],
        lambda values: EventSettings(json.dumps(values), "sealed"),
    )


@pytest.mark.parametrize(
    ("header", "values", "account"),
    [
        (None, {}, ""),
        (encoded({}), {}, ""),
        (encoded({"region": "eu"}), {"region": "eu"}, ""),
        (encoded({"other": 1, "apiKey": "mine"}), {}, ""),
        (encoded({"region": None}), {}, ""),
        (encoded({"host": "h", "region": 1}), {"host": "h", "region": 1}, '{"host": "h"}'),
        (f" {encoded({'region': 'eu'})} ", {"region": "eu"}, ""),
    ],
)
def test_only_listed_settings_are_taken(
    reader: HeaderSettings, header: str | None, values: Body, account: str
) -> None:
    """What else the header has is left out, however it is called."""
    sent = reader.read(None if header is None else header.encode())
    assert sent.values == values
    assert sent.account == account
    assert sent.of_events == {name: it for name, it in values.items() if name != "host"}
    assert json.loads(sent.kept.name) == sent.of_events


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("%%%", "it is not Base64"),
        (encoded({})[:-1], "it is not Base64"),
        (f"{encoded({})}, {encoded({})}", "comes more than once"),
        (base64.b64encode(b"{").decode(), "not JSON"),
        (base64.b64encode(b"\xff\xfe").decode(), "not JSON"),
        (base64.b64encode(b"[" * 5_000).decode(), "not JSON"),
        ("", "not JSON"),
        (encoded([{}]), "no object"),
        (encoded(None), "no object"),
        (encoded({"region": "e" * 10_000}), "longer than 8,192 bytes"),
    ],
)
def test_a_malformed_header(reader: HeaderSettings, header: str, message: str) -> None:
    """It is refused by its name, with what is expected."""
    with pytest.raises(HeaderError, match=message) as refused:
        reader.read(header.encode())
    assert refused.value.message.startswith("X-Segment-Settings ")


@pytest.mark.parametrize(
    ("name", "of_addresses", "of_accounts"),
    [
        ("kana", {"apiKey", "endpoint"}, {"apiKey", "endpoint"}),
        ("braze", {"apiKey", "endpoint"}, {"apiKey", "endpoint"}),
        ("slack", {"webhookUrl"}, {"webhookUrl"}),
    ],
)
def test_settings_of_addresses(name: str, of_addresses: set[str], of_accounts: set[str]) -> None:
    """What URLs and credentials are made of is known from the definition alone."""
    definition = load_definition(find_folder(name))
    assert address_settings(definition) == of_addresses
    assert account_settings(definition) == of_accounts


# -- what may be configured ----------------------------------------------------------------------


def _with_region(documents: dict[str, Any]) -> None:
    """Count with a region and a note, by REST, and find out who a key is."""
    del documents["sync"]
    destination = documents["destination"]
    destination["presets"] = destination["presets"][:1]
    properties = destination["settings"]["properties"]
    properties["region"] = {
        "title": "Region",
        "description": "Where things are counted.",
        "type": "string",
        "enum": ["eu", "us"],
    }
    properties["project"] = {"title": "Project", "description": "Whose.", "type": "string"}
    destination["settings"]["required"] = ["apiKey", "region"]
    destination["requests"] = {
        "find": {
            "description": "Says who a key is.",
            "idempotent": True,
            "rest": {
                "method": "POST",
                "path": ["me"],
                "json": {"project": {"@path": "$.settings.project"}},
            },
        },
        "count": {
            "description": "Counts a thing.",
            "idempotent": True,
            "batch": {"size": 10},
            "rest": {
                "method": "POST",
                "path": ["count"],
                "json": {
                    "thing": {"@path": "$.payload.thing"},
                    "region": {"@path": "$.settings.region"},
                },
            },
        },
    }
    transport = destination["transport"]
    transport["timeout"] = {"connect": 30, "read": 60, "total": 60}
    transport["retry"]["backoff"] = {"base": 0.01, "cap": 0.01}
    del documents["save"]


@pytest.fixture
def configured(
    write: Callable[[str, Any], Path], write_definition: Callable[..., Path]
) -> Callable[..., Any]:
    """A configuration of the destination ``sample`` for customers."""
    write_definition(_with_region)

    def make(header: Body | None, settings: Body | None = None, **more: Any) -> Any:
        tenants = {"key": "apiKey", **({} if header is None else {"settings": header})}
        document = {
            "store": {"path": "s.sqlite3"},
            "listen": {"port": 0},
            "sealing": {"key": "${SEALING_KEY}"},
            "destinations": [
                {
                    "name": "sample",
                    "destination": "./sample",
                    "settings": settings or {},
                    "receiver": {"tenants": tenants},
                    **more,
                }
            ],
        }
        return read_config(
            write("c.yaml", json.dumps(document, indent=1)), {"SEALING_KEY": SEALING_KEY}
        )

    return make


@pytest.mark.parametrize(
    ("header", "settings", "message"),
    [
        (None, {}, "region"),
        ({"fromHeader": ["region"]}, {}, ""),
        ({"fromHeader": ["region"]}, {"region": "eu"}, ""),
        ({"fromHeader": ["region", "endpoint"], "allowUrls": ["endpoint"]}, {}, ""),
        ({"fromHeader": ["regoin"]}, {"region": "eu"}, "no setting 'regoin'.*did you mean"),
        ({"fromHeader": ["region", "apiKey"]}, {}, "apiKey comes in Authorization"),
        ({"fromHeader": ["region", "endpoint"]}, {}, "made of endpoint.*allowUrls"),
        ({"fromHeader": ["region"], "allowUrls": ["endpoint"]}, {}, "endpoint is not one of"),
        ({"fromHeader": ["region"], "allowUrls": ["region"]}, {}, "made of region: leave it out"),
        ({"fromHeader": []}, {"region": "eu"}, "fromHeader"),
        ({"allowUrls": ["endpoint"]}, {"region": "eu"}, "fromHeader"),
        ({"fromHeader": ["region"], "other": 1}, {}, "other"),
    ],
)
def test_what_may_come_in_the_header(
    configured: Callable[..., Any], header: Body | None, settings: Body, message: str
) -> None:
    """A setting that says where requests go comes from customers only where that is allowed."""
    if not message:
        (bound,) = bind_all(configured(header, settings), None)
        assert header is not None
        assert bound.header_settings == set(header["fromHeader"]) - set(settings)
        return
    with pytest.raises(DefinitionError, match=message):
        bind_all(configured(header, settings), None)


@pytest.mark.parametrize(
    ("header", "settings", "more", "path", "words"),
    [
        (["regoin"], {}, {}, "receiver/tenants/settings/fromHeader/0", '"regoin"'),
        (["project"], {"fit": 1}, {}, "settings/fit", '"fit": 1'),
        (None, {}, {"receiver": {"tenants": {"key": "k"}}}, "receiver/tenants/key", '"key": "k"'),
        (None, {"apiKey": "${SEALING_KEY}"}, {}, "settings/apiKey", '"apiKey": "$'),
        (None, {}, {"account": "one"}, "account", '"account"'),
    ],
)
def test_where_faults_of_tenants_are(
    configured: Callable[..., Any],
    header: Sequence[str] | None,
    settings: Body,
    more: Body,
    path: str,
    words: str,
) -> None:
    """The place and the line are those of what is wrong, not of the destination's settings."""
    taken = None if header is None else {"fromHeader": header}
    with pytest.raises(DefinitionError) as raised:
        bind_all(configured(taken, {"region": "eu", **settings}, **more), None)
    (issue,) = raised.value.issues
    assert issue.path == f"/destinations/0/{path}"
    assert issue.file is not None
    lines = Path(issue.file).read_text("utf-8").splitlines()
    assert issue.line is not None
    assert words in lines[issue.line - 1]


# -- what is delivered ---------------------------------------------------------------------------


class Partner:
    """Takes what is counted, or says that it is busy, or that it does not like it."""

    def __init__(self) -> None:
        self.status = 200
        self.counted: list[tuple[str, str, str | None]] = []
        self.sizes: list[int] = []
        self.projects: list[str | None] = []
        self._changed = threading.Condition()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                partner.answer(self)

            def log_message(self, *_: object) -> None:
                """Nobody wants to know."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it is."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        """Count what a request names, or say what the test wants to be said."""
        body = json.loads(to.rfile.read(int(to.headers["content-length"])))
        status = 200
        with self._changed:
            if to.path.endswith("/me"):
                self.projects.append(body.get("project"))
            else:
                status = self.status
                host = str(to.headers["host"]).partition(":")[0]
                rows = body if isinstance(body, list) else [body]
                if status == 200:
                    self.sizes.append(len(rows))
                    self.counted += [(host, one["thing"], one.get("region")) for one in rows]
            self._changed.notify_all()
        to.send_response(status)
        to.send_header("content-length", "2")
        to.end_headers()
        with contextlib.suppress(ConnectionError):
            to.wfile.write(b"{}")

    def wait_for(self, number: int) -> None:
        """Return when so many were counted."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.counted) >= number, 60), self.counted

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def partner() -> Iterator[Partner]:
    """A partner on this machine."""
    made = Partner()
    yield made
    made.close()


@pytest.fixture
def serving() -> Iterator[Callable[[Any], Service]]:
    """Starts services, and stops them."""
    with contextlib.ExitStack() as stack:

        def start(config: Any) -> Service:
            observation = stack.enter_context(contextlib.closing(observe(environment={})))
            service = Service(config, observation)
            service.start()
            service.watch_queues()
            stack.callback(service.stop)
            return service

        yield start


def post(service: Service, thing: str, header: object, **more: Any) -> requests.Response:
    """Send an event about a thing, with settings."""
    event = {
        "type": "track",
        "event": "E",
        "userId": "u",
        "messageId": f"m-{thing}",
        "properties": {"by": 1, "thing": thing},
        **more,
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    if header is not None:
        headers["X-Segment-Settings"] = header if isinstance(header, str) else encoded(header)
    return requests.post(service.urls["sample"], json=event, headers=headers, timeout=30)


def until(is_so: Callable[[], bool]) -> None:
    """Return when something is so."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def rejected(config: ServeConfig, outcome: Outcome = Outcome.REJECTED) -> list[LedgerEntry]:
    """Return the deliveries that the partner did not like, or with another outcome."""
    with open_at(config.store.address, read_only=True) as store:
        return list(store.ledger().find(Selection(statuses=frozenset({outcome}))))


def names_of_settings(config: ServeConfig) -> int:
    """Return how many settings are kept that came with events."""
    with open_at(config.store.address, read_only=True) as store:
        return len(SealedValues(store.database, None).names("settings/"))


def tenants_of(config: ServeConfig) -> int:
    """Return how many tenants there are."""
    with open_at(config.store.address, read_only=True) as store:
        return len(Tenants(store.database).all())


def test_settings_stay_with_their_event(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
) -> None:
    """It is sent, repeated after a restart, and in its order, with those that it came with."""
    config = configured({"fromHeader": ["region"]}, {"endpoint": partner.url})
    service = serving(config)
    partner.status = 503
    things = [("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "eu"), ("e", "us")]
    for thing, region in things:
        answer = post(service, thing, {"region": region, "endpoint": "http://127.0.0.1:1"})
        assert answer.status_code == 200, answer.text
    # It was accepted before: what comes with the repeat changes nothing.
    assert post(service, "b", {"region": "eu"}).status_code == 200
    service.stop()
    partner.status = 200
    serving(config)
    partner.wait_for(len(things))
    assert [(thing, region) for _, thing, region in partner.counted] == things
    # Once for all events that came with the same ones.
    assert names_of_settings(config) == 2


def test_events_with_other_settings_share_no_request(
    configured: Callable[..., Any], partner: Partner, serving: Callable[[Any], Service]
) -> None:
    """What waits of many users goes in batches, each with the settings of its events."""
    service = serving(configured({"fromHeader": ["region"]}, {"endpoint": partner.url}))
    partner.status = 503
    sent = {(f"t{nth}", ("eu", "us")[nth % 3 == 0]) for nth in range(12)}
    for thing, region in sent:
        assert post(service, thing, {"region": region}, userId=thing).status_code == 200
    partner.status = 200
    partner.wait_for(len(sent))
    assert {(thing, region) for _, thing, region in partner.counted} == sent
    assert len(partner.sizes) < len(sent)


def test_a_replayed_event(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    bind: Callable[..., Destination],
) -> None:
    """It goes with the settings that it came with, whatever came later."""
    config = configured({"fromHeader": ["region"]}, {"endpoint": partner.url})
    service = serving(config)
    partner.status = 400
    assert post(service, "a", {"region": "us"}).status_code == 200
    until(lambda: len(rejected(config)) == 1)
    partner.status = 200
    assert post(service, "b", {"region": "eu"}).status_code == 200
    partner.wait_for(1)
    (entry,) = rejected(config)
    planner = bind(_with_region, region="eu")
    with open_at(config.store.address) as store:
        ledger = store.ledger()
        replay(ledger, [plan_replay(ledger, planner, entry)], now=time.time())
    partner.wait_for(2)
    assert partner.counted[1][1:] == ("a", "us")


@pytest.mark.parametrize(
    ("header", "settings", "sent", "status", "message"),
    [
        (["region"], {}, {}, 400, "region"),
        (["region"], {}, None, 400, "region"),
        (["region"], {}, {"region": "mars"}, 400, "region"),
        (["region"], {}, {"region": {"deep": 1}}, 400, "region"),
        (["region"], {}, {"region": "eu"}, 200, ""),
        (["region"], {"region": "us"}, {"region": "eu"}, 200, ""),
        (["region"], {"region": "us"}, {"region": "mars"}, 200, ""),
        (["region"], {"region": "us"}, "%%%", 400, "X-Segment-Settings"),
        (["region"], {}, "%%%", 400, "X-Segment-Settings"),
        (None, {"region": "us"}, "%%%", 200, ""),
        (["project"], {"region": "us"}, {"project": "p", "region": "eu"}, 200, ""),
    ],
)
def test_what_a_customer_may_send(  # noqa: PLR0917 - a table of cases, and fixtures
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    header: list[str] | None,
    settings: Body,
    sent: object,
    status: int,
    message: str,
) -> None:
    """Wrong settings are refused by their name, also of a known key; the configuration wins."""
    taken = None if header is None else {"fromHeader": header}
    service = serving(configured(taken, {"endpoint": partner.url, **settings}))
    for thing in ("a", "b"):  # a key that is new, or known if it was accepted
        answer = post(service, thing, sent)
        assert (answer.status_code, message in answer.text) == (status, True), answer.text
    if status == 200:
        partner.wait_for(2)
        region = settings.get("region", "eu")
        assert {found for _, _, found in partner.counted} == {region}
    assert post(service, "c", sent).status_code == status


def test_a_known_key_with_wrong_settings(
    configured: Callable[..., Any], partner: Partner, serving: Callable[[Any], Service]
) -> None:
    """The event is refused, with a record that has no value, and the key stays good."""
    config = configured({"fromHeader": ["region"]}, {"endpoint": partner.url})
    service = serving(config)
    sent: list[tuple[object, int]] = [({"region": "eu"}, 200), ({"region": "mars"}, 400)]
    for header, status in [*sent, ("%%%", 400), ({"region": "us"}, 200)]:
        answer = post(service, str(header), header)
        assert answer.status_code == status, answer.text
    partner.wait_for(2)
    service.stop()
    with open_at(config.store.address, read_only=True) as store:
        refused = list(store.refused().find(RefusedSelection()))
    assert [json.loads(one.event.raw)["properties"]["thing"] for one in refused] == [
        str({"region": "mars"}),
        "%%%",
    ]
    assert not any("mars" in one.event.reason for one in refused)
    assert tenants_of(config) == 1
    assert partner.projects == [None]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((None, {"region": "us"}), ({"fromHeader": ["region"]}, {})),
        (({"fromHeader": ["region"]}, {}), ({"fromHeader": ["region"]}, {})),
        (({"fromHeader": ["region", "project"]}, {}), ({"fromHeader": ["region"]}, {})),
    ],
)
def test_another_configuration(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    before: tuple[Body | None, Body],
    after: tuple[Body, Body],
) -> None:
    """What came first with a key is no part of what comes later, and keeps nothing waiting."""
    header, settings = before
    service = serving(configured(header, {"endpoint": partner.url, **settings}))
    assert post(service, "a", {"region": "us"}).status_code == 200
    partner.wait_for(1)
    service.stop()
    header, settings = after
    service = serving(configured(header, {"endpoint": partner.url, **settings}))
    assert post(service, "b", {"region": "eu"}).status_code == 200
    partner.wait_for(2)
    assert [region for _, _, region in partner.counted] == ["us", "eu"]


def test_commands_need_nothing_that_comes_with_events(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    tmp_path: Path,
) -> None:
    """A partner is asked with the key of a customer, whatever each request has to bring."""
    config = configured({"fromHeader": ["region"]}, {"endpoint": partner.url})
    service = serving(config)
    assert post(service, "a", {"region": "us"}).status_code == 200
    service.stop()
    with open_at(config.store.address) as store:
        (tenant,) = Tenants(store.database).all()
        environment = {"SEALING_KEY": SEALING_KEY}
        found = configured_tenant(tmp_path / "c.yaml", environment, store, tenant)
        assert found.destination.settings["apiKey"].reveal() == KEY
        assert not found.destination.public_only


def test_another_definition(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    tmp_path: Path,
) -> None:
    """A value that is not allowed any more ends its own event, without telling it."""
    config = configured({"fromHeader": ["region"]}, {"endpoint": partner.url})
    service = serving(config)
    partner.status = 503
    for thing, region in (("a", "eu"), ("b", "us")):
        assert post(service, thing, {"region": region}, userId=thing).status_code == 200
    service.stop()
    partner.status = 200
    file = tmp_path / "sample" / "destination.yaml"
    file.write_text(file.read_text("utf-8").replace("- eu\n", "- ap\n"), encoding="utf-8")
    serving(config)
    partner.wait_for(1)
    assert [(thing, region) for _, thing, region in partner.counted] == [("b", "us")]
    until(lambda: len(rejected(config, Outcome.DEAD)) == 1)
    (dead,) = rejected(config, Outcome.DEAD)
    assert "region: must be one of" in dead.reason
    assert '"eu"' not in dead.reason


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ({"@path": "$.settings.a"}, {"a"}),
        ({"@template": "x{{settings.a}}"}, {"a"}),
        ({"@path": "$.settings['a']"}, {"a"}),
        ({"@path": "$.settings"}, {"a", "b", "key"}),
        ({"@json": {"mode": "encode", "value": {"@path": "$.settings"}}}, {"a", "b", "key"}),
        ({"@liquid": "{{ settings | json }}"}, {"a", "b", "key"}),
        ({"@path": "$.payload.a"}, set()),
    ],
)
def test_whatever_reads_settings(source: object, names: set[str]) -> None:
    """The settings as a whole are all of them."""
    assert names_read(source, ["a", "b", "key"]) == names


# -- where requests go ---------------------------------------------------------------------------

URLS = {"fromHeader": ["endpoint", "region"], "allowUrls": ["endpoint"]}


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}",
        "http://localhost:{port}",
        "http://[::1]:{port}",
        "http://169.254.169.254",
        "http://10.0.0.1",
        "http://2130706433:{port}",
        "http://[::ffff:127.0.0.1]:{port}",
        "http://0x7f000001:{port}",
        "http://LOCALHOST.:{port}",
        "file:///etc/passwd",
        "nothing",
        "",
    ],
)
def test_no_customer_reaches_the_network_of_the_server(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    address: str,
) -> None:
    """A private address is refused before anything is asked or kept, also where it was allowed."""
    config = configured(URLS, {}, delivery={"allowPrivate": True})
    service = serving(config)
    answer = post(service, "a", {"region": "eu", "endpoint": address.format(port=partner.port)})
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith("endpoint: ")
    assert "127.0.0.1" not in answer.text
    assert partner.projects == []
    assert tenants_of(config) == 0


@pytest.mark.parametrize("found", [["127.0.0.1"], ["10.0.0.1", "8.8.8.8"], [], None])
def test_a_stranger_learns_nothing_of_other_hosts(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    monkeypatch: pytest.MonkeyPatch,
    found: list[str] | None,
) -> None:
    """Whether a name is private, unknown, or does not answer: the answer is the same."""

    def look_up(*_: object, **__: object) -> list[Any]:
        if found is None:
            raise OSError("unknown")
        return [(0, (each, 0)) for each in found or ["0.0.0.1"]]

    module = SimpleNamespace(**{**vars(socket), "getaddrinfo": look_up})
    monkeypatch.setattr(ssrf, "socket", module)
    config = configured(URLS, {})
    service = serving(config)
    url = f"http://inside.example:{partner.port}"
    answer = post(service, "a", {"region": "eu", "endpoint": url})
    assert answer.status_code == 503
    message = "endpoint: no answer from this address to whether the key is valid"
    assert answer.json()["message"] == message
    assert partner.projects == []
    assert tenants_of(config) == 0


def test_each_address_is_an_account_of_its_own(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same key at another address is another tenant: its events do not count as repeats."""
    monkeypatch.setattr(ssrf, "public_addresses", lambda *_: ["127.0.0.1"])
    config = configured(URLS, {})
    service = serving(config)
    hosts = ["one.example", "two.example", "one.example"]
    for nth, host in enumerate(hosts):
        url = f"http://{host}:{partner.port}"
        answer = post(
            service, "a", {"region": "eu", "endpoint": url}, properties={"thing": "t", "by": 1}
        )
        assert answer.status_code == 200, f"{nth} {answer.text}"
    partner.wait_for(2)
    assert sorted(host for host, _, _ in partner.counted) == sorted(set(hosts))
    assert tenants_of(config) == 2


@pytest.mark.parametrize("header", [URLS, {"fromHeader": ["region"]}])
def test_an_address_that_becomes_private(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
    monkeypatch: pytest.MonkeyPatch,
    header: Body,
) -> None:
    """A customer's address is guarded with each request, also once none are taken any more."""
    url = f"http://127.0.0.1.nip.example:{partner.port}"
    with monkeypatch.context() as patched:
        patched.setattr(ssrf, "public_addresses", lambda *_: ["127.0.0.1"])
        service = serving(configured(URLS, {}))
        assert post(service, "a", {"region": "eu", "endpoint": url}).status_code == 200
        partner.wait_for(1)
        partner.status = 503
        assert post(service, "b", {"region": "eu", "endpoint": url}).status_code == 200
        service.stop()
    # What a name stands for is in the hand of its owner.
    found = {"getaddrinfo": lambda *_, **__: [(0, ("127.0.0.1", 0))]}
    private = SimpleNamespace(**{**vars(socket), **found})
    monkeypatch.setattr(ssrf, "socket", private)
    partner.status = 200
    config = configured(header, {})
    serving(config)
    until(lambda: len(rejected(config, Outcome.INVALID)) == 1)
    assert [thing for _, thing, _ in partner.counted] == ["a"]


# -- what is kept --------------------------------------------------------------------------------


def test_settings_are_sealed_and_go_with_their_events(
    configured: Callable[..., Any],
    partner: Partner,
    serving: Callable[[Any], Service],
) -> None:
    """No file has them in the clear, and those that no event needs are deleted."""
    config = configured({"fromHeader": ["project", "region"]}, {"endpoint": partner.url})
    service = serving(config)
    partner.status = 400
    secret = "project-that-nobody-knows"
    assert post(service, "a", {"region": "us", "project": secret}).status_code == 200
    until(lambda: len(rejected(config)) == 1)
    partner.status = 200
    assert post(service, "b", {"region": "eu"}).status_code == 200
    partner.wait_for(1)
    assert names_of_settings(config) == 2
    address = config.store.address
    assert isinstance(address, Path)
    for path in address.parent.glob(f"{address.name}*"):
        assert secret.encode() not in path.read_bytes()
    service.stop()
    with open_at(config.store.address) as store:
        prune(store, time.time(), Periods())
        assert names_of_settings(config) == 1  # the rejected event may be replayed
        periods = Periods(by_outcome={Outcome.REJECTED: 1.0})
        prune(store, time.time() + 100 * 86_400, periods)
        assert names_of_settings(config) == 0
