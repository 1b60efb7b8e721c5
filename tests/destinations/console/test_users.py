"""The file of operators, and the command that writes it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.console.users import User, Users, hash_password, read_users, write_user
from destinations.errors import DefinitionError
from tests.destinations.console.conftest import HASHER

HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$MIIRqgvgQbgj220jfp0MPA"
    "$YfwJSVjtjSU0zzV/P3S9nnQ/USre2wvJMjfCIjrTQbg"
)
QUOTED = f"'{HASH}'"
OTHER = QUOTED.replace("argon2id", "argon2i")


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "users.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


FAULTS = {
    "1": "must have users, a list",
    "users: {}": "must have users, a list",
    "users: []\nmore: 1": "must have users, a list",
    "users: [ada]": "/users/0: must have name, role and password",
    "users: [{name: ada, role: read}]": "/users/0: must have name, role and password",
    f"users: [{{name: 'a b', role: read, password: {QUOTED}}}]": "/users/0/name: invalid name",
    f"users: [{{name: ada, role: admin, password: {QUOTED}}}]": (
        "/users/0/role: must be one of read"
    ),
    "users: [{name: ada, role: read, password: secret}]": "/users/0/password: must be an argon2id",
    f"users: [{{name: ada, role: read, password: {OTHER}}}]": (
        "/users/0/password: must be an argon2id"
    ),
    "\n".join(["users:"] + [f"- {{name: ada, role: read, password: {QUOTED}}}"] * 2): (
        "/users/1/name: the name 'ada' occurs twice"
    ),
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults(tmp_path: Path, text: str) -> None:
    """Each is named with its place, and what stands where a hash should be is not shown."""
    with pytest.raises(DefinitionError) as found:
        read_users(_file(tmp_path, text))
    assert FAULTS[text] in str(found.value)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602])
def test_a_file_that_others_can_read(tmp_path: Path, mode: int) -> None:
    """It is refused: hashes can be guessed at, and whoever can write it can sign in."""
    path = _file(tmp_path, f"users: [{{name: ada, role: read, password: {QUOTED}}}]")
    path.chmod(mode)
    with pytest.raises(DefinitionError, match="chmod 600"):
        read_users(path)


def test_write_and_read(tmp_path: Path) -> None:
    """Who is there stays; who is written again has the new password and role."""
    path = tmp_path / "users.yaml"
    assert write_user(path, User("ada", "read", HASH)) is True
    assert write_user(path, User("ben", "operate", HASH)) is True
    assert write_user(path, User("ada", "operate", HASH)) is False
    assert {one.name: one.role for one in read_users(path)} == {"ada": "operate", "ben": "operate"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["users.yaml"]


def test_changes_are_seen(tmp_path: Path) -> None:
    """A running console knows who was added, and keeps those it knew while the file is wrong."""
    path = tmp_path / "users.yaml"
    write_user(path, User("ada", "read", HASH))
    known = Users(path)
    assert known.find("ben") is None
    write_user(path, User("ben", "read", HASH))
    assert known.find("ben") is not None
    path.write_text("users: [")
    assert known.find("ben") is not None
    path.unlink()
    assert known.find("ada") is not None


@pytest.fixture
def add(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """``destinations console user add`` with what is typed."""

    def run(*arguments: str, typed: str = "correct horse battery\n") -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        file = ("--file", str(tmp_path / "users.yaml")) if "--config" not in arguments else ()
        return command("console", "user", "add", *arguments, *file)

    return run


def test_add(add: Callable[..., Any], tmp_path: Path) -> None:
    """The password is read, never an argument; only its hash is written."""
    done = add("ada", "--role", "operate")
    assert (done.code, done.out) == (0, "ada may sign in (operate).\n")
    text = (tmp_path / "users.yaml").read_text()
    assert "correct horse" not in text
    known = Users(tmp_path / "users.yaml")
    assert known.check("ada", "correct horse battery") is not None
    assert known.check("ada", "correct horse batterY") is None
    assert known.check("nobody", "correct horse battery") is None
    done = add("ada", "--role", "read", typed="another long password")
    assert (done.code, done.out) == (0, "ada: changed (read).\n")


@pytest.mark.parametrize(
    ("arguments", "typed", "words"),
    [
        (("ada", "--role", "read"), "short\n", "has 5 characters: expected at least 12"),
        (("ada", "--role", "read"), "", "no password on stdin; nothing changed"),
        (("ada", "--role", "read"), "x" * 1_100, "longer than 1,024 characters"),
        (("a b", "--role", "read"), "correct horse battery", "invalid name"),
        (("ada", "--role", "admin"), "correct horse battery", "'admin' is not one of"),
        (("ada",), "correct horse battery", "Missing option '--role'"),
    ],
)
def test_refusals(
    add: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], typed: str, words: str
) -> None:
    """Nothing is written."""
    done = add(*arguments, typed=typed)
    assert done.code == 2
    assert words in done.err
    assert not (tmp_path / "users.yaml").exists()


def test_the_file_of_a_configuration(add: Callable[..., Any], tmp_path: Path) -> None:
    """With --config it is the one that the console reads; one that has none says what to add."""
    config = tmp_path / "serve.yaml"
    start = "store: {path: s}\ndestinations: [{name: hook, destination: webhook}]\n"
    config.write_text(start + "console: {listen: 127.0.0.1:8788, users: {file: people.yaml}}")
    assert add("ada", "--role", "read", "--config", str(config)).code == 0
    assert [one.name for one in read_users(tmp_path / "people.yaml")] == ["ada"]
    config.write_text(start + "console: {listen: 127.0.0.1:8788}")
    done = add("ada", "--role", "read", "--config", str(config))
    assert (done.code, "has no console.users: add" in done.err) == (2, True)


def test_hashes_are_argon2id() -> None:
    """With at least what RFC 9106 recommends where memory is short."""
    hashed = HASHER.hash("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert hash_password("correct horse battery") != hash_password("correct horse battery")
