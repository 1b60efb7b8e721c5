"""Send an action's requests, and return one result for each event.

Each call makes one attempt; the queue decides when the next one is made. A lost answer to a request
that is not idempotent leaves its events ``unknown``.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import (
    Callable,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar, cast

from destinations.clock import SystemClock, WallClock
from destinations.definition import ErrorClass, ListedDefinition
from destinations.errors import (
    HeldError,
    IntegrationError,
    PluginError,
    ResolveError,
    RetryableError,
    TransportError,
    UnsendableError,
    UsageError,
)
from destinations.http import (
    Answer,
    CompiledRequest,
    Concern,
    Context,
    Failure,
    HttpRequest,
    HttpResponse,
    Part,
    Selection,
)
from destinations.http.transport import Transport
from destinations.oauth2 import RULE as OF_TOKENS
from destinations.oauth2 import TokenError
from destinations.outcome import (
    ANSWER_LOST,
    NO_STEP,
    AttemptKind,
    Outcome,
    Result,
    Retry,
    State,
    Status,
)
from destinations.runtime.action import Action, Call, Done, Payload, checked_calls, failed
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.exchanges import Exchange, bounded, take_wait
from destinations.runtime.generator_run import GeneratorRun
from destinations.runtime.lists import ListChoice, Listed
from destinations.runtime.steps import StepCall, Unchanged
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

__all__ = ["Sender", "status_of"]

T = TypeVar("T")

_DELIVERED: Final = Result(Outcome.DELIVERED, attempts=1)
_NOT_SENT: Final = Result(State.READY, "not sent: stopped first")
_NOT_SENT_AGAIN: Final = Result(
    State.UNKNOWN,
    "a request with other events may have applied it, and it was not sent again on its own",
    ANSWER_LOST,
    retry=Retry(),
    maybe_applied=True,
)
_STOPPED: Final = Failure(
    "no request was made: stopped first",
    *("unavailable", 0),
    retryable=True,
    nothing_applied=True,
    made=False,
)
_GIVEN_UP: Final = replace(
    _STOPPED, message="no request was made, as the partner did not answer others before it"
)

_MOST_UNANSWERED: Final = 16
_LONGEST_UNANSWERED: Final = 60.0
"""The limits of consecutive unanswered questions, and of seconds, before no other is asked."""
_TOO_LARGE: Final = 413
_UNAUTHORIZED: Final = 401
_NOT_ALLOWED: Final = frozenset({_UNAUTHORIZED, 403})
_HALVES: Final[Mapping[Concern, int]] = {"request": 3, "key": 4, "permission": 4}
"""How often a refused request is halved if its events may not be the reason: 4 make 5 attempts."""

_HAS_IT: Final = "the partner has it already"
_HAS_IT_FROM_US: Final = "the partner has it already, from an earlier attempt"

_LONGEST: Final = 500
"""The most characters of a partner's message that are kept."""

_PERFORM_ATTEMPTS: Final = 4
_PERFORM_SECONDS: Final = 0.5


class _End(NamedTuple):
    """A time by the wall clock, and by the monotonic one: over is what is over by one of them."""

    wall: float
    monotonic: float


@dataclass(slots=True)
class _Item:
    """One event's part of a request, and its verdict.

    ``attempts`` counts the requests that carried it. ``verdict`` is None as long as nothing is
    known about this event. ``only`` selects what is needed of a list, for all that ask. ``log`` is
    where the requests are noted, if anywhere: as of this ``kind``, for the deliveries in
    ``places``. It may have been applied before if it ``resumes``, or by a request that came before
    the latest: ``maybe_before``. It must not be sent again from the time ``until`` on. ``step`` is
    the name of the step that made it, or of several that ask the same. ``token`` is the access
    token that it was sent with last. It ``went_again`` after a 401, as the authentication test
    passed.
    """

    context: Context
    part: Part | bytes
    only: Selection | None = None
    attempts: int = 0
    verdict: Answer | Failure | None = None
    log: list[Exchange] | None = None
    places: tuple[int, ...] = ()
    kind: AttemptKind = "send"
    resumes: bool = False
    until: _End | None = None
    step: str = ""
    maybe_before: bool = False
    maybe_applied: bool = False
    token: str = field(default="", repr=False)
    went_again: bool = False

    def judge(self, verdict: Answer | Failure) -> None:
        """Take the verdict of one more request."""
        self.attempts += 1
        self.maybe_before = self.resumes or self.maybe_applied
        self.verdict = verdict
        # That the partner has this event is an answer. That it has one of a batch says nothing of
        # the others, unless the rule says that nothing was applied.
        if isinstance(verdict, Failure) and verdict.is_there != "event":
            self.maybe_applied = self.maybe_applied or not verdict.nothing_applied


