"""A store in PostgreSQL that cannot be used: one sentence that says why, and no password."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.errors import InsufficientPrivilege

from destinations.errors import TemporaryError, UsageError
from destinations.operations import migrate_store
from destinations.postgres import (
    PostgresAddress,
    connecting,
    migrating,
    open_at,
    parse_store,
)
from tests.example_counts import examples
from tests.postgres_server import PostgresServer, free_port, new_store_address, shared_server

Command = Callable[..., Any]


def _statement(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.encode())


def _newer() -> str:
    address = new_store_address()
    _statement(address.url, "UPDATE destinations.schema_version SET version = 999")
    return str(address)


def _of_role(url: str) -> str:
    """Return the address for a role that may connect and nothing else."""
    role = f"r{uuid4().hex[:12]}"
    _statement(url, f"CREATE ROLE {role} LOGIN")
    return url.replace("postgres@", f"{role}@")


MARKS = {
    "a slash": "/",
    "a number sign": "#",
    "a question mark": "?",
    "an at sign": "@",
    "a colon": ":",
    "a bracket": "[",
    "a closing bracket": "]",
    "a percent sign": "%",
    "an encoded NUL": "%00",
    "a blank": " ",
    "a tab": "\t",
}
"""What has to be percent-encoded in a password."""


def _raw(mark: str) -> str:
    return f"postgresql://app:12{mark}sesame@127.0.0.1:5432/billing"


FAILURES: list[tuple[str, Callable[[], str], int, str]] = [
    ("no tables", lambda: shared_server().new_database(), 2, "store migrate --store"),
    ("newer tables", _newer, 2, "its tables have version 999, and this package ("),
    ("no database", lambda: shared_server().url("gone"), 2, 'database "gone" does not exist'),
    (
        "no role",
        lambda: new_store_address().url.replace("postgres@", "nobody@"),
        2,
        'role "nobody" does not exist',
    ),
    ("no server", lambda: f"postgresql://a@127.0.0.1:{free_port()}/x", 75, "Connection refused"),
    (
        "no server of two",
        lambda: f"postgresql://a@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/x",
        75,
        "Connection refused; host: '127.0.0.1'",
    ),
    ("no TLS", lambda: f"{new_store_address()}?sslmode=require", 2, "does not support SSL"),
    ("a wrong option", lambda: f"{new_store_address()}?nope=1", 2, "parameter 'nope'"),
    (
        "a misspelt option",
        lambda: f"{new_store_address()}?schem=x",
        2,
        "'schem' in it is unknown; did you mean schema?; expected schema or one of libpq's, such",
    ),
    ("a wrong port", lambda: "postgresql://a@127.0.0.1:99999/x", 2, "invalid port number"),
    (
        "a wrong schema",
        lambda: f"{new_store_address()}?schema=A-b",
        2,
        "expected 1 to 63 lower-case",
    ),
    *(
        (f"the schema {name}", functools.partial("postgresql://h/x?schema={}".format, name), 2, why)
        for name, why in (
            ("pg_catalog", "schema='pg_catalog' cannot be used: names that begin with pg_ are"),
            ("information_schema", "PostgreSQL has its own tables there"),
            ("1a", "no digit first"),
            ("a" * 64, "expected 1 to 63"),
            ("", "expected 1 to 63"),
        )
    ),
    ("no right to read", lambda: _of_role(new_store_address().url), 2, "its user needs the right"),
    ("a password", lambda: "postgresql://a:sesame@127.0.0.1/x", 2, "PGPASSWORD"),
    ("a password as an option", lambda: "postgresql:///x?password=sesame", 2, "PGPASSWORD"),
    ("the password of a key", lambda: "postgresql:///x?sslpassword=sesame", 2, "PGPASSWORD"),
    ("an OAuth secret", lambda: "postgresql:///x?oauth_client_secret=sesame", 2, "PGPASSWORD"),
    ("a key of SCRAM", lambda: "postgresql:///x?scram_client_key=sesame", 2, "PGPASSWORD"),
    ("a schema beside it", lambda: "postgresql:///x?password=y&schema=A-b", 2, "PGPASSWORD"),
    ("another URL", lambda: "mysql://a:sesame@127.0.0.1/x", 2, "or the path of a file"),
    ("a URL of a library", lambda: "postgresql+psycopg://a:sesame@h/x", 2, "or the path of"),
    ("a URL without slashes", lambda: "postgres:a:sesame@h/x", 2, "or the path of a file"),
    ("keywords", lambda: "host=127.0.0.1 dbname=x password=sesame", 2, "keyword=value"),
    ("keywords with blanks", lambda: "dbname = x\tPassword = 'sesame'", 2, "keyword=value"),
    ("one keyword", lambda: "password=sesame", 2, "keyword=value"),
    ("a file with keywords", lambda: "sqlite:service=x password=sesame", 2, "keyword=value"),
    ("a blank before it", lambda: " postgresql://a:sesame@h/x", 2, "%2F for /"),
    ("a line end after it", lambda: "postgresql://a:sesame@h/x\n", 2, "%2F for /"),
    *(
        (f"{name} in a password", functools.partial(_raw, mark), 2, "percent-encoded (%2F for /)")
        for name, mark in MARKS.items()
    ),
]


@pytest.mark.parametrize(
    ("make", "code", "why"),
    [one[1:] for one in FAILURES],
    ids=[one[0] for one in FAILURES],
)
def test_a_store_that_cannot_be_used(
    command: Command, make: Callable[[], str], code: int, why: str
) -> None:
    """One line names the store and the cause; 75 is what may pass by itself."""
    done = command("status", "--store", make())
    assert (done.code, done.out) == (code, ""), done.err
    (line,) = done.err.splitlines()
    assert why in line
    assert "sesame" not in line


def _schema(*rights: str) -> Callable[[], str]:
    """Make a schema without tables, in which a role has rights; returns the role's address."""

    def make() -> str:
        url = shared_server().new_database()
        address = _of_role(url)
        role = address.partition("://")[2].partition("@")[0]
        _statement(url, "CREATE SCHEMA other")
        for right in rights:
            _statement(url, f"GRANT {right} ON SCHEMA other TO {role}")
        return f"{address}?schema=other"

    return make


