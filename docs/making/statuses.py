"""The page on what a status means that no error rule reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from destinations.definition import (
    ErrorRule,
    RequestDefinition,
    RestDefinition,
    RetryDefinition,
    Timeouts,
    TransportDefinition,
)
from destinations.http import Answer, CompiledRequest, Failure, HttpResponse, compile_request
from destinations.runtime.endings import Loss, ending
from making.page import Page, table

__all__ = ["ROWS", "meanings", "request_to_try", "status_pages"]

_FIXED: Final = "the same for every event"
ROWS: Final[tuple[tuple[str, int, bool], ...]] = (
    # (the answer, its status, whether its URL is the same for every event); 0: no answer
    ("2xx, not as `expect` says", 200, True),
    ("307, 308", 308, False),
    (f"307, 308, the URL is {_FIXED}", 308, True),
    ("another 3xx", 302, False),
    (f"another 3xx, the URL is {_FIXED}", 302, True),
    ("400", 400, True),
    ("401", 401, True),
    ("403", 403, True),
    ("404, 405, 410, 415", 404, False),
    (f"404, 405, 410, 415, the URL is {_FIXED}", 404, True),
    ("408", 408, True),
    ("409", 409, True),
    ("413", 413, True),
    ("423", 423, True),
    ("429", 429, True),
    ("another 4xx", 422, True),
    ("501", 501, True),
    ("another 5xx", 500, True),
    ("none: sent, and no answer came", 0, True),
    ("none: no connection", -1, True),
)
_TRANSPORT: Final = TransportDefinition(
    base_url="https://api.example.com",
    headers={},
    timeouts=Timeouts(1, 1, 1),
    retry=RetryDefinition(0.5, 120, 3600),
    concurrency=1,
    rate_limit=None,
)
_KINDS: Final = (
    ("idempotent", True, Loss()),
    ("not idempotent", False, Loss()),
    ("with `onLostAnswer: resend`", False, Loss(resends=True)),
    ("with `reconcile`", False, Loss(asks=True)),
    ("with `idempotencyKey`", False, Loss(keys_last=86_400.0)),
)
_TEXT: Final = """\
# Statuses

What becomes of an event whose request is answered with an error that none of the `answers` and
`errorRules` of the definition reads. `destinations explain` lists the same for each request.
"""
_AFTER: Final = """\
- *Tried again* means after the waits of [failed requests](failed-requests.md); `dead` is the end at
  the deadline. If the partner answers nothing at all, a run ends and leaves the event `ready`.
- `rejected` ends the event. `held` waits for an operator, who decides by
  [`destinations deliveries resolve`](../../deliveries.md#decide-on-a-lost-answer).
- *Stops the run*: a server tests the credentials and tries again. *Its action pauses*: the answer
  is about the address or the permission, and not about the event, which stays `ready`.
- A batch that is answered 413 is sent in parts; a single event that is too long is `rejected`.
- A request that is not idempotent is not sent again after most answers, because a 500 or a 400 does
  not say whether it was applied. If your partner's does, say so with an error rule:

```yaml
errorRules:
  - when: {status: 400}
    class: invalid
    retryable: false
    nothingApplied: true
```

Codes and classes of each status are in [codes](../codes.md#statuses-of-a-partner).
"""


def request_to_try(
    *, idempotent: bool, is_fixed: bool, rules: Sequence[ErrorRule] = ()
) -> CompiledRequest:
    """Return a request whose URL is fixed, or has a value of the event."""
    path = ("things",) if is_fixed else ("things", {"@path": "$.payload.id"})
    call = RestDefinition("POST", path=path, json={})
    expect = {"type": "object", "required": ["id"]}
    definition = RequestDefinition("send", "Send.", idempotent, call, expect=expect)
    return compile_request(definition, _TRANSPORT, rules)


def _failure(request: CompiledRequest, status: int) -> Failure:
    if status <= 0:
        was_sent = status == 0
        return Failure("", "timeout", 0, retryable=True, nothing_applied=not was_sent)
    (read,) = request.read(HttpResponse(status, {}, b"{}"), 1)
    if isinstance(read, Answer):
        msg = f"a {status} is read as a success"
        raise TypeError(msg)
    return read


def meanings() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each answer with what follows it, for each kind of request."""
    for name, status, is_fixed in ROWS:
        found = []
        for _, idempotent, loss in _KINDS:
            request = request_to_try(idempotent=idempotent, is_fixed=is_fixed)
            found.append(ending(request, _failure(request, status), loss))
        yield name, tuple(found)


def status_pages() -> Iterator[Page]:
    """Yield the page on statuses."""
    head = ("answer", *(name for name, _, _ in _KINDS))
    rows = [(name, *found) for name, found in meanings()]
    yield Page(
        "definition/statuses.md",
        "statuses",
        "What a status means that no error rule reads.",
        f"{_TEXT}\n{table(head, rows)}\n\n{_AFTER}",
        "docs/making/statuses.py and destinations/http/error_rules.py",
        ("status", "http status", "http statuses"),
    )
