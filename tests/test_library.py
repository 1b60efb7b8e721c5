"""Programs deliver events with public names alone, as commands do."""

from __future__ import annotations

import ast
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from destinations import (
    DefinitionError,
    Deliveries,
    DestinationsError,
    HttpRequest,
    HttpResponse,
    OpenDestination,
    Outcome,
    SettingsError,
    State,
    StoreDamagedError,
    TemporaryError,
    TransportError,
    UsageError,
    open_destination,
    open_sandbox,
    open_store,
    read_connection,
)
from kana_destination import (
    PlannedMerge,
    Rule,
    add_rules,
    check_features,
    count_unmapped,
    flagged_users,
    list_rules,
    matching_rules,
    plan_merge,
    remove_rule,
)

WEBHOOK: Mapping[str, Any] = {
    "url": "https://partner.example.com/in",
    "sharedSecret": "s3cret-word",
}


class Partner:
    """A partner that answers with ``status``, or not at all with None; 400 to what is ``bad``."""

    def __init__(self, status: int | None = 200, text: str = "") -> None:
        self.status = status
        self.text = text
        self.bad = b"nothing of this"
        self.bodies: list[bytes] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        if self.status is None:
            raise TransportError("connection refused", sent=False)
        self.bodies.append(request.body or b"")
        status = 400 if self.bad in self.bodies[-1] else self.status
        return HttpResponse(status, {"content-type": "text/plain"}, self.text.encode())

    def close(self) -> None:
        """Nothing is open."""


def _event(message_id: str, **more: Any) -> dict[str, Any]:
    when = "2026-01-01T00:00:00Z"
    event = {"type": "track", "event": "E", "userId": "u1", "messageId": message_id}
    return {**event, "timestamp": when, **more}


def _shown(done: Deliveries) -> list[tuple[str, str]]:
    return [(row.message_id, row.outcome) for row in done]


@pytest.fixture
def partner() -> Partner:
    """A partner that takes everything."""
    return Partner()


