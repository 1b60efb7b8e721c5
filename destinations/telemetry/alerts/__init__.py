"""Let people know: rules over the figures of a server, and sinks that take messages."""

from destinations.telemetry.alerts.book import Alert, AlertBook, Message
from destinations.telemetry.alerts.delivering import SinkHealth, SinkWorker
from destinations.telemetry.alerts.figures import Figures
from destinations.telemetry.alerts.judging import Finding, judged
from destinations.telemetry.alerts.rules import (
    COUNTED,
    KINDS,
    NARROWED,
    AlertConfig,
    AlertRule,
    CommandSink,
    Condition,
    Kind,
    Sink,
    SlackSink,
    WebhookSink,
)
from destinations.telemetry.alerts.sending import (
    SinkError,
    SinkSender,
    shown_sink,
    webhook_secret_fault,
    why_unreachable,
)
from destinations.telemetry.alerts.watch import AlertNotes, AlertWatch
from destinations.telemetry.alerts.windows import Window, Windows

__all__ = [
    "COUNTED",
    "KINDS",
    "NARROWED",
    "Alert",
    "AlertBook",
    "AlertConfig",
    "AlertNotes",
    "AlertRule",
    "AlertWatch",
    "CommandSink",
    "Condition",
    "Figures",
    "Finding",
    "Kind",
    "Message",
    "Sink",
    "SinkError",
    "SinkHealth",
    "SinkSender",
    "SinkWorker",
    "SlackSink",
    "WebhookSink",
    "Window",
    "Windows",
    "judged",
    "shown_sink",
    "webhook_secret_fault",
    "why_unreachable",
]
