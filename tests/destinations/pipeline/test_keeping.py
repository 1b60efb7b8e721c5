"""What is kept of a request holds no secret, whatever it is written as and wherever it is cut."""

from __future__ import annotations

import base64
import html
import json
import threading
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from destinations.definition import RateLimit
from destinations.definition.settings import Settings
from destinations.errors import TransportError
from destinations.http import Failure, HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Outcome, Result, State, Status
from destinations.pipeline.attempts import AttemptPolicy, KeptExchange
from destinations.pipeline.keeping import kept_questions, kept_requests
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent
from destinations.pipeline.rate_limit import RateLimitedTransport
from destinations.runtime.destination import Destination
from destinations.runtime.exchanges import (
    BODY_BYTES,
    Exchange,
    bounded,
    note_wait,
    take_wait,
)
from destinations.runtime.subscription_key import SubscriptionKey

SECRET = 'k3y-"Zürich"/0123456789abcdef'
KEEP_ALL = AttemptPolicy(sample=1.0)
NO = Failure("no", "invalid", 400, retryable=False, nothing_applied=True)


@pytest.fixture
def keep(bind: Callable[..., Destination]) -> Callable[..., KeptExchange]:
    """Keeps a request with these parts, and its answer; all of it is of one delivery."""
    definition = bind().definition.requests["count"]

    def kept(
        url: str = "https://a.example/",
        headers: dict[str, str] | None = None,
        body: bytes | None = b"{}",
        answer: HttpResponse | TransportError | None = None,
        **settings: Any,
    ) -> KeptExchange:
        request = HttpRequest("POST", url, headers or {}, body)
        error = answer if isinstance(answer, TransportError) else None
        response = None if isinstance(answer, TransportError) else answer
        secrets = ("apiKey", *(name for name in settings if name != "endpoint"))
        given = Settings({"apiKey": SECRET, **settings}, secrets)
        lengths = (len(body or b""), 0 if response is None else len(response.body))
        shown = bounded(request, response, given.masker.reach)
        log = [
            Exchange("send", definition, *shown, error, 1.0, 0.5, [NO], [(0,)], *lengths),
        ]
        found = kept_requests(log, [_delivery()], None, given, KEEP_ALL, lambda: 0.0)
        (one,) = found
        return one

    return kept


def _delivery(attempts: int = 0, user: str = "u") -> QueuedDelivery:
    event = QueuedEvent("m", "track", user, 1.0)
    return QueuedDelivery(event, SubscriptionKey("Counts", "count"), attempts=attempts)


def _texts(one: KeptExchange) -> str:
    """All that is kept, as text without the escapes of JSON."""
    contents = [one.head, one.request_body, one.answer_body]
    parts = [zlib.decompress(each.data) for each in contents if each is not None]
    parts += [zlib.decompress(one.answer_head)] if one.answer_head else []
    text = b"\n".join(parts).decode("utf-8", "surrogateescape") + one.error
    return text + text.encode("utf-8", "surrogateescape").decode("unicode_escape")


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([], None),
        ([""], None),
        (["find"], "find"),
        (["find", "find"], "find"),
        (["find", "check"], ["find", "check"]),
        (["", "check"], ["", "check"]),
    ],
)
def test_the_steps_of_a_request(
    bind: Callable[..., Destination], steps: list[str], kept: str | list[str] | None
) -> None:
    """One name if it is that of all items, else those of all of them; none without steps."""
    definition = bind().definition.requests["count"]
    places = [(at,) for at in range(max(1, len(steps)))]
    request = HttpRequest("POST", "https://a.example/", {}, b"{}")
    exchange = Exchange(
        *("send", definition, request, None, None, 1.0, 0.5),
        *([NO] * len(places), places, 2, 0, steps),
    )
    deliveries = [_delivery(user=f"u{at}") for at in range(len(places))]
    given = Settings({"apiKey": SECRET}, ("apiKey",))
    (one,) = kept_requests([exchange], deliveries, None, given, KEEP_ALL, lambda: 0.0)
    head = json.loads(zlib.decompress(one.head.data))
    assert head[3:] == ([] if kept is None else [kept])


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "percent": lambda text: quote(text, safe=""),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": html.escape,
    "hex": lambda text: text.encode().hex(),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64 within longer text": lambda text: base64.b64encode(b"user:" + text.encode()).decode(),
    "URL-safe Base64": lambda text: base64.urlsafe_b64encode(b"x" + text.encode()).decode(),
}


