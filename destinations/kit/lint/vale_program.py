"""Run Vale itself, where it is installed, and take over its findings."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from destinations.errors import UsageError
from destinations.kit.lint.finding import Finding, Level
from destinations.kit.lint.rules import word_lists

__all__ = ["vale_findings"]

_SECONDS: Final = 300
_LEVELS: Final[dict[str, Level]] = {
    "error": "error",
    "warning": "warning",
    "suggestion": "suggestion",
}


def vale_findings(pages: Sequence[Path], styles: Path | None = None) -> list[Finding]:
    """Return what Vale finds in pages, as rules ``vale.STYLE.RULE``.

    Vale reads the rules in ``styles``, or else the .vale.ini that it finds above the pages. Raises
    `UsageError` if Vale is not on the path, or fails.
    """
    program = shutil.which("vale")
    if program is None:
        raise UsageError("--vale needs Vale on the path: install it from https://vale.sh")
    with tempfile.TemporaryDirectory() as folder:
        options = []
        if styles is not None:
            configuration = Path(folder) / "vale.ini"
            configuration.write_text(_configuration(styles), encoding="utf-8")
            options = [f"--config={configuration}"]
        try:
            done = subprocess.run(  # noqa: S603 - the program of the user's own path
                [program, "--output=JSON", *options, "--", *map(str, pages)],
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"cannot run {program}: {error}") from None
    try:
        return _findings(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"Vale failed: {_reason(done)}") from None


def _findings(report: dict[str, list[dict[str, Any]]]) -> list[Finding]:
    return [
        Finding(
            file=file,
            line=int(alert["Line"]),
            column=int(alert["Span"][0]),
            rule=f"vale.{alert['Check']}",
            level=_LEVELS[alert["Severity"]],
            message=str(alert["Message"]),
        )
        for file, alerts in report.items()
        for alert in alerts
    ]


def _configuration(styles: Path) -> str:
    names = sorted({file.parent.name for file in styles.glob("*/*.yml")})
    vocabularies = sorted({path.parent.name for path in word_lists(styles)})
    return "\n".join(
        (
            f"StylesPath = {styles.resolve()}",
            "MinAlertLevel = suggestion",
            f"Vocab = {', '.join(vocabularies)}" if vocabularies else "",
            "[*.md]",
            f"BasedOnStyles = {', '.join(names)}",
            "",
        )
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return what Vale says of a failure: JSON with a message, or plain lines."""
    output = (done.stderr or done.stdout).strip()
    try:
        return str(json.loads(output)["Text"]).strip()
    except (ValueError, KeyError, TypeError):
        return output or f"it ended with {done.returncode} and without a report"
