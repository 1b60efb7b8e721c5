"""Processes of this package's commands, forked from one that has imported them: see `ForkedPopen`.

Most of what a short command takes is its imports.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import inspect
import json
import os
import resource
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, AnyStr, Final

__all__ = ["PIPE", "ForkedPopen", "Popen", "TimeoutExpired", "forking_program", "run_forked"]

_SERVER: Final = Path(__file__).with_name("fork_server.py")
_CLIENT: Final = _SERVER.with_name("fork_client.py")
_LIMITS: Final = tuple(name for name in dir(resource) if name.startswith("RLIMIT_"))
_PARAMETERS: Final = tuple(inspect.signature(vars(subprocess.Popen)["_execute_child"]).parameters)
_AT_START: Final = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC")
"""The beginnings of variables that an interpreter reads when it starts, before any program does."""


class _Server:
    """The process that forks, with the variables of ``at_start``."""

    def __init__(self, at_start: tuple[tuple[str, str], ...]) -> None:
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with other:
            self._process = _started(other, dict(at_start))
        self._lock = threading.Lock()
        atexit.register(self.close)

    def fork(self, request: dict[str, Any], files: Sequence[int]) -> tuple[int, int]:
        """Fork; returns the number of the process, and the file in which its status will be."""
        status, written = os.pipe()
        try:
            sent = array.array("i", [*files, written])
            with self._lock:
                self._control.sendmsg(
                    [json.dumps(request).encode()],
                    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)],
                )
                answer = self._control.recv(100)
        finally:
            os.close(written)
        assert answer, "the process that forks has ended"
        return int(answer), status

    def close(self) -> None:
        """End it."""
        self._control.close()
        self._process.wait()


def _started(control: socket.socket, at_start: Mapping[str, str]) -> subprocess.Popen[bytes]:
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(_AT_START)
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-W", "error", str(_SERVER), str(control.fileno())],
        env={**variables, **at_start},
        stdin=subprocess.DEVNULL,
        pass_fds=[control.fileno()],
        start_new_session=True,  # a signal for those who run the tests is not for it
    )


_server = functools.cache(_Server)


class ForkedPopen(subprocess.Popen[AnyStr]):
    """A process as of `subprocess.Popen`, for ``[sys.executable, "-P", ...]``.

    It is a child of another process, but it can be waited for, and gets its arguments, environment,
    folder, streams, limits, and signals as if it were started. Only ``-W error`` may follow ``-P``,
    and then a module of the package, or a file. What the start itself does is not tested with it.
    """

    _status: int | None = None

    def _execute_child(self, *given: Any) -> None:
        options = dict(zip(_PARAMETERS[1:], given, strict=True))
        assert not options["pass_fds"]
        assert options["preexec_fn"] is None
        program, safe, *arguments = map(str, options["args"])
        assert (program, safe) == (sys.executable, "-P")
        if warns := arguments[:2] == ["-W", "error"]:
            del arguments[:2]
        environment = dict(os.environ if options["env"] is None else options["env"])
        at_start = {
            name: value for name, value in environment.items() if name.startswith(_AT_START)
        }
        is_unbuffered = bool(at_start.pop("PYTHONUNBUFFERED", None))
        request = {
            "arguments": arguments,
            "environment": environment,
            "folder": str(options["cwd"] or Path.cwd()),
            "ignored": [
                number
                for number in signal.valid_signals()
                if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE
            ],
            "limits": {name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
            "umask": _umask(),
            "warns": warns,
            "is_unbuffered": is_unbuffered,
            "in_session": options["start_new_session"],
        }
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        streams = [options[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        files = [number if stream == -1 else stream for number, stream in enumerate(streams)]
        try:
            server = _server(tuple(sorted(at_start.items())))
            self.pid, self._status = server.fork(request, files)
            self._child_created = True
        finally:
            self._close_pipe_fds(*(options[name] for name in ends))  # type: ignore[attr-defined]

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        lock: threading.Lock = self._waitpid_lock  # type: ignore[attr-defined]
        if self.returncode is None and lock.acquire(blocking=False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid == self.pid:
                        self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                lock.release()
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        assert self._status is not None
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if not poll.poll(0 if flags & os.WNOHANG else None):
            return 0, 0
        told = os.read(self._status, 100)
        os.close(self._status)
        self._status = None
        assert told, "the process that forks has ended"
        return self.pid, int(told)


@contextlib.contextmanager
def forking_program(folder: Path) -> Iterator[Path]:
    """Make a program ``destinations``, for shells, whose commands are forked from one process.

    It is forked itself from the process that forks all others, which has imported everything.
    """
    place = folder / "forks"
    program = folder / "destinations"
    # Without the packages of this environment, which it does not need.
    client = shlex.join([sys.executable, "-I", "-S", str(_CLIENT), str(place)])
    program.write_text(f'#!/bin/sh\nexec {client} "$@"\n')
    program.chmod(0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(place))
        listener.listen()
        process = ForkedPopen[bytes](
            [sys.executable, "-P", "-W", "error", str(_SERVER), "0"],
            stdin=listener.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a signal for those who run the tests is not for it
        )
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its commands as well
        process.wait()


# As `subprocess` has them, for a module of the package that uses it.
Popen = ForkedPopen
PIPE: Final = subprocess.PIPE
TimeoutExpired = subprocess.TimeoutExpired


def run_forked(arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a command to its end as `subprocess.run` does, in a `ForkedPopen`."""
    given = options.pop("input", None)
    check = options.pop("check", False)
    timeout = options.pop("timeout", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ForkedPopen[Any](arguments, **options) as process:
        try:
            out, err = process.communicate(given, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(arguments, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _umask() -> int:
    """Return the mask of this process, without changing it for a moment."""
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text("ascii").splitlines()
        if line.startswith("Umask:")
    ]
    return int(line.split()[1], 8)
