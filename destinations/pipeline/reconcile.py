"""Judge lost answers: compare the partner's balance with the expected one.

Source of the rule: the partner executes what a request adds one after another and shows the sum. So
the difference between the balances before and after shows which amounts were added, if a selection
of the amounts explains it and no other writer has added to it. If several selections do, any of
them leads to the same balance in the end. All functions are pure; the engine asks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from destinations.by_identity import ByIdentity
from destinations.definition import DestinationDefinition, ReconcileDefinition
from destinations.errors import ResolveError
from destinations.http import Answer, Failure
from destinations.outcome import ANSWER_LOST, Effect, Outcome, Result, State
from destinations.pipeline.queue import (
    OTHERS,
    SEVERAL,
    Balance,
    Increment,
    QueuedDelivery,
    Transition,
)
from destinations.pipeline.retry import LossRule, RetryPolicy
from destinations.runtime.action import Action, Payload
from destinations.runtime.destination import Destination
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_getter, compile_value

__all__ = [
    "Answered",
    "Judgement",
    "LossOptions",
    "Question",
    "ReconcileRules",
    "Reconciler",
    "judge",
    "longest_repeat",
    "longest_settling",
    "longest_wait",
    "longest_way",
    "proposal",
]

_MOST_SELECTIONS: Final = 20_000

_LARGEST: Final = 2**53
"""What JSON can hold exactly; the ledger holds sums of such."""

_UNSURE: Final = {
    SEVERAL: "events of several users add to it, in no fixed order",
    OTHERS: "another destination or run of the account has added to it since",
}

_EARLIER: Final = 0.1
"""The largest part of the time of an idempotency key by which the last repeat is earlier."""

_APPLIED: Final = Result(
    Outcome.DELIVERED, "it was not known whether it was applied; the partner shows that it was"
)

_SHARED: Final = "others add to it as well (soleWriter is false), so the difference may be theirs"

_encode: Final = msgspec.json.Encoder().encode

# Made once: `json.dumps` with options makes one for every call.
_KEYS: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class LossOptions:
    """The settings of a run or server for lost answers.

    The partner is asked ``settle_after`` seconds after the request, None for what the definition
    says. Without ``sole_writer`` others add to the same balances, so nothing is concluded from
    them. ``lost_answers`` goes before the ``onLostAnswer`` of requests. Without ``asks`` the
    partner is never asked, and what it could be asked about is held.
    """

    settle_after: float | None = None
    sole_writer: bool = True
    lost_answers: Literal["hold", "resend"] | None = None
    asks: bool = True


def longest_settling(definition: DestinationDefinition, options: LossOptions) -> float:
    """Return after how many seconds, at most, it is settled what a process left under way.

    By then the partner can be asked about it, or steps can be made again.
    """
    return max(longest_wait(definition, options), longest_repeat(definition))


def longest_wait(definition: DestinationDefinition, options: LossOptions) -> float:
    """Return how many seconds after a request, at most, the partner is asked about it."""
    if options.settle_after is not None:
        return options.settle_after
    rules = [one.reconcile for one in definition.requests.values() if one.reconcile is not None]
    return max((one.after for one in rules), default=0.0)


def longest_repeat(definition: DestinationDefinition) -> float:
    """Return how many seconds after a lost answer, at most, steps are made again."""
    performs = [action.perform for action in definition.actions.values()]
    return max((one.repeat_after for one in performs if one.repeatable), default=0.0)


def longest_way(definition: DestinationDefinition) -> float:
    """Return how many seconds after the first request of a batch its last one leaves, at most.

    Events that make several requests may go one after another, and each takes as long as it may.
    """
    performs = [action.perform for action in definition.actions.values()]
    most = max((one.batch_size * (len(one.steps) or len(one.names)) for one in performs), default=1)
    return (most - 1) * definition.transport.timeouts.total


@dataclass(frozen=True, slots=True)
class Judgement:
    """``applied`` says for each amount whether it was added; None if that is not known.

    ``why`` is for an operator, who then has to decide.
    """

    applied: tuple[bool, ...] | None
    why: str = ""


def judge(
    before: Balance | None, now: Balance | None, amounts: Sequence[int], *, keyed: bool = False
) -> Judgement:
    """Tell which of ``amounts`` were added between ``before`` and ``now``, in order of sending.

    With ``keyed`` the partner recognizes requests by keys. Then it has to be clear which of equal
    amounts were added: one of them that is sent again by mistake would not count again.
    """
    if now is None:
        return Judgement(None, "the partner shows no amount")
    if before is None:
        return Judgement(None, "the balance before is not known")
    if before.user in _UNSURE:
        return Judgement(None, _UNSURE[before.user])
    if None not in (before.period, now.period) and before.period != now.period:
        return Judgement(None, "a new billing period has reset the balance")
    return _judge_difference(now.amount - before.amount, amounts, keyed=keyed)


def _judge_difference(difference: int, amounts: Sequence[int], *, keyed: bool) -> Judgement:
    if difference == sum(amounts):
        return Judgement((True,) * len(amounts))
    if difference == 0:
        return Judgement((False,) * len(amounts))
    selections = _selections(amounts, difference)
    if selections == []:
        return Judgement(
            None, ("no combination of the amounts makes the difference: another writer adds to it")
        )
    if keyed and (selections is None or not _tells_all(amounts, selections)):
        return Judgement(
            None,
            "more than one combination of the amounts makes the difference, and the partner would"
            " not count again what it recognizes by its key",
        )
    if selections is None or len(selections) > 1:
        # In each case the partner ends with the same amount when the others are sent again.
        # But the more selections there are, the easier another writer's amount is taken for one:
        # so only the likely ones count, a request that was carried out up to a point, or from one.
        selections = [run for run in _runs(amounts) if sum(run) == difference]
    if not selections:
        return Judgement(None, "more than one combination of the amounts makes the difference")
    return Judgement(_members(amounts, selections[0]))


def proposal(
    before: Balance | None, now: Balance | None, amounts: Sequence[int], *, keyed: bool = False
) -> tuple[bool, ...] | None:
    """Return the ``amounts`` that the numbers show as added, for an operator to confirm.

    None unless they show exactly one selection; ``keyed`` is as for `judge`.
    """
    if before is None or now is None:
        return None
    if None not in (before.period, now.period) and before.period != now.period:
        return None
    found = _selections(amounts, now.amount - before.amount)
    if found is None or len(found) != 1 or (keyed and not _tells_all(amounts, found)):
        return None
    return _members(amounts, found[0])


def _tells_all(amounts: Sequence[int], selections: Sequence[Sequence[int]]) -> bool:
    """Return whether there is one selection, which has all or none of those that are equal."""
    if len(selections) != 1:
        return False
    of_all, selected = Counter(amounts), Counter(selections[0])
    return all(number == of_all[amount] for amount, number in selected.items())


def _runs(amounts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the first few and the last few of the amounts."""
    for end in range(1, len(amounts)):
        yield tuple(amounts[:end])
        yield tuple(amounts[end:])


