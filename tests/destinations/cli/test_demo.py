"""``destinations demo``: a console to look at, with one command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import requests

from destinations.cli.demo_command import demo_event


def test_demo() -> None:
    """Its link opens the console, where events come in, some of which fail; then all is removed."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "destinations", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        session = requests.Session()
        page = session.get(found[0], timeout=20)
        assert page.status_code == 200
        base = found[0].partition("/login")[0]
        counts: dict[str, int] = {}
        ends = time.monotonic() + 60
        wanted = {"delivered", "filtered", "unmapped", "invalid", "rejected", "held"}
        while time.monotonic() < ends and not wanted <= counts.keys():
            status = session.get(f"{base}/?period=all", timeout=20).text
            cells = re.findall(r"(?:outcome|state)=([a-z]+)\">([1-9][0-9]*)<", status)
            counts = {name: int(number) for name, number in cells}
            time.sleep(0.5)
        assert counts["delivered"] > 10, counts
        assert wanted <= counts.keys(), counts
        held = session.get(f"{base}/held", timeout=20).text
        assert "balance before" in held
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert errors == ""


def test_a_demo_that_is_killed() -> None:
    """Neither its server nor the console outlives it, though nothing ends them."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "destinations", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        started = _below(process.pid)
        assert len(started) >= 3, started  # the sandbox, the server, and the console
    finally:
        process.kill()
        process.communicate()
    ends = time.monotonic() + 60
    while (left := [one for one in started if _is_alive(one)]) and time.monotonic() < ends:
        time.sleep(0.1)
    for one in left:
        os.kill(one, signal.SIGKILL)
    assert left == []


def _below(pid: int) -> list[int]:
    """Return the ids of all processes that a process has started, or these."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in shown.stdout.splitlines()]
    found = [pid]
    for one in found:  # which grows
        found += [child for child, parent in pairs if parent == one]
    return found[1:]


def _is_alive(pid: int) -> bool:
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


def test_events() -> None:
    """First all samples for each user, then some that cannot be delivered; no messageId twice."""
    samples = [
        {"type": "identify", "traits": {"email": "a@b.c"}},
        {"type": "track", "event": "E", "properties": {"n": 1}},
    ]
    made = [demo_event(samples, number) for number in range(200)]
    assert [event["type"] for event in made[:24]] == ["identify"] * 12 + ["track"] * 12
    assert len({event["messageId"] for event in made}) == 200
    assert {event["type"] for event in made[24:]} == {"identify", "track"}
    assert any(event.get("integrations") for event in made[24:])
    assert any(event.get("properties") == {"n": []} for event in made[24:])
    assert samples[1]["properties"] == {"n": 1}
    named = [{"type": "track", "event": "E", "properties": {"featureId": "a", "n": 1}}]
    unknown = demo_event(named, 63)
    assert unknown["properties"] == {"featureId": "discontinued", "n": 1}
