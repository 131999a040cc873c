"""Choosing the broker. These tests start a real node."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aio_pika
import httpx
import psutil
import pytest
from yarl import URL

from usher.core.errors import BrokerError
from usher.local import node
from usher.local.choose import Broker, Kind, console_of, running_broker
from usher.local.startup import Place
from usher.runtime.listening import free_ports
from usher.settings import Settings, load

pytestmark = pytest.mark.programs

UNSET = load({})


def test_a_configured_broker_that_does_not_answer_is_an_error_without_a_fallback(tmp_path: Path) -> None:
    settings = load({"USHER_BROKER__URL": "amqp://guest:secret@127.0.0.1:1/"})
    folder = tmp_path / "broker"
    text = error_of(settings, folder)
    assert "no broker answers at guest@127.0.0.1:1/" in text
    assert "correct [broker] url" in text
    assert "secret" not in text
    assert not folder.exists()


def test_the_first_configured_broker_that_answers_is_used(broker: Broker, tmp_path: Path) -> None:
    settings = load({"USHER_BROKER__URL": f'["amqp://127.0.0.1:1/", "{broker.url}"]'})
    with running_broker(settings, tmp_path) as chosen:
        assert chosen.url == broker.url


def test_with_nothing_installed_the_error_names_every_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_installed(tmp_path, monkeypatch)
    text = error_of(UNSET, tmp_path / "broker")
    for option in ("apt-get install rabbitmq-server", "brew install rabbitmq", "Docker", "[broker] url"):
        assert option in text


def test_a_node_that_exits_at_startup_shows_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_installed(tmp_path, monkeypatch)
    server = tmp_path / "rabbitmq-server"
    server.write_text("#!/bin/sh\necho BOOT FAILED: no disk\nexit 3\n")
    server.chmod(0o755)
    text = error_of(UNSET, tmp_path / "broker")
    assert "exit code 3" in text
    assert text.endswith("BOOT FAILED: no disk")
    assert_nothing_is_left(tmp_path / "broker")


@pytest.mark.parametrize(
    ("url", "console"),
    [
        ("amqp://u:p@rabbit/v", "http://rabbit:15672"),
        ("amqp://127.0.0.1:5673", "http://127.0.0.1:15673"),
        ("amqps://rabbit", "https://rabbit:15671"),
    ],
)
def test_the_console_s_address_is_derived_from_the_broker_s(url: str, console: str) -> None:
    assert console_of(url) == console


@pytest.mark.slow
def test_a_private_node_listens_only_on_loopback_and_keeps_its_messages(tmp_path: Path) -> None:
    """One test for all of it, because a start takes seconds: taken ports, the loopback, a stop, another start."""
    folder, lines = tmp_path / "broker", list[str]()
    with listening(5672), listening(15672), running_broker(UNSET, folder, kind="node", say=lines.append) as first:
        assert lines == [line for line in lines if line.startswith("starting a private RabbitMQ")]
        assert not {":5672/", ":15672"} & {first.url[-6:], first.console[-6:]}
        assert httpx.get(f"{first.console}/api/overview", auth=first.credentials).status_code == httpx.codes.OK
        assert {host for process in left(folder) for host in hosts(process)} == {"127.0.0.1"}
        assert first.password_file is not None
        assert first.password_file.stat().st_mode & 0o077 == 0
        assert first.password_file.read_text() == first.credentials[1]
        assert not any(first.credentials[1] in " ".join(process.cmdline()) for process in left(folder))
        cookie = (folder / ".erlang.cookie").read_text()
        assert len(cookie) == 64
        assert open_to_others(folder) == []
        assert "another Usher runs its broker in" in error_of(UNSET, folder)
        asyncio.run(put(first.url))
    assert_nothing_is_left(folder)

    with running_broker(UNSET, folder, kind="node") as second:
        assert second.credentials == first.credentials
        assert (folder / ".erlang.cookie").read_text() != cookie
        assert asyncio.run(take(second.url)) == b"kept"
    assert_nothing_is_left(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "port"), [("node", "amqp"), ("node", "console"), ("node", "erlang"), ("container", "amqp")]
)
def test_a_broker_whose_port_is_taken_first_starts_on_other_ports(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, port: str
) -> None:
    """The AMQP port is taken by another broker, which answers before the node does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = URL(broker.url).port if port == "amqp" else listening.getsockname()[1]
        free, tried = Place.free, list[Place]()

        def first_taken(preferred: tuple[int, int]) -> Place:
            tried.append(free(preferred) if tried else replace(free(preferred), **{port: taken}))
            return tried[-1]

        monkeypatch.setattr(Place, "free", first_taken)
        with running_broker(UNSET, tmp_path / "broker", kind=kind, lasting=False) as chosen:
            asyncio.run(put(chosen.url))
    assert len(tried) == 2
    assert URL(chosen.url).port == tried[-1].amqp
    assert_nothing_is_left(tmp_path / "broker")


