from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Put = Callable[..., int]
Run = Callable[..., Any]


def test_an_empty_store(deliveries: Run, path: Path):
    """Nothing needs a person, and that is no error."""
    done = deliveries("list")
    assert (done.code, done.out.strip()) == (0, f"0 deliveries that need a person, in {path}")
    assert deliveries("list", "--json").json == {
        "store": str(path),
        "total": 0,
        "classes": [],
        "deliveries": [],
    }


def test_the_table(deliveries: Run, dead: Put, held: Put, put: Put, path: Path):
    """What needs a person, with what it takes to find it again, and counts by class."""
    dead()
    held()
    put()
    text = deliveries("list").out
    assert text.startswith("2 deliveries that need a person, in ")
    row = " ".join(text.splitlines()[2].split())
    assert row == (
        "1 1970-01-01T00:16:40Z sample count u1 track/m1 dead 3 "
        "SERVICE_UNAVAILABLE: the partner is down"
    )
    assert " held " in text.splitlines()[3]
    assert f"One of them: destinations deliveries show ID --store {path}\n" in text
    classes = text.partition("By class\n")[2]
    assert "SERVICE_UNAVAILABLE" in classes
    assert "held" in classes


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ((), {1, 2}),
        (("--all",), {1, 2, 3, 4}),
        (("--state", "ready"), {3}),
        (("--state", "done"), {1, 4}),
        (("--outcome", "dead"), {1}),
        (("--outcome", "dead", "--state", "done"), {1}),
        (("--since", "1970-01-01", "--until", "2026-05-04"), {1, 2}),
        (("--outcome", "delivered"), {4}),
        (("--code", "SERVICE_UNAVAILABLE"), {1}),
        (("--user", "u2"), {2}),
        (("--user", "u2", "--all"), {2, 4}),
        (("--destination", "sample"), {1, 2}),
        (("--destination", "other"), set()),
        (("--since", "1970-01-01T00:16:40Z"), {1, 2}),
        (("--since", "2h"), set()),
        (("--until", "1970-01-01T00:16:40Z"), set()),
        (("--limit", "1"), {1}),
    ],
)
def test_filters(
    deliveries: Run, dead: Put, held: Put, put: Put, options: tuple[str, ...], ids: set[int]
):
    """Each narrows what is shown; the class that is asked for replaces that of the default."""
    dead()
    held(user="u2")
    put()
    put(user="u2", state="done", outcome="delivered", settled_at=2_000.0)
    found = deliveries("list", *options, "--json").json
    assert {one["id"] for one in found["deliveries"]} == ids
    if "--limit" not in options:
        assert found["total"] == len(ids) == sum(one["deliveries"] for one in found["classes"])


def test_the_limit_says_that_there_are_more(deliveries: Run, dead: Put):
    """The counts are of all."""
    for _ in range(3):
        dead()
    text = deliveries("list", "--limit", 2).out
    assert text.startswith("3 deliveries that need a person, in ")
    assert "These are the first 2; --limit shows more." in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--since", "yesterday"), "'yesterday' is no time; write it as"),
        (("--state", "lost"), "'lost' is not one of 'ready', 'sending'"),
        (("--outcome", "gone"), "'gone' is not one of"),
        (("--limit", "0"), "0 is not in the range"),
        (("--all", "--outcome", "dead"), "--all and --outcome exclude each other"),
        (("--all", "--state", "held"), "--all and --state exclude each other"),
        (("--all", "--code", "X"), "--all and --code exclude each other"),
        (("--state", "ready", "--outcome", "dead"), "only what is done has an outcome"),
        (("--outcome", "unknown"), "a server has --state unknown, of which the partner is asked"),
        (("--outcome", "retrying"), "a server has --state ready"),
        (("--since", "1d", "--until", "2d"), "no delivery is between them"),
        (("--since", "2026-05-04", "--until", "2026-05-04"), "is not before --until 2026-05-04T00"),
    ],
)
def test_wrong_options(deliveries: Run, options: tuple[str, ...], message: str):
    """Each is refused with what would be right."""
    done = deliveries("list", *options)
    assert done.code == 2
    assert message in done.err


def test_nothing_drives_the_terminal(deliveries: Run, dead: Put):
    """Users, names and reasons come from anywhere."""
    dead(user="\x1b[2Ju", reason="[bold]no[/bold]\x07\nnext")
    text = deliveries("list").out
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]no[/bold]" in text