@pytest.fixture
def webhook(partner: Partner) -> Iterator[OpenDestination]:
    """The destination ``webhook``, without a store of its own."""
    with open_destination("webhook", WEBHOOK, transport=partner, outage=0.0) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The path of a store that is not there yet."""
    return tmp_path / "store.sqlite3"


def test_only_public_names_are_used() -> None:
    """What these tests need of the project is what a program can import."""
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {
        name for name in modules if name.partition(".")[0] in {"destinations", "kana_destination"}
    }
    assert own == {"destinations", "kana_destination"}


def test_each_event_has_a_row_in_its_order(webhook: OpenDestination, partner: Partner) -> None:
    """Rows say what became of each event, in the order of the events, also of several users."""
    events = [_event(f"m{number}", userId=f"u{number % 7}") for number in range(200)]
    done = webhook.deliver(iter(events))
    assert [(row.line, row.message_id) for row in done] == [
        (number + 1, f"m{number}") for number in range(200)
    ]
    assert done.counts == Counter({Outcome.DELIVERED: 200})
    assert (len(done), done[0].action, done[0].subscription) == (200, "send", "Send every event")
    assert (done[0].reason, done[0].code, done.stopped, done.internal_errors) == (
        "",
        None,
        None,
        (),
    )
    assert len(partner.bodies) == 200


@pytest.mark.parametrize(
    ("event", "outcome", "reason"),
    [
        (b'{"type": "track", "event": "E", "userId": "u"}', Outcome.DELIVERED, ""),
        ({"type": "track", "event": "E", "userId": "u"}, Outcome.DELIVERED, ""),
        ('{"type":"track","event":"E","userId":"u","messageId":"j"}', Outcome.DELIVERED, ""),
        (_event("d", at=datetime(2026, 1, 1, tzinfo=UTC)), Outcome.DELIVERED, ""),
        (_event("u", on=date(2026, 1, 1), id=UUID(int=1)), Outcome.DELIVERED, ""),
        (_event("n", at=datetime(2026, 1, 1)), Outcome.INVALID, "00:00:00 has no time zone"),  # noqa: DTZ001 - as meant
        (_event("s", tags={1}), Outcome.INVALID, "it has a value of the type set"),
        (_event("f", amount=float("nan")), Outcome.INVALID, "not JSON compliant"),
        ({"type": "track"}, Outcome.INVALID, "has neither a userId nor an anonymousId"),
        ("", Outcome.INVALID, "must be a JSON object, not text"),
        ("{", Outcome.INVALID, "is not JSON"),
        (
            [],
            Outcome.INVALID,
            "an event must be a mapping, or its JSON, not a value of the type list",
        ),
        (
            5,
            Outcome.INVALID,
            "an event must be a mapping, or its JSON, not a value of the type int",
        ),
        (None, Outcome.INVALID, "an event must be a mapping, or its JSON, not None"),
        (_event("l", text="x" * 2_000_000), Outcome.INVALID, "more than 32,768"),
        (_event("b", integrations={"All": False}), Outcome.FILTERED, "excludes Webhook"),
    ],
)
def test_any_event_has_its_row(
    webhook: OpenDestination, event: Any, outcome: Outcome, reason: str
) -> None:
    """What is no event has one row that says why, and the events around it are delivered."""
    before, row, after = webhook.deliver([_event("before"), event, _event("after")])
    assert (before.outcome, after.outcome) == (Outcome.DELIVERED, Outcome.DELIVERED)
    assert row.outcome == outcome, row.reason
    assert reason in row.reason
    assert row.line == 2


@pytest.mark.parametrize(
    ("event", "code"), [(7, "NOT_OBJECT"), (_event("s", tags={1}), "NOT_JSON"), ("{", "NOT_JSON")]
)
def test_codes_of_what_is_no_event(webhook: OpenDestination, event: Any, code: str) -> None:
    """The code is the one that a line of a file with such an event has."""
    (row,) = webhook.deliver([event])
    assert (row.outcome, row.code) == (Outcome.INVALID, code)


@pytest.mark.parametrize("event", [_event("m"), "{}", b"{}"])
def test_one_event_in_place_of_a_list(webhook: OpenDestination, event: Any) -> None:
    """It is told, as its keys or characters would be taken for events."""
    with pytest.raises(UsageError, match=r"write deliver\(\[event\]\)"):
        webhook.deliver(event)


@pytest.mark.parametrize(("events", "got"), [(None, "None"), (5, "a value of the type int")])
def test_what_is_not_a_list(webhook: OpenDestination, events: Any, got: str) -> None:
    """The error says what was expected, and the destination stays open."""
    with pytest.raises(UsageError, match=f"^expected a list of events, got {got}$"):
        webhook.deliver(events)
    assert _shown(webhook.deliver([_event("m")])) == [("m", "delivered")]


@pytest.mark.parametrize(
    "use",
    [
        lambda opened: opened.deliver([_event("m")]),
        lambda opened: opened.deliver_waiting(),
        lambda opened: opened.test_credentials(),
        lambda opened: opened.perform(iter(())),
        lambda opened: opened.manual_changes,
    ],
)
def test_what_is_closed(partner: Partner, use: Callable[[OpenDestination], object]) -> None:
    """Each use is an error that says so, and nothing is sent."""
    with open_destination("webhook", WEBHOOK, transport=partner) as opened:
        pass
    with pytest.raises(UsageError, match=r"^webhook is closed: open it again with open_destin"):
        use(opened)
    assert partner.bodies == []


def test_a_reason_names_what_the_library_has() -> None:
    """An event that no name of its input makes recognisable is told which argument would."""
    with open_sandbox("kana") as sandbox, open_destination("kana", sandbox.settings) as kana:
        rule = Rule("Exports", feature="exports", event="Exported")
        add_rules(kana.store, [rule])
        event = {"type": "track", "event": "Exported", "userId": "u1"}
        (row,) = kana.deliver([event])
    assert "name the input with input_id=NAME" in row.reason


def test_what_comes_again_is_not_sent_again(
    webhook: OpenDestination, partner: Partner, store: Path
) -> None:
    """One open destination knows what it delivered; a store knows what any of them did."""
    assert _shown(webhook.deliver([_event("m")])) == [("m", "delivered")]
    assert _shown(webhook.deliver([_event("m"), _event("n")])) == [
        ("m", "filtered"),
        ("n", "delivered"),
    ]
    for outcome in ("delivered", "filtered", "filtered"):
        with open_destination("webhook", WEBHOOK, store=store, transport=partner) as opened:
            assert _shown(opened.deliver([_event("m")])) == [("m", outcome)]
    assert len(partner.bodies) == 3


def test_events_without_an_id_are_known_by_the_name_of_their_input(
    webhook: OpenDestination, partner: Partner
) -> None:
    """With such a name they count once in each place, however often they are given."""
    event = {"type": "track", "event": "E", "userId": "u"}
    for _ in range(2):
        webhook.deliver([event, event], input_id="import 7")
    assert len(partner.bodies) == 2


def test_what_was_corrected_has_the_row_of_its_end(partner: Partner) -> None:
    """Rows agree with their totals: what a correction has replaced is filtered."""
    partner.bad, partner.text = b"Wrong", "ok"
    events = [_event("m", event="Wrong"), _event("m"), _event("m", event="New")]
    settings = {"webhookUrl": WEBHOOK["url"]}
    with open_destination("slack", settings, transport=partner) as opened:
        done = opened.deliver(events)
    assert [row.outcome for row in done] == ["filtered", "delivered", "rejected"]
    assert done[0].reason == "a later event with its messageId has replaced it"
    assert done.counts == Counter(row.outcome for row in done)


def test_a_partner_that_is_away(webhook: OpenDestination, partner: Partner) -> None:
    """Everything is ready and has its row, and is delivered when the partner is back."""
    partner.status = None
    events = [_event(f"m{number}") for number in range(1_500)]
    done = webhook.deliver(events)
    assert done.counts == Counter({State.READY: 1_500})
    assert done.stopped is not None
    assert done.stopped.why == "unavailable"
    partner.status = 200
    assert _shown(webhook.deliver(events[:1])) == [("m0", "delivered")]
    assert webhook.deliver_waiting().counts == Counter({Outcome.DELIVERED: 1_499})
    assert len(partner.bodies) == 1_500


def test_credentials_that_are_refused(webhook: OpenDestination, partner: Partner) -> None:
    """Nothing more is sent, every event has its row, and no secret is in a reason."""
    partner.status, partner.text = 401, "no: s3cret-word is wrong"
    events = [_event(f"m{number}", userId=f"u{number}") for number in range(6_000)]
    done = webhook.deliver(events)
    assert done.stopped is not None
    assert done.stopped.why == "authentication"
    assert len(done) == 6_000
    assert done.counts[State.READY] >= 5_990
    told = [done.stopped.message, *(row.reason for row in done)]
    told += [reason.example for reason in done.totals.reasons]
    assert not [text for text in told if "s3cret-word" in text]


@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize("count", [0, 1, 30, 3_000])
def test_an_error_of_whatever_gives_the_events(
    partner: Partner, store: Path, *, count: int, has_store: bool
) -> None:
    """It is raised when all that was read is delivered; the same call goes on from there."""

    def events(*, broken: bool) -> Iterator[dict[str, Any]]:
        yield from (_event(f"m{number}", userId=f"u{number}") for number in range(count))
        if broken:
            raise LookupError("the database is away")
        yield _event("last")

    kept = store if has_store else None
    with open_destination("webhook", WEBHOOK, store=kept, transport=partner) as webhook:
        with pytest.raises(LookupError, match="the database is away"):
            webhook.deliver(events(broken=True))
        assert len(partner.bodies) == count
        done = webhook.deliver(events(broken=False))
    assert [row.outcome for row in done] == [*[Outcome.FILTERED] * count, Outcome.DELIVERED]
    assert len(partner.bodies) == count + 1


@pytest.mark.parametrize(
    "use", [lambda opened: opened.deliver([_event("m2")]), lambda opened: opened.deliver_waiting()]
)
def test_events_that_deliver(
    webhook: OpenDestination, partner: Partner, use: Callable[[OpenDestination], object]
) -> None:
    """They would wait for themselves: it is an error, and what was read before is delivered."""

    def events() -> Iterator[dict[str, Any]]:
        yield _event("m1")
        use(webhook)

    with pytest.raises(UsageError, match=r"^deliver was called by the events that it reads"):
        webhook.deliver(events())
    assert len(partner.bodies) == 1
    assert _shown(webhook.deliver([_event("m2")])) == [("m2", "delivered")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_has_its_effect_afterwards(
    webhook: OpenDestination, partner: Partner, number: signal.Signals
) -> None:
    """Requests under way end, and the program's own handler is called once; nothing is lost."""
    called: list[int] = []
    send = partner.send

    def interrupting(request: HttpRequest) -> HttpResponse:
        if not partner.bodies:
            os.kill(os.getpid(), number)
        return send(request)

    former = signal.signal(number, lambda number, _frame: called.append(number))
    try:
        partner.send = interrupting  # type: ignore[method-assign] # a stand-in that interrupts
        events = [_event(f"m{number}") for number in range(300)]
        done = webhook.deliver(events)
        assert called == [number]
        assert done.stopped is not None
        assert done.stopped.why == "interrupted"
        webhook.deliver(events)
    finally:
        signal.signal(number, former)
    assert len(partner.bodies) == 300


