"""Pages on codes: those of rows and refusals, and those that a command ends with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from destinations.cli import group
from destinations.http.error_rules import meaning_of_status
from destinations.statuses import BODY_INCOMPLETE, CODES, SENDER_GONE
from making.page import Page, cell, table

__all__ = ["code_pages", "exit_codes", "read_codes"]

_SOURCE: Final = Path(__file__).parent / "codes.yaml"
_EXIT_CODE: Final = re.compile(r"(\d+) (.+)", re.DOTALL)
_FIRST_FAILURE: Final = 400

_BEFORE: Final = """\
# Codes

Every row that was not simply delivered has a reason in words and a code. Words may change, codes do
not: `destinations deliveries list --code CODE` selects by them, and alerts, logs and metrics have
them. Where Segment has a name for something, the code is that name.

Beside a code stands a status, as in `invalid (400 PAYLOAD_VALIDATION_FAILED)`. Often nobody
answered with it: nothing is sent for an invalid event, and an error in an answer of 200, as in
GraphQL, has the status of its class (`NOT_FOUND`, 404). `destinations deliveries show ID
--attempts` shows what the partner answered.
"""
_OF_PARTNERS: Final = """\
## Statuses of a partner

If no error rule of the definition says otherwise, the status of an answer decides. The class is one
of those that `errorRules` give. *Tried again* is what happens to the event. *Nothing applied* means
that the status proves that the request had no effect. Where it does not, and it must not be
sent twice, the delivery is `unknown` or `held`: [statuses](definition/statuses.md) has what follows
each. A status from 300 to 399 is not followed, and counts as 400.
"""
_AFTER_PARTNERS: Final = """\
- A 401 gives `INVALID_AUTHENTICATION`, and a 408 `SELF_TIMEOUT`, as the class says more than the
  status. `UNAUTHORIZED` and `REQUEST_TIMEOUT` are codes of a receiver.
- An error in an answer of 200, as in GraphQL, has the code of its class: that of 400 for `invalid`,
  403 for `permission`, 404 for `not_found`, 409 for `conflict`, 429 for `rate_limit`, 500 for
  `internal`, 503 for `unavailable`.
- Where a status is about the address rather than an event (404, 405, 410 and 415 at an address that
  is the same for every event), no event ends: the action pauses.
"""
_OF_RECEIVERS: Final = """\
## Statuses of a receiver

