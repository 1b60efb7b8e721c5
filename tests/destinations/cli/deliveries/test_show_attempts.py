"""``destinations deliveries show``: attempts, commands that repeat them, and cases of them."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from destinations.cli.deliveries.attempt_text import print_attempts
from destinations.errors import UsageError
from destinations.kit.testing.subject import open_subject
from destinations.operations import (
    attempt_record,
    chosen_attempt,
    curl_command,
    what_is_missing,
)
from destinations.outcome import AttemptKind, Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.postgres import StoreAddress, open_at
from destinations.store import Attempt
from destinations.store.attempts import StoredAttempts
from kana_destination.sandbox import Sandbox
from tests.case_tables import each_value
from tests.serving import store_spec
from tests.stores import few_in_postgres

Run = Callable[..., Any]

EVENTS: list[dict[str, Any]] = [
    {
        "type": "track",
        "event": "Report Exported",
        "userId": "user_0005",
        "messageId": "m-1",
        "properties": {"featureId": "nosuch", "delta": 2},
        "context": {"traits": {"email": "ann@private.example"}},
    },
    {
        "type": "identify",
        "userId": "user_0006",
        "messageId": "m-2",
        "traits": {"email": "six@private.example"},
    },
]


@pytest.fixture
def sandbox() -> Iterator[Any]:
    """A stand-in for Kana."""
    running = open_subject("kana").start_sandbox(None)
    yield running
    running.close()


@pytest.fixture
def rejected(command: Run, path: StoreAddress, sandbox: Any, write: Any) -> LedgerEntry:
    """A delivery that Kana rejected, with its attempt in the store."""
    settings = write("settings.yaml", dict(sandbox.settings))
    events = write("events.ndjson", EVENTS)
    given = ("--settings", settings, "--events", events, "--store", path)
    assert command("run", "kana", *given).code == 1
    return _entry(path)


def _entry(path: StoreAddress) -> LedgerEntry:
    with open_at(path, read_only=True) as store:
        (found,) = store.ledger().find(Selection(user="user_0005"))
        return found


def test_its_attempts(deliveries: Run, rejected: LedgerEntry) -> None:
    """A table, and then all that is kept of each; no secret in it."""
    done = deliveries("show", rejected.id, "--attempts")
    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0] == f"1 kept attempt of delivery {rejected.id}"
    assert lines[2].startswith("1 ")
    for text in ("recordUsage 200 not_found errorRules[", "rejected"):
        assert text in lines[2]
    assert "Authorization: ***" in lines
    assert '"userId": "user_0005",' in lines
    assert "HTTP 200" in lines
    assert "prv_test" not in done.out
    assert "Kept attempts: 1, shown by: destinations deliveries show" in " ".join(
        deliveries("show", rejected.id).out.split()
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"a": 1}', "(one request for 4 deliveries; this is number 3 of them)"),
        (
            b"mutation { e0: a e1: a e2: a e20: a }",
            "(one request for 4 deliveries; this is number 3 of them, e2 in the document)",
        ),
        (b"e20 e12 e2x", "(one request for 4 deliveries; this is number 3 of them)"),
    ],
)
def test_one_of_several(
    deliveries: Run,
    rejected: LedgerEntry,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    told: str,
) -> None:
    """Where a request carried several deliveries, it is said which of them this one is."""
    known = StoredAttempts.of

    def of_several(self: StoredAttempts, delivery: int) -> list[Attempt]:
        return [
            replace(one, deliveries=4, item=2, request_body=body) for one in known(self, delivery)
        ]

    monkeypatch.setattr(StoredAttempts, "of", of_several)
    lines = deliveries("show", rejected.id, "--attempts").out.splitlines()
    assert f"  {told}" in lines


def test_what_is_missing(rejected: LedgerEntry, path: StoreAddress) -> None:
    """What was delivered at once after a replay is kept for a share only, which is said."""
    with open_at(path, read_only=True) as store:
        attempts = store.attempts().of(rejected.id)
    assert "also after a replay" in what_is_missing(Outcome.DELIVERED, attempts)
    assert what_is_missing(Outcome.REJECTED, attempts) == ""
    assert what_is_missing(Outcome.DELIVERED, []) == ""
    sent = replace(attempts[-1], error_class=None)
    assert what_is_missing(Outcome.DELIVERED, [*attempts, sent]) == ""


def test_as_json(deliveries: Run, rejected: LedgerEntry) -> None:
    """All of it, with and without --attempts."""
    kept = deliveries("show", rejected.id, "--attempts", "--json").json["kept_attempts"]
    assert deliveries("show", rejected.id, "--json").json["kept_attempts"] == kept
    # A busy machine may need another one before, which did not connect.
    one = kept[-1]
    assert (one["number"], one["status"], one["class"]) == (len(kept), 200, "not_found")
    assert json.loads(one["body"]["text"])["variables"]["input_0"]["userId"] == "user_0005"
    assert one["body"]["bytes"] == len(one["body"]["text"].encode())
    assert one["headers"]["Authorization"] == "***"


def test_a_command_that_repeats_it(
    deliveries: Run, rejected: LedgerEntry, sandbox: Any, tmp_path: Path
) -> None:
    """In a shell, with the secret in a variable, the partner answers as it did."""
    done = deliveries("show", rejected.id, "--curl")
    assert '"$API_KEY"' in done.out
    answer = subprocess.run(
        ["/bin/sh", "-c", done.out],
        env={"API_KEY": sandbox.settings["apiKey"], "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert b"Feature 'nosuch' does not exist" in answer


@pytest.mark.usefixtures("only_cases")
@pytest.mark.parametrize("raw", [False, True])
def test_a_case_of_it(
    command: Run, deliveries: Run, rejected: LedgerEntry, tmp_path: Path, *, raw: bool
) -> None:
    """It replays at once; personal data has stand-ins unless it is to stay."""
    cases = tmp_path / "cases"
    given = ["--raw"] if raw else []
    done = deliveries("show", rejected.id, "--as-case", "an-incident", "--cases", cases, *given)
    assert done.code == 0
    assert done.err.startswith("warning: not all secrets of the delivery could be looked for")
    text = (cases / "an-incident.yaml").read_text(encoding="utf-8")
    assert ("user_0005" in text, "ann@private.example" in text) == (raw, raw)
    assert "prv_test_sandbox" not in text
    case = yaml.safe_load(text)
    assert case["expected"][0]["outcome"] == "rejected"
    assert case["recorded"]["against"] == "sandbox"
    tested = command("test", "kana", "--cases", cases, "--json")
    (one,) = tested.json["destinations"][0]["cases"]
    assert (one["case"], one["passed"]) == ("an-incident", True)
    again = deliveries("show", rejected.id, "--as-case", "an-incident", "--cases", cases)
    assert (again.code, "an-incident.yaml exists" in again.err) == (2, True)


@few_in_postgres
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--attempts", "--curl"], "--curl cannot be used with --attempts"),
        (["--curl", "--as-case", "x"], "--as-case cannot be used with --curl"),
        (["--attempt", "2"], "add --curl"),
        (["--raw"], "are for --as-case NAME"),
        (["--settings", "x"], "are for --as-case NAME"),
        (["--cases", "x"], "are for --as-case NAME"),
        (["--definition", "x"], "are for --as-case NAME"),
        (["--curl", "--json"], "--json cannot be used with --curl"),
        (["--as-case", "x", "--json"], "--json cannot be used with --as-case"),
        (["--as-case", "A b"], "invalid name 'A b'"),
        (["--curl", "--attempt", "7"], "no attempt 7 of this delivery is kept; there are: 1"),
        (["--as-case", "x", "--definition", "nosuch"], "nosuch"),
    ],
)
def test_wrong_usage(
    deliveries: Run, rejected: LedgerEntry, given: list[str], message: str
) -> None:
    """Exit code 2 and one clear line."""
    done = deliveries("show", rejected.id, *given)
    assert (done.code, message in done.err) == (2, True)


@pytest.mark.parametrize("given", [["--attempts"], ["--curl"], ["--as-case", "x"]])
def test_without_attempts(deliveries: Run, dead: Run, given: list[str]) -> None:
    """What was never sent has none, and that is told."""
    done = deliveries("show", dead(), *given)
    assert done.code == 2
    assert deliveries("show", 1000, "--attempts", "--json").json["kept_attempts"] == []


# -- the text of a command -------------------------------------------------------------------------


def _attempt(**given: Any) -> Attempt:
    values: dict[str, Any] = {
        "number": 1,
        "at": 1.0,
        "seconds": 0.1,
        "kind": "send",
        "request": "r",
        "method": "POST",
        "url": "https://a.example/x?y=1&z=[2]",
        "request_headers": {},
        "request_body": None,
        "request_bytes": 0,
        "status": 200,
        "answer_headers": {},
        "answer_body": None,
        "answer_bytes": 0,
        "error": "",
        "error_class": None,
        "rule": "r",
        "outcome": None,
        "secret_names": (),
    }
    return Attempt(**{**values, **given})


BODIES = {
    "quotes": b'it\'s "quoted" $HOME `id` \\ !',
    "a file's name": b"@/etc/passwd",
    "lines": b"a\nb\r\n\tc",
    "zeros and invalid text": bytes(range(256)),
    "percent": b"100% %s %d\n",
    "an option": b"-d x",
    "empty": b"",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_body(body: bytes, tmp_path: Path) -> None:
    """A shell passes each byte of it."""
    text = curl_command(_attempt(request_body=body, url="file:///dev/null"))
    script = tmp_path / "curl"
    # What stands for curl shows what it gets: standard input, or the word after --data-raw.
    script.write_text(
        '#!/bin/sh\nfor last; do :; done\ncase "$last" in @-) cat;; *) printf %s "$last";; esac\n',
        encoding="utf-8",
    )
    script.chmod(0o700)
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == body


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_compressed_body(body: bytes, tmp_path: Path) -> None:
    """What is kept is the body before it was compressed: the command compresses it again."""
    headers = {"content-encoding": "gzip"}
    text = curl_command(_attempt(request_body=body, request_headers=headers))
    (tmp_path / "curl").write_text("#!/bin/sh\ncat\n", encoding="utf-8")
    (tmp_path / "curl").chmod(0o700)
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert gzip.decompress(done.stdout) == body


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            {"request_headers": {"X": "Key ***"}, "secret_names": ("apiKey",)},
            """-H 'X: Key '"$API_KEY\"""",
        ),
        (
            {"request_headers": {"X": "***"}, "secret_names": ("webhookURL2",)},
            '"$WEBHOOK_URL2"',
        ),
        ({"request_headers": {"X": "***"}, "secret_names": None}, '"$SECRET"'),
        ({"request_headers": {"X": "***"}, "secret_names": ("",)}, "'X: ***'"),
        ({"url": "***", "secret_names": ("url",)}, '-X POST "$URL"'),
        (
            {"request_body": b"a ***\n", "secret_names": ("apiKey",)},
            "printf 'a\\040%s\\012' \"$API_KEY\" | curl",
        ),
    ],
)
def test_placeholders(given: dict[str, Any], shown: str) -> None:
    """Each mask is the variable of its setting."""
    assert shown in curl_command(_attempt(**given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"is_erased": True}, "attempt 1 was erased"),
        (
            {"is_request_cut": True, "request_body": b"x" * 16_384, "request_bytes": 20_000},
            "16,384 of the 20,000 bytes of its body are kept",
        ),
    ],
)
def test_what_cannot_be_repeated(given: dict[str, Any], message: str) -> None:
    """It is told why."""
    with pytest.raises(UsageError, match=message):
        curl_command(_attempt(**given))


