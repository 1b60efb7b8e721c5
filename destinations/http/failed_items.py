"""Match the failed items of a batch's answer to the events of the batch.

If a failed item cannot be matched to an event, none of the events counts as delivered: any of them
may be the one that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from destinations.definition import FailedItems
from destinations.errors import ResolveError
from destinations.http.answer import WITHOUT_REASON, Answer, Failure
from destinations.http.envelope import one_line
from destinations.http.error_rules import ErrorReader, Signal
from destinations.http.json_bytes import encode_json
from destinations.segment.javascript import UNDEFINED, to_string
from destinations.segment.mapping import CompiledValue, compile_value

__all__ = ["FailedItemReader"]

Verdict = Answer | Failure
Sent = Callable[[], Sequence[Any]]
"""Returns the ``json`` of each event of the request; called only if items have ids."""

_NOTHING: Final[Sequence[Any]] = (None, [], {}, "", False, 0)
_UNREADABLE: Final = "the status of its item is unreadable"


@dataclass(slots=True)
class _Found:
    """The verdicts of an answer's items: by event, and of items that match no event."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    unplaced: list[tuple[frozenset[int] | None, Verdict | None]] = field(default_factory=list)


class FailedItemReader:
    """The ``failures`` of one request's batch, compiled; ``place`` is where they stand.

    With ``all_or_nothing`` no event was applied if one of them failed.
    """

    def __init__(
        self,
        definition: FailedItems,
        errors: ErrorReader,
        place: str = "",
        *,
        all_or_nothing: bool = False,
    ) -> None:
        self._place = place
        self._all_or_nothing = all_or_nothing
        self._statuses = definition.statuses
        self._items = compile_value(definition.items)
        self._index = _compiled(definition.index)
        self._item_id, self._event_id = map(_compiled, (definition.item_id, definition.event_id))
        self._status, self._code = _compiled(definition.item_status), _compiled(definition.code)
        self._message = _compiled(definition.message)
        self._errors = errors
        self._is_positional = self._index is None and self._item_id is None

    def read(self, status: int, body: Any, count: int, sent: Sent) -> list[Verdict] | None:
        """Return a verdict for each of ``count`` events; None if the answer lists no items."""
        if status not in self._statuses:
            return None
        items = self._listed_in(body)
        if items in _NOTHING:
            if not self._is_positional:
                return None  # only failed items are listed, so nothing failed
            items = []  # all items are listed, so an empty list says nothing
        found = self._found(items, status, count, sent)
        if not found.unplaced and not found.verdicts:
            return None
        verdicts = [self._verdict(at, found, body, status, count) for at in range(count)]
        if self._all_or_nothing:
            verdicts = _none_applied(verdicts, status)
        return [
            replace(one, rule=self._place) if isinstance(one, Failure) and not one.rule else one
            for one in verdicts
        ]

    def _listed_in(self, body: Any) -> Any:
        """Return the items of an answer; None if it has none."""
        if not isinstance(body, dict | list):
            return None
        try:
            items = self._items.resolve(body)
        except ResolveError as error:
            return f"unreadable items: {error}"
        return None if items is UNDEFINED else items

    def _verdict(self, place: int, found: _Found, body: Any, status: int, count: int) -> Verdict:
        if place in found.verdicts:
            return found.verdicts[place]
        for places, verdict in found.unplaced:
            if count == 1 and verdict is not None:
                return verdict  # it can only be this event's
            if places is None or place in places:
                return _unplaced(verdict, status)
        return Answer("ok", body)

    def _found(self, items: Any, status: int, count: int, sent: Sent) -> _Found:
        found = _Found()
        ids = self._ids(sent) if self._item_id is not None else {}
        listed = list(_listed(items, ids))
        is_complete = len(listed) == count
        for at, (key, item) in enumerate(listed):
            verdict = self._of_item(item, status)
            if verdict is None:
                continue
            places = self._places(at if is_complete else None, key, item, ids)
            if len(places) == 1 and (place := next(iter(places))) in range(count):
                found.verdicts[place] = verdict
            else:
                found.unplaced.append((places if len(places) > 1 else None, verdict))
        if self._is_positional and not is_complete:
            found.unplaced.append((None, None))
        return found

    def _places(
        self, at: int | None, key: object, item: Any, ids: Mapping[str, frozenset[int]]
    ) -> frozenset[int]:
        """Return the positions of the events that an item may belong to; empty if unreadable."""
        if self._is_positional:
            return frozenset() if at is None else frozenset({at})
        if self._item_id is not None:
            own = _resolved(self._item_id, item)
            return ids.get(_id_text(key if own is None else own), frozenset())
        index = _place(_resolved(self._index, item))
        index = _place(key) if index is None else index
        return frozenset() if index is None else frozenset({index})

    def _ids(self, sent: Sent) -> Mapping[str, frozenset[int]]:
        found: dict[str, set[int]] = {}
        for place, event in enumerate(sent()):
            identity = _id_text(_resolved(self._event_id, event))
            if identity:
                found.setdefault(identity, set()).add(place)
        return {identity: frozenset(places) for identity, places in found.items()}

    def _of_item(self, item: Any, status: int) -> Verdict | None:
        """Return an item's verdict; None if it is a success."""
        own = status
        if self._status is not None:
            read = _place(_resolved(self._status, item))
            if read is None:
                return _unknown(_UNREADABLE, status)
            if 200 <= read < 300:
                return None
            own = read
        message = _resolved(self._message, item)
        text = one_line(to_string(message) if message is not None else _own_text(item))
        code = _resolved(self._code, item)
        if self._code is None and self._status is None:
            return _refused(text, status)
        signal = Signal(own, text, code=None if code is None else to_string(code), body=item)
        matched = self._errors.match(signal, whole_request=False)
        if matched is not None:
            return matched
        if self._status is None:
            return _refused(text, status)
        verdict = self._errors.read(signal, whole_request=False)
        if isinstance(verdict, Failure) and 400 <= own < 500 and not verdict.retryable:
            return replace(
                verdict, nothing_applied=True
            )  # the partner has processed this very item
        return verdict


