"""Places where locks do not protect a store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.operations import file_locks, is_in_use, is_served, lock_run, lock_server
from destinations.store import SqliteStore, place

_MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 0:30 / {folder} rw,relatime shared:5 - {kind} server:/export rw
"""


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the system says of mounts; a test writes it."""
    path = tmp_path / "mountinfo"
    monkeypatch.setattr(place, "_MOUNTS", path)
    return path


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs", "lustre"]
)
def test_a_file_system_of_the_network(tmp_path: Path, mounted: Path, kind: str) -> None:
    """It is refused before anything is written, in any folder below; what lies over it counts."""
    folder = tmp_path / "a folder" / "below"
    folder.mkdir(parents=True)
    text = _MOUNTS.format(folder=str(folder.parent).replace(" ", r"\040"), kind=kind)
    mounted.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=rf"network file system \({kind}\)"):
        SqliteStore(folder / "store.sqlite3")
    assert list(folder.iterdir()) == []
    SqliteStore(tmp_path / "store.sqlite3").close()
    point = str(folder).replace(" ", r"\040")
    over = f"29 28 254:0 / {point} rw - ext4 /dev/vdb rw\n"
    mounted.write_text(text + over, encoding="utf-8")
    SqliteStore(folder / "store.sqlite3").close()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "overlay", "btrfs", "fuse.mergerfs"])
def test_a_file_system_of_this_machine(tmp_path: Path, mounted: Path, kind: str) -> None:
    """It is used; where the system tells nothing, or something odd, the store is used as well."""
    mounted.write_text(_MOUNTS.format(folder=tmp_path, kind=kind) + "odd\n", encoding="utf-8")
    SqliteStore(tmp_path / "store.sqlite3").close()
    mounted.unlink()
    SqliteStore(tmp_path / "store.sqlite3").close()


def test_a_file_that_is_a_mount_point(tmp_path: Path, mounted: Path) -> None:
    """It is somewhere else as well, with other files beside it; also if it is come to by a link."""
    path, link = tmp_path / "store.sqlite3", tmp_path / "link.sqlite3"
    link.symlink_to(path)
    SqliteStore(path).close()
    mounted.write_text(_MOUNTS.format(folder=path, kind="ext4"), encoding="utf-8")
    for one in (path, link):
        with pytest.raises(UsageError, match="the file itself is a mount point"):
            SqliteStore(one)


def _in_namespace(flags: str, commands: str) -> str:
    """Return what commands print where their mounts are their own; skips where none may be made."""
    found = subprocess.run(
        ["unshare", flags, "sh", "-c", commands],
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"namespaces are not permitted: {found.stderr}")
    return found.stdout


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs namespaces")
def test_a_file_that_is_mounted(tmp_path: Path) -> None:
    """What the kernel says of such a file is understood."""
    path = tmp_path / "store.sqlite3"
    SqliteStore(path).close()
    script = (
        "from pathlib import Path; import sys\n"
        "from destinations.store import place\n"
        "try: place.check_place(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    run = f"exec $PYTHON {tmp_path / 'script.py'} {path}"
    told = _in_namespace("-m", f"mount --bind {path} {path} && {run}")
    assert "the file itself is a mount point" in told


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs namespaces")
@pytest.mark.parametrize("name", ["store.sqlite3", "new.sqlite3"])
def test_a_file_system_that_is_only_read(tmp_path: Path, name: str) -> None:
    """It is told as one, whoever owns the file, and so by the check of a configuration."""
    SqliteStore(tmp_path / "store.sqlite3").close()
    script = (
        "from pathlib import Path; import sys\n"
        "from destinations.server import checking\n"
        "from destinations.store import SqliteStore\n"
        "for look in (SqliteStore, checking._check_file):\n"
        "    try: look(Path(sys.argv[1]))\n"
        "    except Exception as error: print(error)\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    run = f"exec $PYTHON {tmp_path / 'script.py'} {tmp_path / name}"
    said = _in_namespace(
        "-Urm",
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path} && {run}",
    )
    told = said.casefold().splitlines()
    assert len(told) == 2
    assert all("read-only file system" in one for one in told)
    assert "permission" not in said


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock."""
    monkeypatch.setattr(file_locks, "_PATIENCE", 0.0)


@pytest.mark.usefixtures("impatient")
def test_locks_hold_the_file_itself(tmp_path: Path) -> None:
    """Whoever finds the file under another path finds who delivers from it, too."""
    path, folder = tmp_path / "store.sqlite3", tmp_path / "elsewhere"
    SqliteStore(path).close()
    folder.mkdir()
    moved = folder / "moved.sqlite3"
    for held in (lock_server(path), lock_run(path, 1, "the account")):
        with held:
            path.rename(moved)
            assert is_in_use(moved)
            with pytest.raises(TemporaryError):
                lock_server(moved).__enter__()
            moved.rename(path)
        assert not is_in_use(path)
    with lock_server(path):
        path.rename(moved)
        assert is_served(moved)
        with pytest.raises(TemporaryError):
            lock_run(moved, 2, "another account").__enter__()
        # A link that is made later does not stop who runs; but nobody else starts.
        path.hardlink_to(moved)
        with pytest.raises(TemporaryError):
            lock_server(path).__enter__()


def test_a_hard_link_that_is_made_later(tmp_path: Path) -> None:
    """Who runs goes on; who starts is refused, under either name."""
    path, other = tmp_path / "store.sqlite3", tmp_path / "other.sqlite3"
    with SqliteStore(path) as store:
        other.hardlink_to(path)
        store.note({"name": 1})
        for one in (path, other):
            with pytest.raises(UsageError, match="hard link"):
                SqliteStore(one)
        assert store.noted("name") == 1