@pytest.mark.parametrize(
    ("kinds", "number", "chosen"),
    [
        (["send"], None, 1),
        (["send", "send"], None, 2),
        (["send", "question"], None, 1),
        (["question"], None, 1),
        (["send", "send"], 1, 1),
    ],
)
def test_which_is_repeated(kinds: list[Any], number: int | None, chosen: int) -> None:
    """The last that sent something, or the one that is named."""
    attempts = [_attempt(number=at, kind=kind) for at, kind in enumerate(kinds, 1)]
    assert chosen_attempt(attempts, number).number == chosen


@pytest.mark.parametrize(
    ("body", "cut", "shown"),
    [
        (b"abc", False, {"text": "abc", "bytes": 9, "cut": False}),
        ("a€".encode()[:-1], True, {"text": "a", "bytes": 9, "cut": True}),
        ("a€".encode()[:-1], False, {"base64": "YeKC", "bytes": 9, "cut": False}),
        (b"\xff", True, {"base64": "/w==", "bytes": 9, "cut": True}),
    ],
)
def test_bodies_as_json(body: bytes, shown: dict[str, Any], *, cut: bool) -> None:
    """Text where it is text, also if it is cut within a character; else Base64."""
    attempt = _attempt(request_body=body, request_bytes=9, is_request_cut=cut)
    assert attempt_record(attempt)["body"] == shown


