"""The place of a store in PostgreSQL, as a URL without its secrets.

The text of an address may hold a password, in a place where nobody expects it if a character of it
is not percent-encoded. So a text is shown only once it is certain which part of it is what.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, unquote

from destinations.errors import UsageError, did_you_mean
from destinations.secrets import Secret

__all__ = ["SCHEMES", "PostgresAddress", "check_path_text", "is_postgres"]

SCHEMES: Final = ("postgresql", "postgres")
DEFAULT_SCHEMA: Final = "destinations"

SECRET_PARAMETERS: Final = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)
"""The parameters of libpq whose values nobody may see."""

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OWN: Final = "schema"
_FORM: Final = (
    "expected postgresql://USER@HOST:PORT/DATABASE; add ?schema=NAME for another schema than "
    f"{DEFAULT_SCHEMA}"
)
_UNREADABLE: Final = (
    "cannot read the address of the store, which is not shown as it may hold a password: "
    "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE; within the user, the password and "
    "the name of the database, write / # ? @ : [ ] % and spaces percent-encoded (%2F for /)"
)
_IN_THE_OPEN: Final = (
    "a password in the address of the store would be seen by others: leave it out, and name it in "
    "the environment variable PGPASSWORD, in a pass file (PGPASSFILE), or write the whole address "
    "into a file or variable that the configuration names (store.postgres.dsn)"
)
# More strict than libpq, which shows a part that it cannot read. `%00` it refuses as well.
_PART: Final = r"(?:[^\s\x00-\x1f\x7f%/?#@:\[\]]|%(?!00)[0-9a-fA-F]{2})"
_HOST: Final = (
    r"(?:\[[0-9a-fA-F:.]+(?:%[0-9a-zA-Z]+)?\]|(?:[\w.~-]|%(?!00)[0-9a-fA-F]{2})*)(?::\d*)?"
)
_VALUE: Final = r"(?:[^\s\x00-\x1f\x7f%#@&=]|%(?!00)[0-9a-fA-F]{2})"
_ADDRESS: Final = re.compile(
    rf"postgres(?:ql)?://(?:(?P<user>{_PART}*)(?P<colon>:(?P<password>{_PART}*))?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)(?P<path>/{_PART}*)?"
    rf"(?:\?(?P<query>{_VALUE}+=(?:{_VALUE}|=)*(?:&{_VALUE}+=(?:{_VALUE}|=)*)*)?)?",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*://|postgres(?:ql)?(?:\+\w+)?:)", re.IGNORECASE)
_KEYWORDS: Final = re.compile(
    r"(?:^|\s)(?:host|hostaddr|port|dbname|user|service|passfile|sslmode|options|password"
    r"|sslpassword|oauth_client_secret|scram_client_key|scram_server_key)\s*=",
    re.IGNORECASE,
)
"""Text as libpq takes it besides URLs: ``host=db dbname=events``."""


def is_postgres(text: str) -> bool:
    """Return whether a text is meant as the URL of a database of PostgreSQL."""
    scheme, mark, _ = text.lstrip().partition("://")
    return bool(mark) and scheme.lower() in SCHEMES


def check_path_text(text: str) -> None:
    """Raise `UsageError` for a text that is no path of a file, but the address of something.

    It may hold a password, and so it is not shown.
    """
    if _URL.match(text):
        raise UsageError(
            "cannot use the address of the store, which is not shown as it may hold a password: "
            f"{_FORM}, or the path of a file"
        )
    if _KEYWORDS.search(text):
        raise UsageError(
            "cannot use the address of the store, which is not shown as it may hold a password: "
            f"it has the form keyword=value; {_FORM}, or the path of a file (./ before it)"
        )


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database of PostgreSQL, and the schema in it that is a store.

    ``url`` is as libpq takes it, without what is secret in it. Text shows it as it is.
    """

    url: str
    schema: str = DEFAULT_SCHEMA
    secrets: Mapping[str, Secret] = field(default_factory=dict, compare=False)
    """What libpq is given besides, by its parameters."""
    config: Path | None = field(default=None, compare=False)
    """The configuration that the address is from; with its secrets, so hints name it."""

    @classmethod
    def parse(cls, text: str, *, may_have_password: bool = False) -> Self:
        """Return the address in a URL; raises `UsageError` for any other text.

        Secrets are taken only where the text itself was one. A message shows nothing of a text that
        cannot be read as a whole.
        """
        if not is_postgres(text):
            raise UsageError(f"not the address of a PostgreSQL database: {_FORM}")
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise UsageError(_UNREADABLE)
        given = list(_parameters(found["query"] or ""))
        secrets = {name: Secret(value) for name, value in given if name in SECRET_PARAMETERS}
        if found["colon"]:
            secrets["password"] = Secret(unquote(found["password"]))
        if secrets and not may_have_password:
            raise UsageError(_IN_THE_OPEN)
        schema = dict(given).get(_OWN, DEFAULT_SCHEMA)
        why = _why_not(schema)
        if why:
            shown = "the schema of the address" if secrets else f"schema={schema!r}"
            raise UsageError(f"{shown} cannot be used: {why}")
        left = [one for one in given if one[0] not in {_OWN, *SECRET_PARAMETERS}]
        rest = "&".join(f"{quote(name)}={quote(value)}" for name, value in left)
        place = f"{found['user']}@{found['hosts']}" if found["user"] else found["hosts"]
        path = found["path"] or ""
        url = f"postgresql://{place}{path}{'?' if rest else ''}{rest}"
        return cls(url, schema, secrets)

    @property
    def option(self) -> str:
        """The option that names the store in a command, with a blank before it."""
        if self.config is not None:
            return f" --config {shlex.quote(str(self.config))}"
        return f" --store {shlex.quote(str(self))}"

    def conninfo(self, **more: Any) -> str:
        """Return what libpq connects with, the secrets included.

        Raises `UsageError` for a parameter that this libpq does not know.
        """
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - with an extra only

        self._check_parameters()
        revealed = {name: secret.reveal() for name, secret in self.secrets.items()}
        return make_conninfo(self.url, **revealed, **more)

    def _check_parameters(self) -> None:
        from psycopg.pq import Conninfo  # noqa: PLC0415 - as above

        known = [_OWN, "ssl", *(one.keyword.decode() for one in Conninfo.get_defaults())]
        for name, _ in _parameters(self.url.partition("?")[2]):
            if name in known:
                continue
            # After a password with a raw `&`, what looks like a name is a part of it.
            shown = "a parameter" if self.secrets else f"the parameter {name!r}"
            near = "" if self.secrets else did_you_mean(name, known)
            raise UsageError(
                f"cannot use the address of the store: {shown} in it is unknown{near}; expected "
                "schema or one of libpq's, such as host, sslmode, sslrootcert, connect_timeout and "
                "target_session_attrs"
            )

    def __str__(self) -> str:
        """Return the URL, with the schema if it is not the usual one."""
        if self.schema == DEFAULT_SCHEMA:
            return self.url
        mark = "&" if "?" in self.url else "?"
        return f"{self.url}{mark}{_OWN}={self.schema}"


def _why_not(schema: str) -> str:
    """Return why a schema cannot have this name; empty if it can."""
    if schema.startswith("pg_"):
        return "names that begin with pg_ are reserved by PostgreSQL"
    if schema == "information_schema":
        return "PostgreSQL has its own tables there"
    if _SCHEMA.fullmatch(schema) is None:
        return "expected 1 to 63 lower-case letters (a-z), digits and _, and no digit first"
    return ""


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values in a query; as for libpq, a ``+`` is one."""
    for one in filter(None, query.split("&")):
        name, _, value = one.partition("=")
        yield unquote(name), unquote(value)
