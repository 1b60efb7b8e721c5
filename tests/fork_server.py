"""Start commands by forking a process that has imported what they need.

Most of what a short command takes is its imports. ``forked.py`` starts this program, and sends the
arguments, the environment, the folder and the standard streams of each command. What a new process
would find is made anew in the fork: signals, limits, streams, warnings.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TextIO

import destinations
import kana_destination
from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plugins import find_plugin, plugin_code

_MOST: Final = 200_000
"""Bytes of a request."""
_APART: Final = ("__main__", "destinations.kit", "kana_destination.definitions")
"""What commands do not import, or should run themselves."""

_ERROR: Final = ("error", None, Warning, None, 0)
"""What ``-W error``, with which this process is started, is among the filters of warnings."""

_STREAMS: Final = {
    name: (getattr(sys, name).encoding, getattr(sys, name).errors)
    for name in ("stdin", "stdout", "stderr")
}


@dataclass(frozen=True)
class Command:
    """What a forked process does, and with what."""

    arguments: Sequence[str]
    """Those after ``-P`` and ``-W error``."""
    environment: Mapping[str, str]
    folder: str
    ignored: Sequence[int]
    """The signals that it ignores at first."""
    limits: Mapping[str, tuple[int, int]]
    umask: int
    warns: bool
    """Whether each warning is an error, as with ``-W error``."""
    is_unbuffered: bool
    """Whether what it prints is written at once."""
    in_session: bool
    """Whether it is in a session of its own."""


def _prepare() -> None:
    """Import what commands import, also what they import late, and load what most of them load."""
    for package in (destinations, kana_destination):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(_APART[0]) and not found.name.startswith(_APART[1:]):
                importlib.import_module(found.name)
    # A server, too, works out only once what a definition says; its files are read each time.
    folder = find_folder("kana")
    definition = load_definition(folder)
    settings = Document("settings", {"apiKey": "prv_test_0123456789"}, {})
    code = plugin_code(find_plugin(definition.slug, folder), None)
    Destination(definition, check_settings(definition, settings), code)
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208


class _Server:
    """Forks for each request, and tells how each fork ended.

    With requests come the standard streams of a command, and the file in which its status is told;
    where it listens, that is told to who connects.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._listens = bool(control.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        self._waking, self._woken = socket.socketpair()
        for one in (self._waking, self._woken):
            one.setblocking(False)  # noqa: FBT003 - it has no name
        # The files in which it tells how the processes of these numbers ended.
        self._statuses: dict[int, int] = {}

    def serve(self) -> Command | None:
        """Return in each fork, with its command; return None when nobody asks any more."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = {number for number, _ in poll.poll()}
            if self._woken.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
                self._tell()
            if self._control.fileno() in ready:
                asker = self._control.accept()[0] if self._listens else self._control
                data, sent, _, _ = asker.recvmsg(_MOST, socket.CMSG_SPACE(4 * 4))
                if not data:
                    break
                files = array.array("i", b"".join(numbers for _, _, numbers in sent))
                if self._is_fork(asker, files):
                    return Command(**json.loads(data))
        for one in (self._control, self._waking, self._woken):
            one.close()
        return None

    def _is_fork(self, asker: socket.socket, files: array.array[int]) -> bool:
        """Fork, and return whether this is the new process; the other one tells its number."""
        pid = os.fork()
        if pid:
            asker.send(str(pid).encode())
        if self._listens:
            files.append(asker.detach())
        if pid:
            self._statuses[pid] = files.pop()
            for file in files:
                os.close(file)
        else:
            self._leave(files)
        return not pid

    def _tell(self) -> None:
        while self._statuses:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            file = self._statuses.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it
                os.write(file, str(status).encode())
            os.close(file)

    def _leave(self, files: Sequence[int]) -> None:
        """Keep of all files only three, as the standard streams."""
        signal.set_wakeup_fd(-1)
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        own = [one.detach() for one in (self._control, self._waking, self._woken)]
        os.closerange(3, max(*own, *files, *self._statuses.values()) + 1)


def _become(command: Command) -> None:
    """Make of a fork what a new process would be."""
    if command.in_session:
        os.setsid()
    for one in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):  # those that the C library keeps
            signal.signal(one, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in command.ignored:
        signal.signal(number, signal.SIG_IGN)
    for name, (soft, hard) in command.limits.items():
        resource.setrlimit(getattr(resource, name), (soft, hard))
    os.umask(command.umask)
    os.chdir(command.folder)
    os.environ.clear()
    os.environ.update(command.environment)
    time.tzset()
    filters = [one for one in warnings.filters if command.warns or one != _ERROR]
    warnings.resetwarnings()
    warnings.filters[:] = filters  # type: ignore[index]
    for number, name in enumerate(_STREAMS):
        stream = _opened(number, *_STREAMS[name], is_unbuffered=command.is_unbuffered)
        vars(sys).update({name: stream, f"__{name}__": stream})


def _opened(number: int, encoding: str, errors: str, *, is_unbuffered: bool) -> TextIO:
    """Open a standard stream as the interpreter does."""
    if number == 0:
        return open(0, encoding=encoding, errors=errors, closefd=False)
    lines = 1 if not is_unbuffered and (number == 2 or os.isatty(number)) else -1
    made = open(  # noqa: SIM115 - until the process ends
        number, "w", encoding=encoding, errors=errors, closefd=False, buffering=lines
    )
    if is_unbuffered:
        made.reconfigure(write_through=True)
    return made


def _run(arguments: Sequence[str]) -> None:
    """Run a module or a file with its arguments, as the interpreter does."""
    if arguments[0] == "-m":
        sys.argv[:] = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = list(arguments)
        runpy.run_path(arguments[0], run_name="__main__")


def _run_to_the_end(command: Command) -> None:
    """Run a command, and end as the interpreter does, but leave everything as it is in memory.

    To take apart what was imported takes longer than most commands; it is done only where each
    warning is an error.
    """
    try:
        _run(command.arguments)
        code = 0
    except SystemExit as end:
        if command.warns or not isinstance(end.code, int | None):
            raise
        code = end.code or 0
    vars(threading)["_shutdown"]()
    vars(atexit)["_run_exitfuncs"]()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _prepare()
    gc.collect()
    gc.freeze()
    found = _Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    if found is not None:
        _become(found)
        _run_to_the_end(found)