@few_in_postgres
@pytest.mark.parametrize(
    "arguments",
    [
        ("--attempts",),
        ("--attempts", "--json"),
        ("--json",),
        ("--curl",),
        ("--as-case", "leak", "--cases", "cases"),
        ("--as-case", "leak", "--cases", "cases", "--raw"),
    ],
    ids=" ".join,
)
def test_secrets_of_the_configuration(  # noqa: PLR0917 - the parts of a server
    command: Run,
    path: StoreAddress,
    sandbox: Any,
    write: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    """Those of senders, which the destination's own do not mask, are in nothing that is shown."""
    secret = "key-of-a-sender-0123456789"
    monkeypatch.setenv("SENDER_KEY", secret)
    monkeypatch.setenv("KANA_KEY", sandbox.settings["apiKey"])
    monkeypatch.chdir(tmp_path)
    properties = {"featureId": f"no {secret}", "delta": 2}
    events = write("events.ndjson", [{**EVENTS[0], "properties": properties}])
    settings = write("settings.yaml", dict(sandbox.settings))
    given = ("--settings", settings, "--events", events, "--store", path)
    assert command("run", "kana", *given).code == 1
    config = tmp_path / "serve.yaml"
    endpoint = json.dumps(sandbox.settings["endpoint"])
    config.write_text(
        f"store: {store_spec(path)}\n"
        "destinations: [{name: kana, destination: kana, receiver: {keys: [{env: SENDER_KEY}]},"
        f" settings: {{apiKey: {{env: KANA_KEY}}, endpoint: {endpoint}}}}}]\n"
    )
    done = command("deliveries", "show", str(_entry(path).id), *arguments, "--config", str(config))
    assert done.code == 0, done.err
    written = "".join(one.read_text("utf-8") for one in tmp_path.glob("cases/*"))
    assert secret not in done.out + done.err + written
    assert ("no ***" in done.out) or ("no stand-in" in written)


SECRETS_OF_A_RUN: dict[str, tuple[Callable[[str], dict[str, Any]], bool]] = {
    "in the request": (lambda key: {"properties": {"featureId": key, "delta": 2}}, True),
    "in a part of the request": (
        lambda key: {"properties": {"featureId": f"no {key}!", "delta": 2}},
        True,
    ),
    "also elsewhere": (
        lambda key: {"properties": {"featureId": key, "delta": 2}, "context": {"note": f"<{key}>"}},
        True,
    ),
    "only elsewhere": (lambda key: {"context": {"note": key}}, False),
}


@each_value
@pytest.mark.usefixtures("only_cases")
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("case", SECRETS_OF_A_RUN)
def test_secrets_of_a_run(  # noqa: PLR0917 - the parts of a run
    command: Run,
    deliveries: Run,
    path: StoreAddress,
    sandbox: Any,
    write: Any,
    tmp_path: Path,
    case: str,
    *,
    named: bool,
) -> None:
    """What a kept request shows to be a secret has a stand-in; the rest only with --settings."""
    make, is_shown = SECRETS_OF_A_RUN[case]
    key = sandbox.settings["apiKey"]
    settings = write("settings.yaml", dict(sandbox.settings))
    events = write("events.ndjson", [{**EVENTS[0], **make(key)}])
    given = ("--settings", settings, "--events", events, "--store", path)
    assert command("run", "kana", *given).code == 1
    cases = tmp_path / "cases"
    more = ("--settings", settings) if named else ()
    options = ("--as-case", "leak", "--cases", cases, "--raw", *more)
    done = deliveries("show", _entry(path).id, *options)
    assert done.code == 0, done.err
    text = (cases / "leak.yaml").read_text("utf-8")
    assert (key not in text) == (is_shown or named)
    assert ("stand-in-for-a-secret" in text) == (is_shown or named)
    warning = "Name the settings with --settings FILE, or read the case before you share it"
    assert (warning in " ".join(done.err.split())) is not named
    tested = command("test", "kana", "--cases", cases, "--json")
    assert tested.json["destinations"][0]["cases"][0]["passed"], tested.out


def test_steps_have_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    """The table, the title of each attempt and JSON name the step, beside the request."""
    attempts = [
        _attempt(number=1, request="search", step="find"),
        _attempt(number=2, request="add", step="create"),
        _attempt(number=3, request="other"),
    ]
    print_attempts(1, attempts)
    text = capsys.readouterr().out
    assert [one in text for one in ("step find: search", "step create: add")] == [True, True]
    titles = [line for line in text.splitlines() if line.startswith("Attempt ")]
    assert titles == ["Attempt 1, step find:", "Attempt 2, step create:", "Attempt 3:"]
    assert [attempt_record(one)["step"] for one in attempts] == ["find", "create", None]


def test_what_questions_ask(capsys: pytest.CaptureFixture[str]) -> None:
    """Those before anything was sent ask for the balance, those after a lost answer about it."""
    outcomes: list[tuple[AttemptKind, Status | None]] = [
        ("question", State.READY),
        ("question", None),
        ("send", State.UNKNOWN),
        ("question", State.UNKNOWN),
        ("question", State.READY),
        ("question", None),
        ("send", Outcome.DELIVERED),
    ]
    attempts = [
        Attempt(
            number=number,
            at=1_700_000_000.0 + number,
            seconds=0.1,
            kind=kind,
            request="currentUsage" if kind == "question" else "recordUsage",
            method="POST",
            url="***",
            request_headers={},
            request_body=b"",
            request_bytes=0,
            status=200,
            answer_headers={},
            answer_body=b"",
            answer_bytes=0,
            error="",
            error_class=None,
            rule="",
            outcome=outcome,
        )
        for number, (kind, outcome) in enumerate(outcomes, start=1)
    ]
    print_attempts(1, attempts)
    lines = capsys.readouterr().out.splitlines()[2:9]
    before, about = "(asks for the balance before)", "(asks about it)"
    assert [before in line for line in lines] == [True, True, False, False, False, True, False]
    assert [about in line for line in lines] == [False, False, False, True, True, False, False]


def test_of_what_a_run_could_not_send_at_once(command: Run, path: StoreAddress, write: Any) -> None:
    """A run keeps it in memory at first; the questions that failed are its attempts as well."""
    events = [
        {**EVENTS[0], "userId": f"user_000{number}", "messageId": f"m-{number}"}
        for number in (1, 2, 3)
    ]
    with Sandbox() as partner:
        partner.faults.add({"match": {"operation": "CurrentUsage"}, "status": 503, "times": 3})
        settings = write("settings.yaml", {"apiKey": partner.api_key, "endpoint": partner.url})
        given = ("--settings", settings, "--events", write("e.ndjson", events), "--store", path)
        assert command("run", "kana", *given, "--no-check").code == 1
    with open_at(path, read_only=True) as store:
        entries = store.ledger().find(Selection())
        kept = {one.user: store.attempts().of(one.id) for one in entries}
    for user, attempts in kept.items():
        # Asked with all others, and then with half of them or alone.
        assert [one.status for one in attempts][:2] == [503, 503], user
        assert [one.number for one in attempts] == list(range(1, len(attempts) + 1))
        assert attempts[-1].outcome is Outcome.REJECTED
