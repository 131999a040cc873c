"""`docker compose up`: the shipped images with a broker, and a storm of moves through the published ports."""

import json
import os
import random
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]

SETTINGS = """
[broker]
heartbeat = "1s"
[projects.abc]
[projects.def]
[deploys]
command = ["python", "-c", "import sys, time; time.sleep(3); print('deployed', *sys.argv[1:])", "{server}", "{issues}"]
silence = "1s"
grace = "500ms"
[window]
quiet = "2s"
cap = "20s"
floor = "0s"
"""

STORM = [
    ("ABC-111", "test"), ("ABC-111", "beta"), ("ABC-112", "beta"), ("DEF-7", "stage"), ("ABC-111", "beta"),
    ("ABC-113", "beta"), ("DEF-8", "stage"), ("ABC-111", "beta"), ("DEF-7", "beta"), ("ABC-111", "beta"),
]  # fmt: skip
UNIONS = {
    "test.abc.wwts.com": {"ABC-111"},
    "beta.abc.wwts.com": {"ABC-111", "ABC-112", "ABC-113"},
    "stage.def.wwts.com": {"DEF-7", "DEF-8"},
    "beta.def.wwts.com": {"DEF-7"},
}

pytestmark = [pytest.mark.slow, pytest.mark.programs]


@dataclass(frozen=True)
class Compose:
    """A docker compose project with its own name and address."""

    project: str
    host: str
    environment: dict[str, str]

    def run(self, *arguments: str) -> str:
        """Run docker compose and return its output. Raises AssertionError with the whole output if it fails."""
        command = ["docker", "compose", "--project-name", self.project, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def send(self, issue: str, status: str) -> None:
        answer = httpx.post(f"http://{self.host}:8001/messages", json={"issue_id": issue, "status": status}, timeout=20)
        assert answer.status_code == 201, answer.text

    def get(self, path: str) -> httpx.Response:
        """The answer of the API of `successes`."""
        return httpx.get(f"http://{self.host}:8003{path}", timeout=20).raise_for_status()

    def deploys(self, **filters: str) -> list[dict[str, object]]:
        query = httpx.QueryParams(filters)
        return list(self.get(f"/api/deploys?{query}").json()["items"])

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, (
                f"not within {seconds} s: {what}\n{self.run('logs', '--no-color', '--tail=40')}"
            )
            time.sleep(0.2)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The project of docker-compose.yml, built and healthy, on a loopback address of its own."""
    settings = tmp_path_factory.mktemp("compose") / "usher.toml"
    settings.write_text(SETTINGS)
    settings.parent.chmod(0o755)
    host = ".".join(["127", *(str(random.randint(2, 250)) for _ in range(3))])
    password = settings.with_name("password")
    password.write_text(secrets.token_hex(16))
    password.chmod(0o444)
    own = {
        "USHER_BIND": host,
        "USHER_TOML": str(settings),
        "RABBITMQ_PASSWORD": password.read_text(),
        "RABBITMQ_PASSWORD_FILE": str(password),
        "RABBITMQ_COOKIE": secrets.token_hex(16),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("USHER_")}
    project = Compose(f"usher-test-{secrets.token_hex(4)}", host, kept | own)
    project.run("build", "--quiet")
    try:
        project.run("up", "--detach", "--wait", "--wait-timeout", "120")
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "5")


def test_a_storm_ends_in_one_deploy_per_server_with_the_union_of_its_issues(compose: Compose) -> None:
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(lambda move: compose.send(*move), STORM))
    compose.wait(lambda: len(compose.deploys(outcome="passed")) >= len(UNIONS), "every server is deployed")

    deploys = compose.deploys()
    assert len(deploys) == len(UNIONS)
    for deploy in deploys:
        issues = deploy["issues"]
        assert isinstance(issues, list)
        assert set(issues) == UNIONS[str(deploy["server"])]
        output = compose.get(f"/api/deploys/{deploy['id']}/log").text
        assert output == f"deployed {deploy['server']} {' '.join(issues)}\n"


def test_killing_deploys_during_a_deploy_loses_nothing(compose: Compose) -> None:
    server = "test.def.wwts.com"
    compose.send("DEF-9", "test")
    compose.wait(lambda: compose.get(f"/api/servers/{server}").json()["running"], "the command runs")
    compose.run("kill", "--signal", "KILL", "deploys")
    compose.run("start", "deploys")
    compose.wait(lambda: compose.deploys(server=server, outcome="passed"), "the batch is deployed again")
    assert compose.deploys(server=server, outcome="passed")[0]["issues"] == ["DEF-9"]
    assert compose.get(f"/api/servers/{server}").json()["state"] == "idle"


@pytest.mark.parametrize("service", ["trackers", "deploys", "successes"])
def test_a_service_runs_as_an_ordinary_user_and_can_write_only_in_its_home(compose: Compose, service: str) -> None:
    script = "id -u; touch ~/a /tmp/a && echo home; touch /opt/usher/a /etc/a 2>/dev/null || echo nowhere else"
    assert compose.run("exec", "--no-TTY", service, "sh", "-c", script) == "10001\nhome\nnowhere else\n"


@pytest.mark.parametrize("service", ["trackers", "deploys", "successes"])
def test_the_doctor_of_a_container_checks_its_own_service_and_command(compose: Compose, service: str) -> None:
    report = json.loads(compose.run("exec", "--no-TTY", service, "usher", "doctor", "--json"))
    found = {finding["about"]: finding["verdict"] for finding in report["findings"]}
    assert report["ok"]
    assert {"trackers", "deploys", "successes", "command"} & set(found) == (
        {"deploys", "command"} if service == "deploys" else {service}
    )


def test_a_command_finds_the_other_services(compose: Compose) -> None:
    script = "import usher; print(usher.waiting('beta.abc.wwts.com'), usher.send('ABC-99', 'beta').server)"
    said = compose.run("exec", "--no-TTY", "deploys", "python", "-c", script)
    assert said == "() beta.abc.wwts.com\n"


@pytest.mark.parametrize("service", ["trackers", "deploys", "successes"])
def test_no_process_of_a_service_has_the_broker_s_password_in_its_environment(compose: Compose, service: str) -> None:
    password = compose.environment["RABBITMQ_PASSWORD"]
    assert password in compose.run("exec", "--no-TTY", service, "cat", "/run/secrets/rabbitmq_password")
    everything = compose.run("exec", "--no-TTY", service, "sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline")
    assert "USHER_CONFIG" in everything
    assert password not in everything


def test_the_broker_has_the_cookie_that_was_made_for_it(compose: Compose) -> None:
    shown = compose.run("exec", "--no-TTY", "rabbitmq", "rabbitmqctl", "--quiet", "eval", "erlang:get_cookie().")
    assert compose.environment["RABBITMQ_COOKIE"] in shown


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.cluster.yml"])
def test_every_service_is_confined_and_limited(compose: Compose, file: str) -> None:
    environment = compose.environment | {"POSTGRES_PASSWORD": "x"}
    command = ["docker", "compose", "--file", file, "--env-file", os.devnull, "config", "--format", "json"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=60)
    services = json.loads(shown.stdout)["services"]
    assert {"trackers", "deploys", "successes"} <= {name.partition("-")[0] for name in services}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert int(service["mem_limit"]) > 0, name
        assert int(service["pids_limit"]) > 0, name


def test_a_stop_ends_deploys_first_and_trackers_just_before_the_broker(compose: Compose) -> None:
    compose.run("stop")
    ended = {}
    for service in ("trackers", "deploys", "successes", "rabbitmq"):
        container = compose.run("ps", "--all", "--quiet", service).strip()
        show = ["docker", "inspect", "--format", "{{.State.FinishedAt}}", container]
        ended[service] = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    compose.run("up", "--detach", "--wait", "--wait-timeout", "120")
    assert sorted(ended, key=lambda service: ended[service]) == ["deploys", "successes", "trackers", "rabbitmq"]


def test_without_an_env_file_compose_says_what_to_run(compose: Compose) -> None:
    environment = {name: value for name, value in compose.environment.items() if not name.startswith("RABBITMQ_")}
    command = ["docker", "compose", "--env-file", os.devnull, "config"]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode != 0
    assert "run `make env`" in answer.stderr  # whichever variable compose looks at first
