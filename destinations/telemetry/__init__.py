"""Observe a running server: metrics, logs without secrets, and traces."""

from destinations.telemetry.log_lines import Form, Level, LogLines, log_tenant
from destinations.telemetry.logs import Logs, subject_of
from destinations.telemetry.masks import Masks
from destinations.telemetry.metrics import CONTENT_TYPE, Metrics, TenantCounts
from destinations.telemetry.observation import Observation, check_tracing, observe
from destinations.telemetry.queue_figures import QueueFigures, QueueProbe
from destinations.telemetry.store_figures import StoreFigures
from destinations.telemetry.tracing import Tracing, open_tracing

__all__ = [
    "CONTENT_TYPE",
    "Form",
    "Level",
    "LogLines",
    "Logs",
    "Masks",
    "Metrics",
    "Observation",
    "QueueFigures",
    "QueueProbe",
    "StoreFigures",
    "TenantCounts",
    "Tracing",
    "check_tracing",
    "log_tenant",
    "observe",
    "open_tracing",
    "subject_of",
]
