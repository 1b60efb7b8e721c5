"""The partner is killed while a run delivers: the run waits for it, and usage is exact."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

MOST_KILLS, EVENTS = (3, 240) if "CHAOS_SEEDS" in os.environ else (1, 60)


def test_a_partner_that_is_killed(  # noqa: PLR0917 - fixtures
    partner_seed: int,
    traffic: Callable[..., Any],
    mortal_partner: Callable[..., Any],
    runs: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    differences: Callable[..., Any],
    tmp_path: Any,
) -> None:
    """Whatever it had applied and not answered is asked about; it needs no second command."""
    chance = random.Random(f"partner {partner_seed}")
    events = traffic(chance, users=12, events=EVENTS)
    kana = mortal_partner(events.seed)
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(event) + "\n" for event in events.events), encoding="utf-8")
    running = runs(kana.settings)
    process = running.start("--events", str(path))
    notes = []
    for _ in range(chance.randint(1, MOST_KILLS)):
        enough = chance.randint(1, len(events.messages))
        until(lambda: ledger.finished >= enough or process.poll() is not None)  # noqa: B023
        notes.append((ledger.finished, process.poll()))
        kana.kill()
        kana.start()
    assert process.wait(60) == 0, running.log.decode()
    print(f"seed {partner_seed}: killed {notes}")
    assert running.report["outcomes"]["delivered"] == len(events.messages)
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
    assert kana.traits == events.traits
