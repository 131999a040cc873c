"""`usher up` as a real program, with small stand-ins for the services, and the broker of this test run."""

import contextlib
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest
from rich.console import Console

from odd_signals import ignore_and_block_everything, ignored_and_blocked
from terminals import Terminal
from usher.local.choose import Broker
from usher.runtime.listening import free_ports
from usher.runtime.locks import FileLocks
from usher.settings import load
from usher.settings.sections import DeploysSettings
from usher.up.claim import claimed
from usher.up.screen import Log, show
from usher.up.services import programs

STAND_IN = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
name, mode = sys.argv[1:]
class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_): pass
def leave(*_):
    if mode != "stubborn":
        print(name, "stopped")
        with open("stopped", "a") as file:
            file.write(name + " ")
        os._exit(0)
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGINT, lambda *_: print(name, "was interrupted"))
if mode == "broken":
    sys.exit(f"{name}: cannot work today")
print(name, "uses", os.environ["USHER_BROKER__URL"])
HTTPServer(("127.0.0.1", int(os.environ[f"USHER_{name.upper()}__PORT"])), Page).serve_forever()
"""

UP = """
import sys
from usher import up
from usher.settings import load
names = ("trackers", "deploys", "successes")
ports, modes, drain = [int(port) for port in sys.argv[2:5]], sys.argv[5:8], float(sys.argv[8])
wanted = {
    name: up.Program(
        name, (sys.executable, sys.argv[1], name, mode), "127.0.0.1", port, 2.0, drain * (name == "deploys")
    )
    for name, mode, port in zip(names, modes, ports)
}
sys.exit(up.run(load(), [wanted[name] for name in ("deploys", "successes", "trackers")]))
"""

WAITS = """
import pathlib, sys, time
pathlib.Path(sys.argv[1], "begun").touch()
while not pathlib.Path(sys.argv[1], "go").exists():
    time.sleep(0.01)
"""

STOP_ORDER = ["deploys", "successes", "trackers"]

pytestmark = pytest.mark.programs

UP_WHOLE = "import sys; from usher import up; from usher.settings import load; sys.exit(up.run(load()))"


class Up:
    """A running `usher up` in its own process group, like the foreground group of a terminal."""

    def __init__(
        self, folder: Path, *arguments: str, prepare: Callable[[], None] | None = None, **variables: str
    ) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("USHER_")}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", *arguments],
            cwd=folder,
            env={**plain, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )

    def until(self, text: str) -> str:
        """Wait for a line that contains the text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        pytest.fail(f"no {text!r} in:\n" + "\n".join(self.lines) + self.process.communicate()[1])

    def children(self) -> list[psutil.Process]:
        """All of its descendants."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Wait for it to exit. Returns the exit code and standard error."""
        out, error = self.process.communicate(timeout=20)
        self.lines += out.splitlines()
        return self.process.returncode, error


Start = Callable[..., Up]


