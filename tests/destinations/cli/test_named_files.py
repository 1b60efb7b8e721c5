"""No command waits for a pipe, or reads a device, in place of a file that an operator names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EVENT = {"type": "identify", "userId": "u", "messageId": "m", "traits": {}}
SETTINGS = {"apiKey": "prv_test_first", "endpoint": "http://127.0.0.1:9/graphql"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A right file for what is not tried, and a pipe that nobody writes to."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    config = {
        "store": {"path": "store.sqlite3"},
        "destinations": [
            {
                "name": "kana",
                "destination": "kana",
                "settings": {**SETTINGS, "apiKey": {"file": "pipe"}},
            }
        ],
    }
    found = {"pipe": pipe, "store": tmp_path / "s.sqlite3", "new": tmp_path / "new"}
    contents = {"event": EVENT, "settings": SETTINGS, "config": config}
    for name, content in contents.items():
        found[name] = tmp_path / f"{name}.json"
        found[name].write_text(json.dumps(content))
    return found


@pytest.mark.parametrize("place", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    "line",
    [
        "serve --check --config {place}",
        "status --config {place}",
        "check kana --settings {place}",
        "run kana --events {event} --store {store} --settings {place}",
        "explain kana {event} --store {store} --settings {place}",
        "explain kana {place} --store {store}",
        "record kana --events {place} --case new --cases {new}",
        "record kana --events {event} --case new --cases {new} --settings {place}",
        "run kana --sandbox --seed {place} --events {event}",
        "sandbox kana --seed {place}",
        "docs lint {place}",
        "docs lint --config {place}",
        "import segment {place}",
        "kana rules add --store {store} --file {place}",
        "kana rules test --store {store} {place}",
    ],
)
def test_a_file_that_is_none(
    command: Callable[..., Any], files: dict[str, Path], line: str, place: str
) -> None:
    """The command ends with 2 at once and names the path."""
    path = files.get(place, Path(place))
    done = command(*line.format_map({**files, "place": path}).split())
    assert done.code == 2
    assert str(path) in done.err
    assert "Traceback" not in done.err


def test_a_configuration_that_is_read_again(
    command: Callable[..., Any], files: dict[str, Path]
) -> None:
    """A command that reads it more than once says so, though something writes to the pipe."""
    pipe = os.open(files["pipe"], os.O_RDWR)
    try:
        os.write(pipe, files["config"].read_bytes())
        done = command("forget", "ann", "--yes", "--config", files["pipe"])
    finally:
        os.close(pipe)
    assert done.code == 2
    assert f"--config {files['pipe']} is a pipe, which can be read only once" in done.err


@pytest.mark.parametrize("secret", ["pipe", "/dev/zero"])
def test_a_secret_that_is_no_file(
    command: Callable[..., Any], files: dict[str, Path], secret: str
) -> None:
    """A check names where it is in the configuration, and what is there."""
    config = json.loads(files["config"].read_text())
    config["destinations"][0]["settings"]["apiKey"]["file"] = secret
    files["config"].write_text(json.dumps(config))
    done = command("serve", "--check", "--config", files["config"])
    assert done.code == 2
    assert "/destinations/0/settings/apiKey: cannot read the file" in done.err
    assert "expected a regular file" in done.err


@pytest.mark.parametrize("name", ["destination", "identify"])
def test_a_definition_that_is_no_file(
    command: Callable[..., Any], kana_folder: Path, name: str
) -> None:
    """A pipe in the folder of a definition is not read, and neither is one among its cases."""
    for path in (kana_folder / f"{name}.yaml", kana_folder / "cases" / "pipe.yaml"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert command("validate", kana_folder).code != 0
    assert command("test", kana_folder).code != 0


def test_an_argument_with_nul(command: Callable[..., Any], tmp_path: Path) -> None:
    """Only a program can pass one; it is told so."""
    for line in (("status", "--store", f"{tmp_path}/a\0b"), ("serve", "--config", "a\0b")):
        done = command(*line)
        assert done.code == 2
        assert "an argument holds a NUL character" in done.err