def test_threads_share_it(webhook: OpenDestination, partner: Partner) -> None:
    """One delivers at a time, and what two of them give counts once."""
    done: list[Deliveries] = []

    def deliver() -> None:
        done.append(webhook.deliver([_event(f"m{number}") for number in range(50)]))

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    counts = sum((Counter(each.counts) for each in done), Counter())
    assert counts == Counter({Outcome.DELIVERED: 50, Outcome.FILTERED: 150})
    assert len(partner.bodies) == 50


def test_somebody_else_delivers(partner: Partner, store: Path) -> None:
    """Only one delivers to an account from a store at a time; nothing is lost meanwhile."""
    with (
        open_destination("webhook", WEBHOOK, store=store, transport=partner) as one,
        open_destination("webhook", WEBHOOK, store=store, transport=partner) as other,
    ):

        def events() -> Iterator[dict[str, Any]]:
            with pytest.raises(TemporaryError, match="another run delivers to webhook"):
                other.deliver([_event("m")])
            yield _event("m")

        assert _shown(one.deliver(events())) == [("m", "delivered")]
        assert _shown(other.deliver([_event("m")])) == [("m", "filtered")]


def test_an_account_that_is_unclear(partner: Partner, store: Path) -> None:
    """A new key at a known endpoint: the error says what to give, and either answer is taken."""
    other = {**WEBHOOK, "sharedSecret": "an0ther-word"}
    with open_destination("webhook", WEBHOOK, store=store, transport=partner) as opened:
        opened.deliver([_event("m")])
    with pytest.raises(UsageError, match=r"use same_account=True if .* or same_account=False if"):
        open_destination("webhook", other, store=store, transport=partner)
    for same, outcome in ((False, "delivered"), (True, "filtered")):
        with open_destination(
            "webhook",
            {**other, "sharedSecret": f"an0ther-word-{same}"},
            store=store.with_name(f"{same}.sqlite3"),
            transport=partner,
        ) as opened:
            opened.deliver([_event("m")])
        with open_destination(
            "webhook",
            other,
            store=store.with_name(f"{same}.sqlite3"),
            transport=partner,
            same_account=same,
        ) as opened:
            assert _shown(opened.deliver([_event("m")])) == [("m", outcome)]


