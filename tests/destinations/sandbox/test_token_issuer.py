"""The token endpoint of a sandbox that is made from a definition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.definition import load_definition
from destinations.errors import DefinitionError
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from destinations.sandbox.token_issuer import TokenIssuer
from tests.oauth2_samples import SETTINGS, write_oauth2
from tests.shipped import DEFINITIONS

Open = Callable[..., DefinitionSandbox]

SECRET, REFRESH = SETTINGS["clientSecret"], SETTINGS["refreshToken"]


@pytest.fixture
def open_sandbox(tmp_path: Path) -> Iterator[Open]:
    """Opens a sandbox of the sample definition, changed as given."""
    opened: list[DefinitionSandbox] = []

    def make(grant: str = "clientCredentials", **changes: Any) -> DefinitionSandbox:
        folder = write_oauth2(tmp_path / "ledgerly", grant, **changes)
        opened.append(DefinitionSandbox(load_definition(folder)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def _issuer(sandbox: DefinitionSandbox) -> TokenIssuer:
    assert sandbox.tokens is not None
    return sandbox.tokens


def _ask(sandbox: DefinitionSandbox, secret: str = SECRET, **form: str) -> requests.Response:
    given = {"grant_type": "client_credentials", "scope": "usage:write", **form}
    url = f"{sandbox.url}/oauth/token"
    return requests.post(url, given, auth=("client", secret), timeout=5)


def _me(sandbox: DefinitionSandbox, authorization: str | None) -> requests.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return requests.get(f"{sandbox.url}/me", headers=headers, timeout=5)


def test_a_token(open_sandbox: Open) -> None:
    """A token that it has issued opens the API, as long as it is not revoked."""
    sandbox = open_sandbox()
    made = _ask(sandbox).json()
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 3600)
    assert "refresh_token" not in made
    assert _me(sandbox, f"Bearer {made['access_token']}").status_code == 200
    _issuer(sandbox).revoke()
    refused = _me(sandbox, f"Bearer {made['access_token']}")
    assert refused.status_code == 401
    (error,) = refused.json()["errors"]
    assert (
        "has no access token that is good now: expected Bearer {access token}" in (error["message"])
    )


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer made-up", "Basic Zm9vOmJhcg=="])
def test_what_is_no_token(open_sandbox: Open, given: str | None) -> None:
    """The API takes nothing else."""
    assert _me(open_sandbox(), given).status_code == 401


@pytest.mark.parametrize(
    ("secret", "form", "status", "code"),
    [
        ("wrong", {}, 401, "invalid_client"),
        (SECRET, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (SECRET, {"grant_type": "refresh_token"}, 400, "unsupported_grant_type"),
        (SECRET, {"scope": "other"}, 400, "invalid_scope"),
    ],
)
def test_what_is_refused(
    open_sandbox: Open, secret: str, form: dict[str, str], status: int, code: str
) -> None:
    """It answers as RFC 6749 says, with what it expected."""
    answer = _ask(open_sandbox(), secret, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.json()["error_description"].startswith("refused by the sandbox: expected ")


def test_credentials_in_the_body(open_sandbox: Open) -> None:
    """They are expected where the definition sends them."""
    sandbox = open_sandbox(clientAuthentication="body")
    assert _ask(sandbox).json()["error"] == "invalid_client"
    form = {"client_id": "c", "client_secret": SECRET}
    assert "access_token" in _ask(sandbox, **form).json()


def test_refresh_tokens(open_sandbox: Open) -> None:
    """Without rotation the refresh token stays; with it each is good once."""
    sandbox = open_sandbox("refreshToken")
    issuer = _issuer(sandbox)
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH}
    assert [_ask(sandbox, **form).status_code for _ in range(2)] == [200, 200]
    issuer.rotates = True
    first = _ask(sandbox, **form).json()["refresh_token"]
    assert _ask(sandbox, **form).json()["error"] == "invalid_grant"
    second = _ask(sandbox, **form | {"refresh_token": first}).json()["refresh_token"]
    assert len({REFRESH, first, second}) == 3
    issuer.revoke(refresh_token=True)
    assert _ask(sandbox, **form | {"refresh_token": second}).json()["error"] == "invalid_grant"


def test_tokens_expire(tmp_path: Path) -> None:
    """A token is good for the seconds that the answer names."""
    now = [0.0]
    definition = load_definition(write_oauth2(tmp_path / "ledgerly"))
    assert definition.oauth2 is not None
    with DefinitionSandbox(definition) as sandbox:
        issuer = _issuer(sandbox)
        issuer._monotonic = lambda: now[0]
        issuer.seconds = 60
        made = _ask(sandbox).json()
        assert made["expires_in"] == 60
        now[0] = 59.0
        assert issuer.accepts(made["access_token"])
        now[0] = 60.0
        assert not issuer.accepts(made["access_token"])
        issuer.seconds = None
        assert "expires_in" not in _ask(sandbox).json()


def test_faults_and_the_log(open_sandbox: Open) -> None:
    """Fault rules name the request for a token; the log has it, without its credentials."""
    sandbox = open_sandbox()
    sandbox.faults.add({"match": {"request": "accessToken"}, "status": 503, "retryAfter": 2})
    away = _ask(sandbox)
    assert (away.status_code, away.headers["retry-after"]) == (503, "2")
    sandbox.faults.add({"match": {"request": "accessToken"}, "errors": {"*": {"code": "x_error"}}})
    assert _ask(sandbox).json()["error"] == "x_error"
    assert _ask(sandbox).status_code == 200
    log = sandbox.requests.to_json()
    shown = log["requests"]
    assert [one["request"] for one in shown] == ["accessToken"] * 3
    assert {one["body"] for one in shown} == {"***"}
    assert SECRET not in str(log)
    with pytest.raises(DefinitionError, match=r"unknown request 'acessToken'.*accessToken"):
        sandbox.faults.add({"match": {"request": "acessToken"}, "status": 503})


def test_another_method(open_sandbox: Open) -> None:
    """Only POST asks for a token."""
    answer = requests.get(f"{open_sandbox().url}/oauth/token", timeout=5)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_token_endpoint_elsewhere(open_sandbox: Open) -> None:
    """Where no setting leads the token request here, the settings alone do not do."""
    assert open_sandbox().leads_here
    elsewhere = open_sandbox(tokenUrl="https://login.ledgerly.example/token")
    assert not elsewhere.leads_here


WRONG: dict[str, tuple[str, str, str]] = {
    "not JSON": ("POST", "seconds=5", "The body is not JSON"),
    "a list": ("POST", "[5]", "expected a mapping with seconds (a number above 0, or null)"),
    "another key": ("POST", '{"second": 5}', "Unknown key 'second': expected seconds"),
    "no time": ("POST", '{"seconds": 0}', "Invalid seconds 0: expected a number above 0, or null"),
    "a truth value": ("POST", '{"seconds": true}', "Invalid seconds True"),
    "text": ("POST", '{"seconds": "5"}', "Invalid seconds '5'"),
    "no truth value": ("POST", '{"rotates": 1}', "Invalid rotates 1: expected true or false"),
    "no refresh token": ("POST", '{"rotates": true}', "the definition has no refresh token"),
    "a token": ("DELETE", '{"refreshToken": "x"}', "expected true or false"),
    "a key of another request": ("DELETE", '{"seconds": 5}', "Unknown key 'seconds'"),
}


@pytest.mark.parametrize(("method", "body", "message"), WRONG.values(), ids=WRONG)
def test_wrong_changes(open_sandbox: Open, method: str, body: str, message: str) -> None:
    """Each is refused with what was expected, and changes nothing."""
    sandbox = open_sandbox()
    made = _ask(sandbox).json()
    answer = requests.request(method, f"{sandbox.url}/tokens", data=body, timeout=5)
    assert answer.status_code == 400
    assert message in answer.json()["errors"][0]["message"]
    assert _issuer(sandbox).accepts(made["access_token"])
    shown = requests.get(f"{sandbox.url}/tokens", timeout=5).json()
    assert shown == {"seconds": 3600.0, "rotates": False, "issued": 1, "good": 1}


def test_a_partner_without_tokens() -> None:
    """Without OAuth2, `/tokens` is a path like any other."""
    with DefinitionSandbox(load_definition(DEFINITIONS / "orb")) as sandbox:
        assert requests.get(f"{sandbox.url}/tokens", timeout=5).status_code == 404
