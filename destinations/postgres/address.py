"""The place of a store in PostgreSQL, as a URL without a password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from destinations.errors import UsageError
from destinations.secrets import Secret

__all__ = ["SCHEMES", "PostgresAddress", "is_postgres"]

SCHEMES: Final = ("postgresql", "postgres")
DEFAULT_SCHEMA: Final = "destinations"

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OWN: Final = "schema"
_EXPECTED: Final = (
    "expected postgresql://USER@HOST:PORT/DATABASE; add ?schema=NAME for another schema than "
    f"{DEFAULT_SCHEMA}"
)


def is_postgres(text: str) -> bool:
    """Return whether a text is the URL of a database of PostgreSQL."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.lower() in SCHEMES


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database of PostgreSQL, and the schema in it that is a store.

    ``url`` is as libpq takes it, without a password. Text shows it as it is.
    """

    url: str
    schema: str = DEFAULT_SCHEMA
    password: Secret | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str, *, may_have_password: bool = False) -> Self:
        """Return the address in a URL; raises `UsageError` for any other text.

        A password is taken only where the text itself was a secret.
        """
        if not is_postgres(text):
            raise UsageError(f"not the address of a PostgreSQL database: {_EXPECTED}")
        try:
            parts = urlsplit(text)
            user, host = _user_and_host(parts.netloc)
            query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise UsageError(f"not the address of a PostgreSQL database: {_EXPECTED}") from None
        name, colon, password = user.partition(":")
        if (colon or any(key in {"password", "sslpassword"} for key, _ in query)) and (
            not may_have_password
        ):
            raise UsageError(
                "a password in the address of the store would be seen by others: leave it out, and "
                "name it in the environment variable PGPASSWORD, in a pass file (PGPASSFILE), or "
                "write the whole address into a file or variable that the configuration names "
                "(store.postgres.dsn)"
            )
        given = dict(query)
        secret = Secret(given["password"]) if "password" in given else None
        secret = Secret(unquote(password)) if colon else secret
        schema = given.get(_OWN, DEFAULT_SCHEMA)
        if _SCHEMA.fullmatch(schema) is None or schema.startswith("pg_"):
            raise UsageError(
                f"schema={schema!r} cannot be used: expected lower-case letters, digits and _"
            )
        left = [one for one in query if one[0] not in {_OWN, "password"}]
        rest = "?" + urlencode(left, quote_via=quote) if left else ""
        place = f"{name}@{host}" if name else host
        return cls(f"postgresql://{place}{parts.path}{rest}", schema, secret)

    def conninfo(self, **more: Any) -> str:
        """Return what libpq connects with, the password included."""
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - with an extra only

        if self.password is not None:
            more["password"] = self.password.reveal()
        return make_conninfo(self.url, **more)

    def __str__(self) -> str:
        """Return the URL, with the schema if it is not the usual one."""
        if self.schema == DEFAULT_SCHEMA:
            return self.url
        mark = "&" if "?" in self.url else "?"
        return f"{self.url}{mark}{_OWN}={self.schema}"


def _user_and_host(netloc: str) -> tuple[str, str]:
    user, _, host = netloc.rpartition("@")
    return user, host