class _Parts:
    """The parts of a batch still to be sent, the next one last, each with its number of halvings.

    ``is_taken`` says that the partner has accepted some part of the batch, ``sent`` how many parts
    were sent.
    """

    def __init__(self, items: list[_Item]) -> None:
        self.waiting: list[tuple[list[_Item], int]] = [(items, 0)]
        self.is_taken = False
        self.sent = 0
        self._refused: list[tuple[list[_Item], int]] = []

    def split(self, part: list[_Item], depth: int) -> None:
        """Queue the two halves of a part."""
        if len(part) > 1:
            self.send_apart(part, depth)

    def send_apart(self, part: list[_Item], depth: int) -> None:
        """Queue halves of the events that got no verdict of their own."""
        for item in part:
            item.verdict = None  # another event may have failed
        middle = len(part) // 2
        halves = [(part[middle:], depth + 1), (part[:middle], depth + 1)]
        self.waiting += [one for one in halves if one[0]]

    def send_on(self, part: list[_Item], depth: int) -> None:
        """Queue the events that were not applied only because others of their batch failed."""
        for item in part:
            item.verdict = None
        if part:
            self.waiting.append((part, depth))

    def answered(self, part: list[_Item]) -> None:
        """Note that the partner processed a part, so earlier refusals were not about all events.

        A refusal of the key is an exception: the partner may repeat it for every event.
        """
        if any(_is_clear(item.verdict) and not _concerns(item.verdict, "key") for item in part):
            self.is_taken = True
            for refused, depth in self._refused:
                self.split(refused, depth)
            self._refused.clear()

    def refused(self, part: list[_Item], depth: int) -> None:
        """Split a part that was refused as a whole, unless the refusal is not about its events."""
        of_event = any(_concerns(item.verdict, "event") for item in part)
        go_on = not self._refused and depth < _most_halves(part)
        if self.is_taken or of_event or (go_on and len(part) > 1):
            self.split(part, depth)
        else:
            self._refused.append((part, depth))


class _Size(NamedTuple):
    """The size of a request."""

    body_bytes: int
    events: int

    def holds(self, other: _Size) -> bool:
        """Return whether neither number is below the other's."""
        return self.body_bytes >= other.body_bytes and self.events >= other.events


class _EndedError(Exception):
    """A generator's request got no answer."""

    def __init__(self, result: Result, failure: Failure | None = None) -> None:
        self.result = result
        self.failure = failure
        super().__init__(result.reason)


class _Run(GeneratorRun[T, tuple[CompiledRequest, _Item]]):
    """A generator's way; ``log`` and ``place`` are those of its items."""

    log: list[Exchange] | None = None
    place: int = 0
    repeat_after: float | None = None
    """After how many seconds all that it does may be done again, from the first request on.

    None if it must not be.
    """
    at: Call | None = None
    """The latest request, also when it is over."""
    resumes: bool = False
    until: _End | None = None


def _begin(action: Action, delivery: Delivery) -> Generator[Call, Answer, Done]:
    return action.generate(delivery.payload, resumes=delivery.resumes)


class PreparedQuestion(NamedTuple):
    """A request that only reads: ``ask`` makes it, with a few tries if it may succeed later.

    Equal questions share the ``key``; it is None for one that cannot be asked.
    """

    key: Hashable
    ask: Callable[[], Answer | Failure]


def _event_of(delivery: Delivery) -> Mapping[str, Any]:
    return delivery.event


