"""Runs a destination over a file or stream of events: reads, delivers, and accounts for each."""

from destinations.runner.again import process_again
from destinations.runner.ledger import Ledger, Row
from destinations.runner.run import Memories, Recorder, Report, Run, Stopped
from destinations.runner.source import Entry, read_json_entries, read_lines
from destinations.runner.undelivered import Undelivered

__all__ = [
    "Entry",
    "Ledger",
    "Memories",
    "Recorder",
    "Report",
    "Row",
    "Run",
    "Stopped",
    "Undelivered",
    "process_again",
    "read_json_entries",
    "read_lines",
]