def _traces(written: str) -> list[str]:
    """What of a secret as it is written must not be left: any 12 characters of it."""
    return [written[at : at + 12] for at in range(len(written) - 11)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["url", "header", "body", "answer", "answer header", "error"])
def test_secrets(keep: Callable[..., KeptExchange], place: str, form: str) -> None:
    """In each place, and in each form in which something else may write them."""
    written = FORMS[form](SECRET)
    text = f"before {written} after"
    parts: dict[str, Any] = {
        "url": {"url": f"https://a.example/{quote(text, safe='%')}"},
        "header": {"headers": {"X-Key": text}},
        "body": {"body": text.encode()},
        "answer": {"answer": HttpResponse(400, {}, text.encode())},
        "answer header": {"answer": HttpResponse(400, {"x-key": text}, b"")},
        "error": {"answer": TransportError(text, sent=False)},
    }
    if place == "url" and form in {"plain", "upper case", "JSON", "HTML", "JSON in JSON"}:
        pytest.skip("no URL is written like that")
    found = _texts(keep(**parts[place]))
    assert "***" in found
    for trace in _traces(written):
        assert trace.lower() not in found.lower()


@pytest.mark.parametrize("form", ["plain", "JSON in JSON", "percent, twice", "Base64"])
@pytest.mark.parametrize("where", ["body", "answer"])
@pytest.mark.parametrize("inside", [0, 1, 5, 11, 20, 40])
def test_a_secret_across_the_cut(
    keep: Callable[..., KeptExchange], form: str, where: str, inside: int
) -> None:
    """Not even its beginning is left, as it is masked before anything is cut."""
    written = FORMS[form](SECRET)
    body = ("-" * (BODY_BYTES - inside) + written + "-" * 100_000).encode()
    given: dict[str, Any] = (
        {"body": body} if where == "body" else {"answer": HttpResponse(400, {}, body)}
    )
    one = keep(**given)
    content = one.request_body if where == "body" else one.answer_body
    assert content is not None
    kept = zlib.decompress(content.data)
    assert kept.strip(b"-*") == b""
    assert len(kept) <= BODY_BYTES


def test_many_secrets_before_the_cut(keep: Callable[..., KeptExchange]) -> None:
    """Masks are shorter than what they stand for: what moves up to the cut is masked as well."""
    body = (f"{SECRET} " * 5_000).encode()
    one = keep(body=body)
    assert one.request_body is not None
    kept = zlib.decompress(one.request_body.data)
    assert set(kept.split()) <= {b"***", b"**", b"*"}
    assert one.is_request_cut
    assert one.request_bytes == len(body)


@pytest.mark.parametrize(
    ("length", "kept"),
    [(0, 0), (1, 1), (16_383, 16_383), (16_384, 16_384), (16_385, 16_384), (1_000_000, 16_384)],
)
def test_the_cut(keep: Callable[..., KeptExchange], length: int, kept: int) -> None:
    """Up to 16 KB are kept, and the whole length is said."""
    one = keep(body=b"x" * length, answer=HttpResponse(200, {}, b"y" * length))
    assert one.request_body is not None
    assert len(zlib.decompress(one.request_body.data)) == kept
    assert (one.request_bytes, one.answer_bytes) == (length, length)
    assert one.is_request_cut == one.is_answer_cut == (length > kept)
    if length:
        assert one.answer_body is not None
        assert len(zlib.decompress(one.answer_body.data)) == kept


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"Authorization": "Bearer of-a-session"}, "Bearer ***"),
        ({"authorization": "abc"}, "***"),
        ({"Cookie": "session=1"}, "***"),
        ({"Proxy-Authorization": "Basic abc"}, "Basic ***"),
        ({"Accept": "text/plain"}, "text/plain"),
    ],
)
def test_headers_of_authentication(
    keep: Callable[..., KeptExchange], headers: dict[str, str], shown: str
) -> None:
    """Their values are masked even if they are no setting."""
    one = keep(headers=headers)
    assert list(json.loads(zlib.decompress(one.head.data))[1].values()) == [shown]


