"""Identify events: 10,000 at a slow partner, and how many requests each case of the table takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.serving_process import canned_partner
from benchmarks.whole_run import measured_run, run_report
from benchmarks.workload import sandbox
from kana_destination.cases import Case, cases

__all__ = ["measure"]

_EVENTS: Final = 10_000
_SECONDS: Final = "0.1"
_GOAL_SECONDS: Final = 60.0
_USERS: Final = 400
_GOAL_REQUESTS: Final = 60
_CREATED: Final = "2022-01-10T09:00:00Z"


def measure(scale: int) -> list[Figure]:
    """Time, processor time and requests; each file of events twice, the second time with new names.

    The partner of the first part answers each request after 100 ms. The others are sandboxes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        figures = list(_at_a_slow_partner(path, _EVENTS // scale))
        for case in sorted(cases().values(), key=lambda one: (one.number is None, one.number or 0)):
            figures += _requests(path, case, _USERS // scale)
    return figures


def _at_a_slow_partner(folder: Path, count: int) -> Iterator[Figure]:
    with canned_partner(_SECONDS, "user_partner") as settings:
        for kind in ("new", "known"):
            what = f"{count:,} identify events of {kind} users, answers after {_SECONDS} s"
            events = _events(folder, count, name=kind)
            store = str(folder / "store.sqlite3")
            report, cpu = measured_run(settings, events, "--store", store)
            _check(report, count)
            yield Figure(what, report["seconds"], "s", _GOAL_SECONDS, "goal")
            yield Figure(f"processor time of that run, {kind} users", cpu, "s")
            yield Figure(f"requests, {kind} users", report["requests"], "requests", count, "events")


def _requests(folder: Path, case: Case, count: int) -> Iterator[Figure]:
    """Return how many requests ``count`` users take who are all in one case of the table."""
    seed = folder / "seed.json"
    account = {
        "users": [user for number in range(count) for user in _users(case, number)],
        "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    }
    seed.write_text(json.dumps(account), encoding="utf-8")
    others = [*(["Stripe"] if case.stripe else []), *(["others"] if case.others else [])]
    number = "a case without a number" if case.number is None else f"case {case.number}"
    name = f"{number}: user 1 {case.user}, {' and '.join(others) or 'no one else'}"
    with sandbox(seed) as running:
        for kind in ("first", "new names"):
            report = run_report(running.settings, _events(folder, count, name=kind), "--no-store")
            _check(report, count)
            made = report["requests"]
            yield Figure(f"{name}, {kind}", made, "requests", _GOAL_REQUESTS, "goal")


def _users(case: Case, number: int) -> Iterator[Mapping[str, Any]]:
    email = f"member-{number}@example.com"
    if case.user != "missing":
        emails = {"same email": email, "another email": f"former-{number}@example.com"}
        has = {"email": emails[case.user]} if case.user in emails else {}
        yield {"id": f"user_{number}", "createdAt": _CREATED, **has}
    if case.stripe:
        stripe = {"id": email, "email": email, "billingId": f"cus_example{number}"}
        yield {**stripe, "createdAt": _CREATED}
    if case.others:
        yield {"id": f"other_{number}", "email": email, "createdAt": _CREATED}


def _events(folder: Path, count: int, *, name: str) -> Path:
    path = folder / "events.ndjson"
    with path.open("w", encoding="utf-8") as out:
        for number in range(count):
            traits = {"email": f"member-{number}@example.com", "name": f"{name} {number}"}
            event = {"type": "identify", "messageId": f"{name}-{number}", "traits": traits}
            out.write(json.dumps({**event, "userId": f"user_{number}"}) + "\n")
    return path


def _check(report: Mapping[str, Any], count: int) -> None:
    if report["outcomes"]["delivered"] != count:
        raise SystemExit(f"not all {count:,} events were delivered: {report['outcomes']}")
