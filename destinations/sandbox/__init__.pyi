from .definition_sandbox import DefinitionSandbox
from .exchange import ReadRequest, ServedAccount
from .faults import FaultRule, Faults
from .log import RequestLog, RequestRecord
from .server import RunningServer, Service
from .starting import start_sandbox

__all__ = [
    "DefinitionSandbox",
    "FaultRule",
    "Faults",
    "ReadRequest",
    "RequestLog",
    "RequestRecord",
    "RunningServer",
    "ServedAccount",
    "Service",
    "start_sandbox",
]
