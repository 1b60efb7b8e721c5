"""Run a program that must not outlive the server which started it, however that ends.

This file is a program of its own: it runs in a session of its own, with the program as its only
child, and ends its whole process group as soon as the other end of a socket is closed. The kernel
closes it when the server ends, also if that was killed. (PR_SET_PDEATHSIG would be about the thread
that forked and about one process only, and Python cannot set it safely beside other threads.)

Its arguments are the number of the socket, the names of the variables that the program gets with
commas between, and the program with its arguments. It ends as the program does. If the program
cannot be run, the number of that error goes to the socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading


def _main(number: str, names: str, argv: list[str]) -> None:
    server = socket.socket(fileno=int(number))
    server.set_inheritable(False)
    environment = {name: os.environ[name] for name in names.split(",") if name in os.environ}
    child = os.fork()  # while there is one thread
    if child == 0:
        try:
            os.execvpe(argv[0], argv, environment)  # noqa: S606 - the operator's own program
        except OSError as error:
            server.sendall(str(error.errno).encode())
        finally:
            os._exit(127)
    # The pipes are the program's alone: their ends say that it has ended, or reads no more.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:  # by a signal
        if -code not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _end_with(server: socket.socket) -> None:
    """End this process and all that it has started, once its server is no more."""
    while server.recv(1):  # nothing comes
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3:])
