r"""Writes example events, and the ledger of their expected outcomes.

    python examples/make_events.py --kept
    python examples/make_events.py --check
    python examples/make_events.py --kind everyday --events 5000 --out more.ndjson
    python examples/make_events.py --plain-track 200000 --out plain.ndjson

``--kept`` writes the files that the repository keeps, and their ledgers in
``tests/fixtures/examples``: ``examples/events.ndjson`` (everyday events),
``examples/faulty.ndjson`` (an event for each fault, and some good ones), and next to the ledgers
``every-case.ndjson`` (all cases, for tests and benchmarks). ``--check`` names those that differ
from what the script makes.

The same arguments give the same bytes on every machine. Each line is made together with its
expected outcome, so the ledger owes nothing to the code that it checks. It holds for the sandbox's
example account: users user_0001 to user_0012, the features of ``event_cases.CONSUMABLE`` and the
binary feature ``sso``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from random import Random
from typing import BinaryIO, Final

from event_builder import MAX_EVENT_BYTES, Builder
from event_cases import (
    ABSENT,
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
from event_ledger import OUTCOMES_OF_REASONS, Expectation, Ledger
from event_libraries import PLAIN_LIBRARY, encode
from event_writer import ACCOUNT_USERS

Row = Callable[[], None]

DEFAULT_EVENTS: Final = 1_000
DEFAULT_SEED: Final = 20_221_003

_ROOT: Final = Path(__file__).resolve().parents[1]
_LEDGERS: Final = _ROOT / "tests" / "fixtures" / "examples"

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
# The same for everyday events: what a site sends day by day, and one event in a hundred twice.
_EVERYDAY_SHARES: Final[tuple[tuple[Callable[[Builder], None], int], ...]] = (
    (Builder.identify_new, 120),
    (Builder.identify_again, 50),
    (lambda builder: builder.unsupported("page"), 60),
    (lambda builder: builder.unsupported("screen"), 30),
    (Builder.no_usage, 20),
)
_EVERYDAY_REPEATS: Final = 10
_FAULTY_CONFLICTS: Final = 2


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


def everyday_track(builder: Builder, rng: Random) -> Row:
    """Return a usage as applications report it: without an amount, or with one above 0."""
    amount = rng.randrange(1, 50)
    return partial(builder.track_delta, *rng.choice(((ABSENT, 1), (1, 1), (amount, amount))))


def faulty_rows(builder: Builder) -> list[Row]:
    """Return one row for each entry of the tables that ends as ``invalid`` or ``rejected``."""
    rows: list[Row] = [partial(builder.track_delta, *case) for case in DELTAS if case[1] is None]
    rows += [partial(builder.track_feature, *case) for case in FEATURE_IDS if _is_fault(case[1])]
    for escapes in (False, True):
        cases = [case for case in TRAITS if case[1] is None]
        rows += [partial(builder.identify_traits, *case, escapes=escapes) for case in cases]
    rows += [partial(builder.fault, *case) for case in EVENT_FAULTS if _is_fault(case[2])]
    rows += [partial(builder.broken, *case) for case in BROKEN_LINES]
    return [*rows, partial(builder.too_large, MAX_EVENT_BYTES + 1, "x"), builder.no_access]


def _is_fault(reason: str) -> bool:
    return OUTCOMES_OF_REASONS[reason] in {"invalid", "rejected"}


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


def write_everyday(out: BinaryIO, ledger: Ledger, *, count: int, seed: int) -> None:
    """Write ``count`` rows of everyday events, which all end as delivered, filtered or unmapped.

    Raises ValueError before anything is written when ``count`` is too small.
    """
    rng = Random(seed)
    builder = Builder(rng, ledger, out)
    first: list[Row] = [partial(builder.identify_known, name) for name in ACCOUNT_USERS]
    first += [builder.identify_new] * _HEAD
    rows: list[Row] = []
    for make, share in _EVERYDAY_SHARES:
        rows += [partial(make, builder)] * (count * share // 1_000)
    repeats = count * _EVERYDAY_REPEATS // 1_000
    room = count - len(first) - len(rows) - repeats
    if room < 1:
        raise ValueError(f"{count} rows leave no room for usage, 100 would do")
    rows += [everyday_track(builder, rng) for _ in range(room)]
    rng.shuffle(rows)
    last: list[Row] = [partial(builder.repeat, None, "duplicate")] * repeats
    for make_row in first + rows + last:
        make_row()


def write_faulty(out: BinaryIO, ledger: Ledger, *, seed: int) -> None:
    """Write a row for each fault among a few good ones, so that both ends of each rule show."""
    rng = Random(seed)
    builder = Builder(rng, ledger, out)
    rows = faulty_rows(builder) + [everyday_track(builder, rng) for _ in range(_HEAD)]
    rng.shuffle(rows)
    first: list[Row] = [partial(builder.identify_known, name) for name in ACCOUNT_USERS]
    first += [builder.identify_new] * 3
    last: list[Row] = [partial(builder.repeat, None, "conflict")] * _FAULTY_CONFLICTS
    for make in first + rows + last:
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


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of example file, and where the repository keeps one with ``events`` rows.

    ``events`` is None where only the cases say how many rows there are.
    """

    name: str
    folder: Path
    events: int | None

    @property
    def path(self) -> Path:
        """The kept file of events."""
        return self.folder / f"{self.name}.ndjson"

    @property
    def ledger_path(self) -> Path:
        """The kept ledger of that file."""
        return _LEDGERS / f"{self.name}.ledger.json"

    def make(self, *, count: int | None, seed: int) -> tuple[bytes, Ledger]:
        """Return a file of this kind and its ledger.

        Raises ValueError when ``count`` is too small.
        """
        out, ledger = BytesIO(), Ledger(keep_rows=True)
        if self.events is None:
            write_faulty(out, ledger, seed=seed)
        else:
            write = write_everyday if self.name == "events" else write_examples
            write(out, ledger, count=count or self.events, seed=seed)
        return out.getvalue(), ledger

    def kept(self) -> Mapping[Path, bytes]:
        """Return what the repository must keep: each path with its content."""
        events, ledger = self.make(count=None, seed=DEFAULT_SEED)
        return {self.path: events, self.ledger_path: ledger.to_json().encode("ascii")}


