"""Keep what the last run of an account did: the report of a run is made of it, also later.

A record has the counts and reasons of one run; what has become of its deliveries since is in the
ledger. It is kept as one value of the store, and has no event in it but the shapes of some.
"""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from destinations._version import __version__
from destinations.errors import UsageError
from destinations.operations.interrupted import open_ledger
from destinations.operations.times import shown_time
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.event_names import UnmappedNames
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.reason_samples import ReasonSamples
from destinations.pipeline.report import Report
from destinations.pipeline.timeline import Timeline
from destinations.secrets import Masker
from destinations.store import BEGAN_RUN, FORGOTTEN, LAST_RUN, OpenStore

__all__ = [
    "AccountFigures",
    "BegunRun",
    "RunContext",
    "RunReason",
    "RunRecord",
    "RunSample",
    "SubscriptionCounts",
    "account_figures",
    "forget_begin",
    "last_run",
    "note_begin",
    "note_run",
    "run_without_record",
]

_FORMAT: Final = 1
_LONGEST: Final = 1_000
"""The characters of a reason that are kept: an answer may be as long as it likes."""
_SHOWN: Final = 20
_STATUSES: Final[Mapping[str, Status]] = {one.value: one for one in (*Outcome, *State)}

Counts = Mapping[str, int]
"""Numbers by outcome or state, in the order of tables."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The facts about a run that its report does not have.

    ``continued_by`` is the command that goes on with it, ``delivering`` the one that delivers what
    waits in its store, and ``options`` name store and destination in other commands; all are empty
    if nothing is kept. ``undelivered`` is the file that has what was not delivered.
    """

    slug: str
    name: str
    version: str
    account: str = ""
    source: str = ""
    continued_by: str = ""
    delivering: str = ""
    options: str = ""
    undelivered: str = ""
    is_dry: bool = False
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class RunSample:
    """A row with a reason: where it came, its text, and its event with masks for its values."""

    place: str
    text: str
    event: str


@dataclass(frozen=True, slots=True)
class RunReason:
    """A reason with its number of rows, and where and how it came first."""

    outcome: str
    code: str
    rows: int
    place: str
    text: str
    samples: Sequence[RunSample] = ()


