"""Sign the bodies of requests with an HMAC, in the form that a receiver checks."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.clock import unix_time
from destinations.definition import Signature
from destinations.errors import ResolveError
from destinations.http.answer import Context
from destinations.secrets import reveal
from destinations.segment.mapping import compile_value

__all__ = ["Signer"]

_PLACEHOLDER: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_NAME_OF_SETTING: Final = re.compile(r"<[^<>]+>")
"""The name of a setting in place of its value, in requests that are only shown."""


class Signer:
    """The header of a signature, and that of its time, compiled once."""

    def __init__(self, sign: Signature) -> None:
        self._sign = sign
        self._secret = compile_value(sign.secret)
        # Text at even places, names between the texts.
        self._message = _PLACEHOLDER.split(sign.message)
        self._value = _PLACEHOLDER.split(sign.value)
        names = {*self._message[1::2], *self._value[1::2]}
        self.has_time: Final = sign.timestamp_header is not None or "timestamp" in names
        self._is_text = sign.secret_encoding == "text"  # noqa: S105 - the name of an encoding
        whole = (sign.message, sign.value, sign.encoding)
        self._is_plain = whole == ("{{body}}", "{{signature}}", "hex") and not self.has_time

    def sign(self, body: bytes, context: Context) -> Mapping[str, str]:
        """Return the headers of a body that is sent now; none without a secret."""
        key = self.key(context)
        if key is None:
            return {}
        if self._is_plain:  # most are
            return {self._sign.header: hmac.digest(key, body, self._sign.algorithm).hex()}
        return self.headers(key, body, str(int(unix_time())))

    def key(self, context: Context) -> bytes | None:
        """Return the secret as bytes; None without one, as nothing is signed then.

        Raises `ResolveError` if it is not in Base64 although it should be.
        """
        secret = self._secret.resolve(context)
        if not isinstance(secret, str) or not secret:
            return None
        text = reveal(secret)
        if self._is_text or _NAME_OF_SETTING.fullmatch(text):
            return text.encode()
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            message = "must be Base64, as secretEncoding says"
            raise ResolveError("/sign/secret", message) from None

    def headers(self, key: bytes, body: bytes, timestamp: str) -> Mapping[str, str]:
        """Return the headers of a body, signed at a time in whole seconds since 1970."""
        sign = self._sign
        values = {"body": body, "timestamp": timestamp.encode()}
        digest = hmac.digest(key, _filled(self._message, values), sign.algorithm)
        is_hex = sign.encoding == "hex"
        made = digest.hex().encode() if is_hex else base64.b64encode(digest)
        signed = {"signature": made, "timestamp": timestamp.encode()}
        found = {sign.header: _filled(self._value, signed).decode()}
        if sign.timestamp_header is not None:
            found[sign.timestamp_header] = timestamp
        return found

    def time_of(self, headers: Mapping[str, str]) -> str | None:
        """Return the time that headers, by names in lower case, say; None if they say none."""
        sign = self._sign
        if sign.timestamp_header is not None:
            return headers.get(sign.timestamp_header.lower())
        if "timestamp" not in self._value[1::2]:
            return None
        groups = {"timestamp": "(?P<timestamp>[0-9]+)", "signature": ".+?"}
        pattern = "".join(
            groups[one] if at % 2 else re.escape(one) for at, one in enumerate(self._value)
        )
        found = re.fullmatch(pattern, headers.get(sign.header.lower(), ""))
        return None if found is None else found["timestamp"]


def _filled(pieces: Sequence[str], values: Mapping[str, Any]) -> bytes:
    return b"".join(values[one] if at % 2 else one.encode() for at, one in enumerate(pieces))
