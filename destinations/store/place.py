"""Refuse places where two processes could use one store without seeing each other."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from destinations.errors import UsageError
from destinations.store.files import is_missing

__all__ = ["check_place"]

_MOUNTS: Final = Path("/proc/self/mountinfo")

_ON_NETWORK: Final = re.compile(
    r"nfs\d*|cifs|smb\d?|smbfs|ncpfs|afs|9p|ceph|lustre|gpfs|beegfs|gfs2?|ocfs2|davfs|glusterfs"
    r"|fuse\.(sshfs|glusterfs|ceph|s3fs|rclone|davfs2?|cifs|smbnetfs|gcsfuse|mfs|beegfs)"
)
"""File systems whose locks other machines do not see, or not always."""


def check_place(path: Path) -> None:
    """Raise `UsageError` if locks cannot protect the file at a resolved path, or a new one there.

    It may have another name, be a mount point (so that it is also somewhere else, with other files
    next to it), or be on a file system of the network.
    """
    if not is_missing(path) and path.stat().st_nlink > 1:
        msg = (
            f"cannot use the store {path}: the file has another name as well (a hard link), under "
            "which others could use it unseen; remove one of the names"
        )
        raise UsageError(msg)
    kind = None
    longest = -1
    for point, file_system in _mounts():
        if point == path:
            msg = (
                f"cannot use the store {path}: the file itself is a mount point, so that it may be "
                "used unseen under another path; mount the folder that it is in"
            )
            raise UsageError(msg)
        # Of two on one point the later one covers the other.
        if len(point.parts) >= longest and path.is_relative_to(point):
            longest, kind = len(point.parts), file_system
    if kind is not None and _ON_NETWORK.fullmatch(kind):
        msg = (
            f"cannot use the store {path}: it is on a network file system ({kind}), whose locks "
            "do not protect it; use a local disk"
        )
        raise UsageError(msg)


def _mounts() -> Sequence[tuple[Path, str]]:
    """Return where which file systems are; nothing where the system does not tell."""
    try:
        return _parsed(_MOUNTS.read_text("utf-8", "surrogateescape"))
    except OSError:
        return ()


@functools.lru_cache(maxsize=1)
def _parsed(text: str) -> Sequence[tuple[Path, str]]:
    found = []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        parts = fields.split(" ")
        if len(parts) > 4 and rest:
            point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), parts[4])
            found.append((Path(point), rest.split(" ")[0]))
    return found
