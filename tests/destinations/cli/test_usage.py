"""``destinations usage reconcile``: our sums beside the partner's, with files and databases."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.cli.opening import bind_to_file
from destinations.cli.usage.reconcile_command import COLUMNS, KINDS
from destinations.opening import open_definition
from destinations.operations.times import parse_given_time, parse_time
from destinations.postgres import StoreAddress, open_at
from destinations.runtime.account_identity import identity_of
from destinations.store import broken_rules
from tests.destinations.counting import KEY, SETTINGS, CountingPartner, track, write_counter
from tests.postgres_server import new_store_address
from tests.serving import store_spec

Command = Callable[..., Any]
Write = Callable[[str, Any], Path]

RANGE = ("--from", "2026-03-05T14:00:00Z", "--to", "2026-03-05T15:00:00Z")


@pytest.fixture
def partner() -> Iterator[CountingPartner]:
    """A partner that counts."""
    with CountingPartner() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """The place of a new store."""
    return tmp_path / "store.sqlite3" if request.param == "sqlite" else new_store_address()


one_kind = pytest.mark.parametrize("address", ["sqlite"], indirect=True)
"""For tests of what the store makes no difference to."""


class Bench:
    """A destination with its settings and its store, to which events are delivered."""

    def __init__(
        self,
        command: Command,
        write: Write,
        folder: Path,
        partner: CountingPartner,
        address: StoreAddress,
    ) -> None:
        self.partner = partner
        self.address = address
        self.command = command
        self.write = write
        self.folder = folder
        self.settings = write("settings.json", SETTINGS(partner))
        self._runs = 0

    def run(self, *events: dict[str, Any], code: int = 0) -> None:
        """Deliver events."""
        self._runs += 1
        file = self.write(f"events-{self._runs}.ndjson", list(events))
        done = self.command(
            *("run", self.folder, "--events", file, "--settings", self.settings),
            *("--store", self.address, "--outage", "0"),
        )
        assert done.code == code, (done.out, done.err)

    def reconcile(self, *options: str, within: tuple[str, ...] = RANGE) -> Any:
        """Compare."""
        return self.command(
            *("usage", "reconcile", self.folder, "--settings", self.settings),
            *("--store", self.address, *within, *options),
        )

    def pairs(self, *options: str, within: tuple[str, ...] = RANGE) -> dict[str, Any]:
        """Compare, and return the pairs by user."""
        done = self.reconcile("--format", "json", *options, within=within)
        return {one["user"]: one for one in json.loads(done.out)["pairs"]}

    def deliveries(self, *arguments: str) -> Any:
        """Run a command on deliveries."""
        return self.command("deliveries", *arguments, "--store", self.address)


@pytest.fixture
def bench(
    command: Command,
    write: Write,
    tmp_path: Path,
    partner: CountingPartner,
    address: StoreAddress,
) -> Iterator[Bench]:
    """A bench whose store is in order at the end."""
    made = Bench(command, write, write_counter(tmp_path), partner, address)
    yield made
    with open_at(made.address) as store:
        assert broken_rules(store.database) == []


def test_all_is_equal(bench: Bench) -> None:
    """Exact sums, whatever the form of an amount; lookups are made once, and pages are added."""
    bench.run(
        track("1", "ann", 0.1),
        track("2", "ann", "0.2"),
        track("3", "ann", 2),
        track("4", "bob", 5, meter="GB"),
        track("5", "bob", "7.50", meter="other"),
        track("6", "ann", 100, at="2026-03-05T15:00:00.000Z"),
        track("7", "ann", 100, at="2026-03-05T13:59:59.999Z"),
    )
    done = bench.reconcile()
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "Usage from 2026-03-05T14:00:00Z to 2026-03-05T15:00:00Z.",
        "3 pairs of user and feature: 3 equal.",
        (
            "Not in this report: users whom only the partner knows, as it is asked about those"
            " that the store has."
        ),
    ]
    assert "calls of ann: ours 2.3, the partner's 2.3, equal" in bench.reconcile("--all").out
    pairs = json.loads(bench.reconcile("--format", "json").out)
    assert pairs["summary"] == {"equal": 3, "differs": 0, "unknown": 0}
    assert [(one["user"], one["feature"], one["ours"]) for one in pairs["pairs"]] == [
        ("bob", "GB", "5"),
        ("ann", "calls", "2.3"),
        ("bob", "other", "7.5"),
    ]
    # Two meters on one page and one on the next, for each feature and for each of three commands.
    assert bench.partner.asked["meters"] <= 3 * (1 + 2 + 2)
    assert {one["from"] for one in bench.partner.queries} == {"2026-03-05T14:00:00Z"}


def test_differences(bench: Bench) -> None:
    """More and less, with the sign; names and features can be chosen."""
    bench.run(track("1", "ann", 3), track("2", "bob", 4), track("3", "cid", 1))
    bench.partner.extra["bob"] = "2.25"
    bench.partner.events.pop("3")
    done = bench.reconcile()
    assert done.code == 1
    assert done.out.splitlines()[1:6] == [
        "calls of bob: ours 4, the partner's 6.25, difference -2.25",
        "  nothing in the store explains it",
        "calls of cid: ours 1, the partner's 0, difference 1",
        "  nothing in the store explains it",
        "3 pairs of user and feature: 1 equal, 2 differ.",
    ]
    assert bench.reconcile("--user", "ann").code == 0
    assert "The store has no usage of this time." in bench.reconcile("--feature", "GB").out
    assert bench.reconcile("--user", "bob").code == 1


def test_csv(bench: Bench) -> None:
    """All pairs with stable columns; what a spreadsheet would carry out is left out and told."""
    bench.run(track("1", "ann", 3), track("2", "=1+1", 4), track("3", "cid, d", 2.5))
    bench.partner.extra["ann"] = "0.125"
    done = bench.reconcile("--format", "csv")
    assert done.code == 1
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(one["user"], one["difference"], one["result"]) for one in rows] == [
        ("ann", "-0.125", "differs"),
        ("cid, d", "0", "equal"),
    ]
    assert ",".join(rows[0]) == (
        "user,feature,ours,partner,difference,result,error,waiting,unknown,held,failed,dropped,"
        "known,repeated,decided,noAmount,deliveries,from,to"
    )
    assert {(one["from"], one["to"]) for one in rows} == {(RANGE[1], RANGE[3])}
    assert "Left out: 1 row with a name that a spreadsheet would take for a formula" in done.err


def _reasons(pair: Any) -> dict[str, tuple[int, str]]:
    return {kind: (one["count"], one["amount"]) for kind, one in pair["reasons"].items()}


def test_what_may_explain_a_difference(bench: Bench) -> None:
    """Each delivery that did not simply arrive is named with its pair."""
    bench.run(track("d", "dora", 1))
    bench.partner.answers = [422]
    bench.run(track("r", "rita", 2), code=1)
    bench.partner.answers = [409]
    bench.run(track("k", "kim", 3))
    bench.partner.answers = [0]
    bench.run(track("h", "hal", 4), code=1)
    bench.partner.answers = [429, 200]
    bench.run(track("t", "tom", 5), code=75)
    assert _reasons(bench.pairs()["tom"]) == {"waiting": (1, "5")}
    bench.run(track("t", "tom", 5))
    bench.run(track("n", "noa", "many"))
    pairs = bench.pairs()
    assert {user: (one["ours"], one["partner"]) for user, one in pairs.items()} == {
        "dora": ("1", "1"),
        "rita": ("0", "0"),
        "kim": ("0", "0"),
        "hal": ("0", "4"),
        "tom": ("5", "5"),
        "noa": ("0", None),
    }
    assert _reasons(pairs["rita"]) == {"failed": (1, "2")}
    assert _reasons(pairs["kim"]) == {"known": (1, "3")}
    assert _reasons(pairs["hal"]) == {"held": (1, "4")}
    assert _reasons(pairs["noa"]) == {"noAmount": (1, "0")}
    (held,) = pairs["hal"]["reasons"]["held"]["deliveries"]
    assert f"  held for an operator: 1 delivery ({held}), amount 4" in bench.reconcile().out


def test_an_operator_decides(bench: Bench) -> None:
    """What is resolved as applied counts, what is dropped does not, and both are told."""
    bench.partner.answers = [0]
    bench.run(track("1", "ann", 4), code=1)
    bench.partner.answers = [0]
    bench.run(track("2", "bob", 5), code=1)
    ids = {user: one["reasons"]["held"]["deliveries"][0] for user, one in bench.pairs().items()}
    assert bench.deliveries("resolve", str(ids["ann"]), "--applied", "--yes").code == 0
    assert bench.deliveries("drop", str(ids["bob"]), "--reason", "test", "--yes").code == 0
    pairs = bench.pairs()
    assert (pairs["ann"]["ours"], pairs["ann"]["result"]) == ("4", "equal")
    assert _reasons(pairs["ann"]) == {"decided": (1, "4")}
    assert (pairs["bob"]["ours"], pairs["bob"]["result"]) == ("0", "differs")
    assert _reasons(pairs["bob"]) == {"dropped": (1, "5")}


@one_kind
@pytest.mark.parametrize(
    ("shows", "message"),
    [
        ("<html>Sign in</html>", "sums: "),
        ({"data": [{"value": "much"}]}, "the answer to sums shows no number: 'much'"),
        ({"data": [{}]}, "the answer to sums shows no number: "),
        ({"data": None}, "the answer to sums shows no number: nothing"),
        ({"data": [{"value": 1}], "next": 0}, "sums names a page twice, so its pages never end"),
        (500, "sums: "),
        (400, "sums: "),
    ],
)
def test_answers_that_do_not_tell(bench: Bench, shows: Any, message: str) -> None:
    """The pair says why, the others are compared, and the exit code says that one is open."""
    bench.run(track("1", "ann", 4), track("2", "bob", 5))
    bench.partner.shows["ann"] = shows
    done = bench.reconcile()
    assert done.code == 1
    assert f"calls of ann: ours 4; {message}" in done.out
    assert "2 pairs of user and feature: 1 equal, 1 unknown." in done.out


@one_kind
def test_a_partner_that_is_busy(bench: Bench) -> None:
    """It is asked again."""
    bench.run(track("1", "ann", 4))
    bench.partner.busy = 2
    assert bench.reconcile().code == 0
    assert bench.partner.asked["meters"] == 1 + 2 + 1  # the second page of them, too


@one_kind
def test_a_partner_that_is_away(bench: Bench) -> None:
    """After a few questions without an answer the others are not asked."""
    bench.run(*(track(str(number), f"u{number:02}") for number in range(20)))
    bench.partner.shows = {f"u{number:02}": 401 for number in range(20)}
    done = bench.reconcile()
    assert done.code == 1
    assert "calls of u00: ours 1; sums: " in done.out
    assert "calls of u19: ours 1; not asked: the partner has answered none" in done.out
    assert "20 pairs of user and feature: 0 equal, 20 unknown." in done.out
    assert "key_0123456789" not in done.out
    assert sum(bench.partner.asked.values()) < 40


def test_what_names_nobody(bench: Bench) -> None:
    """An event whose mapping gives no user is told, and not asked about."""
    write_counter(
        bench.folder.parent,
        lambda _, action: action["usage"].update(user={"@path": "$.payload.amount"}),
    )
    bench.run(track("1", "ann", ""), track("2", "bob", 7))
    done = bench.reconcile()
    assert done.code == 1
    assert "calls of ?: ours 0; not asked: the event names no user" in done.out


def test_erased_users(bench: Bench) -> None:
    """Their sums are gone, and the report says so."""
    bench.run(track("1", "ann", 4), track("2", "bob", 5))
    done = bench.command("forget", "ann", "--everywhere", "--yes", "--store", bench.address)
    assert done.code == 0, done.err
    done = bench.reconcile()
    assert done.out.splitlines()[1:3] == [
        "Note: sums of users who were erased are not in ours.",
        "1 pair of user and feature: 1 equal.",
    ]


def test_many_pairs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are written to a file as soon as they are many, and added up there."""
    monkeypatch.setattr("destinations.operations.usage._PAIRS_IN_MEMORY", 3)
    users = range(8)
    events = [track(f"{one}-{nth}", f"u{one}", nth) for nth in range(4) for one in users]
    bench.run(*events)
    bench.partner.extra["u5"] = "1"
    pairs = bench.pairs()
    assert [(user, one["ours"], one["difference"]) for user, one in pairs.items()] == [
        (f"u{user}", "6", "-1" if user == 5 else "0") for user in users
    ]


REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "no time": (("--from", RANGE[3], "--to", RANGE[1]), "--to must be later than --from"),
    "the same time": (("--from", RANGE[1], "--to", RANGE[1]), "--to must be later than --from"),
    "no end": (RANGE[:2], "Missing option '--to'"),
    "not a time": (("--from", "yesterday", "--to", RANGE[3]), "invalid time 'yesterday'"),
    "a tenant of a run": ((*RANGE, "--tenant", "t"), "--tenant needs --config"),
}


@one_kind
@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused(bench: Bench, name: str) -> None:
    """Wrong usage ends with 2, before anything is asked."""
    bench.run(track("1", "ann"))
    options, message = REFUSALS[name]
    done = bench.reconcile(within=options)
    assert done.code == 2
    assert message in done.err
    assert bench.partner.asked["meters"] == 0


@one_kind
def test_aligned_times(bench: Bench) -> None:
    """A time that the partner cannot add up comes with the nearest ones that it can."""
    write_counter(
        bench.folder.parent,
        lambda _, action: action["usage"]["ask"].update(aligned="1h", settlesAfter="36500d"),
    )
    bench.run(track("1", "ann"))
    done = bench.reconcile(within=("--from", RANGE[1], "--to", "2026-03-05T14:30:00.5Z"))
    assert done.code == 2
    assert (
        "--to 2026-03-05T14:30:00.500Z cannot be asked for: Counter adds up by 1h in UTC; expected"
        " 2026-03-05T14:00:00Z or 2026-03-05T15:00:00Z"
    ) in done.err
    done = bench.reconcile()
    assert done.code == 0
    assert "Note: Counter may take 36500d to count an event: the latest ones may be" in done.out


