"""From the journal into the ledger: a replay gives the same rows, and never takes one back in between."""

import pytest
from pydantic import SecretStr

from successes.ledger.follower import Follower
from successes.ledger.ledger import Ledger, LedgerFault
from usher.broker.places import Memory
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, decode_checkpoint, encode_checkpoint
from usher.core.events import DeployInterrupted, MessagesParked, MessagesRetried, MessagesWithdrawn, Outcome, Retry


class Reading:
    """One reading of a journal, as the service does it: a board, and a follower that observes it."""

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
    """A deploy that was interrupted and one that passed; one that failed; one that runs; one message that waits."""
    older, newer, other, waits = (make.message(key) for key in ("ABC-1", "ABC-1", "ABC-2", "ABC-3"))
    failing, running = make.message("ABC-1", "test"), make.message("ABC-1", "stage")
    first, second, third, fourth = (make.taken(*m) for m in ([older], [older, newer, other], [failing], [running]))
    return [
        older,
        newer,
        first,
        other,
        make.taken(other),  # is not granted: the first still runs
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
    """What fails is tried again: one attempt waits in a retry queue, one was told again; one was withdrawn by ann."""
    told = [make.message(f"DEF-{number}", "test") for number in (1, 2, 3)]
    taken = make.taken(*told)
    nexts = [message.again(make.clock + 60_000, deploy=taken.deploy) for message in told]
    retried = MessagesRetried(
        deploy=taken.deploy,
        server=taken.server,
        retries=tuple(Retry(failed=m.id, next=n) for m, n in zip(told, nexts, strict=True)),
        reason="exit code 2",
        at=make.clock,
    )
    return [
        *told,
        taken,
        retried,  # the reply queue was faster
        make.ended(*told, taken=taken, outcome=Outcome.FAILED),
        nexts[1].model_copy(update={"queued_at": make.clock + 50_000}),
        MessagesWithdrawn(server=taken.server, messages=(nexts[2].id,), by="ann", at=make.clock + 51_000),
    ]


def by_issue(rows):
    return sorted((row["issue"], row["status"], row["state"], row["told"]) for row in rows["messages"])


async def test_every_event_comes_into_the_ledger(ledger, history, read_rows):
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


async def test_each_replay_gives_equal_rows_and_tells_nothing_twice(ledger, history, read_rows):
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


async def test_a_replay_into_an_empty_ledger_gives_the_rows_of_living_through_it(tmp_path, ledger, history, read_rows):
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


async def test_what_came_while_nobody_looked_is_made_good(ledger, make, read_rows):
    message = make.message("ABC-1")
    taken = make.taken(message)
    before = Reading(ledger)
    await before.follower.caught_up()
    await before.read(message, taken)
    assert [row["state"] for row in read_rows(ledger)["messages"]] == ["deploying"]

    after = Reading(ledger)
    cut = DeployInterrupted(deploy=taken.deploy, server=taken.server, by="x", reason="stopped", at=make.clock)
    await after.read(message, taken, cut)
    await after.follower.caught_up()
    assert [(row["state"], row["deploy"]) for row in read_rows(ledger)["messages"]] == [("waiting", None)]


async def test_a_next_attempt_that_is_told_after_it_was_settled_is_settled_in_the_ledger(ledger, make, read_rows):
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
    await reading.read(following)  # it was on its way
    assert {row["id"]: row["state"] for row in read_rows(ledger)["messages"]} == {
        failed.id: "waiting",
        following.id: "superseded",
    }


async def test_what_was_parked_is_parked_also_when_the_journal_has_it_before_the_result(ledger, make, read_rows):
    message = make.message("ABC-1")
    taken = make.taken(message)
    ended = make.ended(message, taken=taken, outcome=Outcome.FAILED)
    parked = MessagesParked(deploy=taken.deploy, server=taken.server, messages=(message.id,), reason="exit code 2")
    reading = Reading(ledger)
    for event in (message, taken, parked, ended):
        await reading.read(event)
    await reading.follower.caught_up()
    assert [row["state"] for row in read_rows(ledger)["messages"]] == ["parked"]


async def test_a_board_that_comes_from_a_checkpoint_is_in_the_ledger_as_if_it_had_been_lived_through(
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
            same = ("issue", "state", "deploy", "told", "origin")
            assert {name: row[name] for name in same} == {name: known[row["id"]][name] for name in same}

        before = read_rows(ledger)
        again = Reading(ledger, decode_checkpoint(body).board(0))
        await again.follower.caught_up()
        assert read_rows(ledger) == before, "and of what the ledger knows it changes nothing"
    finally:
        other.close()


async def test_what_could_not_be_written_is_written_later(ledger, make, read_rows, monkeypatch):
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