def _members(amounts: Sequence[int], selection: Sequence[int]) -> tuple[bool, ...]:
    """Tell which are selected; equal amounts have the same effect, so the first ones are."""
    left = Counter(selection)
    applied = []
    for amount in amounts:
        applied.append(left[amount] > 0)
        left[amount] -= 1
    return tuple(applied)


def _selections(amounts: Sequence[int], difference: int) -> list[tuple[int, ...]] | None:
    """Return the different selections (as sorted amounts) with that sum; None for too many."""
    found: set[tuple[int, ...]] = {()}
    for amount in amounts:
        found |= {tuple(sorted((*selection, amount))) for selection in found}
        if len(found) > _MOST_SELECTIONS:
            return None
    return [selection for selection in found if sum(selection) == difference]


@dataclass(frozen=True, slots=True)
class Question:
    """Whose balance is asked for, and a payload that adds to it."""

    user: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Answered:
    """The partner's balances by key (None: it shows no amount), and the failures of the others.

    ``lasting`` are the failures after which asking again promises nothing.
    """

    balances: Mapping[str, Balance | None]
    failures: Mapping[str, Failure]
    lasting: frozenset[str] = frozenset()


class _Rule:
    """The ``reconcile`` of one request, compiled."""

    def __init__(self, definition: ReconcileDefinition) -> None:
        self.ask = definition.ask
        self.after = definition.after
        self._nothing = frozenset(definition.nothing)
        # Item by item, and as it is: this is done for every event.
        self._is_array = isinstance(definition.key, list)
        items = definition.key if isinstance(definition.key, list) else [definition.key]
        self._key = [compile_getter(one) for one in items]
        self._amount = compile_getter(definition.amount)
        self._shown = compile_value(definition.shown)
        self._period = compile_value(definition.period)
        self._until = compile_value(definition.until)

    def increment(self, payload: Mapping[str, Any]) -> Increment | None:
        """Return the amount that a payload adds, and its key; None if its mappings give neither."""
        context = {"payload": payload}
        key = []
        try:
            for get in self._key:
                value = get(context)
                key.append(None if value is UNDEFINED else value)
            amount = self._amount(context)
        except (ResolveError, RecursionError):
            return None
        if type(amount) is not int or abs(amount) > _LARGEST:
            return None
        if self._is_array:
            return Increment(_text(key), amount)
        return None if value is UNDEFINED else Increment(_text(value), amount)

    def balance(self, answer: Answer, user: str, asked_at: float) -> Balance | None:
        """Return the balance that an answer shows; None if it shows none."""
        if answer.name in self._nothing:
            return Balance(user, 0, asked_at=asked_at)
        context = {"answer": answer.data}
        try:
            shown = self._shown.resolve(context)
            period, until = self._period.resolve(context), self._until.resolve(context)
        except ResolveError:
            return None
        if type(shown) is not int or abs(shown) > _LARGEST:
            return None
        named = None if period in (None, UNDEFINED) else str(period)
        return Balance(user, shown, named, _time(until), asked_at)