def _open_with(given: Mapping[str, Any], _: Path) -> Any:
    return open_destination(**{"destination": "kana", **given})


@pytest.mark.parametrize(
    ("open_it", "error", "message"),
    [
        (lambda _: open_destination("kanna", {}), UsageError, "unknown destination 'kanna'"),
        (lambda _: open_destination("kana", {}), SettingsError, "/apiKey: is required"),
        (lambda _: open_destination("kana", {"key": "k"}), SettingsError, "/key: Kana has no such"),
        (lambda _: open_destination("webhook", {**WEBHOOK, "account": 5}), UsageError, "account"),
        (lambda _: open_destination("webhook", WEBHOOK, account=" "), UsageError, "name is empty"),
        (lambda path: open_destination("webhook", WEBHOOK, store=path), UsageError, "is a folder"),
        (open_destination, UsageError, "holds no destination.yaml"),
        (
            lambda _: open_destination("kana", "x.yaml"),  # type: ignore[arg-type] # the mistake
            UsageError,
            r"settings must be a dict, not a value of the type str: read_settings\(file",
        ),
        (
            lambda _: open_destination("kana", [1]),  # type: ignore[arg-type] # the mistake
            UsageError,
            "settings must be a dict, not a value of the type list$",
        ),
        (
            lambda _: open_destination("kana", {1: 2}),  # type: ignore[dict-item] # the mistake
            UsageError,
            "each key of settings must be a text, not a value of the type int$",
        ),
        *(
            (partial(_open_with, {name: value}), UsageError, message)
            for name, value, message in (
                ("account", 5, "account must be a name, not a value of the type int$"),
                ("store", 5, "store must be a path, not a value of the type int$"),
                ("connection", {}, "connection must be a path or a Connection, not a value of the"),
                ("connection", "a\0b", "a path must not contain the character U"),
                ("connection", "none.yaml", "cannot read the connection none.yaml: No such file"),
                ("store", b"x", "store must be a path, not a value of the type bytes$"),
                ("store", "a\0b", "a path must not contain the character U"),
                ("destination", 7, "destination must be a name or a path, not a value"),
                ("losses", 5, "losses must be LossOptions, not a value of the type int$"),
                ("outage", "x", "outage must be a number of seconds from 0, not 'x'$"),
                ("outage", -1, "outage must be a number of seconds from 0, not -1$"),
                ("outage", float("nan"), "outage must be a number of seconds from 0, not nan$"),
                ("transport", 5, "transport must have the method send, but is a value of the"),
                ("clock", 5, "clock must have the method monotonic, but is a value of the type"),
            )
        ),
        (
            lambda path: open_sandbox("webhook", seed=path),
            UsageError,
            "the sandbox of Webhook is made from its definition and has no data: it takes no seed",
        ),
        (lambda path: open_store(path / "none", existing=True), UsageError, "there is no store"),
    ],
)
def test_what_cannot_be_opened(
    tmp_path: Path, open_it: Callable[[Path], Any], error: type[DestinationsError], message: str
) -> None:
    """One error of the one tree says what is wrong, and nothing is left open."""
    with pytest.raises(error, match=message):
        open_it(tmp_path)


