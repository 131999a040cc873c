"""Bugs that are planted to see that the simulator finds them: each takes away what one rule is there for.

`plant` changes the product for the rest of the process, so a process of its own plants it. `calm` ones are seen best
while nothing goes wrong.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploys import deploy, jobs, turn
from deploys.debts import Debts
from deploys.deploy import Deploy
from deploys.jobs import Finished, How
from deploys.runner import _GuardedCommand
from deploys.turn import Turn
from deploys.waits import Waits
from simulator.guards import Guard
from successes import cleaning
from trackers.door import Door
from usher import messages
from usher.batches import Batch
from usher.board import Board
from usher.board_entries import Taking
from usher.broker.consumer import ConsumerLost
from usher.broker.journal import Journal
from usher.broker.reading import Fold
from usher.events import DeployEnded, DeployTaken
from usher.server_board import ServerBoard
from usher.states import Change, State
from usher.windows import Window

Method = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A planted bug, and what it breaks."""

    breaks: str
    plant: Callable[[], None]
    calm: bool = False


MUTATIONS: dict[str, Mutation] = {}


def mutation(breaks: str, *, calm: bool = False) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register one by its function's name."""

    def register(plant: Callable[[], None]) -> Callable[[], None]:
        MUTATIONS[plant.__name__] = Mutation(breaks, plant, calm)
        return plant

    return register


def _put(owner: Any, name: str, what: Any) -> None:
    setattr(owner, name, what)


def _instead(owner: Any, name: str, make: Callable[[Method], Method]) -> None:
    _put(owner, name, make(getattr(owner, name)))


@mutation("2: a crash between the ack and the result loses what the deploy covered")
def ack_before_the_result_is_confirmed() -> None:
    def make(real: Method) -> Method:
        async def pay(self: Debts, server: str, journal: Journal, publisher: Any) -> None:
            held = HELD.get(server)
            if server in self._owed and held:
                await held.ack()
            await real(self, server, journal, publisher)

        return pay

    HELD: dict[str, Any] = {}  # noqa: N806
    _remember(HELD)
    _instead(Debts, "pay", make)


def _remember(held: dict[str, Any]) -> None:
    def make(real: Method) -> Method:
        async def go_on(self: Turn, message: Any) -> None:
            held[self._server.name] = self._delivery
            await real(self, message)

        return go_on

    _instead(Turn, "_go_on", make)


@mutation("4: a storm that goes on keeps the window open for ever", calm=True)
def window_that_forgets_its_start() -> None:
    Window.closes_at = lambda self, arrivals: max(arrivals) + self.quiet  # type: ignore[method-assign]


@mutation("3: the former holder's command may still run")
def take_over_without_the_wait() -> None:
    _put(turn, "takeover_wait", lambda settings: 0.0)


@mutation("3: two that took at the same time both run")
def right_to_run_without_reading_back() -> None:
    async def take(self: Deploy, taken: DeployTaken) -> Batch | None:
        batch = Batch.of([entry.message for m in taken.messages if (entry := self._board.open.get(m))])
        await self._parts.publisher.event(taken, secrets.token_hex(16))
        return batch

    Deploy._take = take  # type: ignore[method-assign]


@mutation("6: what the journal has not brought yet looks unknown, and is told again", calm=True)
def settled_check_without_the_barrier() -> None:
    class Unread:
        def __init__(self, journal: Journal) -> None:
            self._journal = journal

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

        async def barrier(self) -> None:
            """Not waited for."""

    def make(real: Method) -> Method:
        def init(self: Turn, *arguments: Any) -> None:
            real(self, *arguments)
            self._journal = Unread(self._journal)  # type: ignore[assignment]

        return init

    _instead(Turn, "__init__", make)


@mutation("3: the broker gives the next consumer the queue's second message while the first is deployed")
def consumer_cancelled_while_holding() -> None:
    def make(real: Method) -> Method:
        async def go_on(self: Turn, message: Any) -> None:
            await self._delivery._channel.cancel(f"turn:{self._server.name}")
            await real(self, message)

        return go_on

    _instead(Turn, "_go_on", make)


@mutation("2: after a loss the same offset is another entry, and the board is no longer the journal's")
def going_on_without_comparing() -> None:
    def make(real: Method) -> Method:
        def take(self: Fold, entry: Any) -> Any:
            if self._resumes_at:
                self._resumes_at = entry.position
            self._expected = None
            return real(self, entry)

        return take

    _instead(Fold, "take", make)


@mutation("2: its queue is acked as if the next attempt had been deployed with the first")
def retry_that_counts_as_the_same_message() -> None:
    def make(real: Method) -> Method:
        def again(self: Any, at: int, **more: Any) -> Any:
            return real(self, at, **more).model_copy(update={"id": self.id})

        return again

    _instead(messages.BackMessage, "again", make)


