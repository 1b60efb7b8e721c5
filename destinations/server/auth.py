"""Check who may post: several keys and signatures at a time, so each can be changed on its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from destinations.secrets import Secret, reveal

__all__ = ["Authenticator", "presented_key"]


def _bytes(secret: Secret) -> bytes:
    return reveal(secret).encode()


class Authenticator:
    """The keys and signature secrets of one destination. Where it has both, both must hold.

    All comparisons take as long for a wrong value as for a right one, whatever its length: digests
    are compared, with every key that is known.
    """

    def __init__(
        self, keys: Sequence[Secret] = (), signature_secrets: Sequence[Secret] = ()
    ) -> None:
        self._digests = tuple(hashlib.sha256(_bytes(key)).digest() for key in keys)
        self._secrets = tuple(_bytes(secret) for secret in signature_secrets)

    @property
    def is_open(self) -> bool:
        """Whether any client may post."""
        return not self._digests and not self._secrets

    @property
    def wants_key(self) -> bool:
        """Whether a key is needed."""
        return bool(self._digests)

    @property
    def wants_signature(self) -> bool:
        """Whether a signature is needed."""
        return bool(self._secrets)

    def has_key(self, authorization: bytes | None) -> bool:
        """Return whether an ``Authorization`` header holds one of the keys.

        As Segment sends it (``Basic base64(key + ":")``), as ``Bearer key``, or just the key.
        """
        presented = presented_key(authorization)
        return self.is_key(presented or b"") and presented is not None

    def is_key(self, key: bytes) -> bool:
        """Return whether this is one of the keys."""
        digest = hashlib.sha256(key).digest()
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(digest, known)
        return found

    def is_signed(self, signature: bytes | None, data: bytes) -> bool:
        """Return whether ``X-Signature`` is the lower-case hex HMAC-SHA1 of ``data``.

        By any of the secrets. Without a signature nothing is computed.
        """
        if not signature:
            return False
        found = False
        for secret in self._secrets:
            expected = hmac.digest(secret, data, "sha1").hex().encode()
            found |= hmac.compare_digest(signature, expected)
        return found


def presented_key(authorization: bytes | None) -> bytes | None:
    """Return the key in an ``Authorization`` header; None if there is none.

    As Segment sends it (``Basic base64(key + ":")``), as ``Bearer key``, or just the key.
    """
    if not authorization:
        return None
    scheme, _, rest = authorization.strip().partition(b" ")
    match scheme.lower():
        case b"basic":
            try:
                decoded = base64.b64decode(rest.strip(), validate=True)
            except binascii.Error:
                return None
            # Only the last colon is not part of the key: an empty password leaves it.
            return decoded.removesuffix(b":") or None
        case b"bearer":
            return rest.strip() or None
    return authorization.strip()