def _tables() -> str:
    """Return the address for a role that may use the schema of another one."""
    url = new_store_address().url
    address = _of_role(url)
    role = address.partition("://")[2].partition("@")[0]
    _statement(url, f"GRANT USAGE, CREATE ON SCHEMA destinations TO {role}")
    return address


SCHEMA_RIGHTS = "to use and create in the schema other (GRANT USAGE, CREATE ON SCHEMA)"
OWNER = "its user must own the tables in the schema destinations, or be a member of the role"


@pytest.mark.parametrize(
    ("arguments", "make", "what", "cure"),
    [
        (("store", "migrate"), _schema(), "permission denied for schema other", SCHEMA_RIGHTS),
        (("store", "migrate"), _schema("CREATE"), "permission denied for schema", SCHEMA_RIGHTS),
        (("store", "migrate"), _schema("USAGE"), "may not create the tables", SCHEMA_RIGHTS),
        (("status",), _schema(), "permission denied for schema other", SCHEMA_RIGHTS),
        (("status",), _tables, "permission denied for table schema_version", OWNER),
        (("store", "migrate"), _tables, "permission denied for table schema_version", OWNER),
    ],
)
def test_missing_rights(
    command: Command, arguments: Sequence[str], make: Callable[[], str], what: str, cure: str
) -> None:
    """What is missing is named, and the right that helps there."""
    address = make()
    done = command(*arguments, "--store", address)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert what in line
    assert cure in line


@pytest.mark.parametrize(
    "what", ["permission denied for sequence event_ids", "must be owner of table ledger"]
)
def test_the_right_to_tables(what: str) -> None:
    """To make a schema would not help there."""
    failed = connecting.failure("write to", new_store_address(), InsufficientPrivilege(what))
    assert str(failed).endswith(f"{what}; {OWNER} that owns them (GRANT that role TO the user)")