_SIGN_UPS = {"name": "Ups", "partnerAction": "send", "subscribe": 'event = "Signed Up"'}


@pytest.mark.parametrize("open_by", [str, Path, read_connection])
def test_a_connection(partner: Partner, tmp_path: Path, open_by: Callable[[Path], Any]) -> None:
    """Its subscriptions take the place of the presets, and its filters come before them."""
    file = tmp_path / "connection.json"
    filters = [{"blockProperties": ["email"]}]
    file.write_text(json.dumps({"subscriptions": [_SIGN_UPS], "filters": filters}), "utf-8")
    ups = _event("m1", event="Signed Up", properties={"email": "a@example.com", "plan": "pro"})
    with open_destination(
        "webhook", WEBHOOK, connection=open_by(file), transport=partner
    ) as opened:
        done = opened.deliver([ups, _event("m2", event="Other")])
    assert [(row.outcome, row.subscription) for row in done] == [
        (Outcome.DELIVERED, "Ups"),
        (Outcome.FILTERED, None),
    ]
    (body,) = partner.bodies
    assert b"pro" in body
    assert b"a@example.com" not in body


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"partnerAction": "sned"}, "/subscriptions/0/partnerAction: .*did you mean send"),
        ({"subscribe": "event = "}, "/subscriptions/0/subscribe: "),
        ({"mapping": {"odd": 1}}, "/subscriptions/0/mapping/odd: send has no field 'odd'"),
        ({"odd": 1}, "/subscriptions/0/odd"),
    ],
)
def test_a_connection_that_does_not_fit(
    tmp_path: Path, more: Mapping[str, Any], message: str
) -> None:
    """It is checked as `run` does it, with its file and places, before anything is sent."""
    file = tmp_path / "connection.json"
    file.write_text(json.dumps({"subscriptions": [{**_SIGN_UPS, **more}]}), "utf-8")
    with pytest.raises(DefinitionError, match=message) as raised:
        open_destination("webhook", WEBHOOK, connection=file)
    assert str(file) in str(raised.value)


