"""Read the settings that come with a request, in the header in which Segment sends them."""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import jiter

from destinations.pipeline.queue import EventSettings

__all__ = ["HEADER", "HeaderError", "HeaderSettings", "SentSettings"]

HEADER: Final = "X-Segment-Settings"

_LONGEST: Final = 8_192
_KNOWN: Final = 500
"""Headers that are remembered: most customers send the same one with each request."""

_FORM: Final = f"{HEADER} must be a JSON object in Base64"


class HeaderError(Exception):
    """A header of settings cannot be read; ``message`` says why, in words for the customer."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class SentSettings(NamedTuple):
    """The settings that came with a request.

    ``account`` are those of them that belong to the customer's account, as JSON; empty if there
    are none. The others are ``of_events``, which are kept with the events.
    """

    values: Mapping[str, Any]
    account: str
    of_events: Mapping[str, Any]
    kept: EventSettings


class HeaderSettings:
    """Takes the settings ``names`` from requests; safe for threads.

    Those of ``of_account``, other than the key, tell accounts apart. ``keep`` returns what is kept
    of settings. With ``is_read`` the header is looked at, also where nothing is taken of it.
    """

    def __init__(
        self,
        names: Collection[str],
        of_account: Collection[str],
        keep: Callable[[Mapping[str, Any]], EventSettings],
        *,
        is_read: bool = True,
    ) -> None:
        self.names = frozenset(names)
        self.is_read = is_read
        self._of_account = frozenset(of_account)
        self._keep = keep
        self._known: OrderedDict[bytes, SentSettings] = OrderedDict()

    def read(self, header: bytes | None) -> SentSettings:
        """Return what is taken of a request's header; raises `HeaderError` if it is malformed."""
        data = header or b""
        known = self._known.get(data)
        if known is None:
            values = self.taken({} if header is None else _decoded(data))
            of_events = {
                name: value for name, value in values.items() if name not in self._of_account
            }
            known = SentSettings(values, self.account_of(values), of_events, self._keep(of_events))
            self._known[data] = known
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return known

    def taken(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of settings that may come with a request."""
        return {name: given[name] for name in sorted(self.names) if given.get(name) is not None}

    def in_account(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of settings that belong to the account."""
        return {name: value for name, value in values.items() if name in self._of_account}

    def account_of(self, values: Mapping[str, Any]) -> str:
        """Return those of settings that belong to the account, as JSON; empty if there are none."""
        found = self.in_account(values)
        return json.dumps(found, sort_keys=True) if found else ""


def _decoded(header: bytes) -> Mapping[str, Any]:
    if len(header) > _LONGEST:
        raise HeaderError(f"{HEADER} is longer than {_LONGEST:,} bytes")
    if b"," in header:  # as several lines are joined
        raise HeaderError(f"{HEADER} comes more than once")
    try:
        text = base64.b64decode(header.strip(), validate=True)
    except binascii.Error:
        raise HeaderError(f"{_FORM}: it is not Base64") from None
    try:
        found = jiter.from_json(text, allow_inf_nan=False)
    except ValueError:
        raise HeaderError(f"{_FORM}: what it decodes to is not JSON") from None
    if not isinstance(found, dict):
        raise HeaderError(f"{_FORM}: what it decodes to is no object")
    return found
