"""``destinations serve``."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from pathlib import Path

import click

from destinations.errors import DefinitionError, DestinationsError
from destinations.observability import Observation, observe
from destinations.service import (
    Bound,
    Resources,
    ServeConfig,
    Service,
    Worker,
    bind,
    open_engine,
    read_config,
)
from destinations.service.signals import Signals

__all__ = ["command"]

_LOG = logging.getLogger(__name__)
_UPKEEP_SECONDS = 3600.0


@click.command("serve", epilog="Example: destinations serve --config serve.yaml")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The configuration, as YAML, JSON or (.toml) TOML.",
)
@click.option("--check", is_flag=True, help="Only say whether the configuration can be used.")
def command(path: Path, *, check: bool) -> int:
    """Receive events over HTTP and deliver them, until stopped.

    SIGTERM and SIGINT drain: what is under way ends, what waits stays in the store. SIGHUP reads
    the configuration again; if something is wrong with it, the one before stays.
    """
    config = read_config(path, os.environ)
    if check:
        bound = bind(config, None)
        click.echo(f"{path} can be used: {', '.join(each.name for each in bound)}.")
        return 0
    with contextlib.closing(observe()) as observation:
        return _run(config, path, observation)


def _run(config: ServeConfig, path: Path, observation: Observation) -> int:
    def open_worker(bound: Bound, resources: Resources) -> Worker:
        worker = open_engine(bound, resources)
        observation.mask(bound.secrets)
        observation.follow(bound.name, resources.store.path, lambda: worker.inbox.length)
        return worker

    service = Service(config, open_worker, metrics=observation.metrics, watcher=observation.watcher)
    with Signals() as signals:
        service.start()
        for url in service.urls.values():
            click.echo(f"Receives events at {url}", err=True)
        try:
            try:
                _serve(service, path, signals, observation)
            finally:
                left = service.stop()
        except KeyboardInterrupt:
            click.echo("Stopped at once; what was under way is settled after a start.", err=True)
            sys.stderr.flush()
            os._exit(130)
    waiting = f"{left:,} deliveries wait in {config.store.path}" if left else "nothing waits"
    click.echo(f"Stopped; {waiting}.", err=True)
    return 0


def _serve(service: Service, path: Path, signals: Signals, observation: Observation) -> None:
    """Returns when it is told to stop."""
    upkeep_at = time.monotonic()
    while True:
        if time.monotonic() >= upkeep_at:
            upkeep_at = time.monotonic() + _UPKEEP_SECONDS
            threading.Thread(target=_tidy, args=(service,), name="upkeep", daemon=True).start()
        wish = signals.wait(upkeep_at - time.monotonic())
        if wish == "stop":
            click.echo("Stopping: no more events are taken.", err=True)
            return
        if wish == "reload":
            _reload(service, path)
            observation.keep(service.urls.keys())


def _reload(service: Service, path: Path) -> None:
    try:
        service.reload(read_config(path, os.environ))
    except DefinitionError as error:
        _LOG.error("the configuration was not reloaded; the one before stays: %s", error)
        return
    click.echo(f"Reloaded {path}: {', '.join(service.urls)}.", err=True)


def _tidy(service: Service) -> None:
    """Lets go what nothing needs any more."""
    try:
        service.prune()
    except DestinationsError as error:
        _LOG.warning("the store could not be tidied: %s", error)
