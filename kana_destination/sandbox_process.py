"""Run the sandbox in its own process: start it, read its account, stop it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from destinations import Holdings, RunningSandbox, UsageError

__all__ = ["SandboxProcess"]

_STOP_SECONDS = 10
_ANSWER_SECONDS = 60


class SandboxProcess(RunningSandbox):
    """A running Kana sandbox; it ends with this process, even if this one is killed."""

    def __init__(self, *, seed: Path | None, port: int, db: Path | None, api: str) -> None:
        # -P: the installed package, not a folder of that name in the working directory.
        command = [sys.executable, "-P", "-m", "kana_destination.sandbox", "--until-eof"]
        command += ["--port", str(port), "--api", api]
        command += ["--seed", str(seed)] if seed is not None else []
        command += ["--db", str(db)] if db is not None else []
        # Its own session: Ctrl-C must reach only the run, which still needs its sandbox then.
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and paths of the caller
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        ready = self._process.stdout.readline()
        if not ready:
            _, errors = self._process.communicate()
            raise UsageError(f"the sandbox cannot start: {errors.strip()}")
        address: dict[str, str] = json.loads(ready)
        self.url = address["url"]
        self._api_key = address["apiKey"]

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings with which the destination ``kana`` uses this sandbox."""
        return {"apiKey": self._api_key, "endpoint": self.url}

    def snapshot(self) -> dict[str, Any]:
        """Return the whole account; see `kana_destination.sandbox.snapshot`."""
        response = requests.get(
            self.url.removesuffix("/graphql") + "/snapshot",
            headers={"Authorization": self._api_key},
            timeout=_ANSWER_SECONDS,
        )
        response.raise_for_status()
        snapshot: dict[str, Any] = response.json()
        return snapshot

    def holdings(self, before: Mapping[str, Any]) -> Sequence[Holdings]:
        """Return a table of users and one of usage by feature: before, added by events, after.

        ``before`` is an earlier `snapshot`.
        """
        after = self.snapshot()
        changes = ("before", "by events", "after")
        users = [
            (what, *_change(_users_with(key, before), _users_with(key, after)))
            for what, key in (
                ("all", "id"),
                ("with name", "name"),
                ("with email", "email"),
                ("with billingId", "billingId"),
            )
        ]
        usage = [
            (one["id"], one["name"], *_change(_used(one["id"], before), _used(one["id"], after)))
            for one in after["features"]
        ]
        return [
            Holdings("Users in the Kana sandbox", ("users", *changes), users),
            Holdings("Usage in the Kana sandbox", ("feature", "name", *changes), usage),
        ]

    def is_running(self) -> bool:
        """Return whether its process is still running."""
        return self._process.poll() is None

    def close(self) -> None:
        """Stop the process; safe to repeat."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _users_with(key: str, snapshot: Mapping[str, Any]) -> int:
    return sum(1 for user in snapshot["users"] if user.get(key))


def _used(feature: str, snapshot: Mapping[str, Any]) -> int:
    return sum(amounts.get(feature, 0) for amounts in snapshot["usage"].values())


def _change(before: int, after: int) -> tuple[int, int, int]:
    return before, after - before, after
