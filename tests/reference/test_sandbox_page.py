"""The commands of the page on sandboxes, about access tokens, do what the page says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.definition import load_definition
from destinations.sandbox.definition_sandbox import DefinitionSandbox
from tests.shipped import DEFINITIONS

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text("utf-8")
SECTION = re.split(r"\n#{2,3} ", PAGE.partition("### Access tokens\n")[2])[0]
BLOCKS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)]
RULES = [json.loads(one) for one in re.findall(r"`(\{\"match\": .*?)`(?=[ \n])", SECTION)]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="it needs curl")


@pytest.fixture(params=["m3ter", "hubspot"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[DefinitionSandbox]:
    """The sandbox of a destination, as the page starts it."""
    with DefinitionSandbox(load_definition(DEFINITIONS / request.param)) as running:
        yield running


def _curl(sandbox: DefinitionSandbox, line: str) -> Any:
    """Run a line of the page, with another port."""
    words = shlex.split(line.replace("http://127.0.0.1:4000", sandbox.url), comments=True)
    assert words[0] == "curl"
    done = subprocess.run([*words, "-sS"], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def _is_let_in(sandbox: DefinitionSandbox, token: str) -> bool:
    url = f"{sandbox.url}/organizations/x/meters"
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(url, headers=headers, timeout=10).status_code != 401


@needs_curl
@pytest.mark.parametrize("sandbox", ["m3ter"], indirect=True)
def test_client_credentials(sandbox: DefinitionSandbox) -> None:
    """A token is issued, lives as long as it is told, and is revoked."""
    start, ask, show, short, endless, revoke = BLOCKS[0]
    assert start == "destinations sandbox m3ter --port 4000 &"
    made = _curl(sandbox, ask)
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 3600)
    assert _is_let_in(sandbox, made["access_token"])
    shown = {"seconds": 3600.0, "rotates": False, "issued": 1, "good": 1}
    assert _curl(sandbox, show) == shown
    assert _curl(sandbox, short)["seconds"] == 60
    assert _curl(sandbox, ask)["expires_in"] == 60
    assert _curl(sandbox, endless)["seconds"] is None
    assert "expires_in" not in _curl(sandbox, ask)
    assert _curl(sandbox, revoke) == {**shown, "seconds": None, "issued": 3, "good": 0}
    assert not _is_let_in(sandbox, made["access_token"])
    assert _is_let_in(sandbox, _curl(sandbox, ask)["access_token"])


@needs_curl
@pytest.mark.parametrize("sandbox", ["hubspot"], indirect=True)
def test_a_refresh_token(sandbox: DefinitionSandbox) -> None:
    """It is replaced at each renewal, and revoked."""
    start, rotate, revoke = BLOCKS[1]
    assert start == "destinations sandbox hubspot --port 4000 &"
    assert _curl(sandbox, rotate)["rotates"] is True
    given = sandbox.settings
    form = {
        "grant_type": "refresh_token",
        "client_id": given["clientId"],
        "client_secret": given["clientSecret"],
        "refresh_token": given["refreshToken"],
    }
    url = f"{sandbox.url}/oauth/v1/token"
    made = requests.post(url, form, timeout=10, headers={}).json()
    assert made["refresh_token"] != form["refresh_token"]
    assert requests.post(url, form, timeout=10).json()["error"] == "invalid_grant"
    assert _curl(sandbox, revoke)["good"] == 0
    form["refresh_token"] = made["refresh_token"]
    assert requests.post(url, form, timeout=10).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("sandbox", ["m3ter"], indirect=True)
def test_fault_rules(sandbox: DefinitionSandbox) -> None:
    """Each rule of the page does to the request for a token what the page says."""
    away, lost, refused = RULES
    url = f"{sandbox.url}/oauth/token"
    auth = (sandbox.settings["accessKeyId"], sandbox.settings["accessKeySecret"])
    form = {"grant_type": "client_credentials"}
    sandbox.faults.add(away)
    assert requests.post(url, form, auth=auth, timeout=10).status_code == 503
    sandbox.faults.add(lost)
    with pytest.raises(requests.ConnectionError):
        requests.post(url, form, auth=auth, timeout=10)
    sandbox.faults.add(refused)
    assert requests.post(url, form, auth=auth, timeout=10).json()["error"] == "invalid_client"
    assert requests.post(url, form, auth=auth, timeout=10).status_code == 200
