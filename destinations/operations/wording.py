"""Give the words of deliveries as people may see them: without secrets, and readable."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from destinations.errors import EventError
from destinations.pipeline.ledger import LedgerEntry
from destinations.secrets import MASK, Masker
from destinations.segment.event import read_json
from destinations.store import Attempt

__all__ = ["shown_attempt", "shown_bytes", "shown_content", "shown_entry", "shown_key"]


def shown_content(data: bytes | None, masker: Masker) -> Any:
    """Return an event or a payload as JSON values, masked; as text where it is no JSON."""
    if not data:
        return None
    try:
        value = read_json(data, limit=len(data))
    except EventError:  # no event: what was read instead of one
        value = data.decode("utf-8", "replace")
    return masker.value(value)


def shown_entry(entry: LedgerEntry, masker: Masker) -> LedgerEntry:
    """Return a delivery whose words are masked: what is of its event, and of the partner."""
    increment = entry.increment
    return replace(
        entry,
        user=masker.text(entry.user),
        message_id=masker.text(entry.message_id),
        reason=masker.text(entry.reason),
        tenant_name=masker.value(entry.tenant_name),
        evidence=masker.value(dict(entry.evidence)),
        increment=None if increment is None else increment._replace(key=masker.text(increment.key)),
    )


def shown_attempt(attempt: Attempt, masker: Masker, mask: str = MASK) -> Attempt:
    """Return an attempt in which the secrets that hold now are masked, too.

    Those of its destination were masked when it was kept. What its ``***`` stand for is not known
    any more, unless others have another ``mask``.
    """

    def masked(text: str) -> str:
        return masker.text(text, mask)

    def body(data: bytes | None) -> bytes | None:
        return None if data is None else shown_bytes(data, masker, mask)

    return replace(
        attempt,
        url=masked(attempt.url),
        request_headers={key: masked(value) for key, value in attempt.request_headers.items()},
        request_body=body(attempt.request_body),
        answer_headers={key: masked(value) for key, value in attempt.answer_headers.items()},
        answer_body=body(attempt.answer_body),
        error=masked(attempt.error),
        secret_names=None if mask == MASK else attempt.secret_names,
    )


def shown_bytes(data: bytes, masker: Masker, mask: str = MASK) -> bytes:
    """Return text as bytes in which secrets are masked; what is no text stays."""
    text = data.decode("utf-8", "surrogateescape")
    return masker.text(text, mask).encode("utf-8", "surrogateescape")


def shown_key(key: str) -> str:
    """Return the key of a balance as people read it: that of several parts is JSON."""
    try:
        parts = json.loads(key)
    except ValueError:
        return key
    if isinstance(parts, dict):
        return ", ".join(f"{name} {_part(value)}" for name, value in parts.items())
    return ", ".join(map(_part, parts)) if isinstance(parts, list) else _part(parts)


def _part(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
