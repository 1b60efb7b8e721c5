"""Model an account at Kana, and its form as JSON.

``to_json`` and ``from_json`` use the API's names (``billingId``). The database file and
:meth:`Sandbox.snapshot` have the same form. Times are aware ``datetime`` in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["Feature", "Package", "PackageFeature", "Subscription", "User", "iso", "parse_iso"]


def iso(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds, like JavaScript: ``2022-10-01T00:00:00.000Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """Read an ISO 8601 time, in UTC if it has no offset. Raises ``ValueError``."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class User:
    """A user; ``seq`` is internal and never changes: usage and subscriptions refer to it."""

    seq: int
    id: str
    billing_id: str | None
    name: str | None
    email: str | None
    metadata: object
    created_at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the user with the API's names, without ``seq``."""
        return {
            "id": self.id,
            "billingId": self.billing_id,
            "name": self.name,
            "email": self.email,
            "metadata": self.metadata,
            "createdAt": iso(self.created_at),
        }

    @classmethod
    def from_json(cls, seq: int, doc: Mapping[str, Any]) -> User:
        """Read a document that has at least ``id`` and ``createdAt``."""
        return cls(
            seq,
            doc["id"],
            doc.get("billingId"),
            doc.get("name"),
            doc.get("email"),
            doc.get("metadata"),
            parse_iso(doc["createdAt"]),
        )


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature; ``type`` is ``BINARY`` (access or not) or ``CONSUMABLE`` (an amount a period)."""

    id: str
    name: str
    type: str
    unit_label: str | None = None
    unit_label_plural: str | None = None
    metadata: object = None

    def to_json(self) -> dict[str, Any]:
        """Return the feature with the API's names."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "unitLabel": self.unit_label,
            "unitLabelPlural": self.unit_label_plural,
            "metadata": self.metadata,
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Feature:
        """Read a document that has at least ``id``, ``name`` and ``type``."""
        return cls(
            doc["id"],
            doc["name"],
            doc["type"],
            doc.get("unitLabel"),
            doc.get("unitLabelPlural"),
            doc.get("metadata"),
        )


@dataclass(frozen=True, slots=True)
class PackageFeature:
    """The amount of a feature that a package grants a period; ``limit`` None is unlimited."""

    id: str
    limit: int | None
    reset_period: str
    overage_enabled: bool

    def to_json(self) -> dict[str, Any]:
        """Return the entry with the API's names."""
        return {
            "id": self.id,
            "limit": self.limit,
            "resetPeriod": self.reset_period,
            "overageEnabled": self.overage_enabled,
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> PackageFeature:
        """Read a document that has at least ``id``; the period is a month if it has none."""
        return cls(
            doc["id"],
            doc.get("limit"),
            doc.get("resetPeriod") or "MONTH",
            bool(doc.get("overageEnabled")),
        )


@dataclass(frozen=True, slots=True)
class Package:
    """A package; ``features`` are by feature id, and ``prices`` is kept as given."""

    id: str
    name: str
    is_addon: bool
    status: str
    updated_at: datetime
    features: Mapping[str, PackageFeature]
    prices: object = None
    metadata: object = None

    def to_json(self) -> dict[str, Any]:
        """Return the package with the API's names."""
        return {
            "id": self.id,
            "name": self.name,
            "isAddon": self.is_addon,
            "status": self.status,
            "updatedAt": iso(self.updated_at),
            "features": [entry.to_json() for entry in self.features.values()],
            "prices": self.prices,
            "metadata": self.metadata,
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Package:
        """Read a document that has at least ``id``, ``name``, ``status`` and ``updatedAt``."""
        entries = [PackageFeature.from_json(entry) for entry in doc.get("features") or ()]
        return cls(
            doc["id"],
            doc["name"],
            bool(doc.get("isAddon")),
            doc["status"],
            parse_iso(doc["updatedAt"]),
            {entry.id: entry for entry in entries},
            doc.get("prices"),
            doc.get("metadata"),
        )


@dataclass(frozen=True, slots=True)
class Subscription:
    """A user's subscription of a package; ``user_seq`` is the ``seq`` of the user."""

    id: str
    user_seq: int
    package_id: str
    status: str = "ACTIVE"

    def to_json(self) -> dict[str, Any]:
        """Return the subscription as it is stored."""
        return {
            "id": self.id,
            "userSeq": self.user_seq,
            "packageId": self.package_id,
            "status": self.status,
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Subscription:
        """Read what :meth:`to_json` writes."""
        return cls(doc["id"], doc["userSeq"], doc["packageId"], doc["status"])
