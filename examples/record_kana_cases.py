"""Records the cases of Kana's definition again, from the sandbox.

    python examples/record_kana_cases.py
    python examples/record_kana_cases.py --check

``kana-cases.yaml`` has the events of each case, and what the sandbox has and does at first. Only
files whose case has changed are written; ``--check`` names them, and exits with 1 if there are any.

It shows how to record many cases of a destination that has a sandbox: copy it, and replace what is
Kana's. A single case is recorded by ``destinations record``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from destinations import Entry
from destinations.kit.testing import (
    Case,
    Draft,
    StillClock,
    Subject,
    case_text,
    open_subject,
    placeholder_settings,
    read_case,
    record,
)
from kana_destination.sandbox import Sandbox

ROOT: Final = Path(__file__).resolve().parents[1]
TABLE: Final = Path(__file__).with_name("kana-cases.yaml")
CASES: Final = ROOT / "definitions" / "kana" / "cases"
SCHEMA: Final = "../../../destinations/definition/schemas/case.schema.json"

_ACCOUNT: Final = ("apiKeys", "users", "features", "packages", "subscriptions", "usage")


def record_all(subject: Subject) -> Iterator[Case]:
    """Yield each case of the table, just recorded."""
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    now = datetime.fromisoformat(table["clock"])
    for row in table["cases"]:
        yield _recorded(subject, {"features": table["features"], **row}, now)


def _recorded(subject: Subject, row: Mapping[str, Any], now: datetime) -> Case:
    """Record one case; nothing waits, and the sandbox has the time of the case."""
    seed = {key: row[key] for key in _ACCOUNT if key in row}
    draft = Draft(row["name"], row["description"], _entries(row["events"]), now, "sandbox")
    with Sandbox(seed, api=row.get("api", "current"), clock=lambda: now) as sandbox:
        sandbox.faults.add(*row.get("faults", ()))
        key = row.get("key", sandbox.api_key)
        url = sandbox.url.replace("/graphql", row["path"]) if "path" in row else sandbox.url
        return record(
            subject,
            draft,
            settings=subject.settings({"apiKey": key, "endpoint": url}),
            shown_settings=placeholder_settings(subject.definition, {"apiKey": key}),
            clock=StillClock(),
        )


def _entries(events: Sequence[Mapping[str, Any] | str]) -> list[Entry]:
    """Return the lines of events; those of the table lack what all events have."""
    entries = []
    for number, event in enumerate(events, start=1):
        if isinstance(event, str):
            entries.append(Entry(number, event.encode()))
            continue
        whole = {
            "type": "identify" if "traits" in event else "track",
            "userId": "user_0001",
            "messageId": f"m-{number}",
            "timestamp": "2024-01-15T12:00:00.000Z",
            **event,
        }
        present = {key: value for key, value in whole.items() if value is not None}
        entries.append(Entry(number, json.dumps(present).encode()))
    return entries


def changed(subject: Subject, folder: Path) -> dict[Path, str]:
    """Return the files whose case is not as it is recorded now, each with its new text.

    The version that recorded a case may be an older one, provided that nothing else has changed.
    """
    found = {}
    for case in record_all(subject):
        path = folder / f"{case.name}.yaml"
        kept = read_case(path, subject.definition) if path.exists() else None
        if kept is None or kept != replace(case, recorded=kept.recorded) or kept.recorded is None:
            found[path] = case_text(case, schema=SCHEMA)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the cases, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="name the cases that have changed")
    parser.add_argument("--cases", type=Path, default=CASES, metavar="DIR", help="their folder")
    options = parser.parse_args(arguments)
    found = changed(open_subject("kana"), options.cases)
    for path, text in found.items():
        print(f"{'changed' if options.check else 'recorded'}: {path}")
        if not options.check:
            path.write_text(text, encoding="utf-8")
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