KINDS: Final[Mapping[str, Kind]] = {
    "everyday": Kind("events", _ROOT / "examples", DEFAULT_EVENTS),
    "faulty": Kind("faulty", _ROOT / "examples", None),
    "every-case": Kind("every-case", _LEDGERS, DEFAULT_EVENTS),
}


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"invalid {text!r}: expected a whole number above 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write example events and their ledger.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="FILE", help="write events to FILE")
    what.add_argument(
        "--kept", action="store_true", help="write the files that the repository keeps"
    )
    what.add_argument(
        "--check", action="store_true", help="name kept files that are not up to date (exit code 1)"
    )
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="write the expected outcomes to FILE"
    )
    parser.add_argument(
        "--kind", choices=KINDS, default="every-case", help="which events; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")
    parser.add_argument(
        "--events", type=_positive, metavar="N", help=f"rows; default: {DEFAULT_EVENTS}"
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
    if options.kept or options.check:
        kept = {path: text for kind in KINDS.values() for path, text in kind.kept().items()}
        _keep(kept, check=options.check)
        return
    plain: int | None = options.plain_track
    kind = KINDS[options.kind]
    if kind.events is None and options.events is not None:
        parser.error(f"--events: there are as many {options.kind} events as there are cases")
    if plain is not None:
        ledger = Ledger(keep_rows=False)
        with options.out.open("wb") as out:
            write_plain(out, ledger, count=plain, seed=options.seed, users=options.users)
    else:
        try:
            events, ledger = kind.make(count=options.events, seed=options.seed)
        except ValueError as error:
            parser.error(f"--events: {error}")
        options.out.write_bytes(events)
    if options.ledger is not None:
        options.ledger.write_text(ledger.to_json(), encoding="ascii", newline="\n")


def _keep(kept: Mapping[Path, bytes], *, check: bool) -> None:
    """Write the kept files, or end with 1 and name those that differ."""
    if not check:
        for path, text in kept.items():
            path.write_bytes(text)
        return
    stale = [path for path, text in kept.items() if not path.is_file() or path.read_bytes() != text]
    for path in stale:
        name = path.relative_to(_ROOT).as_posix()
        sys.stderr.write(f"{name} is not up to date: run python examples/make_events.py --kept\n")
    if stale:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
