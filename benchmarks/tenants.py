"""One endpoint for all customers of a partner, compared with a receiver that has one key."""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.serving_process import SEALING_KEY, Serving, canned_partner, post, serving
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.opening import open_definition
from destinations.operations import pause_destination, resume_destination
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.plugins import plugin_code
from destinations.store import SealedValues, Sealer, SealingKey, SqliteStore, TenantSecrets

__all__ = ["measure"]

_TENANTS: Final = 10_000
_PAIRS: Final = 7
_SENDERS: Final = 8
_EVENTS: Final = 4_000
_OTHERS: Final = 600
"""Events of a round in which a tenant floods."""

_SHARE: Final = 0.8
_SLOWER: Final = 1.5
_LIMIT_MIB: Final = 300
_LIMIT_SECONDS: Final = 10
_PATIENCE: Final = 300.0


def measure(scale: int) -> list[Figure]:
    """Medians of pairs, a plain receiver and one with tenants in turn, each in its own process."""
    tenants, events = _TENANTS // scale, _EVENTS // scale
    with tempfile.TemporaryDirectory(dir=_memory()) as name, canned_partner() as settings:
        filled = Path(name) / "filled"
        filled.mkdir()
        _fill(filled / "store.sqlite3", settings, tenants)
        return [
            *_accepting(filled, settings, tenants, events),
            *_delivering(filled, settings, tenants),
            *_flooding(filled, settings, tenants, _OTHERS // min(scale, 3)),
        ]


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder is made in it


def _key(number: int) -> str:
    return f"prv_test_{number:024}"


def _fill(path: Path, settings: Mapping[str, Any], tenants: int) -> None:
    """Make a store that knows so many tenants, whose keys were good a moment ago."""
    definition, plugin = open_definition("kana")
    given = Document("settings", {**settings, "apiKey": _key(0)}, {})
    base = Destination(definition, check_settings(definition, given), plugin_code(plugin, None))
    with SqliteStore(path) as store:
        sealed = SealedValues(store.database, Sealer(SealingKey.parse(SEALING_KEY)))
        secrets = TenantSecrets(store.database, sealed)
        for number in range(tenants):
            key = _key(number)
            own = Document("settings", {**settings, "apiKey": key}, {})
            destination = base.with_settings(check_settings(definition, own))
            secrets.add(
                *("kana", secrets.id_of(f"key {key}"), key, identity_of(destination)),
                {"apiKey": key},
                now=time.time(),
                is_proven=True,
            )


@contextlib.contextmanager
def _copied(filled: Path) -> Iterator[Path]:
    """Give a folder with a copy of the store that knows all tenants."""
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        folder = Path(name) / "copy"
        shutil.copytree(filled, folder)
        SqliteStore(folder / "store.sqlite3", adopt=True).close()  # it was moved here
        yield folder


@contextlib.contextmanager
def _paused(folder: Path) -> Iterator[None]:
    """Let a server of this folder's store accept events, and deliver none."""
    with SqliteStore(folder / "store.sqlite3") as store:
        pause_destination(store, "kana", time.time())
    yield
    with SqliteStore(folder / "store.sqlite3") as store:
        resume_destination(store, "kana")


def _event(number: int) -> bytes:
    return json.dumps(
        {
            "type": "track",
            "event": "Called",
            "userId": f"u{number % 7}",
            "messageId": f"{time.time_ns()}-{number}",
            "properties": {"featureId": "calls", "delta": 1},
        }
    ).encode()


def _accepting(
    filled: Path, settings: Mapping[str, Any], tenants: int, events: int
) -> list[Figure]:
    """Accept events of all tenants in turn, or as many with one key; nothing is delivered."""
    shares, costs, starts = [], [], []
    for _ in range(_PAIRS):
        with (
            tempfile.TemporaryDirectory(dir=_memory()) as name,
            _paused(Path(name)),
            serving(Path(name), settings) as one,
        ):
            plain, plain_cpu = _accept(one, Path(name), events, None)
        with _copied(filled) as folder, _paused(folder):
            began = time.monotonic()
            with serving(folder, settings, tenants=True) as many:
                starts.append(time.monotonic() - began)
                _accept(many, folder, tenants, tenants)  # so that each has sent something
                rate, cpu = _accept(many, folder, events, tenants)
        shares.append(rate / plain)
        costs.append(cpu / plain_cpu)
    what = f"{tenants:,} tenants"
    return [
        Figure(f"start with {what}", statistics.median(starts), "s", _LIMIT_SECONDS, "limit"),
        Figure(
            f"accepted of {what}, per event accepted with one key",
            statistics.median(shares),
            "",
            _SHARE,
            "goal",
        ),
        Figure(
            f"processor time of an event of {what}, per event with one key",
            statistics.median(costs),
            "",
            1 / _SHARE,
            "limit",
        ),
    ]


def _delivering(filled: Path, settings: Mapping[str, Any], tenants: int) -> list[Figure]:
    """Deliver an event of each tenant."""
    with _copied(filled) as folder, serving(folder, settings, tenants=True) as served:
        _accept(served, folder, tenants, tenants)
        served.wait_until_done(_PATIENCE)
        peak = served.peak_mib() or 0.0
    what = f"peak memory while an event of each of {tenants:,} tenants is delivered"
    return [Figure(what, peak, "MiB", _LIMIT_MIB, "limit")]


def _accept(served: Serving, folder: Path, events: int, tenants: int | None) -> tuple[float, float]:
    """Return events accepted in a second, and the processor time for all of them."""
    bodies = [_event(number) for number in range(events)]
    keys = None if tenants is None else [_key(number % tenants) for number in range(events)]
    before = served.cpu_seconds()
    seconds, _ = post(served, bodies, _SENDERS, folder, keys=keys)
    return events / seconds, served.cpu_seconds() - before


def _flooding(filled: Path, settings: Mapping[str, Any], tenants: int, events: int) -> list[Figure]:
    """Compare how long events of the others take, with half of all from one tenant and without.

    As many are due in a second as are half of what the server can deliver.
    """
    slower: list[float] = []
    even = [number % tenants for number in range(events)]
    flood = [0 if number % 2 else 1 + number % (tenants - 1) for number in range(events)]
    with _copied(filled) as folder:
        with serving(folder, settings, tenants=True) as served:
            began = time.monotonic()
            _accept(served, folder, events, tenants)
            served.wait_until_done(_PATIENCE)
            due = events / (time.monotonic() - began) / 2
        for _ in range(_PAIRS):
            with serving(folder, settings, tenants=True) as served:
                evenly = _slowest(served, folder, even, due)
                slower.append(_slowest(served, folder, flood, due) / evenly)
    return [
        Figure(
            "99th percentile of the others while one floods, per that of even load",
            statistics.median(slower),
            "",
            _SLOWER,
            "limit",
        )
    ]


def _slowest(served: Serving, folder: Path, senders: Sequence[int], due: float) -> float:
    """Return the 99th percentile from being accepted to being delivered, without tenant 0."""
    (latest,) = served.ask("SELECT coalesce(max(id), 0) FROM ledger")[0]
    bodies = [_event(number) for number in range(len(senders))]
    post(served, bodies, _SENDERS, folder, due, keys=[_key(number) for number in senders])
    served.wait_until_done(_PATIENCE)
    rows = served.ask(
        "SELECT took FROM ledger WHERE id > ? AND scope <> (SELECT min(scope) FROM tenants)", latest
    )
    took = sorted(row[0] for row in rows)
    return max(1.0, float(took[int(len(took) * 0.99)]))
