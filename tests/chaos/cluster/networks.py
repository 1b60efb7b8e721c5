"""Hosts between which the network can be cut, both ways or one way: by forwarders, or namespaces.

A `Network` of either kind has the same hosts: ``db``, ``partner``, ``r1``, ``w1`` and ``w2``. What
is cut is silent, as a network is: nothing is refused, and what was under way arrives later, unless
who sent it has given it up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

DB: Final = "db"
PARTNER: Final = "partner"
PROCESSES: Final = ("r1", "w1", "w2")
"""The hosts on which processes of the fleet run."""


class Way(Enum):
    """The way that is cut, seen from the first of two hosts."""

    BOTH = "both ways"
    OUT = "what it sends"
    BACK = "what it receives"

    @property
    def is_out(self) -> bool:
        """Whether nothing of the first one arrives."""
        return self is not Way.BACK

    @property
    def is_back(self) -> bool:
        """Whether nothing of the second one arrives."""
        return self is not Way.OUT


@dataclass(frozen=True)
class Host:
    """Where a process runs: the address that it has, and how something is done on it."""

    name: str = "local"
    address: str = "127.0.0.1"
    within: Callable[[], AbstractContextManager[None]] = nullcontext


class Network(Protocol):
    """Hosts, and what is between them."""

    def host(self, name: str) -> Host:
        """Return one of the hosts."""
        ...

    def way_to(self, name: str, host: str, port: int) -> tuple[str, int]:
        """Return the address at which a host finds the port of another one."""
        ...

    def cut(self, name: str, host: str, way: Way) -> None:
        """Let nothing pass from now on between two hosts."""
        ...

    def heal(self) -> None:
        """Let everything pass again."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


# -- forwarders --------------------------------------------------------------------------------


class _Gate:
    """One direction: open, or shut for a while."""

    def __init__(self) -> None:
        self._is_open = True
        self._changed = threading.Condition()

    def set(self, *, is_open: bool) -> None:
        """Open or shut it."""
        with self._changed:
            self._is_open = is_open
            self._changed.notify_all()

    def pass_through(self) -> None:
        """Return as soon as it is open."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_open)


_TCP_CLOSED: Final = 7
"""The first byte of TCP_INFO once the other side has reset a connection."""


class Forwarder:
    """Passes on connections to a target, until one direction is shut, or all is refused."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._out, self._back = _Gate(), _Gate()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self, way: Way) -> None:
        """Let nothing pass, and refuse nothing: it arrives once this is healed."""
        if way.is_out:
            self._out.set(is_open=False)
        if way.is_back:
            self._back.set(is_open=False)

    def refuse(self) -> None:
        """Reset all connections, and take no new ones."""
        # Closing it would not wake the thread that waits for a connection.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._open:
                _reset(one)

    def heal(self) -> None:
        """Pass on all again."""
        if self._listener.fileno() < 0 and not self._is_closed:
            self._listener = socket.create_server(self.address)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        self._out.set(is_open=True)
        self._back.set(is_open=True)

    def close(self) -> None:
        """End it, with all connections."""
        self._is_closed = True
        self.refuse()
        self.heal()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._target, timeout=10)
        except OSError:
            _reset(near)
            near.close()
            return
        far.settimeout(None)
        both = (near, far)
        for one in both:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.update(both)
        back = threading.Thread(target=_pump, args=(far, near, self._back), daemon=True)
        back.start()
        _pump(near, far, self._out)
        back.join()
        with self._lock:
            self._open.difference_update(both)
            for one in both:
                one.close()


def _pump(source: socket.socket, sink: socket.socket, gate: _Gate) -> None:
    """Pass on what comes, and its end, whenever the gate is open."""
    try:
        while True:
            data = source.recv(65536)
            gate.pass_through()
            # As in a network: what was not delivered yet is not sent again after a reset.
            if source.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSED:
                break
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
    except OSError:
        gate.pass_through()
    _reset(sink)
    _reset(source)