@pytest.fixture
def start(broker: Broker, tmp_path: Path) -> Iterator[Start]:
    """Starts `usher up` with stand-ins that are "good", "stubborn" (they ignore SIGTERM) or "broken"."""
    stand_in, started = tmp_path / "stand_in.py", list[Up]()
    stand_in.write_text(STAND_IN)

    def up(
        *modes: str,
        ports: Sequence[int] = (),
        drain: float = 0,
        prepare: Callable[[], None] | None = None,
        **variables: str,
    ) -> Up:
        ports = ports or free_ports(0, 0, 0)
        modes = modes or ("good",) * 3
        arguments = (str(stand_in), *map(str, ports), *modes, str(drain))
        started.append(Up(tmp_path, UP, *arguments, prepare=prepare, USHER_BROKER__URL=broker.url, **variables))
        return started[-1]

    yield up
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether all of these processes end in time."""
    deadline = time.monotonic() + seconds
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in alive(processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(processes: list[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.status()
            yield process


@pytest.mark.parametrize(
    "how",
    [Up.interrupt, lambda up: up.process.terminate(), lambda up: up.process.send_signal(signal.SIGHUP)],
    ids=["int", "term", "hup"],
)
def test_it_shows_all_addresses_and_stops_in_order(start: Start, broker: Broker, how: Callable[[Up], None]) -> None:
    up = start()
    up.until("Ctrl-C stops everything.")
    children = up.children()
    assert len(children) == 6  # three services, each with its supervisor process
    shown = "\n".join(up.lines)
    assert f'trackers uses ["{broker.url}"]' in shown
    for text in ("Webhook", "/webhooks/jira", "Console", "Ledger", "usher.db", "rehearsed", "usher send", "curl"):
        assert text.lower() in shown.lower()
    assert "\x1b" not in shown

    how(up)
    assert up.end() == (0, "")
    after = up.lines[up.lines.index("Ctrl-C stops everything.") + 1 :]
    expected = [line for name in STOP_ORDER for line in (f"stopping {name}", f"{name} stopped")]
    assert after == [*expected, "everything has stopped"]
    assert gone(children, 1)


def warnings(start: Start, **variables: str) -> list[str]:
    up = start(**variables)
    up.until("Ctrl-C stops everything.")
    up.interrupt()
    assert up.end()[0] == 0
    return [line for line in up.lines if "WARNING" in line]


@pytest.mark.slow
def test_it_warns_of_each_service_that_anybody_can_use(start: Start) -> None:
    assert warnings(start) == []
    assert warnings(start, USHER_JIRA__SECRET="s3same", USHER_DEPLOYS__HOST="0.0.0.0") == []
    moves, orders = warnings(start, USHER_TRACKERS__HOST="0.0.0.0", USHER_SUCCESSES__HOST="::")
    assert "anybody who can reach 0.0.0.0:8001 (trackers) can start deploys, because no [jira] secret" in moves
    assert "anybody who can reach [::]:8003 (successes) can read the output" in orders
    (messages,) = warnings(start, USHER_TRACKERS__HOST="0.0.0.0", USHER_JIRA__SECRET="s3same")
    assert "`POST /messages`, which needs no signature" in messages


def test_a_terminal_shows_warnings_in_a_red_frame() -> None:
    shown = io.StringIO()
    log = Log(Console(file=shown, force_terminal=True, width=100))
    settings = load({"USHER_TRACKERS__HOST": "0.0.0.0"})
    show(log, settings, Broker("amqp://broker/", "http://broker:15672", "a broker"), programs(settings))
    log.close()
    assert re.search(r"\x1b\[1;31m.*WARNING: anybody who can reach 0\.0\.0\.0:8001", shown.getvalue())


@pytest.mark.slow
def test_a_killed_service_is_restarted(start: Start) -> None:
    up = start()
    url = re.sub(r".* (http)", r"\1", up.until("deploys is ready at"))
    up.until("Ctrl-C stops everything.")
    before = int(httpx.get(url).text)
    os.kill(before, signal.SIGKILL)
    up.until("deploys exited (exit code 137); restarting it")
    up.until("deploys uses")
    assert until_answers(url) != before
    up.interrupt()
    assert up.end()[0] == 0


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_answers(url: str) -> int:
    with httpx.Client(transport=httpx.HTTPTransport(retries=6)) as client:
        return int(client.get(url).text)


def test_a_second_ctrl_c_kills_everything_immediately(start: Start) -> None:
    up = start("stubborn", "stubborn", "stubborn")
    up.until("Ctrl-C stops everything.")
    children = up.children()
    up.interrupt()
    up.until(f"stopping {STOP_ORDER[0]}")
    began = time.monotonic()
    up.interrupt()
    assert up.end()[0] == 130
    assert time.monotonic() - began < 1.5  # they would have had two seconds each
    assert gone(children, 1)


def test_it_does_not_say_that_everything_has_stopped_while_a_command_is_running(start: Start, tmp_path: Path) -> None:
    locks = FileLocks(tmp_path / DeploysSettings().logs)
    with locks.hold("beta.abc.wwts.com") as lock:
        os.write(lock, b'{"deploy": "0123456789ab", "pids": [7, 8], "user": "root"}')
        up = start()
        up.until("Ctrl-C stops everything.")
        up.interrupt()
        code, error = up.end()
    assert code == 1
    assert error == (
        "usher: the command of deploy 0123456789ab of beta.abc.wwts.com is still running, as user root, and could not "
        "be killed: `sudo kill -KILL 7 8` ends it\n"
    )
    assert not any("everything has stopped" in line for line in up.lines)


@pytest.mark.slow
def test_a_service_that_does_not_stop_in_its_share_of_the_time_is_killed(start: Start) -> None:
    up = start("good", "stubborn", "good")
    up.until("Ctrl-C stops everything.")
    children = up.children()
    up.interrupt()
    assert up.end()[0] == 0
    assert "successes stopped" in up.lines
    assert gone(children, 1)


@pytest.mark.slow
def test_a_second_sighup_does_not_kill_what_is_stopping_in_order(start: Start) -> None:
    up = start("stubborn", "stubborn", "stubborn")
    up.until("Ctrl-C stops everything.")
    up.process.send_signal(signal.SIGHUP)
    up.until("stopping ")
    up.process.send_signal(signal.SIGHUP)
    assert up.end() == (0, "")
    assert up.lines[-1] == "everything has stopped"


@pytest.mark.slow
def test_sighup_stays_ignored_if_it_was_ignored_at_the_start(start: Start) -> None:
    up = start(prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    url = re.sub(r".* (http)", r"\1", up.until("deploys is ready at"))
    up.until("Ctrl-C stops everything.")
    up.process.send_signal(signal.SIGHUP)
    os.kill(int(httpx.get(url).text), signal.SIGKILL)
    up.until("deploys uses")  # it still restarts what dies
    ignored, _ = ignored_and_blocked(Path(f"/proc/{up.process.pid}/status").read_text())
    assert signal.SIGHUP in ignored
    up.interrupt()
    assert up.end()[0] == 0


@pytest.mark.slow
def test_closing_its_terminal_stops_everything_in_order(broker: Broker, tmp_path: Path) -> None:
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN)
    arguments = (str(stand_in), *map(str, free_ports(0, 0, 0)), *("good",) * 3, "0")
    environment = {**os.environ, "USHER_BROKER__URL": broker.url}
    with (
        Terminal() as terminal,
        subprocess.Popen(
            [sys.executable, "-c", UP, *arguments], cwd=tmp_path, env=environment, **terminal.options()
        ) as up,
    ):
        terminal.until("Ctrl-C stops everything.")
        children = psutil.Process(up.pid).children(recursive=True)
        terminal.close()
        assert up.wait(20) == 0
    assert (tmp_path / "stopped").read_text().split() == STOP_ORDER
    assert gone(children, 1)


@pytest.mark.slow
def test_a_second_ctrl_c_kills_a_draining_service(start: Start) -> None:
    up = start("good", "stubborn", "good", drain=600)
    up.until("Ctrl-C stops everything.")
    children = up.children()
    up.interrupt()
    up.until("waiting up to 600 s for running commands; Ctrl-C again kills everything")
    up.interrupt()
    assert up.end()[0] == 130
    assert gone(children, 1)


@pytest.mark.slow
def test_services_have_default_signals_and_stop_in_order_however_usher_was_started(start: Start) -> None:
    up = start(prepare=ignore_and_block_everything)
    up.until("Ctrl-C stops everything.")
    for process in up.children():
        ignored, blocked = ignored_and_blocked(Path(f"/proc/{process.pid}/status").read_text())
        assert (ignored - {signal.SIGPIPE, signal.SIGXFSZ}, blocked) == (set(), set())  # Python itself ignores these
    up.process.terminate()
    assert up.end() == (0, "")
    assert up.lines[-1] == "everything has stopped"


def test_only_deploys_gets_the_drain_time() -> None:
    made = {program.name: program for program in programs(load({"USHER_DEPLOYS__DRAIN": "5m"}))}
    assert {name: program.drain for name, program in made.items()} == {"trackers": 0, "deploys": 300, "successes": 0}
    assert all(program.drain == 0 for program in programs(load({})))


@pytest.mark.slow
def test_no_process_outlives_a_killed_usher(start: Start) -> None:
    up = start("good", "stubborn", "good")
    up.until("Ctrl-C stops everything.")
    children = up.children()
    up.process.kill()
    assert gone(children, 5)


@pytest.mark.slow
def test_a_service_that_keeps_failing_stops_everything_and_its_last_lines_are_shown(start: Start) -> None:
    up = start("good", "broken", "good")
    up.until("starting successes")
    code, error = up.end()
    assert code == 1
    assert "deploys exited immediately, 3 times (exit code 1)" in error
    assert "deploys: cannot work today" in error
    assert "Traceback" not in error


def test_a_taken_port_is_a_readable_error_and_nothing_is_started(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one, another = free_ports(0, 0)
        code, error = start(ports=(one, port, another)).end()
    assert code == 1
    assert error.startswith(f"usher: deploys cannot listen on 127.0.0.1:{port}")
    assert "USHER_DEPLOYS__PORT" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_second_start_in_the_same_folder_says_what_runs_already_and_where(start: Start) -> None:
    ports = free_ports(0, 0, 0)
    up = start(ports=ports)
    up.until("Ctrl-C stops everything.")
    code, error = start().end()
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("usher: Usher is already running in ")
    trackers, _, successes = (f"http://127.0.0.1:{port}" for port in ports)
    for text in (str(up.process.pid), f"{trackers}/webhooks/jira", f"{successes}/docs", f"`kill {up.process.pid}`"):
        assert text in error
    up.interrupt()
    assert up.end()[0] == 0
    again = start(ports=ports)
    again.until("Ctrl-C stops everything.")


@pytest.mark.slow
def test_of_two_starts_at_the_same_moment_one_runs_and_the_other_says_so(start: Start) -> None:
    ports = free_ports(0, 0, 0)
    both = [start(ports=ports), start(ports=ports)]
    until(lambda: any(up.process.poll() is not None for up in both))
    (refused,) = [up for up in both if up.process.poll() is not None]
    code, error = refused.end()
    assert (code, f"/webhooks/jira, API at http://127.0.0.1:{ports[2]}/docs" in error) == (1, True)
    (runs,) = [up for up in both if up is not refused]
    runs.until("Ctrl-C stops everything.")


def test_a_folder_that_cannot_be_written_needs_no_claim(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with claimed(tmp_path / "file" / ".usher", ()):
        pass


def test_port_zero_in_the_settings_becomes_a_free_port() -> None:
    settings = load({f"USHER_{name}__PORT": "0" for name in ("TRACKERS", "DEPLOYS", "SUCCESSES")})
    made = programs(settings)
    assert [program.name for program in made] == STOP_ORDER
    assert all(program.port for program in made)


def test_the_log_replaces_control_characters() -> None:
    shown = io.StringIO()
    log = Log(Console(file=shown))
    log.report("deploys", "a\x1b[2Jb")
    log.close()
    assert shown.getvalue() == "a\ufffd[2Jb\n"


@pytest.mark.slow
def test_it_keeps_running_when_its_output_is_closed(start: Start) -> None:
    up = start()
    url = re.sub(r".* (http)", r"\1", up.until("deploys is ready at"))
    up.until("Ctrl-C stops everything.")
    assert up.process.stdout is not None
    up.process.stdout.close()
    os.kill(int(httpx.get(url).text), signal.SIGKILL)  # this logs a line
    assert until_answers(url)
    up.interrupt()
    assert up.process.wait(10) == 0


@pytest.mark.slow
def test_while_a_command_finishes_moves_are_accepted_and_its_result_is_handled(tmp_path: Path, vhost_url: str) -> None:
    trackers, deploys, successes = free_ports(0, 0, 0)
    up = Up(
        tmp_path,
        UP_WHOLE,
        USHER_BROKER__URL=vhost_url,
        USHER_TRACKERS__PORT=str(trackers),
        USHER_DEPLOYS__PORT=str(deploys),
        USHER_SUCCESSES__PORT=str(successes),
        USHER_DEPLOYS__COMMAND=json.dumps([sys.executable, "-c", WAITS, str(tmp_path), "{issues}"]),
        USHER_DEPLOYS__DRAIN="60s",
        USHER_WINDOW__QUIET="0s",
        USHER_WINDOW__FLOOR="0s",
    )
    move, url = {"issue_id": "ABC-1", "status": "beta"}, f"http://127.0.0.1:{trackers}/messages"
    try:
        up.until("Ctrl-C stops everything.")
        assert httpx.post(url, json=move).status_code == httpx.codes.CREATED
        until((tmp_path / "begun").exists)
        up.interrupt()
        up.until("waiting up to 60 s for running commands")
        assert httpx.post(url, json=move).status_code == httpx.codes.CREATED
        (tmp_path / "go").touch()
        assert up.end() == (0, "")
    finally:
        up.process.kill()
        up.process.communicate()
    with contextlib.closing(sqlite3.connect(tmp_path / "usher.db")) as ledger:
        assert ledger.execute("SELECT outcome FROM deploys").fetchall() == [("passed",)]


@pytest.mark.slow
def test_usher_starts_with_its_own_broker_and_leaves_no_process_behind(tmp_path: Path) -> None:
    names = ("TRACKERS", "DEPLOYS", "SUCCESSES")
    ports = {f"USHER_{name}__PORT": str(port) for name, port in zip(names, free_ports(0, 0, 0), strict=True)}
    up = Up(tmp_path, UP_WHOLE, **ports)
    try:
        up.until("Ctrl-C stops everything.")
        children, began = up.children(), time.monotonic()
        assert any(process.name() == "beam.smp" for process in children)
        up.interrupt()
        assert up.end() == (0, "")
        assert time.monotonic() - began < 10
        assert gone(children, 1)
    finally:
        up.process.kill()
        up.process.communicate()