def test_rights_that_are_enough(command: Command) -> None:
    """Those that the messages name."""
    address = _schema("USAGE, CREATE")()
    assert command("store", "migrate", "--store", address).code == 0
    assert command("status", "--store", address).code == 0


def test_a_wrong_password(command: Command, tmp_path: Path, monkeypatch: Any) -> None:
    """It is refused with exit code 2, wherever it comes from, and the right one is taken."""
    server = PostgresServer()
    try:
        server.make()
        (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        hba = tmp_path / "trust"
        hba.write_text("host all all 127.0.0.1/32 trust\n")
        hba.chmod(0o644)
        rules = (server.data / "pg_hba.conf").read_text()
        (server.data / "pg_hba.conf").write_text(hba.read_text())
        server.start()
        url = server.new_database()
        _statement(url, "ALTER ROLE postgres PASSWORD 'open-sesame'")
        (server.data / "pg_hba.conf").write_text(rules)
        _statement(url, "SELECT pg_reload_conf()")
        config = tmp_path / "serve.yaml"
        config.write_text(
            "store: {postgres: {dsn: {env: STORE_DSN}}}\n"
            "destinations: [{name: kana, destination: kana}]\n"
        )
        for where in (("--config", config), ("--store", url)):
            monkeypatch.setenv("STORE_DSN", url)
            none = command("status", *where)
            assert none.code == 2
            assert "no password supplied; a password is read from the environment" in none.err
        named = url.replace("postgres@", "postgres:{}@")
        monkeypatch.setenv("STORE_DSN", named.format("wrong-sesame"))
        refused = command("status", "--config", config)
        assert (refused.code, "authentication failed" in refused.err) == (2, True), refused.err
        monkeypatch.setenv("STORE_DSN", named.format("open-sesame"))
        made = command("store", "migrate", "--config", config)
        assert (made.code, made.out) == (0, f"{url}: made, with version {_latest()}\n"), made.err
        monkeypatch.setenv("PGPASSWORD", "open-sesame")
        assert command("status", "--store", url).code == 0
        assert "sesame" not in refused.err + made.out + made.err
    finally:
        server.remove()


def _latest() -> int:
    from destinations.postgres.migrating import LATEST  # noqa: PLC0415 - the only use

    return LATEST


def test_an_old_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version is named, and the oldest that can be used."""
    address = new_store_address()
    monkeypatch.setattr(connecting, "OLDEST", 990_000)
    with pytest.raises(
        UsageError, match=r"its server is PostgreSQL \d+; 99 is the oldest"
    ) as found:
        open_at(address)
    assert not isinstance(found.value, TemporaryError)


def test_a_host_that_is_gone_without_a_word() -> None:
    """The server ends its connections as well, and what they lock, about as soon as it would."""
    connection = connecting.connect(new_store_address(), role="test", dead_seconds=6.0)
    found = connection.execute(
        "SELECT current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'),"
        " current_setting('tcp_user_timeout')"
    ).fetchone()
    connection.raw.close()
    assert found == ("3", "1", "6000")


def test_migrations() -> None:
    """They are done once; another schema is another store, and a right is needed to make it."""
    url = shared_server().new_database()
    address = PostgresAddress.parse(url)
    assert migrate_store(address) == (0, _latest())
    assert migrate_store(address) == (_latest(), _latest())
    other = parse_store(f"{url}?schema=other")
    with pytest.raises(UsageError, match="it has no tables yet"):
        open_at(other)
    with pytest.raises(UsageError, match="its user needs the right to create a schema"):
        migrate_store(parse_store(f"{_of_role(url)}?schema=other"))
    assert migrate_store(other).before == 0
    with open_at(address) as one, open_at(other) as two:
        assert one.uuid != two.uuid


def test_a_file_is_migrated(command: Command, tmp_path: Path) -> None:
    """The same command makes a file, and says that there is nothing to do for it."""
    path = tmp_path / "store.sqlite3"
    made, again = (command("store", "migrate", "--store", path) for _ in range(2))
    assert made.out.startswith(f"{path}: made, with version ")
    assert (
        again.out == made.out.replace("made, with version", "has version").rstrip() + " already\n"
    )


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("{postgres: {dsn: 'host=h password=sesame'}}", "must be postgresql://USER@HOST"),
        ("{postgres: {dsn: 'postgresql://a:sesame@h/x'}}", "a password in the address"),
        ("{postgres: {dsn: 'postgresql://a:1/sesame@h/x'}}", "%2F for /"),
        ("{postgres: {dsn: 'postgresql://h/x?sslpassword=sesame'}}", "a password in the address"),
        ("{path: 'host=h password=sesame'}", "it has the form keyword=value"),
        ("{path: 'mysql://a:sesame@h/x'}", "or the path of a file"),
        ("{path: 'postgresql://a@h/x'}", "write it as postgres: {dsn: ...}"),
        ("{path: s.sqlite3, postgres: {dsn: 'postgresql://a@h/x'}}", "exactly one of path and"),
        ("{maxBytes: 2000000}", "exactly one of path and postgres"),
        ("{postgres: {}}", "lacks 'dsn'"),
        ("{postgres: {dsn: 'postgresql://h/x', leaseSeconds: 1.9}}", "leaseSeconds"),
        ("{postgres: {dsn: {env: NOT_SET}}}", "the environment variable NOT_SET is not set"),
    ],
)
def test_a_wrong_configuration(command: Command, tmp_path: Path, spec: str, why: str) -> None:
    """The place is named, and what would be right; never what stands there."""
    config = tmp_path / "serve.yaml"
    config.write_text(f"store: {spec}\ndestinations: [{{name: kana, destination: kana}}]\n")
    done = command("status", "--config", config)
    assert done.code == (75 if "env" in spec else 2)
    assert why in done.err
    assert "/store" in done.err
    assert "sesame" not in done.err


@pytest.mark.parametrize(("version", "hint"), [(0, "make them"), (1, "migrate them")])
def test_a_hint_that_works(
    command: Command, tmp_path: Path, version: int, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the store as it was named: what a configuration names may hold a password."""
    address = new_store_address()
    if version:
        monkeypatch.setattr(migrating, "LATEST", migrating.LATEST + 1)
    else:
        _statement(address.url, "DROP SCHEMA destinations CASCADE")
    config = tmp_path / "a serve.yaml"
    dsn = tmp_path / "dsn"
    dsn.write_text(f"{address.url.replace('postgres@', 'postgres:sesame@')}\n")
    config.write_text(
        "store: {postgres: {dsn: {file: dsn}}}\ndestinations: [{name: kana, destination: kana}]\n"
    )
    for option, named in (("--config", str(config)), ("--store", str(address))):
        done = command("status", option, named)
        assert done.code == 2
        command_line = f"destinations store migrate {option} {shlex.quote(named)}"
        assert f"; {hint} with: {command_line}\n" in done.err
    if not version:
        told = command("status", "--config", config).err
        (line,) = re.findall("destinations (store migrate.*)", told)
        assert command(*shlex.split(line)).code == 0


def test_a_check_names_the_line(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the store, and what it warns of, has file and line."""
    monkeypatch.setenv("DSN", f"postgresql://a@127.0.0.1:{free_port()}/x")
    monkeypatch.setenv("KEY", "a-key-of-more-than-16-letters")
    config = tmp_path / "serve.yaml"
    config.write_text(
        "destinations:\n  - {name: sample, destination: webhook, settings: {url: 'https://e.example'"
        "}, receiver: {keys: ['${KEY}']}}\nstore:\n  postgres:\n    dsn: {env: DSN}\n"
    )
    done = command("serve", "--check", "--config", config)
    assert (done.code, done.out) == (75, "")
    assert done.err.startswith(f"Error: {config}:4: /store/postgres: cannot open the store"), (
        done.err
    )
    monkeypatch.setenv("DSN", str(new_store_address()))
    done = command("serve", "--check", "--config", config)
    assert done.code == 0, done.err
    assert f"warning: {config}:4: /store/postgres: " in done.err


def test_addresses() -> None:
    """Only a URL of PostgreSQL is one; other texts are paths, also if they look similar."""
    for text in ("postgres", "postgresql", "./postgresql:", "store.sqlite3", "a:b", "./x=y"):
        assert parse_store(text) == Path(text)
    for text in ("postgresql:///x?host=/run/postgresql", "postgresql://a@h:5/x?schema=other"):
        assert str(parse_store(text)).replace("%2F", "/") == text
    secret = PostgresAddress.parse("postgres://a:s%40same@h/x", may_have_password=True)
    assert str(secret) == "postgresql://a@h/x"
    assert "s@same" not in repr(secret)
    assert "password=s@same" in secret.conninfo()
    assert os.environ.get("PGPASSWORD") is None
    unknown = PostgresAddress.parse("postgresql://h/x?password=a&sesame=1", may_have_password=True)
    with pytest.raises(UsageError, match="a parameter in it is unknown; expected schema"):
        unknown.conninfo()
    with pytest.raises(UsageError, match="the schema of the address cannot be used"):
        PostgresAddress.parse("postgresql://a:b@h/x?schema=A", may_have_password=True)


@pytest.mark.parametrize(
    ("text", "url", "secrets"),
    [
        ("postgresql://", "postgresql://", {}),
        ("postgresql:///x", "postgresql:///x", {}),
        ("postgresql://:pw@/x", "postgresql:///x", {"password": "pw"}),
        ("postgresql://a@[::1]:5,b,c:6/x", "postgresql://a@[::1]:5,b,c:6/x", {}),
        ("postgresql://a@%2Frun%2Fp:5/x", "postgresql://a@%2Frun%2Fp:5/x", {}),
        ("POSTGRES://\u00e4@h/d%20b", "postgresql://\u00e4@h/d%20b", {}),
        ("postgresql://h/x?sslmode=require&", None, {}),
        ("postgresql://h/x?options=-c%20a=b", "postgresql://h/x?options=-c%20a%3Db", {}),
        (
            "postgresql://a:p%2F+%25q@h/x?sslpassword=a+b&passfile=/f",
            "postgresql://a@h/x?passfile=/f",
            {"password": "p/+%q", "sslpassword": "a+b"},
        ),
        ("postgresql://a@h/x?password=p%26q", "postgresql://a@h/x", {"password": "p&q"}),
    ],
)
def test_parts_of_an_address(text: str, url: str | None, secrets: dict[str, str]) -> None:
    """All that is secret goes to libpq alone, as it was meant; the rest is what is shown."""
    if url is None:
        with pytest.raises(UsageError, match="not shown"):
            PostgresAddress.parse(text)
        return
    address = PostgresAddress.parse(text, may_have_password=True)
    assert address.url == url
    assert {name: value.reveal() for name, value in address.secrets.items()} == secrets
    given = psycopg.conninfo.conninfo_to_dict(address.conninfo())
    assert {name: given[name] for name in secrets} == secrets


SCHEME = "postgresql"
PASSWORDS = st.text("XYZ/#?@:[]% \t+&;,'\"\\\u00e4", min_size=3, max_size=12)
"""Of capitals, as no message has any of these three."""

FORMS = [
    f"{SCHEME}://app:{{}}@127.0.0.1:1/billing",
    f"{SCHEME}://app:{{}}@127.0.0.1:1/billing?schema=other",
    f"{SCHEME}://{{}}@127.0.0.1:1/billing",
    f"{SCHEME}://127.0.0.1:1/billing?password={{}}",
    f"{SCHEME}://127.0.0.1:1/billing?sslpassword={{}}&sslmode=disable",
    f"{SCHEME}:{{}}",
    "mysql://app:{}@127.0.0.1/billing",
    " postgres://app:{}@127.0.0.1/billing",
    "host=127.0.0.1 port=1 password={} dbname=billing",
    "host=127.0.0.1 port=1 dbname=billing password='{}'",
]


@given(st.sampled_from(FORMS), PASSWORDS, st.booleans())
@settings(max_examples=examples(100))
def test_no_part_of_a_password_is_shown(form: str, password: str, is_named: bool) -> None:
    """Whatever is written raw, and wherever the address is from: nothing of it is in a message."""
    text = form.format(password)
    told: list[str] = []
    try:
        if is_named:
            address = PostgresAddress.parse(text, may_have_password=True)
            told += [str(address), repr(address)]
            connecting.connect(address, role="test")
        else:
            told.append(str(parse_store(text)))
    except UsageError as error:
        told.append(str(error))
    # A user is no secret, if it is one.
    if form != FORMS[2] or "cannot" in told[0]:
        parts = {password[at : at + 3] for at in range(len(password) - 2)}
        assert not [part for part in parts if re.search("[XYZ]", part) and part in "".join(told)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "kana", "--events", "x", "--sandbox", "--store"),
        ("explain", "kana", "x", "--store"),
        ("plan", "serve.yaml", "--store"),
        ("pause", "kana", "--store"),
        ("resume", "kana", "--store"),
        ("forget", "ada", "--store"),
        ("status", "--store"),
        ("refused", "list", "--store"),
        ("deliveries", "list", "--store"),
        ("tenants", "list", "--store"),
        ("store", "check", "--store"),
        ("store", "migrate", "--store"),
        ("store", "restore", "--in-place", "--store"),
        ("store", "restore", "x", "--to"),
        ("store", "move", "--to", "x.sqlite3", "--from"),
        ("store", "move", "--from", "x.sqlite3", "--to"),
    ],
)
def test_keywords_in_every_command(
    command: Command, tmp_path: Path, monkeypatch: Any, arguments: Sequence[str]
) -> None:
    """They are refused before a file of this name is looked for, or made."""
    monkeypatch.chdir(tmp_path)
    done = command(*arguments, "host=127.0.0.1 dbname=billing password=sesame")
    assert (done.code, done.out) == (2, "")
    assert "keyword=value; expected postgresql://USER@HOST:PORT/DATABASE" in done.err
    assert "sesame" not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "{}"),
        ("status", "--config", "{}"),
        ("status", "--config={}"),
        ("run", "{}"),
        ("store", "backup", "{}"),
        ("store", "restore", "{}", "--to", "x"),
        ("store", "move", "--from", "sqlite:{}", "--to", "x"),
        ("{}",),
    ],
)
def test_an_address_in_another_place(command: Command, arguments: Sequence[str]) -> None:
    """A message would show the argument, so it is looked at before anything else."""
    for address in (_raw("/"), _raw("")):
        done = command(*(one.format(address) for one in arguments))
        assert (done.code, done.out) == (2, "")
        assert "sesame" not in done.err


@pytest.mark.parametrize("stuck", ["in a transaction", "in a pipeline"])
def test_a_connection_that_cannot_be_rolled_back(stuck: str) -> None:
    """As where the network cuts a pipeline: the next transaction has another connection."""

    def fail(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("cannot exit pipeline mode while busy")

    def cut(database: Any) -> psycopg.Connection[Any]:
        with contextlib.suppress(UsageError), database.shared_transaction() as connection:
            raw: Any = connection.raw
            raw.execute = fail
            if stuck == "in a pipeline":
                raw.pgconn.enter_pipeline_mode()
            fail()
        assert isinstance(raw, psycopg.Connection)
        return raw

    with open_at(new_store_address()) as store:
        database: Any = store.database
        former = cut(database)
        with database.shared_transaction() as connection:
            assert connection.raw is not former
            assert connection.execute("SELECT 1").fetchone() is not None
