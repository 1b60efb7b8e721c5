from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., dict[str, Any]]
ROOT = Path(__file__).resolve().parents[3]

CALLS = ("--event", "API Called", "--feature", "calls")


def _names(cli: Any) -> list[str]:
    return [rule["name"] for rule in cli.local("rules", "list", "--json").json]


def test_a_rule_maps_events(cli: Any, track: Make) -> None:
    """Conditions are joined by AND; an event that names its feature needs no rule."""
    arguments = ("--where", "plan.name=pro", "--where", "trial=false", *CALLS)
    assert cli("rules", "add", "Calls", *arguments).code == 0
    outcomes = cli.outcomes(
        track(plan={"name": "pro"}, trial=False),
        track(plan={"name": "pro"}, trial=True),
        track(plan={"name": "pro"}),
        track("Other", plan={"name": "pro"}, trial=False),
        track(plan={"name": "pro"}, trial=False, featureId="seats"),
    )
    assert outcomes == {"delivered": 2, "unmapped": 3}
    assert cli.usage == {"ann": {"calls": 1, "seats": 1}}


def test_a_rule_in_fql(cli: Any, track: Make) -> None:
    """It maps what a subscription with this FQL would receive."""
    when = 'event = "API Called" and properties.size >= 10'
    done = cli("rules", "add", "Big", "--when", when, "--feature", "calls")
    assert done.code == 0, done.err
    assert f"Added the rule 'Big': when {when}, calls." in done.out
    outcomes = cli.outcomes(track(size=10), track(size=9), track(size="10"), track("E", size=10))
    assert outcomes == {"delivered": 1, "unmapped": 3}
    assert cli.local("rules", "list", "--json").json == [
        {"name": "Big", "when": when, "feature": "calls"}
    ]
    assert cli("rules", "add", "Big", "--when", when, "--feature", "calls").code == 0


# The rule's amount and the event's delta; then what is counted.
AMOUNTS = [(None, None, 1), (None, 5, 5), (10, None, 10), (10, 5, 10), (-3, 5, -3), (0, 5, 0)]


@pytest.mark.parametrize(("amount", "delta", "counted"), AMOUNTS)
def test_the_amount(
    cli: Any, track: Make, amount: int | None, delta: int | None, counted: int
) -> None:
    """A rule's own amount, else the event's delta, else 1."""
    fixed = () if amount is None else ("--amount", str(amount))
    cli("rules", "add", "R", *CALLS, *fixed)
    assert cli.outcomes(track(**({} if delta is None else {"delta": delta}))) == {"delivered": 1}
    assert cli.usage == {"ann": {"calls": counted}}


def test_a_rule_that_is_added_later(cli: Any, track: Make) -> None:
    """It delivers what was kept, once; the rest stays unmapped, and a file may be run again."""
    events = [track(delta=3), track("Seat Added"), track(delta=4)]
    assert cli.outcomes(*events) == {"unmapped": 3}
    done = cli("rules", "add", "Calls", *CALLS)
    assert done.code == 0
    assert "2 unmapped events wait for delivery now." in done.out
    assert "Of what waited: 2 delivered." in done.out
    assert cli.usage == {"ann": {"calls": 7}}
    for _ in range(2):
        assert cli.outcomes(*events) == {"filtered": 2, "unmapped": 1}
    assert cli("rules", "add", "Seats", "--event", "Seat Added", "--feature", "seats").code == 0
    assert cli.usage == {"ann": {"calls": 7, "seats": 1}}
    assert cli.outcomes(*events) == {"filtered": 3}
    assert cli.local("unmapped", "--json").json["events"] == 0


def test_without_settings_a_run_delivers_what_waits(cli: Any, track: Make) -> None:
    """What a rule maps waits until a run is asked for it; it is sent once, whoever brings it."""
    old, new = track(delta=3), track(delta=4)
    cli.run(old)
    done = cli.local("rules", "add", "Calls", *CALLS)
    assert done.code == 0
    assert "1 unmapped event waits for delivery now." in done.out
    assert "Deliver what waits: destinations run kana --settings FILE" in done.err
    assert cli.usage == {}
    assert "Earlier runs left in the store: 1 ready." in cli.run(new).err
    assert cli.usage == {"ann": {"calls": 4}}
    ran = cli.command("run", "kana", "--settings", cli.settings, "--store", cli.store, "--json")
    assert ran.json["outcomes"]["delivered"] == 1
    assert cli.usage == {"ann": {"calls": 7}}
    assert cli.outcomes(old, new) == {"filtered": 2}


