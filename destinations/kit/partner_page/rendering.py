"""Render a page's templates in a separate process, as a definition may come from anyone.

The process gets texts and values as JSON, and no files. Its processor time, memory, wall time and
output are limited. Run with ``python -m``, this module reads a job from standard input and writes
its result.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final

from destinations.definition.yaml_schema import write_scalar
from destinations.errors import UsageError
from destinations.extras import libraries_of
from destinations.kit.partner_page.flavour import FLAVOURS, Flavour, in_one_line, joined
from destinations.kit.partner_page.page_escaping import escaped_text

with libraries_of("kit"):
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["Limits", "render"]

_SECONDS: Final = 5
_WALL_SECONDS: Final = 120
_BYTES: Final = 1024**3
_CHARACTERS: Final = 1_000_000
_MARK: Final = "\x1e"


class Limits:
    """The limits of rendering: seconds of the processor, bytes of memory, characters of a page."""

    seconds = _SECONDS
    memory = _BYTES
    characters = _CHARACTERS


def render(
    flavour: Flavour,
    templates: Mapping[str, str],
    facts: Mapping[str, Any],
    steps: Sequence[str],
) -> str:
    """Return the page of a flavour; raises `UsageError` if it cannot be rendered.

    ``templates`` are all templates by name, ``facts`` their variables as JSON. ``steps`` are
    templates too, whose rendered texts are the variable ``setup_steps``.
    """
    job = {
        "flavour": flavour.name,
        "templates": dict(templates),
        "facts": dict(facts),
        "steps": list(steps),
        "limits": [Limits.seconds, Limits.memory, Limits.characters],
    }
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, with our own module
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=_WALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"its templates take longer than {_WALL_SECONDS} s") from None
    answer = done.stdout.decode("utf-8", "replace").rpartition(_MARK)[2]
    try:
        result: Mapping[str, str] = json.loads(answer)
    except ValueError:
        if done.returncode < 0:  # killed by a signal of the operating system
            limit = f"{Limits.seconds} s of processor time or {Limits.memory // 1024**2} MiB"
            raise UsageError(f"its templates need more than {limit}") from None
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason"])[-1]
        raise UsageError(f"the process that renders it ended: {last}") from None
    if "error" in result:
        raise UsageError(result["error"])
    return result["text"]


def _limit(seconds: int, memory: int) -> None:
    """Limit this process by means of the operating system, where possible."""
    try:
        import resource  # noqa: PLC0415 - not on Windows, where only the time is limited
    except ImportError:
        return
    wanted = {"RLIMIT_CPU": seconds, "RLIMIT_AS": memory, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}
    for name, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # macOS cannot limit memory
            resource.setrlimit(getattr(resource, name), (value, value))


def _environment(flavour: Flavour, job: Mapping[str, Any]) -> jinja2.Environment:
    # No escaping here: the output is Markdown, and the values are already escaped for it.
    environment = ImmutableSandboxedEnvironment(
        # A template's name stands for its file, so that errors name it.
        loader=jinja2.FunctionLoader(
            lambda name: (
                (text, name, lambda: True)
                if (text := job["templates"].get(name)) is not None
                else None
            )
        ),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    names = ("heading", "hint", "external", "partner", "segment")
    environment.globals.update({name: getattr(flavour, name) for name in names})
    environment.globals["flavour"] = flavour.name
    environment.filters["words"] = joined
    environment.filters["yaml"] = write_scalar
    environment.filters["one_line"] = in_one_line
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    environment.globals.update(job["facts"])
    return environment


def _rendered(job: Mapping[str, Any]) -> str:
    flavour = next(one for one in FLAVOURS if one.name == job["flavour"])
    environment = _environment(flavour, job)
    longest = job["limits"][2]
    try:
        made = [_joined(environment.from_string(step), longest) for step in job["steps"]]
        steps = [escaped_text(step, liquid=flavour.name == "published") for step in made]
    except jinja2.TemplateError as error:
        msg = f"a step of /documentation/setup cannot be rendered: {error.message or error}"
        raise UsageError(msg) from None
    environment.globals["setup_steps"] = steps
    try:
        return _joined(environment.get_template(f"{flavour.name}.md.j2"), longest)
    except jinja2.TemplateSyntaxError as error:
        where = f"({error.name}:{error.lineno})"
        raise UsageError(f"cannot be rendered {where}: {error.message}") from None
    except jinja2.TemplateError as error:
        where = _place(error, job["templates"])
        raise UsageError(f"cannot be rendered{where}: {error.message or error}") from None


def _place(error: BaseException, templates: Container[str]) -> str:
    """Return the template and line where an error was raised; empty if it was in none."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"({frame.filename}:{frame.lineno})" for frame in frames if frame.filename in templates
    ]
    return f" {places[-1]}" if places else ""


def _joined(template: jinja2.Template, longest: int) -> str:
    pieces, size = [], 0
    for piece in template.generate():
        size += len(piece)
        if size > longest:
            raise UsageError(f"its templates make more than {longest:,} characters")
        pieces.append(piece)
    return "".join(pieces)


def _result(job: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        yield "text", _rendered(job)
    except UsageError as error:
        yield "error", str(error)
    except MemoryError:
        yield "error", f"its templates need more than {job['limits'][1] // 1024**2} MiB"
    except RecursionError:
        yield "error", "its templates include each other endlessly"
    except Exception as error:  # noqa: BLE001 - any error here is the template's fault
        yield "error", f"cannot be rendered: {type(error).__name__}: {error}"


def main() -> None:
    """Render the job on standard input."""
    job = json.loads(sys.stdin.buffer.read())
    _limit(*job["limits"][:2])
    sys.stdout.write(_MARK + json.dumps(dict(_result(job))))


if __name__ == "__main__":
    main()
