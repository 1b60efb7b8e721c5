"""Check whether a server could start with a configuration, without starting anything."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from destinations.errors import (
    DefinitionError,
    DestinationsError,
    Issue,
    TemporaryError,
    UsageError,
)
from destinations.operations import check_seen, is_older_at, stored_version_at
from destinations.postgres import durability_issues_at, open_at
from destinations.server.binding import Bound, bind, check_definitions
from destinations.server.config_model import ServeConfig
from destinations.store import (
    OpenStore,
    SealedValues,
    check_label,
    check_not_lost,
    check_not_moved,
    check_store_path,
    is_newer,
    stored_version,
    why_newer,
    why_not_writable,
)
from destinations.telemetry import check_tracing
from destinations.telemetry.alerts import shown_sink, why_unreachable

__all__ = [
    "Faults",
    "check_alerts",
    "check_durability",
    "check_start",
    "check_without_secrets",
]


def check_start(config: ServeConfig, environment: Mapping[str, str]) -> Sequence[Bound]:
    """Check a configuration, and return its destinations, that a server could start with.

    Raises `DefinitionError` or `UsageError` for all that it could not start with. It does not look
    at what may change any moment: whether the port is taken, or another server has the store.
    """
    faults = Faults()
    bound: Sequence[Bound] = ()
    with faults:
        bound = bind(config, None)
    with faults:
        _check_connections(bound)
    _check_places(config, environment, faults)
    if not faults.found:  # else the store may have none of what it is asked for
        with faults:
            _check_stored(config, bound)
    faults.raise_all()
    return bound


def check_without_secrets(config: ServeConfig, environment: Mapping[str, str]) -> None:
    """Check what can be checked of a configuration that was read without its secrets.

    Raises as `check_start`.
    """
    faults = Faults()
    with faults:
        check_definitions(config)
    _check_places(config, environment, faults)
    faults.raise_all()


def _check_places(config: ServeConfig, environment: Mapping[str, str], faults: Faults) -> None:
    """Check what needs no destination: tracing, the addresses, and the store as it is."""
    with faults:
        check_tracing(environment)
    with faults:
        _check_host(config.listen.host, config.at("/listen/host"))
    if config.admin is not None:
        with faults:
            _check_host(config.admin.listen.host, config.at("/admin/listen"))
    with faults:
        _check_store(config)


class Faults:
    """Collects the errors of several checks, each in a block of its own, to tell all at once."""

    def __init__(self) -> None:
        self.found: list[DestinationsError] = []

    def __enter__(self) -> None:
        """Begin a check."""

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: object
    ) -> Literal[True] | None:
        """End a check: an error of ours is kept, and the block ends without it."""
        if not isinstance(error, DestinationsError):
            return None
        self.found.append(error)
        return True

    def raise_all(self) -> None:
        """Raise what was found, if anything was: one error as it is, several as one.

        That is temporary if all of them are.
        """
        if not self.found:
            return
        if len(self.found) == 1:
            raise self.found[0]
        if all(isinstance(one, TemporaryError) for one in self.found):
            raise TemporaryError("\n".join(map(str, self.found)))
        issues = [
            issue
            for one in self.found
            for issue in (one.issues if isinstance(one, DefinitionError) else [Issue(str(one))])
        ]
        raise DefinitionError(dict.fromkeys(issues))


def check_durability(config: ServeConfig) -> Sequence[str]:
    """Return what would make acknowledged events losable, and what would stop the store soon.

    Raises as `check_start` does.
    """
    store = config.store
    return [
        f"{config.at('/store/postgres')}: {issue.text}"
        for issue in durability_issues_at(store.address)
        if issue.matters(is_replicated=store.is_replicated)
    ]


def check_alerts(config: ServeConfig) -> Sequence[str]:
    """Return why people could not be told of alerts now; nothing is sent."""
    return [
        f"alerts: the sink {name} ({shown_sink(sink)}) cannot be reached: {why}"
        for name, sink in config.alerts.sinks.items()
        if (why := why_unreachable(sink)) is not None
    ]


def _check_connections(bound: Sequence[Bound]) -> None:
    issues = [
        f"{each.name}: {issue}" for each in bound for issue in each.destination.environment_issues()
    ]
    if issues:
        raise UsageError("\n".join(issues))


def _check_host(host: str, place: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Any free port will do: only the address is checked.
        socket.create_server((host, 0), family=family).close()
    except OSError as error:
        msg = f"{place}: cannot listen on {host}: {error.strerror or error}"
        raise UsageError(msg) from None


def _check_store(config: ServeConfig) -> None:
    """Look at the store as it is: opening a file as a store would bring it forward."""
    address, place = config.store.address, _place(config)
    try:
        if isinstance(address, Path):
            _check_file(address)
        else:
            stored_version_at(address)
    except TemporaryError as error:
        raise TemporaryError(f"{place}: {error}") from None
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def _place(config: ServeConfig) -> str:
    is_file = isinstance(config.store.address, Path)
    return config.at("/store/path" if is_file else "/store/postgres")


def _check_file(path: Path) -> None:
    check_store_path(path)
    check_not_lost(path)
    if not path.exists():
        _check_folder(path)
        return
    version = stored_version(path)
    if is_newer(version):
        raise UsageError(f"cannot use the store {path}: {why_newer(version)}")
    why = why_not_writable(path)
    if why is not None:
        raise UsageError(f"cannot write to the store {path}: {why}")


def _check_stored(config: ServeConfig, bound: Sequence[Bound]) -> None:
    """Look whether the store knows the accounts by their names, and can be opened with the keys.

    A start does the same.
    """
    address = config.store.address
    version = stored_version_at(address)
    if version and is_older_at(address, version):
        return  # only what it is brought forward to can be asked
    store = open_at(address, read_only=True) if version else None
    with contextlib.closing(store) if store else contextlib.nullcontext():
        if store is not None:
            sealer = None if config.sealing is None else config.sealing.sealer()
            SealedValues(store.database, sealer).check()
            _check_whole(store, config)
        for each in bound:
            try:
                if store is None:
                    check_label(each.identity.name)
                else:
                    store.accounts().find(each.identity)
            except UsageError as error:
                raise UsageError(f"{each.name}: {error}") from None


def _check_whole(store: OpenStore, config: ServeConfig) -> None:
    """Raise `UsageError` for a store that was moved away, or put back to an earlier time."""
    place = _place(config)
    try:
        store.database.at_once(lambda connection: check_not_moved(connection, store.shown))
        check_seen(store)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def _check_folder(path: Path) -> None:
    """Raise `UsageError` if the file could not be made in its folder."""
    folder = path.resolve().parent
    if not folder.exists():
        raise UsageError(f"the folder {folder} is missing: make it, or mount it")
    if not folder.is_dir():
        raise UsageError(f"cannot make the store {path}: {folder} is not a folder")
    why = why_not_writable(folder)
    if why is not None:
        msg = f"cannot make the store {path}: {folder} cannot be written to: {why}"
        raise UsageError(msg)