What `destinations serve` answers to a sender.
"""
_RECEIVER: Final[Mapping[int, tuple[str, str]]] = {
    400: ("The body is no events, or its events have different faults.", "no"),
    401: ("The key or the signature is missing or wrong.", "after the key was replaced"),
    403: ("The key is another destination's, or the origin is not in `cors`.", "no"),
    404: ("Nothing is at this path.", "no"),
    405: ("The method is not POST.", "no"),
    408: ("The body took too long.", "yes"),
    409: ("Different content under the `messageId` of an event that may have an effect.", "no"),
    413: ("The body is too long, or has too many events.", "in smaller parts"),
    415: ("The `Content-Encoding` is neither `gzip` nor `identity`.", "no"),
    500: ("An internal error: nothing was accepted, and the log has it.", "perhaps"),
    501: ("A `Transfer-Encoding` other than `chunked`.", "no"),
    503: ("The queue or the disk is full, or the server stops; see `Retry-After`.", "yes"),
}


def read_codes() -> Sequence[Mapping[str, Any]]:
    """Return the groups of codes.yaml, in order: a title, a text and its codes."""
    groups: Sequence[Mapping[str, Any]] = yaml.safe_load(_SOURCE.read_text(encoding="utf-8"))
    return groups


def exit_codes() -> Mapping[int, str]:
    """Return what each exit code means, in the words of the group of commands."""
    said = (group.__doc__ or "").partition("Exit codes: ")[2].strip().rstrip(".")
    found = [_EXIT_CODE.fullmatch(one.strip()) for one in said.split(";")]
    return {int(one[1]): " ".join(one[2].split()) for one in found if one is not None}


def code_pages() -> Iterator[Page]:
    """Yield the page on codes, and that on exit codes."""
    parts = [_BEFORE]
    for one in read_codes():
        parts += [f"## {one['title']}\n", one["text"]]
        parts += [_entry(code, said) for code, said in one["codes"].items()]
        if "after" in one:
            parts.append(one["after"])
    parts += [_OF_PARTNERS, _of_partners(), "", _AFTER_PARTNERS, _OF_RECEIVERS, _of_receivers()]
    yield Page(
        "codes.md",
        "codes",
        "Every code that a row, a refusal or an answer can have, and what to do.",
        "\n".join(parts) + "\n",
        "docs/making/codes.yaml and destinations/statuses.py",
        ("code", "error codes", "error code", "errors", "error"),
    )
    yield _exit_page()


def _entry(code: str, said: Mapping[str, Any]) -> str:
    lines = [f"### {code}\n", _line(said["means"]) + "\n"]
    if "where" in said:
        lines.append(f"- Where: {_line(said['where'])}.")
    if "passes" in said:
        lines.append(f"- Passes by itself: {_line(said['passes'])}.")
    lines.append(f"- What to do: {_line(said['do'])}\n")
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def _of_partners() -> str:
    rows = []
    for status, code in CODES.items():
        if status < _FIRST_FAILURE:
            continue
        meaning = meaning_of_status(status)
        rows.append(
            (
                f"`{code}`",
                str(status),
                f"`{meaning.error_class}`",
                "yes" if meaning.retryable else "no",
                "yes" if meaning.proof else "",
            )
        )
    return table(("code", "status", "class", "tried again", "nothing applied"), rows)


def _of_receivers() -> str:
    rows = [
        (str(status), f"`{CODES[status]}`", cell(means), passes)  # codes are topics of partners
        for status, (means, passes) in _RECEIVER.items()
    ]
    gone = "See [`BODY_INCOMPLETE`](#body_incomplete)."
    return table(
        ("status", "code", "when", "send it again"),
        [*rows, (str(SENDER_GONE), f"`{BODY_INCOMPLETE}`", gone, "yes")],
    )


_EXIT_TEXT: Final = """\
# Exit codes

All commands end with one of these: all that a script or a unit of systemd needs to know.
"""
_NEXT: Final[Mapping[int, str]] = {
    0: "Nothing.",
    1: "Read what it printed; `destinations deliveries list` has the rows and their reasons.",
    2: "Mend what the message names; the same command fails again until then.",
    75: "Start the same command again later. Nothing is lost, and nothing is sent twice.",
    130: "Start the same command again: it goes on where it was.",
}
_EXIT_AFTER: Final = """\
- `run` ends with 0 if all rows are `delivered`, `filtered` or `unmapped`; with `--dry-run`, also if
  they are `ready`. See [Running](../running.md#exit-codes).
- `serve` ends with 0 after SIGTERM or SIGINT, also while it starts; see
  [Serving](../serving.md#stop). A second signal gives 130.
- Commands that only check, such as `check` and `portal-check`, end with 2 where the partner is
  away: nothing waits.
- 75 is `EX_TEMPFAIL` of `sysexits.h`. A unit of systemd starts the server again after it, and with
  `RestartPreventExitStatus=2` not after 2.
- An unknown command or option is 2, as is any other wrong usage.
"""


def _exit_page() -> Page:
    rows = [(f"`{code}`", cell(means), _NEXT[code]) for code, means in exit_codes().items()]
    text = f"{_EXIT_TEXT}\n{table(('exit code', 'meaning', 'what to do'), rows)}\n\n{_EXIT_AFTER}"
    return Page(
        "exit-codes.md",
        "exit codes",
        "What the number means that a command ends with.",
        text,
        "destinations/cli/group.py",
        ("exit code", "exit status"),
    )