@one_kind
def test_ages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An age is taken back to what the partner adds up to, and every form says the real times."""
    write_counter(
        bench.folder.parent, lambda _, action: action["usage"]["ask"].update(aligned="1h")
    )
    bench.run(track("1", "ann", 4), track("2", "ann", 8, at="2026-03-05T15:10:00.000Z"))
    now = parse_time("2026-03-05T15:20:30.25Z", 0)
    monkeypatch.setattr(
        "destinations.cli.usage.reconcile_command.parse_given_time",
        lambda text, _: parse_given_time(text, now),
    )
    within = ("--from", "1h", "--to", "0s")
    done = bench.reconcile("--all", within=within)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:3] == [
        "Usage from 2026-03-05T14:00:00Z to 2026-03-05T15:00:00Z.",
        "Note: Counter adds up by 1h in UTC: an age is taken back to a whole multiple of it.",
        "calls of ann: ours 4, the partner's 4, equal",
    ]
    found = json.loads(bench.reconcile("--format", "json", within=within).out)
    assert (found["from"], found["to"]) == (RANGE[1], RANGE[3])
    (row,) = csv.DictReader(io.StringIO(bench.reconcile("--format", "csv", within=within).out))
    assert (row["from"], row["to"], row["ours"]) == (RANGE[1], RANGE[3], "4")
    assert {one["from"] for one in bench.partner.queries} == {RANGE[1]}
    assert {int(one["to"]) for one in bench.partner.queries} == {parse_time(RANGE[3], 0) * 1000}
    done = bench.reconcile(within=("--from", "10m", "--to", "0s"))
    assert done.code == 2
    assert "--from and --to are both 2026-03-05T15:00:00Z, as an age is taken back" in done.err


@one_kind
def test_who_can_be_asked(bench: Bench, tmp_path: Path) -> None:
    """A destination without usage, another account and a store that is not there."""
    done = bench.reconcile()
    assert (done.code, "there is no store" in done.err) == (2, True)
    bench.run(track("1", "ann"))
    settings = bench.write("other.json", {**SETTINGS(bench.partner), "apiKey": "key_other_9876"})
    done = bench.command(
        *("usage", "reconcile", bench.folder, "--settings", settings, *RANGE),
        *("--store", bench.address),
    )
    assert done.code == 2
    assert "has no deliveries to the account of these settings" in done.err
    write_counter(tmp_path, _without_usage)
    done = bench.reconcile()
    assert done.code == 2
    assert "Counter cannot be asked what it has counted: none of its actions has usage" in done.err
    assert "Help: destinations help usage" in done.err


def _without_usage(destination: dict[str, Any], action: dict[str, Any]) -> None:
    del action["usage"], destination["requests"]["meters"], destination["requests"]["sums"]


def _serving(bench: Bench, name: str = "usage", **receiver: Any) -> Path:
    """Write the configuration of a server that delivers to the same account."""
    keys = receiver or {"keys": [{"env": "RECEIVER_KEY"}]}
    one = {
        "name": name,
        "destination": str(bench.folder),
        "settings": {"endpoint": bench.partner.url, "apiKey": {"env": "COUNTER_KEY"}},
        "receiver": keys,
        "delivery": {"allowPrivate": True},
    }
    config = {"store": yaml.safe_load(store_spec(bench.address)), "destinations": [one]}
    return bench.write("serve.json", config)


def test_a_server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its configuration the account is that of the server, runs to it included."""
    monkeypatch.setenv("COUNTER_KEY", KEY)
    bench.run(track("1", "ann", 4))
    config = _serving(bench)
    definition, plugin = open_definition(str(bench.folder))
    bound = bind_to_file(definition, plugin, bench.settings).destination
    with open_at(bench.address) as store:
        store.accounts().served("usage", identity_of(bound))
    done = bench.command("usage", "reconcile", "usage", "--config", config, *RANGE, "--all")
    assert (done.code, done.err) == (0, "")
    assert "calls of ann: ours 4, the partner's 4, equal" in done.out
    done = bench.command("usage", "reconcile", "usag", "--config", config, *RANGE)
    assert done.code == 2
    assert "has no destination 'usag'; it has: usage" in done.err
    done = bench.command("usage", "reconcile", "usage", "--config", config, *RANGE, "--tenant", "x")
    assert done.code == 2
    settings = ("--settings", bench.settings)
    done = bench.command("usage", "reconcile", "usage", "--config", config, *RANGE, *settings)
    assert (done.code, "cannot be used with --config" in done.err) == (2, True)


PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "compare-usage.md").read_text("utf-8")
LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE.replace("   ", ""), re.DOTALL)
    for line in block.splitlines()
]


@one_kind
@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page(bench: Bench, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It compares, with the names of this test in place of those of the page."""
    monkeypatch.setenv("COUNTER_KEY", KEY)
    bench.run(track("1", "customer_17", 4, meter="other"))
    line, _, output = line.partition(" > ")
    words = shlex.split(line)[1:]
    config = _serving(bench) if "--config" in words else None
    names = {
        "openmeter": "usage" if config else str(bench.folder),
        "openmeter.yaml": str(bench.settings),
        "serve.yaml": str(config),
        "requests": "other",
        "2026-04-01T00:00:00Z": "2026-04-01T00:00:00Z",
    }
    given = [names.get(one, one) for one in words]
    done = bench.command(*given, *(() if config else ("--store", bench.address)))
    assert (done.code, done.err if not output.endswith("csv") else "") == (0, "")
    wanted = {"usage.csv": "customer_17,other,4,4,0,equal", "usage.json": '"equal": 1'}
    assert wanted.get(output, "1 pair of user and feature: 1 equal.") in done.out


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_the_page_has_each_reason(kind: str, name: str) -> None:
    """With its name and its column."""
    assert f"| {name} | `{kind}` |" in PAGE
    assert all(f"`{column}`" in PAGE for column in COLUMNS)


@one_kind
def test_what_explain_shows(bench: Bench) -> None:
    """What an event would count for, before it is sent."""
    event = bench.write("event.json", track("1", "ann", "2.50"))
    explain = ("explain", bench.folder, event, "--settings", bench.settings)
    done = bench.command(*explain)
    assert done.code == 0, done.err
    assert (
        'usage counts 2.5 of the feature "calls" for the user "ann" at 2026-03-05T14:30:00Z'
    ) in done.out
    event = bench.write("event.json", track("1", "ann", "many"))
    assert "usage counts an amount that is no number of the feature" in bench.command(*explain).out
    shown = bench.command(*explain, "--json").json
    usage = shown["subscriptions"][0]["usage"]
    assert usage == {"user": "ann", "feature": "calls", "at": 1_772_721_000_000, "amount": None}
