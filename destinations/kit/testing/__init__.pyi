from destinations.sandbox.placeholders import placeholder_settings

from .case import (
    AskedUsage,
    Case,
    ExpectedOutcome,
    ExpectedUsage,
    Interaction,
    Recorded,
    RecordedRequest,
    RecordedResponse,
)
from .case_reading import case_files, read_case, read_cases
from .case_writing import case_text
from .conformance import DestinationConformance
from .difference import Difference
from .made_faults import FaultCase, FaultReport, fault_cases, play_fault
from .pseudonyms import pseudonymised
from .recording import Draft, record
from .replaying import CaseReport, replay
from .saving import case_path, save_case
from .stand_ins import ScriptedTransport, StillClock
from .subject import Subject, open_subject, subject_in

__all__ = [
    "AskedUsage",
    "Case",
    "CaseReport",
    "DestinationConformance",
    "Difference",
    "Draft",
    "ExpectedOutcome",
    "ExpectedUsage",
    "FaultCase",
    "FaultReport",
    "Interaction",
    "Recorded",
    "RecordedRequest",
    "RecordedResponse",
    "ScriptedTransport",
    "StillClock",
    "Subject",
    "case_files",
    "case_path",
    "case_text",
    "fault_cases",
    "open_subject",
    "placeholder_settings",
    "play_fault",
    "pseudonymised",
    "read_case",
    "read_cases",
    "record",
    "replay",
    "save_case",
    "subject_in",
]
