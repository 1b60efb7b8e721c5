"""The example of a systemd unit: what it may do, and what makes it start again."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "examples" / "serving" / "kana-destination.service"
EXPOSURE = 30
"""Tenths: what `systemd-analyze security` calls OK begins below 5.0, and this is well below it."""


def _directives() -> dict[str, list[str]]:
    """The values of each directive of the unit, in their order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Type", ["notify"]),
        ("Restart", ["on-failure"]),
        ("RestartForceExitStatus", ["75"]),
        ("RestartPreventExitStatus", ["2"]),
        ("StartLimitIntervalSec", ["0"]),
        ("User", ["kana-destination"]),
        ("NoNewPrivileges", ["yes"]),
        ("CapabilityBoundingSet", [""]),
        ("AmbientCapabilities", [""]),
        ("ProtectSystem", ["strict"]),
        ("ProtectHome", ["yes"]),
        ("PrivateTmp", ["yes"]),
        ("PrivateDevices", ["yes"]),
        ("PrivateUsers", ["yes"]),
        ("DevicePolicy", ["closed"]),
        ("ProtectClock", ["yes"]),
        ("ProtectHostname", ["yes"]),
        ("ProtectKernelTunables", ["yes"]),
        ("ProtectKernelModules", ["yes"]),
        ("ProtectKernelLogs", ["yes"]),
        ("ProtectControlGroups", ["yes"]),
        ("ProtectProc", ["invisible"]),
        ("RestrictNamespaces", ["yes"]),
        ("RestrictRealtime", ["yes"]),
        ("RestrictSUIDSGID", ["yes"]),
        ("LockPersonality", ["yes"]),
        ("MemoryDenyWriteExecute", ["yes"]),
        ("SystemCallArchitectures", ["native"]),
        ("SystemCallFilter", ["@system-service", "~@privileged @resources"]),
        # Partners, operators and senders, and the supervisor.
        ("RestrictAddressFamilies", ["AF_INET AF_INET6 AF_UNIX"]),
        ("StateDirectory", ["kana-destination"]),
        ("RequiresMountsFor", ["/var/lib/kana-destination"]),
    ],
)
def test_each_directive(name: str, values: list[str]) -> None:
    """What keeps the exposure low, and decides what happens after an end, is said."""
    assert _directives()[name] == values


def test_times() -> None:
    """The watchdog waits longer than a drain and the reading of a configuration may take."""
    config = (UNIT.parent / "serve.yaml").read_text("utf-8")
    drain = re.search(r"^drainSeconds: (\d+)$", config, re.MULTILINE)
    assert drain is not None
    found = _directives()
    assert int(found["WatchdogSec"][0]) > int(drain[1]) + 60
    assert int(found["TimeoutStopSec"][0]) > int(drain[1]) + 30


def test_the_store_is_in_the_folder_that_it_may_write_to() -> None:
    """The example of a configuration and the unit name the same place."""
    config = (UNIT.parent / "serve.yaml").read_text("utf-8")
    (folder,) = _directives()["StateDirectory"]
    assert f"path: /var/lib/{folder}/" in config


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_exposure() -> None:
    """Systemd itself says that little is left to whoever takes the server over."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" in done.stderr:  # before version 250
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
    assert "Overall exposure level" in done.stdout
