"""Write the log lines of the whole process, as JSON or for a terminal, without secrets."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from destinations.telemetry.bursts import Burst, Bursts, Timer
from destinations.telemetry.masks import Masks

__all__ = ["Form", "Level", "LogLines", "log_tenant"]

Form = Literal["json", "text", "auto"]
Level = Literal["debug", "info", "warning", "error"]

_NAME: Final = "destinations.serve"
LINES_A_SECOND: Final = 10
"""The number of similar lines that are written within a second."""

_MORE: Final = "more_like_it"
_FIELDS: Final = (
    *("destination", "deliveries", "done", "decision", "file"),
    *("operator", "via", "address", "verb", "exit_code", "again_in", _MORE),
)
"""What a record may have beside its message."""
_FIRST: Final = ("timestamp", "level", "logger", "message")
_TENANT: Final[ContextVar[str]] = ContextVar("tenant", default="")
"""The tenant whose deliveries this thread writes about."""

_QUIET: Final = ("uvicorn", "opentelemetry", "urllib3", "asyncio", "filelock")


_Kind = tuple[int, str, str, str]
"""The level, the logger, the message (or the place in the code), and the destination of lines."""


class _Handler(logging.StreamHandler[TextIO]):
    """Writes at most ten lines of a kind a second, and how many more there were.

    Counts lines that could not be written; the library's handler would print their content.
    """

    lost = 0

    def __init__(
        self,
        stream: TextIO,
        monotonic: Callable[[], float],
        start_timer: Callable[[float, Callable[[], None]], Timer] | None,
    ) -> None:
        super().__init__(stream)
        self._bursts: Bursts[_Kind] = Bursts(
            self._tell, monotonic=monotonic, start_timer=start_timer, at_once=LINES_A_SECOND
        )
        self._record: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless there were too many like it in this second."""
        self._record = record
        self._bursts.add(*_kind_of(record))
        self._record = None

    def finish(self) -> None:
        """Write how many lines were left out so far; safe to repeat."""
        self._bursts.close()

    def _tell(self, kind: _Kind, burst: Burst) -> None:
        self.acquire()
        try:
            record = self._record
            if burst.is_last or record is None:
                if burst.number:
                    super().emit(_summary(kind, burst))
                return
            if burst.number > 1:
                more = burst.number - 1
                if isinstance(record.msg, dict):
                    record.msg = {**record.msg, _MORE: more}
                else:
                    setattr(record, _MORE, more)
            super().emit(record)
        finally:
            self.release()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the library's signature
        self.lost += 1


def _kind_of(record: logging.LogRecord) -> tuple[_Kind, str]:
    """Return the kind of a line, and its message.

    A message of others may differ each time, so that theirs are alike if one place writes them.
    """
    if isinstance(record.msg, dict):
        message = what = str(record.msg.get("event", ""))
        destination = record.msg.get("destination", "")
    else:
        message, what = record.getMessage(), f"{record.pathname}:{record.lineno}"
        destination = getattr(record, "destination", "")
    return (record.levelno, record.name, what, str(destination)), message


def _summary(kind: _Kind, burst: Burst) -> logging.LogRecord:
    level, name, _, destination = kind
    text = f"{burst.number:,} more like it: {burst.last}"
    record = logging.LogRecord(name, level, "", 0, "%s", (text,), None)
    if destination:
        record.destination = destination
    return record


class LogLines:
    """Sends all log lines of this process to ``stream`` while it is open.

    Of lines that are alike (one message of one destination) at most ten are written a second. The
    next line has ``more_like_it``, the number of those left out before it; after five seconds
    without any, or at the end, a line reports the rest.

    ``form`` is ``text``, ``json`` or ``auto`` (text on a terminal, else JSON). Lines logged through
    the standard library, and errors that end a thread, are included.
    """

    def __init__(
        self,
        masks: Masks,
        *,
        stream: TextIO | None = None,
        level: Level = "info",
        form: Form = "auto",
        monotonic: Callable[[], float] = time.monotonic,
        start_timer: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._masks = masks
        self._stream = sys.stderr if stream is None else stream
        self._handler = _Handler(self._stream, monotonic, start_timer)
        self._open = False
        self.thread_ended: Callable[[], None] = lambda: None
        """Called after an internal error has ended a thread."""
        self._former_hook = threading.excepthook
        self._former_levels: dict[str, int] = {}
        self.use(level, form)
        self.logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
            logging.getLogger(_NAME),
            processors=[
                structlog.stdlib.filter_by_level,
                _add_tenant,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    @property
    def lost(self) -> int:
        """Return how many lines could not be written."""
        return self._handler.lost

    def use(self, level: Level, form: Form) -> None:
        """Change the level and the form."""
        as_text = form == "text" or (form == "auto" and self._stream.isatty())
        self._handler.setFormatter(self._formatter(as_text=as_text))
        number = getattr(logging, level.upper())
        self._levels = {"": number, **dict.fromkeys(_QUIET, max(number, logging.WARNING))}
        if self._open:
            self._set_levels()

    def end_bursts(self) -> None:
        """Write how many lines were left out so far; safe to repeat."""
        self._handler.finish()

    def _set_levels(self) -> None:
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)

    def __enter__(self) -> Self:
        self._former_levels = {name: logging.getLogger(name).level for name in self._levels}
        self._set_levels()
        self._open = True
        logging.getLogger().addHandler(self._handler)
        self._former_hook = threading.excepthook
        threading.excepthook = self._thread_ended
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self.end_bursts()
        threading.excepthook = self._former_hook
        logging.getLogger().removeHandler(self._handler)
        for name, level in self._former_levels.items():
            logging.getLogger(name).setLevel(level)

    def _formatter(self, *, as_text: bool) -> logging.Formatter:
        colors = self._stream.isatty()
        render: list[Processor] = (
            [_one_line, structlog.dev.ConsoleRenderer(colors=colors, event_key="message")]
            if as_text
            else [structlog.processors.JSONRenderer(ensure_ascii=False)]
        )
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=_FIELDS),
            ],
            processors=[
                _timestamp,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.EventRenamer("message"),
                self._plain,
                *render,
            ],
        )

    def _plain(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        """Mask secrets, and put the same keys first in every line."""
        plain: dict[str, Any] = self._masks.plain(line)
        if isinstance(plain.get("exception"), str):  # its text may repeat what was sent
            plain["exception"] = self._masks.foreign(plain["exception"])
        return {key: plain.pop(key) for key in _FIRST if key in plain} | plain

    def _thread_ended(self, ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is None or issubclass(ended.exc_type, SystemExit):
            return
        name = ended.thread.name if ended.thread is not None else None
        self.logger.error(
            "thread ended with an internal error", thread=name, exc_info=ended.exc_value
        )
        self.thread_ended()


@contextlib.contextmanager
def log_tenant(shown: str) -> Iterator[None]:
    """Add the name of a tenant to what this thread writes to `LogLines.logger` within it."""
    # Cheaper than structlog's own context: this is done several times for each batch.
    token = _TENANT.set(shown)
    try:
        yield
    finally:
        _TENANT.reset(token)


def _add_tenant(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    tenant = _TENANT.get()
    if tenant:
        line["tenant"] = tenant
    return line


def _timestamp(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Add the time, in UTC."""
    at = datetime.fromtimestamp(line["_record"].created, UTC)
    line["timestamp"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return line


def _one_line(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Escape control characters in texts of others, as a terminal would obey them."""
    return {
        key: value
        if not isinstance(value, str) or value.isprintable() or key == "exception"
        else ascii(value)
        for key, value in line.items()
    }
