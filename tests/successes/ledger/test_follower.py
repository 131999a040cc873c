"""The follower: a replay of the journal gives the same rows, and no row goes back to an earlier state meanwhile."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from successes.ledger.follower import Follower
from successes.ledger.ledger import Ledger, LedgerFault
from usher.broker.places import Memory
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, decode_checkpoint, encode_checkpoint
from usher.core.events import DeployInterrupted, MessagesParked, MessagesRetried, MessagesWithdrawn, Outcome, Retry


class Reading:
    """Reads a journal as the service does: a board, and a follower that observes it."""

    def __init__(self, ledger, board=None):
        self._board = board or Board()
        self.follower = Follower(ledger, Memory(board=self._board))

    async def read(self, *events):
        for event in events:
            changes = self._board.apply(event, now=event.queued_at if event.kind == "message" else 0, read_at=0)
            self.follower.observe(event, changes)
        await self.follower.flush()


@pytest.fixture
def history(make):
    """Deploys that were interrupted, passed, failed and still run, a message that waits, and retries."""
    older, newer, other, waits = (make.message(key) for key in ("ABC-1", "ABC-1", "ABC-2", "ABC-3"))
    failing, running = make.message("ABC-1", "test"), make.message("ABC-1", "stage")
    first, second, third, fourth = (make.taken(*m) for m in ([older], [older, newer, other], [failing], [running]))
    return [
        older,
        newer,
        first,
        other,
        make.taken(other),  # not granted: the first deploy still runs
        DeployInterrupted(deploy=first.deploy, server=first.server, by="x", reason="stopped", at=make.clock),
        second,
        waits,
        make.ended(older, newer, other, taken=second),
        failing,
        third,
        make.ended(failing, taken=third, outcome=Outcome.FAILED),
        MessagesParked(deploy=third.deploy, server=third.server, messages=(failing.id,), reason="exit code 2"),
        running,
        fourth,
        waits,
        *retries(make),
    ]


def retries(make):
    """Three messages are retried: one waits in a retry queue, one was re-published, and ann withdrew one."""
    sent = [make.message(f"DEF-{number}", "test") for number in (1, 2, 3)]
    taken = make.taken(*sent)
    nexts = [message.again(make.clock + 60_000, deploy=taken.deploy) for message in sent]
    retried = MessagesRetried(
        deploy=taken.deploy,
        server=taken.server,
        retries=tuple(Retry(failed=m.id, next=n) for m, n in zip(sent, nexts, strict=True)),
        reason="exit code 2",
        at=make.clock,
    )
    return [
        *sent,
        taken,
        retried,  # before the result: the reply queue was faster
        make.ended(*sent, taken=taken, outcome=Outcome.FAILED),
        replace(nexts[1], queued_at=make.clock + 50_000),
        MessagesWithdrawn(server=taken.server, messages=(nexts[2].id,), by="ann", at=make.clock + 51_000),
    ]


def by_issue(rows):
    return sorted((row["issue"], row["status"], row["state"], row["received"]) for row in rows["messages"])


async def test_every_event_is_written_to_the_ledger(ledger, history, read_rows):
    reading = Reading(ledger)
    await reading.follower.caught_up()
    await reading.read(*history)

    rows = read_rows(ledger)
    assert by_issue(rows) == [
        ("ABC-1", "beta", "deployed", 1),
        ("ABC-1", "beta", "superseded", 1),
        ("ABC-1", "stage", "deploying", 1),
        ("ABC-1", "test", "parked", 1),
        ("ABC-2", "beta", "deployed", 1),
        ("ABC-3", "beta", "waiting", 2),
        ("DEF-1", "test", "retried", 1),
        ("DEF-1", "test", "retrying", 1),
        ("DEF-2", "test", "retried", 1),
        ("DEF-2", "test", "waiting", 1),
        ("DEF-3", "test", "retried", 1),
        ("DEF-3", "test", "withdrawn", 1),
    ]
    assert [row["by"] for row in rows["messages"] if row["by"]] == ["ann"]
    outcomes = {row["id"]: row["outcome"] for row in rows["deploys"]}
    taken = [event.deploy for event in history if event.kind == "deploy.taken"]
    assert [outcomes.get(deploy, "none") for deploy in taken] == [
        "interrupted",
        "none",
        "passed",
        "failed",
        None,
        "failed",
    ]


async def test_a_replay_gives_the_same_rows_and_counts_nothing_twice(ledger, history, read_rows):
    live = Reading(ledger)
    await live.follower.caught_up()
    for event in history:
        await live.read(event)
    rows = read_rows(ledger)

    for _ in range(2):
        replay = Reading(ledger)
        for event in history:
            await replay.read(event)
            assert read_rows(ledger) == rows, f"in the middle of the replay, at {event.kind}"
        await replay.follower.caught_up()
        assert read_rows(ledger) == rows


async def test_a_replay_into_an_empty_ledger_gives_the_rows_that_were_written_live(
    tmp_path, ledger, history, read_rows
):
    replay = Reading(ledger)
    await replay.read(*history)
    await replay.follower.caught_up()

    other = Ledger.open(SecretStr(f"sqlite:///{tmp_path}/other.db"))
    live = Reading(other)
    await live.follower.caught_up()
    for event in history:
        await live.read(event)
    assert read_rows(other) == read_rows(ledger)
    other.close()


async def test_events_that_were_missed_while_stopped_are_written_after_the_next_start(ledger, make, read_rows):
    message = make.message("ABC-1")
    taken = make.taken(message)
    before = Reading(ledger)
    await before.follower.caught_up()
    await before.read(message, taken)
    assert [row["state"] for row in read_rows(ledger)["messages"]] == ["deploying"]

    after = Reading(ledger)
    interrupted = DeployInterrupted(deploy=taken.deploy, server=taken.server, by="x", reason="stopped", at=make.clock)
    await after.read(message, taken, interrupted)
    await after.follower.caught_up()
    assert [(row["state"], row["deploy"]) for row in read_rows(ledger)["messages"]] == [("waiting", None)]


async def test_a_retry_that_arrives_after_it_was_settled_is_settled_in_the_ledger(ledger, make, read_rows):
    failed = make.message("ABC-1")
    taken = make.taken(failed)
    following = failed.again(make.clock + 60_000, deploy=taken.deploy)
    retry = Retry(failed=failed.id, next=following)
    reading = Reading(ledger)
    await reading.read(failed, taken)
    await reading.read(
        MessagesRetried(deploy=taken.deploy, server=taken.server, retries=(retry,), reason="exit code 2", at=make.clock)
    )
    await reading.read(
        DeployInterrupted(deploy=taken.deploy, server=taken.server, by="x", reason="gone", at=make.clock)
    )
    await reading.read(following)  # it was already on its way
    assert {row["id"]: row["state"] for row in read_rows(ledger)["messages"]} == {
        failed.id: "waiting",
        following.id: "superseded",
    }


async def test_a_message_is_parked_even_if_the_journal_has_the_parking_before_the_result(ledger, make, read_rows):
    message = make.message("ABC-1")
    taken = make.taken(message)
    ended = make.ended(message, taken=taken, outcome=Outcome.FAILED)
    parked = MessagesParked(deploy=taken.deploy, server=taken.server, messages=(message.id,), reason="exit code 2")
    reading = Reading(ledger)
    for event in (message, taken, parked, ended):
        await reading.read(event)
    await reading.follower.caught_up()
    assert [row["state"] for row in read_rows(ledger)["messages"]] == ["parked"]


async def test_a_board_loaded_from_a_checkpoint_gives_the_rows_that_were_written_live(
    ledger, tmp_path, history, read_rows
):
    live = Reading(ledger)
    await live.follower.caught_up()
    await live.read(*history)

    board = Board()
    for event in history:
        board.apply(event, now=event.queued_at if event.kind == "message" else 0, read_at=0)
    body = encode_checkpoint(Checkpoint.of(board, 1, 1))
    other = Ledger.open(SecretStr(f"sqlite:///{tmp_path}/other.db"))
    try:
        loaded = Reading(other, decode_checkpoint(body).board(0))
        await loaded.follower.caught_up()
        known = {row["id"]: row for row in read_rows(ledger)["messages"]}
        found = read_rows(other)["messages"]
        assert sorted(row["state"] for row in found) == ["deploying", "parked", "retrying", "waiting", "waiting"]
        for row in found:
            same = ("issue", "state", "deploy", "received", "origin")
            assert {name: row[name] for name in same} == {name: known[row["id"]][name] for name in same}

        before = read_rows(ledger)
        again = Reading(ledger, decode_checkpoint(body).board(0))
        await again.follower.caught_up()
        assert read_rows(ledger) == before, "a row that the ledger already has does not change"
    finally:
        other.close()


async def test_news_that_could_not_be_written_is_written_later(ledger, make, read_rows, monkeypatch):
    write, message = Ledger.write, make.message("ABC-1")

    async def fails(ledger, news):
        raise LedgerFault(path="usher.db", done="written", why="database or disk is full", check="it has room")

    reading = Reading(ledger)
    await reading.follower.caught_up()
    monkeypatch.setattr(Ledger, "write", fails)
    with pytest.raises(LedgerFault):
        await reading.read(message)
    monkeypatch.setattr(Ledger, "write", write)
    await reading.read(make.taken(message))
    assert [row["state"] for row in read_rows(ledger)["messages"]] == ["deploying"]
