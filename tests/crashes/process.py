"""A simulated process: the steps that its tasks take. It can be killed, frozen and thawed between any two of them."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from enum import StrEnum
from typing import Any

from crashes.loop import NOBODYS, OWNER, SimulatedLoop


class Life(StrEnum):
    """What a process is."""

    RUNNING = "running"
    FROZEN = "frozen"
    DEAD = "dead"


class Process:
    """One life of a program, from its start to its death. What outlives it is outside: broker, guards, the ledger."""

    def __init__(self, loop: SimulatedLoop, name: str, pid: int) -> None:
        self.name = name
        self.pid = pid
        self.life = Life.RUNNING
        self.runs = True
        self.steps = 0
        self.stopping = False
        self.version = 1
        self.context: Context = NOBODYS.copy()
        self.context.run(OWNER.set, self)
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._held: list[asyncio.Handle] = []
        self._trap: tuple[int, Callable[[], None]] | None = None
        self._mourners: list[Callable[[], None]] = []

    def __str__(self) -> str:
        return f"{self.name}#{self.pid}"

    @property
    def frozen(self) -> bool:
        """Whether it is stopped for now."""
        return self.life is Life.FROZEN

    def run(self, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Have it do that, besides whatever else it does."""
        return self._loop.create_task(main, context=self.context.copy())

    def on_death(self, mourner: Callable[[], None]) -> None:
        """Have that called when it is gone, however."""
        self._mourners.append(mourner)

    def after_steps(self, count: int, do: Callable[[], None]) -> None:
        """Have that done before the process takes one more step than so many."""
        self._trap = (self.steps + count, do)

    def stepped(self) -> bool:
        """It is about to take a step; whether it still may."""
        self.steps += 1
        if self._trap and self.steps > self._trap[0]:
            do, self._trap = self._trap[1], None
            do()
        return self.runs

    def hold(self, handle: asyncio.Handle) -> None:
        """A step that it cannot take now: later, or never."""
        self._held.append(handle)

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.life is Life.RUNNING:
            self.life, self.runs = Life.FROZEN, False

    def thaw(self) -> None:
        """SIGCONT: what was due meanwhile happens now."""
        if self.life is Life.FROZEN:
            self.life, self.runs = Life.RUNNING, True
            self._release()

    def kill(self) -> None:
        """SIGKILL, or its end: it takes no further step, not even in a finally block."""
        if self.life is Life.DEAD:
            return
        self.life, self.runs = Life.DEAD, False
        self._trap = None
        for mourner in self._mourners:
            mourner()
        if not self.ended.done():
            self.ended.set_result(None)

    def bury(self) -> None:
        """The run is over and nothing can have an effect any more: let its tasks come to their ends."""
        self.life, self.runs, self._trap = Life.DEAD, True, None
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        self._loop.again(held)
