"""``python -m kana_destination.sandbox``: serve a sandbox until it is stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from destinations.errors import DestinationsError
from kana_destination.sandbox.sandbox import Sandbox
from kana_destination.sandbox.serving import serve

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped, and return the exit code: 2 for a wrong option, seed, file or port."""
    parser = argparse.ArgumentParser(
        prog="python -m kana_destination.sandbox",
        description="Serve a stand-in for Kana's Admin API; print its URL and key as JSON.",
        epilog="example: python -m kana_destination.sandbox --port 4000 --db account.db",
    )
    parser.add_argument(
        "--seed", type=Path, metavar="FILE", help="start with the account in this YAML file"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        metavar="N",
        help="listen on this port; 0 (the default) picks a free one",
    )
    parser.add_argument(
        "--db", type=Path, metavar="FILE", help="keep the account in this database file"
    )
    parser.add_argument(
        "--api",
        choices=("current", "documented"),
        default="current",
        help="serve this form of the API; documented: updateUser takes no email and no billingId",
    )
    parser.add_argument(
        "--until-eof", action="store_true", help="stop when standard input is closed"
    )
    options = parser.parse_args(arguments)
    try:
        sandbox = Sandbox(options.seed, port=options.port, db=options.db, api=options.api)
        serve(sandbox, until_eof=options.until_eof)
    except DestinationsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
