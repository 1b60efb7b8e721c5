"""Pages that are rendered in the process of a test: see `InThisProcess`."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final

from jinja2.sandbox import ImmutableSandboxedEnvironment

from destinations.kit.partner_page import rendering

__all__ = ["CompiledOnce", "InThisProcess"]


class CompiledOnce(ImmutableSandboxedEnvironment):
    """An environment that shares with all others what templates are compiled to.

    To compile the templates of the framework for each page anew takes most of a page's time. All
    environments of pages have the same options, filters and tests.
    """

    _compiled: Final[dict[Any, Any]] = {}

    def compile(self, source: Any, name: Any = None, filename: Any = None, *options: Any) -> Any:
        """Return the code of a template."""
        key = (source, name, filename, options)
        if key not in self._compiled:
            self._compiled[key] = super().compile(source, name, filename, *options)
        return self._compiled[key]


class InThisProcess:
    """What `rendering` needs of ``subprocess``, without the process that bounds a template.

    The process takes nothing else away from a template, and to start it takes longer than most
    tests of what a page holds; ``test_untrusted.py`` has the process.
    """

    TimeoutExpired = subprocess.TimeoutExpired

    @staticmethod
    def run(
        command: list[str],
        *,
        input: bytes,  # noqa: A002 - as `subprocess.run` calls it
        **_: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """Render a job."""
        result = json.dumps(dict(rendering._result(json.loads(input)))).encode()
        return subprocess.CompletedProcess(command, 0, stdout=result, stderr=b"")
