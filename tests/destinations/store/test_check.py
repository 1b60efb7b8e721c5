"""Each rule is seen to fail on a store that breaks it, and only then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.errors import UsageError
from destinations.outcome import Effect, Outcome, State, Status
from destinations.pipeline.queue import Increment
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import SqliteStore, broken_rules, check, count_deliveries
from destinations.store.codes import EFFECT_CODES, STATUS_CODES
from tests.stores import AnyStore, OpenStore

CLASSES: Final[Mapping[Status, Mapping[str, Any]]] = {
    State.READY: {},
    State.SENDING: {"sending": True},
    State.UNKNOWN: {"increment": Increment("u1 calls", 5)},
    State.HELD: {"increment": Increment("u1 calls", 5)},
    Outcome.DELIVERED: {},
    Outcome.FILTERED: {"subscription": None},
    Outcome.UNMAPPED: {},
    Outcome.INVALID: {"subscription": None},
    Outcome.REJECTED: {"effect": Effect.MAYBE},
    Outcome.DEAD: {},
    Outcome.DROPPED: {"effect": Effect.MAYBE},
}


@pytest.fixture
def ids(store: AnyStore, add_delivery: Callable[..., int]) -> dict[str, int]:
    """One delivery of each class; their ids by status."""
    found: dict[str, int] = {}
    for status, columns in CLASSES.items():
        given = dict(columns)
        if status is not State.SENDING:
            given["status"] = status
        found[status.value] = add_delivery(store, **given)
    return found


def _codes() -> dict[str, int]:
    """The numbers of statuses and effects, by names that statements can have."""
    statuses = {f"status_{one.value}": code for one, code in STATUS_CODES.items()}
    return statuses | {f"effect_{one.value}": code for one, code in EFFECT_CODES.items()}


def _break(store: AnyStore, ids: Mapping[str, int], *statements: str) -> None:
    """Write what nobody should; ``{dead}`` is an id, ``{status_dead}`` a number."""
    if isinstance(store, PostgresStore):  # where numbers are noted one by one, and then added up
        store.database.add_up()
    with store.database.transaction() as connection:
        for statement in statements:
            text = statement.format(**ids, **_codes())
            if isinstance(store, PostgresStore):
                text = text.replace("UPDATE tallies", "UPDATE tally_changes")
                text = text.replace("UPDATE counters SET value =", "SELECT setval('event_ids',")
                text = text.replace("WHERE name = 'event'", ")")
            connection.execute(text)


_ALSO_FINISHED: Final = (
    "INSERT INTO ledger SELECT id, scope, subscription, {status_delivered}, NULL, 1, user,"
    " message_id, type, accepted_at, 0, fingerprint, plan, NULL FROM kept"
    " WHERE id IN ({dead}, {held})"
)
_REQUEST: Final = (
    "INSERT INTO intents SELECT 99, scope, at, durable, process, '[ID]', balances FROM intents"
)

_AGAIN: Final = (
    "INSERT INTO intents SELECT 99, scope, at, durable, process, deliveries, balances FROM intents"
)

# A rule, how it is broken, and by which deliveries. Where rows are counted otherwise than they are,
# totals are off as well.
_USAGE: Final = "every usage must be that of a delivery and of its scope, and name a known feature"
_COUNT: Final = (
    "INSERT INTO usage SELECT id, scope, user, 0, 0, '1' FROM ledger WHERE id = {delivered}"
)
BREACHES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "usage of nothing": (
        _USAGE,
        (_COUNT, "DELETE FROM ledger WHERE id = {delivered}"),
        ("delivered",),
    ),
    "usage of another scope": (
        _USAGE,
        (_COUNT, "UPDATE usage SET scope = scope + 99"),
        ("delivered",),
    ),
    "usage of a feature that is not there": (
        _USAGE,
        (_COUNT, "UPDATE usage SET feature = 12345"),
        ("delivered",),
    ),
    "two rows of one delivery": (
        "every delivery must have exactly one row",
        (_ALSO_FINISHED,),
        ("held", "dead"),
    ),
    "what is finished waits": (
        "every open delivery must be ready or unknown",
        ("UPDATE open SET status = {status_delivered} WHERE id = {ready}",),
        ("ready",),
    ),
    "what was delivered is kept": (
        "every kept delivery must be held or have failed",
        ("UPDATE kept SET status = {status_delivered} WHERE id = {dead}",),
        ("dead",),
    ),
    "what waits is kept": (
        "every kept delivery must be held or have failed",
        ("UPDATE kept SET status = {status_ready} WHERE id = {dead}",),
        ("dead",),
    ),
    "what waits is finished": (
        "every finished delivery must be delivered, filtered or dropped",
        ("UPDATE ledger SET status = {status_ready} WHERE id = {delivered}",),
        ("delivered",),
    ),
    "what needs an operator is finished": (
        "every finished delivery must be delivered, filtered or dropped",
        ("UPDATE ledger SET status = {status_dead} WHERE id = {delivered}",),
        ("delivered",),
    ),
    "an unknown one that changed nothing": (
        "every unknown or held delivery must have the effect maybe",
        ("UPDATE open SET effect = {effect_none} WHERE id = {unknown}",),
        ("unknown",),
    ),
    "a held one that changed nothing": (
        "every unknown or held delivery must have the effect maybe",
        ("UPDATE kept SET effect = {effect_none} WHERE id = {held}",),
        ("held",),
    ),
    "what waits was applied": (
        "only delivered deliveries may have the effect applied",
        ("UPDATE open SET effect = {effect_applied} WHERE id = {ready}",),
        ("ready",),
    ),
    "what is dead was applied": (
        "only delivered deliveries may have the effect applied",
        ("UPDATE kept SET effect = {effect_applied} WHERE id = {dead}",),
        ("dead",),
    ),
    "what was dropped was applied": (
        "only delivered deliveries may have the effect applied",
        ("UPDATE ledger SET effect = {effect_applied} WHERE id = {dropped}",),
        ("dropped",),
    ),
    "what is unmapped changed something": (
        "filtered, unmapped and invalid deliveries must have the effect none",
        ("UPDATE kept SET effect = {effect_maybe} WHERE id IN ({unmapped}, {invalid})",),
        ("unmapped", "invalid"),
    ),
    "what was filtered changed something": (
        "filtered, unmapped and invalid deliveries must have the effect none",
        ("UPDATE ledger SET effect = {effect_maybe} WHERE id = {filtered}",),
        ("filtered",),
    ),
    "events that are gone": (
        "every delivery that waits or may be replayed must have its raw event",
        ("DELETE FROM events WHERE id IN ({ready} / 1000, {dead} / 1000)",),
        ("ready", "dead"),
    ),
    "a failure of what is finished": (
        "every noted failure must belong to a waiting delivery",
        (
            "INSERT INTO failures (id, stage, reason) VALUES ({dead}, 'send', 'no answer')",
            "INSERT INTO failures (id, stage, reason) VALUES ({delivered}, 'send', 'no answer')",
        ),
        ("dead", "delivered"),
    ),
    "an amount of nothing": (
        "every amount must say which balance it adds to",
        (
            "UPDATE open SET key = NULL WHERE id = {unknown}",
            "UPDATE kept SET amount = NULL WHERE id = {held}",
        ),
        ("unknown", "held"),
    ),
    "two requests with one delivery": (
        "no delivery may be under way twice",
        (_AGAIN,),
        ("sending",),
    ),
    "a request with what is finished": (
        "every delivery under way must be ready",
        (_REQUEST.replace("ID", "{delivered}"),),
        ("delivered",),
    ),
    "a request with what is unknown": (
        "every delivery under way must be ready",
        (_REQUEST.replace("ID", "{unknown}"),),
        ("unknown",),
    ),
    "an unknown scope": (
        "every delivery must belong to a known scope and subscription",
        (
            "UPDATE ledger SET scope = 99 WHERE id = {delivered}",
            "UPDATE tallies SET scope = 99 WHERE status = {status_delivered}",
        ),
        ("delivered",),
    ),
    "an unknown subscription": (
        "every delivery must belong to a known scope and subscription",
        (
            "UPDATE kept SET subscription = 99 WHERE id = {dead}",
            "UPDATE tallies SET subscription = 99 WHERE status = {status_dead}",
        ),
        ("dead",),
    ),
    "an event that has no number yet": (
        "no event may have a number above the last one given",
        (
            "UPDATE counters SET value = {dropped} / 1000 - 1 WHERE name = 'event'",
            "DELETE FROM messages WHERE event_id = {dropped} / 1000",
        ),
        ("dropped",),
    ),
}


@pytest.mark.parametrize(("rule", "statements", "broken"), BREACHES.values(), ids=BREACHES)
def test_a_broken_rule(
    store: AnyStore,
    ids: dict[str, int],
    *,
    rule: str,
    statements: tuple[str, ...],
    broken: tuple[str, ...],
) -> None:
    """It is told with the deliveries that break it; beside it totals at most are off."""
    _break(store, ids, *statements)
    found = dict(broken_rules(store.database))
    why = found.pop(rule)
    assert sorted(why.removeprefix("broken by ").split(", ")) == sorted(
        str(ids[name]) for name in broken
    )
    assert set(found) <= {"the totals must match the rows"}


def test_a_message_that_leads_nowhere(store: AnyStore, ids: dict[str, int]) -> None:
    """Its event is told."""
    _break(store, ids, "UPDATE messages SET event_id = 99 WHERE event_id = {dead} / 1000")
    assert broken_rules(store.database) == [
        ("every messageId must lead to an accepted event", "broken by 99")
    ]


_REFUSE: Final = (
    "INSERT INTO refused VALUES (7, {scope}, 1, 400, 'C', 'why', '/', '', NULL, NULL, 1, 1, 'x')"
)


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        pytest.param(
            [_REFUSE.replace("{scope}", "99")],
            ("every refused event must belong to a known scope", "broken by 7"),
            id="an unknown scope",
        ),
        pytest.param(
            [_REFUSE.replace("{scope}", "1"), "UPDATE refused_totals SET bytes = bytes + 1"],
            ("the totals of refused events must match their rows", "broken by 1"),
            id="wrong totals",
        ),
    ],
)
def test_refused_events(
    store: AnyStore, ids: dict[str, int], statements: list[str], broken: tuple[str, str]
) -> None:
    """They belong to a scope, and their totals add up."""
    _break(store, ids, *[one.replace("'x'", "x'00'") for one in statements])
    assert broken_rules(store.database) == [broken]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO tenants (scope, noted_at, after_event) VALUES (99, 1.0, 0)",
        "INSERT INTO tenants (scope, noted_at, after_event) SELECT id, 1.0, 0 FROM scopes LIMIT 1",
        "INSERT INTO tenant_keys VALUES (x'00', 'sample', 99)",
    ],
)
def test_a_tenant_that_leads_nowhere(sqlite_store: SqliteStore, statement: str) -> None:
    """It has a scope of its own, and a key has a tenant."""
    identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
    sqlite_store.accounts().served("sample", identity)
    _break(sqlite_store, {}, "PRAGMA foreign_keys = OFF", statement)
    ((rule, _),) = broken_rules(sqlite_store.database)
    assert rule == "every tenant must belong to a known scope, and every key to a tenant"


@pytest.mark.parametrize(
    "value", ["a-secret", "", "v1:0123abcd:", "v1:0123ABCD:AAAA", "v1:0123abc:AAAA", "v1:AAAA"]
)
def test_a_sealed_value_that_is_not_sealed(
    store: AnyStore, ids: dict[str, int], value: str
) -> None:
    """Its name is told, and nothing of what is there; one that looks sealed needs no key."""
    insert = "INSERT INTO sealed VALUES ('one', 'v1:0123abcd:AAAA'), ('two', '{}')"
    _break(store, ids, insert.format(value))
    rule = "every sealed value must have the form v1:KEY:BASE64"
    assert broken_rules(store.database) == [(rule, "broken by two")]


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (
            "UPDATE tallies SET count = count + 3 WHERE status = {status_dead}",
            "off by 3 in 1 of them",
        ),
        (
            "UPDATE tallies SET count = -5 WHERE count > 0 AND status = {status_ready}",
            # Two are: the one that is being sent is counted as ready, too.
            "off by 7 in 1 of them",
        ),
        ("DELETE FROM tallies WHERE status = {status_filtered}", "off by 1 in 1 of them"),
        (
            "UPDATE tallies SET day = 7 WHERE status = {status_delivered}",
            "off by 2 in 2 of them",
        ),
        ("INSERT INTO tallies VALUES (1, 9, 9, 9, 1)", "off by 1 in 1 of them"),
        ("INSERT INTO tallies VALUES (1, 9, 9, 9, 0)", ""),
    ],
)
def test_totals_that_do_not_add_up(
    store: AnyStore, ids: dict[str, int], statement: str, why: str
) -> None:
    """By how much they are off is told, whichever way; a nought is as good as nothing."""
    _break(store, ids, statement)
    assert broken_rules(store.database) == (
        [("the totals must match the rows", why)] if why else []
    )


RECENT = "every recent event must belong to a known scope, and nothing to one that is gone"


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("INSERT INTO recent_events VALUES (77, 'm', 1, 'u', 1, 1, x'00')", 77),
        ("INSERT INTO recent_scopes VALUES (78, 1)", 78),
    ],
)
def test_a_recent_event_of_nobody(sqlite_store: SqliteStore, statement: str, broken: int) -> None:
    """It is of a scope, and only of events that are there."""
    identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
    sqlite_store.accounts().served("sample", identity)
    _break(sqlite_store, {}, "PRAGMA foreign_keys = OFF", statement)
    assert broken_rules(sqlite_store.database) == [(RECENT, f"broken by {broken}")]


SHARED = "every raw event that destinations share must be there, and belong to one of them"


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("INSERT INTO shared_events VALUES (99, x'00')", 99_000),
        ("UPDATE events SET shared = 98 WHERE id = {dead} / 1000", None),
    ],
)
def test_a_shared_event_that_leads_nowhere(
    store: AnyStore, ids: dict[str, int], statement: str, broken: int | None
) -> None:
    """It is there as long as a destination has it, and no longer."""
    _break(store, ids, statement)
    shown = ids["dead"] if broken is None else broken
    assert broken_rules(store.database) == [(SHARED, f"broken by {shown}")]


REQUESTS = (
    "every attempt must belong to a request that is kept, and every request to one of a scope"
)
TEXTS = "every text of a request that is kept must be there, and belong to one"
BYTES = "what requests that are kept take must be known"
_ADD_REQUEST: Final = (
    "INSERT INTO exchanges VALUES ({id}, {scope}, 1, 1, 0, 1, 1, 'r', 'GET', NULL, '', {head},"
    " NULL, 0, x'', NULL, 0, 0, x'', 10, 0)"
)
_ADD_ATTEMPT: Final = "INSERT INTO attempts VALUES (1000, 1, {id}, 0, NULL, NULL, 'x')"
_ADD_BYTES: Final = "INSERT INTO exchange_bytes VALUES (1, 10)"


@pytest.mark.parametrize(
    ("statements", "rule", "broken"),
    [
        ([_ADD_ATTEMPT], REQUESTS, 1_000),
        ([_ADD_REQUEST, _ADD_BYTES], REQUESTS, 7),
        ([_ADD_REQUEST.replace("{scope}", "99"), _ADD_ATTEMPT, _ADD_BYTES], REQUESTS, 7),
        ([_ADD_REQUEST.replace("{head}", "x'01'"), _ADD_ATTEMPT, _ADD_BYTES], TEXTS, 7),
        (["INSERT INTO exchange_contents VALUES (x'02', 10, x'')", _ADD_BYTES], TEXTS, 10),
        ([_ADD_BYTES], BYTES, 10),
        ([_ADD_REQUEST, _ADD_ATTEMPT], BYTES, -10),
    ],
)
def test_requests_that_do_not_fit(
    sqlite_store: SqliteStore, statements: list[str], rule: str, broken: int
) -> None:
    """Each belongs to a delivery and a scope, its texts are there, and they are counted."""
    identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
    scope = sqlite_store.accounts().served("sample", identity)
    texts = [one.format(id=7, scope=scope.id, head="NULL") for one in statements]
    _break(sqlite_store, {}, "PRAGMA foreign_keys = OFF", *texts)
    assert broken_rules(sqlite_store.database) == [(rule, f"broken by {broken}")]


def test_every_rule_is_seen_to_fail() -> None:
    """No rule is there that no store can break."""
    seen = {rule for rule, _, _ in BREACHES.values()}
    seen |= {
        SHARED,
        RECENT,
        REQUESTS,
        TEXTS,
        BYTES,
        "every access token must have owners that are there",
        "every messageId must lead to an accepted event",
        "every refused event must belong to a known scope",
        "the totals of refused events must match their rows",
        "every sealed value must have the form v1:KEY:BASE64",
        "every tenant must belong to a known scope, and every key to a tenant",
        "every connection of a tenant must belong to one, and have its version",
    }
    assert {rule for rule, _ in check._RULES} == seen


def test_a_store_in_order(store: AnyStore, open_store: OpenStore, ids: dict[str, int]) -> None:
    """Nothing is told of it, whether it is only read or not."""
    assert broken_rules(store.database) == []
    assert count_deliveries(store.database) == len(ids)
    with open_store(read_only=True) as read:
        assert broken_rules(read.database) == []
        assert count_deliveries(read.database) == len(ids)


def test_an_empty_store(store: AnyStore) -> None:
    """Nothing is told of it."""
    assert broken_rules(store.database) == []
    assert count_deliveries(store.database) == 0


def test_only_some_are_told(store: AnyStore, add_delivery: Callable[..., int]) -> None:
    """However many break a rule: the first ones, and that there are more."""
    broken = [add_delivery(store, status=Outcome.DEAD) for _ in range(8)]
    _break(store, {}, "UPDATE kept SET effect = {effect_applied}")
    ((_, why),) = broken_rules(store.database)
    assert why == f"broken by {', '.join(map(str, broken[:5]))} and more"


def test_several_rules_at_once(store: AnyStore, ids: dict[str, int]) -> None:
    """Each is told, in the order in which they stand."""
    _break(
        store,
        ids,
        "UPDATE kept SET effect = {effect_none} WHERE id = {held}",
        "DELETE FROM events WHERE id = {held} / 1000",
        "DELETE FROM tallies WHERE status = {status_held}",
    )
    assert [rule for rule, _ in broken_rules(store.database)] == [
        "every unknown or held delivery must have the effect maybe",
        "every delivery that waits or may be replayed must have its raw event",
        "the totals must match the rows",
    ]


def test_a_damaged_file(tmp_path: Path, add_delivery: Callable[..., int]) -> None:
    """What SQLite finds in it is told, or that it cannot be read at all."""
    path = tmp_path / "damaged.sqlite3"
    with SqliteStore(path) as store:
        for _ in range(200):
            add_delivery(store, {"type": "track", "text": "x" * 500})
    connection = sqlite3.connect(path)
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'open_of_scope'"
    ).fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    start = (root - 1) * page
    data[start + page - 200 : start + page] = b"\x55" * 200
    path.write_bytes(data)
    with SqliteStore(path, read_only=True) as read:
        try:
            found = broken_rules(read.database)
        except UsageError as error:
            found = [("the file must be intact", str(error))]
    assert found[0][0] == "the file must be intact"
