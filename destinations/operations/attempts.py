"""Show the attempts of a delivery: as JSON, and as a command that repeats a request."""

from __future__ import annotations

import base64
import codecs
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.errors import UsageError
from destinations.outcome import Outcome, Status
from destinations.secrets import MASK
from destinations.store import Attempt

__all__ = ["attempt_record", "chosen_attempt", "curl_command", "what_is_missing"]

_ANY_SECRET: Final = "SECRET"  # noqa: S105 - the name of a variable
_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")


def chosen_attempt(attempts: Sequence[Attempt], number: int | None) -> Attempt:
    """Return the attempt with a number, or the last that sent something without one.

    Raises `UsageError` if there is none.
    """
    if not attempts:
        raise UsageError(
            "no attempts of this delivery are kept: it was not sent yet, they were deleted, or "
            "keepAttempts keeps none of it"
        )
    if number is None:
        return next((one for one in reversed(attempts) if one.kind == "send"), attempts[-1])
    for one in attempts:
        if one.number == number:
            return one
    numbers = ", ".join(str(one.number) for one in attempts)
    raise UsageError(f"no attempt {number} of this delivery is kept; there are: {numbers}")


def what_is_missing(outcome: Status | None, attempts: Sequence[Attempt]) -> str:
    """Return a sentence if the request that delivered an event is not among its kept attempts.

    After a replay a delivery begins anew: if it is delivered at once then, that is kept only for a
    share, as with any other.
    """
    sent = [one for one in attempts if one.kind == "send"]
    if outcome is not Outcome.DELIVERED or not sent or sent[-1].error_class is None:
        return ""
    return (
        "The request that delivered it is not among them: of what is delivered at once, also after "
        "a replay, only a share is kept (keepAttempts: sample)."
    )


def attempt_record(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as JSON; ``at`` is in seconds since 1970, UTC.

    A body is text, or Base64 if it is not UTF-8, with its whole length in bytes.
    """
    return {
        "number": attempt.number,
        "at": attempt.at,
        "seconds": attempt.seconds,
        "kind": attempt.kind,
        "request": attempt.request,
        "method": attempt.method,
        "url": attempt.url,
        "headers": dict(attempt.request_headers),
        "body": _body(attempt.request_body, attempt.request_bytes, cut=attempt.is_request_cut),
        "deliveries": attempt.deliveries,
        "status": attempt.status,
        "answer_headers": dict(attempt.answer_headers),
        "answer_body": _body(attempt.answer_body, attempt.answer_bytes, cut=attempt.is_answer_cut),
        "error": attempt.error or None,
        "class": attempt.error_class,
        "rule": attempt.rule,
        "outcome": None if attempt.outcome is None else attempt.outcome.value,
        "erased": attempt.is_erased,
    }


def _body(data: bytes | None, length: int, *, cut: bool) -> Mapping[str, Any] | None:
    if data is None:
        return None
    try:
        # What is cut may end within a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut)
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode(), "bytes": length, "cut": cut}
    return {"text": text, "bytes": length, "cut": cut}


# -- curl ------------------------------------------------------------------------------------------


def curl_command(attempt: Attempt) -> str:
    """Return a command for a POSIX shell that makes a request again.

    A variable stands for each secret, such as ``$API_KEY`` for the setting apiKey. Raises
    `UsageError` if not all of the request is kept.
    """
    if attempt.is_erased:
        raise UsageError(
            f"attempt {attempt.number} was erased: its request had data of a user who was erased"
        )
    if attempt.is_request_cut:
        kept = 0 if attempt.request_body is None else len(attempt.request_body)
        raise UsageError(
            f"attempt {attempt.number} cannot be repeated: {kept:,} of the "
            f"{attempt.request_bytes:,} bytes of its body are kept"
        )
    names = _Names(attempt.secret_names)
    parts = [f"curl --globoff -X {shlex.quote(attempt.method)} {names.quoted(attempt.url)}"]
    parts += [
        f"-H {names.quoted(f'{name}: {value}')}" for name, value in attempt.request_headers.items()
    ]
    if attempt.request_body is None:
        return _joined(parts)
    text = attempt.request_body.decode("utf-8", "surrogateescape")
    headers = {name.lower(): value for name, value in attempt.request_headers.items()}
    if headers.get("content-encoding") == "gzip":  # the body is kept as it was before
        return f"{names.printed(text)} | gzip -c | {_joined([*parts, '--data-binary @-'])}"
    if text.isprintable():
        # A body that begins with @ would be the name of a file.
        return _joined([*parts, f"--data-raw {names.quoted(text)}"])
    return f"{names.printed(text)} | {_joined([*parts, '--data-binary @-'])}"


def _joined(parts: Sequence[str]) -> str:
    return " \\\n  ".join(parts)


class _Names:
    """The variables of masks, in the order in which these stand in a request."""

    def __init__(self, names: Sequence[str] | None) -> None:
        self._names = None if names is None else iter(names)

    def _pieces(self, text: str) -> Iterator[tuple[str, str | None]]:
        """Yield pieces of text, each with the variable that comes after it."""
        *before, last = text.split(MASK)
        for piece in before:
            name = None if self._names is None else next(self._names, None)
            if name == "":
                yield piece + MASK, None
            else:
                yield piece, _variable(name or _ANY_SECRET)
        yield last, None

    def quoted(self, text: str) -> str:
        """Return text as one word of a shell."""
        found = "".join(
            (shlex.quote(piece) if piece else "") + (f'"${name}"' if name else "")
            for piece, name in self._pieces(text)
        )
        return found or "''"

    def printed(self, text: str) -> str:
        """Return a command that prints any bytes, as no word of a shell can have all of them."""
        form, variables = "", ""
        for piece, name in self._pieces(text):
            form += "".join(map(_octal, piece.encode("utf-8", "surrogateescape")))
            if name:
                form += "%s"
                variables += f' "${name}"'
        return f"printf '{form}'{variables}"


def _octal(byte: int) -> str:
    character = chr(byte)
    if character == "%":
        return "%%"
    return character if character.isalnum() and byte < 128 else f"\\{byte:03o}"


def _variable(name: str) -> str:
    """Return the name of a setting as that of a variable: ``apiKey`` is ``API_KEY``."""
    return "_".join(_WORDS.findall(name)).upper() or _ANY_SECRET
