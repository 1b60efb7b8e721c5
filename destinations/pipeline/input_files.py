"""The input of a run: one file or stream of events, or several that are read one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from destinations.pipeline.input_file import InputFile
from destinations.pipeline.places import Places
from destinations.pipeline.reading import Entry

__all__ = ["InputFiles"]


class InputFiles:
    """Several files as one input; ``places`` says where each line stands.

    Lines are counted through: those of the second file come after those of the first. ``limit``
    ends the input after that many events; empty lines do not count.
    """

    def __init__(self, files: Sequence[InputFile], *, limit: int | None = None) -> None:
        self.files = files
        self.places = Places()
        self.is_limited = False
        self._limit = limit
        self._current = 0

    @property
    def is_stream(self) -> bool:
        """Whether some of it can be read only once."""
        return any(file.is_stream for file in self.files)

    def check(self) -> None:
        """Raise `UsageError` for a file that cannot be read as events; see `InputFile.check`."""
        for file in self.files:
            file.check()

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of all files; once. Raises `UsageError` as `InputFile.entries` does."""
        before, left = 0, self._limit
        for number, file in enumerate(self.files):
            self._current = number
            line = 0
            if len(self.files) > 1:
                self.places.begin(file.shown, before)
            for entry in file.entries():
                line = entry.line
                yield entry._replace(line=before + line) if before else entry
                if left is not None and entry.data:
                    left -= 1
                    if not left:
                        self.is_limited = True
                        return
            before += line

    def digest(self) -> str | None:
        """Return a digest of all that is in it, whatever the files are called; None of a stream."""
        if self.is_stream:
            return None
        found = [file.digest() for file in self.files]
        if len(found) == 1:
            return found[0]
        return hashlib.sha256(" ".join(found).encode()).hexdigest()

    @property
    def share(self) -> float | None:
        """The share that was read, from 0 to 1; None if it is not known."""
        sizes = [file.size for file in self.files]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes) or not sum(known):
            return None
        read = sum(known[: self._current]) + self.files[self._current].position()
        return min(read / sum(known), 1.0)  # a file may still grow
