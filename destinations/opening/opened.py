"""A destination that is open: deliver events to it, and ask it for what only its plugin knows."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Final, Self, TypeVar

from destinations.clock import SystemClock, WallClock
from destinations.definition import DestinationDefinition
from destinations.definition.connection import Connection, connect, read_connection
from destinations.definition.document import Document
from destinations.errors import StoreDamagedError, TemporaryError, UsageError
from destinations.http import Answer, Failure
from destinations.http.transport import HttpTransport, Transport
from destinations.oauth2 import AccessTokens
from destinations.opening.binding import bind_destination, check_written, open_definition
from destinations.opening.deliveries import (
    Deliveries,
    EventLike,
    deliveries_of,
    entries_of,
    type_of,
)
from destinations.opening.store import open_store
from destinations.operations import (
    AccountWords,
    choose_account,
    open_run_store,
    prune_after_run,
)
from destinations.operations.tokens import stored_tokens
from destinations.pipeline.reading import Entry
from destinations.pipeline.reconcile import LossOptions, longest_settling, longest_way
from destinations.pipeline.report import Row
from destinations.pipeline.run import Run, RunOptions
from destinations.pipeline.run_input import OUTAGE
from destinations.runtime.account_identity import AccountIdentity, checked_name, identity_of
from destinations.runtime.action import Call
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.runtime.store import ManualChanges
from destinations.store import OpenStore, SealedValues, Sealer, SealingKey

__all__ = ["OpenDestination", "open_destination"]

T = TypeVar("T")

_WORDS: Final = AccountWords("account=NAME", "same_account=True", "same_account=False")


class OpenDestination:
    """A destination with settings and a store, for one account at the partner.

    Threads may share it: one delivers at a time. While none does, other processes may use the same
    store. Close it, or use it as a context manager.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        destination: Destination,
        store: OpenStore,
        account: int,
        identity: AccountIdentity,
        transport: Transport,
        *,
        outage: float = OUTAGE,
        losses: LossOptions | None = None,
        clock: WallClock | None = None,
    ) -> None:
        self.destination = destination
        self.store = store
        self.account = account
        self.identity = identity
        self._outage = outage
        self._losses = losses or LossOptions()
        self._clock = clock or SystemClock()
        self._transport = transport
        self._lock = threading.Lock()
        self._delivering_thread: int | None = None
        self._stack = contextlib.ExitStack()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened for it; safe to repeat."""
        self._is_closed = True
        self._stack.close()

    def closes(self, stack: contextlib.ExitStack) -> Self:
        """Let `close` close what is in ``stack``, which is left empty; returns itself."""
        self._stack = stack.pop_all()
        return self

    @property
    def manual_changes(self) -> ManualChanges:
        """The changes that an operator has to make in the account."""
        self._check_open()
        return self.store.manual_changes([self.account])

    def deliver(self, events: Iterable[EventLike], *, input_id: str | None = None) -> Deliveries:
        """Deliver events as ``destinations run`` does, and return the outcome of each.

        An event is a mapping, or its JSON. All of them have a row when this returns: what could not
        be sent is ``ready``, waits in the store, and is sent by `deliver_waiting`, or when it comes
        again. What was delivered before is not sent again. With ``input_id``, events that have
        neither a ``messageId`` nor a time are recognised by that name and their place.

        A signal, such as Ctrl-C, first lets requests under way end, and has its effect then.
        Raises `TemporaryError` if another process delivers to the account from this store, or the
        store cannot be written, `StoreDamagedError` if it is damaged, and, once all that was read
        is delivered, what ``events`` raises: repeat the call, nothing is sent twice. Raises
        `UsageError` if ``events`` calls it on the same object.
        """
        if isinstance(events, Mapping | bytes | str):
            raise UsageError("expected a list of events, got one event: write deliver([event])")
        if not isinstance(events, Iterable):
            raise UsageError(f"expected a list of events, got {type_of(events)}")
        input_ids = () if input_id is None else (checked_name(input_id),)
        errors: list[Exception] = []
        deliveries = self._run(entries_of(_until_error(events, errors)), input_ids=input_ids)
        if errors:
            raise errors[0]
        return deliveries

    def deliver_waiting(self) -> Deliveries:
        """Deliver what waits in the store for this account, and return the outcomes.

        That is what earlier calls and runs left, and what a new rule maps. Raises as `deliver`.
        """
        return self._run((), deliver_waiting=True)

    def test_credentials(self) -> Failure | None:
        """Test the credentials at the partner; returns why they cannot be used, None if they can.

        Raises `UsageError` if the definition has no such test.
        """
        return self._sender().test_credentials()

    def perform(self, steps: Generator[Call, Answer, T]) -> T:
        """Run requests of a plugin outside of any event and return their result.

        A request that may succeed later is retried a few times. Raises `IntegrationError` if it
        still fails.
        """
        return self._sender().perform(steps)

    def _check_open(self) -> None:
        if self._is_closed:
            name = self.destination.definition.slug
            raise UsageError(f"{name} is closed: open it again with open_destination")

    def _sender(self) -> Sender:
        self._check_open()
        answers = self.store.answers(self.identity.partner)
        return Sender(self.destination, self._transport, answers=answers, clock=self._clock)

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with self._lock:
            self._delivering_thread = threading.get_ident()
            try:
                yield
            finally:
                self._delivering_thread = None

    def _run(
        self,
        entries: Iterable[Entry],
        *,
        input_ids: Sequence[str] = (),
        deliver_waiting: bool = False,
    ) -> Deliveries:
        """Do one run, and return the outcomes of all of its input."""
        self._check_open()
        if self._delivering_thread == threading.get_ident():  # which would wait for itself
            raise UsageError(
                "deliver was called by the events that it reads: deliver them all in one call, or "
                "open the destination again with a store of its own"
            )
        rows: list[Row] = []
        options = RunOptions(
            outage=self._outage,
            losses=self._losses,
            input_ids=input_ids,
            deliver_waiting=deliver_waiting,
            keep_unsent=True,
            read_all=True,
            naming_input="input_id=NAME",
        )
        definition = self.destination.definition
        with (
            self._one_at_a_time(),
            open_run_store(
                self.store,
                self.account,
                self.identity,
                reconcile_after=longest_settling(definition, self._losses),
                longest_way=longest_way(definition),
                clock=self._clock,
            ) as kept,
        ):
            run = Run(
                self.destination,
                self._transport,
                store=kept,
                options=options,
                clock=self._clock,
                counted=rows.append,
            )
            report = run.execute(entries)
        if run.signal is not None:
            signal.raise_signal(run.signal)
        masker = self.destination.settings.masker
        stopped, missing = report.stopped, report.not_kept
        if stopped is not None and stopped.why == "damaged":
            raise StoreDamagedError(masker.text(stopped.message))
        if missing is not None:
            raise TemporaryError(f"the store could not be written: {masker.text(missing.why)}")
        if stopped is None:
            prune_after_run(self.store, self.store.now)
        return deliveries_of(report, rows, masker)


def open_destination(  # noqa: PLR0913 - all but the first have a default
    destination: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    connection: str | Path | Connection | None = None,
    store: str | Path | None = None,
    account: str | None = None,
    same_account: bool | None = None,
    outage: float = OUTAGE,
    losses: LossOptions | None = None,
    sealing_key: str | None = None,
    transport: Transport | None = None,
    clock: WallClock | None = None,
) -> OpenDestination:
    """Open a destination, to deliver events to it; use it as a context manager to close it.

    ``destination`` is the name of an installed one, or a folder. ``settings`` are those of a
    settings file; their key ``account``, or ``account``, names the account at the partner.
    ``connection`` has the subscriptions and filters that take the place of the presets:
    a file, YAML or JSON, or what `read_connection` returns.

    ``store`` is the file that knows what was delivered, and what waits; without one that is
    forgotten when the destination is closed. ``same_account`` says whether new credentials at a
    known endpoint belong to the account that is known there.

    ``sealing_key`` is what ``destinations store new-key`` makes: it seals the access tokens of a
    destination with OAuth2, which a store keeps.

    It waits ``outage`` seconds for a partner that does not answer, and ``losses`` says what follows
    a lost answer. ``transport`` sends requests, and stays open; ``clock`` is the machine's by
    default.

    Raises `UsageError` for an argument of another type, an unknown destination, a plugin that
    cannot be loaded, a store that cannot be used, or an account that is unclear; `DefinitionError`
    for an invalid definition or connection, and `SettingsError` for settings that do not fit it.
    """
    _check_settings(settings)
    _check_type("destination", destination, str | Path, "a name or a path")
    _check_type("connection", connection, str | Path | Connection | None, "a path or a Connection")
    _check_type("store", store, str | Path | None, "a path")
    _check_type("account", account, str | None, "a name")
    _check_type("sealing_key", sealing_key, str | None, "a text")
    _check_type("losses", losses, LossOptions | None, "LossOptions")
    _check_seconds("outage", outage)
    _check_method("transport", transport, "send")
    _check_method("clock", clock, "monotonic")
    file = None if isinstance(connection, Connection) else connection
    if "\0" in f"{destination}{file}{store}":
        raise UsageError("a path must not contain the character U+0000")
    definition, plugin = open_definition(str(destination))
    check_written(definition)
    if connection is not None:
        given = (
            connection if isinstance(connection, Connection) else read_connection(Path(connection))
        )
        definition = connect(definition, given)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(open_store(_forgotten(stack) if store is None else store))
        document = Document("settings", dict(settings or {}), {})
        bound = bind_destination(definition, plugin, document, opened)
        if definition.oauth2 is not None and store is not None:
            bound.destination.keep_tokens(_tokens(definition, opened, sealing_key, clock))
        if transport is None:
            issues = bound.destination.environment_issues()
            if issues:
                raise UsageError("\n".join(issues))
            transport = HttpTransport(definition.transport.timeouts)
            stack.callback(transport.close)
        name = bound.account if account is None else checked_name(account)
        identity = identity_of(bound.destination, name)
        known = choose_account(opened.accounts(), identity, same=same_account, words=_WORDS)
        return OpenDestination(
            bound.destination,
            opened,
            known,
            identity,
            transport,
            outage=outage,
            losses=losses,
            clock=clock,
        ).closes(stack)


def _tokens(
    definition: DestinationDefinition,
    store: OpenStore,
    key: str | None,
    clock: WallClock | None,
) -> AccessTokens:
    """Return what keeps access tokens in a store; raises `UsageError` without a key."""
    if key is None:
        raise UsageError(
            f"the store keeps the access tokens of {definition.name} sealed: give a sealing_key, "
            "which destinations store new-key makes"
        )
    sealed = SealedValues(store.database, Sealer(SealingKey.parse(key)))
    sealed.check()
    return stored_tokens(store, sealed, clock)


def _until_error(events: Iterable[EventLike], errors: list[Exception]) -> Iterator[EventLike]:
    """Yield events until reading them fails, and add that error: a run that fails sends nothing."""
    try:
        yield from events
    except Exception as error:  # noqa: BLE001 - raised when all that was read has its row
        errors.append(error)


def _check_settings(given: object) -> None:
    """Raise `UsageError` for settings that are not a mapping."""
    if isinstance(given, Mapping):
        for key in given:
            _check_type("each key of settings", key, str, "a text")
        return
    if given is None:
        return
    is_file = isinstance(given, str | Path)
    hint = ": read_settings(file, os.environ).data are those of a file" if is_file else ""
    raise UsageError(f"settings must be a dict, not {type_of(given)}{hint}")


def _check_type(name: str, given: object, right: type | UnionType, words: str) -> None:
    """Raise `UsageError` for an argument of another type."""
    if not isinstance(given, right):
        raise UsageError(f"{name} must be {words}, not {type_of(given)}")


def _check_seconds(name: str, given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise UsageError(f"{name} must be a number of seconds from 0, not {given!r:.80}")


def _check_method(name: str, given: object, method: str) -> None:
    if given is not None and not callable(getattr(given, method, None)):
        raise UsageError(f"{name} must have the method {method}, but is {type_of(given)}")


def _forgotten(stack: contextlib.ExitStack) -> Path:
    """Return the path of a store that vanishes with the ``stack``."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="destinations-"))
    return Path(folder) / "store.sqlite3"
