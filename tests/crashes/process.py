"""A simulated process. It can be killed, frozen and thawed between any two steps of its tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from enum import StrEnum
from typing import Any

from crashes.loop import NOBODYS, OWNER, SimulatedLoop


class Life(StrEnum):
    """The state of a process."""

    RUNNING = "running"
    FROZEN = "frozen"
    DEAD = "dead"


class Process:
    """One process of a program, from its start to its end. The broker, the guards and the ledger outlive it."""

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
        self._death_callbacks: list[Callable[[], None]] = []

    def __str__(self) -> str:
        return f"{self.name}#{self.pid}"

    @property
    def frozen(self) -> bool:
        """Whether it is frozen."""
        return self.life is Life.FROZEN

    def run(self, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as one of its tasks."""
        return self._loop.create_task(main, context=self.context.copy())

    def on_death(self, callback: Callable[[], None]) -> None:
        """Call this when the process ends, for whatever reason."""
        self._death_callbacks.append(callback)

    def after_steps(self, count: int, do: Callable[[], None]) -> None:
        """Call `do` after this many more steps, before the next one."""
        self._trap = (self.steps + count, do)

    def stepped(self) -> bool:
        """It is about to take a step. Returns whether it still may."""
        self.steps += 1
        if self._trap and self.steps > self._trap[0]:
            do, self._trap = self._trap[1], None
            do()
        return self.runs

    def hold(self, handle: asyncio.Handle) -> None:
        """Keep a step that it cannot take now. It is taken later, or never."""
        self._held.append(handle)

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.life is Life.RUNNING:
            self.life, self.runs = Life.FROZEN, False

    def thaw(self) -> None:
        """SIGCONT: the steps that were due meanwhile are taken now."""
        if self.life is Life.FROZEN:
            self.life, self.runs = Life.RUNNING, True
            self._release()

    def kill(self) -> None:
        """SIGKILL, or its own exit: it takes no further step, not even in a finally block."""
        if self.life is Life.DEAD:
            return
        self.life, self.runs = Life.DEAD, False
        self._trap = None
        for callback in self._death_callbacks:
            callback()
        if not self.ended.done():
            self.ended.set_result(None)

    def clean_up(self) -> None:
        """Let its tasks finish after the run, when nothing has an effect any more."""
        self.life, self.runs, self._trap = Life.DEAD, True, None
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        self._loop.again(held)
