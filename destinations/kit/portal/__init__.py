"""Check an endpoint as Segment's partner portal and a careful reviewer would."""

from __future__ import annotations

from destinations.kit.portal.checks import CHECKS, Check
from destinations.kit.portal.expected import Verdict
from destinations.kit.portal.running import CheckedEndpoint, Row
from destinations.kit.portal.samples import Endpoint

__all__ = ["CHECKS", "Check", "CheckedEndpoint", "Endpoint", "Row", "Verdict"]
