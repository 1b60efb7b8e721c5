"""Destinations of a configuration, bound to their definitions and settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.server import bind, read_config

Write = Callable[[str, Any], Path]
KEY = "a-secret-api-key"


def _config(*destinations: str) -> str:
    return "store: {path: s}\ndestinations:\n" + "".join(
        f"  - {{{each}}}\n" for each in destinations
    )


GOOD = "name: one, destination: ./sample, settings: {apiKey: {env: KEY}}"


def test_a_destination(write: Write, sample: Path) -> None:
    """It has its settings, what the configuration says on delivery, and who may post."""
    assert sample.name == "sample"
    extra = ", delivery: {concurrency: 7}, receiver: {keys: [{env: KEY}]}"
    config = read_config(write("c.yaml", _config(GOOD + extra)), {"KEY": KEY})
    (bound,) = bind(config, None)
    assert bound.name == "one"
    assert bound.destination.definition.transport.concurrency == 7
    assert "".join(bound.destination.settings["apiKey"]) == KEY
    assert bound.authenticator.has_key(KEY.encode())
    assert bound.types is None
    assert KEY not in repr(bound)


@pytest.mark.parametrize(
    ("extra", "name"), [("", None), (", account: main", "main"), (", account: 'a b'", "a b")]
)
def test_its_account(write: Write, sample: Path, extra: str, name: str | None) -> None:
    """The name that the configuration has for it is part of its identity."""
    assert sample.name == "sample"
    config = read_config(write("c.yaml", _config(GOOD + extra)), {"KEY": KEY})
    (bound,) = bind(config, None)
    assert (bound.identity.slug, bound.identity.name) == ("sample", name)
    assert bound.identity.endpoint == "http://127.0.0.1:9/graphql"
    assert KEY not in repr(bound.identity)


def test_two_keys_are_two_accounts(write: Write, sample: Path) -> None:
    """Destinations with other credentials at the same endpoint may stand side by side."""
    assert sample.name == "sample"
    other = GOOD.replace("one", "two").replace("KEY", "KEY2")
    config = read_config(write("c.yaml", _config(GOOD, other)), {"KEY": KEY, "KEY2": KEY + "2"})
    assert [bound.name for bound in bind(config, None)] == ["one", "two"]


def test_what_connections_share(write: Write, sample: Path) -> None:
    """Requests are compiled once for all settings, until the definition changes."""
    other = GOOD.replace("one", "two").replace("KEY", "OTHER") + ", delivery: {concurrency: 7}"
    text = write("c.yaml", _config(GOOD, other))
    config = read_config(text, {"KEY": KEY, "OTHER": KEY[::-1]})
    one, two = bind(config, None)
    assert one.destination.requests is two.destination.requests
    keys = ["".join(each.destination.settings["apiKey"]) for each in (one, two)]
    assert keys == [KEY, KEY[::-1]]
    path = sample / "destination.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    again, _ = bind(config, None)
    assert again.destination.requests is not one.destination.requests


def test_the_calls_that_are_supported(write: Write) -> None:
    """Those of all actions, where each says its own."""
    text = _config("name: k, destination: kana, settings: {apiKey: {env: KEY}}")
    (bound,) = bind(read_config(write("c.yaml", text), {"KEY": "prv_test_" + "x" * 32}), None)
    assert bound.types == frozenset({"identify", "track"})


@pytest.mark.parametrize(
    ("destinations", "issue"),
    [
        (["name: a, destination: nothing"], "unknown destination 'nothing'"),
        (["name: a, destination: ./none"], "c.yaml:3: /destinations/0"),
        (["name: a, destination: ./sample"], "c.yaml:3: /destinations/0/settings/apiKey: is req"),
        (
            ["name: a, destination: ./sample, settings: {apiKey: a-secret-api-key}"],
            "c.yaml:3: /destinations/0/settings/apiKey: must be {env: NAME}, {file: PATH}",
        ),
        (
            [GOOD, GOOD.replace("one", "two").removesuffix("}") + ", other: 1}"],
            "c.yaml:4: /destinations/1/settings/other: Sample has no such setting",
        ),
        ([GOOD, GOOD.replace("one", "two")], "two and one deliver to the same account"),
        (
            [GOOD + ", account: main", GOOD.replace("one", "two")],
            "two and one deliver to the same account",
        ),
        (
            [GOOD + ", account: main", GOOD.replace("one", "two") + ", account: other"],
            "two and one deliver to the same account",
        ),
    ],
)
def test_issues(
    write: Write,
    sample: Path,
    destinations: list[str],
    issue: str,
) -> None:
    """All of them are found before anything starts, with the place in the configuration."""
    assert sample.name == "sample"
    config = read_config(write("c.yaml", _config(*destinations)), {"KEY": KEY})
    with pytest.raises(DefinitionError) as caught:
        bind(config, None)
    assert issue in str(caught.value)
    assert KEY not in str(caught.value)
