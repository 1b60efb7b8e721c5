"""Run the audit of the npm package ``graphql-http`` against the sandbox.

``python -m tests.graphql_audit.run FOLDER`` installs the locked packages into the folder, prints
what does not hold, and fails if that is not what ``test_audits.py`` says. It needs Node and npm.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from kana_destination.sandbox import Sandbox
from tests.graphql_audit.test_audits import NOT_HELD, audit_ids

_HERE: Final = Path(__file__).parent
_FILES: Final = ("package.json", "package-lock.json", "audit.mjs")
_SECONDS: Final = 300


def main(folder: Path) -> int:
    """Return 0 if all audits are known and hold but for those of ``NOT_HELD``, else 1."""
    results = _results(folder)
    found = {result["id"]: result for result in results if result["status"] != "ok"}
    for result in found.values():
        print(f"{result['status']} {result['id']}: {result['name']} ({result['reason']})")
    print(f"{len(results) - len(found)} of {len(results)} audits hold")
    faults = [
        *_differences("do not hold", set(found), set(NOT_HELD)),
        *_differences("exist", {result["id"] for result in results}, audit_ids()),
    ]
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


def _results(folder: Path) -> list[dict[str, str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SystemExit("Node and npm are missing (https://nodejs.org)")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(_HERE / name, folder / name)
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(install, cwd=folder, check=True, timeout=_SECONDS)
    with Sandbox() as sandbox:
        environment = {**os.environ, "AUDIT_KEY": sandbox.api_key}
        command = [node, "audit.mjs", sandbox.url]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=True,
            timeout=_SECONDS,
            stdout=subprocess.PIPE,
        )
    results: list[dict[str, str]] = json.loads(done.stdout)
    return results


def _differences(what: str, found: set[str], expected: set[str]) -> list[str]:
    if found == expected:
        return []
    return [f"audits that {what}: {sorted(found)}; test_audits.py says {sorted(expected)}"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
