"""``destinations serve``, killed while it receives and delivers: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

SENDERS = 4
MOST_KILLS = 3
MOST_KILLS_OF_PARTNER, EVENTS = (3, 240) if "CHAOS_SEEDS" in os.environ else (1, 60)
MOMENTS = ("while it starts", "while it receives", "while it delivers")


def test_a_server_that_is_killed(  # noqa: PLR0917 - fixtures
    served_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    serving: Callable[..., Any],
    senders: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    differences: Callable[..., Any],
    canary: str,
    receiver_key: str,
) -> None:
    """What was answered with 200 is in the store; all ends once, to the last unit of usage.

    Several senders post single events and batches, and post again what got no answer: under its
    ``messageId`` it counts once. Each user is in the end as the last of their identifies said.
    """
    chance = random.Random(served_seed)
    events = traffic(chance, users=12, events=240 if "CHAOS_SEEDS" in os.environ else 120)
    kana = partner(events.seed)
    # An answer that takes its time: so that there is a while between "applied" and "told".
    rule = {"match": {"rootField": "recordUsage"}, "delay": chance.uniform(0, 0.05), "times": None}
    kana.sandbox.faults.add(rule)
    server = serving(kana.settings)
    sending = senders(server, events.events, chance, SENDERS)

    def acknowledged() -> set[str]:
        return {message for sender in sending for message in list(sender.acknowledged)}

    def received() -> int:
        return sum(len(sender.acknowledged) for sender in sending)

    def asked() -> int:
        return int(kana.sandbox.requests.count)

    def is_over() -> bool:
        return not any(sender.is_alive() for sender in sending) and ledger.is_done()

    moments = [chance.choice(MOMENTS) for _ in range(chance.randint(1, MOST_KILLS))]
    notes = []
    for moment in moments:
        if moment == "while it starts":
            with suppress(subprocess.TimeoutExpired):
                server.spawn().wait(chance.uniform(0, 1.2))
        else:
            server.start()
            count = received if moment == "while it receives" else asked
            enough = count() + chance.randint(1, 40)
            until(partial(_is_enough, count, enough, is_over))
        told = acknowledged()
        server.kill()
        notes.append((moment, len(told)))
        assert told <= set(ledger.accepted)
    server.start()
    until(lambda: not any(sender.is_alive() for sender in sending))
    assert [sender.faults for sender in sending] == [[]] * SENDERS
    assert acknowledged() == set(events.messages)
    until(ledger.is_done)
    assert server.stop() == 0
    again = sum(sender.again for sender in sending)
    print(f"seed {served_seed}: killed {notes}; {again} requests were sent again")
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
    assert kana.traits == events.traits
    for secret in (canary, receiver_key):
        assert secret.encode() not in ledger.bytes
        assert secret.encode() not in server.log


def test_a_source_of_a_server_that_is_killed(  # noqa: PLR0917 - fixtures
    served_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    serving: Callable[..., Any],
    senders: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    differences: Callable[..., Any],
) -> None:
    """What an SDK was told is there for both destinations, and counts once at each partner.

    One of the partners is slow, so that the destinations are not at the same event.
    """
    chance = random.Random(f"source {served_seed}")
    events = traffic(chance, users=12, events=EVENTS)
    partners = [partner(events.seed), partner(events.seed)]
    rule = {"match": {"rootField": "recordUsage"}, "delay": 0.05, "times": None}
    partners[1].sandbox.faults.add(rule)
    server = serving(partners[0].settings, "kana", "kana-two")
    server.add_source([{"endpoint": one.settings["endpoint"]} for one in partners])
    server.start()
    sending = senders(server, events.events, chance, SENDERS, is_sdk=True)

    def acknowledged() -> set[str]:
        return {message for sender in sending for message in list(sender.acknowledged)}

    def is_over() -> bool:
        return not any(sender.is_alive() for sender in sending) and ledger.is_done()

    kills = chance.randint(1, MOST_KILLS)
    for _ in range(kills):
        enough = len(acknowledged()) + chance.randint(1, 40)
        until(partial(_is_enough, lambda: len(acknowledged()), enough, is_over))
        told = acknowledged()
        server.kill()
        accepted = Counter(ledger.accepted)
        # Both have an event, or none has it.
        assert told <= accepted.keys()
        assert set(accepted.values()) <= {2}
        server.start()
    until(lambda: not any(sender.is_alive() for sender in sending))
    until(ledger.is_done)
    assert server.stop() == 0
    print(f"seed {served_seed}: killed {kills} times")
    assert [sender.faults for sender in sending] == [[]] * SENDERS
    assert Counter(ledger.accepted) == Counter(list(events.messages) * 2)
    assert ledger.outcomes == {"delivered": 2 * len(events.messages)}
    for kana in partners:
        assert differences(kana.added, events.deltas) == {}
        assert kana.traits == events.traits


def test_a_partner_that_is_killed(  # noqa: PLR0917 - fixtures
    partner_seed: int,
    traffic: Callable[..., Any],
    mortal_partner: Callable[..., Any],
    serving: Callable[..., Any],
    senders: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    differences: Callable[..., Any],
) -> None:
    """Events are taken all the while; what it had applied and not answered is asked about."""
    chance = random.Random(f"partner {partner_seed}")
    events = traffic(chance, users=12, events=EVENTS)
    kana = mortal_partner(events.seed)
    server = serving(kana.settings)
    server.start()
    sending = senders(server, events.events, chance, SENDERS)
    notes = []
    for _ in range(chance.randint(1, MOST_KILLS_OF_PARTNER)):
        enough = ledger.finished + chance.randint(1, 100)
        until(partial(_is_enough, lambda: ledger.finished, enough, ledger.is_done))
        notes.append(ledger.finished)
        kana.kill()
        kana.start()
    until(lambda: not any(sender.is_alive() for sender in sending))
    until(ledger.is_done)
    assert server.stop() == 0
    print(f"seed {partner_seed}: killed after {notes}")
    assert [sender.faults for sender in sending] == [[]] * SENDERS
    assert Counter(ledger.accepted) == Counter(list(events.messages))
    assert ledger.outcomes == {"delivered": len(events.messages)}
    assert differences(kana.added, events.deltas) == {}
    assert kana.traits == events.traits


def _is_enough(count: Callable[[], int], enough: int, is_over: Callable[[], bool]) -> bool:
    """Whether the moment has come, or cannot come any more."""
    return count() >= enough or is_over()