@mutation("3: two holders have the right to run at the same time")
def taking_granted_while_another_is_unfinished() -> None:
    def take(self: ServerBoard, taken: DeployTaken, read_at: float) -> list[Change]:
        entries = [entry for m in taken.messages if (entry := self.open.get(m))]
        for entry in entries:
            entry.deploying = True
        self.running = Taking(taken, tuple(entry.message for entry in entries), read_at)
        return [Change(entry.message.id, State.DEPLOYING, taken.deploy) for entry in entries]

    ServerBoard.take = take  # type: ignore[method-assign]
    _put(turn, "takeover_wait", lambda settings: 0.0)


@mutation("2: what is parked for a person is gone")
def cleaning_what_is_not_settled() -> None:
    cleaning._is_settled = lambda message, board: True


@mutation("2: a pass settles a newer move that had failed, and nobody deploys it")
def cleaning_something_newer() -> None:
    def clean(self: ServerBoard, passed: Any, deploy: str) -> list[Change]:
        issues = {message.issue for message in passed}
        meant = [*(failed.message for failed in self.failed.values()), *self.retrying.values()]
        meant += [e.message for e in self.open.values() if not e.deploying]
        changes = [Change(m.id, State.SUPERSEDED, deploy) for m in meant if m.issue in issues]
        self._close(changes)
        return changes

    ServerBoard._clean = clean  # type: ignore[method-assign]


@mutation("3: a command runs on beside the next one after its deploys was killed")
def guard_that_outlives_its_pipe() -> None:
    def close(self: Guard) -> None:
        self._closing = True

    Guard.close = close  # type: ignore[method-assign]


@mutation("3: a command runs on beside the next one while its deploys is frozen")
def guard_that_does_not_mind_silence() -> None:
    Guard._missed = lambda self: False  # type: ignore[method-assign]


@mutation("2: a journal that loses it loses the result for ever", calm=True)
def result_only_in_the_journal() -> None:
    async def pay(self: Debts, server: str, journal: Journal, publisher: Any) -> None:
        if end := self._owed.get(server):
            await journal.append(end)
            del self._owed[server]

    Debts.pay = pay  # type: ignore[method-assign]


@mutation("2: a crash in between loses the result")
def journal_before_the_reply_queue() -> None:
    async def pay(self: Debts, server: str, journal: Journal, publisher: Any) -> None:
        if end := self._owed.get(server):
            await journal.append(end)
            if isinstance(end, DeployEnded):
                await publisher.result(end, end.deploy)
            del self._owed[server]

    Debts.pay = pay  # type: ignore[method-assign]


@mutation("1: the sender is told that it is accepted, and the broker never had it")
def sender_answered_before_the_confirm() -> None:
    telling: set[asyncio.Task[None]] = set()

    async def tell(self: Door, message: Any) -> None:
        if self.publisher:
            task = asyncio.ensure_future(self.publisher.message(message))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            telling.add(task)

    Door._tell = tell  # type: ignore[method-assign]


@mutation("3: who has lost the turn goes on")
def command_that_outlives_its_turn() -> None:
    def make(real: Method) -> Method:
        async def until(self: Any, ending: Any, lost: Any, cut: Any) -> Any:
            return await real(self, ending, asyncio.Event(), cut)

        return until

    _instead(_GuardedCommand, "_until", make)


@mutation("3: the next one starts while the command that was cut still ends")
def interrupted_before_it_is_dead() -> None:
    def make(real: Method) -> Method:
        async def run(self: Any, job: Any, lost: Any, drain: Any) -> Finished:
            running = asyncio.ensure_future(real(self, job, lost, drain))
            gone = asyncio.ensure_future(lost.wait())
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else Finished(How.CUT, "the turn was lost")

        return run

    async def close(self: Any) -> None:
        self._close_pipe()

    _instead(_GuardedCommand, "run", make)
    _GuardedCommand.close = close  # type: ignore[method-assign]


@mutation("7: deploys start after the signal")
def stop_that_is_not_heeded() -> None:
    def check(self: Waits) -> None:
        if self.lost.is_set():
            raise ConsumerLost

    Waits.check = check  # type: ignore[method-assign]


@mutation("7: what was cut counts as failed, and costs an attempt")
def interrupted_counted_as_failed() -> None:
    def make(real: Method) -> Method:
        def end_of(taken: Any, batch: Any, job: Any, finished: Finished, **more: Any) -> Any:
            if finished.how is How.CUT:
                finished = Finished(How.BY_ITSELF, finished.reason, 1)
            return real(taken, batch, job, finished, **more)

        return end_of

    _put(deploy, "end_of", make(jobs.end_of))


@mutation("6: the same move told again is another message")
def every_telling_a_message() -> None:
    messages.message_id = lambda identity, server: secrets.token_hex(16)


@mutation("2: a failure whose next attempt came before its result stays undecided")
def decision_that_is_never_made_again() -> None:
    ServerBoard.retried = lambda self, retry, deploy: []  # type: ignore[method-assign]


@mutation("2: what has been withdrawn comes back")
def board_that_forgets_withdrawals() -> None:
    def make(real: Method) -> Method:
        def noted(self: Board, changes: list[Change]) -> list[Change]:
            kept: list[Change] = real(self, [change for change in changes if change.state is not State.WITHDRAWN])
            return kept

        return noted

    _instead(Board, "_noted", make)
