"""Peak memory of a command.

Linux counts for a new process what the one that started it held, so a small one has to start it:
this file, ``python peak.py COMMAND...``, which ends with the command's exit code.
"""

import resource
import subprocess
import sys

__all__ = ["run_measured"]


def run_measured(command: list[str], cwd: str | None = None) -> tuple[bytes, float]:
    """What the command prints, and the peak of its resident memory in MiB.

    Raises SystemExit if the command fails.
    """
    launcher = [sys.executable, "-S", __file__, *command]
    done = subprocess.run(launcher, check=False, capture_output=True, cwd=cwd)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    printed, _, peak = done.stdout.rpartition(b"\n")
    # Linux counts in KiB, macOS in bytes.
    return printed, int(peak) / (1024 if sys.platform != "darwin" else 1024 * 1024)


if __name__ == "__main__":
    code = subprocess.run(sys.argv[1:], check=False).returncode
    sys.stdout.write(f"\n{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
    sys.exit(code)
