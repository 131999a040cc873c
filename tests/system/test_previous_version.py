"""An upgrade: Usher reads what earlier versions left on the broker and in the ledger, and continues from there.

The data was recorded from running services. Deploys had passed, failed, timed out and been interrupted, and messages
were waiting. 0.10.0 also left a result that nobody had handled, waiting retries, and checkpoints.
"""

import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest

from usher.broker import topology
from usher.broker.link import connect
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, decode_checkpoint, is_checkpoint
from usher.core.events import decode
from usher.core.states import State
from usher.settings import load

if TYPE_CHECKING:
    from conftest import Programs

DATA = Path(__file__).parent.parent / "data"
SLOW = "slow.abc.wwts.com"


@dataclass(frozen=True)
class Recorded:
    """What a version left. Then the `waiting` issues are deployed, and the ledger has `states`."""

    version: str
    settings: str
    board: dict[State, int]
    waiting: tuple[str, ...]
    states: dict[str, int]
    deploys: int
    parked: int

    def broker(self) -> dict[str, Any]:
        """The contents of the broker: `journal`, and `queues` by name."""
        return dict(json.loads((DATA / self.version / "broker.json").read_text()))

    def ledger(self) -> str:
        """The ledger, as SQL."""
        return (DATA / self.version / "ledger.sql").read_text()


RECORDINGS = (
    Recorded(
        "0.9.0",
        "[projects.abc]\n[statuses.slow]\n[statuses.late]\n",
        {State.DEPLOYED: 6, State.PARKED: 2, State.WAITING: 2},
        ("ABC-6", "ABC-7"),
        # the older message of ABC-6 was parked; the pass of the newer one settles it
        {"deployed": 8, "superseded": 1, "parked": 1},
        deploys=10,
        parked=1,
    ),
    Recorded(
        "0.10.0",
        (DATA / "0.10.0" / "usher.toml").read_text(),
        {
            State.DEPLOYED: 10, State.RETRIED: 6, State.WITHDRAWN: 4, State.WAITING: 3, State.SUPERSEDED: 2,
            State.PARKED: 2, State.FAILED: 1, State.RETRYING: 1,
        },
        ("ABC-31", "ABC-31", "ABC-32"),
        {"deployed": 12, "parked": 2, "retried": 7, "retrying": 2, "superseded": 3, "withdrawn": 4},
        deploys=20,
        parked=2,
    ),
)  # fmt: skip

each_version = pytest.mark.parametrize("recorded", RECORDINGS, ids=lambda recorded: recorded.version)


@each_version
def test_its_journal_gives_the_same_board(recorded: Recorded) -> None:
    board = board_of(recorded.broker()["journal"])
    unsettled = {m.message.id: m.state for name in board for m in board.server(name).messages()}
    assert Counter((board.closed | unsettled).values()) == recorded.board
    assert tuple(str(m.issue) for m in board.server(SLOW).waiting) == recorded.waiting


def test_its_checkpoints_give_the_same_board_as_the_entries_before_them() -> None:
    journal = RECORDINGS[1].broker()["journal"]
    found = [found for entry in journal if (found := checkpoint_of(entry))]
    assert [len(one.servers) > 0 for one in found] == [False, True]
    for checkpoint in found:
        before = board_of(journal[: checkpoint.through + 1])
        again = checkpoint.board(read_at=0)
        assert (again.servers, again.closed, again.received) == (before.servers, before.closed, before.received)


@each_version
@pytest.mark.slow
@pytest.mark.programs
async def test_waiting_messages_are_deployed_and_parked_messages_and_history_are_kept(
    recorded: Recorded, vhost_url: str, tmp_path: Path, make_programs: Callable[..., "Programs"]
) -> None:
    await restore(recorded, vhost_url, tmp_path)
    with sqlite3.connect(tmp_path / "usher.db") as ledger:
        ledger.executescript(recorded.ledger())
    ledger.close()
    programs = make_programs(seconds=0.2, CONFIG=str(tmp_path / "usher.toml"), SUCCESSES__KEEP="3650d")
    programs.start("trackers", "deploys", "successes")
    programs.wait(lambda: programs.runs() and programs.runs()[-1].ended, "the waiting messages are deployed")
    assert [(run.server, run.issues) for run in programs.runs()] == [(SLOW, tuple(dict.fromkeys(recorded.waiting)))]
    programs.wait(lambda: states(programs) == recorded.states, "the ledger has every final state")
    assert programs.get("successes", "/api/deploys")["total"] == recorded.deploys
    async with await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        parked = await channel.get_queue("usher.parked")
        while parked.declaration_result.message_count != recorded.parked:
            parked = await channel.get_queue("usher.parked")


def states(programs: "Programs") -> Counter[str]:
    items: Any = programs.get("successes", "/api/messages")["items"]
    return Counter(item["state"] for item in items)


def board_of(journal: list[dict[str, Any]]) -> Board:
    """The board after these entries."""
    board = Board()
    for entry in journal:
        if not is_checkpoint(body_of(entry)):
            board.apply(decode(body_of(entry)), now=2**50, read_at=0)
    return board


def checkpoint_of(entry: dict[str, Any]) -> Checkpoint | None:
    body = body_of(entry)
    return decode_checkpoint(body) if is_checkpoint(body) else None


def body_of(entry: dict[str, Any]) -> bytes:
    """The entry's body, byte for byte as it travelled."""
    body = json.dumps(entry["body"], separators=(",", ":"), ensure_ascii=False).encode()
    return gzip.compress(body, 6, mtime=0) if entry.get("content_encoding") == "gzip" else body


async def restore(recorded: Recorded, url: str, folder: Path) -> None:
    """Restore the broker as that version left it."""
    (folder / "usher.toml").write_text(recorded.settings)
    settings = load({"USHER_CONFIG": str(folder / "usher.toml"), "USHER_BROKER__URL": url})
    async with connect(settings.broker, "test") as link:
        await topology.declare(link, settings.catalogue, settings.retries.every_delay)
    contents = recorded.broker()
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        facts = await channel.get_exchange(topology.FACTS, ensure=False)
        for entry in contents["journal"]:
            await facts.publish(message_of(entry), entry["body"]["kind"])
        for queue, entries in contents["queues"].items():
            for entry in entries:
                await channel.default_exchange.publish(message_of(entry), queue)


def message_of(entry: dict[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(
        body_of(entry),
        message_id=entry["id"],
        type=entry["type"],
        headers=entry.get("headers"),
        content_encoding=entry.get("content_encoding"),
        expiration=timedelta(milliseconds=int(entry["expiration"])) if "expiration" in entry else None,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