def test_a_folder_is_opened_by_its_path(tmp_path: Path) -> None:
    """A definition of one's own needs no package; its issues are told with their places."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "destination.yaml").write_text("name: Own\nslug: own\n", encoding="utf-8")
    with pytest.raises(DefinitionError) as raised:
        open_destination(folder, {})
    assert raised.value.issues[0].file == str(folder / "destination.yaml")


def test_a_store_that_is_damaged(partner: Partner, store: Path) -> None:
    """It is told as such before anything is sent."""
    store.write_bytes(b"no store")
    with pytest.raises((UsageError, StoreDamagedError)):
        open_destination("webhook", WEBHOOK, store=store, transport=partner)
    assert partner.bodies == []


@pytest.fixture
def kana(tmp_path: Path) -> Iterator[OpenDestination]:
    """An account in the sandbox, with a store."""
    with (
        open_sandbox("kana") as sandbox,
        open_destination("kana", sandbox.settings, store=tmp_path / "kana.sqlite3") as opened,
    ):
        yield opened


def _with_same_email(kana: OpenDestination) -> set[str]:
    return {one.user["id"] for one in flagged_users(kana)["same-email"]}


def test_what_commands_do_for_kana(kana: OpenDestination) -> None:
    """Rules map what waits, flagged users are found, and two users become one."""
    assert kana.test_credentials() is None
    users = [
        {"type": "identify", "userId": user, "messageId": user, "traits": {"email": "a@b.co"}}
        for user in ("u1", "u2")
    ]
    assert kana.deliver([*users, _event("m", event="Exported")]).counts == Counter(
        {Outcome.DELIVERED: 2, Outcome.UNMAPPED: 1}
    )
    assert count_unmapped(kana.store).events == Counter({"Exported": 1})

    rules = [Rule("Exports", feature="exports", event="Exported")]
    assert check_features(kana, rules) == []
    added = add_rules(kana.store, rules)
    assert (added.added, added.remapped.queued) == (rules, 1)
    assert add_rules(kana.store, rules).known == rules
    assert list_rules(kana.store) == matching_rules(kana.store, _event("x", event="Exported"))
    assert _shown(kana.deliver_waiting()) == [("m", "delivered")]
    remove_rule(kana.store, "Exports")
    assert list_rules(kana.store) == []

    assert {"u1", "u2"} <= _with_same_email(kana)
    merge: PlannedMerge = plan_merge(kana, "u1", "u2")
    assert merge.preview() is not None
    assert merge.perform() == {}
    assert not {"u1", "u2"} & _with_same_email(kana)


@pytest.mark.parametrize(
    "act",
    [
        flagged_users,
        lambda opened: plan_merge(opened, "u", "v"),
        lambda opened: check_features(opened, []),
    ],
)
def test_another_destination_in_place_of_kana(
    webhook: OpenDestination, act: Callable[[OpenDestination], object]
) -> None:
    """The error says which one was given."""
    with pytest.raises(UsageError, match=r"^webhook is not a Kana destination"):
        act(webhook)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda kana: plan_merge(kana, "u", "u"), "the same user"),
        (
            lambda kana: plan_merge(kana, "u", "v", moved=["seats"], not_moved=["seats"]),
            "seats cannot be both moved and not moved",
        ),
        (lambda kana: check_features(kana, [Rule("R", feature="no")]), "Kana has no feature 'no'"),
        (lambda kana: remove_rule(kana.store, "R"), "no rule 'R'|'R'"),
        (lambda kana: add_rules(kana.store, [Rule("R", feature="seats")]), "needs a condition"),
    ],
)
def test_what_kana_cannot_do(
    kana: OpenDestination, act: Callable[[OpenDestination], object], message: str
) -> None:
    """Each is one error of the one tree, and changes nothing."""
    with pytest.raises(DestinationsError, match=message):
        act(kana)
    assert list_rules(kana.store) == []
