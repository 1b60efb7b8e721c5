"""Scripted faults: what goes wrong with which request.

A rule says to which requests it applies, and what happens to them::

    {"nth": 3}                          the third request since the start (from 1)
    {"match": "createUser"}             text in the body, or in a GraphQL query
    {"match": {"operation": "Lookup", "rootField": "user", "alias": "r0", "text": "userId"}}
                                        each that is given must hold; ``request`` is the name that
                                        a definition gives to the request
    {"times": 2}                        at most this often; by default once, null for always

    {"status": 503, "retryAfter": 2}    an HTTP error; it is run only if "apply" is true
    {"body": "<html>"}                  this text as the body; it is run only if "apply" is true
    {"drop": "before" | "after"}        the connection closes before or after it is run
    {"late": 3}                         the connection closes; it is run after three more requests
    {"again": [0, 3]}                   it is run again at once, and again after three more requests
    {"delay": 0.5}, {"hold": 0.5}       seconds to wait after it is run, or before
    {"drip": {"bytes": 1, "interval": 0.1}}     the body comes in pieces
    {"cut": 20}                         only that many bytes of the body, then the connection ends
    {"errors": {"r0": {"message": "...", "code": "...", "exception": "..."}}}
                                        these aliases fail and are not run; "*" fails the request.
                                        Without a type if "exception" is null, else Error
    {"omitAlias": ["r1"]}, {"dataNull": true}   it is run, but the answer lacks the result

Aliases are those of GraphQL; a stand-in made from a definition calls the events of any batch
``e0``, ``e1`` and so on.

Of the rules that apply to a request, only the first is used. A rule is gone after ``times`` uses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from destinations.errors import DefinitionError, Issue, did_you_mean
from destinations.sandbox.schema_issues import schema_issues, shipped_schema
from destinations.segment.json_pointer import pointer

__all__ = [
    "WHOLE_REQUEST",
    "Drip",
    "FaultRule",
    "Faults",
    "InjectedError",
    "Match",
    "RequestFacts",
    "RootField",
]

RootField = tuple[str, str]
"""Alias (the field's name without one) and field."""

WHOLE_REQUEST: Final = "*"
"""The alias in ``errors`` that stands for the whole request: nothing is run."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The part of a request that rules read; ``number`` counts requests from 1.

    ``request`` is the name that the definition gives to it.
    """

    number: int
    query: str = ""
    body: bytes = b""
    operation: str | None = None
    roots: tuple[RootField, ...] = ()
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions; all that are given must hold. ``text`` is in the query or the raw body."""

    operation: str | None = None
    root_field: str | None = None
    alias: str | None = None
    text: str | None = None
    request: str | None = None

    def holds(self, facts: RequestFacts) -> bool:
        """Return whether the request has all that is given."""
        return (
            self.operation in (None, facts.operation)
            and self.request in (None, facts.request)
            and (self.root_field is None or any(f == self.root_field for _, f in facts.roots))
            and (self.alias is None or any(alias == self.alias for alias, _ in facts.roots))
            and (
                self.text is None
                or self.text in facts.query
                or self.text.encode("utf-8", "replace") in facts.body
            )
        )


@dataclass(frozen=True, slots=True)
class InjectedError:
    """An error of the partner; ``exception`` is the name of its type, None to leave that out."""

    message: str
    exception: str | None = "Error"
    code: str = "INTERNAL_SERVER_ERROR"


@dataclass(frozen=True, slots=True)
class Drip:
    """A body in pieces of ``bytes``, ``interval`` seconds apart."""

    bytes: int
    interval: float


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule; the names are those of the JSON form (see the module), in snake case."""

    nth: int | None = None
    match: Match | None = None
    times: int | None = 1
    status: int | None = None
    retry_after: str | None = None
    body: str | None = None
    apply: bool | None = None
    drop: Literal["before", "after"] | None = None
    late: int | None = None
    again: tuple[int, ...] = ()
    hold: float = 0.0
    delay: float = 0.0
    drip: Drip | None = None
    cut: int | None = None
    errors: Mapping[str, InjectedError] = field(default_factory=dict)
    omit_alias: tuple[str, ...] = ()
    data_null: bool = False

    @classmethod
    def from_json(cls, rule: Mapping[str, Any]) -> FaultRule:
        """Read the JSON form; raises :class:`~destinations.errors.DefinitionError`."""
        return _rules([rule])[0]

    @property
    def runs(self) -> bool:
        """Whether the request is run at all under this rule."""
        if self.apply is not None:
            return self.apply
        return not (
            self.status is not None
            or self.body is not None
            or self.drop == "before"
            or self.late is not None
            or WHOLE_REQUEST in self.errors
        )

    def fits(self, facts: RequestFacts) -> bool:
        """Return whether the rule applies to this request."""
        return self.nth in (None, facts.number) and (self.match is None or self.match.holds(facts))


class Faults:
    """The rules of a sandbox that are not used up yet, in the order in which they are tried.

    ``names`` are those that its requests may have, by the key of ``match``: a rule with another
    name would never apply, so it is refused. What is not in it may be anything.
    """

    def __init__(self, names: Mapping[str, Collection[str]] | None = None) -> None:
        self._names = names or {}
        self._lock = threading.Lock()
        self._left: list[tuple[FaultRule, int | None]] = []

    def add(self, *rules: FaultRule | Mapping[str, Any]) -> None:
        """Add rules, as objects or in their JSON form.

        Raises :class:`~destinations.errors.DefinitionError` with every issue; none is added then.
        """
        made = [
            rule if isinstance(rule, FaultRule) else FaultRule.from_json(rule) for rule in rules
        ]
        self._extend(made)

    def add_json(self, rules: object) -> int:
        """Add a JSON list of rules and return how many; errors as in :meth:`add`."""
        made = _rules(rules)
        self._extend(made)
        return len(made)

    def clear(self) -> None:
        """Forget every rule."""
        with self._lock:
            self._left.clear()

    def take(self, facts: RequestFacts) -> FaultRule | None:
        """Return the rule for a request, and count one use of it; None if no rule applies."""
        if not self._left:
            return None
        with self._lock:
            for index, (rule, left) in enumerate(self._left):
                if not rule.fits(facts):
                    continue
                if left == 1:
                    del self._left[index]
                elif left is not None:
                    self._left[index] = (rule, left - 1)
                return rule
        return None

    def __len__(self) -> int:
        """Return how many rules are not used up."""
        return len(self._left)

    def _extend(self, rules: Sequence[FaultRule]) -> None:
        issues = [one for at, rule in enumerate(rules) for one in self._unknown(at, rule.match)]
        if issues:
            raise DefinitionError(issues)
        with self._lock:
            self._left.extend((rule, rule.times) for rule in rules)

    def _unknown(self, at: int, match: Match | None) -> Iterator[Issue]:
        """Yield the names in the rule at this place that no request has."""
        if match is None:
            return
        for key, known in self._names.items():
            given = _NAMED[key](match)
            if given is not None and given not in known:
                listed = ", ".join(known) or "none"
                message = f"unknown {key} {given!r}; known: {listed}{did_you_mean(given, known)}"
                yield Issue(message, pointer(at, "match", key))


_NAMED: Final[Mapping[str, Callable[[Match], str | None]]] = {
    "request": lambda match: match.request,
    "operation": lambda match: match.operation,
    "rootField": lambda match: match.root_field,
}


_SCHEMA: Final = "faults.schema.json"


def _rules(document: object) -> list[FaultRule]:
    issues = schema_issues(shipped_schema("destinations.sandbox", _SCHEMA), document)
    if issues or not isinstance(document, list):
        raise DefinitionError(issues)
    return [_rule(rule) for rule in document]


def _rule(rule: Mapping[str, Any]) -> FaultRule:
    omitted = rule.get("omitAlias", ())
    retry_after = rule.get("retryAfter")
    return FaultRule(
        nth=rule.get("nth"),
        match=_match(rule.get("match")),
        times=rule.get("times", 1),
        status=rule.get("status"),
        retry_after=None if retry_after is None else str(retry_after),
        body=rule.get("body"),
        apply=rule.get("apply"),
        drop=rule.get("drop"),
        late=rule.get("late"),
        again=tuple(rule.get("again", ())),
        hold=rule.get("hold", 0.0),
        delay=rule.get("delay", 0.0),
        drip=Drip(**rule["drip"]) if "drip" in rule else None,
        cut=rule.get("cut"),
        errors={alias: _injected(error) for alias, error in rule.get("errors", {}).items()},
        omit_alias=(omitted,) if isinstance(omitted, str) else tuple(omitted),
        data_null=rule.get("dataNull", False),
    )


def _match(match: str | Mapping[str, str] | None) -> Match | None:
    if match is None or isinstance(match, str):
        return None if match is None else Match(text=match)
    return Match(
        operation=match.get("operation"),
        root_field=match.get("rootField"),
        alias=match.get("alias"),
        text=match.get("text"),
        request=match.get("request"),
    )


def _injected(error: Mapping[str, Any]) -> InjectedError:
    name: str | None = error.get("exception", "Error")
    message = error.get("message", f"{name or 'error'} injected by a fault rule")
    return InjectedError(message, name, error.get("code", "INTERNAL_SERVER_ERROR"))
