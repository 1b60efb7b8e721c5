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
        "step": attempt.step or None,
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

    A variable stands for each secret, such as ``$API_KEY`` for the setting apiKey, and
    ``$BASIC_CREDENTIALS`` for ``USER:PASSWORD`` of HTTP Basic. Raises `UsageError` if not all of
    the request is kept.
    """
    _check_whole(attempt)
    names = _Names(attempt.secret_names)
    method = shlex.quote(attempt.method)
    parts = [f"curl --globoff -X {method} {names.quoted(_sent_url(attempt.url), is_url=True)}"]
    headers = {name.lower(): value for name, value in attempt.request_headers.items()}
    parts += [_header(name, value, names) for name, value in attempt.request_headers.items()]
    body = attempt.request_body
    if body is None and attempt.method in _WITHOUT_BODY:
        return names.with_functions(_joined(parts))
    if "content-type" not in headers:
        parts.append("-H 'Content-Type:'")  # curl would name a type of its own
    text = (body or b"").decode("utf-8", "surrogateescape")
    is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if headers.get("content-encoding", "").lower() == "gzip":  # it is kept as it was before
        printed = names.printed(text, is_form=is_form)
        return names.with_functions(
            f"{printed} | gzip -c | {_joined([*parts, '--data-binary @-'])}"
        )
    if text.isprintable():
        # A body that begins with @ would be the name of a file.
        parts.append(f"--data-raw {names.quoted(text, is_form=is_form)}")
        return names.with_functions(_joined(parts))
    printed = names.printed(text, is_form=is_form)
    return names.with_functions(f"{printed} | {_joined([*parts, '--data-binary @-'])}")


_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})
"""The methods whose requests say nothing of a body that they do not have."""

_CUT: Final = "…"
"""How a URL or a header ends of which only the beginning is kept."""


def _check_whole(attempt: Attempt) -> None:
    """Raise `UsageError` unless all of a request is kept."""
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
    for what, text in [("URL", attempt.url), *attempt.request_headers.items()]:
        if text.endswith(_CUT):
            what = what if what == "URL" else f"header {what}"  # noqa: PLW2901 - in words
            raise UsageError(
                f"attempt {attempt.number} cannot be repeated: only the beginning of its {what} is "
                "kept"
            )


def _sent_url(url: str) -> str:
    """Return a URL as it is sent, with the characters escaped that no URL has."""
    from requests import PreparedRequest  # noqa: PLC0415 - slow to import
    from requests.exceptions import RequestException  # noqa: PLC0415 - as above

    prepared = PreparedRequest()
    try:
        prepared.prepare_url(url, None)
    except (RequestException, ValueError):  # a variable stands for its host, or for all of it
        return url
    return prepared.url or url


def _header(name: str, value: str, names: _Names) -> str:
    """Return the option that gives curl a header."""
    if not value.strip():
        return f"-H {shlex.quote(f'{name};')}"  # without a value, it would take the header out
    if name.lower() == "authorization" and value == f"Basic {MASK}" and names.is_encoded_next():
        names.skip()
        return f'--user "${_BASIC}"'
    text = f"{name}: {value}"
    if text.isascii():
        return f"-H {names.quoted(text)}"
    # Headers are sent in Latin-1, and words of a shell are in UTF-8 as a rule.
    return f'-H "$({names.printed(text, encoding="latin-1")})"'


def _joined(parts: Sequence[str]) -> str:
    return " \\\n  ".join(parts)


_BASIC: Final = "BASIC_CREDENTIALS"
_URL_ENCODED: Final = "/url"
_FUNCTION: Final = """\
urlencode() { LC_ALL=C awk 'BEGIN {
  for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i
  for (i = 1; i <= length(ARGV[1]); i++) {
    c = substr(ARGV[1], i, 1)
    if (c ~ /[A-Za-z0-9_.~-]/) printf "%s", c
    else if (c == " ") printf "+"
    else printf "%%%02X", code[c]
  }
}' "$1"; }
"""
"""A function of the shell that escapes a text for a query or a form."""


class _Names:
    """The variables of masks, in the order in which these stand in a request."""

    def __init__(self, names: Sequence[str] | None) -> None:
        self._names = None if names is None else list(names)
        self._encodes = False

    def with_functions(self, command: str) -> str:
        """Return a command with the functions that it uses before it."""
        return f"{_FUNCTION}{command}" if self._encodes else command

    def is_encoded_next(self) -> bool:
        """Return whether what stands for the next mask is in Base64, or not known."""
        return not self._names or self._names[0].endswith("/base64")

    def skip(self) -> None:
        """Leave the next mask to somebody else."""
        if self._names:
            self._names.pop(0)

    def _pieces(self, text: str, *, is_url: bool, is_form: bool) -> Iterator[tuple[str, str]]:
        """Yield pieces of text, each with the word of the shell that comes after it, if any."""
        *before, last = text.split(MASK)
        so_far = ""
        for piece in before:
            so_far += piece
            name = None if self._names is None else next(iter(self._names), "")
            self.skip()
            if name == "":
                yield piece + MASK, ""
                continue
            word = f'"${_variable((name or _ANY_SECRET).removesuffix(_URL_ENCODED))}"'
            # What needed no escaping has none: another value may need it.
            is_query = is_form or (is_url and "?" in so_far)
            if is_query or (name or "").endswith(_URL_ENCODED):
                self._encodes = True
                # Only queries and forms have + for a space; a + itself is escaped by then.
                spaces = "" if is_query else " | sed 's/+/%20/g'"
                word = f'"$(urlencode {word}{spaces})"'
            yield piece, word
        yield last, ""

    def quoted(self, text: str, *, is_url: bool = False, is_form: bool = False) -> str:
        """Return text as one word of a shell."""
        found = "".join(
            (shlex.quote(piece) if piece else "") + word
            for piece, word in self._pieces(text, is_url=is_url, is_form=is_form)
        )
        return found or "''"

    def printed(self, text: str, *, is_form: bool = False, encoding: str = "utf-8") -> str:
        """Return a command that prints any bytes, as no word of a shell can have all of them."""
        form, variables = "", ""
        errors = "surrogateescape" if encoding == "utf-8" else "replace"
        for piece, word in self._pieces(text, is_url=False, is_form=is_form):
            form += "".join(map(_octal, piece.encode(encoding, errors)))
            if word:
                form += "%s"
                variables += f" {word}"
        return f"printf '{form}'{variables}"


def _octal(byte: int) -> str:
    character = chr(byte)
    if character == "%":
        return "%%"
    return character if character.isalnum() and byte < 128 else f"\\{byte:03o}"


def _variable(name: str) -> str:
    """Return the name of a setting as that of a variable: ``apiKey`` is ``API_KEY``."""
    return "_".join(_WORDS.findall(name)).upper() or _ANY_SECRET