@lru_cache(maxsize=64)
def _rule(key: ByIdentity[ReconcileDefinition]) -> _Rule:
    """Compile a rule once, for the pipelines of all accounts."""
    return _Rule(key.value)


class ReconcileRules:
    """The rules of a destination's requests for lost answers, by action; safe for threads."""

    def __init__(self, destination: Destination, options: LossOptions | None = None) -> None:
        self._options = options = options or LossOptions()
        self._longest_request = destination.definition.transport.timeouts.total
        compiled = {
            name: _rule(ByIdentity(request.reconcile))
            for name, request in destination.definition.requests.items()
            if options.asks and request.reconcile is not None
        }
        self._rules = {
            slug: _rule_of(action, compiled) for slug, action in destination.actions.items()
        }
        self._losses = {
            slug: self._loss_of(action, self._rules[slug])
            for slug, action in destination.actions.items()
        }

        self._several = frozenset(
            slug
            for slug, action in destination.actions.items()
            if sum(not one.definition.idempotent for one in action.requests.values()) > 1
        )

    def _loss_of(self, action: Action, rule: _Rule | None) -> LossRule:
        if action.is_idempotent:
            return LossRule(repeatable=True, repeat_after=action.repeat_after)
        repeat_for = self._repeat_for(action)
        if rule is not None:
            after = self._options.settle_after
            return LossRule(rule.after if after is None else after, repeat_for=repeat_for)
        if repeat_for is not None:
            return LossRule(repeat_for=repeat_for)
        once = [one.definition for one in action.requests.values() if not one.definition.idempotent]
        if any(one.reconcile is not None for one in once):
            return LossRule()
        resend = self._options.lost_answers == "resend"
        if self._options.lost_answers is None:
            resend = all(one.on_lost_answer == "resend" for one in once)
        # Of several requests, only those that may be repeated leave an event that waits.
        return LossRule(resend=resend, repeatable=action.generator is not None and not resend)

    def _repeat_for(self, action: Action) -> float | None:
        """Return for how long the partner recognises what is sent again; None if it does not.

        A request needs time to arrive: so the last one is sent a little earlier.
        """
        if action.keys_last is None:
            return None
        return action.keys_last - min(self._longest_request, action.keys_last * _EARLIER)

    def loss_of(self, action: str) -> LossRule:
        """Return the rule for a lost answer for an action, by its slug."""
        return self._losses.get(action, LossRule())

    def loss(self, delivery: QueuedDelivery) -> LossRule:
        """Return the rule for a lost answer for a delivery."""
        rule = self.loss_of(delivery.action)
        if rule.ask_after is None or delivery.increment is not None:
            return rule
        return LossRule(repeat_for=rule.repeat_for)

    def loss_of_interrupted(self, delivery: QueuedDelivery) -> LossRule:
        """Return the same where the process ended, and it is not known how far the event came.

        One of several requests that must not be repeated may have been carried out for certain.
        """
        rule = self.loss(delivery)
        if rule.repeatable and rule.repeat_after:
            return replace(rule, resend=True)  # by now, no request can arrive any more
        is_one = delivery.action not in self._several
        return LossRule(resend=rule.resend and is_one, repeat_for=rule.repeat_for)

    def can_ask(self, action: str) -> bool:
        """Return whether lost answers of an action, by its slug, can be asked about."""
        return self._rules.get(action) is not None

    def request(self, action: str) -> str | None:
        """Return the name of the request that asks for balances of an action."""
        rule = self._rules.get(action)
        return None if rule is None else rule.ask

    def increment(self, action: str, payload: Payload) -> Increment | None:
        """Return the amount that a payload of an action adds; None if it adds no known amount."""
        rule = self._rules.get(action)
        return None if rule is None else rule.increment(payload)