def test_a_cookie_of_the_partner(keep: Callable[..., KeptExchange]) -> None:
    """It is a credential, too."""
    one = keep(answer=HttpResponse(200, {"set-cookie": "session=1"}, b""))
    assert json.loads(zlib.decompress(one.answer_head)) == {"set-cookie": "***"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@a.example/x?y=1", "https://***@a.example/x?y=1"),
        ("https://a.example/?token=t0ken&y=1", "https://a.example/?token=***&y=1"),
    ],
)
def test_credentials_in_urls(keep: Callable[..., KeptExchange], url: str, shown: str) -> None:
    """Userinfo, and what stands in the query of an endpoint, are masked."""
    one = keep(url=url, endpoint="https://a.example/?token=t0ken")
    assert json.loads(zlib.decompress(one.head.data))[0] in {shown, "***"}
    assert "pass" not in _texts(one)
    assert "t0ken" not in _texts(one)


@pytest.mark.parametrize("form", ["plain", "percent", "JSON", "Base64"])
def test_a_query_that_the_partner_repeats(keep: Callable[..., KeptExchange], form: str) -> None:
    """What stands in the query of an address is masked in answers, too; what is short is not."""
    value = "t0ken-of/the+hook"
    written = FORMS[form](value)
    answer = HttpResponse(404, {"x-path": f"/in?token={written}"}, f"no {written}, x=1".encode())
    one = keep(answer=answer, endpoint=f"https://a.example/in?token={value}&x=1")
    assert written not in _texts(one)
    assert "x=1" in _texts(one)


def test_which_secret_a_mask_stands_for(keep: Callable[..., KeptExchange]) -> None:
    """It is noted in order, and a mask that is none has no name."""
    one = keep(
        url=f"https://a.example/{quote(SECRET, safe='')}",
        headers={"X": "*** and p4ssword-of-mine"},
        body=f"{SECRET} ***".encode(),
        password="p4ssword-of-mine",
    )
    assert json.loads(zlib.decompress(one.head.data))[2] == [
        *("apiKey/url", "", "password", "apiKey", "")
    ]


def test_equal_requests_have_equal_digests(keep: Callable[..., KeptExchange]) -> None:
    """Of what is masked: two secrets in one place give the same text."""
    one, same, other = keep(body=b"a"), keep(body=b"a"), keep(body=b"b")
    assert one.request_body is not None
    assert (one.head.digest, one.request_body) == (same.head.digest, same.request_body)
    assert one.request_body != other.request_body


def test_hostile_headers(keep: Callable[..., KeptExchange]) -> None:
    """Their number and their lengths are bounded."""
    headers = {f"x-{number}": "y" * 100_000 for number in range(1_000)}
    one = keep(headers=headers, answer=HttpResponse(200, headers, b""))
    assert len(zlib.decompress(one.answer_head)) < 300_000
    assert len(zlib.decompress(one.head.data)) < 300_000


# -- which of them ---------------------------------------------------------------------------------

DONE, BAD = Outcome.DELIVERED, Outcome.REJECTED


