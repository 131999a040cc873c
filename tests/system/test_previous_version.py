"""An upgrade: Usher reads what version 0.9.0 left on the broker and in its ledger, and continues from there.

The data was recorded from a running 0.9.0. Deploys had passed, failed, timed out and been interrupted, and two messages
were waiting.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest

from usher.broker import topology
from usher.broker.link import connect
from usher.core.board.board import Board
from usher.core.events import decode
from usher.core.states import State
from usher.settings import load

if TYPE_CHECKING:
    from conftest import Programs

RECORDED = Path(__file__).parent.parent / "data" / "0.9.0"
SLOW = "slow.abc.wwts.com"
SETTINGS = "[projects.abc]\n[statuses.slow]\n[statuses.late]\n"


@pytest.fixture
def recorded() -> dict[str, Any]:
    """The contents of the broker: `journal`, and `queues` by name."""
    return dict(json.loads((RECORDED / "broker.json").read_text()))


def test_its_journal_gives_the_same_board(recorded: dict[str, Any]) -> None:
    board = Board()
    for entry in recorded["journal"]:
        board.apply(decode(json.dumps(entry["body"]).encode()), now=2**50, read_at=0)
    ids = [entry["id"] for entry in recorded["journal"] if entry["type"] == "message/1"]
    assert Counter(board.state(m) for m in ids) == {
        State.DEPLOYED: 6, State.PARKED: 2, State.WAITING: 2,
    }  # fmt: skip
    assert [str(m.issue) for m in board.server(SLOW).waiting] == ["ABC-6", "ABC-7"]


@pytest.mark.slow
@pytest.mark.programs
async def test_waiting_messages_are_deployed_and_parked_messages_and_history_are_kept(
    recorded: dict[str, Any], vhost_url: str, tmp_path: Path, make_programs: Callable[..., "Programs"]
) -> None:
    await restore(recorded, vhost_url, tmp_path)
    with sqlite3.connect(tmp_path / "usher.db") as ledger:
        ledger.executescript((RECORDED / "ledger.sql").read_text())
    ledger.close()
    programs = make_programs(seconds=0.2, CONFIG=str(tmp_path / "usher.toml"))
    programs.start("trackers", "deploys", "successes")
    programs.wait(lambda: programs.runs() and programs.runs()[-1].ended, "the waiting messages are deployed")
    assert [(run.server, run.issues) for run in programs.runs()] == [(SLOW, ("ABC-6", "ABC-7"))]
    # the older message of ABC-6 was parked; the pass of the newer one settles it
    expected = {"deployed": 8, "superseded": 1, "parked": 1}
    programs.wait(lambda: states(programs) == expected, "the ledger has every final state")
    assert programs.get("successes", "/api/deploys")["total"] == 10
    async with await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        parked = await channel.get_queue("usher.parked")
        while parked.declaration_result.message_count != 1:
            parked = await channel.get_queue("usher.parked")


def states(programs: "Programs") -> Counter[str]:
    items: Any = programs.get("successes", "/api/messages")["items"]
    return Counter(item["state"] for item in items)


async def restore(recorded: dict[str, Any], url: str, folder: Path) -> None:
    """Restore the broker as 0.9.0 left it."""
    (folder / "usher.toml").write_text(SETTINGS)
    settings = load({"USHER_CONFIG": str(folder / "usher.toml"), "USHER_BROKER__URL": url})
    async with connect(settings.broker, "test") as link:
        await topology.declare(link, settings.catalogue)
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        events = await channel.get_exchange(topology.FACTS, ensure=False)
        for entry in recorded["journal"]:
            await events.publish(message_of(entry), entry["body"]["kind"])
        for queue, entries in recorded["queues"].items():
            for entry in entries:
                await channel.default_exchange.publish(message_of(entry), queue)


def message_of(entry: dict[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(
        json.dumps(entry["body"]).encode(),
        message_id=entry["id"],
        type=entry["type"],
        headers=entry.get("headers"),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