@dataclass(frozen=True, slots=True)
class SubscriptionCounts:
    """The rows of a subscription; without a name, those that none took."""

    name: str
    action: str
    outcomes: Counts


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The results of a run. Secrets are masked in it; times are in seconds since 1970, UTC.

    ``rows`` of the ``subscriptions`` add up to ``outcomes``. ``missing`` is how many entries were
    read and have no row, which is none but where a run was cut off. ``failure`` is the error that
    ended it, if one did. ``before`` are the rows of what earlier runs had left, if those came
    first.
    """

    context: RunContext
    exit_code: int
    began: float
    ended: float
    seconds: float
    lines: int
    empty: int
    requests: int
    outcomes: Counts
    subscriptions: Sequence[SubscriptionCounts]
    reasons: Sequence[RunReason]
    timeline: Timeline
    duplicates: Counts = field(default_factory=dict)
    earlier: Counts = field(default_factory=dict)
    before: Counts = field(default_factory=dict)
    unmapped: Counts = field(default_factory=dict)
    other_unmapped: int = 0
    stopped: str = ""
    stopped_at: str = ""
    why_stopped: str = ""
    not_kept: str = ""
    hidden_from: str = ""
    failure: str = ""
    made_by: str = __version__

    @property
    def rows(self) -> int:
        """The number of rows: the sum of all outcomes."""
        return sum(self.outcomes.values())

    @property
    def missing(self) -> int:
        """How many entries were read and have no row."""
        return max(0, self.lines - self.empty - self.rows)

    @classmethod
    def of(  # noqa: PLR0913 - what is known of a run
        cls,
        report: Report,
        context: RunContext,
        masker: Masker,
        *,
        exit_code: int,
        names: UnmappedNames | None = None,
        samples: ReasonSamples | None = None,
        before: Report | None = None,
        failure: str = "",
    ) -> RunRecord:
        """Return the record of a run that has ended."""
        totals, find, names = report.totals, report.places.find, names or UnmappedNames()
        samples = samples or ReasonSamples()
        # Several reasons may have one code, of which there are samples once.
        first = {(one.outcome, one.code): one for one in reversed(totals.reasons)}
        rest = totals.by_action.get("-")
        stopped, not_kept = report.stopped, report.not_kept
        return cls(
            context,
            exit_code,
            report.began,
            report.ended,
            report.seconds,
            report.lines,
            report.empty,
            report.requests,
            _counts(totals.outcomes),
            [
                *([] if rest is None else [SubscriptionCounts("", "", _counts(rest))]),
                *(
                    SubscriptionCounts(key.name, key.action, _counts(counts))
                    for key, counts in sorted(totals.by_subscription.items())
                ),
            ],
            [
                RunReason(
                    one.outcome.value,
                    "" if one.code == one.example else masker.text(one.code)[:_LONGEST],
                    one.count,
                    str(find(one.first_line)) if one.first_line else "",
                    masker.text(one.example.removeprefix(f"{find(one.first_line)}: "))[:_LONGEST],
                    tuple(
                        RunSample(
                            str(find(each.line)) if each.line else "",
                            masker.text(each.reason.removeprefix(f"{find(each.line)}: "))[
                                :_LONGEST
                            ],
                            masker.text(each.event),
                        )
                        for each in samples.of(one.outcome.value, one.code)
                        if one is first[one.outcome, one.code]
                    ),
                )
                for one in totals.reasons
            ],
            report.timeline,
            duplicates={by: number for by, number in report.derived.items() if number},
            earlier=_counts(report.earlier),
            before={} if before is None else _counts(before.totals.outcomes),
            unmapped=dict(names.masked(masker).most_common()),
            other_unmapped=names.others,
            stopped="" if stopped is None else stopped.why,
            stopped_at="" if stopped is None or not stopped.line else str(find(stopped.line)),
            why_stopped="" if stopped is None else masker.text(stopped.message)[:_LONGEST],
            not_kept=""
            if not_kept is None
            else f"{not_kept.lines:,} from {find(not_kept.first)} on: "
            f"{masker.text(not_kept.why)[:_LONGEST]}",
            hidden_from=str(find(report.hidden_from)) if report.hidden_from else "",
            failure=masker.text(failure)[:_LONGEST],
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        values = {name: getattr(self, name) for name in self.__slots__ if name not in _NESTED}
        return {
            "format": _FORMAT,
            **values,
            "context": asdict(self.context),
            "subscriptions": [asdict(one) for one in self.subscriptions],
            "reasons": [asdict(one) for one in self.reasons],
            "timeline": self.timeline.to_json(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> RunRecord:
        """Return what `to_json` returned; raises `UsageError` for that of another version."""
        if found.get("format") != _FORMAT:
            raise UsageError(
                "the last run was recorded by another version of this package "
                f"({found.get('made_by', 'unknown')}): make the report with that one"
            )
        values = {name: found[name] for name in cls.__slots__ if name not in _NESTED}
        return cls(
            context=RunContext(**found["context"]),
            subscriptions=[SubscriptionCounts(**one) for one in found["subscriptions"]],
            reasons=[
                RunReason(
                    **{
                        **one,
                        "samples": tuple(RunSample(**each) for each in one.get("samples", ())),
                    }
                )
                for one in found["reasons"]
            ],
            timeline=Timeline.from_json(found["timeline"]),
            **values,
        )


_NESTED: Final = frozenset({"context", "subscriptions", "reasons", "timeline"})


def _counts(counts: Mapping[Status, int]) -> Counts:
    return {name: number for name, one in _STATUSES.items() if (number := counts.get(one, 0))}


def note_run(store: OpenStore, scope: int, record: RunRecord) -> None:
    """Keep a record as that of the last run of a scope. Raises `UsageError` if it cannot be."""
    store.note({f"{LAST_RUN}{scope}": record.to_json()})


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A run without a record: when it began, and the command that goes on with it, if known."""

    began: float
    continued_by: str = ""


def note_begin(store: OpenStore, scope: int, began: float, continued_by: str = "") -> str:
    """Note that a run of a scope has begun, and has no record yet; returns the name of the note."""
    name = f"{BEGAN_RUN}{scope} {secrets.token_hex(4)}"
    store.note({name: {"began": began, "continuedBy": continued_by}})
    return name


def run_without_record(store: OpenStore, scope: int, since: float = 0.0) -> BegunRun | None:
    """Return the last run of a scope that began and has no record; None if there is none.

    It is going on, or was ended from outside. Those that began before ``since`` do not count.
    """
    notes = store.notes_with_prefix(f"{BEGAN_RUN}{scope} ").values()
    found = [one for one in map(_begun, notes) if one.began > since]
    return max(found, key=lambda one: one.began, default=None)


def _begun(note: Any) -> BegunRun:
    """Return the run of a note; earlier versions wrote only when it began."""
    if isinstance(note, dict):
        return BegunRun(float(note["began"]), str(note["continuedBy"]))
    return BegunRun(float(note))


