"""The demo: the story that it tells, and that it leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from usher.api.types import Deploy
from usher.core.errors import UsherError
from usher.demo.play import Figures
from usher.demo.screen import ending
from usher.demo.stage import throw_away_usher
from usher.demo.story import MOVES, SETTINGS, promised
from usher.settings import parse


def test_the_storm_is_the_one_that_usher_was_made_for() -> None:
    told = [(str(move.issue), move.status) for move in MOVES]
    assert (told.count(("ABC-111", "Test")), told.count(("ABC-111", "Beta"))) == (1, 4)
    assert (len(MOVES), len(promised())) == (11, 4)


def test_no_window_closes_before_the_storm_is_over_for_its_server_with_time_to_spare() -> None:
    window = parse(SETTINGS, "the demo").window.window()
    for server in promised():
        times = [round(move.at * 1000) for move in MOVES if move.server == server]
        assert all(window.closes_at(times[:n]) > times[n] + 2000 for n in range(1, len(times)))


def test_the_demo_s_servers_are_those_of_its_settings() -> None:
    assert [server.name for server in parse(SETTINGS, "the demo").catalogue] == list(promised())


def deploy(server: str, **more: object) -> Deploy:
    covered = sum(move.server == server for move in MOVES)
    facts = {"id": "1", "server": server, "outcome": "passed", "issues": promised()[server], "messages": covered}
    return Deploy.model_construct(**{**dict.fromkeys(Deploy.model_fields), **facts, **more})


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"outcome": "failed"}, False),
        ({"outcome": None}, False),
        ({"issues": ()}, False),
        ({"messages": 0}, False),
    ],
)
def test_it_says_plainly_whether_the_promise_was_kept(change: dict[str, object], kept: bool) -> None:
    first, *rest = promised()
    found = Figures(len(MOVES), (deploy(first, **change), *map(deploy, rest)))
    assert found.as_promised is kept
    console = Console(record=True, width=100)
    ending(console, found)
    said = console.export_text()
    assert "11 moves → 4 deploys" in said
    assert ("usher init" in said, "not one deploy per server" in said) == (kept, not kept)


def test_two_deploys_of_one_server_break_the_promise() -> None:
    whole = tuple(map(deploy, promised()))
    again = deploy(whole[0].server, messages=0)
    assert not Figures(len(MOVES), (*whole, again)).as_promised


def test_nothing_of_one_s_own_settings_counts_and_no_folder_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("USHER_DEPLOYS__COMMAND", '["my-own-deploy"]')
    seen: list[str] = []

    def no_broker(settings: object, data: Path, **_: object) -> None:
        seen.extend([str(data), *(name for name in os.environ if name.startswith("USHER_"))])
        raise UsherError(why="the test ends here")

    monkeypatch.setattr("usher.demo.stage.running_broker", no_broker)
    with pytest.raises(UsherError), throw_away_usher(lambda line: None):
        pass
    assert len(seen) == 1
    assert seen[0].startswith(str(folder))
    assert list(folder.iterdir()) == []
    assert os.environ["USHER_DEPLOYS__COMMAND"] == '["my-own-deploy"]'


def started(folder: Path) -> "subprocess.Popen[str]":
    """The real program, as somebody with settings of their own starts it."""
    mine = {"TMPDIR": str(folder), "USHER_DEPLOYS__COMMAND": '["false"]', "USHER_BROKER__URL": "amqp://nowhere.invalid"}
    return subprocess.Popen(
        [sys.executable, "-m", "usher", "demo"],
        env={**os.environ, **mine},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.programs
def test_ctrl_c_in_mid_storm_leaves_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "told: " in line:
                demo.send_signal(signal.SIGINT)
                break
        rest = demo.stdout.read()
    assert (demo.returncode, "Traceback" in rest) == (130, False), rest
    assert "nothing is left behind" in rest
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.programs
def test_eleven_moves_become_four_deploys(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        said, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, said
    assert "11 moves → 4 deploys" in said
    assert "ABC-111 ABC-113 ABC-115" in said.partition("11 moves")[2]
    assert list(tmp_path.iterdir()) == []
