"""The file of operators: a name, the argon2id hash of a password and a role for each.

It is YAML: ``users: [{name, role, password}]``, read again when it has changed.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import argon2
import yaml

from destinations.console.operators import ROLES, Role
from destinations.definition.document import read_document
from destinations.definition.input_files import read_text_input
from destinations.errors import DefinitionError, Issue, UsageError
from destinations.segment.json_pointer import pointer
from destinations.store import FILE_MODE

__all__ = [
    "LONGEST_PASSWORD",
    "SHORTEST_PASSWORD",
    "User",
    "Users",
    "first_user",
    "hash_password",
    "read_users",
    "replace_private",
    "user_name",
    "write_user",
]

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1_024
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HASHER: Final = argon2.PasswordHasher()  # argon2id, with the parameters of RFC 9106 (low memory)
_PREFIX: Final = "$argon2id$"


@dataclass(frozen=True, slots=True)
class User:
    """An operator who signs in with a password, of which only a hash is known."""

    name: str
    role: Role
    password_hash: str

    def to_file(self) -> dict[str, str]:
        """Return it as the file has it."""
        return {"name": self.name, "role": self.role, "password": self.password_hash}


class Users:
    """The operators in a file; any thread may use it.

    Raises `DefinitionError` with every issue of the file when it is made. One that cannot be read
    later, as when it is being written, leaves those who were known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._mark: object = None
        self._known: Mapping[str, User] = {}
        self._read()
        # Who has no account takes as long as who has one.
        self._of_nobody = _HASHER.hash("nobody has this password")

    def find(self, name: str) -> User | None:
        """Return the operator of a name, as the file has it now."""
        with self._lock:
            with suppress(DefinitionError):
                self._read()
            return self._known.get(name)

    def check(self, name: str, password: str) -> User | None:
        """Return the operator of a name and a password; None if either is wrong.

        It takes some memory and about a twentieth of a second, also for unknown names.
        """
        user = self.find(name)
        expected = self._of_nobody if user is None else user.password_hash
        try:
            _HASHER.verify(expected, password[:LONGEST_PASSWORD])
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return None
        return user

    def _read(self) -> None:
        try:
            found = self.path.stat()
        except OSError as error:
            raise _unreadable(self.path, error) from None
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        if mark != self._mark:
            self._known = {one.name: one for one in read_users(self.path)}
            self._mark = mark


def read_users(path: Path) -> Sequence[User]:
    """Return the operators in a file; raises `DefinitionError` with every issue."""
    try:
        text = read_text_input(path)
        mode = path.stat().st_mode
    except OSError as error:
        raise _unreadable(path, error) from None
    except UnicodeDecodeError:
        raise DefinitionError([Issue("is not UTF-8", file=str(path))]) from None
    if os.name == "posix" and mode & (stat.S_IRWXO | stat.S_IRWXG):
        message = "other users of this machine can read or change it: chmod 600"
        raise DefinitionError([Issue(message, file=str(path))])
    document = read_document(text, name=str(path))
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get("users"), list) or len(data) != 1:
        raise DefinitionError(
            [document.issue("", "must have users, a list of name, role, password")]
        )
    found: list[User] = []
    issues: list[Issue] = []
    for index, one in enumerate(data["users"]):
        fault = _fault(one, [each.name for each in found])
        if fault is None:
            found.append(User(one["name"], one["role"], one["password"]))
        else:
            issues.append(document.issue(pointer("users", index, *fault[0]), fault[1]))
    if issues:
        raise DefinitionError(issues)
    return found


def _fault(given: Any, known: Collection[str]) -> tuple[Sequence[str], str] | None:
    """Return what is wrong with an entry, and where in it; None if nothing is."""
    if not isinstance(given, dict) or given.keys() != {"name", "role", "password"}:
        return (), "must have name, role and password, and no more"
    name, role, hashed = given["name"], given["role"], given["password"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return ("name",), _NAME_WORDS
    if name in known:
        return ("name",), f"the name {name!r} occurs twice"
    if role not in ROLES:
        return ("role",), f"must be one of {', '.join(ROLES)}"
    if not isinstance(hashed, str) or not _is_hash(hashed):
        return ("password",), _HASH_WORDS
    return None


_HASH_WORDS: Final = (
    "must be an argon2id hash, as destinations console user add NAME writes it, not the password"
)
_NAME_WORDS: Final = (
    "invalid name: expected at most 64 letters (a-z, A-Z), digits, ., _, @ and -, and a letter or "
    "digit first"
)


def user_name(text: str) -> str:
    """Return the name of an operator; raises `UsageError` for one that cannot be used."""
    if not _NAME.fullmatch(text):
        raise UsageError(f"{text!r}: {_NAME_WORDS}")
    return text


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password; raises `UsageError` for a short one."""
    if len(password) < SHORTEST_PASSWORD:
        msg = f"the password has {len(password)} characters: expected at least {SHORTEST_PASSWORD}"
        raise UsageError(msg)
    if len(password) > LONGEST_PASSWORD:
        raise UsageError(f"the password is longer than {LONGEST_PASSWORD:,} characters")
    return _HASHER.hash(password)


def write_user(path: Path, user: User) -> bool:
    """Add an operator to a file, which is made if it is missing, or give it another password.

    Returns whether it is new. The file is exchanged as a whole, and only its owner can read it.
    """
    known = list(read_users(path)) if path.exists() else []
    others = [one for one in known if one.name != user.name]
    text = yaml.safe_dump({"users": [one.to_file() for one in (*others, user)]}, sort_keys=False)
    replace_private(path, text)
    return len(others) == len(known)


def replace_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at once or not at all; raises `UsageError`."""
    part = path.with_name(f".{path.name}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _is_hash(text: str) -> bool:
    try:
        argon2.extract_parameters(text)
    except argon2.exceptions.InvalidHashError:
        return False
    return text.startswith(_PREFIX)


def _unreadable(path: Path, error: OSError) -> DefinitionError:
    message = f"cannot be read: {error.strerror}"
    if isinstance(error, FileNotFoundError):
        message = f"does not exist, so nobody may sign in to the console yet: {first_user(path)}"
    return DefinitionError([Issue(message, file=str(path))])


def first_user(path: Path) -> str:
    """Return the command that adds the first operator to a file, in words."""
    command = f"destinations console user add NAME --role operate --file {shlex.quote(str(path))}"
    return f"add the first user with {command}"
