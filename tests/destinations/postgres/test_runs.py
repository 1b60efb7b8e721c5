"""Runs of several processes share one store: one dedupe, one ledger, each event once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.postgres.store import PostgresStore
from destinations.store import broken_rules
from kana_destination.sandbox import Sandbox
from tests.postgres_server import new_store_address


def _events(numbers: Sequence[int]) -> bytes:
    lines = [
        {
            "type": "track",
            "event": "API Call",
            "messageId": f"m{number}",
            "userId": f"user_{number % 20:04d}",
            "timestamp": "2026-11-30T00:00:00Z",
            "properties": {"feature": "api-calls", "count": 1},
        }
        for number in numbers
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
