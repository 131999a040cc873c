"""A mistake in the setup is reported in one sentence with advice, without a traceback, and the exit code is not 0."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aio_pika import connect

from usher.broker import topology


def run(program: str, folder: Path, **variables: str) -> str:
    """Run a service until it gives up. Returns the last line of its error output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("USHER_")}
    environment |= {f"USHER_{key}": value for key, value in variables.items()}
    done = subprocess.run(
        [sys.executable, "-m", program], env=environment, cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


OTHERS = (pytest.param(program, marks=pytest.mark.slow) for program in ("deploys", "successes"))


@pytest.mark.parametrize("program", ["trackers", *OTHERS])
class TestEveryService:
    def test_a_wrong_password(self, program: str, vhost_url: str, tmp_path: Path) -> None:
        url = vhost_url.replace("://", "://nobody:wrong@", 1) if "@" not in vhost_url else vhost_url
        head, _, rest = url.rpartition("@")
        url = f"{head.rpartition(':')[0]}:wrong@{rest}"
        said = run(program, tmp_path, BROKER__URL=url, **{f"{program.upper()}__PORT": "0"})
        assert said.startswith(f"{program}: the broker refuses ")
        assert said.endswith(": wrong user or password in [broker] url")
        assert "wrong@" not in said

    def test_no_broker(self, program: str, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        said = run(program, tmp_path, BROKER__URL=url, **{f"{program.upper()}__PORT": "0"})
        assert said.startswith(f"{program}: no broker answers at guest@127.0.0.1:{port}/")
        assert said.endswith("start it, or correct [broker] url")

    def test_a_port_that_is_in_use(self, program: str, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            said = run(program, tmp_path, BROKER__URL="amqp://127.0.0.1:1/", **{f"{program.upper()}__PORT": port})
        assert f"cannot listen on 127.0.0.1:{port}" in said
        assert said.endswith(f"or set USHER_{program.upper()}__PORT")

    def test_a_misspelled_key(self, program: str, tmp_path: Path) -> None:
        said = run(program, tmp_path, BROKER__HEARTBEET="10s")
        assert f"{program}: USHER_BROKER__HEARTBEET: unknown; did you mean USHER_BROKER__HEARTBEAT?" in said

    def test_a_file_that_is_not_toml(self, program: str, tmp_path: Path) -> None:
        (tmp_path / "usher.toml").write_text("[projects.abc\n")
        assert run(program, tmp_path).startswith(f"{program}: usher.toml is not TOML: ")


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    said = run("deploys", tmp_path, DEPLOYS__COMMAND='["no-such-deploy", "{server}"]', DEPLOYS__PORT="0")
    assert said.startswith("deploys: [deploys] command: there is no program no-such-deploy on PATH ")
    assert said.endswith("install it, or use its full path")


async def test_a_queue_that_was_declared_with_other_arguments(vhost_url: str, tmp_path: Path) -> None:
    async with await connect(vhost_url) as connection, connection.channel() as channel:
        await channel.declare_queue(topology.RESULTS, durable=True)
    said = run("deploys", tmp_path, BROKER__URL=vhost_url, DEPLOYS__PORT="0")
    assert "usher.results" in said
    assert said.endswith("Empty and delete it in the management console, then start again")
