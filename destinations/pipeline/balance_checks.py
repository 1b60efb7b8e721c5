"""Ask the partner for balances, and act on the answers.

Balances are asked for before something is added to them, after an answer was lost, and some time
after something was sent again. The answers decide on deliveries, and update the known balances. All
of it happens in the engine's thread, between two commits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from destinations.http import Failure
from destinations.http.json_bytes import decode_json
from destinations.outcome import ANSWER_LOST, Effect, Outcome, Result, State
from destinations.pipeline.exclusion import PartnerAccount
from destinations.pipeline.observer import Observer
from destinations.pipeline.queue import (
    SEVERAL,
    Balance,
    ClaimedBatch,
    Drift,
    Queue,
    QueuedDelivery,
    Round,
    Scope,
    Transition,
)
from destinations.pipeline.reconcile import Answered, Question, Reconciler
from destinations.pipeline.restored import hold_restored, why_not_sent
from destinations.pipeline.retry import RetryPolicy

__all__ = ["BalanceChecks"]

_LASTING: Final = 3
"""The number of times that a refused question is asked again; then it is left out."""

_LOOKS: Final = 500
"""The number of balances that one job checks again."""


class BalanceChecks:
    """Checks the balances of one pipeline. ``account`` knows them, also from other pipelines.

    With ``sole_writer`` no one else adds to them, so that an unexpected balance is reported.
    ``looks_again`` says whether those of what was sent again are asked for some time later.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        scope: Scope,
        queue: Queue,
        account: PartnerAccount,
        reconciler: Reconciler,
        policy: RetryPolicy,
        observer: Observer,
        *,
        sole_writer: bool,
        looks_again: bool,
    ) -> None:
        self._scope = scope
        self._queue = queue
        self._balances = account.balances
        self._rechecks = account.rechecks
        self._reconciler = reconciler
        self._policy = policy
        self._observer = observer
        self._sole_writer = sole_writer
        self._looks_again = looks_again
        if sole_writer and looks_again:
            self._rechecks.load(scope, queue.rechecks(scope))
        # Keys under which nothing of a restored copy was delivered since.
        self._trusted: set[str] = set()
        # By balance, what may have been applied and is sent again, as the partner recognises it.
        self._repeated: dict[str, set[QueuedDelivery]] = {}

    def look_at_lanes(self) -> None:
        """Forget balances to which other processes may have added, and read what is checked again.

        What is under way was noted before it began.
        """
        self._balances.forget_all()
        if self._sole_writer and self._looks_again:
            self._rechecks.replace(self._scope, self._queue.rechecks(self._scope))

    # -- what changes balances -----------------------------------------------------------------

    def sends(self, deliveries: Sequence[QueuedDelivery]) -> Mapping[str, Balance]:
        """Note that deliveries are being sent; returns the balances that they add to, as before."""
        self._rechecks.sends(deliveries)
        known = self._balances.of(deliveries)
        # Before that, a repeated one may have been applied: what was held before its first attempt
        # is kept already.
        repeated = self._repeated_keys(deliveries)
        return {key: one for key, one in known.items() if key not in repeated}

    def _repeated_keys(self, deliveries: Iterable[QueuedDelivery]) -> set[str]:
        return {
            one.increment.key
            for one in deliveries
            if one.increment is not None
            and (one.increment.key in self._repeated or self._is_repeated(one))
        }

    def _is_repeated(self, delivery: QueuedDelivery) -> bool:
        """Return whether it may have been applied, and the partner recognises it by its key.

        What somebody sends again without a key adds to the balance once more.
        """
        return delivery.effect is Effect.MAYBE and self._has_key(delivery)

    def _has_key(self, delivery: QueuedDelivery) -> bool:
        return self._reconciler.loss(delivery).repeat_for is not None

    def are_repeated(self, deliveries: Iterable[QueuedDelivery]) -> bool:
        """Return whether something that may have been applied adds to the balances of these."""
        return bool(self._repeated_keys(deliveries))

    def repeated_beside(self, deliveries: Collection[QueuedDelivery]) -> set[QueuedDelivery]:
        """Return what else may have been applied to the balances to which deliveries add."""
        keys = {one.increment.key for one in deliveries if one.increment is not None}
        found = {one for key in keys for one in self._repeated.get(key, ())}
        return _without(found, deliveries)

    def give_up(self, deliveries: Iterable[QueuedDelivery], round_: Round) -> None:
        """Note that deliveries are not sent again; those that are held leave a balance unclear."""
        held = {one.delivery for _, one in round_.transitions if one.result.outcome is State.HELD}
        for delivery in deliveries:
            if delivery.increment is not None and delivery in held:
                self._forget(delivery.increment.key, round_)

    def _forget(self, key: str, round_: Round) -> None:
        round_.balances[self._scope, key] = None
        self._balances.note(key, None)
        self._rechecks.rebase(key, None)

    def sent(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Note that deliveries are no longer under way."""
        self._rechecks.sent(deliveries)

    def ended(self, transitions: Iterable[Transition], now: float) -> None:
        """Note the results of deliveries that were sent."""
        if self._rechecks:
            for one in transitions:
                if one.ends_waiting:
                    self._rechecks.ended(one.delivery, now, applied=one.applied)

    def settled(self, transition: Transition) -> None:
        """Note that a transition is durable."""
        delivery, increment = transition.delivery, transition.delivery.increment
        if increment is not None:
            self._note_repeated(transition, increment.key)
        if transition.applied and self._is_repeated(delivery) and increment is not None:
            self._balances.note(increment.key, None)  # it may have been applied before
            self._rechecks.rebase(increment.key, None)
        elif transition.applied:
            self._balances.add(delivery)
        for name in transition.forget:
            self._balances.forget_user(name)
            self._rechecks.forget_user(name)

    def _note_repeated(self, transition: Transition, key: str) -> None:
        """Note whether a delivery is sent again, although it may have been applied."""
        delivery, is_ready = transition.delivery, transition.result.outcome is State.READY
        if is_ready and transition.effect is Effect.MAYBE and self._has_key(delivery):
            self._repeated.setdefault(key, set()).add(delivery)
        else:
            self._not_repeated(delivery)

    def _not_repeated(self, delivery: QueuedDelivery) -> None:
        for key, mine in list(self._repeated.items()):
            mine -= {one for one in mine if one is delivery or (one.id and one.id == delivery.id)}
            if not mine:
                del self._repeated[key]

    def begin(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Take in what an earlier process may have delivered, and what is sent again."""
        self._repeated.clear()
        for delivery in deliveries:
            if delivery.increment is not None and self._has_key(delivery):
                self._repeated.setdefault(delivery.increment.key, set()).add(delivery)

    def changed_by_operator(
        self, settled: Sequence[QueuedDelivery], opened: Sequence[QueuedDelivery]
    ) -> None:
        """Note deliveries that an operator has settled, and those that wait again."""
        for delivery in (*settled, *opened):  # it may or may not have been applied
            self._balances.forget_user(delivery.user)
            self._not_repeated(delivery)
            if delivery.increment is not None:
                self._balances.note(delivery.increment.key, None)
                self._rechecks.rebase(delivery.increment.key, None)
        if opened and self._sole_writer:  # one may be sent again
            fresh = self._queue.rechecks(self._scope)
            keys = {one.increment.key for one in opened if one.increment is not None}
            self._rechecks.load(self._scope, {key: fresh[key] for key in keys & fresh.keys()})

    def keep(self, batch: ClaimedBatch, round_: Round) -> None:
        """Make durable what was held before the answers that were lost: they are judged by it."""
        deliveries = set(batch.deliveries)
        mine = [one for _, one in round_.transitions if one.delivery in deliveries]
        repeated = self._repeated_keys(deliveries)
        self._keep_repeated(batch, mine, repeated, round_)
        lost = {
            one.delivery.increment.key
            for one in mine
            if (one.result.outcome is State.UNKNOWN or one.resent)
            and one.delivery.increment is not None
        } - repeated
        for key in lost - batch.balances.keys():
            round_.balances[self._scope, key] = None  # that of an earlier loss is not this one's
        for key in lost & batch.balances.keys():
            # The answer may tell of some of those that add to it.
            applied = sum(
                one.delivery.increment.amount
                for one in mine
                if one.applied
                and one.delivery.increment is not None
                and one.delivery.increment.key == key
            )
            before, known = batch.balances[key].plus(applied), self._balances.get(key)
            if known is not None and known.user == SEVERAL:  # it became so while this was sent
                before = before.of(SEVERAL)
            round_.balances[self._scope, key] = before

    def _keep_repeated(
        self,
        batch: ClaimedBatch,
        transitions: Sequence[Transition],
        keys: Collection[str],
        round_: Round,
    ) -> None:
        """Keep what was held before the first attempts of what is repeated, while it counts."""
        by_delivery = {one.delivery: one for one in transitions}
        for key in keys:
            mine = [
                one
                for one in batch.deliveries
                if one.increment is not None and one.increment.key == key
            ]
            ended = {one for one in mine if one in by_delivery and _is_clear(by_delivery[one])}
            left = _without(self._repeated.get(key, ()), mine) | (set(mine) - ended)
            unclear = any(one in by_delivery and by_delivery[one].ends_waiting for one in left)
            # What has no transition was not sent, or waits as before.
            left = {one for one in left if one in by_delivery or self._is_repeated(one)}
            if unclear or not left:
                self._forget(key, round_)
                continue
            applied = [
                by_delivery[one].delivery.increment for one in ended if by_delivery[one].applied
            ]
            added = sum(one.amount for one in applied if one is not None)
            if added:
                before = self._queue.balances(self._scope, [key]).get(key)
                round_.balances[self._scope, key] = None if before is None else before.plus(added)

    def write_changes(self, round_: Round) -> None:
        """Make durable what is to be looked at again, with what has changed it."""
        if self._rechecks.changes:
            round_.rechecks.update(self._rechecks.changes)
            self._rechecks.changes.clear()

    # -- before something is added -------------------------------------------------------------

    def questions_before(
        self, action: str, deliveries: Sequence[QueuedDelivery], now: float
    ) -> dict[str, Question]:
        """Return the unknown balances that must be asked for before these are sent."""
        if not self._reconciler.can_ask(action):
            return {}
        users: dict[str, str] = {}
        first: dict[str, QueuedDelivery] = {}
        for delivery in deliveries:
            if delivery.increment is not None:
                key = delivery.increment.key
                first.setdefault(key, delivery)
                user = delivery.event.user
                if users.setdefault(key, user) != user:
                    users[key] = SEVERAL
        for key in self._repeated_keys(deliveries):
            # What is held now may include a part of what is repeated.
            repeated = {one.user for one in self._repeated.get(key, ())}
            if users[key] and repeated <= {users[key]}:
                del users[key]
            else:  # that several users add to it must be known before more is sent
                users[key] = SEVERAL
        restored = {
            one.increment.key
            for one in deliveries
            if one.increment is not None and self.is_restored(one)
        }
        questions: dict[str, Question] = {}
        for key, user in users.items():
            before = self._balances.get(key)
            of_one = before is None or before.user == user
            # That it is shared must be known before more is sent.
            unwritten = before is not None and before.user and not of_one
            is_due = self._rechecks.is_due(key, now)
            is_unsure = key in restored or unwritten or is_due
            if is_unsure or self._reconciler.needs_asking(before, now):
                questions[key] = Question(
                    user if of_one else SEVERAL, decode_json(first[key].payload)
                )
        return questions

    def answered_before(
        self,
        batch: ClaimedBatch,
        answered: Answered,
        now: float,
        round_: Round,
        *,
        is_down: bool,
        closing: bool,
    ) -> list[QueuedDelivery]:
        """Return the deliveries that may be sent, now that balances are known; the others wait.

        When ``closing``, what was not asked about is ready as before.
        """
        for key, found in answered.balances.items():
            self._compare(key, found, now, round_)
            self._balances.note(key, found)
            if found is not None and found.user == SEVERAL:
                # What is under way of one of them was noted as if it were the only one.
                round_.balances[self._scope, key] = found
        failures = _failures_of_users(batch, answered)
        ready: list[QueuedDelivery] = []
        for delivery in batch.deliveries:
            failure = failures.get(delivery.user)
            held = self._judge_before(delivery, failure, answered, round_)
            if held is not None and failure is None:
                round_.transitions.append((self._scope, held))
            elif failure is None or (closing and not failure.made):
                ready.append(delivery)
            else:
                if delivery.is_untried:
                    delivery.first_attempt_at = now
                transition = self._policy.after(
                    delivery,
                    _not_sent(failure),
                    now,
                    rule=self._reconciler.loss(delivery),
                    is_down=is_down,
                )
                if held is not None and transition.ends_waiting:
                    transition = held
                round_.transitions.append((self._scope, transition))
        return ready

    def _compare(self, key: str, found: Balance | None, now: float, round_: Round) -> None:
        """Tell if the partner holds another amount than was counted; nothing was under way."""
        before = self._balances.get(key)
        surprise = self._rechecks.looked(key, found, now)
        if found is None or not self._sole_writer:
            return
        expected = None if surprise is None else surprise.amount
        if expected is None and before is not None and before.period == found.period:
            expected = before.amount
        if expected is None or expected == found.amount:
            return
        self._observer.drifted(self._scope.name, key, expected, found.amount)
        sent_again = () if surprise is None else surprise.deliveries
        user = found.user if before is None else before.user
        drift = Drift(key, user, expected, found.amount, now, sent_again)
        round_.drifts.append((self._scope, drift))

    # -- after an answer was lost --------------------------------------------------------------

    def questions_about(
        self, deliveries: Sequence[QueuedDelivery], now: float, round_: Round, *, is_down: bool
    ) -> tuple[list[QueuedDelivery], dict[str, Question]]:
        """Return which deliveries the partner is asked about whose answers were lost, and how.

        The others go on, or are held, in the round.
        """
        asked: list[QueuedDelivery] = []
        for delivery in deliveries:
            if delivery.increment is None or not delivery.payload or self._repeats(delivery, now):
                transition = self._policy.lost(
                    delivery,
                    Result(State.UNKNOWN, "it is not known whether it was applied", ANSWER_LOST),
                    now,
                    rule=self._reconciler.loss_of_interrupted(delivery),
                    attempts=delivery.attempts,
                    now=now,
                    stage="reconcile",
                )
                round_.transitions.append((self._scope, transition))
            else:
                asked.append(delivery)
        if asked and not self._reconciler.can_ask(asked[0].action):
            failure = Failure(
                "today's definition has no request for that",
                "invalid",
                400,
                retryable=False,
                nothing_applied=True,
            )
            keys = {one.increment.key for one in asked if one.increment is not None}
            unanswered = Answered({}, dict.fromkeys(keys, failure))
            self.answered_about(asked, unanswered, now, round_, is_down=is_down)
            asked = []
        questions: dict[str, Question] = {}
        for delivery in asked:
            assert delivery.increment is not None  # noqa: S101 - seen above
            # About what was sent: a mapping or a rule may make something else of the event by now.
            payload = decode_json(delivery.payload)
            questions.setdefault(delivery.increment.key, Question(delivery.user, payload))
        return asked, questions

    def _repeats(self, delivery: QueuedDelivery, now: float) -> bool:
        """Return whether what an earlier process has sent is sent again rather than asked about."""
        if not delivery.is_left or self.is_restored(delivery):
            return False
        return self._reconciler.loss(delivery).repeats(delivery, now)

    def answered_about(
        self,
        deliveries: Sequence[QueuedDelivery],
        answered: Answered,
        now: float,
        round_: Round,
        *,
        is_down: bool,
    ) -> bool:
        """Judge deliveries by the answers; returns whether the partner has taken one of them."""
        by_key: dict[str, list[QueuedDelivery]] = {}
        for delivery in deliveries:
            assert delivery.increment is not None  # noqa: S101 - else it was not asked about
            by_key.setdefault(delivery.increment.key, []).append(delivery)
        known = self._queue.balances(self._scope, list(by_key))
        was_taken = False
        for key, mine in by_key.items():
            failure = answered.failures.get(key)
            if failure is not None:
                found = [
                    self._policy.ask_later(
                        one, failure, now, rule=self._reconciler.loss(one), is_down=is_down
                    )
                    for one in mine
                ]
            else:
                shown = answered.balances[key]
                takes_nothing = is_down and not was_taken
                found = self._shown(
                    key, mine, known.get(key), shown, now, round_, is_down=takes_nothing
                )
                was_taken |= any(one.result.outcome is Outcome.DELIVERED for one in found)
            round_.transitions += [(self._scope, transition) for transition in found]
        return was_taken

    def _shown(  # noqa: PLR0913 - what is known of a balance
        self,
        key: str,
        deliveries: Sequence[QueuedDelivery],
        before: Balance | None,
        shown: Balance | None,
        now: float,
        round_: Round,
        *,
        is_down: bool,
    ) -> list[Transition]:
        """Return the results of lost answers by the balance that the partner shows."""
        mine = {one for one in deliveries if self.is_restored(one)}
        found = self._judge_restored(mine, shown, now, round_)
        others = [one for one in deliveries if one not in mine]
        if others:
            found += self._reconciler.transitions(key, others, before, shown, now, is_down=is_down)
        again = [one for one in found if one.result.outcome is State.READY]
        for one in again:
            one.balance = shown
        held = any(one.result.outcome is State.HELD for one in found)
        self._balances.note(key, None if held else shown)
        round_.balances[self._scope, key] = None
        for one in found:
            if one.ends_waiting:  # what was applied is in what is shown
                self._rechecks.ended(one.delivery, now, applied=False)
        if shown is None or held:
            self._rechecks.rebase(key, None)
        elif again:
            self._rechecks.begin(self._scope, key, shown, [one.delivery for one in again])
        else:
            self._rechecks.rebase(key, shown.amount, shown.period)
        return found

    # -- what was restored from a copy ---------------------------------------------------------

    def hold_restored(
        self, deliveries: Sequence[QueuedDelivery], round_: Round
    ) -> Sequence[QueuedDelivery]:
        """Hold restored deliveries, unless the partner can be asked about them."""
        left: list[QueuedDelivery] = []
        for delivery in deliveries:
            if self.is_restored(delivery) and not self._can_ask_about(delivery):
                held = hold_restored(delivery, "the partner cannot be asked about it")
                round_.transitions.append((self._scope, held))
            else:
                left.append(delivery)
        return left

    def is_restored(self, delivery: QueuedDelivery) -> bool:
        """Return whether a delivery is of a copy, and may have been delivered since."""
        restored = delivery.restored
        if restored is not None and restored.key in self._trusted:
            delivery.restored = None
        return delivery.restored is not None

    def _can_ask_about(self, delivery: QueuedDelivery) -> bool:
        return delivery.increment is not None and self._reconciler.can_ask(delivery.action)

    def _trust(self, delivery: QueuedDelivery, round_: Round) -> None:
        """Take all that a copy has under a key as not delivered since."""
        assert delivery.increment is not None  # noqa: S101 - it was asked about
        key = delivery.increment.key
        delivery.restored = None
        if key not in self._trusted:
            self._trusted.add(key)
            round_.trusted.append((self._scope, key))

    def _judge_before(
        self,
        delivery: QueuedDelivery,
        failure: Failure | None,
        answered: Answered,
        round_: Round,
    ) -> Transition | None:
        """Return how a delivery of a copy is held; None if it may be sent, or is of no copy."""
        if not self.is_restored(delivery):
            return None
        assert delivery.increment is not None  # noqa: S101 - else it was held before
        key = delivery.increment.key
        failure = failure or answered.failures.get(key)
        if failure is not None:
            return hold_restored(delivery, f"the partner could not be asked: {failure.message}")
        shown = answered.balances.get(key)
        why = why_not_sent(delivery, shown)
        if why:
            return hold_restored(delivery, why, shown, asked=True)
        self._trust(delivery, round_)
        return None

    def _judge_restored(
        self,
        deliveries: Collection[QueuedDelivery],
        shown: Balance | None,
        now: float,
        round_: Round,
    ) -> list[Transition]:
        """Return the results of restored deliveries whose answers were lost."""
        found: list[Transition] = []
        for delivery in deliveries:
            why = why_not_sent(delivery, shown)
            if why:
                found.append(hold_restored(delivery, why, shown, asked=True))
            else:
                self._trust(delivery, round_)
                found.append(self._policy.not_applied(delivery, now))
        return found

    # -- what was sent again, some time later --------------------------------------------------

    @property
    def next_look(self) -> float | None:
        """When a balance is to be looked at again; None if none is."""
        return self._rechecks.next_time(self._scope)

    def is_time_to_look(self, now: float) -> bool:
        """Return whether a balance is to be looked at again now."""
        looks_at = self.next_look
        return looks_at is not None and looks_at <= now

    def questions_again(
        self, is_busy: Callable[[str], bool], now: float
    ) -> dict[str, dict[str, Question]]:
        """Return the balances to check again now, by action.

        Those of users who are busy are asked for before more is sent.
        """
        by_action: dict[str, dict[str, Question]] = {}
        for key, recheck in self._rechecks.take_due(self._scope, now, _LOOKS).items():
            if is_busy(recheck.user) or not self._reconciler.can_ask(recheck.action):
                self._rechecks.put_off(key, now)
            else:
                question = Question(recheck.user, decode_json(recheck.payload))
                by_action.setdefault(recheck.action, {})[key] = question
        return by_action

    def put_off(self, keys: Iterable[str], now: float) -> None:
        """Look at balances another time."""
        for key in keys:
            self._rechecks.put_off(key, now)

    def answered_again(self, answered: Answered, now: float, round_: Round) -> None:
        """Compare balances that were looked at again with what was expected."""
        for key, found in answered.balances.items():
            # It may or may not include what was sent since: then it is looked at another time.
            if self._rechecks.is_untouched(key):
                self._compare(key, found, now, round_)
                if self._balances.get(key) is not None:
                    self._balances.note(key, found)


def _without(
    deliveries: Iterable[QueuedDelivery], others: Collection[QueuedDelivery]
) -> set[QueuedDelivery]:
    """Return deliveries without others; what was read from the queue twice has the same id."""
    ids = {one.id for one in others if one.id}
    return {one for one in deliveries if one not in others and one.id not in ids}


def _is_clear(transition: Transition) -> bool:
    """Return whether a transition leaves no doubt whether the delivery was applied."""
    return transition.applied or transition.effect is Effect.NONE


def _failures_of_users(batch: ClaimedBatch, answered: Answered) -> dict[str, Failure]:
    """Return why the balances of users are not known, for those who have to wait for them."""
    failures: dict[str, Failure] = {}
    for delivery in batch.deliveries:
        if delivery.increment is None:
            continue
        key = delivery.increment.key
        failure = answered.failures.get(key)
        if failure is not None and (key not in answered.lasting or delivery.attempts < _LASTING):
            failures[delivery.user] = failure
    return failures


def _not_sent(failure: Failure) -> Result:
    """Return the result of what could not be sent, as asking for what it adds to failed before."""
    return replace(Result.of_error(State.READY, failure.error()), retry=failure.retry())
