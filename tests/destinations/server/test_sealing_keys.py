"""A server and its sealing keys: none may be missing, and a new one takes over at a start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.postgres import open_at
from destinations.secrets import reveal
from destinations.server import SealingConfig, ServeConfig, Service, check_start
from destinations.store import SealedValues, make_sealing_key

Configure = Callable[..., ServeConfig]
Start = Callable[[ServeConfig], Service]
OLD, NEW = (SealingConfig(make_sealing_key()) for _ in range(2))


@pytest.fixture
def configured(configure: Configure, write: Callable[[str, Any], Any]) -> Configure:
    """A configuration with these sealing keys; the store holds a value sealed with the old one."""
    plain = configure("one")
    with open_at(plain.store.address) as store:
        SealedValues(store.database, OLD.sealer()).set("a", "a-secret")

    def make(*keys: SealingConfig) -> ServeConfig:
        files = [f"key-{number}" for number, _ in enumerate(keys)]
        for name, one in zip(files, keys, strict=True):
            write(name, reveal(one.key)).chmod(0o600)
        if not files:
            return configure("one")
        named = {"key": {"file": files[0]}}
        former = {"formerKeys": [{"file": name} for name in files[1:]]} if files[1:] else {}
        return configure("one", sealing={**named, **former})

    return make


@pytest.mark.parametrize("keys", [(), (NEW,)])
def test_a_start_without_the_key(
    configured: Configure, start: Start, keys: tuple[SealingConfig, ...]
) -> None:
    """It fails with the id of the key, changes nothing, and works once the key is back."""
    (key,) = OLD.sealer().key_ids
    needs = f"1 sealed value of .* needs the key {key}"
    with pytest.raises(UsageError, match=needs):
        check_start(configured(*keys), {})
    with pytest.raises(UsageError, match=needs) as caught:
        start(configured(*keys))
    assert reveal(OLD.key)[:8] not in str(caught.value)
    config = configured(OLD)
    check_start(config, {})
    start(config).stop()
    with open_at(config.store.address, read_only=True) as store:
        assert reveal(SealedValues(store.database, OLD.sealer()).get("a") or "") == "a-secret"


def test_another_key(configured: Configure, start: Start) -> None:
    """What the former key has sealed needs only the new one after a start with both."""
    start(configured(NEW, OLD)).stop()
    config = configured(NEW)
    start(config).stop()
    with open_at(config.store.address, read_only=True) as store:
        assert reveal(SealedValues(store.database, NEW.sealer()).get("a") or "") == "a-secret"