class Reconciler(ReconcileRules):
    """Judges lost answers of one destination.

    A balance that was asked for is counted on for ``fresh`` seconds before it is asked for again.
    """

    def __init__(
        self,
        destination: Destination,
        policy: RetryPolicy,
        fresh: float,
        options: LossOptions | None = None,
    ) -> None:
        super().__init__(destination, options)
        self._policy = policy
        self._fresh = fresh

    def needs_asking(self, known: Balance | None, now: float) -> bool:
        """Return whether a balance must be asked for before something is added to it."""
        if known is None or now - known.asked_at > self._fresh or now < known.asked_at:
            return True
        return known.ends_at is not None and known.ends_at <= now

    def answered(
        self,
        action: str,
        questions: Mapping[str, Question],
        verdicts: Sequence[Answer | Failure],
        now: float,
    ) -> Answered:
        """Return the balances in the partner's answers to questions, by key."""
        rule = self._rules[action]
        assert rule is not None  # noqa: S101 - it was asked
        balances: dict[str, Balance | None] = {}
        failures: dict[str, Failure] = {}
        lasting: set[str] = set()
        for (key, question), verdict in zip(questions.items(), verdicts, strict=True):
            if isinstance(verdict, Answer):
                balances[key] = rule.balance(verdict, question.user, now)
            elif may_pass(verdict):
                failures[key] = verdict
            elif verdict.whole_request:  # it says nothing of this balance
                failures[key] = verdict
                lasting.add(key)
            else:
                balances[key] = None
        return Answered(balances, failures, frozenset(lasting))

    def transitions(
        self,
        key: str,
        deliveries: Sequence[QueuedDelivery],
        before: Balance | None,
        found: Balance | None,
        now: float,
        *,
        is_down: bool = False,
    ) -> list[Transition]:
        """Return the results of deliveries with lost answers: of all that share the key.

        ``is_down`` says that the partner has taken no event for some time.
        """
        amounts = [one.increment.amount for one in deliveries if one.increment is not None]
        keyed = any(self.loss(one).repeat_for is not None for one in deliveries)
        judgement = judge(before, found, amounts, keyed=keyed)
        if not self._options.sole_writer:
            judgement = Judgement(None, _SHARED)
        if judgement.applied is None:
            # What the balance may not be judged by, no operator should take for shown by it.
            is_sure = self._options.sole_writer and (before is None or before.user not in _UNSURE)
            shown = proposal(before, found, amounts, keyed=keyed) if is_sure else None
            proposed = shown or (None,) * len(deliveries)
            if before is not None and before.user == OTHERS:
                before = None  # it is not what was held before these
            evidence = {
                "why": judgement.why,
                "key": key,
                "before": None if before is None else before.amount,
                "added": amounts,
                "expected": None if before is None else before.amount + sum(amounts),
                "found": None if found is None else found.amount,
                "periodBefore": None if before is None else before.period,
                "periodNow": None if found is None else found.period,
            }
            reason = (
                f"it is not known whether it was applied, and asking the partner did not settle it:"
                f" {judgement.why}"
            )
            return [
                _held(one, reason, {**evidence, **_proposed(applied)})
                for one, applied in zip(deliveries, proposed, strict=True)
            ]
        # `found` replaces what is known of the balance, so nothing is added to that.
        return [
            Transition(one, _APPLIED, "reconcile", one.attempts, effect=Effect.APPLIED)
            if applied
            else self._policy.not_applied(one, now, self.loss(one), is_down=is_down)
            for one, applied in zip(deliveries, judgement.applied, strict=True)
        ]


def may_pass(failure: Failure) -> bool:
    """Return whether asking again may help."""
    return failure.retryable or failure.error_class == "authentication"


def _proposed(applied: bool | None) -> Mapping[str, str]:  # noqa: FBT001 - it is the whole of it
    return {} if applied is None else {"proposed": "applied" if applied else "not applied"}


def _held(delivery: QueuedDelivery, reason: str, evidence: Mapping[str, Any]) -> Transition:
    return Transition(
        delivery,
        Result(State.HELD, reason, ANSWER_LOST),
        "reconcile",
        delivery.attempts,
        effect=Effect.MAYBE,
        evidence=evidence,
    )


def _rule_of(action: Action, compiled: Mapping[str, _Rule]) -> _Rule | None:
    """Return how a lost answer of an action is settled; None if its definition does not say."""
    for name, request in action.requests.items():
        if not request.definition.idempotent:
            return compiled.get(name)
    return None


def _text(key: object) -> str:
    """Return a key as JSON."""
    try:
        return _encode(key).decode()
    except (TypeError, ValueError, OverflowError):  # such as half a surrogate pair
        return _KEYS.encode(key)


def _time(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None