def _compiled(mapping: object) -> CompiledValue | None:
    return None if mapping is None else compile_value(mapping)


def _resolved(mapping: CompiledValue | None, item: Any) -> Any:
    """Return the value of a mapping for an item; None for null and undefined."""
    if mapping is None or not isinstance(item, dict | list):
        return None
    try:
        value = mapping.resolve(item)
    except ResolveError:
        return None
    return None if value is UNDEFINED else value


def _listed(items: Any, ids: Container[object]) -> Iterator[tuple[object, Any]]:
    """Yield (key, item) pairs; the key is None unless the items are in an object.

    Partners send lists, a single item, objects of items by position or id, and text.
    """
    if isinstance(items, list):
        yield from ((None, item) for item in items)
    elif isinstance(items, dict) and (
        all(isinstance(item, dict | list) for item in items.values())
        or all(_place(key) is not None or key in ids for key in items)
    ):
        yield from items.items()
    else:
        yield None, items


def _place(value: object) -> int | None:
    """Return a position, given as a number or its digits; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value) if 0 <= value < 10**9 else None


def _id_text(value: object) -> str:
    """Return an id as text, so that 1 and "1" are equal; empty if it is not an id."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return to_string(value)


def _own_text(item: Any) -> str:
    if isinstance(item, str):
        return item
    try:
        return encode_json(item).decode()
    except ResolveError:
        return "an item of the answer failed"


def _refused(message: str, status: int) -> Failure:
    return Failure(
        message or WITHOUT_REASON,
        "invalid",
        status,
        retryable=False,
        nothing_applied=True,
        whole_request=False,
    )


def _unknown(message: str, status: int) -> Failure:
    return Failure(
        message, "internal", status, retryable=True, nothing_applied=False, whole_request=False
    )


def _none_applied(verdicts: Sequence[Verdict], status: int) -> list[Verdict]:
    """Return the verdicts on a batch of which nothing was applied, unless all of it was."""
    if all(isinstance(one, Answer) for one in verdicts):
        return list(verdicts)
    beside = Failure(
        *("not applied, as other events of its batch failed", "conflict", status),
        retryable=True,
        nothing_applied=True,
        whole_request=False,
        beside=True,
    )
    return [
        replace(one, nothing_applied=True) if isinstance(one, Failure) else beside
        for one in verdicts
    ]


def _unplaced(verdict: Verdict | None, status: int) -> Failure:
    """Return the verdict of an unmatched item for each event that it may belong to."""
    reason = "items are missing" if verdict is None else "one of them failed"
    said = f": {verdict.message}" if isinstance(verdict, Failure) and verdict.message else ""
    return Failure(
        f"the answer does not identify the failed events of the batch: {reason}{said}",
        "internal",
        status,
        retryable=True,
        nothing_applied=False,
        unplaced=True,
    )
