"""A forked command is like one that was started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import ForkedPopen, forking_program, run_forked

Run = Callable[..., subprocess.CompletedProcess[Any]]

LOOKS = """
import json, os, resource, signal, sys, threading, warnings
print(json.dumps({
    "arguments": sys.argv,
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "umask": os.umask(0o77),
    "limits": resource.getrlimit(resource.RLIMIT_FSIZE),
    "ignored": sorted(n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN),
    "handled": sorted(n for n in signal.valid_signals() if callable(signal.getsignal(n))),
    "files": sorted(int(n) for n in os.listdir("/proc/self/fd")),
    "threads": threading.active_count(),
    "filters": [str(one) for one in warnings.filters],
    "name": __name__,
    "streams": [[one.encoding, one.errors, one.line_buffering]
                for one in (sys.stdin, sys.stdout, sys.stderr)],
    "is_through": [one.write_through for one in (sys.stdout, sys.stderr)],
    "read": sys.stdin.read(),
    "is_safe": sys.flags.safe_path,
    "leader": os.getsid(0) == os.getpid(),
}))
"""
ENDS = {
    "with a code": "import sys; sys.exit(3)",
    "with a message": "import sys; sys.exit('no more')",
    "in order": "print('done')",
    "after what is left to do": "import atexit; atexit.register(print, 'at last'); print('done')",
    "after its threads": "import threading, sys\nt = threading.Timer(0.05, print, ['late'])\n"
    "t.start()\nsys.exit(4)",
    "with an error": "raise ValueError('wrong')",
    "with a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "with an interrupt": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
}


def _both(script: Path, *options: str, **given: Any) -> list[subprocess.CompletedProcess[Any]]:
    command = [sys.executable, "-P", *options, str(script), "a", "b c"]
    runs: tuple[Run, ...] = (subprocess.run, run_forked)
    return [run(command, capture_output=True, check=False, **given) for run in runs]


@pytest.mark.parametrize("options", [(), ("-W", "error")])
@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_it_finds(
    options: tuple[str, ...], in_session: bool, unbuffered: str, tmp_path: Path
) -> None:
    """It has its arguments, environment, folder, streams, signals and limits, and no more files."""
    script = tmp_path / "looks.py"
    script.write_text(LOOKS)
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        started, forked = _both(
            script,
            *options,
            cwd=tmp_path,
            env={**os.environ, "ONLY_HERE": "1", "PYTHONUNBUFFERED": unbuffered},
            input="é\n".encode(),
            start_new_session=in_session,
        )
    finally:
        signal.signal(signal.SIGHUP, former)
    assert (forked.returncode, forked.stderr) == (0, b"")
    found, expected = json.loads(forked.stdout), json.loads(started.stdout)
    # Libraries that were imported already add filters of their own.
    found["filters"] = [one for one in found["filters"] if one in expected["filters"]]
    assert found == expected
    assert found["leader"] == in_session


@pytest.mark.parametrize("end", ENDS)
def test_how_it_ends(end: str, tmp_path: Path) -> None:
    """Its exit code or signal is known, and all that it printed."""
    script = tmp_path / "ends.py"
    script.write_text(ENDS[end])
    started, forked = _both(script)
    assert forked.returncode == started.returncode
    assert forked.stdout == started.stdout
    last = [done.stderr.splitlines()[-1:] for done in (started, forked)]
    assert last[0] == last[1]


def test_it_can_be_waited_for(tmp_path: Path) -> None:
    """It is not there before it is started, runs until a signal ends it, and is polled."""
    script = tmp_path / "waits.py"
    script.write_text("print('begun', flush=True)\nimport time\ntime.sleep(600)\n")
    command = [sys.executable, "-P", str(script)]
    with ForkedPopen[str](command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == process.poll() == -signal.SIGKILL


def test_commands_of_a_shell(tmp_path: Path) -> None:
    """A program gets what a shell gives it, and passes on what ends it."""
    with forking_program(tmp_path) as program:
        script = (
            f"cd /; '{program}' --version | cat; '{program}' no-command 2> '{tmp_path}/errors';"
            f" echo $?; '{program}' sandbox kana --port 0 > '{tmp_path}/ready' & p=$!;"
            f" until [ -s '{tmp_path}/ready' ]; do sleep 0.02; done; kill $p; wait $p; echo $?"
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    version, wrong, ended = done.stdout.splitlines()
    assert version.startswith("destinations, version ")
    assert (wrong, ended) == ("2", "0")
    assert "no-command" in (tmp_path / "errors").read_text()