def forget_begin(store: OpenStore, scope: int, began: float) -> None:
    """Forget runs that have a record now, or that one after them has."""
    for name, one in store.notes_with_prefix(f"{BEGAN_RUN}{scope} ").items():
        if _begun(one).began <= began:
            store.forget(name)


def last_run(
    store: OpenStore, *, destination: str | None = None, account: str | None = None
) -> tuple[RunRecord, int]:
    """Return the record of the run that ended last, and its scope.

    ``destination`` is a slug and ``account`` a name, or ``unnamed-NUMBER``; a run of another one
    does not count. Raises `UsageError` if there is none, and says why.
    """
    totals = {one.id: one for one in open_ledger(store).totals(0.0)}
    of_scopes = [
        (scope.id, one)
        for name, one in store.notes_with_prefix(LAST_RUN).items()
        if (scope := totals.get(int(name.removeprefix(LAST_RUN)))) is not None
        and destination in {None, scope.destination}
        and account in {None, scope.label, scope.account}
    ]
    found = [(one["ended"], scope, one) for scope, one in of_scopes if FORGOTTEN not in one]
    if not found:
        began = max(
            (
                begun
                for one in totals.values()
                if destination in {None, one.destination}
                and account in {None, one.label, one.account}
                if (begun := run_without_record(store, one.id)) is not None
            ),
            key=lambda one: one.began,
            default=None,
        )
        if began is not None:
            raise UsageError(
                f"the run that began {shown_time(began.began)} has no record: it is going on, or "
                "was ended from outside, as by a kill. The next one records itself when it ends"
                + (f". Go on with: {began.continued_by}" if began.continued_by else "")
            )
        if of_scopes:
            raise UsageError(
                "the record of the last run was erased by destinations forget, as a reason in it "
                "may quote the user: the next run records itself when it ends"
            )
        of = f" of {destination}" if destination is not None else ""
        at_account = f" for the account {account}" if account is not None else ""
        raise UsageError(
            f"no run{of}{at_account} is recorded in {store.shown}: every destinations run with a "
            "store records itself when it ends, with this version and later ones"
        )
    _, scope_id, record = max(found, key=lambda one: one[:2])
    return RunRecord.from_json(record), scope_id


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """The figures of an account in the store ``at`` a time: of all its runs.

    ``days`` are counts by outcome for each day (since 1970) on which deliveries ended.
    ``undecided`` are held and unknown deliveries, the oldest first: at most 20 of each.
    ``users_to_change`` have changes that an operator is to make by hand.
    """

    at: float
    counts: Counts
    subscriptions: Sequence[SubscriptionCounts]
    days: Mapping[int, Counts]
    undecided: Sequence[LedgerEntry]
    users_to_change: int = 0

    @property
    def rows(self) -> int:
        """The number of all deliveries."""
        return sum(self.counts.values())


def account_figures(
    store: OpenStore, scope: int, now: float, *, has_ended: bool = False
) -> AccountFigures | None:
    """Return the figures of a scope, without reading its deliveries one by one; None if it is gone.

    ``has_ended`` says that this process delivered for it and does so no longer: what it was sending
    then is unknown.
    """
    ledger = store.ledger(lambda one, _: one.id != scope) if has_ended else open_ledger(store)
    totals = next((one for one in ledger.totals(now) if one.id == scope), None)
    if totals is None:
        return None
    of_subscription: dict[tuple[str, str], Counter[Status]] = {}
    of_day: dict[int, Counter[Status]] = {}
    for one in ledger.tallies(scope=scope):
        key = (one.subscription, one.action)
        of_subscription.setdefault(key, Counter())[one.status] += one.count
        if one.day:
            of_day.setdefault(one.day, Counter())[one.status] += one.count
    undecided: list[LedgerEntry] = []
    for state in (State.HELD, State.UNKNOWN):
        if totals.counts.get(state):
            of_account = Selection(
                destination=totals.destination,
                account=totals.label or None,
                statuses=frozenset({state}),
            )
            # A server may have a destination of the same name and account.
            mine = (one for one in ledger.find(of_account) if one.scope == scope)
            undecided += itertools.islice(mine, _SHOWN)
    account = totals.partner_account
    changes = [] if account is None else store.manual_changes([account]).entries()
    return AccountFigures(
        now,
        _counts(totals.counts),
        [
            SubscriptionCounts(*key, _counts(counts))
            for key, counts in sorted(of_subscription.items(), key=lambda one: one[0])
            if _counts(counts)
        ],
        {day: _counts(counts) for day, counts in sorted(of_day.items()) if _counts(counts)},
        undecided,
        len(changes),
    )
