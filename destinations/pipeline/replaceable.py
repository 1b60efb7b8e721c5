"""Keep the rows of a run that a corrected event may still replace."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

import msgspec

from destinations.outcome import Outcome, Result
from destinations.pipeline.memory_queue import SeenMessages
from destinations.pipeline.report import Replaced, Row
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = ["Replaceable"]

_IN_MEMORY: Final = 10_000
"""The number of rows kept in memory (about 5 MiB); more are kept in a temporary file."""


class _Record(NamedTuple):
    """The part of a row that a report needs, as it is stored."""

    name: str
    line: int
    key: tuple[str, str] | None
    outcome: str
    code: str | None
    reason: str
    message_id: str


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Record).decode


class Replaceable:
    """Rows that failed without an effect, and which of their contents were replaced since.

    Iterating yields each row, and whether it was replaced; either may be known first.
    """

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._recent: list[bytes] = []
        self._older: IO[bytes] | None = None
        self._replaced = SeenMessages()
        self._has_replaced = False

    def add(self, content: Replaced, row: Row) -> None:
        """Keep a row of this content."""
        result = row.result
        key = None if row.key is None else (row.key.name, row.key.action)
        record = _Record(
            name=content.name,
            line=row.line,
            key=key,
            outcome=result.outcome.value,
            code=result.code,
            reason=result.reason,
            message_id=row.message_id,
        )
        self._recent.append(_encode(record) + b"\n")
        if len(self._recent) >= self._in_memory:
            self._write()

    def replace(self, content: Replaced) -> None:
        """Note that a content was replaced; its rows may be known already, or come later."""
        self._replaced.add(content.name)
        self._has_replaced = True

    def __iter__(self) -> Iterator[tuple[Row, bool]]:
        if self._older is not None:
            self._older.seek(0)
            for line in self._older:
                yield self._read(line)
        for line in self._recent:
            yield self._read(line)

    def close(self) -> None:
        """Forget all of it."""
        self._recent.clear()
        self._replaced.close()
        if self._older is not None:
            self._older.close()
            self._older = None

    def _read(self, line: bytes) -> tuple[Row, bool]:
        one = _decode(line)
        key = None if one.key is None else SubscriptionKey(*one.key)
        result = Result(Outcome(one.outcome), one.reason, one.code)
        is_replaced = self._has_replaced and self._replaced.get(one.name) is not None
        return Row(one.line, key, result, one.message_id), is_replaced

    def _write(self) -> None:
        """Move rows from memory to the file; without room on the disk they stay in memory."""
        size = 0
        try:
            if self._older is None:
                self._older = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close
            size = self._older.seek(0, 2)
            rest = memoryview(b"".join(self._recent))
            while rest:
                rest = rest[self._older.write(rest) :]
        except OSError:
            if self._older is not None:
                self._older.truncate(size)
            self._in_memory = 2 * len(self._recent)
        else:
            self._recent.clear()
