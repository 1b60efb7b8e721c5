"""``destinations serve``."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from pathlib import Path

import click

from destinations._version import __version__
from destinations.cli.commands import Command
from destinations.cli.garbage_collection import collect_less_often
from destinations.cli.parent import watch_parent
from destinations.console.checking import check_console
from destinations.console.child import ConsoleChild, command_line
from destinations.errors import DestinationsError, SecretMissingError, TemporaryError
from destinations.server import (
    Bound,
    Faults,
    Role,
    ServeConfig,
    Service,
    check_alerts,
    check_definitions,
    check_durability,
    check_start,
    check_without_secrets,
    config_to_check,
    read_config,
)
from destinations.server.notify import Notifier, Watchdog
from destinations.server.signals import Signals
from destinations.telemetry import Observation, observe

__all__ = ["command"]

_LOG = logging.getLogger(__name__)
_UPKEEP_SECONDS = 3600.0
_MAINTAIN_SECONDS = 30.0
_MEND_SECONDS = 5.0
_READ_SECONDS = 60.0
_SLICE_SECONDS = 0.1


@click.command("serve", cls=Command, epilog="Example: destinations serve --config serve.yaml")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="Read the configuration from FILE: YAML, JSON (.json) or TOML (.toml).",
)
@click.option(
    "--role",
    type=click.Choice(["receive", "deliver", "both"]),
    default="both",
    help="Only receive events, or only deliver them, where several servers share a store in"
    " PostgreSQL (both).",
)
@click.option("--check", is_flag=True, help="Only check whether the configuration can be used.")
@click.option("--until-eof", is_flag=True, hidden=True)
def command(path: Path, role: Role, *, check: bool, until_eof: bool) -> int:
    """Receive events over HTTP and deliver them, until stopped.

    SIGTERM and SIGINT stop the server once the requests under way have ended; waiting deliveries
    stay in the store. SIGHUP reloads the configuration; a faulty one is logged, and the former
    one stays.
    """
    if check:
        config, bound, of_console = _checked(path)
        of_bound = [one for each in bound for one in each.warnings]
        of_parts = (*of_bound, *check_durability(config), *check_alerts(config), *of_console)
        for warning in (*config.warnings, *of_parts):
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{path} can be used: {', '.join(each.name for each in bound)}.")
        return 0
    # Before the configuration is read: a SIGHUP after that reads it again.
    with Signals() as signals:
        if until_eof:  # it must not outlive who started it, however that ends
            watch_parent(sys.stdin, signals.stop)
        config = _read(path)
        with contextlib.closing(observe(level=config.log.level, form=config.log.form)) as opened:
            return _run(config, path, signals, opened, role)


def _checked(path: Path) -> tuple[ServeConfig, Sequence[Bound], Sequence[str]]:
    """Return a configuration, its destinations and warnings about its console.

    Raises for all that is wrong at once. Where a file does not fit its schema, nothing else can be
    read of it.
    """
    faults, bound, of_console = Faults(), list[Bound](), list[str]()
    configs: list[ServeConfig] = []
    with faults:
        configs.append(read_config(path, os.environ))
    is_whole = bool(configs)
    # Else what it says without its secrets can be checked.
    config = configs[0] if configs else config_to_check(path, os.environ)
    if config is not None:
        with faults:
            if is_whole:
                bound += check_start(config, os.environ)
            else:
                check_without_secrets(config, os.environ)
        with faults:
            of_console += check_console(config, path)
    faults.raise_all()
    assert config is not None  # noqa: S101 - else there was a fault
    return config, bound, of_console


def _read(path: Path) -> ServeConfig:
    """Return the configuration; what no secret can mend is told before one that is missing."""
    try:
        return read_config(path, os.environ)
    except SecretMissingError:
        check_definitions(read_config(path, os.environ, secrets=False))
        raise


def _run(
    config: ServeConfig, path: Path, signals: Signals, observation: Observation, role: Role
) -> int:
    of_console = check_console(config, path)
    service = Service(config, observation, role=role)
    logger = observation.logger
    logger.info(
        "server starting",
        version=__version__,
        role=role,
        configuration=str(path.resolve()),
        store=str(config.store.address),
        destinations=[each.name for each in config.destinations],
    )
    for warning in (*config.warnings, *of_console):
        logger.warning(warning)
    service.start()
    collect_less_often()
    service.watch_queues()
    for name, url in service.urls.items():
        logger.info("receiver started", destination=name, url=url)
    if service.source_url is not None:
        names = [one.name for one in config.sources]
        logger.info("sources started", sources=names, host=service.source_url)
    if config.admin is not None or not service.receives:
        logger.info("metrics and health served", url=service.pages_url)
    notifier = Notifier(os.environ)
    notifier.ready(_status(service))
    console = _Console(path, role)
    try:
        try:
            console.follow(config)
            _serve(service, path, signals, observation, notifier, console)
        finally:
            console.stop()
            left = service.stop()
    except KeyboardInterrupt:
        logger.warning(
            "server stopped at once; requests under way are settled after the next start"
        )
        sys.stderr.flush()
        os._exit(130)
    observation.end_bursts()
    what = "1 delivery waits" if left == 1 else f"{left:,} deliveries wait"
    waiting = f"{what} in {config.store.address}" if left else "nothing waits"
    logger.info(f"server stopped; {waiting}", waiting=left)
    return 0


class _Console:
    """The process of the console, if the configuration that the server runs with has one.

    Servers that only receive events leave it to those that deliver.
    """

    def __init__(self, path: Path, role: Role) -> None:
        self._path = path
        self._role = role
        self._child: ConsoleChild | None = None

    def follow(self, config: ServeConfig) -> None:
        """Start it, let it read the configuration again, or end it, as the configuration says."""
        if config.console is None or self._role == "receive":
            self.stop()
        elif self._child is not None:
            self._child.reload()
        else:
            self._child = ConsoleChild(command_line(self._path))
            self._child.start()

    def stop(self) -> None:
        """End it; safe to repeat."""
        if self._child is not None:
            self._child.stop()
            self._child = None


def _status(service: Service) -> str:
    if not service.receives:
        return f"delivering for {', '.join(one.name for one in service.config.destinations)}"
    sources = [one.name for one in service.config.sources]
    return f"receiving for {', '.join([*sources, *service.urls])}"


def _serve(
    service: Service,
    path: Path,
    signals: Signals,
    observation: Observation,
    notifier: Notifier,
    console: _Console,
) -> None:
    """Return when a signal to stop arrives."""
    upkeep_at = maintain_at = time.monotonic()
    watchdog = Watchdog(notifier, service.progress)
    while True:
        watchdog.look()
        if time.monotonic() >= upkeep_at:
            upkeep_at = time.monotonic() + _UPKEEP_SECONDS
            threading.Thread(target=_prune, args=(service,), name="upkeep", daemon=True).start()
        if time.monotonic() >= maintain_at:
            maintain_at = time.monotonic() + _MAINTAIN_SECONDS
            threading.Thread(
                target=_maintain, args=(service,), name="maintain", daemon=True
            ).start()
        pause = watchdog.wait(min(upkeep_at, maintain_at) - time.monotonic())
        wish = signals.wait(min(pause, _MEND_SECONDS) if service.needs_repair else pause)
        if wish == "stop":
            observation.logger.info("server stopping; no more events accepted")
            notifier.stopping()
            return
        if wish == "reload":
            notifier.reloading()
            is_loaded = _reload(service, path, signals, observation)
            if is_loaded:
                console.follow(service.config)
            failed = "" if is_loaded else "; the last reload failed, the journal says why"
            notifier.ready(_status(service) + failed)
        if service.needs_repair:
            service.repair()


def _reload(service: Service, path: Path, signals: Signals, observation: Observation) -> bool:
    """Reload the configuration and return whether that worked; if not, the former one stays."""
    logger, is_loaded = observation.logger, False
    failed = "configuration not reloaded, the former one stays"
    try:
        config = _read_aside(path, signals)
        if config is None:
            logger.warning(f"{failed}: asked to stop before it was read")
            return False
        service.reload(config)
    except DestinationsError as error:
        logger.error(f"{failed}: {error}")  # noqa: TRY400 - reported in a line
    except Exception as error:  # an internal error must not end what runs
        observation.observer.internal_error("")
        reason = f"internal error, {type(error).__name__}: {error}"
        logger.exception(f"{failed}: {reason}")
    else:
        is_loaded = True
        observation.log(config.log.level, config.log.form)
        logger.info(
            "configuration reloaded",
            configuration=str(path.resolve()),
            destinations=[each.name for each in config.destinations],
        )
        if config.variables:  # whoever reloads to exchange one of them would wait in vain
            logger.info(
                "secrets from the environment are those of the start; to change one, restart",
                variables=sorted(config.variables),
            )
        for warning in config.warnings:
            logger.warning(warning)
    observation.loaded(successful=is_loaded)
    service.watch_queues()
    return is_loaded


def _read_aside(path: Path, signals: Signals) -> ServeConfig | None:
    """Read the configuration in a thread: files may keep their reader, and a stop must not wait.

    Returns None if a stop arrives first. Raises as `read_config` does, and `TemporaryError` if it
    takes longer than a minute.
    """
    read: Future[ServeConfig] = Future()

    def run() -> None:
        try:
            read.set_result(read_config(path, os.environ))
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            read.set_exception(error)

    # As a daemon, it does not keep the process either.
    threading.Thread(target=run, name="reload", daemon=True).start()
    give_up = time.monotonic() + _READ_SECONDS
    while not read.done():
        if signals.stopping:
            return None
        if time.monotonic() >= give_up:
            msg = f"{path}: reading it and its secrets took longer than {_READ_SECONDS:.0f} s"
            raise TemporaryError(msg)
        wait([read], timeout=_SLICE_SECONDS)
    return read.result()


def _maintain(service: Service) -> None:
    try:
        service.maintain()
    except DestinationsError as error:
        _LOG.warning("store not maintained: %s", error)


def _prune(service: Service) -> None:
    """Delete old data from the store."""
    try:
        service.prune()
    except DestinationsError as error:
        _LOG.warning("store not pruned: %s", error)
