"""Select the requests that are kept, and prepare them: masked, then cut, then compressed.

It is done in the thread that made the requests: the engine only writes what is ready.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from destinations.definition.settings import Settings
from destinations.http import Failure, HttpRequest, HttpResponse
from destinations.http.envelope import STAND_IN_HEADER
from destinations.outcome import Outcome, Result
from destinations.pipeline.attempts import AttemptPolicy, Content, KeptAttempt, KeptExchange
from destinations.pipeline.queue import QueuedDelivery
from destinations.runtime.exchanges import BODY_BYTES, Exchange
from destinations.secrets import MASK, Masker, Secret, query_pieces, reveal, shown_url

__all__ = ["kept_questions", "kept_requests"]

_LEVEL: Final = 3
"""How hard zlib tries; more of it costs twice the time for a tenth of the bytes."""

_DIGEST_BYTES: Final = 16
_MOST_HEADERS: Final = 100
_HEADER_CHARACTERS: Final = 2_000
_URL_CHARACTERS: Final = 8_000
_ERROR_CHARACTERS: Final = 500
_CREDENTIALS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "proxy-authenticate"}
)
"""Headers that hold credentials, whether these are settings or not."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]* +(?=\S)")


def kept_requests(
    log: Sequence[Exchange],
    deliveries: Sequence[QueuedDelivery],
    results: Sequence[Result] | None,
    settings: Settings,
    policy: AttemptPolicy,
    draw: Callable[[], float],
) -> list[KeptExchange]:
    """Return what is kept of the requests of a batch; without ``results`` it came to nothing.

    All that concern a delivery that was not delivered, or not at once. Of others a share: of a
    batch all requests, or none of them. Nothing of a batch with a user who was erased: the requests
    have their id.
    """
    if any(one.is_of_erased for one in deliveries):
        return []
    places = _failed(log, deliveries, results)
    is_sampled = len(places) < len(deliveries) and draw() < policy.sample
    if not places and not is_sampled:
        return []
    wanted = range(len(deliveries)) if is_sampled else places
    own = [(place,) for place in range(len(deliveries))]
    return _kept(log, own, deliveries, wanted, places, settings)


def kept_questions(
    log: Sequence[Exchange],
    asked: Sequence[Sequence[int]],
    deliveries: Sequence[QueuedDelivery],
    settings: Settings,
    policy: AttemptPolicy,
    draw: Callable[[], float] | None,
) -> list[KeptExchange]:
    """Return what is kept of questions, each of which was asked for the deliveries in ``asked``.

    What was asked before anything was sent is kept if it failed, or for a share of them: by
    ``draw``, which is None for questions about lost answers.
    """
    failed = {
        place
        for one in log
        for verdict, numbers in zip(one.verdicts, one.places, strict=True)
        if draw is None or isinstance(verdict, Failure)
        for number in numbers
        for place in asked[number]
    }
    is_sampled = draw is not None and len(failed) < len(deliveries) and draw() < policy.sample
    wanted = range(len(deliveries)) if is_sampled else failed
    return _kept(log, asked, deliveries, wanted, failed, settings) if wanted else []


def _failed(
    log: Sequence[Exchange],
    deliveries: Sequence[QueuedDelivery],
    results: Sequence[Result] | None,
) -> Collection[int]:
    """Return the places of deliveries that were not delivered, or not by their first request."""
    if results is None:
        return range(len(deliveries))
    failed: set[int] = set()
    took_several = False
    for place, (delivery, result) in enumerate(zip(deliveries, results, strict=True)):
        if result.outcome is not Outcome.DELIVERED or delivery.attempts or delivery.has_failure:
            failed.add(place)
        elif result.attempts != 1:
            took_several = True
    if took_several or len(log) > 1:
        for one in log:
            for verdict, places in zip(one.verdicts, one.places, strict=True):
                if isinstance(verdict, Failure):
                    failed.update(places)
    return failed


def _kept(
    log: Iterable[Exchange],
    of_place: Sequence[Sequence[int]],
    deliveries: Sequence[QueuedDelivery],
    wanted: Collection[int],
    failed: Collection[int],
    settings: Settings,
) -> list[KeptExchange]:
    """Return the exchanges that carried one of the wanted deliveries, with attempts of these."""
    found = []
    for one in log:
        attempts = [
            KeptAttempt(
                place,
                verdict.error_class if isinstance(verdict, Failure) else None,
                one.rule(verdict),
                item,
            )
            for item, (verdict, numbers) in enumerate(zip(one.verdicts, one.places, strict=True))
            for number in numbers
            for place in of_place[number]
            if place in wanted
        ]
        if attempts:
            carried = {
                place for numbers in one.places for number in numbers for place in of_place[number]
            }
            is_failed = any(each.place in failed for each in attempts)
            users = sorted({deliveries[place].user for place in carried})
            found.append(_prepared(one, attempts, len(carried), users, settings, failed=is_failed))
    return found


