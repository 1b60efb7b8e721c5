"""The usual way of an event through one subscription, as generated Python.

The code only proves that nothing has to be done: each value is there in the type that its field
asks for. Whatever else an event holds makes it raise `Miss`, and the event goes through
`destinations.segment.mapping` and `destinations.segment.validation`, where the rules are.
"""

from destinations.segment.fast_path.checks import Miss
from destinations.segment.fast_path.compiled import FastPath, compile_fast_path

__all__ = ["FastPath", "Miss", "compile_fast_path"]
