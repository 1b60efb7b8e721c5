r"""Writes the example events and the ledger of what must become of them.

    python examples/make_events.py --out examples/events.ndjson \
        --ledger tests/fixtures/examples/ledger.json
    python examples/make_events.py --out plain.ndjson --plain-track 200000

The same arguments give the same bytes on every machine. Each line is made together with its
expected outcome, so the ledger owes nothing to the code that it checks. It holds for the sandbox's
example account: users user_0001 to user_0012, the features of ``event_cases.CONSUMABLE`` and the
binary feature ``sso``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from random import Random
from typing import BinaryIO, Final

from event_builder import MAX_EVENT_BYTES, Builder
from event_cases import (
    BLANK_LINES,
    BROKEN_LINES,
    CARRIED_HALVES,
    CONSUMABLE,
    DELTAS,
    EVENT_FAULTS,
    FEATURE_IDS,
    INTEGRATIONS,
    ODD_USERS,
    REPEATS,
    SPACED_LINES,
    TRAITS,
)
from event_ledger import Expectation, Ledger
from event_libraries import PLAIN_LIBRARY, encode
from event_writer import ACCOUNT_USERS

Row = Callable[[], None]

DEFAULT_EVENTS: Final = 1_000
DEFAULT_SEED: Final = 20_221_003

_HEAD: Final = 12  # new users at the start, so that every case finds users to pick from
# Rows of each kind in 1,000; tracks of known features fill up what is left.
_SHARES: Final[tuple[tuple[Callable[[Builder], None], int], ...]] = (
    (Builder.identify_new, 230),
    (Builder.identify_again, 50),
    (lambda builder: builder.unsupported("page"), 35),
    (lambda builder: builder.unsupported("screen"), 20),
    (lambda builder: builder.unsupported("group"), 15),
    (lambda builder: builder.unsupported("alias"), 6),
    (Builder.anonymous, 25),
    (Builder.no_usage, 20),
)


def special_rows(builder: Builder) -> list[Row]:
    """One row for each entry of the tables of cases that needs no earlier event."""
    rows: list[Row] = [partial(builder.track_delta, *case) for case in DELTAS]
    rows += [partial(builder.track_feature, *case) for case in FEATURE_IDS for _ in range(2)]
    for escapes in (False, True):
        rows += [partial(builder.identify_traits, *case, escapes=escapes) for case in TRAITS]
    rows += [partial(builder.integrations, *case) for case in INTEGRATIONS]
    rows += [partial(builder.fault, *case) for case in EVENT_FAULTS]
    rows += [partial(builder.broken, *case) for case in BROKEN_LINES]
    rows += [partial(builder.changed, change) for change in (*SPACED_LINES, *CARRIED_HALVES)]
    rows += [partial(builder.identify_new, name) for name in ODD_USERS]
    rows += [partial(builder.identify_known, name) for name in ACCOUNT_USERS]
    rows += [partial(builder.too_large, MAX_EVENT_BYTES + 1, "x")]
    # over the limit in bytes, though not in characters
    rows += [partial(builder.too_large, MAX_EVENT_BYTES + 1_000, "é")]
    rows += [builder.largest_line, builder.longest_message_id, builder.identify_wide]
    rows += [builder.no_access] * 6
    return rows


def following_rows(builder: Builder) -> list[Row]:
    """Write cases about an earlier event: repeated ids, and usage of special users."""
    rows: list[Row] = [
        partial(builder.repeat, first, second)
        for first, second, times in REPEATS
        for _ in range(times)
    ]
    rows += [partial(builder.track, name) for name in ODD_USERS]
    rows += [partial(builder.track_wide, "exports", 2_147_483_647, 2_147_483_647)]
    rows += [partial(builder.track_wide, "seats", "-2147483648", -2_147_483_648)]
    return rows


def ordinary_rows(builder: Builder, count: int, room: int) -> list[Row]:
    """``room`` everyday rows, of which each kind has its share of a file of ``count`` rows.

    Raises ValueError when the shares need more than ``room``.
    """
    rows: list[Row] = []
    for make, share in _SHARES:
        rows += [partial(make, builder)] * (count * share // 1_000)
    if len(rows) > room:
        # this many rows more leave room, whatever share of them goes to each kind
        least = -(-(count - room) * 1_000 // (1_000 - sum(share for _, share in _SHARES)))
        raise ValueError(f"{count} rows leave no room for all cases, {least} would do")
    return rows + [builder.track] * (room - len(rows))


def write_examples(out: BinaryIO, ledger: Ledger, *, count: int, seed: int) -> None:
    """Write ``count`` rows, and some empty lines between them.

    Raises ValueError before anything is written when ``count`` is too small to hold every case.
    """
    rng = Random(seed)
    builder = Builder(rng, ledger, out)
    special = special_rows(builder)
    following = following_rows(builder)
    ordinary = ordinary_rows(builder, count, count - _HEAD - len(special) - len(following))
    rng.shuffle(ordinary)
    late = len(ordinary) // 3
    first = special + ordinary[late:]
    first += [partial(builder.blank, line) for line in BLANK_LINES]
    last = following + ordinary[:late]
    rng.shuffle(first)
    rng.shuffle(last)
    for make in [builder.identify_new] * _HEAD + first + last:
        make()


def write_plain(out: BinaryIO, ledger: Ledger, *, count: int, seed: int, users: int) -> None:
    """Streams ``count`` good tracks of consumable features, by user_0001, user_0002, ..."""
    rng = Random(seed)
    features = tuple(CONSUMABLE)
    expected = Expectation(action="track")
    for number in range(count):
        user = f"user_{rng.randrange(users) + 1:04d}"
        feature = rng.choice(features)
        delta = rng.randrange(1, 10)
        event = PLAIN_LIBRARY.envelope(rng, number * 20)
        event |= {
            "type": "track",
            "event": CONSUMABLE[feature],
            "userId": user,
            "properties": {"featureId": feature, "delta": delta},
        }
        out.write(encode(event, PLAIN_LIBRARY) + b"\n")
        ledger.row(expected)
        ledger.charge(user, feature, delta)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write example events and their ledger.")
    parser.add_argument("--out", type=Path, required=True, help="the file of events to write")
    parser.add_argument("--ledger", type=Path, help="the file of expected outcomes to write")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")
    parser.add_argument(
        "--events", type=_positive, default=DEFAULT_EVENTS, help="rows; default: %(default)s"
    )
    parser.add_argument(
        "--plain-track",
        type=_positive,
        metavar="N",
        help="stream N plain tracks instead; their ledger has no list of single rows",
    )
    parser.add_argument(
        "--users",
        type=_positive,
        default=len(ACCOUNT_USERS),
        help="how many users the plain tracks are spread over; default: %(default)s, "
        "which is those of the sandbox's example account",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; wrong arguments write nothing (exit code 2)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    plain: int | None = options.plain_track
    ledger = Ledger(keep_rows=plain is None)
    if plain is not None:
        with options.out.open("wb") as out:
            write_plain(out, ledger, count=plain, seed=options.seed, users=options.users)
    else:
        buffer = BytesIO()
        try:
            write_examples(buffer, ledger, count=options.events, seed=options.seed)
        except ValueError as error:
            parser.error(f"--events: {error}")
        options.out.write_bytes(buffer.getvalue())
    if options.ledger is not None:
        options.ledger.write_text(ledger.to_json(), encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()
