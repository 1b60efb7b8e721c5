from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from destinations.errors import TemporaryError, UsageError
from destinations.oauth2 import KeptToken
from destinations.operations.tokens import StoredTokens
from destinations.store import SealedValues, Sealer, SealingKey, make_sealing_key
from tests.stores import AnyStore, both_kinds, open_again

pytestmark = both_kinds

NAME = "oauth2/ledgerly/0123"
TOKEN = KeptToken("access-token-1", 1_800_000_000.5, 3600.0, "refresh-token-1")
KEYS = [SealingKey.parse(make_sealing_key().reveal()) for _ in range(2)]


def _tokens(store: AnyStore, *keys: SealingKey) -> StoredTokens:
    current, *former = keys or KEYS[:1]
    return StoredTokens(store, SealedValues(store.database, Sealer(current, former)))


def test_what_is_kept(store: AnyStore) -> None:
    """Another process finds the token as it was; only of its own version one can be replaced."""
    tokens = _tokens(store)
    assert tokens.load(NAME) == (None, "")
    first = tokens.save(NAME, TOKEN, "")
    assert first is not None
    with open_again(store) as again:
        other = _tokens(again)
        assert other.load(NAME) == (TOKEN, first)
        second = other.save(NAME, KeptToken("b", is_lost=True, after_401=True), first)
        assert second is not None
        assert other.load("oauth2/ledgerly/4567") == (None, "")
    assert tokens.save(NAME, TOKEN, first) is None
    assert tokens.save(NAME, TOKEN, "") is None
    assert tokens.load(NAME) == (KeptToken("b", is_lost=True, after_401=True), second)


def test_nothing_of_a_token_can_be_read(store: AnyStore) -> None:
    """The row has neither token, and only its key opens it."""
    _tokens(store).save(NAME, TOKEN, "")
    ((value,),) = store.database.all("SELECT value FROM sealed")
    assert "token" not in value
    with pytest.raises(UsageError, match="needs the sealing key"):
        _tokens(store, KEYS[1]).load(NAME)
    assert _tokens(store, KEYS[1], KEYS[0]).load(NAME)[0] == TOKEN


def test_one_renews_at_a_time(store: AnyStore) -> None:
    """The lock of one name keeps out every other thread and process, until it is given back."""
    tokens = _tokens(store)
    inside, most = [0], [0]
    guard = threading.Lock()

    def renew(_: int) -> None:
        with open_again(store) as again, _tokens(again).renewing(NAME, 20.0):
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            threading.Event().wait(0.01)
            with guard:
                inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(renew, range(8)))
    assert most == [1]
    with open_again(store) as again, tokens.renewing(NAME, 1.0):
        with (
            pytest.raises(TemporaryError, match="another process renews the access token"),
            _tokens(again).renewing(NAME, 0.05),
        ):
            pass
        with _tokens(again).renewing("oauth2/ledgerly/another", 1.0):
            pass
    with _tokens(store).renewing(NAME, 0.05):
        pass


def test_the_lock_is_free_after_an_error(store: AnyStore) -> None:
    """What goes wrong within leaves nothing locked."""
    with pytest.raises(UsageError), _tokens(store).renewing(NAME, 1.0):
        raise UsageError("of the work")
    with _tokens(store).renewing(NAME, 0.05):
        pass
