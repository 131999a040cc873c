"""The commands' output executes nothing that a stranger or a command wrote."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.cli.screen import coloured, console, print_json
from usher.cli.tables import table
from usher.core.errors import UsherError
from usher.runtime.wording import harmless

HOSTILE = [
    ("\x1b]0;deploying\x07step 2: FAILED", "step 2: FAILED"),
    ("\x1b]0;deploying\x1b\\step 2", "step 2"),
    ("\x9d0;deploying\x9cstep 2", "step 2"),
    ("step 3\x1b[2J\x1b[H", "step 3"),
    ("\x1b[1;31mred\x1b[0m", "red"),
    ("\x9b31mred", "red"),
    ("\x1b]8;;http://evil.example\x07good.example\x1b]8;;\x07", "good.example"),
    ('\x1bP$q"p\x1b\\done', "done"),
    ("\x1bcgone", "gone"),
    ("\x1b(0lines\x1b(B", "lines"),
    # what never ends hides nothing
    ("\x1b]0;step 2: FAILED", "0;step 2: FAILED"),
    ("\x1b]0;title\nstep 2\x07", "0;title\nstep 2\ufffd"),
    ("\x1b[31;", "31;"),
    ("\x1b", ""),
    ("a\x08\x08b\x07\x00\x7f\x85", "a\ufffd\ufffdb\ufffd\ufffd\ufffd\ufffd"),
    ("abc\u202egpj.exe", "abc\ufffdgpj.exe"),
    ("a\u200bb\u2028c\ud800", "a\ufffdb\ufffdc\ufffd"),
    ("one\r\ntwo\ttab", "one\ntwo\ttab"),
    ("Prêt 👩\u200d💻 Бета\u00a0日本", "Prêt 👩\u200d💻 Бета\u00a0日本"),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE, ids=ascii)
def test_nothing_that_a_terminal_executes_is_left(text: str, shown: str) -> None:
    assert harmless(text) == shown


EXECUTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
NASTY = st.text(st.sampled_from("\x1b[]\\P^_X;09mJ\x07\x9b\x9c\x9d\x90\u202e\n\r\t a") | st.characters())


@given(NASTY)
def test_whatever_the_text_is(text: str) -> None:
    assert not EXECUTED.search(harmless(text))
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize("introducer", ["\x1b]", "\x1b[", "\x9d", "\x9b", "\x1b ", "\x1b]0", "\x1b[0"])
def test_a_long_text_of_unfinished_sequences_is_not_slow(introducer: str) -> None:
    # a quadratic pattern would take minutes, and the tests' limit would end it
    assert not EXECUTED.search(harmless(introducer * 50_000 + "0" * 50_000))


def test_everything_printed_is_harmless_whether_sentence_cell_or_state(capsys: pytest.CaptureFixture[str]) -> None:
    screen, rows = console(), table("Why", "\x1b]0;x\x07Head")
    for text, _ in HOSTILE:
        screen.print(text)
        screen.print(f"  {text}", style="dim", soft_wrap=True)
        screen.print(coloured(text), text)
        rows.add_row(text, coloured(text))
    screen.print(rows)
    assert not EXECUTED.search(capsys.readouterr().out.replace("\n", ""))


def test_text_is_shown_as_it_is_without_markup_and_emoji_codes(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("[bold]ABC-1[/bold] :fire: host:x:1")
    assert capsys.readouterr().out == "[bold]ABC-1[/bold] :fire: host:x:1\n"


def test_a_cell_is_as_wide_as_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table("Why", "Deploy")
    for why in ("\x1b]0;title\x07short", "plain", "a\x00\x00\x00b"):
        rows.add_row(why, "0123456789ab")
    console().print(rows)
    _, *lines = capsys.readouterr().out.splitlines()
    assert len({line.index("0123456789ab") for line in lines}) == 1


@given(NASTY)
def test_json_escapes_it_and_keeps_its_meaning(text: str) -> None:
    read, written = os.pipe()
    with os.fdopen(read, encoding="utf-8") as reading:
        with os.fdopen(written, "w", encoding="utf-8") as writing, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", writing)
            print_json({"output": text[:1000]})
        printed = reading.read()
    assert not EXECUTED.search(printed)
    assert json.loads(printed) == {"output": text[:1000]}


def test_an_error_is_harmless_too(usher, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UsherError(why="it said \x1b]0;pwned\x07and \x9b2Jmore")

    monkeypatch.setattr("usher.cli.explain.load", fail)
    result = usher("explain", "ABC-1", "beta")
    assert (result.code, result.err) == (1, "usher: Usher cannot continue: it said and more\n")


PRINTS = """
from usher.cli.screen import console, coloured
from usher.cli.tables import table
rows = table("Why", "State")
rows.add_row("\\x1b]0;x\\x07step 2: FAILED \\x1b[2J\\x9b1m", coloured("failed"))
console().print(rows)
"""


def test_on_a_terminal_only_usher_s_own_colours_are_sent() -> None:
    main, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, "-c", PRINTS], stdout=terminal, env=environment) as program:
        assert program.wait(20) == 0
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(main, 4096):
            shown += chunk
    except OSError:  # Linux: the other end is closed
        pass
    os.close(main)
    text = shown.decode()
    assert "step 2: FAILED" in text
    assert set(re.findall(r"\x1b.?[^a-zA-Z]*[a-zA-Z]", text)) <= {"\x1b[0m", "\x1b[1m", "\x1b[31m"}
    assert not re.search("[\x07\x9b\x9d]", text)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_a_table_wraps_between_words_and_loses_nothing_however_narrow_it_is(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usher.cli.screen.PIPED_WIDTH", width)
    rows = table("Server", "Issues", "Next", "Deploy", "Why")
    cells = ["beta.abc.wwts.com", "ABC-111 ABC-112", "deploys 14:08:26", "0123456789ab", "exit code 64"]
    rows.add_row(*cells)
    console().print(rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    shown = sorted(character for line in lines for character in line if character != " ")
    assert shown == sorted("".join(["Server", "Issues", "Next", "Deploy", "Why", *cells]).replace(" ", ""))
    if width >= 80:
        words = " ".join(cells).split()
        assert [word for word in words if not any(word in line.split() for line in lines)] == []