@pytest.mark.slow
def test_two_ushers_that_start_at_the_same_moment_have_a_broker_each(tmp_path: Path) -> None:
    usual = free_ports(0, 0)
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", f"from usher.local import startup\nstartup.USUAL_PORTS = {usual}\n{HOLDER}", folder],
            stdout=subprocess.PIPE,
            text=True,
        )
        for folder in (str(tmp_path / "one"), str(tmp_path / "two"))
    ]
    try:
        urls = [holder.stdout.readline().strip() for holder in holders if holder.stdout]
        for url in urls:
            asyncio.run(put(url))
        assert len({URL(url).port for url in urls}) == 2
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


@pytest.mark.slow
def test_the_preloading_works_with_the_installed_rabbitmq() -> None:
    server = node.installed()
    assert server is not None
    plugins = server.resolve().parent.parent / "plugins"
    say = f'io:format("~p", [file:eval("{node.PRELOAD}")]), io:format(" ~p", [erlang:module_loaded(rabbit)]), halt().'
    run = subprocess.run(
        ["erl", "-noshell", "-eval", say], env={**os.environ, "ERL_LIBS": str(plugins)}, capture_output=True, text=True
    )
    assert run.stdout == "ok true"


@pytest.mark.slow
def test_the_node_of_a_killed_usher_stops_and_the_next_one_has_its_messages(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    asyncio.run(put(holder.stdout.readline().strip()))
    # the worst case: the supervisor process is killed together with its Usher
    for process in left(folder):
        if "leash.py" in " ".join(process.cmdline()):
            process.suspend()
            process.kill()
    holder.kill()
    holder.communicate()
    assert left(folder) != []
    with running_broker(UNSET, folder, kind="node") as broker:
        assert asyncio.run(take(broker.url)) == b"kept"
    assert_nothing_is_left(folder)


@pytest.mark.slow
def test_a_container_keeps_its_messages_in_a_volume_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    folder, before, names = tmp_path / "broker", containers(), set[str]()
    try:
        with running_broker(UNSET, folder, kind="container") as first:
            asyncio.run(put(first.url))
            names = containers() - before
            assert len(names) == 1
            say = ["sh", "-c", "printenv RABBITMQ_ERLANG_COOKIE"]
            assert [len(cookie) for cookie in docker("exec", *names, *say)] == [64]
            docker("exec", *names, "rabbitmqctl", "--quiet", "status")
        assert not names & containers()
        with running_broker(UNSET, folder, kind="container") as second:
            assert asyncio.run(take(second.url)) == b"kept"
    finally:
        for volume in docker("volume", "ls", "--quiet", "--filter", "name=usher-"):
            if volume in names:
                docker("volume", "rm", volume)


HOLDER = """
import sys, time
from pathlib import Path
from usher.local.choose import running_broker
from usher.settings import load
with running_broker(load({}), Path(sys.argv[1]), kind="node") as broker:
    print(broker.url, flush=True)
    time.sleep(600)
"""


def nothing_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.local.node.PACKAGED", str(folder))
    monkeypatch.setattr("usher.local.node.HOMEBREW", ())
    monkeypatch.setenv("PATH", str(folder))


def error_of(settings: Settings, folder: Path) -> str:
    """The error of choosing a broker."""
    with pytest.raises(BrokerError) as error, running_broker(settings, folder):
        pytest.fail("there is a broker")
    return str(error.value)


async def put(url: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"kept", delivery_mode=2), "kept")


async def take(url: str) -> bytes:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        queue = await channel.get_queue("kept")
        message = await queue.get(timeout=10)
        assert message is not None
        await message.ack()
        return message.body


def assert_nothing_is_left(folder: Path) -> None:
    """Wait for the node's name resolver, which ends a moment after the node."""
    _, alive = psutil.wait_procs(left(folder), timeout=5)
    assert alive == []


def left(folder: Path) -> list[psutil.Process]:
    """Every process of a broker in the folder, including a port mapper, which would outlive it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("HOME") == str(folder):
                found.append(process)
    return found


def open_to_others(folder: Path) -> list[Path]:
    """The files and folders in a node's folder that others can use. Some vanish while we look."""
    found = []
    for path in (Path(root, name) for root, folders, files in os.walk(folder) for name in folders + files):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mode & 0o077:
                found.append(path)
    return found


def hosts(process: psutil.Process) -> list[str]:
    """The addresses on which a process listens."""
    return [found.laddr.ip for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN]


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    """Make sure that something listens on the port."""
    try:
        taken = socket.create_server(("127.0.0.1", port))
    except OSError:
        yield
        return
    with taken:
        yield


def containers() -> set[str]:
    """The containers of this module. Tests that run in parallel start others, with longer names."""
    return set(docker("ps", "--all", "--format", "{{.Names}}", "--filter", "name=^/?usher-[0-9a-f]{12}$"))


def docker(*arguments: str) -> list[str]:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.split()
