"""Bugs of a turn: who holds it, for how long, and which command runs in it."""

import asyncio
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from crashes.guards import Guard, Lock, SimulatedLocks
from crashes.mutations.planting import Method, instead, mutation, put
from deploys import deploy, turn, worker
from deploys.context import Context
from deploys.deploy import Deploy
from deploys.guarded import GuardedCommand
from deploys.jobs import Finished, How
from deploys.turn import Turn
from deploys.waits import Waits
from usher.broker.consumer import ConsumerLost
from usher.broker.journal import Journal
from usher.broker.link import Link
from usher.core.batches import Batch
from usher.core.board.server import ServerBoard
from usher.core.events import DeployEnded, DeployInterrupted, DeployStuck, DeployTaken
from usher.core.servers import Server
from usher.core.windows import Window
from usher.runtime.locks import Locking


@mutation("4: moves that never pause keep the window open forever", calm=True)
def window_that_forgets_its_start() -> None:
    def closes_at(self: Window, arrivals: Collection[int], due: Collection[int] = ()) -> int:
        return max([*arrivals, *due]) + self.quiet

    put(Window, "closes_at", closes_at)


@mutation("4: a retry that is due waits like a move that others follow", calm=True)
def retry_that_opens_a_window() -> None:
    def closes_at(self: Window, arrivals: Collection[int], due: Collection[int] = ()) -> int:
        return min([*arrivals, *due]) + self.cap

    put(Window, "closes_at", closes_at)


@mutation("3: the command of the former holder may still be running")
def take_over_without_the_wait() -> None:
    put(turn, "takeover_wait", lambda settings: 0.0)


@mutation("3: two holders that take at the same time both run their commands")
def right_to_run_without_reading_back() -> None:
    async def take(self: Deploy, taken: DeployTaken) -> Batch | None:
        batch = Batch.of([entry.message for m in taken.messages if (entry := self._board.open.get(m))])
        await self._context.publisher.event(taken, secrets.token_hex(16))
        return batch

    Deploy._take = take  # type: ignore[method-assign]


@mutation("6: a message that has not been read from the journal yet looks unknown, and is re-published", calm=True)
def settled_check_without_the_barrier() -> None:
    class Unread:
        def __init__(self, journal: Journal) -> None:
            self._journal = journal

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

        async def barrier(self) -> None:
            """Do not wait."""

    def make(real: Method) -> Method:
        def init(self: Turn, *arguments: Any) -> None:
            real(self, *arguments)
            self._journal = Unread(self._journal)  # type: ignore[assignment]

        return init

    instead(Turn, "__init__", make)


@mutation("3: the broker gives the next consumer the queue's second message while the first is deployed")
def consumer_cancelled_while_holding() -> None:
    def make(real: Method) -> Method:
        async def advance(self: Turn, message: Any) -> None:
            await self._delivery._channel.cancel(f"turn:{self._server.name}")
            await real(self, message)

        return advance

    instead(Turn, "_advance", make)


@mutation("7: deploys start after the signal")
def stop_that_is_not_heeded() -> None:
    def check(self: Waits) -> None:
        if self.lost.is_set():
            raise ConsumerLost

    Waits.check = check  # type: ignore[method-assign]


@mutation("3: after its deploys is killed, a command goes on beside the next one")
def guard_that_outlives_its_pipe() -> None:
    def close(self: Guard) -> None:
        self._closing = True

    Guard.close = close  # type: ignore[method-assign]


@mutation("3: while its deploys is frozen, a command goes on beside the next one")
def guard_that_does_not_mind_silence() -> None:
    Guard._missed = lambda self: False  # type: ignore[method-assign]


@mutation("3: a command goes on after its deploys has lost the turn")
def command_that_outlives_its_turn() -> None:
    def make(real: Method) -> Method:
        async def until(self: Any, ending: Any, lost: Any, kill: Any) -> Any:
            return await real(self, ending, asyncio.Event(), kill)

        return until

    instead(GuardedCommand, "_until", make)


@mutation("3: the next command starts before the killed one has ended")
def interrupted_before_it_is_dead() -> None:
    def make(real: Method) -> Method:
        async def run(self: Any, job: Any, lost: Any, drain: Any) -> Finished:
            running = asyncio.ensure_future(real(self, job, lost, drain))
            gone = asyncio.ensure_future(lost.wait())
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else Finished(How.KILLED, "the turn was lost")

        return run

    async def close(self: Any) -> bool:
        self._close_pipe()
        return False

    instead(GuardedCommand, "run", make)
    GuardedCommand.close = close  # type: ignore[method-assign]


@mutation("3: a result lets any later delivery of its messages skip the take-over wait")
def result_that_waives_every_later_wait() -> None:
    def make(real: Method) -> Method:
        def finishes(self: ServerBoard, end: DeployEnded | DeployInterrupted) -> bool:
            batch = self.running.batch if self.running else ()
            if not real(self, end):
                return False
            if isinstance(end, DeployEnded):
                self.ended_turns = dict.fromkeys(message.id for message in batch)
            return True

        return finishes

    def is_over(self: ServerBoard, message: str, delivery_count: int) -> bool:
        return message in self.ended_turns and self.ended_turns[message] in (None, delivery_count - 1)

    instead(ServerBoard, "_finishes", make)
    put(ServerBoard, "is_over", is_over)


@mutation("12: a taking with an absurd fence is granted, so no later one can have a larger fence")
def fence_without_a_bound() -> None:
    def make(real: Method) -> Method:
        def take(self: ServerBoard, taken: DeployTaken, read_at: float) -> Any:
            fence, self.fence = self.fence, max(self.fence, taken.fence)
            changes = real(self, taken, read_at)
            self.fence = self.fence if changes else fence
            return changes

        return take

    instead(ServerBoard, "take", make)


@mutation("12: a server whose queue was deleted gives up the connection, and all other servers with it")
def queue_that_is_not_declared_again() -> None:
    async def consume(context: Context, link: Link, server: Server, waits: Waits) -> None:
        await worker._turns(context, link, server, waits)

    put(worker, "_consume", consume)


@mutation("3: a command that cannot be killed counts as killed")
def stuck_command_that_counts_as_killed() -> None:
    def make(real: Method) -> Method:
        def event(*arguments: Any, **more: Any) -> Any:
            end = real(*arguments, **more)
            if isinstance(end, DeployStuck):
                facts = end.model_dump(include={"deploy", "server", "by", "reason", "at"})
                return DeployInterrupted(**facts)
            return end

        return event

    instead(deploy, "end_of", make)
    put(SimulatedLocks, "read", lambda self, server: Locking())


@mutation("3: a restarted deploys does not see that a command is still running on its machine")
def locks_that_nobody_holds() -> None:
    @contextmanager
    def hold(self: SimulatedLocks, server: str) -> Iterator[int]:
        self._commands.locks.append(Lock())
        yield len(self._commands.locks) - 1

    put(SimulatedLocks, "hold", hold)
    put(SimulatedLocks, "read", lambda self, server: Locking())


@mutation("12: a command that cannot be killed keeps its slot")
def run_that_waits_for_a_stuck_command() -> None:
    def make(real: Method) -> Method:
        async def hear(self: Any, *kinds: str) -> Any:
            return await real(self, *(kind for kind in kinds if kind != "stuck"))

        return hear

    instead(GuardedCommand, "hear", make)