class Sender:
    """Sends for one destination; used by several threads at once.

    When ``stop`` is set, no more requests are made. ``answers`` keeps the answers of requests that
    the definition remembers, by name.
    """

    def __init__(
        self,
        destination: Destination,
        transport: Transport,
        *,
        stop: threading.Event | None = None,
        answers: MutableMapping[str, Any] | None = None,
        clock: WallClock | None = None,
    ) -> None:
        self._destination = destination
        self._transport = transport
        self._stop = stop or threading.Event()
        self._answers: MutableMapping[str, Any] = {} if answers is None else answers
        self._clock = clock or SystemClock()
        # By request: the sizes that were refused as too large.
        self._too_large: dict[str, Sequence[_Size]] = {}
        self._list_choice = ListChoice(self._clock)
        self._lock = threading.Lock()
        self.requests_sent = 0

    def deliver(
        self, deliveries: Sequence[Delivery], log: list[Exchange] | None = None
    ) -> list[Result]:
        """Send deliveries of one action, at most a batch; return one result for each, in order.

        If the partner refuses the credentials, the code is ``INVALID_AUTHENTICATION`` and the
        outcome ``ready``, as the event is not to blame. Requests are noted in the ``log``.
        """
        action = deliveries[0].subscription.action
        if action.generator is not None:
            return self._generate(action, deliveries, log)
        (request,) = action.requests.values()
        results: list[Result | None] = [None] * len(deliveries)
        items: list[_Item] = []
        places: list[int] = []
        for place, delivery in enumerate(deliveries):
            try:
                item = self._item_of(request, delivery)
            except _EndedError as ended:
                results[place] = ended.result
            else:
                item.resumes = delivery.resumes
                item.until = self._end(delivery.repeat_until)
                if log is not None:
                    item.log, item.places = log, (place,)
                items.append(item)
                places.append(place)
        if items:
            self._send(request, items)
        for place, item in zip(places, items, strict=True):
            is_plain = type(item.verdict) is Answer and item.attempts == 1
            results[place] = _DELIVERED if is_plain else self._result(request, item)
        return [result for result in results if result is not None]

    def ask(
        self, name: str, payloads: Sequence[Payload], log: list[Exchange] | None = None
    ) -> list[Answer | Failure]:
        """Return the partner's answers to an idempotent request, one for each payload.

        They travel in batches. Questions are independent of each other: where one of them makes the
        request fail, the batch is halved until that one is on its own. Requests are noted in the
        ``log``.
        """
        request = self._destination.requests[name]
        items = []
        for place, payload in enumerate(payloads):
            try:
                item = self._item(request, {}, payload)
                item.log, item.places, item.kind = log, (place,), "question"
                items.append(item)
            except _EndedError as ended:
                failure = Failure(
                    *(ended.result.reason, "invalid", 400),
                    retryable=False,
                    nothing_applied=True,
                    whole_request=False,
                )
                items.append(_Item({}, {}, verdict=failure))
        made = [item for item in items if item.verdict is None]
        self._ask(request, _batches(made, request.definition.batch_size))
        refused = [item for item in made if _refuses_key(item.verdict)]
        if refused:
            key = self._look_at_key(request, refused)
            again = [item for item in refused if self._goes_again(item, key)]
            for item in again:
                item.verdict = None
            self._ask(request, _batches(again, request.definition.batch_size))
            self._reconsider([item for item in refused if _refuses_key(item.verdict)], key)
        unasked = _STOPPED if self._stop.is_set() else _GIVEN_UP
        return [self._masked(item.verdict or unasked) for item in items]

    def _ask(self, request: CompiledRequest, batches: Iterable[list[_Item]]) -> None:
        """Ask, and ask again in halves where one question may have spoiled the answers to others.

        Larger batches come first, so that a partner that answers at all is recognised soon. One
        that does not answer is not asked for every half.
        """
        groups = deque(batches)
        unanswered, answered_at = 0, self._clock.monotonic()
        while groups:
            group = groups.popleft()
            if request.definition.remember:
                self._send(request, group)
            elif not self._attempt(request, group):  # too large
                middle = (len(group) + 1) // 2
                groups += [group[:middle], group[middle:]]
                continue
            unclear = [item for item in group if not _is_clear(item.verdict)]
            if len(unclear) < len(group):
                unanswered, answered_at = 0, self._clock.monotonic()
            else:
                unanswered += 1
            away = self._clock.monotonic() - answered_at >= _LONGEST_UNANSWERED
            if unanswered >= _MOST_UNANSWERED or (unanswered and away):
                return
            if len(group) > 1 and unclear and all(_may_be_hidden(one.verdict) for one in unclear):
                middle = (len(unclear) + 1) // 2
                groups += [half for half in (unclear[:middle], unclear[middle:]) if half]

    def test_credentials(self) -> Failure | None:
        """Send the authentication test, a request of the definition that needs valid credentials.

        Returns why it failed; None if it succeeded. Raises `UsageError` without such a request.
        """
        verdict = self._credentials_tested()
        return verdict if isinstance(verdict, Failure) else None

    def account_of_credentials(self) -> Failure | str | None:
        """Return the partner's ID of the account that the credentials belong to.

        It is read from the answer to the authentication test; returns why that failed, and None if
        the definition or the answer names no account. Raises as `test_credentials` does.
        """
        verdict = self._credentials_tested()
        authentication = self._destination.definition.authentication
        if isinstance(verdict, Failure) or authentication is None:
            return verdict if isinstance(verdict, Failure) else None
        if authentication.account is None:
            return None
        try:
            found = compile_value(authentication.account).resolve({"answer": verdict.data})
        except (ResolveError, RecursionError):
            return None
        is_id = (isinstance(found, str) and found.strip()) or type(found) is int
        return str(found) if is_id else None

    def _credentials_tested(self, refused: Sequence[_Item] = ()) -> Answer | Failure:
        """Return the verdict of the authentication test, which ``refused`` items made needed."""
        authentication = self._destination.definition.authentication
        if authentication is None:
            raise UsageError(f"{self._destination.definition.name} has no authentication test")
        request = self._destination.requests[authentication.test]
        try:
            item = self._item(request, {}, {})
        except _EndedError as ended:
            raise UsageError(ended.result.reason) from None
        _note_in(item, refused, "credentials")
        self._attempt(request, [item])
        return self._masked(item.verdict or _STOPPED)

    def perform(self, steps: Generator[Call, Answer, T]) -> T:
        """Run a plugin's code outside of any event and return its result.

        A request that may succeed later is retried a few times. Raises `IntegrationError` if it
        still fails, `PluginError` for a request that the definition does not have.
        """
        run = _Run[T](lambda: checked_calls(steps, self._destination.requests, "the code"), dict)
        self._drive([run], tries=_PERFORM_ATTEMPTS)
        try:
            return run.result()
        except _EndedError as ended:
            if ended.failure is not None:
                error = ended.failure.error()
                error.message = self._shown(error.message)
                error.args = (error.message,)
                raise error from None
            raise UsageError(ended.result.reason) from None

    def ask_page(self, name: str, page: object) -> Answer | Failure:
        """Return the partner's answer to a request for choices; ``page`` is UNDEFINED at first.

        A request that may succeed later is retried a few times.
        """
        return self.prepared_question(name, {} if page is UNDEFINED else {"page": page}).ask()

    def prepared_question(self, name: str, roots: Mapping[str, Any]) -> PreparedQuestion:
        """Return a request that asks without an event; its mappings read these roots."""
        request = self._destination.requests[name]
        context = {"event": {}, "payload": {}, "settings": self._destination.settings, **roots}
        try:
            item = _Item(context, request.part(context))
            key = (name, request.key(item.part, context))
        except ResolveError as error:
            refused = self._masked(_unsendable(request, error))
            return PreparedQuestion(None, lambda: refused)

        def ask() -> Answer | Failure:
            self._try(request, [item], {}, _PERFORM_ATTEMPTS)
            return self._masked(item.verdict or _STOPPED)

        return PreparedQuestion(key, ask)

    def _masked(self, verdict: T) -> T:
        """Return a failure with masked secrets, as the partner may have repeated them."""
        if isinstance(verdict, Failure):
            # What the OAuth2 server said is masked already; the rest is our own text.
            is_own = verdict.rule.startswith(OF_TOKENS)
            masked = self._destination.settings.masker.text if is_own else self._shown
            return replace(verdict, message=masked(verdict.message))
        return verdict

    def _shown(self, message: str) -> str:
        """Return a partner's message for showing: secrets are masked before the text is cut."""
        return self._destination.settings.masker.foreign(message)[:_LONGEST]

    def _generate(
        self, action: Action, deliveries: Sequence[Delivery], log: list[Exchange] | None
    ) -> list[Result]:
        """Deliver through plugin code; requests that several events need at once are joined."""
        runs = [
            _Run[Done](partial(_begin, action, one), partial(_event_of, one)) for one in deliveries
        ]
        for place, run in enumerate(runs):
            run.log, run.place = log, place
            perform = action.definition.perform
            run.repeat_after = perform.repeat_after if perform.repeatable else None
            run.resumes = deliveries[place].resumes
            run.until = self._end(deliveries[place].repeat_until)
        self._drive(runs)
        return [self._generated(action, run) for run in runs]

    def _generated(self, action: Action, run: _Run[Done]) -> Result:
        """Return the result of an event that went through plugin code."""
        made, is_repeatable = run.made, run.repeat_after is not None
        try:
            done = run.result()
            result = Result(Outcome.DELIVERED, done.note, manual=done.manual)
            if isinstance(done, Unchanged):
                result = Result(done.outcome, self._shown(done.note), NO_STEP)
        except _EndedError as ended:
            result = ended.result
        except RetryableError as error:
            result = self._of_plugin(State.READY, error)
            result = replace(result, retry=Retry(whole_request=False))
        except HeldError as error:
            result = self._of_plugin(State.HELD, error)
        except IntegrationError as error:
            result = self._of_plugin(Outcome.REJECTED, error)
        except Exception as error:  # noqa: BLE001 - an error in a plugin must only fail its event
            repeatable = is_repeatable or all(one.definition.idempotent for one, _ in made)
            text = str(error)
            if not isinstance(error, PluginError):
                text = failed(action.who, error)
            reason = self._shown(text)
            outcome: Status = Outcome.DEAD if repeatable else State.UNKNOWN
            result = Result(outcome, reason, "UNKNOWN_ERROR", 500)
        is_over = result.outcome in {Outcome.DELIVERED, State.HELD}
        if result.outcome is not Outcome.DELIVERED:
            result = replace(result, reason=_in_step(run.at, result.reason))
        applied = [one for one in made if _was_applied_once(one)]
        # By their keys the partner recognises the requests of another attempt.
        goes_on = result.outcome in {State.READY, State.UNKNOWN}
        goes_on = goes_on and all(_has_key(request) for request, _ in applied)
        if applied and not (is_over or is_repeatable or goes_on):
            # Another attempt would make that request a second time.
            result = replace(result, outcome=State.UNKNOWN, retry=None, applied_in_part=True)
        attempts = sum(item.attempts for _, item in made)
        changed = [request for request, item in made if not _changed_nothing(request, item)]
        has_begun = not all(request.definition.atomic for request in changed)
        return replace(result, attempts=attempts, maybe_applied=bool(changed), has_begun=has_begun)

    def _of_plugin(self, outcome: Status, error: IntegrationError) -> Result:
        """Return the result for a plugin's exception, whose text may hold the partner's message."""
        result = Result.of_error(outcome, error)
        return replace(result, reason=self._shown(result.reason))

    def _drive(self, runs: Sequence[_Run[Any]], *, tries: int = 1) -> None:
        """Make the calls of generators, and feed them the answers, until all are over.

        What they ask for at the same time goes into the same requests, of as many events as the
        definition allows for one. A change in a request of its own may be a step of several, with
        something half done between them: such a generator runs to its end before the next one
        begins.
        """
        lists: dict[str, Listed] = {}
        while waiting := [run for run in runs if run.call is not None]:
            by_request: dict[str, list[_Run[Any]]] = {}
            for run in waiting:
                by_request.setdefault(cast("Call", run.call).request, []).append(run)
            # A list answers questions until something is changed, so changes come last.
            questions = [name for name in by_request if self._destination.requests[name].is_safe]
            by_request = {name: by_request[name] for name in questions} or by_request
            for name, group in by_request.items():
                request = self._destination.requests[name]
                if request.is_safe or request.definition.batch_size > 1:
                    self._call(request, group, lists, tries)
                    continue
                for run in group:
                    self._drive_alone(run, lists, tries)

    def _drive_alone(self, run: _Run[Any], lists: dict[str, Listed], tries: int) -> None:
        while run.call is not None:
            self._call(self._destination.requests[run.call.request], [run], lists, tries)

    def _call(
        self,
        request: CompiledRequest,
        runs: Sequence[_Run[Any]],
        lists: dict[str, Listed],
        tries: int,
    ) -> None:
        """Make the same call of several generators, and continue each of them."""
        only = Selection.joined(run.call.only for run in runs if run.call is not None)
        items: dict[Hashable, _Item] = {}
        asking: list[tuple[_Run[Any], _Item]] = []
        for run in runs:
            call = run.at = cast("Call", run.call)
            answers = call.answers if isinstance(call, StepCall) else None
            try:
                item = self._item(request, run.event(), call.payload, answers)
                # The same question is asked once.
                key = request.key(item.part, item.context) if request.is_safe else id(item)
            except ResolveError as error:
                run.fail(self._ended(request, error))
                continue
            except _EndedError as error:
                run.fail(error)
                continue
            item.only = only
            item = items.setdefault(key, item)
            item.step = _with_step(item.step, call)
            item.resumes, item.until = item.resumes or run.resumes, run.until
            if run.log is not None:
                item.log, item.places = run.log, (*item.places, run.place)
            run.made.append((request, item))
            asking.append((run, item))
        if not request.is_safe:
            lists.clear()  # what they say may change now
        for batch in _batches(list(items.values()), request.definition.batch_size):
            self._try(request, batch, lists, tries)
        for run, item in asking:
            if isinstance(item.verdict, Answer):
                run.answer(item.verdict)
            elif _was_there(item):
                run.answer(Answer("ok"))
            else:
                result = self._result(request, item, repeat_after=run.repeat_after)
                run.fail(_EndedError(result, item.verdict))

    def _try(
        self, request: CompiledRequest, items: list[_Item], lists: dict[str, Listed], tries: int
    ) -> None:
        for number in range(tries):
            self._send(request, items, lists)
            failures = [item.verdict for item in items if isinstance(item.verdict, Failure)]
            items = [item for item in items if _may_be_tried_again(request, item)]
            if not items or number == tries - 1:
                return
            given = max((failure.retry_after or 0.0 for failure in failures), default=0.0)
            if given > _LONGEST_UNANSWERED:
                return  # nobody waits for that long
            if self._clock.wait(given or _PERFORM_SECONDS * 2**number, self._stop):
                return

    def _item_of(self, request: CompiledRequest, delivery: Delivery) -> _Item:
        if request.takes_payload_bytes and delivery.payload_json:
            context = {"settings": self._destination.settings}
            return _Item(context, delivery.payload_json)
        try:
            event, payload = delivery.event, delivery.payload
        except ResolveError as error:  # an earlier version kept a payload that this one cannot read
            raise self._ended(request, error) from None
        return self._item(request, event, payload)

    def _item(
        self,
        request: CompiledRequest,
        event: Mapping[str, Any],
        payload: Any,
        answers: Mapping[str, Any] | None = None,
    ) -> _Item:
        context = {"event": event, "payload": payload, "settings": self._destination.settings}
        if answers is not None:
            context["answers"] = answers
        try:
            return _Item(context, request.part(context))
        except ResolveError as error:
            raise self._ended(request, error) from None

    def _ended(self, request: CompiledRequest, error: ResolveError) -> _EndedError:
        name = request.definition.name
        reason = self._destination.settings.masker.text(
            f"the request {name} cannot be made: {error}"
        )
        return _EndedError(Result.invalid(reason, "BAD_REQUEST"))

    def _send(
        self,
        request: CompiledRequest,
        items: list[_Item],
        lists: dict[str, Listed] | None = None,
    ) -> None:
        """Send one attempt and set the verdict of every item; after a stop, of none.

        ``lists`` are those that were read a moment ago, by the request that they stand for.
        """
        name = request.definition.name
        if request.definition.remember:
            with self._lock:
                if name in self._answers:
                    for item in items:
                        item.verdict = Answer("ok", self._answers[name])
                    return
        self._send_in_parts(request, items, lists)
        if (listed := request.definition.listed) is not None:
            names = [one.verdict.name for one in items if isinstance(one.verdict, Answer)]
            self._list_choice.answered(listed.request, len(names), names.count(listed.absent))
        if request.definition.remember:
            for item in items:
                if isinstance(item.verdict, Answer) and item.verdict.name == "ok":
                    with self._lock:
                        self._answers[name] = item.verdict.data

    def _send_in_parts(
        self, request: CompiledRequest, items: list[_Item], lists: dict[str, Listed] | None
    ) -> None:
        """Send, and send a refused request again in halves, until the event to blame is on its own.

        One unreadable event must not fail the others. But the partner may refuse every request,
        whatever its events: as long as it has accepted nothing, halving ends early.
        """
        parts = _Parts(items)
        key: Mapping[str, Any] = {}
        began = self._clock.monotonic()
        while parts.waiting:
            if lists is not None and self._is_listed(request, parts, lists, began):
                return
            part, depth = parts.waiting.pop()
            parts.sent += 1
            if not self._attempt(request, part):
                parts.split(part, depth)
            elif not _is_refused_as_a_whole(request, part):
                parts.answered(part)
                parts.send_apart(_unplaced(request, part), depth)
                parts.send_on([item for item in part if _is_beside(item.verdict)], depth)
            else:
                if all(_concerns(item.verdict, "key") for item in part):
                    if not key or _is_without_token(part):
                        key = self._look_at_key(request, part)
                    if self._go_again(part, key):
                        parts.send_on(part, depth)
                        continue
                    self._reconsider(part, key)
                    if key["error_class"] != "permission":
                        return
                parts.refused(part, depth)
        if parts.is_taken:
            self._blame_events(items)

    def _blame_events(self, items: Sequence[_Item]) -> None:
        """Let refusals be about events, as others of the same request were accepted.

        Another token may be accepted where this one was not: such an event is sent again, some time
        later, before it ends by that.
        """
        for item in items:
            if self._destination.access is None or not _is_unauthorized(item.verdict):
                item.verdict = _of_event(item.verdict)

    def _go_again(self, part: Sequence[_Item], key: Mapping[str, Any]) -> bool:
        """Return whether a part of a batch is sent once more at once, and note that it is."""
        if not all(self._goes_again(item, key) for item in part):
            return False
        for item in part:
            item.went_again = True
        return True

    def _goes_again(self, item: _Item, key: Mapping[str, Any]) -> bool:
        """Return whether a request that was refused with a 401 is sent once more at once.

        So it is, one time, if the authentication test passes; and if that has got another token.
        """
        access = self._destination.access
        if access is None or not item.token or not _is_unauthorized(item.verdict):
            return False
        if key["error_class"] != "permission":
            return False
        return access.is_replaced(item.token) or not item.went_again

    def _is_listed(
        self,
        request: CompiledRequest,
        parts: _Parts,
        lists: dict[str, Listed],
        began: float,
    ) -> bool:
        """Answer what is left of a request from a list, if it was read, or is cheaper by now."""
        listed, name = request.definition.listed, request.definition.name
        left = [item for part, _ in parts.waiting for item in part]
        only = left[0].only
        if listed is None:
            return self._is_read(request, left, lists)
        if name not in lists or not lists[name].serves(only):
            # One question costs no more than a list; the first request shows what is missing.
            is_first = len(parts.waiting) == 1 and parts.waiting[0][1] == 0
            spent = self._clock.monotonic() - began
            sizes = [len(part) for part, _ in parts.waiting]
            if is_first or len(left) == 1:
                return False
            if not self._list_choice.is_cheaper(listed.request, spent, parts.sent, sizes):
                return False
            if (read := self._read_list(listed, only, left)) is None:
                return False
            lists[name] = read
        for item in left:
            try:
                item.verdict = lists[name].answer(item.context)
            except ResolveError as error:
                item.verdict = _unsendable(request, error)
        return True

    def _is_read(
        self, request: CompiledRequest, items: Sequence[_Item], lists: Mapping[str, Listed]
    ) -> bool:
        """Answer a request for a list that was read a moment ago for another request."""
        for one in lists.values():
            if one.request == request.definition.name:
                as_read = [item for item in items if item.part == one.part]
                if len(as_read) == len(items) and one.serves(items[0].only):
                    for item in items:
                        item.verdict = Answer("ok", one.items)
                    return True
        return False

    def _read_list(
        self, listed: ListedDefinition, only: Selection | None, left: Sequence[_Item]
    ) -> Listed | None:
        request = self._destination.requests[listed.request]
        began = self._clock.monotonic()
        try:
            item = self._item(request, {}, {})
            item.only = only
            _note_in(item, left, left[0].kind)
            self._attempt(request, [item])
            if isinstance(item.verdict, Answer):
                read = Listed(listed, item.verdict.data, item.part, only)
                self._list_choice.took(listed.request, self._clock.monotonic() - began)
                return read
        except (_EndedError, ValueError):
            pass
        self._list_choice.failed(listed.request)
        return None

    def _look_at_key(self, request: CompiledRequest, refused: Sequence[_Item]) -> Mapping[str, Any]:
        """Find out with the authentication test whether a refusal is really about the key.

        A firewall may refuse single events with the same status. Without a test, the pipeline
        decides after several refusals in a row.
        """
        authentication = self._destination.definition.authentication
        if _is_without_token(refused):
            return {"error_class": "authentication"}  # no request can be made to test it
        if authentication is None:
            return {"error_class": "permission"}
        if request.definition.name == authentication.test:
            return {"error_class": "authentication"}
        failure = self._credentials_tested(refused)
        if not isinstance(failure, Failure):
            return {"error_class": "permission", "concerns": "permission"}
        # Why no other token can be got says what to do, which the 401 of the request does not.
        is_token = failure.rule.startswith(OF_TOKENS)
        why = {"message": failure.message, "rule": failure.rule} if is_token else {}
        if failure.error_class == "authentication" or failure.status in _NOT_ALLOWED:
            return {"error_class": "authentication", **why}
        # Unknown for now.
        return {
            **why,
            "error_class": "unavailable",
            "concerns": "event",
            "retryable": True,
            "retry_after": failure.retry_after,
        }

    @staticmethod
    def _reconsider(items: Sequence[_Item], key: Mapping[str, Any]) -> None:
        """Replace refusals of the key with the verdict of `_look_at_key`."""
        for item in items:
            item.verdict = replace(cast("Failure", item.verdict), **key)

    def _attempt(self, request: CompiledRequest, items: Sequence[_Item]) -> bool:
        """Make one HTTP request; return False if it is too large and has several events."""
        if self._stop.is_set() or self._is_too_late(items):
            return True
        try:
            parts = [item.part for item in items]
            message = self._message(request, items, parts)
            size = _Size(len(message.body or b""), len(items))
            if len(items) > 1 and self._is_too_large(request, size):
                return False
            verdicts = self._exchange(request, message, items, parts)
        except (ResolveError, UnsendableError) as error:
            for item in items:
                item.verdict = _unsendable(request, error)
            return True
        for item, verdict in zip(items, verdicts, strict=True):
            item.judge(verdict)
        if all(isinstance(one, Failure) and one.status == _TOO_LARGE for one in verdicts):
            self._note_too_large(request, size)
        return True

    def _is_too_late(self, items: Sequence[_Item]) -> bool:
        """Return whether a request must not be sent any more; then there is no verdict on it."""
        until = _until(items)
        if until is None or not self._is_over(until):
            return False
        for item in items:  # the partner is asked, or an operator decides
            item.verdict = None
        return True

    def _end(self, until: float | None) -> _End | None:
        """Return when a repeated request must not leave any more, whatever the clock is set to."""
        if until is None:
            return None
        return _End(until, self._clock.monotonic() + until - self._clock.time())

    def _is_over(self, end: _End) -> bool:
        return self._clock.time() >= end.wall or self._clock.monotonic() >= end.monotonic

    def _message(
        self, request: CompiledRequest, items: Sequence[_Item], parts: Sequence[Part | bytes]
    ) -> HttpRequest:
        """Return the HTTP request for events; raises `ResolveError` and `UnsendableError`."""
        message = request.prepare(parts, items[0].context)
        if items[0].only is not None and message.list_path is not None:
            message = replace(message, only=items[0].only)
        if self._destination.public_only:
            message = replace(message, public_only=True)
        until = _until(items)
        if until is not None:
            message = replace(message, may_leave=lambda: not self._is_over(until))
        return message

    def _is_too_large(self, request: CompiledRequest, size: _Size) -> bool:
        """Return whether a request of this size was refused before."""
        most = request.definition.batch_bytes
        if most is not None and size.body_bytes > most:
            return True
        refused = self._too_large.get(request.definition.name, ())
        return any(size.holds(one) for one in refused)

    def _note_too_large(self, request: CompiledRequest, size: _Size) -> None:
        """Remember a size that was refused, so that larger requests are not tried."""
        with self._lock:
            name = request.definition.name
            others = self._too_large.get(name, ())
            kept = [one for one in others if not one.holds(size)]
            self._too_large[name] = (*kept, size)

    def _exchange(
        self,
        request: CompiledRequest,
        message: HttpRequest,
        items: Sequence[_Item],
        parts: Sequence[Part | bytes],
    ) -> list[Answer | Failure]:
        log = items[0].log
        if log is not None:
            take_wait()  # of what came before it in this thread
            wall, began = self._clock.time(), self._clock.monotonic()
        response: HttpResponse | None = None
        lost: TransportError | None = None
        unauthorized: Failure | None = None
        try:
            response = self._answered(request, message, items)
        except UnsendableError:
            raise
        except TokenError as error:
            unauthorized = error.failure
            lost = TransportError(unauthorized.message, sent=False, for_operator=True)
        except TransportError as error:
            lost = error
        if log is not None:
            waited = take_wait()
            seconds = max(0.0, self._clock.monotonic() - began - waited)
        verdicts: list[Answer | Failure]
        if response is None:
            assert lost is not None  # noqa: S101 - there was one or the other
            verdicts = [unauthorized or _lost(lost)] * len(parts)
        else:
            verdicts = request.read(response, len(parts), parts)
            if message.only is not None:
                verdicts = [_narrowed(one, message.only) for one in verdicts]
        if log is not None:
            reach = self._destination.settings.masker_of_answers.reach
            kept, answer = bounded(message, response, reach)
            log.append(
                Exchange(
                    *(items[0].kind, request.definition, kept, answer, lost),
                    *(wall + waited, seconds, verdicts, [item.places for item in items]),
                    len(message.body or b""),
                    0 if response is None else len(response.body),
                    [item.step for item in items],
                )
            )
        with self._lock:
            self.requests_sent += 1
        return verdicts

    def _answered(
        self, request: CompiledRequest, message: HttpRequest, items: Sequence[_Item]
    ) -> HttpResponse:
        """Return the answer to a request, which is sent with an access token if it needs one."""
        access = self._destination.access
        if access is None:
            return self._transport.send(message)
        authentication = self._destination.definition.authentication
        is_test = authentication is not None and authentication.test == request.definition.name
        sent = access.send_with_token(message, self._transport, is_test=is_test)
        for item in items:
            item.token = sent.token
        return sent.response

    def _result(
        self, request: CompiledRequest, item: _Item, *, repeat_after: float | None = None
    ) -> Result:
        """Return the result for an item's verdict.

        After ``repeat_after`` seconds, the whole of which the request is a step may be made again;
        None if it must not be.
        """
        verdict = item.verdict
        if verdict is None:
            ended = _NOT_SENT_AGAIN if item.maybe_applied and not request.is_safe else _NOT_SENT
            return replace(ended, attempts=item.attempts)
        if isinstance(verdict, Answer):
            return Result(Outcome.DELIVERED, attempts=item.attempts)
        if verdict.is_there == "event":
            if _was_there(item):
                return Result(Outcome.DELIVERED, _HAS_IT_FROM_US, attempts=item.attempts)
            return Result(Outcome.FILTERED, _HAS_IT, "AT_PARTNER", attempts=item.attempts)
        verdict = self._masked(verdict)
        if not item.attempts:
            return Result.invalid(verdict.message, "BAD_REQUEST")
        outcome = status_of(
            request,
            error_class=verdict.error_class,
            retryable=verdict.retryable or verdict.concerns != "event",
            nothing_applied=verdict.nothing_applied or repeat_after is not None,
        )
        result = Result.of_error(outcome, verdict.error(), attempts=item.attempts)
        if outcome is State.UNKNOWN and not verdict.is_answered:
            # No status here: it would look like the partner's.
            reason = f"the answer was lost: {verdict.message.removeprefix('no answer: ')}"
            result = replace(result, reason=reason, code=ANSWER_LOST, status=None)
        result = replace(result, maybe_applied=not _changed_nothing(request, item))
        may_pass = verdict.retryable or verdict.concerns != "event"
        if outcome is not State.READY and not (outcome is State.UNKNOWN and may_pass):
            return result
        retry = verdict.retry()
        if repeat_after and not (request.definition.idempotent or verdict.nothing_applied):
            retry = replace(retry, at_least=repeat_after)
        return replace(result, retry=retry)


