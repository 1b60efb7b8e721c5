"""Make the digests that find messages and shorten texts."""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = [
    "DIGEST_BYTES",
    "PLAIN",
    "PlainId",
    "message_digest",
    "packed_id",
    "packed_value",
    "unpacked_id",
]

DIGEST_BYTES: Final = 12

PLAIN: Final = b"\x7f"
"""The first byte of an id that is a text, where a column takes only bytes."""

_UUID: Final = re.compile(
    r"(.{0,24}?)([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12})"
)
_UPPER: Final = 0x80
_UUID_LENGTH: Final = 36


def message_digest(scope: int, message_id: str) -> bytes:
    """Return the digest of a messageId within a scope.

    It has 96 bits: among 10^9 messages, the chance that two are taken for one is below 10^-10.
    """
    text = f"{scope}\0{message_id}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()


class PlainId(str):
    """An id that is a text, for a column that has packed ones as well: see `packed_value`."""

    __slots__ = ()


def packed_id(text: str) -> str | bytes:
    """Return an id as it is kept: one that ends in a UUID as its prefix and 16 bytes.

    That halves what a finished event takes. The first byte is the length of the prefix, with the
    highest bit set where the UUID is in upper case.
    """
    if len(text) < _UUID_LENGTH or text[-13] != "-":
        return text
    match = _UUID.fullmatch(text)
    if match is None:
        return text
    prefix, uuid = match[1].encode("utf-8", "surrogatepass"), match[2]
    if len(prefix) >= PLAIN[0]:
        return text
    mark = len(prefix) | (_UPPER if uuid.upper() == uuid and uuid.lower() != uuid else 0)
    return bytes([mark]) + prefix + bytes.fromhex(uuid.replace("-", ""))


def packed_value(text: str) -> PlainId | bytes:
    """Return an id as `packed_id` does, as a value of a statement of its own.

    Where the column takes only bytes, its type says that it is not any text.
    """
    packed = packed_id(text)
    return PlainId(packed) if isinstance(packed, str) else packed


def unpacked_id(kept: str | bytes) -> str:
    """Return the id that `packed_id` was given."""
    if isinstance(kept, str):
        return kept
    if kept[:1] == PLAIN:
        return kept[1:].decode("utf-8", "surrogatepass")
    length = kept[0] & ~_UPPER
    digits = kept[1 + length :].hex()
    uuid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    if kept[0] & _UPPER:
        uuid = uuid.upper()
    return kept[1 : 1 + length].decode("utf-8", "surrogatepass") + uuid
