"""What a configuration says of the console and its API."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from destinations.console.login_link import login_link_path
from destinations.console.running import Console
from destinations.errors import DefinitionError, SecretMissingError, UsageError
from destinations.server import ServeConfig, config_of_text, read_config

START = "store: {path: store.sqlite3}\ndestinations: [{name: hook, destination: webhook}]\n"
KEY = "0123456789abcdef-of-a-key"


def _read(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> ServeConfig:
    path = tmp_path / "serve.yaml"
    path.write_text(START + text)
    return read_config(path, environment or {}, to_show=True, for_console=True)


FAULTS = {
    "console: {}": "/console: ",
    "console: {listen: 8788}": "/console/listen: must be",
    "console: {listen: '127.0.0.1'}": "lacks a port",
    "console: {listen: '0.0.0.0:8788'}": (
        "other machines can reach 0.0.0.0: expected users, and behindProxy: true"
    ),
    "console: {listen: '0.0.0.0:8788', users: {file: u}}": "expected users, and behindProxy: true",
    "console: {listen: '0.0.0.0:8788', behindProxy: true}": "expected users, and behindProxy: true",
    "console: {listen: '127.0.0.1:8788', behindProxy: true}": "expected users, and behindProxy",
    "console: {listen: '127.0.0.1:8787'}": "is where events are received",
    "console: {listen: '127.0.0.1:8788', hosts: ['a b']}": "/console/hosts/0: invalid host 'a b'",
    "console: {listen: '127.0.0.1:8788', more: 1}": "more",
    "api: {keys: [{env: K, role: read}]}": "/api: needs console",
    "console: {listen: '127.0.0.1:0'}\napi: {keys: [{env: K}]}": "role",
    "console: {listen: '127.0.0.1:0'}\napi: {keys: [{env: K, role: admin}]}": "/api/keys/0",
    "console: {listen: '127.0.0.1:0'}\napi: {keys: [{role: read}]}": "/api/keys/0",
    f"console: {{listen: '127.0.0.1:0'}}\napi: {{keys: [{KEY}]}}": (
        "/api/keys/0: must be {env: NAME}, {file: PATH} or ${NAME}, not the secret itself"
    ),
    "console: {listen: '127.0.0.1:0'}\napi: {keys: [{env: SHORT, role: read}]}": (
        "a key needs at least 16"
    ),
    "console: {listen: '127.0.0.1:0'}\n"
    "api: {keys: [{env: K, role: read}, {env: K, role: operate}]}": (
        "/api/keys/1: has the key, or the name, of key-1: give each its own"
    ),
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults(tmp_path: Path, text: str) -> None:
    """Each is told in one sentence, with its place."""
    with pytest.raises(DefinitionError) as found:
        _read(tmp_path, text, {"K": KEY, "SHORT": "short"})
    assert FAULTS[text] in str(found.value)
    assert KEY not in str(found.value)


def test_what_it_says(tmp_path: Path) -> None:
    """Files are relative to the folder of the configuration; keys have names and roles."""
    (tmp_path / "key").write_text(KEY + "-of-a-file")
    found = _read(
        tmp_path,
        "console: {listen: '0.0.0.0:8788', users: {file: u.yaml}, behindProxy: true,"
        " hosts: [Console.example.com]}\n"
        "api: {keys: [{env: K, role: read}, {file: key, role: operate, name: deploy}]}",
        {"K": KEY},
    ).console
    assert found is not None
    assert (found.users, found.hosts) == (tmp_path / "u.yaml", ("console.example.com",))
    assert not found.is_local
    assert [(one.name, one.role) for one in found.keys] == [
        ("key-1", "read"),
        ("deploy", "operate"),
    ]
    assert KEY not in repr(found)


def test_keys_are_only_read_where_they_are_needed(tmp_path: Path) -> None:
    """Other commands work without them, and a server says that one is missing."""
    path = tmp_path / "serve.yaml"
    path.write_text(
        START.replace("webhook}", "webhook, settings: {url: 'http://127.0.0.1/'}}")
        + "console: {listen: '127.0.0.1:0'}\napi: {keys: [{env: K, role: read}]}"
    )
    assert read_config(path, {}, secrets=False).console is not None
    assert read_config(path, {}, to_show=True).console is not None
    with pytest.raises(SecretMissingError, match="environment variable K is not set"):
        read_config(path, {})


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    """It is warned of."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    config = _read(
        tmp_path, "console: {listen: '127.0.0.1:0'}\napi: {keys: [{file: key, role: read}]}"
    )
    assert any("the key key-1 of api.keys" in one and "chmod 600" in one for one in config.warnings)


def test_where_the_link_is_written(tmp_path: Path) -> None:
    """Next to the store, or where the configuration says."""
    config = _read(tmp_path, "console: {listen: '127.0.0.1:0'}")
    assert login_link_path(config) == tmp_path / "console-login"
    config = _read(tmp_path, "console: {listen: '127.0.0.1:0', loginLink: other/link}")
    assert login_link_path(config) == tmp_path / "other" / "link"


def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    """It serves all the same, and a reload writes the link once there is room."""
    link = tmp_path / "none" / "link"
    config = _read(tmp_path, f"console: {{listen: '127.0.0.1:0', loginLink: '{link}'}}")
    terminal = io.StringIO()
    console = Console(config, terminal)
    try:
        console.start()
        assert f"{console.url}/login/" in terminal.getvalue()
        assert "(only here: cannot write" in terminal.getvalue()
        link.parent.mkdir()
        assert console.reload(config)
        assert link.read_text().startswith(f"{console.url}/login/")
    finally:
        console.close()


def test_without_a_console(tmp_path: Path) -> None:
    """It is off by default; who asks for it is told what to add."""
    config = _read(tmp_path, "")
    assert config.console is None
    with pytest.raises(UsageError, match="has no console: add"):
        Console(config)


def test_a_proposed_configuration_looks_nothing_up(tmp_path: Path) -> None:
    """Only what the server's own names for its settings: its author may see no other file."""
    for name in ("known", "other"):
        (tmp_path / name).write_text(f"the content of {name}")
    environment = {"KNOWN": "the value of KNOWN", "OTHER": "the value of OTHER"}
    settings = "{url: 'http://127.0.0.1/', a: {file: known}, b: '${KNOWN}', c: 'x${KNOWN}'}"
    (tmp_path / "serve.yaml").write_text(
        START.replace("webhook}", f"webhook, settings: {settings}}}")
    )
    current = read_config(tmp_path / "serve.yaml", environment, to_show=True)
    assert current.destinations[0].settings.data["a"] == "the content of known"
    proposed = (
        "{a: {file: known}, b: '${KNOWN}', c: 'x${KNOWN}', d: {file: other}, e: {env: OTHER}, "
        "f: '${OTHER}', g: 'x${OTHER}', h: '${KNOWN}${OTHER}', i: {file: ./known}, j: plain}"
    )
    text = START.replace("webhook}", f"webhook, settings: {proposed}}}")
    (found,) = config_of_text(text, current, environment).destinations
    assert found.settings.data == {
        "a": "the content of known",
        "b": "the value of KNOWN",
        "c": "xthe value of KNOWN",
        "j": "plain",
    }
    assert found.absent.keys() == {"d", "e", "f", "g", "h", "i"}