def _note_in(item: _Item, others: Sequence[_Item], kind: AttemptKind) -> None:
    """Let a request that others made needed be noted as one of theirs."""
    if others:
        item.log, item.kind = others[0].log, kind
        item.places = tuple(place for one in others for place in one.places)


def _narrowed(verdict: Answer | Failure, only: Selection) -> Answer | Failure:
    """Return an answer with those items of its list that were asked for."""
    if not isinstance(verdict, Answer) or not isinstance(verdict.data, list):
        return verdict
    return replace(verdict, data=[item for item in verdict.data if only.takes(item)])


def status_of(
    request: CompiledRequest, *, error_class: ErrorClass, retryable: bool, nothing_applied: bool
) -> Status:
    """Return an event's status after a failure of ``request``.

    ``unknown`` unless the request is idempotent or certainly changed nothing: sending it again, by
    us or by the sender who gets the failure, could apply it twice. Else ``ready`` if the failure
    may pass (a refusal of the credentials may), and ``rejected`` if not.
    """
    if not (request.definition.idempotent or nothing_applied):
        return State.UNKNOWN
    if retryable or error_class == "authentication":
        return State.READY
    return Outcome.REJECTED


def _may_be_tried_again(request: CompiledRequest, item: _Item) -> bool:
    verdict = item.verdict
    if not isinstance(verdict, Failure) or not verdict.retryable:
        return False
    return request.definition.idempotent or verdict.nothing_applied


