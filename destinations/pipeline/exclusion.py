"""Which accounts at the partner are reserved: events that touch the same go one after another.

An account is what the partner keeps of one user. An event touches that of its own user, and every
further one that its action names in ``touches``. Names are compared trimmed and case-folded, as an
email address that two users share may be spelled in two ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from destinations.pipeline.balances import KnownBalances

__all__ = ["Exclusion", "PartnerAccount", "folded"]


def folded(name: str) -> str:
    """Return what a name is compared by."""
    return name.strip().casefold()


class Exclusion:
    """Names that are reserved, each by those who hold it. One thread at a time.

    Usually one holds a name. Several do if an earlier process left them: requests of theirs may
    have been carried out, so each of them keeps all others out.
    """

    def __init__(self) -> None:
        self._holders: dict[str, list[object]] = {}
        self._waiters: list[Callable[[str], None]] = []

    def tell(self, freed: Callable[[str], None]) -> None:
        """Call ``freed`` with each name that nobody holds any more."""
        self._waiters.append(freed)

    def blocking(self, holder: object, names: Iterable[str]) -> str | None:
        """Return the first of ``names`` that somebody else holds; None if there is none."""
        for name in names:
            for other in self._holders.get(name, ()):
                if other is not holder:
                    return name
        return None

    def is_free(self, name: str) -> bool:
        """Tell whether nobody holds a name."""
        return name not in self._holders

    def hold(self, holder: object, name: str) -> None:
        """Reserve a name, whoever else holds it; once is enough."""
        holders = self._holders.get(name)
        if holders is None:
            self._holders[name] = [holder]
        elif holder not in holders:
            holders.append(holder)

    def release(self, holder: object, name: str) -> None:
        """Free a name of its holder."""
        holders = self._holders[name]
        holders.remove(holder)
        if not holders:
            del self._holders[name]
            for freed in self._waiters:
                freed(name)


class PartnerAccount:
    """What a process knows of one account at a partner, which several destinations may share.

    Nothing is sent to it before all ``members`` are `joined`: each of them may have lost answers,
    which keep the others from what they touch.
    """

    def __init__(self, members: int = 1) -> None:
        self.exclusion = Exclusion()
        self.balances = KnownBalances()
        self.is_shared = members > 1
        self._missing = members

    @property
    def is_complete(self) -> bool:
        """Whether all of its destinations have read what their lost answers touch."""
        return self._missing <= 0

    def join(self) -> None:
        """Note that one more destination has."""
        self._missing -= 1