def test_a_run_delivers_what_waits_of_its_own_events(cli: Any, track: Make) -> None:
    """An event that waits and comes again has its row as any other, and is sent once."""
    old, new = track(delta=3), track(delta=4)
    cli.run(old)
    cli.local("rules", "add", "Calls", *CALLS)
    assert cli.outcomes(old, new) == {"delivered": 2}
    assert cli.usage == {"ann": {"calls": 7}}
    assert cli.outcomes(old, new) == {"filtered": 2}


def test_a_rule_delivers_for_its_account_alone(open_cli: Callable[..., Any], track: Make) -> None:
    """Of another account what the rule maps waits until a run of that one."""
    one, two = open_cli(), open_cli()
    one.run(track())
    two.run(track(), track())
    done = two("rules", "add", "R", *CALLS)
    assert "3 unmapped events wait for delivery now." in done.out
    assert "Of what waited: 2 delivered." in done.out
    assert (one.usage, two.usage) == ({}, {"ann": {"calls": 2}})
    one.command("run", "kana", "--settings", one.settings, "--store", one.store)
    assert (one.usage, two.usage) == ({"ann": {"calls": 1}}, {"ann": {"calls": 2}})


def test_a_rule_that_maps_nothing_delivers_nothing(cli: Any, track: Make) -> None:
    """What waits for another reason is left to a run, and no request is made for it."""
    cli.run(track("Seat Added"))
    asked = cli.sandbox.requests.count
    done = cli("rules", "add", "Calls", *CALLS)
    assert done.code == 0
    assert "wait" not in done.out + done.err
    assert cli.sandbox.requests.count == asked + 1  # the features were looked up
    assert cli.local("unmapped", "--json").json["events"] == 1


def test_events_that_kana_refuses(cli: Any, track: Make) -> None:
    """What is refused is told with its reason and exit code 1; it is not hidden as unmapped."""
    cli.run(track(), track(user="bob", delta=1.5))
    done = cli("rules", "add", "S", "--event", "API Called", "--feature", "sso")
    assert done.code == 1
    assert "1 unmapped event waits for delivery now." in done.out
    assert "Of what waited: 1 rejected." in done.out
    assert "no access to the feature 'sso'" in done.err
    assert "Warning: the feature 'sso' is BINARY" in done.err
    assert "1 is mapped, but cannot be sent; see destinations deliveries list." in done.err
    (account,) = cli.local("status", "--json").json["accounts"]
    assert account["deliveries"] == {"invalid": 1, "rejected": 1}


def test_the_oldest_rule_wins(cli: Any, track: Make) -> None:
    """A warning when rules overlap; one event is never counted for two features."""
    first = cli.local("rules", "add", "Old", *CALLS)
    second = cli.local("rules", "add", "Young", "--where", "kind=seat", "--feature", "seats")
    apart = cli.local("rules", "add", "Apart", "--event", "Seat Added", "--feature", "seats")
    assert "Warning" not in first.err
    assert "both 'Old' and 'Young'; 'Old' is older and wins." in second.err
    assert "'Young' and 'Apart'" in apart.err
    assert "'Old'" not in apart.err
    cli.run(track(kind="seat"), track("Other", kind="seat"))
    assert cli.usage == {"ann": {"calls": 1, "seats": 1}}
    cli.local("rules", "remove", "Old")
    cli.local("rules", "add", "Old", *CALLS)
    cli.run(track(kind="seat"))
    assert cli.usage == {"ann": {"calls": 1, "seats": 2}}


RULES = """
rules:
  - name: Calls
    event: API Called
    feature: calls
  - name: Seats
    where: {plan.name: pro, count: 2, first: true}
    feature: seats
    amount: 4
"""