def _with_step(steps: str, call: Call) -> str:
    """Return the names of the steps that a request is for, with that of one more call."""
    if not isinstance(call, StepCall) or call.step in steps.split(", "):
        return steps
    return f"{steps}, {call.step}" if steps else call.step


def _in_step(at: Call | None, reason: str) -> str:
    """Return a reason with the step in which an event failed, of an action that has steps."""
    if not isinstance(at, StepCall):
        return reason
    return f"{reason} ({at.where})" if reason else at.where


def _batches(items: list[_Item], size: int) -> Iterator[list[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _is_clear(verdict: Answer | Failure | None) -> bool:
    """Return whether a verdict is certainly about this very item."""
    return isinstance(verdict, Answer) or (verdict is not None and not verdict.whole_request)


def _may_be_hidden(verdict: Answer | Failure | None) -> bool:
    """Return whether another question may have made this one fail.

    Not if the failure is about the partner or the sender: no connection, refused credentials, too
    many requests.
    """
    if not isinstance(verdict, Failure):
        return False
    never_sent = verdict.status == 0 and verdict.nothing_applied
    return not never_sent and verdict.error_class not in {"authentication", "rate_limit"}


def _has_key(request: CompiledRequest) -> bool:
    """Return whether the partner recognises a request that it has carried out, for a while."""
    return request.definition.idempotency_key is not None


def _repeats(request: CompiledRequest) -> bool:
    """Return whether a request can be sent again at once without harm."""
    return request.definition.idempotent or _has_key(request)


def _was_there(item: _Item) -> bool:
    """Return whether the partner has the event from an earlier request of ours."""
    verdict = item.verdict
    return isinstance(verdict, Failure) and verdict.is_there == "event" and item.maybe_before


def _is_beside(verdict: Answer | Failure | None) -> bool:
    return isinstance(verdict, Failure) and verdict.beside


def _until(items: Sequence[_Item]) -> _End | None:
    """Return the time from which a request must not be sent, as one of its events may be there."""
    repeated = [one.until for one in items if one.resumes or one.maybe_applied]
    return min((until for until in repeated if until is not None), default=None)


def _was_applied_once(made: tuple[CompiledRequest, _Item]) -> bool:
    """Return whether a request that must not be repeated was applied."""
    request, item = made
    return isinstance(item.verdict, Answer) and not request.definition.idempotent


def _changed_nothing(request: CompiledRequest, item: _Item) -> bool:
    """Return whether a request certainly changed nothing.

    True if it is idempotent, was not made, or its failure proves it.
    """
    if request.is_safe or not item.attempts:
        return True
    return isinstance(item.verdict, Failure) and item.verdict.nothing_applied


def _is_refused_as_a_whole(request: CompiledRequest, items: Sequence[_Item]) -> bool:
    """Return whether the partner refused the request without judging single events."""
    return all(
        isinstance(verdict := item.verdict, Failure)
        and (verdict.whole_request or verdict.concerns == "key")
        and (verdict.nothing_applied or _repeats(request))
        and (verdict.status == _TOO_LARGE or verdict.concerns != "event" or not verdict.retryable)
        for item in items
    )


def _unplaced(request: CompiledRequest, items: Sequence[_Item]) -> list[_Item]:
    """Return the items to send again, so that each event gets its own verdict.

    These are the items of a batch whose answer does not say which event failed, provided that
    sending them again does no harm.
    """
    if len(items) == 1:
        return []
    return [
        item
        for item in items
        if isinstance(item.verdict, Failure)
        and item.verdict.unplaced
        and (item.verdict.nothing_applied or _repeats(request))
    ]


def _refuses_key(verdict: Answer | Failure | None) -> bool:
    return isinstance(verdict, Failure) and verdict.error_class == "authentication"


def _is_unauthorized(verdict: Answer | Failure | None) -> bool:
    return isinstance(verdict, Failure) and verdict.status == _UNAUTHORIZED


def _is_without_token(items: Sequence[_Item]) -> bool:
    """Return whether no request was made, as there was no access token for it."""
    return any(
        isinstance(one.verdict, Failure) and one.verdict.rule.startswith(OF_TOKENS) for one in items
    )


def _concerns(verdict: Answer | Failure | None, what: Concern) -> bool:
    return isinstance(verdict, Failure) and verdict.concerns == what


def _most_halves(part: Sequence[_Item]) -> int:
    verdict = part[0].verdict
    return _HALVES.get(verdict.concerns, 0) if isinstance(verdict, Failure) else 0


def _of_event(verdict: Answer | Failure | None) -> Answer | Failure | None:
    """Return a refusal as one of the event, as the partner accepts others of the same request."""
    if not isinstance(verdict, Failure) or verdict.concerns == "event":
        return verdict
    is_key = verdict.error_class == "authentication"
    error_class = "permission" if is_key else verdict.error_class
    return replace(verdict, concerns="event", error_class=error_class)


def _lost(error: TransportError) -> Failure:
    return Failure(
        error.message,
        "timeout" if error.timeout else "invalid" if error.too_long else "unavailable",
        0,
        retryable=not error.too_long,
        nothing_applied=not error.sent,
        for_operator=error.for_operator,
    )


def _unsendable(request: CompiledRequest, error: ResolveError | UnsendableError) -> Failure:
    message = f"the request {request.definition.name} cannot be made: {error}"
    return Failure(message, "invalid", 400, retryable=False, nothing_applied=True, made=False)