def _reset(one: socket.socket) -> None:
    """End a connection at once, and wake who waits for it."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)


class Forwarders:
    """A network within one host: each host has forwarders of its own to what it needs."""

    def __init__(self) -> None:
        self._forwarders: dict[tuple[str, str], Forwarder] = {}

    def host(self, name: str) -> Host:
        """See `Network.host`."""
        return Host(name)

    def way_to(self, name: str, host: str, port: int) -> tuple[str, int]:
        """See `Network.way_to`."""
        found = self._forwarders.get((name, host))
        if found is None:
            found = self._forwarders[name, host] = Forwarder(("127.0.0.1", port))
        return found.address

    def cut(self, name: str, host: str, way: Way) -> None:
        """See `Network.cut`."""
        self._forwarders[name, host].freeze(way)

    def refuse(self, name: str, host: str) -> None:
        """Reset all connections of a host to another one, and refuse new ones, until healed."""
        self._forwarders[name, host].refuse()

    def heal(self) -> None:
        """See `Network.heal`."""
        for one in self._forwarders.values():
            one.heal()

    def close(self) -> None:
        """See `Network.close`."""
        for one in self._forwarders.values():
            one.close()


# -- namespaces --------------------------------------------------------------------------------

_HOSTS: Final = {DB: 1, "db2": 2, PARTNER: 3, "r1": 11, "w1": 21, "w2": 22}
_SUBNET: Final = "10.77.0"
SUBNET: Final = f"{_SUBNET}.0/24"
_NOBODY: Final = "02:00:00:00:00:ff"
"""A hardware address that no host has: what is sent there arrives nowhere, without a word."""

_CLONE_NEWNET: Final = 0x40000000


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"ip {' '.join(words)}: {done.stderr.strip()}"
        raise OSError(msg)


@contextlib.contextmanager
def _entered(name: str) -> Iterator[None]:
    """Let this thread be in a namespace; so are the processes and threads that it starts."""
    former = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        wanted = os.open(Path("/run/netns") / name, os.O_RDONLY)
        try:
            _enter(wanted)
        finally:
            os.close(wanted)
        try:
            yield
        finally:
            _enter(former)
    finally:
        os.close(former)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Namespaces:
    """Hosts that are namespaces of this machine's network, joined by a bridge.

    The thread that makes it is on the bridge, in a namespace of its own, until it is closed: so
    nothing of the machine's network is touched. Raises `OSError` where the right to do so, or the
    command ``ip``, is missing.
    """

    def __init__(self) -> None:
        if shutil.which("ip") is None:
            raise FileNotFoundError("the command ip of iproute2")
        self._names = f"chaos-{os.getpid()}"
        self._made: list[str] = []
        self._stack = contextlib.ExitStack()
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        bridge = self._add("bridge")
        _ip("-n", bridge, "link", "add", "br0", "type", "bridge")
        _ip("-n", bridge, "address", "add", f"{_SUBNET}.254/24", "dev", "br0")
        _ip("-n", bridge, "link", "set", "br0", "up")
        for name, number in _HOSTS.items():
            host = self._add(name)
            link = f"to-{name}"
            _ip(
                *("-n", bridge, "link", "add", link, "type", "veth"),
                *("peer", "name", "eth0", "netns", host),
            )
            _ip("-n", bridge, "link", "set", link, "master", "br0", "up")
            _ip("-n", host, "address", "add", f"{_SUBNET}.{number}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
        self._stack.enter_context(_entered(bridge))

    def _add(self, name: str) -> str:
        namespace = f"{self._names}-{name}"
        _ip("netns", "add", namespace)
        self._made.append(namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    def host(self, name: str) -> Host:
        """See `Network.host`."""
        namespace = f"{self._names}-{name}"
        return Host(name, self._address(name), lambda: _entered(namespace))

    @staticmethod
    def _address(name: str) -> str:
        return f"{_SUBNET}.{_HOSTS[name]}"

    def way_to(self, name: str, host: str, port: int) -> tuple[str, int]:  # noqa: ARG002 - see `Network`
        """See `Network.way_to`."""
        return self._address(host), port

    def cut(self, name: str, host: str, way: Way) -> None:
        """See `Network.cut`."""
        if way.is_out:
            self._neighbour("replace", name, host)
        if way.is_back:
            self._neighbour("replace", host, name)

    def _neighbour(self, what: str, name: str, host: str) -> None:
        words = ("lladdr", _NOBODY, "nud", "permanent") if what == "replace" else ()
        _ip(
            *("-n", f"{self._names}-{name}", "neighbour", what, self._address(host)),
            *("dev", "eth0", *words),
        )

    def unplug(self, name: str) -> None:
        """Take a host off the network, until it is healed."""
        _ip("-n", f"{self._names}-bridge", "link", "set", f"to-{name}", "down")

    def heal(self) -> None:
        """See `Network.heal`."""
        for name in _HOSTS:
            _ip("-n", f"{self._names}-bridge", "link", "set", f"to-{name}", "up")
            _ip("-n", f"{self._names}-{name}", "neighbour", "flush", "nud", "permanent")

    def close(self) -> None:
        """See `Network.close`."""
        self._stack.close()
        while self._made:
            _ip("netns", "delete", self._made.pop())
