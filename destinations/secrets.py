"""Secrets as a type, and the mask that keeps them out of everything that can be seen."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Masker", "Secret"]

MASK: Final = "***"

# A shorter value would mask ordinary words; no credential that is worth its name is shorter.
_SHORTEST: Final = 4


class Secret(str):
    """Text that shows itself only to the transport.

    Printing, formatting and ``repr`` give ``***``. As text (headers, JSON, slices, `str.join`) it
    is the value, so that mappings and requests work on it unchanged. That of a secret is the same
    secret.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Make a secret of its value."""
        return super().__new__(cls, "".join(value))

    def __repr__(self) -> str:
        return f"{MASK!r}"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)


class Masker:
    """Replaces secrets by value, also where they were encoded on the way.

    Known encodings: JSON escapes, percent-encoding, and Base64, alone or within a longer text (as
    in HTTP Basic); of that, characters that hold bits of the text around it are left.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms("".join(secret))}
        # Longest first: a secret that contains another is replaced as a whole.
        alternatives = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        self._pattern = re.compile(alternatives) if alternatives else None

    def text(self, text: str) -> str:
        """``text`` with every secret replaced by ``***``."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def value(self, value: Any) -> Any:
        """A copy of a JSON value with every secret in its texts and keys replaced."""
        if isinstance(value, str):
            return self.text("".join(value))
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _forms(secret: str) -> Iterable[str]:
    if len(secret) < _SHORTEST:
        return
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield from _base64_forms(secret.encode("utf-8", "surrogatepass"))


def _base64_forms(secret: bytes) -> Iterable[str]:
    """What Base64 makes of ``secret`` wherever it begins: three bytes make four characters.

    Characters that also hold bits of what stands before or after it are not fixed: left out.
    """
    yield base64.b64encode(secret).decode().rstrip("=")
    for before in range(3):
        bits = 8 * (before + len(secret))
        text = base64.b64encode(bytes(before) + secret).decode()
        yield text[-(-8 * before // 6) : bits // 6]
