"""The rules for the keys of customers, and the refusal of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from destinations.pipeline.queue import Scope

__all__ = ["KeyRefusedError", "KeyRules", "key_text"]

_LONGEST_KEY: Final = 1_024


@dataclass(frozen=True, slots=True)
class KeyRules:
    """For how long answers about keys count, and what is kept for unproven ones. In seconds.

    ``good`` is how long a good answer counts; a key that was good is refused once the partner has
    refused it for ``refuse_after``. A wrong key is asked about again after ``wrong``, one that is
    unproven or refused after ``again``. A request waits up to ``patience`` for the answer. Unknown
    keys may be asked about ``per_second``, and a ``burst`` of them at once. Of unproven keys at
    most ``events`` each and ``all_events`` are kept, of ``all_bytes``, and ``keys`` of them.
    """

    good: float = 3600.0
    refuse_after: float = 3600.0
    wrong: float = 60.0
    again: float = 30.0
    patience: float = 5.0
    per_second: float = 5.0
    burst: float = 20.0
    events: int = 100
    all_events: int = 2_000
    all_bytes: int = 16 * 1024 * 1024
    keys: int = 500


class KeyRefusedError(Exception):
    """A key is not accepted, or what came with it: the HTTP status, and why, for the customer.

    With ``retry_after``, in seconds, it may be later. ``scope`` is that of the tenant whose key it
    is, if the partner took it before.
    """

    def __init__(
        self,
        status: int,
        message: str,
        retry_after: float | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.scope = scope
        super().__init__(message)


def key_text(presented: bytes | None) -> str:
    """Return a key as text; raises `KeyRefusedError` for one that cannot be a key."""
    if not presented:
        raise KeyRefusedError(401, "Authorization has no key that can be read")
    if len(presented) > _LONGEST_KEY:
        raise KeyRefusedError(401, f"the key in Authorization is longer than {_LONGEST_KEY} bytes")
    try:
        text = presented.decode()
    except UnicodeDecodeError:
        raise KeyRefusedError(401, "the key in Authorization is not UTF-8") from None
    if not text.isprintable() or text != text.strip():
        raise KeyRefusedError(401, "the key in Authorization has a space or an invisible character")
    return text
