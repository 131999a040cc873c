"""The demo: its burst of moves, its result, and that it leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from terminals import Terminal
from usher.api.types import Deploy
from usher.core.errors import UsherError
from usher.demo.play import Figures
from usher.demo.screen import show_figures
from usher.demo.stage import temporary_usher
from usher.demo.story import MOVES, SETTINGS, expected
from usher.settings import parse


def test_the_burst_is_the_one_that_the_readme_describes() -> None:
    moves = [(str(move.issue), move.status) for move in MOVES]
    assert (moves.count(("ABC-111", "Test")), moves.count(("ABC-111", "Beta"))) == (1, 4)
    assert (len(MOVES), len(expected())) == (11, 4)


def test_every_move_arrives_well_before_its_server_s_window_closes() -> None:
    window = parse(SETTINGS, "the demo").window.window()
    for server in expected():
        times = [round(move.at * 1000) for move in MOVES if move.server == server]
        assert all(window.closes_at(times[:n]) > times[n] + 2000 for n in range(1, len(times)))


def test_the_moves_cover_the_servers_in_the_demo_s_settings() -> None:
    assert [server.name for server in parse(SETTINGS, "the demo").catalogue] == list(expected())


def deploy(server: str, **more: object) -> Deploy:
    covered = sum(move.server == server for move in MOVES)
    facts = {"id": "1", "server": server, "outcome": "passed", "issues": expected()[server], "messages": covered}
    return Deploy.model_construct(**{**dict.fromkeys(Deploy.model_fields), **facts, **more})


@pytest.mark.parametrize(
    ("change", "as_expected"),
    [
        ({}, True),
        ({"outcome": "failed"}, False),
        ({"outcome": None}, False),
        ({"issues": ()}, False),
        ({"messages": 0}, False),
    ],
)
def test_it_says_whether_the_result_is_as_expected(change: dict[str, object], as_expected: bool) -> None:
    first, *rest = expected()
    found = Figures(len(MOVES), (deploy(first, **change), *map(deploy, rest)))
    assert found.as_expected is as_expected
    console = Console(record=True, width=100)
    show_figures(console, found)
    output = console.export_text()
    assert "11 moves → 4 deploys" in output
    assert ("usher init" in output, "Expected one deploy per server" in output) == (as_expected, not as_expected)


def test_two_deploys_of_one_server_are_not_as_expected() -> None:
    whole = tuple(map(deploy, expected()))
    again = deploy(whole[0].server, messages=0)
    assert not Figures(len(MOVES), (*whole, again)).as_expected


def test_it_ignores_the_user_s_settings_and_removes_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("USHER_DEPLOYS__COMMAND", '["my-own-deploy"]')
    seen: list[str] = []

    def no_broker(settings: object, data: Path, **_: object) -> None:
        seen.extend([str(data), *(name for name in os.environ if name.startswith("USHER_"))])
        raise UsherError(why="the test ends here")

    monkeypatch.setattr("usher.demo.stage.running_broker", no_broker)
    with pytest.raises(UsherError), temporary_usher(lambda line: None):
        pass
    assert len(seen) == 1
    assert seen[0].startswith(str(folder))
    assert list(folder.iterdir()) == []
    assert os.environ["USHER_DEPLOYS__COMMAND"] == '["my-own-deploy"]'


def started(folder: Path, **options: Any) -> "subprocess.Popen[str]":
    """The real program, started by a user who has their own settings."""
    mine = {"TMPDIR": str(folder), "USHER_DEPLOYS__COMMAND": '["false"]', "USHER_BROKER__URL": "amqp://nowhere.invalid"}
    return subprocess.Popen(
        [sys.executable, "-m", "usher", "demo"],
        env={**os.environ, **mine},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options},
    )


@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_during_the_burst_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "moved: " in line:
                demo.send_signal(number)
                break
        rest = demo.stdout.read()
    assert (demo.returncode, "Traceback" in rest) == (130, False), rest
    assert "nothing is left behind" in rest
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.programs
def test_closing_the_terminal_during_the_burst_leaves_nothing_behind(tmp_path: Path) -> None:
    with Terminal() as terminal, started(tmp_path, **terminal.options()) as demo:
        terminal.until("ABC-111 to Test")
        terminal.close()
        demo.wait(20)
    assert demo.returncode == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.programs
def test_eleven_moves_become_four_deploys(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, output
    assert "11 moves → 4 deploys" in output
    assert "ABC-111 ABC-113 ABC-115" in output.partition("11 moves")[2]
    assert list(tmp_path.iterdir()) == []
