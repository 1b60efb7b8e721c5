"""The endpoint that `destinations serve` is, for a partner with code and for one without."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.portal import CheckedEndpoint, Endpoint, Verdict
from destinations.secrets import Secret
from destinations.server import Service, read_config
from destinations.telemetry import observe
from kana_destination.sandbox import Sandbox

RECEIVER_KEY = "the-key-of-receivers"
API_KEY = "prv_test_Ab1Cd2Ef3Gh4Ij5"


class Given:
    """A reply of the endpoint; see its conftest."""

    status, body, cut = 200, b"{}", False
    headers: Mapping[str, str] = {}


class Wrong(Given):
    """The reply to a customer's key that it does not know."""

    status = 401


def _is_wrong(request: Any) -> bool:
    """Return whether a request has the key of a customer that there is not."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return bool(scheme == "Bearer" and key != API_KEY)


def _with_limit(documents: dict[str, Any]) -> None:
    """Count by REST, up to a limit that each customer sets."""
    for other in ("save", "sync"):
        del documents[other]
    destination = documents["destination"]
    destination["presets"] = destination["presets"][:1]
    counted = {"limit": {"@path": "$.settings.limit"}}
    destination["requests"] = {
        name: {
            "description": "Does it.",
            "idempotent": True,
            "rest": {"method": "POST", "path": [name], "json": counted},
        }
        for name in ("find", "count")
    }
    documents["count"]["fields"]["properties"]["thing"]["default"] = {"@path": "$.event"}
    documents["count"]["fields"]["properties"]["by"]["default"] = {"@path": "$.absent"}
    documents["count"]["fields"]["required"] = ["thing"]
    documents["count"]["method"] = "track"


@pytest.fixture
def urls(
    write: Callable[[str, Any], Path], endpoint: Any, write_definition: Callable[..., Path]
) -> Iterator[Mapping[str, str]]:
    """The URLs of a server for Kana, for a webhook, and for what takes settings from customers."""
    write_definition(_with_limit)
    endpoint.wrong = lambda request, _: Wrong() if _is_wrong(request) else Given()
    with Sandbox({"apiKeys": [API_KEY]}) as sandbox:
        of = {
            "kana": {"apiKey": "${API_KEY}", "endpoint": sandbox.url},
            "webhook": {"url": endpoint.url},
        }
        document: dict[str, Any] = {
            "store": {"path": "s.sqlite3"},
            "listen": {"port": 0},
            "destinations": [
                {
                    "name": name,
                    "destination": name,
                    "settings": settings,
                    "receiver": {"keys": ["${RECEIVER_KEY}"]},
                    "delivery": {"allowPrivate": True},
                }
                for name, settings in of.items()
            ],
            "sealing": {"key": "${SEALING_KEY}"},
        }
        document["destinations"].append(
            {
                "name": "customers",
                "destination": "kana",
                "settings": {"endpoint": sandbox.url},
                "receiver": {"tenants": {"key": "apiKey"}},
            }
        )
        document["destinations"].append(
            {
                "name": "limited",
                "destination": "./sample",
                "settings": {"endpoint": endpoint.url},
                "receiver": {"tenants": {"key": "apiKey", "settings": {"fromHeader": ["limit"]}}},
            }
        )
        secrets = {"API_KEY": API_KEY, "RECEIVER_KEY": RECEIVER_KEY}
        environment = {**secrets, "SEALING_KEY": "A" * 43 + "="}
        config = read_config(write("serve.json", document), environment)
        with contextlib.closing(observe(stream=io.StringIO(), environment={})) as observation:
            service = Service(config, observation)
            service.start()
            yield service.urls
            service.stop()


# By destination: the calls that it does not support, and the answer to an event without a user.
SERVED = {
    "kana": ({"page", "screen", "group", "alias", "delete"}, 400),
    "webhook": ({"delete"}, 200),
    "customers": ({"page", "screen", "group", "alias", "delete"}, 400),
    "limited": ({"identify", "page", "screen", "group", "alias", "delete"}, 400),
}


@pytest.mark.parametrize(("name", "unsupported", "anonymous"), [(n, *s) for n, s in SERVED.items()])
def test_our_own_endpoint(
    urls: Mapping[str, str], name: str, unsupported: set[str], anonymous: int
) -> None:
    """It keeps the protocol: no check finds a fault, and none is skipped."""
    key = API_KEY if name in {"customers", "limited"} else RECEIVER_KEY
    settings = {"limit": 3} if name == "limited" else None
    given = Endpoint(urls[name], Secret(key), settings)
    rows = {row.name: row for row in CheckedEndpoint(given, seconds=30).run()}
    bad = {Verdict.FAULT, Verdict.SKIPPED}
    assert [row for row in rows.values() if row.verdict in bad] == []
    assert {row.name for row in rows.values() if row.status == 501} == unsupported
    assert rows["anonymous"].status == anonymous
    assert rows["huge-body"].status == 413
