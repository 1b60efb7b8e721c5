"""Serve a Direct Destination on this machine, with a stand-in for the partner, and check it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from destinations.errors import UsageError
from destinations.kit.portal import CheckedEndpoint, Endpoint, Row
from destinations.kit.publishing.publication import Publication
from destinations.secrets import Secret
from destinations.server import Service, read_config
from destinations.telemetry import observe

__all__ = ["checked_endpoint"]

_NAME: Final = "checked"
_SEALING: Final = "sealing-key"
_SECONDS: Final = 30.0


def checked_endpoint(
    publication: Publication, *, seed: Path | None = None, key: Secret | None = None
) -> list[Row]:
    """Return the rows of `destinations portal-check` for a Direct Destination.

    With ``key``, that of a test account, its own endpoint is checked. Without it, what
    `destinations serve` does is started on this machine, with the destination's sandbox behind it,
    which ``seed`` fills.
    Raises `UsageError` if that does not start, and `TemporaryError` if the endpoint cannot be
    reached.
    """
    if key is not None:
        address = str(publication.publishing.get("endpoint", ""))
        if not address:
            raise UsageError("there is no publishing.endpoint that could be checked with this key")
        return list(CheckedEndpoint(Endpoint(address, key), seconds=_SECONDS).run())
    with _served(publication, seed) as (url, own):
        return list(CheckedEndpoint(Endpoint(url, own), seconds=_SECONDS).run())


@contextlib.contextmanager
def _served(publication: Publication, seed: Path | None) -> Iterator[tuple[str, Secret]]:
    """Give the URL of a server for a destination, and a key that its stand-in accepts."""
    name = _key_setting(publication)
    with (
        tempfile.TemporaryDirectory(prefix="destinations-publish-") as given,
        publication.subject.start_sandbox(seed) as sandbox,
    ):
        if not sandbox.leads_here or name not in sandbox.settings:
            raise UsageError(
                f"{publication.definition.name} has no setting that leads to a sandbox: check its"
                " endpoint with --key"
            )
        document = _document(publication, name, sandbox.settings)
        path = Path(given) / "serve.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        sealing = Path(given) / _SEALING
        sealing.touch(mode=0o600)
        sealing.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
        config = read_config(path, {})
        with contextlib.closing(observe(stream=io.StringIO(), environment={})) as observation:
            service = Service(config, observation)
            service.start()
            try:
                yield service.urls[_NAME], Secret(sandbox.settings[name])
            finally:
                service.stop()


def _key_setting(publication: Publication) -> str:
    asked = publication.catalog_settings
    names = [name for name in publication.definition.secret_settings if name in asked]
    if len(names) != 1:
        raise UsageError(
            f"{publication.definition.name} has {len(names)} secret settings: a Direct Destination"
            " has one, the key that events come with"
        )
    if publication.definition.authentication is None:
        raise UsageError(
            f"{publication.definition.name} has no authentication.test, by which an endpoint for"
            " all customers knows a good key"
        )
    return names[0]


def _document(
    publication: Publication, name: str, settings: Mapping[str, str]
) -> Mapping[str, Any]:
    return {
        "store": {"path": "store.sqlite3"},
        "listen": {"port": 0},
        "sealing": {"key": {"file": _SEALING}},
        "destinations": [
            {
                "name": _NAME,
                "destination": str(publication.folder.resolve()),
                "settings": {key: value for key, value in settings.items() if key != name},
                "receiver": {"tenants": {"key": name}},
                "delivery": {"allowPrivate": True},
            }
        ],
    }
