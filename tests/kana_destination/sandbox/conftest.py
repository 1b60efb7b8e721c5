"""A sandbox over real HTTP, with a small account and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from kana_destination.sandbox import Sandbox


@dataclass
class Clock:
    """A clock that a test sets."""

    moment: datetime = datetime(2022, 10, 20, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The moment that was set."""
        return self.moment

    def set(self, year: int, month: int, day: int) -> None:
        """Noon of a day in UTC."""
        self.moment = datetime(year, month, day, 12, tzinfo=UTC)


@dataclass
class Client:
    """Requests to one sandbox."""

    sandbox: Sandbox
    session: requests.Session = field(default_factory=requests.Session)

    def post(self, **options: Any) -> requests.Response:
        """A POST of JSON to the GraphQL endpoint with the sandbox's key."""
        options.setdefault("headers", {"Authorization": self.sandbox.api_key})
        headers = {"Content-Type": "application/json", **options.pop("headers")}
        return self.session.post(self.sandbox.url, timeout=10, headers=headers, **options)

    def __call__(self, query: str, **variables: Any) -> Any:
        """The JSON of the answer, which must be HTTP 200."""
        answer = self.post(json={"query": query, "variables": variables})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def data(self, query: str, **variables: Any) -> Any:
        """The data of an answer, which must have no errors."""
        answer = self(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    def at(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request to another path of the same server."""
        options.setdefault("headers", {"Authorization": self.sandbox.api_key})
        url = self.sandbox.url.replace("/graphql", path)
        return self.session.request(method, url, timeout=10, **options)


SEED: dict[str, Any] = {
    "users": [
        {"id": "ann", "name": "Ann", "email": "ann@example.com", "createdAt": "2022-01-01T00:00Z"},
        {"id": "bob", "billingId": "cus_2", "createdAt": "2022-02-01T00:00Z"},
        {"id": "cid", "metadata": {"tier": 1}, "createdAt": "2022-03-01T00:00Z"},
    ],
    "features": [
        {"id": "calls", "name": "Calls", "type": "CONSUMABLE"},
        {"id": "days", "name": "Days", "type": "CONSUMABLE"},
        {"id": "sso", "name": "SSO", "type": "BINARY"},
    ],
    "packages": [
        {"id": "free", "name": "Free", "features": [{"id": "calls", "limit": 10}]},
        {
            "id": "paid",
            "name": "Paid",
            "features": [
                {"id": "calls", "limit": 100, "overageEnabled": True},
                {"id": "days", "limit": 5, "resetPeriod": "DAY"},
                {"id": "sso"},
            ],
        },
        {
            "id": "boost",
            "name": "Boost",
            "isAddon": True,
            "features": [{"id": "calls", "limit": 50, "resetPeriod": "YEAR"}],
        },
        {"id": "draft", "name": "Draft", "status": "DRAFT"},
        {"id": "old", "name": "Old", "status": "ARCHIVED"},
    ],
    "subscriptions": [
        {"userId": "ann", "packageId": "paid"},
        {"userId": "bob", "packageId": "free"},
    ],
    "usage": [
        {"userId": "ann", "featureId": "calls", "used": 7},
        {"userId": "bob", "featureId": "calls", "used": 10},
    ],
}


@pytest.fixture
def seed() -> dict[str, Any]:
    """A copy of the small account, to be changed at will."""
    return deepcopy(SEED)


@pytest.fixture
def clock() -> Clock:
    """Noon of 20 October 2022, until it is set."""
    return Clock()


OpenClient = Callable[..., Client]


@pytest.fixture
def connect(clock: Clock) -> Iterator[OpenClient]:
    """Start sandboxes; arguments as of ``Sandbox``, with the small account as the seed."""
    clients: list[Client] = []

    def start(**options: Any) -> Client:
        options.setdefault("seed", deepcopy(SEED))
        options.setdefault("clock", clock)
        client = Client(Sandbox(**options).start())
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.session.close()
        client.sandbox.stop()


@pytest.fixture
def client(connect: OpenClient) -> Client:
    """A client of a sandbox with the small account."""
    return connect()


@pytest.fixture
def batch() -> Callable[[int], str]:
    """The text of a document with so many aliased ``recordUsage`` mutations: ``r0``, ``r1``..."""

    def text(size: int) -> str:
        variables = ", ".join(f"$i{n}: CreateUsageEventInput!" for n in range(size))
        fields = " ".join(
            f"r{n}: recordUsage(input: $i{n}) {{ recorded reason }}" for n in range(size)
        )
        return f"mutation Batch({variables}) {{ {fields} }}"

    return text
