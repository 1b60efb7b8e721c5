"""Keep a store in PostgreSQL: for several processes, on one machine or many.

What needs the extra ``postgres`` is in the modules of this package, and is loaded when a store in a
database is opened.
"""

from destinations.postgres.address import PostgresAddress, check_path_text, is_postgres
from destinations.postgres.opening import (
    StoreAddress,
    address_of,
    durability_issues_at,
    is_same_place,
    open_at,
    open_complete,
    option_of,
    parse_store,
)

__all__ = [
    "PostgresAddress",
    "StoreAddress",
    "address_of",
    "check_path_text",
    "durability_issues_at",
    "is_postgres",
    "is_same_place",
    "open_at",
    "open_complete",
    "option_of",
    "parse_store",
]
