"""Ask a fork server for a command, from a shell: for programs of a drill that start many commands.

It imports little, as it is started for each command. It passes signals on, and ends as the command.
"""

import array
import json
import os
import signal
import socket
import sys


def main() -> int:
    """Return the exit code of the command of these arguments, after the path of the server."""
    path, *arguments = sys.argv[1:]
    limits: dict[str, tuple[int, int]] = {}
    umask = os.umask(0o077)
    request = {
        "arguments": ["-m", "destinations", *arguments],
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes as long as all the rest
        "ignored": [],
        "limits": limits,
        "umask": umask,
        "warns": False,
        "is_unbuffered": False,
        "in_session": False,
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(path)
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        sent = array.array("i", [0, 1, 2])
        server.sendmsg(
            [json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)]
        )
        process = int(server.recv(100))
        for one in signals:
            signal.signal(one, lambda number, _: os.kill(process, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        status = int(server.recv(100))
    return os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    sys.exit(main())