@pytest.mark.parametrize(
    ("outcomes", "before", "chance", "kept"),
    [
        ([DONE, DONE], [0, 0], 0.5, []),
        ([DONE, DONE], [0, 0], 0.1, [0, 1]),
        ([DONE, BAD], [0, 0], 0.5, [1]),
        ([DONE, BAD], [0, 0], 0.1, [0, 1]),
        ([BAD, BAD], [0, 0], 0.1, [0, 1]),
        ([DONE, DONE], [1, 0], 0.5, [0]),
        ([DONE, State.READY], [0, 0], 0.5, [1]),
        ([DONE, State.UNKNOWN], [0, 3], 0.5, [1]),
    ],
)
def test_whose_attempts(
    bind: Callable[..., Destination],
    outcomes: list[Status],
    before: list[int],
    chance: float,
    kept: list[int],
) -> None:
    """Those of what was not delivered at once, and of a share of the rest."""
    draws: list[float] = []

    def draw() -> float:
        draws.append(chance)
        return chance

    destination = bind()
    request = HttpRequest("POST", "https://a.example/", {}, b"{}")
    verdicts = [NO, NO]
    answer = HttpResponse(200, {}, b"")
    definition = destination.definition.requests["count"]
    log = [
        Exchange("send", definition, request, answer, None, 1.0, 0.5, verdicts, [(0,), (1,)], 2, 0)
    ]
    results = [Result(outcome, attempts=1) for outcome in outcomes]
    deliveries = [_delivery(attempts, f"u{at}") for at, attempts in enumerate(before)]
    policy = AttemptPolicy(sample=0.2)
    found = kept_requests(log, deliveries, results, destination.settings, policy, draw)
    assert [each.place for one in found for each in one.attempts] == kept
    assert len(draws) <= 1
    for one in found:
        assert (one.carried, one.users) == (2, ["u0", "u1"])
        assert one.failed == any(outcomes[at] is not DONE or before[at] for at in kept)


@pytest.mark.parametrize(
    ("fails", "before", "chance", "kept"),
    [
        (False, False, 1.0, [0, 1]),
        (True, False, 1.0, [0, 1]),
        (False, True, 1.0, []),
        (False, True, 0.0, [0, 1]),
        (True, True, 1.0, [0, 1]),
    ],
)
def test_questions(
    bind: Callable[..., Destination],
    *,
    fails: bool,
    before: bool,
    chance: float,
    kept: list[int],
) -> None:
    """Those about lost answers always, and those before sending as if they were sent."""
    from destinations.http import Answer  # noqa: PLC0415 - the only use

    destination = bind()
    request = HttpRequest("POST", "https://a.example/", {}, b"{}")
    answer = HttpResponse(200, {}, b"")
    definition = destination.definition.requests["find"]
    verdict = NO if fails else Answer("ok")
    log = [
        Exchange("question", definition, request, answer, None, 1.0, 0.5, [verdict], [(0,)], 2, 0)
    ]
    found = kept_questions(
        log,
        [[0, 1]],
        [_delivery(), _delivery()],
        destination.settings,
        AttemptPolicy(sample=0.2),
        (lambda: chance) if before else None,
    )
    assert [each.place for one in found for each in one.attempts] == kept


@pytest.mark.parametrize(("length", "left"), [(10, 10), (20_000, 16_394), (10_000_000, 16_394)])
def test_what_is_held_until_the_end(length: int, left: int) -> None:
    """Of a request and its answer only what can be kept, whatever their length."""
    request = HttpRequest("POST", "https://a.example/", {}, b"x" * length)
    kept, answer = bounded(request, HttpResponse(200, {}, b"y" * length), 10)
    assert answer is not None
    assert (len(kept.body or b""), len(answer.body)) == (left, left)


def test_the_wait_for_a_turn() -> None:
    """It is added up until it is taken, in each thread by itself."""
    take_wait()
    note_wait(0.5)
    note_wait(0.25)
    assert (take_wait(), take_wait()) == (0.75, 0.0)


def test_a_limited_rate(replies: Any, scripted: Any) -> None:
    """What a request waits for its turn is noted, so that it is no part of what it took."""
    clock = StillClock()
    inner = scripted([replies.http(200)])
    limited = RateLimitedTransport(inner, RateLimit(1, 2.0), clock, threading.Event())
    take_wait()
    waits = []
    for _ in range(3):
        limited.send(HttpRequest("GET", "https://a.example/", {}, None))
        waits.append(take_wait())
    assert waits == clock.waits
    assert sum(waits) == pytest.approx(6.0)