def _prepared(
    one: Exchange,
    attempts: list[KeptAttempt],
    carried: int,
    users: Sequence[str],
    settings: Settings,
    *,
    failed: bool,
) -> KeptExchange:
    request, response, masker = one.request, one.response, settings.masker_of_answers
    body, is_request_cut, names = _request_body(request, one.request_bytes, settings)
    answer, is_answer_cut = None, False
    if response is not None and response.body:
        answer, is_answer_cut = _cut(response.body, one.answer_bytes, masker, masker.foreign)
    headers = {} if response is None else _answer_headers(response, masker)
    error = ""
    if one.error is not None:
        error = _plain(masker.foreign(one.error.message)[:_ERROR_CHARACTERS])
    return KeptExchange(
        at=one.began,
        seconds=one.seconds,
        kind=one.kind,
        request=one.definition.name,
        method=request.method,
        status=None if response is None else response.status,
        error=error,
        failed=failed,
        carried=carried,
        users=users,
        head=_content(_head(request, settings, names, one.steps)),
        request_body=None if body is None else _content(body),
        request_bytes=one.request_bytes,
        is_request_cut=is_request_cut,
        answer_head=zlib.compress(json.dumps(headers).encode(), _LEVEL) if headers else b"",
        answer_body=None if answer is None else _content(answer),
        answer_bytes=one.answer_bytes,
        is_answer_cut=is_answer_cut,
        attempts=attempts,
    )


def _head(
    request: HttpRequest,
    settings: Settings,
    of_body: Sequence[str] | None,
    steps: Sequence[str] = (),
) -> bytes:
    """Return URL and headers as JSON, with the names of the settings that are masked in them.

    These are in the order in which masks stand in the URL, the headers and the body; null if the
    order is not known. If ``steps`` made the request, their names come last: by item, or one for
    all.
    """
    masker = settings.masker
    texts = [value for value in settings.values() if isinstance(value, str)]
    hidden = {piece for text in texts for piece in query_pieces(reveal(text))}
    names = _secret_names(settings)
    found: list[str] | None = []
    shown: list[str] = []
    headers = {
        name: value
        for name, value in list(request.headers.items())[:_MOST_HEADERS]
        if name != STAND_IN_HEADER
    }
    for name, text in [("", request.url), *headers.items()]:
        most = _HEADER_CHARACTERS if name else _URL_CHARACTERS
        masked, own = masker.named(text[: most + masker.reach], names)
        again = masker.nested(masked)
        if not name:
            again = shown_url(again, hidden)
        elif name.lower() in _CREDENTIALS and MASK not in again:
            again = _without_credentials(again)
        found = None if found is None or again != masked else found + own
        shown.append(_ending(again, len(text), most, masker))
    if found is not None:
        found = None if of_body is None else found + list(of_body)
    url, *values = shown
    head: list[object] = [url, dict(zip(headers, values, strict=True)), found]
    if any(steps):
        head.append(steps[0] if len({*steps}) == 1 else list(steps))
    return json.dumps(head).encode()


def _ending(masked: str, length: int, most: int, masker: Masker) -> str:
    """Return a masked text that is not too long; nothing of a secret is left where it is cut."""
    if length <= most:
        return masked
    return masked[: max(0, min(most, len(masked) - masker.reach))] + "…"


def _without_credentials(value: str) -> str:
    scheme = _SCHEME.match(value)
    return f"{scheme[0] if scheme else ''}{MASK}"


def _answer_headers(response: HttpResponse, masker: Masker) -> Mapping[str, str]:
    return {
        _plain(masker.foreign(name))[:_HEADER_CHARACTERS]: MASK
        if name in _CREDENTIALS
        else _plain(
            _ending(
                masker.foreign(value[: _HEADER_CHARACTERS + masker.reach]),
                *(len(value), _HEADER_CHARACTERS, masker),
            )
        )
        for name, value in list(response.headers.items())[:_MOST_HEADERS]
    }


def _request_body(
    request: HttpRequest, length: int, settings: Settings
) -> tuple[bytes | None, bool, Sequence[str] | None]:
    """Return a body, whether it is cut, and the names of settings that are masked in it."""
    if request.body is None:
        return None, False, ()
    names = _secret_names(settings)
    found: list[list[str]] = []

    def mask(text: str) -> str:
        masked, own = settings.masker.named(text, names)
        again = settings.masker.nested(masked)
        if again == masked:
            found.append(own)
        return again

    data, is_cut = _cut(request.body, length, settings.masker, mask)
    return data, is_cut, found[0] if found and not is_cut else None


def _cut(
    body: bytes, length: int, masker: Masker, mask: Callable[[str], str]
) -> tuple[bytes, bool]:
    """Return the masked beginning of a body of some length, and whether there was more.

    A secret that begins before the cut is masked as a whole. Masking makes text shorter, so what
    is left out at the end is at least what a secret may take that goes on after it.
    """
    part = body[: BODY_BYTES + masker.reach]
    masked = mask(part.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    if length <= BODY_BYTES:
        return masked, False
    unsure = masker.reach if len(part) < length else 0
    return masked[: max(0, min(BODY_BYTES, len(masked) - unsure))], True


def _secret_names(settings: Settings) -> Mapping[str, str]:
    return {reveal(one): name for name, one in settings.items() if isinstance(one, Secret)}


def _content(text: bytes) -> Content:
    digest = hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
    return Content(digest, zlib.compress(text, _LEVEL))


def _plain(text: str) -> str:
    """Return text that any database takes."""
    return text.encode("utf-8", "replace").decode()
