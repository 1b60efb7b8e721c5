"""Show the attempts of a delivery: each request with its answer, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.pages import bytes_text
from destinations.secrets import Masker
from destinations.store import Attempt

__all__ = ["AttemptShown", "attempt_shown"]

_KINDS: Final = {
    "send": "sent the event",
    "question": "asked the partner",
    "credentials": "tested the credentials",
}


@dataclass(frozen=True, slots=True)
class AttemptShown:
    """An attempt in words; ``at`` is in seconds since 1970, ``seconds`` how long it took."""

    number: int
    at: float
    seconds: float
    kind: str
    title: str
    request: str
    request_note: str
    answer: str
    answer_note: str
    error: str
    verdict: str
    outcome: str
    shared: str
    is_erased: bool


def attempt_shown(attempt: Attempt, masker: Masker) -> AttemptShown:
    """Return what is shown of an attempt; it was masked with the secrets that held then."""
    request = _message(
        f"{attempt.method} {attempt.url}", attempt.request_headers, attempt.request_body
    )
    answer = ""
    if attempt.status is not None:
        answer = _message(f"{attempt.status}", attempt.answer_headers, attempt.answer_body)
    verdict = " ".join(filter(None, (attempt.error_class or "success", _by(attempt.rule))))
    others = attempt.deliveries - 1
    return AttemptShown(
        attempt.number,
        attempt.at,
        attempt.seconds,
        _KINDS.get(attempt.kind, attempt.kind),
        f"step {attempt.step}: {attempt.request}" if attempt.step else attempt.request,
        masker.text(request),
        _length(attempt.request_bytes, is_cut=attempt.is_request_cut),
        masker.text(answer),
        _length(attempt.answer_bytes, is_cut=attempt.is_answer_cut),
        masker.text(attempt.error),
        verdict,
        "" if attempt.outcome is None else attempt.outcome.value,
        f"with {others:,} other {'delivery' if others == 1 else 'deliveries'}" if others else "",
        attempt.is_erased,
    )


def _by(rule: str) -> str:
    return f"(by {rule})" if rule else ""


def _length(size: int, *, is_cut: bool) -> str:
    return f"{bytes_text(size)}, of which the beginning is kept" if is_cut else bytes_text(size)


def _message(first: str, headers: Mapping[str, str], body: bytes | None) -> str:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["", *_body_lines(body)]
    return "\n".join(lines)


def _body_lines(body: bytes) -> Sequence[str]:
    """Return a body as text; JSON that is whole is indented, as only then it can be read."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    return [json.dumps(value, indent=2, ensure_ascii=False)]
