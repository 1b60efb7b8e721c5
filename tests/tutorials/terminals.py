"""Run a tutorial as its reader would: in terminals, in an empty folder, block by block."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.postgres_server import free_port, shared_server
from tests.tutorials.blocks import Block

__all__ = ["play"]

_LONGEST: Final = 90.0
"""Seconds for one block; on a quiet machine most take a hundredth of that."""

_PORT: Final = re.compile(r"(?:127\.0\.0\.1:|localhost:|--port[ =]|\bport: )([0-9]{4,5})\b")
_DATABASE: Final = re.compile(r"postgresql://[^\s'\"`]+")
_TIME: Final = re.compile(r"[0-9-]{10}T[0-9:]{8}(?:\.[0-9]+)?Z")

# Reads the paths of blocks and runs each in this shell, so that variables stay. Failed commands are
# collected and do not end it, as in the terminal of a reader; Ctrl-C ends what runs, not the shell.
_SHELL: Final = r"""
trap : INT
set -o pipefail
while IFS= read -r _block <&8; do
    _failed=
    . "$_block"
    printf '%s:%s:%s\n' "$_code" "$_failed" "$PWD" >&9
done
"""
_BEFORE: Final = "trap '_failed=\"$_failed $?\"' ERR\n"
_AFTER: Final = "_code=$?; trap - ERR\n"


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, with numbers that the shell does not use itself."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 20) for one in ends)
    for one in ends:
        os.close(one)
    return high[0], high[1]


class Terminal:
    """A shell, the folder in which it is, and what it printed."""

    def __init__(self, name: str, folder: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self._blocks = logs / f"{name}.sh"
        self._log = logs / f"{name}.txt"
        self.folder = folder
        self._seen = 0
        self._took = 0
        commands, self._commands = _pipe()
        self._codes, codes = _pipe()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", f"exec 8<&{commands} 9>&{codes}\n{_SHELL}"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(commands, codes),
                start_new_session=True,
            )
        for number in (commands, codes):
            os.close(number)

    def start(self, commands: str) -> None:
        """Start commands; what is printed from now on is theirs."""
        self._seen = self._log.stat().st_size
        path = self._blocks.with_suffix(f".{self._took}.sh")
        self._took += 1
        path.write_text(f"{_BEFORE}{commands}{_AFTER}", encoding="utf-8")
        os.write(self._commands, f"{path}\n".encode())

    def printed(self) -> list[str]:
        """Return the lines that the last commands have printed, without spaces that align them."""
        with self._log.open("rb") as log:
            log.seek(self._seen)
            text = log.read().decode()
        return [" ".join(line.split()) for line in text.splitlines()]

    def end(self, seconds: float = _LONGEST) -> tuple[int, list[int]] | None:
        """Wait for the commands; returns the last exit code and those of all that failed."""
        give_up = time.monotonic() + seconds
        while (left := give_up - time.monotonic()) > 0:
            if select.select([self._codes], [], [], min(left, 0.2))[0]:
                told = os.read(self._codes, 10_000).decode()
                if not told:
                    break
                code, failed, path = told.rstrip("\n").split(":", 2)
                self.folder = Path(path)
                return int(code), [int(one) for one in failed.split()]
            if self._process.poll() is not None:
                break
        return None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def close(self) -> None:
        """End the shell and what runs in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for number in (self._commands, self._codes):
            os.close(number)


def play(blocks: Sequence[Block], folder: Path, environment: Mapping[str, str]) -> None:
    """Play the blocks of a page in a folder; raises `BlockError` at the first that is not so."""
    words = _replacements(blocks)
    for block in blocks:
        for word, other in words.items():
            block.text = re.sub(rf"(?<![\w.]){re.escape(word)}(?!\w)", other, block.text)
    home = folder / "tutorial"
    home.mkdir()
    logs = folder / "logs"
    logs.mkdir()
    with contextlib.closing(_Player(home, logs, environment)) as player:
        player.play(blocks)


def _replacements(blocks: Sequence[Block]) -> dict[str, str]:
    """Return what stands for addresses of the page that only one test at a time could use."""
    text = "".join(block.text for block in blocks if block.kind != "install")
    databases = dict.fromkeys(_DATABASE.findall(text))
    ports = dict.fromkeys(_PORT.findall(_DATABASE.sub("", text)))
    return {
        **{one: shared_server().new_database() for one in databases},
        **{one: str(free_port()) for one in ports},
    }