def test_a_file_of_rules(cli: Any, track: Make, write: Callable[[str, Any], Any]) -> None:
    """Rules in the order of the file; the same file may be added again."""
    file = write("rules.yaml", RULES)
    assert cli("rules", "add", "--file", file).code == 0
    listed = cli.local("rules", "list", "--json").json
    assert listed == [
        {"name": "Calls", "event": "API Called", "feature": "calls"},
        {
            "name": "Seats",
            "where": {"plan.name": "pro", "count": 2, "first": True},
            "feature": "seats",
            "amount": 4,
        },
    ]
    again = cli("rules", "add", "--file", file)
    assert again.code == 0
    assert again.out.count("exists already") == 2
    assert cli.local("rules", "list", "--json").json == listed
    cli.run(track("E", plan={"name": "pro"}, count=2, first=True))
    assert cli.usage == {"ann": {"seats": 4}}


# A file that is refused, and what is said of it.
FILES: dict[str, tuple[str, list[str]]] = {
    "hardly anything": ("rules:\n- {name: x}", ["rules.yaml:2: /rules/0: lacks 'feature'"]),
    "no rules": ("rules: []", ["rules.yaml:1", "/rules"]),
    "something else": ("- name: A", ["rules.yaml:1"]),
    "not YAML": ("rules: [", ["rules.yaml", "not YAML"]),
    "empty": ("", ["the file is empty"]),
    "no name": ("rules:\n- event: E\n  feature: calls", ["rules.yaml:2: /rules/0: lacks 'name'"]),
    "no feature": ("rules:\n- event: E\n  name: A", ["rules.yaml:2: /rules/0: lacks 'feature'"]),
    "no condition": (
        "rules:\n- name: A\n  feature: calls",
        ["rules.yaml:2: /rules/0: needs a condition"],
    ),
    "wrong FQL": (
        "rules:\n- name: A\n  feature: calls\n  when: event = API Called",
        ["rules.yaml:4: /rules/0/when: at character 9"],
    ),
    "a wrong key": (
        "rules:\n- {name: A, event: E, feature: calls, ammount: 1}",
        ["rules.yaml:2: /rules/0/ammount: is not a key here", "did you mean amount?"],
    ),
    "a wrong path": (
        "rules:\n- name: A\n  feature: calls\n  where: {a..b: 1}",
        ["rules.yaml:4", "'a..b' is not a property path"],
    ),
    "an object as a value": (
        "rules:\n- name: A\n  feature: calls\n  where: {a: {b: 1}}",
        ["rules.yaml:4: /rules/0/where/a: must be text, a number, null, true or false, not a"],
    ),
    "a number as a path": (
        "rules:\n- name: A\n  feature: calls\n  where: {1: 1, .2: 1}",
        ["rules.yaml:4: /rules/0/where/.2: '.2' is not a property path"],
    ),
    "a fraction as the amount": (
        "rules:\n- {name: A, event: E, feature: calls, amount: 1.5}",
        ["/rules/0/amount"],
    ),
    "an amount that Kana cannot take": (
        "rules:\n- {name: A, event: E, feature: calls, amount: 2147483648}",
        ["/rules/0/amount"],
    ),
    "a name twice": (
        "rules:\n- {name: A, event: E, feature: calls}\n- {name: A, event: F, feature: calls}",
        ["rules.yaml:3: /rules/1/name", "there is a rule 'A' further up"],
    ),
    "a feature that is not there": (
        "rules:\n- {name: A, event: E, feature: calls}\n- {name: B, event: F, feature: nope}",
        ["rule 'B': Kana has no feature 'nope'; it has: calls, seats, sso"],
    ),
    "a name that is taken": (
        "rules:\n- {name: New, event: E, feature: calls}\n- {name: Old, event: F, feature: calls}",
        ["there is a rule 'Old' already; remove it first"],
    ),
}


