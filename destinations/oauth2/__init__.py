"""Get access tokens (RFC 6749), keep them, and send requests with them."""

from destinations.oauth2.access import Access, AccessTokens, Sent
from destinations.oauth2.answers import RULE, Cure, TokenAnswer, TokenError, read_answer
from destinations.oauth2.endpoint import TokenEndpoint, check_library
from destinations.oauth2.holder import TokenHolder
from destinations.oauth2.keeping import KeptToken, MemoryKeeper, TokenKeeper

__all__ = [
    "RULE",
    "Access",
    "AccessTokens",
    "Cure",
    "KeptToken",
    "MemoryKeeper",
    "Sent",
    "TokenAnswer",
    "TokenEndpoint",
    "TokenError",
    "TokenHolder",
    "TokenKeeper",
    "check_library",
    "read_answer",
]
