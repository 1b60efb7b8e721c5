"""Define what is kept of attempts: for how long, how much, and in which form.

An *exchange* is one HTTP request with its answer, or with the reason why there is none. An
*attempt* is what an exchange was for one of the deliveries that it carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from destinations.outcome import AttemptKind, Status

__all__ = ["AttemptPolicy", "Content", "KeptAttempt", "KeptExchange"]

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class AttemptPolicy:
    """The rule by which attempts are kept, with times in seconds.

    All of them take at most ``max_bytes``. Those of deliveries that were not delivered at once stay
    for ``failed`` seconds; of others a share, ``sample``, stays for ``delivered`` seconds.
    """

    failed: float = 30 * _DAY
    delivered: float = 3_600.0
    sample: float = 0.01
    max_bytes: int = 256_000_000


class Content(NamedTuple):
    """A text of an exchange, masked, cut and compressed; the digest is that of the masked text."""

    digest: bytes
    data: bytes


@dataclass(slots=True)
class KeptAttempt:
    """An exchange as part of one delivery, by the delivery's ``place`` in its batch.

    ``item`` is where it stands in the request; 0 if that is not known. ``error_class`` is None for
    a success. ``rule`` names what decided, such as ``errorRules[2]``. ``outcome`` is what the
    delivery came to; None where another request followed.
    """

    place: int
    error_class: str | None
    rule: str
    item: int = 0
    outcome: Status | None = None


@dataclass(slots=True, eq=False)
class KeptExchange:
    """One exchange as it is kept; see `destinations.store.attempts` for its row.

    ``at`` is when it began, in seconds since 1970; ``carried`` is how many deliveries it was for,
    and ``users`` whose they are, which says whom it concerns. ``failed`` says that it is of a
    delivery that was not delivered at once. The lengths are those of whole bodies, as they were
    sent and received; ``is_request_cut`` and ``is_answer_cut`` say that less is kept of them.
    """

    at: float
    seconds: float
    kind: AttemptKind
    request: str
    method: str
    status: int | None
    error: str
    failed: bool
    carried: int
    users: Sequence[str]
    head: Content
    request_body: Content | None
    request_bytes: int
    is_request_cut: bool
    answer_head: bytes
    answer_body: Content | None
    answer_bytes: int
    is_answer_cut: bool
    attempts: list[KeptAttempt] = field(default_factory=list)