@pytest.mark.parametrize(("text", "messages"), FILES.values(), ids=FILES)
def test_a_file_that_is_refused(
    cli: Any, write: Callable[[str, Any], Any], text: str, messages: list[str]
) -> None:
    """Exit code 2, the place and what is wrong; none of its rules is added."""
    cli("rules", "add", "Old", *CALLS)
    done = cli("rules", "add", "--file", write("rules.yaml", text))
    assert (done.code, done.out) == (2, "")
    for message in messages:
        assert message in done.err
    assert _names(cli) == ["Old"]


WRONG_USAGE = {
    "nothing": ((), "expected NAME, --feature and a condition"),
    "no name": (CALLS, "expected NAME, --feature and a condition"),
    "no condition": (("A", "--feature", "calls"), "expected NAME, --feature and a condition"),
    "no feature": (("A", "--event", "E"), "expected NAME, --feature and a condition"),
    "an empty name": (("", *CALLS), "name: must not be empty"),
    "no FQL": (("A", "--when", "event == 1", "--feature", "calls"), "when: at character 8"),
    "FQL and its short form": (
        ("A", "--when", 'event = "E"', *CALLS),
        "event: cannot stand beside when: write it in its FQL",
    ),
    "no value": (("A", "--where", "plan", *CALLS), "expected PATH=VALUE"),
    "no path": (("A", "--where", "=x", *CALLS), "expected PATH=VALUE"),
    "a wrong path": (("A", "--where", ".a=x", *CALLS), "'.a' is not a property path"),
    "a path twice": (("A", "--where", "a=x", "--where", "a=y", *CALLS), "names 'a' twice"),
    "an amount that is none": (("A", *CALLS, "--amount", "1.5"), "1.5"),
    "an amount beyond 32 bits": (("A", *CALLS, "--amount", "2147483648"), "2147483648"),
    "a file and options": (("--file", "x.yaml", *CALLS), "--file cannot be used with NAME"),
    "a file that is not there": (("--file", "x.yaml"), "cannot read the rules file x.yaml"),
    "an unknown feature": (("A", "--event", "E", "--feature", "nope"), "it has: calls, seats, sso"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage(cli: Any, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, one message in the words of the command line, and no rule."""
    done = cli("rules", "add", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "/rules/0" not in done.err
    assert _names(cli) == []


def test_a_rule_is_changed_only_by_hand(cli: Any) -> None:
    """The same name with other conditions is refused; the same rule again is no error."""
    cli.local("rules", "add", "A", *CALLS)
    assert cli.local("rules", "add", "A", *CALLS).code == 0
    done = cli.local("rules", "add", "A", *CALLS, "--amount", "2")
    assert done.code == 2
    assert "there is a rule 'A' already; remove it first" in done.err


def test_list_and_remove(cli: Any) -> None:
    """The oldest first, with the conditions as FQL; what was removed is gone."""
    assert cli.local("rules", "list").out == "0 mapping rules\n\n"
    cli.local("rules", "add", "B", *CALLS, "--where", "plan.name=pro", "--amount", "0")
    cli.local("rules", "add", "A", "--where", "kind=seat", "--feature", "seats")
    lines = cli.local("rules", "list").out.splitlines()
    assert lines[0] == "2 mapping rules"
    assert 'event = "API Called" and properties.plan.name = "pro"' in lines[2]
    assert lines[2].split()[-2:] == ["calls", "0"]
    assert lines[3].startswith("A ")
    assert cli.local("rules", "remove", "B").code == 0
    assert _names(cli) == ["A"]
    done = cli.local("rules", "remove", "B")
    assert done.code == 2
    assert "unknown rule 'B'; known: A" in done.err


# An event; then the exit code and what is said.
TESTED: dict[str, tuple[Any, int, str]] = {
    "mapped": (
        {"type": "track", "userId": "u", "event": "API Called", "properties": {"kind": "x"}},
        0,
        "'Old' maps it to calls, amount: the event's delta.",
    ),
    "by two": (
        {"type": "track", "userId": "u", "event": "API Called", "properties": {"kind": "seat"}},
        0,
        "'Young' matches too, but is newer.",
    ),
    "a fixed amount": (
        {"type": "track", "userId": "u", "event": "Other", "properties": {"kind": "seat"}},
        0,
        "'Young' maps it to seats, amount: 2.",
    ),
    "by none": (
        {"type": "track", "userId": "u", "event": "Other"},
        1,
        "The event stays unmapped: no rule matches (2 rules tried).",
    ),
    "its own feature": (
        {"type": "track", "userId": "u", "event": "Other", "properties": {"featureId": "sso"}},
        0,
        "The event names the feature 'sso' itself",
    ),
    "an identify": ({"type": "identify", "userId": "u"}, 1, "Rules map track events"),
    "no event": ({"type": "track"}, 2, "event.json has neither a userId nor an anonymousId"),
    "not JSON": ("{", 2, "event.json is not JSON"),
}


@pytest.mark.parametrize(("event", "code", "message"), TESTED.values(), ids=TESTED)
def test_testing_an_event(
    cli: Any, write: Callable[[str, Any], Any], event: Any, code: int, message: str
) -> None:
    """It says which rule would map an event, and counts nothing."""
    cli.local("rules", "add", "Old", *CALLS)
    cli.local("rules", "add", "Young", "--where", "kind=seat", "--feature", "seats", "--amount=2")
    done = cli.local("rules", "test", write("event.json", event))
    assert done.code == code
    assert message in done.out + done.err
    assert cli.usage == {}


def test_a_refused_key_leaves_everything_kept(cli: Any, track: Make) -> None:
    """The rule is not added, and the events wait as before; also for a run."""
    cli.run(track())
    values = {"apiKey": "prv_live_x", "endpoint": cli.sandbox.url}
    cli.settings.write_text(str(values).replace("'", '"'), encoding="utf-8")
    done = cli("rules", "add", "Calls", *CALLS)
    assert done.code == 2
    assert "Unauthenticated" in done.err
    assert _names(cli) == []


@pytest.mark.parametrize("by", ["a rule", "a run"])
def test_a_key_refused_while_what_waits_is_delivered(cli: Any, track: Make, by: str) -> None:
    """That is said, and is no outage; everything waits on, and the next run delivers it."""
    cli.run(track(delta=3), track("Seat Added"))
    cli.local("rules", "add", "Calls", *CALLS)
    refused = {"errors": {"*": {"message": "Unauthenticated: revoked"}}}
    # The test of the credentials fails as well: else it would be that event alone.
    cli.sandbox.faults.add({"match": {"rootField": "recordUsage"}, **refused})
    # Before it the features are asked for once, and then what the user has used so far.
    at = cli.sandbox.requests.count + 4
    cli.sandbox.faults.add({"match": {"rootField": "features"}, "nth": at, **refused})
    run = ("run", "kana", "--settings", cli.settings, "--store", cli.store)
    if by == "a run":
        done = cli.command(*run)
        assert "the credentials were refused: Unauthenticated: revoked" in done.err
    else:
        done = cli("rules", "add", "Seats", "--event", "Seat Added", "--feature", "seats")
        assert "Of what waited: 2 ready." in done.out
        assert "Unauthenticated: revoked" in done.err
    assert done.code == 2
    assert "does not answer" not in done.err
    assert cli.usage == {}
    assert cli.command(*run).code == 0
    seats = {} if by == "a run" else {"seats": 1}
    assert cli.usage == {"ann": {"calls": 3, **seats}}


def test_rules_are_brought_over_as_the_docs_say(cli: Any, track: Any, write: Any) -> None:
    """The file of the guide is read, and each of its rules maps an event of its kind."""
    text = (ROOT / "docs" / "kana-behaviour.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- rules file -->\n```yaml\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    file = cli.store.parent / "rules.yaml"
    file.write_text(shown[1], encoding="utf-8")
    for expected in ("Added the rule", "exists already"):
        done = cli.local("rules", "add", "--file", file)
        assert done.code == 0
        assert done.out.count(expected) == 2
    events = {
        "api-calls, amount: the event's delta": track(plan={"name": "pro"}),
        "report-exports, amount: 1": track("Report Exported", delta=5, rows=1000),
    }
    for said, event in events.items():
        done = cli.local("rules", "test", write("event.json", event))
        assert (done.code, said in done.out) == (0, True)