class _Player:
    def __init__(self, home: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self._home, self._logs, self._environment = home, logs, environment
        self._terminals: dict[str, Terminal] = {}
        self._runs: set[str] = set()

    def play(self, blocks: Sequence[Block]) -> None:
        last = ""
        waits = False
        commands: Block | None = None
        for block in blocks:
            if block.kind == "run" and block.is_repeated:
                commands, last, waits = block, "", False
            elif block.kind == "run":
                self._run(block)
                commands, last, waits = None, "", False
            elif block.kind == "terminal":
                self._start(block)
                commands, last, waits = None, block.name, True
            elif block.kind == "prints":
                where = block.name or last
                if commands is not None and not block.name:
                    self._repeat(commands, block)
                    commands = None
                else:
                    self._prints(block, where, waits=waits or bool(block.name))
            elif block.kind == "stop":
                self._stop(block)
            elif block.kind != "install":
                _of_files[block.kind](self._folder() / block.name, block)

    def close(self) -> None:
        for terminal in self._terminals.values():
            terminal.close()

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(
                name or "first", self._folder(), self._logs, self._environment
            )
        return self._terminals[name]

    def _folder(self) -> Path:
        """Return the folder in which the reader is."""
        first = self._terminals.get("")
        return self._home if first is None else first.folder

    def _run(self, block: Block) -> None:
        terminal = self._terminal("")
        terminal.start(block.text)
        ended = terminal.end()
        expected = (block.code, [block.code] if block.code else [])
        if ended != expected:
            how = "did not end" if ended is None else f"ended with {ended[0]}, failed: {ended[1]}"
            raise block.error(f"{how}\n{block.text}\nprinted:\n{_joined(terminal.printed())}")

    def _repeat(self, commands: Block, block: Block) -> None:
        give_up = time.monotonic() + _LONGEST
        pause = 0.1
        while True:
            self._run(commands)
            if not _missing(block, self._terminal("").printed()):
                return
            if time.monotonic() > give_up:
                self._prints(block, "", waits=False)
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _start(self, block: Block) -> None:
        if block.name in self._runs:
            raise block.error(f"what runs in the terminal {block.name!r} was not stopped")
        self._runs.add(block.name)
        self._terminal(block.name).start(block.text)

    def _prints(self, block: Block, where: str, *, waits: bool) -> None:
        terminal = self._terminal(where)
        give_up = time.monotonic() + (_LONGEST if waits else 0)
        has_ended = False
        while missing := _missing(block, terminal.printed()):
            if has_ended or time.monotonic() >= give_up:
                printed = _joined(terminal.printed())
                raise block.error(f"not printed: {missing!r}\nprinted:\n{printed}")
            has_ended = terminal.end(0.05) is not None

    def _stop(self, block: Block) -> None:
        names = [block.name] if block.name else sorted(self._runs)
        if not set(names) <= self._runs or not names:
            raise block.error(f"nothing runs in {block.name or 'another terminal'}")
        for name in names:
            self._runs.remove(name)
            terminal = self._terminals[name]
            terminal.interrupt()
            ended = terminal.end()
            if ended is None or ended[0] not in {0, 130}:
                printed = _joined(terminal.printed())
                raise block.error(f"Ctrl-C in {name!r} ended with {ended}\nprinted:\n{printed}")


def _missing(block: Block, printed: Sequence[str]) -> str | None:
    """Return the first line of a block that was not printed after those before it."""
    lines = iter(printed)
    for line in block.text.splitlines():
        expected = " ".join(line.split())
        pattern = re.compile(".*".join(map(_literal, re.split(r" ?\.\.\. ?", expected))))
        if expected in {"", "..."}:
            continue
        if not any(pattern.fullmatch(one) for one in lines):
            return line
    return None


def _literal(text: str) -> str:
    """Return a pattern for a text in which each time, in UTC, stands for any."""
    return _TIME.pattern.join(map(re.escape, _TIME.split(text)))


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def _write(path: Path, block: Block) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


def _show(path: Path, block: Block) -> None:
    printed = [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines()]
    if missing := _missing(block, printed):
        raise block.error(f"not in {block.name}: {missing!r}\n{_joined(printed)}")


def _change(path: Path, block: Block) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in _hunks(block):
        if text.count(old) != 1:
            raise block.error(f"{text.count(old)} times in {block.name}, not once:\n{old}")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def _hunks(block: Block) -> Iterator[tuple[str, str]]:
    """Return the lines before and after of each part of a change; ``...`` is between parts."""
    for part in re.split(r"^\.\.\.\n", block.text, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        if bad := [line for line in lines if line[0] not in " +-\n"]:
            raise block.error(f"neither '-', '+' nor a space begins {bad[0]!r}")
        yield (
            "".join(line[1:] or line for line in lines if line[0] != "+"),
            "".join(line[1:] or line for line in lines if line[0] != "-"),
        )


_of_files: Final = {"file": _write, "shows": _show, "change": _change}
