"""Make a page's code samples: those of the definition, and others from its mappings."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import ActionDefinition
from destinations.errors import UsageError
from destinations.kit.partner_page.calls import SampleError, read_calls
from destinations.kit.partner_page.fields import first_sources
from destinations.kit.partner_page.payloads import EXAMPLE_USER, Runtime, SampleResult
from destinations.outcome import Outcome

__all__ = ["Sample", "make_sample", "run_samples"]

_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*")
_BY_FORMAT: Final[Mapping[str, str]] = {
    "email": "user@example.com",
    "uri": "https://www.example.com",
    "date-time": "2024-01-01T00:00:00Z",
    "date": "2024-01-01",
}
_BY_TYPE: Final[Mapping[str, Any]] = {
    "integer": 1,
    "number": 9.5,
    "boolean": True,
    "array": [],
    "object": {},
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample, and the results of its calls."""

    code: str
    results: tuple[SampleResult, ...]

    @property
    def fence(self) -> str:
        """Return the fence of the code block, longer than any within it."""
        return "`" * max(3, *(len(run) + 1 for run in re.findall("`+", self.code) or [""]))


def run_samples(samples: Mapping[str, str], runtime: Runtime) -> dict[str, Sample]:
    """Run samples by name, in order, as one visitor's calls.

    Raises `UsageError` for an unreadable sample, and for one that would not work for customers,
    since its event is invalid or no action takes it.
    """
    done = {}
    for name, code in samples.items():
        try:
            results = tuple(runtime.run(read_calls(code)))
        except SampleError as error:
            raise UsageError(f"the sample {name}: {error}") from None
        if not results:
            raise UsageError(f"the sample {name} has no call such as analytics.track(...)")
        for result in results:
            if result.outcome in {Outcome.INVALID, Outcome.FILTERED}:
                msg = (
                    f"the sample {name} does not work: {result.reason}; correct it in "
                    f"destination.yaml at /documentation/samples/{name}"
                )
                raise UsageError(msg)
        done[name] = Sample(code.strip(), results)
    return done


def make_sample(method: str, actions: Iterable[ActionDefinition]) -> str:
    """Return a call of ``method`` with a value for every path that the actions read by default."""
    event: dict[str, Any] = {}
    name = "Example Event"
    for action in actions:
        named = re.search(r'\bevent = "([^"]+)"', action.default_subscription or "")
        name = named[1] if named else name
        properties: Mapping[str, Mapping[str, Any]] = action.fields["properties"]
        for key, spec in properties.items():
            for source in filter(None, first_sources(spec.get("default"))):
                value = EXAMPLE_USER if source == "userId" else _example(key, spec)
                # A copy: other paths may write into it, and the original is shared.
                _put(event, source.split("."), copy.deepcopy(value))
    root = "traits" if method in {"identify", "group"} else "properties"
    # An action that takes all events names none.
    values = event.get(root) or ({"plan": "pro"} if root in event else {})
    first = {
        "identify": EXAMPLE_USER,
        "track": name,
        "page": "Home",
        "screen": "Home",
        "group": "group_0042",
        "alias": EXAMPLE_USER,
    }[method]
    arguments = [_script(first)]
    arguments += [_script(values)] if values and method != "alias" else []
    return f"analytics.{method}({', '.join(arguments)});"


def _example(key: str, spec: Mapping[str, Any]) -> Any:
    """Return an example value of a field: the definition's own, or one of its type."""
    if spec.get("examples"):
        return spec["examples"][0]
    if "enum" in spec:
        return spec["enum"][0]
    kind = spec.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    return _BY_TYPE.get(str(kind), _BY_FORMAT.get(spec.get("format", ""), f"example {key}"))


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        target = inner
    target.setdefault(path[-1], value)


def _script(value: Any, depth: int = 0) -> str:
    """Return ``value`` as a JavaScript literal in the style of Segment's docs."""
    if isinstance(value, str):
        return "'" + json.dumps(value, ensure_ascii=False)[1:-1].replace("'", "\\'") + "'"
    if isinstance(value, dict) and value:
        inner = "  " * (depth + 1)
        lines = [
            f"{inner}{key if _NAME.fullmatch(key) else _script(key)}: {_script(item, depth + 1)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"
    return json.dumps(value)
