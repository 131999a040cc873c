"""The sweep of open messages that no queue delivers; mostly a pure function of a board and times."""

import asyncio

import pytest

from successes.results.sweep import DOUBLINGS, Due, Heard, due
from usher.broker import topology
from usher.core.board.board import Board
from usher.core.events import MessagesRetried, Outcome, Retry
from usher.core.messages import BackMessage
from usher.core.windows import Window
from usher.settings import load

SPAN = 600_000
LONGEST = 2_400_000
WINDOW = Window(quiet=10_000, cap=60_000)


@pytest.fixture
def settings():
    """These tests need no ledger."""
    return load({})


class Reading:
    """A board, and when the journal mentioned what."""

    def __init__(self, make):
        self.board = Board()
        self.heard = Heard(since=make.clock)
        self._make = make

    def read(self, *events):
        for event in events:
            changes = self.board.apply(event, now=self._make.clock, read_at=0)
            self.heard.observe(event, changes, self._make.clock)

    def due(self, later: int) -> Due:
        return due(self.board, list(self.board), self.heard, WINDOW, SPAN, LONGEST, self._make.clock + later)


@pytest.fixture
def reading(make):
    return Reading(make)


def test_a_server_without_news_for_that_time_has_its_oldest_message_swept(reading, make):
    older, newer, elsewhere = make.message("ABC-1"), make.message("ABC-2"), make.message("ABC-1", "test")
    reading.read(older, newer, elsewhere)
    assert reading.due(SPAN - 1) == Due()
    assert reading.due(SPAN).waiting == (older, elsewhere), "whoever receives a server's oldest message takes all"


def test_the_time_doubles_with_each_sweep_of_the_same_message(reading, make):
    message = make.message("ABC-1")
    reading.read(message)
    reading.heard.swept[message.id] = 2
    assert reading.due(4 * SPAN - 1).waiting == ()
    assert reading.due(4 * SPAN).waiting == (message,)
    reading.heard.swept[message.id] = 1_000_000
    assert reading.due(SPAN << DOUBLINGS).waiting == (message,)


def test_a_message_is_not_swept_during_its_deploy_or_its_window(reading, make):
    message = make.message("ABC-1")
    reading.read(message)
    short = 5_000
    at = make.clock + short
    assert due(reading.board, list(reading.board), reading.heard, WINDOW, 1, LONGEST, at) == Due()
    reading.read(make.taken(message))
    assert reading.due(SPAN) == Due()


def test_a_deploy_without_an_end_is_swept_when_its_command_must_be_dead(reading, make):
    """The journal has lost its end, and no queue has a message whose holder would write it."""
    message = make.message("ABC-1")
    reading.read(message, make.taken(message))
    assert reading.due(LONGEST + SPAN - 1).waiting == ()
    assert reading.due(LONGEST + SPAN).waiting == (message,)


def test_a_retry_that_is_late_by_that_time_is_swept_whatever_other_news_there_is(reading, make):
    message = make.message("ABC-1")
    taken = make.taken(message)
    ended = make.ended(message, taken=taken, outcome=Outcome.FAILED)
    again = message.again(make.clock + 1000)
    retried = MessagesRetried(
        deploy=taken.deploy,
        server=taken.server,
        retries=(Retry(failed=message.id, next=again),),
        reason="exit code 2",
        at=make.clock,
    )
    reading.read(message, taken, ended)
    assert reading.due(SPAN).undecided == ((message.server, reading.board.server(message.server).undecided[0]),)
    reading.read(retried)
    assert reading.due(SPAN + 999) == Due()
    assert reading.due(SPAN + 1000) == Due(returning=(again,))


def test_nothing_is_swept_until_that_time_after_the_reader_has_caught_up(reading, make):
    reading.read(make.message("ABC-1"))
    reading.heard.since = make.clock + SPAN
    assert reading.due(2 * SPAN - 1) == Due()
    assert reading.due(2 * SPAN).waiting != ()


def test_the_sweeps_of_a_settled_message_are_forgotten(reading, make):
    message = make.message("ABC-1")
    reading.read(message)
    reading.heard.swept[message.id] = 3
    reading.heard.forget(reading.board)
    assert reading.heard.swept == {message.id: 3}
    taken = make.taken(message)
    reading.read(taken, make.ended(message, taken=taken))
    reading.heard.forget(reading.board)
    assert reading.heard.swept == {}


@pytest.mark.slow
async def test_a_message_whose_queue_was_purged_is_re_published_and_an_undecided_failure_is_decided(make_world):
    world = await make_world(watching=False, SUCCESSES__SWEEP="1s", RETRIES__DELAYS="[]")
    [message], [failed] = await world.published("ABC-1"), await world.published("DEF-5")
    queue = topology.server_queue(message.server)
    async with world.link.publishing.raw.channel() as channel:
        await (await channel.get_queue(queue)).purge()
    await world.journal.append(world.make.ended(failed, taken=await world.taken(failed), outcome=Outcome.FAILED))
    async with world.running(), asyncio.timeout(20):
        while await world.waits_in(queue) != {message.id} or world.journal.board.state(failed.id) != "parked":
            await asyncio.sleep(0.05)

    assert world.journal.board.state(message.id) == "waiting"
    assert [event.id for event in world.seen if isinstance(event, BackMessage)].count(message.id) == 2
    assert await world.waits_in(topology.PARKED) == {failed.id}
